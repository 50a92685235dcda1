/**
 * What things cost a month, for `sweep`, and about at that. From memory, but for the price of fast restore (reference
 * aws-ebs 5): us-east-1, list prices in USD as of 2025. Other regions differ; an inventory can say its own (`prices`).
 */
export interface Prices {
  /** Fast restore of one snapshot in one zone, an hour. */
  readonly fastRestoreHour: number;
  readonly snapshotGiBMonth: number;
  readonly archiveGiBMonth: number;
  readonly gp2GiBMonth: number;
  readonly gp3GiBMonth: number;
  readonly io1GiBMonth: number;
  readonly io2GiBMonth: number;
  readonly st1GiBMonth: number;
  readonly sc1GiBMonth: number;
  readonly standardGiBMonth: number;
}

export const recalledPrices: Prices = {
  fastRestoreHour: 0.75,
  snapshotGiBMonth: 0.05,
  archiveGiBMonth: 0.0125,
  gp2GiBMonth: 0.1,
  gp3GiBMonth: 0.08,
  io1GiBMonth: 0.125,
  io2GiBMonth: 0.125,
  st1GiBMonth: 0.045,
  sc1GiBMonth: 0.015,
  standardGiBMonth: 0.05,
};

export const pricesAre = "list prices of us-east-1 in USD, from memory as of 2025";

const hoursInMonth = 730;

export function fastRestoreMonth(prices: Prices): number {
  return prices.fastRestoreHour * hoursInMonth;
}

/** Without IOPS and throughput beyond what the type has by itself; nothing for a type that is not in the table. */
export function volumeMonth(
  prices: Prices,
  volume: { readonly type: string; readonly sizeGiB: number },
): number | null {
  const price = Object.entries(prices).find(([name]) => name === `${volume.type}GiBMonth`)?.[1] as
    number | undefined;
  return price === undefined ? null : price * volume.sizeGiB;
}

/** At most: a snapshot is paid for by what is in it alone, and the cloud does not say how much that is. */
export function snapshotMonth(
  prices: Prices,
  { tier, sizeGiB }: { readonly tier: string; readonly sizeGiB: number },
): number {
  return sizeGiB * (tier === "archive" ? prices.archiveGiBMonth : prices.snapshotGiBMonth);
}

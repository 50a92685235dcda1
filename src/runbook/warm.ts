/**
 * Warm-up of what is made from a snapshot: how long fast restore takes, and when it has a credit for the next volume
 * (reference aws-ebs 5). A volume that is made without a whole credit is made the slow way, and nobody says so.
 */
import { Failure } from "../errors.ts";
import { drillOf } from "./drill.ts";
import { swaps, type Swap } from "./restore.ts";
import { check, hours, minutes, type World } from "./step.ts";

/** How the new volumes get their content: on first touch, by fast restore, at a rate that is paid for, or read through. */
export const warmUps = ["none", "fast", "rate", "read"] as const;
export type WarmUp = (typeof warmUps)[number];

/** One snapshot in one zone: what fast restore is switched on for. */
export interface Pair {
  readonly snapshot: string;
  readonly zone: string;
  readonly sizeGiB: number;
  /** How many volumes will be made from it there. */
  readonly volumes: number;
}

export const longestFastGiB = 16 * 1024;

export function pairsOf(world: World): readonly Pair[] {
  const { byNode } = world.outcomeOf(swaps);
  const pairs = new Map<string, Pair>();
  for (const { snapshot, zone, snapshotGiB } of Object.values(byNode).flat()) {
    const key = `${snapshot} ${zone}`;
    const volumes = (pairs.get(key)?.volumes ?? 0) + 1;
    pairs.set(key, { snapshot, zone, sizeGiB: snapshotGiB, volumes });
  }
  return [...pairs.values()];
}

/** Sixty minutes for each TiB, and a minute at least (reference aws-ebs 5). Milliseconds. */
export function optimizingTime({ sizeGiB }: Pick<Pair, "sizeGiB">): number {
  return Math.max(minutes(1), (sizeGiB / 1024) * hours(1));
}

/**
 * How many volumes can be made fast now. The bucket starts empty when fast restore is enabled, fills by the hour, holds
 * one at least, and each volume takes one, if there is a whole one.
 */
export function creditsAt(
  sizeGiB: number,
  enabledAt: number,
  madeAt: readonly number[],
  now: number,
): number {
  const perHour = Math.min(10, 1024 / sizeGiB);
  const room = Math.max(1, perHour);
  let credits = 0;
  let at = enabledAt;
  const filledUntil = (then: number) =>
    Math.min(room, credits + (Math.max(0, then - at) / hours(1)) * perHour);
  for (const made of [...madeAt].filter((each) => each >= enabledAt).sort((a, b) => a - b)) {
    credits = filledUntil(made);
    at = made;
    if (credits >= 1) credits -= 1;
  }
  return filledUntil(now);
}

/** From "enabled" until the last of its volumes can be made fast. Milliseconds. */
export function creditTime({ sizeGiB, volumes }: Pick<Pair, "sizeGiB" | "volumes">): number {
  return (volumes / Math.min(10, 1024 / sizeGiB)) * hours(1);
}

/** By whichever of them takes longest. Milliseconds. */
export function fastTime(pairs: readonly Pair[]): number {
  return Math.max(0, ...pairs.map((pair) => optimizingTime(pair) + creditTime(pair)));
}

/** The rate is a promise for nearly all of the time (reference aws-ebs 5). Milliseconds. */
export function rateTime(planned: readonly Pick<Swap, "snapshotGiB">[], mibPerSecond: number): number {
  return Math.max(0, ...planned.map(({ snapshotGiB }) => ((snapshotGiB * 1024) / mibPerSecond) * 1000));
}

/** What a gp3 gives that was made without a throughput of its own (from memory): it cannot be read faster. */
const plainMiBps = 125;
/** Slower than this, nobody should wait without being asked. No source tells how fast blocks come over when touched. */
const slowestMiBps = 10;

type Read = Pick<Swap, "sizeGiB" | "throughputMiBps">;

/** All are read side by side, so that the slowest counts; each at its own throughput, as if it were whole. Milliseconds. */
export function readingTime(planned: readonly Read[]): number {
  return Math.max(
    0,
    ...planned.map(({ sizeGiB, throughputMiBps }) => readAt(sizeGiB, throughputMiBps ?? plainMiBps)),
  );
}

/** For how long it is waited for at the longest. Milliseconds. */
export function readingWithin(planned: readonly Read[]): number {
  return Math.max(0, ...planned.map(({ sizeGiB }) => readAt(sizeGiB, slowestMiBps)));
}

function readAt(sizeGiB: number, mibPerSecond: number): number {
  return ((sizeGiB * 1024) / mibPerSecond) * 1000;
}

/** The reference has "minutes to hours" for it, and no rate: so this is the least, and a rate to compare with. */
function readingTold(planned: readonly Swap[]): string {
  const least = inMinutes(readingTime(planned));
  const sold = inMinutes(Math.max(0, ...planned.map(({ sizeGiB }) => readAt(sizeGiB, 100))));
  return `at least ${least}, by the volumes' own throughput; how fast blocks come over when they are touched, the cloud promises nobody (no history; at 100 MiB/s, the lowest rate that it sells, ${sold})`;
}

export function rateOf(world: Pick<World, "params">): number {
  return Number(world.params["rate"]);
}

/** What the choice costs in time; the money stands at the end of a plan. */
export const warmTold = check<{ readonly told: readonly string[] }>(
  "What the chosen warm-up takes",
  async (world) => {
    const planned = Object.values(world.outcomeOf(swaps).byNode).flat();
    switch (world.params["warm"]) {
      case "fast": {
        const pairs = pairsOf(world);
        const large = pairs.find(({ sizeGiB }) => sizeGiB > longestFastGiB);
        if (large)
          throw new Failure(
            "precondition",
            `${large.snapshot} has ${large.sizeGiB} GiB; fast restore takes at most ${longestFastGiB}`,
            { hint: "choose --param warm=rate, or none" },
          );
        return {
          told: [
            `fast restore of ${count(pairs.length, "snapshot and zone", "pairs of snapshot and zone")}, before the outage: about ${inMinutes(fastTime(pairs))} until every volume can be made from it`,
          ],
        };
      }
      case "rate": {
        const rate = rateOf(world);
        if (rate < 100 || rate > 300)
          throw new Failure("precondition", `parameter rate is ${rate}; wanted 100 to 300 MiB a second`, {
            hint: "give --param rate=300, for example",
          });
        return {
          told: [
            `the new volumes are filled at ${rate} MiB a second, before the outage: about ${inMinutes(rateTime(planned, rate))}, at most`,
          ],
        };
      }
      case "read":
        return {
          told: [
            `the new volumes are read through after the swap, and the service is out meanwhile: ${readingTold(planned)}; it costs time only`,
          ],
        };
      case "helper":
        return {
          told: [
            `the new volumes are read through on ${drillOf(world).node}, before the outage: ${readingTold(planned)}; it costs time only`,
          ],
        };
      case undefined:
      default:
        return {
          told: [
            "the new volumes come over from the snapshot block by block, as they are first touched: for hours the disks are slow, and a monitor of theirs may take that for a fault; --param warm=fast or warm=rate fills them before the outage, warm=read within it",
          ],
        };
    }
  },
);

function count(n: number, one: string, many: string): string {
  return n === 1 ? `1 ${one}` : `${n} ${many}`;
}

function inMinutes(ms: number): string {
  const whole = Math.ceil(ms / minutes(1));
  return whole < 120 ? `${whole} min` : `${(whole / 60).toFixed(1)} h`;
}

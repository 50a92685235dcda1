/** What the inventory says of the user's own commands. Plain JSON: it is kept with each plan. */
export interface HookSetting {
  /** Its own in the inventory, also without what is no letter and no digit: it becomes part of a step's key. */
  readonly name: string;
  readonly around: HookPhase;
  /** A node of the cluster, or "active" or "standby". */
  readonly on: string;
  /** Words of a command, run as they stand; at least one of the two. */
  readonly before: readonly string[] | null;
  readonly after: readonly string[] | null;
  readonly user: string;
  /** How long each of the two may run. */
  readonly seconds: number;
  /** What becomes of the run when `before` fails. */
  readonly onFailure: "stop" | "go-on" | "give-back";
}

export type HookPhase = "service-stop" | "cut" | "service-return" | "run";

/** "freeze orders" is the "FreezeOrders" of hookFreezeOrdersBefore. */
export function hookKey(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
}

/** What a side of a mirror keeps on the cluster partition of its volume; it travels with the volume into snapshots. */
import type { Content } from "./world.ts";

export interface SideControl {
  readonly mirror: string;
  /** First half of the partitions' UUIDs: the partition table travels with the volume too. */
  readonly disk: string;
  readonly colour: "GREEN" | "RED";
  /** The flag that clpbackup.sh sets. */
  readonly backup: boolean;
  /** This side took writes that the other has not seen, or knows that the other is stale. */
  readonly alone: boolean;
  /** Made by clprestore.sh, and not yet joined to its other side. */
  readonly fresh: boolean;
  /** A full copy was asked for with it. */
  readonly wantsCopy: boolean;
  /** What differs from its other side is not known: only a copy of everything makes the two equal. */
  readonly needsFull: boolean;
  /** The differences: paths, as JSON, that were written here and not on the other side; "" for none. */
  readonly changed: string;
  readonly destroyed: boolean;
  /** Milliseconds, 0 for none. */
  readonly lastUpdate: number;
  readonly breakTime: number;
}

export const newControl = (
  mirror: string,
  disk: string,
  more: Partial<SideControl> = {},
): { readonly [key: string]: string | number | boolean } => ({
  mirror,
  disk,
  colour: "GREEN",
  backup: false,
  alone: false,
  fresh: false,
  wantsCopy: false,
  needsFull: false,
  changed: "",
  destroyed: false,
  lastUpdate: 0,
  breakTime: 0,
  ...more,
});

/** The differences of a side after a write that the other side did not get. */
export function withChanges(changed: string, before: Content["data"], after: Content["data"]): string {
  const paths = Object.keys({ ...before, ...after }).filter((path) => before[path] !== after[path]);
  const all = new Set([...pathsOf(changed), ...paths]);
  return all.size === 0 ? "" : JSON.stringify([...all].sort());
}

/** What a copy of the differences makes of the target: what is equal by assumption is not looked at. */
export function copyDifferences(
  changed: string,
  source: Content["data"],
  target: Content["data"],
): Content["data"] {
  const paths = new Set(pathsOf(changed));
  return Object.fromEntries([
    ...Object.entries(target).filter(([path]) => !paths.has(path)),
    ...Object.entries(source).filter(([path]) => paths.has(path)),
  ]);
}

const pathsOf = (changed: string): readonly string[] =>
  changed === "" ? [] : (JSON.parse(changed) as readonly string[]);

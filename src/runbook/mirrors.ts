/** What is proven about mirrors: in sync, broken by us, or not (design 4; reference clusterpro 4, 8 B1). */
import { Failure } from "../errors.ts";
import type { MirrorState } from "../ports/cluster-manager.ts";
import type { World } from "./step.ts";

export async function readMirrors(
  world: World,
  mirrors: readonly { readonly name: string }[],
  via: string,
): Promise<readonly MirrorState[]> {
  return Promise.all(mirrors.map(({ name }) => world.cluster.getMirror({ mirror: name, via })));
}

export function isInSync(mirror: MirrorState): boolean {
  return mirror.status === "Normal" && Object.values(mirror.sides).every((side) => side.colour === "GREEN");
}

export function isRecovering(mirror: MirrorState): boolean {
  return (
    mirror.status === "Recovering" || Object.values(mirror.sides).some((side) => side.colour === "YELLOW")
  );
}

/** "md1 GREEN/RED (Abnormal)", in the order of the report. */
export function sayMirror(mirror: MirrorState): string {
  const colours = Object.values(mirror.sides).map((side) => side.colour);
  return `${mirror.mirror} ${colours.join("/")} (${mirror.status})`;
}

export function assertInSync(mirrors: readonly MirrorState[]): void {
  const bad = mirrors.filter((mirror) => !isInSync(mirror));
  if (bad.length > 0)
    throw new Failure(
      "precondition",
      `the mirror is not in sync: ${bad.map(sayMirror).join(", ")}; wanted GREEN on both sides`,
      {
        hint: "wait for the copy, or start it with `clpmdctrl --recovery`; see the page on mirrors that are not GREEN",
      },
    );
}

/** When the break of a mirror happened, and the last write that went to both sides; as the cluster prints them. */
export interface BreakSeen {
  readonly mirror: string;
  readonly breakTime: string | null;
  readonly lastUpdate: string | null;
}

/**
 * The break as it shows: this side stale, the other good. While the stale side's node is out of the cluster its colour
 * cannot be seen (GRAY); then the good side alone must be GREEN, and the break time unchanged tells the rest.
 */
export function findBreak(
  mirror: MirrorState,
  stale: string,
  good: string,
  mayBeUnseen: boolean,
): BreakSeen | undefined {
  const colour = mirror.sides[stale]?.colour;
  const broken = colour === "RED" || (mayBeUnseen && (colour === "GRAY" || colour === "UNKNOWN"));
  if (!broken || mirror.sides[good]?.colour !== "GREEN" || isRecovering(mirror)) return undefined;
  return {
    mirror: mirror.mirror,
    breakTime: mirror.sides[good]?.breakTime ?? mirror.sides[stale]?.breakTime ?? null,
    lastUpdate: mirror.sides[good]?.lastUpdate ?? mirror.sides[stale]?.lastUpdate ?? null,
  };
}

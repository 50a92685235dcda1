/** Sets of snapshots: one of each volume, cut together, and looked for by their tags before anything is asked for again. */
import { Failure, type Snapshot, type World } from "runbook";

/** One snapshot for each volume, or undefined while some are missing; more than one is never chosen from. */
export function wholeSet(found: readonly Snapshot[], volumes: readonly string[]) {
  if (found.length > volumes.length)
    throw new Failure(
      "conflict",
      `this operation has ${found.length} snapshots (${found.map(({ id }) => id).join(", ")}); wanted ${volumes.length}`,
      { hint: "compare them, and delete those that are not wanted" },
    );
  const set = volumes.flatMap((volume) => found.filter((snapshot) => snapshot.volume === volume));
  return set.length === volumes.length
    ? set.map(({ id, volume, startedAt }) => ({ id, volume, startedAt }))
    : undefined;
}

/** The ids once all of them are complete; one that failed never will be. */
export async function findComplete(
  world: World,
  ids: readonly string[],
): Promise<readonly string[] | undefined> {
  const snapshots = await world.cloud.getSnapshots(ids);
  const failed = snapshots.find((snapshot) => snapshot.state === "error");
  if (failed)
    throw new Failure(
      "conflict",
      `snapshot ${failed.id} of ${failed.volume} failed: ${failed.reason ?? "no reason given"}`,
    );
  return snapshots.every((snapshot) => snapshot.state === "completed") ? ids : undefined;
}

/** A tag holds 256 characters. */
export function inTag(why: readonly string[]): string {
  return why.join("; ").slice(0, 256);
}

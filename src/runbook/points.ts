/**
 * Recovery points as the cloud tells them: snapshots that carry a point's tags. Nothing else is needed to find one again,
 * neither the store nor the cluster (design 2; the tags are set by `recordPoint`).
 */
import { Failure } from "../errors.ts";
import type { Snapshot } from "../ports/cloud.ts";
import { check, type World } from "./step.ts";

export interface PointSnapshot {
  readonly id: string;
  /** The volume that was cut. */
  readonly volume: string;
  /** What of the mirrors it holds, as "md1:data+md1:cluster"; empty for a point that does not say. */
  readonly holds: string;
  readonly sizeGiB: number;
  readonly encrypted: boolean;
}

export interface Point {
  readonly point: string;
  readonly cluster: string;
  readonly cutAt: string;
  readonly consistency: string;
  readonly why: string;
  readonly node: string;
  /** "passed" or "failed" by a drill, with the run and the time; empty if never. */
  readonly tested: string;
  readonly snapshots: readonly PointSnapshot[];
  /** What is missing to restore from it, a sentence each; empty if nothing is. */
  readonly lacks: readonly string[];
}

/** All points of a cluster that the cloud knows, newest first. */
export async function listPoints(world: Pick<World, "cloud" | "clusterName">): Promise<readonly Point[]> {
  const found = await world.cloud.findSnapshots({
    "runbook:point": "*",
    "runbook:cluster": world.clusterName,
  });
  const names = [...new Set(found.map((snapshot) => snapshot.tags["runbook:point"] ?? ""))];
  return names
    .map((name) =>
      pointOf(
        name,
        found.filter((snapshot) => snapshot.tags["runbook:point"] === name),
      ),
    )
    .toSorted((a, b) => (a.cutAt < b.cutAt ? 1 : -1));
}

export function pointOf(point: string, snapshots: readonly Snapshot[]): Point {
  const tag = (name: string) => snapshots[0]?.tags[`runbook:${name}`] ?? "";
  const lacks: string[] = [];
  for (const snapshot of snapshots) {
    if (snapshot.state !== "completed")
      lacks.push(`snapshot ${snapshot.id} is ${snapshot.state} (${snapshot.progressPercent}%)`);
    if (snapshot.tier !== "standard") lacks.push(`snapshot ${snapshot.id} is in the tier ${snapshot.tier}`);
  }
  const wanted = Number(tag("of") || snapshots.length);
  if (snapshots.length !== wanted) lacks.push(`the set has ${snapshots.length} snapshots; wanted ${wanted}`);
  if (new Set(snapshots.map((snapshot) => snapshot.startedAt)).size > 1 && tag("of") === "")
    lacks.push("its snapshots were not cut at one instant");
  return {
    point,
    cluster: tag("cluster"),
    cutAt: snapshots[0]?.startedAt ?? "",
    consistency: tag("consistency") || "unknown",
    why: tag("why"),
    node: tag("node"),
    tested: tag("tested"),
    snapshots: snapshots.map((snapshot) => ({
      id: snapshot.id,
      volume: snapshot.volume,
      holds: snapshot.tags["runbook:holds"] ?? "",
      sizeGiB: snapshot.sizeGiB,
      encrypted: snapshot.encrypted,
    })),
    lacks,
  };
}

/** The point that the parameter `point` names; "newest" is the newest from which a restore could work. */
export const pointFound = check<Point>("The recovery point is there, and whole", async (world) => {
  const wanted = world.params["point"] ?? "newest";
  const points = await listPoints(world);
  if (points.length === 0)
    throw new Failure("precondition", `there is no recovery point of ${world.clusterName} in the cloud`, {
      hint: "look at `runbook points`, at the region, and at the name of the cluster in the inventory",
    });
  if (wanted === "newest") {
    const whole = points.find(({ lacks }) => lacks.length === 0);
    if (whole) return whole;
    throw new Failure(
      "precondition",
      `no recovery point of ${world.clusterName} is whole; of the newest, ${points[0]?.point ?? ""}, ${points[0]?.lacks.join("; ") ?? ""}`,
      { hint: "wait until its copies are complete" },
    );
  }
  const found = points.find(({ point }) => point === wanted);
  if (!found)
    throw new Failure("precondition", `there is no recovery point ${wanted} of ${world.clusterName}`, {
      hint: `there are ${points
        .slice(0, 5)
        .map(({ point, cutAt }) => `${point} (${cutAt})`)
        .join(", ")}`,
    });
  if (found.lacks.length > 0)
    throw new Failure("precondition", `recovery point ${wanted} is not whole: ${found.lacks.join("; ")}`, {
      hint: "wait until its copies are complete, or choose another one (`runbook points`)",
    });
  return found;
});

/**
 * What a restore left behind: the restored volumes in their places, and the old ones beside them, kept until a person says
 * that the restore is good (`confirm`), or takes it back (`rollback`). Known by tags alone, so that any machine can do it.
 */
import { Failure } from "../errors.ts";
import type { Volume } from "../ports/cloud.ts";
import { drillTag } from "./drill.ts";
import type { Swap, Swaps } from "./restore.ts";
import { check, type Step, type World } from "./step.ts";

export interface LeftByRestore {
  /** The restore, as its tags name it. */
  readonly run: string;
  readonly pairs: readonly {
    readonly node: string;
    readonly device: string;
    readonly holds: string;
    readonly deleteOnTermination: boolean;
    readonly old: string;
    readonly restored: string;
    readonly restoredAt: string;
    readonly snapshot: string;
  }[];
}

export const leftByRestore: Step<LeftByRestore> = check<LeftByRestore>(
  "The restore, with its volumes in their places and the old ones kept",
  async (world) => {
    const wanted = world.params["restore"] ?? "newest";
    const made = await world.cloud.findVolumes({
      "runbook:cluster": world.clusterName,
      "runbook:replaces": "*",
    });
    // What a drill has put on a staging cluster is no restore, and is not confirmed or taken back as one.
    const inUse = made.filter(
      ({ attachments, tags }) => attachments.length > 0 && tags[drillTag] === undefined,
    );
    const newest = inUse.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))[0];
    const run = wanted === "newest" ? newest?.tags["runbook:run"] : wanted;
    const ours = inUse.filter(({ tags }) => tags["runbook:run"] === run);
    if (run === undefined || ours.length === 0)
      throw new Failure(
        "precondition",
        wanted === "newest"
          ? `no restored volume of ${world.clusterName} is in use`
          : `no volume that restore ${wanted} made is in use`,
        { hint: "`runbook runs` names the restores, and `runbook sweep` the volumes that were left" },
      );
    const olds = await world.cloud.getVolumes(ours.map(({ tags }) => tags["runbook:replaces"] ?? ""));
    return { run, pairs: ours.map((volume, i) => pairOf(world, volume, olds[i])) };
  },
);

function pairOf(world: World, restored: Volume, old: Volume | undefined): LeftByRestore["pairs"][number] {
  const attachment = restored.attachments[0];
  const node = restored.tags["runbook:node"] ?? "";
  if (attachment === undefined || world.instanceOf(node) !== attachment.instance)
    throw new Failure(
      "precondition",
      `${restored.id} was restored for ${node || "no node"}, and is attached elsewhere`,
    );
  if (old === undefined || old.attachments.length > 0 || old.state !== "available")
    throw new Failure(
      "precondition",
      `the old volume ${restored.tags["runbook:replaces"] ?? ""} of ${node} is ${old === undefined ? "gone" : old.attachments.length > 0 ? "attached" : old.state}`,
      { hint: "look at it in the cloud's console; without it there is nothing to confirm or to take back" },
    );
  return {
    node,
    device: attachment.device,
    holds: restored.tags["runbook:holds"] ?? "",
    deleteOnTermination: old.tags["runbook:old-deletes"] === "true",
    old: old.id,
    restored: restored.id,
    restoredAt: restored.createdAt,
    snapshot: restored.snapshot ?? "",
  };
}

/** The places with what is in them now, and what is to come back into them, in the words of a restore. */
export function takenBack({ pairs }: LeftByRestore): Swaps {
  const byNode: Record<string, Swap[]> = {};
  for (const { node, device, holds, deleteOnTermination, restored, snapshot } of pairs)
    (byNode[node] ??= []).push({
      old: restored,
      attached: true,
      device,
      deleteOnTermination,
      holds,
      snapshot,
      zone: "",
      sizeGiB: 0,
      snapshotGiB: 0,
      type: "",
      iops: null,
      throughputMiBps: null,
      encrypted: false,
      key: null,
      tags: {},
    });
  return { byNode };
}

export function oldPlaces({ pairs }: LeftByRestore) {
  return pairs.map(({ node, device, old, restored }) => ({ node, device, old: restored, made: old }));
}

/** Told, never refused: whoever takes a restore back has said why. */
export const rollbackTold = check("What leaves service when the restore is taken back", async (world) => {
  const { run, pairs } = world.outcomeOf(leftByRestore);
  const since = pairs.map(({ restoredAt }) => restoredAt).toSorted()[0] ?? "";
  return {
    told: [
      `everything written since restore ${run} (volumes of ${since}) leaves service, with ${pairs.map(({ restored }) => restored).join(", ")}, which ${pairs.length === 1 ? "is" : "are"} kept`,
      "no dead-man timer can bring the service back once the nodes are off: stay with this run, or have a second machine that resumes it",
    ],
  };
});

/** What was put back is no old volume any more: a prune must never take it for one. */
export function oldOnesBack(world: World): readonly string[] {
  return world.outcomeOf(leftByRestore).pairs.map(({ old }) => old);
}

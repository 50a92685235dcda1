/**
 * Volumes that restores took out. None is deleted in the run that makes its final snapshot: that may be copied for hours,
 * and no backup could run meanwhile. The next prune finds it complete.
 */
import {
  finalSnapshotsOf,
  finalTag,
  judgeOldVolumes,
  minutes,
  oldVolumesJudged,
  step,
  type OldVolume,
  type World,
} from "runbook";

// EC2 takes no token for a snapshot: it carries its volume in a tag from the start, which is looked for before another is
// asked for. No undo: it is worth keeping.
export const takeFinalSnapshots = step({
  title: "Take a final snapshot of each confirmed old volume",
  done: async (world) => {
    const volumes = planned(world, "needs a final snapshot");
    const taken: string[] = [];
    for (const { volume } of volumes) {
      const found = await goodFinal(world, volume);
      if (!found) return undefined;
      taken.push(found.id);
    }
    const names = volumes.map(({ volume }) => volume).join(", ");
    const told =
      volumes.length === 0 ? [] : [`${names}: to be deleted by a prune once its final snapshot is complete`];
    return { snapshots: taken, told };
  },
  do: async (world) => {
    for (const { volume, node, device, run } of planned(world, "needs a final snapshot"))
      await world.unless(
        async () => (await goodFinal(world, volume)) !== undefined,
        () =>
          world.cloud.createSnapshot({
            volume,
            description: `${world.clusterName}: final snapshot of ${volume}, ${device} of ${node} until run ${run}`,
            tags: { ...world.tags, "runbook:node": node, [finalTag]: volume },
          }),
      );
  },
  within: minutes(30),
});

export const deleteOldVolumes = step({
  title: "Delete the old volumes that are kept in a final snapshot",
  done: async (world) => {
    const left = await leftOf(world);
    if (left.some(({ next }) => next === "goes")) return undefined;
    const stayed = left.map(({ volume, why }) => `${volume} stays after all: ${why}`);
    const deleted = planned(world, "goes")
      .map(({ volume }) => volume)
      .filter((volume) => !left.some((other) => other.volume === volume));
    return {
      deleted,
      told: [...(deleted.length === 0 ? [] : [`deleted: ${deleted.join(", ")}`]), ...stayed],
    };
  },
  do: async (world) => {
    for (const { volume } of planned(world, "goes"))
      await world.unless(
        async () => !(await leftOf(world)).some((left) => left.volume === volume && left.next === "goes"),
        () => world.cloud.deleteVolume({ volume }),
      );
  },
  within: minutes(30),
});

function planned(world: World, next: OldVolume["next"]): readonly OldVolume[] {
  return world.outcomeOf(oldVolumesJudged).volumes.filter((each) => each.next === next);
}

/** Those of the plan that are still there, judged anew. */
async function leftOf(world: World): Promise<readonly OldVolume[]> {
  const wanted = planned(world, "goes").map(({ volume }) => volume);
  if (wanted.length === 0) return [];
  return (await judgeOldVolumes(world)).filter(({ volume }) => wanted.includes(volume));
}

async function goodFinal(world: World, volume: string) {
  return (await finalSnapshotsOf(world, volume)).find(({ state }) => state !== "error");
}

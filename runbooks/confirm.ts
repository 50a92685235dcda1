/**
 * Say that a restore is good: the old volumes may go with the next `prune` that asks for them.
 *
 * Nothing is deleted here, and nothing on the nodes is touched. Who confirmed, and when, stands in the tags of the old
 * volumes. To take a confirmation back, take the tag off.
 */
import { confirmedTag, leftByRestore, minutes, named, runbook, step } from "runbook";

const confirmed = step({
  title: "Mark the old volumes as confirmed",
  done: async (world) => {
    const { pairs } = world.outcomeOf(leftByRestore);
    const volumes = await world.cloud.getVolumes(pairs.map(({ old }) => old));
    return volumes.every(({ tags }) => tags[confirmedTag] !== undefined)
      ? { volumes: volumes.map(({ id }) => id) }
      : undefined;
  },
  do: async (world) => {
    const at = await world.atRun("this moment", async () => new Date(world.now()).toISOString());
    await world.cloud.setTags({
      resources: world.outcomeOf(leftByRestore).pairs.map(({ old }) => old),
      tags: { [confirmedTag]: at },
    });
  },
  within: minutes(10),
});

export default runbook<{ restore: string }>({
  title: "Confirm a restore: its old volumes may be pruned",
  cloudOnly: true,
  params: { restore: named("the run of a restore", "newest") },
  steps: () => ({ leftByRestore, confirmed }),
});

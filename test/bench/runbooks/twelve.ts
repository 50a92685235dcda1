/** Twelve steps on two nodes, or ten times as many, one command each, for the bench: what it does is of no use to anybody. */
import { minutes, oneOf, runbook, step, type Step } from "runbook";

export default runbook({
  title: "Steps on two nodes",
  params: { steps: oneOf("12", "120") },
  steps: ({ steps }) =>
    Object.fromEntries(Array.from({ length: Number(steps) }, (_, i) => [`step${i + 1}`, one(i + 1)])),
});

/** The bench's own driver (drivers.mjs) sends `test -e FILE` for the read, and `touch FILE` for the write. */
function one(n: number): Step {
  const group = `step${n}`;
  return step({
    title: `Step ${n}`,
    done: async (world) => {
      const node = world.members[n % 2] ?? "";
      return (await world.cluster.findGroupNode({ group, via: node })) === undefined ? undefined : { node };
    },
    do: async (world) => world.cluster.startGroup({ group, node: world.members[n % 2] ?? "" }),
    within: minutes(1),
  });
}

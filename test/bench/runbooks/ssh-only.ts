/** A runbook that speaks to the nodes alone, and never to a cluster's software or a cloud. */
import { check, minutes, runbook, wait } from "runbook";

export default runbook({ title: "See that both nodes are up", steps: () => ({ nodesAnswer, nodesStay }) });

const nodesAnswer = check("Both nodes answer", async (world) => {
  const boots = await Promise.all(world.members.map((node) => world.nodes.getBoot(node)));
  return boots.map(({ bootId }) => bootId);
});

const nodesStay = wait({
  title: "Both nodes have been up for a second",
  done: async (world) => {
    const boots = await Promise.all(world.members.map((node) => world.nodes.getBoot(node)));
    return boots.every(({ uptimeSeconds }) => uptimeSeconds > 1) ? { nodes: world.members } : undefined;
  },
  within: minutes(1),
});

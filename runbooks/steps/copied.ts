/** The proof that a side was copied over. In a file of its own, since what restores both sides and what restores one ask for it. */
import { sides, type World } from "runbook";

/**
 * Whether the cluster told of a copy of everything, ended well, since the boots of now; which of the nodes tells it is not
 * known. That it went from the restored side follows from the service, which ran there all the while.
 */
export async function wasCopiedOver(world: World): Promise<boolean> {
  const { nodes, mirrors } = world.outcomeOf(sides);
  for (const { name } of mirrors) {
    let told = false;
    for (const node of nodes) {
      const copies = await world.cluster.findCopies({ node, mirror: name, sinceUptimeSeconds: 0 });
      told ||= copies.some(
        ({ kind, started, ended, failed }) =>
          (kind === "full" || kind === "initial") && started && ended && !failed,
      );
    }
    if (!told) return false;
  }
  return true;
}

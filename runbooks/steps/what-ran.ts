/** The groups that ran before the run: what is seen of them, and where they are started again. */
import { lookAt, membersOf, placesOf, sides, startableNode, type World } from "runbook";

/** What ran before, where it is not running now. */
export async function startWhatRan(world: World): Promise<void> {
  for (const { group, node } of world.outcomeOf(sides).ran) {
    await world.unless(
      async () => placesOf(await stateAnywhere(world), [group]) !== undefined,
      async () => {
        const where = await world.atRun(`${node}, or where its mirrors are proven good`, () =>
          findPlace(world, group, node),
        );
        await world.cluster.startGroup({ group, node: where });
      },
    );
  }
}

/** Where it ran, unless that node is no member any more and another one's side is proven good: the service comes first. */
async function findPlace(world: World, group: string, ranOn: string): Promise<string> {
  const sight = await lookAt(world);
  if (membersOf(sight).some(({ node }) => node === ranOn)) return ranOn;
  return startableNode(sight, group) ?? ranOn;
}

/** What a member sees; a node whose software stands still knows of nothing. */
export async function stateAnywhere(world: World) {
  for (const node of world.outcomeOf(sides).nodes) {
    if ((await world.nodes.findBoot(node)) === undefined) continue;
    if ((await world.cluster.getService(node)).running) return world.cluster.getState(node);
  }
  const [first = ""] = world.outcomeOf(sides).nodes;
  return world.cluster.getState(first);
}

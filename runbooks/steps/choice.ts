/** What only a person does: choosing the side that counts. It is looked at and printed, and no run ever sends it. */
import {
  Failure,
  found,
  homeOf,
  isGone,
  isProven,
  knownSetUp,
  lookAt,
  minutes,
  sayPower,
  sideOf,
  step,
  wantedGroups,
  type NodeSight,
  type Sight,
  type Step,
  type World,
} from "runbook";

/**
 * If nothing proves a side good, a person chooses, and types what stands here for one of the nodes: never both. The run
 * itself never sends it.
 */
export const choice = step({
  title: "If no side proves good: keep the data of this node",
  done: async (world, mine) =>
    mine.begun || world.outcomeOf(found).proven ? { open: mine.begun } : undefined,
  do: async () => undefined,
  within: minutes(1),
  undo: (): Step[] => [chosenOn, chosenIn, chosenGood],
});

/** Whether a person's choice is what is in the way; not where a side is proven, or may still be. */
async function isOpen(world: World): Promise<boolean> {
  const sight = await lookAt(world);
  const groups = wantedGroups(world, await knownSetUp(world));
  const serving = groups.length > 0 && groups.every((group) => homeOf(sight, group) !== undefined);
  if (world.outcomeOf(found).proven || isProven(sight) || serving) return false;
  const own = sight.nodes.find((seen) => seen.node === world.node);
  if (own && (isGone(own) || (own.bootId === undefined && sayPower(own) !== "off"))) return false;
  // It stands only where a side was seen, or where one can never be: else something other than a choice is in the way.
  const silent = sight.nodes.filter(({ bootId }) => bootId === undefined);
  return (
    sight.nodes.some(({ mirrors }) => mirrors.length > 0) ||
    (silent.length > 0 && silent.length < sight.nodes.length)
  );
}

/** For a person's own hand: it is looked at, and printed, and never sent by a run. */
function byHand(
  what: string,
  holds: (world: World, seen: NodeSight | undefined) => boolean,
  commands: (world: World) => Promise<void>,
): Step {
  return step({
    title: `Only by a person's own hand: ${what}`,
    done: async (world) => {
      if (!(await isOpen(world))) return { open: false };
      const seen = (await lookAt(world)).nodes.find(({ node }) => node === world.node);
      return holds(world, seen) ? { open: true } : undefined;
    },
    must: async (world) => {
      throw new Failure("precondition", await whatIsKept(world, await lookAt(world), world.node), {
        hint: "type this only for the side that you choose, one line after the other, each when the one before has come to its end",
      });
    },
    do: async (world) => {
      if (!world.outcomeOf(found).proven) await commands(world);
    },
    within: minutes(1),
  });
}

const chosenOn = byHand(
  "power the node on",
  (_world, seen) => seen?.power !== "stopped",
  async (world) => {
    if (world.outcomeOf(found).off.includes(world.node))
      await world.cloud.startInstance({ instance: world.instanceOf(world.node) });
  },
);

const chosenIn = byHand(
  "take the node out of backup mode",
  (_world, seen) => seen?.startsAtBoot !== false,
  async (world) => {
    if (world.outcomeOf(found).mayBeOut.includes(world.node))
      await world.cluster.finishBackup({ node: world.node });
  },
);

const chosenGood = byHand(
  "make the data of this node the data that counts",
  () => false,
  async (world) => {
    const { node } = world;
    if (world.outcomeOf(found).gone.includes(node)) return;
    for (const { name } of (await knownSetUp(world)).mirrors)
      await world.cluster.forceGood({ mirror: name, node });
    for (const group of wantedGroups(world, await knownSetUp(world)))
      await world.cluster.startGroup({ group, node });
  },
);

/** What is known of a side, and what its choice would lose. */
async function whatIsKept(world: World, sight: Sight, node: string): Promise<string> {
  const other = world.members.find((member) => member !== node) ?? "";
  const sides = (await knownSetUp(world)).mirrors.map(({ name }) => {
    const own = sideOf(sight, node, name);
    const its = sideOf(sight, other, name);
    const broken = own?.breakTime ?? its?.breakTime;
    const times = own?.lastUpdate === undefined ? "" : `, last written ${own.lastUpdate}`;
    const since =
      broken === undefined
        ? `what ${other} got since the two came apart would be lost; when that was cannot be seen`
        : its?.lastUpdate === undefined
          ? `what ${other} got after the break at ${broken} would be lost; when it was last written cannot be seen`
          : its.lastUpdate > broken
            ? `what ${other} got between the break at ${broken} and ${its.lastUpdate} would be lost`
            : `${other} got nothing after the break at ${broken}`;
    return `${name} is ${own?.colour ?? "not seen"} on ${node}${times}; ${since}`;
  });
  const seen = sight.nodes.find((each) => each.node === node);
  const state =
    seen?.bootId === undefined
      ? ` (it does not answer; its instance is ${seen ? sayPower(seen) : "not known"})`
      : "";
  return `to keep the data of ${node}${state}: ${sides.join(". ") || "nothing is known of its mirrors"}`;
}

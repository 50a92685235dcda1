/** Nodes powered on, and taken into the cluster: what several procedures do in the same words. */
import { minutes, notYet, sides, type Mine, type World } from "runbook";

type Remembered = Mine<{ readonly boots: { readonly [node: string]: string } }>;

/** Not while a node is on its way down, or up. */
export async function mayPowerOn(world: World, mine: Remembered): Promise<void | typeof notYet> {
  for (const node of world.outcomeOf(sides).nodes) {
    const { state } = await world.cloud.getPower(world.instanceOf(node));
    if (state === "stopping" || state === "pending") return notYet;
    // Running, and silent: the guest is on its way down, or up.
    if (state === "running" && (await world.nodes.findBoot(node)) === undefined) return notYet;
    if (state === "running" && (await goesDown(world, node, mine))) return notYet;
  }
  return undefined;
}

export async function powerOn(world: World): Promise<void> {
  for (const node of world.outcomeOf(sides).nodes) {
    const instance = world.instanceOf(node);
    await world.unless(
      async () => (await world.cloud.getPower(instance)).state !== "stopped",
      () => world.cloud.startInstance({ instance }),
    );
  }
}

/** All of these are up, and see each other as members. */
export async function findMembers(
  world: World,
  nodes: readonly string[],
): Promise<{ readonly nodes: readonly string[] } | undefined> {
  for (const node of nodes) {
    if ((await world.nodes.findBoot(node)) === undefined) return undefined;
    const state = await world.cluster.getState(node);
    if (nodes.some((other) => state.nodes[other] !== "online")) return undefined;
  }
  return { nodes };
}

export async function join(world: World, nodes: readonly string[]): Promise<void> {
  for (const node of nodes) {
    await world.unless(
      async () => (await world.cluster.getService(node)).running,
      () => world.cluster.startService({ node }),
    );
  }
}

/** Told to shut down a moment ago, by a command that may have been cut, and still up in the same boot. */
export async function goesDown(world: World, node: string, mine: Remembered): Promise<boolean> {
  const told = mine.calls.findLast(
    ({ verb, node: where, state }) =>
      (verb === "cluster.prepareRestore" || verb === "cluster.prepareBackup") &&
      where === node &&
      state !== "no",
  );
  if (told === undefined || world.now() - told.sentAt > minutes(5)) return false;
  const boot = await world.nodes.findBoot(node);
  if (boot === undefined || boot.bootId !== mine.before?.boots[node]) return false;
  return !(await world.cluster.getService(node)).startsAtBoot;
}

/** Side by side; what fails on one does not hinder the others, and is thrown when all have ended. */
export async function each(nodes: readonly string[], act: (node: string) => Promise<void>): Promise<void> {
  const ended = await Promise.allSettled(nodes.map(act));
  for (const result of ended) if (result.status === "rejected") throw result.reason;
}

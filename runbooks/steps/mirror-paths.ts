/**
 * The names under which the cluster looks for its mirrors' partitions, changed where a restored volume brings other ones
 * along. It is done on nodes that were booted out of the cluster, in each node's own file, before anything is proven or
 * started under the new names (reference clusterpro 8 R1, step 10), and put back before the old volumes are.
 */
import {
  Failure,
  minutes,
  pathsOfPoint,
  restoredNodes,
  sides,
  step,
  type PathChange,
  type Paths,
  type World,
} from "runbook";

import { hasStarted } from "./mirrors-anew.ts";

export const pathsSet = step({
  title: "Have the cluster look for the restored partitions under the names that they brought along",
  done: async (world) =>
    (await areSet(world, restoredNodes(world), to)) ? { set: names(world) } : undefined,
  do: (world) => set(world, restoredNodes(world), to),
  within: minutes(10),
});

/** Of one side alone: the other one was off then, and both have to have one configuration before it joins. */
export const pathsSetOnOther = step({
  title: "The same names on the other node",
  done: async (world) => ((await areSet(world, others(world), to)) ? { set: names(world) } : undefined),
  do: (world) => set(world, others(world), to),
  within: minutes(10),
});

/** Part of the way back of `prepareNodes`: the old volumes are in their places then, and the nodes up, out of the cluster. */
export const pathsBack = step({
  title: "Have the cluster look for its partitions under their former names",
  done: async (world) => {
    if (await hasStarted(world)) return { told: ["the names of the restored partitions stay"] };
    return (await isFormer(world)) ? { set: names(world) } : undefined;
  },
  must: async (world) => {
    for (const node of await runningUnderRestored(world)) {
      const { groups } = await world.cluster.getState(node);
      const there = Object.keys(groups).filter((name) => groups[name]?.node === node);
      if (there.length > 0)
        throw new Failure(
          "precondition",
          `${there.join(", ")} runs on ${node}, which looks for its partitions under the restored names`,
          { hint: `stop it there (clpgrp -t), then \`runbook undo ${world.run}\`` },
        );
    }
  },
  do: async (world) => {
    const { nodes } = world.outcomeOf(sides);
    if (changesOf(world).length > 0) await takeOut(world, nodes);
    // Only one of them may have been written to, and would be another file that says the same: then both are.
    await set(world, nodes, from, isOne);
  },
  within: minutes(20),
});

/** Whoever lets the cluster's software start on the old volumes: with a name that is not there, no mirror comes up. */
export async function assertFormerPaths(world: World): Promise<void> {
  if (!(await isFormer(world)))
    throw new Failure("unavailable", "the cluster still looks for its partitions under the restored names");
}

function changesOf(world: World): readonly PathChange[] {
  return world.findOutcome(pathsOfPoint)?.changes ?? [];
}

function names(world: World): readonly string[] {
  return changesOf(world).map(({ mirror, node }) => (node === null ? mirror : `${mirror} of ${node}`));
}

function others(world: World): readonly string[] {
  return world.outcomeOf(sides).nodes.filter((node) => !restoredNodes(world).includes(node));
}

async function runningUnderRestored(world: World): Promise<readonly string[]> {
  const running: string[] = [];
  if (await isFormer(world)) return running;
  for (const node of world.outcomeOf(sides).nodes)
    if ((await world.cluster.getService(node)).running) running.push(node);
  return running;
}

/**
 * A node that was let in already, and fell, comes up with the cluster's software; the file is written while that stands still,
 * its mirror agent included, which only a boot without it ends.
 */
async function takeOut(world: World, nodes: readonly string[]): Promise<void> {
  const stands = async (node: string, part: "startsAtBoot" | "running" | "agentRuns") =>
    (await isFormer(world)) || !(await world.cluster.getService(node))[part];
  for (const node of nodes) {
    await world.unless(
      async () => (await stands(node, "running")) && (await stands(node, "agentRuns")),
      () => world.cluster.disableService({ node }),
    );
    await world.unless(
      () => stands(node, "running"),
      () => world.cluster.stopService({ node }),
    );
    await world.unless(
      () => stands(node, "agentRuns"),
      () => world.nodes.reboot({ node }),
    );
  }
}

/** The former names stand in every node's file, and the files are one: the cluster's nodes have to agree to the byte. */
async function isFormer(world: World): Promise<boolean> {
  if (changesOf(world).length === 0) return true;
  return (await areSet(world, world.outcomeOf(sides).nodes, from)) && (await isOne(world));
}

async function isOne(world: World): Promise<boolean> {
  const { digests } = await world.cluster.getConfig(world.outcomeOf(sides).nodes);
  return new Set(Object.values(digests)).size === 1;
}

type Side = (change: PathChange) => Paths;
const from: Side = (change) => change.from;
const to: Side = (change) => change.to;

async function areSet(world: World, nodes: readonly string[], side: Side): Promise<boolean> {
  if (changesOf(world).length === 0) return true;
  for (const at of nodes)
    for (const change of changesOf(world)) if (!(await isSet(world, at, change, side(change)))) return false;
  return true;
}

/** In the file of this node; the common setting shows at any node that has none of its own. */
async function isSet(
  world: World,
  at: string,
  { mirror, node }: PathChange,
  wanted: Paths,
): Promise<boolean> {
  const config = await world.cluster.getConfig([at]);
  const found = config.mirrors.find(({ name }) => name === mirror);
  const member = node ?? config.nodes.find((each) => found?.ownPartitions.includes(each) === false) ?? at;
  return found?.dataPartition[member] === wanted.data && found.clusterPartition[member] === wanted.cluster;
}

async function set(
  world: World,
  nodes: readonly string[],
  side: Side,
  also: (world: World) => Promise<boolean> = async () => true,
): Promise<void> {
  for (const at of nodes)
    for (const change of changesOf(world)) {
      const { data, cluster } = side(change);
      await world.unless(
        async () => (await isSet(world, at, change, side(change))) && (await also(world)),
        () =>
          world.cluster.setMirrorDevices({
            node: at,
            mirror: change.mirror,
            dataPartition: data,
            clusterPartition: cluster,
            of: change.node,
          }),
      );
    }
}

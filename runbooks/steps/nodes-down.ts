/**
 * Both nodes out of the cluster and off, and back. No group starts between the first of these and the last proof: service
 * first is the order itself here, so everything is given back in its turn.
 */
import {
  askEither,
  Failure,
  hours,
  isInSync,
  minutes,
  nothingRuns,
  notYet,
  placesOf,
  readMirrors,
  restoredNodes,
  sides,
  step,
  wait,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { finishBoth } from "./both.ts";
import { hasStarted, startBegun, startMirrors } from "./mirrors-anew.ts";
import { wasCopiedOver } from "./copied.ts";
import { assertFormerPaths, pathsBack } from "./mirror-paths.ts";
import { areOwnIn, assertOwnIn, isAnyIn, newVolumesIn, oldVolumesOut } from "./volumes.ts";
import { startWhatRan, stateAnywhere } from "./what-ran.ts";
import { each, findMembers, goesDown, join, mayPowerOn, powerOn } from "./power.ts";

export const stopAll: Step<{ groups: string[] }> = step({
  title: "Stop the groups",
  exposes: "service",
  undoWhen: "in turn",
  done: async (world) => {
    const groups = world.outcomeOf(sides).toStop.map(({ group }) => group);
    const seenBefore = world.findOutcome(stopAll) !== undefined;
    return (await nothingRuns(world, groups, seenBefore)) ? { groups } : undefined;
  },
  // Stopped by this run, and up again: somebody brought it back, and it is not taken away a second time.
  must: async (world, mine: Mine) => {
    const back: string[] = [];
    for (const { group } of world.outcomeOf(sides).toStop)
      if (mayHaveBeenStopped(world, mine, group) && !(await nothingRuns(world, [group]))) back.push(group);
    if (back.length > 0)
      throw new Failure("precondition", `${back.join(", ")} was stopped by this run and is online again`);
  },
  // A node that is booted while it stops a group has not unmounted it.
  before: async (world) => {
    const boots: Record<string, string> = {};
    for (const node of world.outcomeOf(sides).nodes) {
      const boot = await world.nodes.findBoot(node);
      if (boot !== undefined) boots[node] = boot.bootId;
    }
    return { boots };
  },
  do: async (world) => {
    for (const { group, node } of world.outcomeOf(sides).toStop.toReversed()) {
      await world.unless(
        () => nothingRuns(world, [group]),
        () => world.cluster.stopGroup({ group, node }),
      );
    }
  },
  within: hours(1),
  undo: (): Step => serviceBack,
  // Once the nodes were let into the cluster again, it starts the groups by itself: that is what was wanted.
  ifUndone: async (world) =>
    startBegun(world) || world.traceOf(finishBoth).begun || (await isDrillOver(world)),
});

/** What a drill has put on staging is out again: from here on staging comes back to what it was. */
async function isDrillOver(world: World): Promise<boolean> {
  return world.settings.staging !== undefined && world.traceOf(newVolumesIn).begun && !(await isAnyIn(world));
}

/**
 * What was taken out is in its place again, and nothing else: a way back went so far before, though its rows may be lost.
 * Whatever runs on the nodes since then is as it was before the run.
 */
async function isPutBack(world: World): Promise<boolean> {
  return world.traceOf(oldVolumesOut).begun && (await areOwnIn(world)) && !(await isAnyIn(world));
}

/**
 * An answer that was lost says nothing; but after as long as a dead-man timer would have waited, whoever could bring the
 * service back has had the time for it.
 */
function mayHaveBeenStopped(world: World, mine: Mine, group: string): boolean {
  return mine.calls.some(
    ({ verb, state, sentAt, request }) =>
      verb === "cluster.stopGroup" &&
      request.to === "node" &&
      request.argv.includes(group) &&
      (state === "answered" ||
        (state !== "no" && world.now() - sentAt > minutes(world.settings.deadManMinutes))),
  );
}

/** On the way back: what ran before runs again, where it ran or wherever the cluster has started it. */
export const serviceBack = step({
  title: "The groups that ran run again",
  done: async (world) => {
    const { ran } = world.outcomeOf(sides);
    if (ran.length === 0) return { places: [] };
    const places = placesOf(
      await stateAnywhere(world),
      ran.map(({ group }) => group),
    );
    return places && { places };
  },
  // After a boot the cluster starts them by itself.
  patience: minutes(10),
  must: async (world) => {
    const state = await stateAnywhere(world);
    return Object.values(state.nodes).includes("online") ? undefined : notYet;
  },
  do: startWhatRan,
  within: hours(1),
});

export const groupsBack = step({
  title: "The groups that ran run again",
  ends: stopAll,
  done: async (world) => {
    const { ran } = world.outcomeOf(sides);
    if (ran.length === 0) return { places: [], told: ["no group ran before, and none was started"] };
    const places = placesOf(
      await stateAnywhere(world),
      ran.map(({ group }) => group),
    );
    return places && { places };
  },
  patience: minutes(5),
  do: startWhatRan,
  within: hours(1),
});

export const prepareNodes = step({
  title: "Shut the nodes down for the restore",
  exposes: "redundancy",
  undoWhen: "in turn",
  done: async (world, mine: Mine) => {
    if (!mine.begun) return undefined;
    // Later they were booted, out of the cluster, and then told to start their mirrors.
    if (startBegun(world)) return { nodes: world.outcomeOf(sides).nodes };
    for (const node of world.outcomeOf(sides).nodes) {
      if (!(await isOut(world, node))) return undefined;
    }
    return { nodes: world.outcomeOf(sides).nodes };
  },
  must: async (world) => {
    const groups = world.outcomeOf(sides).toStop.map(({ group }) => group);
    if (!(await nothingRuns(world, groups, true)))
      throw new Failure("precondition", "a group runs again: no node is shut down under it");
    // One that was told before is on its way down.
    for (const node of world.outcomeOf(sides).nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "stopping" || state === "pending") return notYet;
      if (state === "running" && (await world.nodes.findBoot(node)) === undefined) return notYet;
    }
    return undefined;
  },
  before: async (world) => {
    const boots: Record<string, string> = {};
    for (const node of world.outcomeOf(sides).nodes) boots[node] = (await world.nodes.getBoot(node)).bootId;
    return { boots };
  },
  do: async (world) => {
    const { nodes } = world.outcomeOf(sides);
    await each(nodes, (node) =>
      world.unless(
        () => isOut(world, node),
        () => world.cluster.prepareRestore({ node }),
      ),
    );
  },
  within: minutes(30),
  ifUndone: isDrillOver,
  undo: (): Step[] => [nodesOn, pathsBack, servicesOn, nodesRebooted, membersAgain],
});

/** Off; or, once this run has powered it on again, up or on its way up outside of the cluster. */
async function isOut(world: World, node: string): Promise<boolean> {
  const { state } = await world.cloud.getPower(world.instanceOf(node));
  if (state === "stopped") return true;
  // Before that, one that is still up was told a moment ago, or not yet.
  if (!world.traceOf(bootNodes).begun) return false;
  if ((await world.nodes.findBoot(node)) === undefined) return true;
  const service = await world.cluster.getService(node);
  return !service.startsAtBoot && !service.running;
}

/** Both nodes are members, and each mirror is GREEN on both sides. */
export async function findInSync(world: World): Promise<{ readonly mirrors: readonly string[] } | undefined> {
  const { nodes, mirrors } = world.outcomeOf(sides);
  const [first = ""] = nodes;
  const state = await askEither(world, first, (via) => world.cluster.getState(via));
  if (nodes.some((node) => state.nodes[node] !== "online")) return undefined;
  const states = await askEither(world, first, (via) => readMirrors(world, mirrors, via));
  return states.every(isInSync) ? { mirrors: states.map(({ mirror }) => mirror) } : undefined;
}

export const inSyncAnew = wait({
  title: "Both nodes are members, and every mirror is GREEN on both sides",
  ends: prepareNodes,
  done: async (world) => {
    const found = await findInSync(world);
    if (found === undefined) return undefined;
    if (world.findOutcome(startMirrors)?.half && !(await wasCopiedOver(world)))
      throw new Failure(
        "precondition",
        "the mirrors call themselves in sync, and no full copy over the side that joined later was told of",
        { hint: "compare the two sides before anything else: they may hold two contents" },
      );
    return found;
  },
  within: (world) => (world.findOutcome(startMirrors)?.half ? hours(world.settings.copyHours) : minutes(30)),
});

export const bootNodes = step({
  title: "Power on what was restored, out of the cluster",
  boots: true,
  done: async (world) => {
    const boots: Record<string, string> = {};
    for (const node of restoredNodes(world)) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state !== "running") return undefined;
      const boot = await world.nodes.findBoot(node);
      if (!boot) return undefined;
      if (!startBegun(world)) await assertOut(world, node);
      boots[node] = boot.bootId;
    }
    return boots;
  },
  must: async (world) => {
    for (const node of restoredNodes(world)) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "stopping" || state === "pending") return notYet;
    }
    return undefined;
  },
  do: async (world) => {
    for (const node of restoredNodes(world)) {
      const instance = world.instanceOf(node);
      await world.unless(
        async () => (await world.cloud.getPower(instance)).state === "running",
        () => world.cloud.startInstance({ instance }),
      );
    }
  },
  expect: async (world) => Object.fromEntries(restoredNodes(world).map((node) => [node, ""])),
  within: minutes(40),
  undo: (): Step => nodesOff,
});

/** A cluster that starts by itself would start its mirrors on volumes that nobody has proven. */
async function assertOut(world: World, node: string): Promise<void> {
  const service = await world.cluster.getService(node);
  if (service.startsAtBoot || service.running)
    throw new Failure(
      "precondition",
      `${node} came up with its cluster software ${service.running ? "running" : "set to start at boot"}; wanted it to stay out`,
    );
}

const nodesOff = step({
  title: "Power off again what was powered on",
  done: async (world) => {
    if (await hasStarted(world))
      return { told: ["the nodes may serve from the restored volumes, and stay up"] };
    if ((await isDrillOver(world)) || (await isPutBack(world))) return { nodes: [] };
    for (const node of restoredNodes(world)) {
      if ((await world.cloud.getPower(world.instanceOf(node))).state !== "stopped") return undefined;
    }
    return { nodes: restoredNodes(world) };
  },
  must: async (world) => {
    for (const node of restoredNodes(world)) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "pending") return notYet;
      if (world.settings.staging === undefined || state !== "running") continue;
      // A drill's node is powered off only when it stays out of the cluster at its next boot: its own volumes lie there then.
      if ((await world.nodes.findBoot(node)) === undefined) return notYet;
      if ((await world.cluster.getService(node)).startsAtBoot)
        throw new Failure("unavailable", `${node} is not out of the cluster yet, and is not powered off`);
    }
    // Out of the cluster nothing serves, unless somebody has let it in meanwhile.
    if (await isServed(world))
      throw new Failure("precondition", "a group runs again: no node is powered off under it", {
        hint: "somebody has started the cluster on what was restored; stop the group there, or keep it and undo nothing",
      });
    return undefined;
  },
  do: async (world) => {
    for (const node of restoredNodes(world)) {
      const instance = world.instanceOf(node);
      await world.unless(
        async () => ["stopping", "stopped"].includes((await world.cloud.getPower(instance)).state),
        () => world.cloud.stopInstance({ instance }),
      );
    }
  },
  within: minutes(30),
});

/** Whether a group is online on a node that answers, or about to be; one that has failed serves nobody. */
async function isServed(world: World): Promise<boolean> {
  for (const node of world.outcomeOf(sides).nodes) {
    if ((await world.nodes.findBoot(node)) === undefined) continue;
    if (!(await world.cluster.getService(node)).running) continue;
    const { groups } = await world.cluster.getState(node);
    if (Object.values(groups).some(({ status }) => status === "online" || status === "pending")) return true;
  }
  return false;
}

// A side that holds a new volume and was never started on it would be taken for a mirror that it is not: `leftAsRestored`
// sees to what is left then.
const staysAsRestored = ["the restored side stays as it is"];

export const nodesOn = step({
  title: "Power the nodes on",
  boots: true,
  done: async (world, mine: Mine<{ boots: { [node: string]: string } }>) => {
    // Without its disks a node would come up into the cluster with a mirror that has none; and one that is up on other
    // volumes is not let in.
    await assertOwnIn(world);
    for (const node of world.outcomeOf(sides).nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state !== "running" || (await world.nodes.findBoot(node)) === undefined) return undefined;
      if (await goesDown(world, node, mine)) return undefined;
    }
    return { nodes: world.outcomeOf(sides).nodes };
  },
  // A look that could not tell is no reason to power on: the volumes are asked for again.
  must: async (world, mine: Mine<{ boots: { [node: string]: string } }>) => {
    await assertOwnIn(world);
    return mayPowerOn(world, mine);
  },
  do: powerOn,
  within: minutes(40),
});

/**
 * Nodes that are taken into the cluster again: also one that was out of it. Its agents take a configuration only in a boot
 * in which they were started, and the mirrors' settings are put back on all nodes or on none (`outAgain` follows).
 */
function rejoining(world: World): readonly string[] {
  const { nodes, ranOn, bare } = world.outcomeOf(sides);
  return ranOn.length > 0 ? nodes : bare;
}

export const servicesOn = step({
  title: "Let the cluster software start at boot again",
  done: async (world) => {
    if (await hasStarted(world)) return { told: staysAsRestored };
    for (const node of rejoining(world)) {
      if (!(await world.cluster.getService(node)).startsAtBoot) return undefined;
    }
    return { nodes: rejoining(world) };
  },
  must: async (world) => {
    await assertOwnIn(world);
    await assertFormerPaths(world);
  },
  do: async (world) => {
    for (const node of rejoining(world)) {
      await world.unless(
        async () => (await world.cluster.getService(node)).startsAtBoot,
        () => world.cluster.enableService({ node }),
      );
    }
  },
  within: minutes(10),
});

export const nodesRebooted = step({
  title: "Reboot the nodes into the cluster",
  startsMirrors: true,
  proves: "devices",
  done: async (world) => {
    if (await hasStarted(world)) return { told: staysAsRestored };
    for (const node of rejoining(world)) {
      if ((await world.nodes.findBoot(node)) === undefined) return undefined;
      if (!(await world.cluster.getService(node)).running) return undefined;
    }
    return { nodes: rejoining(world) };
  },
  // One that was told a moment ago is on its way.
  must: async (world, mine) => {
    await assertOwnIn(world);
    const last = mine.calls.findLast((call) => call.verb === "nodes.reboot" && call.state !== "no");
    if (last !== undefined && world.now() - last.sentAt < minutes(5)) return notYet;
    for (const node of rejoining(world)) {
      if ((await world.nodes.findBoot(node)) === undefined) return notYet;
    }
    return undefined;
  },
  do: async (world) => {
    await each(rejoining(world), (node) =>
      world.unless(
        async () => (await world.cluster.getService(node)).running,
        () => world.nodes.reboot({ node }),
      ),
    );
  },
  within: minutes(40),
});

export const membersAgain = step({
  title: "Both nodes are members again",
  done: async (world) =>
    (await hasStarted(world)) ? { told: staysAsRestored } : findMembers(world, world.outcomeOf(sides).ranOn),
  patience: minutes(10),
  do: (world) => join(world, world.outcomeOf(sides).ranOn),
  within: minutes(40),
});

/** What stood outside of the cluster before the run stands there again. */
export const outAgain = step({
  title: "Nodes that were out of the cluster are so again",
  done: async (world) => {
    const { nodes, ranOn, startsOn } = world.outcomeOf(sides);
    if (await hasStarted(world)) return { told: ["both nodes belong to the cluster from now on"] };
    for (const node of nodes) {
      const service = await world.cluster.getService(node);
      if (!ranOn.includes(node) && service.running) return undefined;
      if (!startsOn.includes(node) && service.startsAtBoot) return undefined;
    }
    return { nodes: nodes.filter((node) => !ranOn.includes(node)) };
  },
  do: async (world) => {
    const { nodes, ranOn, startsOn } = world.outcomeOf(sides);
    for (const node of nodes) {
      if (!startsOn.includes(node))
        await world.unless(
          async () => !(await world.cluster.getService(node)).startsAtBoot,
          () => world.cluster.disableService({ node }),
        );
      if (!ranOn.includes(node))
        await world.unless(
          async () => !(await world.cluster.getService(node)).running,
          () => world.cluster.stopService({ node }),
        );
    }
  },
  within: minutes(30),
});

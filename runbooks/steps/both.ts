/** The cut of both sides at once: the whole service stopped, both nodes shut down in backup mode, cut, and brought back. */
import {
  assertGranted,
  assertSameDevices,
  check,
  contentOf,
  cutPathTags,
  Failure,
  findMirrorVolumes,
  hours,
  isInSync,
  later,
  layoutOf,
  minutes,
  nothingRuns,
  notYet,
  readMirrors,
  roles,
  sampleTags,
  sides,
  step,
  wait,
  type Mine,
  type Snapshot,
  type Step,
  type VolumesFound,
  type World,
} from "runbook";

import { stopAll } from "./nodes-down.ts";
import { each, findMembers, goesDown, join, mayPowerOn, powerOn } from "./power.ts";
import { findComplete, inTag, wholeSet } from "./sets.ts";

interface Boots {
  readonly boots: { readonly [node: string]: string };
}

export const volumesOfBoth = check<{ readonly byNode: { readonly [node: string]: VolumesFound } }>(
  "The mirrors' volumes on both nodes are found by device identity",
  async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const byNode: Record<string, VolumesFound> = {};
    for (const node of nodes) byNode[node] = await findMirrorVolumes(world, node, mirrors);
    return { byNode };
  },
);

export const rightsForBoth = check("The cloud grants what the run will ask for", async (world) => {
  const missing: string[] = [];
  for (const [node, { volumes }] of Object.entries(world.outcomeOf(volumesOfBoth).byNode)) {
    const tags = sampleTags(world);
    missing.push(
      ...(await world.cloud.findMissingRights({ instance: world.instanceOf(node), volumes, tags })),
    );
  }
  return assertGranted(missing);
});

/** Told, never refused. */
export const bothTold = check("What a backup of both sides cannot be covered against", async (world) => {
  const told = [
    "no dead-man timer can bring the service back once both nodes are off: stay with this run, or have a second machine that resumes it",
  ];
  for (const node of world.outcomeOf(sides).nodes) {
    if (!(await world.cloud.getInstance(world.instanceOf(node))).capacityReserved)
      told.push(`${node} has no capacity reservation: its start may lack capacity`);
  }
  return { told };
});

/** With the groups stopped nothing writes: GREEN now is GREEN at the shutdown. */
export const greenWhenStopped: Step<{ boots: { [node: string]: string } }> = wait({
  title: "With the groups stopped, every mirror is GREEN on both sides",
  proves: "quiet",
  done: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    const { nodes, toStop } = world.outcomeOf(sides);
    const known = world.findOutcome(greenWhenStopped);
    if (known) return known;
    if (
      !(await nothingRuns(
        world,
        toStop.map(({ group }) => group),
      ))
    )
      return undefined;
    if (!(await readMirrors(world, mirrors, active)).every(isInSync)) return undefined;
    const boots: Record<string, string> = {};
    for (const node of nodes) boots[node] = (await world.nodes.getBoot(node)).bootId;
    return { boots };
  },
  expect: async (world) => ({
    boots: Object.fromEntries(
      world.outcomeOf(sides).nodes.map((node) => [node, later(`boot id of ${node}`)]),
    ),
  }),
  within: minutes(10),
});

export const prepareBoth: Step<{ stoppedBy: string; keptBoot: boolean }> = step({
  title: "Shut both nodes down in backup mode",
  proves: "off",
  exposes: "redundancy",
  undoWhen: "in turn",
  done: async (world, mine: Mine<Boots>) => {
    if (!mine.begun) return undefined;
    if (world.traceOf(finishBoth).begun)
      return world.findOutcome(prepareBoth) ?? { stoppedBy: "unknown", keptBoot: false };
    const reasons = new Set<string>();
    for (const node of world.outcomeOf(sides).nodes) {
      const instance = await world.cloud.getPower(world.instanceOf(node));
      if (instance.state === "stopped") reasons.add(instance.stoppedBy ?? "unknown");
      // Powered on again by this run, and out of the cluster until backup mode is over.
      else if (!world.traceOf(bootBoth).begun) return undefined;
    }
    const known = world.findOutcome(prepareBoth);
    return known ?? { stoppedBy: reasons.size === 1 ? [...reasons].join() : "unknown", keptBoot: true };
  },
  must: async (world) => {
    const { nodes, toStop } = world.outcomeOf(sides);
    const groups = toStop.map(({ group }) => group);
    if (!(await nothingRuns(world, groups, true)))
      throw new Failure("precondition", "a group runs again: no node is shut down under it");
    const { boots } = world.outcomeOf(greenWhenStopped);
    for (const node of nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "stopped") continue;
      const boot = await world.nodes.findBoot(node);
      if (boot === undefined) return notYet;
      if (boot.bootId !== boots[node])
        throw new Failure("precondition", `${node} was booted since its mirrors were seen GREEN`);
    }
    return undefined;
  },
  before: async (world) => {
    const boots: Record<string, string> = {};
    for (const node of world.outcomeOf(sides).nodes) boots[node] = (await world.nodes.getBoot(node)).bootId;
    return { boots };
  },
  do: async (world) => {
    await each(world.outcomeOf(sides).nodes, (node) =>
      world.unless(
        async () => (await world.cloud.getPower(world.instanceOf(node))).state === "stopped",
        () => world.cluster.prepareBackup({ node }),
      ),
    );
  },
  expect: async () => ({ stoppedBy: "guest", keptBoot: true }),
  within: minutes(30),
  undo: (): Step[] => [bootBoth, finishBoth, joinBoth],
});

/** A set for each node: no image of one side says anything about the other. No undo: a snapshot is worth keeping. */
export const cutBoth: Step<{ [node: string]: { id: string; volume: string; startedAt: string }[] }> = step({
  title: "Snapshot the mirror volumes of both nodes",
  cuts: "both",
  done: async (world) => {
    const cut: Record<string, { id: string; volume: string; startedAt: string }[]> = {};
    for (const [node, { volumes }] of Object.entries(world.outcomeOf(volumesOfBoth).byNode)) {
      const set = wholeSet(await setOf(world, node), volumes);
      if (set === undefined) return undefined;
      cut[node] = set;
    }
    return cut;
  },
  must: async (world) => {
    for (const node of world.outcomeOf(sides).nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state !== "stopped")
        throw new Failure("precondition", `${node} is ${state}; its volumes would be caught mid-write`);
    }
  },
  do: async (world) => {
    for (const [node, { volumes, others }] of Object.entries(world.outcomeOf(volumesOfBoth).byNode)) {
      await world.unless(
        async () => (await setOf(world, node)).length > 0,
        () =>
          world.cloud.createSnapshotSet({
            instance: world.instanceOf(node),
            volumes,
            otherVolumes: others,
            description: `${world.clusterName}: ${node}, run ${world.run}`,
            tags: { ...world.tags, "runbook:node": node },
          }),
      );
    }
  },
  expect: async (world) =>
    Object.fromEntries(
      Object.entries(world.outcomeOf(volumesOfBoth).byNode).map(([node, { volumes }]) => [
        node,
        volumes.map((volume) => ({ id: later(`snapshot of ${volume}`), volume, startedAt: "" })),
      ]),
    ),
  within: minutes(15),
});

export const bootBoth: Step<{ prepared: boolean }> = step({
  title: "Power both nodes on",
  boots: true,
  done: async (world, mine: Mine<Boots>) => {
    let prepared = true;
    for (const node of world.outcomeOf(sides).nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state !== "running" || (await world.nodes.findBoot(node)) === undefined) return undefined;
      if (await goesDown(world, node, mine)) return undefined;
      if ((await world.cluster.getService(node)).startsAtBoot) prepared = false;
    }
    return { prepared };
  },
  must: mayPowerOn,
  do: powerOn,
  expect: async () => ({ prepared: true }),
  within: minutes(40),
});

export const finishBoth = step({
  title: "Take both nodes out of backup mode; they reboot",
  startsMirrors: true,
  proves: "devices",
  mayServe: true,
  done: async (world) => {
    for (const node of world.outcomeOf(sides).nodes) {
      if ((await world.nodes.findBoot(node)) === undefined) return undefined;
      const service = await world.cluster.getService(node);
      if (!service.startsAtBoot || !service.running) return undefined;
    }
    return { nodes: world.outcomeOf(sides).nodes };
  },
  must: async (world, mine) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const { byNode } = world.outcomeOf(volumesOfBoth);
    for (const node of nodes) {
      // Told to shut down a moment ago, by a command that may have been cut.
      const down = mine.calls.findLast((call) => call.verb === "cluster.prepareBackup" && call.node === node);
      if (down !== undefined && down.state !== "no" && world.now() - down.sentAt < minutes(3)) return notYet;
      if ((await world.nodes.findBoot(node)) === undefined) return notYet;
      if ((await world.cluster.getService(node)).startsAtBoot) continue;
      // The command starts the mirror: on a wrong device it could destroy partitions.
      const proven = byNode[node];
      if (proven) await assertSameDevices(world, node, mirrors, proven);
    }
    return undefined;
  },
  do: async (world) => {
    await each(world.outcomeOf(sides).nodes, (node) =>
      world.unless(
        async () => (await world.cluster.getService(node)).startsAtBoot,
        () => world.cluster.finishBackup({ node }),
      ),
    );
  },
  within: minutes(40),
});

export const joinBoth = step({
  title: "Both nodes are members again",
  done: (world) => findMembers(world, world.outcomeOf(sides).nodes),
  patience: minutes(10),
  do: (world) => join(world, world.outcomeOf(sides).nodes),
  within: minutes(40),
});

export const inSyncBoth = wait({
  title: "Every mirror is GREEN on both sides",
  ends: prepareBoth,
  done: async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const states = await readMirrors(world, mirrors, nodes[0] ?? "");
    return states.every(isInSync) ? { mirrors: states.map((mirror) => mirror.mirror) } : undefined;
  },
  within: (world) => hours(world.settings.copyHours),
});

export const cutsReady = wait({
  title: "The snapshots are complete",
  done: async (world) =>
    findComplete(
      world,
      Object.values(world.outcomeOf(cutBoth)).flatMap((set) => set.map(({ id }) => id)),
    ),
  within: (world) => hours(world.settings.copyHours),
});

/** A recovery point for each node, named by the run and the node. */
export const recordBoth = step({
  title: "Record the recovery points",
  done: async (world) => {
    const points: string[] = [];
    for (const [node, set] of Object.entries(world.outcomeOf(cutBoth))) {
      const snapshots = await world.cloud.getSnapshots(set.map(({ id }) => id));
      const marked = snapshots.every((snapshot) =>
        Object.entries(tagsOf(world, node, snapshot.volume)).every(
          ([key, value]) => snapshot.tags[key] === value,
        ),
      );
      if (!marked) return undefined;
      points.push(pointName(world, node));
    }
    return { points, ...verdict(world) };
  },
  do: async (world) => {
    const consistency = await world.atRun("how consistent", async () => verdict(world).consistency);
    const why = await world.atRun("why", async () => inTag(verdict(world).why));
    for (const [node, set] of Object.entries(world.outcomeOf(cutBoth)))
      for (const { id, volume } of set)
        await world.cloud.setTags({
          resources: [id],
          tags: {
            ...placeTags(world, node, volume),
            "runbook:consistency": consistency,
            "runbook:why": why,
          },
        });
  },
  within: minutes(10),
});

function verdict(world: World): { readonly consistency: string; readonly why: readonly string[] } {
  const prepared = world.outcomeOf(prepareBoth);
  const missing: string[] = [];
  if (!world.outcomeOf(roles).mirrors.every((mirror) => mirror.synchronous))
    missing.push("a mirror is asynchronous, and its queue was not seen empty");
  if (prepared.stoppedBy !== "guest")
    missing.push(`a shutdown came from ${prepared.stoppedBy}, not from the guest`);
  if (!wasUnmounted(world))
    missing.push(
      "a node was booted while the groups were stopped: the file system may not have been unmounted",
    );
  if (!prepared.keptBoot) missing.push("a node was booted between the stop and its shutdown");
  if (!world.outcomeOf(bootBoth).prepared) missing.push("backup mode was not proven at the next boot");
  if (missing.length === 0)
    return {
      consistency: "quiesced",
      why: ["groups offline and mirrors GREEN from the stop to the shutdown; clean shutdown from the guest"],
    };
  return { consistency: prepared.stoppedBy === "unknown" ? "unknown" : "crash-consistent", why: missing };
}

/** Every node ran from before the stop until the mirrors were seen GREEN with nothing on them. */
function wasUnmounted(world: World): boolean {
  const { boots: before } = (world.traceOf(stopAll) as Mine<Boots>).before ?? {};
  const { boots } = world.outcomeOf(greenWhenStopped);
  return before !== undefined && Object.entries(boots).every(([node, boot]) => before[node] === boot);
}

function tagsOf(world: World, node: string, volume: string) {
  return {
    ...placeTags(world, node, volume),
    "runbook:consistency": verdict(world).consistency,
    "runbook:why": inTag(verdict(world).why),
  };
}

function placeTags(world: World, node: string, volume: string) {
  const { partitions = [], volumes = [] } = world.outcomeOf(volumesOfBoth).byNode[node] ?? {};
  const layout = layoutOf(partitions, volume);
  const holds = contentOf(partitions, volume);
  return {
    "runbook:point": pointName(world, node),
    "runbook:holds": holds,
    ...(layout !== "" && { "runbook:layout": layout }),
    ...cutPathTags(world.outcomeOf(sides).mirrors, node, holds),
    "runbook:of": String(volumes.length),
  };
}

function pointName(world: World, node: string): string {
  return `${world.run}-${node}`;
}

function setOf(world: World, node: string): Promise<readonly Snapshot[]> {
  return world.cloud.findSnapshots({
    "runbook:operation": world.tags["runbook:operation"] ?? "",
    "runbook:node": node,
  });
}

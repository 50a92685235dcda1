/** Nodes that serve again from volumes as they stood when they were taken out: nothing is initialised on them. */
import {
  Failure,
  hours,
  isInSync,
  minutes,
  notYet,
  oldOnesBack,
  pathTagKeys,
  readMirrors,
  sides,
  step,
  type Step,
  type World,
} from "runbook";

import { devicesProven, hasStarted } from "./mirrors-anew.ts";
import { each } from "./power.ts";

export const startAsTheyWere: Step = step({
  title: "Let the cluster software start again, and reboot the nodes into the cluster",
  startsMirrors: true,
  mayServe: true,
  done: async (world, mine) => {
    if (!mine.begun) return undefined;
    const { boots } = world.outcomeOf(devicesProven);
    for (const node of world.outcomeOf(sides).nodes) {
      const boot = await world.nodes.findBoot(node);
      if (!boot || boot.bootId === boots[node]) return undefined;
      if (!(await world.cluster.getService(node)).running) return undefined;
    }
    return { nodes: world.outcomeOf(sides).nodes };
  },
  must: async (world, mine) => {
    const { boots } = world.outcomeOf(devicesProven);
    for (const node of world.outcomeOf(sides).nodes) {
      const boot = await world.nodes.findBoot(node);
      const told = mine.calls.some(
        (call) => call.node === node && call.verb === "nodes.reboot" && call.state !== "no",
      );
      if (boot === undefined && told) return notYet;
      // One that was told and came up again is through; the other one's command may never have left.
      if (boot?.bootId === boots[node] || told) continue;
      throw new Failure("precondition", `${node} was booted since its devices were proven`);
    }
    return undefined;
  },
  do: async (world) => {
    const { boots } = world.outcomeOf(devicesProven);
    const { nodes } = world.outcomeOf(sides);
    for (const node of nodes) {
      await world.unless(
        async () => (await world.cluster.getService(node)).startsAtBoot,
        () => world.cluster.enableService({ node }),
      );
    }
    await each(nodes, (node) =>
      world.unless(
        async () => (await world.nodes.findBoot(node))?.bootId !== boots[node],
        () => world.nodes.reboot({ node }),
      ),
    );
  },
  within: minutes(40),
  undo: (): Step => staysTakenBack,
  undoWhen: "in turn",
});

const staysTakenBack = step({
  title: "What was put back stays in its place",
  done: async (world) => {
    if (!(await hasStarted(world))) return { started: [] };
    const { nodes, mirrors } = world.outcomeOf(sides);
    const [via = ""] = nodes;
    const state = await world.cluster.getState(via);
    if (nodes.some((node) => state.nodes[node] !== "online")) return undefined;
    if (!(await readMirrors(world, mirrors, via)).every(isInSync)) return undefined;
    return {
      told: [
        "both nodes serve from the old volumes, in sync: the restore is taken back; its volumes are kept",
      ],
    };
  },
  // One that was told to reboot comes up into the cluster by itself; one that was not is let in as it stands, proven.
  must: async (world) => {
    const told = world
      .traceOf(startAsTheyWere)
      .calls.findLast(({ verb, state }) => verb === "nodes.reboot" && state !== "no");
    if (told !== undefined && world.now() - told.sentAt < minutes(10)) return notYet;
    for (const node of world.outcomeOf(sides).nodes)
      if ((await world.nodes.findBoot(node)) === undefined) return notYet;
    return undefined;
  },
  do: async (world) => {
    await each(world.outcomeOf(sides).nodes, (node) =>
      world.unless(
        async () => (await world.cluster.getService(node)).running,
        () => world.cluster.startService({ node }),
      ),
    );
  },
  within: hours(1),
});

const keys = [
  "old",
  "old-of",
  "old-at",
  "old-node",
  "old-device",
  "old-holds",
  "old-deletes",
  "bare",
  "confirmed",
].map((key) => `runbook:${key}`);

function keysOf(world: World): readonly string[] {
  return [...keys, ...pathTagKeys(world.outcomeOf(sides).mirrors)];
}

// A volume that serves again must not be taken for one that may go.
export const backInService = step({
  title: "Take the tags of old volumes off those that serve again",
  done: async (world) => {
    const volumes = await world.cloud.getVolumes(oldOnesBack(world));
    return volumes.every(({ tags }) => keysOf(world).every((key) => tags[key] === undefined))
      ? { volumes: volumes.map(({ id }) => id) }
      : undefined;
  },
  do: (world: World) => world.cloud.removeTags({ resources: oldOnesBack(world), keys: keysOf(world) }),
  within: minutes(10),
});

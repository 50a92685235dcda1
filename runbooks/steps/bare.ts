/** Nodes that were off: their data volumes out, the nodes up, and their cluster software kept from starting. */
import {
  bareVolumes,
  Failure,
  hasTags,
  minutes,
  nodesOff,
  notYet,
  placeTags,
  step,
  type Mine,
  type Place,
  type Step,
  type World,
} from "runbook";

/** Written before the detach: whoever finds the volume later knows where it belongs. */
export const bareTagged = step({
  title: "Tag the data volumes with their place",
  done: async (world) => {
    const places = world.outcomeOf(bareVolumes);
    const volumes = await world.cloud.getVolumes(places.map(({ volume }) => volume));
    const tagged = places.every((place, i) => {
      const { "runbook:old-at": _at, ...fixed } = tagsOf(world, place, "");
      return hasTags(volumes[i]?.tags, fixed);
    });
    return tagged ? { volumes: places.map(({ volume }) => volume) } : undefined;
  },
  do: async (world) => {
    const at = await world.atRun("this moment", async () => new Date(world.now()).toISOString());
    for (const place of world.outcomeOf(bareVolumes))
      await world.cloud.setTags({ resources: [place.volume], tags: tagsOf(world, place, at) });
  },
  within: minutes(10),
  undo: (): Step => untagged,
});

const untagged = step({
  title: "Take the tags off the data volumes",
  done: async (world) => {
    const volumes = await world.cloud.getVolumes(world.outcomeOf(bareVolumes).map(({ volume }) => volume));
    return volumes.every(({ tags }) => tags["runbook:bare"] === undefined) ? { untagged: true } : undefined;
  },
  do: async (world) => {
    for (const place of world.outcomeOf(bareVolumes))
      await world.cloud.removeTags({
        resources: [place.volume],
        keys: Object.keys(tagsOf(world, place, "")),
      });
  },
  within: minutes(10),
});

export const bareDetached = step({
  title: "Detach the data volumes of the nodes that are off",
  done: async (world) => {
    const places = world.outcomeOf(bareVolumes);
    const volumes = await world.cloud.getVolumes(places.map(({ volume }) => volume));
    return volumes.every(({ attachments }) => attachments.length === 0)
      ? { volumes: volumes.map(({ id }) => id) }
      : undefined;
  },
  must: assertOff,
  do: async (world) => {
    for (const { node, volume } of world.outcomeOf(bareVolumes)) {
      await world.unless(
        async () => (await attachmentOf(world, volume)) === undefined,
        () => world.cloud.detachVolume({ volume, instance: world.instanceOf(node) }),
      );
    }
  },
  within: minutes(30),
  undo: (): Step[] => [attachedAgain, deletionAsFound],
});

const attachedAgain = step({
  title: "Attach the data volumes again, in their places",
  done: async (world) => {
    for (const { node, volume, device } of world.outcomeOf(bareVolumes)) {
      const found = await attachmentOf(world, volume);
      if (found?.state !== "attached" || found.device !== device) return undefined;
      if (found.instance !== world.instanceOf(node)) return undefined;
    }
    return { attached: true };
  },
  must: assertOff,
  do: async (world) => {
    for (const { node, volume, device } of world.outcomeOf(bareVolumes)) {
      await world.unless(
        async () => (await attachmentOf(world, volume)) !== undefined,
        () => world.cloud.attachVolume({ volume, instance: world.instanceOf(node), device }),
      );
    }
  },
  within: minutes(30),
});

// An attachment begins with "keep" (reference aws-ebs 7); one that came with its instance may have had another.
const deletionAsFound = step({
  title: "Whether a data volume ends with its instance is as it was found",
  done: async (world) => {
    for (const { volume, deleteOnTermination } of world.outcomeOf(bareVolumes))
      if ((await attachmentOf(world, volume))?.deleteOnTermination !== deleteOnTermination) return undefined;
    return { set: true };
  },
  do: async (world) => {
    for (const { node, volume, device, deleteOnTermination } of world.outcomeOf(bareVolumes)) {
      if (!deleteOnTermination) continue;
      await world.unless(
        async () => (await attachmentOf(world, volume))?.deleteOnTermination === true,
        () => world.cloud.setDeleteOnTermination({ instance: world.instanceOf(node), device, on: true }),
      );
    }
  },
  within: minutes(10),
});

export const bareBooted = step({
  title: "Power the nodes on, without their data volumes",
  boots: true,
  done: async (world) => {
    const boots: Record<string, string> = {};
    for (const node of world.outcomeOf(nodesOff)) {
      if ((await world.cloud.getPower(world.instanceOf(node))).state !== "running") return undefined;
      const boot = await world.nodes.findBoot(node);
      if (!boot) return undefined;
      boots[node] = boot.bootId;
    }
    return boots;
  },
  must: async (world) => {
    for (const node of world.outcomeOf(nodesOff)) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "stopping" || state === "pending") return notYet;
    }
    for (const { volume } of world.outcomeOf(bareVolumes)) {
      if ((await attachmentOf(world, volume)) !== undefined)
        throw new Failure("precondition", `${volume} is attached again: no node is booted with it`);
    }
    return undefined;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(nodesOff)) {
      const instance = world.instanceOf(node);
      await world.unless(
        async () => (await world.cloud.getPower(instance)).state === "running",
        () => world.cloud.startInstance({ instance }),
      );
    }
  },
  within: minutes(40),
  undo: (): Step => offAgain,
});

const offAgain = step({
  title: "Power the nodes off again",
  done: async (world) => {
    for (const node of world.outcomeOf(nodesOff))
      if ((await world.cloud.getPower(world.instanceOf(node))).state !== "stopped") return undefined;
    return { nodes: world.outcomeOf(nodesOff) };
  },
  must: async (world) => {
    for (const node of world.outcomeOf(nodesOff))
      if ((await world.cloud.getPower(world.instanceOf(node))).state === "pending") return notYet;
    return undefined;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(nodesOff)) {
      const instance = world.instanceOf(node);
      await world.unless(
        async () => ["stopping", "stopped"].includes((await world.cloud.getPower(instance)).state),
        () => world.cloud.stopInstance({ instance }),
      );
    }
  },
  within: minutes(30),
});

type AtBoot = { readonly [node: string]: boolean };

export const bareOut = step({
  title: "Keep their cluster software from starting",
  done: async (world) => {
    for (const node of world.outcomeOf(nodesOff)) {
      const { running, startsAtBoot } = await world.cluster.getService(node);
      if (running || startsAtBoot) return undefined;
    }
    return { nodes: world.outcomeOf(nodesOff) };
  },
  before: async (world) => {
    const atBoot: Record<string, boolean> = {};
    for (const node of world.outcomeOf(nodesOff))
      atBoot[node] = (await world.cluster.getService(node)).startsAtBoot;
    return atBoot;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(nodesOff)) {
      await world.unless(
        async () => !(await world.cluster.getService(node)).startsAtBoot,
        () => world.cluster.disableService({ node }),
      );
      await world.unless(
        async () => !(await world.cluster.getService(node)).running,
        () => world.cluster.stopService({ node }),
      );
    }
  },
  within: minutes(30),
  undo: (): Step => atBootAgain,
});

const atBootAgain = step({
  title: "Let the cluster software start at boot as before",
  done: async (world, mine: Mine<AtBoot>) => {
    for (const node of world.outcomeOf(nodesOff)) {
      if (mine.before?.[node] === false) continue;
      if (!(await world.cluster.getService(node)).startsAtBoot) return undefined;
    }
    return { set: true };
  },
  do: async (world, mine: Mine<AtBoot>) => {
    for (const node of world.outcomeOf(nodesOff)) {
      await world.unless(
        async () => mine.before?.[node] === false || (await world.cluster.getService(node)).startsAtBoot,
        () => world.cluster.enableService({ node }),
      );
    }
  },
  within: minutes(10),
});

/** Volumes change places only under nodes that are off. */
async function assertOff(world: World): Promise<void | typeof notYet> {
  for (const node of world.outcomeOf(nodesOff)) {
    const { state } = await world.cloud.getPower(world.instanceOf(node));
    if (state === "stopping") return notYet;
    if (state !== "stopped")
      throw new Failure(
        "precondition",
        `${node} is ${state}; its volumes change places only while it is off`,
      );
  }
  return undefined;
}

async function attachmentOf(world: World, volume: string) {
  const [found] = await world.cloud.getVolumes([volume]);
  return found?.attachments[0];
}

function tagsOf(world: World, place: Place, at: string) {
  return placeTags(world.run, world.clusterName, place, at);
}

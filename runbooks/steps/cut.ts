/** The cut: the standby shut down in backup mode, its volumes snapshot at one instant, and the standby back in the cluster. */
import {
  allOnline,
  contentOf,
  cutPathTags,
  askable,
  assertSameDevices,
  Failure,
  hours,
  judge,
  later,
  layoutOf,
  minutes,
  notYet,
  roles,
  step,
  volumesFound,
  wait,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { breakMirrors, findBreaks } from "./redundancy.ts";
import { findComplete, inTag, wholeSet } from "./sets.ts";

export const prepareStandby = step({
  title: "Shut the standby down in backup mode",
  proves: "off",
  done: async (world, mine: Mine<{ bootId: string; keptBoot: boolean }>) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getPower(world.instanceOf(standby));
    // A node that is off counts as prepared only if we asked for it.
    if (!mine.begun || instance.state !== "stopped") return undefined;
    return { stoppedBy: instance.stoppedBy ?? "unknown", keptBoot: mine.before?.keptBoot === true };
  },
  must: async (world, mine) => {
    const { standby, active, groups } = world.outcomeOf(roles);
    const instance = await world.cloud.getPower(world.instanceOf(standby));
    if (instance.state !== "running") return notYet;
    const boot = await world.nodes.findBoot(standby);
    if (boot === undefined) return notYet;
    // Sent before, and its services no longer start at boot: it is on its way down.
    const asked = mine.calls.some((call) => call.verb === "cluster.prepareBackup" && call.state !== "no");
    if (asked && !(await world.cluster.getService(standby)).startsAtBoot) return notYet;
    // Its monitors came back with the boot: the copy may begin any moment, and the image would not be of the break.
    if (boot.bootId !== world.outcomeOf(breakMirrors).bootId)
      throw new Failure("precondition", `${standby} was booted since the break`);
    if ((await findBreaks(world, world.outcomeOf(breakMirrors).breaks)) === undefined)
      throw new Failure("precondition", "the break is no longer the one that was proven");
    const state = await world.cluster.getState(active);
    if (Object.values(state.groups).some((group) => group.node === standby))
      throw new Failure("precondition", `a group runs on ${standby}: it must not be shut down`);
    // Early: whole on the active node, before its only other home goes away. Late: down, or brought back by the timer.
    const early = world.params["service"] === "early";
    if (early && !allOnline(state, groups, active))
      throw new Failure("precondition", `the groups are not online as a whole on ${active}`);
    return undefined;
  },
  before: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const { bootId } = await world.nodes.getBoot(standby);
    return { bootId, keptBoot: bootId === world.outcomeOf(breakMirrors).bootId };
  },
  do: async (world) => {
    await world.cluster.prepareBackup({ node: world.outcomeOf(roles).standby });
  },
  expect: async () => ({ stoppedBy: "guest", keptBoot: true }),
  within: minutes(20),
  undo: (): Step[] => [startStandby, finishBackup, joinCluster],
});

// EC2 takes no token for a snapshot, so a retry after a lost reply would make a second set: the set carries this
// operation's tag from the start, and the tag is looked for before anything is asked. No undo: a snapshot is worth keeping.
export const snapshotVolumes = step({
  title: "Snapshot the standby's mirror volumes at one instant",
  cuts: "standby",
  done: async (world) => {
    const { volumes } = world.outcomeOf(volumesFound);
    return wholeSet(await world.cloud.findSnapshots(operation(world)), volumes);
  },
  must: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getPower(world.instanceOf(standby));
    if (instance.state !== "stopped")
      throw new Failure(
        "precondition",
        `${standby} is ${instance.state}; its volumes would be caught mid-write`,
      );
    const part = await world.cloud.findSnapshots(operation(world));
    return part.length > 0 ? notYet : undefined;
  },
  do: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const { volumes, others } = world.outcomeOf(volumesFound);
    await world.cloud.createSnapshotSet({
      instance: world.instanceOf(standby),
      volumes,
      otherVolumes: others,
      description: `${world.clusterName}: standby ${standby}, run ${world.run}`,
      tags: { ...world.tags, "runbook:node": standby },
    });
  },
  expect: async (world) =>
    world
      .outcomeOf(volumesFound)
      .volumes.map((volume) => ({ id: later(`snapshot of ${volume}`), volume, startedAt: "" })),
  within: minutes(15),
});

// The standby starts before its snapshots are complete: their content is fixed when the request is accepted, and copying
// takes minutes or hours. Waiting here would leave the cluster without a spare.
export const startStandby = step({
  title: "Power the standby on",
  boots: true,
  done: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getPower(world.instanceOf(standby));
    if (instance.state !== "running") return undefined;
    const boot = await world.nodes.findBoot(standby);
    return boot && { bootId: boot.bootId, prepared: !(await world.cluster.getService(standby)).startsAtBoot };
  },
  must: async (world) => {
    const instance = await world.cloud.getPower(world.instanceOf(world.outcomeOf(roles).standby));
    return instance.state === "stopped" ? undefined : notYet;
  },
  do: async (world) => {
    await world.cloud.startInstance({ instance: world.instanceOf(world.outcomeOf(roles).standby) });
  },
  expect: async () => ({ bootId: later("boot id of the standby"), prepared: true }),
  within: minutes(30),
});

export const finishBackup = step({
  title: "Take the standby out of backup mode; it reboots",
  startsMirrors: true,
  proves: "devices",
  done: async (world, mine: Mine<{ bootId: string }>) => {
    const { standby } = world.outcomeOf(roles);
    if (await isMember(world)) return { node: standby };
    const boot = await world.nodes.findBoot(standby);
    if (boot === undefined || boot.bootId === mine.before?.bootId) return undefined;
    return mine.begun && (await world.cluster.getService(standby)).startsAtBoot
      ? { node: standby }
      : undefined;
  },
  must: async (world, mine) => {
    const { standby, mirrors } = world.outcomeOf(roles);
    if ((await world.nodes.findBoot(standby)) === undefined) {
      const instance = await world.cloud.getPower(world.instanceOf(standby));
      if (instance.state === "running") return notYet;
      throw new Failure("unavailable", `${standby} is ${instance.state}: it has to be powered on first`);
    }
    const { bootId } = await world.nodes.getBoot(standby);
    const asked = mine.calls.findLast((call) => call.verb === "cluster.prepareBackup");
    const goingDown = asked !== undefined && (asked.state === "answered" || asked.state === "unknown");
    if (goingDown && bootId === mine.before?.bootId && world.now() - asked.sentAt < minutes(5)) return notYet;
    // Already enabled: the command went through, or was never needed; the reboot or the joining is under way.
    if ((await world.cluster.getService(standby)).startsAtBoot) return notYet;
    // The command starts the mirror: on a wrong device it could destroy partitions.
    await assertSameDevices(world, standby, mirrors, world.outcomeOf(volumesFound));
    return undefined;
  },
  before: async (world) => ({ bootId: (await world.nodes.getBoot(world.outcomeOf(roles).standby)).bootId }),
  do: async (world) => {
    await world.cluster.finishBackup({ node: world.outcomeOf(roles).standby });
  },
  within: minutes(30),
});

export const joinCluster = step({
  title: "The standby is a member again",
  ends: prepareStandby,
  done: async (world) => ((await isMember(world)) ? { node: world.outcomeOf(roles).standby } : undefined),
  // It joins by itself after the reboot; where automatic start was suspended, it has to be started.
  patience: minutes(10),
  must: async (world) => {
    const { standby } = world.outcomeOf(roles);
    if ((await world.nodes.findBoot(standby)) === undefined) return notYet;
    return (await world.cluster.getService(standby)).running ? notYet : undefined;
  },
  do: async (world) => {
    await world.cluster.startService({ node: world.outcomeOf(roles).standby });
  },
  within: minutes(30),
});

export const snapshotsReady = wait({
  title: "The snapshots are complete",
  done: async (world) =>
    findComplete(
      world,
      world.outcomeOf(snapshotVolumes).map((snapshot) => snapshot.id),
    ),
  within: (world) => hours(world.settings.copyHours),
});

// The point is written into the cloud, on the snapshots themselves: it survives the loss of this machine.
export const recordPoint = step({
  title: "Record the recovery point",
  done: async (world) => {
    const ids = world.outcomeOf(snapshotVolumes).map((snapshot) => snapshot.id);
    const snapshots = await world.cloud.getSnapshots(ids);
    const marked = snapshots.every((snapshot) =>
      Object.entries(pointTags(world, snapshot.volume)).every(([key, value]) => snapshot.tags[key] === value),
    );
    return marked ? { point: world.run, snapshots: ids, ...verdict(world) } : undefined;
  },
  do: async (world) => {
    const consistency = await world.atRun("how consistent", async () => verdict(world).consistency);
    const why = await world.atRun("why", async () => inTag(verdict(world).why));
    // Each snapshot says what it holds, so that a restore knows its place when the cluster and this machine are gone.
    for (const { id, volume } of world.outcomeOf(snapshotVolumes)) {
      await world.cloud.setTags({
        resources: [id],
        tags: {
          "runbook:point": world.run,
          "runbook:consistency": consistency,
          "runbook:why": why,
          ...contentTags(world, volume),
        },
      });
    }
  },
  within: minutes(10),
});

function verdict(world: World) {
  const { mirrors } = world.outcomeOf(roles);
  const broken = world.outcomeOf(breakMirrors);
  const prepared = world.outcomeOf(prepareStandby);
  return judge({
    groupsOfflineAtBreak: broken.groupsOffline,
    greenAtBreak: broken.green,
    unmounted: broken.unmounted,
    breaks: broken.breaks,
    allSynchronous: mirrors.every((mirror) => mirror.synchronous),
    keptBoot: prepared.keptBoot,
    // The step before the shutdown refuses to go on when the break is not the proven one.
    keptBreak: true,
    stoppedBy: prepared.stoppedBy,
    wasPrepared: world.outcomeOf(startStandby).prepared,
  });
}

function pointTags(world: World, volume: string) {
  return {
    "runbook:point": world.run,
    "runbook:consistency": verdict(world).consistency,
    "runbook:why": inTag(verdict(world).why),
    ...contentTags(world, volume),
  };
}

/** What of the mirrors a volume carries, as "md1:data+md1:cluster", with LVM where, and of how many the set is. */
function contentTags(world: World, volume: string) {
  const { partitions, volumes } = world.outcomeOf(volumesFound);
  const { standby, mirrors } = world.outcomeOf(roles);
  const layout = layoutOf(partitions, volume);
  const holds = contentOf(partitions, volume);
  return {
    "runbook:holds": holds,
    ...(layout !== "" && { "runbook:layout": layout }),
    ...cutPathTags(mirrors, standby, holds),
    "runbook:of": String(volumes.length),
  };
}

/** In the cluster, and set to come back by itself at the next boot. */
async function isMember(world: World): Promise<boolean> {
  const { active, standby } = world.outcomeOf(roles);
  if ((await world.nodes.findBoot(standby)) === undefined) return false;
  const state = await world.cluster.getState(await askable(world, active));
  return state.nodes[standby] === "online" && (await world.cluster.getService(standby)).startsAtBoot;
}

function operation(world: World) {
  return { "runbook:operation": world.tags["runbook:operation"] ?? "" };
}

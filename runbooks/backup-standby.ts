/**
 * Back up the standby node.
 *
 * The service stops only while the mirror is broken away from the standby (`service: early`) or until the standby is back
 * (`service: late`). From the break until the mirror is in sync again there is no redundancy. Then the standby shuts
 * itself down in backup mode, all its mirror volumes are cut at one instant, and it comes back before the copies are
 * complete. On failure the service comes back first, then the standby, and finished snapshots are kept.
 *
 * Source: CLUSTERPRO reference, procedure B1.
 */
import {
  allOffline,
  allOnline,
  askable,
  assertInSync,
  assertSameDevices,
  capacityTold,
  eachNode,
  Failure,
  findBreak,
  hours,
  isInSync,
  isRecovering,
  judge,
  later,
  minutes,
  mirrorsGreen,
  monitorsKnown,
  nobodyElse,
  notReplaced,
  notYet,
  oneOf,
  placesOf,
  readMirrors,
  rightsGranted,
  roles,
  roomInStore,
  runbook,
  shutdownStops,
  standbyFree,
  step,
  volumesFound,
  wait,
  type BreakSeen,
  type Mine,
  type Snapshot,
  type Step,
  type World,
} from "runbook";

export default runbook<{ service: "early" | "late" }>({
  title: "Back up the standby node",
  params: { service: oneOf("early", "late") },
  steps: ({ service }) => ({
    nobodyElse,
    roles,
    mirrorsGreen,
    monitorsKnown,
    standbyFree,
    shutdownStops,
    notReplaced,
    volumesFound,
    rightsGranted,
    capacityTold,
    roomInStore,

    armTimer,
    stopGroups,
    suspendMonitors: eachNode(suspendMonitors),
    breakMirrors,
    ...(service === "early" ? { startGroups, clearTimer } : {}),
    prepareStandby,
    snapshotVolumes,
    startStandby,
    finishBackup,
    joinCluster,
    ...(service === "late" ? { startGroups, clearTimer } : {}),
    resumeMonitors: eachNode(resumeMonitors),
    serviceRuns,
    mirrorsBack,
    snapshotsReady,
    recordPoint,
    serviceRunsStill: serviceRuns,
  }),
});

// Should everything that could bring the service back die, the active node itself starts the group again.
const armTimer = step({
  title: "Set the dead-man timer on the active node",
  done: async (world) => {
    const timer = await world.cluster.findDeadMan(world.outcomeOf(roles).active);
    return timer?.run === world.run && timer.state === "armed" ? { run: timer.run } : undefined;
  },
  do: async (world) => {
    const { active, standby, groups, mirrors } = world.outcomeOf(roles);
    await world.cluster.armDeadMan({
      node: active,
      peer: standby,
      run: world.run,
      bootId: await world.atRun(
        "boot id of the active node",
        async () => (await world.nodes.getBoot(active)).bootId,
      ),
      groups,
      mirrors: mirrors.map((mirror) => mirror.name),
      afterSeconds: world.settings.deadManMinutes * 60,
    });
  },
  renew: async (world) => {
    const { active } = world.outcomeOf(roles);
    await world.unless(
      async () => (await world.nodes.findBoot(active)) === undefined,
      () =>
        world.cluster.renewDeadMan({
          node: active,
          run: world.run,
          afterSeconds: world.settings.deadManMinutes * 60,
        }),
    );
  },
  within: minutes(2),
  undo: (): Step => clearTimer,
});

const stopGroups = step({
  title: "Stop the groups on the active node",
  exposes: "service",
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(await askable(world, active));
    return allOffline(state, groups) ? { groups } : undefined;
  },
  must: async (world, mine: Mine<{ holders: string[] }>) => {
    const { active, standby, groups, mirrors } = world.outcomeOf(roles);
    assertInSync(await readMirrors(world, mirrors, active));
    const state = await world.cluster.getState(active);
    // Stopped by this run, and up again: a person or the timer brought it back, and it is not taken away a second time.
    const back = groups.filter(
      (group) => state.groups[group]?.status === "online" && wasStopped(mine, group),
    );
    if (back.length > 0)
      throw new Failure("precondition", `${back.join(", ")} was stopped by this run and is online again`);
    if (groups.some((group) => state.groups[group]?.node === standby))
      throw new Failure("precondition", `a group has moved to ${standby} since the roles were found`);
    // Also the sign, on a resume, that the timer brought the service back: a run never takes it away a second time.
    const timer = await world.cluster.findDeadMan(active);
    if (timer?.run !== world.run || timer.state !== "armed")
      throw new Failure(
        "precondition",
        `the dead-man timer on ${active} is ${timer?.state ?? "gone"}; wanted armed`,
      );
  },
  before: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    const holders: string[] = [];
    for (const { mountPoint } of mirrors)
      holders.push(...(await world.nodes.listHolders({ node: active, mountPoint })));
    return { holders };
  },
  do: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    for (const group of groups.toReversed()) {
      await world.unless(
        async () => allOffline(await world.cluster.getState(active), [group]),
        () => world.cluster.stopGroup({ group, node: active }),
      );
    }
  },
  within: hours(1),
  undo: (): Step => serviceBack,
  // The dead-man timer or a person brought the service back: the image is consistent only if the break was proven before.
  ifUndone: async (world) => world.findOutcome(breakMirrors)?.groupsOffline === true,
});

// On the way back the service returns where its mirror is provably GREEN, not necessarily where it came from.
const serviceBack = step({
  title: "Start the groups where their mirrors are GREEN",
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(await askable(world, active));
    // Once the run itself had started them, a group that is stopped was stopped by somebody else, and is left so.
    const ours =
      world.findOutcome(startGroups) === undefined
        ? groups
        : groups.filter((group) => !allOffline(state, [group]));
    const places = placesOf(state, ours);
    return places && { places };
  },
  do: async (world) => {
    const { groups } = world.outcomeOf(roles);
    for (const group of groups) {
      await world.unless(
        async () =>
          placesOf(await world.cluster.getState(await askable(world, world.outcomeOf(roles).active)), [
            group,
          ]) !== undefined,
        async () => {
          const node = await world.atRun("the node whose mirrors are GREEN", () => findGreenNode(world));
          await world.cluster.startGroup({ group, node });
        },
      );
    }
  },
  within: hours(1),
});

// Each command is given on the node whose monitor it is: two at once on one node would refuse each other.
const suspendMonitors = step({
  title: "Suspend the mirror monitors",
  done: async (world, mine: Mine<readonly string[]>) => {
    if (mine.before === undefined) return undefined;
    const { monitors } = await world.cluster.getState(world.node);
    const suspended = mine.before.every((monitor) => monitors[monitor]?.[world.node] === "suspended");
    return suspended ? mine.before : undefined;
  },
  before: async (world) => {
    const { monitors } = await world.cluster.getState(world.node);
    return mirrorMonitors(world).filter((monitor) => monitors[monitor]?.[world.node] !== "suspended");
  },
  do: async (world) => {
    for (const monitor of mirrorMonitors(world)) {
      await world.unless(
        async () =>
          (await world.cluster.getState(world.node)).monitors[monitor]?.[world.node] === "suspended",
        () => world.cluster.suspendMonitor({ monitor, node: world.node, via: world.node }),
      );
    }
  },
  expect: async (world) => mirrorMonitors(world),
  within: minutes(5),
  undo: (): Step => resumeMonitors,
});

const breakMirrors: Step<Break> = step({
  title: "Break the mirror away on the standby, and prove it",
  exposes: "redundancy",
  done: async (
    world,
    mine: Mine<{ bootId: string; green: boolean; offline: boolean }>,
  ): Promise<Break | undefined> => {
    const known = world.findOutcome(breakMirrors);
    const breaks = mine.before && (await findBreaks(world, known?.breaks));
    if (!mine.before || !breaks) return undefined;
    if (known) return known;
    const { active, groups } = world.outcomeOf(roles);
    const { bootId, green, offline } = mine.before;
    return {
      breaks,
      bootId,
      green,
      groupsOffline: offline && allOffline(await world.cluster.getState(active), groups),
    };
  },
  must: async (world) => {
    const { active, mirrors, groups, configuration } = world.outcomeOf(roles);
    // The service waits for this: what can be asked at once is asked at once.
    const [states, state, { digests }] = await Promise.all([
      readMirrors(world, mirrors, active),
      world.cluster.getState(active),
      world.cluster.getConfig(world.members),
    ]);
    // A second try: some mirrors may be broken by the first one already; the others must still be GREEN.
    assertInSync(states.filter((mirror) => !isBrokenHere(world, mirror)));
    if (!allOffline(state, groups))
      throw new Failure("precondition", "a group is no longer offline: the break would not be quiet");
    // A node that was booted since has its monitors running again, and they would start the copy at once.
    for (const monitor of mirrorMonitors(world)) {
      const running = world.members.filter((node) => state.monitors[monitor]?.[node] !== "suspended");
      if (running.length > 0)
        throw new Failure("precondition", `monitor ${monitor} is not suspended on ${running.join(", ")}`);
    }
    if (Object.values(digests).some((digest) => digest !== configuration))
      throw new Failure("precondition", "the cluster's configuration was changed since the roles were found");
  },
  before: async (world) => {
    const { active, standby, mirrors, groups } = world.outcomeOf(roles);
    const [boot, states, state] = await Promise.all([
      world.nodes.getBoot(standby),
      readMirrors(world, mirrors, active),
      world.cluster.getState(active),
    ]);
    return {
      bootId: boot.bootId,
      green: states.every(isInSync),
      offline: allOffline(state, groups),
    };
  },
  do: async (world) => {
    const { active, standby, mirrors } = world.outcomeOf(roles);
    for (const { name } of mirrors) {
      await world.unless(
        async () => isBrokenHere(world, await world.cluster.getMirror({ mirror: name, via: active })),
        () => world.cluster.breakMirror({ mirror: name, node: standby }),
      );
    }
  },
  expect: async () => ({
    breaks: [],
    bootId: later("boot id of the standby"),
    green: true,
    groupsOffline: true,
  }),
  within: minutes(10),
  undo: (): Step => mirrorsBack,
  // Once the volumes are cut, a mirror that recovered by itself is only early.
  ifUndone: async (world) => world.findOutcome(snapshotVolumes) !== undefined,
});

const startGroups = step({
  title: "Start the groups on the active node",
  ends: stopGroups,
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(active);
    return allOnline(state, groups, active) ? { node: active } : undefined;
  },
  must: async (world) => {
    const { active, standby, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(active);
    if (groups.some((group) => state.groups[group]?.node === standby))
      throw new Failure("precondition", `a group runs on ${standby}, whose mirror was broken away`);
  },
  do: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    for (const group of groups) {
      await world.unless(
        async () => allOnline(await world.cluster.getState(active), [group], active),
        () => world.cluster.startGroup({ group, node: active }),
      );
    }
  },
  within: hours(1),
});

const clearTimer = step({
  title: "Take the dead-man timer away",
  ends: armTimer,
  done: async (world) => {
    const { active } = world.outcomeOf(roles);
    const timer = await world.cluster.findDeadMan(active);
    return timer === undefined || timer.run !== world.run ? { node: active } : undefined;
  },
  must: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    if ((await world.cluster.findDeadMan(active))?.state !== "armed") return;
    if (placesOf(await world.cluster.getState(active), groups) === undefined)
      throw new Failure(
        "precondition",
        "the groups are not online: the timer is the last that could start them",
        {
          hint: "once they are, `runbook undo` takes it away",
        },
      );
  },
  do: async (world) => {
    await world.cluster.clearDeadMan({ node: world.outcomeOf(roles).active, run: world.run });
  },
  within: minutes(10),
});

const prepareStandby = step({
  title: "Shut the standby down in backup mode",
  done: async (world, mine: Mine<{ bootId: string; keptBoot: boolean }>) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getInstance(world.instanceOf(standby));
    // A node that is off counts as prepared only if we asked for it.
    if (!mine.begun || instance.state !== "stopped") return undefined;
    return { stoppedBy: instance.stoppedBy ?? "unknown", keptBoot: mine.before?.keptBoot === true };
  },
  must: async (world, mine) => {
    const { standby, active, groups } = world.outcomeOf(roles);
    const instance = await world.cloud.getInstance(world.instanceOf(standby));
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
const snapshotVolumes = step({
  title: "Snapshot the standby's mirror volumes at one instant",
  done: async (world) => {
    const { volumes } = world.outcomeOf(volumesFound);
    return wholeSet(await world.cloud.findSnapshots(operation(world)), volumes);
  },
  must: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getInstance(world.instanceOf(standby));
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
const startStandby = step({
  title: "Power the standby on",
  done: async (world) => {
    const { standby } = world.outcomeOf(roles);
    const instance = await world.cloud.getInstance(world.instanceOf(standby));
    if (instance.state !== "running") return undefined;
    const boot = await world.nodes.findBoot(standby);
    return boot && { bootId: boot.bootId, prepared: !(await world.cluster.getService(standby)).startsAtBoot };
  },
  must: async (world) => {
    const instance = await world.cloud.getInstance(world.instanceOf(world.outcomeOf(roles).standby));
    return instance.state === "stopped" ? undefined : notYet;
  },
  do: async (world) => {
    await world.cloud.startInstance({ instance: world.instanceOf(world.outcomeOf(roles).standby) });
  },
  expect: async () => ({ bootId: later("boot id of the standby"), prepared: true }),
  within: minutes(30),
});

const finishBackup = step({
  title: "Take the standby out of backup mode; it reboots",
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
      const instance = await world.cloud.getInstance(world.instanceOf(standby));
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

const joinCluster = step({
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

// The standby's own monitors came back with its boot; only those still suspended are resumed.
const resumeMonitors = step({
  title: "Resume the mirror monitors",
  ends: suspendMonitors,
  done: async (world, mine: Mine<readonly string[]>) => {
    const ours = world.findOutcome(suspendMonitors) ?? mine.before ?? [];
    const state = await world.cluster.getState(await askable(world, world.outcomeOf(roles).active));
    const isResumed = (monitor: string) => {
      const status = state.monitors[monitor]?.[world.node];
      // A node that is out of the cluster comes back with its monitors running.
      if (state.nodes[world.node] !== "online") return true;
      return status !== undefined && status !== "suspended" && status !== "unknown";
    };
    return ours.every(isResumed) ? ours : undefined;
  },
  do: async (world, mine: Mine<readonly string[]>) => {
    for (const monitor of world.findOutcome(suspendMonitors) ?? mine.before ?? mirrorMonitors(world)) {
      await world.unless(
        async () =>
          (await world.cluster.getState(world.node)).monitors[monitor]?.[world.node] !== "suspended",
        () => world.cluster.resumeMonitor({ monitor, node: world.node, via: world.node }),
      );
    }
  },
  within: minutes(10),
});

const mirrorsBack = step({
  title: "Every mirror is in sync again",
  ends: breakMirrors,
  done: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    const states = await readMirrors(world, mirrors, await askable(world, active));
    return states.every(isInSync) ? { mirrors: states.map((mirror) => mirror.mirror) } : undefined;
  },
  // The cluster begins by itself once its monitor runs again; if it does not, it is asked to.
  patience: minutes(5),
  do: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    for (const { name } of mirrors) {
      await world.unless(
        async () => {
          const mirror = await world.cluster.getMirror({ mirror: name, via: active });
          return isRecovering(mirror) || isInSync(mirror);
        },
        () => world.cluster.recoverMirror({ mirror: name, node: active }),
      );
    }
  },
  within: (world) => hours(world.settings.copyHours),
});

const snapshotsReady = wait({
  title: "The snapshots are complete",
  done: async (world) => {
    const ids = world.outcomeOf(snapshotVolumes).map((snapshot) => snapshot.id);
    const snapshots = await world.cloud.getSnapshots(ids);
    const failed = snapshots.find((snapshot) => snapshot.state === "error");
    if (failed)
      throw new Failure(
        "conflict",
        `snapshot ${failed.id} of ${failed.volume} failed: ${failed.reason ?? "no reason given"}`,
      );
    return snapshots.every((snapshot) => snapshot.state === "completed") ? ids : undefined;
  },
  within: (world) => hours(world.settings.copyHours),
});

// The point is written into the cloud, on the snapshots themselves: it survives the loss of this machine.
const recordPoint = step({
  title: "Record the recovery point",
  done: async (world) => {
    const ids = world.outcomeOf(snapshotVolumes).map((snapshot) => snapshot.id);
    const wanted = Object.entries(pointTags(world));
    const snapshots = await world.cloud.getSnapshots(ids);
    const marked = snapshots.every((snapshot) =>
      wanted.every(([key, value]) => snapshot.tags[key] === value),
    );
    return marked ? { point: world.run, snapshots: ids, ...verdict(world) } : undefined;
  },
  do: async (world) => {
    const resources = world.outcomeOf(snapshotVolumes).map((snapshot) => snapshot.id);
    const consistency = await world.atRun("how consistent", async () => verdict(world).consistency);
    const why = await world.atRun("why", async () => pointTags(world)["runbook:why"]);
    await world.cloud.setTags({
      resources,
      tags: { "runbook:point": world.run, "runbook:consistency": consistency, "runbook:why": why },
    });
  },
  within: minutes(10),
});

// Whatever else happened in the night: a group that failed over to the side that the run had broken away is brought back.
// One that somebody stopped meanwhile is left so, and said.
const serviceRuns = step({
  title: "The groups run as a whole",
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(await askable(world, active));
    const standing = groups.filter((group) => !allOffline(state, [group]));
    const places = placesOf(state, standing);
    return places && { places, stoppedMeanwhile: groups.filter((group) => !standing.includes(group)) };
  },
  patience: minutes(3),
  do: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    for (const group of groups) {
      await world.unless(
        async () => {
          const state = await world.cluster.getState(await askable(world, active));
          return allOffline(state, [group]) || placesOf(state, [group]) !== undefined;
        },
        async () => {
          const node = await world.atRun("the node whose mirrors are GREEN", () => findGreenNode(world));
          await world.cluster.startGroup({ group, node });
        },
      );
    }
  },
  within: hours(1),
});

function verdict(world: World) {
  const { mirrors } = world.outcomeOf(roles);
  const broken = world.outcomeOf(breakMirrors);
  const prepared = world.outcomeOf(prepareStandby);
  return judge({
    groupsOfflineAtBreak: broken.groupsOffline,
    greenAtBreak: broken.green,
    breaks: broken.breaks,
    allSynchronous: mirrors.every((mirror) => mirror.synchronous),
    keptBoot: prepared.keptBoot,
    // The step before the shutdown refuses to go on when the break is not the proven one.
    keptBreak: true,
    stoppedBy: prepared.stoppedBy,
    wasPrepared: world.outcomeOf(startStandby).prepared,
  });
}

function pointTags(world: World) {
  const { consistency, why } = verdict(world);
  // A tag holds 256 characters.
  return {
    "runbook:point": world.run,
    "runbook:consistency": consistency,
    "runbook:why": why.join("; ").slice(0, 256),
  };
}

interface Break {
  readonly breaks: readonly BreakSeen[];
  /** Boot id of the standby immediately before the break. */
  readonly bootId: string;
  /** GREEN on both sides immediately before the break. */
  readonly green: boolean;
  /** The groups were offline immediately before the break and when it was proven. */
  readonly groupsOffline: boolean;
}

/** The break of every mirror as it shows now; undefined unless all are broken, and as `known` if they were seen before. */
async function findBreaks(
  world: World,
  known: readonly BreakSeen[] | undefined,
): Promise<readonly BreakSeen[] | undefined> {
  const { active, standby, mirrors } = world.outcomeOf(roles);
  const states = await readMirrors(world, mirrors, active);
  // A standby that left the cluster cannot be seen; the unchanged break time on the good side tells the rest.
  const unseen = known !== undefined && (await world.cluster.getState(active)).nodes[standby] !== "online";
  const breaks = states.flatMap((mirror) => findBreak(mirror, standby, active, unseen) ?? []);
  const same = breaks.every((seen, i) => known === undefined || known[i]?.breakTime === seen.breakTime);
  return breaks.length === mirrors.length && same ? breaks : undefined;
}

function isBrokenHere(world: World, mirror: Parameters<typeof findBreak>[0]): boolean {
  const { active, standby } = world.outcomeOf(roles);
  return findBreak(mirror, standby, active, false) !== undefined;
}

function mirrorMonitors(world: World): readonly string[] {
  return world.outcomeOf(monitorsKnown).map(({ monitor }) => monitor);
}

async function findGreenNode(world: World): Promise<string> {
  const { active, standby, mirrors } = world.outcomeOf(roles);
  const silent: string[] = [];
  for (const node of [active, standby]) {
    if ((await world.nodes.findBoot(node)) === undefined) {
      silent.push(node);
      continue;
    }
    const states = await readMirrors(world, mirrors, node);
    if (states.every((mirror) => mirror.sides[node]?.colour === "GREEN")) return node;
  }
  if (silent.length > 0)
    throw new Failure(
      "unavailable",
      `${silent.join(" and ")} does not answer, and on no other node every mirror is GREEN`,
      {
        hint: "it may hold the good side: bring it up, or its network path",
      },
    );
  throw new Failure("precondition", "on no node every mirror is GREEN: no side is provably good", {
    hint: "a person has to choose the side with the data to keep; what would be lost is what was written since the break",
  });
}

function wasStopped(mine: Mine<unknown>, group: string): boolean {
  return mine.calls.some(
    ({ verb, state, request }) =>
      verb === "cluster.stopGroup" &&
      state === "answered" &&
      request.to === "node" &&
      request.argv.includes(group),
  );
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

/** One snapshot for each volume, or undefined while some are missing; more than one is never chosen from. */
function wholeSet(found: readonly Snapshot[], volumes: readonly string[]) {
  if (found.length > volumes.length)
    throw new Failure(
      "conflict",
      `this operation has ${found.length} snapshots (${found.map((s) => s.id).join(", ")}); wanted ${volumes.length}`,
      {
        hint: "compare them, and delete those that are not wanted",
      },
    );
  const set = volumes.flatMap((volume) => found.filter((snapshot) => snapshot.volume === volume));
  return set.length === volumes.length
    ? set.map(({ id, volume, startedAt }) => ({ id, volume, startedAt }))
    : undefined;
}

/**
 * The service: taking it out of clients' hands, and giving it back. The dead-man timer on the active node stands for this
 * run should everything that could bring the service back die (design 3.5).
 */
import {
  allOffline,
  allOnline,
  askable,
  assertInSync,
  Failure,
  hours,
  minutes,
  notYet,
  placesOf,
  readMirrors,
  roles,
  step,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { breakMirrors } from "./redundancy.ts";

// Should everything that could bring the service back die, the active node itself starts the group again.
export const armTimer = step({
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

export const stopGroups = step({
  title: "Stop the groups on the active node",
  exposes: "service",
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(await askable(world, active));
    return allOffline(state, groups) ? { groups } : undefined;
  },
  must: async (world, mine: Mine<{ holders: string[]; bootId: string }>) => {
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
    return { holders, bootId: (await world.nodes.getBoot(active)).bootId };
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
export const serviceBack = step({
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
    return places && { places, told: leftAlone(groups, ours) };
  },
  // After a boot the cluster's software comes up by itself, and starts the groups: until then no start could work.
  must: async (world) => {
    const state = await world.cluster.getState(await askable(world, world.outcomeOf(roles).active));
    return Object.values(state.nodes).includes("online") ? undefined : notYet;
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

export const startGroups = step({
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

export const clearTimer = step({
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

// Whatever else happened in the night: a group that failed over to the side that the run had broken away is brought back.
// One that somebody stopped meanwhile is left so, and said.
export const serviceRuns = step({
  title: "The groups run as a whole",
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    const state = await world.cluster.getState(await askable(world, active));
    const standing = groups.filter((group) => !allOffline(state, [group]));
    const places = placesOf(state, standing);
    return places && { places, told: leftAlone(groups, standing) };
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

function leftAlone(groups: readonly string[], others: readonly string[]): readonly string[] {
  return groups
    .filter((group) => !others.includes(group))
    .map(
      (group) => `${group} is stopped: somebody stopped it since this run had started it, and it is left so`,
    );
}

export async function findGreenNode(world: World): Promise<string> {
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

/** The mirror: holding its monitors back, breaking it away on the standby, and bringing it back in sync. */
import {
  allOffline,
  askable,
  askEither,
  assertInSync,
  Failure,
  findBreak,
  hours,
  isInSync,
  isRecovering,
  later,
  minutes,
  monitorsKnown,
  readMirrors,
  roles,
  step,
  wait,
  type BreakSeen,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { snapshotVolumes } from "./cut.ts";
import { stopGroups } from "./service.ts";

// Each command is given on the node whose monitor it is: two at once on one node would refuse each other.
export const suspendMonitors = step({
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

export const breakMirrors: Step<Break> = step({
  title: "Break the mirror away on the standby, and prove it",
  proves: "quiet",
  exposes: "redundancy",
  done: async (
    world,
    mine: Mine<{ bootId: string; green: boolean; offline: boolean; unmounted: boolean }>,
  ): Promise<Break | undefined> => {
    const known = world.findOutcome(breakMirrors);
    const breaks = mine.before && (await findBreaks(world, known?.breaks));
    if (!mine.before || !breaks) return undefined;
    if (known) return known;
    const { active, groups } = world.outcomeOf(roles);
    const { bootId, green, offline, unmounted } = mine.before;
    return {
      breaks,
      bootId,
      green,
      unmounted,
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
    const [boot, served, states, state] = await Promise.all([
      world.nodes.getBoot(standby),
      world.nodes.getBoot(active),
      readMirrors(world, mirrors, active),
      world.cluster.getState(active),
    ]);
    return {
      bootId: boot.bootId,
      green: states.every(isInSync),
      offline: allOffline(state, groups),
      unmounted: served.bootId === bootBeforeStop(world),
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
    unmounted: true,
    groupsOffline: true,
  }),
  within: minutes(10),
  undo: (): Step => mirrorsBack,
  // Once the volumes are cut, a mirror that recovered by itself is only early.
  ifUndone: async (world) => world.findOutcome(snapshotVolumes) !== undefined,
});

// The standby's own monitors came back with its boot; only those still suspended are resumed.
export const resumeMonitors = step({
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

export const mirrorsBack = step({
  title: "Every mirror is in sync again",
  ends: breakMirrors,
  done: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    const states = await askEither(world, active, (via) => readMirrors(world, mirrors, via));
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

export interface Break {
  readonly breaks: readonly BreakSeen[];
  /** Boot id of the standby immediately before the break. */
  readonly bootId: string;
  /** GREEN on both sides immediately before the break. */
  readonly green: boolean;
  /** The groups were offline immediately before the break and when it was proven. */
  readonly groupsOffline: boolean;
  /** The node that served was not booted from before the stop until the break: what the stop unmounted, it unmounted itself. */
  readonly unmounted: boolean;
}

function bootBeforeStop(world: World): string | undefined {
  return (world.traceOf(stopGroups) as Mine<{ bootId: string }>).before?.bootId;
}

/** Also after the groups have moved: the mirror is in sync before the other side is broken away. */
export const inSyncAfterMove = wait({
  title: "Every mirror is GREEN on both sides after the move",
  done: async (world) => {
    const { active, mirrors } = world.outcomeOf(roles);
    const states = await readMirrors(world, mirrors, active);
    return states.every(isInSync) ? { mirrors: states.map((mirror) => mirror.mirror) } : undefined;
  },
  within: (world) => hours(world.settings.copyHours),
});

/** The break of every mirror as it shows now; undefined unless all are broken, and as `known` if they were seen before. */
export async function findBreaks(
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

/**
 * Service, monitors and mirrors back to normal, by looking alone. No step here takes anything away, and none is given back:
 * each brings nearer to normal. So what a failed run does on its way back is the same once more, as far as it goes.
 *
 * Nothing here chooses which side counts. A group is started only where its mirrors are proven good, and a copy goes only
 * from there; where nothing proves it, a person is told what each choice would lose, and types it.
 */
import {
  Failure,
  found,
  goodNode,
  homeOf,
  hours,
  isBusy,
  isInSync,
  isProven,
  isRecovering,
  isWhole,
  knownSetUp,
  leftAloneOf,
  lookAt,
  markWhatCameUp,
  membersOf,
  minutes,
  sayColours,
  setUpKnown,
  startableNode,
  step,
  toResume,
  troublesOf,
  wait,
  wantedGroups,
  deadTimersGone,
  notYet,
  type Step,
  type World,
} from "runbook";

import {
  allMembers,
  allUp,
  broughtIn,
  halfPreparedOut,
  mayComeInAll,
  mayPowerOnAll,
  mayPowerOnFirst,
  oneUp,
} from "./bring-in.ts";
import { bareOff, volumesBack, volumesBackFirst } from "./volumes-back.ts";

/**
 * The API shows an instance as stopping for a while after its node has gone, and until it is stopped the node might serve.
 * That is waited for where the service depends on it, and not for ever.
 */
const comeToRest = step({
  title: "Nodes that are on their way down are down",
  done: async (world, mine) => {
    const sight = await lookAt(world);
    const waits = (await groupsOf(world)).some(
      (group) => homeOf(sight, group) === undefined && startableNode(sight, group) === undefined,
    );
    const stopping = sight.nodes.filter(({ power }) => power === "stopping").map(({ node }) => node);
    return mine.begun || !waits || stopping.length === 0 ? { stopping } : undefined;
  },
  patience: minutes(5),
  do: async () => undefined,
  within: minutes(6),
});

/** Before anything slow: what can be started now, where it is proven that it may be. */
export const serviceFirst = step({
  title: "Start the groups at once where their mirrors are proven good",
  done: async (world) => {
    const sight = await lookAt(world);
    const groups = await groupsOf(world);
    if (groups.some((group) => startableNode(sight, group) !== undefined || isBusy(sight, group)))
      return undefined;
    const later = groups.filter((group) => homeOf(sight, group) === undefined);
    return {
      running: groups.filter((group) => !later.includes(group)),
      ...(later.length > 0 && {
        told: [`${later.join(", ")} cannot be started yet: no side of the mirrors is proven good`],
      }),
    };
  },
  must: waitsForBusy,
  do: startGroups,
  within: hours(1),
});

/** With every node in, and before a copy of hours. The cluster starts them by itself after a boot. */
const serviceNow: Step = {
  ...serviceFirst,
  title: "Start the groups that could not be started before",
  patience: minutes(1),
};

export const groupsRun = step({
  title: "The groups run as a whole",
  done: async (world) => {
    const sight = await lookAt(world);
    const groups = await groupsOf(world);
    return groups.every((group) => isWhole(sight, group))
      ? { places: groups.map((group) => ({ group, node: homeOf(sight, group) ?? "" })) }
      : undefined;
  },
  // The cluster starts them by itself after a boot.
  patience: minutes(1),
  must: waitsForBusy,
  do: startGroups,
  within: hours(1),
});

async function groupsOf(world: World): Promise<readonly string[]> {
  return wantedGroups(world, await knownSetUp(world));
}

async function waitsForBusy(world: World): Promise<void | typeof notYet> {
  const sight = await lookAt(world);
  return (await groupsOf(world)).some((group) => isBusy(sight, group)) ? notYet : undefined;
}

async function startGroups(world: World): Promise<void> {
  for (const group of await groupsOf(world)) {
    await world.unless(
      async () => startableNode(await lookAt(world), group) === undefined,
      async () => {
        const node = await world.atRun(
          "the node where its mirrors are proven good",
          async () => startableNode(await lookAt(world), group) ?? "",
        );
        await world.cluster.startGroup({ group, node });
      },
    );
  }
}

export const monitorsResumed = step({
  title: "Resume the monitors",
  done: async (world) =>
    toResume(world, await lookAt(world)).length === 0
      ? { resumed: world.outcomeOf(found).suspended }
      : undefined,
  do: async (world) => {
    for (const { monitor, node } of world.outcomeOf(found).suspended)
      await world.unless(
        async () =>
          !toResume(world, await lookAt(world)).some(
            (each) => each.monitor === monitor && each.node === node,
          ),
        () => world.cluster.resumeMonitor({ monitor, node, via: node }),
      );
  },
  within: minutes(10),
});

/** Colours settle within moments after a member has joined. What then is not proven, no look will prove. */
export const sideProven = step({
  title: "It is proven for every mirror which side counts",
  done: async (world) => {
    const sight = await lookAt(world);
    return isProven(sight)
      ? {
          mirrors: (await knownSetUp(world)).mirrors.map(({ name }) => `${name}: ${sayColours(sight, name)}`),
        }
      : undefined;
  },
  patience: minutes(3),
  do: (world) =>
    world.unless(
      () => refuseToChoose(world),
      async () => undefined,
    ),
  within: minutes(10),
});

async function refuseToChoose(world: World): Promise<never> {
  const sight = await lookAt(world);
  const open = (await knownSetUp(world)).mirrors.filter(({ name }) => goodNode(sight, [name]) === undefined);
  throw new Failure(
    "precondition",
    `no side is proven good: ${open.map(({ name }) => `${name} is ${sayColours(sight, name)}`).join("; ")}`,
    { hint: "a person chooses the side with the data to keep; nothing here does that" },
  );
}

export const mirrorsInSync = step({
  title: "Every mirror is GREEN on both sides",
  done: async (world) => {
    const sight = await lookAt(world);
    const states = membersOf(sight).flatMap(({ mirrors }) => mirrors);
    const mirrors = (await knownSetUp(world)).mirrors.map(({ name }) => name);
    return mirrors.every((name) => states.some(({ mirror }) => mirror === name)) && states.every(isInSync)
      ? { mirrors }
      : undefined;
  },
  // The cluster begins by itself once its monitors run; if it does not, it is asked to.
  patience: minutes(5),
  must: async (world) => {
    if (!isProven(await lookAt(world))) await refuseToChoose(world);
  },
  do: async (world) => {
    for (const { name } of (await knownSetUp(world)).mirrors) {
      await world.unless(
        async () => {
          const states = membersOf(await lookAt(world)).flatMap(({ mirrors }) =>
            mirrors.filter(({ mirror }) => mirror === name),
          );
          return states.some(isRecovering) || (states.length > 0 && states.every(isInSync));
        },
        () => recover(world, name),
      );
    }
  },
  within: (world) => hours(world.settings.copyHours),
});

async function recover(world: World, mirror: string): Promise<void> {
  const node = await world.atRun(
    "the node whose side is proven good",
    async () => goodNode(await lookAt(world), [mirror]) ?? "",
  );
  try {
    await world.cluster.recoverMirror({ mirror, node });
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.happened !== "said") throw thrown;
    throw new Failure(thrown.kind, thrown.message, {
      cause: thrown,
      happened: thrown.happened,
      ...(thrown.answer && { answer: thrown.answer }),
      hint: "see the event log of the stale side's node: its device may be wrong or damaged, and a restore the only cure. If `clpbackup.sh --pre` was begun there, its backup flags may be on, which nobody can see: `clpsvcctrl.sh --disable -a` there, and `give-back` takes it for half prepared",
    });
  }
}

/** What a restore switches off, and may have left so; only on a person's word, since it may be meant. */
export const copySetting = step({
  title: "The mirrors' initial full copy is as the person wants it",
  done: async (world) => {
    if (world.params["copy"] !== "on") return { left: true };
    const config = await world.cluster.getConfig(world.members);
    return config.mirrors.every(({ fullCopy }) => fullCopy) ? { on: true } : undefined;
  },
  do: async (world) => {
    if (world.params["copy"] !== "on") return;
    const { nodes, copyOff } = await knownSetUp(world);
    for (const initialMkfs of [false, true]) {
      const mirrors = copyOff.filter((each) => each.initialMkfs === initialMkfs).map(({ mirror }) => mirror);
      if (mirrors.length > 0)
        await world.cluster.setMirrorOptions({ node: nodes[0] ?? "", mirrors, fullCopy: true, initialMkfs });
    }
  },
  within: minutes(15),
});

export const normal = wait({
  title: "The cluster is normal",
  done: async (world) => {
    const sight = await lookAt(world);
    if (troublesOf(sight, await groupsOf(world), toResume(world, sight)).length > 0) return undefined;
    return { told: leftAloneOf(world, sight, await knownSetUp(world)) };
  },
  within: minutes(10),
});

/** Where no node answers, nothing is known, not even which groups there are. */
export const fromNothing = {
  volumesBackFirst,
  mayPowerOnFirst,
  oneUp,
  markTheFirst: { ...markWhatCameUp },
} as const;

/** The way back, in order: the service before anything slow, wherever it can be. */
export const wayBack = {
  setUpKnown,
  comeToRest,
  serviceFirst,
  monitorsResumed,
  bareOff,
  volumesBack,
  mayPowerOnAll,
  allUp,
  markTheRest: { ...markWhatCameUp },
  deadTimersGone,
  halfPreparedOut,
  mayComeInAll,
  broughtIn,
  allMembers,
  sideProven,
  serviceNow,
  mirrorsInSync,
  groupsRun,
  copySetting,
  normal,
} as const;

/**
 * Begun whenever something is not normal, so that no run ends before everything is: what fails is tried once more from the
 * beginning, and what then is left makes the run stuck. `runbook undo` of a stuck one goes the same way again. A node that
 * did not come up in the first place is not waited for as long again.
 */
export function untilNormal(way: { readonly [key: string]: Step }): Step {
  const short: readonly Step[] = [mayPowerOnFirst, oneUp, mayPowerOnAll, allUp, mayComeInAll];
  return step({
    title: "Bring everything back to normal, and not less",
    done: async (world, mine) =>
      mine.begun || world.outcomeOf(found).normal ? { begun: mine.begun } : undefined,
    do: async () => undefined,
    within: minutes(1),
    undo: () =>
      Object.values(way).map((each) => (short.includes(each) ? { ...each, within: minutes(5) } : each)),
    undoByLooks: true,
  });
}

/**
 * A restored point on a staging cluster: served, looked at, and thrown away. What staging had before is set aside and put back
 * by the steps that a restore has for its way back, since here going back is part of the way.
 */
import {
  check,
  contentTestTag,
  drillTag,
  Failure,
  hours,
  minutes,
  notYet,
  nothingRuns,
  placesOf,
  pointFound,
  sayJudged,
  sayPhases,
  sides,
  stagingApart,
  stagingOf,
  step,
  testTag,
  verdictOf,
  wait,
  type Judged,
  type PointTest,
  type Step,
  type World,
} from "runbook";

import { contentLooked } from "./content.ts";
import { checksRun, mountedForUse } from "./drill-look.ts";
import {
  findInSync,
  inSyncAnew,
  membersAgain,
  nodesOn,
  nodesRebooted,
  prepareNodes,
  serviceBack,
  servicesOn,
  stopAll,
} from "./nodes-down.ts";
import { stateAnywhere } from "./what-ran.ts";
import { pathsBack } from "./mirror-paths.ts";
import { each } from "./power.ts";
import {
  isAnyIn,
  newVolumes,
  newVolumesIn,
  newVolumesOut,
  oldDeletionAsBefore,
  oldVolumesIn,
  oldVolumesOut,
  oldVolumesTagged,
  oldVolumesUntagged,
  volumesDropped,
} from "./volumes.ts";

/** Nothing is done here: it is there for its way back, which comes before the nodes are powered off. */
export const opened: Step<{ at: number }> = step<{ at: number }>({
  title: "From here on staging may serve what was restored",
  done: async (world, mine) => (mine.begun ? { at: world.now() } : undefined),
  do: async () => undefined,
  expect: async () => ({ at: 0 }),
  within: minutes(5),
  undo: (): Step[] => [groupsDown, stagingDown],
});

// What staging had before is not back by that: `ownInSync` ends it.
export const inSyncOnStaging: Step = withoutEnd(inSyncAnew);

/** Whether or not it ran there before: that it can is what a drill wants to see. */
export const stagingServes: Step<{ at: number }> = step<{ at: number }>({
  title: "The groups run on staging, from the restored volumes",
  done: async (world) => {
    const known = world.findOutcome(stagingServes);
    if (known) return known;
    const { groups } = world.outcomeOf(stagingApart);
    return placesOf(await stateAnywhere(world), groups) === undefined ? undefined : { at: world.now() };
  },
  // After its reboot the cluster starts them by itself, unless they are to be started by hand.
  patience: minutes(5),
  do: async (world) => {
    const [node = ""] = world.outcomeOf(sides).nodes;
    for (const group of world.outcomeOf(stagingApart).groups) {
      await world.unless(
        async () => placesOf(await stateAnywhere(world), [group]) !== undefined,
        () => world.cluster.startGroup({ group, node }),
      );
    }
  },
  expect: async () => ({ at: 0 }),
  within: hours(1),
});

export const looked: Step<{ at: number }> = wait<{ at: number }>({
  title: "The content was looked at",
  done: async (world) => world.findOutcome(looked) ?? { at: world.now() },
  expect: async () => ({ at: 0 }),
  within: minutes(1),
});

export const groupsDown = step({
  title: "Stop the groups on staging",
  done: async (world) => {
    if (!(await isAnyIn(world))) return { stopped: [] };
    const { groups } = world.outcomeOf(stagingApart);
    if ((await silentNodes(world)).length > 0) return undefined;
    return (await nothingRuns(world, groups, true)) ? { stopped: groups } : undefined;
  },
  // Told to join a moment ago, a node answers again in minutes.
  must: async (world) => ((await silentNodes(world)).length > 0 ? notYet : undefined),
  do: async (world) => {
    const { nodes } = world.outcomeOf(sides);
    for (const group of world.outcomeOf(stagingApart).groups)
      for (const node of nodes)
        await world.unless(
          async () => (await stateAnywhere(world)).groups[group]?.node !== node,
          () => world.cluster.stopGroup({ group, node }),
        );
  },
  within: hours(1),
});

/** Neither off, nor on their way there, and without an answer: what they will be running is not known. */
async function silentNodes(world: World): Promise<readonly string[]> {
  const silent: string[] = [];
  for (const node of world.outcomeOf(sides).nodes) {
    const { state } = await world.cloud.getPower(world.instanceOf(node));
    if (["stopping", "stopped"].includes(state)) continue;
    if ((await world.nodes.findBoot(node)) === undefined) silent.push(node);
  }
  return silent;
}

export const stagingDown = step({
  title: "Shut staging's nodes down, out of the cluster",
  ends: opened,
  done: async (world) => {
    if (!(await isAnyIn(world))) return { nodes: [] };
    for (const node of world.outcomeOf(sides).nodes)
      if ((await world.cloud.getPower(world.instanceOf(node))).state !== "stopped") return undefined;
    return { nodes: world.outcomeOf(sides).nodes };
  },
  must: async (world) => {
    for (const node of world.outcomeOf(sides).nodes) {
      const { state } = await world.cloud.getPower(world.instanceOf(node));
      if (state === "stopping" || state === "pending") return notYet;
      if (state === "running" && (await world.nodes.findBoot(node)) === undefined) return notYet;
    }
    if (!(await nothingRuns(world, world.outcomeOf(stagingApart).groups, true)))
      throw new Failure("precondition", "a group runs again: no node is shut down under it");
    return undefined;
  },
  do: async (world) => {
    await each(world.outcomeOf(sides).nodes, (node) =>
      world.unless(
        async () => (await world.cloud.getPower(world.instanceOf(node))).state === "stopped",
        () => world.cluster.prepareRestore({ node }),
      ),
    );
  },
  within: minutes(40),
});

export const drillVolumesOut = onTheWay(newVolumesOut, { ends: newVolumesIn });
export const ownVolumesIn = onTheWay(oldVolumesIn, { ends: oldVolumesOut });
export const ownDeletionAsBefore = onTheWay(oldDeletionAsBefore, {});
export const stagingOn = onTheWay(nodesOn, {});
export const ownPathsBack = onTheWay(pathsBack, {});
export const stagingServicesOn = onTheWay(servicesOn, {});
export const stagingRebooted = onTheWay(nodesRebooted, {});
export const stagingMembers = onTheWay(membersAgain, {});
export const ownGroupsBack = onTheWay(serviceBack, { ends: stopAll });
export const ownVolumesUntagged = onTheWay(oldVolumesUntagged, { ends: oldVolumesTagged });
/** "deleting" may last for minutes (reference aws-ebs 2), and only what is gone costs nothing any more. */
export const drillVolumesGone: Step = {
  ...onTheWay(volumesDropped, { ends: newVolumes }),
  done: async (world) => {
    const found = await world.cloud.findVolumes({ [drillTag]: world.run });
    return found.every(({ state }) => state === "deleted") ? { deleted: true } : undefined;
  },
  within: minutes(30),
};

export const ownInSync = wait({
  title: "Staging's own mirrors are GREEN on both sides again",
  ends: prepareNodes,
  done: findInSync,
  within: (world) => hours(world.settings.copyHours),
});

interface Marked {
  readonly result: ReturnType<typeof verdictOf>;
  readonly told: readonly string[];
}

// No undo: the result is true, whatever becomes of the run afterwards.
export const stagingMarked: Step<Marked> = step<Marked>({
  title: "Write on the point's snapshots how the drill ended, unless nothing was proven",
  done: async (world) => {
    const judged = judgedIn(world);
    const result = verdictOf(judged);
    const told = [...judged.map(sayJudged), ...sayTimes(world)];
    if (result === "not proven") return { result, told };
    const tag = testTag(testOf(world));
    const marked = await world.cloud.getSnapshots(snapshotsOf(world));
    return marked.every(({ tags }) => Object.entries(tag).every(([key, value]) => tags[key] === value))
      ? { result, told }
      : undefined;
  },
  do: async (world) => {
    const [key = contentTestTag] = Object.keys(testTag({ ...nothing, how: howOf(world) }));
    const mark = await world.atRun(
      "passed or failed, when, and by this run",
      async () => testTag(testOf(world))[key] ?? "",
    );
    await world.unless(
      async () => verdictOf(judgedIn(world)) === "not proven",
      () => world.cloud.setTags({ resources: snapshotsOf(world), tags: { [key]: mark } }),
    );
  },
  within: minutes(10),
});

export const stagingPassed = check("The drill has passed", async (world) => {
  const judged = judgedIn(world);
  const result = verdictOf(judged);
  if (result === "passed") return { result };
  const reasons = judged.filter((one) => one.result !== "passed").map(sayJudged);
  // Nobody is asked whether to try again: the same content would say the same.
  throw new Failure(
    "aborted",
    `${result === "failed" ? "the drill failed" : "not proven"}: ${reasons.join("; ") || "no check is declared"}`,
    {
      hint:
        result === "failed"
          ? "the point is marked as failed (`runbook points`); staging is as it was"
          : "the point is not marked, and staging is as it was; mend what kept the checks from running, and drill again",
    },
  );
});

const nothing: PointTest = { how: "cluster", result: "failed", at: "", run: "" };

function howOf(world: World): PointTest["how"] {
  return world.params["group"] === "start" ? "cluster" : "content";
}

function testOf(world: World): PointTest {
  return {
    how: howOf(world),
    result: verdictOf(judgedIn(world)) === "passed" ? "passed" : "failed",
    at: new Date(world.outcomeOf(looked).at).toISOString(),
    run: world.run,
  };
}

function judgedIn(world: World): readonly Judged[] {
  if (world.params["group"] === "mount") return world.outcomeOf(checksRun).judged;
  return world.outcomeOf(contentLooked).judged;
}

function snapshotsOf(world: World): readonly string[] {
  return world.outcomeOf(pointFound).snapshots.map(({ id }) => id);
}

function sayTimes(world: World): readonly string[] {
  const begun = world.traceOf(newVolumes).calls[0]?.sentAt ?? world.now();
  const [open, serves, mounted, end] = [opened, stagingServes, mountedForUse, looked].map(
    (each) => world.findOutcome(each)?.at,
  );
  return sayPhases({
    begun,
    phases: [
      ["volumes made and put in their places", open],
      ["mirrors started, and the groups", serves],
      ["mounted", mounted],
      ["checked", end],
    ],
    cutAt: world.outcomeOf(pointFound).cutAt,
    targetMinutes: stagingOf(world).targetMinutes,
  });
}

/** A step of the way back as one of the way forward. */
function onTheWay(undo: Step, { ends }: { readonly ends?: Step }): Step {
  return { ...undo, ...(ends && { ends }) };
}

function withoutEnd({ ends: _, ...rest }: Step): Step {
  return rest;
}

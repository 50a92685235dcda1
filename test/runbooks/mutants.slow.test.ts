/**
 * What the lab's rules are worth: for each promise of a restore (issue 3), a runbook that breaks it, played in a night in
 * which the true one ends well. A mutant that nobody catches means that a rule is too weak, or the lab too kind.
 * MUTANT=words plays those whose sentence has these words, and tells what was seen.
 *
 * Where a runbook guards a thing twice, a mutant needs as many patches; that is said beside it.
 */
import { describe, expect, it } from "vitest";

import {
  broughtBack,
  givenBack,
  halfStarted,
  interrupted,
  movedAtBoot,
  movedNames,
  pause,
  plainRun,
  restore,
  restoredBefore,
  restoreOne,
  staleSide,
} from "../support/mutant-nights.ts";
import { mutatedTexts, playNight, type Night, type Patch, type Seen } from "../support/mutants.ts";
import { answered, outcomeOf } from "../support/story.ts";

interface Mutant {
  readonly what: string;
  readonly night: Night;
  readonly patches: readonly Patch[];
  /** How the true runbook ends. */
  readonly ends: string;
  /** One of the rules that catch it; or, by the law for the end of a run, how what is left over begins. */
  readonly caughtBy: string;
  /** Played by `npm run laws`, and not by every `npm test`. */
  readonly rarely?: true;
}

const joinHalf = `async () => world.outcomeOf(startMirrors).half !== node,
        () => world.cluster.finishRestore({ node, skipCopy: `;
const leftAsRestored = `async () => restored.length > 1 && !(await notStarted(world, restored)).includes(node),
        () => world.cluster.finishRestore({ node, skipCopy: `;
const hasStarted = "export async function hasStarted(world: World): Promise<boolean> {\n";
const anew = "steps/mirrors-anew.ts";

/** Guarded twice: once by what this run itself has seen, once by the dead-man timer that has fired. */
const stopsAgain: readonly Patch[] = [
  { file: "steps/service.ts", from: "if (back.length > 0)", to: "if (back.length > 99)" },
  {
    file: "steps/service.ts",
    from: `if (timer?.run !== world.run || timer.state !== "armed")`,
    to: "if (timer === null)",
  },
];

const greenCountsAsCopied: Patch = {
  file: "steps/one-side.ts",
  from: "if (!(await wasCopiedOver(world)))",
  to: "if ((await wasCopiedOver(world)) === null)",
};

/** The second guard of the old volumes' way back: no node goes off under a group. */
const underService: Patch = {
  file: "steps/nodes-down.ts",
  from: `throw new Failure("precondition", "a group runs again: no node is powered off under it", {`,
  to: `if (world.run === "") throw new Failure("precondition", "a group runs", {`,
};

const mutants: readonly Mutant[] = [
  {
    what: "a resume tells the other side to skip the copy, when one side has served",
    night: halfStarted("resume"),
    patches: [{ file: anew, from: `${joinHalf}false`, to: `${joinHalf}true` }],
    ends: "succeeded",
    caughtBy: "a side is told to be identical only with one that holds the same",
  },
  {
    what: "the way back tells the other side to skip the copy, when one side has served",
    rarely: true,
    night: halfStarted("undo"),
    patches: [{ file: anew, from: `${leftAsRestored}false`, to: `${leftAsRestored}true` }],
    ends: "given back",
    caughtBy: "a side is told to be identical only with one that holds the same",
  },
  {
    what: "the other node of restore-one is told to skip the copy",
    night: restoreOne,
    patches: [
      {
        file: "steps/one-side.ts",
        from: "() => world.cluster.finishRestore({ node, skipCopy: false })",
        to: "() => world.cluster.finishRestore({ node, skipCopy: true })",
      },
    ],
    ends: "succeeded",
    caughtBy: "a side is told to be identical only with one that holds the same",
  },
  {
    // Four patches: two for the order, one for the look whether the restored side serves, one for the proof of the copy.
    what: "the other node of restore-one is let in before the restored one counts, and GREEN is taken for a copy",
    night: restoreOne,
    patches: [
      {
        file: "restore-one.ts",
        from: "    startMirrors,\n    forcedGood,\n    servesAlone,\n",
        to: "    startMirrors,\n    otherBooted,\n    otherProven,\n    otherStarted,\n    servesAlone,\n",
      },
      {
        file: "restore-one.ts",
        from: "{ otherBooted, pathsSetOnOther, otherProven, otherStarted, copiedOver, optionsBack }",
        to: "{ copiedOver, optionsBack }",
      },
      {
        file: "steps/one-side.ts",
        from: "    await assertServes(world);\n    return undefined;",
        to: "    return undefined;",
      },
      greenCountsAsCopied,
    ],
    ends: "succeeded",
    caughtBy: "two GREEN sides hold the same",
  },
  {
    what: "the way back puts the old volumes under a group that has served from the new ones",
    night: { ...restore, play: interrupted(outcomeOf("startMirrors"), "undo", pause(15)) },
    patches: [
      { file: anew, from: hasStarted, to: `${hasStarted}  if (world.run !== "") return false;\n` },
      underService,
    ],
    ends: "given back",
    caughtBy: "what a restore has replaced in service never serves again",
  },
  {
    what: "a resume stops a service that the dead-man timer brought back",
    night: {
      runbook: "backup-standby",
      play: interrupted(answered("cluster.stopGroup"), "resume", pause(20)),
    },
    patches: stopsAgain,
    ends: "given back",
    caughtBy: "a run takes the service away once",
  },
  {
    what: "a resume stops a service that a person brought back, before it shuts both nodes down",
    rarely: true,
    night: {
      runbook: "backup-both",
      play: interrupted(answered("cluster.stopGroup"), "resume", broughtBack),
    },
    patches: [{ file: "steps/nodes-down.ts", from: "if (back.length > 0)", to: "if (back.length > 99)" }],
    ends: "given back",
    caughtBy: "a run takes the service away once",
  },
  {
    what: "a resume moves a group away again that somebody has moved back",
    rarely: true,
    night: {
      runbook: "backup-active",
      play: interrupted(answered("cluster.moveGroup"), "resume", (sim) => sim.lab.failover()),
    },
    patches: [{ file: "steps/move.ts", from: "if (back.length > 0)", to: "if (back.length > 99)" }],
    ends: "given back",
    caughtBy: "a run takes the service away once",
  },
  {
    what: "the way back gives the post command over old volumes of which one is stale",
    night: { ...givenBack, prepare: staleSide },
    patches: [
      {
        file: "steps/nodes-down.ts",
        from: "() => world.cluster.enableService({ node }),",
        to: "() => world.cluster.finishRestore({ node, skipCopy: true }),",
      },
    ],
    ends: "given back",
    caughtBy: "a side is told to be identical only with one that holds the same",
  },
  {
    what: "the mirrors are started on devices that nobody has proven",
    rarely: true,
    night: movedNames,
    patches: [{ file: anew, from: "if (found?.volume !== made)", to: "if (found?.volume === null)" }],
    ends: "given back",
    caughtBy: "no partition is destroyed",
  },
  {
    what: "both nodes are taken out of backup mode on devices that nobody has proven",
    rarely: true,
    night: movedAtBoot,
    patches: [
      {
        file: "steps/both.ts",
        from: "if (proven) await assertSameDevices(world, node, mirrors, proven);",
        to: "void proven;",
      },
    ],
    // Nothing that it could do by itself would be right: it says what moved, and leaves both nodes out of the cluster.
    ends: "stuck",
    caughtBy: "a mirror is started only on a device of its own",
  },
  {
    what: "the nodes are switched off without being prepared, and boot into the cluster with new volumes",
    rarely: true,
    night: restore,
    patches: [
      {
        file: "steps/nodes-down.ts",
        from: "() => world.cluster.prepareRestore({ node }),",
        to: "() => world.cloud.stopInstance({ instance: world.instanceOf(node) }),",
      },
    ],
    ends: "succeeded",
    caughtBy: "no node boots into the cluster with a restored volume that nobody has started there",
  },
  {
    // Two patches: that nothing runs is looked at again before the shutdown.
    what: "the nodes are shut down under the groups",
    rarely: true,
    night: restore,
    patches: [
      { file: "restore.ts", from: "    stopAll,\n    prepareNodes,", to: "    prepareNodes,\n    stopAll," },
      {
        file: "steps/nodes-down.ts",
        from: `if (!(await nothingRuns(world, groups, true)))
      throw new Failure("precondition", "a group runs again: no node is shut down under it");
    // One`,
        to: "// One",
      },
    ],
    ends: "succeeded",
    caughtBy: "no node is taken down under a group that runs on it",
  },
  {
    what: "the old volumes are deleted when the new ones are in",
    rarely: true,
    night: restore,
    patches: [
      {
        file: "steps/volumes.ts",
        from: "  do: (world) => attach(world, newPlaces(world)),",
        to: `  do: async (world) => {
    await attach(world, newPlaces(world));
    for (const { swap } of places(world)) await world.cloud.deleteVolume({ volume: swap.old });
  },`,
      },
    ],
    ends: "succeeded",
    caughtBy: "an old volume is kept as it is, and comes back only to its own place",
  },
  {
    what: "the way back forgets the volumes that the run made",
    rarely: true,
    night: givenBack,
    patches: [
      {
        file: "steps/volumes.ts",
        from: "return (await madeSoFar(world)).length === 0 ? { deleted: true } : undefined;",
        to: "return { deleted: true };",
      },
    ],
    ends: "given back",
    caughtBy: "left over: volume",
  },
  {
    what: "a fast restore that the run switched on stays on",
    rarely: true,
    night: { ...restore, play: plainRun({ warm: "fast" }) },
    patches: [
      {
        file: "steps/warm.ts",
        from: `if ((await world.cloud.getFastRestore(pair)).state !== "off") return undefined;`,
        to: `if ((await world.cloud.getFastRestore(pair)).state === "enabling") return undefined;`,
      },
    ],
    ends: "succeeded",
    caughtBy: "left over: fast restore",
  },
  {
    what: "a drill leaves its volumes",
    night: { ...restore, runbook: "drill" },
    patches: [
      {
        file: "steps/drill-volumes.ts",
        from: "(await listed(world)).length === 0 ? { deleted: true } : undefined",
        to: "(await listed(world)).length >= 0 ? { deleted: true } : undefined",
      },
    ],
    ends: "succeeded",
    caughtBy: "left over: volume",
  },
  {
    // Two patches: what is the drill's own is told by its tag, and which of them is which by another.
    what: "a drill takes an old volume of the cluster for its own, mounts it, and deletes it",
    rarely: true,
    night: { ...restore, runbook: "drill", prepare: restoredBefore },
    patches: [
      {
        file: "steps/drill-volumes.ts",
        from: "world.cloud.findVolumes({ [drillTag]: world.run })",
        to: `world.cloud.findVolumes({ "runbook:old-node": "server1" })`,
      },
      {
        file: "steps/drill-volumes.ts",
        from: `found.find(({ tags }) => tags["runbook:snapshot"] === snapshot)`,
        to: `found.find(() => snapshot !== "")`,
      },
    ],
    ends: "succeeded",
    caughtBy: "an old volume is kept as it is, and comes back only to its own place",
  },
];

const only = process.env["MUTANT"];
const all = only !== undefined || process.env["ROW_STEP"] !== undefined;

const truths = new Map<Night, Promise<Seen>>();
/** With the product's own runbook; once for all mutants of the same night. */
function truthOf(night: Night): Promise<Seen> {
  const known = truths.get(night) ?? playNight(night);
  truths.set(night, known);
  return known;
}

describe("a mutant is caught in a night in which the true runbook ends well", () => {
  it.each(mutants.filter(({ what, rarely }) => (all || !rarely) && what.includes(only ?? "")))(
    "$what: $caughtBy",
    { timeout: 300_000 },
    async ({ night, patches, ends, caughtBy }) => {
      const truth = await truthOf(night);
      expect(truth).toMatchObject({ end: ends, wrong: [], left: [], gaps: [] });
      const seen = await playNight(night, patches);
      if (only !== undefined) process.stderr.write(`${JSON.stringify(seen, undefined, 2)}\n`);
      const caught = [...seen.rules, ...seen.left].some((line) => line.startsWith(caughtBy));
      expect(caught, JSON.stringify(seen)).toBe(true);
    },
  );

  it("also those that are played rarely still are what they say", () => {
    for (const { patches } of mutants) expect(mutatedTexts(patches).size).toBeGreaterThan(0);
  });
});

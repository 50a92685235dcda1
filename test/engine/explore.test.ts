/** No path through a built-in runbook ends badly, and the exploration sees it where one would. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { nearest } from "../../src/config/nearest.ts";
import { nothing } from "../../src/engine/events.ts";
import { judgeBack, judgeEnd, judgeSetOut } from "../../src/engine/explore-rules.ts";
import { explore } from "../../src/engine/explore.ts";
import { lint } from "../../src/engine/lint.ts";
import { combinationsOf } from "../../src/runbook/combinations.ts";
import type { HookSetting } from "../../src/runbook/hook-setting.ts";
import { layOut, readParams, unitsOf, type Stage } from "../../src/runbook/list.ts";
import {
  approve,
  check,
  eachNode,
  minutes,
  oneOf,
  runbook,
  step,
  together,
  wait,
  type Entry,
  type Params,
  type Runbook,
  type Step,
} from "../../src/runbook/step.ts";

const names = readdirSync("runbooks").flatMap((file) => /^(.*)\.ts$/.exec(file)?.[1] ?? []);
const builtIn = async (name: string): Promise<Runbook> => {
  const loaded = (await import(join(process.cwd(), "runbooks", `${name}.ts`))) as { default: Runbook };
  return loaded.default;
};
const stagesOf = (book: Runbook, given: Params): readonly Stage[] =>
  layOut(book, readParams(book, given), book.onScratch ? ["scratch"] : ["active", "standby"]);

describe("the built-in runbooks", () => {
  test("are there", () => {
    expect(names).toContain("backup-standby");
    expect(names.length).toBeGreaterThan(12);
  });

  test.each(names)("%s: with all its parameters, every path ends well", async (name) => {
    const { findings, lists, complete, states, transitions } = lint(await builtIn(name), nearest);
    expect(findings).toEqual([]);
    expect(complete).toBe(true);
    expect(lists).toBeGreaterThan(0);
    expect(states).toBeGreaterThan(lists);
    expect(transitions).toBeGreaterThan(states);
  });
});

test("with hooks around every phase, each of which may be skipped, every path ends well too", async () => {
  const hooks = (["service-stop", "cut", "service-return", "run"] as const).map((around): HookSetting => {
    const command = ["/usr/local/bin/hook", around];
    const how = { user: "root", seconds: 60, onFailure: "give-back" } as const;
    return { name: around, around, on: "active", before: command, after: command, ...how };
  });
  const book = await builtIn("backup-standby");
  const hooked = { runbook: "backup-standby", hooks };
  const stages = layOut(book, readParams(book, {}), ["active", "standby"], hooked);
  expect(unitsOf(stages).some(({ step: one }) => one.skippable === true)).toBe(true);
  expect(explore(stages).findings).toEqual([]);
});

describe("a step of a built-in runbook without its undo", () => {
  const exposing = names.map(async (name) => {
    const book = await builtIn(name);
    return combinationsOf(book).all.flatMap((params) =>
      unitsOf(stagesOf(book, params)).flatMap(({ key, step: one }) =>
        one.exposes === undefined ? [] : [{ book, params, key, step: one }],
      ),
    );
  });

  test("is found, and named, for each step that exposes something", async () => {
    const all = (await Promise.all(exposing)).flat();
    const steps = [...new Set(all.map((one) => one.step))];
    // The shortest list that has it: each is walked.
    const shortest = steps.map((one) =>
      all
        .filter((other) => other.step === one)
        .map((other) => ({ ...other, stages: stagesOf(other.book, other.params) }))
        .reduce((a, b) => (a.stages.length <= b.stages.length ? a : b)),
    );
    expect(steps.map(({ title }) => title).length).toBeGreaterThan(8);
    for (const { key, stages, step: one } of shortest) {
      const { findings } = withoutUndo(one, () => explore(stages));
      const what = { service: "the service", redundancy: "redundancy", cost: "money" }[one.exposes ?? "cost"];
      expect(findings, key).toEqual([
        {
          step: key,
          what: `takes ${what} and has no undo: when it fails, or a step after it, nothing gives that back`,
        },
      ]);
    }
  });

  /** In place, since other steps know it by itself. */
  function withoutUndo<T>(one: Step, look: () => T): T {
    const open = one as { undo?: Step["undo"] };
    const { undo } = open;
    if (undo === undefined) throw new Error(`${one.title} has no undo`);
    delete open.undo;
    try {
      return look();
    } finally {
      open.undo = undo;
    }
  }
});

describe("a built-in list in another order", () => {
  const early = "starts mirrors before a step has proven their devices";
  const loud = "cuts volumes before a step has proven that nothing writes to them";
  const on = "cuts volumes before a step has proven that their nodes are off";
  test.each([
    ["restore", "startMirrors", "devicesProven", early],
    ["restore", "devicesProven", "bootNodes", early],
    ["rollback", "devicesProven", "bootNodes", early],
    ["restore-one", "otherProven", "otherBooted", early],
    ["backup-standby", "snapshotVolumes", "breakMirrors", loud],
    ["backup-standby", "snapshotVolumes", "prepareStandby", on],
    ["backup-standby", "startStandby", "snapshotVolumes", on],
    ["backup-standby", "mirrorsBack", "snapshotVolumes", loud],
    ["backup-both", "cutBoth", "prepareBoth", on],
    ["backup-both", "groupsBack", "prepareBoth", loud],
  ])("%s: %s before %s", async (name, key, before, what) => {
    const book = await builtIn(name);
    const stages = stagesOf(book, combinationsOf(book).all[0] ?? {});
    const rest = stages.filter((stage) => stage.key !== key);
    const at = rest.findIndex((stage) => stage.key === before);
    const moved = [...rest.slice(0, at), ...stages.filter((stage) => stage.key === key), ...rest.slice(at)];
    const told = explore(moved).findings.map((finding) => `${finding.step ?? "-"} ${finding.what}`);
    expect(told.join("\n")).toContain(what);
  });
});

const plain = (title: string) => ({ title, done: async () => undefined, within: minutes(1) });
const act = (title: string, more: Partial<Step> = {}): Step =>
  step({ ...plain(title), do: async () => undefined, ...(more as object) });
const bookOf = (steps: { readonly [key: string]: Entry }) => runbook({ title: "A test", steps: () => steps });
const found = (steps: { readonly [key: string]: Entry }) =>
  lint(bookOf(steps), nearest).findings.map(({ step: key, what }) => `${key ?? "-"}: ${what}`);

const trouble = { kind: "timeout", message: "too late" };
const holds = check("It holds", async () => true);
const back = act("Give it back");

describe("a list", () => {
  test("of every kind of step is clean", () => {
    const take = act("Take it", { exposes: "service", undo: () => back });
    const both = act("On each", { undo: () => back });
    expect(
      found({
        holds,
        take,
        asked: approve("Go on?"),
        both: eachNode(both),
        parts: together({ one: wait(plain("One")), other: act("Other", { skippable: true }) }),
        back: act("End it", { ends: take }),
      }),
    ).toEqual([]);
  });

  test("that costs money which no step ends is told, and one whose end may be skipped is not: a run names it", () => {
    const costs = act("Make it", { exposes: "cost", undo: () => back });
    expect(found({ costs, other: act("Other") })).toEqual([
      "costs: takes money, and no step in the list ends that",
    ]);
    expect(found({ costs, end: act("End", { ends: costs, skippable: true }) })).toEqual([]);
  });

  test("whose end stands before what it ends is told", () => {
    const take = act("Take it", { exposes: "redundancy", undo: () => back });
    expect(found({ end: act("End", { ends: take }), take })).toContain(
      'end: ends "Take it", which is not in the list before it',
    );
  });

  test("whose exposure has an undo of no steps is told", () => {
    const take = act("Take it", { exposes: "service", undo: () => [] });
    expect(found({ take, end: act("End", { ends: take }) })).toEqual([
      "take: takes the service, and its undo is an empty list",
    ]);
  });

  test("with words that are missing, wrong or spelled wrong is told, and what was meant", () => {
    const typo = { ...act("Typo"), exposse: "service" } as Step;
    const odd = act("Odd", { exposes: "servise" as "service", undo: () => back });
    expect(found({ typo, odd, end: act(" ", { ends: odd, within: 0 }) })).toEqual([
      'typo: has the word "exposse", which no step knows; did you mean "exposes"?',
      'odd: says exposes: "servise"; wanted "service", "redundancy", "cost"',
      "end: has no title",
      "end: has no limit: say how long it may take (`within: minutes(5)`)",
    ]);
    expect(found({ nothing: undefined as unknown as Step })).toEqual([
      '-: "nothing" in the list is no step, nor `eachNode` or `together` of steps',
    ]);
  });

  test("of a parameter that no word has made is told", () => {
    const book = runbook({
      title: "A test",
      params: { how: ["a", "b"] as never, when: oneOf() },
      steps: () => ({ holds }),
    });
    expect(lint(book, nearest).findings).toEqual([
      { what: 'parameter "how" is no oneOf(…), named(…), count(…) or said(…)' },
      { what: 'parameter "when" is no oneOf(…), named(…), count(…) or said(…)' },
    ]);
  });

  test("of too many combinations of parameters is checked with each value once, and says so", () => {
    const values = oneOf("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q");
    const take = act("Take it", { exposes: "cost", undo: () => back });
    const book = runbook<{ one: string; two: string }>({
      title: "A test",
      params: { one: values, two: values },
      steps: ({ two }): { readonly [key: string]: Entry } => (two === "q" ? { take } : { holds }),
    });
    const { findings, complete } = lint(book, nearest);
    expect(complete).toBe(false);
    expect(findings).toEqual([
      { step: "take", what: "takes money, and no step in the list ends that", with: { one: "a", two: "q" } },
    ]);
  });

  test("that is wrong with some values of a parameter is told with one of them", () => {
    const take = act("Take it", { exposes: "service", undo: () => back });
    const end = act("End", { ends: take });
    const book = runbook<{ how: string; far: string }>({
      title: "A test",
      params: { how: oneOf("good", "bad"), far: oneOf("a", "b") },
      steps: ({ how }): { readonly [key: string]: Entry } => (how === "good" ? { take, end } : { take }),
    });
    expect(lint(book, nearest).findings).toEqual([
      {
        what: 'step "take" takes service, and no step in the list ends that (correct it in the file of "A test": the step that gives it back says `ends: take`)',
        with: { how: "bad" },
      },
    ]);
  });
});

describe("what the engine itself has to keep to", () => {
  const units = unitsOf(
    stagesOf(
      bookOf({ take: act("Take it", { undo: () => back }), more: act("More", { undo: () => back }) }),
      {},
    ),
  );
  const done = { ...nothing, begun: ["take", "more"], outcomes: { take: 1, more: 1 } };

  test("a run that is to be given back does not succeed, and one that is stuck says with what", () => {
    expect(judgeEnd(units, done, "succeeded")).toEqual([]);
    expect(judgeEnd(units, { ...done, goBack: true }, "succeeded")).toHaveLength(1);
    expect(judgeEnd(units, done, "stuck")).toHaveLength(1);
    expect(judgeEnd(units, { ...done, left: [{ unit: "take", trouble }] }, "stuck")).toEqual([]);
  });

  test("what was begun and has an undo is on the list, and what keeps the run safe is last of all", () => {
    expect(judgeSetOut(units, { ...done, list: ["more", "take"] })).toEqual([]);
    expect(judgeSetOut(units, { ...done, list: ["more"] })).toEqual([
      { step: "take", what: "was begun, and is not given back" },
    ]);
    expect(judgeBack(units, { ...done, list: ["take", "holdNodes"] })).toEqual([]);
    expect(judgeBack(units, { ...done, list: ["holdNodes", "take"] })).toHaveLength(1);
  });
});

describe("the order of proofs", () => {
  const proof = wait({ ...plain("Prove the devices"), proves: "devices" });
  const start = act("Start the mirrors", { startsMirrors: true });
  const boot = act("Boot", { boots: true });
  const early =
    'start: starts mirrors before a step has proven their devices, since the last boot (`proves: "devices"`)';

  test("a start of mirrors comes after a proof of the same boot", () => {
    expect(found({ boot, proof, start })).toEqual([]);
    expect(found({ boot, start, proof })).toEqual([early]);
    expect(found({ proof, boot, start })).toEqual([early]);
    expect(found({ proof, first: act("Start one", { startsMirrors: true }), start })).toEqual([early]);
  });

  test("a proof that may be skipped is none", () => {
    const skippable = act("Prove", { proves: "devices", skippable: true });
    expect(found({ skippable, start })).toEqual([early]);
  });

  test("a start may prove the devices itself, by its `must`, and on the way back it has to", () => {
    const itself = act("Start", { startsMirrors: true, proves: "devices", must: async () => undefined });
    const claims = act("Start", { startsMirrors: true, proves: "devices" });
    expect(found({ itself, other: act("Other", { undo: () => itself }) })).toEqual([]);
    expect(found({ claims })).toContain(
      "claims: says that it proves the devices of the mirrors that it starts, and has no `must`",
    );
    expect(found({ other: act("Other", { undo: () => [start] }) })).toEqual([
      'other: its undo "Start the mirrors" starts mirrors, and does not prove their devices',
    ]);
  });

  const loud =
    'cut: cuts volumes before a step has proven that nothing writes to them, or after that was over (`proves: "quiet"`)';
  const on = 'cut: cuts volumes before a step has proven that their nodes are off (`proves: "off"`)';

  test("a cut comes after what proves it quiet and its nodes off, and before either is over", () => {
    const stop = act("Stop", { exposes: "service", undo: () => back });
    const quiet = wait({ ...plain("Quiet"), proves: "quiet" });
    const off = act("Shut down", { proves: "off" });
    const cut = act("Cut", { cuts: "both" });
    const again = act("Start", { ends: stop });
    const serves = act("Serve", { mayServe: true });
    expect(found({ stop, quiet, off, cut, again })).toEqual([]);
    expect(found({ stop, quiet, cut, off, again })).toEqual([on]);
    expect(found({ stop, off, cut, quiet, again })).toEqual([loud]);
    expect(found({ stop, quiet, off, again, cut })).toEqual([loud]);
    expect(found({ stop, quiet, off, serves, cut, again })).toEqual([loud]);
    expect(found({ stop, quiet, off, boot, cut, again })).toEqual([loud, on]);
  });

  test("what is quiet by a break of its own stays so while the service is back", () => {
    const stop = act("Stop", { exposes: "service", undo: () => back });
    const broken = act("Break", { exposes: "redundancy", proves: "quiet", undo: () => back });
    const off = act("Shut down", { proves: "off" });
    const cut = act("Cut", { cuts: "standby" });
    const again = act("Start", { ends: stop });
    const whole = act("In sync", { ends: broken });
    expect(found({ stop, broken, again, off, cut, whole })).toEqual([]);
    expect(found({ stop, broken, again, off, whole, cut })).toEqual([loud]);
  });
});

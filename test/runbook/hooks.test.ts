import { afterEach, describe, expect, it } from "vitest";

import { planText } from "../../src/cli/plan-text.ts";
import { hookKey, type HookSetting } from "../../src/runbook/hook-setting.ts";
import { layOut, unitsOf } from "../../src/runbook/list.ts";
import { runbook, step, wait, check, type Entry, type Step } from "../../src/runbook/step.ts";
import { golden } from "../support/golden.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";

const hook = (name: string, more: Partial<HookSetting> = {}): HookSetting => ({
  name,
  around: "service-stop",
  on: "server1",
  before: ["/opt/begin"],
  after: ["/opt/end"],
  user: "root",
  seconds: 60,
  onFailure: "give-back",
  ...more,
});

const plain = (title: string, more: Partial<Step> = {}): Step => ({
  ...step({ title, done: async () => undefined, do: async () => undefined, within: 1000 }),
  ...more,
});
const stop = plain("stop", { exposes: "service" });
const list: { readonly [key: string]: Entry } = {
  look: check("look", async () => true),
  arm: plain("arm"),
  stop,
  cut: plain("cut", { cuts: "standby" }),
  start: plain("start", { ends: stop }),
  record: plain("record"),
};

function keys(steps: { readonly [key: string]: Entry }, hooks: readonly HookSetting[], more = {}) {
  const book = runbook({ title: "b", steps: () => steps, ...more });
  return unitsOf(layOut(book, {}, ["server1", "server2"], { runbook: "b", hooks })).map(({ key }) => key);
}

describe("where hooks stand in a list", () => {
  it("is around their phase: before it and after it, and around everything between the marks of the run", () => {
    const hooks = [
      hook("stop"),
      hook("cut", { around: "cut" }),
      hook("return", { around: "service-return" }),
      hook("all", { around: "run" }),
    ];
    expect(keys(list, hooks)).toEqual([
      "look",
      "hooksKnown",
      "holdNodes",
      "hookAllBefore",
      "arm",
      "hookStopBefore",
      "stop",
      "hookStopAfter",
      "hookCutBefore",
      "cut",
      "hookCutAfter",
      "hookReturnBefore",
      "start",
      "hookReturnAfter",
      "record",
      "hookAllAfter",
      "releaseNodes",
    ]);
  });

  it("nests several around one phase: the first of the file begins first and ends last", () => {
    const hooks = [hook("b", { around: "cut" }), hook("a", { around: "cut" })];
    expect(keys(list, hooks).filter((key) => /^(hook.*(Before|After)|cut)$/.test(key))).toEqual([
      "hookBBefore",
      "hookABefore",
      "cut",
      "hookAAfter",
      "hookBAfter",
    ]);
  });

  it("is there for what is said only: before alone, after alone; what is due after all is begun with the run", () => {
    const hooks = [
      hook("x", { after: null }),
      hook("y", { around: "cut", before: null }),
      hook("z", { around: "run", before: null }),
    ];
    expect(keys(list, hooks).filter((key) => /^hook.*(Before|After)$/.test(key))).toEqual([
      "hookZBefore",
      "hookXBefore",
      "hookYAfter",
      "hookZAfter",
    ]);
  });

  it("is nowhere for a phase that the runbook does not have, nor in one without nodes, on scratch, or that takes over", () => {
    const { look, record } = list;
    const short = { look, record } as { readonly [key: string]: Entry };
    const hooks = [hook("stop"), hook("cut", { around: "cut" })];
    expect(keys(short, hooks)).toEqual(["look", "holdNodes", "record", "releaseNodes"]);
    expect(keys(list, [])).toEqual(["look", "holdNodes", ...Object.keys(list).slice(1), "releaseNodes"]);
    for (const word of ["cloudOnly", "onScratch", "takesOver"])
      expect(keys(list, hooks, { [word]: true }).filter((key) => key.startsWith("hook"))).toEqual([]);
  });

  it("is around each stop of a list that has several, and around a move as a whole", () => {
    const move = plain("move", { exposes: "service", servedBy: "standby" });
    const twice = {
      move,
      moved: wait({ title: "moved", done: async () => 1, within: 1000, ends: move }),
      stop,
      start: list["start"] as Step,
    };
    expect(keys(twice, [hook("f"), hook("r", { around: "service-return" })])).toEqual([
      "hooksKnown",
      "holdNodes",
      "hookFBefore",
      "move",
      "moved",
      "hookFAfter",
      "hookFBefore2",
      "stop",
      "hookFAfter2",
      "hookRBefore",
      "start",
      "hookRAfter",
      "releaseNodes",
    ]);
  });

  it("is given back right after the service, and what is around the run last of all", () => {
    const book = runbook({ title: "b", steps: () => list });
    const hooks = [
      hook("stop"),
      hook("return", { around: "service-return" }),
      hook("all", { around: "run" }),
    ];
    const units = unitsOf(layOut(book, {}, ["server1", "server2"], { runbook: "b", hooks }));
    const whens = units.flatMap(({ key, step: each }) =>
      /^hook.*Before$/.test(key) ? [[key, each.undoWhen]] : [],
    );
    expect(whens).toEqual([
      ["hookAllBefore", "last"],
      ["hookStopBefore", "after service"],
      ["hookReturnBefore", "after service"],
    ]);
  });

  it("is refused where a step of the runbook has that name", () => {
    expect(() => keys({ ...list, hookStopAfter: plain("mine") }, [hook("stop")])).toThrow(
      /"hookStopAfter" is that of a hook/,
    );
  });
});

it("a hook's key has the letters and digits of its name", () => {
  expect(["freeze orders", "a-b_c.9", "x"].map(hookKey)).toEqual(["FreezeOrders", "ABC9", "X"]);
});

describe("in a plan", () => {
  let sim: Simulation;
  const open = async (options: SimulationOptions) => (sim = await openSimulation(options));
  afterEach(() => sim.close());

  it("hooks stand like any other step, with exactly what will be sent, and read like this", async () => {
    await open({
      hooks: [
        hook("freeze orders", {
          on: "active",
          before: ["/opt/orders/freeze", "--quick"],
          after: ["/opt/orders/thaw"],
        }),
        hook("flush", { around: "cut", on: "standby", before: ["sync"], after: null, onFailure: "go-on" }),
        hook("tell", { around: "run", before: null, after: ["logger", "backup is over"], user: "nobody" }),
      ],
    });
    const plan = await sim.runner().plan({ service: "early" });
    golden(
      "backup-standby.hooks.plan.txt",
      planText(plan, { color: false, width: 120 })
        .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "«time»")
        .replace(/plan [0-9a-f]{12}, runbook file [0-9a-f]{12}/, "plan «hash», runbook file «hash»")
        .replaceAll(plan.hash, "«hash»"),
    );
  });

  it("a hook that may not be missing refuses the plan where its node is off, or cannot be told", async () => {
    await open({ hooks: [hook("flush", { around: "cut", on: "standby" })] });
    await expect(sim.runner().plan()).rejects.toMatchObject({
      kind: "precondition",
      message:
        'hooksKnown: hook "flush" cannot be run (before the cut): server2 is off when the volumes are cut',
    });
    sim.close();
    await open({ runbook: "runbooks/backup-both.ts", hooks: [hook("flush", { around: "cut" })] });
    await expect(sim.runner().plan()).rejects.toThrow(/server1 is off when the volumes are cut/);
    sim.close();
    await open({ runbook: "runbooks/resync.ts", hooks: [hook("any", { around: "run", on: "active" })] });
    await expect(sim.runner().plan()).rejects.toThrow(/which node is the active one cannot be told/);
  });

  it("what is run before the service returns is run before the cluster may bring it back by itself", async () => {
    await open({ runbook: "runbooks/backup-both.ts", hooks: [hook("x", { around: "service-return" })] });
    const { units } = await sim.runner().plan();
    const at = (key: string) => units.findIndex((unit) => unit.key === key);
    expect(at("bootBoth")).toBe(at("hookXBefore") - 1);
    expect(at("finishBoth")).toBe(at("hookXBefore") + 1);
    expect(at("hookXAfter")).toBe(at("groupsBack") + 1);
  });

  it("hooks are part of what was reviewed: another command is another plan", async () => {
    await open({ hooks: [hook("x")] });
    const one = await sim.runner().plan();
    sim.close();
    await open({ hooks: [hook("x", { seconds: 61 })] });
    const other = await sim.runner().plan();
    expect(one.hash).not.toBe(other.hash);
    expect(one.settings.hooks).toEqual([hook("x")]);
  });
});

/**
 * The laws of hooks: once its `before` was begun, an `after` is run whatever happened, and each is run once where nothing was
 * lost; a hook that fails does what it was told to do; none keeps the service down.
 *
 * The commands write into a log of their node, which outlives its boots.
 */
import { afterEach, describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import type { Fault } from "../../src/lab/world.ts";
import type { HookPhase, HookSetting } from "../../src/runbook/hook-setting.ts";
import { everyRow, killAndResume, type Killing, type Outcome } from "../support/kill.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { minutes, story, takeUp } from "../support/story.ts";
import { worldOf } from "../support/world.ts";
import { differences } from "../../src/lab/compare.ts";

const log = "/var/log/hooks";
/** Each line: the hook, the phase, the way, the node. A command of a hook may do more before it writes, and after. */
const writes = (before = "", after = "") => [
  "sh",
  "-c",
  `${before} echo "$RUNBOOK_HOOK $RUNBOOK_PHASE $RUNBOOK_WAY $RUNBOOK_NODE" >> ${log}; ${after}`,
];
const hook = (around: HookPhase, more: Partial<HookSetting> = {}): HookSetting => ({
  name: around.replace("service-", ""),
  around,
  on: "active",
  before: writes(),
  after: writes(),
  user: "root",
  seconds: 60,
  onFailure: "give-back",
  ...more,
});

/** What the hooks wrote on all nodes; "stop before" for short. */
function logged(sim: Simulation): readonly string[] {
  return [...sim.lab.nodes.values()].flatMap(({ files }) =>
    files.find(log) ? files.read(log).trim().split("\n") : [],
  );
}
const short = (line: string) => line.replace(/^(\S+) (before|after)-\S+ .*$/, "$1 $2");
const times = (lines: readonly string[], what: string) => lines.filter((line) => short(line) === what).length;

const everywhere: readonly HookSetting[] = [
  hook("service-stop"),
  hook("cut"),
  hook("service-return"),
  hook("run"),
  hook("run", { name: "tell", before: null }),
];
const inTheBackup = [
  "run before",
  "stop before",
  "stop after",
  "return before",
  "return after",
  "cut before",
  "cut after",
  "tell after",
  "run after",
];

let sim: Simulation;
afterEach(() => sim?.close());
async function begun(hooks: readonly HookSetting[], more: SimulationOptions = {}) {
  sim = await openSimulation({ ...more, hooks });
  const before = worldOf(sim.lab);
  return {
    runner: sim.runner(),
    /** What is different in the world, once it has come to rest. */
    changed: async () => {
      await settle(sim.lab);
      return differences(before, worldOf(sim.lab));
    },
  };
}
const clean = () => {
  expect(sim.gaps()).toEqual([]);
  expect(sim.breaches).toEqual([]);
};

describe("hooks around a backup", () => {
  it("are run once each, in their order, on their node, and the world is as it was", async () => {
    const { runner, changed } = await begun(everywhere);
    const { ended } = await runner.run({ service: "early" });
    expect(ended.end).toBe("succeeded");
    expect(logged(sim).map(short)).toEqual(inTheBackup);
    expect(new Set(logged(sim).map((line) => line.split(" ").slice(2).join(" ")))).toEqual(
      new Set(["forward server1"]),
    );
    expect(await changed()).toEqual([]);
    clean();
  });

  it("are run on the node that serves when the groups move, and around each stop", async () => {
    const { runner } = await begun([hook("service-stop"), hook("service-return"), hook("cut")], {
      runbook: "runbooks/backup-active.ts",
    });
    const { ended } = await runner.run({ service: "late", after: "back" });
    expect(ended.end).toBe("succeeded");
    const at = (node: string) =>
      logged(sim)
        .filter((line) => line.endsWith(node))
        .map(short);
    expect(at("server1")).toEqual(["stop before", "stop after"]);
    expect(at("server2")).toEqual([
      "stop before",
      "stop after",
      "cut before",
      "cut after",
      "return before",
      "return after",
      "stop before",
      "stop after",
    ]);
    clean();
  });

  it("of both sides are run while nothing serves: before the nodes are let into the cluster again", async () => {
    const { runner, changed } = await begun(
      [hook("service-stop"), hook("service-return", { on: "server2" })],
      {
        runbook: "runbooks/backup-both.ts",
      },
    );
    let serving: string | undefined = "not asked";
    const { ended } = await runner.run(
      {},
      {
        onLine: ({ kind, body }) => {
          if (kind === "outcome" && body["unit"] === "hookReturnBefore")
            serving = sim.lab.cluster().nodeOf("failover1");
        },
      },
    );
    expect([ended.end, serving]).toEqual(["succeeded", undefined]);
    expect(logged(sim).map(short)).toEqual(["stop before", "stop after", "return before", "return after"]);
    expect(await changed()).toEqual([]);
    clean();
  });

  it("that take longer than the dead-man timer and the marks last keep neither from being renewed", async () => {
    const long = hook("service-stop", { before: null, after: writes("sleep 1500;"), seconds: 1800 });
    const { runner, changed } = await begun([long]);
    const { ended, walk } = await runner.run({ service: "early" });
    expect([ended.end, ended.why]).toEqual(["succeeded", undefined]);
    expect(walk.logbook.lines.filter(({ kind }) => kind === "trouble")).toEqual([]);
    expect(await changed()).toEqual([]);
    clean();
  });

  it("that are left out, for their node is off, are told and run nowhere", async () => {
    const { runner } = await begun([hook("cut", { on: "standby", onFailure: "go-on" })]);
    const { ended, walk } = await runner.run({ service: "early" });
    expect(ended.end).toBe("succeeded");
    expect(logged(sim)).toEqual([]);
    expect(JSON.stringify(walk.logbook.lines)).toContain(
      "is left out: server2 is off when the volumes are cut",
    );
  });
});

const fails = writes("", "exit 1");
const hangs = writes("", "sleep 9999");

describe("a `before` that fails", () => {
  it.each([
    ["service-stop", "ends with 1", fails, "ended with exit status 1"],
    ["cut", "takes too long", hangs, "took longer than 60 s, and was ended"],
    ["service-return", "ends with 1", fails, "ended with exit status 1"],
    ["run", "takes too long", hangs, "took longer than 60 s, and was ended"],
  ] as const)("(%s, it %s) gives everything back, and its `after` is run", async (around, _, before, why) => {
    const { runner, changed } = await begun([hook(around, { before })]);
    const { ended } = await runner.run({ service: "early" });
    const { name } = hook(around);
    expect(ended.end).toBe("given back");
    expect(ended.why).toContain(`the \`before\` of hook "${name}" ${why}`);
    expect(logged(sim).map(short)).toEqual([`${name} before`, `${name} after`]);
    expect(await changed()).toEqual([]);
    clean();
  });

  it("is told and passed over where the run goes on, also when its user is not there", async () => {
    for (const [more, why] of [
      [{ before: fails }, "ended with exit status 1; the run goes on"],
      [{ before: hangs }, "was ended; the run goes on"],
      [{ user: "nosuchuser" }, "could not be run: there is no user nosuchuser there; the run goes on"],
    ] as const) {
      const { runner } = await begun([hook("service-stop", { ...more, onFailure: "go-on" })]);
      const { ended, walk } = await runner.run({ service: "early" });
      expect(ended.end).toBe("succeeded");
      expect(JSON.stringify(walk.logbook.lines)).toContain(why);
      expect(times(logged(sim), "stop after")).toBe("user" in more ? 0 : 1);
      sim.close();
    }
  });

  it("on a node that does not answer has failed after a minute, and says why", async () => {
    for (const onFailure of ["give-back", "go-on"] as const) {
      const { runner, changed } = await begun([hook("service-stop", { on: "server2", onFailure })]);
      const { ended, walk } = await runner.run(
        { service: "early" },
        {
          onLine: ({ kind, body }) => {
            if (kind === "outcome" && body["unit"] === "armTimer") sim.lab.cutOperator("server2");
            const over = kind === "failure" || (kind === "outcome" && body["unit"] === "hookStopBefore");
            if (over) sim.lab.mendOperator("server2");
          },
        },
      );
      const why = 'the `before` of hook "stop" could not be run: server2 does not answer';
      expect([onFailure, ended.end]).toEqual([onFailure, onFailure === "go-on" ? "succeeded" : "given back"]);
      expect(JSON.stringify(walk.logbook.lines)).toContain(JSON.stringify(why).slice(1, -1));
      expect(logged(sim).map(short)).toEqual(["stop after"]);
      expect(await changed()).toEqual([]);
      clean();
      sim.close();
    }
  });

  it("stops the run where it is, and a resume runs it again, once what hindered it is mended", async () => {
    const before = writes("", "test -e /var/log/mended");
    const { runner, changed } = await begun([hook("service-return", { before, onFailure: "stop" })]);
    const { ended, walk } = await runner.run({ service: "early" });
    expect(ended.end).toBe("held");
    expect(ended.exposures.map(({ what }) => what)).toEqual(["service", "redundancy"]);
    expect(logged(sim).map(short)).toEqual(["return before"]);
    await sim.lab.shell.run("server1", ["touch", "/var/log/mended"], { timeoutMs: 60_000 });
    const again = await takeUp(sim, walk.run, "resume");
    expect(again.ended.end).toBe("succeeded");
    expect(logged(sim).map(short)).toEqual(["return before", "return before", "return after"]);
    expect(await changed()).toEqual([]);
    clean();
  });

  it("is tried again, or skipped, at a person's word, and each try is a run of its own", async () => {
    const before = writes("", "test -e /var/log/mended");
    const { runner } = await begun([hook("cut", { before }), hook("run", { before: fails })]);
    const asked: string[] = [];
    const { ended } = await runner.run(
      { service: "early" },
      {
        ask: async ({ units, maySkip }) => {
          const key = units[0]?.key ?? "";
          asked.push(`${key} ${maySkip ? "may be skipped" : "may not be skipped"}`);
          if (asked.length === 3)
            await sim.lab.shell.run("server1", ["touch", "/var/log/mended"], { timeoutMs: 60_000 });
          if (asked.length > 5) return { verb: "give-back", by: "me", why: "it never ends" };
          return { verb: key === "hookRunBefore" ? "skip" : "retry", by: "me", why: "mended" };
        },
      },
    );
    expect(ended.end).toBe("succeeded");
    expect(asked).toEqual([
      "hookRunBefore may be skipped",
      "hookCutBefore may be skipped",
      "hookCutBefore may be skipped",
    ]);
    expect(logged(sim).map(short)).toEqual([
      "run before",
      "cut before",
      "cut before",
      "cut before",
      "cut after",
      "run after",
    ]);
  });
});

describe("an `after`", () => {
  it.each([
    ["ends with 1", fails, "ended with exit status 1"],
    ["takes too long", hangs, "took longer than 60 s, and was ended"],
  ])("that %s is told, and hinders nothing", async (_, after, why) => {
    const { runner } = await begun(everywhere.map((each) => ({ ...each, after })));
    const { ended, walk } = await runner.run({ service: "early" });
    expect(ended.end).toBe("succeeded");
    expect(logged(sim).map(short)).toEqual(inTheBackup);
    const told = walk.logbook.lines.filter(
      ({ kind, body }) => kind === "outcome" && JSON.stringify(body["found"]).includes(why),
    );
    expect(told).toHaveLength(everywhere.length);
  });

  it("is run on the way back of whatever fails elsewhere, and never before the service is back", async () => {
    const deny: Parameters<Simulation["lab"]["heart"]["addFault"]>[0][] = [
      { match: "clpgrp -t", action: "fail-before", times: Infinity },
      { match: "/^clpmdctrl --break/", action: "fail-before", times: Infinity },
      { match: "clpbackup.sh --pre", action: "fail-before", times: Infinity },
    ];
    for (const fault of deny) {
      const { runner, changed } = await begun([
        hook("service-stop", { after: writes("sleep 40;") }),
        hook("run", { after: hangs }),
      ]);
      sim.lab.heart.addFault(fault);
      const { ended, walk } = await runner.run({ service: "late" });
      sim.lab.heart.faults.length = 0;
      expect([fault.match, ended.end]).toEqual([fault.match, "given back"]);
      expect([1, 1, 1, 1]).toEqual(
        ["stop before", "stop after", "run before", "run after"].map((what) => times(logged(sim), what)),
      );
      const { lines } = walk.logbook;
      const back = (unit: string) =>
        lines.findIndex(({ kind, body }) => kind === "undone" && body["unit"] === unit);
      const sent = (unit: string) =>
        lines.findIndex(
          ({ kind, body }) => kind === "sent" && body["unit"] === unit && body["direction"] === "back",
        );
      expect(back("stopGroups"), story(lines)).toBeLessThan(sent("hookRunBefore"));
      if (sent("hookStopBefore") !== -1) expect(back("stopGroups")).toBeLessThan(sent("hookStopBefore"));
      // And what waits for redundancy waits behind it.
      if (back("breakMirrors") !== -1 && sent("hookStopBefore") !== -1)
        expect(back("hookStopBefore")).toBeLessThan(back("breakMirrors"));
      expect(await changed()).toEqual([]);
      clean();
      sim.close();
    }
  });

  it("whose `before` was never begun is not run", async () => {
    const { runner } = await begun([
      hook("cut"),
      hook("service-return"),
      hook("service-stop", { before: fails }),
    ]);
    const { ended } = await runner.run({ service: "early" });
    expect(ended.end).toBe("given back");
    expect(logged(sim).map(short)).toEqual(["stop before", "stop after"]);
  });

  it("waits for a node that is down, keeps nothing else waiting, and else makes the run stuck until `undo`", async () => {
    const { runner } = await begun([hook("service-stop", { on: "server2" })]);
    const plan = await runner.plan({ service: "early" });
    const walk = await runner.start(plan, {
      onLine: ({ kind, body }) => {
        if (kind === "outcome" && body["unit"] === "hookStopBefore") sim.lab.killPower("server2");
      },
    });
    const ended = await walk.go();
    await walk.close();
    expect(ended.end).toBe("stuck");
    expect(ended.left.map(({ unit }) => unit.key)).toContain("hookStopBefore");
    expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
    sim.lab.cloud.start(sim.lab.node("server2").instance);
    await sim.clock.sleep(minutes(15));
    const again = await takeUp(sim, walk.run, "undo");
    expect([again.ended.end, again.ended.why]).toEqual(["given back", expect.anything()]);
    expect(logged(sim).map(short)).toEqual(["stop before", "stop after"]);
  });
});

/** 1 plays every one of these; a stride keeps `npm test` short. */
const writeStep = Number(process.env["WRITE_STEP"] ?? 61);

describe("a reply that is lost, or a node that refuses once", () => {
  const actions: readonly Fault["action"][] = ["lose-before", "lose-after", "fail-before", "fail-after"];
  const keys = [
    "hookStopBefore",
    "hookStopAfter",
    "hookReturnBefore",
    "hookReturnAfter",
    "hookCutBefore",
    "hookCutAfter",
    "hookTellAfter",
    "hookRunAfter",
  ];
  const cases = keys.flatMap((key) => actions.map((action) => [key, action] as const));

  it.each(cases.filter((_, i) => i % writeStep === 0))(
    "(%s %s) is settled by looking, and each command is run once",
    async (key, action) => {
      const { runner, changed } = await begun(everywhere);
      const fault = sim.lab.heart.addFault({ match: key, action });
      const { ended } = await runner.run({ service: "early" });
      expect(fault.left).toBe(0);
      // A `before` that its node could not begin has failed; all else is looked at, or asked again.
      const failed = action.startsWith("fail") && key.endsWith("Before");
      expect(ended.end).toBe(failed ? "given back" : "succeeded");
      const lines = logged(sim).map(short);
      for (const name of ["stop", "return", "cut", "run", "tell"]) {
        const [before, after] = [times(lines, `${name} before`), times(lines, `${name} after`)];
        expect(before).toBeLessThanOrEqual(1);
        expect([name, after]).toEqual([name, before === 1 || after === 1 ? 1 : 0]);
      }
      if (!failed) expect(lines).toEqual(inTheBackup);
      expect(await changed()).toEqual([]);
      clean();
    },
  );
});

describe("killed and resumed", () => {
  const sleepy = everywhere.map((each) => ({
    ...each,
    before: each.before && writes("sleep 5;"),
    after: writes("sleep 5;"),
  }));

  /** Kills at rows of hooks' steps, and names those after which it did not end as it should. */
  const killed = (
    night: Omit<Killing, "row" | "when">,
    many: number,
    isGood: (outcome: Outcome, lines: readonly string[]) => boolean,
  ): Promise<readonly string[]> =>
    everyRow(
      many,
      { look: logged, ...night },
      (outcome) =>
        outcome.end === "succeeded" &&
        [outcome.breaches, outcome.gaps].every((list) => list.length === 0) &&
        isGood(outcome, (outcome.looked as readonly string[]).map(short)),
      (unit) => unit.startsWith("hook"),
    );

  it(
    "at the rows of hooks: each is run once, and the run ends as if never killed",
    { timeout: 900_000 },
    async () => {
      const night = { params: { service: "early" }, world: { hooks: sleepy } };
      const bad = await killed(
        night,
        2,
        ({ changed }, lines) => changed.length === 0 && JSON.stringify(lines) === JSON.stringify(inTheBackup),
      );
      expect(bad).toEqual([]);
    },
  );

  it("and rebooted meanwhile: what has no outcome is run again, and no `after` is missing", async () => {
    const { runner } = await begun(sleepy);
    const { walk } = await runner.run({ service: "early" });
    const sent = walk.logbook.lines.findIndex(
      ({ kind, body }) => kind === "sent" && body["unit"] === "hookStopBefore",
    );
    const outcome = await killAndResume({
      row: sent,
      when: "after",
      params: { service: "early" },
      world: { hooks: sleepy },
      meanwhile: async (other) => {
        other.lab.rebootUnasked("server1");
        await other.clock.sleep(minutes(12));
      },
      look: logged,
    });
    const lines = (outcome.looked as readonly string[]).map(short);
    // The reboot of the active node failed the groups over: the run gives back.
    expect(outcome.end).toBe("given back");
    expect(times(lines, "stop after")).toBe(1);
    expect(times(lines, "run after")).toBe(1);
  });

  it("in a restore, which tells its commands the point", { timeout: 900_000 }, async () => {
    const hooks = [
      hook("service-stop", {
        before: ["sh", "-c", `echo "$RUNBOOK_POINT" >> /var/log/point`],
        after: writes(),
      }),
      hook("service-return"),
      hook("run"),
    ];
    let made = "";
    let told = "";
    const night = {
      params: {},
      world: { runbook: "runbooks/restore.ts", hooks },
      prepare: async (one: Simulation) => {
        const backup = one.runner(await one.open("runbooks/backup-standby.ts"));
        made = (await backup.run({ service: "early" })).walk.run;
        await one.lab.shell.run("server1", ["rm", "-f", log, "/var/log/point"], { timeoutMs: 60_000 });
        await settle(one.lab);
      },
      look: (one: Simulation) => {
        told = one.lab.node("server1").files.read("/var/log/point");
        return logged(one);
      },
    };
    const bad = await killed(
      night,
      1,
      (_, lines) =>
        told === `${made}\n` &&
        JSON.stringify(lines) ===
          JSON.stringify(["run before", "stop after", "return before", "return after", "run after"]),
    );
    expect(bad).toEqual([]);
  });
});

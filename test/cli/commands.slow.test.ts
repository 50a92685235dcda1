/**
 * Each command's ordinary use, by the built command line against a lab on the wire: what it says, its exit code, and, by
 * the lab's own log, what it really sent.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { stripVTControlCharacters } from "node:util";
import type { Received } from "../../src/lab/world.ts";
import { fills } from "../../src/runbook/later.ts";
import { requestLine, type Plan, type PlannedSend } from "../../src/runbook/plan.ts";
import type { Request } from "../../src/ports/driver.ts";
import { openStage, product, type Playing, type Stage } from "./play.ts";

// A world whose machines boot in seconds: limits of calls stay as long as they are for people, and nothing takes minutes.
const quick = {
  pace: 60,
  copySeconds: 15,
  cloud: { snapshotSeconds: 20 },
  nodeTimes: { boot: [6_000, 8_000], shutdown: [3_000, 5_000] },
} as const;

/** A short run with an effect that is easy to see, and as long a wait as a test wants. */
const shortRunbook = `
import { check, hours, minutes, oneOf, roles, runbook, step, wait } from "runbook";
let asked = 0;
export default runbook({
  title: "Suspend a monitor for a while",
  params: { wait: oneOf("no", "forever"), lies: oneOf("no", "yes"), exposes: oneOf("yes", "no") },
  steps: ({ wait, lies, exposes }) => {
    const taking = exposes === "yes" ? { ...suspend, exposes: "redundancy" } : suspend;
    return {
      roles,
      suspend: taking,
      ...(lies === "yes" ? { lie } : {}),
      ...(wait === "forever" ? { pause } : {}),
      resume: { ...resume, ends: taking },
    };
  },
});
const suspended = async (world) =>
  (await world.cluster.getState("server1")).monitors["mdw1"]?.["server1"] === "suspended";
const at = { monitor: "mdw1", node: "server1", via: "server1" };
const resume = step({
  title: "Resume the monitor",
  done: async (world) => ((await suspended(world)) ? undefined : { monitor: "mdw1" }),
  do: (world) => world.cluster.resumeMonitor(at),
  within: minutes(5),
});
const suspend = step({
  title: "Suspend the monitor",
  done: async (world) => ((await suspended(world)) ? { monitor: "mdw1" } : undefined),
  do: (world) => world.cluster.suspendMonitor(at),
  within: minutes(5),
  undo: () => resume,
});
// Planned as one thing, sent as another: only a check at the moment of sending can see it.
const lie = step({
  title: "Stop what was never told",
  done: async () => undefined,
  do: (world) => {
    asked += 1;
    return asked === 1
      ? world.cluster.suspendMonitor({ ...at, node: "server2", via: "server2" })
      : world.cluster.stopGroup({ group: "failover1", node: "server1" });
  },
  within: minutes(5),
});
const pause = wait({ title: "Wait for nothing", done: async () => undefined, within: hours(10) });
`;

const stages: Stage[] = [];
async function newStage(): Promise<Stage> {
  const stage = await openStage(quick);
  stages.push(stage);
  stage.put("runbooks/monitor.ts", shortRunbook);
  return stage;
}
const endStages = async () => {
  for (const stage of stages.splice(0)) await stage.end();
};

describe("around a whole backup", () => {
  let stage: Stage;
  let plan: Plan;
  const told: { planned: string; ran: { code: number | null; out: string; err: string }; run: string } = {
    planned: "",
    ran: { code: null, out: "", err: "" },
    run: "",
  };

  beforeAll(async () => {
    stage = await newStage();
    const made = await stage.play(["plan", "backup-standby", "--lab", "--out", "plan.json"]);
    told.planned = made.out;
    expect(made, made.err).toMatchObject({ code: 0, err: "" });
    expect(stage.touched(), "a plan only reads").toEqual([]);
    plan = JSON.parse(readFileSync(join(stage.cwd, "plan.json"), "utf8")) as Plan;
    told.ran = await stage.play(["run", "plan.json", "--lab", "--json"]);
    const runs = JSON.parse((await stage.play(["runs", "--json", "--lab"])).out) as { run: string }[];
    told.run = runs[0]?.run ?? "";
  });
  afterAll(endStages);

  test("a plan says where it is and how to run it", () => {
    expect(told.planned).toContain("The plan is in plan.json; run it with `runbook run plan.json`.");
    expect(told.planned).toBe(stripVTControlCharacters(told.planned));
  });

  test("a run of a plan sends what the plan lists, in its order, and nothing else", () => {
    expect(told.ran.code, told.ran.err + told.ran.out.slice(-2000)).toBe(0);
    const sent = stage.received().filter((row) => row.class !== "read");
    expect(sent.filter((row) => row.class === "gap")).toEqual([]);
    // The standby's own monitor came back with its boot: that it is resumed there is planned, and was not needed.
    expect(compare(plan, sent)).toEqual(["never sent: server2: clpmonctrl -r -h server2 -m mdw1"]);
    // The matcher itself must be able to say no.
    expect(compare(plan, sent.toSpliced(3, 1)).length).toBeGreaterThan(1);
    expect(compare(plan, [...sent, sent[4] as Received]).length).toBeGreaterThan(1);
    expect(compare(plan, sent.toReversed()).length).toBeGreaterThan(1);
  });

  test("with --json each line is an event of the journal, and words go to standard error", async () => {
    const events = told.ran.out
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string; body: { end?: string } });
    expect(events.at(-1)).toMatchObject({ kind: "end", body: { end: "succeeded" } });
    expect(told.ran.err).toBe(`run ${told.run} succeeded\n`);
    const shown = await stage.play(["show", told.run, "--json", "--lab"]);
    const kept = shown.out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    expect(kept.filter((kind) => kind === "sent").length).toBe(
      events.filter(({ kind }) => kind === "sent").length,
    );
  });

  test("what can be asked afterwards: runs, show, points, status, and plan with a history", async () => {
    const ask = async (...args: string[]) => {
      const said = await stage.play([...args, "--lab"]);
      expect(said, said.err).toMatchObject({ code: 0, err: "" });
      return said.out;
    };
    expect(await ask("runs")).toMatch(new RegExp(`^${told.run} .* succeeded +backup-standby on prod\n$`));
    expect(await ask("status")).toBe("nothing is running or waiting\n");
    expect(await ask("status", told.run)).toContain("succeeded");
    const shown = await ask("show", told.run);
    expect(shown).toContain("Snapshot the standby's mirror volumes at one instant");
    expect(shown).toBe(stripVTControlCharacters(shown));
    const points = JSON.parse(await ask("points", "--json")) as { run: string; consistency: string }[];
    expect(points).toMatchObject([
      { run: told.run, consistency: "quiesced", complete: true, tested: "never" },
    ]);
    expect(await ask("points")).toContain("quiesced");
    expect(await ask("points", "staging")).toBe("there are no recovery points yet\n");
    expect(await ask("plan", "backup-standby")).not.toMatch(/service outage +no history/);
  });

  test("a run that has ended can be neither resumed nor undone", async () => {
    const before = stage.touched().length;
    for (const verb of ["resume", "undo"]) {
      const said = await stage.play([verb, told.run, "--yes", "--lab"]);
      expect(said).toMatchObject({
        code: 4,
        out: "",
        err: `runbook: run ${told.run} has ended (succeeded); there is nothing to ${verb}\n  look at it with \`runbook show ${told.run}\`\n`,
      });
    }
    expect(stage.touched().length).toBe(before);
  });
});

describe("what only looks", () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await newStage();
  });
  afterAll(async () => {
    expect(stage.touched()).toEqual([]);
    await endStages();
  });

  test("list shows the product's runbooks and one's own", async () => {
    const said = await stage.play(["list"]);
    expect(said).toMatchObject({ code: 0, err: "" });
    expect(said.out).toMatch(/^backup-standby +Back up the standby node +\(service=early\|late\)$/m);
    expect(said.out).toMatch(/^monitor +Suspend a monitor for a while/m);
    expect(JSON.parse((await stage.play(["list", "--json"])).out)).toContainEqual(
      expect.objectContaining({ name: "monitor" }),
    );
  });

  test("graph draws the machine, without a cluster", async () => {
    const said = await stage.play(["graph", "backup-standby", "--param", "service=late"]);
    expect(said).toMatchObject({ code: 0, err: "" });
    expect(said.out).toMatch(/^(stateDiagram-v2|flowchart)/);
  });

  test("doctor tells every check, in the lab and by an inventory alike", async () => {
    stage.inventory();
    const said = await Promise.all([stage.play(["doctor", "--lab"]), stage.play(["doctor", "prod"])]);
    for (const { code, out, err } of said) {
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out.split("\n").filter((line) => line.startsWith("ok ")).length).toBeGreaterThan(9);
    }
  });

  test("a plan by a real user's inventory is the plan of the lab's own", async () => {
    stage.inventory();
    const [own, lab] = await Promise.all([
      stage.play(["plan", "backup-standby", "--json"]),
      stage.play(["plan", "backup-standby", "--json", "--lab"]),
    ]);
    expect(own, own.err).toMatchObject({ code: 0, err: "" });
    const units = (text: string) => (JSON.parse(text) as { units?: unknown; steps?: unknown }).units;
    expect(units(own.out)).toEqual(units(lab.out));
  });

  test("a reader that leaves early does no harm", async () => {
    const said = await inShell(stage, `"$NODE" "$PRODUCT" plan backup-standby --full --lab | head -1`);
    expect(said).toMatchObject({ codes: "0 0", err: "" });
    expect(said.out).toContain("Back up the standby node");
  });

  test("no colours and no control sequences go into a file or where NO_COLOR is set", async () => {
    await inShell(stage, `NO_COLOR=1 "$NODE" "$PRODUCT" plan backup-standby --lab > plan.txt`);
    const text = readFileSync(join(stage.cwd, "plan.txt"), "utf8");
    expect(text).toContain("Checks");
    expect(text).toBe(stripVTControlCharacters(text));
  });
});

describe("a run that meets something", () => {
  afterEach(endStages);
  const suspendedIn = (stage: Stage) => typeOn(stage, "server1", "clpstat -m");

  /** Stands in the wait, with the monitor suspended. */
  async function waiting(stage: Stage, ...more: string[]): Promise<{ playing: Playing; run: string }> {
    const playing = stage.start(["run", "monitor", "--param", "wait=forever", ...more, "--lab"]);
    await playing.until("Suspend the monitor (");
    return { playing, run: /^run ([a-z0-9]{8}):/.exec(playing.out())?.[1] ?? "" };
  }
  const clean = (stage: Stage) =>
    ["server1", "server2"].every(
      (node) => stage.lab.node(node).files.find("/var/lib/runbook/lock") === undefined,
    );

  test("Ctrl-C once gives back, and leaves nothing behind", async () => {
    const stage = await newStage();
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const { playing, run } = await waiting(stage);
      playing.child.kill(signal);
      const ended = await playing.ended;
      expect(ended, ended.out).toMatchObject({ code: 1, signal: null, err: "" });
      expect(ended.out).toContain("interrupted: what is under way lands first; once more leaves at once");
      expect(ended.out).toMatch(new RegExp(`run ${run} failed and was given back: .*(Ctrl-C|operator)`));
    }
    expect(await suspendedIn(stage)).not.toContain("Suspend");
  });

  test("Ctrl-C while nothing is exposed simply stops; the run can be gone on with, but never without a word", async () => {
    const stage = await newStage();
    const { playing, run } = await waiting(stage, "--param", "exposes=no");
    playing.child.kill("SIGINT");
    const ended = await playing.ended;
    expect(ended, ended.out).toMatchObject({ code: 6, err: "" });
    expect(ended.out).toContain(`go on with \`runbook resume ${run}\``);
    expect((await stage.play(["status", "--lab"])).out).toContain(`${run}  monitor on prod: held`);
    const before = stage.touched().length;
    for (const verb of ["resume", "undo"]) {
      const looked = await stage.play([verb, run, "--lab"]);
      expect(looked, looked.err).toMatchObject({ code: 6, err: "" });
      expect(looked.out).toContain("nothing was done; go on with --yes");
    }
    expect(stage.touched().length).toBe(before);
    const back = await stage.play(["undo", run, "--yes", "--why", "enough of it", "--lab"]);
    expect(back, back.err).toMatchObject({ code: 1, err: "" });
    expect(await suspendedIn(stage)).not.toContain("Suspend");
    expect((await stage.play(["show", run, "--lab"])).out).toContain("enough of it");
  });

  test("Ctrl-C twice leaves at once and says what is exposed; status tells it, and undo gives it back", async () => {
    const stage = await newStage();
    const { playing, run } = await waiting(stage);
    // What would give back is held up, so that there is a second time.
    stage.lab.heart.addFault({ match: "clpmonctrl", action: "hang", times: 1 });
    playing.child.kill("SIGINT");
    await playing.until("once more leaves at once");
    playing.child.kill("SIGINT");
    const ended = await playing.ended;
    expect(ended, ended.out).toMatchObject({ code: 6, signal: null });
    expect(ended.err).toContain('still exposed: redundancy ("Suspend the monitor")');
    expect(ended.err).toContain(`runbook undo ${run}`);
    const status = await stage.play(["status", "--lab"]);
    expect(status.out).toMatch(/exposed: redundancy, since .*: Suspend the monitor/);
    stage.lab.heart.faults.splice(0);
    const back = await stage.play(["undo", run, "--yes", "--lab"]);
    expect(back, back.out + back.err).toMatchObject({ code: 1, err: "" });
    expect(await suspendedIn(stage)).not.toContain("Suspend");
    expect((await stage.play(["status", "--lab"])).out).toBe("nothing is running or waiting\n");
  });

  test("a reader that leaves early does not stop a run", async () => {
    const stage = await newStage();
    const said = await inShell(stage, `"$NODE" "$PRODUCT" run monitor --lab | head -1`);
    expect(said).toMatchObject({ codes: "0 0", err: "" });
    expect((await stage.play(["runs", "--lab"])).out).toContain("succeeded");
    expect(clean(stage)).toBe(true);
  });

  test("a write that the plan does not list never reaches the cluster", async () => {
    const stage = await newStage();
    const said = await stage.play(["run", "monitor", "--param", "lies=yes", "--lab"]);
    expect(said, said.out).toMatchObject({ code: 1, err: "" });
    expect(said.out).toContain("the plan does not list this for lie: server1: clpgrp -t failover1");
    expect(stage.received().filter((row) => row.line.includes("clpgrp -t"))).toEqual([]);
    expect(await suspendedIn(stage)).not.toContain("Suspend");
    expect(clean(stage)).toBe(true);
  });

  test("a run's lines go into a file as they are", async () => {
    const stage = await newStage();
    const said = await inShell(stage, `"$NODE" "$PRODUCT" run monitor --lab > run.txt`);
    expect(said).toMatchObject({ codes: "0", err: "", out: "" });
    const text = readFileSync(join(stage.cwd, "run.txt"), "utf8");
    expect(text).toBe(stripVTControlCharacters(text));
    expect(text.trimEnd().split("\n").at(-1)).toMatch(/^run [a-z0-9]{8} succeeded$/);
    expect(existsSync(join(stage.state, "runs"))).toBe(true);
  });
});

async function typeOn(stage: Stage, node: string, line: string): Promise<string> {
  const parts: Uint8Array[] = [];
  await stage.lab.node(node).exec(line, { stdout: (part) => parts.push(part), stderr: () => undefined });
  return Buffer.concat(parts).toString("latin1");
}

/** A line of bash, as a person writes it; the exit statuses of its pipe's parts. */
function inShell(stage: Stage, line: string): Promise<{ codes: string; out: string; err: string }> {
  return new Promise((resolve, reject) => {
    const script = `${line}; printf 'codes %s' "\${PIPESTATUS[*]}" >&2`;
    const env = {
      PATH: process.env["PATH"],
      HOME: stage.cwd,
      TZ: "UTC",
      RUNBOOK_HOME: stage.home,
      NODE: process.execPath,
      PRODUCT: product,
    };
    const child = spawn("bash", ["-c", script], { cwd: stage.cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let err = "";
    child.stdout.on("data", (part: Buffer) => (out += part.toString()));
    child.stderr.on("data", (part: Buffer) => (err += part.toString()));
    child.once("error", reject);
    child.once("close", () => {
      const [said = "", codes = ""] = err.split("codes ");
      resolve({ codes, out, err: said });
    });
  });
}

// The lab's log held against the plan.

/** What differs: writes that the plan does not list at this place, and listed ones that never came. */
function compare(plan: Plan, sent: readonly Received[]): readonly string[] {
  const all = plan.units.flatMap((unit) => unit.sends);
  const renewals = all.filter((send) => send.renewal === true);
  const stages = [...new Set(plan.units.map((unit) => unit.stage))].map((stage) =>
    plan.units
      .filter((unit) => unit.stage === stage)
      .map((unit) => unit.sends.filter((send) => send.renewal !== true)),
  );
  const trouble: string[] = [];
  let at = 0;
  for (const row of sent) {
    if (renewals.some((send) => fits(send.request, row))) continue;
    while (at < stages.length && !take(stages[at] ?? [], row)) {
      trouble.push(...missing(stages[at] ?? []));
      at += 1;
    }
    if (at === stages.length) return [...trouble, `not in the plan here: ${row.line}`];
  }
  return [...trouble, ...stages.slice(at).flatMap(missing)];
}

/** Takes a send off one of the stage's units; what is sent only after a while may have been passed over. */
function take(units: PlannedSend[][], row: Received): boolean {
  for (const sends of units) {
    const index = sends.findIndex((send) => fits(send.request, row));
    if (index === -1 || sends.slice(0, index).some(isCertain)) continue;
    sends.splice(0, index + 1);
    return true;
  }
  return false;
}

const isCertain = (send: PlannedSend) => send.onlyAfterMs === undefined;

function missing(units: readonly PlannedSend[][]): readonly string[] {
  return units
    .flat()
    .flatMap((send) => (isCertain(send) ? [`never sent: ${requestLine(send.request)}`] : []));
}

function fits(planned: Request, row: Received): boolean {
  if (planned.to === "node")
    return row.to === "node" && row.node === planned.node && fills(planned.argv, bare(row.argv ?? []));
  return row.operation === planned.operation && fills(asQuery(planned.params), row.params);
}

/** Without the fence around it and the environment that every command gets. */
function bare(argv: readonly string[]): readonly string[] {
  if (argv[3] === "runbook-fence") return bare(argv.slice(5));
  const first = argv.findIndex((word, i) => i > 0 && !word.includes("="));
  return argv[0] === "env" ? argv.slice(first) : argv;
}

/** The SDK's parameters as EC2's query protocol spells them: lists by the name of one, every value a text. */
function asQuery(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asQuery);
  if (value === null || typeof value !== "object") return String(value);
  return Object.fromEntries(
    Object.entries(value).map(([name, held]) => [oneOfMany[name] ?? name, asQuery(held)]),
  );
}
const oneOfMany: { readonly [name: string]: string } = {
  InstanceIds: "InstanceId",
  Resources: "ResourceId",
  TagSpecifications: "TagSpecification",
  Tags: "Tag",
  ExcludeDataVolumeIds: "ExcludeDataVolumeId",
};

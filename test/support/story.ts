/** What the stories of test/runbooks share: a run that is killed at a row, one that is taken up again, and what is left. */
import { Failure } from "../../src/errors.ts";
import { resumeRun, startRun } from "../../src/engine/run.ts";
import type { Line } from "../../src/engine/logbook.ts";
import type { Seen } from "../../src/engine/look-again.ts";
import type { Ended, Walk, WalkArgs } from "../../src/engine/walk.ts";
import type { Context } from "../../src/cli/context.ts";
import { openRunsOn } from "../../src/cli/runs-seen.ts";
import { connectTo } from "../../src/layers/connect.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import type { Params } from "../../src/runbook/step.ts";
import type { Setting } from "../../src/runbook/world.ts";
import type { More, Runner, Simulation } from "./simulation.ts";

export const minutes = (count: number) => count * 60_000;
export const hours = (count: number) => count * 3_600_000;

type When = (line: Line) => boolean;
export const outcomeOf =
  (unit: string): When =>
  ({ kind, body }) =>
    kind === "outcome" && body["unit"] === unit;
export const answered =
  (verb: string): When =>
  ({ kind, body }) =>
    kind === "answered" && body["verb"] === verb;

/** Runs until a row of this kind is written, and kills the runner there. */
export async function killedWhen(sim: Simulation, params: Params, when: When) {
  const runner = sim.runner();
  const plan = await runner.plan(params);
  const walk = await runner.start(plan, { onLine: (line) => void (when(line) && runner.die()) });
  void walk.go();
  while (runner.alive()) await sim.clock.sleep(10);
  return { run: walk.run, plan };
}

export interface TakenUp {
  readonly ended: Ended;
  readonly walk: Walk;
  /** What it saw before it did anything, a line each. */
  readonly looked: readonly string[];
  /** Rows of this runner alone. */
  readonly lines: readonly Line[];
}

/** Another runner takes the run up, and does as the command does: it looks, gives back if it must, else goes on. */
export async function takeUp(
  sim: Simulation,
  run: string,
  wish: "resume" | "undo",
  more: More = {},
): Promise<TakenUp> {
  const walk = await sim.runner().resume(run, more);
  try {
    const known = walk.logbook.lines.length;
    const writes = sim.writes().length;
    const seen = await walk.lookAgain();
    if (sim.writes().length !== writes) throw new Error("a look has written something");
    if (wish === "undo" || seen.some(({ good }) => !good)) walk.wantBack("operator", `runbook ${wish}`);
    else walk.wantOn("operator", "runbook resume");
    const ended = await walk.go();
    return { ended, walk, looked: seen.map(inWords), lines: walk.logbook.lines.slice(known) };
  } finally {
    await walk.close();
  }
}

const inWords = ({ unit, state }: Seen) => `${unit.key}: ${state}`;

/** What an inventory would say of the lab's production cluster. */
export function settingOf(sim: Simulation, runner: Runner, clock: Clock, params: Params): Setting {
  const { names } = sim.lab.cluster("prod");
  return {
    clusterName: "prod",
    members: names,
    instances: Object.fromEntries(names.map((node) => [node, sim.lab.node(node).instance])),
    params,
    settings: { deadManMinutes: 15, leaseMinutes: 15, copyHours: 24 },
    house: {
      findOpenRuns: () => openRunsOn(runner.store, "prod"),
      freeBytes: () => runner.store.freeBytes(),
      findHolds: () => runner.store.findHolds(),
    },
    clock,
  };
}

/** What `startRun` and `resumeRun` are given for a runner, with anything of it put in another's place. */
export function argsOf(sim: Simulation, runner: Runner, plan: Plan, other: Partial<WalkArgs> = {}) {
  const clock = other.clock ?? runner.clock;
  return {
    store: runner.store,
    connect: connectTo(runner.drivers, clock),
    owner: "operator@machine",
    clock,
    mask: (text: string) => text,
    onFailure: "give-back" as const,
    plan,
    runbook: sim.runbook,
    setting: settingOf(sim, runner, clock, plan.params),
    ...other,
  } satisfies Omit<WalkArgs, "journal">;
}
export { resumeRun, startRun };

/** The same runner as the commands know it. */
export function contextOf(sim: Simulation, runner: Runner, more: Partial<Context> = {}): Context {
  return {
    home: "/nowhere",
    folder: "/nowhere",
    store: runner.store,
    clock: runner.clock,
    lab: true,
    pace: 1,
    owner: "operator@machine",
    mask: (text) => text,
    cluster: { name: "prod" } as Context["cluster"],
    drivers: runner.drivers,
    connect: connectTo(runner.drivers, runner.clock),
    endpoint: async () => "the lab",
    setting: (params) => settingOf(sim, runner, runner.clock, params),
    close: async () => undefined,
    ...more,
  };
}

export const effects = (sim: Simulation, kind: string) =>
  sim.lab.heart.effects.filter(({ detail }) => detail.kind === kind);

/** Where the group is online; undefined while it is nowhere. */
export const home = (sim: Simulation) => sim.lab.cluster().nodeOf("failover1");

/** Like a person at the console, who meets no fault that waits for the tool. */
export async function typed(sim: Simulation, node: string, command: string): Promise<void> {
  const faults = sim.lab.heart.faults.splice(0);
  const working = sim.lab.node(node).exec(command, { stdout: () => undefined, stderr: () => undefined });
  sim.lab.heart.faults.unshift(...faults);
  const { code } = await working;
  if (code !== 0) throw new Error(`${command} on ${node} ended with ${String(code)}`);
}

/** Markers and timers as the nodes themselves tell. */
export async function leftOnNodes(sim: Simulation) {
  const { drivers } = await connected(sim);
  const left: string[] = [];
  for (const node of sim.lab.cluster().names) {
    const marker = await drivers.nodes.reads.getMarker(node);
    if (marker.held) left.push(`${node}: marker of ${marker.marker?.run ?? "nobody known"}`);
    const timer = await drivers.cluster.reads.findDeadMan(node);
    if (timer) left.push(`${node}: timer of ${timer.run}, ${timer.state}`);
  }
  return left;
}

/** A runner whose drivers are open: they open with the first plan, whether or not it is refused. */
export async function connected(sim: Simulation): Promise<Runner> {
  const runner = sim.runner();
  await runner.plan().catch((thrown: unknown) => {
    if (!(thrown instanceof Failure)) throw thrown;
  });
  return runner;
}

/** Another run has marked these nodes; whatever marker stood there, a person had taken away. */
export async function markedByOther(sim: Simulation, nodes: readonly string[]) {
  const { drivers } = await connected(sim);
  const { requests, send } = drivers.nodes;
  const how = { limitMs: 60_000, fence: undefined, signal: undefined };
  const other = { run: "other000", owner: "somebody@elsewhere", fence: "1", seconds: 86_400 };
  for (const node of nodes) {
    await typed(sim, node, "rm -rf /var/lib/runbook/lock");
    await send(requests.takeMarker({ node, ...other }), how);
  }
  return {
    letGo: async () => {
      for (const node of nodes) await send(requests.releaseMarker({ node, run: other.run }), how);
    },
  };
}

/** For a person who wonders why: the rows of a run, reads left out. */
export function story(lines: readonly Line[]): string {
  return lines
    .filter(({ kind }) => kind !== "read")
    .map(
      ({ at, kind, body }) =>
        `${new Date(at).toISOString().slice(11, 19)} ${kind} ${JSON.stringify(body).slice(0, 240)}`,
    )
    .join("\n");
}

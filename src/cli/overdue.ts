/**
 * Whether a backup or a drill is overdue, for a monitoring system: one line, and the exit codes of monitoring plugins (0 OK,
 * 1 WARNING, 2 CRITICAL, 3 UNKNOWN). What cannot be looked at is UNKNOWN, never OK.
 */
import type { ClusterEntry } from "../config/inventory.ts";
import { asFailure } from "../errors.ts";
import { openContext, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { lookForPoints, type PointShown } from "./points.ts";

const states = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;
export type PluginState = (typeof states)[number];

export interface Overdue {
  readonly state: PluginState;
  /** Sentences, the worst first. */
  readonly says: readonly string[];
  /** Ages in seconds, with the limit. */
  readonly ages: readonly { readonly label: string; readonly seconds: number; readonly limit: number }[];
}

type Limits = Pick<ClusterEntry, "backupEveryMs" | "drillEveryMs">;

export async function checkOverdue(cluster: string | undefined, options: WorldOptions): Promise<number> {
  let found: Overdue;
  let name = cluster ?? "";
  try {
    const context = await openContext(options, cluster);
    ({ name } = context.cluster);
    try {
      // What was kept of an earlier look would say nothing of today.
      const { points } = await lookForPoints(context, true);
      found = judgeOverdue(points, context.cluster, context.clock.now());
    } finally {
      await context.close();
    }
  } catch (thrown) {
    const { message } = asFailure(thrown);
    found = { state: "UNKNOWN", says: [message.split("\n").join("; ")], ages: [] };
  }
  process.stdout.write(`${harmless(overdueText(name, found))}\n`);
  return states.indexOf(found.state);
}

export function judgeOverdue(points: readonly PointShown[], limits: Limits, now: number): Overdue {
  const { backupEveryMs, drillEveryMs } = limits;
  if (backupEveryMs === undefined && drillEveryMs === undefined)
    return { state: "UNKNOWN", says: ["the inventory has neither `backupEvery` nor `drillEvery`"], ages: [] };
  const parts = [
    ...(backupEveryMs === undefined ? [] : [judgeBackup(points, backupEveryMs, now)]),
    ...(drillEveryMs === undefined ? [] : [judgeDrill(points, drillEveryMs, now)]),
  ].toSorted((a, b) => states.indexOf(b.state) - states.indexOf(a.state));
  return {
    state: parts[0]?.state ?? "UNKNOWN",
    says: parts.map(({ says }) => says),
    ages: parts.flatMap(({ age }) => age ?? []),
  };
}

interface Part {
  readonly state: PluginState;
  readonly says: string;
  readonly age?: Overdue["ages"][number];
}

function judgeBackup(points: readonly PointShown[], everyMs: number, now: number): Part {
  const newest = newestOf(points.filter(({ complete }) => complete).map(({ cutAt }) => cutAt));
  if (newest === undefined) return { state: "CRITICAL", says: "there is no complete recovery point" };
  const ms = now - newest;
  const what = `the newest complete recovery point is ${span(ms)} old`;
  return {
    ...(ms > everyMs
      ? { state: "CRITICAL", says: `backup overdue: ${what}, wanted every ${span(everyMs)}` }
      : { state: "OK", says: what }),
    age: { label: "backup_age", seconds: Math.round(ms / 1000), limit: everyMs / 1000 },
  };
}

function judgeDrill(points: readonly PointShown[], everyMs: number, now: number): Part {
  const tests = points
    .flatMap((point) => point.tests.map((test) => ({ ...test, point: point.point })))
    .toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at));
  const [last] = tests;
  if (last?.result === "failed")
    return { state: "CRITICAL", says: `the last drill failed: run ${last.run} on point ${last.point}` };
  const passed = tests.find(({ result }) => result === "passed");
  if (passed === undefined) return { state: "WARNING", says: "drill overdue: no drill has passed yet" };
  const ms = now - Date.parse(passed.at);
  const what = `the last drill that passed was ${span(ms)} ago`;
  return {
    ...(ms > everyMs
      ? { state: "WARNING", says: `drill overdue: ${what}, wanted every ${span(everyMs)}` }
      : { state: "OK", says: what }),
    age: { label: "drill_age", seconds: Math.round(ms / 1000), limit: everyMs / 1000 },
  };
}

function newestOf(times: readonly string[]): number | undefined {
  const known = times.map((time) => Date.parse(time)).filter((at) => Number.isFinite(at));
  return known.length === 0 ? undefined : Math.max(...known);
}

/** "WARNING - prod: …; … | backup_age=3600s;;86400": what follows the bar is for a graph. */
export function overdueText(cluster: string, { state, says, ages }: Overdue): string {
  const graph = ages.map(({ label, seconds, limit }) => `${label}=${seconds}s;;${limit}`).join(" ");
  // A bar in a sentence would begin the numbers.
  const text = `${state} - ${cluster === "" ? "" : `${cluster}: `}${says.join("; ")}`.replaceAll("|", "/");
  return graph === "" ? text : `${text} | ${graph}`;
}

function span(ms: number): string {
  const hours = ms / 3_600_000;
  if (hours < 1) return `${Math.max(0, Math.round(ms / 60_000))} min`;
  return hours < 72 ? `${round(hours)} h` : `${round(hours / 24)} d`;
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/**
 * The course of a run as a picture needs it: what each step was doing from when until when, who was at work, and when
 * nobody was. It is taken from the very view that the terminal shows, row by row, so that the two cannot disagree.
 */
import type { Line } from "../engine/logbook.ts";
import type { Plan } from "../runbook/plan.ts";
import { emptyView, isActive, seeLine, textOf, type StepView, type View } from "./view.ts";
import type { ExposureView, Forecast } from "./windows.ts";

/** A row as the store gives it: its own hash comes with it, where the store keeps one. */
export type ReportRow = Line & { readonly sum?: unknown };

export const phases = ["looking", "doing", "settling", "waiting", "giving back"] as const;
export type Phase = (typeof phases)[number];

export interface Stretch {
  readonly phase: Phase;
  readonly from: number;
  readonly to: number;
}

/** A time in which nobody was at work: after a crash, or because the run waited for somebody to take it up. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly why: "interrupted" | "held" | "ended";
}

export interface Runner {
  readonly by: string;
  readonly at: number;
  /** Its first row. */
  readonly row: number;
  /** Where the same process only changed the file that it writes to. */
  readonly because: string | undefined;
}

/** One try at a step, from its first look; or at giving it back. */
export interface Try {
  readonly since: number;
  readonly until: number;
}

export interface Exposed extends ExposureView {
  /** Key of the step with whose row it ended. */
  readonly endedBy: string | undefined;
  readonly endedHow: "outcome" | "given back" | undefined;
}

export interface Course {
  readonly view: View;
  readonly stretches: ReadonlyMap<string, readonly Stretch[]>;
  /** The last try of each step. */
  readonly forward: ReadonlyMap<string, Try>;
  readonly back: ReadonlyMap<string, Try>;
  /** When something of a step was first under way. */
  readonly firstAt: ReadonlyMap<string, number>;
  readonly gaps: readonly Gap[];
  readonly runners: readonly Runner[];
  readonly exposures: readonly Exposed[];
  readonly spent: Spent;
}

/** Milliseconds. Waiting for a person is no fault of the procedure, and no measure of it. */
export interface Spent {
  readonly working: number;
  /** A question stood, or the run was paused, and nothing else was under way. */
  readonly waiting: number;
  /** Nobody was at work. */
  readonly nobody: number;
}

export function courseOf(rows: readonly ReportRow[], plan: Plan, run: string, forecast: Forecast): Course {
  let view = emptyView(plan, run, forecast);
  const stretches = new Map<string, Stretch[]>();
  const open = new Map<string, { readonly phase: Phase; readonly from: number }>();
  const forward = new Map<string, Try>();
  const back = new Map<string, Try>();
  const firstAt = new Map<string, number>();
  const tryFrom = new Map<string, number>();
  const gaps: Gap[] = [];
  const runners: Runner[] = [];
  const ends = new Map<string, Pick<Exposed, "endedBy" | "endedHow">>();
  const spent = { working: 0, waiting: 0, nobody: 0 };

  const close = (key: string, at: number) => {
    const under = open.get(key);
    open.delete(key);
    if (under)
      stretches.set(key, [...(stretches.get(key) ?? []), { ...under, to: Math.max(under.from, at) }]);
  };
  const follow = (at: number) => {
    for (const step of view.steps) {
      const phase = phaseOf(view, step);
      if (open.get(step.key)?.phase === phase) continue;
      close(step.key, at);
      if (phase === undefined) continue;
      open.set(step.key, { phase, from: at });
      if (!firstAt.has(step.key)) firstAt.set(step.key, at);
    }
  };

  rows.forEach((row, i) => {
    const before = rows[i - 1];
    const runner = runnerOf(row, i);
    if (runner) runners.push(runner);
    const isGap = runner !== undefined && before !== undefined && runner.because === undefined;
    if (before)
      spent[isGap ? "nobody" : isWaiting(view) ? "waiting" : "working"] += Math.max(0, row.at - before.at);
    if (isGap) {
      gaps.push({ from: before.at, to: Math.max(before.at, row.at), why: gapAfter(before) });
      for (const key of [...open.keys()]) close(key, before.at);
    }
    const unit = textOf(row.body["unit"]) ?? "";
    const stepBefore = view.steps.find((step) => step.key === unit);
    const after = seeLine(view, row);
    noteEnds(view, after, row, ends);
    after.steps.forEach((step, n) => {
      const begins = !isActive(view.steps[n] ?? step) && isActive(step) && step.state !== "giving back";
      if (begins) tryFrom.set(step.key, row.at);
    });
    view = after;
    if (row.kind === "outcome" || row.kind === "failure")
      forward.set(unit, { since: tryFrom.get(unit) ?? row.at, until: row.at });
    // An undo that is tried again has been under way since its first try.
    if (row.kind === "undone" || row.kind === "not-undone")
      back.set(unit, { since: back.get(unit)?.since ?? stepBefore?.since ?? row.at, until: row.at });
    follow(row.at);
  });
  for (const key of [...open.keys()]) close(key, rows.at(-1)?.at ?? 0);

  return {
    view,
    stretches: new Map([...stretches].map(([key, all]) => [key, worthShowing(all)])),
    forward,
    back,
    firstAt,
    gaps,
    runners,
    spent,
    exposures: view.exposures.map((exposure) => ({
      ...exposure,
      ...(ends.get(nameOf(exposure)) ?? { endedBy: undefined, endedHow: undefined }),
    })),
  };
}

function phaseOf(view: View, { state, key }: StepView): Phase | undefined {
  if (view.end) return undefined;
  if (state === "looking" || state === "doing" || state === "settling" || state === "giving back")
    return state;
  const asked = view.question?.units.some((unit) => unit.key === key) === true;
  return state === "waiting for you" || (state === "failed" && asked) ? "waiting" : undefined;
}

function isWaiting({ question, paused, steps, calls }: View): boolean {
  if (paused) return Object.keys(calls).length === 0 && !steps.some(({ state }) => state === "settling");
  const asked = question !== undefined || steps.some(({ state }) => state === "waiting for you");
  return asked && !steps.some((step) => isActive(step) && step.state !== "waiting for you");
}

function runnerOf({ kind, body, at }: ReportRow, i: number): Runner | undefined {
  if (kind !== "taken-over" && i > 0) return undefined;
  return {
    by: textOf(body[kind === "taken-over" ? "by" : "owner"]) ?? "unknown",
    at,
    row: i + 1,
    because: textOf(body["because"]),
  };
}

function gapAfter({ kind }: ReportRow): Gap["why"] {
  return kind === "held" ? "held" : kind === "end" ? "ended" : "interrupted";
}

function nameOf({ step, since }: ExposureView): string {
  return `${step} ${since}`;
}

function noteEnds(
  before: View,
  after: View,
  row: ReportRow,
  ends: Map<string, Pick<Exposed, "endedBy" | "endedHow">>,
): void {
  after.exposures.forEach((exposure, i) => {
    if (exposure.until === undefined || before.exposures[i]?.until !== undefined) return;
    ends.set(nameOf(exposure), {
      endedBy: textOf(row.body["unit"]),
      endedHow: row.kind === "undone" ? "given back" : "outcome",
    });
  });
}

/** A stretch without length is drawn only where a step has no other: a check that answers at once. */
function worthShowing(all: readonly Stretch[]): readonly Stretch[] {
  const long = all.filter(({ from, to }) => to > from);
  return long.length > 0 ? long : all.filter(({ phase }) => phase !== "waiting").slice(-1);
}

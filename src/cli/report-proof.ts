/**
 * What was proven in a run, and what was not. Proven is what a look has found and the journal holds; whatever nobody
 * looked at, or what was seen to be less than it should, stands under "not proven", and is never called good.
 */
import type { Plan } from "../runbook/plan.ts";
import { toldIn, type Exposure } from "../runbook/step.ts";
import type { Course, Gap, ReportRow } from "./report-course.ts";
import type { StepTold } from "./report-data.ts";
import type { Writes } from "./report-writes.ts";
import { textOf } from "./view.ts";

export interface CheckTold {
  readonly unit: string;
  /** Of its outcome or its failure; 0 if it was not reached. */
  readonly row: number;
  /** "told": it answers with something that a person should know, and is no check that could fail. */
  readonly state: "passed" | "told" | "failed" | "not reached";
}

export interface PointTold {
  readonly names: readonly string[];
  /** "cut": its snapshots are there, but the run ended before it was recorded. "used": a restore worked from it. */
  readonly role: "recorded" | "cut" | "used";
  readonly consistency: string;
  readonly why: readonly string[];
  readonly snapshots: readonly { readonly id: string; readonly volume: string }[];
  /** Whether its copies were seen complete; undefined where the run did not have to see it. */
  readonly complete: boolean | undefined;
  readonly row: number;
}

export type Unproven =
  | { readonly kind: "not given back" | "unsettled" | "failed" | "skipped"; readonly unit: string }
  | { readonly kind: "open"; readonly what: Exposure; readonly since: number }
  | { readonly kind: "unanswered"; readonly rows: readonly number[] }
  | { readonly kind: "not reached"; readonly count: number }
  | { readonly kind: "not recorded" | "not complete" | "not tested"; readonly names: readonly string[] }
  /** "told": a warning. "answered": what a check answers that only tells, and cannot fail. */
  | { readonly kind: "told" | "answered"; readonly unit: string; readonly text: string }
  | {
      readonly kind: "consistency";
      readonly names: readonly string[];
      readonly consistency: string;
      readonly why: readonly string[];
    }
  | { readonly kind: "gap"; readonly gap: Gap }
  | { readonly kind: "torn"; readonly text: string }
  | { readonly kind: "clock"; readonly row: number; readonly ms: number };

export interface Proof {
  readonly checks: readonly CheckTold[];
  /** Steps that acted, and were then found to hold. */
  readonly acted: number;
  readonly points: readonly PointTold[];
  readonly unproven: readonly Unproven[];
}

interface ProofArgs {
  readonly rows: readonly ReportRow[];
  readonly plan: Plan;
  readonly course: Course;
  readonly steps: readonly StepTold[];
  readonly writes: Writes;
  readonly torn: string | undefined;
}

export function proofOf(args: ProofArgs): Proof {
  const { rows, plan, steps } = args;
  const points = pointsOf(rows, plan, steps);
  return {
    checks: steps
      .filter(({ kind }) => kind === "check")
      .map((step) => ({
        unit: step.key,
        row:
          rows.findLastIndex(
            ({ kind, body }) => (kind === "outcome" || kind === "failure") && body["unit"] === step.key,
          ) + 1,
        state: checkState(step, rows),
      })),
    acted: steps.filter(({ begun, went }) => begun && went === "done").length,
    points,
    unproven: unprovenOf(args, points),
  };
}

function checkState({ went, key }: StepTold, rows: readonly ReportRow[]): CheckTold["state"] {
  if (went === "failed") return "failed";
  if (went === undefined) return "not reached";
  const found = outcomeOf(rows, key)?.body["found"];
  return typeof found === "string" || toldIn(found).length > 0 ? "told" : "passed";
}

function outcomeOf(rows: readonly ReportRow[], unit: string): ReportRow | undefined {
  return rows.findLast(({ kind, body }) => kind === "outcome" && body["unit"] === unit);
}

type Thing = { readonly [key: string]: unknown };

function isThing(value: unknown): value is Thing {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Sentences, whether they stand as one or as a list. */
function sentences(value: unknown): readonly string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

/**
 * Recovery points, known by what outcomes are: whatever says how consistent it is, is one. A check found it and a restore
 * works from it; any other step has recorded it. Steps of any runbook are read so, not only those of our own.
 */
function pointsOf(rows: readonly ReportRow[], plan: Plan, steps: readonly StepTold[]): readonly PointTold[] {
  const cut = cutsOf(rows, plan);
  const seenComplete = new Set(
    steps
      .filter(({ kind, went }) => kind === "wait" && went !== undefined && went !== "failed")
      .flatMap(({ key }) => sentences(outcomeOf(rows, key)?.body["found"])),
  );
  const isComplete = cut.length > 0 && cut.every(({ id }) => seenComplete.has(id));
  const found = steps.flatMap((step): PointTold[] => {
    const row = rows.findLastIndex(({ kind, body }) => kind === "outcome" && body["unit"] === step.key);
    const told = rows[row]?.body["found"];
    if (!isThing(told) || typeof told["consistency"] !== "string") return [];
    const used = step.kind === "check";
    return [
      {
        names: [...sentences(told["point"]), ...sentences(told["points"])],
        role: used ? "used" : "recorded",
        consistency: told["consistency"],
        why: sentences(told["why"]),
        snapshots: used ? snapshotsIn(told["snapshots"]) : cut,
        complete: used ? undefined : isComplete,
        row: row + 1,
      },
    ];
  });
  if (cut.length === 0 || found.some(({ role }) => role === "recorded")) return found;
  const row = rows.findLastIndex(({ kind, body }) => kind === "outcome" && isCut(plan, body["unit"]));
  return [
    ...found,
    {
      names: [],
      role: "cut",
      consistency: "unknown",
      why: [],
      snapshots: cut,
      complete: isComplete,
      row: row + 1,
    },
  ];
}

/** A step that asks for a snapshot set finds, when it is done, the snapshots that it cut: a list, or one for each node. */
function cutsOf(rows: readonly ReportRow[], plan: Plan): PointTold["snapshots"] {
  return plan.units
    .filter(({ key }) => isCut(plan, key))
    .flatMap(({ key }) => {
      const found = outcomeOf(rows, key)?.body["found"];
      return isThing(found) ? Object.values(found).flatMap(snapshotsIn) : snapshotsIn(found);
    });
}

function isCut(plan: Plan, unit: unknown): boolean {
  const planned = plan.units.find(({ key }) => key === unit);
  return planned?.sends.some(({ request }) => request.verb === "cloud.createSnapshotSet") === true;
}

function snapshotsIn(list: unknown): PointTold["snapshots"] {
  if (!Array.isArray(list)) return [];
  return list.filter(isThing).flatMap(({ id, volume }) => {
    const [name, of] = [textOf(id), textOf(volume)];
    return name !== undefined && of !== undefined ? [{ id: name, volume: of }] : [];
  });
}

/** What a person must act on comes first; what is only not known, last. */
function unprovenOf(args: ProofArgs, points: readonly PointTold[]): readonly Unproven[] {
  const { rows, steps, writes, torn } = args;
  const { view, gaps } = args.course;
  const of = (
    kind: "not given back" | "unsettled" | "failed" | "skipped",
    which: (step: StepTold) => boolean,
  ) => steps.filter(which).map(({ key }): Unproven => ({ kind, unit: key }));
  const ended = view.end !== undefined && view.end.end !== "held";
  const unreached = ended ? steps.filter(({ state }) => state === "to come").length : 0;
  const lost = writes.list.filter(
    ({ state, settled }) => (state === "none" || state === "unknown") && settled === undefined,
  );
  const made = points.filter(({ role }) => role !== "used");
  return [
    ...of("not given back", ({ state }) => state === "not given back"),
    ...view.exposures
      .filter(({ until }) => until === undefined)
      .map(({ what, since }): Unproven => ({ kind: "open", what, since })),
    ...of(
      "unsettled",
      ({ state, begun, went }) =>
        begun && went === undefined && state !== "given back" && state !== "not given back",
    ),
    ...of("failed", ({ went }) => went === "failed"),
    ...of("skipped", ({ state }) => state === "skipped"),
    ...(lost.length > 0 ? [{ kind: "unanswered" as const, rows: lost.map(({ row }) => row) }] : []),
    ...(unreached > 0 ? [{ kind: "not reached" as const, count: unreached }] : []),
    ...steps.flatMap(({ key, told }) => told.map((text): Unproven => ({ kind: "told", unit: key, text }))),
    ...steps.flatMap(({ key, kind }): Unproven[] => {
      const answer = kind === "check" ? outcomeOf(rows, key)?.body["found"] : undefined;
      return typeof answer === "string" ? [{ kind: "answered", unit: key, text: answer }] : [];
    }),
    ...points
      .filter(({ consistency, role }) => role !== "cut" && consistency !== "quiesced")
      .map(({ names, consistency, why }): Unproven => ({ kind: "consistency", names, consistency, why })),
    ...made
      .filter(({ role }) => role === "cut")
      .map(({ snapshots }): Unproven => ({ kind: "not recorded", names: snapshots.map(({ id }) => id) })),
    ...made
      .filter(({ complete }) => complete !== true)
      .map(({ names, snapshots }): Unproven => ({ kind: "not complete", names: named(names, snapshots) })),
    ...made.map(({ names, snapshots }): Unproven => ({ kind: "not tested", names: named(names, snapshots) })),
    ...gaps.filter(({ from, to }) => to > from).map((gap): Unproven => ({ kind: "gap", gap })),
    ...(torn === undefined ? [] : [{ kind: "torn" as const, text: torn }]),
    ...rows.flatMap(({ at }, i): Unproven[] => {
      const back = (rows[i - 1]?.at ?? at) - at;
      return back > 0 ? [{ kind: "clock", row: i + 1, ms: back }] : [];
    }),
  ];
}

function named(names: readonly string[], snapshots: PointTold["snapshots"]): readonly string[] {
  return names.length > 0 ? names : snapshots.map(({ id }) => id);
}

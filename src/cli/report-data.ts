/**
 * What a report says of a run, as data: read from the journal's rows and from nothing else. Every number stands in the
 * journal, or is a difference of two that do.
 */
import { startOf, type Approval } from "../engine/start-row.ts";
import type { Plan } from "../runbook/plan.ts";
import { toldIn, type Exposure, type StepKind } from "../runbook/step.ts";
import { commandsFor } from "./by-hand.ts";
import {
  courseOf,
  type Course,
  type Exposed,
  type Gap,
  type ReportRow,
  type Runner,
  type Spent,
  type Stretch,
  type Try,
} from "./report-course.ts";
import { proofOf, type Proof } from "./report-proof.ts";
import { writesOf, type Writes } from "./report-writes.ts";
import { textOf, type FailureView, type StepState, type View } from "./view.ts";
import { exposedFor, type Forecast } from "./windows.ts";

/** What the journal itself does not hold. */
export interface ReportGiven {
  readonly run: string;
  /** As `runbook runs` shows it; only the store knows whether somebody is at work. */
  readonly state: string;
  /** What of the last row is torn and left out. */
  readonly torn?: string | undefined;
  readonly lab?: boolean;
  /** What earlier runs let expect; without it nothing is expected. */
  readonly forecast?: Forecast;
  /** The time zone in which times are told. */
  readonly zone: string;
  /** When the report was written, and by which version. */
  readonly written: { readonly at: number; readonly tool: string };
}

export interface Report {
  readonly run: string;
  readonly state: string;
  readonly lab: boolean;
  readonly zone: string;
  readonly written: ReportGiven["written"];
  readonly plan: Plan;
  readonly owner: string;
  readonly onFailure: string;
  readonly startedAt: number;
  /** Of the last row; nothing is told beyond it. */
  readonly lastAt: number;
  readonly endedAt: number | undefined;
  readonly why: Why;
  /** sha256 of the cluster's configuration, as the plan found it. */
  readonly configuration: string | undefined;
  readonly journal: {
    readonly rows: number;
    /** Hash of the last row, in which all others are contained. */
    readonly lastSum: string | undefined;
    readonly torn: string | undefined;
  };
  readonly runners: readonly Runner[];
  readonly gaps: readonly Gap[];
  /** Where the time from the first to the last row went. */
  readonly spent: Spent;
  readonly exposures: readonly ExposureTold[];
  readonly steps: readonly StepTold[];
  readonly failures: readonly FailureTold[];
  readonly decisions: readonly Decision[];
  readonly writes: Writes;
  readonly proof: Proof;
  readonly left: readonly Left[];
}

/** What led to this end: the sentence is made of it in each language. */
export interface Why {
  readonly step: string | undefined;
  readonly message: string | undefined;
  readonly by: string | undefined;
}

export interface ExposureTold {
  readonly what: Exposure;
  /** In all, stretches that overlap counted once; undefined if it was never taken. */
  readonly ms: number | undefined;
  /** It was still so at the last row. */
  readonly open: boolean;
  /** Of that, while nobody was at work: the journal cannot tell whether it was back in that time. */
  readonly unseenMs: number;
  /** 0 where the plan takes none of it, undefined where there is no history. */
  readonly forecastMs: number | undefined;
  readonly stretches: readonly Exposed[];
}

export interface StepTold {
  /** Its place in the plan, from 1. */
  readonly number: number;
  readonly key: string;
  readonly title: string;
  readonly node: string | undefined;
  readonly kind: StepKind;
  /** Where it stands at the last row. */
  readonly state: StepState;
  /** How the way forward ended, whatever was given back later. */
  readonly went: "done" | "held already" | "failed" | "skipped" | undefined;
  readonly begun: boolean;
  readonly firstAt: number | undefined;
  readonly forward: Try | undefined;
  readonly back: Try | undefined;
  /** There was nothing to give back. */
  readonly backAlready: boolean;
  readonly limitMs: number;
  /** What was found to hold, as the journal has it (shortened), and the row. */
  readonly found: { readonly text: string | undefined; readonly row: number } | undefined;
  readonly told: readonly string[];
  readonly stretches: readonly Stretch[];
}

export interface FailureTold {
  readonly unit: string | undefined;
  /** Of the step, or what was done beside the steps. */
  readonly title: string;
  readonly kind: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly firstAt: number;
  readonly lastAt: number;
  /** The same failure that often. */
  readonly times: number;
}

export interface Decision {
  readonly at: number;
  readonly row: number;
  /** A verb of the journal; "hold" and "approve" are told by rows of other kinds. */
  readonly verb: string;
  readonly by: string;
  readonly why: string;
  /** Nobody was asked: what the run was started with decided. */
  readonly policy: boolean;
  /** Why it was not heeded; undefined if it was. */
  readonly refused?: string;
}

/** What a person has to bring back: the commands work when pasted. */
export interface Left {
  readonly unit: string;
  readonly message: string | undefined;
  readonly commands: readonly string[];
}

export function readReport(rows: readonly ReportRow[], given: ReportGiven): Report {
  const { plan, owner, onFailure } = startOf(rows as never);
  const course = courseOf(rows, plan, given.run, given.forecast ?? (() => undefined));
  const { view } = course;
  const lastAt = rows.at(-1)?.at ?? 0;
  const steps = plan.units.map((unit, i): StepTold => {
    const { key, title, node, kind, withinMs } = unit;
    const step = view.steps[i];
    const found = foundOf(rows, key);
    return {
      number: i + 1,
      key,
      title,
      node,
      kind,
      state: step?.state ?? "to come",
      went: wentOf(rows, key) ?? (step?.state === "skipped" ? "skipped" : undefined),
      begun: step?.begun === true,
      firstAt: course.firstAt.get(key),
      forward: course.forward.get(key),
      back: course.back.get(key),
      backAlready: rows.findLast(isOf(key, "undone"))?.body["already"] === true,
      limitMs: withinMs,
      found: found && { text: found.text, row: found.row },
      told: toldOf(rows, key),
      stretches: course.stretches.get(key) ?? [],
    };
  });
  const writes = writesOf(rows, plan);
  const left = leftOf(view, plan, rows);
  const end = rows.findLast(({ kind }) => kind === "end");
  const open = view.end?.end === undefined || view.end.end === "held";
  return {
    run: given.run,
    state: given.state,
    lab: given.lab === true,
    zone: given.zone,
    written: given.written,
    plan,
    owner: textOf(owner) ?? "unknown",
    onFailure: textOf(onFailure) ?? "unknown",
    startedAt: rows[0]?.at ?? 0,
    lastAt,
    endedAt: open ? undefined : end?.at,
    why: whyOf(view, rows, left),
    configuration: configurationOf(plan),
    journal: {
      rows: rows.length,
      lastSum: textOf(rows.at(-1)?.sum),
      torn: given.torn,
    },
    runners: course.runners,
    gaps: course.gaps,
    spent: course.spent,
    exposures: exposuresOf(view, course, lastAt),
    steps,
    failures: alike(view.failures),
    decisions: decisionsOf(rows),
    writes,
    proof: proofOf({ rows, plan, course, steps, writes, torn: given.torn }),
    left,
  };
}

function isOf(unit: string, ...kinds: readonly string[]): (row: ReportRow) => boolean {
  return ({ kind, body }) => kinds.includes(kind) && body["unit"] === unit;
}

function wentOf(rows: readonly ReportRow[], unit: string): StepTold["went"] {
  const last = rows.findLast(isOf(unit, "outcome", "failure"));
  if (last?.kind === "failure") return "failed";
  return last && (last.body["already"] === true ? "held already" : "done");
}

/** The longest outcome that is printed whole. */
const longestFound = 300;

function foundOf(rows: readonly ReportRow[], unit: string): StepTold["found"] {
  const i = rows.findLastIndex(isOf(unit, "outcome"));
  if (i === -1) return undefined;
  const whole = textOfFound(rows[i]?.body["found"]);
  if (whole === undefined || whole.length <= longestFound) return { text: whole, row: i + 1 };
  return { text: `${whole.slice(0, longestFound)}…`, row: i + 1 };
}

/** Nothing more than "it holds" needs no words; sentences in `told` are told by themselves. */
function textOfFound(found: unknown): string | undefined {
  if (found === true || found === null || found === undefined) return undefined;
  if (typeof found === "string") return found;
  if (typeof found !== "object" || Array.isArray(found)) return JSON.stringify(found);
  const rest = Object.fromEntries(Object.entries(found).filter(([name]) => name !== "told"));
  return Object.keys(rest).length === 0 ? undefined : JSON.stringify(rest);
}

function toldOf(rows: readonly ReportRow[], unit: string): readonly string[] {
  const told = rows.flatMap((row) => {
    if (isOf(unit, "outcome")(row)) return toldIn(row.body["found"]);
    return isOf(unit, "undone")(row) ? toldIn(row.body) : [];
  });
  return [...new Set(told)];
}

function configurationOf(plan: Plan): string | undefined {
  for (const fact of Object.values(plan.facts ?? {})) {
    const digest =
      fact !== null && typeof fact === "object" && "configuration" in fact
        ? textOf(fact.configuration)
        : undefined;
    if (digest !== undefined && digest !== "") return digest;
  }
  return undefined;
}

function whyOf(view: View, rows: readonly ReportRow[], [first]: readonly Left[]): Why {
  const held = rows.findLast(({ kind }) => kind === "held" || kind === "taken-over" || kind === "end");
  const back = rows.find(({ kind, body }) => kind === "verb" && body["verb"] === "give-back");
  // What could not be given back is what a stuck run is about; what failed first, what any other one is about.
  const trouble =
    first !== undefined
      ? view.failures.findLast(({ unit }) => unit === first.unit)
      : view.failures.find(({ unit }) => unit !== undefined);
  const said = held?.kind === "held" ? held : back;
  return {
    step: trouble?.unit,
    message: trouble?.message ?? textOf(said?.body["why"]),
    by: textOf(said?.body["by"]),
  };
}

function exposuresOf(view: View, { exposures, gaps }: Course, lastAt: number): readonly ExposureTold[] {
  // Gaps follow one another: what is exposed within each is counted by itself.
  const unseen = (what: Exposure) =>
    gaps.reduce((ms, gap) => {
      const within = exposures.map((each) => ({
        ...each,
        since: Math.max(each.since, gap.from),
        until: Math.min(each.until ?? lastAt, gap.to),
      }));
      return (
        ms +
        (exposedFor(
          within.filter(({ since, until }) => until > since),
          what,
          lastAt,
        )?.ms ?? 0)
      );
    }, 0);
  return (["service", "redundancy", "cost"] as const).map((what) => {
    const exposed = exposedFor(exposures, what, lastAt);
    return {
      what,
      ms: exposed?.ms,
      open: exposed?.open !== undefined,
      unseenMs: unseen(what),
      forecastMs: view.forecast[what],
      stretches: exposures.filter((exposure) => exposure.what === what),
    };
  });
}

function alike(failures: readonly FailureView[]): readonly FailureTold[] {
  const kinds = new Map<string, FailureTold>();
  for (const { unit, title, kind, message, hint, at } of failures) {
    const name = JSON.stringify([unit, title, kind, message]);
    const known = kinds.get(name);
    kinds.set(
      name,
      known
        ? { ...known, lastAt: at, times: known.times + 1 }
        : { unit, title, kind, message, hint, firstAt: at, lastAt: at, times: 1 },
    );
  }
  return [...kinds.values()];
}

function decisionsOf(rows: readonly ReportRow[]): readonly Decision[] {
  return rows.flatMap((row, i): Decision[] => {
    const { kind, body, at } = row;
    const told = (verb: string, from: { readonly [key: string]: unknown }): Decision[] => {
      const by = textOf(from["by"]) ?? "unknown";
      return [{ at, row: i + 1, verb, by, why: textOf(from["why"]) ?? "", policy: by === "runbook" }];
    };
    if (kind === "start" && Array.isArray(body["approvals"]))
      return (body["approvals"] as readonly Approval[]).flatMap((approval) =>
        told("approve", { ...approval }).map((decision) => ({ ...decision, at: approval.at })),
      );
    if (kind === "verb") return told(textOf(body["verb"]) ?? "unknown", body);
    // What was heeded is told by the row that it led to.
    if (kind === "told" && body["heeded"] !== true)
      return told(textOf(body["verb"]) ?? "unknown", body).map((decision) => ({
        ...decision,
        refused: textOf(body["reason"]) ?? "",
      }));
    if (kind === "held") return told("hold", body);
    const found = body["found"] as { readonly by?: unknown; readonly why?: unknown; readonly at?: unknown };
    const approved =
      kind === "outcome" &&
      found !== null &&
      typeof found === "object" &&
      typeof found.by === "string" &&
      typeof found.at === "number";
    return approved ? told("approve", found) : [];
  });
}

function leftOf(view: View, plan: Plan, rows: readonly ReportRow[]): readonly Left[] {
  if (view.end?.end !== "stuck") return [];
  const left = view.steps.filter(({ state }) => state === "not given back");
  // What keeps the service out is told first.
  return [
    ...left.filter(({ exposes }) => exposes === "service"),
    ...left.filter(({ exposes }) => exposes !== "service"),
  ].map(({ key, note }) => ({ unit: key, message: note, commands: commandsFor(plan, key, rows) }));
}

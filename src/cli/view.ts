/**
 * What a person sees of a run, folded from its journal line by line. Pure and cheap: the live view, the plain lines and
 * `runbook show` are all made from it, so that they cannot tell different stories.
 */
import { startOf } from "../engine/start-row.ts";
import type { Line } from "../engine/logbook.ts";
import type { Trouble } from "../engine/events.ts";
import { wayBack, type WayBack } from "../engine/way-back.ts";
import type { Request } from "../ports/driver.ts";
import type { Plan } from "../runbook/plan.ts";
import type { Exposure, StepKind, UndoWhen } from "../runbook/step.ts";
import { progressOf, type Progress } from "./progress.ts";
import { endsExposure, forecastOf, type ExposureView, type Forecast } from "./windows.ts";

export type StepState =
  | "to come"
  | "looking"
  | "doing"
  | "settling"
  | "waiting for you"
  | "done"
  | "held already"
  | "skipped"
  | "failed"
  | "giving back"
  | "given back"
  | "not given back";

export interface StepView {
  readonly key: string;
  readonly stage: string;
  readonly title: string;
  readonly node: string | undefined;
  readonly kind: StepKind;
  readonly state: StepState;
  /** Its intent was written: it may have happened, in part or whole. */
  readonly begun: boolean;
  readonly since: number | undefined;
  readonly endedAt: number | undefined;
  readonly limitMs: number;
  /** What was last seen on the way, by what it is about; or why it failed. */
  readonly seen: { readonly [about: string]: Progress };
  readonly note: string | undefined;
  readonly exposes: Exposure | undefined;
  readonly undoWhen: UndoWhen | undefined;
  readonly ends: string | undefined;
  readonly canBeGivenBack: boolean;
  /** Verbs that are sent again and again while the run is alive: no news each time. */
  readonly renewals: readonly string[];
}

export interface FailureView extends Trouble {
  readonly at: number;
  /** Key of the step; undefined for what happened beside the steps. */
  readonly unit: string | undefined;
  readonly title: string;
}

export interface QuestionView {
  readonly units: readonly {
    readonly key: string;
    readonly title: string;
    readonly why: string;
    readonly hint?: string;
  }[];
  /** Undefined where the journal alone does not tell. */
  readonly maySkip: boolean | undefined;
}

export interface View {
  readonly run: string;
  readonly cluster: string;
  /** The runbook's title. */
  readonly title: string;
  readonly startedAt: number | undefined;
  readonly steps: readonly StepView[];
  readonly exposures: readonly ExposureView[];
  readonly question: QuestionView | undefined;
  /** Somebody wants nothing new to begin. */
  readonly paused: { readonly by: string; readonly why: string; readonly at: number } | undefined;
  readonly end: { readonly end: string; readonly at: number; readonly why: string | undefined } | undefined;
  readonly failures: readonly FailureView[];
  /** How long each exposure will last in all, as far as history tells. */
  readonly forecast: { readonly [what in Exposure]: number | undefined };
  /** Calls that were sent and not answered yet, by number. */
  readonly calls: {
    readonly [n: string]: { readonly unit: string; readonly request: Request; readonly at: number };
  };
  /** Steps whose intent was written, in order. */
  readonly begun: readonly string[];
  readonly goingBack: boolean;
  /** Still to be given back, next first; undefined until the way back began. */
  readonly back: readonly string[] | undefined;
  /** What the last line brought of a step's progress, where it moved far enough to be told. */
  readonly news: string | undefined;
}

const noHistory: Forecast = () => undefined;

export function emptyView(plan: Plan, run: string, forecast: Forecast = noHistory): View {
  return {
    run,
    cluster: plan.cluster,
    title: plan.title,
    startedAt: undefined,
    steps: plan.units.map((unit) => ({
      key: unit.key,
      stage: unit.stage,
      title: unit.title,
      node: unit.node,
      kind: unit.kind,
      state: "to come",
      begun: false,
      since: undefined,
      endedAt: undefined,
      limitMs: unit.withinMs,
      seen: {},
      note: undefined,
      exposes: unit.exposes,
      undoWhen: unit.undoWhen,
      ends: unit.ends,
      canBeGivenBack: unit.undo.length > 0,
      renewals: unit.sends.flatMap((send) => (send.renewal === true ? [send.request.verb] : [])),
    })),
    exposures: [],
    question: undefined,
    paused: undefined,
    end: undefined,
    failures: [],
    forecast: {
      service: forecastOf(plan, "service", forecast),
      redundancy: forecastOf(plan, "redundancy", forecast),
      cost: forecastOf(plan, "cost", forecast),
    },
    calls: {},
    begun: [],
    goingBack: false,
    back: undefined,
    news: undefined,
  };
}

/** The view of a whole journal. A journal does not hold the run's id: whoever read it knows. */
export function viewOf(rows: readonly Line[], run = "", forecast: Forecast = noHistory): View {
  const { plan } = startOf(rows as never);
  return rows.reduce(seeLine, emptyView(plan, run, forecast));
}

export function seeLine(before: View, line: Line): View {
  const view = before.news === undefined ? before : { ...before, news: undefined };
  return moveOn(take(view, line), line.at);
}

function take(view: View, { kind, body, at }: Line): View {
  const unit = textOf(body["unit"]) ?? "";
  switch (kind) {
    case "start":
      return { ...view, startedAt: at };
    case "taken-over":
      return { ...view, end: view.end?.end === "held" ? undefined : view.end, calls: {} };
    case "intent":
      return begin(view, unit, at);
    case "acted":
      return change(view, unit, () => ({ state: "settling" }));
    case "outcome":
      return settled(view, unit, at, body["already"] === true ? "held already" : "done");
    case "failure":
      return failed(view, unit, at, troubleOf(body["trouble"]));
    case "verb":
      return spoken(view, body, at);
    case "undone":
      return closed(
        givenBack(
          change(view, unit, () => ({ state: "given back", endedAt: at, note: undefined })),
          unit,
        ),
        at,
        (exposure) => exposure.step === unit,
      );
    case "not-undone":
      return notUndone(
        view,
        unit,
        at,
        troubleOf(body["trouble"]),
        body["again"] === true,
        body["atOnce"] === true,
      );
    case "sent":
      return {
        ...view,
        calls: { ...view.calls, [String(body["n"])]: { unit, request: body["request"] as Request, at } },
      };
    case "answered": {
      const { [String(body["sent"])]: _answered, ...calls } = view.calls;
      return { ...view, calls };
    }
    case "read":
      return progressed(view, unit, progressOf(textOf(body["key"]) ?? "", body["answer"]));
    case "trouble":
      return withFailure(view, undefined, textOf(body["where"]) ?? "beside the steps", at, troubleOf(body));
    case "held":
      return { ...view, question: undefined, end: { end: "held", at, why: textOf(body["why"]) } };
    case "end":
      return {
        ...view,
        question: undefined,
        end: { end: textOf(body["end"]) ?? "ended", at, why: undefined },
      };
    default:
      // Another version may write rows that this one does not know; they move nothing.
      return view;
  }
}

function begin(view: View, unit: string, at: number): View {
  const step = view.steps.find((candidate) => candidate.key === unit);
  const begun = change(view, unit, (old) => ({
    state: "doing",
    begun: true,
    ...(!old.begun && { since: at }),
  }));
  // The intent of a second try is not a second exposure.
  if (!step || step.begun) return begun;
  const exposure = step.exposes && { what: step.exposes, step: unit, since: at, until: undefined };
  return {
    ...begun,
    begun: [...view.begun, unit],
    ...(exposure && { exposures: [...view.exposures, exposure] }),
  };
}

function settled(view: View, unit: string, at: number, state: "done" | "held already"): View {
  const changed = change(view, unit, () => ({ state, endedAt: at, note: undefined }));
  const ender = view.steps.find((step) => step.key === unit);
  if (ender?.ends === undefined) return changed;
  return closed(changed, at, (exposure) =>
    view.steps.some((step) => step.key === exposure.step && endsExposure(ender, step)),
  );
}

function failed(view: View, unit: string, at: number, trouble: Trouble): View {
  const changed = change(view, unit, () => ({ state: "failed", endedAt: at, note: trouble.message }));
  return withFailure(changed, unit, titleOf(view, unit), at, trouble);
}

function spoken(view: View, body: Line["body"], at: number): View {
  const verb = textOf(body["verb"]) ?? "";
  if (verb === "pause")
    return { ...view, paused: { by: textOf(body["by"]) ?? "unknown", why: textOf(body["why"]) ?? "", at } };
  if (verb === "resume") return { ...view, paused: undefined };
  const asked = view.question?.units.map((unit) => unit.key) ?? [];
  const answered = { ...view, question: undefined };
  const forAsked = (patch: Partial<StepView>) =>
    asked.reduce((so, key) => change(so, key, () => patch), answered as View);
  if (verb === "retry")
    return forAsked({ state: "to come", since: undefined, endedAt: undefined, note: undefined });
  if (verb === "skip") return forAsked({ state: "skipped", endedAt: at });
  if (verb === "give-back") return { ...answered, goingBack: true, paused: undefined };
  if (verb !== "undo") return answered;
  // What holds the nodes was let go, and is taken again (fold.ts).
  const left = view.steps.filter((step) => step.state === "not given back").map((step) => step.key);
  const again = view.begun.includes("holdNodes") ? [...left, "holdNodes"] : left;
  return { ...answered, end: undefined, paused: undefined, goingBack: true, back: orderOf(view).sort(again) };
}

function notUndone(
  view: View,
  unit: string,
  at: number,
  trouble: Trouble,
  again: boolean,
  atOnce: boolean,
): View {
  const list = view.back ?? [];
  const changed = change(view, unit, () =>
    again ? { note: trouble.message } : { state: "not given back", endedAt: at, note: trouble.message },
  );
  const noted = withFailure(changed, unit, titleOf(view, unit), at, trouble);
  return { ...noted, back: again ? orderOf(view).putBack(list, atOnce) : list.filter((key) => key !== unit) };
}

function progressed(view: View, unit: string, progress: Progress | undefined): View {
  const step = view.steps.find((candidate) => candidate.key === unit);
  if (!progress || !step) return view;
  const seen = { ...step.seen, [progress.about]: progress };
  const texts = Object.values(seen).flatMap(({ text }) => text || []);
  const changed = change(view, unit, () => ({ seen, note: texts.join("; ") || undefined }));
  // Looks before a step acts, and those that prove an earlier step still true, tell nothing of its progress.
  const moves = isActive(step) && (step.begun || step.kind === "wait");
  const told = moves && progress.text !== "" && movedFar(step.seen[progress.about], progress);
  return told ? { ...changed, news: progress.text } : changed;
}

/** Ten points of percent, or another state: what a log should show of a long copy. */
function movedFar(before: Progress | undefined, now: Progress): boolean {
  if (before?.percent === undefined || now.percent === undefined) return before?.text !== now.text;
  return Math.floor(before.percent / 10) !== Math.floor(now.percent / 10);
}

/** What follows without a line of its own: the next stage is looked at, a person is asked, the next step is given back. */
function moveOn(view: View, at: number): View {
  if (view.end || view.startedAt === undefined) return view;
  if (view.back) return goBack(view, at);
  const stage = view.steps.find((step) => !isSettled(step))?.stage;
  if (stage === undefined) return view;
  const units = view.steps.filter((step) => step.stage === stage);
  const waiting = units.some((step) => isActive(step) || (step.state === "to come" && !view.goingBack));
  if (view.goingBack && !waiting) return goBack({ ...view, back: listBack(view) }, at);
  const started = units.reduce(
    (so, { key, state, kind }) =>
      state !== "to come" || view.goingBack
        ? so
        : change(so, key, () => ({ state: kind === "approve" ? "waiting for you" : "looking", since: at })),
    view,
  );
  return { ...started, question: questionOf(started, stage) };
}

function questionOf(view: View, stage: string): QuestionView | undefined {
  const open = view.steps.filter((step) => step.stage === stage && !isSettled(step));
  const asked = open.every((step) => step.state === "failed" || step.state === "waiting for you");
  // A run that has done nothing yet is refused without a question.
  const begun = view.steps.some((step) => step.begun);
  if (!asked || (!begun && open.some((step) => step.state === "failed"))) return undefined;
  if (view.question?.units.length === open.length) return view.question;
  return {
    units: open.map((step) => {
      const trouble = view.failures.findLast((failure) => failure.unit === step.key);
      return {
        key: step.key,
        title: step.title,
        why: step.state === "failed" ? (trouble?.message ?? "it failed") : "it waits for your word",
        ...(trouble?.hint !== undefined && { hint: trouble.hint }),
      };
    }),
    maySkip: undefined,
  };
}

/** The question as the engine asks it: it alone knows whether the step may be skipped. */
export function withQuestion(view: View, question: QuestionView): View {
  return { ...view, question };
}

function goBack(view: View, at: number): View {
  const next = view.steps.find((step) => step.key === view.back?.[0]);
  if (!next || next.state === "giving back") return view;
  return change(view, next.key, () => ({
    state: "giving back",
    since: at,
    endedAt: undefined,
    note: undefined,
    seen: {},
  }));
}

/** In the order in which the engine goes back. */
function orderOf(view: View): WayBack {
  return wayBack(view.steps.map((step) => ({ ...step, keptAlive: step.renewals.length > 0 })));
}

function listBack(view: View): readonly string[] {
  return orderOf(view).list(view.begun, (key) => {
    const exposing = view.steps.find((step) => step.key === key);
    const isOver = (step: StepView) => ["done", "held already", "skipped"].includes(step.state);
    return exposing !== undefined && view.steps.some((step) => endsExposure(step, exposing) && isOver(step));
  });
}

function givenBack(view: View, unit: string): View {
  return view.back ? { ...view, back: view.back.filter((key) => key !== unit) } : view;
}

function closed(view: View, at: number, which: (exposure: ExposureView) => boolean): View {
  if (!view.exposures.some((exposure) => exposure.until === undefined && which(exposure))) return view;
  const close = (exposure: ExposureView) =>
    exposure.until === undefined && which(exposure) ? { ...exposure, until: at } : exposure;
  return { ...view, exposures: view.exposures.map(close) };
}

function change(view: View, unit: string, patch: (old: StepView) => Partial<StepView>): View {
  return {
    ...view,
    steps: view.steps.map((step) => (step.key === unit ? { ...step, ...patch(step) } : step)),
  };
}

function withFailure(
  view: View,
  unit: string | undefined,
  title: string,
  at: number,
  trouble: Trouble,
): View {
  return { ...view, failures: [...view.failures, { ...trouble, at, unit, title }] };
}

export function isActive({ state }: StepView): boolean {
  return (
    state === "looking" ||
    state === "doing" ||
    state === "settling" ||
    state === "waiting for you" ||
    state === "giving back"
  );
}

export function isSettled({ state }: StepView): boolean {
  return state === "done" || state === "held already" || state === "skipped";
}

export function titleOf(view: View, unit: string): string {
  const step = view.steps.find((candidate) => candidate.key === unit);
  if (!step) return unit;
  return step.node === undefined ? step.title : `${step.title} (${step.node})`;
}

export function troubleOf(value: unknown): Trouble {
  const { kind, message, hint } = (value ?? {}) as { readonly [key: string]: unknown };
  return {
    kind: textOf(kind) ?? "unknown",
    message: textOf(message) ?? "no reason was written down",
    ...(typeof hint === "string" && { hint }),
  };
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

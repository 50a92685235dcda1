/** A run as lines for pipes, logs and schedulers: one for each thing worth telling, and never a question. */
import type { Line } from "../engine/logbook.ts";
import type { Request } from "../ports/driver.ts";
import { toldIn, type Exposure } from "../runbook/step.ts";
import { dateAndTime, lasting, oneLine, shortRequest, timeOfDay } from "./format.ts";
import { textOf, titleOf, troubleOf, type StepView, type View } from "./view.ts";
import { exposedFor } from "./windows.ts";

export interface PlainOptions {
  /** "local": hours of this machine (default); "date": with the date; "iso": UTC as ISO 8601. */
  readonly time?: "local" | "date" | "iso";
  /** Time zone instead of this machine's. */
  readonly zone?: string;
}

/** The line for a row, where there is something to tell. `view` is the view *after* that row. */
export function plainLine(line: Line, view: View, options: PlainOptions = {}): string | undefined {
  const text = tell(line, view);
  return text === undefined ? undefined : `${stamp(line.at, options)} ${oneLine(text)}`;
}

function also(told: readonly string[]): string {
  return told.map((line) => `; ${line}`).join("");
}

function stamp(at: number, { time = "local", zone }: PlainOptions): string {
  if (time === "iso") return new Date(at).toISOString();
  return time === "date" ? dateAndTime(at, zone) : timeOfDay(at, zone);
}

function tell(line: Line, view: View): string | undefined {
  const { kind, body, at } = line;
  const unit = textOf(body["unit"]) ?? "";
  const step = view.steps.find((candidate) => candidate.key === unit);
  const title = titleOf(view, unit);
  switch (kind) {
    case "start":
      return `run ${view.run}: ${view.title} (${view.cluster}), by ${textOf(body["owner"]) ?? "unknown"}`;
    case "taken-over":
      return `taken over by ${textOf(body["by"]) ?? "unknown"}`;
    case "intent":
      return `▸ ${title}${begins(view, unit, at)}`;
    case "outcome":
      return body["already"] === true
        ? `– ${title}: it holds, nothing was sent${over(view, at)}${also(toldIn(body["found"]))}`
        : `✓ ${title}${took(step)}${over(view, at)}${also(toldIn(body["found"]))}`;
    case "failure":
      return `✗ ${title}: ${because(body["trouble"])}`;
    case "verb":
      return tellVerb(body);
    case "told":
      return body["heeded"] === true
        ? tellVerb(body)
        : `${tellVerb(body)}; not heeded: ${textOf(body["reason"]) ?? ""}`;
    case "undone":
      return body["already"] === true
        ? `↩ ${title}: nothing to give back${over(view, at)}${also(toldIn(body))}`
        : `↩ ${title}: given back${took(step)}${over(view, at)}${also(toldIn(body))}`;
    case "not-undone":
      return body["again"] === true
        ? `! ${title}: not given back yet, it is tried again: ${because(body["trouble"])}`
        : `✗ ${title}: not given back: ${because(body["trouble"])}`;
    case "sent":
      return isRenewal(step, body["request"]) ? undefined : `→ ${shortRequest(body["request"] as Request)}`;
    case "answered":
      return tellAnswer(body, view);
    case "read":
      return view.news === undefined ? undefined : `  ${title}: ${view.news}`;
    case "trouble":
      return `! ${textOf(body["where"]) ?? "beside the steps"}: ${because(body)}`;
    case "held":
      return `▸ stopped here by ${textOf(body["by"]) ?? "unknown"}: ${textOf(body["why"]) ?? ""}`;
    case "end":
      return tellEnd(view, at);
    default:
      return undefined;
  }
}

function tellVerb(body: Line["body"]): string {
  const verb = textOf(body["verb"]) ?? "";
  const why = textOf(body["why"]) ?? "";
  return `${verb === "give-back" ? "give back" : verb}, said ${textOf(body["by"]) ?? "unknown"}${why === "" ? "" : `: ${why}`}`;
}

function tellAnswer(body: Line["body"], view: View): string | undefined {
  const ms = typeof body["ms"] === "number" ? body["ms"] : 0;
  const code = typeof body["code"] === "number" ? String(body["code"]) : undefined;
  const verb = textOf(body["verb"]) ?? "";
  const why = troubleOf(body["failure"]).message;
  switch (body["state"]) {
    case "answered":
      if (view.steps.some((step) => step.renewals.includes(verb))) return undefined;
      return `← ${code ?? "done"} in ${lasting(ms)}`;
    case "failed":
      return `← ${code ?? "failed"} in ${lasting(ms)}: ${why}`;
    case "no":
      return `← not carried out: ${why}`;
    default:
      return `← no answer in ${lasting(ms)}, a look will tell: ${why}`;
  }
}

function tellEnd(view: View, at: number): string {
  const end = view.end?.end ?? "ended";
  const after = view.startedAt === undefined ? "" : ` after ${lasting(at - view.startedAt)}`;
  const open = openOf(view);
  const still = open.length === 0 ? "" : `; still open: ${open.map((what) => longWords[what]).join(", ")}`;
  if (end === "succeeded") return `✓ succeeded${after}${still}`;
  if (end === "given back") return `↩ failed, and everything was given back${after}${still}`;
  if (end === "refused") return `✗ refused: nothing was touched`;
  if (end === "stuck") return `✗ stuck${after}: a person is needed${still}`;
  return `${end}${after}${still}`;
}

const longWords = { service: "service out", redundancy: "no redundancy", cost: "costs running" } as const;
const overWords = { service: "service out", redundancy: "no redundancy", cost: "costs ran" } as const;

function openOf(view: View): readonly Exposure[] {
  return [
    ...new Set(view.exposures.filter((exposure) => exposure.until === undefined).map(({ what }) => what)),
  ];
}

/** What a step that begins now takes away. */
function begins(view: View, unit: string, at: number): string {
  const exposure = view.exposures.find((candidate) => candidate.step === unit && candidate.since === at);
  return exposure === undefined ? "" : `; from now: ${longWords[exposure.what]}`;
}

/** What is over with this line. */
function over(view: View, at: number): string {
  const closed = new Set(view.exposures.filter((exposure) => exposure.until === at).map(({ what }) => what));
  return [...closed]
    .flatMap((what) => {
      const exposed = exposedFor(view.exposures, what, at);
      return exposed === undefined || exposed.open ? [] : [`; ${overWords[what]} for ${lasting(exposed.ms)}`];
    })
    .join("");
}

function took(step: StepView | undefined): string {
  if (step?.since === undefined || step.endedAt === undefined || step.kind === "check") return "";
  return ` (${lasting(step.endedAt - step.since)})`;
}

function because(value: unknown): string {
  const { message, hint } = troubleOf(value);
  return hint === undefined ? message : `${message} (${hint})`;
}

/** A marker or a timer that is kept alive is no news each time. */
function isRenewal(step: StepView | undefined, request: unknown): boolean {
  const verb = textOf((request as { readonly verb?: unknown } | undefined)?.verb);
  return verb !== undefined && step?.renewals.includes(verb) === true;
}

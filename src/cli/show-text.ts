/** Everything that a run printed, again from its journal: who, when, what was sent, what failed, what it cost, how it ended. */
import { Chalk, type ChalkInstance } from "chalk";

import { startOf } from "../engine/start-row.ts";
import type { Line } from "../engine/logbook.ts";
import type { Plan } from "../runbook/plan.ts";
import { commandsFor, holeValues, type ByHandOptions } from "./by-hand.ts";
import { dateAndTime, lasting, oneLine, timeOfDay, wrap } from "./format.ts";
import { plainLine } from "./plain.ts";
import { emptyView, seeLine, titleOf, type FailureView, type View } from "./view.ts";
import { exposedFor, type Forecast } from "./windows.ts";

export { commandsFor, type ByHandOptions } from "./by-hand.ts";

export interface ShowTextOptions {
  readonly color: boolean;
  readonly width: number;
  /** The run's id, which its journal does not hold; else it is taken from what was sent, where it can be seen there. */
  readonly run?: string;
  readonly forecast?: Forecast;
  /** Time zone instead of this machine's. */
  readonly zone?: string;
  readonly byHand?: ByHandOptions;
}

export function showText(rows: readonly Line[], options: ShowTextOptions): string {
  const paint = new Chalk({ level: options.color ? 1 : 0 });
  const start = startOf(rows as never);
  const { plan } = start;
  const run = oneLine(options.run ?? holeValues(plan, rows).get("this run") ?? "");
  const timeline: string[] = [];
  let view = emptyView(plan, run, options.forecast);
  for (const row of rows) {
    view = seeLine(view, row);
    const line = plainLine(row, view, { time: "local", ...zoneOf(options) });
    if (line !== undefined) timeline.push(coloured(line, paint));
  }
  const section = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : ["", paint.bold(title), ...lines];
  return [
    ...headLines(plan, start.owner, view, rows, options, paint),
    ...section("What happened", timeline),
    ...section("What went wrong", failureLines(view, options)),
    ...section("What was taken away", exposureLines(view, rows.at(-1)?.at ?? 0)),
    ...section("What is left to do", leftLines(plan, view, rows, options)),
  ].join("\n");
}

function zoneOf({ zone }: ShowTextOptions): { readonly zone?: string } {
  return zone === undefined ? {} : { zone };
}

function headLines(
  plan: Plan,
  owner: string,
  view: View,
  rows: readonly Line[],
  options: ShowTextOptions,
  paint: ChalkInstance,
): string[] {
  const params = Object.entries(plan.params).map(([name, value]) => ` ${name}=${value}`);
  const first = rows[0]?.at ?? 0;
  const end = view.end;
  const ended =
    end === undefined
      ? "it has no end yet"
      : `${end.end} ${dateAndTime(end.at, options.zone)}, after ${lasting(end.at - first)}`;
  return [
    paint.bold(
      oneLine(
        `${view.run === "" ? "" : `run ${view.run}: `}${plan.title} (${plan.runbook}${params.join("")}) on ${plan.cluster}`,
      ),
    ),
    oneLine(`started ${dateAndTime(first, options.zone)} by ${owner}`),
    oneLine(`plan ${plan.hash}, made ${dateAndTime(plan.madeAt, options.zone)}`),
    oneLine(ended),
  ];
}

/** The mark says how it went; the rest of the line stays quiet. */
function coloured(line: string, paint: ChalkInstance): string {
  if (/^\S+ ✓/.test(line)) return line.replace("✓", paint.green("✓"));
  if (/^\S+ ✗/.test(line)) return paint.red(line);
  if (/^\S+ [!↩]/.test(line)) return paint.yellow(line);
  return /^\S+ (→|←| )/.test(line) ? paint.dim(line) : line;
}

/** What failed the same way many times (an undo that waits for a node) is told once, with how often. */
function failureLines(view: View, options: ShowTextOptions): string[] {
  const kinds = new Map<string, FailureView[]>();
  for (const failure of view.failures) {
    const kind = JSON.stringify([failure.unit, failure.title, failure.message]);
    kinds.set(kind, [...(kinds.get(kind) ?? []), failure]);
  }
  return [...kinds.values()].flatMap((alike) => {
    const [first] = alike;
    if (!first) return [];
    const { unit, title, kind, message, hint, at } = first;
    const what = unit === undefined ? title : titleOf(view, unit);
    const often = alike.length === 1 ? "" : `, ${alike.length} times`;
    const text = `${timeOfDay(at, options.zone)} ${what}: ${message} (${kind}${often})`;
    return [
      ...wrap(oneLine(text), options.width, "  "),
      ...(hint === undefined ? [] : wrap(oneLine(hint), options.width, "    ")),
    ];
  });
}

const names = { service: "service", redundancy: "redundancy", cost: "money" } as const;

function exposureLines(view: View, now: number): string[] {
  return (["service", "redundancy", "cost"] as const).flatMap((what) => {
    const exposed = exposedFor(view.exposures, what, now);
    if (!exposed) return [];
    const forecast = view.forecast[what];
    const expected = forecast === undefined ? "no history to compare with" : `forecast ${lasting(forecast)}`;
    const still = exposed.open ? ", and not given back when this was written" : "";
    return [`  ${names[what].padEnd(10)} ${lasting(exposed.ms)}${still} (${expected})`];
  });
}

function leftLines(plan: Plan, view: View, rows: readonly Line[], options: ShowTextOptions): string[] {
  const open = view.steps.filter((step) => step.state === "not given back");
  // What keeps the service out is told first.
  const left = [
    ...open.filter((step) => step.exposes === "service"),
    ...open.filter((step) => step.exposes !== "service"),
  ];
  if (view.end?.end !== "stuck" || left.length === 0) return [];
  const lines = left.flatMap((step) => [
    ...wrap(
      oneLine(`- ${titleOf(view, step.key)}: ${step.note ?? "it was not given back"}`),
      options.width,
      "  ",
    ),
    // At the left edge and never broken, so that they can be copied.
    ...commandsFor(plan, step.key, rows, options.byHand),
  ]);
  const again = view.run === "" ? "runbook undo" : `runbook undo ${view.run}`;
  return [...lines, `  When it is mended, \`${again}\` looks again, and gives back what is left.`];
}

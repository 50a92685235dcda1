/**
 * A run as lines for a terminal of a given size: pure, without any movement of the cursor (live.ts has that). What must
 * never be lost on a small screen is, in this order: the question, what is exposed, the step that is under way.
 */
import { Chalk, type ChalkInstance } from "chalk";

import { cut, fit, lasting, oneLine, ticking, widthOf, wrap } from "./format.ts";
import { isActive, isSettled, titleOf, type StepView, type View } from "./view.ts";
import { exposedFor } from "./windows.ts";

export interface RenderOptions {
  readonly color: boolean;
  /** Lines that there are; all that are needed when left out. */
  readonly height?: number;
}

export function render(view: View, width: number, now: number, options: RenderOptions): string[] {
  const paint = new Chalk({ level: options.color ? 1 : 0 });
  const head = [paint.bold(cut(headLine(view, now), width))];
  const rows = listLines(view, width, now, paint);
  const foot = [
    ...meterLines(view, width, now, paint),
    ...pauseLines(view, width, paint),
    ...questionLines(view, width, paint),
    ...endLines(view, width, paint),
  ];
  const height = options.height ?? Number.POSITIVE_INFINITY;
  const spacious = head.length + rows.length + foot.length + 2 <= height;
  const gap = spacious ? [""] : [];
  const room = height - head.length - foot.length;
  const shown = spacious ? rows.map((row) => row.text) : around(rows, room, width, paint);
  const lines = [...head, ...gap, ...shown, ...(foot.length > 0 ? gap : []), ...foot];
  // On the lowest of screens the end of it counts: there the question stands, and what is exposed.
  return lines.length <= height ? lines : lines.slice(-Math.max(1, Math.floor(height)));
}

function headLine(view: View, now: number): string {
  const end = view.end?.at ?? now;
  const elapsed = view.startedAt === undefined ? [] : [ticking(end - view.startedAt)];
  const run = view.run === "" ? [] : [`run ${view.run}`];
  return [view.title, view.cluster, ...run, ...elapsed].map(oneLine).join(" · ");
}

interface Row {
  readonly text: string;
  /** What the screen is scrolled to. */
  readonly current: boolean;
}

/** The list of steps; checks that hold are told in one line, for there are many and they are quick. */
function listLines(view: View, width: number, now: number, paint: ChalkInstance): readonly Row[] {
  const holding = view.steps.filter((step) => step.kind === "check" && isSettled(step));
  const checks = view.steps.filter((step) => step.kind === "check");
  const rest = view.steps.filter((step) => !holding.includes(step));
  const columns = columnsFor(rest, width);
  const rows = rest.map((step) => ({
    text: stepLine(step, columns, now, paint),
    current: isActive(step) || step.state === "failed",
  }));
  if (holding.length === 0) return rows;
  const count =
    holding.length === checks.length ? `${checks.length}` : `${holding.length} of ${checks.length}`;
  const noun = checks.length === 1 ? "check holds" : "checks hold";
  return [{ text: `${paint.green("✓")} ${cut(`${count} ${noun}`, width - 2)}`, current: false }, ...rows];
}

interface Columns {
  readonly title: number;
  readonly node: number;
  readonly time: number;
  readonly note: number;
}

const timeCells = 15;
const leastTitle = 24;

/** The title first; then time, node and note as there is room. */
function columnsFor(steps: readonly StepView[], width: number): Columns {
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map((text) => widthOf(oneLine(text))));
  const wanted = widest(steps.map((step) => step.title));
  let left = width - 2;
  const take = (cells: number) => {
    if (cells === 0 || left - cells - 1 < Math.min(wanted, leastTitle)) return 0;
    left -= cells + 1;
    return cells;
  };
  const time = take(timeCells) || take(7);
  const node = take(Math.min(16, widest(steps.flatMap((step) => step.node ?? []))));
  const title = Math.max(0, Math.min(wanted, left));
  return { title, node, time, note: Math.max(0, left - title - 2) };
}

function stepLine(step: StepView, columns: Columns, now: number, paint: ChalkInstance): string {
  const [mark, colour] = markOf(step, paint);
  const parts = [
    fit(titleIn(columns, step), columns.title),
    ...(columns.node > 0 ? [fit(oneLine(step.node ?? ""), columns.node)] : []),
    ...(columns.time > 0 ? [timeOf(step, columns.time, now).padStart(columns.time)] : []),
  ];
  const note = columns.note > 7 ? cut(noteOf(step), columns.note) : "";
  const plain = `${parts.join(" ")}${note === "" ? "" : `  ${note}`}`.trimEnd();
  return `${colour(mark)} ${isActive(step) ? paint.bold(plain) : quiet(step) ? paint.dim(plain) : plain}`;
}

/** Where there is no room for the node's own column, it stands first: copies of a step would look the same. */
function titleIn(columns: Columns, { title, node }: StepView): string {
  return oneLine(columns.node > 0 || node === undefined ? title : `${node}: ${title}`);
}

function quiet(step: StepView): boolean {
  return step.state === "to come" || step.state === "held already" || step.state === "skipped";
}

function markOf({ state }: StepView, paint: ChalkInstance): readonly [string, ChalkInstance] {
  switch (state) {
    case "done":
      return ["✓", paint.green];
    case "held already":
    case "skipped":
      return ["–", paint.dim];
    case "failed":
    case "not given back":
      return ["✗", paint.red];
    case "giving back":
    case "given back":
      return ["↩", paint.yellow];
    case "to come":
      return ["·", paint.dim];
    case "looking":
    case "doing":
    case "settling":
    case "waiting for you":
      return ["▸", paint.cyan];
  }
}

function timeOf(step: StepView, cells: number, now: number): string {
  if (step.since === undefined || step.state === "to come" || step.state === "held already") return "";
  const spent = ticking((step.endedAt ?? now) - step.since);
  // A person may take as long as they like, and the way back has limits of its own.
  const limited = isActive(step) && step.state !== "waiting for you" && step.state !== "giving back";
  const both = `${spent} / ${ticking(step.limitMs)}`;
  return limited && widthOf(both) <= cells ? both : spent;
}

function noteOf(step: StepView): string {
  if (step.state === "to come" || step.state === "done") return "";
  if (step.state === "looking" || step.state === "doing") return oneLine(step.note ?? "");
  if (step.state === "settling") return oneLine(step.note ?? "sent; looking for its effect");
  return oneLine(step.note === undefined ? step.state : `${step.state}: ${step.note}`);
}

/** As many rows as there is room for, around the current one, with what was left out in words. */
function around(rows: readonly Row[], room: number, width: number, paint: ChalkInstance): readonly string[] {
  if (room <= 0) return [];
  if (rows.length <= room) return rows.map((row) => row.text);
  const firstCurrent = rows.findIndex((row) => row.current);
  const current = firstCurrent === -1 ? rows.length - 1 : firstCurrent;
  if (room < 5) return rows.slice(clamp(current, rows.length - room), current + room).map((row) => row.text);
  // A third of the room looks back, the rest ahead.
  const inner = room - 2;
  const from = clamp(current - Math.floor(inner / 3), rows.length - inner);
  const to = from + inner;
  const more = (n: number, where: string) => paint.dim(cut(`… ${n} ${where}`, width));
  const body = rows.slice(from, to).map((row) => row.text);
  return [
    from === 0 ? undefined : more(from, "before"),
    ...body,
    to === rows.length ? undefined : more(rows.length - to, "to come"),
  ].filter((line) => line !== undefined);
}

function clamp(n: number, most: number): number {
  return Math.max(0, Math.min(n, most));
}

const openWords = {
  service: "service out for",
  redundancy: "no redundancy for",
  cost: "costs running for",
} as const;
const closedWords = {
  service: "service was out for",
  redundancy: "was without redundancy for",
  cost: "costs ran for",
} as const;

/** What is taken away now, loudly, and what was, in passing. */
function meterLines(view: View, width: number, now: number, paint: ChalkInstance): string[] {
  return (["service", "redundancy", "cost"] as const).flatMap((what) => {
    const exposed = exposedFor(view.exposures, what, now);
    if (!exposed) return [];
    const forecast = view.forecast[what];
    const expected = forecast === undefined ? "no history" : `forecast ${ticking(forecast)}`;
    const words = exposed.open ? openWords[what] : closedWords[what];
    const text = cut(`${words} ${ticking(exposed.ms)} (${expected})`, width);
    if (!exposed.open) return [paint.dim(text)];
    return [what === "service" ? paint.red.bold(text) : paint.yellow.bold(text)];
  });
}

function pauseLines({ paused, run, end }: View, width: number, paint: ChalkInstance): string[] {
  if (!paused || end) return [];
  const text = `‖ paused by ${paused.by}: ${paused.why}`;
  return [
    ...wrap(oneLine(text), width).map((line) => paint.yellow(line)),
    ...wrap(`it goes on with \`runbook tell ${run} resume --why …\``, width, "  "),
  ];
}

function questionLines(view: View, width: number, paint: ChalkInstance): string[] {
  if (!view.question) return [];
  const { units, maySkip } = view.question;
  const told = units.flatMap(({ title, key, why, hint }) => [
    ...wrap(`? ${oneLine(titleOf(view, key) || title)}: ${oneLine(why)}`, width).map((line) =>
      paint.yellow(line),
    ),
    ...(hint === undefined ? [] : wrap(oneLine(hint), width, "  ")),
  ]);
  const keys = ["(r)etry", ...(maySkip === false ? [] : ["(s)kip"]), "(g)ive back", "(x) stop here"];
  return [...told, ...wrap(keys.join("  "), width, "  ").map((line) => paint.bold(line))];
}

function endLines(view: View, width: number, paint: ChalkInstance): string[] {
  if (!view.end) return [];
  const { end, at } = view.end;
  const took = view.startedAt === undefined ? "" : ` after ${lasting(at - view.startedAt)}`;
  const first = view.failures.find((failure) => failure.unit !== undefined);
  const because = first === undefined ? "" : `: ${first.title}: ${first.message}`;
  const left = view.steps.filter((step) => step.state === "not given back");
  const lines = (colour: ChalkInstance, ...texts: readonly string[]) =>
    texts.flatMap((text) => wrap(oneLine(text), width)).map((line) => colour(line));
  switch (end) {
    case "succeeded":
      return lines(paint.green, `✓ succeeded${took}`);
    case "given back":
      return lines(paint.yellow, `↩ failed and given back${took}${because}`);
    case "refused":
      return lines(paint.yellow, `✗ refused, nothing was touched${because}`);
    case "stuck":
      return lines(
        paint.red.bold,
        `✗ stuck${took}: a person is needed`,
        ...left.map((step) => `- ${titleOf(view, step.key)}: ${step.note ?? "not given back"}`),
      );
    case "held":
      return lines(
        paint.yellow,
        `▸ stopped here${took}${view.end.why === undefined ? "" : `: ${view.end.why}`}`,
      );
    default:
      return lines(paint.yellow, `${end}${took}`);
  }
}

/**
 * The timeline as inline SVG: a bar for each step, with what it was doing; lanes for who was at work and for what was taken
 * away. Phases differ by pattern as well as by colour, so that a black-and-white print can be read. Patterns are drawn as
 * lines, because a pattern that is referred to would be the only reference in the file.
 */
import { cut, oneLine, widthOf, wrap } from "./format.ts";
import { axisOf, ticksOf, type Axis } from "./report-axis.ts";
import { phases, type Gap, type Phase, type Stretch } from "./report-course.ts";
import type { ExposureTold, Report, StepTold } from "./report-data.ts";
import { escapeHtml } from "./report-escape.ts";
import { fill, signs, titleOf, type Text, type Tone } from "./report-blocks.ts";
import type { ReportTexts } from "./report-text-en.ts";
import { timesOf, type Times } from "./report-times.ts";

const width = 760;
const left = 238;
const right = 82;
const chart = width - left - right;
const lineHeight = 12;
const barHeight = 9;
const laneHeight = 17;
/** A picture that is higher than this does not fit on a page of paper. */
const highest = 860;
/** How wide a cell of text is at this size of letters, with a little to spare. */
const cellWidth = 5.6;

interface Drawing {
  readonly report: Report;
  readonly texts: ReportTexts;
  readonly times: Times;
  readonly axis: Axis;
}

interface Row {
  readonly step: StepTold;
  readonly label: readonly string[];
  readonly height: number;
}

export function timelineSvg(report: Report, texts: ReportTexts): string {
  const { timeline } = texts;
  const axis = axisOf(marksOf(report), chart, 66);
  const drawing: Drawing = { report, texts, times: timesOf(report, texts), axis };
  const rows = rowsOf(drawing);
  const parts = partsOf(rows);
  const unreached = report.steps.length - rows.length;
  const pictures = parts.map((part, i) => {
    const caption =
      parts.length === 1
        ? ""
        : `<figcaption>${words(fill(timeline.part, { part: String(i + 1), parts: String(parts.length) }))}</figcaption>`;
    return `<figure>${caption}${picture(drawing, part)}</figure>`;
  });
  const notes = [
    ...(axis.pieces.some(({ broken }) => broken) ? [timeline.cutNote] : []),
    ...(unreached > 0 ? [words(fill(timeline.unreached, { count: String(unreached) }))] : []),
  ];
  return `${legend(texts)}\n${pictures.join("\n")}${notes.map((note) => `\n<p class="small">${note}</p>`).join("")}`;
}

/** Everything at which something begins or ends. */
export function marksOf(report: Report): readonly number[] {
  return [
    report.startedAt,
    report.lastAt,
    ...report.gaps.flatMap(({ from, to }) => [from, to]),
    ...report.exposures.flatMap(({ stretches }) =>
      stretches.flatMap(({ since, until }) => [since, until ?? report.lastAt]),
    ),
    ...report.steps.flatMap(({ stretches }) => stretches.flatMap(({ from, to }) => [from, to])),
  ];
}

function rowsOf({ report, texts }: Drawing): readonly Row[] {
  return report.steps.flatMap((step): Row[] => {
    if (step.stretches.length === 0) return [];
    const cells = Math.floor((left - 40) / cellWidth);
    const lines = wrap(oneLine(titleOf(step, texts)), cells);
    const label =
      lines.length <= 2 ? lines : [lines[0] ?? "", cut(`${lines[1] ?? ""}${lines[2] ?? ""}…`, cells)];
    return [{ step, label, height: label.length * lineHeight + 5 }];
  });
}

function partsOf(rows: readonly Row[]): readonly (readonly Row[])[] {
  const parts: Row[][] = [[]];
  let height = 0;
  for (const row of rows) {
    if (height + row.height > highest - 100) {
      parts.push([]);
      height = 0;
    }
    parts.at(-1)?.push(row);
    height += row.height;
  }
  return parts;
}

function picture(drawing: Drawing, rows: readonly Row[]): string {
  const { report, texts, axis } = drawing;
  const lanes = report.exposures.filter(({ stretches }) => stretches.length > 0);
  const top = 30;
  const body = top + laneHeight * (lanes.length + 1) + 4;
  const height = body + rows.reduce((sum, row) => sum + row.height, 0) + 4;
  let y = body;
  const bars = rows.map((row) => {
    const drawn = stepRow(drawing, row, y);
    y += row.height;
    return drawn;
  });
  const alt = words(fill(texts.timeline.alt, { run: { data: report.run } }));
  return [
    `<svg viewBox="0 0 ${width} ${round(height)}" role="img" aria-label="${alt}">`,
    ...lanes.map((lane) => shade(drawing, lane, top, height)),
    ...report.gaps.map((gap) => gapShade(axis, gap, top, height)),
    ticks(drawing, top, height),
    workLane(drawing, top),
    ...lanes.map((lane, i) => lanePart(drawing, lane, top + laneHeight * (i + 1))),
    ...bars,
    cuts(drawing, top, height),
    gapLabels(drawing, top),
    "</svg>",
  ].join("\n");
}

function ticks({ axis, report, times }: Drawing, top: number, height: number): string {
  const even = ticksOf(axis, 62, times.aheadMs(report.startedAt));
  const { startedAt } = report;
  // The beginning is told exactly, where there is room for it.
  const at = axis.at(even[0] ?? Number.POSITIVE_INFINITY) > 50 ? [startedAt, ...even] : even;
  const seconds = even.some((time) => (time + times.aheadMs(time)) % 60_000 !== 0);
  let day = "";
  return at
    .map((time) => {
      const [date = "", clock = ""] = times.full(time).split(" ");
      const newDay = date === day ? "" : text(left + axis.at(time), 10, date, "tick");
      day = date;
      const x = round(left + axis.at(time));
      return `${newDay}<path class="grid" d="M${x} ${top - 6}V${round(height)}"/>${text(x, 21, clock.slice(0, seconds || time === startedAt ? 8 : 5), "tick")}`;
    })
    .join("\n");
}

/** What is taken away is shaded through the whole picture, with a line where it begins and where it ends. */
function shade(
  { axis, report }: Drawing,
  { what, stretches }: ExposureTold,
  top: number,
  height: number,
): string {
  return stretches
    .map(({ since, until }) => {
      const [x0, x1] = [left + axis.at(since), left + axis.at(until ?? report.lastAt)];
      return `<rect class="shade ${what}" x="${round(x0)}" y="${top}" width="${round(Math.max(1, x1 - x0))}" height="${round(height - top)}"/><path class="edge ${what}" d="M${round(x0)} ${top}V${round(height)}${until === undefined ? "" : `M${round(x1)} ${top}V${round(height)}`}"/>`;
    })
    .join("");
}

function gapShade(axis: Axis, { from, to }: Gap, top: number, height: number): string {
  const [x0, x1] = [left + axis.at(from), left + axis.at(to)];
  return `<rect class="gap" x="${round(x0)}" y="${top}" width="${round(Math.max(1, x1 - x0))}" height="${round(height - top)}"/>`;
}

function workLane({ report, texts, axis }: Drawing, y: number): string {
  const ends = [...report.gaps.map(({ from }) => from), report.lastAt];
  const begins = [report.startedAt, ...report.gaps.map(({ to }) => to)];
  const works = begins.map((from, i) => {
    const [x0, x1] = [left + axis.at(from), left + axis.at(ends[i] ?? from)];
    return `<rect class="work" x="${round(x0)}" y="${y + 5}" width="${round(Math.max(2, x1 - x0))}" height="7"/>`;
  });
  return `${text(left - 6, y + 12, texts.timeline.atWork, "lane before")}${works.join("")}`;
}

/** Why nobody was at work; above everything else, because it may stand where the axis is cut. */
function gapLabels({ report, texts, axis, times }: Drawing, y: number): string {
  return report.gaps
    .map(({ from, to, why }) => {
      const [x0, x1] = [left + axis.at(from), left + axis.at(to)];
      const label = `${texts.timeline[why]} ${times.lasting(to - from)}`;
      const fitting = [label, texts.timeline[why]].find((each) => widthOf(each) * cellWidth < x1 - x0 + 2);
      return `<g><title>${escapeHtml(label)}</title><path class="silent" d="M${round(x0)} ${y + 8.5}H${round(x1)}"/>${text((x0 + x1) / 2, y + 12, fitting ?? "…", "inside")}</g>`;
    })
    .join("");
}

function lanePart(drawing: Drawing, lane: ExposureTold, y: number): string {
  const { report, texts, axis, times } = drawing;
  const { what, stretches, ms, open } = lane;
  const bars = stretches.map(({ since, until }) => {
    const end = until ?? report.lastAt;
    const tip = `${texts.exposure[what]}: ${times.stamp(since)} – ${times.stamp(end)} (${times.lasting(end - since)})`;
    return bar(what, left + axis.at(since), left + axis.at(end), y + 3, 11, tip);
  });
  const total = ms === undefined ? "" : `${times.lasting(ms)}${open ? "…" : ""}`;
  return `${text(left - 6, y + 12, texts.exposure[what], "lane before")}${bars.join("")}${text(width - right + 4, y + 12, total, "took")}`;
}

function stepRow(drawing: Drawing, { step, label, height }: Row, y: number): string {
  const { axis, texts, times } = drawing;
  const { tone, sign } = markOf(step);
  const middle = y + height / 2;
  const first = y + 11;
  const bars = step.stretches.map(({ phase, from, to }: Stretch) =>
    bar(
      phase,
      left + axis.at(from),
      left + axis.at(to),
      middle - barHeight / 2,
      barHeight,
      unescaped(
        fill(texts.timeline.tooltip, {
          step: `${step.number}. ${titleOf(step, texts)}`,
          phase: texts.timeline[phase],
          from: times.stamp(from),
          to: times.stamp(to),
          time: times.lasting(to - from),
        }),
      ),
    ),
  );
  const took = step.forward ?? step.back;
  return [
    `<path class="line" d="M0 ${round(y)}H${width}"/>`,
    text(18, first, String(step.number), "number before"),
    text(23, first, sign, `sign ${tone}`),
    `<g><title>${escapeHtml(titleOf(step, texts))}</title>${label.map((line, i) => text(36, first + i * lineHeight, line, "label")).join("")}</g>`,
    ...bars,
    took ? text(width - right + 4, middle + 3.5, times.lasting(took.until - took.since), "took") : "",
  ].join("");
}

/** The same sign as in the table of steps. */
export function markOf({ state, went }: StepTold): { readonly tone: Tone; readonly sign: string } {
  const tone: Tone =
    state === "given back"
      ? "back"
      : state === "not given back" || state === "failed"
        ? "bad"
        : state === "skipped"
          ? "warn"
          : state === "giving back"
            ? "open"
            : went === "done" || went === "held already"
              ? "good"
              : "open";
  return { tone, sign: signs[tone] };
}

function legend({ timeline, exposure }: ReportTexts): string {
  const entry = (kind: Phase | keyof typeof exposure, label: string) =>
    `<span class="key"><svg viewBox="0 0 26 11" width="26" height="11" aria-hidden="true">${bar(kind, 1, 25, 1, barHeight, "")}</svg> ${label}</span>`;
  return `<p class="legend">${[
    ...phases.map((phase) => entry(phase, timeline[phase])),
    entry("service", exposure.service),
    entry("redundancy", exposure.redundancy),
  ].join(" ")}</p>`;
}

/** However short something was, it can be seen. */
function bar(kind: string, x0: number, x1: number, y: number, height: number, tip: string): string {
  const wide = Math.max(2.5, x1 - x0);
  const name = kind.replace(" ", "-");
  const box = `<rect class="bar ${name}" x="${round(x0)}" y="${round(y)}" width="${round(wide)}" height="${height}"/>`;
  const lines = hatch(kind, x0, y, wide, height);
  return `<g>${tip === "" ? "" : `<title>${escapeHtml(tip)}</title>`}${box}${lines === "" ? "" : `<path class="hatch ${name}" d="${lines}"/>`}</g>`;
}

function hatch(kind: string, x: number, y: number, wide: number, high: number): string {
  switch (kind) {
    case "settling":
      return slanted(x, y, wide, high, 4);
    case "service":
      return slanted(x, y, wide, high, 5) + falling(x, y, wide, high, 5);
    case "giving back":
      return along(x + 2, x + wide, 3, (at) => `M${round(at)} ${round(y)}v${high}`);
    case "redundancy":
      return along(y + 3, y + high, 3, (at) => `M${round(x)} ${round(at)}h${round(wide)}`);
    case "waiting":
    case "cost":
      return along(x + 2.5, x + wide - 1, 4, (at) => `M${round(at)} ${round(y + high / 2)}h.01`);
    default:
      return "";
  }
}

function along(from: number, to: number, step: number, draw: (at: number) => string): string {
  let drawn = "";
  for (let at = from; at < to; at += step) drawn += draw(at);
  return drawn;
}

/** Lines at 45 degrees, cut off at the edges of the box. */
function slanted(x: number, y: number, wide: number, high: number, step: number): string {
  return along(x - high + step / 2, x + wide, step, (k) => {
    const [t0, t1] = [Math.max(0, x - k), Math.min(high, x + wide - k)];
    return t1 > t0
      ? `M${round(k + t0)} ${round(y + high - t0)}L${round(k + t1)} ${round(y + high - t1)}`
      : "";
  });
}

function falling(x: number, y: number, wide: number, high: number, step: number): string {
  return along(x - high + step / 2, x + wide, step, (k) => {
    const [t0, t1] = [Math.max(0, x - k), Math.min(high, x + wide - k)];
    return t1 > t0 ? `M${round(k + t0)} ${round(y + t0)}L${round(k + t1)} ${round(y + t1)}` : "";
  });
}

/** Where the axis is cut, with how long that is; labels that would touch stand one above the other. */
function cuts({ axis, times, texts }: Drawing, top: number, height: number): string {
  let free = Number.NEGATIVE_INFINITY;
  return axis.pieces
    .filter(({ broken }) => broken)
    .map(({ from, to, x0, x1 }) => {
      const label = times.lasting(to - from);
      const middle = left + (x0 + x1) / 2;
      const half = (widthOf(label) * cellWidth) / 2;
      const high = middle - half < free;
      free = high ? Number.NEGATIVE_INFINITY : middle + half + 4;
      const tip = words(fill(texts.timeline.broken, { time: label }));
      return `<g><title>${tip}</title>${zigzag(left + x0 + 9, top, height)}${zigzag(left + x1 - 9, top, height)}${text(middle, top - (high ? 12 : 2), label, "cutlabel")}</g>`;
    })
    .join("");
}

function zigzag(x: number, top: number, height: number): string {
  let path = `M${round(x)} ${top}`;
  for (let y = top, i = 0; y < height; y += 5, i += 1)
    path += `L${round(x + (i % 2 === 0 ? 3 : -3))} ${round(Math.min(height, y + 5))}`;
  return `<path class="cut under" d="${path}"/><path class="cut" d="${path}"/>`;
}

function text(x: number, y: number, content: string, name: string): string {
  return content === ""
    ? ""
    : `<text class="${name}" x="${round(x)}" y="${round(y)}">${escapeHtml(content)}</text>`;
}

function words(pieces: Text): string {
  return escapeHtml(unescaped(pieces));
}

function unescaped(pieces: Text): string {
  return pieces
    .map((piece) => (typeof piece === "string" ? piece : "data" in piece ? piece.data : piece.code))
    .join("");
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}

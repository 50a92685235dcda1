/**
 * A runbook as a picture that stands alone: no script, no font and nothing else from outside, in the colours that the
 * reader's system prefers. Stages go from top to bottom; what they take away stands as a bar on the left, from the step that
 * takes it to the step that ends that; what gives each of them back stands on the right.
 */
import type { Stage } from "../runbook/list.ts";
import type { Exposure, Params } from "../runbook/step.ts";
import { broken, layOutPicture, measure, sheet, type Bar, type Box, type Layout } from "./graph-layout.ts";
import { oneLine } from "./format.ts";
import { escapeHtml } from "./report-escape.ts";

export interface Pictured {
  readonly name: string;
  readonly title: string;
  readonly params: Params;
  readonly stages: readonly Stage[];
}

const words: { readonly [what in Exposure]: string } = {
  service: "the service is out",
  redundancy: "no redundancy",
  cost: "costs money",
};

/** Room for the title, the legend and the heads of the two columns. */
const headHeight = 136;
const footHeight = 128;

export function drawRunbook({ name, title, params, stages }: Pictured): string {
  // How wide it comes out does not depend on where it begins, and how high its head is depends on how wide it is.
  const { lanes, hasWayBack } = layOutPicture(stages, 0);
  const left = sheet.margin + Math.max(1, lanes) * sheet.lane;
  const width = left + sheet.main + (hasWayBack ? sheet.between + sheet.undo : 0) + sheet.margin;
  const given = Object.entries(params).map(([param, value]) => `${param}=${value}`);
  const inHead = (said: string, size: number) => broken(oneLine(said), width - 2 * sheet.margin, size);
  const titles = inHead(title, 20);
  const notes = inHead([name, ...given].join(" · "), sheet.noteSize);
  const down = (titles.length - 1) * 26 + (notes.length - 1) * sheet.noteLine;
  const top = headHeight + down;
  const layout = layOutPicture(stages, top);
  const height = layout.bottom + footHeight;
  const parts = [
    `<title>${escapeHtml(title)}</title>`,
    `<desc>${escapeHtml(`The runbook ${name}: ${String(stages.length)} stages from top to bottom, and what gives each back.`)}</desc>`,
    `<style>${style}</style>`,
    `<rect class="paper" width="${n(width)}" height="${n(height)}"/>`,
    ...titles.map((line, i) => text(sheet.margin, 34 + i * 26, line, "head")),
    ...notes.map((line, i) =>
      text(sheet.margin, 54 + (titles.length - 1) * 26 + i * sheet.noteLine, line, "note"),
    ),
    legend(layout, down),
    columnHead(left, top, "What is done", "one stage after the other; what stands side by side, at once"),
    ...(hasWayBack
      ? [
          columnHead(
            left + sheet.main + sheet.between,
            top,
            "The way back",
            "in the order of the numbers, if all was begun",
          ),
        ]
      : []),
    // A line crosses the bars that lie between, and goes below them.
    ...layout.bars.map((bar) => drawEdges(bar, left)),
    ...layout.bars.map((bar) => drawBar(bar, left)),
    ...layout.rows.map((row, i) => {
      const next = layout.rows[i + 1];
      const centre = left + sheet.main / 2;
      return [
        ...row.boxes.map(drawBox),
        ...(row.undo ? [backLine(row.boxes.at(-1), row.undo), drawBox(row.undo)] : []),
        arrow(centre, row.y + row.height, next?.y ?? layout.bottom),
      ].join("");
    }),
    foot(layout, left),
  ];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${n(width)} ${n(height)}" ` +
    `width="${n(width)}" height="${n(height)}" role="img">\n${parts.filter((part) => part !== "").join("\n")}\n</svg>\n`
  );
}

function columnHead(x: number, top: number, head: string, note: string): string {
  return text(x, top - 28, head, "column") + text(x, top - 13, note, "note");
}

function legend({ bars }: Layout, down: number): string {
  const shown = [...new Set(bars.map(({ what }) => what))];
  let x: number = sheet.margin;
  return shown
    .map((what) => {
      const at = x;
      x += measure(words[what], 11) + 34;
      return `<rect class="key ${what}" x="${n(at)}" y="${64 + down}" width="12" height="12" rx="2"/>${text(at + 18, 74 + down, words[what], "note")}`;
    })
    .join("");
}

const barWidth = 15;

function barAt(lane: number, left: number): number {
  return left - (lane + 1) * sheet.lane + 2;
}

/** From each end of a bar to its box. */
function drawEdges({ what, lane, from, to, open }: Bar, left: number): string {
  const x = barAt(lane, left) + barWidth;
  return (open ? [from] : [from, to])
    .map((y) => `<path class="edge ${what}" d="M${n(x)} ${n(y)}H${n(left)}"/>`)
    .join("");
}

function drawBar({ what, lane, from, to }: Bar, left: number): string {
  const x = barAt(lane, left);
  const long = to - from;
  const label = [words[what], what].find((each) => measure(each, 10) + 12 < long);
  return [
    `<rect class="bar ${what}" x="${n(x)}" y="${n(from)}" width="${barWidth}" height="${n(long)}" rx="3">`,
    `<title>${escapeHtml(words[what])}</title></rect>`,
    label === undefined
      ? ""
      : `<text class="label" transform="translate(${n(x + 11)} ${n((from + to) / 2)}) rotate(-90)">${escapeHtml(label)}</text>`,
  ].join("");
}

function drawBox({ kind, lines, notes, x, y, width, height, number }: Box): string {
  const indent = number === "" ? 0 : sheet.number;
  const texts = lines.map((line, i) => {
    const from = x + sheet.pad + indent + (line.goesOn ? sheet.goesOn : 0);
    return text(from, y + sheet.pad + 12 + i * sheet.line, line.text, "title");
  });
  const below = y + sheet.pad + 11 + lines.length * sheet.line;
  return [
    `<rect class="box ${kind}" x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="${kind === "approve" ? 14 : 5}"/>`,
    number === "" ? "" : text(x + sheet.pad - 2, y + sheet.pad + 12, number, "number"),
    ...texts,
    ...notes.map((line, i) => text(x + sheet.pad + indent, below + i * sheet.noteLine, line, "note")),
  ].join("");
}

function arrow(x: number, from: number, to: number): string {
  return `<path class="way" d="M${n(x)} ${n(from)}V${n(to - 5)}"/><path class="tip" d="M${n(x - 4)} ${n(to - 7)}h8l-4 6z"/>`;
}

function backLine(box: Box | undefined, undo: Box): string {
  if (box === undefined) return "";
  const y = undo.y + 16;
  const from = box.x + box.width;
  return `<path class="back" d="M${n(from)} ${n(y)}H${n(undo.x - 5)}"/><path class="tip" d="M${n(undo.x - 7)} ${n(y - 4)}v8l6 -4z"/>`;
}

/** How it can end. */
function foot({ bottom, hasWayBack }: Layout, left: number): string {
  const centre = left + sheet.main / 2;
  const back = left + sheet.main + sheet.between;
  const pill = (x: number, y: number, wide: number, said: string, kind: string) =>
    `<rect class="end ${kind}" x="${n(x)}" y="${n(y)}" width="${n(wide)}" height="26" rx="13"/>` +
    `<text class="said" x="${n(x + wide / 2)}" y="${n(y + 17)}">${escapeHtml(said)}</text>`;
  return [
    pill(centre - 60, bottom, 120, "succeeded", "good"),
    ...(hasWayBack
      ? [
          pill(back, bottom, 100, "given back", "plain"),
          pill(back + 110, bottom, 70, "refused", "plain"),
          pill(back + 190, bottom, 60, "stuck", "bad"),
          ...[
            "refused: nothing had been begun",
            "stuck: something could not be given back",
            "What a later step has ended stays as it is;",
            "the service is looked at in any case.",
          ].map((line, i) => text(back, bottom + 46 + i * 15, line, "note")),
        ]
      : []),
  ].join("");
}

function text(x: number, y: number, said: string, kind: string): string {
  return `<text class="${kind}" x="${n(x)}" y="${n(y)}">${escapeHtml(said)}</text>`;
}

/** With one place after the point at most. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

const style = `
svg { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1f; --soft: #5b5b66; --line: #8a8a94; --box: #f4f5f8;
  --checks: #ffffff; --undo: #f8f3ec; --service: #b3261e; --redundancy: #946200; --cost: #3f51b5; --good: #00654b; }
@media (prefers-color-scheme: dark) { svg { --paper: #17181c; --ink: #ececf1; --soft: #a9aab4; --line: #73747f;
  --box: #24262d; --checks: #17181c; --undo: #2b2620; --service: #c9453c; --redundancy: #9c6c12; --cost: #5c6bd0;
  --good: #3aa583; } }
.paper { fill: var(--paper); }
text { fill: var(--ink); font-family: system-ui, "Segoe UI", "Helvetica Neue", Arial, "Hiragino Sans", "Noto Sans CJK JP",
  "DejaVu Sans", sans-serif; }
.head { font-size: 20px; font-weight: 600; } .column { font-size: 13px; font-weight: 600; }
.title { font-size: 13px; } .note { font-size: 10.5px; fill: var(--soft); } .number { font-size: 10.5px; fill: var(--soft); }
.label { font-size: 10px; font-weight: 600; fill: #ffffff; text-anchor: middle; } .said { font-size: 12px; text-anchor: middle; }
.box { fill: var(--box); stroke: var(--line); stroke-width: 1; }
.box.checks { fill: var(--checks); stroke-dasharray: 2 3; } .box.wait { stroke-dasharray: 6 3; }
.box.approve { stroke-width: 2; } .box.undo { fill: var(--undo); }
.bar.service, .key.service, .edge.service { fill: var(--service); stroke: var(--service); }
.bar.redundancy, .key.redundancy, .edge.redundancy { fill: var(--redundancy); stroke: var(--redundancy); }
.bar.cost, .key.cost, .edge.cost { fill: var(--cost); stroke: var(--cost); } .bar, .key { stroke: none; } .edge { stroke-width: 1; }
.way { stroke: var(--line); stroke-width: 1.2; fill: none; } .back { stroke: var(--line); stroke-dasharray: 3 3; fill: none; }
.tip { fill: var(--line); } .end { fill: var(--paper); stroke: var(--line); stroke-width: 1.5; }
.end.good { stroke: var(--good); } .end.bad { stroke: var(--service); }
`;

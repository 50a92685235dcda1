/** A report as Markdown, for a wiki, a ticket or a mail: the same blocks, and the timeline in letters. */
import { cut, fit, oneLine, widthOf } from "./format.ts";
import { axisOf, ticksOf } from "./report-axis.ts";
import { signs, titleOf, type Block, type Cell, type Piece, type Text, type Tone } from "./report-blocks.ts";
import { phases, type Phase } from "./report-course.ts";
import type { Report } from "./report-data.ts";
import { escapeMarkdown, fenced, markdownCode } from "./report-escape.ts";
import { pageOf } from "./report-page.ts";
import type { ReportTexts } from "./report-text-en.ts";
import { markOf, marksOf } from "./report-timeline.ts";
import { timesOf } from "./report-times.ts";

export function renderMarkdown(report: Report, texts: ReportTexts): string {
  const page = pageOf(report, texts);
  const parts = [
    `# ${escapeMarkdown(page.title)}`,
    `**${signed(page.end.tone, inline(page.end.text))}**`,
    ...page.blocks.map((block) => blockText(block, report, texts)),
  ];
  return `${parts.join("\n\n")}\n`;
}

function blockText(block: Block, report: Report, texts: ReportTexts): string {
  switch (block.kind) {
    case "heading":
      return `## ${escapeMarkdown(block.text)}`;
    case "paragraph":
      return block.tone === undefined ? inline(block.text) : `**${signed(block.tone, inline(block.text))}**`;
    case "facts":
      return table(
        ["", ""],
        block.rows.map(({ label, lines }) => [escapeMarkdown(label), linesText(lines)]),
      );
    case "table":
      return table(
        block.head.map(escapeMarkdown),
        block.rows.map((row) => row.map(cellText)),
      );
    case "list":
      return block.items
        .map(({ tone, text }) => `- ${signs[tone].replace("!", "\\!")} ${inline(text)}`)
        .join("\n");
    case "code":
      return `${block.label ? `${inline(block.label)}\n\n` : ""}${fenced(block.lines)}`;
    case "timeline":
      return fenced(timelineText(report, texts));
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function cellText({ lines, tone }: Cell): string {
  return tone === undefined ? linesText(lines) : signed(tone, linesText(lines));
}

function signed(tone: Tone, text: string): string {
  return tone === "plain" ? text : `${signs[tone].replace("!", "\\!")} ${text}`;
}

function linesText(lines: readonly Text[]): string {
  return lines.map(inline).join("<br>");
}

function inline(text: Text): string {
  return text.map(pieceText).join("");
}

function pieceText(piece: Piece): string {
  // Our own words hold nothing that Markdown acts on but what is meant; their spaces at the ends stay.
  if (typeof piece === "string") return piece;
  return "code" in piece ? markdownCode(piece.code) : escapeMarkdown(piece.data);
}

const letters: { readonly [phase in Phase]: string } = {
  looking: ".",
  doing: "#",
  settling: "=",
  waiting: "?",
  "giving back": "<",
};
const chart = 60;

/** A line for each step; a letter is what was under way there at any time. Cut-out stretches of the axis show as "//". */
function timelineText(report: Report, texts: ReportTexts): readonly string[] {
  const axis = axisOf(marksOf(report), chart, 3);
  const times = timesOf(report, texts);
  const { timeline, exposure } = texts;
  const draw = (
    parts: readonly { readonly from: number; readonly to: number; readonly letter: string }[],
  ) => {
    const cells = Array.from({ length: chart }, () => " ");
    for (const { from, to, letter } of parts) {
      const [first, last] = [Math.min(chart - 1, Math.floor(axis.at(from))), Math.ceil(axis.at(to)) - 1];
      for (let i = first; i <= Math.max(first, Math.min(chart - 1, last)); i += 1) cells[i] = letter;
    }
    for (const { x0, x1, broken } of axis.pieces)
      if (broken) cells.splice(Math.round((x0 + x1) / 2) - 1, 2, "/", "/");
    return cells.join("");
  };
  const line = (name: string, drawn: string) => `${fit(name, 38)} |${drawn}|`;
  const rows = report.steps.flatMap((step) => {
    if (step.stretches.length === 0) return [];
    const name = `${String(step.number).padStart(2)} ${markOf(step).sign} ${oneLine(titleOf(step, texts))}`;
    return [
      line(name, draw(step.stretches.map(({ phase, from, to }) => ({ from, to, letter: letters[phase] })))),
    ];
  });
  const lanes = report.exposures.flatMap(({ what, stretches }) =>
    stretches.length === 0
      ? []
      : [
          line(
            exposure[what],
            draw(
              stretches.map(({ since, until }) => ({ from: since, to: until ?? report.lastAt, letter: "x" })),
            ),
          ),
        ],
  );
  const gaps =
    report.gaps.length === 0
      ? []
      : [line(timeline.interrupted, draw(report.gaps.map(({ from, to }) => ({ from, to, letter: "-" }))))];
  const cuts = axis.pieces.filter(({ broken }) => broken).map(({ from, to }) => times.lasting(to - from));
  const legend = phases.map((phase) => `${letters[phase]} ${timeline[phase]}`).join("   ");
  return [
    ...scale(axis, times),
    ...lanes,
    ...gaps,
    ...rows,
    "",
    legend,
    ...(cuts.length === 0 ? [] : [`// ${timeline.broken.replace("{time}", cuts.join(", "))}`]),
  ].map((each) => each.trimEnd());
}

function scale(axis: ReturnType<typeof axisOf>, times: ReturnType<typeof timesOf>): readonly string[] {
  const from = axis.pieces[0]?.from ?? 0;
  let clock = "";
  let marks = "";
  for (const tick of ticksOf(axis, 12, times.aheadMs(from))) {
    const x = Math.min(chart - 1, Math.round(axis.at(tick)));
    if (x < widthOf(clock)) continue;
    clock = `${clock.padEnd(x)}${times.full(tick).slice(11, 19)}`;
    marks = `${marks.padEnd(x)}'`;
  }
  const date = times.full(from).slice(0, 10);
  return [`${fit(date, 38)}  ${cut(clock, chart + 8)}`, `${fit("", 38)}  ${marks}`];
}

/**
 * A report as one HTML file: nothing in it is fetched from anywhere, no script runs in it, and whatever came from a journal
 * is text in it and nothing else.
 */
import { escapeCode, escapeHtml, escapeOwn } from "./report-escape.ts";
import { signs, type Block, type Cell, type Piece, type Text, type Tone } from "./report-blocks.ts";
import { pageOf } from "./report-page.ts";
import type { Report } from "./report-data.ts";
import type { ReportTexts } from "./report-text-en.ts";
import { style } from "./report-style.ts";
import { timelineSvg } from "./report-timeline.ts";

export function renderHtml(report: Report, texts: ReportTexts): string {
  const page = pageOf(report, texts);
  const title = escapeHtml(`${page.title} – ${report.plan.cluster} – ${report.run}`);
  return `<!doctype html>
<html lang="${texts.lang}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>
${style}
</style>
</head>
<body>
<main>
<h1>${escapeHtml(page.title)}</h1>
<p class="end ${page.end.tone}">${signed(page.end.tone, inline(page.end.text))}</p>
${page.blocks.map((block) => blockHtml(block, report, texts)).join("\n")}
</main>
</body>
</html>
`;
}

function blockHtml(block: Block, report: Report, texts: ReportTexts): string {
  switch (block.kind) {
    case "heading":
      return `<h2>${escapeHtml(block.text)}</h2>`;
    case "paragraph":
      return block.tone === undefined
        ? `<p>${inline(block.text)}</p>`
        : `<p class="note ${block.tone}">${signed(block.tone, inline(block.text))}</p>`;
    case "facts":
      return `<table class="facts"><tbody>\n${block.rows
        .map(
          ({ label, lines }) =>
            `<tr><th scope="row">${escapeHtml(label)}</th><td>${linesHtml(lines)}</td></tr>`,
        )
        .join("\n")}\n</tbody></table>`;
    case "table":
      return `<table class="${block.name}"><thead><tr>${block.head
        .map((text) => `<th scope="col">${escapeHtml(text)}</th>`)
        .join("")}</tr></thead><tbody>\n${block.rows
        .map((row) => `<tr>${row.map(cellHtml).join("")}</tr>`)
        .join("\n")}\n</tbody></table>`;
    case "list":
      return `<ul>\n${block.items
        .map(
          ({ tone, text }) => `<li class="${tone}"><b class="sign">${signs[tone]}</b> ${inline(text)}</li>`,
        )
        .join("\n")}\n</ul>`;
    case "code":
      return `<div class="code">${block.label ? `<p>${inline(block.label)}</p>` : ""}<pre>${block.lines
        .map(escapeCode)
        .join("\n")}</pre></div>`;
    case "timeline":
      return timelineSvg(report, texts);
  }
}

function cellHtml({ lines, tone }: Cell): string {
  if (tone === undefined) return `<td>${linesHtml(lines)}</td>`;
  return `<td class="${tone}">${signed(tone, linesHtml(lines))}</td>`;
}

function signed(tone: Tone, html: string): string {
  return tone === "plain" ? html : `<b class="sign">${signs[tone]}</b> ${html}`;
}

function linesHtml(lines: readonly Text[]): string {
  return lines.map(inline).join("<br>");
}

function inline(text: Text): string {
  return text.map(pieceHtml).join("");
}

/** What is not ours keeps its own direction of writing to itself. */
function pieceHtml(piece: Piece): string {
  // Spaces at the ends of our own words join them to what follows.
  if (typeof piece === "string") return escapeOwn(piece);
  return "code" in piece
    ? `<code><bdi>${escapeHtml(piece.code)}</bdi></code>`
    : `<bdi>${escapeHtml(piece.data)}</bdi>`;
}

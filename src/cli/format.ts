/** How text, times and widths are written for people: the same in the live view, in plain lines, plans and reports. */
import { createHash } from "node:crypto";

import type { Request } from "../ports/driver.ts";
import { requestLine } from "../runbook/plan.ts";

/** Text from journals, nodes and clouds as it may be printed: whatever would steer a terminal is shown, not obeyed. */
export function harmless(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd").replace(steering, (sign) => {
    const code = sign.codePointAt(0) ?? 0;
    // Unicode has a picture for each of the old control characters; the others are written as their number.
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code > 0xffff) return `\\u{${code.toString(16)}}`;
    return code === 0x7f ? "\u2421" : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** The same for a message: its line breaks and tabs become spaces. */
export function oneLine(text: string): string {
  return harmless(text.replace(/\s*[\t\n\r]+\s*/g, " ").trim());
}

// Controls of both sets, line and paragraph separators, and marks that turn the direction of writing or are not seen.
const steering =
  /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Cells that a text takes on a terminal: two for the wide scripts of East Asia and for emoji, none for combining marks. */
export function widthOf(text: string): number {
  let cells = 0;
  for (const sign of text) cells += widthOfSign(sign);
  return cells;
}

function widthOfSign(sign: string): 0 | 1 | 2 {
  const code = sign.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (/^[\p{Mn}\p{Me}\p{Cf}]$/u.test(sign)) return 0;
  return wide.some(([from, to]) => code >= from && code <= to) ? 2 : 1;
}

// Unicode Standard Annex 11, classes W and F, in coarse blocks.
const wide: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1f9ff],
  [0x20000, 0x3fffd],
];

/** At most `width` cells, with "…" where something was cut off. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  if (width <= 0) return "";
  let kept = "";
  let cells = 0;
  for (const sign of text) {
    cells += widthOfSign(sign);
    if (cells > width - 1) break;
    kept += sign;
  }
  return `${kept}…`;
}

/** Exactly `width` cells: cut, or filled up with spaces. */
export function fit(text: string, width: number): string {
  const short = cut(text, width);
  return short + " ".repeat(Math.max(0, width - widthOf(short)));
}

/** Lines of at most `width` cells, broken at spaces where there are some (Japanese has none: anywhere). */
export function wrap(text: string, width: number, indent = ""): readonly string[] {
  // A page too narrow for the indent has none.
  const room = width - indent.length;
  if (indent !== "" && room < 8) return wrap(text, width);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer) <= room) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    line = "";
    for (const sign of word) {
      if (line !== "" && widthOf(line) + widthOfSign(sign) > room) {
        lines.push(line);
        line = "";
      }
      line += sign;
    }
  }
  if (line !== "" || lines.length === 0) lines.push(line);
  return lines.map((each) => indent + each);
}

/** "0:42", "12:30", "1:02:03": for what ticks. */
export function ticking(ms: number): string {
  const all = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** "0.4 s", "27 s", "4 min 12 s", "1 h 3 min", "2 days": for what is over, and for limits. */
export function lasting(ms: number): string {
  if (ms > 0 && ms < 100) return `${Math.ceil(ms)} ms`;
  if (ms < 10_000 && ms % 1000 !== 0) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  const all = Math.round(ms / 1000);
  const parts = [
    [Math.floor(all / 86_400), all >= 172_800 ? "days" : "day"],
    [Math.floor(all / 3600) % 24, "h"],
    [Math.floor(all / 60) % 60, "min"],
    [all % 60, "s"],
  ] as const;
  const first = parts.findIndex(([n]) => n > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(" ");
}

/** "14:02:11" in the zone given, else in that of this machine. */
export function timeOfDay(at: number, zone?: string): string {
  return dateAndTime(at, zone).slice(11);
}

/** "2026-03-01 14:02:11" in the zone given, else in that of this machine. */
export function dateAndTime(at: number, zone?: string): string {
  // Swedish writes dates as ISO 8601 does. Intl takes 20 ms to begin, which this machine's own zone can do without.
  if (zone !== undefined) return formatFor(zone).format(at).replace(",", "");
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();
function formatFor(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const made = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium", timeZone: zone });
  formats.set(zone, made);
  return made;
}

/** What an argument longer than this, or of several lines, is shown as: «script 1a2b3c4d, 412 bytes». */
const longestWord = 200;

/** A request as one line, exact but for long scripts, which are named by their digest. */
export function shortRequest(request: Request): string {
  if (request.to === "cloud") return withHoles(harmless(requestLine(request)));
  const { node, argv } = request;
  const words = argv.map((word) =>
    isScript(word) ? nameOfScript(word) : requestLine({ ...request, argv: [word] }).slice(node.length + 2),
  );
  return withHoles(harmless(`${node}: ${words.join(" ")}`));
}

export function isScript(word: string): boolean {
  return word.includes("\n") || word.length > longestWord;
}

export function nameOfScript(text: string): string {
  const digest = createHash("sha256").update(text).digest("hex").slice(0, 8);
  return `«script ${digest}, ${Buffer.byteLength(text)} bytes»`;
}

/** Holes as a person reads them. */
export function withHoles(text: string, name: (hole: string) => string = (hole) => hole): string {
  return text.replace(/\u27e8([^\u27e8\u27e9]*)\u27e9/g, (_, hole: string) => `«${name(hole)}»`);
}

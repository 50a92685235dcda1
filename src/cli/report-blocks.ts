/** What a report is made of, whatever its format: blocks of text in which our own words and the run's things are told apart. */
import type { Report, StepTold } from "./report-data.ts";
import type { ReportTexts } from "./report-text-en.ts";
import type { Times } from "./report-times.ts";

/** A string is ours; `data` came from a journal, a node, a cloud or a user's runbook, `code` is such a thing to be typed. */
export type Piece = string | { readonly data: string } | { readonly code: string };
export type Text = readonly Piece[];

/** How something stands. It is always said by a sign too, never by colour alone. */
export type Tone = "good" | "bad" | "warn" | "open" | "back" | "plain";

export const signs: { readonly [tone in Tone]: string } = {
  good: "✓",
  bad: "✗",
  warn: "!",
  open: "?",
  back: "↩",
  plain: "–",
};

export interface Cell {
  readonly lines: readonly Text[];
  readonly tone?: Tone;
}

export type Block =
  | { readonly kind: "heading"; readonly text: string }
  | { readonly kind: "paragraph"; readonly text: Text; readonly tone?: Tone }
  | {
      readonly kind: "facts";
      readonly rows: readonly { readonly label: string; readonly lines: readonly Text[] }[];
    }
  | {
      readonly kind: "table";
      /** Names the columns' widths in a style sheet. */
      readonly name: string;
      readonly head: readonly string[];
      readonly rows: readonly (readonly Cell[])[];
    }
  | { readonly kind: "list"; readonly items: readonly { readonly tone: Tone; readonly text: Text }[] }
  | { readonly kind: "code"; readonly label?: Text; readonly lines: readonly string[] }
  | { readonly kind: "timeline" };

export interface Page {
  readonly title: string;
  readonly end: { readonly tone: Tone; readonly text: Text };
  readonly blocks: readonly Block[];
}

/** What the parts of a page are written with. */
export interface Pen {
  readonly report: Report;
  readonly texts: ReportTexts;
  readonly times: Times;
  /** A step by its number and title. */
  readonly step: (key: string | undefined) => Piece;
}

export function heading(text: string, blocks: readonly Block[]): readonly Block[] {
  return [{ kind: "heading", text }, ...blocks];
}

/** A sentence of ours with things of the run put in where it says `{name}`. */
export function fill(template: string, values: { readonly [name: string]: Piece | Text }): Text {
  return template.split(/(\{\w+\})/).flatMap((part): Text => {
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    const value = name === undefined ? part : values[name];
    if (value === undefined || value === "") return [];
    return Array.isArray(value) ? (value as Text) : [value as Piece];
  });
}

/** A word of a closed list in this language; a word that another version wrote stays as it is. */
export function wordOf(words: { readonly [word: string]: string }, word: string): Piece {
  return Object.hasOwn(words, word) ? (words[word] ?? "") : { data: word };
}

export function titleOf(step: Pick<StepTold, "title" | "node">, texts: ReportTexts): string {
  const title = Object.hasOwn(texts.titles, step.title) ? texts.titles[step.title] : undefined;
  return `${title ?? step.title}${step.node === undefined ? "" : ` (${step.node})`}`;
}

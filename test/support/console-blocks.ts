/**
 * The console blocks of a page: what a reader is told to type, and what is said to come back.
 *
 * In a block of the kind `console`, a line that begins with "$ " is a command, and lines that begin with "> " go on
 * with it. What follows is its output: a line "..." stands for any lines, "…" inside a line for any text, and times,
 * spans of time, dates and ports match any other. A command without output says nothing about its output.
 *
 * Comments that a reader of the page does not see:
 *   <!-- docs-test: run COMMAND -->   set-up, typed before the next block
 *   <!-- docs-test: id k3v9x2ab -->   this word stands for the id of a run; the first output that has it says which
 *   <!-- docs-test: skip REASON -->   the next block is not typed
 */
export interface Command {
  readonly line: number;
  readonly text: string;
  /** Empty where the page shows none. */
  readonly output: readonly string[];
}

export interface Block {
  readonly line: number;
  readonly commands: readonly Command[];
  readonly skip: string | undefined;
}

export interface Page {
  readonly blocks: readonly Block[];
  readonly ids: readonly string[];
}

export function parsePage(text: string): Page {
  const blocks: Block[] = [];
  const ids: string[] = [];
  let skip: string | undefined;
  let open: { readonly line: number; readonly lines: string[] } | undefined;
  let fence = "";
  text.split("\n").forEach((line, i) => {
    if (open) {
      if (line !== fence) open.lines.push(line);
      else {
        if (open.line > 0) blocks.push({ line: open.line, commands: commandsIn(open), skip });
        if (open.line > 0) skip = undefined;
        open = undefined;
      }
      return;
    }
    const [, verb, rest = ""] = /^<!-- docs-test: (\w+) (.+) -->$/.exec(line) ?? [];
    if (verb === "run")
      blocks.push({ line: i + 1, commands: [{ line: i + 1, text: rest, output: [] }], skip: undefined });
    else if (verb === "id") ids.push(rest);
    else if (verb === "skip") skip = rest;
    else if (line.includes("docs-test:")) throw new Error(`line ${i + 1}: not understood: ${line}`);
    const [, ticks, kind] = /^(`{3,})(.*)$/.exec(line) ?? [];
    if (ticks === undefined) return;
    fence = ticks;
    // Other kinds of blocks are gone over, so that what they show is not taken for a block.
    open = { line: kind === "console" ? i + 1 : 0, lines: [] };
  });
  return { blocks, ids };
}

function commandsIn(block: { readonly line: number; readonly lines: readonly string[] }): readonly Command[] {
  const commands: { line: number; text: string; output: string[] }[] = [];
  block.lines.forEach((text, i) => {
    const last = commands.at(-1);
    if (text.startsWith("$ ")) commands.push({ line: block.line + i + 1, text: text.slice(2), output: [] });
    else if (!last) throw new Error(`line ${block.line + i + 1}: output before the first command`);
    else if ((text === ">" || text.startsWith("> ")) && last.output.length === 0)
      last.text += `\n${text.slice(2)}`;
    else last.output.push(text);
  });
  return commands;
}

/** What a word of a page stands for, as far as it is known. */
export type Known = ReadonlyMap<string, string>;

/** What the words stand for after this output; undefined if the output is another. */
export function matches(
  expected: readonly string[],
  actual: readonly string[],
  ids: readonly string[],
  known: Known,
): Known | undefined {
  const [first, ...rest] = expected;
  if (first === undefined) return actual.length === 0 ? known : undefined;
  if (first === "...") {
    for (let from = 0; from <= actual.length; from++) {
      const found = matches(rest, actual.slice(from), ids, known);
      if (found) return found;
    }
    return undefined;
  }
  const [line, ...others] = actual;
  if (line === undefined) return undefined;
  const learnt = matchLine(first, line, ids, known);
  return learnt && matches(rest, others, ids, learnt);
}

// What differs from run to run, and how it looks in both the page and the output.
const moving = [
  /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/,
  /\d{4}-\d\d-\d\d/,
  /\d\d:\d\d:\d\d/,
  /\d+(?:\.\d+)? (?:h|min|s)\b(?: \d+ (?:min|s)\b)?/,
  /127\.0\.0\.1:\d+/,
  /-p \d+/,
  /[0-9a-f]{64}/,
];

function matchLine(expected: string, line: string, ids: readonly string[], known: Known): Known | undefined {
  const words: string[] = [];
  const parts = [...moving.map((each) => each.source), "…", ...ids].join("|");
  let pattern = "";
  let from = 0;
  for (const found of expected.matchAll(new RegExp(parts, "g"))) {
    pattern += escape(expected.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[0] === "…") pattern += ".*";
    else if (ids.includes(found[0])) {
      const is = known.get(found[0]);
      if (is === undefined) words.push(found[0]);
      pattern += is ?? "([0-9a-z]{8})";
    } else pattern += moving.find((each) => new RegExp(`^(?:${each.source})$`).test(found[0]))?.source ?? "";
  }
  pattern += escape(expected.slice(from));
  const fits = new RegExp(`^${pattern}$`).exec(line);
  if (!fits) return undefined;
  const learnt = new Map(known);
  for (const [i, word] of words.entries()) {
    const is = fits[i + 1] ?? "";
    // The same word twice in a line must stand for the same run.
    if ((learnt.get(word) ?? is) !== is) return undefined;
    learnt.set(word, is);
  }
  return learnt;
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

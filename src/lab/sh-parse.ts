/**
 * Reads a command line of a POSIX shell into a tree. Only what scripts over SSH need: no here-documents, aliases,
 * arrays. Anything else is a syntax error, never something half understood.
 */
import type { Command, Part, Redirection, Word } from "./sh-tree.ts";

export class ShellSyntaxError extends Error {}

const nothing: Command = { kind: "list", items: [] };
const enders = new Set(["then", "else", "elif", "fi", "do", "done", "esac", "}"]);

// The same few scripts come again and again, hundreds of times in a long night, and nothing changes a tree.
const known = new Map<string, Command>();
const mostKnown = 200;

export function parseShell(source: string): Command {
  const tree = known.get(source) ?? parse(source);
  if (known.size < mostKnown) known.set(source, tree);
  return tree;
}

function parse(source: string): Command {
  const parser = new Parser(source);
  const body = parser.list();
  parser.expectEnd();
  return body;
}

class Parser {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  expectEnd(): void {
    this.#blanks(true);
    if (this.#at < this.#source.length) this.#fail();
  }

  #fail(what = this.#source.slice(this.#at, this.#at + 12) || "end of file"): never {
    throw new ShellSyntaxError(`Syntax error: "${what}" unexpected`);
  }

  #blanks(newlines: boolean): void {
    for (;;) {
      const c = this.#source[this.#at];
      if (c === " " || c === "\t" || (newlines && c === "\n")) this.#at += 1;
      else if (c === "\\" && this.#source[this.#at + 1] === "\n") this.#at += 2;
      else if (c === "#")
        while (this.#at < this.#source.length && this.#source[this.#at] !== "\n") this.#at += 1;
      else return;
    }
  }

  #next(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#next(text)) return false;
    this.#at += text.length;
    return true;
  }

  /** The reserved word that stands here, not taken. */
  #reserved(): string | undefined {
    const word = /^[A-Za-z!{}]+/.exec(this.#source.slice(this.#at, this.#at + 12))?.[0];
    if (word === undefined) return undefined;
    const after = this.#source[this.#at + word.length];
    return after === undefined || " \t\n;&|()<>".includes(after) ? word : undefined;
  }

  #expect(word: string): void {
    this.#blanks(true);
    if (this.#reserved() !== word) this.#fail();
    this.#at += word.length;
  }

  list(): Command {
    const items: { command: Command; background: boolean }[] = [];
    for (;;) {
      this.#blanks(true);
      const reserved = this.#reserved();
      if (this.#at >= this.#source.length || this.#next(")") || this.#next(";;")) break;
      if (reserved !== undefined && enders.has(reserved)) break;
      const command = this.#andOr();
      this.#blanks(false);
      if (this.#next("&") && !this.#next("&&")) {
        this.#at += 1;
        items.push({ command, background: true });
        continue;
      }
      items.push({ command, background: false });
      if (this.#next(";;")) break;
      if (!this.#take(";") && !this.#next("\n")) break;
    }
    const [only] = items;
    return items.length === 1 && only && !only.background
      ? only.command
      : items.length === 0
        ? nothing
        : { kind: "list", items };
  }

  #andOr(): Command {
    let left = this.#pipe();
    for (;;) {
      this.#blanks(false);
      const kind = this.#take("&&") ? "and" : this.#take("||") ? "or" : undefined;
      if (kind === undefined) return left;
      this.#blanks(true);
      left = { kind, left, right: this.#pipe() };
    }
  }

  #pipe(): Command {
    let negated = false;
    for (this.#blanks(false); this.#reserved() === "!"; this.#blanks(false)) {
      this.#at += 1;
      negated = !negated;
    }
    const stages = [this.#command()];
    for (this.#blanks(false); this.#next("|") && !this.#next("||"); this.#blanks(false)) {
      this.#at += 1;
      this.#blanks(true);
      stages.push(this.#command());
    }
    return stages.length === 1 && !negated ? (stages[0] as Command) : { kind: "pipe", stages, negated };
  }

  #command(): Command {
    const body = this.#compound();
    if (body === undefined) return this.#simple();
    const redirections: Redirection[] = [];
    for (let found = this.#redirection(); found; found = this.#redirection()) redirections.push(found);
    return redirections.length === 0 ? body : { kind: "redirected", body, redirections };
  }

  #compound(): Command | undefined {
    this.#blanks(false);
    if (this.#take("(")) {
      const body = this.list();
      this.#blanks(true);
      if (!this.#take(")")) this.#fail();
      return { kind: "subshell", body };
    }
    const word = this.#reserved();
    switch (word ?? "") {
      case "{": {
        this.#at += 1;
        const body = this.list();
        this.#expect("}");
        return { kind: "group", body };
      }
      case "if":
        return this.#if();
      case "while":
      case "until": {
        this.#at += 5;
        const test = this.list();
        return { kind: "loop", until: word === "until", test, body: this.#doBody() };
      }
      case "for":
        return this.#for();
      case "case":
        return this.#case();
    }
    const named = /^([A-Za-z_][A-Za-z0-9_]*)[ \t]*\([ \t]*\)/.exec(this.#source.slice(this.#at));
    if (!named) return undefined;
    this.#at += named[0].length;
    this.#blanks(true);
    const body = this.#compound();
    if (!body) this.#fail();
    return { kind: "function", name: named[1] as string, body };
  }

  #doBody(): Command {
    this.#blanks(true);
    if (this.#take(";")) this.#blanks(true);
    this.#expect("do");
    const body = this.list();
    this.#expect("done");
    return body;
  }

  #if(): Command {
    const branches: { test: Command; body: Command }[] = [];
    this.#at += 2;
    for (;;) {
      const test = this.list();
      this.#expect("then");
      branches.push({ test, body: this.list() });
      this.#blanks(true);
      const word = this.#reserved();
      if (word === "elif") this.#at += 4;
      else if (word === "else") {
        this.#at += 4;
        const other = this.list();
        this.#expect("fi");
        return { kind: "if", branches, other };
      } else {
        this.#expect("fi");
        return { kind: "if", branches, other: undefined };
      }
    }
  }

  #for(): Command {
    this.#at += 3;
    this.#blanks(false);
    const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(this.#source.slice(this.#at))?.[0];
    if (name === undefined) this.#fail();
    this.#at += name.length;
    this.#blanks(true);
    let words: Word[] | undefined;
    if (this.#reserved() === "in") {
      this.#at += 2;
      words = [];
      for (let word = this.#word(); word; word = this.#word()) words.push(word);
    }
    this.#blanks(false);
    this.#take(";");
    return { kind: "for", name, words, body: this.#doBody() };
  }

  #case(): Command {
    this.#at += 4;
    const subject = this.#word();
    if (!subject) this.#fail();
    this.#expect("in");
    const branches: { patterns: Word[]; body: Command }[] = [];
    for (;;) {
      this.#blanks(true);
      if (this.#reserved() === "esac") break;
      this.#take("(");
      const patterns: Word[] = [];
      do {
        const pattern = this.#word();
        if (!pattern) this.#fail();
        patterns.push(pattern);
        this.#blanks(false);
      } while (this.#take("|"));
      if (!this.#take(")")) this.#fail();
      branches.push({ patterns, body: this.list() });
      this.#blanks(true);
      if (!this.#take(";;")) break;
    }
    this.#expect("esac");
    return { kind: "case", subject, branches };
  }

  #simple(): Command {
    const sets: { name: string; value: Word }[] = [];
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (;;) {
      const redirection = this.#redirection();
      if (redirection) {
        redirections.push(redirection);
        continue;
      }
      const set = words.length === 0 ? /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(this.#source.slice(this.#at)) : null;
      if (set) {
        this.#at += set[0].length;
        const c = this.#source[this.#at];
        const empty = c === undefined || " \t\n;&|()<>".includes(c);
        sets.push({ name: set[1] as string, value: empty ? [] : (this.#word() ?? []) });
        continue;
      }
      const word = this.#word();
      if (!word) break;
      words.push(word);
    }
    if (sets.length + words.length + redirections.length === 0) this.#fail();
    return { kind: "simple", sets, words, redirections };
  }

  #redirection(): Redirection | undefined {
    this.#blanks(false);
    const found = /^([0-9]?)(>>|>&|<&|>\||<<|<|>)/.exec(this.#source.slice(this.#at, this.#at + 3));
    if (!found) return undefined;
    const symbol = found[2] as string;
    if (symbol === "<<") this.#fail("<<");
    this.#at += found[0].length;
    const operator = symbol === ">|" ? ">" : (symbol as Redirection["operator"]);
    const target = this.#word();
    if (!target) this.#fail();
    return { fd: found[1] ? Number(found[1]) : operator.startsWith("<") ? 0 : 1, operator, target };
  }

  /** The next word, or undefined at an operator, a newline or the end. */
  #word(): Word | undefined {
    this.#blanks(false);
    const c = this.#source[this.#at];
    if (c === undefined || "\n;&|()<>".includes(c)) return undefined;
    return this.#parts((ch) => " \t\n;&|()<>".includes(ch), false);
  }

  /** Parts until `stop` says so; inside double quotes when `quoted`. */
  #parts(stop: (c: string) => boolean, quoted: boolean): Part[] {
    const parts: Part[] = [];
    let text = "";
    const flush = () => {
      if (text !== "") parts.push({ kind: "text", text, quoted });
      text = "";
    };
    for (;;) {
      const c = this.#source[this.#at];
      if (c === undefined || stop(c)) break;
      if (c === "\\") {
        const next = this.#source[this.#at + 1];
        this.#at += 2;
        if (next === "\n") continue;
        if (next === undefined) text += "\\";
        else if (quoted && !'$`"\\}'.includes(next)) text += `\\${next}`;
        else {
          flush();
          parts.push({ kind: "text", text: next, quoted: true });
        }
      } else if (c === "'" && !quoted) {
        flush();
        const end = this.#source.indexOf("'", this.#at + 1);
        if (end < 0) throw new ShellSyntaxError("Syntax error: Unterminated quoted string");
        parts.push({ kind: "text", text: this.#source.slice(this.#at + 1, end), quoted: true });
        this.#at = end + 1;
      } else if (c === '"') {
        flush();
        this.#at += 1;
        const inside = this.#parts((ch) => ch === '"', true);
        if (!this.#take('"')) throw new ShellSyntaxError("Syntax error: Unterminated quoted string");
        if (inside.length === 0) parts.push({ kind: "text", text: "", quoted: true });
        parts.push(...inside);
      } else if (c === "`") {
        throw new ShellSyntaxError("Syntax error: backquotes are not modelled by the lab");
      } else if (c === "$") {
        const part = this.#dollar(quoted);
        if (part === undefined) text += "$";
        else {
          flush();
          parts.push(part);
        }
      } else {
        text += c;
        this.#at += 1;
      }
    }
    flush();
    return parts;
  }

  #dollar(quoted: boolean): Part | undefined {
    this.#at += 1;
    const plain = { operator: undefined, argument: [], quoted };
    if (this.#take("((")) {
      let depth = 0;
      const expression = this.#parts((c) => {
        if (c === "(") depth += 1;
        if (c !== ")") return false;
        depth -= 1;
        return depth < 0;
      }, true);
      if (!this.#take("))")) this.#fail();
      return { kind: "sum", expression, quoted };
    }
    if (this.#take("(")) {
      const body = this.list();
      this.#blanks(true);
      if (!this.#take(")")) this.#fail();
      return { kind: "command", body, quoted };
    }
    if (this.#take("{")) return this.#braced(quoted);
    const name = /^([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])/.exec(this.#source.slice(this.#at))?.[0];
    if (name === undefined) return undefined;
    this.#at += name.length;
    return { kind: "parameter", name, ...plain };
  }

  #braced(quoted: boolean): Part {
    if (this.#next("#") && !this.#next("#}")) {
      this.#at += 1;
      const name = this.#name();
      if (!this.#take("}")) this.#fail("Bad substitution");
      return { kind: "parameter", name, operator: "length", argument: [], quoted };
    }
    const name = this.#name();
    const operator = /^(:?[-=+?]|##?|%%?)/.exec(this.#source.slice(this.#at))?.[0];
    if (operator !== undefined) this.#at += operator.length;
    const argument =
      operator === undefined ? [] : this.#parts((c) => c === "}", quoted && !/[#%]/.test(operator));
    if (!this.#take("}")) this.#fail("Bad substitution");
    return { kind: "parameter", name, operator, argument, quoted };
  }

  #name(): string {
    const name = /^([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])/.exec(this.#source.slice(this.#at))?.[0];
    if (name === undefined) this.#fail("Bad substitution");
    this.#at += name.length;
    return name;
  }
}

/**
 * The argv of a line that is one simple command with nothing to expand, as a quoted argv is when it travels over
 * SSH; undefined for everything else.
 */
export function staticArgv(source: string): readonly string[] | undefined {
  let tree: Command;
  try {
    tree = parseShell(source);
  } catch (error) {
    if (error instanceof ShellSyntaxError) return undefined;
    throw error;
  }
  if (tree.kind !== "simple" || tree.redirections.length > 0 || tree.sets.length > 0) return undefined;
  const argv: string[] = [];
  for (const word of tree.words) {
    let text = "";
    for (const part of word) {
      if (part.kind !== "text" || (!part.quoted && /[*?[~]/.test(part.text))) return undefined;
      text += part.text;
    }
    argv.push(text);
  }
  return argv;
}

/** What becomes of a word: parameters, command and sum substitution, splitting, patterns (POSIX order). */
import type { Files } from "./files.ts";
import type { Command, Part, Word } from "./sh-tree.ts";

/** What the expansion asks of the shell that runs. */
export interface Variables {
  readonly files: Files;
  readonly folder: string;
  get(name: string): string | undefined;
  set(name: string, value: string): void;
  positional(): readonly string[];
  /** The value of an unset parameter: empty, or a failure under `set -u`. */
  unset(name: string): string;
  fail(message: string): never;
  substitute(body: Command): Promise<string>;
}

/** Text with, for each of its UTF-16 units, whether it was quoted: quoted ones are neither split nor patterns. */
interface Marked {
  text: string;
  quoted: boolean[];
}

const mark = (text: string, quoted: boolean): Marked => ({
  text,
  quoted: new Array<boolean>(text.length).fill(quoted),
});

function join(to: Marked, more: Marked): void {
  to.text += more.text;
  to.quoted.push(...more.quoted);
}

/** Words to fields: with splitting and patterns. */
export async function expandWords(shell: Variables, words: readonly Word[]): Promise<readonly string[]> {
  const fields: string[] = [];
  for (const word of words)
    for (const field of await fieldsOf(shell, word)) {
      const names = glob(shell, field);
      fields.push(...(names.length > 0 ? names : [field.text]));
    }
  return fields;
}

/** A word to one text: as in an assignment, a redirection, the subject of a case. */
export async function expandText(shell: Variables, word: Word): Promise<string> {
  return (await oneField(shell, word)).text;
}

/** A word to a pattern, with what was quoted escaped. */
export async function expandPattern(shell: Variables, word: Word): Promise<string> {
  return escaped(await oneField(shell, word));
}

async function oneField(shell: Variables, word: Word): Promise<Marked> {
  const field: Marked = { text: "", quoted: [] };
  for (const part of word) {
    const value = await valueOf(shell, part);
    join(field, mark(typeof value === "string" ? value : value.join(" "), part.quoted));
  }
  return field;
}

async function fieldsOf(shell: Variables, word: Word): Promise<Marked[]> {
  const separators = shell.get("IFS") ?? " \t\n";
  const fields: Marked[] = [];
  let open: Marked | undefined;
  const add = (piece: Marked) => {
    if (open) join(open, piece);
    else open = piece;
  };
  const close = () => {
    if (open) fields.push(open);
    open = undefined;
  };
  for (const part of word) {
    const value = await valueOf(shell, part);
    if (typeof value !== "string") {
      // "$@": a field for each, the first joined to what stands before, the last to what stands after.
      for (const [index, each] of value.entries()) {
        if (index > 0) close();
        add(mark(each, part.quoted));
      }
      continue;
    }
    if (part.quoted || part.kind === "text") {
      add(mark(value, part.quoted));
      continue;
    }
    let piece = "";
    let delimited = false;
    for (const c of value) {
      if (!separators.includes(c)) {
        piece += c;
        continue;
      }
      if (piece !== "") add(mark(piece, false));
      piece = "";
      const blank = " \t\n".includes(c);
      // Blanks run together; each other separator ends a field, an empty one too.
      if (!blank && !open && !delimited) open = mark("", false);
      delimited = blank && open !== undefined;
      close();
    }
    if (piece !== "") add(mark(piece, false));
  }
  close();
  return fields;
}

async function valueOf(shell: Variables, part: Part): Promise<string | readonly string[]> {
  switch (part.kind) {
    case "text":
      return part.text;
    case "command":
      return shell.substitute(part.body);
    case "sum":
      return String(sum(shell, await expandText(shell, part.expression)));
    case "parameter":
      return parameter(shell, part);
  }
}

async function parameter(
  shell: Variables,
  part: Part & { kind: "parameter" },
): Promise<string | readonly string[]> {
  const { name, operator } = part;
  if ((name === "@" || name === "*") && operator === undefined)
    return name === "*" && part.quoted ? shell.positional().join(" ") : shell.positional();
  const value = name === "@" || name === "*" ? shell.positional().join(" ") : shell.get(name);
  if (operator === undefined) return value ?? shell.unset(name);
  if (operator === "length") return String((value ?? shell.unset(name)).length);
  const missing = value === undefined || (operator.startsWith(":") && value === "");
  const [last] = operator.slice(-1);
  switch (last ?? "") {
    case "-":
      return missing ? expandText(shell, part.argument) : value;
    case "+":
      return missing ? "" : expandText(shell, part.argument);
    case "=": {
      if (!missing) return value;
      const given = await expandText(shell, part.argument);
      shell.set(name, given);
      return given;
    }
    case "?":
      return missing
        ? shell.fail(`${name}: ${(await expandText(shell, part.argument)) || "parameter not set"}`)
        : value;
  }
  return cut(value ?? "", operator, await expandPattern(shell, part.argument));
}

function cut(value: string, operator: string, pattern: string): string {
  const lengths = Array.from({ length: value.length + 1 }, (_, index) => index);
  const front = operator.startsWith("#");
  const longest = operator.length === 2;
  const found = (longest ? lengths.reverse() : lengths).find((length) =>
    matches(pattern, front ? value.slice(0, length) : value.slice(value.length - length)),
  );
  if (found === undefined) return value;
  return front ? value.slice(found) : value.slice(0, value.length - found);
}

function escaped(field: Marked): string {
  return field.text.replace(/[*?[\]\\]/g, (c, index: number) => (field.quoted[index] ? `\\${c}` : c));
}

/** Whether a shell pattern matches the whole text. */
export function matches(pattern: string, text: string): boolean {
  return toRegExp(pattern).test(text);
}

function toRegExp(pattern: string): RegExp {
  let source = "";
  for (let index = 0; index < pattern.length; index += 1) {
    const c = pattern[index] as string;
    if (c === "\\" && index + 1 < pattern.length) source += quoteRegExp(pattern[(index += 1)] as string);
    else if (c === "*") source += "[\\s\\S]*";
    else if (c === "?") source += "[\\s\\S]";
    else if (c === "[") {
      const end = pattern.indexOf("]", index + 2);
      if (end < 0) source += "\\[";
      else {
        source += `[${pattern
          .slice(index + 1, end)
          .replace(/^!/, "^")
          .replace(/\\/g, "\\\\")}]`;
        index = end;
      }
    } else source += quoteRegExp(c);
  }
  return new RegExp(`^${source}$`);
}

const quoteRegExp = (c: string): string => c.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** Names of files that match; none if the field is no pattern or nothing matches. */
function glob(shell: Variables, field: Marked): readonly string[] {
  if (![...field.text.matchAll(/[*?[]/g)].some(({ index }) => !field.quoted[index])) return [];
  const pattern = escaped(field);
  const absolute = pattern.startsWith("/");
  let found = [absolute ? "" : shell.folder];
  for (const part of pattern.split("/").filter(Boolean)) {
    const next: string[] = [];
    for (const folder of found) {
      if (shell.files.find(folder || "/")?.kind !== "dir") continue;
      for (const name of shell.files.list(folder || "/"))
        if (matches(part, name) && (!name.startsWith(".") || part.startsWith(".")))
          next.push(`${folder}/${name}`);
    }
    found = next;
  }
  return absolute ? found : found.map((path) => path.slice(shell.folder.length + 1));
}

/** Sums of integers: the operators of C without assignment. */
function sum(shell: Variables, expression: string): number {
  const tokens = expression.match(/\d+|[A-Za-z_]\w*|<=|>=|==|!=|&&|\|\||[-+*/%()<>!?:]/g) ?? [];
  if (tokens.join("") !== expression.replace(/\s+/g, ""))
    shell.fail(`arithmetic expression: expecting primary: "${expression}"`);
  let at = 0;
  const peek = () => tokens[at];
  const levels: readonly (readonly string[])[] = [
    ["||"],
    ["&&"],
    ["==", "!="],
    ["<", ">", "<=", ">="],
    ["+", "-"],
    ["*", "/", "%"],
  ];
  const primary = (): number => {
    const token = tokens[at];
    at += 1;
    if (token === undefined) return shell.fail(`arithmetic expression: expecting primary: "${expression}"`);
    if (token === "-") return -primary();
    if (token === "+") return primary();
    if (token === "!") return primary() === 0 ? 1 : 0;
    if (token === "(") {
      const inner = choice();
      if (tokens[at] !== ")") shell.fail(`arithmetic expression: expecting ')': "${expression}"`);
      at += 1;
      return inner;
    }
    const value = /^\d/.test(token) ? Number(token) : Number(shell.get(token) || 0);
    return Number.isInteger(value) ? value : shell.fail(`Illegal number: ${shell.get(token)}`);
  };
  const binary = (level: number): number => {
    const operators = levels[level];
    if (!operators) return primary();
    let left = binary(level + 1);
    for (let operator = peek(); operator !== undefined && operators.includes(operator); operator = peek()) {
      at += 1;
      left = apply(operator, left, binary(level + 1), () =>
        shell.fail("arithmetic expression: division by zero"),
      );
    }
    return left;
  };
  const choice = (): number => {
    const test = binary(0);
    if (peek() !== "?") return test;
    at += 1;
    const yes = choice();
    if (peek() === ":") at += 1;
    const no = choice();
    return test !== 0 ? yes : no;
  };
  return choice();
}

function apply(operator: string, left: number, right: number, byZero: () => never): number {
  switch (operator) {
    case "+":
      return left + right;
    case "-":
      return left - right;
    case "*":
      return left * right;
    case "/":
      return right === 0 ? byZero() : Math.trunc(left / right);
    case "%":
      return right === 0 ? byZero() : left % right;
    case "<":
      return Number(left < right);
    case ">":
      return Number(left > right);
    case "<=":
      return Number(left <= right);
    case ">=":
      return Number(left >= right);
    case "==":
      return Number(left === right);
    case "!=":
      return Number(left !== right);
    case "&&":
      return Number(left !== 0 && right !== 0);
    default:
      return Number(left !== 0 || right !== 0);
  }
}

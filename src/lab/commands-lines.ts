/** grep and sed, with basic and extended regular expressions. */
import { gapIn, inputs, lines, options } from "./command-words.ts";
import type { CommandFunction } from "./process.ts";

export const grep: CommandFunction = async (context) => {
  const { set, values, rest } = options(context, "aqxFcvEinolshHw", "em");
  const pattern = values.get("e") ?? rest[0] ?? "";
  const names = values.has("e") ? rest : rest.slice(1);
  const source = set.has("F")
    ? pattern.split("\n").map(literal).join("|")
    : set.has("E")
      ? pattern
      : basic(pattern);
  const whole = set.has("x") ? `^(?:${source})$` : set.has("w") ? `\\b(?:${source})\\b` : source;
  const regExp = new RegExp(classes(whole), set.has("i") ? "i" : "");
  const { texts, failed } = await inputs(context, names);
  let found = 0;
  for (const [name, text] of texts) {
    let here = 0;
    const head = (texts.length > 1 && !set.has("h")) || set.has("H") ? `${name}:` : "";
    for (const [index, line] of lines(text).entries()) {
      if (regExp.test(line) === set.has("v")) continue;
      if (here >= Number(values.get("m") ?? Infinity)) break;
      here += 1;
      if (set.has("q") || set.has("c") || set.has("l")) continue;
      const number = set.has("n") ? `${index + 1}:` : "";
      const shown = set.has("o")
        ? [...line.matchAll(new RegExp(regExp, `g${regExp.flags}`))].map(([match]) => match)
        : [line];
      for (const each of shown) context.out(`${head}${number}${each}\n`);
    }
    if (set.has("c") && !set.has("q")) context.out(`${head}${here}\n`);
    if (set.has("l") && here > 0) context.out(`${name}\n`);
    found += here;
  }
  if (failed && !(set.has("q") && found > 0)) return 2;
  return found > 0 ? 0 : 1;
};

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** A basic regular expression as an extended one: where \( \) \{ \} \| \+ \? are special and the bare ones are not. */
function basic(pattern: string): string {
  let result = "";
  for (let index = 0; index < pattern.length; index += 1) {
    const c = pattern[index] as string;
    if (c === "\\") {
      const next = pattern[(index += 1)] ?? "\\";
      result += "(){}|+?".includes(next) ? next : `\\${next}`;
    } else if (c === "[") {
      const end = pattern.indexOf("]", index + 2);
      result += end < 0 ? "\\[" : pattern.slice(index, end + 1);
      index = end < 0 ? index : end;
    } else if ("(){}|+?".includes(c) || (c === "*" && index === 0)) result += `\\${c}`;
    else result += c;
  }
  return result;
}

export const classes = (source: string): string =>
  source.replace(/\[:(\w+):\]/g, (_, name: string) => {
    const known: { readonly [name: string]: string } = {
      alnum: "A-Za-z0-9",
      alpha: "A-Za-z",
      digit: "0-9",
      lower: "a-z",
      space: "\\s",
      upper: "A-Z",
      xdigit: "0-9A-Fa-f",
      blank: " \\t",
    };
    return known[name] ?? "";
  });

export const sed: CommandFunction = async (context) => {
  const { set, values, rest } = options(context, "nErs", "e");
  const script = values.get("e") ?? rest[0] ?? "";
  const names = values.has("e") ? rest : rest.slice(1);
  const extended = set.has("E") || set.has("r");
  const translate = (pattern: string) => new RegExp(classes(extended ? pattern : basic(pattern)));
  const edits = script
    .split(/;\s*|\n/)
    .filter(Boolean)
    .map((text) => {
      const found = /^(?:(\d+|\$)(?:,(\d+|\$))?|\/((?:[^/\\]|\\.)*)\/)?\s*(?:s(.)(.*)|([pdq]))$/.exec(
        text.trim(),
      );
      if (!found) return gapIn(context, `the script ${text}`);
      const [, from, to, match, mark, body = "", verb] = found;
      const parts = mark === undefined ? [] : body.split(new RegExp(`(?<!\\\\)${literal(mark)}`));
      return {
        from,
        to,
        match: match === undefined ? undefined : translate(match),
        verb: verb ?? "s",
        parts,
      };
    });
  const { texts, failed } = await inputs(context, names);
  const all = lines(texts.map(([, text]) => text).join(""));
  outer: for (const [index, original] of all.entries()) {
    let line = original;
    const number = (text: string) => (text === "$" ? all.length : Number(text));
    for (const { from, to, match, verb, parts } of edits) {
      if (from !== undefined && (index + 1 < number(from) || index + 1 > number(to ?? from))) continue;
      if (match !== undefined && !match.test(line)) continue;
      if (verb === "d") continue outer;
      if (verb === "p") context.out(`${line}\n`);
      else if (verb === "q") {
        if (!set.has("n")) context.out(`${line}\n`);
        break outer;
      } else {
        const [pattern = "", to = "", flags = ""] = parts;
        const before = line;
        const regExp = translate(pattern);
        const replacement = to
          .replace(/\$/g, "$$$$")
          .replace(/\\(\d)/g, "$$$1")
          .replace(/(?<!\\)&/g, "$$&")
          .replace(/\\([&/n])/g, (_, c: string) => (c === "n" ? "\n" : c));
        line = line.replace(new RegExp(regExp, flags.includes("g") ? "g" : ""), replacement);
        if (flags.includes("p") && line !== before) context.out(`${line}\n`);
      }
    }
    if (!set.has("n")) context.out(`${line}\n`);
  }
  return failed ? 1 : 0;
};

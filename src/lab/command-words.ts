/** What the commands of a node share: their options, their inputs, and how they say that the lab does not model something. */
import type { Context } from "./process.ts";

/** An option or form that the lab does not know: exit 127, and the row is a gap. */
export class NotModelled extends Error {}

export function gapIn(context: Context, what: string): never {
  throw new NotModelled(`${context.argv[0]}: ${what} is not modelled by the lab`);
}

/** Short options bundled or not, those of `valued` with a value; then the rest. */
export function options(
  context: Context,
  flags: string,
  valued = "",
): {
  readonly set: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
} {
  const set = new Set<string>();
  const values = new Map<string, string>();
  const [, ...args] = context.argv;
  let index = 0;
  for (; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg === "--") {
      index += 1;
      break;
    }
    if (!/^-./.test(arg)) break;
    for (let at = 1; at < arg.length; at += 1) {
      const letter = arg[at] as string;
      if (valued.includes(letter)) {
        const value = arg.slice(at + 1);
        values.set(letter, value === "" ? (args[(index += 1)] ?? "") : value);
        break;
      }
      if (!flags.includes(letter)) gapIn(context, `option -${letter}`);
      set.add(letter);
    }
  }
  return { set, values, rest: args.slice(index) };
}

/** The texts of the named files, or standard input without names. A file that cannot be read is told and left out. */
export async function inputs(
  context: Context,
  names: readonly string[],
): Promise<{ readonly texts: readonly (readonly [string, string])[]; readonly failed: boolean }> {
  if (names.length === 0)
    return { texts: [["", await context.process.orDeath(context.stdin.all())]], failed: false };
  const texts: (readonly [string, string])[] = [];
  let failed = false;
  for (const name of names) {
    if (name === "-") {
      texts.push([name, await context.process.orDeath(context.stdin.all())]);
      continue;
    }
    const entry = context.node.files.find(context.path(name));
    if (entry === undefined || entry.kind === "dir") {
      context.err(`${context.argv[0]}: ${name}: ${entry ? "Is a directory" : "No such file or directory"}\n`);
      failed = true;
    } else texts.push([name, context.node.files.read(context.path(name))]);
  }
  return { texts, failed };
}

export const lines = (text: string): string[] => {
  const all = text.split("\n");
  if (all.at(-1) === "") all.pop();
  return all;
};
export const joined = (all: readonly string[]): string => all.map((line) => `${line}\n`).join("");

/** "--name=value" as its two halves. */
export function splitOption(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return text.startsWith("--") && at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, undefined];
}

/** The command `test`, also spelled `[`. */
import type { CommandFunction, Context } from "./process.ts";

export const test: CommandFunction = (context) => {
  let args = context.argv.slice(1);
  if (context.argv[0] === "[") {
    if (args.at(-1) !== "]") {
      context.err("sh: 1: [: missing ]\n");
      return 2;
    }
    args = args.slice(0, -1);
  }
  try {
    return truth(context, args) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    context.err(`sh: 1: ${context.argv[0]}: ${error.message}\n`);
    return 2;
  }
};

function truth(context: Context, args: readonly string[]): boolean {
  const [a, b, c] = args as [string, string, string];
  switch (args.length) {
    case 0:
      return false;
    case 1:
      return a !== "";
    case 2:
      return a === "!" ? b === "" : unary(context, a, b);
    case 3: {
      const answer = binary(context, a, b, c);
      if (answer !== undefined) return answer;
      if (a === "!") return !truth(context, args.slice(1));
      if (a === "(" && c === ")") return truth(context, [b]);
    }
  }
  for (const joint of ["-o", "-a"] as const) {
    const at = args.indexOf(joint);
    if (at > 0) {
      const [left, right] = [truth(context, args.slice(0, at)), truth(context, args.slice(at + 1))];
      return joint === "-o" ? left || right : left && right;
    }
  }
  if (a === "!") return !truth(context, args.slice(1));
  throw new RangeError("unexpected operator");
}

function unary(context: Context, operator: string, name: string): boolean {
  const { files } = context.node;
  const entry =
    operator === "-L" || operator === "-h"
      ? files.find(context.path(name), false)
      : files.find(context.path(name));
  const mode = entry?.kind === "file" || entry?.kind === "dir" ? entry.mode : 0;
  switch (operator) {
    case "-n":
      return name !== "";
    case "-z":
      return name === "";
    case "-e":
    case "-r":
    case "-w":
      return entry !== undefined;
    case "-f":
      return entry?.kind === "file";
    case "-d":
      return entry?.kind === "dir";
    case "-L":
    case "-h":
      return entry?.kind === "link";
    case "-b":
      return entry?.kind === "dev" && entry.device === "block";
    case "-s":
      return entry?.kind === "file" && files.read(context.path(name)) !== "";
    case "-x":
      return (
        entry?.kind === "dir" ||
        (mode & 0o111) !== 0 ||
        (entry === undefined && name.includes("/") && context.node.hasProgram(name))
      );
    case "-t":
      return false;
  }
  throw new RangeError(`${operator}: unexpected operator`);
}

function binary(context: Context, left: string, operator: string, right: string): boolean | undefined {
  const number = (text: string) => {
    if (!/^\s*[-+]?\d+\s*$/.test(text)) throw new RangeError(`Illegal number: ${text}`);
    return Number(text);
  };
  const time = (name: string) => context.node.files.find(context.path(name))?.mtime ?? -1;
  switch (operator) {
    case "=":
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case "-eq":
      return number(left) === number(right);
    case "-ne":
      return number(left) !== number(right);
    case "-lt":
      return number(left) < number(right);
    case "-le":
      return number(left) <= number(right);
    case "-gt":
      return number(left) > number(right);
    case "-ge":
      return number(left) >= number(right);
    case "-nt":
      return time(left) > time(right);
    case "-ot":
      return time(left) < time(right);
  }
  return undefined;
}

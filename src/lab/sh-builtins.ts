/** What the shell does itself: its state, the ways out of its loops and functions, and its built-in commands. */
import type { LabNode } from "./node.ts";
import type { CommandFunction, Input, Sink } from "./process.ts";
import type { ShellRun } from "./sh.ts";
import { parseShell } from "./sh-parse.ts";
import type { Command } from "./sh-tree.ts";

/** The ways out are thrown: through whatever is being carried out, up to where they belong. */
export class Exit extends Error {
  readonly code: number;
  constructor(code: number) {
    super("exit");
    this.code = code;
  }
}
export class Return extends Exit {}
export class Loop extends Error {
  left: number;
  readonly kind: "break" | "continue";
  constructor(kind: "break" | "continue", left: number) {
    super(kind);
    this.kind = kind;
    this.left = left;
  }
}

export interface ShellHost {
  readonly node: LabNode;
  readonly commands: ReadonlyMap<string, CommandFunction>;
  /** Tells the session that the lab does not model a command: what was received is a gap. */
  gap(name: string): void;
  /** A process in the background that still holds the session's output open. */
  keepsOpen(done: Promise<void>): void;
  readonly sessionOutputs: ReadonlySet<Sink>;
}

export interface Streams {
  readonly stdin: Input;
  readonly out: Sink;
  readonly err: Sink;
  /** Descriptor 3, where a script made one. */
  readonly third?: Sink | undefined;
}

interface BackgroundJob {
  readonly pid: number;
  readonly done: Promise<number>;
}

export interface ShellState {
  readonly name: string;
  readonly variables: Map<string, string>;
  readonly exported: Set<string>;
  readonly functions: Map<string, Command>;
  positional: readonly string[];
  streams: Streams;
  folder: string;
  umask: number;
  status: number;
  background: BackgroundJob | undefined;
  readonly jobs: BackgroundJob[];
  errexit: boolean;
  nounset: boolean;
  trap: string | undefined;
}

export interface ShellStart {
  readonly name?: string;
  readonly positional?: readonly string[];
  readonly env?: { readonly [name: string]: string };
  readonly folder?: string;
  readonly umask?: number;
}

export function newState(streams: Streams, start: ShellStart): ShellState {
  const env = Object.entries(start.env ?? {});
  return {
    name: start.name ?? "sh",
    variables: new Map(env),
    exported: new Set(env.map(([name]) => name)),
    functions: new Map(),
    positional: start.positional ?? [],
    streams,
    folder: start.folder ?? "/root",
    umask: start.umask ?? 0o022,
    status: 0,
    background: undefined,
    jobs: [],
    errexit: false,
    nounset: false,
    trap: undefined,
  };
}

/** Built-in commands whose failed redirection ends the shell. */
export const special: ReadonlySet<string> = new Set(
  "exit return break continue shift set export unset exec eval readonly : . trap".split(" "),
);

/** Runs a built-in command; undefined if the name is none. */
export async function runBuiltin(
  shell: ShellRun,
  argv: readonly string[],
  streams: Streams,
  sets: readonly [string, string][],
): Promise<number | undefined> {
  const [name, ...args] = argv;
  const first = args[0];
  switch (name ?? "") {
    case ":":
      for (const [variable, value] of sets) shell.state.variables.set(variable, value);
      return 0;
    case "exit":
      throw new Exit(first === undefined ? shell.state.status : Number(first) & 255);
    case "return":
      throw new Return(first === undefined ? shell.state.status : Number(first) & 255);
    case "break":
    case "continue":
      throw new Loop(name === "break" ? "break" : "continue", first === undefined ? 1 : Number(first));
    case "shift": {
      const by = first === undefined ? 1 : Number(first);
      if (by > shell.state.positional.length) shell.fail("shift: can't shift that many");
      shell.state.positional = shell.state.positional.slice(by);
      return 0;
    }
    case "set":
      return setOptions(shell, args);
    case "export":
    case "readonly":
      for (const each of args) {
        const [variable = "", value] = split(each);
        if (value !== undefined) shell.state.variables.set(variable, value);
        if (name === "export") shell.state.exported.add(variable);
      }
      return 0;
    case "unset":
      for (const each of args) shell.state.variables.delete(each);
      return 0;
    case "umask":
      if (first === undefined) streams.out(`${shell.state.umask.toString(8).padStart(4, "0")}\n`);
      else shell.state.umask = parseInt(first, 8);
      return 0;
    case "cd": {
      const path = shell.path(first ?? "/root");
      if (shell.files.find(path)?.kind !== "dir") {
        streams.err(`${shell.state.name}: 1: cd: can't cd to ${first ?? "/root"}\n`);
        return 2;
      }
      shell.state.folder = path;
      return 0;
    }
    case "pwd":
      streams.out(`${shell.state.folder}\n`);
      return 0;
    case "exec":
      if (args.length === 0) {
        shell.state.streams = streams;
        return 0;
      }
      throw new Exit(
        await shell.external(args, streams, { ...shell.environment(), ...Object.fromEntries(sets) }),
      );
    case "eval":
      return shell.run(parseShell(args.join(" ")));
    case "read":
      return readLine(shell, args, streams, new Map(sets).get("IFS"));
    case "wait": {
      const jobs =
        first === undefined ? shell.state.jobs : shell.state.jobs.filter(({ pid }) => String(pid) === first);
      let status = first !== undefined && jobs.length === 0 ? 127 : 0;
      for (const job of jobs) {
        const code = await shell.process.orDeath(job.done);
        if (first !== undefined) status = code;
      }
      return status;
    }
    case "trap":
      // Only the trap on exit is modelled; others are accepted and never fire, as no signal reaches a script here.
      if (args.length > 1 && (args.includes("EXIT") || args.includes("0")))
        shell.state.trap = first === "-" ? undefined : first;
      return 0;
    case "command":
      if (first === "-v") return whichOf(shell, args.slice(1), streams);
      return first === undefined
        ? 0
        : ((await runBuiltin(shell, args, streams, sets)) ??
            shell.external(args, streams, shell.environment()));
    case "type":
      return whichOf(shell, args, streams);
  }
  return undefined;
}

function whichOf(shell: ShellRun, names: readonly string[], streams: Streams): number {
  let status = 0;
  for (const name of names) {
    const plain = name.slice(name.lastIndexOf("/") + 1);
    if (shell.state.functions.has(name) || special.has(name)) streams.out(`${name}\n`);
    else if (shell.host.commands.has(plain))
      streams.out(`${name.includes("/") ? name : shell.host.node.pathOf(name)}\n`);
    else status = 127;
  }
  return status;
}

function setOptions(shell: ShellRun, args: readonly string[]): number {
  let index = 0;
  for (; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg === "--") {
      shell.state.positional = args.slice(index + 1);
      return 0;
    }
    if (!/^[-+][a-z]/.test(arg)) break;
    const on = arg.startsWith("-");
    if (arg.includes("e")) shell.state.errexit = on;
    if (arg.includes("u")) shell.state.nounset = on;
    if (arg.slice(1) === "o") index += 1;
  }
  if (index < args.length) shell.state.positional = args.slice(index);
  return 0;
}

async function readLine(
  shell: ShellRun,
  args: readonly string[],
  streams: Streams,
  ownSeparators: string | undefined,
): Promise<number> {
  const raw = args[0] === "-r";
  const names = args.slice(raw ? 1 : 0);
  const line = await shell.process.orDeath(streams.stdin.line());
  const text = raw ? (line?.text ?? "") : (line?.text ?? "").replace(/\\(.)/g, "$1");
  const separators = ownSeparators ?? shell.state.variables.get("IFS") ?? " \t\n";
  const blanks = [...separators].filter((c) => " \t\n".includes(c)).join("");
  let rest = trim(text, blanks);
  for (const [index, name] of names.entries()) {
    const at = index === names.length - 1 ? -1 : [...rest].findIndex((c) => separators.includes(c));
    shell.state.variables.set(name, at < 0 ? rest : rest.slice(0, at));
    if (at < 0) rest = "";
    else {
      // Blanks around a separator that is none belong to it.
      const after = trimStart(rest.slice(at), blanks);
      rest = trimStart(
        separators.includes(after[0] ?? "") && !blanks.includes(after[0] ?? "") ? after.slice(1) : after,
        blanks,
      );
    }
  }
  return line?.ended ? 0 : 1;
}

function split(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function trimStart(text: string, blanks: string): string {
  let start = 0;
  while (start < text.length && blanks.includes(text[start] as string)) start += 1;
  return text.slice(start);
}

function trim(text: string, blanks: string): string {
  const from = trimStart(text, blanks);
  let end = from.length;
  while (end > 0 && blanks.includes(from[end - 1] as string)) end -= 1;
  return from.slice(0, end);
}

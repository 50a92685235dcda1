/**
 * A small POSIX shell over a node of the lab (as dash, whose messages it gives). `sh-parse.ts` makes the tree,
 * `sh-expand.ts` the words; here they are carried out. Commands take time on the clock and die with their node.
 */
import { NotModelled } from "./commands-text.ts";
import { FileError, normalise } from "./files.ts";
import type { LabNode } from "./node.ts";
import { Input, Killed, Process, type CommandFunction, type Context, type Sink } from "./process.ts";
import { expandPattern, expandText, expandWords, matches, type Variables } from "./sh-expand.ts";
import { parseShell, ShellSyntaxError, type Command, type Redirection } from "./sh-parse.ts";

class Exit {
  readonly code: number;
  constructor(code: number) {
    this.code = code;
  }
}
class Return extends Exit {}
class Loop {
  left: number;
  readonly kind: "break" | "continue";
  constructor(kind: "break" | "continue", left: number) {
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

interface Streams {
  readonly stdin: Input;
  readonly out: Sink;
  readonly err: Sink;
}

const special = new Set([
  "exit",
  "return",
  "break",
  "continue",
  "shift",
  "set",
  "export",
  "unset",
  "exec",
  "eval",
  "readonly",
  ":",
  ".",
  "trap",
]);

export class ShellRun implements Variables {
  readonly #host: ShellHost;
  readonly #process: Process;
  readonly #name: string;
  readonly #variables: Map<string, string>;
  readonly #exported: Set<string>;
  readonly #functions: Map<string, Command>;
  #positional: readonly string[];
  #streams: Streams;
  #folder: string;
  #umask: number;
  #status = 0;
  #background: { readonly pid: number; readonly done: Promise<number> } | undefined;
  #jobs: { readonly pid: number; readonly done: Promise<number> }[] = [];
  #errexit = false;
  #nounset = false;
  #tested = 0;
  #trap: string | undefined;

  constructor(
    host: ShellHost,
    process: Process,
    streams: Streams,
    start: {
      name?: string;
      positional?: readonly string[];
      env?: { readonly [name: string]: string };
      folder?: string;
      umask?: number;
    },
  ) {
    this.#host = host;
    this.#process = process;
    this.#streams = streams;
    this.#name = start.name ?? "sh";
    this.#positional = start.positional ?? [];
    this.#variables = new Map(Object.entries(start.env ?? {}));
    this.#exported = new Set(this.#variables.keys());
    this.#functions = new Map();
    this.#folder = start.folder ?? "/root";
    this.#umask = start.umask ?? 0o022;
  }

  /** Runs a script to its end, as `sh -c` does. */
  async script(source: string): Promise<number> {
    let code: number;
    try {
      code = await this.#run(parseShell(source));
    } catch (thrown) {
      if (thrown instanceof ShellSyntaxError) {
        this.#streams.err(`${this.#name}: 1: ${thrown.message}\n`);
        return 2;
      }
      if (!(thrown instanceof Exit)) throw thrown;
      code = thrown.code;
    }
    const trap = this.#trap;
    this.#trap = undefined;
    if (trap === undefined) return code;
    this.#status = code;
    const after = await this.script(trap);
    return after === 0 ? code : after;
  }

  /** Runs one argv without any expansion. */
  async argv(argv: readonly string[]): Promise<number> {
    return this.#external(argv, this.#streams, this.environment());
  }

  options(letters: string): void {
    if (letters.includes("e")) this.#errexit = true;
    if (letters.includes("u")) this.#nounset = true;
  }

  environment(): { readonly [name: string]: string } {
    return Object.fromEntries([...this.#exported].map((name) => [name, this.#variables.get(name) ?? ""]));
  }

  // What the expansion of words asks of the shell.

  get files() {
    return this.#host.node.files;
  }

  get folder(): string {
    return this.#folder;
  }

  positional(): readonly string[] {
    return this.#positional;
  }

  get(name: string): string | undefined {
    switch (name) {
      case "#":
        return String(this.#positional.length);
      case "?":
        return String(this.#status);
      case "$":
        return String(this.#process.pid);
      case "!":
        return this.#background === undefined ? undefined : String(this.#background.pid);
      case "0":
        return this.#name;
      case "-":
        return `${this.#errexit ? "e" : ""}${this.#nounset ? "u" : ""}`;
      case "PWD":
        return this.#folder;
    }
    return /^[0-9]+$/.test(name) ? this.#positional[Number(name) - 1] : this.#variables.get(name);
  }

  set(name: string, value: string): void {
    this.#variables.set(name, value);
  }

  unset(name: string): string {
    if (!this.#nounset) return "";
    this.fail(`${name}: parameter not set`);
  }

  fail(message: string): never {
    this.#streams.err(`${this.#name}: 1: ${message}\n`);
    throw new Exit(2);
  }

  async substitute(body: Command): Promise<string> {
    let text = "";
    const inner = this.#clone({ ...this.#streams, out: (more) => (text += more) });
    this.#status = await inner.#subshell(body);
    return text.replace(/\n+$/, "");
  }

  // Carrying out.

  #clone(streams: Streams, process = this.#process): ShellRun {
    const copy = new ShellRun(this.#host, process, streams, {
      name: this.#name,
      positional: this.#positional,
      folder: this.#folder,
      umask: this.#umask,
    });
    for (const [name, value] of this.#variables) copy.#variables.set(name, value);
    for (const name of this.#exported) copy.#exported.add(name);
    for (const [name, body] of this.#functions) copy.#functions.set(name, body);
    copy.#status = this.#status;
    copy.#background = this.#background;
    copy.#errexit = this.#errexit;
    copy.#nounset = this.#nounset;
    copy.#tested = this.#tested;
    return copy;
  }

  async #subshell(body: Command): Promise<number> {
    try {
      return await this.#run(body);
    } catch (thrown) {
      if (thrown instanceof Exit) return thrown.code;
      if (thrown instanceof Loop) return 0;
      throw thrown;
    }
  }

  async #run(command: Command): Promise<number> {
    this.#process.check();
    const status = await this.#dispatch(command);
    this.#status = status;
    return status;
  }

  /** `set -e` looks away from what is tested. */
  async #test(command: Command): Promise<number> {
    this.#tested += 1;
    try {
      return await this.#run(command);
    } finally {
      this.#tested -= 1;
    }
  }

  async #dispatch(command: Command): Promise<number> {
    switch (command.kind) {
      case "simple":
        return this.#checked(await this.#simple(command));
      case "pipe":
        return this.#pipe(command);
      case "and":
      case "or": {
        const left = await this.#test(command.left);
        return (left === 0) === (command.kind === "and") ? this.#run(command.right) : left;
      }
      case "list": {
        let status = 0;
        for (const { command: item, background } of command.items)
          status = background ? this.#launch(item) : await this.#run(item);
        return status;
      }
      case "if":
        for (const { test, body } of command.branches)
          if ((await this.#test(test)) === 0) return this.#run(body);
        return command.other ? this.#run(command.other) : 0;
      case "loop": {
        let status = 0;
        for (let turns = 0; ((await this.#test(command.test)) === 0) !== command.until; turns += 1) {
          // A loop that never sleeps would stop the world's time; a real one would only burn a processor.
          if (turns > 100_000) throw new Error("a loop in a script of the lab never ends");
          const next = await this.#loopBody(command.body);
          if (next === "break") break;
          status = this.#status;
        }
        return status;
      }
      case "for": {
        const words = command.words ? await expandWords(this, command.words) : this.#positional;
        for (const word of words) {
          this.#variables.set(command.name, word);
          if ((await this.#loopBody(command.body)) === "break") break;
        }
        return words.length === 0 ? 0 : this.#status;
      }
      case "case": {
        const subject = await expandText(this, command.subject);
        for (const { patterns, body } of command.branches)
          for (const pattern of patterns)
            if (matches(await expandPattern(this, pattern), subject)) return this.#run(body);
        return 0;
      }
      case "function":
        this.#functions.set(command.name, command.body);
        return 0;
      case "group":
        return this.#run(command.body);
      case "subshell":
        return this.#checked(await this.#clone(this.#streams).#subshell(command.body));
      case "redirected": {
        const streams = await this.#redirect(command.redirections, this.#streams);
        if (streams === undefined) return this.#checked(1);
        const before = this.#streams;
        this.#streams = streams;
        try {
          return await this.#run(command.body);
        } finally {
          this.#streams = before;
        }
      }
    }
  }

  #checked(status: number): number {
    if (status !== 0 && this.#errexit && this.#tested === 0) throw new Exit(status);
    return status;
  }

  async #loopBody(body: Command): Promise<"on" | "break"> {
    try {
      await this.#run(body);
      return "on";
    } catch (thrown) {
      if (!(thrown instanceof Loop)) throw thrown;
      thrown.left -= 1;
      if (thrown.left > 0) throw thrown;
      return thrown.kind === "break" ? "break" : "on";
    }
  }

  /** Stages run one after the other, each with all the output of the one before. */
  async #pipe(command: { readonly stages: readonly Command[]; readonly negated: boolean }): Promise<number> {
    let stdin = this.#streams.stdin;
    let status = 0;
    for (const [index, stage] of command.stages.entries()) {
      let text = "";
      const last = index === command.stages.length - 1;
      const streams = {
        ...this.#streams,
        stdin,
        out: last ? this.#streams.out : (more: string) => void (text += more),
      };
      if (command.stages.length === 1) status = await this.#test(stage);
      else status = await this.#clone(streams).#subshell(stage);
      stdin = new Input(text);
    }
    if (command.negated) return status === 0 ? 1 : 0;
    return this.#checked(status);
  }

  #launch(command: Command): number {
    const node = this.#host.node;
    const child = node.spawn("sh", this.#process.cause);
    const streams = { ...this.#streams, stdin: new Input("") };
    const copy = this.#clone(streams, child);
    let holdsOutput = true;
    const done = (async () => {
      const redirected =
        command.kind === "simple" || command.kind === "redirected"
          ? command.redirections.filter(({ operator }) => operator !== "<").map(({ fd }) => fd)
          : [];
      holdsOutput =
        !(redirected.includes(1) && redirected.includes(2)) &&
        (this.#host.sessionOutputs.has(streams.out) || this.#host.sessionOutputs.has(streams.err));
      let code: number;
      try {
        code = await copy.#subshell(command);
      } catch (thrown) {
        if (!(thrown instanceof Killed)) throw thrown;
        code = 143;
      }
      node.reap(child);
      return code;
    })();
    // As with a real SSH server, the session ends only when nobody holds its output any more.
    if (holdsOutput) this.#host.keepsOpen(done.then(() => undefined));
    this.#background = { pid: child.pid, done };
    this.#jobs.push(this.#background);
    return 0;
  }

  async #redirect(redirections: readonly Redirection[], before: Streams): Promise<Streams | undefined> {
    let streams = before;
    for (const { fd, operator, target } of redirections) {
      const name = await expandText(this, target);
      if (operator === ">&" || operator === "<&") {
        if (name === "-")
          streams =
            fd === 0
              ? { ...streams, stdin: new Input("") }
              : fd === 1
                ? { ...streams, out: () => undefined }
                : { ...streams, err: () => undefined };
        else {
          const from = name === "1" ? streams.out : name === "2" ? streams.err : undefined;
          if (!from || fd === 0) this.fail(`${name}: bad fd number`);
          streams = fd === 1 ? { ...streams, out: from } : { ...streams, err: from };
        }
        continue;
      }
      const path = this.#path(name);
      try {
        if (operator === "<") {
          streams = { ...streams, stdin: new Input(this.files.read(path)) };
          continue;
        }
        const sink = this.#openForWriting(path, operator === ">>");
        if (fd === 1) streams = { ...streams, out: sink };
        else if (fd === 2) streams = { ...streams, err: sink };
        else this.fail(`${fd}: bad fd number`);
      } catch (error) {
        if (!(error instanceof FileError)) throw error;
        const doing = operator === "<" ? "open" : "create";
        const why =
          error.code === "ENOENT" && doing === "open"
            ? "No such file"
            : error.code === "ENOENT"
              ? "Directory nonexistent"
              : error.message;
        before.err(`${this.#name}: 1: cannot ${doing} ${name}: ${why}\n`);
        return undefined;
      }
    }
    return streams;
  }

  #openForWriting(path: string, append: boolean): Sink {
    const { node } = this.#host;
    const book = <T>(act: () => T) => node.heart.during(this.#process.cause, act);
    const mode = 0o666 & ~this.#umask;
    book(() => node.files.write(path, "", { append, mode }));
    return (text) => {
      this.#process.check();
      book(() => node.files.write(path, text, { append: true, mode, quiet: true }));
    };
  }

  #path(name: string): string {
    return normalise(name.startsWith("/") ? name : `${this.#folder}/${name}`);
  }

  async #simple(command: Command & { kind: "simple" }): Promise<number> {
    const argv = await expandWords(this, command.words);
    const sets: [string, string][] = [];
    const before = this.#status;
    if (argv.length === 0) this.#status = 0;
    for (const { name, value } of command.sets) sets.push([name, await expandText(this, value)]);
    const streams = await this.#redirect(command.redirections, this.#streams);
    const [name] = argv;
    if (streams === undefined) {
      if (name !== undefined && special.has(name)) throw new Exit(2);
      return name === undefined ? 1 : 2;
    }
    if (name === undefined) {
      for (const [variable, value] of sets) this.#variables.set(variable, value);
      return this.#status;
    }
    const body = this.#functions.get(name);
    if (body) return this.#call(body, argv.slice(1), streams);
    this.#status = before;
    const inside = await this.#builtin(argv, streams, sets);
    if (inside !== undefined) return inside;
    return this.#external(argv, streams, { ...this.environment(), ...Object.fromEntries(sets) });
  }

  async #call(body: Command, args: readonly string[], streams: Streams): Promise<number> {
    const [outer, outerStreams] = [this.#positional, this.#streams];
    this.#positional = args;
    this.#streams = streams;
    try {
      return await this.#run(body);
    } catch (thrown) {
      if (thrown instanceof Return) return thrown.code;
      throw thrown;
    } finally {
      this.#positional = outer;
      this.#streams = outerStreams;
    }
  }

  async #builtin(
    argv: readonly string[],
    streams: Streams,
    sets: readonly [string, string][],
  ): Promise<number | undefined> {
    const [name, ...args] = argv;
    const first = args[0];
    switch (name) {
      case ":":
        for (const [variable, value] of sets) this.#variables.set(variable, value);
        return 0;
      case "exit":
        throw new Exit(first === undefined ? this.#status : Number(first) & 255);
      case "return":
        throw new Return(first === undefined ? this.#status : Number(first) & 255);
      case "break":
      case "continue":
        throw new Loop(name, first === undefined ? 1 : Number(first));
      case "shift": {
        const by = first === undefined ? 1 : Number(first);
        if (by > this.#positional.length) this.fail("shift: can't shift that many");
        this.#positional = this.#positional.slice(by);
        return 0;
      }
      case "set":
        return this.#set(args);
      case "export":
      case "readonly":
        for (const each of args) {
          const [variable = "", value] = split(each);
          if (value !== undefined) this.#variables.set(variable, value);
          if (name === "export") this.#exported.add(variable);
        }
        return 0;
      case "unset":
        for (const each of args) this.#variables.delete(each);
        return 0;
      case "umask":
        if (first === undefined) streams.out(`${this.#umask.toString(8).padStart(4, "0")}\n`);
        else this.#umask = parseInt(first, 8);
        return 0;
      case "cd": {
        const path = this.#path(first ?? "/root");
        if (this.files.find(path)?.kind !== "dir") {
          streams.err(`${this.#name}: 1: cd: can't cd to ${first ?? "/root"}\n`);
          return 2;
        }
        this.#folder = path;
        return 0;
      }
      case "pwd":
        streams.out(`${this.#folder}\n`);
        return 0;
      case "exec":
        if (args.length === 0) {
          this.#streams = streams;
          return 0;
        }
        throw new Exit(
          await this.#external(args, streams, { ...this.environment(), ...Object.fromEntries(sets) }),
        );
      case "eval":
        return this.#run(parseShell(args.join(" ")));
      case "read":
        return this.#read(args, streams, new Map(sets).get("IFS"));
      case "wait": {
        const jobs = first === undefined ? this.#jobs : this.#jobs.filter(({ pid }) => String(pid) === first);
        let status = first !== undefined && jobs.length === 0 ? 127 : 0;
        for (const job of jobs) {
          const code = await this.#process.orDeath(job.done);
          if (first !== undefined) status = code;
        }
        return status;
      }
      case "trap":
        // Only the trap on exit is modelled; others are accepted and never fire, as no signal reaches a script here.
        if (args.length > 1 && (args.includes("EXIT") || args.includes("0")))
          this.#trap = first === "-" ? undefined : first;
        return 0;
      case "command":
        if (first === "-v") return this.#whichOf(args.slice(1), streams);
        return first === undefined
          ? 0
          : ((await this.#builtin(args, streams, sets)) ?? this.#external(args, streams, this.environment()));
      case "type":
        return this.#whichOf(args, streams);
    }
    return undefined;
  }

  #whichOf(names: readonly string[], streams: Streams): number {
    let status = 0;
    for (const name of names) {
      const plain = name.slice(name.lastIndexOf("/") + 1);
      if (this.#functions.has(name) || special.has(name)) streams.out(`${name}\n`);
      else if (this.#host.commands.has(plain))
        streams.out(`${name.includes("/") ? name : this.#host.node.pathOf(name)}\n`);
      else status = 127;
    }
    return status;
  }

  #set(args: readonly string[]): number {
    let index = 0;
    for (; index < args.length; index += 1) {
      const arg = args[index] as string;
      if (arg === "--") {
        this.#positional = args.slice(index + 1);
        return 0;
      }
      if (!/^[-+][a-z]/.test(arg)) break;
      const on = arg.startsWith("-");
      if (arg.includes("e")) this.#errexit = on;
      if (arg.includes("u")) this.#nounset = on;
      if (arg.slice(1) === "o") index += 1;
    }
    if (index < args.length) this.#positional = args.slice(index);
    return 0;
  }

  async #read(args: readonly string[], streams: Streams, ownSeparators: string | undefined): Promise<number> {
    const raw = args[0] === "-r";
    const names = args.slice(raw ? 1 : 0);
    const line = await this.#process.orDeath(streams.stdin.line());
    const text = raw ? (line?.text ?? "") : (line?.text ?? "").replace(/\\(.)/g, "$1");
    const separators = ownSeparators ?? this.#variables.get("IFS") ?? " \t\n";
    const blanks = [...separators].filter((c) => " \t\n".includes(c)).join("");
    let rest = trim(text, blanks);
    for (const [index, name] of names.entries()) {
      const at = index === names.length - 1 ? -1 : [...rest].findIndex((c) => separators.includes(c));
      this.#variables.set(name, at < 0 ? rest : rest.slice(0, at));
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

  async #external(
    argv: readonly string[],
    streams: Streams,
    env: { readonly [name: string]: string },
  ): Promise<number> {
    this.#process.check();
    const [name = ""] = argv;
    const host = this.#host;
    const plain = name.slice(name.lastIndexOf("/") + 1);
    const found = host.commands.get(plain);
    const known = found !== undefined && (!name.includes("/") || host.node.hasProgram(name));
    if (!known) {
      const path = this.#path(name);
      const entry = name.includes("/") ? this.files.find(path) : undefined;
      if (entry?.kind === "file") {
        if ((entry.mode & 0o111) === 0) {
          streams.err(`${this.#name}: 1: ${name}: Permission denied\n`);
          return 126;
        }
        return this.#nested(streams, env, { name, positional: argv.slice(1) }).script(
          withoutHead(entry.bytes),
        );
      }
      streams.err(`${this.#name}: 1: ${name}: not found\n`);
      host.gap(name);
      return 127;
    }
    if (plain === "sh" || plain === "bash" || plain === "dash") return this.#sh(argv.slice(1), streams, env);
    const { node } = host;
    const context: Context = {
      node,
      argv: [plain, ...argv.slice(1)],
      stdin: streams.stdin,
      out: streams.out,
      err: streams.err,
      env,
      folder: this.#folder,
      umask: this.#umask,
      process: this.#process,
      sleep: (ms) => this.#process.sleep(node.heart.clock, ms),
      change: (act) => {
        this.#process.check();
        return node.heart.during(this.#process.cause, act);
      },
      run: (words, more) => this.#external(words, streams, { ...env, ...more }),
      path: (path) => this.#path(path),
    };
    try {
      return await found(context);
    } catch (error) {
      if (error instanceof NotModelled) {
        if (error.message !== "") streams.err(`${error.message}\n`);
        host.gap(plain);
        return 127;
      }
      if (!(error instanceof FileError)) throw error;
      streams.err(`${plain}: ${error.message}\n`);
      return 1;
    }
  }

  #nested(
    streams: Streams,
    env: { readonly [name: string]: string },
    start: { name: string; positional: readonly string[] },
  ): ShellRun {
    return new ShellRun(this.#host, this.#process, streams, {
      ...start,
      env,
      folder: this.#folder,
      umask: this.#umask,
    });
  }

  async #sh(
    args: readonly string[],
    streams: Streams,
    env: { readonly [name: string]: string },
  ): Promise<number> {
    let letters = "";
    let index = 0;
    for (; index < args.length && /^-[a-z]+$/.test(args[index] as string); index += 1)
      letters += (args[index] as string).slice(1);
    if (args[index] === "--") index += 1;
    let source: string;
    let name = "sh";
    if (letters.includes("c")) {
      const [script = "", zero, ...rest] = args.slice(index);
      const inner = this.#nested(streams, env, { name: zero ?? "sh", positional: rest });
      inner.options(letters);
      return inner.script(script);
    }
    const file = letters.includes("s") ? undefined : args[index];
    if (file === undefined) source = await this.#process.orDeath(streams.stdin.all());
    else {
      name = file;
      const path = this.#path(file);
      if (this.files.find(path)?.kind !== "file") {
        streams.err(`sh: 0: cannot open ${file}: No such file\n`);
        return 2;
      }
      source = this.files.read(path);
    }
    const inner = this.#nested(streams, env, {
      name,
      positional: args.slice(file === undefined ? index : index + 1),
    });
    inner.options(letters);
    return inner.script(withoutHead(source));
  }
}

const withoutHead = (source: string): string => source.replace(/^#![^\n]*/, "");

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

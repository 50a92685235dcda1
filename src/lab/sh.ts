/**
 * A small POSIX shell over a node of the lab (as dash, whose messages it gives). `sh-parse.ts` makes the tree,
 * `sh-expand.ts` the words; here they are carried out. Commands take time on the clock and die with their node.
 */
import { NotModelled } from "./command-words.ts";
import { FileError, normalise } from "./files.ts";
import { Input, Killed, type Context, type Process, type Sink } from "./process.ts";
import {
  Exit,
  Loop,
  Return,
  runBuiltin,
  special,
  type ShellHost,
  type ShellState,
  type Streams,
} from "./sh-builtins.ts";
import { expandPattern, expandText, expandWords, matches, type Variables } from "./sh-expand.ts";
import { parseShell, ShellSyntaxError } from "./sh-parse.ts";
import type { Command, Redirection } from "./sh-tree.ts";

export class ShellRun implements Variables {
  readonly host: ShellHost;
  readonly process: Process;
  readonly state: ShellState;
  #tested = 0;

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
    this.host = host;
    this.process = process;
    const env = Object.entries(start.env ?? {});
    this.state = {
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

  /** Runs a script to its end, as `sh -c` does. */
  async script(source: string): Promise<number> {
    let code: number;
    try {
      code = await this.run(parseShell(source));
    } catch (thrown) {
      if (thrown instanceof ShellSyntaxError) {
        this.state.streams.err(`${this.state.name}: 1: ${thrown.message}\n`);
        return 2;
      }
      if (!(thrown instanceof Exit)) throw thrown;
      code = thrown.code;
    }
    const trap = this.state.trap;
    this.state.trap = undefined;
    if (trap === undefined) return code;
    this.state.status = code;
    const after = await this.script(trap);
    return after === 0 ? code : after;
  }

  /** Runs one argv without any expansion. */
  async argv(argv: readonly string[]): Promise<number> {
    return this.external(argv, this.state.streams, this.environment());
  }

  options(letters: string): void {
    if (letters.includes("e")) this.state.errexit = true;
    if (letters.includes("u")) this.state.nounset = true;
  }

  environment(): { readonly [name: string]: string } {
    return Object.fromEntries(
      [...this.state.exported].map((name) => [name, this.state.variables.get(name) ?? ""]),
    );
  }

  // What the expansion of words asks of the shell.

  get files() {
    return this.host.node.files;
  }

  get folder(): string {
    return this.state.folder;
  }

  positional(): readonly string[] {
    return this.state.positional;
  }

  get(name: string): string | undefined {
    switch (name) {
      case "#":
        return String(this.state.positional.length);
      case "?":
        return String(this.state.status);
      case "$":
        return String(this.process.pid);
      case "!":
        return this.state.background === undefined ? undefined : String(this.state.background.pid);
      case "0":
        return this.state.name;
      case "-":
        return `${this.state.errexit ? "e" : ""}${this.state.nounset ? "u" : ""}`;
      case "PWD":
        return this.state.folder;
    }
    return /^[0-9]+$/.test(name) ? this.state.positional[Number(name) - 1] : this.state.variables.get(name);
  }

  set(name: string, value: string): void {
    this.state.variables.set(name, value);
  }

  unset(name: string): string {
    if (!this.state.nounset) return "";
    this.fail(`${name}: parameter not set`);
  }

  fail(message: string): never {
    this.state.streams.err(`${this.state.name}: 1: ${message}\n`);
    throw new Exit(2);
  }

  async substitute(body: Command): Promise<string> {
    let text = "";
    const inner = this.#clone({ ...this.state.streams, out: (more) => (text += more) });
    this.state.status = await inner.#subshell(body);
    return text.replace(/\n+$/, "");
  }

  // Carrying out.

  #clone(streams: Streams, process = this.process): ShellRun {
    const copy = new ShellRun(this.host, process, streams, {
      name: this.state.name,
      positional: this.state.positional,
      folder: this.state.folder,
      umask: this.state.umask,
    });
    for (const [name, value] of this.state.variables) copy.state.variables.set(name, value);
    for (const name of this.state.exported) copy.state.exported.add(name);
    for (const [name, body] of this.state.functions) copy.state.functions.set(name, body);
    copy.state.status = this.state.status;
    copy.state.background = this.state.background;
    copy.state.errexit = this.state.errexit;
    copy.state.nounset = this.state.nounset;
    copy.#tested = this.#tested;
    return copy;
  }

  async #subshell(body: Command): Promise<number> {
    try {
      return await this.run(body);
    } catch (thrown) {
      if (thrown instanceof Exit) return thrown.code;
      if (thrown instanceof Loop) return 0;
      throw thrown;
    }
  }

  /** Carries a tree out; its status is `$?` afterwards. */
  async run(command: Command): Promise<number> {
    this.process.check();
    const status = await this.#dispatch(command);
    this.state.status = status;
    return status;
  }

  /** `set -e` looks away from what is tested. */
  async #test(command: Command): Promise<number> {
    this.#tested += 1;
    try {
      return await this.run(command);
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
        return (left === 0) === (command.kind === "and") ? this.run(command.right) : left;
      }
      case "list": {
        let status = 0;
        for (const { command: item, background } of command.items)
          status = background ? this.#launch(item) : await this.run(item);
        return status;
      }
      case "if":
        for (const { test, body } of command.branches)
          if ((await this.#test(test)) === 0) return this.run(body);
        return command.other ? this.run(command.other) : 0;
      case "loop": {
        let status = 0;
        for (let turns = 0; ((await this.#test(command.test)) === 0) !== command.until; turns += 1) {
          // A loop that never sleeps would stop the world's time; a real one would only burn a processor.
          if (turns > 100_000) throw new Error("a loop in a script of the lab never ends");
          const next = await this.#loopBody(command.body);
          if (next === "break") break;
          status = this.state.status;
        }
        return status;
      }
      case "for": {
        const words = command.words ? await expandWords(this, command.words) : this.state.positional;
        for (const word of words) {
          this.state.variables.set(command.name, word);
          if ((await this.#loopBody(command.body)) === "break") break;
        }
        return words.length === 0 ? 0 : this.state.status;
      }
      case "case": {
        const subject = await expandText(this, command.subject);
        for (const { patterns, body } of command.branches)
          for (const pattern of patterns)
            if (matches(await expandPattern(this, pattern), subject)) return this.run(body);
        return 0;
      }
      case "function":
        this.state.functions.set(command.name, command.body);
        return 0;
      case "group":
        return this.run(command.body);
      case "subshell":
        return this.#checked(await this.#clone(this.state.streams).#subshell(command.body));
      case "redirected": {
        const streams = await this.#redirect(command.redirections, this.state.streams);
        if (streams === undefined) return this.#checked(1);
        const before = this.state.streams;
        this.state.streams = streams;
        try {
          return await this.run(command.body);
        } finally {
          this.state.streams = before;
        }
      }
    }
  }

  #checked(status: number): number {
    if (status !== 0 && this.state.errexit && this.#tested === 0) throw new Exit(status);
    return status;
  }

  async #loopBody(body: Command): Promise<"on" | "break"> {
    try {
      await this.run(body);
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
    let stdin = this.state.streams.stdin;
    let status = 0;
    for (const [index, stage] of command.stages.entries()) {
      let text = "";
      const last = index === command.stages.length - 1;
      const streams = {
        ...this.state.streams,
        stdin,
        out: last ? this.state.streams.out : (more: string) => void (text += more),
      };
      if (command.stages.length === 1) status = await this.#test(stage);
      else status = await this.#clone(streams).#subshell(stage);
      stdin = new Input(text);
    }
    if (command.negated) return status === 0 ? 1 : 0;
    return this.#checked(status);
  }

  #launch(command: Command): number {
    const node = this.host.node;
    const child = node.spawn("sh", this.process.cause, true);
    const streams = { ...this.state.streams, stdin: new Input("") };
    const copy = this.#clone(streams, child);
    let holdsOutput = true;
    const done = (async () => {
      const redirected =
        command.kind === "simple" || command.kind === "redirected"
          ? command.redirections.filter(({ operator }) => operator !== "<").map(({ fd }) => fd)
          : [];
      holdsOutput =
        !(redirected.includes(1) && redirected.includes(2)) &&
        (this.host.sessionOutputs.has(streams.out) || this.host.sessionOutputs.has(streams.err));
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
    if (holdsOutput) this.host.keepsOpen(done.then(() => undefined));
    this.state.background = { pid: child.pid, done };
    this.state.jobs.push(this.state.background);
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
                : fd === 2
                  ? { ...streams, err: () => undefined }
                  : { ...streams, third: undefined };
        else {
          const from = { 1: streams.out, 2: streams.err, 3: streams.third }[name];
          if (!from || fd === 0 || fd > 3) this.fail(`${name}: bad fd number`);
          streams =
            fd === 1
              ? { ...streams, out: from }
              : fd === 2
                ? { ...streams, err: from }
                : { ...streams, third: from };
        }
        continue;
      }
      const path = this.path(name);
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
        before.err(`${this.state.name}: 1: cannot ${doing} ${name}: ${why}\n`);
        return undefined;
      }
    }
    return streams;
  }

  #openForWriting(path: string, append: boolean): Sink {
    const { node } = this.host;
    const book = <T>(act: () => T) => node.heart.during(this.process.cause, act);
    const mode = 0o666 & ~this.state.umask;
    book(() => node.files.write(path, "", { append, mode }));
    return (text) => {
      this.process.check();
      book(() => node.files.write(path, text, { append: true, mode, quiet: true }));
    };
  }

  path(name: string): string {
    return normalise(name.startsWith("/") ? name : `${this.state.folder}/${name}`);
  }

  async #simple(command: Command & { kind: "simple" }): Promise<number> {
    const argv = await expandWords(this, command.words);
    const sets: [string, string][] = [];
    const before = this.state.status;
    if (argv.length === 0) this.state.status = 0;
    for (const { name, value } of command.sets) sets.push([name, await expandText(this, value)]);
    const streams = await this.#redirect(command.redirections, this.state.streams);
    const [name] = argv;
    if (streams === undefined) {
      if (name !== undefined && special.has(name)) throw new Exit(2);
      return name === undefined ? 1 : 2;
    }
    if (name === undefined) {
      for (const [variable, value] of sets) this.state.variables.set(variable, value);
      return this.state.status;
    }
    const body = this.state.functions.get(name);
    if (body) return this.#call(body, argv.slice(1), streams);
    this.state.status = before;
    const inside = await runBuiltin(this, argv, streams, sets);
    if (inside !== undefined) return inside;
    return this.external(argv, streams, { ...this.environment(), ...Object.fromEntries(sets) });
  }

  async #call(body: Command, args: readonly string[], streams: Streams): Promise<number> {
    const [outer, outerStreams] = [this.state.positional, this.state.streams];
    this.state.positional = args;
    this.state.streams = streams;
    try {
      return await this.run(body);
    } catch (thrown) {
      if (thrown instanceof Return) return thrown.code;
      throw thrown;
    } finally {
      this.state.positional = outer;
      this.state.streams = outerStreams;
    }
  }

  /** Runs a command that is none of the shell's own. */
  async external(
    argv: readonly string[],
    streams: Streams,
    env: { readonly [name: string]: string },
  ): Promise<number> {
    this.process.check();
    const [name = ""] = argv;
    const host = this.host;
    const plain = name.slice(name.lastIndexOf("/") + 1);
    const found = host.commands.get(plain);
    const known = found !== undefined && (!name.includes("/") || host.node.hasProgram(name));
    if (!known) {
      const path = this.path(name);
      const entry = name.includes("/") ? this.files.find(path) : undefined;
      if (entry?.kind === "file") {
        if ((entry.mode & 0o111) === 0) {
          streams.err(`${this.state.name}: 1: ${name}: Permission denied\n`);
          return 126;
        }
        return this.#nested(streams, env, { name, positional: argv.slice(1) }).script(
          withoutHead(entry.bytes),
        );
      }
      streams.err(`${this.state.name}: 1: ${name}: not found\n`);
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
      folder: this.state.folder,
      umask: this.state.umask,
      process: this.process,
      sleep: (ms) => this.process.sleep(node.heart.clock, ms),
      change: (act) => {
        this.process.check();
        return node.heart.during(this.process.cause, act);
      },
      run: (words, more) => this.external(words, streams, { ...env, ...more }),
      aside: (words) => this.#aside(words, streams, env),
      path: (path) => this.path(path),
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

  #aside(argv: readonly string[], streams: Streams, env: { readonly [name: string]: string }) {
    const { node } = this.host;
    const child = node.spawn(argv[0] ?? "", this.process.cause, this.process.detached);
    const done = this.#clone(streams, child)
      .external(argv, streams, env)
      .catch((thrown: unknown) => {
        if (!(thrown instanceof Killed)) throw thrown;
        return 143;
      })
      .finally(() => node.reap(child));
    return { done, kill: () => child.kill("TERM") };
  }

  #nested(
    streams: Streams,
    env: { readonly [name: string]: string },
    start: { name: string; positional: readonly string[] },
  ): ShellRun {
    return new ShellRun(this.host, this.process, streams, {
      ...start,
      env,
      folder: this.state.folder,
      umask: this.state.umask,
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
    if (file === undefined) source = await this.process.orDeath(streams.stdin.all());
    else {
      name = file;
      const path = this.path(file);
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

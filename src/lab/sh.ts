/**
 * A small POSIX shell over a node of the lab (as dash, whose messages it gives). `sh-parse.ts` makes the tree,
 * `sh-expand.ts` the words; here they are carried out, with `sh-redirect.ts` and `sh-external.ts`. Commands take time on the clock and die with their node.
 */
import { normalise } from "./files.ts";
import { Input, Killed, type Process } from "./process.ts";
import {
  Exit,
  Loop,
  newState,
  Return,
  runBuiltin,
  special,
  type ShellHost,
  type ShellStart,
  type ShellState,
  type Streams,
} from "./sh-builtins.ts";
import { expandPattern, expandText, expandWords, matches, type Variables } from "./sh-expand.ts";
import { external } from "./sh-external.ts";
import { parseShell, ShellSyntaxError } from "./sh-parse.ts";
import { redirect } from "./sh-redirect.ts";
import type { Command } from "./sh-tree.ts";

export class ShellRun implements Variables {
  readonly host: ShellHost;
  readonly process: Process;
  readonly state: ShellState;
  #tested = 0;

  constructor(host: ShellHost, process: Process, streams: Streams, start: ShellStart) {
    this.host = host;
    this.process = process;
    this.state = newState(streams, start);
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
    const inner = this.clone({ ...this.state.streams, out: (more) => (text += more) });
    this.state.status = await inner.#subshell(body);
    return text.replace(/\n+$/, "");
  }

  // Carrying out.

  /** A shell with a state of its own that begins as this one's. */
  clone(streams: Streams, process = this.process): ShellRun {
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

  /** A shell that knows only what was exported. */
  nested(
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
        return this.#checked(await this.clone(this.state.streams).#subshell(command.body));
      case "redirected": {
        const streams = await redirect(this, command.redirections, this.state.streams);
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
      else status = await this.clone(streams).#subshell(stage);
      stdin = new Input(text);
    }
    if (command.negated) return status === 0 ? 1 : 0;
    return this.#checked(status);
  }

  #launch(command: Command): number {
    const node = this.host.node;
    const child = node.spawn("sh", this.process.cause, true);
    const streams = { ...this.state.streams, stdin: new Input("") };
    const copy = this.clone(streams, child);
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

  path(name: string): string {
    return normalise(name.startsWith("/") ? name : `${this.state.folder}/${name}`);
  }

  async #simple(command: Command & { kind: "simple" }): Promise<number> {
    const argv = await expandWords(this, command.words);
    const sets: [string, string][] = [];
    const before = this.state.status;
    if (argv.length === 0) this.state.status = 0;
    for (const { name, value } of command.sets) sets.push([name, await expandText(this, value)]);
    const streams = await redirect(this, command.redirections, this.state.streams);
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

  /** Runs a command that is none of the shell's own. */
  external(
    argv: readonly string[],
    streams: Streams,
    env: { readonly [name: string]: string },
  ): Promise<number> {
    return external(this, argv, streams, env);
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
}

/**
 * A process on a node, and what a command sees of it. A process dies by a signal or with its node's boot; its
 * command learns of that at its next sleep, and its caller sees no exit status.
 */
import type { Clock } from "../ports/clock.ts";
import type { Received } from "./world.ts";
import type { LabNode } from "./node.ts";

/** Thrown through a command whose process is gone. */
export class Killed extends Error {
  readonly signalName: string | undefined;
  constructor(signalName: string | undefined) {
    super("killed");
    this.name = "Killed";
    this.signalName = signalName;
  }
}

export class Process {
  readonly pid: number;
  readonly name: string;
  readonly cause: Received | undefined;
  /** It belongs to no session: a job in the background, a unit's or timer's command. */
  readonly detached: boolean;
  readonly #abort = new AbortController();

  constructor(pid: number, name: string, cause: Received | undefined, detached: boolean) {
    this.detached = detached;
    this.pid = pid;
    this.name = name;
    this.cause = cause;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get alive(): boolean {
    return !this.#abort.signal.aborted;
  }

  /** Without a name of a signal: the machine under it is gone. */
  kill(signalName?: string): void {
    if (this.alive) this.#abort.abort(new Killed(signalName));
  }

  check(): void {
    if (!this.alive) throw this.#abort.signal.reason as Killed;
  }

  async sleep(clock: Clock, ms: number): Promise<void> {
    this.check();
    await clock.sleep(ms, this.signal);
    this.check();
  }

  /** Settles as `promise` does, unless the process dies first. */
  async orDeath<T>(promise: Promise<T>): Promise<T> {
    this.check();
    let stop: (() => void) | undefined;
    const death = new Promise<never>((_, reject) => {
      stop = () => reject(this.#abort.signal.reason as Killed);
      this.signal.addEventListener("abort", stop, { once: true });
    });
    try {
      return await Promise.race([promise, death]);
    } finally {
      if (stop) this.signal.removeEventListener("abort", stop);
    }
  }
}

/** Where a command reads from: byte strings, all at once or by the line. */
export class Input {
  #rest: string;
  readonly #source: AsyncIterator<string> | undefined;

  constructor(text: string, source?: AsyncIterable<string>) {
    this.#rest = text;
    this.#source = source?.[Symbol.asyncIterator]();
  }

  async all(): Promise<string> {
    while (await this.#more());
    const text = this.#rest;
    this.#rest = "";
    return text;
  }

  /** Without its newline; undefined at the end. `ended`: the last line had a newline. */
  async line(): Promise<{ readonly text: string; readonly ended: boolean } | undefined> {
    for (;;) {
      const at = this.#rest.indexOf("\n");
      if (at >= 0) {
        const text = this.#rest.slice(0, at);
        this.#rest = this.#rest.slice(at + 1);
        return { text, ended: true };
      }
      if (await this.#more()) continue;
      const text = this.#rest;
      this.#rest = "";
      return text === "" ? undefined : { text, ended: false };
    }
  }

  async #more(): Promise<boolean> {
    const next = await this.#source?.next();
    if (!next || next.done) return false;
    this.#rest += next.value;
    return true;
  }
}

export type Sink = (text: string) => void;

/** What a command is given. Texts are byte strings. */
export interface Context {
  readonly node: LabNode;
  readonly argv: readonly string[];
  readonly stdin: Input;
  readonly out: Sink;
  readonly err: Sink;
  readonly env: { readonly [name: string]: string };
  readonly folder: string;
  readonly umask: number;
  readonly process: Process;
  sleep(ms: number): Promise<void>;
  /** Runs the synchronous part that changes the world, booked to what was received. */
  change<T>(act: () => T): T;
  /** Runs another command in this one's place, with its own words and perhaps more environment. */
  run(argv: readonly string[], env?: { readonly [name: string]: string }): Promise<number>;
  /** Runs another command in a process of its own, which can be ended. */
  aside(argv: readonly string[]): { readonly done: Promise<number>; kill(): void };
  /** A path as the command means it. */
  path(path: string): string;
}

export type CommandFunction = (context: Context) => Promise<number> | number;

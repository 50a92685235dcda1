/**
 * One node's operating system: power and boots, processes, units and timers, sessions. What the cluster's software
 * does on it is `cluster.ts`; the node only tells it of boots and ends.
 */
import { createHash } from "node:crypto";

import { toByteString, bytesOf } from "./bytes.ts";
import { Journal } from "./commands-journal.ts";
import { Disks } from "./disks.ts";
import { inputOf, oneLine, unwrapped, type ExecIo, type ExecResult } from "./exec.ts";
import { Files } from "./files.ts";
import { Input, Killed, Process, type CommandFunction, type Sink } from "./process.ts";
import { staticArgv } from "./sh-parse.ts";
import { ShellRun } from "./sh.ts";
import { Systemd } from "./systemd.ts";
import { actLater, type Hardware, type Heart, type Received } from "./world.ts";

/** A span of time that the world draws from, milliseconds. */
export type Span = readonly [number, number];

export interface NodeTimes {
  readonly boot: Span;
  /** From the end of the last process to power off, or to the next boot. */
  readonly shutdown: Span;
  /** What each command takes at least. */
  readonly latencyMs: number;
  /** After how long a client notices that its path to the node was cut. */
  readonly keepaliveMs: number;
}

/** Who must know of a node's life. */
export interface NodeListener {
  /** The operating system is up; enabled units start. */
  booted(node: LabNode): void;
  /** An orderly end: resolves when what must be stopped is stopped. */
  goingDown(node: LabNode): Promise<void>;
  /** It is gone, orderly or not. */
  gone(node: LabNode, orderly: boolean): void;
}

export class LabNode {
  readonly name: string;
  readonly instance: string;
  readonly heart: Heart;
  readonly hardware: Hardware;
  readonly files: Files;
  readonly disks: Disks;
  readonly systemd: Systemd;
  readonly journal: Journal;
  readonly times: NodeTimes;
  readonly commands = new Map<string, CommandFunction>();
  readonly processes = new Map<number, Process>();
  /** What holds a mount point besides the cluster, as fuser would list it; set by a tester's hand. */
  readonly holders: { readonly mountPoint: string; readonly command: string; readonly pid: number }[] = [];
  /** What a web server on it answers, by address; set by a tester's hand. */
  readonly pages = new Map<string, { readonly status: number; readonly body: string }>();
  /** "down": its system has ended, power is still on. */
  state: "off" | "booting" | "up" | "stopping" | "down" = "off";
  bootId = "";
  bootedAt = 0;
  boots = 0;
  /** The operator's own way to it is cut; the node is well. */
  operatorCut = false;
  /** The next boots hang (a fault). */
  bootFails = false;
  readonly #listeners: NodeListener[] = [];
  readonly #sessions = new Set<{ readonly end: (result: ExecResult) => void; readonly row: Received }>();
  #pid = 600;
  #life = new AbortController();

  constructor(options: {
    name: string;
    instance: string;
    heart: Heart;
    hardware: Hardware;
    times: NodeTimes;
  }) {
    this.name = options.name;
    this.instance = options.instance;
    this.heart = options.heart;
    this.hardware = options.hardware;
    this.times = options.times;
    this.files = new Files(
      () => this.heart.clock.now(),
      (change, path) =>
        this.heart.effect(`${change} ${path} on ${this.name}`, { kind: change, node: this.name, path }),
    );
    this.disks = new Disks(this);
    this.systemd = new Systemd(this);
    this.journal = new Journal(this);
    this.files.plantComputed("/proc/sys/kernel/random/boot_id", () => `${this.bootId}\n`);
    this.files.plantComputed(
      "/proc/uptime",
      () => `${this.uptimeSeconds.toFixed(2)} ${this.uptimeSeconds.toFixed(2)}\n`,
    );
    this.files.plantComputed("/proc/mounts", () => this.disks.mountsText());
    this.files.plant("/etc/hostname", `${this.name}\n`);
    const machineId = createHash("sha256").update(`${this.name} ${this.instance}`).digest("hex").slice(0, 32);
    this.files.plant("/etc/machine-id", `${machineId}\n`);
  }

  listen(listener: NodeListener): void {
    this.#listeners.push(listener);
  }

  /** Whether an SSH server would answer an operator. */
  get reachable(): boolean {
    return !this.operatorCut && this.alive;
  }

  /** Whether its operating system runs. */
  get alive(): boolean {
    return this.state === "up" || this.state === "stopping";
  }

  get uptimeSeconds(): number {
    return (this.heart.clock.now() - this.bootedAt) / 1000;
  }

  draw(span: Span): number {
    return Math.round(span[0] + this.heart.random() * (span[1] - span[0]));
  }

  /** Runs `act` later, unless the node went down before. */
  later(ms: number, act: () => void): { cancel(): void } {
    return actLater(this.heart.clock, ms, this.#life.signal, act);
  }

  /** The signal that fires when this boot ends. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  // Power and boots.

  /** At the building of the world: up since a while. */
  startUp(): void {
    this.#life = new AbortController();
    this.#systemUp();
    this.bootedAt -= 20 * 86_400_000;
  }

  powerOn(): void {
    if (this.state !== "off") return;
    this.#boot();
  }

  /** `shutdown`, `reboot`, clpdown, or the cloud's ACPI call. Already on its way down: no change. */
  shutDown(kind: "off" | "reboot", cause?: Received): void {
    if (this.state !== "up" && this.state !== "booting") return;
    const before = this.state;
    this.state = "stopping";
    this.heart.effect(
      `${this.name} is shutting down`,
      { kind: "node-stopping", node: this.name, reboot: kind === "reboot" },
      cause,
    );
    const life = this.#life;
    const end = async () => {
      if (before === "up") for (const listener of this.#listeners) await listener.goingDown(this);
      // Sessions die at some moment of the shutdown; which one is luck.
      await this.heart.clock.sleep(this.heart.random() * 3000, life.signal);
      this.#end(true);
      await this.heart.clock.sleep(this.draw(this.times.shutdown), this.#life.signal);
      if (kind === "off") {
        this.state = "off";
        this.hardware.guestOff(this.instance);
      } else {
        this.hardware.guestRebooted(this.instance);
        this.#boot();
      }
    };
    void end().catch((error: unknown) => {
      if (!life.signal.aborted && !this.#life.signal.aborted) throw error;
    });
  }

  /** Everything stops at once. */
  losePower(): void {
    if (this.state === "off") return;
    this.#end(false);
    this.state = "off";
  }

  /** A reset button: power stays, the system is gone and boots again. */
  crash(): void {
    if (this.state === "off") return;
    this.#end(false);
    this.hardware.guestRebooted(this.instance);
    this.#boot();
  }

  /** The lab is closed: nothing goes on, nothing is told. */
  close(): void {
    this.#life.abort(new Killed(undefined));
    for (const process of this.processes.values()) process.kill();
    for (const session of [...this.#sessions]) session.end({});
  }

  #boot(): void {
    this.state = "booting";
    this.#life = new AbortController();
    if (this.bootFails) return;
    this.later(this.draw(this.times.boot), () => this.#systemUp());
  }

  #systemUp(): void {
    this.boots += 1;
    this.bootedAt = this.heart.clock.now();
    const hex = (length: number) =>
      Array.from({ length }, () => Math.floor(this.heart.random() * 16).toString(16)).join("");
    this.bootId = `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`;
    this.files.forgetVolatile();
    this.disks.deal();
    this.systemd.forgetTransient();
    this.state = "up";
    this.heart.effect(`${this.name} is up`, { kind: "node-up", node: this.name }, undefined);
    for (const listener of this.#listeners) listener.booted(this);
  }

  #end(orderly: boolean): void {
    const wasUp = this.alive;
    this.#life.abort(new Killed(undefined));
    this.#life = new AbortController();
    this.systemd.forgetTransient();
    for (const process of this.processes.values()) process.kill();
    this.processes.clear();
    for (const session of [...this.#sessions]) session.end({});
    this.disks.unmountAll();
    this.state = "down";
    if (wasUp)
      this.heart.effect(`${this.name} is down`, { kind: "node-down", node: this.name, orderly }, undefined);
    for (const listener of this.#listeners) listener.gone(this, orderly);
  }

  // Processes and sessions.

  spawn(name: string, cause: Received | undefined, detached: boolean): Process {
    this.#pid += 1 + Math.floor(this.heart.random() * 5);
    const process = new Process(this.#pid, name, cause, detached);
    this.processes.set(process.pid, process);
    return process;
  }

  reap(process: Process): void {
    this.processes.delete(process.pid);
  }

  pathOf(command: string): string {
    return /^clp/.test(command) ? `/usr/sbin/${command}` : `/usr/bin/${command}`;
  }

  /** Whether a command is found under that full path. */
  hasProgram(path: string): boolean {
    const folder = path.slice(0, path.lastIndexOf("/"));
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (/^clp/.test(name)) return ["/usr/sbin", "/opt/nec/clusterpro/bin"].includes(folder);
    return ["/bin", "/usr/bin", "/sbin", "/usr/sbin"].includes(folder);
  }

  /** The operator's path is cut: open sessions notice by keepalive, the commands go on. */
  cutOperator(): void {
    this.operatorCut = true;
    for (const session of [...this.#sessions])
      this.heart.after(this.times.keepaliveMs, () => {
        if (this.#sessions.has(session)) session.end({});
      });
  }

  /** One command line, as an SSH exec request brings it. */
  exec(commandLine: string, io: ExecIo): Promise<ExecResult> {
    // A client that sends an argv quotes it; a line that is no plain argv is what a shell makes of it.
    const argv = staticArgv(commandLine) ?? ["sh", "-c", commandLine];
    return this.runArgv(argv, io);
  }

  /** One argv: the one way in, for the wire and for the shell in process alike. */
  async runArgv(argv: readonly string[], io: ExecIo): Promise<ExecResult> {
    const inner = unwrapped(argv);
    const row = this.heart.receive({ to: "node", node: this.name, argv, line: oneLine(inner) });
    const fault = this.heart.takeFault({ to: "node", node: this.name, what: inner.join(" ") });
    const process = this.spawn(argv[0] ?? "", row, false);
    return new Promise((resolve, reject) => {
      const session = {
        row,
        end: (result: ExecResult) => {
          if (!this.#sessions.delete(session)) return;
          const answered = result.code !== undefined || result.signal !== undefined;
          row.reply = answered ? "sent" : fault === "lose-before" || fault === "lose-after" ? "lost" : "cut";
          resolve(result);
        },
      };
      this.#sessions.add(session);
      const served = this.#serve(argv, io, row, process, fault).finally(() => this.reap(process));
      void served.then(
        (result) => session.end(result),
        (error: unknown) => {
          if (error instanceof Killed)
            session.end(error.signalName === undefined ? {} : { signal: error.signalName });
          // An error of the lab itself: told to whoever waits, and loud where nobody does any more.
          else if (this.#sessions.delete(session))
            reject(error instanceof Error ? error : new Error(String(error)));
          else throw error;
        },
      );
    });
  }

  async #serve(
    argv: readonly string[],
    io: ExecIo,
    row: Received,
    process: Process,
    fault: ReturnType<Heart["takeFault"]>,
  ): Promise<ExecResult> {
    const nothing: Sink = () => undefined;
    const say: { out: Sink; err: Sink } = {
      out: (text) => io.stdout(bytesOf(text)),
      err: (text) => io.stderr(bytesOf(text)),
    };
    await process.sleep(this.heart.clock, this.times.latencyMs);
    switch (fault) {
      case "lose-before":
        return {};
      case "hang":
        return process.orDeath(new Promise<ExecResult>(() => undefined));
      case "fail-before":
        say.err("Internal error. Check if memory or OS resources are sufficient.\n");
        return { code: 1 };
      case "nonsense":
        say.out("?-?-? 0x1f\n\u0001garbled\n");
        return { code: 0 };
      case "fail-after":
        await this.#perform(argv, io, row, process, { out: nothing, err: nothing });
        say.err("Internal error. Check if memory or OS resources are sufficient.\n");
        return { code: 1 };
      case "lose-after":
        await this.#perform(argv, io, row, process, { out: nothing, err: nothing });
        return {};
      case "hang-after":
        await this.#perform(argv, io, row, process, { out: nothing, err: nothing });
        return process.orDeath(new Promise<ExecResult>(() => undefined));
      case "half-output": {
        let text = "";
        await this.#perform(argv, io, row, process, { out: (more) => void (text += more), err: nothing });
        say.out(text.slice(0, Math.floor(text.length / 2)));
        return {};
      }
      case undefined:
      case "deny":
      case "throttle":
      case "unavailable":
      case "no-capacity":
        // The last four are a cloud's: a node has no such answer.
        return { code: await this.#perform(argv, io, row, process, say) };
    }
  }

  async #perform(
    argv: readonly string[],
    io: ExecIo,
    row: Received,
    process: Process,
    say: { readonly out: Sink; readonly err: Sink },
  ): Promise<number> {
    const open: Promise<void>[] = [];
    let gap = false;
    const shell = new ShellRun(
      {
        node: this,
        commands: this.commands,
        gap: () => (gap = true),
        keepsOpen: (done) => open.push(done),
        sessionOutputs: new Set([say.out, say.err]),
      },
      process,
      { stdin: inputOf(io.stdin), ...say },
      { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", USER: "root", LANG: "ja_JP.UTF-8" } },
    );
    try {
      const code = await shell.argv(argv.map(toByteString));
      for (const done of open) await process.orDeath(done);
      return code;
    } finally {
      if (gap) row.class = "gap";
      this.reap(process);
    }
  }

  /** Runs something that nobody waits for: a timer's command, a unit's. */
  async runDetached(
    argv: readonly string[],
    cause: Received | undefined,
    name: string,
  ): Promise<number | undefined> {
    const process = this.spawn(name, cause, true);
    const nothing: Sink = () => undefined;
    let gap = false;
    const shell = new ShellRun(
      {
        node: this,
        commands: this.commands,
        gap: () => (gap = true),
        keepsOpen: () => undefined,
        sessionOutputs: new Set(),
      },
      process,
      { stdin: new Input(""), out: nothing, err: nothing },
      { env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "ja_JP.UTF-8" }, folder: "/" },
    );
    try {
      return await process.orDeath(shell.argv(argv));
    } catch (error) {
      if (error instanceof Killed) return undefined;
      throw error;
    } finally {
      if (gap && cause) cause.class = "gap";
      this.reap(process);
    }
  }
}

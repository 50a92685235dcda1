/**
 * Whole runs in one process: the real engine, layers and drivers, the lab behind them, a virtual clock. A runner can die
 * at any row: from then on nothing of it moves any more, as with kill -9.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

import { loadRunbook } from "../../src/cli/load.ts";
import { readSource, type Source } from "../../src/cli/source.ts";
import { openRunsOn } from "../../src/cli/runs-seen.ts";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { openClusterpro } from "../../src/drivers/clusterpro/driver.ts";
import { openLinux } from "../../src/drivers/linux/driver.ts";
import { resumeRun, startRun } from "../../src/engine/run.ts";
import type { Question, Reply } from "../../src/engine/ask.ts";
import type { Ended, Walk } from "../../src/engine/walk.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { connectTo, type Drivers } from "../../src/layers/connect.ts";
import { buildLab, type Lab, type LabOptions } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { ec2Handler } from "../../src/lab/ec2.ts";
import { rules, rulesWithoutRollback, watch, type Breach } from "../../src/lab/invariants.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Shell } from "../../src/ports/shell.ts";
import type { JournalWriter, Store } from "../../src/ports/store.ts";
import type {
  CommandCheck,
  DrillCheck,
  DrillSetting,
  StagingSetting,
} from "../../src/runbook/drill-setting.ts";
import type { HookSetting } from "../../src/runbook/hook-setting.ts";
import { readParams } from "../../src/runbook/list.ts";
import { makePlan, type Plan } from "../../src/runbook/plan.ts";
import type { Params, Runbook } from "../../src/runbook/step.ts";
import { realDisk } from "../../src/store/journal.ts";
import { openStore } from "../../src/store/store.ts";

export interface SimulationOptions extends Omit<LabOptions, "clock"> {
  readonly cluster?: string;
  readonly runbook?: string | Runbook;
  /** As in the inventory. */
  readonly acceptBareNvme?: boolean;
  /** What of the inventory's `drill` is other than: the lab's scratch node, no target, one check that holds. */
  readonly drill?: Partial<DrillSetting>;
  /** What of the staging cluster's `staging` is other than: of "prod", isolated, one check that holds. */
  readonly staging?: Partial<StagingSetting>;
  /** The inventory's `restore.checks`; none if not said. */
  readonly checks?: readonly DrillCheck[];
  /** The inventory's `hooks`; none if not said. */
  readonly hooks?: readonly HookSetting[];
}

/** One process that runs `runbook`: it has a clock, a store and drivers of its own, and all stop when it dies. */
export interface Runner {
  readonly drivers: Drivers;
  readonly store: Store;
  readonly clock: Clock;
  plan(params?: Params): Promise<Plan>;
  start(plan: Plan, more?: More): Promise<Walk>;
  resume(run: string, more?: More): Promise<Walk>;
  /** Plans and runs to the end. */
  run(params?: Params, more?: More): Promise<{ ended: Ended; walk: Walk; plan: Plan }>;
  die(): void;
  alive(): boolean;
  /** The machine stands still for so long, as in suspend; everything of it goes on afterwards where it was. */
  freeze(ms: number): void;
  /** Its clock is set, forth or back; the world's is not. */
  setClock(byMs: number): void;
  /** Its disk takes nothing more, until it is given room again. */
  fillDisk(code: "ENOSPC" | "EIO"): void;
  mendDisk(): void;
}

export interface More {
  readonly ask?: (question: Question, signal: AbortSignal) => Promise<Reply>;
  readonly onFailure?: "give-back" | "hold";
  readonly onLine?: (line: Line) => void;
  /** Dies before (or after) the row with this number is on disk. */
  readonly dieAtRow?: { readonly row: number; readonly when: "before" | "after" };
}

export interface Book {
  readonly name: string;
  readonly source: Source;
  readonly runbook: Runbook;
}

export interface Simulation {
  readonly lab: Lab;
  readonly clock: VirtualClock;
  readonly breaches: Breach[];
  readonly runbook: Runbook;
  /** Of the simulation's own runbook, or of another one. */
  runner(book?: Book): Runner;
  /** The runbook in this file. */
  open(file: string): Promise<Book>;
  /** Received by the lab and classed by it as a write, one line each. */
  writes(): readonly string[];
  gaps(): readonly string[];
  /** What was kept of all runs is lost, as with the machine. */
  loseStore(): void;
  close(): void;
}

/** A check of the file that the lab puts on every mirror. */
export function versionIs(version: string): CommandCheck {
  return {
    kind: "command",
    name: "the version",
    on: "md1",
    user: "nobody",
    seconds: 60,
    argv: ["cat", "app/version"],
    stdout: version,
    matches: null,
  };
}

// A disk's own time is no part of a simulation: where the system has a file system in memory, runs are kept there.
const memory = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
const forever = new Promise<never>(() => undefined);
let pids = 1000;

/** Who wants to hear of messages, by run. */
type Listeners = Map<string, Set<() => void>>;

export async function openSimulation(options: SimulationOptions = {}): Promise<Simulation> {
  const clock = new VirtualClock();
  const lab = buildLab({ ...options, clock });
  const breaches: Breach[] = [];
  watch(lab, (breach) => breaches.push(breach), rules);
  const unlessTakenBack = watch(lab, (breach) => breaches.push(breach), rulesWithoutRollback);
  const folder = mkdtempSync(join(memory, "runbook-sim-"));
  const living = new Set<number>();
  const listeners: Listeners = new Map();
  const name = options.cluster ?? "prod";
  const runbookFile = typeof options.runbook === "string" ? options.runbook : "runbooks/backup-standby.ts";
  const release = clock.hold("loading the runbook");
  const open = async (file: string): Promise<Book> => {
    const source = readSource(file);
    return { name: basename(file, ".ts"), source, runbook: await loadOnce(source) };
  };
  const given = options.runbook;
  const main = await open(runbookFile);
  const mainBook = typeof given === "object" ? { ...main, runbook: given } : main;
  const { runbook } = mainBook;
  // The SDK loads in real time; that is no part of anybody's night.
  await import("@aws-sdk/client-ec2");
  await openAws({
    region: "ap-northeast-1",
    requestHandler: ec2Handler(lab.cloud),
    credentials: labKey,
    clock,
  });
  release();

  const runner = ({ runbook, source, name: runbookName }: Book = mainBook): Runner => {
    // A person's own word to put old volumes back: from here on that is no breach.
    if (runbookName === "rollback") unlessTakenBack();
    const pid = (pids += 1);
    living.add(pid);
    const dead = { yes: false };
    let frozenUntil = 0;
    let setBy = 0;
    let diskSays: "ENOSPC" | "EIO" | undefined;
    /** Whatever this machine waits for comes to it only while it is alive and awake. */
    const mortal = async <T>(ask: () => Promise<T>): Promise<T> => {
      if (dead.yes) return forever;
      try {
        return await ask();
      } finally {
        while (clock.now() < frozenUntil) await clock.sleep(frozenUntil - clock.now());
        if (dead.yes) await forever;
      }
    };
    const own: Clock = {
      now: () => clock.now() + setBy,
      sleep: (ms, signal) => mortal(() => clock.sleep(ms, signal)),
    };
    const shell: Shell = {
      ...lab.shell,
      name: "lab",
      run: (node, argv, how) => mortal(() => lab.shell.run(node, argv, how)),
      close: async () => undefined,
    };
    const handler = ec2Handler(lab.cloud);
    const mortalHandler = {
      ...handler,
      handle: (...args: Parameters<typeof handler.handle>) => mortal(() => handler.handle(...args)),
    };
    const store = mortalStore(
      openStore(folder, {
        machine: {
          self: {
            host: "machine",
            machineId: "id",
            bootId: "boot",
            pidNamespace: "ns",
            pid,
            started: `${pid}`,
            user: "operator",
          },
          uid: process.getuid?.(),
          startOf: (other) => (living.has(other) ? `${other}` : undefined),
        },
        reserveBytes: 4096,
        // Real syncs belong to the store's own tests; here thousands of rows are written.
        disk: {
          write: (fd, bytes) => {
            if (diskSays) throw Object.assign(new Error(`${diskSays}: write`), { code: diskSays });
            return realDisk.write(fd, bytes);
          },
          sync: (_fd, done) => queueMicrotask(() => done(null)),
        },
      }),
      clock,
      dead,
      listeners,
    );
    const die = () => {
      dead.yes = true;
      living.delete(pid);
    };
    const drivers = async (): Promise<Drivers> => ({
      cluster: openClusterpro({ shell, clock: own }),
      nodes: openLinux({ shell, clock: own }),
      ...(name !== "prod" && {
        production: {
          cluster: openClusterpro({ shell, clock: own }),
          nodes: openLinux({ shell, clock: own }),
        },
      }),
      cloud: await openAws({
        region: "ap-northeast-1",
        requestHandler: mortalHandler,
        credentials: labKey,
        clock: own,
      }),
    });
    let opened: Drivers | undefined;
    const ready = async () => (opened ??= await clock.held("opening drivers", drivers));
    const setting = (params: Params) => {
      const cluster = lab.cluster(name);
      return {
        clusterName: name,
        members: cluster.names,
        instances: instancesOf(lab, name),
        params: readParams(runbook, params),
        settings: {
          deadManMinutes: 15,
          leaseMinutes: 15,
          copyHours: 24,
          acceptBareNvme: options.acceptBareNvme ?? false,
          ...(options.checks && { checks: options.checks }),
          ...(options.hooks && { hooks: options.hooks }),
          ...(name !== "prod" && {
            staging: {
              of: "prod",
              production: instancesOf(lab, "prod"),
              isolated: true,
              shares: [],
              targetMinutes: null,
              checks: [versionIs("1")],
              ...options.staging,
            },
          }),
          drill: {
            node: lab.scratch.name,
            instance: lab.scratch.instance,
            production: instancesOf(lab, name),
            targetMinutes: null,
            checks: [versionIs("1")],
            ...options.drill,
          },
        },
        house: {
          findOpenRuns: () => openRunsOn(store, name),
          freeBytes: () => store.freeBytes(),
          findHolds: () => store.findHolds(),
        },
        clock: own,
      };
    };
    const common = async (more: More) => ({
      store: more.dieAtRow ? dyingStore(store, more.dieAtRow, die) : store,
      connect: connectTo(await ready(), own),
      owner: `operator@machine pid ${pid}`,
      clock: own,
      mask: (text: string) => text,
      onFailure: more.onFailure ?? ("give-back" as const),
      ...(more.ask && { ask: more.ask }),
      ...(more.onLine && { onLine: more.onLine }),
    });
    const self: Runner = {
      get drivers() {
        if (!opened) throw new Error("plan or start first");
        return opened;
      },
      store,
      clock: own,
      plan: async (params = {}) =>
        makePlan({
          runbook,
          name: runbookName,
          source,
          tool: "test",
          connect: connectTo(await ready(), own),
          setting: setting(params),
        }),
      start: async (plan, more = {}) =>
        startRun({ ...(await common(more)), plan, runbook, setting: setting(plan.params) }),
      resume: async (run, more = {}) => {
        const { rows } = await store.read(run);
        const { plan } = rows[0]?.body as unknown as { plan: Plan };
        return resumeRun({ ...(await common(more)), run, runbook, setting: setting(plan.params) });
      },
      run: async (params = {}, more = {}) => {
        const plan = await self.plan(params);
        const walk = await self.start(plan, more);
        const ended = await walk.go();
        await walk.close();
        return { ended, walk, plan };
      },
      die,
      alive: () => !dead.yes,
      freeze: (ms) => (frozenUntil = clock.now() + ms),
      setClock: (byMs) => (setBy += byMs),
      fillDisk: (code) => (diskSays = code),
      mendDisk: () => (diskSays = undefined),
    };
    return self;
  };

  return {
    lab,
    clock,
    breaches,
    runbook,
    runner,
    open: (file) => clock.held("loading a runbook", () => open(file)),
    writes: () => lab.heart.received.filter((row) => row.class === "write").map((row) => row.line),
    gaps: () => lab.heart.received.filter((row) => row.class === "gap").map((row) => row.line),
    loseStore: () => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    },
    close: () => {
      lab.close();
      clock.drive = false;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function instancesOf(lab: Lab, cluster: string): { readonly [node: string]: string } {
  return Object.fromEntries(lab.cluster(cluster).names.map((node) => [node, lab.node(node).instance]));
}

// To make JavaScript of a runbook takes a third of a second, and most tests play the same.
const loaded = new Map<string, Promise<Runbook>>();
function loadOnce(source: Source): Promise<Runbook> {
  const known = loaded.get(source.sha256) ?? loadRunbook(source);
  loaded.set(source.sha256, known);
  return known;
}

const labKey = { accessKeyId: "LABACCESSKEY", secretAccessKey: "lab" };

/** A store whose every call stands still in virtual time, and never answers a dead runner. */
function mortalStore(store: Store, clock: VirtualClock, dead: { yes: boolean }, listeners: Listeners): Store {
  const mortal = <A extends unknown[], T>(call: (...args: A) => Promise<T>) => {
    return async (...args: A): Promise<T> => {
      if (dead.yes) return forever;
      const answer = await clock.held("the store", () => call(...args));
      return dead.yes ? forever : answer;
    };
  };
  const writer = (journal: JournalWriter): JournalWriter => ({
    run: journal.run,
    fence: journal.fence,
    rows: () => journal.rows(),
    append: mortal((kind, body, at) => journal.append(kind, body, at)),
    assertHeld: () => journal.assertHeld(),
    releaseReserve: () => journal.releaseReserve(),
    close: mortal(() => journal.close()),
  });
  return {
    create: mortal(async (first, at, run) => writer(await store.create(first, at, run))),
    newRunId: () => store.newRunId(),
    takeOver: mortal(async (run, at) => writer(await store.takeOver(run, at))),
    read: mortal((run) => store.read(run)),
    list: mortal(() => store.list()),
    takeLease: mortal((cluster, holder, at) => store.takeLease(cluster, holder, at)),
    renewLease: mortal((cluster, holder) => store.renewLease(cluster, holder)),
    releaseLease: mortal((cluster, run) => store.releaseLease(cluster, run)),
    findLease: mortal((cluster) => store.findLease(cluster)),
    findPoints: mortal((cluster) => store.findPoints(cluster)),
    keepPoints: mortal((cluster, view) => store.keepPoints(cluster, view)),
    send: mortal(async (run, message) => {
      await store.send(run, message);
      // As soon as it lies there: no real time passes here.
      for (const heard of listeners.get(run) ?? []) heard();
    }),
    receive: mortal((run) => store.receive(run)),
    listen: (run, heard) => {
      const mine = () => {
        if (!dead.yes) heard();
      };
      const all = listeners.get(run) ?? new Set();
      listeners.set(run, all.add(mine));
      return () => void all.delete(mine);
    },
    placeHold: mortal((hold) => store.placeHold(hold)),
    endHold: mortal((end) => store.endHold(end)),
    findHolds: mortal(() => store.findHolds()),
    freeBytes: mortal(() => store.freeBytes()),
  };
}

/** Dies at a row: counted over appends, whichever walk makes them. */
function dyingStore(
  store: Store,
  at: { readonly row: number; readonly when: "before" | "after" },
  die: () => void,
): Store {
  let count = 0;
  const dying = (journal: JournalWriter): JournalWriter => ({
    ...journal,
    append: async (...args) => {
      count += 1;
      if (count < at.row) return journal.append(...args);
      if (count > at.row) return forever;
      if (at.when === "after") await journal.append(...args);
      die();
      return forever;
    },
  });
  return {
    ...store,
    create: async (...args) => dying(await store.create(...args)),
    takeOver: async (...args) => dying(await store.takeOver(...args)),
  };
}

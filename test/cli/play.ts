/** The built command line as a child process, in a folder of its own, against a lab of its own in the test's process. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { pacedClock } from "../../src/drivers/clock/paced.ts";
import type { LabOptions } from "../../src/lab/build.ts";
import { serveLab, type ServedLab } from "../../src/lab/serve.ts";
import type { Received } from "../../src/lab/world.ts";
import { thisMachine } from "../../src/store/machine.ts";

export const product = fileURLToPath(new URL("../../bin/runbook.js", import.meta.url));

export interface Played {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

export interface PlayOptions {
  readonly env?: { readonly [name: string]: string | undefined };
  /** Below the stage's own folder. */
  readonly cwd?: string;
  readonly uid?: number;
}

export interface Playing {
  readonly child: ChildProcess;
  readonly ended: Promise<Played>;
  /** Everything on standard output so far. */
  out(): string;
  /** Resolves when the output holds this; rejects if the child ends before. */
  until(text: string | RegExp): Promise<void>;
}

export interface Stage extends ServedLab {
  readonly home: string;
  /** Where the runs on this lab are kept. */
  readonly state: string;
  /** Where commands are given: an empty folder of this stage. */
  readonly cwd: string;
  play(args: readonly string[], options?: PlayOptions): Promise<Played>;
  start(args: readonly string[], options?: PlayOptions): Playing;
  /** A file in the working folder, or below it. */
  put(name: string, text: string): string;
  /** An inventory of a real user: the lab's nodes by address and port, its cloud by its endpoint. */
  inventory(change?: (text: string) => string): string;
  /** What the lab received and classed as a write, or did not know. */
  touched(): readonly string[];
  received(): readonly Received[];
  end(): Promise<void>;
}

export async function openStage(
  options: Omit<LabOptions, "clock"> & { readonly pace?: number; readonly leadSeconds?: number } = {},
): Promise<Stage> {
  const { pace = 400, leadSeconds = 0, ...lab } = options;
  const root = mkdtempSync(join(tmpdir(), "runbook-cli-"));
  const home = join(root, "home");
  const cwd = join(root, "work");
  for (const folder of [home, cwd, join(root, "user")]) mkdirSync(folder, { mode: 0o700 });
  mkdirSync(join(home, "lab"), { mode: 0o700 });
  const now = Date.now();
  const paced = { pace, originReal: now, originWorld: now + leadSeconds * 1000 };
  const served = await serveLab({
    folder: join(home, "lab"),
    clock: pacedClock(paced),
    pace: paced,
    startTime: thisMachine().startOf(process.pid) ?? "",
    options: { copySeconds: 60, ...lab },
  });
  const children = new Set<ChildProcess>();
  const environment = {
    PATH: process.env["PATH"],
    HOME: join(root, "user"),
    TZ: "UTC",
    RUNBOOK_HOME: home,
    AWS_ACCESS_KEY_ID: served.info.ec2.accessKeyId,
    AWS_SECRET_ACCESS_KEY: "anything",
    AWS_EC2_METADATA_DISABLED: "true",
  };

  const start = (args: readonly string[], how: PlayOptions = {}): Playing => {
    const child = spawn(process.execPath, [product, ...args], {
      cwd: how.cwd === undefined ? cwd : join(cwd, how.cwd),
      env: { ...environment, ...how.env },
      stdio: ["ignore", "pipe", "pipe"],
      ...(how.uid !== undefined && { uid: how.uid, gid: how.uid }),
    });
    children.add(child);
    let out = "";
    let err = "";
    let exit: Played | undefined;
    const waiting = new Set<() => void>();
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      out += chunk;
      for (const look of waiting) look();
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (err += chunk));
    const ended = new Promise<Played>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => {
        children.delete(child);
        exit = { code, signal, out, err };
        resolve(exit);
        for (const look of waiting) look();
      });
    });
    return {
      child,
      ended,
      out: () => out,
      until: (text) =>
        new Promise((resolve, reject) => {
          const look = () => {
            const seen = typeof text === "string" ? out.includes(text) : text.test(out);
            if (!seen && exit === undefined) return;
            waiting.delete(look);
            if (seen) resolve();
            else reject(new Error(`it ended without ${String(text)}: ${out.slice(-2000)}${err}`));
          };
          waiting.add(look);
          look();
        }),
    };
  };

  const put = (name: string, text: string): string => {
    const path = join(cwd, name);
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };

  return {
    ...served,
    home,
    state: join(home, "lab", `state-${now}`),
    cwd,
    put,
    start,
    play: (args, how) => start(args, how).ended,
    inventory: (change = (text) => text) => put("runbook.yaml", change(inventoryOf(served))),
    touched: () =>
      served.lab.heart.received.flatMap((row) =>
        row.class === "read" ? [] : [`${row.class}: ${row.node ?? row.operation ?? ""} ${row.line}`],
      ),
    received: () => served.lab.heart.received,
    end: async () => {
      for (const child of children) child.kill("SIGKILL");
      await served.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function inventoryOf({ info }: ServedLab): string {
  const clusters = Object.entries(info.clusters).map(([name, { nodes }]) =>
    [
      `  ${name}:`,
      "    manager: clusterpro",
      `    cloud: { driver: aws, region: ${info.ec2.region}, endpoint: "${info.ec2.url}" }`,
      "    nodes:",
      ...Object.entries(nodes).flatMap(([node, entry]) => [
        `      ${node}:`,
        `        address: ${entry.address}`,
        `        port: ${entry.port}`,
        `        user: ${entry.user}`,
        `        identity: ${entry.identity}`,
        `        knownHosts: ${entry.knownHosts}`,
        `        instance: ${entry.instance}`,
      ]),
    ].join("\n"),
  );
  return `default: prod\nclusters:\n${clusters.join("\n")}\n`;
}

/** What differs from one play to the next is named instead: folders, ports, ids of runs, fingerprints, times. */
export function masked(stage: Stage, text: string): string {
  const root = join(stage.home, "..");
  return (
    text
      .replaceAll(stage.home, "HOME")
      .replaceAll(stage.cwd, "WORK")
      .replaceAll(join(root, "user"), "USER")
      .replaceAll(root, "ROOT")
      .replace(/(127\.\d+\.\d+\.\d+)(\]?:|, port | -p )\d+/g, "$1$2PORT")
      .replace(/(@[\w.-]+):\d{4,5}\)/g, "$1:PORT)")
      .replace(/-p \d{4,5} /g, "-p PORT ")
      .replace(/\bstate-\d+/g, "STATE")
      .replace(/SHA256:[A-Za-z0-9+/=]+/g, "SHA256:FINGERPRINT")
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "TIME")
      .replace(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "TIME")
      .replace(/^\d\d:\d\d:\d\d /gm, "CLOCK ")
      .replace(/[\w-]+@[\w.-]+ pid \d+/g, "OWNER")
      .replace(/\bpid \d+/g, "pid N")
      // The letters of an id leave out i, l, o and u, which hardly a word of eight letters does.
      .replace(/\b(run |resume |undo |show |status |runs\/)[a-hjkmnp-tv-z][0-9a-hjkmnp-tv-z]{7}\b/g, "$1RUN")
      .replace(/\(for another \d+ s\)|\(expired -?\d+ s ago\)/g, "(FOR SO LONG)")
      .replace(/(connect|read) ECONNRESET( 127\S*)?/g, "ECONNRESET")
      .replace(/\b[0-9a-f]{64}\b/g, "DIGEST")
  );
}

/** At most so many at once: the machine that tests run on is small. */
export async function inTurns<T, R>(
  items: readonly T[],
  atOnce: number,
  act: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = (next += 1) - 1;
      results[index] = await act(items[index] as T);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

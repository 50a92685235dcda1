/**
 * The lab of a home: found by its lab.json, started in the background where there is none. It is a process of its own,
 * so that it outlives whatever started it; two who start one at the same time get the same.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { sleepReal } from "../drivers/clock/system.ts";
import { Failure } from "../errors.ts";
import { labClient, type LabInfo } from "../lab/client.ts";
import { thisMachine } from "../store/machine.ts";
import { productFolder } from "./product.ts";

export interface LabStartOptions {
  readonly pace?: number;
  readonly mirrors?: number;
  readonly xen?: boolean;
  readonly lvm?: boolean;
  readonly snapshotSeconds?: number;
  readonly listLagSeconds?: number;
  readonly loseReplies?: number;
  readonly copySeconds?: number;
  readonly seed?: number;
}

export const defaultPace = 60;

/** The words of node's command line that begin the product; a test gives others. */
export const ownEntry: readonly string[] = [join(productFolder, "bin", "runbook.js")];

const startLimitMs = 30_000;
const lookMs = 40;

export function labFolder(home: string): string {
  return join(home, "lab");
}

/** The lab that is up; undefined if there is none, or only what a dead one left behind. */
export async function findLab(home: string): Promise<LabInfo | undefined> {
  const info = readInfo(labFolder(home));
  if (info === undefined) return undefined;
  const started = thisMachine().startOf(info.pid);
  if (started !== undefined && info.startTime !== "") return started === info.startTime ? info : undefined;
  // Without /proc only the lab itself can say that it lives; a token that fits proves that it is the one.
  try {
    return (await labClient(info).ping()).pid === info.pid ? info : undefined;
  } catch (thrown) {
    // Nobody answers there, or somebody who is not our lab.
    if (!(thrown instanceof Failure)) throw thrown;
    return undefined;
  }
}

export async function ensureLab(
  home: string,
  options: LabStartOptions = {},
  entry: readonly string[] = ownEntry,
): Promise<LabInfo> {
  const folder = labFolder(home);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + startLimitMs;
  for (;;) {
    const found = await findLab(home);
    if (found) return found;
    if (takeStartLock(folder)) {
      // It may have come up between the look and the lock.
      const late = await findLab(home);
      if (late) {
        dropStartLock(folder);
        return late;
      }
      return await start(home, options, entry, deadline);
    }
    if (performance.now() > deadline)
      throw new Failure("unavailable", "another process starts the lab, and it does not come up", {
        hint: `look at ${join(folder, "serve.log")}, then try again`,
      });
    await sleepReal(lookMs);
  }
}

/** Ends the lab; false if none was up. */
export async function stopLab(home: string): Promise<boolean> {
  const info = await findLab(home);
  if (!info) return false;
  await labClient(info)
    .stop()
    .catch((error: unknown) => {
      // It hangs, or it has gone meanwhile; its start time proves that the process is the lab.
      if (thisMachine().startOf(info.pid) !== info.startTime) return;
      if (info.startTime === "") throw error;
      process.kill(info.pid, "SIGKILL");
    });
  const deadline = performance.now() + 10_000;
  while (await findLab(home)) {
    if (performance.now() > deadline)
      throw new Failure("unavailable", `the lab (pid ${info.pid}) does not end`, {
        hint: `end it with \`kill -9 ${info.pid}\``,
      });
    await sleepReal(lookMs);
  }
  return true;
}

async function start(
  home: string,
  options: LabStartOptions,
  entry: readonly string[],
  deadline: number,
): Promise<LabInfo> {
  const folder = labFolder(home);
  const logPath = join(folder, "serve.log");
  rmSync(join(folder, "lab.json"), { force: true });
  const log = openSync(logPath, "w", 0o600);
  let exit: number | string | undefined;
  try {
    const child = spawn(process.execPath, [...entry, "lab", "serve", ...argsOf(options)], {
      cwd: folder,
      detached: true,
      stdio: ["ignore", log, log],
      // It needs nothing else of ours, and above all no secrets.
      env: environment(home),
    });
    child.once("exit", (code, signal) => (exit = code ?? signal ?? "unknown"));
    child.once("error", (error) => (exit = error.message));
    child.unref();
    if (child.pid !== undefined) handStartLock(folder, child.pid);
    for (;;) {
      const info = await findLab(home);
      if (info && (await labClient(info).ping()).pid === info.pid) return info;
      if (exit !== undefined || performance.now() > deadline)
        throw new Failure("unavailable", `the lab did not come up: ${lastWords(logPath, exit)}`, {
          hint: `all that it said is in ${logPath}`,
        });
      await sleepReal(lookMs);
    }
  } finally {
    closeSync(log);
    dropStartLock(folder);
  }
}

function environment(home: string): NodeJS.ProcessEnv {
  const kept = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ"];
  const env = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  return { ...env, RUNBOOK_HOME: home };
}

export function argsOf(options: LabStartOptions): readonly string[] {
  const flag = (name: string, value: number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  return [
    ...flag("--pace", options.pace),
    ...flag("--mirrors", options.mirrors),
    ...(options.xen === true ? ["--xen"] : []),
    ...(options.lvm === true ? ["--lvm"] : []),
    ...flag("--snapshot-seconds", options.snapshotSeconds),
    ...flag("--list-lag-seconds", options.listLagSeconds),
    ...flag("--lose-replies", options.loseReplies),
    ...flag("--copy-seconds", options.copySeconds),
    ...flag("--seed", options.seed),
  ];
}

function lastWords(path: string, exit: number | string | undefined): string {
  const said = readFileSync(path, "utf8").trim().split("\n").slice(-3).join(" ").slice(-400);
  if (exit === undefined) return said === "" ? "it does not answer" : said;
  return said === "" ? `it ended with ${exit} and said nothing` : said;
}

function readInfo(folder: string): LabInfo | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "lab.json"), "utf8")) as LabInfo;
  } catch (error) {
    // Not there, or not written by a lab (which puts it in place whole): either way no lab is up by it.
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new Failure("denied", `${join(folder, "lab.json")} cannot be read`, { cause: error });
  }
}

// The lock of starting: a file that exactly one can make, with the process that holds it. A holder that died (the
// starter was killed) leaves it behind; whoever proves that takes it away. The daemon itself gets to hold it, since it
// is the daemon that is not up yet.

const lockName = "starting.lock";

function takeStartLock(folder: string): boolean {
  const path = join(folder, lockName);
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, lockText(process.pid), { mode: 0o600, flag: "wx" });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    dropIfDead(path);
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

function lockText(pid: number): string {
  return `${pid} ${thisMachine().startOf(pid) ?? ""}`;
}

function handStartLock(folder: string, pid: number): void {
  const path = join(folder, lockName);
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  writeFileSync(draft, lockText(pid), { mode: 0o600, flag: "wx" });
  renameSync(draft, path);
}

function dropStartLock(folder: string): void {
  rmSync(join(folder, lockName), { force: true });
}

function dropIfDead(path: string): void {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return; // Taken away meanwhile: the next try will tell.
  }
  if (isAlive(text)) return;
  // Two may find it dead at once, and the slower one must not take away the lock that the quicker one made since:
  // what was moved aside is looked at again, and put back if it is another.
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, "utf8") !== text && !existsSync(path)) linkSync(aside, path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "EEXIST")))
      throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function isAlive(lock: string): boolean {
  const [pid = "", started = ""] = lock.split(" ");
  const now = thisMachine().startOf(Number(pid));
  if (started !== "") return now === started;
  // Without /proc a signal that is not sent still says whether somebody would get it.
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch {
    return false;
  }
}

/** Taken down by the lab itself once it is up, so that a starter that was killed leaves nothing behind. */
export function labIsUp(home: string): void {
  dropStartLock(labFolder(home));
}

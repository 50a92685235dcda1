/**
 * Who holds a run, and when a holder is *proven* dead. A wrong proof would put two runners on one cluster, so
 * whatever cannot be proven counts as alive, and its lease must expire first.
 */
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, userInfo } from "node:os";
import type { Json } from "../ports/driver.ts";

/** A process, so that it cannot be taken for another: written in the first row of each segment and in leases. */
export interface Process {
  readonly host: string;
  /** Content of /etc/machine-id, "" where there is none: host names are not unique. */
  readonly machineId: string;
  readonly bootId: string;
  readonly pidNamespace: string;
  readonly pid: number;
  /** Start time of the process in clock ticks since boot: a pid alone is used again. */
  readonly started: string;
  readonly user: string;
}

/** This process, and what it can see of others. Tests inject another. */
export interface Machine {
  readonly self: Process;
  /** Files of anybody else are refused; undefined where the system has no user ids. */
  readonly uid: number | undefined;
  /** Start time of a living process in this pid namespace; undefined if there is none, or only its zombie. */
  startOf(pid: number): string | undefined;
}

export function thisMachine(): Machine {
  return {
    self: {
      host: hostname(),
      machineId: textOf("/etc/machine-id"),
      bootId: textOf("/proc/sys/kernel/random/boot_id"),
      pidNamespace: pidNamespace(),
      pid: process.pid,
      started: startOf(process.pid) ?? "",
      user: userName(),
    },
    uid: process.getuid?.(),
    startOf,
  };
}

/** "user@machine pid N", as people read it. */
export function ownerOf(holder: Process): string {
  return `${holder.user}@${holder.host} pid ${holder.pid}`;
}

// The kernel gives the first pid namespace this fixed number (PROC_PID_INIT_INO in linux/proc_ns.h).
const firstPidNamespace = "pid:[4026531836]";

export function isProvenDead(holder: Process, machine: Machine): boolean {
  const { self } = machine;
  if (holder.host !== self.host || holder.machineId !== self.machineId) return false;
  if (holder.bootId === "" || self.bootId === "" || holder.started === "") return false;
  if (holder.pidNamespace !== self.pidNamespace) return false;
  // Containers share host names and machine ids: the same name with another boot id may be the same container
  // moved to another machine while the first one still lives. Only outside of them is it a reboot.
  if (holder.bootId !== self.bootId) return self.pidNamespace === firstPidNamespace;
  return machine.startOf(holder.pid) !== holder.started;
}

/** A process as it was written; undefined if it cannot be understood. */
export function parseProcess(value: Json | undefined): Process | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { host, machineId, bootId, pidNamespace, pid, started, user } = value as {
    readonly [key: string]: Json;
  };
  if (typeof host !== "string" || typeof machineId !== "string" || typeof bootId !== "string")
    return undefined;
  if (typeof pidNamespace !== "string" || typeof started !== "string" || typeof user !== "string")
    return undefined;
  if (typeof pid !== "number") return undefined;
  return { host, machineId, bootId, pidNamespace, pid, started, user };
}

function startOf(pid: number): string | undefined {
  const stat = textOf(`/proc/${pid}/stat`);
  // The name of the command stands in parentheses and may itself hold spaces and parentheses; the state is the
  // third field and the start time the 22nd (proc(5)).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  if (state === undefined || state === "" || state === "Z" || state === "X") return undefined;
  return fields[19];
}

// Without /proc (another system than Linux), or without a name for the user id (a container), nothing can be
// proven and nothing is: the empty text stands for "not known".
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}

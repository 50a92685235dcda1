/** systemd, disks and power, as a node's commands show them. */
import { gapIn, options } from "./commands-text.ts";
import type { Disk } from "./disks.ts";
import type { CommandFunction, Context } from "./process.ts";

const serviceName = (name: string): string =>
  /\.(service|timer|target|scope)$/.test(name) ? name : `${name}.service`;
const bare = (name: string): string => name.replace(/\.service$/, "");

type UnitState = {
  readonly loaded: boolean;
  readonly active: boolean;
  readonly failed: boolean;
  readonly enabled: boolean | undefined;
};

function stateOf(context: Context, name: string): UnitState {
  const { systemd } = context.node;
  const full = serviceName(name);
  if (full.endsWith(".timer")) {
    const timer = systemd.timers.get(full.slice(0, -6));
    return { loaded: timer !== undefined, active: timer !== undefined, failed: false, enabled: undefined };
  }
  const unit = systemd.units.get(bare(full));
  if (unit) return { loaded: true, active: unit.active, failed: false, enabled: unit.enabled };
  const service = systemd.services.get(bare(full));
  return {
    loaded: service !== undefined,
    active: service?.state === "active",
    failed: service?.state === "failed",
    enabled: undefined,
  };
}

const systemctl: CommandFunction = async (context) => {
  const words: string[] = [];
  const properties: string[] = [];
  let valueOnly = false;
  let quiet = false;
  let now = false;
  const args = context.argv.slice(1);
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg === "-p" || arg === "--property") properties.push(...(args[(index += 1)] ?? "").split(","));
    else if (arg.startsWith("--property=")) properties.push(...arg.slice(11).split(","));
    else if (arg.startsWith("-p")) properties.push(...arg.slice(2).split(","));
    else if (arg === "--value") valueOnly = true;
    else if (arg === "-q" || arg === "--quiet") quiet = true;
    else if (arg === "--now") now = true;
    else if (
      ["--no-pager", "--no-legend", "--no-block", "--plain", "--full", "--all", "-a", "-l"].includes(arg)
    )
      continue;
    else if (arg.startsWith("-")) gapIn(context, `option ${arg}`);
    else words.push(arg);
  }
  const [verb = "", ...names] = words;
  switch (verb) {
    case "is-active": {
      const states = names.map((name) => stateOf(context, name));
      if (!quiet)
        for (const state of states)
          context.out(`${state.active ? "active" : state.failed ? "failed" : "inactive"}\n`);
      return states.some(({ active }) => active) ? 0 : 3;
    }
    case "is-enabled": {
      let status = 1;
      for (const name of names) {
        const { loaded, enabled } = stateOf(context, name);
        if (!loaded) {
          context.err(`Failed to get unit file state for ${serviceName(name)}: No such file or directory\n`);
          continue;
        }
        if (enabled !== false) status = 0;
        if (!quiet)
          context.out(`${enabled === undefined ? "transient" : enabled ? "enabled" : "disabled"}\n`);
      }
      return status;
    }
    case "enable":
    case "disable": {
      for (const name of names) {
        if (!context.node.systemd.units.has(bare(name))) {
          context.err(`Failed to ${verb} unit: Unit file ${serviceName(name)} does not exist.\n`);
          return 1;
        }
        context.change(() =>
          context.node.systemd.setEnabled(bare(name), verb === "enable", context.process.cause),
        );
      }
      return now ? startStop(context, verb === "enable" ? "start" : "stop", names) : 0;
    }
    case "start":
    case "stop":
      return startStop(context, verb, names);
    case "reset-failed":
      for (const name of names) context.node.systemd.services.delete(bare(serviceName(name)));
      return 0;
    case "daemon-reload":
      return 0;
    case "show":
      for (const name of names) show(context, name, properties, valueOnly);
      return 0;
    case "list-timers":
      for (const [unit, timer] of context.node.systemd.timers)
        context.out(`${(timer.dueUptimeMs / 1000).toFixed(0)}s left ${unit}.timer ${unit}.service\n`);
      return 0;
    case "poweroff":
    case "reboot":
      context.change(() => context.node.shutDown(verb === "reboot" ? "reboot" : "off"));
      return 0;
  }
  return gapIn(context, `the verb ${verb}`);
};

function startStop(context: Context, verb: "start" | "stop", names: readonly string[]): number {
  const { systemd } = context.node;
  let status = 0;
  for (const name of names) {
    const full = serviceName(name);
    const unit = systemd.units.get(bare(full));
    if (unit) {
      context.change(() => (verb === "start" ? unit.start?.() : unit.stop?.()));
      continue;
    }
    if (
      verb === "stop" &&
      full.endsWith(".timer") &&
      context.change(() => systemd.stopTimer(full.slice(0, -6), context.process.cause))
    )
      continue;
    const service = systemd.services.get(bare(full));
    if (verb === "stop" && service) {
      for (const process of context.node.processes.values())
        if (process.name === service.unit) process.kill("TERM");
      systemd.services.delete(service.unit);
      continue;
    }
    context.err(`Failed to ${verb} ${full}: Unit ${full} not ${verb === "stop" ? "loaded" : "found"}.\n`);
    status = 5;
  }
  return status;
}

function show(context: Context, name: string, properties: readonly string[], valueOnly: boolean): void {
  const state = stateOf(context, name);
  const full = serviceName(name);
  const timer = full.endsWith(".timer") ? context.node.systemd.timers.get(full.slice(0, -6)) : undefined;
  const service = context.node.systemd.services.get(bare(full));
  const values: { readonly [property: string]: string } = {
    Id: full,
    LoadState: state.loaded ? "loaded" : "not-found",
    ActiveState: state.active ? "active" : state.failed ? "failed" : "inactive",
    SubState: timer ? "waiting" : state.active ? "running" : state.failed ? "failed" : "dead",
    UnitFileState:
      state.enabled === undefined
        ? state.loaded
          ? "transient"
          : ""
        : state.enabled
          ? "enabled"
          : "disabled",
    NextElapseUSecMonotonic: timer ? timespan(timer.dueUptimeMs) : "infinity",
    NextElapseUSecRealtime: "",
    Result: state.failed ? "exit-code" : "success",
    ExecMainStatus: String(service?.code ?? 0),
    MainPID: "0",
  };
  for (const property of properties.length > 0 ? properties : Object.keys(values)) {
    const value = values[property];
    if (value === undefined) gapIn(context, `the property ${property}`);
    context.out(valueOnly ? `${value}\n` : `${property}=${value}\n`);
  }
}

/** A span as systemd prints it: "1h 2min 3.500000s" with the zeros cut. */
export function timespan(ms: number): string {
  const parts: string[] = [];
  let rest = Math.round(ms);
  for (const [unit, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
  ] as const) {
    const count = Math.floor(rest / size);
    if (count > 0) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  if (rest > 0 || parts.length === 0) parts.push(`${rest / 1000}s`);
  return parts.join(" ");
}

/** Milliseconds of "90", "90s", "1h 30min". */
export function readTimespan(text: string): number | undefined {
  const sizes: { readonly [unit: string]: number } = {
    "": 1000,
    s: 1000,
    sec: 1000,
    min: 60_000,
    m: 60_000,
    h: 3_600_000,
    hr: 3_600_000,
    d: 86_400_000,
    ms: 1,
    us: 0.001,
  };
  let total = 0;
  let rest = text.trim();
  if (rest === "") return undefined;
  while (rest !== "") {
    const found = /^([0-9.]+)\s*([a-z]*)\s*/.exec(rest);
    const size = sizes[found?.[2] ?? "?"];
    if (!found || size === undefined) return undefined;
    total += Number(found[1]) * size;
    rest = rest.slice(found[0].length);
  }
  return total;
}

const systemdRun: CommandFunction = async (context) => {
  const args = context.argv.slice(1);
  let unit: string | undefined;
  let after: number | undefined;
  let every: number | undefined;
  let collect = false;
  let wait = false;
  let index = 0;
  for (; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg === "--") {
      index += 1;
      break;
    }
    if (!arg.startsWith("-")) break;
    const [name = "", inline] = split(arg);
    const value = () => inline ?? args[(index += 1)] ?? "";
    const span = (text: string) => readTimespan(text) ?? gapIn(context, `the time ${text}`);
    switch (name) {
      case "--unit":
      case "-u":
        unit = value().replace(/\.(service|timer)$/, "");
        break;
      case "--on-active":
        after = span(value());
        break;
      case "--on-unit-active":
        every = span(value());
        break;
      case "--on-boot":
        after = Math.max(0, span(value()) - context.node.uptimeSeconds * 1000);
        break;
      case "--collect":
      case "-G":
        collect = true;
        break;
      case "--wait":
        wait = true;
        break;
      case "--quiet":
      case "-q":
      case "--no-block":
      case "--no-ask-password":
        break;
      case "--timer-property":
      case "--property":
      case "-p":
      case "--description":
      case "--setenv":
      case "-E":
        value();
        break;
      default:
        gapIn(context, `option ${arg}`);
    }
  }
  const words = args.slice(index);
  const { systemd } = context.node;
  const name = unit ?? `run-${Math.floor(context.node.heart.random() * 1e9).toString(16)}`;
  if (words.length === 0) return gapIn(context, "a call without a command");
  if (after !== undefined || every !== undefined) {
    if (systemd.timers.has(name) || systemd.services.has(name)) {
      context.err(
        `Failed to start transient timer unit: Unit ${name}.timer was already loaded or has a fragment file.\n`,
      );
      return 1;
    }
    context.change(() => systemd.setTimer(name, words, after ?? every ?? 0, every, context.process.cause));
    context.err(`Running timer as unit: ${name}.timer\nWill run service as unit: ${name}.service\n`);
    return 0;
  }
  if (systemd.services.has(name)) {
    context.err(
      `Failed to start transient service unit: Unit ${name}.service was already loaded or has a fragment file.\n`,
    );
    return 1;
  }
  const done = systemd.startService(name, words, collect, context.process.cause);
  context.err(`Running as unit: ${name}.service\n`);
  if (wait) return (await context.process.orDeath(done)) ?? 1;
  return 0;
};

function split(text: string): [string, string | undefined] {
  const at = text.indexOf("=");
  return text.startsWith("--") && at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, undefined];
}

interface Row {
  readonly [column: string]: string | number | null | readonly (string | null)[];
}

const lsblk: CommandFunction = (context) => {
  const args = context.argv.slice(1);
  let json = false;
  let bytes = false;
  let paths = false;
  let flat = false;
  let head = true;
  let disksOnly = false;
  let columns = ["NAME", "MAJ:MIN", "RM", "SIZE", "RO", "TYPE", "MOUNTPOINT"];
  const wanted: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg.startsWith("--")) {
      const [name, value] = split(arg);
      if (name === "--json") json = true;
      else if (name === "--bytes") bytes = true;
      else if (name === "--paths") paths = true;
      else if (name === "--list") flat = true;
      else if (name === "--noheadings") head = false;
      else if (name === "--nodeps") disksOnly = true;
      else if (name === "--output") columns = (value ?? args[(index += 1)] ?? "").toUpperCase().split(",");
      else gapIn(context, `option ${arg}`);
    } else if (arg.startsWith("-")) {
      for (const [at, letter] of [...arg.slice(1)].entries()) {
        if (letter === "J") json = true;
        else if (letter === "b") bytes = true;
        else if (letter === "p") paths = true;
        else if (letter === "l") flat = true;
        else if (letter === "n") head = false;
        else if (letter === "d") disksOnly = true;
        else if (letter === "a") continue;
        else if (letter === "o") {
          columns = (arg.slice(at + 2) || (args[(index += 1)] ?? "")).toUpperCase().split(",");
          break;
        } else gapIn(context, `option -${letter}`);
      }
    } else wanted.push(context.node.files.resolve(context.path(arg)));
  }
  const show = (path: string) => (paths ? path : path.slice(5));
  const size = (count: number) => (bytes ? count : `${Math.round(count / 1024 ** 3)}G`);
  const row = (disk: Disk, number?: number): Row => {
    const part = disk.partitions.find((each) => each.number === number);
    const place = [part?.mountPoint ?? null];
    const path = part?.path ?? disk.path;
    return pick(context, columns, {
      NAME: show(path),
      KNAME: show(path),
      PATH: path,
      TYPE: part ? "part" : "disk",
      SERIAL: part ? null : (disk.serial ?? null),
      SIZE: size(part?.sizeBytes ?? disk.sizeBytes),
      PARTUUID: part?.partUuid ?? null,
      MOUNTPOINT: place[0] ?? null,
      MOUNTPOINTS: place,
      PKNAME: part ? show(disk.path) : null,
      FSTYPE: part && disk.content.kind === "root" ? "xfs" : part?.number === 2 ? "xfs" : null,
      MODEL: part || disk.serial === undefined ? null : "Amazon Elastic Block Store",
      "MAJ:MIN": `259:${disk.partitions.length}`,
      RO: 0,
      RM: 0,
      UUID: null,
      LABEL: null,
      PARTLABEL: null,
      WWN: null,
      TRAN: disk.serial === undefined ? null : "nvme",
      STATE: null,
      HOTPLUG: 0,
      OWNER: "root",
      PTUUID: part ? null : String(disk.content.control["disk"] ?? ""),
    });
  };
  const disks = context.node.disks.list();
  const trees = disks
    .filter(
      (disk) =>
        wanted.length === 0 ||
        wanted.includes(disk.path) ||
        disk.partitions.some(({ path }) => wanted.includes(path)),
    )
    .map((disk) => {
      const parts = disk.partitions.filter(
        ({ path }) => wanted.length === 0 || wanted.includes(disk.path) || wanted.includes(path),
      );
      const whole = wanted.length === 0 || wanted.includes(disk.path);
      return {
        disk: whole ? row(disk) : undefined,
        parts: disksOnly && whole ? [] : parts.map(({ number }) => row(disk, number)),
      };
    });
  if (wanted.length > 0 && trees.length === 0) {
    context.err(`lsblk: ${wanted.join(" ")}: not a block device\n`);
    return 32;
  }
  if (json) {
    const blockdevices = trees.flatMap(({ disk, parts }) =>
      flat || !disk
        ? [...(disk ? [disk] : []), ...parts]
        : [parts.length > 0 ? { ...disk, children: parts } : disk],
    );
    context.out(`${JSON.stringify({ blockdevices }, undefined, 3)}\n`);
    return 0;
  }
  const cell = (value: Row[string] | undefined) =>
    Array.isArray(value) ? value.map((each) => each ?? "").join(",") : String(value ?? "");
  if (head) context.out(`${columns.join(" ")}\n`);
  for (const { disk, parts } of trees) {
    for (const each of disk ? [disk, ...parts] : parts) {
      const cells = columns.map((column) => cell(each[column.toLowerCase()]));
      context.out(
        `${!flat && each !== disk && disk && columns[0] === "NAME" ? "└─" : ""}${cells.join(" ")}\n`,
      );
    }
  }
  return 0;
};

function pick(context: Context, columns: readonly string[], values: Row): Row {
  return Object.fromEntries(
    columns.map((column) => {
      const value = values[column];
      if (value === undefined) gapIn(context, `the column ${column}`);
      return [column.toLowerCase(), value];
    }),
  );
}

const findmnt: CommandFunction = (context) => {
  const args = context.argv.slice(1);
  let columns = ["TARGET", "SOURCE", "FSTYPE", "OPTIONS"];
  let head = true;
  let json = false;
  const wanted: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (/^-[nrlJ]*o$/.test(arg)) {
      columns = (args[(index += 1)] ?? "").toUpperCase().split(",");
      if (arg.includes("n")) head = false;
      if (arg.includes("J")) json = true;
    } else if (arg === "--output") columns = (args[(index += 1)] ?? "").toUpperCase().split(",");
    else if (/^-[nrlJ]+$/.test(arg)) {
      if (arg.includes("n")) head = false;
      if (arg.includes("J")) json = true;
    } else if (["--noheadings", "--raw", "--list", "--json"].includes(arg)) {
      if (arg === "--noheadings") head = false;
      if (arg === "--json") json = true;
    } else if (["-S", "--source", "-T", "--target", "-M", "--mountpoint"].includes(arg))
      wanted.push(args[(index += 1)] ?? "");
    else if (/^--(source|target|mountpoint)=/.test(arg)) wanted.push(arg.slice(arg.indexOf("=") + 1));
    else if (arg.startsWith("-")) gapIn(context, `option ${arg}`);
    else wanted.push(arg);
  }
  const found = context.node.disks
    .mountTable()
    .filter(({ device, point }) => wanted.length === 0 || wanted.includes(device) || wanted.includes(point));
  if (found.length === 0) return 1;
  const rows = found.map(({ device, point, type }) =>
    pick(context, columns, { TARGET: point, SOURCE: device, FSTYPE: type, OPTIONS: "rw,relatime" }),
  );
  if (json) context.out(`${JSON.stringify({ filesystems: rows }, undefined, 3)}\n`);
  else {
    if (head) context.out(`${columns.join(" ")}\n`);
    for (const each of rows)
      context.out(`${columns.map((column) => String(each[column.toLowerCase()])).join(" ")}\n`);
  }
  return 0;
};

const mountpoint: CommandFunction = (context) => {
  const { set, rest } = options(context, "qd");
  const there = context.node.disks.mountTable().some(({ point }) => point === context.path(rest[0] ?? ""));
  if (!set.has("q")) context.out(`${rest[0]} is ${there ? "" : "not "}a mountpoint\n`);
  return there ? 0 : 1;
};

const mount: CommandFunction = (context) => {
  if (context.argv.length > 1) gapIn(context, "mounting by hand");
  for (const { device, point, type } of context.node.disks.mountTable())
    context.out(`${device} on ${point} type ${type} (rw,relatime)\n`);
  return 0;
};

const umount: CommandFunction = (context) => {
  const [, point = ""] = context.argv;
  if (!context.node.disks.mountTable().some((each) => each.point === point)) {
    context.err(`umount: ${point}: not mounted.\n`);
    return 32;
  }
  context.err(`umount: ${point}: target is busy.\n`);
  return 32;
};

/** fuser [-v] [-m] [-M] PATH…: process numbers to stdout, everything else to stderr. */
const fuser: CommandFunction = (context) => {
  const { set, rest } = options(context, "mvMsu");
  let found = false;
  for (const name of rest) {
    const here = context.node.holders.filter(({ mountPoint }) => mountPoint === context.path(name));
    if (here.length === 0 || set.has("s")) {
      found ||= here.length > 0;
      continue;
    }
    found = true;
    if (set.has("v")) context.err(`                     USER        PID ACCESS COMMAND\n`);
    context.err(`${name}:`);
    if (set.has("v")) context.err(" ".repeat(Math.max(1, 20 - name.length)));
    for (const { pid, command } of here) {
      if (set.has("v")) context.err("root     ");
      context.out(` ${pid}`);
      if (set.has("v")) context.err(` F.c.. ${command}`);
      else context.err("c");
    }
    context.err("\n");
  }
  return found ? 0 : 1;
};

const ps: CommandFunction = (context) => {
  const args = context.argv.slice(1).join(" ");
  const found = /-p\s*([0-9,\s]+)/.exec(args);
  if (!found || !/-o\s*(comm|args|cmd|pid)=?/.test(args)) return gapIn(context, args);
  let status = 1;
  for (const pid of (found[1] ?? "")
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(Number)) {
    const name =
      context.node.holders.find((holder) => holder.pid === pid)?.command ??
      context.node.processes.get(pid)?.name;
    if (name === undefined) continue;
    status = 0;
    context.out(`${/-o\s*pid=?/.test(args) ? `${pid} ` : ""}${name}\n`);
  }
  return status;
};

const power =
  (reboots: boolean): CommandFunction =>
  (context) => {
    const args = context.argv.slice(1);
    const reboot = context.argv[0] === "shutdown" ? args.includes("-r") : reboots;
    if (args.includes("-c")) gapIn(context, "taking a shutdown back");
    context.change(() => context.node.shutDown(reboot ? "reboot" : "off"));
    return 0;
  };

const journalctl: CommandFunction = (context) => {
  const text = context.node.files.find("/var/log/messages")
    ? context.node.files.read("/var/log/messages")
    : "";
  context.out(text);
  return 0;
};

export const systemCommands: { readonly [name: string]: CommandFunction } = {
  systemctl,
  "systemd-run": systemdRun,
  journalctl,
  lsblk,
  findmnt,
  mountpoint,
  mount,
  umount,
  fuser,
  ps,
  shutdown: power(false),
  poweroff: power(false),
  reboot: power(true),
};

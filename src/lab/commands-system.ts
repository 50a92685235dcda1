/** systemd and power, as a node's commands show them. */
import { gapIn, splitOption } from "./command-words.ts";
import { journalctl } from "./commands-journal.ts";
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
    const [name = "", inline] = splitOption(arg);
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

export const systemCommands: { readonly [name: string]: CommandFunction } = {
  systemctl,
  "systemd-run": systemdRun,
  journalctl,
  ps,
  shutdown: power(false),
  poweroff: power(false),
  reboot: power(true),
};

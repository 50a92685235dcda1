/**
 * The cluster's event log → the copies of a mirror that it tells of (reference clusterpro 3.2, table of events).
 *
 * Known from a public list of all messages of X 4.2 for Linux: the texts, their modules and numbers, and that each goes to
 * syslog unless a cluster is set up otherwise. From memory: that a line in syslog names them as "<type: mdadmn><event: 17>",
 * which matters where the cluster's language is not English. Not known, and not assumed: on which node an event is told, in
 * which order the mode and the start of a copy come, and whether one module tells what another has told already.
 */
import type { MirrorCopy } from "../../ports/cluster-manager.ts";

// A journal is asked for by the clock and told apart by uptime: a day more than needed, in case the clock was moved.
const marginSeconds = 86_400;
const wanted = '<type: *(mdctrl|mdadmn|mdw)>|[Mm]irror recovery|[Rr]ecover (the )?mirror|"MESSAGE" *: *\\[';

/**
 * Argument: uptime in seconds. JSON, because only there each line has both its uptime and its time, whatever the node's
 * language. A node without a journal prints nothing.
 */
export const findCopiesScript = (uptimeFile = "/proc/uptime"): string =>
  `age=$(($(cut -d. -f1 '${uptimeFile}') - $1 + ${marginSeconds}))\n` +
  `journalctl -b -q -o json --no-pager "--since=-$age"s | grep -a -E '${wanted}'\n` +
  `exit 0\n`;

interface Line {
  readonly uptimeSeconds: number;
  readonly at: string;
  readonly message: string;
}

interface Event {
  readonly what: "start" | "mode" | "end" | "fail" | "left out";
  readonly kind: MirrorCopy["kind"];
  /** "" where the line does not name it. */
  readonly module: string;
  readonly at: string;
}

type Draft = { -readonly [Key in keyof MirrorCopy]: MirrorCopy[Key] } & {
  /** What was told of it, with the module that told: two modules may tell the same, one tells it once. */
  readonly told: Set<string>;
  over: boolean;
};

export function parseCopies(
  output: string,
  {
    mirror,
    device,
    sinceUptimeSeconds,
  }: {
    readonly mirror: string;
    readonly device: string | undefined;
    readonly sinceUptimeSeconds: number;
  },
): readonly MirrorCopy[] {
  const copies: Draft[] = [];
  for (const line of output.split("\n").map(readLine)) {
    if (!line || line.uptimeSeconds < sinceUptimeSeconds) continue;
    const event = readEvent(line, mirror, device);
    if (event) tell(copies, event);
  }
  return copies.map(({ kind, started, ended, failed, at }) => ({ kind, started, ended, failed, at }));
}

/** Puts an event to the copy that it is about: the last one, or a new one. */
function tell(copies: Draft[], { what, kind, module, at }: Event): void {
  const last = copies.at(-1);
  const key = `${what} ${module}`;
  const fits =
    last !== undefined &&
    !last.told.has(key) &&
    (last.kind === kind || last.kind === "unknown" || last.kind === "initial" || kind === "unknown");
  // After its end a copy is only told of again where another module says that same end.
  const about =
    fits && (!last.over || [...last.told].some((each) => each.startsWith(`${what} `) && ends(what)))
      ? last
      : undefined;
  const copy = about ?? {
    kind,
    started: false,
    ended: false,
    failed: false,
    at,
    told: new Set<string>(),
    over: false,
  };
  if (!about) copies.push(copy);
  copy.told.add(key);
  if (copy.kind === "unknown" || kind === "initial") copy.kind = kind;
  if (what === "start") copy.started = true;
  if (what === "end" || what === "fail") copy.ended = true;
  if (what === "fail") copy.failed = true;
  if (ends(what)) copy.over = true;
}

const ends = (what: Event["what"]) => what === "end" || what === "fail" || what === "left out";

/** Undefined for what is no entry with a text: such a line tells of no copy. */
function readLine(line: string): Line | undefined {
  let entry: { readonly [field: string]: unknown };
  try {
    const read: unknown = JSON.parse(line);
    if (typeof read !== "object" || read === null) return undefined;
    entry = read as { readonly [field: string]: unknown };
  } catch {
    // The end of an answer that was cut, or a line that is not the journal's.
    return undefined;
  }
  const message = entry["MESSAGE"];
  const micros = (field: string) => {
    const value = entry[field];
    return typeof value === "string" && /^\d{1,17}$/.test(value) ? Number(value) : undefined;
  };
  const uptime = micros("__MONOTONIC_TIMESTAMP");
  const time = micros("__REALTIME_TIMESTAMP");
  // A text in another encoding than UTF-8 comes as its bytes; names and numbers in it are ASCII.
  const text =
    typeof message === "string"
      ? message
      : Array.isArray(message)
        ? String.fromCharCode(...message.slice(0, 4096).filter((byte) => typeof byte === "number"))
        : undefined;
  if (text === undefined || uptime === undefined || time === undefined) return undefined;
  return {
    uptimeSeconds: uptime / 1e6,
    at: `${new Date(Math.floor(time / 1e3)).toISOString().slice(0, 19)}Z`,
    message: text,
  };
}

type Told = Pick<Event, "what" | "kind">;

/** By number, the same in the modules mdadmn, mdctrl and mdw where they have it. */
const numbers: { readonly [event: number]: (message: string) => Told | undefined } = {
  5: () => ({ what: "fail", kind: "unknown" }),
  6: () => ({ what: "end", kind: "unknown" }),
  7: (message) => modeOf(message),
  16: () => ({ what: "start", kind: "initial" }),
  17: () => ({ what: "start", kind: "unknown" }),
  18: () => ({ what: "end", kind: "initial" }),
  19: () => ({ what: "fail", kind: "initial" }),
  20: () => ({ what: "left out", kind: "initial" }),
  23: () => ({ what: "fail", kind: "unknown" }),
  44: () => ({ what: "fail", kind: "unknown" }),
};

// The subject is what follows "of" or "Device:"; blanks as they come, one of the texts has two in a row.
const texts: readonly (readonly [RegExp, Told | "mode"])[] = [
  [/Initial mirror recovery\s+of (\S+) has started/, { what: "start", kind: "initial" }],
  [/Initial mirror recovery\s+of (\S+) was successful/, { what: "end", kind: "initial" }],
  [/Failed to perform initial mirror recovery\.[^]*\(Device:\s*(\S+?)\)/, { what: "fail", kind: "initial" }],
  [
    /Initial mirror recovery was not executed [^]*\(Device:\s*(\S+?)\)/,
    { what: "left out", kind: "initial" },
  ],
  [/Mirror recovery\s+of (\S+) has started/, { what: "start", kind: "unknown" }],
  [/Mirror recovery\s+of (\S+) was completed successfully/, { what: "end", kind: "unknown" }],
  [/Mirror recovery\s+of (\S+) was canceled/, { what: "fail", kind: "unknown" }],
  [/Forced mirror recovery was canceled\.[^]*\(Device:\s*(\S+?)\)/, { what: "fail", kind: "unknown" }],
  [/Failed to recover (?:the )?mirror\.[^]*\(Device:\s*(\S+?)\)/, { what: "fail", kind: "unknown" }],
  [/Mirror recovery mode is \S+\(Device:\s*(\S+?)\)/, "mode"],
];

function modeOf(message: string): Told | undefined {
  const mode = /\b(NORMAL|FAST)\b/.exec(message)?.[1];
  return mode === undefined ? undefined : { what: "mode", kind: mode === "NORMAL" ? "full" : "difference" };
}

function readEvent({ message, at }: Line, mirror: string, device: string | undefined): Event | undefined {
  const [head = "", module = "", number = ""] =
    /<type:\s*(mdctrl|mdadmn|mdw)>\s*<event:\s*(\d+)>/.exec(message) ?? [];
  const isIt = (subject: string | undefined) => subject === mirror || subject === device;
  for (const [pattern, told] of texts) {
    const found = pattern.exec(message);
    if (!found) continue;
    const event = told === "mode" ? modeOf(message) : told;
    return event && isIt(found[1]) ? { ...event, module, at } : undefined;
  }
  // A text in another language: its number says what it is, and some word in it which mirror.
  const told = module === "" ? undefined : numbers[Number(number)]?.(message);
  const words = message.replace(head, "").split(/[^A-Za-z0-9_./-]+/);
  return told && words.some((word) => isIt(word) || isIt(word.replace(/^\.+|\.+$/g, "")))
    ? { ...told, module, at }
    : undefined;
}

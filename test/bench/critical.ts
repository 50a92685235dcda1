/**
 * What the world of the lab did in a span of time, and which of it stood on the critical path.
 *
 * Motions are what the world does because it was told to: a command of the cluster or a call of the cloud runs, a machine
 * goes off or boots, a node joins, a group stops or starts, a mirror is copied, a volume is attached or detached. What it does
 * on the side (copies of snapshots, writes of clients) is none.
 *
 * Motions overlap, and one that nobody waits for would hide that nobody acts. So the path is walked from its end: before each
 * motion comes the one that ended last before it began, and what lies between the two is time in which the world waited to
 * be told.
 */
import type { Effect } from "../../src/lab/world.ts";

/** One thing that the world was told, as a node or the cloud received it. */
export interface Command {
  /** The node that received it; absent for the cloud. */
  readonly node?: string;
  /** Without wrappers: "clpgrp -t failover1", "StartInstances …". */
  readonly line: string;
  readonly class: "read" | "write" | "gap";
  readonly from: number;
  /** Absent while it runs. */
  readonly until: number | undefined;
  /** Numbers of the effects that it caused. */
  readonly effects: readonly number[];
}

export interface WorldRecord {
  readonly commands: readonly Command[];
  readonly effects: readonly Effect[];
  /** The two nodes of the cluster. */
  readonly nodes: readonly { readonly name: string; readonly instance: string }[];
  /** How long the cluster waits before it copies a mirror by itself. */
  readonly autoRecoveryMs: number;
  /** How late the cloud shows the states of instances and attachments: before that nobody can know. */
  readonly shownLateMs: number;
}

export interface Motion {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  /** When it could be seen that it had ended; at `to`, if not said. */
  readonly shownAt?: number;
}

interface Kind {
  /** Motions of one name and subject are one at a time. */
  readonly name: string;
  readonly of: "group" | "node" | "mirror" | "volume";
  readonly does: string;
  readonly ends: readonly string[];
}

const goesOff: Kind = { name: "off", of: "node", does: "goes off", ends: ["instance-stopped", "node-up"] };
const kinds: { readonly [begin: string]: Kind } = {
  "group-stopping": {
    name: "stop",
    of: "group",
    does: "stops",
    ends: ["group-stopped", "group-stop-failed", "group-lost"],
  },
  "group-starting": {
    name: "start",
    of: "group",
    does: "starts",
    ends: ["group-started", "group-failed", "group-lost"],
  },
  "node-stopping": goesOff,
  "instance-stopping": goesOff,
  "instance-starting": { name: "boot", of: "node", does: "boots", ends: ["node-up"] },
  "recovery-started": { name: "copy", of: "mirror", does: "is copied", ends: ["recovery-ended"] },
  "volume-created": {
    name: "make",
    of: "volume",
    does: "is made",
    ends: ["volume-available", "volume-failed"],
  },
  // A busy one moves no more by itself: it waits for whoever holds it.
  "volume-detaching": {
    name: "detach",
    of: "volume",
    does: "is detached",
    ends: ["volume-detached", "volume-busy"],
  },
  "volume-attaching": { name: "attach", of: "volume", does: "is attached", ends: ["volume-attached"] },
};

const shownLate = ["instance-stopped", "volume-detached", "volume-attached"];
/** After which the cluster may find that a mirror has to be copied. */
const callsForCopy = [
  "member-online",
  "monitor-resumed",
  "cluster-resumed",
  "mirror-met",
  "mirror-broken",
  "node-rejoined",
];

export function motionsOf(record: WorldRecord): readonly Motion[] {
  return [...commandsOf(record), ...changesOf(record), ...joinsOf(record)];
}

/** Commands of the cluster and calls of the cloud that changed something; what a run keeps for itself is none. */
function commandsOf({ commands, effects }: WorldRecord): readonly Motion[] {
  const kindOf = new Map(effects.map(({ n, detail }) => [n, detail.kind]));
  return commands.flatMap((command) => {
    const { node, line, from, until } = command;
    if (until === undefined || command.class !== "write") return [];
    if (node !== undefined)
      return /^(\S*\/)?clp/.test(line) ? [{ what: `${node}: ${line}`, from, to: until }] : [];
    const isMark = command.effects.every((n) => /^tags-/.test(kindOf.get(n) ?? ""));
    return isMark ? [] : [{ what: line.split(" ", 1)[0] ?? "", from, to: until }];
  });
}

function changesOf(record: WorldRecord): readonly Motion[] {
  const { effects, nodes, shownLateMs } = record;
  const subjectOf = (of: Kind["of"], { detail }: Effect) =>
    String(
      of === "node"
        ? (detail["node"] ?? nodes.find(({ instance }) => instance === detail["instance"])?.name)
        : detail[of],
    );
  const open = new Map<string, { readonly what: string; readonly from: number; readonly kind: Kind }>();
  const motions: Motion[] = [];
  for (const effect of effects) {
    for (const [key, { what, from, kind }] of open) {
      if (!kind.ends.includes(effect.detail.kind) || key !== keyOf(kind, subjectOf(kind.of, effect)))
        continue;
      open.delete(key);
      const late = shownLate.includes(effect.detail.kind);
      motions.push({ what, from, to: effect.at, ...(late && { shownAt: effect.at + shownLateMs }) });
    }
    const kind = Object.hasOwn(kinds, effect.detail.kind) ? kinds[effect.detail.kind] : undefined;
    if (kind === undefined) continue;
    const subject = subjectOf(kind.of, effect);
    const key = keyOf(kind, subject);
    if (open.has(key)) continue;
    const does = effect.detail["reboot"] === true ? "reboots" : kind.does;
    const who = kind.of === "volume" ? "a volume" : subject;
    open.set(key, { what: `${who} ${does}`, from: beginOf(record, effect), kind });
  }
  return motions;
}

const keyOf = (kind: Kind, subject: string) => `${kind.name} ${subject}`;

/** A change begins with the command that brought it about, or with what called for it. */
function beginOf(record: WorldRecord, effect: Effect): number {
  const cause = record.commands.find(({ effects }) => effects.includes(effect.n));
  if (cause !== undefined) return cause.from;
  if (effect.detail.kind !== "recovery-started") return effect.at;
  // Two clocks of one machine differ by a moment.
  const latest = effect.at - record.autoRecoveryMs + 100;
  const called = record.effects.findLast(
    ({ at, detail }) => at <= latest && callsForCopy.includes(detail.kind),
  );
  return called === undefined ? effect.at : beginOf(record, called);
}

/** A node that waits for its peer is at rest; both move once both are there. */
function joinsOf({ effects, nodes }: WorldRecord): readonly Motion[] {
  const places = new Map(nodes.map(({ name }) => [name, "online"]));
  const since = new Map<string, number>();
  const motions: Motion[] = [];
  for (const { at, detail } of effects) {
    const node = String(detail["node"]);
    if (!places.has(node)) continue;
    if (detail.kind === "member-offline") {
      places.set(node, "out");
      since.delete(node);
    } else if (detail.kind === "member-waiting") {
      places.set(node, "waiting");
      const others = [...places].filter(([name, place]) => name !== node && place !== "out");
      if (others.length > 0) since.set(node, at);
      for (const [name, place] of others) if (place === "waiting") since.set(name, at);
    } else if (detail.kind === "member-online") {
      places.set(node, "online");
      const from = since.get(node);
      since.delete(node);
      if (from !== undefined) motions.push({ what: `${node} joins`, from, to: at });
    }
  }
  return motions;
}

export interface Wait {
  readonly from: number;
  readonly to: number;
  readonly after: string;
  readonly before: string;
}

export interface Way {
  /** How long the world was in motion on the critical path. */
  readonly ms: number;
  /** In their order, each with the time that it takes up of the span. */
  readonly motions: readonly { readonly what: string; readonly ms: number }[];
  readonly waits: readonly Wait[];
}

export function criticalWay(motions: readonly Motion[], from: number, to: number): Way {
  let left = motions.filter((motion) => motion.to > from);
  const way: { readonly what: string; readonly ms: number }[] = [];
  const waits: Wait[] = [];
  let at = to;
  let next = "the end";
  while (at > from) {
    const seen = ({ to: end, shownAt = end }: Motion) => Math.min(shownAt, at);
    const before = left
      .filter((motion) => motion.to <= at)
      .sort((a, b) => seen(b) - seen(a) || a.from - b.from)[0];
    const end = before === undefined ? from : seen(before);
    if (end < at) waits.unshift({ from: end, to: at, after: before?.what ?? "the beginning", before: next });
    if (before === undefined) break;
    left = left.filter((motion) => motion !== before);
    const begin = Math.max(from, before.from);
    way.unshift({ what: before.what, ms: end - begin });
    at = begin;
    next = before.what;
  }
  return { ms: way.reduce((sum, { ms }) => sum + ms, 0), motions: way, waits };
}

/** How long at least one of them was under way: side by side counts once. */
export function covered(spans: readonly { readonly from: number; readonly to: number }[]): number {
  let sum = 0;
  let end = -Infinity;
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    sum += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return sum;
}

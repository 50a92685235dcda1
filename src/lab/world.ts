/**
 * The lab's world: what stands behind its nodes and its cloud. One model, two ways in (sockets, or in process).
 *
 * This file holds what the parts of the lab share: the scheduler on a clock, the log of what was received and of
 * what it did, the content of volumes, and the faults. `cloud.ts` holds instances, volumes and snapshots;
 * `node.ts` and `cluster.ts` hold the operating systems and the cluster on them; `ec2.ts` speaks EC2's protocol.
 */
import type { LabClock } from "./clock.ts";

/**
 * What is on a volume at one instant. Never changed in place: a write puts a new value on the volume, so a
 * snapshot keeps what it was given. `data` are the files of the file system on the mirror's data partition;
 * `control` is what the mirror driver keeps on the cluster partition.
 */
export interface Content {
  readonly kind: "root" | "mirror" | "blank";
  readonly data: { readonly [path: string]: string };
  readonly control: { readonly [key: string]: string | number | boolean };
  /** The file system was not unmounted when this state was reached: its log must be replayed. */
  readonly dirty: boolean;
  /** The two partitions of a mirror are logical volumes on it. */
  readonly lvm?: PhysicalVolume;
}

/** LVM's own data on a volume. */
export interface PhysicalVolume {
  /** The whole disk, or its only partition. */
  readonly on: "disk" | "part";
  readonly group: string;
  readonly groupUuid: string;
  readonly pvUuid: string;
  /** Names of the logical volumes: the cluster partition, the data partition, and what else there is. */
  readonly logical: readonly string[];
}

export const blank: Content = { kind: "blank", data: {}, control: {}, dirty: false };

/** One thing that the lab received, classed by the lab itself. */
export interface Received {
  readonly n: number;
  readonly at: number;
  readonly to: "node" | "cloud";
  readonly node?: string;
  /** As received: the argv of a command, or the operation with its parameters as nested plain values. */
  readonly argv?: readonly string[];
  readonly operation?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  /** "gap": the lab does not model it (exit 127, or InvalidAction); fails the test that met it. */
  class: "read" | "write" | "gap";
  /** Numbers of the effects that it caused. */
  readonly effects: number[];
  /** What went back. */
  reply: "pending" | "sent" | "lost" | "cut";
  /** A one-line form for people. */
  readonly line: string;
}

/** One change of the world, whoever caused it (a command, a call, a timer, the cluster itself, a person). */
export interface Effect {
  readonly n: number;
  readonly at: number;
  /** What happened, as "group failover1 stopped on server1", "snapshot snap-1 of vol-1 cut". */
  readonly what: string;
  /** Machine-readable: kind with the names, as {kind: "snapshot-cut", snapshot, volume}. */
  readonly detail: Readonly<Record<string, string | number | boolean | null>> & { readonly kind: string };
}

/** Where a fault can strike. */
export interface FaultPoint {
  readonly to: "node" | "cloud";
  readonly node?: string;
  /** The command's own name and words ("clpgrp -t failover1") or the operation's name ("CreateSnapshot"). */
  readonly what: string;
}

export interface Fault {
  readonly id: number;
  /** Which points: substring of `what` (or a RegExp source between slashes), and a node if named. */
  readonly match: string;
  readonly node?: string;
  /**
   * fail-before: answers with failure, nothing done      fail-after: does it, answers with failure
   * lose-before: connection dies, nothing done           lose-after: does it, connection dies without an answer
   * half-output: does it, cuts the output in the middle, no exit status
   * hang: no answer ever, nothing done                   hang-after: does it, no answer ever
   * deny, throttle, unavailable (cloud only): UnauthorizedOperation, RequestLimitExceeded, 503; nothing done
   * no-capacity (cloud only): InsufficientInstanceCapacity
   * nonsense: answers with text that no parser knows, exit status 0 (a read)
   */
  readonly action:
    | "fail-before"
    | "fail-after"
    | "lose-before"
    | "lose-after"
    | "half-output"
    | "hang"
    | "hang-after"
    | "deny"
    | "throttle"
    | "unavailable"
    | "no-capacity"
    | "nonsense";
  /** How many more times; Infinity for good. */
  left: number;
  /** Lets this many matching points pass first. */
  skip: number;
}

export type Listener = (event: { readonly received?: Received; readonly effect?: Effect }) => void;

/** Runs `act` later, unless it is cancelled or `scope` ends before. */
export function actLater(
  clock: LabClock,
  ms: number,
  scope: AbortSignal,
  act: () => void,
): { cancel(): void } {
  if (scope.aborted) return { cancel: () => undefined };
  const forget = clock.after(ms, () => {
    scope.removeEventListener("abort", cancel);
    act();
  });
  const cancel = () => {
    scope.removeEventListener("abort", cancel);
    forget();
  };
  scope.addEventListener("abort", cancel, { once: true });
  return { cancel };
}

/** The shared heart: time, log, faults, reproducible randomness. */
export class Heart {
  readonly clock: LabClock;
  readonly received: Received[] = [];
  readonly effects: Effect[] = [];
  readonly faults: Fault[] = [];
  readonly listeners = new Set<Listener>();
  #random: number;
  #serial = 0;
  #faultId = 0;
  #current: Received | undefined;

  constructor(clock: LabClock, seed = 1) {
    this.clock = clock;
    this.#random = seed >>> 0 || 1;
  }

  /** The same sequence for the same seed (mulberry32), in [0, 1). */
  random(): number {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0;
    let t = this.#random;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Throws dice that nothing else will feel: what comes after is thrown as if this had not been. */
  aside(act: () => void): void {
    const before = this.#random;
    act();
    this.#random = before;
  }

  /** A new id, as "snap-0000000000000012a". */
  newId(prefix: string): string {
    this.#serial += 1;
    return `${prefix}-${(0x0a00000000000000n + BigInt(this.#serial)).toString(16).padStart(17, "0")}`;
  }

  /** Runs `act` after `ms` of the world's time, unless the world was closed. Errors inside are errors of the lab. */
  after(ms: number, act: () => void): { cancel(): void } {
    return { cancel: this.clock.after(ms, act) };
  }

  receive(row: Pick<Received, "to" | "node" | "argv" | "operation" | "params" | "line">): Received {
    const full: Received = {
      ...row,
      n: this.received.length + 1,
      at: this.clock.now(),
      class: "read",
      effects: [],
      reply: "pending",
    };
    this.received.push(full);
    for (const listener of this.listeners) listener({ received: full });
    return full;
  }

  /** Runs the synchronous part of handling a received thing, so that effects are booked to it. */
  during<T>(cause: Received | undefined, act: () => T): T {
    const outer = this.#current;
    this.#current = cause;
    try {
      return act();
    } finally {
      this.#current = outer;
    }
  }

  /** Books a change of the world. A received thing that causes one is a write. Called at the moment of the change. */
  effect(what: string, detail: Effect["detail"], cause: Received | undefined = this.#current): Effect {
    const row: Effect = { n: this.effects.length + 1, at: this.clock.now(), what, detail };
    this.effects.push(row);
    if (cause) {
      cause.effects.push(row.n);
      cause.class = "write";
    }
    for (const listener of this.listeners) listener({ effect: row });
    return row;
  }

  addFault(fault: {
    match: string;
    node?: string;
    action: Fault["action"];
    times?: number;
    skip?: number;
  }): Fault {
    this.#faultId += 1;
    const { times = 1, skip = 0, ...rest } = fault;
    const full: Fault = { ...rest, id: this.#faultId, left: times, skip };
    this.faults.push(full);
    return full;
  }

  /** The fault that strikes here, used up by the asking. */
  takeFault(point: FaultPoint): Fault["action"] | undefined {
    for (const fault of this.faults) {
      if (fault.left <= 0 || (fault.node !== undefined && fault.node !== point.node)) continue;
      const pattern = /^\/(.*)\/$/.exec(fault.match)?.[1];
      if (pattern === undefined ? !point.what.includes(fault.match) : !new RegExp(pattern).test(point.what))
        continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      fault.left -= 1;
      return fault.action;
    }
    return undefined;
  }
}

/** What the cloud part tells the nodes part. */
export interface PowerListener {
  /** Power came on: the guest begins to boot. */
  poweredOn(instance: string): void;
  /** The API asks the guest to shut down (ACPI); the guest calls `guestOff` when it is done. */
  shutdownAsked(instance: string): void;
  /** Power went away at once, without the guest having a say. */
  powerLost(instance: string): void;
}

/** How a volume stood when a snapshot of it was cut: kept by the lab beside the snapshot, never shown by the API. */
export interface CutTruth {
  /** Instance stopped, or nothing had the volume open. */
  readonly powerOff: boolean;
  /** The mirror on it had been broken away from this side before the cut. */
  readonly isolated: boolean;
  /** The file system on it was cleanly unmounted. */
  readonly clean: boolean;
}

/** What the nodes part asks of the cloud part (`cloud.ts` implements it). */
export interface Hardware {
  listen(listener: PowerListener): void;
  /** Whether the instance has power now (pending counts as off, stopping as on). */
  hasPower(instance: string): boolean;
  /** The guest switched itself off: the instance stops or is terminated, by its attribute. */
  guestOff(instance: string): void;
  /** The guest rebooted: power stays, nothing changes for the cloud. Device names are dealt anew by the caller. */
  guestRebooted(instance: string): void;
  /** Volumes attached now, by attach name, root first. */
  attached(instance: string): readonly {
    readonly device: string;
    readonly volume: string;
    readonly sizeGiB: number;
    readonly nvme: boolean;
  }[];
  content(volume: string): Content;
  /** How long it takes to read all of a volume, beginning now, milliseconds. */
  readingTime(volume: string): number;
  /** How often anything was written to a volume, ever. */
  writes(volume: string): number;
  /** Puts new content on a volume; refused (throws) if the volume is not attached to an instance with power. */
  write(volume: string, content: Content): void;
  /** Asked at each cut. */
  describeCut(truth: (volume: string) => CutTruth): void;
}

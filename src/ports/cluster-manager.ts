import type { Contract, Driver, Port } from "./driver.ts";

/** The cluster's own configuration: what is declared, not what holds. Names come from here, never guessed. */
export interface ClusterConfig {
  readonly name: string;
  readonly uuid: string | undefined;
  /** In priority order, highest first. */
  readonly nodes: readonly string[];
  /** IP addresses by which the nodes speak to each other: those of the heartbeat first, then those of the mirrors. */
  readonly addresses: { readonly [node: string]: readonly string[] };
  /**
   * What its resources take for themselves in the network, as far as it can be told by its look: addresses, host names, ids
   * of route tables, interfaces, zones. Nothing of disks and scripts.
   */
  readonly claims: readonly { readonly resource: string; readonly value: string }[];
  readonly groups: readonly GroupConfig[];
  readonly mirrors: readonly MirrorConfig[];
  /** Names of hybrid disks; out of scope, so procedures refuse a cluster that has one. */
  readonly hybridDisks: readonly string[];
  /** Version of the program that saved the configuration, if written there. */
  readonly savedBy: string | undefined;
  /** sha256 of the configuration file's bytes on each node that answered: two digests mean two configurations. */
  readonly digests: { readonly [node: string]: string };
}

export interface GroupConfig {
  readonly name: string;
  readonly resources: readonly { readonly type: string; readonly name: string }[];
  readonly startsByItself: boolean;
  readonly failsOverByItself: boolean;
}

export interface MirrorConfig {
  readonly name: string;
  /** The group that has it as a resource; undefined if none has. */
  readonly group: string | undefined;
  /** The monitor whose `object` is this mirror: it also starts automatic recovery. */
  readonly monitor: string | undefined;
  /** The mirror device, as "/dev/NMP1". */
  readonly device: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** Device paths as configured, by node (a node's own setting overrides the common one). */
  readonly dataPartition: { readonly [node: string]: string };
  readonly clusterPartition: { readonly [node: string]: string };
  /** Nodes that have partitions set for themselves alone; for the others the common ones hold. */
  readonly ownPartitions: readonly string[];
  /**
   * Initial full copy ("execute initial mirror construction"): ON when the file does not say, and ON for all if it is ON
   * anywhere, be it for one node alone. The same for `initialMkfs`, which is off when the file does not say.
   */
  readonly fullCopy: boolean;
  readonly initialMkfs: boolean;
  readonly synchronous: boolean;
}

export type NodeStatus = "online" | "offline" | "pending" | "caution" | "unknown";
export type ThingStatus = "online" | "offline" | "pending" | "failed" | "unknown";
export type MonitorStatus =
  "normal" | "caution" | "failed" | "suspended" | "offline" | "unused" | "pending" | "unknown";

export interface ClusterState {
  /** The node that answered. */
  readonly askedOn: string;
  readonly nodes: { readonly [node: string]: NodeStatus };
  readonly groups: { readonly [group: string]: GroupState };
  /** By monitor, then by node. A node where the monitor does not run is absent. */
  readonly monitors: { readonly [monitor: string]: { readonly [node: string]: MonitorStatus } };
}

export interface GroupState {
  readonly status: ThingStatus;
  /** The node where it runs; undefined if nowhere. */
  readonly node: string | undefined;
  readonly resources: { readonly [resource: string]: ThingStatus };
}

export type Colour = "GREEN" | "YELLOW" | "RED" | "GRAY" | "BLUE" | "UNKNOWN";

export interface MirrorState {
  readonly mirror: string;
  readonly status: "Normal" | "Recovering" | "Abnormal" | "No Construction" | "Uncertain";
  readonly sides: { readonly [node: string]: MirrorSide };
  readonly recovery:
    | {
        readonly from: string | undefined;
        readonly to: string | undefined;
        readonly percent: number | undefined;
      }
    | undefined;
}

export interface MirrorSide {
  readonly colour: Colour;
  /** As printed, node's local time, "YYYY/MM/DD HH:MM:SS"; undefined for "--" or if the row is missing. */
  readonly lastUpdate: string | undefined;
  readonly breakTime: string | undefined;
}

/** How the cluster's software is set up on one node, whether or not it is a member now. */
export interface ServiceState {
  /** Whether the units that make it join at boot are enabled. */
  readonly startsAtBoot: boolean;
  readonly running: boolean;
  /** The mirror agent, which may run while the rest stands still. */
  readonly agentRuns: boolean;
}

/** A copy of a mirror, as the event log of one node tells of it. */
export interface MirrorCopy {
  /** "initial": the full copy after an initialisation; "unknown": the log does not say which. */
  readonly kind: "full" | "difference" | "initial" | "unknown";
  /** Whether its start was told. With `ended` and `failed` false too: an initial copy that was left out, as configured. */
  readonly started: boolean;
  /** It is over: well, failed, or canceled. */
  readonly ended: boolean;
  readonly failed: boolean;
  /** When it was told of first, by the node's clock as it stands now: "2026-03-01T09:00:00Z". */
  readonly at: string;
}

/** The dead-man timer as found on a node. */
export interface DeadManState {
  readonly run: string;
  /** "armed": proven by the init system to be ticking; "fired": it acted; "dead": left behind by an earlier boot. */
  readonly state: "armed" | "fired" | "dead";
  /** When it will act, in seconds of the node's uptime; only while armed. */
  readonly dueUptimeSeconds: number | undefined;
  /** What it wrote when it fired, one line a group. */
  readonly report: readonly string[];
}

/** Reads. `via` is the node that is asked; it must answer on the shell (else Failure `unavailable`). */
export interface ClusterReads {
  /** Read from every node of `nodes` that answers, at least one. Refuses what it does not know with `invalid`. */
  getConfig(nodes: readonly string[]): Promise<ClusterConfig>;
  getState(via: string): Promise<ClusterState>;
  /** State of one mirror as that node sees it. */
  getMirror(args: { readonly mirror: string; readonly via: string }): Promise<MirrorState>;
  /** Where the group runs, asked by its full name; undefined if nowhere. */
  findGroupNode(args: { readonly group: string; readonly via: string }): Promise<string | undefined>;
  getService(node: string): Promise<ServiceState>;
  /** What there is of the cluster's software on a machine, as paths; empty where it was never installed. */
  listTraces(node: string): Promise<readonly string[]>;
  /**
   * Copies of a mirror that the event log on `node` tells of since that uptime of its present boot, oldest first. Which node
   * tells of a copy is not known, so ask both. Proves what it shows, and nothing else: a log that cannot be read, or that
   * was kept elsewhere, looks like one without copies.
   */
  findCopies(args: {
    readonly node: string;
    readonly mirror: string;
    readonly sinceUptimeSeconds: number;
  }): Promise<readonly MirrorCopy[]>;
  /** undefined: there is none. */
  findDeadMan(node: string): Promise<DeadManState | undefined>;
}

export interface ClusterWrites {
  stopGroup: { readonly group: string; readonly node: string };
  startGroup: { readonly group: string; readonly node: string };
  /** `node` is where the monitor runs; `via` is where the command is given. */
  suspendMonitor: { readonly monitor: string; readonly node: string; readonly via: string };
  resumeMonitor: { readonly monitor: string; readonly node: string; readonly via: string };
  /** Stops mirroring to `node` and makes that side stale: run on the standby, never on the side that serves. */
  breakMirror: { readonly mirror: string; readonly node: string };
  /** Asks for a copy; returns when it has begun. Never chooses a side by force. */
  recoverMirror: { readonly mirror: string; readonly node: string };
  /** Backup mode on for all mirrors of the node, automatic start off, power off. */
  prepareBackup: { readonly node: string };
  /** Backup mode off, automatic start on, reboot; afterwards the node joins by itself. Starts the mirror on the way. */
  finishBackup: { readonly node: string };
  /** Starts the cluster's software on a node that is up, enabled and did not join. */
  startService: { readonly node: string };
  /** Moves a group: stopped on `from`, started on `to`. Given on `from`, where it runs. */
  moveGroup: { readonly group: string; readonly from: string; readonly to: string };
  /** Automatic start off, power off; the mirrors are left as they are. Groups that run on the node go to its peer. */
  prepareRestore: { readonly node: string };
  /**
   * Writes the control data of all mirrors of the node anew, automatic start on, reboot; afterwards the node joins by itself.
   * Rewrites whatever lies at the configured partitions, so these must be proven for this boot. `skipCopy` makes both sides
   * count as identical. Refused, with nothing changed, while the initial full copy of a mirror is on.
   */
  finishRestore: { readonly node: string; readonly skipCopy: boolean };
  /**
   * Sets the initial full copy and the initial mkfs of mirrors, for the whole cluster, with the cluster running. Starts from
   * the configuration that `node` has, so all nodes must have the same one. A setting that a node has for itself alone is
   * not changed: a look shows it.
   */
  setMirrorOptions: {
    readonly node: string;
    readonly mirrors: readonly string[];
    readonly fullCopy: boolean;
    readonly initialMkfs: boolean;
  };
  /**
   * Sets the partitions of a mirror in the configuration of this one node, and distributes nothing: give it for every node,
   * so that they agree again. `of`: the node whose own setting it becomes, whether or not it had one; null: the common one, for
   * all that have none. Refused, with nothing changed, while the cluster's software runs there.
   */
  setMirrorDevices: {
    readonly node: string;
    readonly mirror: string;
    readonly dataPartition: string;
    readonly clusterPartition: string;
    readonly of: string | null;
  };
  /** Automatic start of the cluster's software at boot on or off; nothing is started or stopped now. */
  enableService: { readonly node: string };
  disableService: { readonly node: string };
  /** Stops the cluster's software; the node stays up, its mirror agent too. Groups that run there go to the peer. */
  stopService: { readonly node: string };
  /**
   * Makes the content of `node` the one that counts, and copies it over the other side, whatever that holds. Only ever with
   * a person's word on which side is to win. Returns when the copy has begun.
   */
  forceGood: { readonly mirror: string; readonly node: string };
  /**
   * Sets the dead-man timer on `node` and proves it ticking. When it fires it starts `groups` (only those), only if:
   * the boot id is still `bootId`, the marker names `run`, each group is online nowhere, its `mirrors` are GREEN here, and
   * the peer is visible as a member without the group, or was proven RED by the break of this run.
   */
  armDeadMan: {
    readonly node: string;
    readonly peer: string;
    readonly run: string;
    readonly bootId: string;
    readonly groups: readonly string[];
    readonly mirrors: readonly string[];
    readonly afterSeconds: number;
  };
  renewDeadMan: { readonly node: string; readonly run: string; readonly afterSeconds: number };
  /** Takes it away; there may be none. */
  clearDeadMan: { readonly node: string; readonly run: string };
}

const write = (
  limitMs: number,
  more: { takesNodeDown?: true; renewal?: true; repeat?: "safe" } = {},
): Contract => ({
  kind: "write",
  repeat: more.repeat ?? "look",
  visibleWithinMs: 0,
  limitMs,
  ...(more.takesNodeDown && { takesNodeDown: true }),
  ...(more.renewal && { renewal: true }),
});
const minute = 60_000;

export const clusterContract: { readonly [M in keyof (ClusterReads & ClusterWrites)]: Contract } = {
  getConfig: { kind: "read" },
  getState: { kind: "read" },
  getMirror: { kind: "read" },
  findGroupNode: { kind: "read" },
  getService: { kind: "read" },
  listTraces: { kind: "read" },
  findCopies: { kind: "read" },
  findDeadMan: { kind: "read" },
  // Scripts may take 1,800 s, unmounting 3 × 300 s, fsck 7,200 s (reference clusterpro 3.4).
  stopGroup: write(60 * minute),
  startGroup: write(180 * minute),
  suspendMonitor: write(3 * minute),
  resumeMonitor: write(3 * minute),
  breakMirror: write(5 * minute),
  recoverMirror: write(5 * minute),
  // 900 s is the time limit that the vendor's own REST interface gives these (reference clusterpro 3.7).
  prepareBackup: write(15 * minute, { takesNodeDown: true }),
  finishBackup: write(15 * minute, { takesNodeDown: true }),
  startService: write(10 * minute, { repeat: "safe" }),
  // A stop and a start.
  moveGroup: write(240 * minute),
  // As for the backup; groups that still run there are stopped first.
  prepareRestore: write(15 * minute, { takesNodeDown: true }),
  finishRestore: write(15 * minute, { takesNodeDown: true }),
  // Whoever sends them twice sets the same values twice.
  setMirrorOptions: write(5 * minute, { repeat: "safe" }),
  setMirrorDevices: write(5 * minute, { repeat: "safe" }),
  enableService: write(3 * minute, { repeat: "safe" }),
  disableService: write(3 * minute, { repeat: "safe" }),
  // Sent again, it would take away a service that came back meanwhile.
  stopService: write(60 * minute),
  forceGood: write(5 * minute),
  armDeadMan: write(minute, { repeat: "safe" }),
  renewDeadMan: write(minute, { renewal: true, repeat: "safe" }),
  clearDeadMan: write(minute, { repeat: "safe" }),
};

export type ClusterDriver = Driver<ClusterReads, ClusterWrites>;
export type Cluster = Port<ClusterReads, ClusterWrites>;

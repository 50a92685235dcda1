import type { Contract, Driver, Port } from "./driver.ts";

/** The cluster's own configuration: what is declared, not what holds. Names come from here, never guessed. */
export interface ClusterConfig {
  readonly name: string;
  readonly uuid: string | undefined;
  /** In priority order, highest first. */
  readonly nodes: readonly string[];
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
  /** Initial full copy ("execute initial mirror construction"): ON when the file does not say. */
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
  armDeadMan: write(minute, { repeat: "safe" }),
  renewDeadMan: write(minute, { renewal: true, repeat: "safe" }),
  clearDeadMan: write(minute, { repeat: "safe" }),
};

export type ClusterDriver = Driver<ClusterReads, ClusterWrites>;
export type Cluster = Port<ClusterReads, ClusterWrites>;

import type { Contract, Driver, Port } from "./driver.ts";

/** The operating system of a node, whatever cluster runs on it: boots, disks, and our marker. */
export interface BlockDevice {
  /** Kernel name as a path, "/dev/nvme1n1p2". */
  readonly path: string;
  readonly type: "disk" | "part" | "lvm" | "crypt" | "mpath" | "raid" | "loop" | "rom" | "other";
  /** Serial of the disk it lies on; on NVMe instances the volume id without its dash. */
  readonly serial: string | undefined;
  readonly sizeBytes: number;
  readonly partUuid: string | undefined;
  readonly mountPoints: readonly string[];
  /** Paths of the devices it lies on: none for a disk, one for a partition, several for a striped LV. */
  readonly under: readonly string[];
}

export interface Marker {
  readonly run: string;
  /** Who holds it: user, machine and process, as written by the holder. */
  readonly owner: string;
  readonly fence: number;
  /** Seconds left by the node's own clock; negative once expired. */
  readonly secondsLeft: number;
}

export type MarkerState =
  | { readonly held: false }
  | { readonly held: true; readonly marker: Marker }
  /** It is there and cannot be understood: counts as held. */
  | { readonly held: true; readonly marker: undefined; readonly why: string };

export interface NodesReads {
  /** Boot id and uptime; Failure `unavailable` if the node does not answer. */
  getBoot(node: string): Promise<{ readonly bootId: string; readonly uptimeSeconds: number }>;
  /** Whether the node answers on the shell at all: the boot id, or undefined. Host key and login trouble still throw. */
  findBoot(node: string): Promise<{ readonly bootId: string; readonly uptimeSeconds: number } | undefined>;
  listBlockDevices(node: string): Promise<readonly BlockDevice[]>;
  /** Real path behind links ("/dev/disk/by-partuuid/…" to "/dev/nvme1n1p2"); undefined if it does not exist. */
  resolvePath(args: { readonly node: string; readonly path: string }): Promise<string | undefined>;
  /** Processes that hold a mount point, as "PID COMMAND"; empty if none or not mounted. */
  listHolders(args: { readonly node: string; readonly mountPoint: string }): Promise<readonly string[]>;
  getMarker(node: string): Promise<MarkerState>;
}

/** `fence` is a number as text, so that a plan can leave it open: who takes a run over has a later one. */
export interface NodesWrites {
  /** Takes the marker by an atomic mkdir; fails with `conflict` (happened "no") if any is there, ours included: look first. */
  takeMarker: {
    readonly node: string;
    readonly run: string;
    readonly owner: string;
    readonly fence: string;
    readonly seconds: number;
  };
  /** Puts a new fence (a resume) into a marker of the same run; fails with `conflict` if it names another run. */
  adoptMarker: {
    readonly node: string;
    readonly run: string;
    readonly owner: string;
    readonly fence: string;
    readonly seconds: number;
  };
  renewMarker: {
    readonly node: string;
    readonly run: string;
    readonly fence: string;
    readonly seconds: number;
  };
  /** Takes it away if it names this run; another run's marker is left alone with `conflict`; none there is fine. */
  releaseMarker: { readonly node: string; readonly run: string };
  /** An orderly reboot of the operating system. The cluster's software must not run there, or it would count as a failure. */
  reboot: { readonly node: string };
}

export const nodesContract: { readonly [M in keyof (NodesReads & NodesWrites)]: Contract } = {
  getBoot: { kind: "read" },
  findBoot: { kind: "read" },
  listBlockDevices: { kind: "read" },
  resolvePath: { kind: "read" },
  listHolders: { kind: "read" },
  getMarker: { kind: "read" },
  takeMarker: { kind: "write", repeat: "look", visibleWithinMs: 0, limitMs: 60_000 },
  // Sent after a takeover only, as often as a node is met that still has the old fence.
  adoptMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000, renewal: true },
  renewMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000, renewal: true },
  releaseMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000 },
  reboot: { kind: "write", repeat: "look", visibleWithinMs: 0, limitMs: 120_000, takesNodeDown: true },
};

export type NodesDriver = Driver<NodesReads, NodesWrites>;
export type Nodes = Port<NodesReads, NodesWrites>;

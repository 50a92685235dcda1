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

export interface MountSeen {
  readonly device: string;
  readonly point: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** What lies on a partition, told without mounting it. */
export interface FileSystem {
  /** "xfs", "ext4"; undefined where nothing was recognized. */
  readonly type: string | undefined;
  /** "clean": nothing is left to replay. "unknown": it cannot be told, for the reason in `why`. */
  readonly log: "clean" | "dirty" | "unknown";
  readonly why: string;
}

/** What became of something that was tried below a drill's folder. It is kept on the node, so that a lost reply loses nothing. */
export interface Tried {
  /** Exit status; undefined where it could not be tried at all, or its end was never seen: `why` says so. */
  readonly code: number | undefined;
  readonly why: string;
  /** At most 64 KiB of each; `cut` if there was more. */
  readonly stdout: string;
  readonly stderr: string;
  readonly cut: boolean;
}

/** Everything that a drill puts on a node lies below "/run/runbook-drill-RUN": it is gone with a boot, whatever happens. */
export const drillFolders = "/run/runbook-drill-";
/** The longest that one check of a drill may run. */
export const longestCheckSeconds = 1800;

/** What LVM sees on a node. */
export interface LvmSeen {
  /** The lines of its devices file; undefined where there is none: then it looks at every device. */
  readonly entries: readonly string[] | undefined;
  /** Physical volumes that it sees, by the kernel's path; `group` is empty for one that belongs to none. */
  readonly physical: readonly { readonly device: string; readonly group: string }[];
  /** `device`: the kernel's path; undefined while it is not active. */
  readonly logical: readonly {
    readonly group: string;
    readonly name: string;
    readonly device: string | undefined;
  }[];
}

/** How a user's own command ended. It is kept on the node until its next boot, so that a lost reply loses nothing. */
export interface HookEnd {
  /** "over": it took longer than it may, and was ended. "unable": it could not be begun, or its end was never seen. */
  readonly how: "ended" | "over" | "unable";
  /** Exit status; only of one that ended by itself. */
  readonly code: number | undefined;
  /** The last lines that it printed, output and errors as they came, cut to what a journal bears; or why it was unable. */
  readonly said: readonly string[];
}

/** Where the ends of hooks are kept, by run; a boot empties it. */
export const hooksFolder = "/run/runbook-hooks";
/** The longest that one hook may run. */
export const longestHookSeconds = 1800;

/** One disk that is read from its first block to its last. It is known until the node's next boot, which also ends it. */
export interface Reading {
  readonly name: string;
  readonly state: "reading" | "whole" | "failed";
  readonly percent: number;
  /** Of one that failed. */
  readonly why: string;
}

/** Where readers are kept, by run; a boot empties it. */
export const readingsFolder = "/run/runbook-readings";

export interface NodesReads {
  /** Boot id and uptime; Failure `unavailable` if the node does not answer. */
  getBoot(node: string): Promise<{ readonly bootId: string; readonly uptimeSeconds: number }>;
  /** Whether the node answers on the shell at all: the boot id, or undefined. Host key and login trouble still throw. */
  findBoot(node: string): Promise<{ readonly bootId: string; readonly uptimeSeconds: number } | undefined>;
  /** What the system calls this installation, 32 hexadecimal digits (machine-id(5)); a copied disk has the same. */
  getMachineId(node: string): Promise<string>;
  listBlockDevices(node: string): Promise<readonly BlockDevice[]>;
  /** Real path behind links ("/dev/disk/by-partuuid/…" to "/dev/nvme1n1p2"); undefined if it does not exist. */
  resolvePath(args: { readonly node: string; readonly path: string }): Promise<string | undefined>;
  /** Processes that hold a mount point, as "PID COMMAND"; empty if none or not mounted. */
  listHolders(args: { readonly node: string; readonly mountPoint: string }): Promise<readonly string[]>;
  getMarker(node: string): Promise<MarkerState>;
  /** As the kernel has them, in the order of the mounting. */
  listMounts(node: string): Promise<readonly MountSeen[]>;
  /** Changes nothing, and does not mount. A tool that is missing is no failure: the log is then "unknown". */
  getFileSystem(args: { readonly node: string; readonly device: string }): Promise<FileSystem>;
  /** Undefined where LVM is not installed. */
  findLvm(node: string): Promise<LvmSeen | undefined>;
  /** Undefined if it was never begun, or is not over yet. */
  findTried(args: {
    readonly node: string;
    readonly folder: string;
    readonly name: string;
  }): Promise<Tried | undefined>;
  /** Undefined if it was never begun since the node's last boot, or is not over yet. */
  findHook(args: {
    readonly node: string;
    readonly run: string;
    readonly name: string;
  }): Promise<HookEnd | undefined>;
  /**
   * How much was written to a disk, and discarded on it, since the kernel met it (when it was attached, or at the boot), by
   * whatever way. Sectors; nothing where the kernel does not count discards.
   */
  getDiskWrites(args: {
    readonly node: string;
    readonly device: string;
  }): Promise<{ readonly written: number; readonly discarded: number | undefined }>;
  /** Those that this run has begun since the node's last boot, by name. */
  listReadings(args: { readonly node: string; readonly run: string }): Promise<readonly Reading[]>;
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
  /**
   * Puts this run's marker in the place of a dead run's. The node itself checks, in the same command, that the marker there
   * is still `from` ("RUN.FENCE") and expired more than `expiredSeconds` ago by its own clock; else `conflict`, happened
   * "no". Where this run's own marker stands already: no change.
   */
  takeOverMarker: {
    readonly node: string;
    readonly run: string;
    readonly owner: string;
    readonly fence: string;
    readonly seconds: number;
    readonly from: string;
    readonly expiredSeconds: number;
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
  /**
   * Mounts a file system at FOLDER/NAME, and keeps what became of that as tried under "NAME-HOW": a mount that is refused is
   * no failure of this call. "as-it-is": read-only, and its log is not replayed. "writable": replayed, as for use; a file
   * system of the same UUID may be there already. What was tried once is not tried again.
   */
  mountVolume: {
    readonly node: string;
    readonly folder: string;
    readonly name: string;
    readonly how: "as-it-is" | "writable";
    readonly device: string;
  };
  /** Not mounted: no change. Fails while something holds it. */
  unmountVolume: { readonly node: string; readonly folder: string; readonly name: string };
  /**
   * Runs a command in the folder `at`, as this user, without the right to gain others; what came of it is kept as tried under
   * `name`. Whatever its exit status, this call succeeds. Begun once, it is never begun again: a second call waits for its end.
   */
  runCheck: {
    readonly node: string;
    readonly folder: string;
    readonly name: string;
    readonly user: string;
    readonly seconds: number;
    readonly at: string;
    readonly argv: readonly string[];
  };
  /**
   * Runs a user's own command, in the root folder, as this user, and answers when it is over; how it ended is kept under run
   * and `name`. Whatever its exit status, this call succeeds. Begun once, it is never begun again under that name: a second
   * call waits for its end. It outlives the connection; when its time is over, it is ended with all that it started.
   */
  runHook: {
    readonly node: string;
    readonly run: string;
    readonly name: string;
    readonly user: string;
    readonly seconds: number;
    /** Beside what every command of ours finds in its environment. */
    readonly env: { readonly [variable: string]: string };
    readonly argv: readonly string[];
  };
  /**
   * Begins to read a whole disk, and answers when that is begun; nothing is written to it. It outlives the connection, and
   * ends with the boot. Begun once, it is not begun again under that name. Fails if the node's boot is not `boot`: the
   * device's name holds for that one.
   */
  startReading: {
    readonly node: string;
    readonly run: string;
    readonly name: string;
    readonly boot: string;
    readonly device: string;
    readonly sizeBytes: number;
  };
  /** Ends all that this run reads there, and forgets it; answers when no disk is held by it any more. Nothing there: no change. */
  stopReadings: { readonly node: string; readonly run: string };
  /** Puts a device into LVM's devices file, if there is one, and activates the volume group on it. Active: no change. */
  showToLvm: { readonly node: string; readonly device: string };
  /** Puts these lines into the devices file again, where one is missing; one a line. No such file: no change. */
  keepLvmEntries: { readonly node: string; readonly entries: string };
  /** Deactivates the volume group on a device, and takes the device out of the devices file. Not seen by LVM: no change. */
  hideFromLvm: { readonly node: string; readonly device: string };
  /**
   * Gives the volume group on a device this name and ids of its own, so that it cannot be taken for its original, and
   * activates it. Writes LVM's own data on the device, and nothing into a file system. Has the name already: only activated.
   */
  importVolumeGroup: { readonly node: string; readonly device: string; readonly name: string };
  /** Unmounts whatever is mounted below the folder, and takes it away. Gone already: no change. */
  clearFolder: { readonly node: string; readonly folder: string };
}

export const nodesContract: { readonly [M in keyof (NodesReads & NodesWrites)]: Contract } = {
  getBoot: { kind: "read" },
  findBoot: { kind: "read" },
  getMachineId: { kind: "read" },
  listBlockDevices: { kind: "read" },
  resolvePath: { kind: "read" },
  listHolders: { kind: "read" },
  getMarker: { kind: "read" },
  listMounts: { kind: "read" },
  getFileSystem: { kind: "read" },
  findLvm: { kind: "read" },
  findTried: { kind: "read" },
  findHook: { kind: "read" },
  getDiskWrites: { kind: "read" },
  listReadings: { kind: "read" },
  takeMarker: { kind: "write", repeat: "look", visibleWithinMs: 0, limitMs: 60_000 },
  // Sent after a takeover only, as often as a node is met that still has the old fence.
  adoptMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000, renewal: true },
  takeOverMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000 },
  renewMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000, renewal: true },
  releaseMarker: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000 },
  reboot: { kind: "write", repeat: "look", visibleWithinMs: 0, limitMs: 120_000, takesNodeDown: true },
  // A replay of a large log reads blocks that come over from the snapshot one by one (reference aws-ebs 5).
  mountVolume: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 30 * 60_000 },
  unmountVolume: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 10 * 60_000 },
  runCheck: {
    kind: "write",
    repeat: "safe",
    visibleWithinMs: 0,
    limitMs: (longestCheckSeconds + 60) * 1000,
  },
  runHook: {
    kind: "write",
    repeat: "safe",
    visibleWithinMs: 0,
    limitMs: (longestHookSeconds + 60) * 1000,
  },
  startReading: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000 },
  stopReadings: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 3 * 60_000 },
  showToLvm: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 5 * 60_000 },
  keepLvmEntries: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 60_000 },
  hideFromLvm: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 5 * 60_000 },
  importVolumeGroup: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 10 * 60_000 },
  clearFolder: { kind: "write", repeat: "safe", visibleWithinMs: 0, limitMs: 10 * 60_000 },
};

export type NodesDriver = Driver<NodesReads, NodesWrites>;
export type Nodes = Port<NodesReads, NodesWrites>;

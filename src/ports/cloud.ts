import type { Contract, Driver, Port } from "./driver.ts";

/** Instances, volumes and snapshots, in our words. Times are ISO 8601 in UTC, sizes in GiB. */
export type Tags = { readonly [key: string]: string };

export interface Attachment {
  readonly volume: string;
  readonly instance: string;
  /** The name given at attach, as "/dev/sdf"; inside the guest it may be another. */
  readonly device: string;
  readonly state: "attaching" | "attached" | "detaching" | "busy";
  readonly deleteOnTermination: boolean;
}

export interface Instance {
  readonly id: string;
  readonly state: "pending" | "running" | "stopping" | "stopped" | "shutting-down" | "terminated";
  /** Who stopped it: the guest itself, somebody by the API, or unknown. Only with state stopping or stopped. */
  readonly stoppedBy: "guest" | "api" | "unknown" | undefined;
  readonly zone: string;
  readonly type: string;
  /** Whether disks appear as NVMe, with the volume id as serial; otherwise by letter (Xen). */
  readonly nvme: boolean;
  /** What a shutdown from the guest does to the instance. */
  readonly onGuestShutdown: "stop" | "terminate";
  /** Name of what may replace the instance when it stops (an Auto Scaling group), if any. */
  readonly replacedBy: string | undefined;
  /** Whether starting it again is covered by a capacity reservation. */
  readonly capacityReserved: boolean;
  /** The networks of its interfaces, and all addresses that it has there, public ones too; none of one that is gone. */
  readonly subnets: readonly string[];
  readonly addresses: readonly string[];
  readonly rootDevice: string;
  readonly attachments: readonly Attachment[];
  readonly tags: Tags;
}

/** An instance as a search by address shows it. */
export interface InstanceSeen {
  readonly id: string;
  readonly state: Instance["state"];
  /** Its tag `Name`, if it has one. */
  readonly name: string | undefined;
  /** All its private IPv4 addresses. */
  readonly addresses: readonly string[];
}

export interface Volume {
  readonly id: string;
  readonly state: "creating" | "available" | "in-use" | "deleting" | "deleted" | "error";
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops: number | undefined;
  readonly throughputMiBps: number | undefined;
  readonly zone: string;
  readonly encrypted: boolean;
  readonly key: string | undefined;
  /** The snapshot that it was made from; it may be gone since. */
  readonly snapshot: string | undefined;
  /** Whether it was whole at its creation. Read it here: that fast restore was on for its snapshot does not tell. */
  readonly fastRestored: boolean;
  readonly createdAt: string;
  readonly attachments: readonly Attachment[];
  readonly tags: Tags;
}

export interface Snapshot {
  readonly id: string;
  readonly volume: string;
  readonly state: "pending" | "completed" | "error";
  readonly progressPercent: number;
  /** The instant whose content it holds. */
  readonly startedAt: string;
  readonly sizeGiB: number;
  readonly encrypted: boolean;
  readonly key: string | undefined;
  /** Where it is kept: "standard", or "archive", from where it must be brought back (for days) before a restore. */
  readonly tier: string;
  /** Why it failed, where the cloud says. */
  readonly reason: string | undefined;
  readonly tags: Tags;
}

/**
 * Fast restore of one snapshot in one zone. A failed attempt to switch it on ends in "disabling" and "off" again, with
 * a reason: whoever waits for "enabled" must take both for a failure. "enabled" is not the promise of a fast volume.
 */
export type FastRestoreState = "off" | "enabling" | "optimizing" | "enabled" | "disabling";

/** Who would miss a snapshot if it were gone. */
export interface References {
  readonly snapshot: string;
  /** Volumes made from it that are there. The cloud lets it go all the same; who works on them may want it again. */
  readonly volumes: readonly Volume[];
  /** Machine images that hold it: while there is one, the cloud does not let it go. */
  readonly images: readonly string[];
  /** Accounts that it is shared with, "all" for everybody. */
  readonly sharedWith: readonly string[];
}

export interface Lock {
  /** In the cloud's own word. */
  readonly state: string;
  /** Nothing while the snapshot is pending, and the time of its lock has not begun. */
  readonly until: string | undefined;
  /** Whether it keeps the snapshot from being deleted now; one whose time is over does not. */
  readonly holds: boolean;
}

/** Reads. Lists may lag behind writes by the `visibleWithinMs` of the write; a `get` of an unknown id throws `not-found`. */
export interface CloudReads {
  getInstance(instance: string): Promise<Instance>;
  /** Of it, only whether it runs: one call to the cloud, for whoever has to ask again and again. */
  getPower(instance: string): Promise<Pick<Instance, "id" | "state" | "stoppedBy">>;
  /**
   * Instances that have one of these private IPv4 addresses now, on any of their interfaces, by their ids; one that was
   * terminated has none. An address belongs to one network alone, so one address may find several instances.
   */
  findInstances(addresses: readonly string[]): Promise<readonly InstanceSeen[]>;
  /** In the order asked. */
  getVolumes(volumes: readonly string[]): Promise<readonly Volume[]>;
  /**
   * Own volumes that carry all these tags, oldest first; empty if none (or not visible yet). The value "*" stands for
   * any value of the tag; every other value is taken as it is written.
   */
  findVolumes(tags: Tags): Promise<readonly Volume[]>;
  /** Own snapshots that carry all these tags ("*" for any value), oldest first; empty if none (or not visible yet). */
  findSnapshots(tags: Tags): Promise<readonly Snapshot[]>;
  /** In the order asked. */
  getSnapshots(snapshots: readonly string[]): Promise<readonly Snapshot[]>;
  /**
   * Asks the cloud, by dry runs that change nothing, which of the rights for a backup of this node are missing:
   * starting the instance, snapshots of these volumes with tags. One sentence each, empty if all are there. What
   * could not be proven is a sentence too. `tags` as the real set will carry them: a policy may demand one.
   */
  findMissingRights(args: {
    readonly instance: string;
    readonly volumes: readonly string[];
    readonly tags?: Tags;
  }): Promise<readonly string[]>;
  /**
   * The same for a restore: a volume with these tags from the snapshot, tags on the volumes, detaching those of them that
   * are attached to the instance, attaching, starting; with `fastRestore`, switching that on and off as well. While the
   * old volume is still at the device, the cloud may answer an attempt to attach with "in use": that is no refusal, and no
   * sentence. For a full proof of the right to attach, ask again with a new volume among `volumes`. `starts: false` where
   * the instance runs and is left running; `marked` are snapshots that will be tagged.
   */
  findMissingRestoreRights(args: {
    readonly instance: string;
    readonly volumes: readonly string[];
    readonly snapshot: string;
    readonly zone: string;
    readonly device: string;
    readonly tags?: Tags;
    readonly fastRestore?: boolean;
    readonly starts?: boolean;
    readonly marked?: readonly string[];
  }): Promise<readonly string[]>;
  /** "off" also of a snapshot that nobody knows. `reason` is why it came to this state, where the cloud says. */
  getFastRestore(pair: {
    readonly snapshot: string;
    readonly zone: string;
  }): Promise<{ readonly state: FastRestoreState; readonly reason: string | undefined }>;
  /** Every fast restore of the account that is not off, whoever switched it on: each costs money by the minute. */
  listFastRestores(): Promise<
    readonly { readonly snapshot: string; readonly zone: string; readonly state: FastRestoreState }[]
  >;
  /**
   * How much of a volume has come over from its snapshot; minutes old. Nothing if the cloud does not say (a volume of no
   * snapshot); without `etaSeconds` where it does not foretell the end.
   */
  getInitialization(
    volume: string,
  ): Promise<{ readonly percent: number; readonly etaSeconds: number | undefined } | undefined>;
  /** The lock of a snapshot, one whose time is over too; nothing if it was never locked. An unknown id throws `not-found`. */
  findLock(snapshot: string): Promise<Lock | undefined>;
  /** Every lock on own snapshots, those whose time is over too. */
  listLocks(): Promise<readonly (Lock & { readonly snapshot: string })[]>;
  /** One for each of these own snapshots, in the order asked; an unknown id throws `not-found`. */
  getReferences(snapshots: readonly string[]): Promise<readonly References[]>;
  /**
   * As `findMissingRights`, for a prune: marking and deleting these snapshots, a final snapshot of each of `finalOf` with
   * these tags, deleting these volumes.
   */
  findMissingPruneRights(args: {
    readonly snapshots: readonly string[];
    readonly finalOf: readonly string[];
    readonly volumes: readonly string[];
    readonly tags?: Tags;
  }): Promise<readonly string[]>;
}

/** Writes: each name with its argument. */
export interface CloudWrites {
  /** Powers the instance on. On a running one: no change. */
  startInstance: { readonly instance: string };
  /** Asks the guest to shut down, then cuts power. On a stopped one: no change. */
  stopInstance: { readonly instance: string };
  /**
   * Cuts all these volumes of one instance at one instant: one snapshot each, tagged at creation (never later).
   * Two calls make two sets: look for the tags first. `otherVolumes` is every other data volume attached to the
   * instance (never its root, which is always left out), so that the driver can exclude what is not asked for;
   * `tags` must identify the operation.
   */
  createSnapshotSet: {
    readonly instance: string;
    readonly volumes: readonly string[];
    readonly otherVolumes: readonly string[];
    readonly description: string;
    readonly tags: Tags;
  };
  /** One snapshot of one volume, attached or not, tagged at creation. Two calls make two: look for the tags first. */
  createSnapshot: { readonly volume: string; readonly description: string; readonly tags: Tags };
  /** Sets tags on snapshots, volumes or instances; the same keys are overwritten. */
  setTags: { readonly resources: readonly string[]; readonly tags: Tags };
  /** Takes tags away whatever their values; one that is not there: no change. */
  removeTags: { readonly resources: readonly string[]; readonly keys: readonly string[] };
  /**
   * Makes a volume from a completed snapshot, tagged at creation. The same `token` (64 characters at most) with the same
   * arguments makes one volume, and with others is refused; but tokens are forgotten (EC2: after some hours), so look for
   * the tags first. A volume can still fail after the call succeeded, and vanish: it then takes another token.
   * `iops` and `throughputMiBps` are those of the volume that it replaces; a type that takes none is made without.
   * `initializationMiBps` has the content brought over at that rate, costs money, and comes before fast restore.
   */
  createVolume: {
    readonly snapshot: string;
    readonly zone: string;
    readonly sizeGiB: number;
    readonly type: string;
    readonly iops?: number;
    readonly throughputMiBps?: number;
    /** With false, a volume of an encrypted snapshot is encrypted all the same. */
    readonly encrypted: boolean;
    readonly key?: string;
    readonly initializationMiBps?: number;
    readonly token: string;
    readonly tags: Tags;
  };
  /** To an instance that runs or is stopped, in the volume's zone. It goes on at termination unless set otherwise. */
  attachVolume: { readonly volume: string; readonly instance: string; readonly device: string };
  /** Never by force: while a guest has the volume open, it stays "busy". The device is forgotten: note it before. */
  detachVolume: { readonly volume: string; readonly instance: string };
  /** Whether the volume at this device is deleted when the instance is terminated. */
  setDeleteOnTermination: { readonly instance: string; readonly device: string; readonly on: boolean };
  /** One that is gone already: no change. */
  deleteVolume: { readonly volume: string };
  /**
   * One that is gone already: no change. Refused while it is locked, fast restore of it is on in any zone, or a machine
   * image holds it. What is deleted may still lie in a bin of the cloud's, at the same price, until a rule empties that.
   */
  deleteSnapshot: { readonly snapshot: string };
  /** Costs money from now until it is off. Fails if it is refused for one of the zones; the others may then be on. */
  enableFastRestore: { readonly snapshot: string; readonly zones: readonly string[] };
  disableFastRestore: { readonly snapshot: string; readonly zones: readonly string[] };
}

export const cloudContract: { readonly [M in keyof (CloudReads & CloudWrites)]: Contract } = {
  getInstance: { kind: "read" },
  getPower: { kind: "read" },
  findInstances: { kind: "read" },
  getVolumes: { kind: "read" },
  findSnapshots: { kind: "read" },
  getSnapshots: { kind: "read" },
  findVolumes: { kind: "read" },
  findMissingRights: { kind: "read" },
  findMissingRestoreRights: { kind: "read" },
  getFastRestore: { kind: "read" },
  listFastRestores: { kind: "read" },
  getInitialization: { kind: "read" },
  findLock: { kind: "read" },
  listLocks: { kind: "read" },
  getReferences: { kind: "read" },
  findMissingPruneRights: { kind: "read" },
  startInstance: { kind: "write", repeat: "safe", visibleWithinMs: 10_000, limitMs: 60_000 },
  stopInstance: { kind: "write", repeat: "safe", visibleWithinMs: 10_000, limitMs: 60_000 },
  // Lists lag (reference aws-ebs 3.3, 4): a set that was made may not be found for minutes.
  createSnapshotSet: { kind: "write", repeat: "look", visibleWithinMs: 180_000, limitMs: 60_000 },
  createSnapshot: { kind: "write", repeat: "look", visibleWithinMs: 180_000, limitMs: 60_000 },
  setTags: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  removeTags: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  // The token makes a repeat safe for some hours only, and a look is safe for ever (reference aws-ebs 3.4).
  createVolume: { kind: "write", repeat: "look", visibleWithinMs: 180_000, limitMs: 60_000 },
  attachVolume: { kind: "write", repeat: "look", visibleWithinMs: 60_000, limitMs: 60_000 },
  detachVolume: { kind: "write", repeat: "look", visibleWithinMs: 60_000, limitMs: 60_000 },
  setDeleteOnTermination: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  deleteVolume: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  deleteSnapshot: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  enableFastRestore: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
  disableFastRestore: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
};

export type CloudDriver = Driver<CloudReads, CloudWrites> & {
  /** Where it speaks to, for the head of a run: "ec2 ap-northeast-1 (http://…)". */
  endpoint(): Promise<string>;
};
export type Cloud = Port<CloudReads, CloudWrites>;

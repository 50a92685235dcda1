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
  readonly rootDevice: string;
  readonly attachments: readonly Attachment[];
  readonly tags: Tags;
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
  /** Why it failed, where the cloud says. */
  readonly reason: string | undefined;
  readonly tags: Tags;
}

/** Reads. Lists may lag behind writes by the `visibleWithinMs` of the write; a `get` of an unknown id throws `not-found`. */
export interface CloudReads {
  getInstance(instance: string): Promise<Instance>;
  /** In the order asked. */
  getVolumes(volumes: readonly string[]): Promise<readonly Volume[]>;
  /** Own snapshots that carry all these tags, oldest first; empty if none (or not visible yet). */
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
  /** Sets tags on snapshots, volumes or instances; the same keys are overwritten. */
  setTags: { readonly resources: readonly string[]; readonly tags: Tags };
}

export const cloudContract: { readonly [M in keyof (CloudReads & CloudWrites)]: Contract } = {
  getInstance: { kind: "read" },
  getVolumes: { kind: "read" },
  findSnapshots: { kind: "read" },
  getSnapshots: { kind: "read" },
  findMissingRights: { kind: "read" },
  startInstance: { kind: "write", repeat: "safe", visibleWithinMs: 10_000, limitMs: 60_000 },
  stopInstance: { kind: "write", repeat: "safe", visibleWithinMs: 10_000, limitMs: 60_000 },
  // Lists lag (reference aws-ebs 3.3, 4): a set that was made may not be found for minutes.
  createSnapshotSet: { kind: "write", repeat: "look", visibleWithinMs: 180_000, limitMs: 60_000 },
  setTags: { kind: "write", repeat: "safe", visibleWithinMs: 60_000, limitMs: 60_000 },
};

export type CloudDriver = Driver<CloudReads, CloudWrites> & {
  /** Where it speaks to, for the head of a run: "ec2 ap-northeast-1 (http://…)". */
  endpoint(): Promise<string>;
};
export type Cloud = Port<CloudReads, CloudWrites>;

/**
 * What the lab's cloud is made of: the records of instances, volumes and snapshots, its settings, and its refusals.
 *
 * The records say what is true now. What the API shows may be older (`Dated`): a real cloud's lists are eventually
 * consistent (reference aws-ebs 4), and a driver that trusts the first look must fail here before it fails outside.
 */
import type { Content, CutTruth, Heart, PowerListener } from "./world.ts";

export type Tags = { readonly [key: string]: string };

export type InstanceState = "pending" | "running" | "stopping" | "stopped" | "shutting-down" | "terminated";

/** Why an instance is in its state, as the API says it: `StateReason`. */
export interface StateReason {
  readonly code: string;
  readonly message: string;
}

export interface InstanceRecord {
  readonly id: string;
  readonly name: string;
  readonly zone: string;
  readonly type: string;
  /** Disks appear as NVMe (a Nitro type), not by letter (Xen). */
  readonly nvme: boolean;
  readonly rootDevice: string;
  /** Its one private address. It keeps it while it is stopped (reference aws-ebs 1), and has none once it is terminated. */
  readonly privateAddress: string | undefined;
  readonly autoScalingGroup: string | undefined;
  readonly capacityReserved: boolean;
  onGuestShutdown: "stop" | "terminate";
  tags: Tags;
  readonly state: Dated<{ readonly state: InstanceState; readonly reason: StateReason | undefined }>;
  /** Since when it is in its state. */
  since: number;
  launchedAt: number;
  power: boolean;
  /** The next change that comes by itself: power on, forced off, settled. */
  timer: { cancel(): void } | undefined;
}

export interface AttachmentRecord {
  readonly instance: string;
  readonly device: string;
  readonly state: "attaching" | "attached" | "detaching" | "busy";
  readonly at: number;
  readonly deleteOnTermination: boolean;
}

export interface VolumeRecord {
  readonly id: string;
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops: number | undefined;
  readonly throughputMiBps: number | undefined;
  readonly zone: string;
  readonly encrypted: boolean;
  readonly key: string | undefined;
  /** The snapshot that it was made from. */
  readonly snapshot: string | undefined;
  /** Made by a call, not with the world: lists show it late. */
  readonly byApi: boolean;
  /** There was a credit of fast snapshot restore when it was made: nothing of it has to come over any more. */
  readonly fastRestored: boolean;
  /** How the content of the snapshot comes over; only where it was made from one. */
  readonly initialization: Initialization | undefined;
  readonly createdAt: number;
  tags: Tags;
  state: "creating" | "available" | "in-use" | "deleting" | "deleted" | "error";
  content: Content;
  readonly attachment: Dated<AttachmentRecord | undefined>;
  lastCutAt: number | undefined;
}

export interface Initialization {
  /** MiB/s that were asked for; otherwise it comes as it comes. */
  readonly rateMiBps: number | undefined;
  readonly from: number;
  readonly until: number;
}

/** A lock of a snapshot as it was asked for; its state and its end follow from these and the time. */
export interface LockRecord {
  readonly mode: "governance" | "compliance";
  readonly at: number;
  readonly days: number | undefined;
  /** A fixed end, in place of days. */
  readonly endsAt: number | undefined;
  readonly coolOffHours: number | undefined;
}

export type FastRestoreState = "enabling" | "optimizing" | "enabled" | "disabling" | "disabled";

/** Fast restore of one snapshot in one zone, since it was last switched on. */
export interface FastRestoreRecord {
  readonly snapshot: string;
  readonly zone: string;
  readonly sizeGiB: number;
  readonly state: Dated<FastRestoreState>;
  reason: string;
  /** When it came into each of its states. */
  readonly times: { [State in FastRestoreState]?: number };
  /** As they were at `creditedAt`. */
  credits: number;
  creditedAt: number;
  timer: { cancel(): void } | undefined;
}

export interface SnapshotRecord {
  readonly id: string;
  readonly volume: string;
  /** Same for all that were cut by one CreateSnapshots call: if one fails, all do (reference aws-ebs 2). */
  readonly set: string | undefined;
  readonly sizeGiB: number;
  readonly encrypted: boolean;
  readonly key: string | undefined;
  readonly description: string;
  readonly startedAt: number;
  readonly completesAt: number;
  readonly content: Content;
  /** Never shown by the API: what the lab's invariants judge the snapshot by. */
  readonly truth: CutTruth;
  tags: Tags;
  state: "pending" | "completed" | "error";
  tier: "standard" | "archive";
  lock: LockRecord | undefined;
  /** Accounts that may make volumes from it; "all" for everybody. */
  sharedWith: readonly string[];
  /** A record that was deleted while pending stays, since it counts against the volume's limit until it is done. */
  deleted: boolean;
  completedAt: number | undefined;
  reason: string | undefined;
  timer: { cancel(): void } | undefined;
}

/** A machine image: it holds the snapshots that its disks are made from. */
export interface ImageRecord {
  readonly id: string;
  readonly name: string;
  readonly createdAt: number;
  /** By attach name. */
  readonly snapshots: { readonly [device: string]: string };
  /** Not to be started from any more, and left out of lists unless they are asked for it. */
  disabled: boolean;
}

export interface CloudSettings {
  readonly region: string;
  readonly account: string;
  readonly zones: readonly string[];
  /** Access keys that the API knows. */
  readonly accessKeys: readonly string[];
  /** From StartInstances to power on. */
  readonly powerOnSeconds: number;
  /** From StopInstances until power is cut under a guest that did not go ("a few minutes", reference aws-ebs 2). */
  readonly forcedOffSeconds: number;
  /** From the guest's own power-off to the state `stopped`. */
  readonly settleSeconds: number;
  /** From `running` to status `ok` of the two checks. */
  readonly statusOkSeconds: number;
  /** How long a snapshot takes to complete, for each volume or for all. */
  readonly snapshotSeconds: number | ((volume: string) => number);
  /** How long a new snapshot or volume is missing from lists; and from questions by its id. */
  readonly listLagSeconds: number;
  readonly idLagSeconds: number;
  /** How old the states of instances and attachments are that the API shows. */
  readonly stateLagSeconds: number;
  readonly attachSeconds: number;
  readonly detachSeconds: number;
  readonly createVolumeSeconds: number;
  readonly deleteVolumeSeconds: number;
  /** How fast a volume from a snapshot becomes whole by itself, if nothing was paid for. */
  readonly lazyMiBps: number;
  /** How old the progress of that is that the API shows: up to five minutes (reference aws-ebs 2). */
  readonly initializationLagSeconds: number;
  /** All that may be asked for at one time in the region, MiB/s (reference aws-ebs 5). */
  readonly initializationLimitMiBps: number;
  /** How long the API remembers a token of CreateVolume: about twelve hours, as was measured (reference aws-ebs 3.4). */
  readonly tokenHours: number;
  readonly volumeLimit: number;
  /** Volumes of one instance, root included. */
  readonly attachmentLimit: number;
  /** Fast snapshot restore: from `enabling` to `optimizing`, and from `disabling` to `disabled`. */
  readonly fastRestoreEnablingSeconds: number;
  readonly fastRestoreDisablingSeconds: number;
  /** How many pairs of snapshot and zone may be on; whether AWS counts pairs or snapshots is not known (ibid.). */
  readonly fastRestoreLimit: number;
  /** How long a reply takes. */
  readonly latencyMs: number;
  /** In process, a call that is never answered ends after this much of the lab's time, so that nothing waits for ever. */
  readonly hangMs: number;
  /** The longest page of a list, whatever the caller asks for. */
  readonly pageSize: number;
}

/** The key that the lab's API knows unless told otherwise; its secret may be any text, signatures are not computed. */
export const labAccessKey = "LABACCESSKEY";

export const defaultSettings: CloudSettings = {
  region: "ap-northeast-1",
  account: "000000000000",
  zones: ["ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"],
  accessKeys: [labAccessKey],
  powerOnSeconds: 5,
  forcedOffSeconds: 240,
  settleSeconds: 2,
  statusOkSeconds: 120,
  snapshotSeconds: 120,
  listLagSeconds: 2,
  idLagSeconds: 0,
  stateLagSeconds: 1,
  attachSeconds: 2,
  detachSeconds: 2,
  createVolumeSeconds: 3,
  deleteVolumeSeconds: 5,
  lazyMiBps: 40,
  initializationLagSeconds: 60,
  initializationLimitMiBps: 5000,
  tokenHours: 12,
  volumeLimit: 5000,
  attachmentLimit: 27,
  fastRestoreEnablingSeconds: 15,
  fastRestoreDisablingSeconds: 15,
  fastRestoreLimit: 50,
  latencyMs: 50,
  hangMs: 600_000,
  pageSize: 1000,
};

/** Everything that the files of the cloud share. */
export interface CloudState {
  readonly heart: Heart;
  readonly settings: CloudSettings;
  readonly instances: Map<string, InstanceRecord>;
  readonly volumes: Map<string, VolumeRecord>;
  readonly snapshots: Map<string, SnapshotRecord>;
  readonly images: Map<string, ImageRecord>;
  /** What was asked with each token of CreateVolume, and the volume that came of it. */
  readonly tokens: Map<string, { readonly asked: string; readonly volume: string; readonly at: number }>;
  /** By snapshot and zone; those that were switched off again stay, as `disabled`. */
  readonly fastRestores: Map<string, FastRestoreRecord>;
  /** Keys that the caller may not use: what is made with one fails after the call succeeded (reference aws-ebs 2). */
  readonly badKeys: Set<string>;
  readonly listeners: PowerListener[];
  /** The nodes part's word on a volume at its cut. */
  describeCut: ((volume: string) => CutTruth) | undefined;
  /** The nodes part's word on whether a guest has a volume open: then it cannot be detached yet. */
  isOpen: ((volume: string) => boolean) | undefined;
}

/** A refusal of the cloud, with the code and the HTTP status that its API gives. */
export class CloudError extends Error {
  readonly code: string;
  readonly status: number;
  /** The lab does not model what was asked: a gap of the lab, not a fault of the caller. */
  readonly gap: boolean;

  constructor(code: string, message: string, status = 400, gap = false) {
    super(message);
    this.name = "CloudError";
    this.code = code;
    this.status = status;
    this.gap = gap;
  }
}

/** A value and what it was a short while ago. */
export class Dated<T> {
  #rows: { readonly at: number; readonly value: T }[];

  constructor(value: T, at: number) {
    this.#rows = [{ at, value }];
  }

  get now(): T {
    return this.#last().value;
  }

  set(value: T, at: number): void {
    this.#rows.push({ at, value });
    // Lags are seconds and changes are few: the last dozen is more than anybody can still ask for.
    if (this.#rows.length > 12) this.#rows = this.#rows.slice(-12);
  }

  /** As it was at that time; the oldest known if that is later. */
  seen(at: number): T {
    const row = this.#rows.findLast((candidate) => candidate.at <= at) ?? this.#rows[0];
    return (row ?? this.#last()).value;
  }

  #last(): { readonly at: number; readonly value: T } {
    const row = this.#rows.at(-1);
    if (row === undefined) throw new Error("a dated value always has a row");
    return row;
  }
}

export function getInstance(state: CloudState, id: string): InstanceRecord {
  const found = state.instances.get(id);
  // Terminated ones stay visible for about an hour (reference aws-ebs 2).
  const gone = found?.state.now.state === "terminated" && state.heart.clock.now() - found.since > 3_600_000;
  if (found === undefined || gone) {
    checkId(id, "i", "InvalidInstanceID.Malformed");
    throw new CloudError("InvalidInstanceID.NotFound", `The instance ID '${id}' does not exist`);
  }
  return found;
}

export function getVolume(state: CloudState, id: string): VolumeRecord {
  const found = state.volumes.get(id);
  if (found === undefined || found.state === "deleted") {
    checkId(id, "vol", "InvalidVolumeID.Malformed");
    throw new CloudError("InvalidVolume.NotFound", `The volume '${id}' does not exist.`);
  }
  return found;
}

export function getSnapshot(state: CloudState, id: string): SnapshotRecord {
  const found = state.snapshots.get(id);
  if (found === undefined || found.deleted) {
    checkId(id, "snap", "InvalidSnapshotID.Malformed");
    throw new CloudError("InvalidSnapshot.NotFound", `The snapshot '${id}' does not exist.`);
  }
  return found;
}

function checkId(id: string, prefix: string, code: string): void {
  if (!id.startsWith(`${prefix}-`))
    throw new CloudError(code, `Invalid id: "${id}" (expecting "${prefix}-...")`);
}

/** Volumes attached to an instance now, root first, then by device name. */
export function volumesOf(state: CloudState, instance: InstanceRecord): VolumeRecord[] {
  const rank = (volume: VolumeRecord) => {
    const device = volume.attachment.now?.device ?? "";
    return (device === instance.rootDevice ? "0" : "1") + device;
  };
  return [...state.volumes.values()]
    .filter((volume) => volume.attachment.now?.instance === instance.id)
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
}

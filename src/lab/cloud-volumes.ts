/** Volumes by the API: made from snapshots, attached, detached, deleted (reference aws-ebs 2 and 4). */
import type { FastRestores } from "./cloud-fast-restore.ts";
import {
  CloudError,
  Dated,
  getSnapshot,
  volumesOf,
  type AttachmentRecord,
  type CloudState,
  type Initialization,
  type InstanceRecord,
  type Tags,
  type VolumeRecord,
} from "./cloud-model.ts";
import { checkTags } from "./cloud-tags.ts";
import { blank } from "./world.ts";

export interface NewVolume {
  /** Same token and same parameters: the same volume; other parameters are refused (reference aws-ebs 2). */
  readonly token?: string | undefined;
  readonly zone: string;
  readonly snapshot?: string | undefined;
  readonly sizeGiB?: number | undefined;
  readonly type?: string | undefined;
  readonly iops?: number | undefined;
  readonly throughputMiBps?: number | undefined;
  readonly encrypted?: boolean | undefined;
  readonly key?: string | undefined;
  readonly initializationMiBps?: number | undefined;
  readonly tags: Tags;
}

export function createVolume(state: CloudState, fastRestores: FastRestores, spec: NewVolume): VolumeRecord {
  checkNewVolume(state, spec);
  const known = knownByToken(state, spec);
  if (known !== undefined) return known;
  const source = spec.snapshot === undefined ? undefined : getSnapshot(state, spec.snapshot);
  const now = state.heart.clock.now();
  const id = state.heart.newId("vol");
  const sizeGiB = spec.sizeGiB ?? source?.sizeGiB ?? 1;
  const key = spec.key ?? source?.key;
  // A rate comes before fast restore if both are there (reference aws-ebs 5).
  const fastRestored =
    source !== undefined &&
    spec.initializationMiBps === undefined &&
    fastRestores.takeCredit(source.id, spec.zone);
  const volume: VolumeRecord = {
    id,
    sizeGiB,
    type: spec.type ?? "gp2",
    iops: spec.iops,
    throughputMiBps: spec.throughputMiBps,
    zone: spec.zone,
    // A volume from an encrypted snapshot is encrypted, always (reference aws-ebs 8).
    encrypted: (spec.encrypted ?? false) || (source?.encrypted ?? false),
    key,
    snapshot: spec.snapshot,
    byApi: true,
    fastRestored,
    initialization:
      source === undefined
        ? undefined
        : comesOver(state, source.sizeGiB, fastRestored, spec.initializationMiBps),
    createdAt: now,
    tags: { ...spec.tags },
    state: "creating",
    content: source?.content ?? blank,
    attachment: new Dated(undefined, now),
    lastCutAt: undefined,
  };
  state.volumes.set(id, volume);
  if (spec.token !== undefined)
    state.tokens.set(spec.token, { asked: JSON.stringify(spec), volume: id, at: now });
  state.heart.effect(`volume ${id} made from ${spec.snapshot ?? "nothing"}`, {
    kind: "volume-created",
    volume: id,
    snapshot: spec.snapshot ?? null,
    fastRestored,
  });
  state.heart.after(state.settings.createVolumeSeconds * 1000, () => {
    if (volume.state !== "creating") return;
    if (key !== undefined && state.badKeys.has(key)) {
      // The call had succeeded: the volume just vanishes (reference aws-ebs 2).
      volume.state = "deleted";
      state.heart.effect(`volume ${id} failed for want of its key`, { kind: "volume-failed", volume: id });
      return;
    }
    volume.state = "available";
    state.heart.effect(`volume ${id} available`, { kind: "volume-available", volume: id });
  });
  return volume;
}

function comesOver(
  state: CloudState,
  sizeGiB: number,
  fastRestored: boolean,
  rateMiBps: number | undefined,
): Initialization {
  const from = state.heart.clock.now() + state.settings.createVolumeSeconds * 1000;
  const seconds = fastRestored ? 0 : (sizeGiB * 1024) / (rateMiBps ?? state.settings.lazyMiBps);
  return { rateMiBps, from, until: from + seconds * 1000 };
}

/**
 * What has not come over yet comes at the rate at which it comes by itself (how much a reader hurries it, no source says), and
 * nothing is read faster than the volume gives. The throughput of a volume that was made without one is that of a gp3, from
 * memory.
 */
export function readingTime(state: CloudState, volume: VolumeRecord): number {
  const { initialization, sizeGiB, throughputMiBps = 125 } = volume;
  const comes = Math.max(0, (initialization?.until ?? 0) - state.heart.clock.now());
  return Math.max(comes, ((sizeGiB * 1024) / throughputMiBps) * 1000);
}

function knownByToken(state: CloudState, spec: NewVolume): VolumeRecord | undefined {
  const known = spec.token === undefined ? undefined : state.tokens.get(spec.token);
  if (known === undefined) return undefined;
  if (state.heart.clock.now() - known.at > state.settings.tokenHours * 3_600_000) return undefined;
  if (known.asked !== JSON.stringify(spec))
    throw new CloudError(
      "IdempotentParameterMismatch",
      "The request uses the same client token as a previous, but non-identical request.",
    );
  return state.volumes.get(known.volume);
}

/** Throws what CreateVolume would answer; a repeated token is checked against its first use alone. */
export function checkNewVolume(state: CloudState, spec: NewVolume): void {
  // At the limit even the repeat of a call that had worked is refused (reference aws-ebs 3.4).
  const all = [...state.volumes.values()].filter((volume) => volume.state !== "deleted");
  if (all.length >= state.settings.volumeLimit)
    throw new CloudError("VolumeLimitExceeded", "You have exceeded your volume limit");
  if ((spec.token?.length ?? 0) > 64)
    throw new CloudError("InvalidParameterValue", "The client token is longer than 64 characters");
  if (knownByToken(state, spec) !== undefined) return;
  if (!state.settings.zones.includes(spec.zone))
    throw new CloudError("InvalidZone.NotFound", `The zone '${spec.zone}' does not exist.`);
  checkTags({}, spec.tags);
  checkSpeed(spec);
  checkRate(state, spec);
  if (spec.key !== undefined && spec.encrypted !== true)
    throw new CloudError("InvalidParameterCombination", "With KmsKeyId, Encrypted must be true");
  if (spec.snapshot === undefined) {
    if (spec.sizeGiB === undefined)
      throw new CloudError("MissingParameter", "The request must contain the parameter size/snapshot");
    return;
  }
  const source = getSnapshot(state, spec.snapshot);
  if (source.state !== "completed")
    throw new CloudError("IncorrectState", `Snapshot is in invalid state - ${source.state}`);
  if (spec.sizeGiB !== undefined && spec.sizeGiB < source.sizeGiB)
    throw new CloudError(
      "InvalidParameterValue",
      `The volume size is smaller than the snapshot's ${source.sizeGiB} GiB`,
    );
  if (source.tier !== "standard")
    throw new CloudError("IncorrectState", `Snapshot is in invalid tier - ${source.tier}`);
}

const ranges: { readonly [type: string]: readonly [least: number, most: number] } = {
  gp3: [3000, 80_000],
  io1: [100, 64_000],
  io2: [100, 256_000],
};

/** "Required for io1 and io2 volumes. Optional for gp3 volumes. Omit for all other volume types" (SDK); the texts are invented. */
function checkSpeed({ type = "gp2", iops, throughputMiBps }: NewVolume): void {
  if (!["standard", "gp2", "gp3", "io1", "io2", "st1", "sc1"].includes(type))
    throw new CloudError("InvalidParameterValue", `Unsupported volume type '${type}' for volume creation.`);
  const range = Object.hasOwn(ranges, type) ? ranges[type] : undefined;
  if (iops !== undefined && range === undefined)
    throw new CloudError(
      "InvalidParameterCombination",
      `The parameter iops is not supported for ${type} volumes.`,
    );
  if (iops === undefined && (type === "io1" || type === "io2"))
    throw new CloudError("MissingParameter", `The parameter iops must be specified for ${type} volumes.`);
  if (iops !== undefined && range !== undefined && (iops < range[0] || iops > range[1]))
    throw new CloudError(
      "InvalidParameterValue",
      `Volume iops of ${iops} is not between ${range.join(" and ")}`,
    );
  if (throughputMiBps !== undefined && type !== "gp3")
    throw new CloudError(
      "InvalidParameterCombination",
      `The parameter throughput is not supported for ${type} volumes.`,
    );
}

/** Over quota the request fails (reference aws-ebs 5); the code of that is in no source. */
function checkRate(state: CloudState, { initializationMiBps: rate, snapshot }: NewVolume): void {
  if (rate === undefined) return;
  if (snapshot === undefined)
    throw new CloudError("InvalidParameterCombination", "VolumeInitializationRate needs a snapshot");
  if (rate < 100 || rate > 300)
    throw new CloudError("InvalidParameterValue", "VolumeInitializationRate must be between 100 and 300");
  const now = state.heart.clock.now();
  const taken = [...state.volumes.values()]
    .filter(({ initialization }) => initialization !== undefined && initialization.until > now)
    .reduce((sum, { initialization }) => sum + (initialization?.rateMiBps ?? 0), 0);
  if (taken + rate > state.settings.initializationLimitMiBps)
    throw new CloudError("ResourceLimitExceeded", "The limit of volume initialization rates is reached");
}

export function attachVolume(
  state: CloudState,
  volume: VolumeRecord,
  instance: InstanceRecord,
  device: string,
): void {
  checkCanAttach(state, volume, instance, device);
  const now = state.heart.clock.now();
  const attaching: AttachmentRecord = {
    instance: instance.id,
    device,
    state: "attaching",
    at: now,
    deleteOnTermination: false,
  };
  volume.state = "in-use";
  volume.attachment.set(attaching, now);
  state.heart.effect(`volume ${volume.id} attaching to ${instance.id} as ${device}`, {
    kind: "volume-attaching",
    volume: volume.id,
    instance: instance.id,
    device,
  });
  state.heart.after(state.settings.attachSeconds * 1000, () => {
    const held = volume.attachment.now;
    if (held?.state !== "attaching" || held.at !== attaching.at) return;
    volume.attachment.set({ ...held, state: "attached" }, state.heart.clock.now());
    state.heart.effect(`volume ${volume.id} attached to ${instance.id} as ${device}`, {
      kind: "volume-attached",
      volume: volume.id,
      instance: instance.id,
      device,
    });
  });
}

export function checkCanAttach(
  state: CloudState,
  volume: VolumeRecord,
  instance: InstanceRecord,
  device: string,
): void {
  const power = instance.state.now.state;
  if (power !== "running" && power !== "stopped")
    throw new CloudError("IncorrectState", `Instance '${instance.id}' is not 'running' or 'stopped'.`);
  if (volume.attachment.now !== undefined)
    throw new CloudError("VolumeInUse", `${volume.id} is already attached to an instance`);
  if (volume.state !== "available")
    throw new CloudError("IncorrectState", `Volume '${volume.id}' is in the '${volume.state}' state`);
  if (volume.zone !== instance.zone)
    throw new CloudError(
      "InvalidVolume.ZoneMismatch",
      `The volume '${volume.id}' is not in the same availability zone as instance '${instance.id}'`,
    );
  if (volumesOf(state, instance).some((other) => other.attachment.now?.device === device))
    throw new CloudError(
      "InvalidParameterValue",
      `Invalid value '${device}' for unixDevice. Attachment point ${device} is already in use`,
    );
  if (volumesOf(state, instance).length >= state.settings.attachmentLimit)
    throw new CloudError(
      "AttachmentLimitExceeded",
      `The instance '${instance.id}' has as many volumes as it can take`,
    );
}

/** Whether the volume goes with the instance when that is terminated. */
export function setDeleteOnTermination(
  state: CloudState,
  instance: InstanceRecord,
  device: string,
  on: boolean,
): void {
  const volume = volumeAt(state, instance, device);
  const held = volume.attachment.now;
  if (held === undefined || held.deleteOnTermination === on) return;
  volume.attachment.set({ ...held, deleteOnTermination: on }, state.heart.clock.now());
  state.heart.effect(`volume ${volume.id} ${on ? "goes" : "stays"} when ${instance.id} is terminated`, {
    kind: "delete-on-termination-set",
    volume: volume.id,
    instance: instance.id,
    device,
    on,
  });
}

/** Throws what ModifyInstanceAttribute answers for a device that is not there; code and text are from memory. */
export function volumeAt(state: CloudState, instance: InstanceRecord, device: string): VolumeRecord {
  const found = volumesOf(state, instance).find((volume) => volume.attachment.now?.device === device);
  if (found === undefined)
    throw new CloudError("InvalidInstanceAttributeValue", `No device is currently mapped at ${device}`);
  return found;
}

export function detachVolume(state: CloudState, volume: VolumeRecord, instance: string | undefined): void {
  checkCanDetach(state, volume, instance);
  const held = volume.attachment.now;
  if (held === undefined || held.state === "detaching" || held.state === "busy") return;
  const detaching: AttachmentRecord = { ...held, state: "detaching" };
  volume.attachment.set(detaching, state.heart.clock.now());
  state.heart.effect(`volume ${volume.id} detaching from ${held.instance}`, {
    kind: "volume-detaching",
    volume: volume.id,
    instance: held.instance,
    device: held.device,
  });
  const again = (ms: number) => {
    state.heart.after(ms, () => {
      const now = volume.attachment.now;
      if (now === undefined || now.at !== detaching.at || now.instance !== detaching.instance) return;
      letGo(state, volume);
      // A guest closes a disk without anybody being told, so it is looked after, ever more seldom.
      if (volume.attachment.now !== undefined) again(Math.min(ms * 1.5, 600_000));
    });
  };
  again(state.settings.detachSeconds * 1000);
}

/** Ends a detach, or leaves it `busy` while the guest has the volume mounted or open (reference aws-ebs 4). */
function letGo(state: CloudState, volume: VolumeRecord): void {
  const held = volume.attachment.now;
  if (held === undefined) return;
  const powered = state.instances.get(held.instance)?.power === true;
  if (!powered || state.isOpen?.(volume.id) !== true) {
    detachNow(state, volume);
    return;
  }
  if (held.state === "busy") return;
  volume.attachment.set({ ...held, state: "busy" }, state.heart.clock.now());
  state.heart.effect(`volume ${volume.id} is busy in ${held.instance}`, {
    kind: "volume-busy",
    volume: volume.id,
    instance: held.instance,
    device: held.device,
  });
}

/** A guest that is gone holds nothing any more: what was busy is detached. */
export function letGoOf(state: CloudState, instance: InstanceRecord): void {
  for (const volume of volumesOf(state, instance))
    if (volume.attachment.now?.state === "busy") letGo(state, volume);
}

export function checkCanDetach(state: CloudState, volume: VolumeRecord, instance: string | undefined): void {
  const held = volume.attachment.now;
  if (held === undefined)
    throw new CloudError("IncorrectState", `Volume '${volume.id}' is in the '${volume.state}' state.`);
  if (instance !== undefined && instance !== held.instance)
    throw new CloudError(
      "InvalidAttachment.NotFound",
      `The volume ${volume.id} is not attached to ${instance}`,
    );
  const machine = state.instances.get(held.instance);
  if (machine?.rootDevice === held.device && machine.state.now.state !== "stopped")
    throw new CloudError(
      "IncorrectState",
      `Unable to detach root volume '${volume.id}' from instance '${held.instance}'`,
    );
}

export function deleteVolume(state: CloudState, volume: VolumeRecord): void {
  checkCanDelete(volume);
  volume.state = "deleting";
  state.heart.effect(`volume ${volume.id} deleting`, { kind: "volume-deleting", volume: volume.id });
  state.heart.after(state.settings.deleteVolumeSeconds * 1000, () => deleteNow(state, volume));
}

export function checkCanDelete(volume: VolumeRecord): void {
  const held = volume.attachment.now;
  if (held !== undefined)
    throw new CloudError("VolumeInUse", `Volume ${volume.id} is currently attached to ${held.instance}`);
  if (volume.state !== "available" && volume.state !== "error")
    throw new CloudError("IncorrectState", `Volume '${volume.id}' is in the '${volume.state}' state.`);
}

export function detachNow(state: CloudState, volume: VolumeRecord): void {
  const held = volume.attachment.now;
  if (held === undefined) return;
  volume.attachment.set(undefined, state.heart.clock.now());
  volume.state = "available";
  state.heart.effect(`volume ${volume.id} detached from ${held.instance}`, {
    kind: "volume-detached",
    volume: volume.id,
    instance: held.instance,
    device: held.device,
  });
}

export function deleteNow(state: CloudState, volume: VolumeRecord): void {
  volume.state = "deleted";
  state.heart.effect(`volume ${volume.id} deleted`, { kind: "volume-deleted", volume: volume.id });
}

/** Volumes by the API: made from snapshots, attached, detached, deleted (reference aws-ebs 2). */
import {
  CloudError,
  Dated,
  getSnapshot,
  volumesOf,
  type AttachmentRecord,
  type CloudState,
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
  readonly tags: Tags;
}

export function createVolume(state: CloudState, spec: NewVolume): VolumeRecord {
  const known = knownByToken(state, spec);
  if (known !== undefined) return known;
  checkNewVolume(state, spec);
  const source = spec.snapshot === undefined ? undefined : getSnapshot(state, spec.snapshot);
  const now = state.heart.clock.now();
  const id = state.heart.newId("vol");
  const volume: VolumeRecord = {
    id,
    sizeGiB: spec.sizeGiB ?? source?.sizeGiB ?? 1,
    type: spec.type ?? "gp2",
    iops: spec.iops,
    throughputMiBps: spec.throughputMiBps,
    zone: spec.zone,
    // A volume from an encrypted snapshot is encrypted, always (reference aws-ebs 8).
    encrypted: (spec.encrypted ?? false) || spec.key !== undefined || (source?.encrypted ?? false),
    key: spec.key ?? source?.key,
    snapshot: spec.snapshot,
    createdAt: now,
    tags: { ...spec.tags },
    state: "creating",
    content: source?.content ?? blank,
    attachment: new Dated(undefined, now),
    lastCutAt: undefined,
  };
  state.volumes.set(id, volume);
  if (spec.token !== undefined) state.tokens.set(spec.token, { asked: JSON.stringify(spec), volume: id });
  state.heart.effect(`volume ${id} made from ${spec.snapshot ?? "nothing"}`, {
    kind: "volume-created",
    volume: id,
    snapshot: spec.snapshot ?? null,
  });
  state.heart.after(state.settings.createVolumeSeconds * 1000, () => {
    if (volume.state !== "creating") return;
    volume.state = "available";
    state.heart.effect(`volume ${id} available`, { kind: "volume-available", volume: id });
  });
  return volume;
}

function knownByToken(state: CloudState, spec: NewVolume): VolumeRecord | undefined {
  const known = spec.token === undefined ? undefined : state.tokens.get(spec.token);
  if (known === undefined) return undefined;
  if (known.asked !== JSON.stringify(spec))
    throw new CloudError(
      "IdempotentParameterMismatch",
      "The request uses the same client token as a previous, but non-identical request.",
    );
  return state.volumes.get(known.volume);
}

/** Throws what CreateVolume would answer; a repeated token is checked against its first use alone. */
export function checkNewVolume(state: CloudState, spec: NewVolume): void {
  if (knownByToken(state, spec) !== undefined) return;
  if (!state.settings.zones.includes(spec.zone))
    throw new CloudError("InvalidZone.NotFound", `The zone '${spec.zone}' does not exist.`);
  checkTags({}, spec.tags);
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
    if (volume.attachment.now !== attaching) return;
    volume.attachment.set({ ...attaching, state: "attached" }, state.heart.clock.now());
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
}

export function detachVolume(state: CloudState, volume: VolumeRecord, instance: string | undefined): void {
  checkCanDetach(state, volume, instance);
  const held = volume.attachment.now;
  if (held === undefined || held.state === "detaching") return;
  const detaching: AttachmentRecord = { ...held, state: "detaching" };
  volume.attachment.set(detaching, state.heart.clock.now());
  state.heart.effect(`volume ${volume.id} detaching from ${held.instance}`, {
    kind: "volume-detaching",
    volume: volume.id,
    instance: held.instance,
    device: held.device,
  });
  state.heart.after(state.settings.detachSeconds * 1000, () => {
    if (volume.attachment.now === detaching) detachNow(state, volume);
  });
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
  deleteNow(state, volume);
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

/**
 * Snapshots: the content is that of the instant when the call is made, and is only copied afterwards, for minutes or
 * hours (reference aws-ebs 2). A second call makes a second snapshot: there is no token that would tell them apart.
 */
import {
  CloudError,
  volumesOf,
  type CloudState,
  type InstanceRecord,
  type SnapshotRecord,
  type Tags,
  type VolumeRecord,
} from "./cloud-model.ts";
import { checkTags } from "./cloud-tags.ts";
import type { Content, CutTruth } from "./world.ts";

export interface SnapshotSetOptions {
  readonly description?: string;
  readonly excludeBoot?: boolean;
  readonly excludeData?: readonly string[];
  readonly copyTagsFromVolume?: boolean;
  readonly tags: Tags;
}

/** A snapshot that is there when the world begins, however old. */
export interface SnapshotSpec {
  readonly id?: string;
  /** The volume that it was cut from; it may be gone since. */
  readonly volume: string;
  readonly sizeGiB: number;
  readonly startedAt: number;
  readonly state?: "completed" | "error";
  readonly set?: string;
  readonly key?: string;
  readonly tags: Tags;
  readonly content: Content;
  readonly truth: CutTruth;
}

export function addSnapshot(state: CloudState, spec: SnapshotSpec): SnapshotRecord {
  const { state: at = "completed" } = spec;
  const snapshot: SnapshotRecord = {
    id: spec.id ?? state.heart.newId("snap"),
    volume: spec.volume,
    set: spec.set,
    sizeGiB: spec.sizeGiB,
    encrypted: spec.key !== undefined,
    key: spec.key,
    description: "",
    startedAt: spec.startedAt,
    completesAt: spec.startedAt,
    content: spec.content,
    truth: spec.truth,
    tags: { ...spec.tags },
    state: at,
    tier: "standard",
    lock: undefined,
    sharedWith: [],
    deleted: false,
    completedAt: at === "completed" ? spec.startedAt : undefined,
    reason: at === "error" ? "An internal error occurred" : undefined,
    timer: undefined,
  };
  state.snapshots.set(snapshot.id, snapshot);
  return snapshot;
}

export function createSnapshot(
  state: CloudState,
  volume: VolumeRecord,
  description: string,
  tags: Tags,
): SnapshotRecord {
  checkCut(state, volume);
  checkTags({}, tags);
  return cut(state, volume, undefined, description, tags);
}

/** All at one instant, or none. */
export function createSnapshots(
  state: CloudState,
  instance: InstanceRecord,
  options: SnapshotSetOptions,
): readonly SnapshotRecord[] {
  const set = state.heart.newId("set");
  return checkSet(state, instance, options).map(({ volume, tags }) =>
    cut(state, volume, set, options.description ?? "", tags),
  );
}

/** The volumes of a set with the tags of their snapshots; throws if one of them may not be cut now. */
export function checkSet(
  state: CloudState,
  instance: InstanceRecord,
  options: SnapshotSetOptions,
): readonly { readonly volume: VolumeRecord; readonly tags: Tags }[] {
  const all = volumesOf(state, instance);
  const excluded = options.excludeData ?? [];
  if (excluded.length > 40)
    throw new CloudError(
      "InvalidParameterValue",
      "No more than 40 volumes can be excluded from a snapshot set",
    );
  for (const id of excluded) {
    const volume = all.find((candidate) => candidate.id === id);
    if (volume === undefined || volume.attachment.now?.device === instance.rootDevice)
      throw new CloudError("InvalidParameterValue", `${id} is not a data volume attached to ${instance.id}`);
  }
  const volumes = all.filter((volume) => {
    const boot = volume.attachment.now?.device === instance.rootDevice;
    return !(boot && options.excludeBoot === true) && !excluded.includes(volume.id);
  });
  if (volumes.length === 0)
    throw new CloudError(
      "InvalidParameterValue",
      `No volume of ${instance.id} is left to take a snapshot of`,
    );
  return volumes.map((volume) => {
    checkCut(state, volume);
    const copied = Object.entries(volume.tags).filter(
      ([key]) => options.copyTagsFromVolume && !key.startsWith("aws:"),
    );
    const tags = { ...Object.fromEntries(copied), ...options.tags };
    checkTags({}, tags);
    return { volume, tags };
  });
}

/** The two limits of a volume (reference aws-ebs 6). */
export function checkCut(state: CloudState, volume: VolumeRecord): void {
  if (volume.state !== "available" && volume.state !== "in-use")
    throw new CloudError("IncorrectState", `Volume '${volume.id}' is in the '${volume.state}' state.`);
  const now = state.heart.clock.now();
  if (volume.lastCutAt !== undefined && now - volume.lastCutAt < 15_000)
    throw new CloudError(
      "SnapshotCreationPerVolumeRateExceeded",
      "The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable sleep interval between requests.",
    );
  // Failed ones count until they are deleted.
  const open = [...state.snapshots.values()].filter(
    (snapshot) => snapshot.volume === volume.id && snapshot.state !== "completed",
  );
  if (open.length >= (volume.type === "st1" || volume.type === "sc1" ? 1 : 5))
    throw new CloudError(
      "ConcurrentSnapshotLimitExceeded",
      `Maximum allowed in-progress snapshots for a single volume exceeded for ${volume.id}`,
    );
}

function cut(
  state: CloudState,
  volume: VolumeRecord,
  set: string | undefined,
  description: string,
  tags: Tags,
): SnapshotRecord {
  const { heart, settings } = state;
  const id = heart.newId("snap");
  const now = heart.clock.now();
  const takes =
    typeof settings.snapshotSeconds === "number"
      ? settings.snapshotSeconds
      : settings.snapshotSeconds(volume.id);
  const truth = truthOf(state, volume);
  const snapshot: SnapshotRecord = {
    id,
    volume: volume.id,
    set,
    sizeGiB: volume.sizeGiB,
    encrypted: volume.encrypted,
    key: volume.key,
    description,
    startedAt: now,
    completesAt: now + takes * 1000,
    content: volume.content,
    truth,
    tags: { ...tags },
    state: "pending",
    tier: "standard",
    lock: undefined,
    sharedWith: [],
    deleted: false,
    completedAt: undefined,
    reason: undefined,
    timer: undefined,
  };
  volume.lastCutAt = now;
  state.snapshots.set(id, snapshot);
  heart.effect(`snapshot ${id} of ${volume.id} cut`, {
    kind: "snapshot-cut",
    snapshot: id,
    volume: volume.id,
    instance: volume.attachment.now?.instance ?? null,
    set: set ?? null,
    powerOff: truth.powerOff,
    isolated: truth.isolated,
    clean: truth.clean,
    tags: JSON.stringify(tags),
  });
  snapshot.timer = heart.after(takes * 1000, () => {
    if (snapshot.deleted) {
      state.snapshots.delete(id);
      return;
    }
    snapshot.state = "completed";
    snapshot.completedAt = heart.clock.now();
    heart.effect(`snapshot ${id} completed`, { kind: "snapshot-completed", snapshot: id, volume: volume.id });
  });
  return snapshot;
}

function truthOf(state: CloudState, volume: VolumeRecord): CutTruth {
  if (state.describeCut !== undefined) return state.describeCut(volume.id);
  const held = volume.attachment.now;
  const powered = held !== undefined && state.instances.get(held.instance)?.power === true;
  return { powerOff: !powered, isolated: false, clean: !volume.content.dirty };
}

export function failSnapshot(
  state: CloudState,
  snapshot: SnapshotRecord,
  reason = "An internal error occurred",
): void {
  const members = [...state.snapshots.values()].filter(
    (other) =>
      !other.deleted && (other === snapshot || (snapshot.set !== undefined && other.set === snapshot.set)),
  );
  for (const member of members) {
    member.timer?.cancel();
    member.state = "error";
    member.reason = reason;
    state.heart.effect(`snapshot ${member.id} failed`, {
      kind: "snapshot-failed",
      snapshot: member.id,
      volume: member.volume,
    });
  }
}

export function deleteSnapshot(state: CloudState, snapshot: SnapshotRecord): void {
  snapshot.deleted = true;
  if (snapshot.state !== "pending") state.snapshots.delete(snapshot.id);
  state.heart.effect(`snapshot ${snapshot.id} deleted`, {
    kind: "snapshot-deleted",
    snapshot: snapshot.id,
    volume: snapshot.volume,
    state: snapshot.state,
  });
}

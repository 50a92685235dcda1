/** Puts instances and volumes into the lab's cloud while the world is built, before anything is booked. */
import { Dated, type CloudState, type InstanceRecord, type Tags, type VolumeRecord } from "./cloud-model.ts";
import type { Content } from "./world.ts";

export interface InstanceSpec {
  readonly id?: string;
  readonly name: string;
  readonly zone: string;
  readonly type: string;
  readonly nvme: boolean;
  readonly onGuestShutdown: "stop" | "terminate";
  readonly tags?: Tags;
  readonly capacityReserved?: boolean;
  readonly autoScalingGroup?: string;
  readonly privateAddress?: string;
  /** Attach name of the volume it boots from; "/dev/xvda" if not said. */
  readonly rootDevice?: string;
  /** "stopped" unless said; a "running" one has power at once, and its listeners are told. */
  readonly state?: "stopped" | "running";
}

export interface VolumeSpec {
  readonly id?: string;
  readonly sizeGiB: number;
  readonly type: string;
  readonly iops?: number;
  readonly throughputMiBps?: number;
  readonly zone: string;
  readonly encrypted?: boolean;
  readonly key?: string;
  readonly tags?: Tags;
  readonly content: Content;
}

/** A new instance; answers with its id. */
export function addInstance(state: CloudState, spec: InstanceSpec): string {
  const id = spec.id ?? state.heart.newId("i");
  const now = state.heart.clock.now();
  const on = spec.state === "running";
  const record: InstanceRecord = {
    id,
    name: spec.name,
    zone: spec.zone,
    type: spec.type,
    nvme: spec.nvme,
    rootDevice: spec.rootDevice ?? "/dev/xvda",
    privateAddress: spec.privateAddress,
    autoScalingGroup: spec.autoScalingGroup,
    capacityReserved: spec.capacityReserved ?? false,
    onGuestShutdown: spec.onGuestShutdown,
    tags: {
      Name: spec.name,
      ...(spec.autoScalingGroup !== undefined && { "aws:autoscaling:groupName": spec.autoScalingGroup }),
      ...spec.tags,
    },
    state: new Dated({ state: on ? "running" : "stopped", reason: undefined }, now),
    since: now,
    launchedAt: now,
    power: on,
    timer: undefined,
  };
  state.instances.set(id, record);
  if (on) for (const listener of state.listeners) listener.poweredOn(id);
  return id;
}

/** A new volume, attached to nothing; answers with its id. */
export function addVolume(state: CloudState, spec: VolumeSpec): string {
  const id = spec.id ?? state.heart.newId("vol");
  const now = state.heart.clock.now();
  state.volumes.set(id, {
    id,
    sizeGiB: spec.sizeGiB,
    type: spec.type,
    iops: spec.iops,
    throughputMiBps: spec.throughputMiBps,
    zone: spec.zone,
    encrypted: spec.encrypted ?? spec.key !== undefined,
    key: spec.key,
    snapshot: undefined,
    byApi: false,
    fastRestored: false,
    initialization: undefined,
    createdAt: now,
    tags: { ...spec.tags },
    state: "available",
    content: spec.content,
    attachment: new Dated(undefined, now),
    lastCutAt: undefined,
  });
  return id;
}

/** Attaches at build time: at once, whatever the state. True for the root only, unless said (reference aws-ebs 7). */
export function attachAtOnce(
  state: CloudState,
  instance: InstanceRecord,
  volume: VolumeRecord,
  device: string,
  deleteOnTermination: boolean | undefined,
): void {
  const at = state.heart.clock.now();
  volume.state = "in-use";
  volume.attachment.set(
    {
      instance: instance.id,
      device,
      state: "attached",
      at,
      deleteOnTermination: deleteOnTermination ?? device === instance.rootDevice,
    },
    at - 86_400_000,
  );
}

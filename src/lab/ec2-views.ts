/** What EC2's API shows of the cloud's records, under the wire's names; states are as old as the settings say. */
import type { Cloud } from "./cloud.ts";
import type { InstanceRecord, InstanceState, SnapshotRecord, Tags, VolumeRecord } from "./cloud-model.ts";
import { timeXml, type Xml } from "./ec2-xml.ts";

type View = { readonly [name: string]: Xml };

const stateCodes: { readonly [State in InstanceState]: number } = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

export function stateView(state: InstanceState): View {
  return { code: stateCodes[state], name: state };
}

/** The instant that reads of states look at. */
export function shownAt(cloud: Cloud): number {
  return cloud.heart.clock.now() - cloud.settings.stateLagSeconds * 1000;
}

export function shownState(cloud: Cloud, instance: InstanceRecord): InstanceState {
  return instance.state.seen(shownAt(cloud)).state;
}

export function shownAddress(cloud: Cloud, instance: InstanceRecord): string | undefined {
  return shownState(cloud, instance) === "terminated" ? undefined : instance.privateAddress;
}

export function shownAttachment(cloud: Cloud, volume: VolumeRecord) {
  return volume.attachment.seen(shownAt(cloud));
}

/** The state follows the attachment that is shown, so that one reply never contradicts itself. */
export function shownVolumeState(cloud: Cloud, volume: VolumeRecord): VolumeRecord["state"] {
  if (volume.state !== "available" && volume.state !== "in-use") return volume.state;
  return shownAttachment(cloud, volume) === undefined ? "available" : "in-use";
}

export function tagsView(tags: Tags): Xml {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

/** A network of the lab has a subnet in each zone. */
function subnetOf(address: string, zone: string): string {
  const network = address
    .split(".")
    .slice(0, 3)
    .map((part) => Number(part).toString(16).padStart(2, "0"));
  return `subnet-${network.join("")}${Buffer.from(zone.slice(-2)).toString("hex")}`.padEnd(24, "0");
}

export function instanceView(cloud: Cloud, instance: InstanceRecord): View {
  const { state, reason } = instance.state.seen(shownAt(cloud));
  const address = shownAddress(cloud, instance);
  const volumes = cloud
    .listVolumes()
    .map((volume) => ({ volume, held: shownAttachment(cloud, volume) }))
    .filter(({ held }) => held?.instance === instance.id);
  return {
    instanceId: instance.id,
    imageId: "ami-00000000000000000",
    instanceState: stateView(state),
    privateDnsName: `${instance.name}.lab.internal`,
    privateIpAddress: address,
    subnetId: address === undefined ? undefined : subnetOf(address, instance.zone),
    // Of an interface, as much as a search by address needs.
    networkInterfaceSet:
      address === undefined
        ? []
        : [
            {
              networkInterfaceId: instance.id.replace(/^i-/, "eni-"),
              status: "in-use",
              subnetId: subnetOf(address, instance.zone),
              privateIpAddress: address,
              privateIpAddressesSet: [{ privateIpAddress: address, primary: true }],
            },
          ],
    reason:
      reason === undefined ? "" : `${reason.message.replace(/^[^:]*: /, "")} (${timeXml(instance.since)})`,
    amiLaunchIndex: 0,
    instanceType: instance.type,
    launchTime: timeXml(instance.launchedAt),
    placement: { availabilityZone: instance.zone, groupName: "", tenancy: "default" },
    monitoring: { state: "disabled" },
    stateReason: reason && { code: reason.code, message: reason.message },
    architecture: "x86_64",
    rootDeviceType: "ebs",
    rootDeviceName: instance.rootDevice,
    blockDeviceMapping: volumes.map(({ volume, held }) => ({
      deviceName: held?.device,
      ebs: {
        volumeId: volume.id,
        status: held?.state,
        attachTime: held && timeXml(held.at),
        deleteOnTermination: held?.deleteOnTermination,
      },
    })),
    virtualizationType: "hvm",
    clientToken: "",
    tagSet: tagsView(instance.tags),
    // Nitro types say "xen" here too; only DescribeInstanceTypes tells them apart.
    hypervisor: "xen",
    ebsOptimized: instance.nvme,
    enaSupport: true,
    capacityReservationId:
      instance.capacityReserved && state !== "stopped" ? reservationOf(instance) : undefined,
    capacityReservationSpecification: instance.capacityReserved
      ? { capacityReservationTarget: { capacityReservationId: reservationOf(instance) } }
      : { capacityReservationPreference: "open" },
  };
}

function reservationOf(instance: InstanceRecord): string {
  return instance.id.replace(/^i-/, "cr-");
}

export function volumeView(cloud: Cloud, volume: VolumeRecord): View {
  const held = shownAttachment(cloud, volume);
  return {
    volumeId: volume.id,
    size: volume.sizeGiB,
    snapshotId: volume.snapshot ?? "",
    availabilityZone: volume.zone,
    status: shownVolumeState(cloud, volume),
    createTime: timeXml(volume.createdAt),
    attachmentSet: held === undefined ? [] : [attachmentView(volume, held)],
    tagSet: tagsView(volume.tags),
    volumeType: volume.type,
    iops: volume.iops ?? defaultIops(volume),
    throughput: volume.throughputMiBps ?? (volume.type === "gp3" ? 125 : undefined),
    encrypted: volume.encrypted,
    kmsKeyId: volume.key,
    multiAttachEnabled: false,
    ...(volume.snapshot !== undefined && { fastRestored: volume.fastRestored }),
    volumeInitializationRate: volume.initialization?.rateMiBps,
  };
}

/** Of volumes from snapshots only; the end is foretold only where a rate was asked for (SDK, InitializationStatusDetails). */
export function initializationView(cloud: Cloud, { initialization }: VolumeRecord): View | undefined {
  if (initialization === undefined) return undefined;
  const { from, until, rateMiBps } = initialization;
  const at = cloud.heart.clock.now() - cloud.settings.initializationLagSeconds * 1000;
  const share = at >= until ? 1 : Math.max(0, at - from) / (until - from);
  return {
    initializationType: rateMiBps === undefined ? "default" : "provisioned-rate",
    progress: Math.floor(share * 100),
    ...(rateMiBps !== undefined && {
      estimatedTimeToCompleteInSeconds: Math.ceil(Math.max(0, until - Math.max(at, from)) / 1000),
    }),
  };
}

/** `warning` while an io1 or io2 volume comes over is ordinary (reference aws-ebs 2). */
export function statusView(cloud: Cloud, { type, initialization }: VolumeRecord): "ok" | "warning" {
  const slow = initialization !== undefined && initialization.until > cloud.heart.clock.now();
  return slow && (type === "io1" || type === "io2") ? "warning" : "ok";
}

export function attachmentView(
  volume: VolumeRecord,
  held: NonNullable<ReturnType<typeof shownAttachment>>,
): View {
  return {
    volumeId: volume.id,
    instanceId: held.instance,
    device: held.device,
    status: held.state,
    attachTime: timeXml(held.at),
    deleteOnTermination: held.deleteOnTermination,
  };
}

function defaultIops(volume: VolumeRecord): number | undefined {
  if (volume.type === "gp3") return 3000;
  return volume.type === "gp2" ? Math.min(16_000, Math.max(100, volume.sizeGiB * 3)) : undefined;
}

export function snapshotView(cloud: Cloud, snapshot: SnapshotRecord): View {
  return {
    snapshotId: snapshot.id,
    volumeId: snapshot.volume,
    status: snapshot.state,
    statusMessage: snapshot.reason,
    startTime: timeXml(snapshot.startedAt),
    completionTime: snapshot.completedAt === undefined ? undefined : timeXml(snapshot.completedAt),
    progress: `${cloud.progress(snapshot)}%`,
    ownerId: cloud.settings.account,
    volumeSize: snapshot.sizeGiB,
    description: snapshot.description,
    tagSet: tagsView(snapshot.tags),
    encrypted: snapshot.encrypted,
    kmsKeyId: snapshot.key,
    storageTier: snapshot.tier,
  };
}

/** CreateSnapshots says `state` where DescribeSnapshots says `status`. */
export function snapshotInfoView(cloud: Cloud, snapshot: SnapshotRecord): View {
  return {
    description: snapshot.description,
    tagSet: tagsView(snapshot.tags),
    encrypted: snapshot.encrypted,
    volumeId: snapshot.volume,
    state: snapshot.state,
    volumeSize: snapshot.sizeGiB,
    startTime: timeXml(snapshot.startedAt),
    progress: "",
    ownerId: cloud.settings.account,
    snapshotId: snapshot.id,
  };
}

/**
 * Which volumes carry the mirrors: the chain volume id ↔ NVMe serial (or letter and size on Xen) ↔ partition, or physical
 * volume, volume group and logical volume ↔ the cluster's own configuration (design 4 "Devices", reference aws-ebs 7). A
 * proof holds for one boot id. A volume group has one physical volume: one over several is cut and swapped as a whole or
 * not at all, and which of its parts are whose nobody could tell by looking at one volume.
 */
import { Failure } from "../errors.ts";
import type { Instance, Volume } from "../ports/cloud.ts";
import type { BlockDevice, LvmSeen } from "../ports/nodes.ts";
import type { RoleMirror } from "./roles.ts";
import type { World } from "./step.ts";

export interface MirrorVolume {
  readonly mirror: string;
  readonly part: "data" | "cluster";
  /** As configured in the cluster. */
  readonly path: string;
  readonly volume: string;
  /** Of a logical volume: its group and its name, as "vg_md1/data". */
  readonly logical?: string;
}

export interface VolumesFound {
  /** Each partition of each mirror with the volume it lies on. */
  readonly partitions: readonly MirrorVolume[];
  /** The volumes to cut, each once. */
  readonly volumes: readonly string[];
  /** Attached to the same instance, not part of a mirror, and not the root volume. */
  readonly others: readonly string[];
}

/** Finds them on one node now, or refuses with what does not fit. */
export async function findMirrorVolumes(
  world: World,
  node: string,
  mirrors: readonly RoleMirror[],
): Promise<VolumesFound> {
  const instance = await world.cloud.getInstance(world.instanceOf(node));
  const attached = await world.cloud.getVolumes(instance.attachments.map((attachment) => attachment.volume));
  const devices = await world.nodes.listBlockDevices(node);
  const lvm = devices.some(({ type }) => type === "lvm") ? await world.nodes.findLvm(node) : undefined;
  const partitions: MirrorVolume[] = [];
  for (const mirror of mirrors) {
    for (const part of ["data", "cluster"] as const) {
      const path = (part === "data" ? mirror.dataPartition : mirror.clusterPartition)[node];
      if (path === undefined)
        throw new Failure("precondition", `${mirror.name} has no ${part} partition configured for ${node}`);
      const { disk, logical } = await findDisk(world, node, mirror, path, devices, lvm);
      const volume = volumeOf(node, disk, instance, attached);
      partitions.push({ mirror: mirror.name, part, path, volume, ...(logical !== undefined && { logical }) });
    }
  }
  const volumes = [...new Set(partitions.map((partition) => partition.volume))];
  const root = instance.attachments.find((attachment) => attachment.device === instance.rootDevice)?.volume;
  if (root !== undefined && volumes.includes(root))
    throw new Failure(
      "unsupported",
      `a mirror of ${node} lies on its root volume ${root}; a snapshot of it could not be restored alone`,
    );
  const others = attached.map((volume) => volume.id).filter((id) => id !== root && !volumes.includes(id));
  return { partitions, volumes, others };
}

async function findDisk(
  world: World,
  node: string,
  mirror: RoleMirror,
  path: string,
  devices: readonly BlockDevice[],
  lvm: LvmSeen | undefined,
): Promise<{ readonly disk: BlockDevice; readonly logical?: string }> {
  const real = await world.nodes.resolvePath({ node, path });
  const device = devices.find((candidate) => candidate.path === real);
  if (!device)
    throw new Failure("precondition", `${node}: ${path} of ${mirror.name} is no block device there`, {
      hint: "compare `lsblk` on that node with the mirror's settings in the cluster; of a logical volume, also `lvs` and `lvmdevices`",
    });
  const place = `${path} of ${mirror.name}`;
  const wrong = (what: string) => new Failure("unsupported", `${node}: ${place} ${what}`);
  if (device.type !== "part" && device.type !== "disk" && device.type !== "lvm")
    throw wrong(`is a ${device.type} device (${device.path}); of the device mapper's, only LVM is supported`);
  const disks = disksUnder(device, devices);
  const [disk] = disks;
  if (!disk) throw new Failure("precondition", `${node}: the disk under ${device.path} cannot be found`);
  if (device.type !== "lvm") return { disk };
  if (disks.length > 1)
    throw wrong(
      `lies on ${disks.length} disks (${disks.map((each) => each.path).join(", ")}): a logical volume over several is not supported`,
    );
  const strange = between(device, devices).find(({ type }) => type !== "lvm" && type !== "part");
  if (strange) throw wrong(`lies on the ${strange.type} device ${strange.path}, which is not supported`);
  const logical = lvm?.logical.find((each) => each.device === device.path);
  if (!logical)
    throw new Failure("precondition", `${node}: ${place} is a logical volume that \`lvs\` does not list`);
  const physical = (lvm?.physical ?? []).filter(({ group }) => group === logical.group);
  if (physical.length !== 1)
    throw wrong(
      `lies in the volume group ${logical.group}, which has ${physical.length} physical volumes (${physical.map((each) => each.device).join(", ")}); supported is one`,
    );
  return { disk, logical: `${logical.group}/${logical.name}` };
}

function disksUnder(device: BlockDevice, devices: readonly BlockDevice[]): readonly BlockDevice[] {
  if (device.type === "disk") return [device];
  const below = devices.filter(({ path }) => device.under.includes(path));
  return [...new Set(below.flatMap((each) => disksUnder(each, devices)))];
}

/** What lies between a device and its disk: a partition; for a thin volume also the pool. */
function between(device: BlockDevice, devices: readonly BlockDevice[]): readonly BlockDevice[] {
  const below = devices.filter(({ path, type }) => device.under.includes(path) && type !== "disk");
  return below.flatMap((each) => [each, ...between(each, devices)]);
}

/** Whether this disk is that volume: by its serial, which is the volume id without its dash, or on Xen by letter and size
 * (reference aws-ebs 7). */
export function isDiskOf(disk: BlockDevice, volume: Volume, instance: Instance): boolean {
  if (instance.nvme) return volume.id.replaceAll("-", "") === disk.serial;
  const device = volume.attachments.find((attachment) => attachment.instance === instance.id)?.device;
  return (
    device !== undefined &&
    /([a-z])\d*$/.exec(device)?.[1] === /([a-z])$/.exec(disk.path)?.[1] &&
    volume.sizeGiB * 1024 ** 3 === disk.sizeBytes
  );
}

function volumeOf(node: string, disk: BlockDevice, instance: Instance, attached: readonly Volume[]): string {
  const found = attached.filter((volume) => isDiskOf(disk, volume, instance));
  if (instance.nvme) {
    if (found.length === 1 && found[0]) return found[0].id;
    throw new Failure(
      "precondition",
      `${node}: ${disk.path} has the serial ${disk.serial ?? "(none)"}, which is no attached volume`,
    );
  }
  if (found.length === 1 && found[0]) return found[0].id;
  throw new Failure(
    "precondition",
    `${node}: ${disk.path} fits ${found.length} attached volumes by letter and size; wanted one`,
  );
}

/** What of the mirrors lies on a volume, in the words of a tag: "md1:data+md1:cluster". */
export function contentOf(partitions: readonly MirrorVolume[], volume: string): string {
  return partitions
    .filter((partition) => partition.volume === volume)
    .map(({ mirror, part }) => `${mirror}:${part}`)
    .join("+");
}

/**
 * Which logical volumes on a volume hold the mirrors' data, in the words of a tag: "md1:data=vg_md1/data"; empty without LVM.
 * What does not fit a tag (256 characters) is left out as a whole: half a name would be another one's.
 */
export function layoutOf(partitions: readonly MirrorVolume[], volume: string): string {
  const layout = partitions
    .flatMap(({ mirror, part, logical, volume: on }) =>
      on === volume && part === "data" && logical !== undefined ? [`${mirror}:data=${logical}`] : [],
    )
    .join("+");
  return layout.length > 256 ? "" : layout;
}

/** After a boot, before anything starts the mirror: the same partitions still lie on the same volumes. */
export async function assertSameDevices(
  world: World,
  node: string,
  mirrors: readonly RoleMirror[],
  proven: VolumesFound,
): Promise<void> {
  const now = await findMirrorVolumes(world, node, mirrors);
  for (const was of proven.partitions) {
    const is = now.partitions.find(
      (candidate) => candidate.mirror === was.mirror && candidate.part === was.part,
    );
    if (is?.volume !== was.volume)
      throw new Failure(
        "precondition",
        `${node}: the ${was.part} partition of ${was.mirror} (${was.path}) was on ${was.volume}, now it is on ${is?.volume ?? "nothing"}`,
        {
          hint: "do not start the mirror there: correct the device names in the cluster's configuration first",
        },
      );
  }
}

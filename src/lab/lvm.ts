/**
 * LVM on one node: what it sees of its disks, and which logical volumes are active. The layout lies on the volume and
 * travels with snapshots (design 4, "Devices"). A devices file names each device by an id that belongs to the volume, so a
 * volume made from a snapshot is not seen until it is listed too, and its group does not come up (design 6).
 *
 * From memory of lvmdevices(8), lvmsystemid(7) and LVM's source, and so to be doubted: the form of the file; that a missing
 * file means that all devices are seen; that an entry of the type "devname" is found by the id of its physical volume,
 * wherever that is now; that listing a device takes the place of an entry with the same physical volume whose own device is
 * gone; that a group of which two copies are seen is not activated; that groups which are seen come up by themselves, at a
 * boot and when a disk is attached.
 */
import { createHash } from "node:crypto";

import type { Disk, Partition } from "./disks.ts";
import type { LabNode } from "./node.ts";
import type { PhysicalVolume } from "./world.ts";

const gib = 1024 ** 3;
export const devicesFile = "/etc/lvm/devices/system.devices";

/** A device that holds a physical volume. */
export interface Physical {
  readonly path: string;
  readonly disk: Disk;
  /** 0: the whole disk. */
  readonly part: number;
  readonly layout: PhysicalVolume;
}

export interface Logical {
  /** The kernel's name, "/dev/dm-0"; undefined while it is not active. */
  readonly path: string | undefined;
  readonly group: string;
  readonly name: string;
  /** As of a partition of a mirror's disk: 1 for the cluster partition, 2 for the data partition. */
  readonly number: number;
  readonly sizeBytes: number;
}

/** One line of the devices file. */
export interface Entry {
  readonly idType: string;
  readonly idName: string;
  readonly pvid: string;
  readonly part: number;
  readonly line: string;
}

export class Lvm {
  readonly #node: LabNode;
  /** Volumes that were there when LVM looked last; what is new is activated if it is seen then. */
  readonly #noticed = new Set<string>();
  /** The number of the first device of each active group, by the volume that it lies on. */
  readonly #active = new Map<string, number>();

  constructor(node: LabNode) {
    this.#node = node;
  }

  boot(): void {
    this.#noticed.clear();
    this.#active.clear();
  }

  /** Disks come and go; what came and is seen becomes active by itself. */
  notice(disks: readonly Disk[]): void {
    for (const volume of [...this.#noticed])
      if (!disks.some((disk) => disk.volume === volume)) {
        this.#noticed.delete(volume);
        this.#active.delete(volume);
      }
    const fresh = disks.filter(({ volume }) => !this.#noticed.has(volume));
    for (const { volume } of fresh) this.#noticed.add(volume);
    for (const physical of this.all(disks))
      if (fresh.includes(physical.disk) && this.sees(physical)) this.activate(physical, disks);
  }

  all(disks: readonly Disk[]): readonly Physical[] {
    return disks.flatMap((disk): Physical[] => {
      const layout = disk.content.lvm;
      if (layout === undefined) return [];
      const [partition] = disk.partitions;
      if (layout.on === "disk") return [{ path: disk.path, disk, part: 0, layout }];
      return partition ? [{ path: partition.path, disk, part: partition.number, layout }] : [];
    });
  }

  sees(physical: Physical): boolean {
    const entries = this.entries();
    return entries === undefined || entries.some((entry) => this.fits(entry, physical));
  }

  fits(entry: Entry, { disk, part, layout }: Physical): boolean {
    if (entry.idType === "devname") return entry.pvid === pvidOf(layout);
    return disk.serial !== undefined && entry.idName === wwidOf(disk.serial) && entry.part === part;
  }

  /** Undefined where there is no devices file. */
  entries(): readonly Entry[] | undefined {
    const { files } = this.#node;
    if (files.find(devicesFile) === undefined) return undefined;
    return files.read(devicesFile).split("\n").flatMap(entryOf);
  }

  /** Whether two devices are seen that call themselves the same physical volume. */
  isDoubled(physical: Physical, disks: readonly Disk[]): boolean {
    const same = this.all(disks).filter(
      (other) => other.layout.pvUuid === physical.layout.pvUuid && this.sees(other),
    );
    return same.length > 1;
  }

  /** False where LVM refuses. */
  activate(physical: Physical, disks: readonly Disk[]): boolean {
    if (this.#active.has(physical.disk.volume)) return true;
    if (this.isDoubled(physical, disks)) return false;
    const used = [...this.#active.values()];
    let first = 0;
    while (used.some((start) => Math.abs(start - first) < 2)) first += 1;
    this.#active.set(physical.disk.volume, first);
    return true;
  }

  deactivate({ disk }: Physical): void {
    this.#active.delete(disk.volume);
  }

  logical({ disk, layout }: Physical): readonly Logical[] {
    const first = this.#active.get(disk.volume);
    return layout.logical.map((name, index) => ({
      path: first === undefined ? undefined : `/dev/dm-${first + index}`,
      group: layout.group,
      name,
      number: index + 1,
      sizeBytes: index === 0 ? gib : disk.sizeBytes - 2 * gib,
    }));
  }
}

/** As the device mapper names it: its own hyphen parts group and volume, so theirs are doubled. */
export function mapperName({ group, name }: Pick<Logical, "group" | "name">): string {
  return [group, name].map((word) => word.replaceAll("-", "--")).join("-");
}

/** What a partition of LVM's is called beside others on its disk. */
export function isPhysical({ content }: Disk, partition: Partition): boolean {
  return content.lvm?.on === "part" && partition.number === 1;
}

export interface LvmOptions {
  /** What the physical volume is; a partition, if not said. */
  readonly on?: PhysicalVolume["on"];
  /** Whether nodes have a devices file; yes, if not said. */
  readonly devicesFile?: boolean;
  /** Another logical volume beside those of the mirror. */
  readonly more?: string;
}

/** One name on both nodes, whose groups were made one by one, and so have ids of their own. */
export const groupOf = (mirror: number): string => `vg_md${mirror}`;

export function newPhysical(
  seed: string,
  group: string,
  { on = "part", more }: LvmOptions = {},
): PhysicalVolume {
  const logical = ["cluster", "data", ...(more === undefined ? [] : [more])];
  return { on, group, groupUuid: uuidFrom(`${seed} group`), pvUuid: uuidFrom(`${seed} pv`), logical };
}

/** The devices file as it was left when the groups were made. */
export function listDevices(node: LabNode, options: LvmOptions = {}): void {
  if (options.devicesFile === false) return;
  const physical = node.disks.lvm.all(node.disks.list());
  node.files.plant(devicesFile, fileOf(physical.map(lineFor)), 0o600);
}

/** LVM's own form: 32 letters and digits in groups of 6, 4, 4, 4, 4, 4, 6. */
export function uuidFrom(seed: string): string {
  const letters = createHash("sha256").update(seed).digest("base64").replace(/[+/=]/g, "x").slice(0, 32);
  return letters.replace(/^(.{6})(.{4})(.{4})(.{4})(.{4})(.{4})(.{6})$/, "$1-$2-$3-$4-$5-$6-$7");
}

export function pvidOf({ pvUuid }: PhysicalVolume): string {
  return pvUuid.replaceAll("-", "");
}

/** /sys/block/nvme1n1/wwid of an EBS volume: vendor, serial and model in hexadecimal. */
export function wwidOf(serial: string): string {
  const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");
  return `nvme.1d0f-${hex(serial)}-${hex("Amazon Elastic Block Store")}-00000001`;
}

export function lineFor({ path, disk, part, layout }: Physical): string {
  const what = `DEVNAME=${path} PVID=${pvidOf(layout)}`;
  if (disk.serial === undefined) return `IDTYPE=devname IDNAME=${path} ${what}`;
  return `IDTYPE=sys_wwid IDNAME=${wwidOf(disk.serial)} ${what}${part === 0 ? "" : ` PART=${part}`}`;
}

/** The numbers and times in it are invented. */
export function fileOf(lines: readonly string[]): string {
  const head = [
    "# LVM uses devices listed in this file.",
    "# Created by LVM command vgcreate pid 1523 at Mon Jan 12 09:14:02 2026",
    "PRODUCT_UUID=ec2a0b1c-0000-4000-8000-000000000000",
    "VERSION=1.1.1",
  ];
  return [...head, ...lines, ""].join("\n");
}

function entryOf(line: string): Entry[] {
  const value = (key: string) => new RegExp(`(?:^| )${key}=(\\S+)`).exec(line)?.[1];
  const idType = value("IDTYPE");
  const idName = value("IDNAME");
  if (idType === undefined || idName === undefined) return [];
  return [{ idType, idName, pvid: value("PVID") ?? "", part: Number(value("PART") ?? 0), line }];
}

/**
 * The disks of one node as its kernel names them. NVMe names are dealt anew at each boot, in any order, except the
 * root's; the serial is the volume's id without its dash. Xen names follow the attach name and have no serial
 * (reference aws-ebs 7). A mirror's disk has a small cluster partition and a data partition (reference clusterpro 2).
 */
import { FileError, type Mount } from "./files.ts";
import { isPhysical, Lvm, mapperName, type Logical } from "./lvm.ts";
import type { LabNode } from "./node.ts";
import type { Content } from "./world.ts";

const gib = 1024 ** 3;

export interface Partition {
  readonly path: string;
  readonly number: number;
  readonly sizeBytes: number;
  readonly partUuid: string;
  readonly mountPoint: string | undefined;
}

export interface Disk {
  readonly path: string;
  readonly volume: string;
  readonly serial: string | undefined;
  readonly sizeBytes: number;
  readonly content: Content;
  readonly root: boolean;
  readonly partitions: readonly Partition[];
}

/** What a path leads to: a partition, an active logical volume, or (as 0) what holds LVM's physical volume. */
export interface Place {
  readonly path: string;
  readonly number: number;
  readonly sizeBytes: number;
}

export class Disks {
  readonly #node: LabNode;
  readonly lvm: Lvm;
  /** Kernel name of each volume, for this boot. */
  readonly #names = new Map<string, string>();
  /** How often each volume had been written to when this boot's kernel first met it. */
  readonly #met = new Map<string, number>();
  #planted = "";
  /** In which order the kernel finds the data disks at a boot, by their attach names; by chance if not set. */
  order: ((devices: readonly string[]) => readonly string[]) | undefined;

  constructor(node: LabNode) {
    this.#node = node;
    this.lvm = new Lvm(node);
  }

  /** A boot: every name is given out again. */
  deal(): void {
    this.#names.clear();
    this.#met.clear();
    this.lvm.boot();
    const attached = [...this.#attached()];
    const [root, ...data] = attached;
    if (this.order) {
      const wanted = this.order(data.map(({ device }) => device).sort());
      data.sort((a, b) => wanted.indexOf(a.device) - wanted.indexOf(b.device));
    }
    // Fisher and Yates, on the world's own randomness.
    for (let index = this.order ? 0 : data.length - 1; index > 0; index -= 1) {
      const other = Math.floor(this.#node.heart.random() * (index + 1));
      [data[index], data[other]] = [data[other] as (typeof data)[0], data[index] as (typeof data)[0]];
    }
    for (const each of root ? [root, ...data] : data) this.#name(each);
    this.refresh();
  }

  list(): readonly Disk[] {
    const disks = this.#list();
    this.lvm.notice(disks);
    return disks;
  }

  /** The logical volumes that lie on a disk, active or not. */
  logicalOn(disk: Disk): readonly Logical[] {
    return this.lvm.all([disk]).flatMap((physical) => this.lvm.logical(physical));
  }

  #list(): readonly Disk[] {
    return this.#attached()
      .map((each, index) => {
        const path = this.#name(each);
        const content = this.#node.hardware.content(each.volume);
        const sizeBytes = each.sizeGiB * gib;
        return {
          path,
          volume: each.volume,
          serial: each.nvme ? each.volume.replace("-", "") : undefined,
          sizeBytes,
          content,
          root: index === 0,
          partitions: this.#partitions(path, content, sizeBytes),
        };
      })
      .sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** The partition behind a configured path, links followed; undefined if there is none. */
  find(path: string): { readonly disk: Disk; readonly partition: Place } | undefined {
    this.refresh();
    let real: string;
    try {
      real = this.#node.files.resolve(path);
    } catch {
      return undefined;
    }
    for (const disk of this.list()) {
      for (const { path: mine, sizeBytes, number } of this.logicalOn(disk))
        if (mine === real) return { disk, partition: { path: mine, number, sizeBytes } };
      for (const partition of disk.partitions)
        if (partition.path === real)
          return { disk, partition: isPhysical(disk, partition) ? { ...partition, number: 0 } : partition };
      if (disk.path === real && disk.content.lvm?.on === "disk")
        return { disk, partition: { path: real, number: 0, sizeBytes: disk.sizeBytes } };
    }
    return undefined;
  }

  /** Device files and links, made to agree with what is attached now. */
  refresh(): void {
    const { files } = this.#node;
    const disks = this.list();
    const state = JSON.stringify(
      disks.map((disk) => [
        disk.path,
        disk.volume,
        disk.partitions.map((p) => p.partUuid),
        this.logicalOn(disk),
      ]),
    );
    if (state === this.#planted) return;
    this.#planted = state;
    files.uproot("/dev", (path) => ["/dev/null", "/dev/zero", "/dev/tty"].includes(path));
    files.uproot("/sys/class/block");
    for (const disk of disks) {
      files.plantDevice(disk.path);
      files.plantComputed(`/sys/class/block/${disk.path.slice(5)}/stat`, () => this.#statOf(disk.volume));
      if (disk.serial !== undefined)
        files.plantLink(`/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${disk.serial}`, disk.path);
      for (const partition of disk.partitions) {
        files.plantDevice(partition.path);
        files.plantLink(`/dev/disk/by-partuuid/${partition.partUuid}`, partition.path);
        if (disk.serial !== undefined)
          files.plantLink(
            `/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${disk.serial}-part${partition.number}`,
            partition.path,
          );
      }
      for (const logical of this.logicalOn(disk)) {
        if (logical.path === undefined) continue;
        files.plantDevice(logical.path);
        files.plantLink(`/dev/mapper/${mapperName(logical)}`, logical.path);
        files.plantLink(`/dev/${logical.group}/${logical.name}`, logical.path);
      }
    }
  }

  mount(mount: Mount): void {
    if (!this.#node.files.mounts.some(({ point }) => point === mount.point))
      this.#node.files.mounts.push(mount);
  }

  unmount(point: string): boolean {
    const at = this.#node.files.mounts.findIndex((mount) => mount.point === point);
    if (at < 0) return false;
    this.#node.files.mounts.splice(at, 1);
    return true;
  }

  /**
   * A person's or a tool's mount of a partition; answers with what `mount` says where it refuses, in words from memory. The
   * data partition of a mirror has an XFS, whose log is replayed unless it is mounted with `norecovery` (xfs(5)).
   */
  mountByHand(device: string, point: string, options: readonly string[]): string | undefined {
    const found = this.find(device);
    const { files } = this.#node;
    const refuse = (why: string) => `mount: ${point}: ${why}`;
    if (!found) return refuse(`special device ${device} does not exist.`);
    if (files.find(point)?.kind !== "dir") return refuse("mount point does not exist.");
    const { volume, content } = found.disk;
    const readOnly = options.includes("ro");
    if (content.kind !== "mirror" || found.partition.number !== 2)
      return refuse(
        `wrong fs type, bad option, bad superblock on ${device}, missing codepage or helper program, or other error.`,
      );
    // "Filesystems mounted norecovery must be mounted read-only or the mount will fail" (xfs(5)).
    if (options.includes("norecovery") && !readOnly)
      return refuse(
        `wrong fs type, bad option, bad superblock on ${device}, missing codepage or helper program, or other error.`,
      );
    if (files.mounts.some((mount) => this.find(mount.device)?.partition.path === found.partition.path))
      return refuse(`${device} already mounted.`);
    const { hardware } = this.#node;
    if (!readOnly) hardware.write(volume, { ...content, dirty: true });
    files.mounts.push({
      point,
      device: this.#shown(found.disk, found.partition.path),
      type: "xfs",
      options: [
        readOnly ? "ro" : "rw",
        ...options.filter((each) => each !== "ro" && each !== "rw"),
        "relatime",
      ].join(","),
      read: () => hardware.content(volume).data,
      write: (path, text) => {
        if (readOnly) throw new FileError("EROFS");
        const now = hardware.content(volume);
        const { [path]: _old, ...rest } = now.data;
        hardware.write(volume, { ...now, data: text === undefined ? rest : { ...rest, [path]: text } });
      },
    });
    return undefined;
  }

  /** The volumes whose file systems are mounted here, and those that LVM has open. */
  mounted(): readonly string[] {
    const active = this.list().filter((disk) => this.logicalOn(disk).some(({ path }) => path !== undefined));
    return [
      ...this.#node.files.mounts.flatMap(({ device }) => this.find(device)?.disk.volume ?? []),
      ...active.map(({ volume }) => volume),
    ];
  }

  /** A logical volume is told of by the device mapper's name. */
  #shown(disk: Disk, path: string): string {
    const logical = this.logicalOn(disk).find((each) => each.path === path);
    return logical ? `/dev/mapper/${mapperName(logical)}` : path;
  }

  unmountByHand(point: string): void {
    const mount = this.#node.files.mounts.find((each) => each.point === point);
    if (!mount || !this.unmount(point)) return;
    const volume = this.find(mount.device)?.disk.volume;
    if (volume !== undefined && mount.options?.startsWith("rw") === true)
      this.#node.hardware.write(volume, { ...this.#node.hardware.content(volume), dirty: false });
  }

  unmountAll(): void {
    this.#node.files.mounts.length = 0;
  }

  mountsText(): string {
    return this.mountTable()
      .map(
        ({ device, point, type, options = "rw,relatime" }) => `${device} ${point} ${type} ${options} 0 0\n`,
      )
      .join("");
  }

  mountTable(): readonly Pick<Mount, "device" | "point" | "type" | "options">[] {
    const root = this.list().find((disk) => disk.root)?.partitions[0];
    return [...(root ? [{ device: root.path, point: "/", type: "xfs" }] : []), ...this.#node.files.mounts];
  }

  /** In the order of the kernel's Documentation/block/stat.rst. A write of the lab counts as eight sectors, and reads as none. */
  #statOf(volume: string): string {
    const writes = this.#node.hardware.writes(volume) - (this.#met.get(volume) ?? 0);
    const numbers = [0, 0, 0, 0, writes, 0, writes * 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    return `${numbers.map((each) => String(each).padStart(8)).join(" ")}\n`;
  }

  #attached() {
    return this.#node.hardware.attached(this.#node.instance);
  }

  #name(each: { readonly device: string; readonly volume: string; readonly nvme: boolean }): string {
    const known = this.#names.get(each.volume);
    if (known !== undefined) return known;
    const used = new Set(this.#names.values());
    let name: string;
    if (each.nvme) {
      let number = 0;
      while (used.has(`/dev/nvme${number}n1`)) number += 1;
      name = `/dev/nvme${number}n1`;
    } else name = `/dev/xvd${/([a-z])[0-9]*$/.exec(each.device)?.[1] ?? "z"}`;
    this.#names.set(each.volume, name);
    this.#met.set(each.volume, this.#node.hardware.writes(each.volume));
    return name;
  }

  #partitions(path: string, content: Content, sizeBytes: number): readonly Partition[] {
    const part = (number: number, bytes: number, mountPoint?: string): Partition => ({
      path: /[0-9]$/.test(path) ? `${path}p${number}` : `${path}${number}`,
      number,
      sizeBytes: bytes,
      partUuid: `${String(content.control["disk"] ?? "00000000")}-0${number}`,
      mountPoint,
    });
    if (content.kind === "blank" || content.lvm?.on === "disk") return [];
    if (content.kind === "root") return [part(1, sizeBytes, "/")];
    if (content.lvm) return [part(1, sizeBytes)];
    return [part(1, gib), part(2, sizeBytes - gib)];
  }
}

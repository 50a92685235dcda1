/** Disks and mounts as a node's commands show them. */
import { gapIn, options, splitOption } from "./command-words.ts";
import type { Disk } from "./disks.ts";
import { lvmCommands } from "./lvm-commands.ts";
import { isPhysical, mapperName, type Logical } from "./lvm.ts";
import type { CommandFunction, Context } from "./process.ts";

interface Row {
  readonly [column: string]: string | number | null | readonly (string | null)[];
}

const lsblk: CommandFunction = (context) => {
  const args = context.argv.slice(1);
  let json = false;
  let bytes = false;
  let paths = false;
  let flat = false;
  let head = true;
  let disksOnly = false;
  let columns = ["NAME", "MAJ:MIN", "RM", "SIZE", "RO", "TYPE", "MOUNTPOINT"];
  const wanted: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (arg.startsWith("--")) {
      const [name, value] = splitOption(arg);
      if (name === "--json") json = true;
      else if (name === "--bytes") bytes = true;
      else if (name === "--paths") paths = true;
      else if (name === "--list") flat = true;
      else if (name === "--noheadings") head = false;
      else if (name === "--nodeps") disksOnly = true;
      else if (name === "--output") columns = (value ?? args[(index += 1)] ?? "").toUpperCase().split(",");
      else gapIn(context, `option ${arg}`);
    } else if (arg.startsWith("-")) {
      for (const [at, letter] of [...arg.slice(1)].entries()) {
        if (letter === "J") json = true;
        else if (letter === "b") bytes = true;
        else if (letter === "p") paths = true;
        else if (letter === "l") flat = true;
        else if (letter === "n") head = false;
        else if (letter === "d") disksOnly = true;
        else if (letter === "a") continue;
        else if (letter === "o") {
          columns = (arg.slice(at + 2) || (args[(index += 1)] ?? "")).toUpperCase().split(",");
          break;
        } else gapIn(context, `option -${letter}`);
      }
    } else wanted.push(context.node.files.resolve(context.path(arg)));
  }
  const show = (path: string) => (paths ? path : path.slice(5));
  const size = (count: number) => (bytes ? count : `${Math.round(count / 1024 ** 3)}G`);
  const row = (disk: Disk, number?: number): Row => {
    const part = disk.partitions.find((each) => each.number === number);
    const path = part?.path ?? disk.path;
    const place = [context.node.disks.mountTable().find(({ device }) => device === path)?.point ?? null];
    const physical = disk.content.lvm?.on === (part ? "part" : "disk");
    const system = part && (disk.content.kind === "root" || part.number === 2) ? "xfs" : null;
    return pick(context, columns, {
      NAME: show(path),
      KNAME: show(path),
      PATH: path,
      TYPE: part ? "part" : "disk",
      SERIAL: part ? null : (disk.serial ?? null),
      SIZE: size(part?.sizeBytes ?? disk.sizeBytes),
      PARTUUID: part?.partUuid ?? null,
      MOUNTPOINT: place[0] ?? null,
      MOUNTPOINTS: place,
      PKNAME: part ? show(disk.path) : null,
      FSTYPE: physical ? "LVM2_member" : system,
      MODEL: part || disk.serial === undefined ? null : "Amazon Elastic Block Store",
      "MAJ:MIN": `259:${disk.partitions.length}`,
      RO: 0,
      RM: 0,
      UUID: null,
      LABEL: null,
      PARTLABEL: null,
      WWN: null,
      TRAN: disk.serial === undefined ? null : "nvme",
      STATE: null,
      HOTPLUG: 0,
      OWNER: "root",
      PTUUID: part ? null : String(disk.content.control["disk"] ?? ""),
    });
  };
  // With -p a logical volume is named by the device mapper's link, and so is its PATH at all times.
  const logicalRow = (disk: Disk, { path, number, sizeBytes, ...names }: Logical): Row => {
    const mapped = `/dev/mapper/${mapperName(names)}`;
    const mount = context.node.disks.mountTable().find(({ device }) => device === mapped)?.point ?? null;
    const [below = disk.path] = context.node.disks.lvm.all([disk]).map((physical) => physical.path);
    return pick(context, columns, {
      NAME: paths ? mapped : mapped.slice("/dev/mapper/".length),
      KNAME: show(path ?? ""),
      PATH: mapped,
      TYPE: "lvm",
      SERIAL: null,
      SIZE: size(sizeBytes),
      PARTUUID: null,
      MOUNTPOINT: mount,
      MOUNTPOINTS: [mount],
      PKNAME: show(below),
      FSTYPE: number === 2 ? "xfs" : null,
      MODEL: null,
      "MAJ:MIN": `253:${(path ?? "").replace(/\D/g, "")}`,
      RO: 0,
      RM: 0,
      UUID: null,
      LABEL: null,
      PARTLABEL: null,
      WWN: null,
      TRAN: null,
      STATE: "running",
      HOTPLUG: 0,
      OWNER: "root",
      PTUUID: null,
    });
  };
  const treeOf = (disk: Disk): Tree => {
    const logical = context.node.disks
      .logicalOn(disk)
      .filter(({ path }) => path !== undefined)
      .map((each): Tree => ({ path: each.path ?? "", row: logicalRow(disk, each), children: [] }));
    const parts = disk.partitions.map((partition): Tree => ({
      path: partition.path,
      row: row(disk, partition.number),
      children: isPhysical(disk, partition) ? logical : [],
    }));
    return { path: disk.path, row: row(disk), children: parts.length > 0 ? parts : logical };
  };
  const asked = (tree: Tree): readonly Tree[] =>
    wanted.length === 0 || wanted.includes(tree.path) ? [tree] : tree.children.flatMap(asked);
  const bared = (tree: Tree): Tree => (disksOnly ? { ...tree, children: [] } : tree);
  const trees = context.node.disks.list().map(treeOf).flatMap(asked).map(bared);
  if (wanted.length > 0 && trees.length === 0) {
    context.err(`lsblk: ${wanted.join(" ")}: not a block device\n`);
    return 32;
  }
  if (json) {
    const nested = (tree: Tree): object =>
      tree.children.length > 0 ? { ...tree.row, children: tree.children.map(nested) } : tree.row;
    const blockdevices = flat ? trees.flatMap(withAll).map(({ tree }) => tree.row) : trees.map(nested);
    context.out(`${JSON.stringify({ blockdevices }, undefined, 3)}\n`);
    return 0;
  }
  const cell = (value: Row[string] | undefined) =>
    typeof value === "object" && value !== null
      ? value.map((each) => each ?? "").join(",")
      : String(value ?? "");
  if (head) context.out(`${columns.join(" ")}\n`);
  for (const { tree, depth } of trees.flatMap(withAll)) {
    const cells = columns.map((column) => cell(tree.row[column.toLowerCase()]));
    const branch = !flat && depth > 0 && columns[0] === "NAME" ? `${"  ".repeat(depth - 1)}└─` : "";
    context.out(`${branch}${cells.join(" ")}\n`);
  }
  return 0;
};

interface Tree {
  readonly path: string;
  readonly row: Row;
  readonly children: readonly Tree[];
}

function withAll(tree: Tree): readonly { readonly tree: Tree; readonly depth: number }[] {
  return [
    { tree, depth: 0 },
    ...tree.children.flatMap(withAll).map((below) => ({ ...below, depth: below.depth + 1 })),
  ];
}

function pick(context: Context, columns: readonly string[], values: Row): Row {
  return Object.fromEntries(
    columns.map((column) => {
      const value = values[column];
      if (value === undefined) gapIn(context, `the column ${column}`);
      return [column.toLowerCase(), value];
    }),
  );
}

const findmnt: CommandFunction = (context) => {
  const args = context.argv.slice(1);
  let columns = ["TARGET", "SOURCE", "FSTYPE", "OPTIONS"];
  let head = true;
  let json = false;
  const wanted: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (/^-[nrlJ]*o$/.test(arg)) {
      columns = (args[(index += 1)] ?? "").toUpperCase().split(",");
      if (arg.includes("n")) head = false;
      if (arg.includes("J")) json = true;
    } else if (arg === "--output") columns = (args[(index += 1)] ?? "").toUpperCase().split(",");
    else if (/^-[nrlJ]+$/.test(arg)) {
      if (arg.includes("n")) head = false;
      if (arg.includes("J")) json = true;
    } else if (["--noheadings", "--raw", "--list", "--json"].includes(arg)) {
      if (arg === "--noheadings") head = false;
      if (arg === "--json") json = true;
    } else if (["-S", "--source", "-T", "--target", "-M", "--mountpoint"].includes(arg))
      wanted.push(args[(index += 1)] ?? "");
    else if (/^--(source|target|mountpoint)=/.test(arg)) wanted.push(arg.slice(arg.indexOf("=") + 1));
    else if (arg.startsWith("-")) gapIn(context, `option ${arg}`);
    else wanted.push(arg);
  }
  const found = context.node.disks
    .mountTable()
    .filter(({ device, point }) => wanted.length === 0 || wanted.includes(device) || wanted.includes(point));
  if (found.length === 0) return 1;
  const rows = found.map(({ device, point, type, options: how = "rw,relatime" }) =>
    pick(context, columns, { TARGET: point, SOURCE: device, FSTYPE: type, OPTIONS: how }),
  );
  if (json) context.out(`${JSON.stringify({ filesystems: rows }, undefined, 3)}\n`);
  else {
    if (head) context.out(`${columns.join(" ")}\n`);
    for (const each of rows)
      context.out(`${columns.map((column) => String(each[column.toLowerCase()])).join(" ")}\n`);
  }
  return 0;
};

const mountpoint: CommandFunction = (context) => {
  const { set, rest } = options(context, "qd");
  const there = context.node.disks.mountTable().some(({ point }) => point === context.path(rest[0] ?? ""));
  if (!set.has("q")) context.out(`${rest[0]} is ${there ? "" : "not "}a mountpoint\n`);
  return there ? 0 : 1;
};

const mount: CommandFunction = (context) => {
  const { disks, heart, name } = context.node;
  if (context.argv.length === 1) {
    for (const { device, point, type, options: how = "rw,relatime" } of disks.mountTable())
      context.out(`${device} on ${point} type ${type} (${how})\n`);
    return 0;
  }
  const { values, rest } = options(context, "", "ot");
  const [device = "", point = ""] = rest;
  if (rest.length !== 2) gapIn(context, "mounting by fstab");
  const at = context.path(point);
  const refused = context.change(() => {
    const why = disks.mountByHand(device, at, (values.get("o") ?? "rw").split(","));
    if (why === undefined)
      heart.effect(`${device} mounted at ${at} on ${name}`, {
        kind: "mounted",
        node: name,
        device,
        point: at,
      });
    return why;
  });
  if (refused === undefined) return 0;
  context.err(`${refused}\n`);
  // "mount failure", as mount(8) has it.
  return 32;
};

const umount: CommandFunction = (context) => {
  const { disks, heart, name, holders } = context.node;
  const [, point = ""] = context.argv;
  const mounted = disks.mountTable().find((each) => each.point === point);
  if (!mounted) {
    context.err(`umount: ${point}: not mounted.\n`);
    return 32;
  }
  // Those of a mirror belong to the product, which holds them.
  if (mounted.options === undefined || holders.some(({ mountPoint }) => mountPoint === point)) {
    context.err(`umount: ${point}: target is busy.\n`);
    return 32;
  }
  context.change(() => {
    disks.unmountByHand(point);
    heart.effect(`${point} unmounted on ${name}`, { kind: "unmounted", node: name, point });
  });
  return 0;
};

/** blkid -p -o value -s TYPE DEVICE: 2 where nothing is recognized (blkid(8)). */
const blkid: CommandFunction = (context) => {
  const { set, values, rest } = options(context, "p", "os");
  if (!set.has("p") || values.get("o") !== "value" || values.get("s") !== "TYPE") gapIn(context, "this form");
  const found = context.node.disks.find(rest[0] ?? "");
  if (!found || found.disk.content.kind === "blank") return 2;
  if (found.partition.number === 0) {
    context.out("LVM2_member\n");
    return 0;
  }
  if (found.disk.content.kind === "mirror" && found.partition.number !== 2) return 2;
  context.out("xfs\n");
  return 0;
};

/** The head of its output is xfsprogs' own (logprint/log_print_trans.c); the numbers and the device are invented. */
const xfsLogprint: CommandFunction = (context) => {
  const { rest } = options(context, "t");
  const found = context.node.disks.find(rest[0] ?? "");
  if (found?.disk.content.kind !== "mirror" || found.partition.number !== 2) {
    context.err(`xfs_logprint: ${rest[0] ?? ""} is not a valid XFS filesystem\n`);
    return 1;
  }
  const { dirty } = found.disk.content;
  context.out(
    "xfs_logprint:\n    data device: 0x10302\n    log device: 0x10302 daddr: 41943072 length: 20480\n\n",
  );
  context.out(`    log tail: 451 head: ${dirty ? 1203 : 451} state: ${dirty ? "<DIRTY>" : "<CLEAN>"}\n\n`);
  return 0;
};

/** fuser [-v] [-m] [-M] PATH…: process numbers to stdout, everything else to stderr. */
const fuser: CommandFunction = (context) => {
  const { set, rest } = options(context, "mvMsu");
  let found = false;
  for (const name of rest) {
    const here = context.node.holders.filter(({ mountPoint }) => mountPoint === context.path(name));
    if (here.length === 0 || set.has("s")) {
      found ||= here.length > 0;
      continue;
    }
    found = true;
    if (set.has("v")) context.err(`                     USER        PID ACCESS COMMAND\n`);
    context.err(`${name}:`);
    if (set.has("v")) context.err(" ".repeat(Math.max(1, 20 - name.length)));
    for (const { pid, command } of here) {
      if (set.has("v")) context.err("root     ");
      context.out(` ${pid}`);
      if (set.has("v")) context.err(` F.c.. ${command}`);
      else context.err("c");
    }
    context.err("\n");
  }
  return found ? 0 : 1;
};

export const diskCommands: { readonly [name: string]: CommandFunction } = {
  ...lvmCommands,
  lsblk,
  findmnt,
  mountpoint,
  mount,
  umount,
  blkid,
  xfs_logprint: xfsLogprint,
  fuser,
};

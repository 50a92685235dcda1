/**
 * LVM's commands on a node: reports, the devices file, activation, and a group imported under another name. The words of
 * errors and the layout of reports are from memory of lvm2 2.03, and so is what is refused; what is not said there is invented.
 */
import { gapIn } from "./command-words.ts";
import type { Disk } from "./disks.ts";
import {
  devicesFile,
  fileOf,
  lineFor,
  mapperName,
  pvidOf,
  uuidFrom,
  type Logical,
  type Physical,
} from "./lvm.ts";
import type { CommandFunction, Context } from "./process.ts";

/** LVM ends so where a command failed. */
const failed = 5;

interface Words {
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

const longNames: { readonly [short: string]: string } = {
  "-o": "--options",
  "-a": "--activate",
  "-S": "--select",
  "-n": "--basevgname",
  "-y": "--yes",
};

/** Long options with "=" or a blank, short ones with their value after them or joined: "-ay", "-an". */
function words(context: Context, flags: readonly string[], valued: readonly string[]): Words {
  const set = new Set<string>();
  const values = new Map<string, string>();
  const rest: string[] = [];
  const args = context.argv.slice(1);
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (!arg.startsWith("-")) {
      rest.push(arg);
      continue;
    }
    const [, long, joined] = /^(--[a-z]+|-[a-zA-Z])(?:=?(.*))$/s.exec(arg) ?? [];
    const name = longNames[long ?? ""] ?? long ?? arg;
    if (flags.includes(name) && joined === "") set.add(name);
    else if (valued.includes(name))
      values.set(name, joined === "" || joined === undefined ? (args[(index += 1)] ?? "") : joined);
    else gapIn(context, `option ${arg}`);
  }
  return { flags: set, values, rest };
}

interface Seen {
  readonly disks: readonly Disk[];
  readonly all: readonly Physical[];
  /** Without the second of two that call themselves the same. */
  readonly seen: readonly Physical[];
}

function look(context: Context): Seen {
  const { disks } = context.node;
  disks.refresh();
  const listed = disks.list();
  const all = disks.lvm.all(listed);
  const visible = all.filter((physical) => disks.lvm.sees(physical));
  const seen = visible.filter(
    (one, index) => visible.findIndex((other) => other.layout.pvUuid === one.layout.pvUuid) === index,
  );
  for (const one of visible.filter((each) => !seen.includes(each)))
    context.err(
      `  WARNING: Not using device ${one.path} for PV ${one.layout.pvUuid}.\n  WARNING: PV ${one.layout.pvUuid} prefers device ${seen.find(({ layout }) => layout.pvUuid === one.layout.pvUuid)?.path ?? ""} because device was seen first.\n`,
    );
  return { disks: listed, all, seen };
}

function findPath(context: Context, path: string): string {
  try {
    return context.node.files.resolve(context.path(path));
  } catch {
    return path;
  }
}

interface Row {
  readonly [column: string]: string;
}

/** As JSON or as lines; only the columns that were asked for. */
function report(
  context: Context,
  kind: "pv" | "vg" | "lv",
  rows: readonly Row[],
  { flags, values }: Words,
  standard: string,
): number {
  const columns = (values.get("--options") ?? standard).split(",");
  const picked = rows.map((row) =>
    columns.map((column): [string, string] => {
      const value = row[column];
      if (value === undefined) gapIn(context, `the column ${column}`);
      return [column, value];
    }),
  );
  if (values.get("--reportformat") === "json") {
    const list = picked.map((row) => Object.fromEntries(row));
    context.out(`${JSON.stringify({ report: [{ [kind]: list }] }, undefined, 2)}\n`);
    return 0;
  }
  if (!flags.has("--noheadings")) context.out(`  ${columns.join(" ")}\n`);
  for (const row of picked) context.out(`  ${row.map(([, value]) => value).join(" ")}\n`);
  return 0;
}

const reportFlags = ["--noheadings"];
const reportValues = ["--options", "--reportformat", "--units"];

const pvs: CommandFunction = (context) => {
  const given = words(context, reportFlags, reportValues);
  const { seen } = look(context);
  const wanted = given.rest.map((path) => findPath(context, path));
  for (const path of wanted)
    if (!seen.some((each) => each.path === path)) {
      const listed = context.node.disks.lvm.entries() !== undefined && context.node.files.find(path);
      context.err(
        listed
          ? `  Cannot use ${path}: device is not in devices file\n`
          : `  Failed to find physical volume "${path}".\n`,
      );
      return failed;
    }
  const rows = seen
    .filter(({ path }) => wanted.length === 0 || wanted.includes(path))
    .map(({ path, layout }) => ({
      pv_name: path,
      pv_uuid: layout.pvUuid,
      vg_name: layout.group,
      vg_uuid: layout.groupUuid,
    }));
  return report(context, "pv", rows, given, "pv_name,vg_name,pv_uuid");
};

const vgs: CommandFunction = (context) => {
  const given = words(context, reportFlags, reportValues);
  const rows = look(context).seen.map(({ layout }) => ({
    vg_name: layout.group,
    vg_uuid: layout.groupUuid,
    pv_count: "1",
    lv_count: String(layout.logical.length),
  }));
  return report(context, "vg", rows, given, "vg_name,pv_count,lv_count");
};

const lvs: CommandFunction = (context) => {
  const given = words(context, reportFlags, reportValues);
  const { lvm } = context.node.disks;
  const rows = look(context)
    .seen.flatMap((physical) => lvm.logical(physical))
    .map((logical: Logical) => ({
      vg_name: logical.group,
      lv_name: logical.name,
      lv_dm_path: `/dev/mapper/${mapperName(logical)}`,
      lv_active: logical.path === undefined ? "" : "active",
      lv_size: String(logical.sizeBytes),
    }));
  return report(context, "lv", rows, given, "lv_name,vg_name,lv_active");
};

const vgchange: CommandFunction = (context) => {
  const { values, rest } = words(context, ["--yes"], ["--activate", "--select"]);
  const how = values.get("--activate");
  if (how !== "y" && how !== "n" && how !== "ay") gapIn(context, `--activate ${how ?? ""}`);
  const select = values.get("--select");
  const uuid = select === undefined ? undefined : /^vg_uuid=(\S+)$/.exec(select)?.[1];
  if (select !== undefined && uuid === undefined) gapIn(context, `--select ${select}`);
  const { disks, seen } = look(context);
  const { lvm } = context.node.disks;
  const meant = seen.filter(({ layout }) =>
    uuid === undefined ? rest.length === 0 || rest.includes(layout.group) : layout.groupUuid === uuid,
  );
  for (const group of rest)
    if (!meant.some(({ layout }) => layout.group === group)) {
      context.err(`  Volume group "${group}" not found\n  Cannot process volume group ${group}\n`);
      return failed;
    }
  let code = 0;
  for (const physical of meant) {
    const { group } = physical.layout;
    const busy = lvm
      .logical(physical)
      .find((logical) =>
        context.node.files.mounts.some(({ device }) => findPath(context, device) === logical.path),
      );
    if (how === "n" && busy) {
      context.err(`  Logical volume ${group}/${busy.name} contains a filesystem in use.\n`);
      code = failed;
      continue;
    }
    const was = isActive(lvm.logical(physical));
    const done = context.change(() => {
      if (how === "n") lvm.deactivate(physical);
      else if (!lvm.activate(physical, disks)) return false;
      if (was !== (how !== "n"))
        tell(context, `volume group ${group} ${how === "n" ? "deactivated" : "activated"}`);
      return true;
    });
    if (!done) {
      context.err(`  Cannot activate LVs in VG ${group} while PVs appear on duplicate devices.\n`);
      code = failed;
      continue;
    }
    context.node.disks.refresh();
    const count = how === "n" ? 0 : physical.layout.logical.length;
    context.out(`  ${count} logical volume(s) in volume group "${group}" now active\n`);
  }
  return code;
};

function isActive(logical: readonly Logical[]): boolean {
  return logical.some(({ path }) => path !== undefined);
}

const lvmdevices: CommandFunction = (context) => {
  const { values, rest } = words(context, ["--yes"], ["--adddev", "--deldev"]);
  if (rest.length > 0) gapIn(context, rest.join(" "));
  const { all } = look(context);
  const { lvm } = context.node.disks;
  const entries = lvm.entries() ?? [];
  const add = values.get("--adddev");
  const del = values.get("--deldev");
  if (add === undefined && del === undefined) {
    for (const { idType, idName, pvid, part, line } of entries)
      context.out(
        `  Device ${/DEVNAME=(\S+)/.exec(line)?.[1] ?? "."} ID ${idName} IDTYPE ${idType} DEVNAME ${/DEVNAME=(\S+)/.exec(line)?.[1] ?? "."} PVID ${pvid}${part === 0 ? "" : ` PART ${part}`}\n`,
      );
    return 0;
  }
  const path = findPath(context, add ?? del ?? "");
  const physical = all.find((each) => each.path === path);
  if (physical === undefined) {
    // A device without a physical volume may be listed too; the lab has no use for that.
    if (context.node.files.find(path)) gapIn(context, "a device that holds no physical volume");
    context.err(`  No device found for ${path}.\n`);
    return failed;
  }
  if (del !== undefined) {
    const left = entries.filter((entry) => !lvm.fits(entry, physical));
    if (left.length === entries.length) {
      context.err(`  Device not found in devices file.\n`);
      return failed;
    }
    rewrite(
      context,
      left.map(({ line }) => line),
      `${path} taken out of the devices file`,
    );
    return 0;
  }
  if (entries.some((entry) => lvm.fits(entry, physical))) return 0;
  const others = all.filter((other) => other !== physical);
  const stays = entries.filter(
    (entry) =>
      (entry.pvid !== pvidOf(physical.layout) && entry.idName !== physical.path) ||
      others.some((other) => lvm.fits(entry, other)),
  );
  rewrite(
    context,
    [...stays.map(({ line }) => line), lineFor(physical)],
    `${path} put into the devices file`,
  );
  return 0;
};

function rewrite(context: Context, lines: readonly string[], what: string): void {
  const { files } = context.node;
  const text = files.find(devicesFile) === undefined ? fileOf([]) : files.read(devicesFile);
  const head = text.split("\n").filter((line) => line !== "" && !line.startsWith("IDTYPE="));
  context.change(() => {
    files.plant("/etc/lvm/devices", undefined);
    files.write(devicesFile, [...head, ...lines, ""].join("\n"), { mode: 0o600 });
    tell(context, what);
  });
}

const vgimportclone: CommandFunction = (context) => {
  const { values, rest } = words(context, ["--yes"], ["--basevgname"]);
  const name = values.get("--basevgname");
  const path = findPath(context, rest[0] ?? "");
  if (name === undefined || rest.length !== 1) gapIn(context, "this form");
  const { seen } = look(context);
  const { lvm } = context.node.disks;
  const physical = seen.find((each) => each.path === path);
  if (!physical) {
    context.err(`  Failed to find PV ${path}.\n`);
    return failed;
  }
  const { group, on, logical, pvUuid } = physical.layout;
  if (isActive(lvm.logical(physical))) {
    context.err(`  VG ${group} has active LVs: deactivate them first.\n`);
    return failed;
  }
  const taken = seen.map(({ layout }) => layout.group);
  let free = name;
  for (let number = 1; taken.includes(free); number += 1) free = `${name}${number}`;
  context.change(() => {
    const { heart, hardware } = context.node;
    const { volume, content } = physical.disk;
    const seed = `${pvUuid} ${heart.random()}`;
    hardware.write(volume, {
      ...content,
      lvm: { on, logical, group: free, groupUuid: uuidFrom(`${seed} group`), pvUuid: uuidFrom(`${seed} pv`) },
    });
    tell(context, `volume group ${group} imported as ${free}`);
  });
  // What the devices file says of the physical volume follows its new id.
  const entries = lvm.entries();
  const [now] = context.node.disks.lvm.all(context.node.disks.list()).filter((each) => each.path === path);
  if (entries && now)
    rewrite(
      context,
      entries.map((entry) => (lvm.fits(entry, physical) ? lineFor(now) : entry.line)),
      `${path} has another id in the devices file`,
    );
  return 0;
};

function tell(context: Context, what: string): void {
  const { heart, name } = context.node;
  heart.effect(`${what} on ${name}`, { kind: "lvm", node: name });
}

export const lvmCommands: { readonly [name: string]: CommandFunction } = {
  pvs,
  vgs,
  lvs,
  vgchange,
  lvmdevices,
  vgimportclone,
};

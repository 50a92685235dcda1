/**
 * `lsblk -J` → block devices. Its JSON differs with the version: numbers or strings, MOUNTPOINTS or MOUNTPOINT, a
 * tree or a flat list, and a device that lies on several others stands below each of them.
 */
import { Failure } from "../../errors.ts";
import type { BlockDevice } from "../../ports/nodes.ts";

/** util-linux 2.37 and newer. */
export const columns = "NAME,PATH,TYPE,SERIAL,SIZE,PARTUUID,MOUNTPOINTS,PKNAME";
export const olderColumns = "NAME,PATH,TYPE,SERIAL,SIZE,PARTUUID,MOUNTPOINT,PKNAME";

/** Before 2.33 there is no PATH (RHEL 8 has 2.32); with -p the name itself is the path. */
export const oldestColumns = "NAME,TYPE,SERIAL,SIZE,PARTUUID,MOUNTPOINT,PKNAME";

interface Row {
  readonly path: string;
  readonly type: BlockDevice["type"];
  readonly serial: string | undefined;
  readonly sizeBytes: number;
  readonly partUuid: string | undefined;
  readonly mountPoints: readonly string[];
  /** Kernel names or paths of what it lies on. */
  readonly parents: Set<string>;
}

/** `realPaths` gives the kernel's own path of a device that goes by another, as /dev/mapper/vg-lv. */
export function parseBlockDevices(
  output: string,
  node: string,
  realPaths: ReadonlyMap<string, string> = new Map(),
): readonly BlockDevice[] {
  const refuse = (wrong: string, cause?: unknown) =>
    new Failure("invalid", `lsblk on ${node}: ${wrong}`, {
      cause,
      answer: { text: output.slice(0, 2000) },
      hint: "compare with the output on the node; a newer version may print it in another way",
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch (error) {
    throw refuse("this is not JSON", error);
  }
  const top = isObject(parsed) ? parsed["blockdevices"] : undefined;
  if (!Array.isArray(top)) throw refuse("it has no list of block devices");

  const rows = new Map<string, Row>();
  const walk = (list: readonly unknown[], parent: string | undefined) => {
    for (const each of list) {
      if (!isObject(each)) throw refuse("a block device is not an object");
      const shown =
        textOf(each["path"]) ??
        (textOf(each["name"]) === undefined
          ? undefined
          : `/dev/${textOf(each["name"])?.replace(/^\/dev\//, "")}`);
      const size = Number(each["size"]);
      if (shown === undefined || each["size"] === null || !Number.isSafeInteger(size))
        throw refuse("a block device has no path or size");
      const path = realPaths.get(shown) ?? shown;
      const row: Row = rows.get(path) ?? {
        path,
        type: typeOf(textOf(each["type"])),
        serial: textOf(each["serial"]),
        sizeBytes: size,
        partUuid: textOf(each["partuuid"]),
        mountPoints: mountsOf(each),
        parents: new Set(),
      };
      rows.set(path, row);
      const above =
        parent ??
        (textOf(each["pkname"]) === undefined
          ? undefined
          : `/dev/${textOf(each["pkname"])?.replace(/^\/dev\//, "")}`);
      if (above !== undefined) row.parents.add(realPaths.get(above) ?? above);
      if (Array.isArray(each["children"])) walk(each["children"], path);
    }
  };
  walk(top, undefined);

  return [...rows.values()].map(({ parents, ...row }) => ({
    ...row,
    serial: serialOf(row.path, rows),
    under: [...parents],
  }));
}

/** Paths that are links to the kernel's own. */
export function linkedPaths(devices: readonly BlockDevice[]): readonly string[] {
  return devices.map((each) => each.path).filter((path) => path.startsWith("/dev/mapper/"));
}

/** Its own, else that of the disk below it; undefined where it lies on disks with different ones. */
function serialOf(
  path: string,
  rows: ReadonlyMap<string, Row>,
  seen: ReadonlySet<string> = new Set(),
): string | undefined {
  const row = rows.get(path);
  if (row === undefined || seen.has(path)) return undefined;
  if (row.serial !== undefined || row.parents.size === 0) return row.serial;
  const below = new Set([...row.parents].map((parent) => serialOf(parent, rows, new Set([...seen, path]))));
  return below.size === 1 ? [...below][0] : undefined;
}

function typeOf(word: string | undefined): BlockDevice["type"] {
  switch (word) {
    case "disk":
    case "part":
    case "lvm":
    case "crypt":
    case "mpath":
    case "loop":
    case "rom":
      return word;
    case undefined:
    default:
      return word !== undefined && /^(raid|md|linear)/.test(word) ? "raid" : "other";
  }
}

function mountsOf(row: { readonly [key: string]: unknown }): readonly string[] {
  const all: readonly unknown[] = Array.isArray(row["mountpoints"])
    ? row["mountpoints"]
    : [row["mountpoint"]];
  return all.map(textOf).filter((each) => each !== undefined);
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

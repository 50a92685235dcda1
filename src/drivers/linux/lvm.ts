/**
 * LVM on a node: what it sees, the devices file, and a volume group under a drill's own name.
 *
 * Where there is a devices file (RHEL 9 and newer make one), LVM looks at listed devices only, and an entry names a disk by
 * an id that a volume made from a snapshot does not share; without that file it looks at all. Both from memory of
 * lvmdevices(8), as are the commands; nothing here counts on words that LVM prints beside its JSON reports.
 */
import { Failure, invariant } from "../../errors.ts";
import type { LvmSeen } from "../../ports/nodes.ts";

const devicesFile = "/etc/lvm/devices/system.devices";
export const noDevicesFile = 45;

export const pvsArgv = ["pvs", "--reportformat", "json", "-o", "pv_name,vg_name"];
export const lvsArgv = ["lvs", "--reportformat", "json", "-o", "vg_name,lv_name,lv_dm_path,lv_active"];

export const devicesFileScript = `f=${devicesFile}; if [ ! -e "$f" ]; then exit ${noDevicesFile}; fi; exec cat "$f"`;

// A group is meant by its id: two may have one name, and a copy has the name of its original.
const groupOf = `uuid=$(pvs --noheadings -o vg_uuid "$device") || exit 1
uuid=$(echo $uuid)
if [ -z "$uuid" ]; then echo "no volume group lies on $device" >&2; exit 1; fi
`;
// Puts lines at the end of the file that list a device which no line lists any more: LVM takes a line away when another
// device with the same physical volume is listed. What LVM itself changes in a line is the kernel's name (DEVNAME).
const keep = `f=${devicesFile}
keep() {
  printf '%s\\n' "$1" | while read -r line; do
    case "$line" in IDTYPE=*" DEVNAME="*) ;; *) continue ;; esac
    id="\${line%% DEVNAME=*} DEVNAME="; rest=\${line#* DEVNAME=}; rest=\${rest#* }
    if ! grep -F -e "$id" "$f" | grep -q -F -e "$rest"; then printf '%s\\n' "$line" >> "$f" || exit 1; fi
  done
}
`;

/**
 * Argument: device. Listed only where the file is: where there is none, the first entry would hide every other device from
 * LVM. Listed already and active already: no change.
 */
export const showScript = `${keep}device=$1
if [ -e "$f" ]; then
  before=$(cat "$f") || exit 1
  lvmdevices --yes --adddev "$device" || exit 1
  keep "$before" || exit 1
fi
${groupOf}exec vgchange -ay --select "vg_uuid=$uuid"
`;

/** Argument: lines of the file as it was. */
export const keepScript = `${keep}if [ -e "$f" ]; then keep "$1"; fi
`;

/** Argument: device. One that LVM does not see has nothing to hide. */
export const hideScript = `device=$1
pvs "$device" > /dev/null 2>&1 || exit 0
${groupOf}vgchange -an --select "vg_uuid=$uuid" || exit 1
if [ -e ${devicesFile} ]; then exec lvmdevices --yes --deldev "$device"; fi
`;

/** Arguments: device, name. A group that came up by itself, when its disk was attached, is taken down first. */
export const importScript = `device=$1; name=$2
if [ -e ${devicesFile} ]; then lvmdevices --yes --adddev "$device" || exit 1; fi
${groupOf}vg=$(pvs --noheadings -o vg_name "$device") || exit 1
vg=$(echo $vg)
if [ "$vg" != "$name" ]; then
  vgchange -an --select "vg_uuid=$uuid" || exit 1
  vgimportclone -n "$name" "$device" || exit 1
fi
exec vgchange -ay "$name"
`;

export function parseLvm(
  node: string,
  physical: string,
  logical: string,
  listed: string,
  hasFile: boolean,
): LvmSeen {
  return {
    entries: hasFile ? parseDevicesFile(listed) : undefined,
    physical: parsePhysical(physical, node),
    logical: parseLogical(logical, node),
  };
}

/** Paths that are links. A physical volume that is gone is "[unknown]"; names that need no following are the rule. */
export function linksIn({ physical, logical }: LvmSeen): readonly string[] {
  return [...physical, ...logical].flatMap(({ device }) =>
    device !== undefined && /^\/dev\/.*\//.test(device) ? [device] : [],
  );
}

export function withRealPaths(seen: LvmSeen, real: ReadonlyMap<string, string>): LvmSeen {
  return {
    ...seen,
    physical: seen.physical.map((each) => ({ ...each, device: real.get(each.device) ?? each.device })),
    logical: seen.logical.map((each) => ({ ...each, device: each.device && real.get(each.device) })),
  };
}

export function parsePhysical(output: string, node: string): LvmSeen["physical"] {
  return rowsIn(output, "pv", node).map((row) => ({
    device: field(row, "pv", "pv_name", node),
    group: field(row, "pv", "vg_name", node),
  }));
}

/** `device` is a link of the device mapper's here; the driver follows it. */
export function parseLogical(output: string, node: string): LvmSeen["logical"] {
  return rowsIn(output, "lv", node).map((row) => ({
    group: field(row, "lv", "vg_name", node),
    name: field(row, "lv", "lv_name", node).replace(/^\[(.*)\]$/, "$1"),
    device: field(row, "lv", "lv_active", node) === "" ? undefined : field(row, "lv", "lv_dm_path", node),
  }));
}

/** The lines that list a device; what stands between them is LVM's own. */
export function parseDevicesFile(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("IDTYPE="));
}

/** The name that a drill may give to a group: letters that need no quoting, and never the name of anybody else's. */
export function assertDrillGroup(name: string): void {
  // In a plan the run is not known yet, and stands there as a hole.
  invariant(
    /^runbook_(\u27e8[^\u27e9]*\u27e9|[A-Za-z0-9.+-]+)_\d+$/.test(name),
    `"${name}" is no name for a drill's volume group`,
  );
}

type Row = { readonly [key: string]: unknown };

/** {"report": [{"pv": [...]}]}; newer versions add a "log" beside the report. */
function rowsIn(output: string, kind: "pv" | "lv", node: string): readonly Row[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch (error) {
    throw refused(node, kind, "this is not JSON", output, error);
  }
  const reports = isObject(parsed) ? parsed["report"] : undefined;
  if (!Array.isArray(reports)) throw refused(node, kind, "it has no report", output);
  return reports.flatMap((report: unknown): readonly Row[] => {
    const rows = isObject(report) ? report[kind] : undefined;
    if (!Array.isArray(rows) || !rows.every(isObject))
      throw refused(node, kind, `its report has no list "${kind}"`, output);
    return rows;
  });
}

function field(row: Row, kind: "pv" | "lv", key: string, node: string): string {
  const value = row[key];
  if (typeof value !== "string") throw refused(node, kind, `a row has no ${key}`, JSON.stringify(row));
  return value;
}

function refused(node: string, kind: "pv" | "lv", wrong: string, output: string, cause?: unknown): Failure {
  return new Failure("invalid", `${kind}s on ${node}: ${wrong}`, {
    cause,
    answer: { text: output.slice(0, 2000) },
    hint: "compare with the output on the node; another version may print it in another way",
  });
}

function isObject(value: unknown): value is Row {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

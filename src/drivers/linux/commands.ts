/** The command lines that look at a node; those that change something are in requests.ts. */
import { hooksFolder, readingsFolder } from "../../ports/nodes.ts";
import { columns, oldestColumns, olderColumns } from "./block-devices.ts";
import { findTriedScript } from "./drill.ts";
import { findHookScript } from "./hook.ts";
import { devicesFileScript } from "./lvm.ts";
import { findScript } from "./marker.ts";
import { listReadingsScript } from "./read-through.ts";

export const noFuser = 43;

// fuser answers for the file system below a folder, so a folder that is no mount point would list half the node.
const holdersScript =
  `grep -q -F " $1 " /proc/mounts || exit 0; command -v fuser > /dev/null 2>&1 || exit ${noFuser}; ` +
  `for pid in $(fuser -m "$1" 2> /dev/null); do echo "$pid $(cat "/proc/$pid/comm" 2> /dev/null)"; done; exit 0`;

const script = (text: string, name: string, ...args: readonly string[]) => [
  "sh",
  "-c",
  text,
  `runbook-${name}`,
  ...args,
];

export const boot = () => ["cat", "/proc/sys/kernel/random/boot_id", "/proc/uptime"];
export const machineId = () => ["cat", "/etc/machine-id"];
export const mounts = () => ["cat", "/proc/mounts"];
/** The newest form first; what an older lsblk does not know, it says. */
export const blockDevices = () => [
  ["lsblk", "-J", "-b", "-o", columns],
  ["lsblk", "-J", "-b", "-o", olderColumns],
  ["lsblk", "-J", "-b", "-p", "-o", oldestColumns],
];
// One line for all, that no name is part of: a right to run it can be exact, whatever volumes come and go.
const mappedScript =
  'for link in /dev/mapper/*; do if [ -e "$link" ]; then echo "$link $(readlink -e "$link")"; fi; done; exit 0';
/** The kernel's names of the device mapper's links: "LINK PATH" a line. */
export const mapped = () => script(mappedScript, "mapped");
export const realPaths = (paths: readonly string[]) => ["readlink", "-e", ...paths];
export const holders = (mountPoint: string) => script(holdersScript, "holders", mountPoint);
export const findMarker = () => script(findScript(), "find-marker");
export const fileSystem = (device: string) => ["blkid", "-p", "-o", "value", "-s", "TYPE", device];
export const lvmDevices = () => script(devicesFileScript, "lvm-devices");
export const findTried = (folder: string, name: string) =>
  script(findTriedScript, "find-tried", folder, name);
export const findHook = (run: string, name: string) =>
  script(findHookScript, "find-hook", hooksFolder, run, name);
export const diskWrites = (name: string) => ["cat", `/sys/class/block/${name}/stat`];
export const listReadings = (run: string) => script(listReadingsScript, "list-readings", readingsFolder, run);

/**
 * The command lines we run on a node, and nothing else. Names come from the cluster's own configuration, which is
 * checked where it is read (parse-conf.ts), so that none can be taken for an option.
 */
export const configFile = "/opt/nec/clusterpro/etc/clp.conf";

/** The configuration, and a program of the product's, which is linked into the search path (reference clusterpro 2). */
export const traces = [configFile, "/opt/nec/clusterpro/bin/clpstat", "/usr/sbin/clpstat"];
export const tracesScript = 'for path in "$@"; do if [ -e "$path" ]; then echo "$path"; fi; done; exit 0';

// Over a session without login the search path may lack the product's folder (reference clusterpro 2), and the
// messages follow the locale: both are set for every command.
export const searchPath = "/opt/nec/clusterpro/bin:/usr/sbin:/usr/bin:/sbin:/bin";
export const inEnvironment = (argv: readonly string[]) => ["env", "LC_ALL=C", `PATH=${searchPath}`, ...argv];

export const summary = () => ["clpstat"];
export const monitorsByNode = () => ["clpstat", "-m"];
export const mirrorStatus = (mirror: string) => ["clpmdstat", "--mirror", mirror];
export const groupNode = (group: string) => ["clpgrp", "-n", group];
export const unitsEnabled = () => ["systemctl", "is-enabled", ...units];
export const unitsActive = () => ["systemctl", "is-active", ...units];

// Without `-h` a group command means the node it runs on (reference clusterpro 3.4).
export const stopGroup = (group: string) => ["clpgrp", "-t", group];
export const startGroup = (group: string) => ["clpgrp", "-s", group];
export const suspendMonitor = (node: string, monitor: string) => [
  "clpmonctrl",
  "-s",
  "-h",
  node,
  "-m",
  monitor,
];
export const resumeMonitor = (node: string, monitor: string) => [
  "clpmonctrl",
  "-r",
  "-h",
  node,
  "-m",
  monitor,
];
export const breakMirror = (mirror: string) => ["clpmdctrl", "--break", mirror];
export const recoverMirror = (mirror: string) => ["clpmdctrl", "--recovery", mirror];
export const prepareBackup = () => ["clpbackup.sh", "--pre"];
export const finishBackup = () => ["clpbackup.sh", "--post"];
export const prepareRestore = () => ["clprestore.sh", "--pre"];
export const finishRestore = (skipCopy: boolean) => [
  "clprestore.sh",
  "--post",
  ...(skipCopy ? ["--skip-copy"] : []),
];
export const startService = () => ["clpcl", "-s"];
export const stopService = () => ["clpcl", "-t"];
export const moveGroup = (group: string, from: string, to: string) => [
  "clpgrp",
  "-m",
  group,
  "-h",
  from,
  "-a",
  to,
];
// The node is named, although it is the one the command runs on: which one it means without a name is known from memory.
export const forceGood = (node: string, mirror: string) => ["clpmdctrl", "--force", node, mirror];
/** It may ask (reference clusterpro 1.2), how often is not known: as `yes` would answer, which public scripts pipe into it. */
export const consent = "y\n".repeat(8);

/** A script of ours; its name shows in the node's list of processes and in the plan. */
export const script = (name: string, text: string, args: readonly string[]) => [
  "sh",
  "-c",
  text,
  `runbook-${name}`,
  ...args,
];

/** The units that make a node join at boot (reference clusterpro 2: these two are what one disables by hand). */
export const units = ["clusterpro", "clusterpro_md"] as const;

/**
 * The command lines we run on a node, and nothing else. Names come from the cluster's own configuration, which is
 * checked where it is read (parse-conf.ts), so that none can be taken for an option.
 */
export const configFile = "/opt/nec/clusterpro/etc/clp.conf";

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
export const startService = () => ["clpcl", "-s"];

/** The units that make a node join at boot (reference clusterpro 2: these two are what one disables by hand). */
export const units = ["clusterpro", "clusterpro_md"] as const;

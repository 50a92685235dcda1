/**
 * What clpstat, clpmdstat and `clpgrp -n` print (reference clusterpro 4 and 5). Layouts that are verbatim in the
 * sources: the summary, the group map, and the mirror in the state Normal. The others follow the reference's own
 * examples from memory, and are marked as invented below.
 */
import { gapIn } from "./command-words.ts";
import type { Member, Place } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { LabMirror } from "./clp-mirror.ts";
import type { Context } from "./process.ts";

const placeWords: { readonly [place in Place]: string } = {
  online: "Online",
  starting: "Online Pending",
  stopping: "Offline Pending",
  failed: "Error",
};
const resourceWords: { readonly [place in Place]: string } = {
  online: "Online",
  starting: "Online Pending",
  stopping: "Offline Pending",
  failed: "Offline",
};

/** " name ....: " up to the colon at column 21 (reference clusterpro 5); longer names are cut. */
function head(name: string, long: boolean): string {
  if (name.length >= 16) return `${long ? name : name.slice(0, 16)} `;
  return `${name} `.padEnd(17, ".");
}
const item = (name: string, long: boolean): string =>
  (long && name.length > 14 ? name : name.slice(0, 14)).padEnd(15);

function nodeWord(cluster: LabCluster, via: string, member: Member): string {
  if (member.core === "waiting" && (member.node.name === via || !cluster.partitionSeen) && member.node.alive)
    return "Online Pending";
  return cluster.sees(via, member.node.name) ? "Online" : "Offline";
}

/** The word of a monitor on one node. */
function monitorWord(
  cluster: LabCluster,
  via: string,
  member: Member,
  monitor: { readonly type: string; readonly name: string; readonly object: string | undefined },
  online: string,
): string {
  if (!cluster.sees(via, member.node.name)) return "Offline";
  if (cluster.suspended || member.suspended.has(monitor.name)) return "Suspend";
  const mirror = cluster.mirrors.find(({ name }) => name === monitor.object);
  // The mirror's monitor shows Caution while it copies or is broken, and nothing is wrong (reference clusterpro 5).
  if (monitor.type === "mdw" && mirror && mirror.status(member.node.name) !== "Normal") return "Caution";
  return online;
}

export function clpstat(cluster: LabCluster, member: Member, context: Context): number {
  const args = context.argv.slice(1);
  const long = args.includes("--long");
  const rest = args.filter((arg) => arg !== "--long");
  const conf = cluster.findConf(member);
  if (!conf) {
    context.out("Invalid configuration data. Check the cluster configuration data.\n");
    return 1;
  }
  if (member.core === "stopped" && cluster.settings.clpstatWhenStopped === "error") {
    context.out("Could not connect to the server. Check if the cluster service is active.\n");
    return 1;
  }
  if (rest.length === 0 || (rest.length === 1 && rest[0] === "-s"))
    return summary(cluster, member, context, long);
  if (rest.length === 1 && rest[0] === "-g") return groupMap(cluster, member, context);
  if (rest.length === 1 && rest[0] === "-m") return monitors(cluster, member, context);
  if (rest.length === 1 && rest[0] === "-n") return heartbeats(cluster, member, context);
  const known = "-i --cl --sv --hb --fnc --svg --grp --rsc --mon --xcl -f -p -h --detail".split(" ");
  if (rest[0] !== undefined && known.includes(rest[0])) gapIn(context, `option ${rest[0]}`);
  context.out("Invalid option.\n");
  return 1;
}

function summary(cluster: LabCluster, member: Member, context: Context, long: boolean): number {
  const conf = cluster.confOf(member);
  const via = member.node.name;
  const lines = [
    " ========================  CLUSTER STATUS  ===========================",
    `  Cluster : ${conf.cluster}`,
    "  <server>",
  ];
  for (const each of cluster.members) {
    const { name } = each.node;
    const word = nodeWord(cluster, via, each);
    lines.push(`   ${name === via ? "*" : " "}${head(name, long)}: ${word.padEnd(16)}`);
    lines.push(
      `      ${item("lankhb1", long)}: ${(word === "Online" ? "Normal" : "Offline").padEnd(17)}Kernel Mode LAN Heartbeat`,
    );
  }
  lines.push("  <group>");
  for (const group of conf.groups) {
    const places = cluster.placesOf(group.name, via);
    const [node, place] = [...places].sort(([, a], [, b]) => rank(a) - rank(b))[0] ?? [];
    lines.push(`    ${head(group.name, long)}: ${(place ? placeWords[place] : "Offline").padEnd(16)}`);
    lines.push(`      ${item("current", long)}: ${place && place !== "failed" ? node : "None"}`);
    for (const { type, name } of group.resources) {
      const failed = place === "failed" && type === "md";
      lines.push(
        `      ${item(name, long)}: ${failed ? "Online Failure" : place ? resourceWords[place] : "Offline"}`,
      );
    }
  }
  lines.push("  <monitor>");
  for (const monitor of conf.monitors) {
    const words = cluster.members
      .map((each) => monitorWord(cluster, via, each, monitor, "Normal"))
      .filter((word) => word !== "Offline");
    const word =
      words.length === 0
        ? "Offline"
        : (["Suspend", "Caution"].find((bad) => words.includes(bad)) ?? "Normal");
    lines.push(`    ${(long ? monitor.name : monitor.name.slice(0, 16)).padEnd(17)}: ${word.padEnd(16)}`);
  }
  lines.push(" =====================================================================");
  context.out(lines.map((line) => `${line}\n`).join(""));
  return 0;
}

const rank = (place: Place): number => ["online", "starting", "stopping", "failed"].indexOf(place);

function groupMap(cluster: LabCluster, member: Member, context: Context): number {
  const conf = cluster.confOf(member);
  const via = member.node.name;
  const lines = [
    " ======================  GROUPMAP INFORMATION  =======================",
    `  Cluster : ${conf.cluster}`,
  ];
  for (const [index, each] of cluster.members.entries())
    lines.push(`   ${each.node.name === via ? "*" : " "}server${index} : ${each.node.name}`);
  lines.push("", "  --------------------------------------------------------------------");
  for (const [index, each] of cluster.members.entries()) {
    const marks: { readonly [place in Place]: string } = {
      online: "o",
      starting: "p",
      stopping: "p",
      failed: "e",
    };
    const here = conf.groups.flatMap(({ name }) => {
      const place = cluster.placesOf(name, via).get(each.node.name);
      return place ? [`${name}[${marks[place]}]`] : [];
    });
    // The mark of a server that is not online is invented.
    lines.push(`    server${index} [${cluster.sees(via, each.node.name) ? "o" : "x"}] : ${here.join(" ")} `);
  }
  lines.push(" =====================================================================");
  context.out(lines.map((line) => `${line}\n`).join(""));
  return 0;
}

/** Layout invented after the reference's example. */
function monitors(cluster: LabCluster, member: Member, context: Context): number {
  const conf = cluster.confOf(member);
  const via = member.node.name;
  const lines = [
    " ===================  MONITOR RESOURCE STATUS  =======================",
    `  Cluster : ${conf.cluster}`,
  ];
  for (const [index, each] of cluster.members.entries())
    lines.push(`   ${each.node.name === via ? "*" : " "}server${index} : ${each.node.name}`);
  for (const [index, monitor] of conf.monitors.entries()) {
    const words = cluster.members.map((each) => monitorWord(cluster, via, each, monitor, "Online"));
    const known = words.filter((word) => word !== "Offline");
    const whole =
      known.length === 0
        ? "Offline"
        : (["Suspend", "Caution"].find((bad) => known.includes(bad)) ?? "Normal");
    lines.push(
      "",
      `  Monitor${index} [${monitor.name} : ${whole}]`,
      "  --------------------------------------------------------------------",
    );
    for (const [place, each] of cluster.members.entries())
      lines.push(`    server${place} [${cluster.sees(via, each.node.name) ? "o" : "x"}] : ${words[place]}`);
  }
  lines.push(" =====================================================================");
  context.out(lines.map((line) => `${line}\n`).join(""));
  return 0;
}

/** Layout invented, but for "[on NAME : STATUS]". */
function heartbeats(cluster: LabCluster, member: Member, context: Context): number {
  const via = member.node.name;
  const lines = [
    " ==================  HEARTBEAT RESOURCE STATUS  ======================",
    `  Cluster : ${cluster.confOf(member).cluster}`,
  ];
  for (const each of cluster.members) {
    lines.push("", `  HB0 : lankhb1`, `  [on ${each.node.name} : ${nodeWord(cluster, via, each)}]`);
  }
  lines.push(" =====================================================================");
  context.out(lines.map((line) => `${line}\n`).join(""));
  return 0;
}

const stamp = (ms: number): string =>
  ms === 0 ? "--" : new Date(ms).toISOString().slice(0, 19).replace(/-/g, "/").replace("T", " ");
const clock = (ms: number): string => new Date(Math.max(0, ms)).toISOString().slice(11, 19);

export function clpmdstat(cluster: LabCluster, member: Member, context: Context): number {
  const [, option = "", name = "", ...more] = context.argv;
  if (["--config", "-l", "--perf", "-p"].includes(option)) gapIn(context, `option ${option}`);
  if (!["--mirror", "-m", "--active", "-a"].includes(option) || more.length > 0) {
    context.out("Invalid option.\n");
    return 1;
  }
  // Failure texts here are from memory (reference clusterpro 4), exit statuses invented.
  const mirror = cluster.mirrors.find((each) => each.name === name);
  if (!mirror) {
    context.out("Invalid mirror disk name. Specify a valid mirror disk name.\n");
    return 1;
  }
  if (!member.agent) {
    context.out("Mirror agent is not running. Check if the mirror agent is active.\n");
    return 1;
  }
  return option.startsWith("--a") || option === "-a"
    ? active(cluster, member, mirror, context)
    : status(cluster, member, mirror, context);
}

function table(first: string, names: readonly string[]): string {
  return `${first.padEnd(17)}${(names[0] ?? "").padEnd(21)}${names[1] ?? ""}`;
}
const rule = "-".repeat(60);

/** Invented. */
function active(cluster: LabCluster, member: Member, mirror: LabMirror, context: Context): number {
  const words = cluster.names.map((node) =>
    node !== member.node.name && !mirror.connected()
      ? "Unknown"
      : cluster.usesMirror(node, mirror.name)
        ? "Active"
        : "Inactive",
  );
  context.out(
    `Active Status: ${words.includes("Active") ? "Active" : "Inactive"}\n\n${table(mirror.name, cluster.names)}\n${rule}\n${table("Active Status", words)}\n`,
  );
  return 0;
}

function status(cluster: LabCluster, member: Member, mirror: LabMirror, context: Context): number {
  const via = member.node.name;
  const whole = mirror.status(via);
  const colours = cluster.names.map((node) => mirror.colour(node, via));
  const lines = [
    `Mirror Status: ${whole}`,
    "",
    table(mirror.name, cluster.names),
    rule,
    table("Mirror Color", colours),
  ];
  if (whole === "Abnormal" || whole === "Uncertain") {
    // Rows known from memory only (reference clusterpro 4): the good side tells its last write and the break.
    const side = (node: string, index: number) => {
      const control = mirror.control(node);
      const others = colours[1 - index];
      return colours[index] === "GREEN" || (colours[index] === "RED" && others === "RED")
        ? control
        : undefined;
    };
    lines.push(
      table(
        "Lastupdate Time",
        cluster.names.map((node, index) => stamp(side(node, index)?.lastUpdate ?? 0)),
      ),
    );
    lines.push(
      table(
        "Break Time",
        cluster.names.map((node, index) => stamp(side(node, index)?.breakTime ?? 0)),
      ),
    );
    lines.push(
      table(
        "Disk Error",
        cluster.names.map((node) =>
          mirror.loaded.has(node) ? "NO ERROR" : mirror.colour(node, via) === "GRAY" ? "--" : "ERROR",
        ),
      ),
    );
  }
  const { recovery } = mirror;
  if (recovery && whole === "Recovering") {
    const used = cluster.now() - recovery.startedAt;
    lines.push(
      "",
      "                      Recovery Status Value",
      rule,
      `Recovery Direction    ${recovery.from} -> ${recovery.to}`,
      `Percent               ${Math.min(99, Math.floor((100 * used) / recovery.ms))}%`,
      `Used Time             ${clock(used)}`,
      `Remain Time           ${clock(recovery.ms - used)}`,
      "Iteration Times       1/1",
    );
  }
  context.out(lines.map((line) => `${line}\n`).join(""));
  // Public scripts do not trust the exit status, so it is not zero whenever the mirror is not well (reference 1.1).
  return whole === "Normal" ? 0 : 1;
}

/** What `runbook lab` prints: the lab's state and its log, in words that a newcomer understands. */
import type { ClusterStatus, LabStatus, NodeStatus } from "../lab/status.ts";
import type { LogEntry } from "../lab/logbook.ts";

export function statusText(status: LabStatus, defaultCluster: string): string {
  const { pace, worldTime } = status;
  const lines = [
    `The lab is up. Its world turns at ${pace} times real time; there it is ${timeText(worldTime)}.`,
    status.busy.length === 0 ? "Nothing is under way." : `Under way: ${status.busy.join("; ")}.`,
  ];
  for (const [name, cluster] of Object.entries(status.clusters))
    lines.push("", ...clusterLines(name, name === defaultCluster, cluster, worldTime));
  const { scratch } = status;
  lines.push(
    "",
    `Scratch machine ${scratch.name} (for drills): ${scratch.system}; mounted there: ${scratch.mounts.join(", ") || "nothing"}; marker of a run: ${scratch.marker ?? "none"}`,
  );
  lines.push("", ...snapshotLines(status), "", ...volumeLines(status));
  if (status.faults > 0)
    lines.push(
      "",
      `${status.faults} ${status.faults === 1 ? "fault waits" : "faults wait"} to strike (\`runbook lab fault --list\`).`,
    );
  if (status.gaps.length > 0)
    lines.push("", "Not known to the lab, and refused:", ...status.gaps.map((line) => `  ${line}`));
  if (status.mistakes.length > 0)
    lines.push(
      "",
      "Mistakes of the lab itself (please report them):",
      ...status.mistakes.map((line) => `  ${line}`),
    );
  return `${lines.join("\n")}\n`;
}

function clusterLines(
  name: string,
  isDefault: boolean,
  cluster: ClusterStatus,
  now: number,
): readonly string[] {
  const lines = [`Cluster ${name}${isDefault ? " (the default)" : ""}`];
  const nodes = Object.entries(cluster.nodes);
  const rows = [
    ["node", "power", "system", "member", "starts at boot", "up for", "the operator's way"],
    ...nodes.map(([node, each]) => [
      node,
      powerText(each),
      each.system,
      each.member === "online" ? "yes" : each.member === "waiting" ? "waits to join" : "no",
      each.disabledUnits.length === 0 ? "yes" : `not ${each.disabledUnits.join(", ")}`,
      each.bootedAt === null ? "-" : `${spanText(now - each.bootedAt)} (boot ${each.boots})`,
      each.operatorCut ? "cut" : "open",
    ]),
  ];
  lines.push(...table(rows));
  for (const [group, places] of Object.entries(cluster.groups)) {
    const where = Object.entries(places).map(([node, place]) => `${place} on ${node}`);
    lines.push(`  group ${group}: ${where.join(", ") || "stopped"}`);
  }
  for (const [mirror, { colours, copying, backupFlag }] of Object.entries(cluster.mirrors)) {
    const sides = Object.entries(colours).map(([node, colour]) => `${node} ${colour}`);
    const more = [
      ...(copying ? [`copying from ${copying.from} to ${copying.to}, ${copying.percent} %`] : []),
      ...backupFlag.map((node) => `prepared for backup on ${node}`),
    ];
    lines.push(`  mirror ${mirror}: ${[sides.join(", "), ...more].join("; ")}`);
  }
  const suspended = nodes.flatMap(([node, each]) =>
    each.suspendedMonitors.map((monitor) => `${monitor} on ${node}`),
  );
  lines.push(`  monitors suspended: ${suspended.join(", ") || "none"}`);
  const markers = nodes.flatMap(([node, each]) =>
    each.marker === null ? [] : [`${each.marker} on ${node}`],
  );
  lines.push(`  markers of runs: ${markers.join(", ") || "none"}`);
  const timers = nodes.flatMap(([node, each]) => each.timers.map((timer) => `${timer} on ${node}`));
  lines.push(`  timers: ${timers.join(", ") || "none"}`);
  if (cluster.suspended) lines.push("  the cluster is suspended: it does not fail over and copies nothing");
  if (cluster.partitioned) lines.push("  the nodes do not see each other");
  return lines;
}

function powerText({ power, instanceState }: NodeStatus): string {
  const word = power ? "on" : "off";
  const usual = power ? "running" : "stopped";
  return instanceState === usual ? word : `${word} (${instanceState})`;
}

function snapshotLines({ snapshots }: LabStatus): readonly string[] {
  if (snapshots.length === 0) return ["Snapshots: none"];
  return [
    "Snapshots",
    ...table([
      ["snapshot", "of", "cut at", "state", "cut with", "run"],
      ...snapshots.map(({ id, volume, of, startedAt, state, percent, powerOff, isolated, clean, run }) => [
        id,
        `${volume} (${of})`,
        timeText(startedAt),
        state === "pending" ? `pending, ${percent} %` : state,
        [
          powerOff ? "power off" : "power on",
          clean ? "clean file system" : "file system in use",
          ...(isolated ? ["mirror broken before"] : []),
        ].join(", "),
        run ?? "-",
      ]),
    ]),
  ];
}

function volumeLines({ volumes }: LabStatus): readonly string[] {
  return [
    "Volumes",
    ...table([
      ["volume", "name", "size", "state", "attached to", "made from"],
      ...volumes.map(({ id, name, sizeGiB, state, at, fromSnapshot }) => [
        id,
        name || "-",
        `${sizeGiB} GiB`,
        state,
        at,
        fromSnapshot ?? "-",
      ]),
    ]),
  ];
}

/** Columns by the widest word, two spaces apart, indented. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows.map((row) =>
    `  ${row.map((word, column) => word.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd(),
  );
}

export function logText(entries: readonly LogEntry[]): string {
  return entries.map((entry) => `${lineOf(entry)}\n`).join("");
}

function lineOf(entry: LogEntry): string {
  const start = `${String(entry.seq).padStart(5)}  ${timeText(entry.at)}  `;
  if (entry.kind === "effect") return `${start}    * ${entry.what}`;
  const to = entry.to === "cloud" ? "cloud" : (entry.node ?? "");
  const notes = [
    ...(entry.class === "read" ? [] : [entry.class]),
    ...(entry.by === "person" ? ["by a person"] : []),
    ...(entry.reply === "sent" ? [] : [replyText(entry.reply)]),
  ];
  return `${start}> ${to}: ${entry.line.replaceAll("\n", " ")}${notes.length > 0 ? `  (${notes.join(", ")})` : ""}`;
}

function replyText(reply: "pending" | "lost" | "cut"): string {
  switch (reply) {
    case "pending":
      return "not answered yet";
    case "lost":
      return "the answer was lost";
    case "cut":
      return "the answer was cut off";
  }
}

function timeText(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

function spanText(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return `${Math.max(0, Math.floor(ms / 1000))} s`;
  if (minutes < 120) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / (24 * 60))} days`;
}

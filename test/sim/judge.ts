/** What must be true when a night is over: of the world, and of what the run said about it. */
import type { Lab } from "../../src/lab/build.ts";
import { statusOf } from "../../src/lab/status.ts";
import type { Line } from "../../src/engine/logbook.ts";

/** What of a cluster is not normal, a sentence each. */
export function notNormal(lab: Lab, name: string): readonly string[] {
  const cluster = lab.cluster(name);
  const { clusters } = statusOf(lab, 1, []);
  const seen = clusters[name];
  if (!seen) throw new Error(`the lab tells nothing of ${name}`);
  const odd: string[] = [];
  for (const [node, { member, system, disabledUnits, suspendedMonitors, marker, timers }] of Object.entries(
    seen.nodes,
  )) {
    if (system !== "up") odd.push(`${node} is ${system}`);
    if (member !== "online") odd.push(`${node} is ${member} in the cluster`);
    if (disabledUnits.length > 0) odd.push(`${node} does not start ${disabledUnits.join(", ")}`);
    if (suspendedMonitors.length > 0) odd.push(`${node} has suspended ${suspendedMonitors.join(", ")}`);
    if (marker !== null) odd.push(`${node} is marked by ${marker}`);
    if (timers.length > 0) odd.push(`${node} has the timers ${timers.join(", ")}`);
  }
  for (const { name: group } of cluster.groups)
    if (cluster.nodeOf(group) === undefined) odd.push(`${group} is online nowhere`);
  for (const [mirror, { colours, copying }] of Object.entries(seen.mirrors)) {
    const all = Object.values(colours);
    if (copying !== null || all.some((colour) => colour !== "GREEN"))
      odd.push(`${mirror} is ${copying === null ? "" : "being copied, "}${all.join("/")}`);
  }
  return odd;
}

/** Whether a mirror has no side that the cluster itself would take for good: then a person has to choose. */
export function needsChoice(lab: Lab, name: string): boolean {
  const { clusters } = statusOf(lab, 1, []);
  return Object.values(clusters[name]?.mirrors ?? {}).some(
    ({ colours }) => !Object.values(colours).includes("GREEN"),
  );
}

/** What was made more than once by the same operation. */
export function madeTwice(lab: Lab): readonly string[] {
  const seen = new Map<string, string>();
  const twice: string[] = [];
  for (const { id, volume, tags } of lab.cloud.listSnapshots()) {
    const operation = tags["runbook:operation"];
    if (operation === undefined) continue;
    const key = `${operation} of ${volume}`;
    if (seen.has(key)) twice.push(`${seen.get(key) ?? ""} and ${id} were both made by ${key}`);
    seen.set(key, id);
  }
  return twice;
}

/** A point that is called quiesced, and was not cut so. Where both nodes were off, no mirror had to be broken away. */
export function lies(lab: Lab, known: ReadonlySet<string>, bothOff: boolean): readonly string[] {
  return lab.cloud
    .listSnapshots()
    .filter(({ id, tags }) => !known.has(id) && tags["runbook:consistency"] === "quiesced")
    .filter(({ truth }) => !(truth.powerOff && (truth.isolated || bothOff) && truth.clean))
    .map(({ id, truth }) => `${id} is called quiesced, and was cut ${JSON.stringify(truth)}`);
}

/** What a run's journal says of its end that its rows do not bear out. */
export function untrue(end: string, lines: readonly Line[]): readonly string[] {
  const acted = lines.some(({ kind, body }) => kind === "sent" && body["unit"] !== "holdNodes");
  const odd: string[] = [];
  if (end === "refused" && acted) odd.push("it is called refused, and something was sent");
  const last = lines.findLast(({ kind }) => kind === "end");
  if (last !== undefined && last.body["end"] !== end && end !== "stuck")
    odd.push(`its last word is ${String(last.body["end"])}, and it was told to have ended ${end}`);
  return odd;
}

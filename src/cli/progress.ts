/** What the answer of a read tells a person who waits for it. Answers come from a journal: each is looked at with care. */
import { oneLine } from "./format.ts";

export interface Progress {
  /** What it is about: a later answer about the same thing takes its place. */
  readonly about: string;
  readonly text: string;
  /** How far it has come, where it can be counted. */
  readonly percent: number | undefined;
}

type Thing = { readonly [key: string]: unknown };

export function progressOf(key: string, answer: unknown): Progress | undefined {
  const [name = ""] = key.split(" ", 1);
  if (name === "cluster.getMirror" && isThing(answer)) return ofMirror(answer);
  if ((name === "cloud.getSnapshots" || name === "cloud.findSnapshots") && Array.isArray(answer))
    return ofSnapshots(answer.filter(isThing));
  if (name === "nodes.listReadings" && Array.isArray(answer)) return ofReadings(key, answer.filter(isThing));
  if ((name === "cloud.getInstance" || name === "cloud.getPower") && isThing(answer))
    return ofInstance(answer);
  if (name === "cluster.getState" && isThing(answer)) return ofGroups(answer);
  return undefined;
}

function ofMirror({ mirror, status, sides, recovery }: Thing): Progress | undefined {
  if (typeof mirror !== "string" || typeof status !== "string") return undefined;
  const percent = isThing(recovery) ? numberOf(recovery["percent"]) : undefined;
  const colours = Object.entries(isThing(sides) ? sides : {}).map(
    ([node, side]) => `${node} ${isThing(side) && typeof side["colour"] === "string" ? side["colour"] : "?"}`,
  );
  const how = percent === undefined ? status.toLowerCase() : `${status.toLowerCase()} ${percent} %`;
  return said(`mirror ${mirror}`, `${mirror} ${how} (${colours.join(", ")})`, percent);
}

function ofSnapshots(snapshots: readonly Thing[]): Progress | undefined {
  if (snapshots.length === 0) return undefined;
  const failed = snapshots.filter((snapshot) => snapshot["state"] === "error");
  const name = snapshots.length === 1 ? "1 snapshot" : `${snapshots.length} snapshots`;
  if (failed.length > 0) return said("snapshots", `${name}, ${failed.length} failed`, undefined);
  const percent = Math.min(
    ...snapshots.map((snapshot) =>
      snapshot["state"] === "completed" ? 100 : (numberOf(snapshot["progressPercent"]) ?? 0),
    ),
  );
  const complete = snapshots.every((snapshot) => snapshot["state"] === "completed");
  return said("snapshots", complete ? `${name} complete` : `${name} at ${percent} %`, percent);
}

/** Of one node; it is named in what was asked. */
function ofReadings(key: string, readings: readonly Thing[]): Progress | undefined {
  const node = /"node":"([^"]*)"/.exec(key)?.[1];
  if (node === undefined || readings.length === 0) return undefined;
  const name = readings.length === 1 ? "1 volume" : `${readings.length} volumes`;
  const failed = readings.filter((reading) => reading["state"] === "failed");
  if (failed.length > 0)
    return said(`reading on ${node}`, `${name} on ${node}, ${failed.length} failed`, undefined);
  const percent = Math.min(...readings.map((reading) => numberOf(reading["percent"]) ?? 0));
  return said(`reading on ${node}`, `${name} on ${node} read to ${percent} %`, percent);
}

function ofInstance({ id, state }: Thing): Progress | undefined {
  if (typeof id !== "string" || typeof state !== "string") return undefined;
  return said(`instance ${id}`, `${id} ${state}`, undefined);
}

/** Groups on their way, or in trouble; those at rest are no news. */
function ofGroups({ groups }: Thing): Progress | undefined {
  const moving = Object.entries(isThing(groups) ? groups : {}).flatMap(([name, group]) => {
    const status = isThing(group) ? group["status"] : undefined;
    return status === "pending" || status === "failed" ? [`${name} ${status}`] : [];
  });
  return said("groups", moving.join(", "), undefined);
}

function said(about: string, text: string, percent: number | undefined): Progress {
  return { about, text: oneLine(text), percent };
}

function isThing(value: unknown): value is Thing {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

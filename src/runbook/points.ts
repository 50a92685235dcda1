/**
 * Recovery points as the cloud tells them: snapshots that carry a point's tags. Nothing else is needed to find one again,
 * neither the store nor the cluster (design 2; the tags are set by `recordPoint` and by drills).
 */
import { Failure } from "../errors.ts";
import type { Snapshot, Tags } from "../ports/cloud.ts";
import { check, type World } from "./step.ts";

export interface PointSnapshot {
  readonly id: string;
  /** The volume that was cut. */
  readonly volume: string;
  /** What of the mirrors it holds, as "md1:data+md1:cluster"; empty for a point that does not say. */
  readonly holds: string;
  /** Which of its logical volumes are the mirrors', as "md1:data=vg_md1/data"; only of mirrors on LVM. */
  readonly layout?: string;
  /** Under which names its node looked for the mirrors' partitions, by "md1:data"; only names that lie in the blocks. */
  readonly paths?: Tags;
  readonly sizeGiB: number;
  readonly encrypted: boolean;
  readonly state: Snapshot["state"];
  readonly progressPercent: number;
}

/** What a drill or a restore found out about a point. */
export interface PointTest {
  /** "content": its volumes were attached to a scratch instance and read. "cluster": a cluster served from it. */
  readonly how: "content" | "cluster";
  readonly result: "passed" | "failed";
  /** ISO 8601 in UTC. */
  readonly at: string;
  readonly run: string;
}

export interface Point {
  readonly point: string;
  readonly cluster: string;
  readonly cutAt: string;
  readonly consistency: string;
  readonly why: string;
  readonly node: string;
  /** In words: begins with "passed" if nothing failed; empty if it was never tested. */
  readonly tested: string;
  /** The last of each kind, newest first. */
  readonly tests: readonly PointTest[];
  /** Tags about tests that cannot be understood, as they stand. */
  readonly unclear: readonly string[];
  /** Whoever put this tag there wants it to stay, and why. */
  readonly hold: string;
  readonly snapshots: readonly PointSnapshot[];
  /** What is missing to restore from it, a sentence each; empty if nothing is. */
  readonly lacks: readonly string[];
  /** The prune that began to delete it, if a part of it is gone; else empty. */
  readonly droppedBy: string;
}

/** On every snapshot of a set that a prune is about to delete: what is left of the set later is known to be a rest. */
export const droppedTag = "runbook:dropped";
/** On any snapshot of a set, with a reason as its value: no prune deletes it. */
export const holdTag = "runbook:hold";
/** With "md1:data" behind it: the name under which the cut node looked for that partition. */
export const cutPathTag = "runbook:path:";

/** The cluster whose points are meant: on a staging cluster, those of the one that it belongs to. */
function clusterOfPoints({ clusterName, settings }: Pick<World, "clusterName" | "settings">): string {
  return settings.staging?.of ?? clusterName;
}

/** All points of a cluster that the cloud knows, newest first. */
export async function listPoints(world: Pick<World, "cloud" | "clusterName">): Promise<readonly Point[]> {
  const found = await world.cloud.findSnapshots({
    "runbook:point": "*",
    "runbook:cluster": world.clusterName,
  });
  const names = [...new Set(found.map((snapshot) => snapshot.tags["runbook:point"] ?? ""))];
  return names
    .map((name) =>
      pointOf(
        name,
        found.filter((snapshot) => snapshot.tags["runbook:point"] === name),
      ),
    )
    .toSorted((a, b) => (a.cutAt < b.cutAt ? 1 : -1));
}

export function pointOf(point: string, snapshots: readonly Snapshot[]): Point {
  const tag = (name: string) => snapshots[0]?.tags[`runbook:${name}`] ?? "";
  const wanted = Number(tag("of") || snapshots.length);
  const missing = snapshots.length !== wanted;
  const droppedBy = missing ? anyTag(snapshots, droppedTag) : "";
  const lacks: string[] = [];
  for (const snapshot of snapshots) {
    if (snapshot.state !== "completed") lacks.push(`snapshot ${snapshot.id} is ${snapshot.state}`);
    if (snapshot.tier !== "standard") lacks.push(`snapshot ${snapshot.id} is in the tier ${snapshot.tier}`);
  }
  if (missing)
    lacks.push(
      droppedBy === ""
        ? `the set has ${snapshots.length} snapshots; wanted ${wanted}`
        : `run ${droppedBy} began to delete it; ${snapshots.length} of ${wanted} snapshots are left`,
    );
  if (new Set(snapshots.map((snapshot) => snapshot.startedAt)).size > 1 && tag("of") === "")
    lacks.push("its snapshots were not cut at one instant");
  // A set is cut by one call. Put together from several by whoever set tags, it holds several instants.
  if (new Set(snapshots.map(({ tags }) => tags["runbook:operation"])).size > 1)
    lacks.push("its snapshots come from several cuts");
  const { tests, unclear } = testsIn(snapshots);
  return {
    point,
    cluster: tag("cluster"),
    cutAt: snapshots[0]?.startedAt ?? "",
    consistency: tag("consistency") || "unknown",
    why: tag("why"),
    node: tag("node"),
    tested: inWords(tests, unclear),
    tests,
    unclear,
    hold: anyTag(snapshots, holdTag),
    snapshots: snapshots.map((snapshot) => ({
      id: snapshot.id,
      volume: snapshot.volume,
      holds: snapshot.tags["runbook:holds"] ?? "",
      ...(snapshot.tags["runbook:layout"] !== undefined && { layout: snapshot.tags["runbook:layout"] }),
      ...pathsOn(snapshot),
      sizeGiB: snapshot.sizeGiB,
      encrypted: snapshot.encrypted,
      state: snapshot.state,
      progressPercent: snapshot.progressPercent,
    })),
    lacks,
    droppedBy,
  };
}

function pathsOn({ tags }: Snapshot): Pick<PointSnapshot, "paths"> {
  const paths = Object.entries(tags)
    .filter(([key]) => key.startsWith(cutPathTag))
    .map(([key, path]) => [key.slice(cutPathTag.length), path]);
  return paths.length === 0 ? {} : { paths: Object.fromEntries(paths) as Tags };
}

function anyTag(snapshots: readonly Snapshot[], key: string): string {
  return snapshots.map(({ tags }) => tags[key]).find((value) => value !== undefined && value !== "") ?? "";
}

export const contentTestTag = "runbook:tested-content";

/** The tag that tells of a test, for every snapshot of the point: a later test of the same kind takes its place. */
export function testTag({ how, result, at, run }: PointTest): Tags {
  return { [`runbook:tested-${how}`]: `${result} ${at} ${run}` };
}

/** Read with care: what looks like a test and cannot be understood is neither passed nor nothing. */
function testsIn(snapshots: readonly Snapshot[]): Pick<Point, "tests" | "unclear"> {
  const tests: PointTest[] = [];
  const unclear: string[] = [];
  const tags = Object.assign({}, ...snapshots.map((snapshot) => snapshot.tags)) as Tags;
  for (const [key, value] of Object.entries(tags)) {
    if (!key.startsWith("runbook:tested")) continue;
    const how = key.slice("runbook:tested-".length);
    const [, result, at, run] = /^(passed|failed) (\d{4}-\S+Z) (\S+)$/.exec(value) ?? [];
    const known = (how === "content" || how === "cluster") && Number.isFinite(Date.parse(at ?? ""));
    if (known && at !== undefined && run !== undefined)
      tests.push({ how, result: result === "passed" ? "passed" : "failed", at, run });
    else unclear.push(`${key} is "${value}"`);
  }
  return { tests: tests.toSorted((a, b) => (a.at < b.at ? 1 : -1)), unclear };
}

const kinds = { content: "its content, on a scratch instance", cluster: "a cluster served from it" } as const;

/** "passed (a cluster served from it, 2026-03-01, run 8f3a)". */
export function sayTest({ how, result, at, run }: PointTest): string {
  return `${result} (${kinds[how]}, ${at.slice(0, 10)}, run ${run})`;
}

/** What failed comes first: who reads only the first word must not take a point for good. */
function inWords(tests: readonly PointTest[], unclear: readonly string[]): string {
  const failed = tests.filter(({ result }) => result === "failed");
  const passed = tests.filter(({ result }) => result === "passed");
  return [...failed.map(sayTest), ...unclear, ...passed.map(sayTest)].join("; ");
}

/** Whether a restore of it worked, and nothing speaks against it. */
export function isTestedGood(point: Point): boolean {
  return (
    point.unclear.length === 0 &&
    point.tests.length > 0 &&
    point.tests.every(({ result }) => result === "passed")
  );
}

/** What it lacks, with how far copies have come: that moves, so it is no part of `lacks`. */
export function sayLacks({ lacks, snapshots }: Point): string {
  const pending = snapshots.filter(({ state }) => state === "pending");
  const percent = Math.min(...pending.map(({ progressPercent }) => progressPercent));
  return [...lacks, ...(pending.length > 0 ? [`copied to ${percent}%`] : [])].join("; ");
}

/** The point that the parameter `point` names; "newest" is the newest from which a restore could work. */
export const pointFound = check<Point>("The recovery point is there, and whole", async (world) => {
  const wanted = world.params["point"] ?? "newest";
  const clusterName = clusterOfPoints(world);
  const points = await listPoints({ cloud: world.cloud, clusterName });
  const [newest] = points;
  if (newest === undefined)
    throw new Failure("precondition", `there is no recovery point of ${clusterName} in the cloud`, {
      hint: "look at `runbook points`, at the region, and at the name of the cluster in the inventory",
    });
  if (wanted === "newest") {
    const whole = points.find(({ lacks }) => lacks.length === 0);
    if (whole) return whole;
    throw new Failure(
      "precondition",
      `no recovery point of ${clusterName} is whole; of the newest, ${newest.point}, ${sayLacks(newest)}`,
      { hint: "wait until its copies are complete" },
    );
  }
  const found = points.find(({ point }) => point === wanted);
  if (!found)
    throw new Failure("precondition", `there is no recovery point ${wanted} of ${clusterName}`, {
      hint: `there are ${points
        .slice(0, 5)
        .map(({ point, cutAt }) => `${point} (${cutAt})`)
        .join(", ")}`,
    });
  if (found.lacks.length > 0)
    throw new Failure("precondition", `recovery point ${wanted} is not whole: ${sayLacks(found)}`, {
      hint: "wait until its copies are complete, or choose another one (`runbook points`)",
    });
  return found;
});

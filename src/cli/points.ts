/**
 * Recovery points. The cloud has the truth, in tags on the snapshots; what was seen of it is kept in the store, for the day
 * on which the cloud cannot be asked. Where nothing was ever seen, the journals here tell what their runs have cut.
 */
import { asFailure } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import type { Snapshot } from "../ports/cloud.ts";
import type { Store } from "../ports/store.ts";
import { finalTag } from "../runbook/prune.ts";
import {
  isTestedGood,
  listPoints,
  pointOf,
  sayLacks,
  type Point,
  type PointTest,
} from "../runbook/points.ts";
import { openContext, openPlace, type Context, type Place, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { lookingPorts } from "./look.ts";
import { seeRuns, type RunSeen } from "./runs-seen.ts";
import { concealFor } from "./secrets.ts";

export interface PointShown {
  /** Its name, for `restore --param point=…`. */
  readonly point: string;
  readonly run: string;
  readonly cluster: string;
  readonly node: string;
  readonly cutAt: string;
  readonly consistency: string;
  readonly why: readonly string[];
  /** Whether a restore could begin from it now. */
  readonly complete: boolean;
  /** What it lacks for that. */
  readonly lacks: string;
  readonly sizeGiB: number;
  /** "never", or in words; `testedGood` is what may be counted on. */
  readonly tested: string;
  readonly testedGood: boolean;
  readonly tests: readonly PointTest[];
  /** When the last lock on one of its snapshots ends; "unknown" where the locks could not be asked. */
  readonly lockedUntil: string | null;
  readonly snapshots: readonly { readonly id: string; readonly volume: string; readonly holds: string }[];
}

interface Told {
  readonly points: readonly PointShown[];
  /** What the reader must know of where this comes from. */
  readonly notes: readonly string[];
}

export interface PointsOptions extends WorldOptions {
  readonly json?: boolean;
  readonly rebuild?: boolean;
}

export async function points(cluster: string | undefined, options: PointsOptions): Promise<number> {
  const place = await openPlace(options);
  const { points: found, notes } = await tellPoints(place, cluster, options);
  for (const note of notes) process.stderr.write(`runbook: ${harmless(note)}\n`);
  process.stdout.write(options.json === true ? `${JSON.stringify(found, null, 2)}\n` : pointsText(found));
  return 0;
}

async function tellPoints(place: Place, cluster: string | undefined, options: PointsOptions): Promise<Told> {
  if (options.rebuild !== true && !place.lab && (await hasNoInventory(options)))
    return {
      points: (await fromJournals(place.store)).filter(
        (point) => cluster === undefined || point.cluster === cluster,
      ),
      notes: ["there is no inventory, so the cloud was not asked: this is what the journals here tell"],
    };
  const context = await openContext(options, cluster, place);
  try {
    return await lookForPoints(context, options.rebuild === true);
  } finally {
    await context.close();
  }
}

async function hasNoInventory({ inventory }: WorldOptions): Promise<boolean> {
  const { findInventory } = await import("../config/inventory.ts");
  return findInventory({ flag: inventory, env: process.env, cwd: process.cwd() }) === undefined;
}

/** From the cloud, and kept; or as they were kept, unless the view is to be made again from the cloud alone. */
export async function lookForPoints(context: Context, rebuild: boolean): Promise<Told> {
  const { store, clock, cluster } = context;
  let told: Told;
  try {
    told = await fromCloud(context);
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (rebuild || failure.kind === "bug" || failure.kind === "aborted") throw failure;
    const kept = await asKept(store, cluster.name);
    if (kept === undefined) throw failure;
    return {
      points: kept.points,
      notes: [`the cloud could not be asked (${failure.message}): ${kept.note}`],
    };
  }
  const note = await keep(store, cluster.name, clock.now(), told.points);
  return { points: told.points, notes: [...told.notes, ...note] };
}

/** What cannot be kept is shown all the same. */
async function keep(
  store: Store,
  cluster: string,
  seenAt: number,
  seen: readonly PointShown[],
): Promise<string[]> {
  try {
    const kept = concealFor("", process.env)(JSON.parse(JSON.stringify(seen)) as Json);
    await store.keepPoints(cluster, { seenAt, seen: kept });
    return [];
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind === "bug") throw failure;
    return [`what was seen could not be kept: ${failure.message}`];
  }
}

async function asKept(
  store: Store,
  cluster: string,
): Promise<{ readonly points: readonly PointShown[]; readonly note: string } | undefined> {
  const view = await store.findPoints(cluster);
  if (view && Array.isArray(view.seen))
    return {
      points: view.seen as unknown as readonly PointShown[],
      note: `this is what was seen at ${new Date(view.seenAt).toISOString()}`,
    };
  const points = (await fromJournals(store)).filter((point) => point.cluster === cluster);
  return points.length === 0 ? undefined : { points, note: "this is what the journals here tell" };
}

async function fromCloud(context: Context): Promise<Told> {
  const { cloud } = lookingPorts(context);
  const clusterName = context.cluster.name;
  const found = await listPoints({ cloud, clusterName });
  const notes: string[] = [];
  let locks: Awaited<ReturnType<typeof cloud.listLocks>> | undefined;
  try {
    locks = await cloud.listLocks();
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind !== "denied" && failure.kind !== "unsupported") throw failure;
    notes.push(`locks could not be asked for: ${failure.message}`);
  }
  const until = (ids: readonly string[]): string | null => {
    if (locks === undefined) return "unknown";
    const holding = locks.filter((lock) => lock.holds && ids.includes(lock.snapshot));
    // Without an end: its time has not begun, as the snapshot is still pending.
    return holding.length === 0
      ? null
      : (holding
          .map((lock) => lock.until ?? "its copy is complete")
          .sort()
          .at(-1) ?? null);
  };
  const recorded = found.map((point) => shown(point, until(point.snapshots.map(({ id }) => id))));
  const cut = await cloud.findSnapshots({ "runbook:operation": "*", "runbook:cluster": clusterName });
  return {
    points: [...recorded, ...unrecorded(cut)].toSorted((a, b) => (a.cutAt < b.cutAt ? 1 : -1)),
    notes,
  };
}

function shown(point: Point, lockedUntil: string | null): PointShown {
  // A run that cut both nodes left a point for each.
  const ofNode = point.node !== "" && point.point.endsWith(`-${point.node}`);
  const run = ofNode ? point.point.slice(0, -point.node.length - 1) : point.point;
  return {
    point: point.point,
    run,
    cluster: point.cluster,
    node: point.node,
    cutAt: point.cutAt,
    consistency: point.consistency,
    why: point.why === "" ? [] : [point.why],
    complete: point.lacks.length === 0,
    lacks: sayLacks(point),
    sizeGiB: point.snapshots.reduce((sum, { sizeGiB }) => sum + sizeGiB, 0),
    tested: point.tested === "" ? "never" : point.tested,
    testedGood: isTestedGood(point),
    tests: point.tests,
    lockedUntil,
    snapshots: point.snapshots.map(({ id, volume, holds }) => ({ id, volume, holds })),
  };
}

/** Sets that were cut and carry no name of a point: the run is still on its way, or ended before it recorded them. */
export function unrecorded(cut: readonly Snapshot[]): readonly PointShown[] {
  const loose = cut.filter(({ tags }) => tags["runbook:point"] === undefined && tags[finalTag] === undefined);
  const nameOf = ({ tags }: Snapshot) => `${tags["runbook:operation"] ?? ""} ${tags["runbook:node"] ?? ""}`;
  return [...new Set(loose.map(nameOf))].map((name) => {
    const set = loose.filter((snapshot) => nameOf(snapshot) === name);
    const run = set[0]?.tags["runbook:run"] ?? "";
    const point = pointOf(run, set);
    return {
      ...shown(point, null),
      run,
      complete: false,
      lacks: [`run ${run} has not recorded it as a recovery point`, sayLacks(point)]
        .filter(Boolean)
        .join("; "),
    };
  });
}

type Cut = readonly { readonly id: string; readonly volume: string; readonly startedAt: string }[];

async function fromJournals(store: Store): Promise<readonly PointShown[]> {
  return (await seeRuns(store)).flatMap(pointsOfRun);
}

/** One of a run that cut one node; one for each node of a run that cut both. */
function pointsOfRun(seen: RunSeen): PointShown[] {
  const { start } = seen;
  if (!start) return [];
  const found = (...steps: readonly string[]) =>
    seen.rows.find((row) => row.kind === "outcome" && steps.some((step) => row.body["unit"] === step))?.body[
      "found"
    ];
  const recorded = found("recordPoint", "recordBoth") as
    { consistency: string; why: readonly string[] } | undefined;
  const one = found("snapshotVolumes") as Cut | undefined;
  const both = found("cutBoth") as { readonly [node: string]: Cut } | undefined;
  const standby = (found("roles") as { readonly standby?: string } | undefined)?.standby ?? "";
  const cuts = [
    ...(one ? [{ point: seen.run, node: standby, cut: one }] : []),
    ...Object.entries(both ?? {}).map(([node, cut]) => ({ point: `${seen.run}-${node}`, node, cut })),
  ];
  const complete = recorded !== undefined && found("snapshotsReady", "cutsReady") !== undefined;
  return cuts.map(({ point, node, cut }) => ({
    point,
    run: seen.run,
    cluster: start.plan.cluster,
    node,
    cutAt: cut[0]?.startedAt ?? "",
    consistency: recorded?.consistency ?? "unknown",
    why: recorded?.why ?? [`the run ended before it was recorded (${seen.state})`],
    complete,
    lacks: complete ? "" : "its copies were not seen complete",
    sizeGiB: 0,
    tested: "never",
    testedGood: false,
    tests: [],
    lockedUntil: "unknown",
    snapshots: cut.map(({ id, volume }) => ({ id, volume, holds: "" })),
  }));
}

function testWord({ tested, testedGood, tests }: PointShown): string {
  if (tested === "never") return "never tested";
  if (testedGood) return "tested";
  return tests.some(({ result }) => result === "failed") ? "test failed" : "test unclear";
}

export function pointsText(found: readonly PointShown[]): string {
  if (found.length === 0) return "there are no recovery points yet\n";
  return found
    .flatMap((point) => [
      [
        point.cutAt,
        point.cluster,
        point.node,
        point.consistency,
        point.complete ? "complete" : "not complete",
        ...(point.sizeGiB > 0 ? [`${point.sizeGiB} GiB`] : []),
        testWord(point),
        `(${point.point === point.run ? "run" : "point"} ${point.point})`,
      ].join("  "),
      ...point.snapshots.map(
        ({ id, volume, holds }) => `  ${id} of ${volume}${holds === "" ? "" : `: ${holds}`}`,
      ),
      ...point.why.map((reason) => `  ${reason}`),
      ...(point.complete ? [] : [`  lacks: ${point.lacks}`]),
      ...(point.tested === "never" ? [] : [`  tested: ${point.tested}`]),
      ...(point.lockedUntil === null || point.lockedUntil === "unknown"
        ? []
        : [`  locked until ${point.lockedUntil}`]),
    ])
    .map((line) => `${harmless(line)}\n`)
    .join("");
}

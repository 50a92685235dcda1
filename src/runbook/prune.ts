/**
 * What a prune looks at: which recovery points stay, who still needs the others, and which old volumes are done with. What
 * the checks find are the facts of its plan; each deletion asks the same again, just before.
 */
import { asFailure } from "../errors.ts";
import type { References, Snapshot, Volume } from "../ports/cloud.ts";
import { isTestedGood, listPoints, type Point } from "./points.ts";
import { assertNoOpenRun } from "./preflight.ts";
import { retain, type RetentionPoint, type RetentionRule } from "./retention.ts";
import { assertGranted, sampleTags } from "./rights.ts";
import { check, type Params, type World } from "./step.ts";

/** A prune speaks to the cloud alone, so it asks the store alone: a node may be off, or out of reach. */
export const noOpenRun = check("No other run on this cluster is open", async (world) => {
  await assertNoOpenRun(world);
  return true;
});

/** A set that goes. */
export interface Drop {
  readonly point: string;
  readonly cutAt: string;
  readonly snapshots: readonly string[];
  /** A part of it is gone already: there is nothing to mark any more. */
  readonly halfGone?: true;
  readonly why: string;
}

export interface PointsJudged {
  readonly goes: readonly Drop[];
  readonly stays: readonly { readonly point: string; readonly cutAt: string; readonly why: string }[];
}

export const pointsJudged = check<PointsJudged>("Which recovery points stay, and which go", async (world) => {
  const judged = await judgePoints(world);
  return {
    goes: judged.flatMap(({ point, keep, why }) => (keep ? [] : [dropOf(point, why)])),
    stays: judged.flatMap(({ point: { point, cutAt }, keep, why }) => (keep ? [{ point, cutAt, why }] : [])),
  };
});

function dropOf({ point, cutAt, snapshots, droppedBy }: Point, why: string): Drop {
  const ids = snapshots.map(({ id }) => id);
  return { point, cutAt, snapshots: ids, ...(droppedBy !== "" && { halfGone: true }), why };
}

export interface JudgedPoint {
  readonly point: Point;
  readonly keep: boolean;
  readonly why: string;
}

/**
 * The verdict on every point as the cloud tells it now, newest first. Who uses a point is asked only where no rule keeps it,
 * as each question is a call for each of its snapshots; with `only`, of that one alone, and then only its verdict counts.
 */
export async function judgePoints(world: World, only?: string): Promise<readonly JudgedPoint[]> {
  const rule = ruleOf(world.params);
  const points = await listPoints(world);
  const locks = await world.cloud.listLocks();
  const fast = await world.cloud.listFastRestores();
  const plain = points.map((point): RetentionPoint => {
    const ids = point.snapshots.map(({ id }) => id);
    return {
      point: point.point,
      cutAt: point.cutAt,
      tested: isTestedGood(point),
      consistency: point.consistency,
      lacks: point.lacks,
      halfGone: point.droppedBy !== "",
      locked: [
        ...(point.hold === "" ? [] : [`held: ${point.hold}`]),
        ...locks
          .filter((lock) => lock.holds && ids.includes(lock.snapshot))
          .map(
            ({ snapshot, until }) => `${snapshot} is locked${until === undefined ? "" : ` until ${until}`}`,
          ),
      ],
      referenced: fast
        .filter(({ snapshot }) => ids.includes(snapshot))
        .map(({ snapshot, zone }) => `fast restore of ${snapshot} is on in ${zone}`),
      unread: point.unclear,
    };
  });
  const nobodys = retain(plain, rule).filter(({ keep, point }) => !keep && (only ?? point) === point);
  const known: RetentionPoint[] = [];
  for (const each of plain) {
    const point = points.find((candidate) => candidate.point === each.point);
    const asked = point !== undefined && nobodys.some((verdict) => verdict.point === each.point);
    known.push(asked ? { ...each, ...(await usersOf(world, point)) } : each);
  }
  return retain(known, rule).flatMap(({ point: name, keep, reasons }) => {
    const point = points.find((candidate) => candidate.point === name);
    return point ? [{ point, keep, why: reasons.join("; ") }] : [];
  });
}

/** Who uses it now; where that cannot be asked, nobody knows whether it may go. */
async function usersOf(world: World, point: Point): Promise<Pick<RetentionPoint, "referenced" | "unread">> {
  try {
    const found = await world.cloud.getReferences(point.snapshots.map(({ id }) => id));
    const users: string[] = [];
    for (const references of found) users.push(...(await sayUsers(world, references)));
    return { referenced: users, unread: [] };
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind === "bug" || failure.kind === "aborted") throw failure;
    return { referenced: [], unread: [failure.message] };
  }
}

async function sayUsers(world: World, { snapshot, volumes, images, sharedWith }: References) {
  const users: string[] = [];
  for (const volume of volumes)
    if (await isInUse(world, volume))
      users.push(`${volume.id} was made from ${snapshot}, and is not confirmed`);
  if (images.length > 0) users.push(`${snapshot} is in the image ${images.join(", ")}`);
  if (sharedWith.length > 0) users.push(`${snapshot} is shared with ${sharedWith.join(", ")}`);
  return users;
}

/** On what a restore left behind, once a person has said that the restore is good. */
export const confirmedTag = "runbook:confirmed";

/**
 * A restored volume may be wanted anew from its snapshot until a person confirmed the restore: on the volume itself, or on
 * the one that it took the place of. Where that one is gone, somebody has done with it.
 */
async function isInUse(world: World, volume: Volume): Promise<boolean> {
  if (volume.state === "deleting" || volume.state === "deleted") return false;
  if (volume.tags[confirmedTag] !== undefined) return false;
  const replaced = volume.tags["runbook:replaces"];
  if (replaced === undefined) return true;
  try {
    const [old] = await world.cloud.getVolumes([replaced]);
    return old !== undefined && old.state !== "deleted" && old.tags[confirmedTag] === undefined;
  } catch (thrown) {
    if (asFailure(thrown).kind === "not-found") return false;
    throw thrown;
  }
}

export function ruleOf(params: Params): RetentionRule {
  const count = (name: string) => Number(params[name] ?? 0);
  return {
    last: count("last"),
    daily: count("daily"),
    weekly: count("weekly"),
    monthly: count("monthly"),
    yearly: count("yearly"),
    keepTested: count("keepTested"),
  };
}

export interface OldVolume {
  readonly volume: string;
  readonly node: string;
  readonly device: string;
  /** The restore that took it out. */
  readonly run: string;
  readonly sizeGiB: number;
  readonly next: "goes" | "needs a final snapshot" | "stays";
  readonly why: string;
}

export interface OldVolumesJudged {
  readonly volumes: readonly OldVolume[];
}

/** Asked for only with `oldVolumes=prune`; otherwise the steps that read it are not in the list. */
export const oldVolumesJudged = check<OldVolumesJudged>(
  "Which old volumes of restores stay, and which go",
  async (world) => ({ volumes: await judgeOldVolumes(world) }),
);

/** The old volumes of this cluster as the cloud tells them now, oldest first. */
export async function judgeOldVolumes(world: World): Promise<readonly OldVolume[]> {
  const found = await world.cloud.findVolumes({ "runbook:old": "*" });
  const made = await world.cloud.findVolumes({
    "runbook:replaces": "*",
    "runbook:cluster": world.clusterName,
  });
  const ours = found.filter(
    ({ id, tags, state }) =>
      state !== "deleting" &&
      state !== "deleted" &&
      (tags["runbook:cluster"] === world.clusterName ||
        tags["runbook:old-of"] === world.clusterName ||
        made.some((volume) => volume.tags["runbook:replaces"] === id)),
  );
  const judged: OldVolume[] = [];
  for (const volume of ours)
    judged.push({
      volume: volume.id,
      node: volume.tags["runbook:old-node"] ?? "",
      device: volume.tags["runbook:old-device"] ?? "",
      run: volume.tags["runbook:old"] ?? "",
      sizeGiB: volume.sizeGiB,
      ...judgeOldVolume(volume, await finalSnapshotsOf(world, volume.id)),
    });
  return judged;
}

/** Deleted only when confirmed, attached to nothing, and kept whole in a final snapshot (the catalogue's rule). */
function judgeOldVolume(volume: Volume, finals: readonly Snapshot[]): Pick<OldVolume, "next" | "why"> {
  if (volume.tags[confirmedTag] === undefined) return { next: "stays", why: "its restore was not confirmed" };
  if (volume.state !== "available" || volume.attachments.length > 0)
    return { next: "stays", why: `it is ${volume.state}` };
  const whole = finals.find(({ state, tier }) => state === "completed" && tier === "standard");
  if (whole) return { next: "goes", why: `confirmed, and kept in ${whole.id}` };
  const pending = finals.find(({ state }) => state === "pending");
  if (pending) return { next: "stays", why: `its final snapshot ${pending.id} is not complete yet` };
  return { next: "needs a final snapshot", why: "confirmed" };
}

/** On the last snapshot of an old volume, which is no recovery point, with the volume as its value. */
export const finalTag = "runbook:final";

export async function finalSnapshotsOf(world: World, volume: string): Promise<readonly Snapshot[]> {
  const found = await world.cloud.findSnapshots({ [finalTag]: volume });
  return found.filter((snapshot) => snapshot.volume === volume);
}

export const pruneRights = check("The cloud grants what the prune will ask for", async (world) => {
  const { goes } = world.outcomeOf(pointsJudged);
  const old = world.findOutcome(oldVolumesJudged)?.volumes ?? [];
  const which = (next: OldVolume["next"]) =>
    old.filter((each) => each.next === next).map((each) => each.volume);
  const missing = await world.cloud.findMissingPruneRights({
    snapshots: goes.flatMap(({ snapshots }) => snapshots),
    finalOf: which("needs a final snapshot"),
    volumes: which("goes"),
    tags: sampleTags(world),
  });
  return assertGranted(
    missing,
    "grant them to the role that runs this (docs/reference/aws.md), best one of its own",
  );
});

/**
 * Nodes that are off, on the day of a restore. One that could not run `clprestore.sh --pre` is never booted with a volume
 * that was swapped: its cluster software would start the mirror on it. So it is booted with its data volumes detached
 * ("bare"), its cluster software is kept from starting, and from then on it is restored as any other (design 4, issue 2).
 */
import { Failure } from "../errors.ts";
import type { Tags } from "../ports/cloud.ts";
import { contentOf, findMirrorVolumes } from "./devices.ts";
import { listPoints } from "./points.ts";
import { mirrorsOf } from "./roles.ts";
import { check, type World } from "./step.ts";

/** Where a detached volume belongs; it stands in its tags, so that any machine can read it. */
export interface Place {
  readonly node: string;
  readonly volume: string;
  /** The name given at attach. */
  readonly device: string;
  readonly deleteOnTermination: boolean;
  /** What of the mirrors lies on it, as "md1:data+md1:cluster"; empty if nobody knows. */
  readonly holds: string;
}

export const nodesOff = check<readonly string[]>("Which nodes are off", async (world) => {
  const off: string[] = [];
  for (const node of world.members) {
    const { id, state } = await world.cloud.getPower(world.instanceOf(node));
    if (state === "stopped") off.push(node);
    else if (state !== "running")
      throw new Failure("precondition", `instance ${id} of ${node} is ${state}; wanted running or stopped`, {
        hint: "wait until it has settled; a node that is gone for good is left out by `restore-one`",
      });
    else if ((await world.nodes.findBoot(node)) === undefined)
      throw new Failure("precondition", `${node} does not answer, though its instance ${id} runs`, {
        hint: "if it serves, mend the way to it; if it is dead, power it off, and plan again",
      });
  }
  if (off.length === 0)
    throw new Failure("precondition", "no node is off: there is nothing to boot", {
      hint: "`runbook plan restore` can begin from here",
    });
  return off;
});

/**
 * By what was recorded of a volume; else by the other node, which has the same in the same places: a guess, that is proven
 * before any mirror is started (`devicesProven`).
 */
export const bareVolumes = check<readonly Place[]>(
  "Which volumes of the nodes that are off carry mirrors",
  async (world) => {
    const off = world.outcomeOf(nodesOff);
    const all = world.params["volumes"] === "all";
    const byPoint = await layoutOfPoints(world);
    const attached: Attached[] = [];
    for (const node of off) attached.push(...(await dataVolumes(world, node, byPoint)));
    const layout = (await layoutOfPeer(world, off)) ?? attached.filter(({ holds }) => holds !== "");
    const places: Place[] = [];
    for (const node of off) {
      const known = attached
        .filter((each) => each.node === node)
        .map((each) => ({ ...each, holds: each.holds || likewise(each, layout) }))
        .filter(({ holds }) => all || holds !== "");
      assertWhole(node, known, layout, all);
      places.push(...known.map(({ sizeGiB: _, ...place }) => place));
    }
    return places;
  },
);

type Attached = Place & { readonly sizeGiB: number };
type Layout = readonly Pick<Attached, "device" | "sizeGiB" | "holds">[];

async function dataVolumes(
  world: World,
  node: string,
  byPoint: ReadonlyMap<string, string>,
): Promise<readonly Attached[]> {
  const { attachments, rootDevice } = await world.cloud.getInstance(world.instanceOf(node));
  const data = attachments.filter(({ device }) => device !== rootDevice);
  const volumes = await world.cloud.getVolumes(data.map(({ volume }) => volume));
  return data.map(({ volume, device, deleteOnTermination }, i) => ({
    node,
    volume,
    device,
    deleteOnTermination,
    holds: volumes[i]?.tags["runbook:holds"] ?? byPoint.get(volume) ?? "",
    sizeGiB: volumes[i]?.sizeGiB ?? 0,
  }));
}

/** Of the node that answers, if one does. */
async function layoutOfPeer(world: World, off: readonly string[]): Promise<Layout | undefined> {
  const node = world.members.find((each) => !off.includes(each));
  if (node === undefined) return undefined;
  const config = await world.cluster.getConfig([node]);
  const { partitions, volumes } = await findMirrorVolumes(world, node, mirrorsOf(config));
  return (await world.cloud.getVolumes(volumes)).map((volume) => ({
    device: volume.attachments[0]?.device ?? "",
    sizeGiB: volume.sizeGiB,
    holds: contentOf(partitions, volume.id),
  }));
}

/** Volumes that a recovery point was cut from, and what they held then. */
async function layoutOfPoints(world: World): Promise<ReadonlyMap<string, string>> {
  const points = await listPoints(world);
  return new Map(points.flatMap(({ snapshots }) => snapshots.map(({ volume, holds }) => [volume, holds])));
}

function likewise(volume: Attached, layout: Layout): string {
  const alike = new Set(
    layout
      .filter(({ device, sizeGiB }) => device === volume.device && sizeGiB === volume.sizeGiB)
      .map(({ holds }) => holds),
  );
  return alike.size === 1 ? ([...alike][0] ?? "") : "";
}

/** A mirror that is left attached would be started at boot: so all of them are found, each once, or none is touched. */
function assertWhole(node: string, known: readonly Place[], layout: Layout, all: boolean): void {
  if (all) {
    if (known.length > 0) return;
    throw new Failure("precondition", `${node} has no data volume attached`, {
      hint: "boot it by hand, and keep its cluster software from starting",
    });
  }
  const parts = known.flatMap(({ holds }) => holds.split("+"));
  const wanted = [...new Set(layout.flatMap(({ holds }) => holds.split("+")))];
  const missing = wanted.filter((part) => !parts.includes(part));
  const twice = parts.filter((part, i) => parts.indexOf(part) !== i);
  if (wanted.length > 0 && missing.length === 0 && twice.length === 0) return;
  const unknown =
    wanted.length === 0
      ? `nothing tells which volumes of ${node} carry mirrors: no other node answers, and no recovery point says it`
      : missing.length > 0
        ? `no volume at ${node} is known to hold ${missing.join(", ")}`
        : `${twice.join(", ")} would lie on two volumes at ${node}`;
  throw new Failure("precondition", unknown, {
    hint: "give `--param volumes=all` to detach every data volume of it, if it boots without them",
  });
}

export const bareTold = check("What booting without the data volumes cannot know", async (world) => {
  const off = world.outcomeOf(nodesOff);
  const told = [
    `${off.join(" and ")} comes up without its mirrors: groups that the cluster tries to start there fail, and that is meant`,
  ];
  for (const node of off) {
    if (!(await world.cloud.getInstance(world.instanceOf(node))).capacityReserved)
      told.push(`${node} has no capacity reservation: its start may lack capacity`);
  }
  return { told };
});

/** The tags that say where a volume belongs; `run` is the one that takes it out of its place, `at` when (ISO 8601). */
export function placeTags(run: string, cluster: string, place: Place, at: string): Tags {
  return {
    "runbook:old": run,
    "runbook:old-node": place.node,
    "runbook:old-device": place.device,
    "runbook:old-holds": place.holds,
    "runbook:old-deletes": String(place.deleteOnTermination),
    "runbook:old-at": at,
    "runbook:bare": cluster,
  };
}

/** Whether all of these tags are there, with these values; others may be there too. */
export function hasTags(tags: Tags | undefined, wanted: Tags): boolean {
  return Object.entries(wanted).every(([key, value]) => tags?.[key] === value);
}

/** Where the data volumes of a node that is bare belong: of several that were in one place, the last. */
export async function findBarePlaces(world: World, node: string): Promise<readonly Place[]> {
  const found = await world.cloud.findVolumes({
    "runbook:bare": world.clusterName,
    "runbook:old-node": node,
  });
  const newestFirst = found
    .filter(({ attachments, state }) => attachments.length === 0 && state === "available")
    .toSorted((a, b) => ((a.tags["runbook:old-at"] ?? "") < (b.tags["runbook:old-at"] ?? "") ? 1 : -1));
  return newestFirst
    .filter(({ tags }, i) => {
      const device = tags["runbook:old-device"];
      return newestFirst.findIndex((other) => other.tags["runbook:old-device"] === device) === i;
    })
    .map(({ id, tags }) => ({
      node,
      volume: id,
      device: tags["runbook:old-device"] ?? "",
      deleteOnTermination: tags["runbook:old-deletes"] === "true",
      holds: tags["runbook:old-holds"] ?? "",
    }));
}

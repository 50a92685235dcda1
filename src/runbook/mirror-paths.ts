/**
 * What the cluster's configuration calls the partitions of its mirrors, and what it has to call them once a volume holds
 * another node's content: a partition UUID is inside the copied blocks, so it comes along with them (reference clusterpro
 * 1.12, aws-ebs 7). A mirror that is looked for under the old name is not found, or found on the wrong disk (1.11).
 */
import { Failure } from "../errors.ts";
import type { Tags } from "../ports/cloud.ts";
import type { RoleMirror } from "./roles.ts";
import { leftByRestore } from "./left-by-restore.ts";
import { cutPathTag, pointFound, type Point } from "./points.ts";
import { restoredNodes, sides, swaps } from "./restore.ts";
import { check, type World } from "./step.ts";

export interface Paths {
  readonly data: string;
  readonly cluster: string;
}

/** One setting of the configuration, as it is and as it will be. */
export interface PathChange {
  readonly mirror: string;
  /** The node that has the setting for itself alone; null for the common one, which holds for all that have none. */
  readonly node: string | null;
  readonly from: Paths;
  readonly to: Paths;
}

export interface PathChanges {
  readonly changes: readonly PathChange[];
  readonly told: readonly string[];
}

/** Of a restore: the names that the partitions had at the cut; of a point that does not tell, those of its node today. */
export const pathsOfPoint = check<PathChanges>(
  "What the cluster will call the partitions of the restored volumes",
  async (world) => {
    const point = world.outcomeOf(pointFound);
    return changesTo(
      world,
      ({ name, dataPartition, clusterPartition }) =>
        pathsAtCut(point, name) ?? pathsIn(dataPartition[point.node], clusterPartition[point.node]),
    );
  },
);

/** As the point's snapshots tell; undefined where they do not tell of both. */
export function pathsAtCut({ snapshots }: Pick<Point, "snapshots">, mirror: string): Paths | undefined {
  const tags = Object.assign({}, ...snapshots.map(({ paths }) => paths)) as Tags;
  return pathsIn(tags[`${mirror}:data`], tags[`${mirror}:cluster`]);
}

/**
 * For the snapshot of a volume: under which names its node looks for the mirrors' partitions on it. Later the node may look
 * for others, since a restore brings names along and a partition may be made anew.
 */
export function cutPathTags(mirrors: readonly RoleMirror[], node: string, holds: string): Tags {
  const tags: Record<string, string> = {};
  for (const { name, dataPartition, clusterPartition } of mirrors)
    for (const [part, path] of [
      ["data", dataPartition[node]],
      ["cluster", clusterPartition[node]],
    ] as const)
      // A tag takes 256 characters; half a name would be another one's.
      if (holds.split("+").includes(`${name}:${part}`) && path && path.length <= 256 && comesAlong(path))
        tags[`${cutPathTag}${name}:${part}`] = path;
  return tags;
}

/** Of a restore that is taken back: the names that the old volumes' tags tell. */
export const pathsOfOldVolumes = check<PathChanges>(
  "What the cluster will call the partitions of the old volumes",
  async (world) => {
    const { pairs } = world.outcomeOf(leftByRestore);
    const volumes = await world.cloud.getVolumes(pairs.map(({ old }) => old));
    const tags = (node: string) =>
      Object.assign(
        {},
        ...volumes.filter((_, i) => pairs[i]?.node === node).map((volume) => volume.tags),
      ) as {
        readonly [key: string]: string;
      };
    return changesTo(world, ({ name }, node) =>
      pathsIn(tags(node)[pathTag(name, "data")], tags(node)[pathTag(name, "cluster")]),
    );
  },
  { refreshes: pathsOfPoint },
);

/** What the mirrors are called while the new volumes are in their places. */
export function mirrorsAfter(world: World): readonly RoleMirror[] {
  const { changes } = world.findOutcome(pathsOfPoint) ?? { changes: [] };
  return world.outcomeOf(sides).mirrors.map((mirror) => {
    const data = { ...mirror.dataPartition };
    const cluster = { ...mirror.clusterPartition };
    for (const change of changes.filter(({ mirror: name }) => name === mirror.name))
      for (const node of change.node === null
        ? Object.keys(data).filter((each) => !mirror.ownPartitions.includes(each))
        : [change.node]) {
        data[node] = change.to.data;
        cluster[node] = change.to.cluster;
      }
    return { ...mirror, dataPartition: data, clusterPartition: cluster };
  });
}

/** Where a volume's partitions are to be looked for again once it is back: only of a node whose settings are changed. */
export function pathTags(world: World, node: string, holds: string): { readonly [key: string]: string } {
  const { changes } = world.findOutcome(pathsOfPoint) ?? { changes: [] };
  const tags: Record<string, string> = {};
  const isOwn = (mirror: string) =>
    world
      .outcomeOf(sides)
      .mirrors.some(({ name, ownPartitions }) => name === mirror && ownPartitions.includes(node));
  for (const { mirror, node: own, from } of changes)
    for (const part of ["data", "cluster"] as const)
      if ((own === null ? !isOwn(mirror) : own === node) && holds.split("+").includes(`${mirror}:${part}`))
        tags[pathTag(mirror, part)] = from[part];
  return tags;
}

/** The keys of `pathTags` that may stand on a volume. */
export function pathTagKeys(mirrors: readonly RoleMirror[]): readonly string[] {
  return mirrors.flatMap(({ name }) => [pathTag(name, "data"), pathTag(name, "cluster")]);
}

function pathTag(mirror: string, part: "data" | "cluster"): string {
  return `runbook:old-path:${mirror}:${part}`;
}

export function changesTo(
  world: World,
  wanted: (mirror: RoleMirror, node: string) => Paths | undefined,
): PathChanges {
  const { mirrors, nodes, absent } = world.outcomeOf(sides);
  const swapped = restoredNodes(world).filter(
    (node) => (world.outcomeOf(swaps).byNode[node] ?? []).length > 0,
  );
  const changes: PathChange[] = [];
  for (const mirror of mirrors) {
    const moved = swapped.flatMap((node) => {
      const from = pathsIn(mirror.dataPartition[node], mirror.clusterPartition[node]);
      const to = wanted(mirror, node);
      return from &&
        to &&
        differ(from, to) &&
        [from.data, from.cluster, to.data, to.cluster].every(comesAlong)
        ? [{ node, from, to }]
        : [];
    });
    // The common setting is what all look at that have none of their own.
    const onCommon = nodes.filter((node) => !mirror.ownPartitions.includes(node));
    const common = moved.filter(({ node }) => onCommon.includes(node));
    const [first] = common;
    if (first && common.length === onCommon.length && common.every(({ to }) => !differ(first.to, to))) {
      changes.push({ mirror: mirror.name, ...first, node: null });
      changes.push(
        ...moved.filter((one) => !common.includes(one)).map((one) => ({ mirror: mirror.name, ...one })),
      );
    } else changes.push(...moved.map((one) => ({ mirror: mirror.name, ...one })));
  }
  if (changes.length > 0 && absent.length > 0)
    throw new Failure(
      "precondition",
      `the restored partitions have other names, which ${absent.join(" and ")} cannot be told now: its configuration would differ`,
      {
        hint: "take the node out of the cluster's configuration, or bring it up without its data (`boot-bare`)",
      },
    );
  return {
    changes,
    told: changes.map(
      ({ mirror, node, from, to }) =>
        `${mirror}${node === null ? "" : ` of ${node}`} will be looked for at ${to.data} and ${to.cluster}, in the place of ${from.data} and ${from.cluster}`,
    ),
  };
}

export function pathsIn(data: string | undefined, cluster: string | undefined): Paths | undefined {
  return data === undefined || cluster === undefined ? undefined : { data, cluster };
}

function differ(one: Paths, two: Paths): boolean {
  return one.data !== two.data || one.cluster !== two.cluster;
}

/** Whether a name is inside the copied blocks: a kernel's name, a slot or a volume's id says where a disk is, not what is on it. */
function comesAlong(path: string): boolean {
  return (
    /^\/dev\/disk\/by-(partuuid|uuid|label|partlabel)\//.test(path) ||
    /^\/dev\/(?!disk\/|oracleoci\/)[^/]+\/[^/]+$/.test(path)
  );
}

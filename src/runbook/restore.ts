/**
 * What a restore is checked against before anything is touched, and what it will do with which volume (design 4, "Devices",
 * "Settings", "Old volumes"; reference clusterpro 8 R1, aws-ebs 1 and 7). What these find are the facts of its plan.
 */
import { Failure } from "../errors.ts";
import type { Tags, Volume } from "../ports/cloud.ts";
import type { ClusterConfig, ClusterState } from "../ports/cluster-manager.ts";
import { findBarePlaces, type Place } from "./bare.ts";
import { contentOf, findMirrorVolumes, type MirrorVolume, type VolumesFound } from "./devices.ts";
import { powerOf, silentNode } from "./house.ts";
import { isInSync, readMirrors } from "./mirrors.ts";
import { pointFound, type Point } from "./points.ts";
import type { RoleMirror } from "./roles.ts";
import { assertSupported, mirrorsOf } from "./roles.ts";
import { assertGranted, sampleTags } from "./rights.ts";
import { check, type World } from "./step.ts";

/** The two sides of the mirrors, whatever state they are in. */
export interface Sides {
  /** Those that take part, in the order of the cluster's configuration. */
  readonly nodes: readonly string[];
  /** Off or gone, and left so: only where one side is restored alone. */
  readonly absent: readonly string[];
  /** Groups that ran, with their node: they are started again at the end. */
  readonly ran: readonly { readonly group: string; readonly node: string }[];
  /** Groups that have to be stopped: those that ran, and those that failed or hang. */
  readonly toStop: readonly { readonly group: string; readonly node: string }[];
  readonly mirrors: readonly RoleMirror[];
  /** Nodes whose cluster software ran, and those where it starts at boot: as found, to be found so again on the way back. */
  readonly ranOn: readonly string[];
  readonly startsOn: readonly string[];
  /** Nodes that are up with their mirrors' volumes detached (`boot-bare`): those stay out on the way back. */
  readonly bare: readonly string[];
  /** Whether both nodes were members, and every mirror in sync. */
  readonly whole: boolean;
  /** As configured now: to be put back when all is over. */
  readonly options: readonly {
    readonly mirror: string;
    readonly fullCopy: boolean;
    readonly initialMkfs: boolean;
  }[];
  readonly configuration: string;
}

export const sides = check<Sides>("The nodes answer, with one configuration", async (world) => {
  const { cluster } = world;
  const absent = await absentNodes(world);
  const present = world.members.filter((node) => !absent.includes(node));
  const whole = await cluster.getConfig(present);
  assertSupported(whole, world.members, present);
  const config = { ...whole, nodes: whole.nodes.filter((node) => present.includes(node)) };
  const state = await cluster.getState(await memberOf(world, config.nodes));
  const ranOn: string[] = [];
  const startsOn: string[] = [];
  const bare: string[] = [];
  for (const node of config.nodes) {
    const service = await cluster.getService(node);
    if (service.running) ranOn.push(node);
    if (service.startsAtBoot) startsOn.push(node);
    if (!service.running && !service.startsAtBoot && (await findBarePlaces(world, node)).length > 0)
      bare.push(node);
  }
  const found = config.groups.map(({ name }) => ({ name, ...state.groups[name] }));
  const ran = found.flatMap(({ name, status, node }) =>
    status === "online" && node !== undefined ? [{ group: name, node }] : [],
  );
  const ill = found.flatMap(({ name, status, node }) =>
    status === "failed" || status === "pending" ? [{ group: name, node: node ?? config.nodes[0] ?? "" }] : [],
  );
  return {
    nodes: config.nodes,
    absent,
    ran,
    toStop: [...ran, ...ill],
    mirrors: mirrorsOf(config),
    ranOn,
    startsOn,
    bare,
    whole: ranOn.length === config.nodes.length && (await areWhole(world, mirrorsOf(config), config.nodes)),
    options: optionsOf(config),
    configuration: Object.values(config.digests)[0] ?? "",
  };
});

/** The node whose side alone is restored; undefined where both are. */
export function ontoOf(world: World): string | undefined {
  const onto = world.params["onto"];
  if (onto === undefined) return undefined;
  if (world.members.includes(onto)) return onto;
  throw new Failure(
    "precondition",
    onto === "nobody"
      ? "it is not said which side is restored, and wins"
      : `${onto} is no node of ${world.clusterName}`,
    { hint: `say it with ${world.members.map((node) => `--param onto=${node}`).join(" or ")}` },
  );
}

/** Nodes whose volumes are swapped. */
export function restoredNodes(world: World): readonly string[] {
  const onto = ontoOf(world);
  return onto === undefined ? world.outcomeOf(sides).nodes : [onto];
}

async function absentNodes(world: World): Promise<readonly string[]> {
  const onto = ontoOf(world);
  const absent: string[] = [];
  for (const node of world.members) {
    if ((await world.nodes.findBoot(node)) !== undefined) continue;
    const gone =
      node !== onto && onto !== undefined && ["stopped", "terminated"].includes(await powerOf(world, node));
    if (!gone) throw await silentNode(world, node);
    if (world.params["join"] !== "later")
      throw new Failure(
        "precondition",
        `${node} is ${await powerOf(world, node)}: it cannot join the restored side now`,
        {
          hint: "give `--param join=later`; it joins when it is powered on, by a full copy from the restored side",
        },
      );
    absent.push(node);
  }
  return absent;
}

async function areWhole(
  world: World,
  mirrors: readonly RoleMirror[],
  nodes: readonly string[],
): Promise<boolean> {
  const [via = ""] = nodes;
  try {
    return (await readMirrors(world, mirrors, via)).every(isInSync);
  } catch (thrown) {
    // What a broken mirror says is no reason to refuse what mends it.
    if (!(thrown instanceof Failure) || thrown.kind === "bug" || thrown.kind === "aborted") throw thrown;
    return false;
  }
}

/** A node that is a member sees the groups; one whose software stands still knows of nothing but itself. */
async function memberOf(world: World, nodes: readonly string[]): Promise<string> {
  for (const node of nodes) {
    if ((await world.cluster.getService(node)).running) return node;
  }
  return nodes[0] ?? "";
}

export function optionsOf(config: ClusterConfig): Sides["options"] {
  return config.mirrors.map(({ name, fullCopy, initialMkfs }) => ({ mirror: name, fullCopy, initialMkfs }));
}

/** What will be done with one volume: taken out, and replaced by one made from a snapshot. */
export interface Swap {
  readonly old: string;
  /** False where it was out of its place before this run, under a node that is bare: there it stays. */
  readonly attached: boolean;
  /** The name given at attach; the new volume gets the same. */
  readonly device: string;
  readonly deleteOnTermination: boolean;
  /** What of the mirrors lies on it, as "md1:data+md1:cluster". */
  readonly holds: string;
  readonly snapshot: string;
  readonly zone: string;
  readonly sizeGiB: number;
  /** Of the snapshot: what a warm-up has to bring over. */
  readonly snapshotGiB: number;
  readonly type: string;
  readonly iops: number | null;
  readonly throughputMiBps: number | null;
  readonly encrypted: boolean;
  readonly key: string | null;
  /** The old volume's own tags, without ours and the cloud's. */
  readonly tags: Tags;
}

export interface Swaps {
  readonly byNode: { readonly [node: string]: readonly Swap[] };
}

export const swaps = check<Swaps>("Each mirror volume has its snapshot, and its place", async (world) => {
  const { nodes, mirrors, bare } = world.outcomeOf(sides);
  const point = world.outcomeOf(pointFound);
  const found = new Map<string, VolumesFound>();
  for (const node of nodes)
    if (!bare.includes(node)) found.set(node, await findMirrorVolumes(world, node, mirrors));
  await assertLineage(world, point, found);
  const byNode: Record<string, Swap[]> = {};
  for (const node of restoredNodes(world)) {
    const seen = found.get(node);
    if (seen === undefined) {
      const places = await findBarePlaces(world, node);
      assertNamesStay(world, node, configuredParts(node, mirrors), places.length);
      const volumes = await world.cloud.getVolumes(places.map(({ volume }) => volume));
      byNode[node] = volumes.map((volume, i) =>
        swapOf(node, volume, places[i] as Place, volumes.length, point.snapshots),
      );
      continue;
    }
    const { partitions } = seen;
    assertNamesStay(world, node, partitions, seen.volumes.length);
    const volumes = await world.cloud.getVolumes(seen.volumes);
    byNode[node] = volumes.map((volume) =>
      swapOf(node, volume, placeOf(node, volume, partitions), volumes.length, point.snapshots),
    );
  }
  return { byNode };
});

function configuredParts(node: string, mirrors: readonly RoleMirror[]) {
  return mirrors.flatMap(({ name, dataPartition, clusterPartition }) => [
    { mirror: name, part: "data", path: dataPartition[node] ?? "" },
    { mirror: name, part: "cluster", path: clusterPartition[node] ?? "" },
  ]);
}

/**
 * Where a snapshot's own volume is still known, what the snapshot is said to hold must be what that volume holds: tags can
 * be set by anybody, and a mirror that is started on another one's content destroys it (reference clusterpro 11, rule 8).
 */
async function assertLineage(
  world: World,
  point: Point,
  found: ReadonlyMap<string, VolumesFound>,
): Promise<void> {
  const known = new Map<string, string>();
  for (const node of world.outcomeOf(sides).bare)
    for (const place of await findBarePlaces(world, node)) known.set(place.volume, place.holds);
  for (const { partitions, volumes } of found.values())
    for (const volume of volumes) known.set(volume, contentOf(partitions, volume));
  for (const key of ["runbook:old-holds", "runbook:holds"])
    for (const { id, tags } of await world.cloud.findVolumes({ [key]: "*" }))
      if (!known.has(id)) known.set(id, tags[key] ?? "");
  for (const { id, volume, holds } of point.snapshots) {
    const really = known.get(volume) ?? "";
    if (holds !== "" && really !== "" && really !== holds)
      throw new Failure(
        "precondition",
        `snapshot ${id} is said to hold ${holds}, and is one of ${volume}, which holds ${really}`,
        { hint: "somebody has changed its tags: correct `runbook:holds`, or choose another recovery point" },
      );
  }
}

function placeOf(node: string, volume: Volume, partitions: readonly MirrorVolume[]): Place {
  const attachment = volume.attachments[0];
  if (!attachment) throw new Failure("precondition", `${node}: ${volume.id} is attached nowhere`);
  const { device, deleteOnTermination } = attachment;
  return { node, volume: volume.id, device, deleteOnTermination, holds: contentOf(partitions, volume.id) };
}

function swapOf(
  node: string,
  volume: Volume,
  place: Place,
  volumes: number,
  snapshots: readonly { id: string; volume: string; holds: string; sizeGiB: number; encrypted: boolean }[],
): Swap {
  const { holds } = place;
  const fitting = snapshots.filter(
    (snapshot) =>
      snapshot.holds === holds || (snapshot.holds === "" && snapshots.length === 1 && volumes === 1),
  );
  const [snapshot] = fitting;
  if (!snapshot || fitting.length !== 1 || snapshots.length !== volumes)
    throw new Failure(
      "precondition",
      `${node}: ${volume.id} carries ${holds}, and the recovery point has ${snapshots.map((each) => `${each.id} with ${each.holds || "what it does not say"}`).join(", ")}`,
      {
        hint: "the mirrors were laid out in another way when it was cut; restore by hand, or choose another point",
      },
    );
  return {
    old: volume.id,
    attached: volume.attachments.length > 0,
    device: place.device,
    deleteOnTermination: place.deleteOnTermination,
    holds: snapshot.holds || holds,
    snapshot: snapshot.id,
    zone: volume.zone,
    sizeGiB: Math.max(volume.sizeGiB, snapshot.sizeGiB),
    snapshotGiB: snapshot.sizeGiB,
    type: volume.type,
    iops: volume.iops ?? null,
    throughputMiBps: volume.throughputMiBps ?? null,
    encrypted: volume.encrypted || snapshot.encrypted,
    key: volume.encrypted ? (volume.key ?? null) : null,
    tags: Object.fromEntries(Object.entries(volume.tags).filter(([key]) => !/^(aws|runbook):/.test(key))),
  };
}

/** Names in the configuration that a restored volume would not have again (reference aws-ebs 7). */
function assertNamesStay(
  world: World,
  node: string,
  partitions: readonly { readonly path: string; readonly mirror: string; readonly part: string }[],
  volumes: number,
): void {
  if (world.settings.acceptBareNvme === true) return;
  for (const { path, mirror, part } of partitions) {
    const named = /^\/dev\/disk\/by-id\/.*vol-?[0-9a-f]{8,}/.test(path);
    const counted = /^\/dev\/nvme\d/.test(path) && volumes > 1;
    if (!named && !counted) continue;
    throw new Failure(
      "precondition",
      `${node}: the ${part} partition of ${mirror} is configured as ${path}, which ${named ? "names a volume that a restore replaces" : "may be another disk after a boot"}`,
      {
        hint: "configure it by partition UUID or LVM name; or accept it with `acceptBareNvme: true` in the inventory",
      },
    );
  }
}

export const nodesStop = check(
  "A shutdown from within stops both instances, and nothing replaces them",
  async (world) => {
    for (const node of world.outcomeOf(sides).nodes) {
      const instance = await world.cloud.getInstance(world.instanceOf(node));
      if (instance.state !== "running")
        throw new Failure(
          "precondition",
          `instance ${instance.id} of ${node} is ${instance.state}; wanted running`,
        );
      if (instance.onGuestShutdown !== "stop")
        throw new Failure(
          "precondition",
          `a shutdown of ${node} would ${instance.onGuestShutdown} its instance ${instance.id}`,
          { hint: "set the instance's shutdown behaviour to stop" },
        );
      if (instance.replacedBy !== undefined)
        throw new Failure(
          "precondition",
          `instance ${instance.id} of ${node} belongs to ${instance.replacedBy}, which would replace it when it stops`,
          { hint: "take it out of the group, or suspend the group's replacement of instances" },
        );
    }
    return true;
  },
);

export const restoreRights = check("The cloud grants what the restore will ask for", async (world) => {
  const missing: string[] = [];
  for (const [node, planned] of Object.entries(world.outcomeOf(swaps).byNode)) {
    for (const { old, snapshot, zone, device } of planned)
      missing.push(
        ...(await world.cloud.findMissingRestoreRights({
          instance: world.instanceOf(node),
          volumes: [old],
          snapshot,
          zone,
          device,
          fastRestore: world.params["warm"] === "fast",
          ...(world.settings.staging && { marked: [snapshot] }),
          tags: sampleTags(world),
        })),
      );
  }
  return assertGranted(missing);
});

/** Told, never refused. */
export const restoreTold = check("What a restore cannot be covered against", async (world) => {
  const { tested, consistency, why } = world.outcomeOf(pointFound);
  const told = [
    "no dead-man timer can bring the service back once the nodes are off: stay with this run, or have a second machine that resumes it",
  ];
  if (!tested.startsWith("passed"))
    told.push(
      tested === ""
        ? "no drill has tested this recovery point"
        : `the last drill of this recovery point: ${tested}`,
    );
  if (consistency !== "quiesced") told.push(`the recovery point is ${consistency}: ${why}`);
  for (const node of world.outcomeOf(sides).nodes) {
    if (!(await world.cloud.getInstance(world.instanceOf(node))).capacityReserved)
      told.push(`${node} has no capacity reservation: its start may lack capacity`);
  }
  return { told };
});

/**
 * Whether no group runs, or is about to, on any node; a node that is off, or whose software stands still, runs none. One
 * that does not answer is passed over where the groups were seen stopped before: it is on its way down, or up.
 */
export async function nothingRuns(
  world: World,
  groups: readonly string[],
  seenBefore = false,
): Promise<boolean> {
  for (const node of world.members) {
    if (["stopped", "terminated"].includes(await powerOf(world, node))) continue;
    if (seenBefore && (await world.nodes.findBoot(node)) === undefined) continue;
    try {
      if (await runsOn(world, node, groups)) return false;
    } catch (thrown) {
      // It went down between the two questions.
      const silent = thrown instanceof Failure && ["unavailable", "timeout"].includes(thrown.kind);
      if (!silent || !seenBefore) throw thrown;
    }
  }
  return true;
}

async function runsOn(world: World, node: string, groups: readonly string[]): Promise<boolean> {
  if (!(await world.cluster.getService(node)).running) return false;
  const state: ClusterState = await world.cluster.getState(node);
  return groups.some((group) => {
    const found = state.groups[group];
    return found !== undefined && (found.status !== "offline" || found.node !== undefined);
  });
}

/** Of one side alone: where the volumes of the other one lie, so that they are proven before its mirror is started. */
export const otherSide = check<
  { readonly node: string; readonly volumes: VolumesFound } | { readonly node: null }
>("The side that is not restored, and what lets it join", async (world) => {
  const { nodes, mirrors, absent, options } = world.outcomeOf(sides);
  const onto = ontoOf(world);
  const node = nodes.find((each) => each !== onto);
  if (absent.length > 0 && options.some(({ fullCopy, initialMkfs }) => fullCopy || initialMkfs))
    throw new Failure(
      "precondition",
      `the initial full copy or mkfs is on, so that the restored side cannot be started, and ${absent.join(" and ")} cannot take another configuration`,
      {
        hint: "take the node out of the cluster's configuration, or bring it up without its data (`boot-bare`)",
      },
    );
  if (node === undefined) return { node: null };
  return { node, volumes: await findMirrorVolumes(world, node, mirrors) };
});

/** Told, never refused. */
export const oneSideTold = check("What it means that one side wins", async (world) => {
  const onto = ontoOf(world) ?? "";
  const { absent } = world.outcomeOf(sides);
  const others = world.members.filter((node) => node !== onto);
  return {
    told: [
      `${onto} is forced to be the good side: whatever ${others.join(" and ")} has since ${world.outcomeOf(pointFound).cutAt} is overwritten when it joins`,
      ...(world.params["join"] === "later"
        ? [
            `no redundancy until ${others.join(" and ")} has joined: ${absent.length > 0 ? "power it on" : "`runbook run give-back`"} when it may`,
          ]
        : []),
    ],
  };
});

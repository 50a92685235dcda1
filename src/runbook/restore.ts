/**
 * What a restore is checked against before anything is touched, and what it will do with which volume (design 4, "Devices",
 * "Settings", "Old volumes"; reference clusterpro 8 R1, aws-ebs 1 and 7). What these find are the facts of its plan.
 */
import { Failure } from "../errors.ts";
import type { Tags, Volume } from "../ports/cloud.ts";
import type { ClusterConfig, ClusterState } from "../ports/cluster-manager.ts";
import { contentOf, findMirrorVolumes } from "./devices.ts";
import { pointFound } from "./points.ts";
import type { RoleMirror } from "./roles.ts";
import { assertSupported, mirrorsOf } from "./roles.ts";
import { check, type World } from "./step.ts";

/** The two sides of the mirrors, whatever state they are in. */
export interface Sides {
  /** In the order of the cluster's configuration. */
  readonly nodes: readonly string[];
  /** Groups that ran, with their node: they are started again at the end. */
  readonly ran: readonly { readonly group: string; readonly node: string }[];
  /** Groups that have to be stopped: those that ran, and those that failed or hang. */
  readonly toStop: readonly { readonly group: string; readonly node: string }[];
  readonly mirrors: readonly RoleMirror[];
  /** As configured now: to be put back when all is over. */
  readonly options: readonly {
    readonly mirror: string;
    readonly fullCopy: boolean;
    readonly initialMkfs: boolean;
  }[];
  readonly configuration: string;
}

export const sides = check<Sides>("Both nodes answer, with one configuration", async (world) => {
  const { cluster, nodes, members } = world;
  const config = await cluster.getConfig(members);
  for (const node of members) {
    if (config.digests[node] === undefined) await nodes.getBoot(node);
  }
  assertSupported(config, members);
  const state = await cluster.getState(await memberOf(world, config.nodes));
  const found = config.groups.map(({ name }) => ({ name, ...state.groups[name] }));
  const ran = found.flatMap(({ name, status, node }) =>
    status === "online" && node !== undefined ? [{ group: name, node }] : [],
  );
  const ill = found.flatMap(({ name, status, node }) =>
    status === "failed" || status === "pending" ? [{ group: name, node: node ?? config.nodes[0] ?? "" }] : [],
  );
  return {
    nodes: config.nodes,
    ran,
    toStop: [...ran, ...ill],
    mirrors: mirrorsOf(config),
    options: optionsOf(config),
    configuration: Object.values(config.digests)[0] ?? "",
  };
});

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
  /** The name given at attach; the new volume gets the same. */
  readonly device: string;
  readonly deleteOnTermination: boolean;
  /** What of the mirrors lies on it, as "md1:data+md1:cluster". */
  readonly holds: string;
  readonly snapshot: string;
  readonly zone: string;
  readonly sizeGiB: number;
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
  const { nodes, mirrors } = world.outcomeOf(sides);
  const point = world.outcomeOf(pointFound);
  const byNode: Record<string, Swap[]> = {};
  for (const node of nodes) {
    const { partitions, volumes } = await findMirrorVolumes(world, node, mirrors);
    assertNamesStay(world, node, partitions, volumes.length);
    const found = await world.cloud.getVolumes(volumes);
    byNode[node] = found.map((volume) =>
      swapOf(node, volume, contentOf(partitions, volume.id), volumes.length, point.snapshots),
    );
  }
  return { byNode };
});

function swapOf(
  node: string,
  volume: Volume,
  holds: string,
  volumes: number,
  snapshots: readonly { id: string; volume: string; holds: string; sizeGiB: number; encrypted: boolean }[],
): Swap {
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
  const attachment = volume.attachments[0];
  if (!attachment) throw new Failure("precondition", `${node}: ${volume.id} is attached nowhere`);
  return {
    old: volume.id,
    device: attachment.device,
    deleteOnTermination: attachment.deleteOnTermination,
    holds,
    snapshot: snapshot.id,
    zone: volume.zone,
    sizeGiB: Math.max(volume.sizeGiB, snapshot.sizeGiB),
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
          tags: {
            ...Object.fromEntries(Object.keys(world.tags).map((key) => [key, "dry-run"])),
            "runbook:cluster": world.clusterName,
          },
        })),
      );
  }
  if (missing.length > 0)
    throw new Failure("denied", `rights are missing: ${[...new Set(missing)].join("; ")}`, {
      hint: "grant them to the role that runs this, or tag what the policy expects to be tagged",
    });
  return true;
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
    const instance = await world.cloud.getInstance(world.instanceOf(node));
    if (instance.state === "stopped") continue;
    if (seenBefore && (await world.nodes.findBoot(node)) === undefined) continue;
    const service = await world.cluster.getService(node);
    if (!service.running) continue;
    const state: ClusterState = await world.cluster.getState(node);
    const busy = groups.some((group) => {
      const found = state.groups[group];
      return found !== undefined && (found.status !== "offline" || found.node !== undefined);
    });
    if (busy) return false;
  }
  return true;
}

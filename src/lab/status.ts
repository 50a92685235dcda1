/** The state of a lab's world, as one looks at it from above: what no single node or cloud would tell. */
import type { Lab } from "./build.ts";
import type { LabCluster } from "./cluster.ts";
import type { LabNode } from "./node.ts";
import type { Member } from "./cluster-settings.ts";

export interface LabStatus {
  readonly pace: number;
  readonly worldTime: number;
  /** What is under way, a phrase each. */
  readonly busy: readonly string[];
  readonly clusters: { readonly [name: string]: ClusterStatus };
  readonly scratch: ScratchStatus;
  readonly snapshots: readonly SnapshotStatus[];
  readonly volumes: readonly VolumeStatus[];
  /** Faults that wait to strike. */
  readonly faults: number;
  /** Commands and calls that the lab does not model. */
  readonly gaps: readonly string[];
  /** Mistakes of the lab itself. */
  readonly mistakes: readonly string[];
}

export interface ClusterStatus {
  readonly suspended: boolean;
  readonly partitioned: boolean;
  readonly nodes: { readonly [name: string]: NodeStatus };
  readonly groups: { readonly [name: string]: { readonly [node: string]: string } };
  readonly mirrors: { readonly [name: string]: MirrorStatus };
}

export interface NodeStatus {
  readonly instance: string;
  readonly instanceState: string;
  readonly power: boolean;
  readonly system: "off" | "booting" | "up" | "stopping" | "down";
  readonly operatorCut: boolean;
  readonly member: "stopped" | "waiting" | "online";
  /** Units of the product that do not start by themselves at a boot. */
  readonly disabledUnits: readonly string[];
  readonly bootId: string;
  readonly bootedAt: number | null;
  readonly boots: number;
  readonly suspendedMonitors: readonly string[];
  readonly marker: string | null;
  readonly timers: readonly string[];
}

/** The machine for drills. */
export interface ScratchStatus {
  readonly name: string;
  readonly instance: string;
  readonly instanceState: string;
  readonly system: NodeStatus["system"];
  readonly marker: string | null;
  readonly mounts: readonly string[];
}

export interface MirrorStatus {
  readonly colours: { readonly [node: string]: string };
  readonly copying: { readonly from: string; readonly to: string; readonly percent: number } | null;
  readonly backupFlag: readonly string[];
}

export interface SnapshotStatus {
  readonly id: string;
  readonly volume: string;
  readonly of: string;
  readonly state: string;
  readonly percent: number;
  readonly startedAt: number;
  /** How the volume stood at the cut. */
  readonly powerOff: boolean;
  readonly isolated: boolean;
  readonly clean: boolean;
  readonly run: string | null;
}

export interface VolumeStatus {
  readonly id: string;
  readonly name: string;
  readonly sizeGiB: number;
  readonly state: string;
  readonly at: string;
  readonly fromSnapshot: string | null;
}

export function statusOf(lab: Lab, pace: number, mistakes: readonly string[]): LabStatus {
  const { heart, cloud } = lab;
  const nameOf = (volume: string) =>
    cloud.listVolumes().find(({ id }) => id === volume)?.tags["Name"] ?? "(volume gone)";
  return {
    pace,
    worldTime: heart.clock.now(),
    busy: busyWith(lab),
    clusters: Object.fromEntries(
      [...lab.clusters.values()].map((cluster) => [cluster.name, clusterStatus(lab, cluster)]),
    ),
    scratch: {
      name: lab.scratch.name,
      instance: lab.scratch.instance,
      instanceState: cloud.getInstance(lab.scratch.instance).state.now.state,
      system: lab.scratch.state,
      marker: markerOf(lab.scratch),
      mounts: lab.scratch.files.mounts.map(({ point }) => point),
    },
    snapshots: cloud.listSnapshots().map((snapshot) => ({
      id: snapshot.id,
      volume: snapshot.volume,
      of: nameOf(snapshot.volume),
      state: snapshot.state,
      percent: cloud.progress(snapshot),
      startedAt: snapshot.startedAt,
      ...snapshot.truth,
      run: snapshot.tags["runbook:run"] ?? null,
    })),
    volumes: cloud.listVolumes().map((volume) => {
      const held = volume.attachment.now;
      return {
        id: volume.id,
        name: volume.tags["Name"] ?? "",
        sizeGiB: volume.sizeGiB,
        state: volume.state,
        at: held ? `${cloud.getInstance(held.instance).name} ${held.device}` : "nowhere",
        fromSnapshot: volume.snapshot ?? null,
      };
    }),
    faults: heart.faults.filter(({ left }) => left > 0).length,
    gaps: heart.received.filter((row) => row.class === "gap").map(({ line }) => line),
    mistakes,
  };
}

function clusterStatus(lab: Lab, cluster: LabCluster): ClusterStatus {
  return {
    suspended: cluster.suspended,
    partitioned: cluster.partitioned,
    nodes: Object.fromEntries(cluster.members.map((member) => [member.node.name, nodeStatus(lab, member)])),
    groups: Object.fromEntries(cluster.groups.map(({ name, places }) => [name, Object.fromEntries(places)])),
    mirrors: Object.fromEntries(
      cluster.mirrors.map((mirror) => {
        const { recovery } = mirror;
        const gone = recovery ? lab.heart.clock.now() - recovery.startedAt : 0;
        return [
          mirror.name,
          {
            colours: Object.fromEntries(cluster.names.map((node) => [node, mirror.colour(node, node)])),
            copying: recovery
              ? {
                  from: recovery.from,
                  to: recovery.to,
                  percent: Math.min(99, Math.floor((gone / Math.max(1, recovery.ms)) * 100)),
                }
              : null,
            backupFlag: cluster.names.filter((node) => mirror.control(node)?.backup === true),
          },
        ];
      }),
    ),
  };
}

function nodeStatus(lab: Lab, { node, core, suspended }: Member): NodeStatus {
  const instance = lab.cloud.getInstance(node.instance);
  return {
    instance: node.instance,
    instanceState: instance.state.now.state,
    power: instance.power,
    system: node.state,
    operatorCut: node.operatorCut,
    member: core,
    disabledUnits: [...node.systemd.units].filter(([, { enabled }]) => !enabled).map(([name]) => name),
    bootId: node.bootId,
    bootedAt: node.alive ? node.bootedAt : null,
    boots: node.boots,
    suspendedMonitors: [...suspended].sort(),
    marker: markerOf(node),
    timers: [...node.systemd.timers.keys()].sort(),
  };
}

function markerOf({ files }: LabNode): string | null {
  const fence = "/var/lib/runbook/lock/fence";
  return files.find(fence)?.kind === "file" ? files.read(fence).trim() : null;
}

/** What changes by itself now, so that a person would wait before the next command. */
export function busyWith(lab: Lab): readonly string[] {
  const busy: string[] = [];
  for (const cluster of lab.clusters.values()) {
    for (const { name, places } of cluster.groups)
      for (const [node, place] of places)
        if (place === "starting" || place === "stopping") busy.push(`group ${name} is ${place} on ${node}`);
    for (const { name, recovery } of cluster.mirrors)
      if (recovery) busy.push(`mirror ${name} is copied from ${recovery.from} to ${recovery.to}`);
    for (const { node, core } of cluster.members) {
      const { state } = lab.cloud.getInstance(node.instance).state.now;
      // A node whose boot hangs stays so: nobody waits for it.
      if ((node.state === "booting" && !node.bootFails) || node.state === "stopping" || node.state === "down")
        busy.push(`${node.name} is ${node.state}`);
      else if (state === "pending" || state === "stopping" || state === "shutting-down")
        busy.push(`the instance of ${node.name} is ${state}`);
      // Alone, a member waits for its peer for minutes, and a person may well be the one who brings the peer.
      if (core === "waiting" && cluster.peerOf(node.name).core !== "stopped" && !cluster.partitioned)
        busy.push(`${node.name} waits to join the cluster`);
    }
  }
  return busy;
}

/**
 * A whole lab: a production and a staging cluster of two nodes each, in two zones of one cloud, as a newcomer would
 * find them: groups online on the first node, mirrors GREEN, nothing suspended. Beside them a scratch machine for drills.
 */
import type { LabClock } from "./clock.ts";
import { Cloud, type CloudOptions } from "./cloud.ts";
import { renderConf } from "./clp-conf.ts";
import { newControl } from "./clp-mirror.ts";
import { clusterCommands } from "./clp-setup.ts";
import {
  confFile,
  defaultClusterSettings,
  defaultClusterTimes,
  type ClusterSettings,
  type ClusterTimes,
} from "./cluster-settings.ts";
import { LabCluster } from "./cluster.ts";
import { diskCommands } from "./commands-disks.ts";
import { fileCommands } from "./commands-files.ts";
import { readCommands, volumesBeingRead } from "./commands-read.ts";
import { processCommands } from "./commands-process.ts";
import { systemCommands } from "./commands-system.ts";
import { textCommands } from "./commands-text.ts";
import { groupOf, listDevices, newPhysical, type LvmOptions } from "./lvm.ts";
import { LabNode, type NodeTimes } from "./node.ts";
import { LabShell } from "./shell.ts";
import { Heart } from "./world.ts";

export interface LabOptions {
  readonly clock: LabClock;
  readonly seed?: number;
  readonly cloud?: CloudOptions;
  /** Mirrored disks of each cluster; 1 if not said. */
  readonly mirrors?: 1 | 2 | 3;
  readonly nvme?: boolean;
  readonly sizeGiB?: number;
  /**
   * How clp.conf names partitions: by their UUID, which both nodes share or of which each has its own, or bare kernel names
   * as they are at the first boot.
   */
  readonly devices?: "partuuid" | "own partuuid" | "bare" | "lvm";
  /** Of mirrors on LVM: what the physical volume is (a partition, if not said), and whether nodes have a devices file (yes). */
  readonly lvm?: LvmOptions;
  /** How long a copy of a mirror takes; by size if not said. */
  readonly copySeconds?: number;
  /** Files of clients on each mirror at the beginning. */
  readonly files?: { readonly [path: string]: string };
  /** `fullcopy` in clp.conf; absent (which means on) if not said. */
  readonly fullCopy?: boolean;
  readonly startsByItself?: boolean;
  readonly failsOver?: boolean;
  readonly onGuestShutdown?: "stop" | "terminate";
  readonly capacityReserved?: boolean;
  readonly times?: Partial<ClusterTimes>;
  readonly nodeTimes?: Partial<NodeTimes>;
  readonly settings?: Partial<ClusterSettings>;
}

const defaultNodeTimes: NodeTimes = {
  boot: [45_000, 60_000],
  shutdown: [7_000, 17_000],
  latencyMs: 20,
  keepaliveMs: 15_000,
};

/** "本番" and "検証" in EUC-JP: the comment of a cluster is not ASCII in the field. */
const plans = [
  {
    name: "prod",
    nodes: ["server1", "server2"],
    network: "10.0.1",
    comment: "\xcb\xdc\xc8\xd6",
    disk: "6d697201",
  },
  {
    name: "staging",
    nodes: ["stage1", "stage2"],
    network: "10.0.2",
    comment: "\xb8\xa1\xbe\xda",
    disk: "6d697202",
  },
] as const;

export const scratchName = "scratch1";

export class Lab {
  readonly heart: Heart;
  readonly cloud: Cloud;
  readonly clusters: ReadonlyMap<string, LabCluster>;
  /** Those of the clusters, and the scratch node. */
  readonly nodes: ReadonlyMap<string, LabNode>;
  /** A machine of its own, for drills: a member of no cluster. */
  readonly scratch: LabNode;
  readonly shell: LabShell;

  constructor(heart: Heart, cloud: Cloud, clusters: readonly LabCluster[], scratch: LabNode) {
    this.heart = heart;
    this.cloud = cloud;
    this.clusters = new Map(clusters.map((cluster) => [cluster.name, cluster]));
    this.scratch = scratch;
    const nodes = [...clusters.flatMap(({ members }) => members.map(({ node }) => node)), scratch];
    this.nodes = new Map(nodes.map((node) => [node.name, node]));
    this.shell = new LabShell(this.nodes);
  }

  node(name: string): LabNode {
    const found = this.nodes.get(name);
    if (!found) throw new Error(`the lab has no node ${name}`);
    return found;
  }

  cluster(name = "prod"): LabCluster {
    const found = this.clusters.get(name);
    if (!found) throw new Error(`the lab has no cluster ${name}`);
    return found;
  }

  clusterOf(node: string): LabCluster {
    const found = [...this.clusters.values()].find(({ names }) => names.includes(node));
    if (!found) throw new Error(`the lab has no node ${node}`);
    return found;
  }

  /** Ends everything that would still happen. */
  close(): void {
    for (const cluster of this.clusters.values()) cluster.close();
    for (const node of this.nodes.values()) node.close();
  }

  // The hands of a tester or of another operator.

  /** The cluster moves a group by itself, as after a monitor's error. */
  async failover(group = "failover1", cluster = "prod"): Promise<void> {
    const found = this.cluster(cluster);
    const from = found.nodeOf(group);
    if (from !== undefined) await found.moveGroup(group, found.peerOf(from).node.name);
  }

  /** Another operator moves a group. */
  async moveGroup(group: string, to: string): Promise<void> {
    await this.clusterOf(to).moveGroup(group, to);
  }

  rebootUnasked(node: string): void {
    this.node(node).shutDown("reboot");
  }

  /** Like a reset button: no orderly end. */
  crash(node: string): void {
    this.node(node).crash();
  }

  /** Power is lost and stays lost; the cloud shows the instance stopping, then stopped. */
  killPower(node: string): void {
    this.cloud.retire(this.node(node).instance);
  }

  isolate(node: string): void {
    this.clusterOf(node).partition(node);
  }

  rejoin(node: string): void {
    this.clusterOf(node).rejoin();
  }

  cutOperator(node: string): void {
    this.node(node).cutOperator();
  }

  mendOperator(node: string): void {
    this.node(node).operatorCut = false;
  }

  /** The next stops of a group on this node fail, and the cluster takes the node down. */
  failStops(node: string, times = 1): void {
    this.clusterOf(node).member(node).failingStops = times;
  }

  /** A process holds the mount point of a mirror. */
  holdMount(node: string, mountPoint: string, command: string): void {
    const holder = { mountPoint, command, pid: 4000 + this.node(node).holders.length };
    this.node(node).holders.push(holder);
    this.node(node).files.plant(`/proc/${holder.pid}/comm`, `${command}\n`);
  }

  writeFile(cluster: string, mirror: string, path: string, text: string): void {
    this.cluster(cluster).writeFile(mirror, path, text);
  }

  deleteFile(cluster: string, mirror: string, path: string): void {
    this.cluster(cluster).writeFile(mirror, path, undefined);
  }

  /** The files of a volume's data partition, without the clients' counter unless asked. */
  readFiles(volume: string, withCounter = false): { readonly [path: string]: string } {
    return withoutCounter(this.cloud.content(volume).data, withCounter);
  }

  /** The volume that a node's mirror lies on, by clp.conf; undefined if the devices do not lead to one. */
  volumeOf(node: string, mirror: string): string | undefined {
    const cluster = this.clusterOf(node);
    return cluster.mirrors.find(({ name }) => name === mirror)?.locate(cluster.member(node))?.volume;
  }
}

export function withoutCounter(
  data: { readonly [path: string]: string },
  keep = false,
): { readonly [path: string]: string } {
  return Object.fromEntries(Object.entries(data).filter(([path]) => keep || path !== "clients/counter"));
}

export function buildLab(options: LabOptions): Lab {
  const heart = new Heart(options.clock, options.seed);
  const cloud = new Cloud(heart, options.cloud);
  const clusters = plans.map((plan) => buildCluster(heart, cloud, plan, options));
  const lab = new Lab(heart, cloud, clusters, buildScratch(heart, cloud, options));

  const byInstance = new Map([...lab.nodes.values()].map((node) => [node.instance, node]));
  cloud.listen({
    poweredOn: (instance) => byInstance.get(instance)?.powerOn(),
    shutdownAsked: (instance) => byInstance.get(instance)?.shutDown("off"),
    powerLost: (instance) => byInstance.get(instance)?.losePower(),
  });
  cloud.describeCut((volume) => {
    const { kind, control, dirty } = cloud.content(volume);
    const holder = cloud.getVolume(volume).attachment.now?.instance;
    const powerOff = holder === undefined || !cloud.hasPower(holder);
    return {
      powerOff,
      isolated: kind === "mirror" && control["colour"] === "RED",
      clean: kind === "root" ? powerOff : !dirty,
    };
  });
  // The agent of a mirror keeps its partitions open, mounted or not.
  cloud.describeOpen(
    (volume) =>
      clusters.some(({ mirrors }) => mirrors.some(({ loaded }) => [...loaded.values()].includes(volume))) ||
      lab.scratch.disks.mounted().includes(volume) ||
      [...lab.nodes.values()].some((node) => volumesBeingRead(node).includes(volume)),
  );
  // What the building did is no history of the world.
  heart.effects.length = 0;
  heart.received.length = 0;
  return lab;
}

/**
 * One machine beside the clusters, in the first zone, with a root disk alone. It is built last, with ids of its own and dice
 * that are put back, so that the rest of the world plays as it would without.
 */
function buildScratch(heart: Heart, cloud: Cloud, options: LabOptions): LabNode {
  const { nvme = true } = options;
  const zone = cloud.settings.zones[0] ?? "";
  const instance = cloud.addInstance({
    id: "i-0a0000005c7a7c001",
    name: scratchName,
    zone,
    type: nvme ? "m5.large" : "t2.large",
    nvme,
    onGuestShutdown: "stop",
    capacityReserved: false,
    tags: { Name: scratchName },
    privateAddress: "10.0.3.11",
    state: "running",
  });
  const root = cloud.addVolume({
    id: "vol-0a0000005c7a7c001",
    sizeGiB: 30,
    type: "gp3",
    zone,
    content: { kind: "root", data: {}, control: { disk: "5c7a7c00" }, dirty: false },
    tags: { Name: `${scratchName} root` },
  });
  cloud.attach(instance, root, "/dev/xvda");
  const times = { ...defaultNodeTimes, ...options.nodeTimes };
  const node = new LabNode({ name: scratchName, instance, heart, hardware: cloud, times });
  if (options.devices === "lvm") listDevices(node, options.lvm);
  heart.aside(() => node.startUp());
  for (const [name, command] of Object.entries(systemsCommands)) node.commands.set(name, command);
  return node;
}

/** What the operating system of every machine has. */
const systemsCommands = {
  ...textCommands,
  ...fileCommands,
  ...processCommands,
  ...diskCommands,
  ...readCommands,
  ...systemCommands,
};

/** The same in the cloud and in clp.conf. */
function addressOf(plan: (typeof plans)[number], index: number): string {
  return `${plan.network}.${index + 11}`;
}

function buildCluster(
  heart: Heart,
  cloud: Cloud,
  plan: (typeof plans)[number],
  options: LabOptions,
): LabCluster {
  const { mirrors: count = 1, nvme = true, sizeGiB = 100, devices = "partuuid" } = options;
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const diskOf = (number: number, node = 0) =>
    `${plan.disk}${devices === "own partuuid" && node > 0 ? "b" : ""}${number}`.slice(-8);
  const nodes = plan.nodes.map((name, index) => {
    const zone = cloud.settings.zones[index] ?? cloud.settings.zones[0] ?? "";
    const instance = cloud.addInstance({
      name,
      zone,
      type: nvme ? "m5.large" : "t2.large",
      nvme,
      onGuestShutdown: options.onGuestShutdown ?? "stop",
      capacityReserved: options.capacityReserved ?? true,
      tags: { cluster: plan.name },
      privateAddress: addressOf(plan, index),
      state: "running",
    });
    const root = cloud.addVolume({
      sizeGiB: 30,
      type: "gp3",
      zone,
      content: { kind: "root", data: {}, control: { disk: `0000000${index}` }, dirty: false },
      tags: { Name: `${name} root` },
    });
    cloud.attach(instance, root, "/dev/xvda");
    for (const number of numbers) {
      const volume = cloud.addVolume({
        sizeGiB,
        type: "gp3",
        iops: 3000,
        throughputMiBps: 125,
        zone,
        tags: { Name: `${name} md${number}` },
        content: {
          kind: "mirror",
          data: { "app/version": "1", ...options.files },
          control: newControl(`md${number}`, diskOf(number, index)),
          dirty: false,
          ...(devices === "lvm" && { lvm: newPhysical(`${name} ${number}`, groupOf(number), options.lvm) }),
        },
      });
      cloud.attach(instance, volume, `/dev/sd${"fgh"[number - 1] ?? "z"}`);
    }
    const node = new LabNode({
      name,
      instance,
      heart,
      hardware: cloud,
      times: { ...defaultNodeTimes, ...options.nodeTimes },
    });
    if (options.devices === "lvm") listDevices(node, options.lvm);
    node.startUp();
    return node;
  });
  const [first, second] = nodes;
  if (!first || !second) throw new Error("a cluster of the lab has two nodes");

  const groupName = "failover1";
  const bare = (node: LabNode, number: number) => {
    const disk = node.disks.list().find(({ content }) => content.control["mirror"] === `md${number}`);
    return { cluster: disk?.partitions[0]?.path ?? "", data: disk?.partitions[1]?.path ?? "" };
  };
  const byUuid = (number: number, node: number) => ({
    cluster: `/dev/disk/by-partuuid/${diskOf(number, node)}-01`,
    data: `/dev/disk/by-partuuid/${diskOf(number, node)}-02`,
  });
  const byName = (number: number) => ({
    cluster: `/dev/${groupOf(number)}/cluster`,
    data: `/dev/${groupOf(number)}/data`,
  });
  const firstOf = (number: number) =>
    devices === "lvm" ? byName(number) : devices === "bare" ? bare(first, number) : byUuid(number, 0);
  const ownOf = (number: number) =>
    devices === "partuuid" || devices === "lvm"
      ? {}
      : { [second.name]: devices === "bare" ? bare(second, number) : byUuid(number, 1) };
  const conf = renderConf({
    cluster: plan.name,
    uuid: `00000000-0000-4000-8000-0000${plan.disk}`,
    comment: plan.comment,
    nodes: plan.nodes.map((name, index) => ({ name, address: addressOf(plan, index) })),
    groups: [
      {
        name: groupName,
        resources: ["fip@fip1", ...numbers.map((number) => `md@md${number}`), "exec@exec1"],
        startsByItself: options.startsByItself ?? true,
        failsOver: options.failsOver ?? true,
      },
    ],
    mirrors: numbers.map((number) => ({
      name: `md${number}`,
      number,
      mountPoint: `/mnt/md${number}`,
      dataPartition: firstOf(number).data,
      clusterPartition: firstOf(number).cluster,
      own: ownOf(number),
      fullCopy: options.fullCopy,
    })),
    fip: { fip1: `${plan.network}.200` },
  });
  for (const node of nodes) node.files.plant(confFile, conf, 0o600);

  const cluster = new LabCluster({
    name: plan.name,
    nodes: [first, second],
    groups: [groupName],
    mirrors: numbers.map((number) => `md${number}`),
    times: { ...defaultClusterTimes, ...options.times },
    settings: { ...defaultClusterSettings, ...options.settings },
    copySeconds: options.copySeconds,
  });
  for (const member of cluster.members) {
    const all = { ...systemsCommands, ...clusterCommands(cluster, member) };
    for (const [name, command] of Object.entries(all)) member.node.commands.set(name, command);
  }
  cluster.begin();
  return cluster;
}

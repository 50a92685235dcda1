/** Joins the drivers that an inventory names (or the lab's) to the engine: the only place that knows both. */
import { hostname, userInfo } from "node:os";
import { join } from "node:path";

import type { DrillEntry, StagingEntry } from "../config/drills.ts";
import type { ClusterEntry, Inventory } from "../config/inventory.ts";
import type { SshNode } from "../drivers/ssh/driver.ts";
import { Failure } from "../errors.ts";
import type { Drivers } from "../layers/connect.ts";
import type { Clock } from "../ports/clock.ts";
import type { Connect } from "../ports/calls.ts";
import type { Shell } from "../ports/shell.ts";
import type { Store } from "../ports/store.ts";
import type { DrillCheck, DrillSetting, StagingSetting } from "../runbook/drill-setting.ts";
import type { Params } from "../runbook/step.ts";
import type { Setting } from "../runbook/world.ts";
import { runbookHome } from "./home.ts";
import { openRunsOn } from "./runs-seen.ts";
import { maskSecrets } from "./secrets.ts";

export interface WorldOptions {
  readonly lab?: boolean;
  readonly pace?: string;
  readonly inventory?: string;
  /** Connects to the cluster's nodes at once: for commands that speak to all of them in any case. */
  readonly warm?: boolean;
}

/** Where runs are kept, and on which clock they happen: all that looking at runs needs. */
export interface Place {
  readonly home: string;
  readonly store: Store;
  /** Where the store's files are. */
  readonly folder: string;
  readonly clock: Clock;
  readonly lab: boolean;
  readonly pace: number;
  readonly owner: string;
  readonly mask: (text: string) => string;
}

export interface Context extends Place {
  readonly cluster: ClusterEntry;
  readonly drivers: Drivers;
  readonly connect: Connect;
  /** Where the cloud is spoken to, for the head of a run. */
  endpoint(): Promise<string>;
  setting(params: Params): Setting;
  close(): Promise<void>;
}

export function whoAmI(): string {
  return `${userInfo().username}@${hostname()} pid ${process.pid}`;
}

/** Opens where runs are kept; with `--lab` the lab's own, on the lab's clock. */
export async function openPlace(options: WorldOptions): Promise<Place> {
  const home = runbookHome();
  const { openStore } = await import("../store/store.ts");
  const common = { home, owner: whoAmI(), mask: maskSecrets(process.env) };
  if (options.lab !== true) {
    if (options.pace !== undefined)
      throw new Failure("invalid", "--pace is given without --lab: only the lab's time can be sped up", {
        hint: "add --lab, or leave --pace out",
      });
    const { systemClock } = await import("../drivers/clock/system.ts");
    return { ...common, store: openStore(home), folder: home, clock: systemClock(), lab: false, pace: 1 };
  }
  const info = await (await import("./lab-home.ts")).ensureLab(home, paceOf(options));
  const { pacedClock } = await import("../drivers/clock/paced.ts");
  // A lab that was started anew is another world: the runs of the one before say nothing about it.
  const folder = join(home, "lab", `state-${info.originReal}`);
  return {
    ...common,
    store: openStore(folder),
    folder,
    clock: pacedClock(info),
    lab: true,
    pace: info.pace,
  };
}

/** Where this run is kept: a run of the lab is found without --lab, so that what a message says can be pasted. */
export async function openPlaceOf(run: string, options: WorldOptions): Promise<Place> {
  const place = await openPlace(options);
  const has = async ({ store }: Place) => (await store.list()).some((seen) => seen.run === run);
  if (place.lab || (await has(place))) return place;
  const { findLab } = await import("./lab-home.ts");
  if ((await findLab(place.home)) === undefined) return place;
  const inTheLab = await openPlace({ ...options, lab: true });
  return (await has(inTheLab)) ? inTheLab : place;
}

/** What a hold on the cloud of a cluster is about: all clusters of this region. */
export function cloudHeld({ cloud }: Pick<ClusterEntry, "cloud">): string {
  return `cloud ${cloud.driver} ${cloud.region}`;
}

export function clusterHeld({ name }: Pick<ClusterEntry, "name">): string {
  return `cluster ${name}`;
}

/** What the inventory says of a cluster. */
export async function entryOf(
  place: Place,
  options: WorldOptions,
  clusterName: string | undefined,
): Promise<ClusterEntry> {
  return (await inventoryAnd(place, options, clusterName)).cluster;
}

async function inventoryAnd(place: Place, options: WorldOptions, clusterName: string | undefined) {
  const inventory = place.lab ? await labInventory(place.home) : await readUsersInventory(options);
  const { pickCluster } = await import("../config/inventory.ts");
  return { inventory, pickCluster, cluster: pickCluster(inventory, clusterName) };
}

export async function openContext(
  options: WorldOptions,
  clusterName: string | undefined,
  place?: Place,
): Promise<Context> {
  const at = place ?? (await openPlace(options));
  const { clock } = at;
  const { inventory, pickCluster, cluster } = await inventoryAnd(at, options, clusterName);
  const opened = await openDrivers(at, {
    manager: cluster.manager,
    cloud: cluster.cloud,
    nodes: reachableIn(cluster),
    ...(options.warm === true && { warm: Object.keys(cluster.nodes) }),
  });
  const origin = cluster.staging && pickCluster(inventory, cluster.staging.of);
  const production =
    origin && (await openDrivers(at, { manager: origin.manager, cloud: cluster.cloud, nodes: origin.nodes }));
  const drivers: Drivers = {
    ...opened.drivers,
    ...(production && {
      production: { cluster: production.drivers.cluster, nodes: production.drivers.nodes },
    }),
  };
  const { connectTo } = await import("../layers/connect.ts");
  return {
    ...at,
    cluster,
    drivers,
    connect: connectTo(drivers, clock),
    endpoint: () => drivers.cloud.endpoint(),
    setting: (params) => ({
      clusterName: cluster.name,
      members: Object.keys(cluster.nodes),
      instances: instancesOf(cluster),
      params,
      settings: {
        ...cluster.settings,
        ...(cluster.drill && { drill: drillSettingOf(cluster, cluster.drill) }),
        ...(cluster.staging && origin && { staging: stagingSettingOf(cluster.staging, origin) }),
        ...(cluster.hooks && { hooks: cluster.hooks }),
        ...(cluster.restore && { checks: cluster.restore.checks }),
      },
      house: {
        findOpenRuns: () => openRunsOn(at.store, cluster.name),
        freeBytes: () => at.store.freeBytes(),
        findHolds: async () => {
          const about = [clusterHeld(cluster), cloudHeld(cluster)];
          return (await at.store.findHolds()).filter(({ what }) => about.includes(what));
        },
      },
      clock,
    }),
    close: async () => {
      await Promise.all([opened.close(), production?.close()]);
    },
  };
}

/** What is spoken to, and how it is reached. */
export interface Reached {
  readonly manager: string;
  readonly cloud: ClusterEntry["cloud"];
  /** Looked up at each call, so that one may be added later. */
  readonly nodes: { readonly [name: string]: SshNode };
  readonly warm?: readonly string[];
}

export interface Opened {
  readonly shell: Shell;
  readonly drivers: Drivers;
  readonly connect: Connect;
  close(): Promise<void>;
}

/** Opens the drivers of one cluster; in the lab with the lab's key and in the lab's measure of time. */
export async function openDrivers({ lab, pace, clock }: Place, to: Reached): Promise<Opened> {
  const { openSsh } = await import("../drivers/ssh/driver.ts");
  const { clouds, clusterManagers, operatingSystems } = await import("../drivers/all.ts");
  const { connectTo } = await import("../layers/connect.ts");
  const limits = lab ? unhurried(clock, pace) : clock;
  const shell = openSsh({
    nodes: to.nodes,
    clock: limits,
    ...(to.warm && { warm: to.warm }),
    // In the lab a minute lasts a second or less: a dead node must be noticed in the same measure.
    ...(lab && {
      keepaliveMs: Math.max(200, 5_000 / pace),
      connectTimeoutMs: 5_000,
      useSshConfig: false,
    }),
  });
  const given = { shell, clock };
  const drivers: Drivers = {
    cluster: await pick(clusterManagers, to.manager)(given),
    nodes: await pick(operatingSystems, "linux")(given),
    cloud: await pick(
      clouds,
      to.cloud.driver,
    )({ ...to.cloud, clock: limits, ...(lab && { credentials: labCredentials }) }),
  };
  return {
    shell,
    drivers,
    connect: connectTo(drivers, clock),
    close: async () => {
      await Promise.all([drivers.cluster.close(), drivers.nodes.close(), drivers.cloud.close()]);
      await shell.close();
    },
  };
}

function stagingSettingOf(
  { of, isolated, shares, targetMinutes, checks }: StagingEntry,
  origin: ClusterEntry,
): StagingSetting {
  return {
    of,
    production: instancesOf(origin),
    isolated,
    shares,
    targetMinutes: targetMinutes ?? origin.drill?.targetMinutes ?? null,
    checks: checks ?? origin.drill?.checks ?? origin.restore?.checks ?? [],
  };
}

function instancesOf({ nodes }: Pick<ClusterEntry, "nodes">): { readonly [node: string]: string } {
  return Object.fromEntries(Object.entries(nodes).map(([node, { instance }]) => [node, instance]));
}

/** The nodes of the cluster, and the scratch node of its drills. */
export function reachableIn({ nodes, drill }: ClusterEntry): ClusterEntry["nodes"] {
  return drill === undefined ? nodes : { ...nodes, [drill.scratch.name]: drill.scratch };
}

function drillSettingOf({ nodes }: ClusterEntry, drill: DrillEntry): DrillSetting {
  return {
    node: drill.scratch.name,
    instance: drill.scratch.instance,
    production: instancesOf({ nodes }),
    targetMinutes: drill.targetMinutes ?? null,
    checks: drill.checks,
  };
}

/**
 * The clock that limits calls to the lab. Its world may turn a minute in a second, but the machine under it does not: a
 * busy one needs more than the half second that is left of a limit of thirty, and no call is given up before five.
 */
function unhurried(clock: Clock, pace: number): Clock {
  return { now: () => clock.now(), sleep: (ms, signal) => clock.sleep(Math.max(ms, 5_000 * pace), signal) };
}

/** The lab's cloud knows one key, and it opens nothing else. */
const labCredentials = { accessKeyId: "LABACCESSKEY", secretAccessKey: "lab" };

/** What the lab's clients keep on each mirror. */
const labChecks: readonly DrillCheck[] = [
  {
    kind: "command",
    name: "the application's version",
    on: "md1",
    user: "nobody",
    seconds: 60,
    argv: ["cat", "app/version"],
    stdout: "1",
    matches: null,
  },
  {
    kind: "file",
    name: "the clients' counter is there",
    on: "md1",
    path: "clients/counter",
    sha256: null,
    seconds: 60,
  },
];

async function labInventory(home: string): Promise<Inventory> {
  const info = await (await import("./lab-home.ts")).findLab(home);
  if (!info)
    throw new Failure("unavailable", "the lab is not up", { hint: "start it with `runbook lab up`" });
  const clusters = Object.entries(info.clusters).map(([name, { nodes }]): [string, ClusterEntry] => [
    name,
    {
      name,
      manager: "clusterpro",
      cloud: { driver: "aws", region: info.ec2.region, endpoint: info.ec2.url },
      nodes: Object.fromEntries(
        Object.entries(nodes).map(([node, entry]) => [node, { ...entry, name: node }]),
      ),
      settings: { deadManMinutes: 15, leaseMinutes: 15, copyHours: 24, acceptBareNvme: false },
      drill: { scratch: info.scratch, targetMinutes: 15, checks: labChecks },
      restore: { checks: labChecks },
      ...(name === "staging" && { staging: { of: "prod", isolated: true, shares: [] } }),
      backupEveryMs: 86_400_000,
      drillEveryMs: 7 * 86_400_000,
    },
  ]);
  return { file: "the lab", default: info.default, clusters: Object.fromEntries(clusters) };
}

async function readUsersInventory(options: WorldOptions): Promise<Inventory> {
  const { findInventory, readInventory } = await import("../config/inventory.ts");
  const file = findInventory({ cwd: process.cwd(), flag: options.inventory, env: process.env });
  if (file === undefined)
    throw new Failure(
      "invalid",
      "there is no inventory: no --inventory, no $RUNBOOK_INVENTORY, and no runbook.yaml here or above",
      {
        hint: "let `runbook init --node HOST` write one (docs/how-to/write-an-inventory.md), or try everything in the lab with --lab",
      },
    );
  return readInventory(file);
}

function pick<T>(drivers: { readonly [name: string]: T }, name: string): T {
  const driver = drivers[name];
  if (driver === undefined)
    throw new Failure("unsupported", `there is no driver "${name}"`, {
      hint: `known are ${Object.keys(drivers).join(", ")}`,
    });
  return driver;
}

export function paceOf(options: WorldOptions): { pace?: number } {
  if (options.pace === undefined) return {};
  const pace = Number(options.pace);
  if (!(pace > 0 && pace <= 100_000))
    throw new Failure("invalid", `--pace is "${options.pace}"; wanted a number above 0, up to 100000`, {
      hint: "60 makes a minute of the lab a second",
    });
  return { pace };
}

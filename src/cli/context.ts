/** Joins the drivers that an inventory names (or the lab's) to the engine: the only place that knows both. */
import { hostname, userInfo } from "node:os";
import { join } from "node:path";

import type { ClusterEntry, DrillEntry, Inventory } from "../config/inventory.ts";
import { Failure } from "../errors.ts";
import type { Drivers } from "../layers/connect.ts";
import type { Clock } from "../ports/clock.ts";
import type { Connect } from "../ports/calls.ts";
import type { Store } from "../ports/store.ts";
import type { DrillCheck, DrillSetting } from "../runbook/drill-setting.ts";
import type { Params } from "../runbook/step.ts";
import type { Setting } from "../runbook/world.ts";
import { runbookHome } from "./home.ts";
import { openRunsOn } from "./runs-seen.ts";

export interface WorldOptions {
  readonly lab?: boolean;
  readonly pace?: string;
  readonly inventory?: string;
}

/** Where runs are kept, and on which clock they happen: all that looking at runs needs. */
export interface Place {
  readonly home: string;
  readonly store: Store;
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
    return { ...common, store: openStore(home), clock: systemClock(), lab: false, pace: 1 };
  }
  const info = await (await import("./lab-home.ts")).ensureLab(home, paceOf(options));
  const { pacedClock } = await import("../drivers/clock/paced.ts");
  return {
    ...common,
    // A lab that was started anew is another world: the runs of the one before say nothing about it.
    store: openStore(join(home, "lab", `state-${info.originReal}`)),
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

export async function openContext(
  options: WorldOptions,
  clusterName: string | undefined,
  place?: Place,
): Promise<Context> {
  const at = place ?? (await openPlace(options));
  const { clock } = at;
  const inventory = at.lab ? await labInventory(at.home) : await readUsersInventory(options);
  const { pickCluster } = await import("../config/inventory.ts");
  const cluster = pickCluster(inventory, clusterName);
  const { openSsh } = await import("../drivers/ssh/driver.ts");
  const { clouds, clusterManagers, operatingSystems } = await import("../drivers/all.ts");
  const { connectTo } = await import("../layers/connect.ts");
  const limits = at.lab ? unhurried(clock, at.pace) : clock;
  const shell = openSsh({
    nodes: reachableIn(cluster),
    clock: limits,
    // In the lab a minute lasts a second or less: a dead node must be noticed in the same measure.
    ...(at.lab && {
      keepaliveMs: Math.max(200, 5_000 / at.pace),
      connectTimeoutMs: 5_000,
      useSshConfig: false,
    }),
  });
  const given = { shell, clock };
  const drivers: Drivers = {
    cluster: await pick(clusterManagers, cluster.manager)(given),
    nodes: await pick(operatingSystems, "linux")(given),
    cloud: await pick(
      clouds,
      cluster.cloud.driver,
    )({ ...cluster.cloud, clock: limits, ...(at.lab && { credentials: labCredentials }) }),
  };
  return {
    ...at,
    cluster,
    drivers,
    connect: connectTo(drivers, clock),
    endpoint: () => drivers.cloud.endpoint(),
    setting: (params) => ({
      clusterName: cluster.name,
      members: Object.keys(cluster.nodes),
      instances: Object.fromEntries(
        Object.entries(cluster.nodes).map(([node, entry]) => [node, entry.instance]),
      ),
      params,
      settings: {
        ...cluster.settings,
        ...(cluster.drill && { drill: drillSettingOf(cluster, cluster.drill) }),
        ...(cluster.hooks && { hooks: cluster.hooks }),
        ...(cluster.restore && { checks: cluster.restore.checks }),
      },
      house: {
        findOpenRuns: () => openRunsOn(at.store, cluster.name),
        freeBytes: () => at.store.freeBytes(),
      },
      clock,
    }),
    close: async () => {
      await Promise.all([drivers.cluster.close(), drivers.nodes.close(), drivers.cloud.close()]);
      await shell.close();
    },
  };
}

/** The nodes of the cluster, and the scratch node of its drills. */
export function reachableIn({ nodes, drill }: ClusterEntry): ClusterEntry["nodes"] {
  return drill === undefined ? nodes : { ...nodes, [drill.scratch.name]: drill.scratch };
}

function drillSettingOf({ nodes }: ClusterEntry, drill: DrillEntry): DrillSetting {
  return {
    node: drill.scratch.name,
    instance: drill.scratch.instance,
    production: Object.fromEntries(Object.entries(nodes).map(([node, { instance }]) => [node, instance])),
    targetMinutes: drill.targetMinutes ?? null,
    checks: drill.checks,
  };
}

/**
 * The clock that limits calls to the lab. Its world may turn a minute in a second, but the machine under it does not: a
 * busy one needs more than the half second that is left of a limit of thirty, and no call is given up before five.
 */
export function unhurried(clock: Clock, pace: number): Clock {
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

/** Takes the values of secrets out of whatever is kept or shown: those that the environment holds. */
export function maskSecrets(env: NodeJS.ProcessEnv): (text: string) => string {
  const secrets = Object.entries(env)
    .filter(
      ([name, value]) => /SECRET|TOKEN|PASSWORD|PASSPHRASE|PRIVATE/i.test(name) && (value?.length ?? 0) >= 6,
    )
    .map(([, value]) => value ?? "");
  return (text) => secrets.reduce((masked, secret) => masked.replaceAll(secret, "(secret)"), text);
}

/** Every driver by name. Each is imported only when an inventory asks for it, so that an SDK loads only when used. */
import type { CloudDriver } from "../ports/cloud.ts";
import type { Clock } from "../ports/clock.ts";
import type { ClusterDriver } from "../ports/cluster-manager.ts";
import type { NodesDriver } from "../ports/nodes.ts";
import type { CloudScope, NodeRight, PolicyStatement } from "../ports/rights.ts";
import type { Shell } from "../ports/shell.ts";

export interface Given {
  readonly shell: Shell;
  readonly clock: Clock;
}

export const clusterManagers: { readonly [name: string]: (given: Given) => Promise<ClusterDriver> } = {
  clusterpro: async (given) => (await import("./clusterpro/driver.ts")).openClusterpro(given),
};

export const operatingSystems: { readonly [name: string]: (given: Given) => Promise<NodesDriver> } = {
  linux: async (given) => (await import("./linux/driver.ts")).openLinux(given),
};

export interface CloudSettings {
  readonly region: string;
  readonly endpoint?: string;
  readonly profile?: string;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly clock: Clock;
}

export const clouds: { readonly [name: string]: (settings: CloudSettings) => Promise<CloudDriver> } = {
  aws: async (settings) => (await import("./aws/driver.ts")).openAws(settings),
};

/** What the methods of each driver need, by their names: for `runbook doctor --policy`. */
export const cloudRights: {
  readonly [name: string]: () => Promise<
    (methods: readonly string[], scope: CloudScope) => readonly PolicyStatement[]
  >;
} = {
  aws: async () => (await import("./aws/policy.ts")).statementsFor,
};

export const nodeRights: {
  readonly [name: string]: () => Promise<{ readonly [method: string]: NodeRight }>;
} = {
  clusterpro: async () => (await import("./clusterpro/rights.ts")).nodeRights,
  linux: async () => (await import("./linux/rights.ts")).nodeRights,
};

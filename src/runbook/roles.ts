/**
 * Who is who, found live (design 4, "Roles"). A node is active because the groups with mirrors run there now; nothing is
 * taken from a name.
 */
import { Failure } from "../errors.ts";
import type { ClusterConfig, ClusterState } from "../ports/cluster-manager.ts";
import { check, type World } from "./step.ts";

export interface Roles {
  readonly active: string;
  readonly standby: string;
  /** Groups that have a mirror and run on the active node, in the order of the configuration. */
  readonly groups: readonly string[];
  /** Groups with a mirror that were found stopped: shown, and left so. */
  readonly stopped: readonly string[];
  readonly mirrors: readonly RoleMirror[];
  /** sha256 of the cluster's configuration, the same on both nodes. */
  readonly configuration: string;
}

export interface RoleMirror {
  readonly name: string;
  readonly monitor: string | null;
  readonly mountPoint: string;
  readonly synchronous: boolean;
  readonly dataPartition: { readonly [node: string]: string };
  readonly clusterPartition: { readonly [node: string]: string };
  /** Nodes that have partitions set for themselves alone. */
  readonly ownPartitions: readonly string[];
}

export const roles = check<Roles>(
  "The roles are clear: one active node, one standby",
  async ({ cluster, nodes, members }) => {
    const config = await cluster.getConfig(members);
    for (const node of members) {
      // It does not answer, and says so itself; a node that answers again since has to be read like the others.
      if (config.digests[node] === undefined) await nodes.getBoot(node);
    }
    assertSupported(config, members);
    const state = await cluster.getState(config.nodes[0] ?? "");
    for (const node of config.nodes) {
      if (state.nodes[node] !== "online")
        throw new Failure(
          "precondition",
          `${node} is ${state.nodes[node] ?? "unknown"} in the cluster; wanted online`,
          {
            hint: "bring it back first, for example with `clpcl -s` on that node",
          },
        );
    }
    const withMirror = config.groups.filter((group) =>
      config.mirrors.some((mirror) => mirror.group === group.name),
    );
    const running = withMirror.flatMap(({ name }) => {
      const found = state.groups[name];
      if (found?.status === "online" && found.node !== undefined) return [{ name, node: found.node }];
      if (found?.status === "offline") return [];
      throw new Failure(
        "precondition",
        `group ${name} is ${found?.status ?? "unknown"}; wanted online or offline`,
        {
          hint: "wait until it has settled, or mend it",
        },
      );
    });
    const places = [...new Set(running.map((group) => group.node))];
    if (places.length !== 1) throw unclear(running);
    const active = places[0] ?? "";
    return {
      active,
      standby: config.nodes.find((node) => node !== active) ?? "",
      groups: running.map((group) => group.name),
      stopped: withMirror
        .map((group) => group.name)
        .filter((name) => !running.some((group) => group.name === name)),
      mirrors: mirrorsOf(config),
      configuration: Object.values(config.digests)[0] ?? "",
    };
  },
);

export function mirrorsOf(config: ClusterConfig): readonly RoleMirror[] {
  return config.mirrors.map((mirror) => ({
    name: mirror.name,
    monitor: mirror.monitor ?? null,
    mountPoint: mirror.mountPoint,
    synchronous: mirror.synchronous,
    dataPartition: mirror.dataPartition,
    clusterPartition: mirror.clusterPartition,
    ownPartitions: mirror.ownPartitions,
  }));
}

export function assertSupported(
  config: ClusterConfig,
  members: readonly string[],
  asked: readonly string[] = members,
): void {
  if ([...config.nodes].sort().join() !== [...members].sort().join())
    throw new Failure(
      "precondition",
      `the cluster has the nodes ${config.nodes.join(", ")}, the inventory names ${members.join(", ")}`,
      {
        hint: "correct the nodes in the inventory",
      },
    );
  if (config.nodes.length !== 2)
    throw new Failure(
      "unsupported",
      `the cluster has ${config.nodes.length} nodes; this procedure is for two`,
    );
  if (config.hybridDisks.length > 0)
    throw new Failure(
      "unsupported",
      `the cluster has hybrid disks (${config.hybridDisks.join(", ")}), which are not supported`,
    );
  if (config.mirrors.length === 0) throw new Failure("unsupported", "the cluster has no mirror disk");
  const digests = [...new Set(Object.values(config.digests))];
  if (digests.length !== 1 || Object.keys(config.digests).length !== asked.length)
    throw new Failure("precondition", "the cluster's configuration is not the same on both nodes", {
      hint: "distribute it again from the cluster's own tool",
    });
}

function unclear(running: readonly { name: string; node: string }[]): Failure {
  if (running.length === 0)
    return new Failure("precondition", "no group with a mirror is online, so no node is the active one", {
      hint: "start the group where its data is current",
    });
  const where = running.map((group) => `${group.name} on ${group.node}`).join(", ");
  return new Failure(
    "precondition",
    `groups with mirrors run on both nodes (${where}); the standby could not leave`,
    {
      hint: "move them to one node, for example with `clpgrp -m`",
    },
  );
}

/** Whether every one of these groups, and all its resources, is online on this node. */
export function allOnline(state: ClusterState, groups: readonly string[], node: string): boolean {
  return groups.every((name) => {
    const group = state.groups[name];
    return (
      group?.status === "online" &&
      group.node === node &&
      Object.values(group.resources).every((status) => status === "online")
    );
  });
}

/** Whether every one of these groups is offline, with nothing pending or failed. */
export function allOffline(state: ClusterState, groups: readonly string[]): boolean {
  return groups.every(
    (name) => state.groups[name]?.status === "offline" && state.groups[name]?.node === undefined,
  );
}

/** Whether each of these groups runs as a whole somewhere; where, if so. */
export function placesOf(state: ClusterState, groups: readonly string[]): readonly string[] | undefined {
  const places = groups.map((name) => {
    const node = state.groups[name]?.node;
    return node !== undefined && allOnline(state, [name], node) ? node : undefined;
  });
  return places.includes(undefined) ? undefined : (places as string[]);
}

/** Asks one node, and another only if that one does not answer at all: for looks that are repeated for hours. */
export async function askEither<T>(
  world: World,
  first: string,
  ask: (via: string) => Promise<T>,
): Promise<T> {
  try {
    return await ask(first);
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.kind !== "unavailable") throw thrown;
    const via = await askable(world, first);
    if (via === first) throw thrown;
    return ask(via);
  }
}

/** A node that can be asked for the cluster's state: the wanted one first. */
export async function askable(world: World, first: string): Promise<string> {
  for (const node of [first, ...world.members.filter((member) => member !== first)]) {
    if ((await world.nodes.findBoot(node)) !== undefined) return node;
  }
  throw new Failure("unavailable", "neither node answers", {
    hint: "look at the network path to both nodes",
  });
}

/**
 * A cluster in any state, seen by looking alone: each node as the cloud, the node itself and the cluster's software there
 * tell of it. What does not answer is not seen; nothing here guesses, and nothing here writes.
 *
 * Which side of a mirror is good is proven, or it is not (design 4; reference clusterpro 4, 8, 9): GREEN in the eyes of a
 * member, and either a group serves from it, or the member sees the other side too, or it knows when the two came apart and
 * the other side cannot be serving meanwhile. A side that is GREEN in its own eyes alone proves nothing: a node that was
 * off while the other went on serving comes up so.
 */
import { asFailure } from "../errors.ts";
import type { Instance } from "../ports/cloud.ts";
import type { ClusterConfig, ClusterState, MirrorState } from "../ports/cluster-manager.ts";
import { isInSync, isRecovering } from "./mirrors.ts";
import { allOnline } from "./roles.ts";
import type { World } from "./step.ts";

export interface NodeSight {
  readonly node: string;
  /** "gone": the cloud does not know its instance; "unknown": the cloud does not answer. */
  readonly power: Instance["state"] | "gone" | "unknown";
  /** Undefined: it does not answer. */
  readonly bootId: string | undefined;
  readonly upSeconds: number | undefined;
  /** Undefined, as all that follows: it does not answer. */
  readonly startsAtBoot: boolean | undefined;
  readonly running: boolean | undefined;
  readonly agentRuns: boolean | undefined;
  /** The cluster as this node sees it; only where its software runs. */
  readonly state: ClusterState | undefined;
  readonly mirrors: readonly MirrorState[];
}

export interface Sight {
  /** Undefined while no node answers. */
  readonly config: ClusterConfig | undefined;
  readonly nodes: readonly NodeSight[];
}

export async function lookAt(world: World): Promise<Sight> {
  const config = await answerOf(() => world.cluster.getConfig(world.members));
  const nodes = await Promise.all(
    (config?.nodes ?? world.members).map((node) => lookAtNode(world, node, config)),
  );
  return { config, nodes };
}

async function lookAtNode(world: World, node: string, config: ClusterConfig | undefined): Promise<NodeSight> {
  const power = await powerOf(world, node);
  const silent = {
    node,
    power,
    bootId: undefined,
    upSeconds: undefined,
    startsAtBoot: undefined,
    running: undefined,
    agentRuns: undefined,
    state: undefined,
    mirrors: [],
  };
  // What has no power is not asked: a connection to it takes its time to fail, and the service waits.
  if (power !== "running" && power !== "unknown") return silent;
  const boot = await world.nodes.findBoot(node);
  const service = boot && (await answerOf(() => world.cluster.getService(node)));
  if (!boot || !service) return silent;
  const up = { ...silent, bootId: boot.bootId, upSeconds: boot.uptimeSeconds, ...service };
  if (!service.running) return up;
  const [state, ...mirrors] = await Promise.all([
    answerOf(() => world.cluster.getState(node)),
    ...(config?.mirrors ?? []).map(({ name }) =>
      answerOf(() => world.cluster.getMirror({ mirror: name, via: node })),
    ),
  ]);
  return { ...up, state, mirrors: mirrors.flatMap((mirror) => mirror ?? []) };
}

async function powerOf(world: World, node: string): Promise<NodeSight["power"]> {
  try {
    return (await world.cloud.getPower(world.instanceOf(node))).state;
  } catch (thrown) {
    const { kind } = asFailure(thrown);
    if (kind === "not-found") return "gone";
    if (kind === "unavailable" || kind === "timeout") return "unknown";
    throw thrown;
  }
}

/** What does not answer now is not seen now; whatever else is wrong is thrown. */
export async function answerOf<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (thrown) {
    const { kind } = asFailure(thrown);
    if (kind === "unavailable" || kind === "timeout") return undefined;
    throw thrown;
  }
}

/** A member in its own eyes; "pending" while it waits for its peer, or comes up, or goes down. */
export function membership({ node, state }: NodeSight): "online" | "pending" | "no" {
  const own = state?.nodes[node];
  return own === "online" || own === "caution" ? "online" : own === "pending" ? "pending" : "no";
}

export function membersOf(sight: Sight): readonly NodeSight[] {
  return sight.nodes.filter((seen) => membership(seen) === "online");
}

/** Whether a node has no instance any more, or none in a moment. */
export function isGone({ power }: NodeSight): boolean {
  return power === "terminated" || power === "shutting-down" || power === "gone";
}

/** In words that stay the same while an instance goes from one state to the next. */
export function sayPower(seen: NodeSight): "off" | "on" | "gone" | "not known" {
  if (isGone(seen)) return "gone";
  if (seen.power === "stopped" || seen.power === "stopping") return "off";
  return seen.power === "unknown" ? "not known" : "on";
}

/** Up, and kept out: its software neither runs nor starts at the next boot. */
export function isOutside(seen: NodeSight): boolean {
  return seen.startsAtBoot === false && seen.running === false;
}

export function peerOf(sight: Sight, node: string): NodeSight {
  const peer = sight.nodes.find((seen) => seen.node !== node);
  if (!peer) throw new Error(`${node} has no peer`);
  return peer;
}

/** Not set to start at boot, and yet some of its software runs: somebody began to take it out, for a backup as a rule. */
export function isHalfPrepared(seen: NodeSight): boolean {
  return seen.startsAtBoot === false && (seen.running === true || seen.agentRuns === true);
}

/** Where a group is online, as any member says. */
export function homeOf(sight: Sight, group: string): string | undefined {
  for (const { state } of membersOf(sight)) {
    const found = state?.groups[group];
    if (found?.status === "online" && found.node !== undefined) return found.node;
  }
  return undefined;
}

/** Whether a group is about to come or to go, as any member says. */
export function isBusy(sight: Sight, group: string): boolean {
  return membersOf(sight).some(({ state }) => state?.groups[group]?.status === "pending");
}

/** Whether a group runs as a whole somewhere. */
export function isWhole(sight: Sight, group: string): boolean {
  const home = homeOf(sight, group);
  return (
    home !== undefined &&
    membersOf(sight).some(({ state }) => state !== undefined && allOnline(state, [group], home))
  );
}

/** Whether a group with a mirror runs on this node. */
export function serves(sight: Sight, node: string): boolean {
  return (sight.config?.groups ?? []).some(({ name }) => homeOf(sight, name) === node);
}

/** Whether this node's side of a mirror is proven to be one with the data that counts. */
export function isGood(sight: Sight, node: string, mirror: string): boolean {
  const here = sight.nodes.find((seen) => seen.node === node);
  const peer = peerOf(sight, node);
  const seen = here?.mirrors.find((each) => each.mirror === mirror);
  if (!here || !seen || membership(here) !== "online") return false;
  const own = seen.sides[node];
  const copiedFrom = own?.colour === "YELLOW" && isRecovering(seen) && seen.recovery?.from === node;
  if (own?.colour !== "GREEN" && !copiedFrom) return false;
  const group = sight.config?.mirrors.find(({ name }) => name === mirror)?.group;
  const home = group === undefined ? undefined : homeOf(sight, group);
  if (home !== undefined) return home === node;
  const other = seen.sides[peer.node]?.colour;
  if (other === "GREEN" || other === "RED" || other === "YELLOW") return true;
  return own?.breakTime !== undefined && cannotServe(peer, mirror);
}

/** Nothing is served from a node without power, from one whose software stands still, or from a side that is stale. */
function cannotServe(seen: NodeSight, mirror: string): boolean {
  if (seen.power === "stopped" || seen.power === "terminated" || seen.power === "gone") return true;
  if (seen.running === false) return true;
  const own = seen.mirrors.find((each) => each.mirror === mirror)?.sides[seen.node]?.colour;
  return own === "RED";
}

/** A node on which all these mirrors are proven good: one that serves already first, then by priority. */
export function goodNode(sight: Sight, mirrors: readonly string[]): string | undefined {
  const good = membersOf(sight)
    .map(({ node }) => node)
    .filter((node) => mirrors.every((mirror) => isGood(sight, node, mirror)));
  return good.find((node) => serves(sight, node)) ?? good[0];
}

/**
 * The node where a group may be started now. Not on one that is half prepared for a backup, whose mirrors are not to be
 * used; and nowhere while a member is about to do it by itself.
 */
export function startableNode(sight: Sight, group: string): string | undefined {
  if (homeOf(sight, group) !== undefined || isBusy(sight, group)) return undefined;
  const ready = {
    ...sight,
    nodes: sight.nodes.map((seen) =>
      seen.startsAtBoot === true ? seen : { ...seen, mirrors: [], state: undefined },
    ),
  };
  const mirrors = (sight.config?.mirrors ?? []).filter((mirror) => mirror.group === group);
  return goodNode(
    ready,
    mirrors.map(({ name }) => name),
  );
}

/** Whether it is settled which side of every mirror counts: proven now, or being copied. */
export function isProven(sight: Sight): boolean {
  const mirrors = sight.config?.mirrors ?? [];
  return (
    mirrors.length > 0 &&
    mirrors.every(
      ({ name }) =>
        goodNode(sight, [name]) !== undefined ||
        membersOf(sight).some((seen) =>
          seen.mirrors.some((each) => each.mirror === name && isRecovering(each)),
        ),
    )
  );
}

/** What is not as it should be, a sentence each; none when the cluster is normal. */
export function troublesOf(
  sight: Sight,
  groups: readonly string[],
  suspended: readonly { readonly monitor: string; readonly node: string }[],
): readonly string[] {
  const troubles: string[] = [];
  for (const seen of sight.nodes) {
    const { node, bootId, startsAtBoot, state } = seen;
    if (bootId === undefined) troubles.push(`${node} does not answer (its instance is ${sayPower(seen)})`);
    else if (startsAtBoot !== true) troubles.push(`${node} is not set to join the cluster at boot`);
    const unseen = sight.nodes.filter((other) => state?.nodes[other.node] !== "online");
    if (bootId !== undefined && unseen.length > 0)
      troubles.push(`${node} sees ${unseen.map((other) => other.node).join(" and ")} outside of the cluster`);
  }
  if (!sight.config) troubles.push("the cluster's configuration is not known");
  for (const { name } of sight.config?.mirrors ?? []) {
    const seen = membersOf(sight).flatMap(({ mirrors }) => mirrors.filter(({ mirror }) => mirror === name));
    if (seen.length === 0 || !seen.every(isInSync))
      troubles.push(`${name} is ${seen.length === 0 ? "not seen" : sayColours(sight, name)}`);
  }
  for (const group of groups) if (!isWhole(sight, group)) troubles.push(`${group} is not online as a whole`);
  for (const { monitor, node } of suspended) troubles.push(`${monitor} is suspended on ${node}`);
  return troubles;
}

/** "GREEN on server1, RED on server2": each side in its own node's eyes where that node is asked, else as the other sees it. */
export function sayColours(sight: Sight, mirror: string): string {
  return sight.nodes
    .map(({ node }) => `${sideOf(sight, node, mirror)?.colour ?? "not seen"} on ${node}`)
    .join(", ");
}

export function sideOf(sight: Sight, node: string, mirror: string) {
  const view = (seen: NodeSight | undefined) =>
    seen?.mirrors.find((each) => each.mirror === mirror)?.sides[node];
  return view(sight.nodes.find((seen) => seen.node === node)) ?? view(peerOf(sight, node));
}

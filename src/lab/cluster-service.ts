/**
 * The product's daemons on the nodes of a cluster: the mirror agent, and the cluster service that makes a node a member;
 * what they do when a node boots, goes down or is gone (reference clusterpro 8, 9 and design 6).
 */
import type { GroupControl } from "./cluster-groups.ts";
import { clusterUnits, type Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { LabNode, NodeListener } from "./node.ts";

export class ClusterService implements NodeListener {
  readonly #cluster: LabCluster;
  readonly #control: GroupControl;
  /** Members that wait for their peer before the cluster starts. */
  readonly #waiting = new Map<string, { cancel(): void }>();

  constructor(cluster: LabCluster, control: GroupControl) {
    this.#cluster = cluster;
    this.#control = control;
  }

  /** Makes the product's units known to systemd on this node. */
  install(member: Member): void {
    for (const unit of clusterUnits) {
      const acts =
        unit === "clusterpro"
          ? { start: () => void this.startCore(member), stop: () => void this.stopCore(member, true) }
          : unit === "clusterpro_md"
            ? { start: () => void this.startAgent(member), stop: () => void this.stopAgent(member) }
            : {};
      member.node.systemd.units.set(unit, { enabled: true, active: false, ...acts });
    }
  }

  /** Answers whether all mirrors could be loaded. */
  startAgent(member: Member): boolean {
    if (member.agent) return true;
    member.agent = true;
    this.#showUnits(member);
    this.#cluster.heart.effect(`mirror agent started on ${member.node.name}`, {
      kind: "agent-started",
      node: member.node.name,
    });
    member.log("mdagent", 1, "The Mirror Agent has started successfully.");
    const loaded = this.#cluster.mirrors.map((mirror) => mirror.load(member));
    for (const mirror of this.#cluster.mirrors) mirror.meet();
    return loaded.every(Boolean);
  }

  stopAgent(member: Member): void {
    if (!member.agent) return;
    for (const mirror of this.#cluster.mirrors) mirror.unload(member.node.name);
    member.agent = false;
    this.#showUnits(member);
    member.log("mdagent", 3, "The Mirror Agent has stopped successfully.");
    this.#cluster.heart.effect(`mirror agent stopped on ${member.node.name}`, {
      kind: "agent-stopped",
      node: member.node.name,
    });
  }

  /** Joins a running cluster, or waits for the peer and then starts the cluster. */
  startCore(member: Member): void {
    if (member.core !== "stopped") return;
    this.startAgent(member);
    const { name } = member.node;
    member.core = "waiting";
    this.#showUnits(member);
    this.#cluster.heart.effect(`${name} waits to join the cluster`, { kind: "member-waiting", node: name });
    const peer = this.#cluster.peerOf(name);
    if (this.#cluster.isOnline(peer.node.name) && !this.#cluster.partitioned) {
      member.node.later(this.#cluster.times.joinMs, () => this.#join(member));
      return;
    }
    if (peer.core === "waiting" && peer.node.alive && !this.#cluster.partitioned) {
      member.node.later(this.#cluster.times.joinMs, () => this.startCluster([...this.#cluster.members]));
      return;
    }
    // Rule of the design, 6: bounded, then the groups start here alone and clients write.
    this.#waiting.set(
      name,
      member.node.later(this.#cluster.times.waitPeerMs, () => this.startCluster([member])),
    );
  }

  #join(member: Member): void {
    if (member.core !== "waiting") return;
    member.core = "online";
    this.#showUnits(member);
    this.#cluster.heart.effect(`${member.node.name} joined the cluster`, {
      kind: "member-online",
      node: member.node.name,
    });
    for (const mirror of this.#cluster.mirrors) mirror.consider();
  }

  startCluster(members: readonly Member[]): void {
    const others = this.#cluster.members.filter((each) => !members.includes(each));
    if (others.some((each) => this.#cluster.isOnline(each.node.name)) && !this.#cluster.partitioned) {
      for (const member of members) this.#join(member);
      return;
    }
    for (const member of members) {
      this.#waiting.get(member.node.name)?.cancel();
      this.#waiting.delete(member.node.name);
      this.#join(member);
    }
    const online = this.#cluster.members.filter((each) => members.includes(each) && each.core === "online");
    for (const group of this.#cluster.groups) {
      const first = online[0];
      if (
        !first ||
        !this.#cluster.confOf(first).groups.find(({ name }) => name === group.name)?.startsByItself
      )
        continue;
      if (group.places.size > 0) continue;
      const fit = online.find((each) => this.#control.mirrorsUsable(group.name, each)) ?? first;
      void this.#control.start(group.name, fit.node.name);
    }
  }

  /** Stops the service here. `moves`: its groups go to the peer, as at a shutdown of one node. */
  async stopCore(member: Member, moves: boolean): Promise<void> {
    if (member.core === "stopped") return;
    const { name } = member.node;
    const mine = this.#cluster.groups.filter((group) => group.places.get(name) === "online");
    for (const group of mine) {
      await this.#control.stop(group.name, name);
      const peer = this.#cluster.peerOf(name).node.name;
      const failsOver = this.#cluster
        .confOf(member)
        .groups.find((each) => each.name === group.name)?.failsOver;
      if (moves && failsOver && this.#cluster.sees(name, peer) && !this.#cluster.suspended)
        void this.#control.takeOver(group, peer);
    }
    this.#leave(member);
  }

  #leave(member: Member): void {
    const { name } = member.node;
    this.#waiting.get(name)?.cancel();
    this.#waiting.delete(name);
    if (member.core === "stopped") return;
    member.core = "stopped";
    member.suspended.clear();
    for (const group of this.#cluster.groups)
      if (group.places.get(name) === "failed") group.places.delete(name);
    this.#showUnits(member);
    this.#cluster.heart.effect(`${name} left the cluster`, { kind: "member-offline", node: name });
  }

  #showUnits(member: Member): void {
    const { units } = member.node.systemd;
    for (const [name, unit] of units) {
      if (name === "clusterpro") unit.active = member.core !== "stopped";
      else if (name === "clusterpro_md") unit.active = member.agent;
    }
  }

  booted(node: LabNode): void {
    const member = this.#cluster.member(node.name);
    const { units } = node.systemd;
    for (const unit of units.values()) unit.active = unit.enabled && unit.start === undefined;
    if (units.get("clusterpro_md")?.enabled) this.startAgent(member);
    if (units.get("clusterpro")?.enabled) this.startCore(member);
  }

  async goingDown(node: LabNode): Promise<void> {
    const member = this.#cluster.member(node.name);
    await this.stopCore(member, true);
    this.stopAgent(member);
  }

  gone(node: LabNode): void {
    const member = this.#cluster.member(node.name);
    const wasMember = member.core === "online";
    const lost = this.#cluster.groups.flatMap((group) => {
      const place = group.places.get(node.name);
      group.places.delete(node.name);
      return place === undefined ? [] : [{ group, place }];
    });
    member.controlled = false;
    for (const mirror of this.#cluster.mirrors) mirror.unload(node.name);
    member.agent = false;
    this.#leave(member);
    for (const unit of node.systemd.units.values()) unit.active = false;
    for (const { group, place } of lost) {
      this.#cluster.heart.effect(`group ${group.name} is gone with ${node.name}`, {
        kind: "group-lost",
        group: group.name,
        node: node.name,
      });
      if (wasMember && (place === "online" || place === "starting")) this.#control.failOver(group, node.name);
    }
  }
}

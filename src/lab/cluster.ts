/**
 * A cluster of two nodes: who is a member, where groups run, which monitors are suspended, what happens when a node
 * goes (reference clusterpro 8, 9, 11 and design 6). The mirrored disks are in `clp-mirror.ts`, the commands in the
 * other `clp-*.ts`. What the sources do not say is a setting, with the value that asks most of a tool as default.
 */
import { readConf, type LabConf } from "./clp-conf.ts";
import { LabMirror } from "./clp-mirror.ts";
import {
  clusterUnits,
  confFile,
  Member,
  type ClusterSettings,
  type ClusterTimes,
  type GroupAnswer,
  type LabGroup,
  type Place,
} from "./cluster-settings.ts";
import type { LabNode, NodeListener, Span } from "./node.ts";
import { actLater, type Hardware, type Heart, type Received } from "./world.ts";

const no = (text: string): GroupAnswer => ({ ok: false, text });

export type { Member } from "./cluster-settings.ts";

export class LabCluster implements NodeListener {
  readonly name: string;
  readonly heart: Heart;
  readonly hardware: Hardware;
  readonly members: readonly [Member, Member];
  readonly mirrors: readonly LabMirror[];
  readonly groups: readonly LabGroup[];
  readonly times: ClusterTimes;
  settings: ClusterSettings;
  /** The nodes do not see each other. */
  partitioned = false;
  /** The peers noticed it. */
  partitionSeen = false;
  suspended = false;
  readonly #copySeconds: number | undefined;
  readonly #scope = new AbortController();
  /** Asked at every change of the world, for what changes with the configuration alone. */
  readonly #mirrorsOf = new WeakMap<LabConf["groups"][number], readonly LabMirror[]>();
  readonly #confs = new Map<
    Member,
    { readonly changes: number; readonly bytes: string | undefined; readonly conf: LabConf | undefined }
  >();
  readonly #waiting = new Map<string, { cancel(): void }>();

  constructor(options: {
    name: string;
    nodes: readonly [LabNode, LabNode];
    groups: readonly string[];
    mirrors: readonly string[];
    times: ClusterTimes;
    settings: ClusterSettings;
    /** How long any copy takes; by size if not said. */
    copySeconds: number | undefined;
  }) {
    this.name = options.name;
    this.heart = options.nodes[0].heart;
    this.hardware = options.nodes[0].hardware;
    this.members = [new Member(options.nodes[0]), new Member(options.nodes[1])];
    this.groups = options.groups.map((name) => ({ name, places: new Map(), clients: new Map() }));
    this.mirrors = options.mirrors.map((name) => new LabMirror(name, this));
    this.times = options.times;
    this.settings = options.settings;
    this.#copySeconds = options.copySeconds;
    for (const member of this.members) {
      member.node.listen(this);
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
  }

  close(): void {
    this.#scope.abort(new Error("the lab was closed"));
  }

  /** At the building of the world: all are members, and each group runs on the first node. */
  begin(): void {
    for (const member of this.members) {
      for (const unit of member.node.systemd.units.values()) unit.active = true;
      member.agent = true;
      member.core = "online";
      for (const mirror of this.mirrors) mirror.load(member);
    }
    const [first] = this.members;
    for (const group of this.groups) {
      for (const mirror of this.mirrorsOf(group.name, first)) this.#mount(mirror, first);
      group.places.set(first.node.name, "online");
      this.#serve(group, first);
    }
  }

  now(): number {
    return this.heart.clock.now();
  }

  /** Runs `act` later, unless the lab was closed before. */
  later(ms: number, act: () => void): { cancel(): void } {
    return actLater(this.heart.clock, ms, this.#scope.signal, act);
  }

  get names(): readonly [string, string] {
    return [this.members[0].node.name, this.members[1].node.name];
  }

  member(node: string): Member {
    const found = this.members.find((each) => each.node.name === node);
    if (!found) throw new Error(`${node} is no node of ${this.name}`);
    return found;
  }

  peerOf(node: string): Member {
    return this.members[0].node.name === node ? this.members[1] : this.members[0];
  }

  findConf(member: Member): LabConf | undefined {
    const { files } = member.node;
    const known = this.#confs.get(member);
    if (known?.changes === files.changes) return known.conf;
    const bytes = files.find(confFile)?.kind === "file" ? files.read(confFile) : undefined;
    const conf = bytes === undefined ? undefined : known?.bytes === bytes ? known.conf : readConf(bytes);
    this.#confs.set(member, { changes: files.changes, bytes, conf });
    return conf;
  }

  confOf(member: Member): LabConf {
    return (
      this.findConf(member) ?? {
        root: { name: "root", attributes: {}, children: [], text: "" },
        cluster: this.name,
        nodes: this.names,
        groups: [],
        monitors: [],
      }
    );
  }

  copyMs(mirror: string): number {
    if (this.#copySeconds !== undefined) return this.#copySeconds * 1000;
    return this.sizeGiB(mirror) * this.times.copySecondsPerGiB * 1000;
  }

  /** Size of the volume that a mirror lies on. */
  sizeGiB(mirror: string): number {
    const volume = [...(this.mirrors.find(({ name }) => name === mirror)?.loaded.values() ?? [])][0];
    const attached = this.members.flatMap(({ node }) => this.hardware.attached(node.instance));
    return attached.find((each) => each.volume === volume)?.sizeGiB ?? 100;
  }

  isOnline(node: string): boolean {
    return this.member(node).core === "online" && this.member(node).node.alive;
  }

  /** Whether `via` knows `node` as a member. Where the service is stopped, nobody is known (reference clusterpro 3.5). */
  sees(via: string, node: string): boolean {
    return (
      this.member(via).core !== "stopped" && this.isOnline(node) && (via === node || !this.partitionSeen)
    );
  }

  mirrorsOf(group: string, member: Member): readonly LabMirror[] {
    const conf = this.confOf(member).groups.find(({ name }) => name === group);
    if (conf === undefined) return [];
    const known = this.#mirrorsOf.get(conf);
    if (known !== undefined) return known;
    const mirrors = conf.resources
      .filter(({ type }) => type === "md")
      .flatMap(({ name }) => this.mirrors.filter((mirror) => mirror.name === name));
    this.#mirrorsOf.set(conf, mirrors);
    return mirrors;
  }

  group(name: string): LabGroup | undefined {
    return this.groups.find((group) => group.name === name);
  }

  /** Whether a group on this node has the mirror mounted. */
  usesMirror(node: string, mirror: string): boolean {
    return this.groups.some(
      (group) =>
        ["online", "stopping", "starting"].includes(group.places.get(node) ?? "") &&
        this.mirrorsOf(group.name, this.member(node)).some(({ name }) => name === mirror),
    );
  }

  // Mirror agent and cluster service.

  /** Answers whether all mirrors could be loaded. */
  startAgent(member: Member): boolean {
    if (member.agent) return true;
    member.agent = true;
    this.#showUnits(member);
    this.heart.effect(`mirror agent started on ${member.node.name}`, {
      kind: "agent-started",
      node: member.node.name,
    });
    member.log("mdagent", 1, "The Mirror Agent has started successfully.");
    const loaded = this.mirrors.map((mirror) => mirror.load(member));
    for (const mirror of this.mirrors) mirror.meet();
    return loaded.every(Boolean);
  }

  stopAgent(member: Member): void {
    if (!member.agent) return;
    for (const mirror of this.mirrors) mirror.unload(member.node.name);
    member.agent = false;
    this.#showUnits(member);
    member.log("mdagent", 3, "The Mirror Agent has stopped successfully.");
    this.heart.effect(`mirror agent stopped on ${member.node.name}`, {
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
    this.heart.effect(`${name} waits to join the cluster`, { kind: "member-waiting", node: name });
    const peer = this.peerOf(name);
    if (this.isOnline(peer.node.name) && !this.partitioned) {
      member.node.later(this.times.joinMs, () => this.#join(member));
      return;
    }
    if (peer.core === "waiting" && peer.node.alive && !this.partitioned) {
      member.node.later(this.times.joinMs, () => this.#startCluster([...this.members]));
      return;
    }
    // Rule of the design, 6: bounded, then the groups start here alone and clients write.
    this.#waiting.set(
      name,
      member.node.later(this.times.waitPeerMs, () => this.#startCluster([member])),
    );
  }

  #join(member: Member): void {
    if (member.core !== "waiting") return;
    member.core = "online";
    this.#showUnits(member);
    this.heart.effect(`${member.node.name} joined the cluster`, {
      kind: "member-online",
      node: member.node.name,
    });
    for (const mirror of this.mirrors) mirror.consider();
  }

  #startCluster(members: readonly Member[]): void {
    const others = this.members.filter((each) => !members.includes(each));
    if (others.some((each) => this.isOnline(each.node.name)) && !this.partitioned) {
      for (const member of members) this.#join(member);
      return;
    }
    for (const member of members) {
      this.#waiting.get(member.node.name)?.cancel();
      this.#waiting.delete(member.node.name);
      this.#join(member);
    }
    const online = this.members.filter((each) => members.includes(each) && each.core === "online");
    for (const group of this.groups) {
      const first = online[0];
      if (!first || !this.confOf(first).groups.find(({ name }) => name === group.name)?.startsByItself)
        continue;
      if (group.places.size > 0) continue;
      const fit = online.find((each) => this.#mirrorsUsable(group.name, each)) ?? first;
      void this.startGroup(group.name, fit.node.name);
    }
  }

  /** Stops the service here. `moves`: its groups go to the peer, as at a shutdown of one node. */
  async stopCore(member: Member, moves: boolean): Promise<void> {
    if (member.core === "stopped") return;
    const { name } = member.node;
    const mine = this.groups.filter((group) => group.places.get(name) === "online");
    for (const group of mine) {
      await this.stopGroup(group.name, name);
      const peer = this.peerOf(name).node.name;
      const failsOver = this.confOf(member).groups.find((each) => each.name === group.name)?.failsOver;
      if (moves && failsOver && this.sees(name, peer) && !this.suspended) void this.#takeOver(group, peer);
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
    for (const group of this.groups) if (group.places.get(name) === "failed") group.places.delete(name);
    this.#showUnits(member);
    this.heart.effect(`${name} left the cluster`, { kind: "member-offline", node: name });
  }

  #showUnits(member: Member): void {
    const { units } = member.node.systemd;
    for (const [name, unit] of units) {
      if (name === "clusterpro") unit.active = member.core !== "stopped";
      else if (name === "clusterpro_md") unit.active = member.agent;
    }
  }

  // The life of nodes.

  booted(node: LabNode): void {
    const member = this.member(node.name);
    const { units } = node.systemd;
    for (const unit of units.values()) unit.active = unit.enabled && unit.start === undefined;
    if (units.get("clusterpro_md")?.enabled) this.startAgent(member);
    if (units.get("clusterpro")?.enabled) this.startCore(member);
  }

  async goingDown(node: LabNode): Promise<void> {
    const member = this.member(node.name);
    await this.stopCore(member, true);
    this.stopAgent(member);
  }

  gone(node: LabNode): void {
    const member = this.member(node.name);
    const wasMember = member.core === "online";
    const lost = this.groups.flatMap((group) => {
      const place = group.places.get(node.name);
      group.places.delete(node.name);
      return place === undefined ? [] : [{ group, place }];
    });
    member.controlled = false;
    for (const mirror of this.mirrors) mirror.unload(node.name);
    member.agent = false;
    this.#leave(member);
    for (const unit of node.systemd.units.values()) unit.active = false;
    for (const { group, place } of lost) {
      this.heart.effect(`group ${group.name} is gone with ${node.name}`, {
        kind: "group-lost",
        group: group.name,
        node: node.name,
      });
      if (wasMember && (place === "online" || place === "starting")) this.#failOver(group, node.name);
    }
  }

  /** After the heartbeat's time-out the peer takes the group, if it can (reference clusterpro 9). */
  #failOver(group: LabGroup, from: string): void {
    this.later(this.times.heartbeatMs, () => {
      const peer = this.peerOf(from);
      const { name } = peer.node;
      if (!this.isOnline(name) || this.suspended || this.isOnline(from) || group.places.size > 0) return;
      if (!this.confOf(peer).groups.find((each) => each.name === group.name)?.failsOver) return;
      void this.#takeOver(group, name);
    });
  }

  async #takeOver(group: LabGroup, node: string): Promise<void> {
    this.heart.effect(`group ${group.name} fails over to ${node}`, {
      kind: "group-failing-over",
      group: group.name,
      node,
    });
    await this.startGroup(group.name, node);
  }

  // A network between the nodes that is cut.

  partition(isolated: string): void {
    if (this.partitioned) return;
    this.partitioned = true;
    for (const mirror of this.mirrors) mirror.stopRecovery("the nodes do not see each other");
    this.heart.effect(`${isolated} is cut off from its peer`, { kind: "node-isolated", node: isolated });
    this.later(this.times.heartbeatMs, () => {
      if (!this.partitioned) return;
      this.partitionSeen = true;
      const peer = this.peerOf(isolated);
      const both = this.isOnline(isolated) && this.isOnline(peer.node.name);
      const running = this.groups.filter((group) => group.places.get(isolated) === "online");
      if (both && this.settings.partitionHandling === "shutdown") {
        this.member(isolated).log(
          "nm",
          30,
          "Network partition was detected. Shut down the server to protect data.",
        );
        const { node } = this.member(isolated);
        node.losePower();
        this.hardware.guestOff(node.instance);
        return;
      }
      if (both) for (const group of running) void this.#takeOver(group, peer.node.name);
    });
  }

  rejoin(): void {
    if (!this.partitioned) return;
    this.partitioned = false;
    this.partitionSeen = false;
    this.heart.effect(`the nodes of ${this.name} see each other again`, {
      kind: "node-rejoined",
      cluster: this.name,
    });
    for (const group of this.groups)
      if (group.places.size > 1) {
        const loser = this.member(this.names[1]);
        loser.log("rc", 92, `Group ${group.name} has started on more than one server.`);
        loser.node.losePower();
        this.hardware.guestOff(loser.node.instance);
      }
    for (const mirror of this.mirrors) mirror.meet();
    if (this.members.every(({ core }) => core === "waiting")) this.#startCluster([...this.members]);
  }

  // Groups.

  #mirrorsUsable(group: string, member: Member): boolean {
    return this.mirrorsOf(group, member).every((mirror) => mirror.usable(member.node.name));
  }

  /** Why a start would be refused at once; undefined if it may be tried. */
  refusesStart(name: string, node: string, via: string): string | undefined {
    const group = this.group(name);
    if (!group) return "Invalid group name. Specify a valid group name in the cluster.";
    const member = this.member(node);
    if (member.core === "waiting")
      return "Could not start the group. Try it again after the other server is started, or after the Wait Synchronization time is timed out.";
    if (!this.sees(via, node)) return "Server is not active. Check if the cluster service is active.";
    const places = this.#placesSeen(group, via);
    if ([...places.values()].some((place) => place === "starting" || place === "stopping"))
      return "The group is busy. Try again later.";
    if (places.get(node) === "online") return "The group has already been started on the local server.";
    if ([...places.values()].includes("online"))
      return "The group has already been started on the other server.";
    return undefined;
  }

  async startGroup(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    const refused = this.refusesStart(name, node, node);
    if (refused !== undefined) return no(refused);
    const group = this.group(name) as LabGroup;
    const member = this.member(node);
    for (const other of this.names) if (group.places.get(other) === "failed") group.places.delete(other);
    group.places.set(node, "starting");
    this.heart.effect(
      `group ${name} starting on ${node}`,
      { kind: "group-starting", group: name, node },
      cause,
    );
    if (!(await this.#wait(member, this.times.startGroup))) return no("Connection was lost.");
    if (member.core !== "online") {
      group.places.delete(node);
      return no("Could not connect to the server. Check if the cluster service is active.");
    }
    if (!this.#mirrorsUsable(name, member)) {
      group.places.set(node, "failed");
      member.log("rc", 11, `Activating ${name} has failed.`);
      this.heart.effect(
        `group ${name} failed to start on ${node}`,
        { kind: "group-failed", group: name, node },
        cause,
      );
      return no("Failed to start one or more group resources.");
    }
    for (const mirror of this.mirrorsOf(name, member)) this.#mount(mirror, member);
    group.places.set(node, "online");
    this.heart.effect(
      `group ${name} started on ${node}`,
      { kind: "group-started", group: name, node },
      cause,
    );
    this.#serve(group, member);
    return { ok: true };
  }

  async stopGroup(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    const group = this.group(name);
    if (!group) return no("Invalid group name. Specify a valid group name in the cluster.");
    const place = group.places.get(node);
    if (place === "starting" || place === "stopping") return no("The group is busy. Try again later.");
    if (place === undefined) return no("The group has already been stopped.");
    const member = this.member(node);
    if (place === "failed") {
      group.places.delete(node);
      this.heart.effect(
        `group ${name} stopped on ${node}`,
        { kind: "group-stopped", group: name, node },
        cause,
      );
      return { ok: true };
    }
    group.places.set(node, "stopping");
    this.heart.effect(
      `group ${name} stopping on ${node}`,
      { kind: "group-stopping", group: name, node },
      cause,
    );
    if (!(await this.#wait(member, this.times.stopGroup))) return no("Connection was lost.");
    if (member.failingStops > 0) {
      // A resource that does not stop makes the product take the node down, so that the peer may have the group.
      member.failingStops -= 1;
      group.places.set(node, "online");
      this.heart.effect(
        `group ${name} failed to stop on ${node}`,
        { kind: "group-stop-failed", group: name, node },
        cause,
      );
      member.node.crash();
      return no("Failed to stop one or more group resources.");
    }
    for (const mirror of this.mirrorsOf(name, member)) {
      member.node.disks.unmount(mirror.settings(member).mountPoint);
      mirror.setDirty(node, false);
    }
    group.places.delete(node);
    this.heart.effect(
      `group ${name} stopped on ${node}`,
      { kind: "group-stopped", group: name, node },
      cause,
    );
    return { ok: true };
  }

  /** Stop here, start there. */
  async moveGroup(name: string, to: string, cause?: Received): Promise<GroupAnswer> {
    const group = this.group(name);
    const from = this.nodeOf(name);
    if (!group || from === undefined) return no("The group has already been stopped.");
    if (from === to) return no("The group has already been started on the local server.");
    if (!this.isOnline(to)) return no("Server is not active. Check if the cluster service is active.");
    const stopped = await this.stopGroup(name, from, cause);
    return stopped.ok ? this.startGroup(name, to, cause) : stopped;
  }

  /** The node where the group runs; with a split, the first. */
  nodeOf(name: string): string | undefined {
    return [...(this.group(name)?.places ?? [])].find(([, place]) => place === "online")?.[0];
  }

  /** Places of a group as `via` knows them. */
  placesOf(name: string, via: string): ReadonlyMap<string, Place> {
    const group = this.group(name);
    return group ? this.#placesSeen(group, via) : new Map();
  }

  #placesSeen(group: LabGroup, via: string): ReadonlyMap<string, Place> {
    return new Map([...group.places].filter(([node]) => this.sees(via, node)));
  }

  async #wait(member: Member, span: Span): Promise<boolean> {
    const { life } = member.node;
    try {
      await this.heart.clock.sleep(member.node.draw(span), AbortSignal.any([life, this.#scope.signal]));
    } catch {
      // The node or the lab went away meanwhile; `gone` has put the group where it belongs.
      return false;
    }
    return !life.aborted;
  }

  #mount(mirror: LabMirror, member: Member): void {
    const { node } = member;
    const { mountPoint, device, fileSystem } = mirror.settings(member);
    mirror.setDirty(node.name, true);
    if (mountPoint === "") return;
    node.files.plant(mountPoint, undefined);
    node.disks.mount({
      point: mountPoint,
      device,
      type: fileSystem,
      read: () => mirror.content(node.name)?.data ?? {},
      write: (path, text) => this.writeFile(mirror.name, path, text, node.name),
    });
  }

  /** Clients of the service: a counter that grows as long as the group is online, so that a loss can be seen. */
  #serve(group: LabGroup, member: Member): void {
    const { name } = member.node;
    const next = () => group.clients.set(name, member.node.later(this.times.clientMs, tick));
    const tick = () => {
      if (group.places.get(name) !== "online") return;
      for (const mirror of this.mirrorsOf(group.name, member)) {
        const count = Number(mirror.content(name)?.data["clients/counter"] ?? 0) + 1;
        this.writeFile(mirror.name, "clients/counter", String(count), name);
      }
      next();
    };
    // Those of a service that stopped a moment ago would go on beside the new ones.
    group.clients.get(name)?.cancel();
    next();
  }

  /** Writes or deletes a file through the group that has the mirror mounted. */
  writeFile(mirror: string, path: string, text: string | undefined, node?: string): void {
    const found = this.mirrors.find(({ name }) => name === mirror);
    const where = node ?? this.names.find((each) => this.usesMirror(each, mirror));
    if (!found || where === undefined)
      throw new Error(`no group has ${mirror} mounted, so nobody can write ${path}`);
    found.write(where, (data) => {
      const { [path]: _old, ...rest } = data;
      return text === undefined ? rest : { ...rest, [path]: text };
    });
    this.heart.effect(`clients wrote ${path} on ${where}`, {
      kind: "data-written",
      mirror,
      node: where,
      path,
      removed: text === undefined,
    });
  }

  // Monitors.

  setSuspended(node: string, monitors: readonly string[], suspend: boolean): void {
    const { suspended } = this.member(node);
    for (const monitor of monitors) {
      if (suspended.has(monitor) === suspend) continue;
      if (suspend) suspended.add(monitor);
      else suspended.delete(monitor);
      this.heart.effect(`monitor ${monitor} ${suspend ? "suspended" : "resumed"} on ${node}`, {
        kind: suspend ? "monitor-suspended" : "monitor-resumed",
        monitor,
        node,
      });
    }
    for (const mirror of this.mirrors) mirror.consider();
  }

  setClusterSuspended(suspended: boolean): void {
    if (this.suspended === suspended) return;
    this.suspended = suspended;
    if (!suspended) for (const member of this.members) member.suspended.clear();
    this.heart.effect(`cluster ${this.name} ${suspended ? "suspended" : "resumed"}`, {
      kind: suspended ? "cluster-suspended" : "cluster-resumed",
      cluster: this.name,
    });
    for (const mirror of this.mirrors) mirror.consider();
  }
}

/**
 * A cluster of two nodes: who is a member and who sees whom, where groups run, which monitors are suspended (reference
 * clusterpro 8, 9, 11 and design 6). What groups do is in `cluster-groups.ts`, what the product's daemons do in
 * `cluster-service.ts`, the mirrored disks are in `clp-mirror.ts`, the commands in the other `clp-*.ts`. What the sources do not say is a setting, with the value that asks most of a tool as default.
 */
import { readConf, type LabConf } from "./clp-conf.ts";
import { LabMirror } from "./clp-mirror.ts";
import { GroupControl } from "./cluster-groups.ts";
import { ClusterService } from "./cluster-service.ts";
import {
  confFile,
  Member,
  type ClusterSettings,
  type ClusterTimes,
  type GroupAnswer,
  type LabGroup,
  type Place,
} from "./cluster-settings.ts";
import type { LabNode } from "./node.ts";
import { actLater, type Hardware, type Heart, type Received } from "./world.ts";

export type { Member } from "./cluster-settings.ts";

export class LabCluster {
  readonly name: string;
  readonly heart: Heart;
  readonly hardware: Hardware;
  readonly members: readonly [Member, Member];
  readonly mirrors: readonly LabMirror[];
  readonly groups: readonly LabGroup[];
  readonly control: GroupControl;
  readonly service: ClusterService;
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
    this.control = new GroupControl(this);
    this.service = new ClusterService(this, this.control);
    for (const member of this.members) {
      member.node.listen(this.service);
      this.service.install(member);
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
      for (const mirror of this.mirrorsOf(group.name, first)) this.control.mount(mirror, first);
      group.places.set(first.node.name, "online");
      this.control.serve(group, first);
    }
  }

  /** Aborted when the lab is closed. */
  get closing(): AbortSignal {
    return this.#scope.signal;
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

  /** The node where the group runs; with a split, the first. */
  nodeOf(name: string): string | undefined {
    return [...(this.group(name)?.places ?? [])].find(([, place]) => place === "online")?.[0];
  }

  /** Places of a group as `via` knows them. */
  placesOf(name: string, via: string): ReadonlyMap<string, Place> {
    const places = this.group(name)?.places ?? [];
    return new Map([...places].filter(([node]) => this.sees(via, node)));
  }

  /** Whether a group on this node has the mirror mounted. */
  usesMirror(node: string, mirror: string): boolean {
    return this.groups.some(
      (group) =>
        ["online", "stopping", "starting"].includes(group.places.get(node) ?? "") &&
        this.mirrorsOf(group.name, this.member(node)).some(({ name }) => name === mirror),
    );
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
      if (both) for (const group of running) void this.control.takeOver(group, peer.node.name);
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
    if (this.members.every(({ core }) => core === "waiting")) this.service.startCluster([...this.members]);
  }

  // Groups; `cluster-groups.ts` has how.

  startGroup(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    return this.control.start(name, node, cause);
  }

  stopGroup(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    return this.control.stop(name, node, cause);
  }

  moveGroup(name: string, to: string, cause?: Received): Promise<GroupAnswer> {
    return this.control.move(name, to, cause);
  }

  writeFile(mirror: string, path: string, text: string | undefined, node?: string): void {
    this.control.write(mirror, path, text, node);
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

/**
 * The groups of a cluster: started, stopped, moved and taken over, with their mirrors mounted and their clients at work
 * (reference clusterpro 8, 9).
 */
import type { LabMirror } from "./clp-mirror.ts";
import type { GroupAnswer, LabGroup, Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { Span } from "./node.ts";
import type { Received } from "./world.ts";

const no = (text: string): GroupAnswer => ({ ok: false, text });

export class GroupControl {
  readonly #cluster: LabCluster;

  constructor(cluster: LabCluster) {
    this.#cluster = cluster;
  }

  /** After the heartbeat's time-out the peer takes the group, if it can (reference clusterpro 9). */
  failOver(group: LabGroup, from: string): void {
    this.#cluster.later(this.#cluster.times.heartbeatMs, () => {
      const peer = this.#cluster.peerOf(from);
      const { name } = peer.node;
      if (
        !this.#cluster.isOnline(name) ||
        this.#cluster.suspended ||
        this.#cluster.isOnline(from) ||
        group.places.size > 0
      )
        return;
      if (!this.#cluster.confOf(peer).groups.find((each) => each.name === group.name)?.failsOver) return;
      void this.takeOver(group, name);
    });
  }

  async takeOver(group: LabGroup, node: string): Promise<void> {
    this.#cluster.heart.effect(`group ${group.name} fails over to ${node}`, {
      kind: "group-failing-over",
      group: group.name,
      node,
    });
    await this.start(group.name, node);
  }

  mirrorsUsable(group: string, member: Member): boolean {
    return this.#cluster.mirrorsOf(group, member).every((mirror) => mirror.usable(member.node.name));
  }

  /** Why a start would be refused at once; undefined if it may be tried. */
  refusesStart(name: string, node: string, via: string): string | undefined {
    const group = this.#cluster.group(name);
    if (!group) return "Invalid group name. Specify a valid group name in the cluster.";
    const member = this.#cluster.member(node);
    if (member.core === "waiting")
      return "Could not start the group. Try it again after the other server is started, or after the Wait Synchronization time is timed out.";
    if (!this.#cluster.sees(via, node))
      return "Server is not active. Check if the cluster service is active.";
    const places = this.#cluster.placesOf(name, via);
    if ([...places.values()].some((place) => place === "starting" || place === "stopping"))
      return "The group is busy. Try again later.";
    if (places.get(node) === "online") return "The group has already been started on the local server.";
    if ([...places.values()].includes("online"))
      return "The group has already been started on the other server.";
    return undefined;
  }

  async start(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    const refused = this.refusesStart(name, node, node);
    if (refused !== undefined) return no(refused);
    const group = this.#cluster.group(name) as LabGroup;
    const member = this.#cluster.member(node);
    for (const other of this.#cluster.names)
      if (group.places.get(other) === "failed") group.places.delete(other);
    group.places.set(node, "starting");
    this.#cluster.heart.effect(
      `group ${name} starting on ${node}`,
      { kind: "group-starting", group: name, node },
      cause,
    );
    if (!(await this.#wait(member, this.#cluster.times.startGroup))) return no("Connection was lost.");
    if (member.core !== "online") {
      group.places.delete(node);
      return no("Could not connect to the server. Check if the cluster service is active.");
    }
    if (!this.mirrorsUsable(name, member)) {
      group.places.set(node, "failed");
      member.log("rc", 11, `Activating ${name} has failed.`);
      this.#cluster.heart.effect(
        `group ${name} failed to start on ${node}`,
        { kind: "group-failed", group: name, node },
        cause,
      );
      return no("Failed to start one or more group resources.");
    }
    for (const mirror of this.#cluster.mirrorsOf(name, member)) this.mount(mirror, member);
    group.places.set(node, "online");
    this.#cluster.heart.effect(
      `group ${name} started on ${node}`,
      { kind: "group-started", group: name, node },
      cause,
    );
    this.serve(group, member);
    return { ok: true };
  }

  async stop(name: string, node: string, cause?: Received): Promise<GroupAnswer> {
    const group = this.#cluster.group(name);
    if (!group) return no("Invalid group name. Specify a valid group name in the cluster.");
    const place = group.places.get(node);
    if (place === "starting" || place === "stopping") return no("The group is busy. Try again later.");
    if (place === undefined) return no("The group has already been stopped.");
    const member = this.#cluster.member(node);
    if (place === "failed") {
      group.places.delete(node);
      this.#cluster.heart.effect(
        `group ${name} stopped on ${node}`,
        { kind: "group-stopped", group: name, node },
        cause,
      );
      return { ok: true };
    }
    group.places.set(node, "stopping");
    this.#cluster.heart.effect(
      `group ${name} stopping on ${node}`,
      { kind: "group-stopping", group: name, node },
      cause,
    );
    if (!(await this.#wait(member, this.#cluster.times.stopGroup))) return no("Connection was lost.");
    if (member.failingStops > 0) {
      // A resource that does not stop makes the product take the node down, so that the peer may have the group.
      member.failingStops -= 1;
      group.places.set(node, "online");
      this.#cluster.heart.effect(
        `group ${name} failed to stop on ${node}`,
        { kind: "group-stop-failed", group: name, node },
        cause,
      );
      member.node.crash();
      return no("Failed to stop one or more group resources.");
    }
    for (const mirror of this.#cluster.mirrorsOf(name, member)) {
      member.node.disks.unmount(mirror.settings(member).mountPoint);
      mirror.setDirty(node, false);
    }
    group.places.delete(node);
    this.#cluster.heart.effect(
      `group ${name} stopped on ${node}`,
      { kind: "group-stopped", group: name, node },
      cause,
    );
    return { ok: true };
  }

  /** Stop here, start there. */
  async move(name: string, to: string, cause?: Received): Promise<GroupAnswer> {
    const group = this.#cluster.group(name);
    const from = this.#cluster.nodeOf(name);
    if (!group || from === undefined) return no("The group has already been stopped.");
    if (from === to) return no("The group has already been started on the local server.");
    if (!this.#cluster.isOnline(to))
      return no("Server is not active. Check if the cluster service is active.");
    const stopped = await this.stop(name, from, cause);
    return stopped.ok ? this.start(name, to, cause) : stopped;
  }

  async #wait(member: Member, span: Span): Promise<boolean> {
    const { life } = member.node;
    try {
      await this.#cluster.heart.clock.sleep(
        member.node.draw(span),
        AbortSignal.any([life, this.#cluster.closing]),
      );
    } catch {
      // The node or the lab went away meanwhile; `gone` has put the group where it belongs.
      return false;
    }
    return !life.aborted;
  }

  mount(mirror: LabMirror, member: Member): void {
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
      write: (path, text) => this.write(mirror.name, path, text, node.name),
    });
  }

  /** Clients of the service: a counter that grows as long as the group is online, so that a loss can be seen. */
  serve(group: LabGroup, member: Member): void {
    const { name } = member.node;
    const next = () => group.clients.set(name, member.node.later(this.#cluster.times.clientMs, tick));
    const tick = () => {
      if (group.places.get(name) !== "online") return;
      for (const mirror of this.#cluster.mirrorsOf(group.name, member)) {
        const count = Number(mirror.content(name)?.data["clients/counter"] ?? 0) + 1;
        this.write(mirror.name, "clients/counter", String(count), name);
      }
      next();
    };
    // Those of a service that stopped a moment ago would go on beside the new ones.
    group.clients.get(name)?.cancel();
    next();
  }

  /** Writes or deletes a file through the group that has the mirror mounted. */
  write(mirror: string, path: string, text: string | undefined, node?: string): void {
    const found = this.#cluster.mirrors.find(({ name }) => name === mirror);
    const where = node ?? this.#cluster.names.find((each) => this.#cluster.usesMirror(each, mirror));
    if (!found || where === undefined)
      throw new Error(`no group has ${mirror} mounted, so nobody can write ${path}`);
    found.write(where, (data) => {
      const { [path]: _old, ...rest } = data;
      return text === undefined ? rest : { ...rest, [path]: text };
    });
    this.#cluster.heart.effect(`clients wrote ${path} on ${where}`, {
      kind: "data-written",
      mirror,
      node: where,
      path,
      removed: text === undefined,
    });
  }
}

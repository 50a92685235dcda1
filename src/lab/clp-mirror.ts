/**
 * One mirrored disk: a side on each node, whose colour, flags and times lie on the cluster partition of its volume and
 * travel with it into snapshots (reference clusterpro 4, 8, 11). Writes go to both sides while both are GREEN.
 */
import { mirrorSettings, type MirrorSettings } from "./clp-conf.ts";
import type { Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { Content } from "./world.ts";

export interface SideControl {
  readonly mirror: string;
  /** First half of the partitions' UUIDs: the partition table travels with the volume too. */
  readonly disk: string;
  readonly colour: "GREEN" | "RED";
  /** The flag that clpbackup.sh sets. */
  readonly backup: boolean;
  /** This side took writes that the other has not seen, or knows that the other is stale. */
  readonly alone: boolean;
  /** Made by clprestore.sh, and not yet joined to its other side. */
  readonly fresh: boolean;
  /** A full copy was asked for with it. */
  readonly wantsCopy: boolean;
  readonly destroyed: boolean;
  /** Milliseconds, 0 for none. */
  readonly lastUpdate: number;
  readonly breakTime: number;
}

export const newControl = (
  mirror: string,
  disk: string,
  more: Partial<SideControl> = {},
): { readonly [key: string]: string | number | boolean } => ({
  mirror,
  disk,
  colour: "GREEN",
  backup: false,
  alone: false,
  fresh: false,
  wantsCopy: false,
  destroyed: false,
  lastUpdate: 0,
  breakTime: 0,
  ...more,
});

export interface Recovery {
  readonly from: string;
  readonly to: string;
  readonly startedAt: number;
  readonly ms: number;
  readonly cancel: () => void;
}

export class LabMirror {
  readonly name: string;
  readonly cluster: LabCluster;
  recovery: Recovery | undefined;
  /** The volume that each node's mirror agent has open; a node that failed to load has none. */
  readonly loaded = new Map<string, string>();
  #pending: { cancel(): void } | undefined;

  constructor(name: string, cluster: LabCluster) {
    this.name = name;
    this.cluster = cluster;
  }

  settings(member: Member): MirrorSettings {
    return mirrorSettings(this.cluster.confOf(member), this.name, member.node.name);
  }

  /** The volume that the configured partitions of a node lie on, and whether it is this mirror's. */
  locate(
    member: Member,
  ): { readonly volume: string; readonly ours: boolean; readonly content: Content } | undefined {
    const { dataPartition, clusterPartition } = this.settings(member);
    const data = member.node.disks.find(dataPartition);
    const control = member.node.disks.find(clusterPartition);
    if (!data || !control) return undefined;
    const { volume, content } = control.disk;
    const ours =
      data.disk.volume === volume &&
      data.partition.number === 2 &&
      control.partition.number === 1 &&
      content.kind === "mirror" &&
      content.control["mirror"] === this.name &&
      content.control["destroyed"] !== true;
    return { volume, ours, content };
  }

  content(node: string): Content | undefined {
    const volume = this.loaded.get(node);
    return volume === undefined ? undefined : this.cluster.hardware.content(volume);
  }

  control(node: string): SideControl | undefined {
    return this.content(node)?.control as unknown as SideControl | undefined;
  }

  /** Changes a side; the volume's content is replaced, never altered. */
  put(
    node: string,
    change: { control?: Partial<SideControl>; data?: Content["data"]; dirty?: boolean },
  ): void {
    const volume = this.loaded.get(node);
    const old = this.content(node);
    if (volume === undefined || old === undefined) return;
    this.cluster.hardware.write(volume, {
      ...old,
      ...(change.data !== undefined && { data: change.data }),
      ...(change.dirty !== undefined && { dirty: change.dirty }),
      control: { ...old.control, ...change.control },
    });
  }

  // Agents.

  /** The agent of a node opens its side; false if the devices are not what they should be. */
  load(member: Member): boolean {
    const found = this.locate(member);
    if (!found?.ours) {
      member.log(
        `mdagent 5: Failed to load the resource(${this.name}). Check if the Cluster Partition or Data Partition is OK.`,
      );
      this.cluster.heart.effect(`mirror ${this.name} failed to load on ${member.node.name}`, {
        kind: "mirror-load-failed",
        mirror: this.name,
        node: member.node.name,
        volume: found?.volume ?? null,
      });
      return false;
    }
    this.loaded.set(member.node.name, found.volume);
    this.cluster.heart.effect(`mirror ${this.name} loaded on ${member.node.name}`, {
      kind: "mirror-loaded",
      mirror: this.name,
      node: member.node.name,
      volume: found.volume,
    });
    return true;
  }

  unload(node: string): void {
    if (!this.loaded.has(node)) return;
    this.stopRecovery("the mirror agent stopped");
    this.loaded.delete(node);
    // The survivor remembers when it lost the other one: that is its Break Time.
    const other = this.cluster.peerOf(node).node.name;
    const side = this.control(other);
    if (side?.colour === "GREEN" && !side.alone && this.cluster.peerOf(node).node.alive)
      this.put(other, { control: { breakTime: this.cluster.now() } });
  }

  /** Whether the two sides are open and speak with each other. */
  connected(): boolean {
    return this.loaded.size === 2 && !this.cluster.partitioned;
  }

  /**
   * Two sides meet again: who is stale is decided by what each side remembers. Nobody compares contents, which is
   * why a wrong restore is silent (reference clusterpro 11, rule 9).
   */
  meet(): void {
    if (!this.connected()) return;
    const [one, two] = this.cluster.names;
    const a = this.control(one);
    const b = this.control(two);
    if (!a || !b) return;
    const stale = (node: string, good: string | undefined) => {
      const was = this.control(node)?.colour;
      this.put(node, { control: { colour: "RED", fresh: false } });
      if (good !== undefined) this.put(good, { control: { alone: true, fresh: false } });
      if (was !== "RED")
        this.cluster.heart.effect(`mirror ${this.name} on ${node} is stale`, {
          kind: "mirror-stale",
          mirror: this.name,
          node,
        });
    };
    if (a.alone && b.alone && a.colour === "GREEN" && b.colour === "GREEN") {
      stale(one, undefined);
      stale(two, undefined);
    } else if (a.alone && a.colour === "GREEN") stale(two, one);
    else if (b.alone && b.colour === "GREEN") stale(one, two);
    else if (a.fresh !== b.fresh && a.colour === "GREEN" && b.colour === "GREEN")
      // One restored, one not: the old side has the newer times, so it wins (reference clusterpro 8, R2).
      stale(a.fresh ? one : two, a.fresh ? two : one);
    else if (a.fresh && b.fresh) {
      const copies = (a.wantsCopy || b.wantsCopy) && this.settings(this.cluster.member(one)).fullCopy;
      for (const node of [one, two]) this.put(node, { control: { fresh: false, wantsCopy: false } });
      if (copies) this.startRecovery(one, two);
      else
        this.cluster
          .member(one)
          .log(
            `mdadmn 20: Initial mirror recovery was not executed following the configuration. (Device:${this.settings(this.cluster.member(one)).device})`,
          );
    }
    this.cluster.heart.effect(`the sides of mirror ${this.name} met`, {
      kind: "mirror-met",
      mirror: this.name,
    });
    this.consider();
  }

  // What an operator sees.

  colour(node: string, via: string): "GREEN" | "RED" | "YELLOW" | "GRAY" {
    const member = this.cluster.member(node);
    if (!member.agent || (node !== via && this.cluster.partitioned)) return "GRAY";
    if (!this.loaded.has(node)) return "RED";
    if (this.recovery) return "YELLOW";
    return this.control(node)?.colour ?? "RED";
  }

  status(via: string): "Normal" | "Recovering" | "Abnormal" | "Uncertain" {
    const colours = this.cluster.names.map((node) => this.colour(node, via));
    if (this.recovery) return "Recovering";
    if (colours.includes("GRAY")) return "Uncertain";
    return colours.every((colour) => colour === "GREEN") ? "Normal" : "Abnormal";
  }

  /** Whether a group may be started on it here. */
  usable(node: string): boolean {
    const side = this.control(node);
    return side?.colour === "GREEN" && !side.backup && this.recovery?.to !== node;
  }

  // Commands.

  /** Stops mirroring to `node`. */
  break(node: string): boolean {
    if (
      !this.connected() ||
      this.recovery ||
      this.cluster.names.some((each) => this.control(each)?.colour !== "GREEN")
    )
      return false;
    const at = this.cluster.now();
    const good = this.cluster.peerOf(node).node.name;
    this.put(node, { control: { colour: "RED" } });
    this.put(good, { control: { alone: true, lastUpdate: at, breakTime: at } });
    this.cluster.heart.effect(`mirror ${this.name} broken, ${node} is RED`, {
      kind: "mirror-broken",
      mirror: this.name,
      node,
    });
    this.consider();
    return true;
  }

  /** Asks for a copy from the GREEN side to the RED one. */
  recover(): boolean {
    const direction = this.#direction();
    if (!direction || this.recovery) return false;
    this.startRecovery(direction.from, direction.to);
    return true;
  }

  /** Makes one side's content the one that counts (reference clusterpro 3.2, 11.10). */
  force(winner: string): boolean {
    const loser = this.cluster.peerOf(winner).node.name;
    if (
      !this.loaded.has(winner) ||
      this.recovery ||
      this.control(winner)?.backup ||
      this.cluster.usesMirror(loser, this.name)
    )
      return false;
    this.put(winner, {
      control: { colour: "GREEN", alone: true, fresh: false, breakTime: this.cluster.now() },
    });
    this.cluster.heart.effect(`mirror ${this.name}: ${winner} was forced to be the good side`, {
      kind: "mirror-forced",
      mirror: this.name,
      node: winner,
    });
    if (this.connected()) {
      this.put(loser, { control: { colour: "RED", fresh: false } });
      if (!this.control(loser)?.backup) this.startRecovery(winner, loser);
    }
    return true;
  }

  cancel(): boolean {
    return this.stopRecovery("canceled");
  }

  startRecovery(from: string, to: string): void {
    this.#pending?.cancel();
    this.#pending = undefined;
    const ms = this.cluster.copyMs(this.name);
    const timer = this.cluster.later(ms, () => this.#endRecovery());
    this.recovery = { from, to, startedAt: this.cluster.now(), ms, cancel: () => timer.cancel() };
    // Until the end the target is a mixture of old and new.
    this.put(to, { control: { colour: "RED" }, dirty: true });
    this.put(from, { control: { alone: true } });
    this.cluster.heart.effect(`recovery of mirror ${this.name} from ${from} to ${to} started`, {
      kind: "recovery-started",
      mirror: this.name,
      from,
      to,
    });
  }

  #endRecovery(): void {
    const { recovery } = this;
    if (!recovery) return;
    this.recovery = undefined;
    const source = this.content(recovery.from);
    if (!source) return;
    const at = this.cluster.now();
    const control = {
      colour: "GREEN",
      alone: false,
      fresh: false,
      wantsCopy: false,
      lastUpdate: at,
      breakTime: 0,
    } as const;
    this.put(recovery.to, { control, data: source.data, dirty: source.dirty });
    this.put(recovery.from, { control });
    this.cluster.heart.effect(`recovery of mirror ${this.name} to ${recovery.to} ended`, {
      kind: "recovery-ended",
      mirror: this.name,
      to: recovery.to,
      ok: true,
    });
  }

  stopRecovery(why: string): boolean {
    const { recovery } = this;
    if (!recovery) return false;
    recovery.cancel();
    this.recovery = undefined;
    this.cluster.heart.effect(`recovery of mirror ${this.name} to ${recovery.to} stopped: ${why}`, {
      kind: "recovery-ended",
      mirror: this.name,
      to: recovery.to,
      ok: false,
    });
    return true;
  }

  #direction(): { readonly from: string; readonly to: string } | undefined {
    if (!this.connected()) return undefined;
    const [one, two] = this.cluster.names;
    const [a, b] = [this.control(one), this.control(two)];
    if (!a || !b || a.backup || b.backup || a.colour === b.colour) return undefined;
    return a.colour === "GREEN" ? { from: one, to: two } : { from: two, to: one };
  }

  /** Automatic recovery: by the mirror's monitor on the good side, with the other side a member (rule 2). */
  consider(): void {
    if (this.#pending || this.recovery || !this.#wanted()) return;
    this.#pending = this.cluster.later(this.cluster.times.autoRecoveryMs, () => {
      this.#pending = undefined;
      if (this.recovery || !this.#wanted()) return;
      this.recover();
    });
  }

  #wanted(): boolean {
    const direction = this.#direction();
    if (!direction || !this.cluster.settings.autoRecovery || this.cluster.suspended) return false;
    if (!this.cluster.isOnline(direction.from) || !this.cluster.isOnline(direction.to)) return false;
    const monitor = this.cluster
      .confOf(this.cluster.member(direction.from))
      .monitors.find(({ type, object }) => type === "mdw" && object === this.name);
    return monitor !== undefined && !this.cluster.member(direction.from).suspended.has(monitor.name);
  }

  // Writes of clients, through the group that runs on `node`.

  write(node: string, change: (data: Content["data"]) => Content["data"], dirty?: boolean): void {
    const side = this.control(node);
    const old = this.content(node);
    if (!side || !old) return;
    const other = this.cluster.peerOf(node).node.name;
    const far = this.control(other);
    const at = this.cluster.now();
    const data = change(old.data);
    const both =
      this.connected() && side.colour === "GREEN" && far?.colour === "GREEN" && !far.backup && !this.recovery;
    const more = dirty === undefined ? {} : { dirty };
    this.put(node, {
      data,
      ...more,
      control: {
        lastUpdate: at,
        ...(both || side.alone ? {} : { alone: true, ...(side.breakTime === 0 && { breakTime: at }) }),
      },
    });
    // What the other side gets is what was written, not what this side holds: two that differ go on differing.
    if (both)
      this.put(other, {
        data: change(this.content(other)?.data ?? {}),
        ...more,
        control: { lastUpdate: at },
      });
  }

  /** A mount or an unmount changes the file system's log on both sides, as any write does. */
  setDirty(node: string, dirty: boolean): void {
    this.write(node, (data) => data, dirty);
  }
}

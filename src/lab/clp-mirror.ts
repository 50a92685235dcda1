/**
 * One mirrored disk: a side on each node, whose colour, flags and times lie on the cluster partition of its volume and
 * travel with it into snapshots (reference clusterpro 4, 8, 11). Writes go to both sides while both are GREEN.
 */
import { mirrorSettings, type MirrorSettings } from "./clp-conf.ts";
import {
  tellCanceled,
  tellEnd,
  tellFailure,
  tellLeftOut,
  tellStart,
  type CopyKind,
  type CopySubject,
} from "./clp-events.ts";
import { copyDifferences, withChanges, type SideControl } from "./clp-side.ts";
import type { Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { Content } from "./world.ts";

export { newControl, type SideControl } from "./clp-side.ts";

export interface Recovery {
  readonly from: string;
  readonly to: string;
  readonly kind: CopyKind;
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
        "mdagent",
        5,
        `Failed to load the resource(${this.name}). Check if the Cluster Partition or Data Partition is OK.`,
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
    // Two sides that were both told to be equal to what they were made from know what was written since.
    const needsFull = (a.fresh || b.fresh) && !(a.fresh && b.fresh && !a.wantsCopy && !b.wantsCopy);
    const stale = (node: string, good: string | undefined) => {
      const was = this.control(node)?.colour;
      this.put(node, { control: { colour: "RED", fresh: false, ...(needsFull && { needsFull }) } });
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
      // The flag is looked at now, whatever was said when the sides were initialised (reference clusterpro 3.8).
      const { fullCopy, device } = this.settings(this.cluster.member(one));
      for (const node of [one, two]) this.put(node, { control: { fresh: false, wantsCopy: false } });
      if (fullCopy) this.startRecovery(one, two, "initial");
      else tellLeftOut(this.cluster.member(one), device);
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

  /** Asks for a copy from the GREEN side to the RED one. `told`: who asked, and the node whose log says so. */
  recover(told: { readonly by: "mdctrl" | "mdw"; readonly on: string }): boolean {
    const direction = this.#direction();
    if (!direction || this.recovery) return false;
    const { from, to } = direction;
    const full = [from, to].some((node) => this.control(node)?.needsFull || this.control(node)?.fresh);
    this.cluster.member(told.on).log(told.by, 17, `Mirror recovery of ${this.name} has started.`);
    this.startRecovery(from, to, full ? "full" : "difference");
    return true;
  }

  /** Makes one side's content the one that counts (reference clusterpro 3.2, 11.10). */
  force(winner: string, via: string): boolean {
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
    this.cluster
      .member(via)
      .log("mdctrl", 36, `Forced recovery of the mirror ${this.name} completed successfully.`);
    // Away or not: what the loser has beyond the winner is not known.
    if (this.connected()) {
      this.put(loser, { control: { colour: "RED", fresh: false, needsFull: true } });
      if (!this.control(loser)?.backup) this.startRecovery(winner, loser, "full");
    } else this.put(winner, { control: { needsFull: true } });
    return true;
  }

  cancel(): boolean {
    return this.stopRecovery("canceled");
  }

  startRecovery(from: string, to: string, kind: CopyKind): void {
    this.#pending?.cancel();
    this.#pending = undefined;
    const ms = this.cluster.copyMs(this.name);
    const timer = this.cluster.later(ms, () => this.#endRecovery());
    this.recovery = { from, to, kind, startedAt: this.cluster.now(), ms, cancel: () => timer.cancel() };
    // Until the end the target is a mixture of old and new.
    this.put(to, {
      control: { colour: "RED", ...(kind !== "difference" && { needsFull: true }) },
      dirty: true,
    });
    this.put(from, { control: { alone: true } });
    tellStart(
      this.cluster.member(from),
      this.#subject(from, kind),
      this.cluster.sizeGiB(this.name) * 1024 ** 3,
    );
    this.cluster.heart.effect(`recovery of mirror ${this.name} from ${from} to ${to} started`, {
      kind: "recovery-started",
      mirror: this.name,
      from,
      to,
      copy: kind,
    });
  }

  #subject(node: string, kind: CopyKind): CopySubject {
    return { mirror: this.name, device: this.settings(this.cluster.member(node)).device, kind };
  }

  #endRecovery(): void {
    const { recovery } = this;
    if (!recovery) return;
    this.recovery = undefined;
    const source = this.content(recovery.from);
    if (!source) return;
    const data =
      recovery.kind === "difference"
        ? copyDifferences(
            this.control(recovery.from)?.changed ?? "",
            source.data,
            this.content(recovery.to)?.data ?? {},
          )
        : source.data;
    const at = this.cluster.now();
    const control = {
      colour: "GREEN",
      alone: false,
      fresh: false,
      wantsCopy: false,
      needsFull: false,
      changed: "",
      lastUpdate: at,
      breakTime: 0,
    } as const;
    this.put(recovery.to, { control, data, dirty: source.dirty });
    this.put(recovery.from, { control });
    tellEnd(this.cluster.member(recovery.from), this.#subject(recovery.from, recovery.kind));
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
    const { from, kind } = recovery;
    if (why === "canceled") tellCanceled(this.cluster.member(from), this.#subject(from, kind));
    else tellFailure(this.cluster.member(from), this.#subject(from, kind), why);
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
      const good = this.#direction()?.from;
      if (good !== undefined) this.recover({ by: "mdw", on: good });
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
        ...(!both && { changed: withChanges(side.changed, old.data, data) }),
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

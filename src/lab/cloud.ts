/**
 * The lab's cloud: instances with power, volumes with content, snapshots. It knows nothing of a protocol (`ec2.ts`
 * speaks one) and nothing of what runs in a guest (`node.ts` is told about power, and tells when it went off).
 *
 * The rules are those of reference aws-ebs 2 to 4. Every change of the world is booked with the heart; whoever wants
 * to judge what happened reads the effects, never the replies.
 */
import { addInstance, addVolume, attachAtOnce, type InstanceSpec, type VolumeSpec } from "./cloud-add.ts";
import { FastRestores } from "./cloud-fast-restore.ts";
import { Images } from "./cloud-images.ts";
import { Locks } from "./cloud-locks.ts";
import {
  defaultSettings,
  getInstance,
  getSnapshot,
  getVolume,
  volumesOf,
  type CloudSettings,
  type CloudState,
  type InstanceRecord,
  type InstanceState,
  type SnapshotRecord,
  type Tags,
  type VolumeRecord,
} from "./cloud-model.ts";
import {
  checkCanStart,
  checkCanStop,
  guestOff,
  retire,
  start,
  stop,
  terminate,
  type StopOptions,
} from "./cloud-power.ts";
import {
  addSnapshot,
  checkCut,
  checkSet,
  createSnapshot,
  createSnapshots,
  deleteSnapshot,
  failSnapshot,
  type SnapshotSetOptions,
  type SnapshotSpec,
} from "./cloud-snapshots.ts";
import { checkTags, deleteTags, getTagged, setTags } from "./cloud-tags.ts";
import {
  attachVolume,
  checkCanAttach,
  checkCanDelete,
  checkCanDetach,
  checkNewVolume,
  createVolume,
  deleteVolume,
  detachVolume,
  readingTime,
  setDeleteOnTermination,
  volumeAt,
  type NewVolume,
} from "./cloud-volumes.ts";
import type { Policy } from "./iam.ts";
import type { Content, CutTruth, Hardware, Heart, PowerListener } from "./world.ts";

export { CloudError, labAccessKey } from "./cloud-model.ts";
export type { CloudSettings, InstanceRecord, SnapshotRecord, VolumeRecord } from "./cloud-model.ts";

export interface CloudOptions extends Partial<CloudSettings> {
  /** Operations that the caller may not use, as "CreateSnapshots". Can be changed later: `cloud.denied`. */
  readonly denied?: readonly string[];
}

export class Cloud implements Hardware {
  readonly heart: Heart;
  readonly settings: CloudSettings;
  /** Operations that are refused with UnauthorizedOperation. */
  readonly denied: Set<string>;
  /** What the caller may do; everything without. */
  policy: Policy | undefined;
  /** Keys that cannot be used: a volume with one fails after the call that made it. */
  readonly badKeys = new Set<string>();
  readonly fastRestores: FastRestores;
  readonly #writes = new Map<string, number>();
  readonly locks: Locks;
  readonly images: Images;
  readonly #state: CloudState;
  #requests = 0;

  constructor(heart: Heart, options: CloudOptions = {}) {
    const { denied = [], ...settings } = options;
    this.heart = heart;
    this.settings = { ...defaultSettings, ...settings };
    this.denied = new Set(denied);
    this.#state = {
      heart,
      settings: this.settings,
      instances: new Map(),
      volumes: new Map(),
      snapshots: new Map(),
      images: new Map(),
      tokens: new Map(),
      fastRestores: new Map(),
      badKeys: this.badKeys,
      listeners: [],
      describeCut: undefined,
      isOpen: undefined,
    };
    this.fastRestores = new FastRestores(this.#state);
    this.locks = new Locks(this.#state);
    this.images = new Images(this.#state);
  }

  // Building the world, before anything is booked.

  /** A new instance; answers with its id. */
  addInstance(spec: InstanceSpec): string {
    return addInstance(this.#state, spec);
  }

  /** A new volume, attached to nothing; answers with its id. */
  addVolume(spec: VolumeSpec): string {
    return addVolume(this.#state, spec);
  }

  /** A snapshot of before; answers with its id. */
  addSnapshot(spec: SnapshotSpec): string {
    return addSnapshot(this.#state, spec).id;
  }

  /** Attaches at build time: at once, whatever the state. True for the root only, unless said (reference aws-ebs 7). */
  attach(instance: string, volume: string, device: string, deleteOnTermination?: boolean): void {
    attachAtOnce(
      this.#state,
      this.getInstance(instance),
      this.getVolume(volume),
      device,
      deleteOnTermination,
    );
  }

  // What the nodes part asks (`Hardware`).

  listen(listener: PowerListener): void {
    this.#state.listeners.push(listener);
  }

  hasPower(instance: string): boolean {
    return this.getInstance(instance).power;
  }

  guestOff(instance: string): void {
    guestOff(this.#state, this.getInstance(instance));
  }

  guestRebooted(instance: string): void {
    // The API shows nothing of a reboot; asking for the instance only proves that the caller named one that exists.
    this.getInstance(instance);
  }

  attached(instance: string): readonly {
    readonly device: string;
    readonly volume: string;
    readonly sizeGiB: number;
    readonly nvme: boolean;
  }[] {
    const machine = this.getInstance(instance);
    return volumesOf(this.#state, machine)
      .filter((volume) => volume.attachment.now?.state !== "attaching")
      .map((volume) => ({
        device: volume.attachment.now?.device ?? "",
        volume: volume.id,
        sizeGiB: volume.sizeGiB,
        nvme: machine.nvme,
      }));
  }

  content(volume: string): Content {
    return this.getVolume(volume).content;
  }

  readingTime(volume: string): number {
    return readingTime(this.#state, this.getVolume(volume));
  }

  write(volume: string, content: Content): void {
    const disk = this.getVolume(volume);
    const held = disk.attachment.now;
    if (held === undefined || !this.hasPower(held.instance))
      throw new Error(`${volume} was written to while it was attached to nothing with power`);
    disk.content = content;
    this.#writes.set(volume, this.writes(volume) + 1);
  }

  writes(volume: string): number {
    return this.#writes.get(volume) ?? 0;
  }

  describeCut(truth: (volume: string) => CutTruth): void {
    this.#state.describeCut = truth;
  }

  /** Asked while a volume is being detached from a guest with power; without, no guest holds anything open. */
  describeOpen(isOpen: (volume: string) => boolean): void {
    this.#state.isOpen = isOpen;
  }

  // What callers of the API ask.

  /** The state before and after; a running one stays as it is. */
  start(instance: string): { readonly before: InstanceState; readonly after: InstanceState } {
    return start(this.#state, this.getInstance(instance));
  }

  /** Asks the guest to shut down and cuts power when it does not; a stopped one stays as it is. */
  stop(
    instance: string,
    options?: StopOptions,
  ): { readonly before: InstanceState; readonly after: InstanceState } {
    return stop(this.#state, this.getInstance(instance), options);
  }

  terminate(instance: string): void {
    terminate(this.#state, this.getInstance(instance));
  }

  createSnapshot(volume: string, description: string, tags: Tags): SnapshotRecord {
    return createSnapshot(this.#state, this.getVolume(volume), description, tags);
  }

  createSnapshots(instance: string, options: SnapshotSetOptions): readonly SnapshotRecord[] {
    return createSnapshots(this.#state, this.getInstance(instance), options);
  }

  deleteSnapshot(snapshot: string): void {
    this.checkCanDeleteSnapshot(snapshot);
    deleteSnapshot(this.#state, this.getSnapshot(snapshot));
    this.fastRestores.forget(snapshot);
  }

  setTags(resources: readonly string[], tags: Tags): void {
    setTags(this.#state, resources, tags);
  }

  /** A value of undefined deletes whatever the value is. */
  deleteTags(
    resources: readonly string[],
    tags: { readonly [key: string]: string | undefined } | undefined,
  ): void {
    deleteTags(this.#state, resources, tags);
  }

  createVolume(spec: NewVolume): VolumeRecord {
    return createVolume(this.#state, this.fastRestores, spec);
  }

  attachVolume(volume: string, instance: string, device: string): void {
    attachVolume(this.#state, this.getVolume(volume), this.getInstance(instance), device);
  }

  detachVolume(volume: string, instance?: string): void {
    detachVolume(this.#state, this.getVolume(volume), instance);
  }

  deleteVolume(volume: string): void {
    deleteVolume(this.#state, this.getVolume(volume));
  }

  setDeleteOnTermination(instance: string, device: string, on: boolean): void {
    setDeleteOnTermination(this.#state, this.getInstance(instance), device, on);
  }

  // What would be refused, without doing it: dry runs end after these. Each throws CloudError.

  checkCanStart(instance: string): void {
    checkCanStart(this.#state, this.getInstance(instance));
  }

  checkCanStop(instance: string): void {
    checkCanStop(this.getInstance(instance));
  }

  checkSnapshot(volume: string, tags: Tags): void {
    checkCut(this.#state, this.getVolume(volume));
    checkTags({}, tags);
  }

  checkSnapshots(instance: string, options: SnapshotSetOptions): void {
    checkSet(this.#state, this.getInstance(instance), options);
  }

  checkTags(resources: readonly string[], tags: Tags): void {
    for (const id of resources) checkTags(getTagged(this.#state, id).tags, tags);
  }

  checkNewVolume(spec: NewVolume): void {
    checkNewVolume(this.#state, spec);
  }

  checkCanAttach(volume: string, instance: string, device: string): void {
    checkCanAttach(this.#state, this.getVolume(volume), this.getInstance(instance), device);
  }

  checkCanDetach(volume: string, instance?: string): void {
    checkCanDetach(this.#state, this.getVolume(volume), instance);
  }

  checkCanDelete(volume: string): void {
    checkCanDelete(this.getVolume(volume));
  }

  checkCanDeleteSnapshot(snapshot: string): void {
    this.locks.checkUnlocked(this.getSnapshot(snapshot));
    this.fastRestores.checkOff(snapshot);
    this.images.checkUnused(snapshot);
  }

  checkDevice(instance: string, device: string): void {
    volumeAt(this.#state, this.getInstance(instance), device);
  }

  // The hands of a tester.

  /** A pending snapshot ends in `error`, with all that were cut with it. */
  failSnapshot(snapshot: string, reason?: string): void {
    failSnapshot(this.#state, this.getSnapshot(snapshot), reason);
  }

  /** The host under it is taken away: power is lost at once, and nobody asked for it. */
  retire(instance: string): void {
    retire(this.#state, this.getInstance(instance));
  }

  // The true records, as they are now, for tests, invariants and `runbook lab`. Unknown ids throw CloudError.

  getInstance(id: string): InstanceRecord {
    return getInstance(this.#state, id);
  }

  getVolume(id: string): VolumeRecord {
    return getVolume(this.#state, id);
  }

  getSnapshot(id: string): SnapshotRecord {
    return getSnapshot(this.#state, id);
  }

  listInstances(): readonly InstanceRecord[] {
    return [...this.#state.instances.values()];
  }

  listVolumes(): readonly VolumeRecord[] {
    return [...this.#state.volumes.values()].filter((volume) => volume.state !== "deleted");
  }

  listSnapshots(): readonly SnapshotRecord[] {
    return [...this.#state.snapshots.values()].filter((snapshot) => !snapshot.deleted);
  }

  /** Progress of a snapshot, 0 to 100. */
  progress(snapshot: SnapshotRecord): number {
    if (snapshot.state === "completed") return 100;
    const share =
      (this.heart.clock.now() - snapshot.startedAt) / (snapshot.completesAt - snapshot.startedAt || 1);
    return Math.max(0, Math.min(99, Math.floor(share * 100)));
  }

  /** Ids of requests, the same in every play of the same world. */
  newRequestId(): string {
    this.#requests += 1;
    return `00000000-0000-4000-8000-${this.#requests.toString(16).padStart(12, "0")}`;
  }
}

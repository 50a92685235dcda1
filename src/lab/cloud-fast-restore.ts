/**
 * Fast snapshot restore, by the rules of reference aws-ebs 5: a state for each snapshot and zone, a bucket of credits that
 * starts empty, and a price by the minute. Where that page is silent (how long `enabling` takes, what a refusal is called,
 * when the bucket begins to fill) the lab takes what is worse for the caller, and the texts are invented.
 */
import {
  CloudError,
  Dated,
  getSnapshot,
  type CloudState,
  type FastRestoreRecord,
  type FastRestoreState,
  type SnapshotRecord,
} from "./cloud-model.ts";

/** One pair that was refused inside of a reply that is a success by its status. */
export interface FastRestoreRefusal {
  readonly snapshot: string;
  readonly zone: string;
  readonly code: string;
  readonly message: string;
}

export interface FastRestoreOutcome {
  readonly done: readonly FastRestoreRecord[];
  readonly refused: readonly FastRestoreRefusal[];
}

/** For how long a pair was on, whatever became of it: what the bill will be made from. */
export interface FastRestoreUse {
  readonly snapshot: string;
  readonly zone: string;
  readonly from: number;
  /** Undefined while it is on. */
  readonly until: number | undefined;
  /** By the minute, an hour at least. */
  readonly billedMinutes: number;
}

// The two texts that the SDK names for `StateTransitionReason`.
const asked = "Client.UserInitiated";
const went = "Client.UserInitiated - Lifecycle state transition";

export class FastRestores {
  readonly #state: CloudState;
  /** Uses that are over, and those that go on, by their begin. */
  readonly #uses: { readonly record: FastRestoreRecord; readonly from: number; until: number | undefined }[] =
    [];
  #failNext: string | undefined;

  constructor(state: CloudState) {
    this.#state = state;
  }

  /** All that ever were on and whose snapshot is still there; those switched off again are `disabled`. */
  list(): readonly FastRestoreRecord[] {
    return [...this.#state.fastRestores.values()];
  }

  /** What costs money now. */
  on(): readonly FastRestoreRecord[] {
    return this.list().filter(({ state }) => state.now !== "disabled");
  }

  uses(): readonly FastRestoreUse[] {
    const now = this.#state.heart.clock.now();
    return this.#uses.map(({ record: { snapshot, zone }, from, until }) => ({
      snapshot,
      zone,
      from,
      until,
      billedMinutes: Math.max(60, Math.ceil(((until ?? now) - from) / 60_000)),
    }));
  }

  /** The hand of a tester: the next pair that is switched on turns to `disabling` (as without capacity). */
  failNext(reason = "Server.InsufficientCapacity - fast snapshot restore could not be enabled"): void {
    this.#failNext = reason;
  }

  enable(snapshot: SnapshotRecord, zones: readonly string[]): FastRestoreOutcome {
    return this.#each(zones, (zone) => {
      const known = this.#find(snapshot.id, zone);
      if (known?.state.now === "disabling")
        return refusal(snapshot, zone, "IncorrectState", "Fast snapshot restore is being disabled");
      // A second call restarts nothing (reference aws-ebs 2).
      if (known !== undefined && known.state.now !== "disabled") return known;
      if (snapshot.state === "error" || snapshot.tier === "archive" || snapshot.sizeGiB > 16 * 1024)
        return refusal(snapshot, zone, "InvalidSnapshot", "The snapshot cannot be enabled for fast restores");
      if (this.on().length >= this.#state.settings.fastRestoreLimit)
        return refusal(
          snapshot,
          zone,
          "FastSnapshotRestoreLimitExceeded",
          "The limit of fast snapshot restores is reached",
        );
      return this.#begin(snapshot, zone);
    });
  }

  disable(snapshot: SnapshotRecord, zones: readonly string[]): FastRestoreOutcome {
    return this.#each(zones, (zone) => {
      const record = this.#find(snapshot.id, zone);
      if (record === undefined)
        return refusal(snapshot, zone, "InvalidParameterValue", "Fast snapshot restore was not enabled");
      if (record.state.now !== "disabling" && record.state.now !== "disabled") this.#end(record, asked);
      return record;
    });
  }

  /** One credit for a volume of this snapshot, if there is a whole one; without, it is made the slow way, and no error. */
  takeCredit(snapshot: string, zone: string): boolean {
    const record = this.#find(snapshot, zone);
    if (record?.state.now !== "enabled") return false;
    const credits = this.credits(record);
    record.creditedAt = this.#state.heart.clock.now();
    record.credits = credits >= 1 ? credits - 1 : credits;
    return credits >= 1;
  }

  /** What CloudWatch would show as FastSnapshotRestoreCreditsBalance. */
  credits(record: FastRestoreRecord): number {
    if (record.state.now !== "enabled") return 0;
    const perHour = Math.min(10, 1024 / record.sizeGiB);
    const room = Math.max(1, perHour);
    const hours = (this.#state.heart.clock.now() - record.creditedAt) / 3_600_000;
    return Math.min(room, record.credits + hours * perHour);
  }

  /** Throws what DeleteSnapshot answers while a zone is on; the guide says otherwise, users met this (reference aws-ebs 5). */
  checkOff(snapshot: string): void {
    const zones = this.on()
      .filter((record) => record.snapshot === snapshot)
      .map(({ zone }) => zone);
    if (zones.length > 0)
      throw new CloudError(
        "InvalidSnapshot.InUse",
        `The snapshot ${snapshot} is currently enabled for fast restores in ${zones.join(", ")}. Fast snapshot restores must be disabled within all Availability Zones before the snapshot may be deleted.`,
      );
  }

  /** A snapshot that is gone has no pairs any more. */
  forget(snapshot: string): void {
    for (const [key, record] of this.#state.fastRestores)
      if (record.snapshot === snapshot) this.#state.fastRestores.delete(key);
  }

  #find(snapshot: string, zone: string): FastRestoreRecord | undefined {
    return this.#state.fastRestores.get(`${snapshot} ${zone}`);
  }

  #each(
    zones: readonly string[],
    act: (zone: string) => FastRestoreRecord | FastRestoreRefusal,
  ): FastRestoreOutcome {
    const all = [...new Set(zones)].map(act);
    return {
      done: all.filter((each): each is FastRestoreRecord => "credits" in each),
      refused: all.filter((each): each is FastRestoreRefusal => "code" in each),
    };
  }

  #begin(snapshot: SnapshotRecord, zone: string): FastRestoreRecord {
    const { heart, settings } = this.#state;
    const now = heart.clock.now();
    const record: FastRestoreRecord = {
      snapshot: snapshot.id,
      zone,
      sizeGiB: snapshot.sizeGiB,
      state: new Dated<FastRestoreState>("disabled", now - 1),
      reason: asked,
      times: {},
      credits: 0,
      creditedAt: now,
      timer: undefined,
    };
    this.#state.fastRestores.set(`${snapshot.id} ${zone}`, record);
    this.#uses.push({ record, from: now, until: undefined });
    this.#move(record, "enabling", asked);
    const failure = this.#failNext;
    this.#failNext = undefined;
    this.#later(record, settings.fastRestoreEnablingSeconds * 1000, () =>
      failure === undefined ? this.#optimize(record) : this.#end(record, failure),
    );
    return record;
  }

  /** It is accepted while the snapshot is pending (reference aws-ebs 5), and goes on when that is completed. */
  #optimize(record: FastRestoreRecord): void {
    const { heart } = this.#state;
    const source = getSnapshot(this.#state, record.snapshot);
    if (source.state === "error") {
      this.#end(record, "Server.InternalError - the snapshot failed");
      return;
    }
    if (source.state === "pending") {
      const left = Math.max(1000, source.completesAt - heart.clock.now());
      this.#later(record, left, () => this.#optimize(record));
      return;
    }
    this.#move(record, "optimizing", went);
    // 60 minutes a TiB (ibid.), and a minute at least, as AWS's own sample of a small one shows.
    this.#later(record, Math.max(1, (record.sizeGiB / 1024) * 60) * 60_000, () => {
      this.#move(record, "enabled", went);
      record.creditedAt = heart.clock.now();
    });
  }

  #end(record: FastRestoreRecord, reason: string): void {
    this.#move(record, "disabling", reason);
    this.#later(record, this.#state.settings.fastRestoreDisablingSeconds * 1000, () => {
      // The reason of a failure stays to be read; that of an ordinary end is the SDK's word for one.
      this.#move(record, "disabled", reason === asked ? went : reason);
      const use = this.#uses.find((each) => each.record === record);
      if (use !== undefined) use.until = this.#state.heart.clock.now();
    });
  }

  #move(record: FastRestoreRecord, to: FastRestoreState, reason: string): void {
    const { heart } = this.#state;
    record.state.set(to, heart.clock.now());
    record.times[to] = heart.clock.now();
    record.reason = reason;
    heart.effect(`fast restore of ${record.snapshot} in ${record.zone} ${to}`, {
      kind: "fast-restore",
      snapshot: record.snapshot,
      zone: record.zone,
      state: to,
      reason,
    });
  }

  #later(record: FastRestoreRecord, ms: number, act: () => void): void {
    record.timer?.cancel();
    record.timer = this.#state.heart.after(ms, act);
  }
}

function refusal(snapshot: SnapshotRecord, zone: string, code: string, message: string): FastRestoreRefusal {
  return { snapshot: snapshot.id, zone, code, message };
}

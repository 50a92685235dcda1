/**
 * Locks of snapshots (reference aws-ebs 2, LockSnapshot): governance can be taken back, compliance cannot once its
 * cool-off is over. Which codes the refusals have is in no source: they are invented.
 */
import { CloudError, type CloudState, type LockRecord, type SnapshotRecord } from "./cloud-model.ts";

export type LockState = "governance" | "compliance-cooloff" | "compliance" | "expired";

export interface LockAsked {
  readonly mode: "governance" | "compliance";
  readonly days?: number | undefined;
  readonly endsAt?: number | undefined;
  readonly coolOffHours?: number | undefined;
}

export interface LockShown {
  readonly state: LockState;
  readonly lock: LockRecord;
  /** Undefined while the snapshot is pending: its days count from `completed`. */
  readonly startsAt: number | undefined;
  readonly endsAt: number | undefined;
  readonly coolOffUntil: number | undefined;
}

const hour = 3_600_000;

export class Locks {
  readonly #state: CloudState;

  constructor(state: CloudState) {
    this.#state = state;
  }

  /** Nothing if it was never locked, or was unlocked. */
  of(snapshot: SnapshotRecord): LockShown | undefined {
    const { lock } = snapshot;
    if (lock === undefined) return undefined;
    const now = this.#state.heart.clock.now();
    const startsAt =
      snapshot.state === "pending" ? undefined : Math.max(lock.at, snapshot.completedAt ?? lock.at);
    const endsAt =
      lock.endsAt ??
      (startsAt === undefined || lock.days === undefined ? undefined : startsAt + lock.days * 24 * hour);
    const coolOffUntil = lock.coolOffHours === undefined ? undefined : lock.at + lock.coolOffHours * hour;
    const held = lock.mode === "compliance" && now < (coolOffUntil ?? 0) ? "compliance-cooloff" : lock.mode;
    return {
      state: endsAt !== undefined && endsAt <= now ? "expired" : held,
      lock,
      startsAt,
      endsAt,
      coolOffUntil,
    };
  }

  /** Locks, or changes the lock; a second call sets it anew. */
  lock(snapshot: SnapshotRecord, asked: LockAsked): void {
    this.checkCanLock(snapshot, asked);
    snapshot.lock = {
      mode: asked.mode,
      at: this.#state.heart.clock.now(),
      days: asked.days,
      endsAt: asked.endsAt,
      coolOffHours: asked.coolOffHours,
    };
    this.#book(snapshot, "locked");
  }

  checkCanLock(snapshot: SnapshotRecord, { mode, days, endsAt, coolOffHours }: LockAsked): void {
    if ((days === undefined) === (endsAt === undefined))
      throw new CloudError(
        "InvalidParameterCombination",
        "Specify either LockDuration or ExpirationDate, but not both",
      );
    if (days !== undefined && (days < 1 || days > 36_500))
      throw new CloudError("InvalidParameterValue", "LockDuration must be between 1 and 36500");
    if (endsAt !== undefined && endsAt <= this.#state.heart.clock.now())
      throw new CloudError("InvalidParameterValue", "ExpirationDate must be in the future");
    if (coolOffHours !== undefined && mode === "governance")
      throw new CloudError("InvalidParameterCombination", "CoolOffPeriod is for compliance mode only");
    if (coolOffHours !== undefined && (coolOffHours < 1 || coolOffHours > 72))
      throw new CloudError("InvalidParameterValue", "CoolOffPeriod must be between 1 and 72");
    if (snapshot.state === "error")
      throw new CloudError("IncorrectState", "Snapshot is in invalid state - error");
    const held = this.of(snapshot);
    if (held?.state !== "compliance") return;
    const until = endsAt ?? this.#state.heart.clock.now() + (days ?? 0) * 24 * hour;
    if (mode !== "compliance" || coolOffHours !== undefined || until < (held.endsAt ?? Infinity))
      throw notPermitted(
        `Snapshot ${snapshot.id} is locked in compliance mode: its lock can only be extended`,
      );
  }

  unlock(snapshot: SnapshotRecord): void {
    this.checkCanUnlock(snapshot);
    snapshot.lock = undefined;
    this.#book(snapshot, "unlocked");
  }

  checkCanUnlock(snapshot: SnapshotRecord): void {
    const held = this.of(snapshot);
    if (held === undefined)
      throw new CloudError("InvalidParameterValue", `Snapshot ${snapshot.id} is not locked`);
    if (held.state === "compliance")
      throw notPermitted(`Snapshot ${snapshot.id} is locked in compliance mode`);
  }

  /** Throws what DeleteSnapshot answers while it is locked. */
  checkUnlocked(snapshot: SnapshotRecord): void {
    const held = this.of(snapshot);
    if (held !== undefined && held.state !== "expired")
      throw notPermitted(`Snapshot ${snapshot.id} is locked`);
  }

  #book(snapshot: SnapshotRecord, what: "locked" | "unlocked"): void {
    this.#state.heart.effect(`snapshot ${snapshot.id} ${what}`, {
      kind: `snapshot-${what}`,
      snapshot: snapshot.id,
      mode: snapshot.lock?.mode ?? null,
    });
  }
}

function notPermitted(message: string): CloudError {
  return new CloudError("OperationNotPermitted", message);
}

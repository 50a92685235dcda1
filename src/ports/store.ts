import type { Json } from "./driver.ts";

/** One row of a run's journal. `n` counts from 1 through all segments. */
export interface Row {
  readonly n: number;
  /** Milliseconds since the epoch, by the runner's clock. */
  readonly at: number;
  readonly kind: string;
  readonly body: { readonly [key: string]: Json };
}

/** What was last seen of something that lives elsewhere: the recovery points of a cluster, whose truth is in the cloud. */
export interface View {
  /** Milliseconds since the epoch, by the clock of whoever looked. */
  readonly seenAt: number;
  readonly seen: Json;
}

/** A journal open for writing, held by one runner. */
export interface JournalWriter {
  readonly run: string;
  /** Number of the segment it writes: the fence. A later segment voids whatever it would still write. */
  readonly fence: number;
  /** All valid rows, those of earlier segments and those appended here. */
  rows(): readonly Row[];
  /**
   * Appends one row and syncs it to disk before it resolves; rows appended while a sync is under way share the
   * next one. Rejects with Failure `conflict` once a newer segment exists, `unavailable` when the row cannot be written.
   */
  append(kind: string, body: { readonly [key: string]: Json }, at: number): Promise<Row>;
  /** Throws Failure `conflict` if a newer segment exists: asked before every write effect. */
  assertHeld(): void;
  /** Gives back the room kept for the way back, when the disk is full. */
  releaseReserve(): void;
  close(): Promise<void>;
}

export interface RunSummary {
  readonly run: string;
  readonly startedAt: number;
  readonly rows: number;
}

export interface Holder {
  readonly run: string;
  /** "user@machine pid N". */
  readonly owner: string;
  readonly since: number;
  readonly expiresAt: number;
}

/** Somebody wants nothing new to begin on `what`: a cluster, or a cloud. */
export interface Hold {
  readonly what: string;
  readonly by: string;
  readonly why: string;
  readonly at: number;
}

/**
 * Where runs live. Small on purpose, so that PostgreSQL can stand behind it.
 * Failures: `invalid` for a journal that was altered (naming segment and row), `not-found`, `conflict` for a lease
 * or a run that another live runner holds, `unavailable` when the disk refuses.
 */
export interface Store {
  /** A new run with its first row. The id is short, unique in the store, and safe in a path and a tag. */
  create(
    first: { readonly kind: string; readonly body: { readonly [key: string]: Json } },
    at: number,
    run: string,
  ): Promise<JournalWriter>;
  /** A fresh id. */
  newRunId(): string;
  /** Takes a run over: a new segment, its number the next fence. `conflict` while its holder is alive. */
  takeOver(run: string, at: number): Promise<JournalWriter>;
  /** Rows of a run, valid ones only; a torn last row is left out and named in `torn`. */
  read(run: string): Promise<{
    readonly rows: readonly Row[];
    readonly torn: string | undefined;
    readonly held: Holder | undefined;
  }>;
  list(): Promise<readonly RunSummary[]>;
  /** The lease on a cluster. One holder at a time; renewed by the same run; `conflict` names the holder. */
  takeLease(cluster: string, holder: Holder, at: number): Promise<void>;
  renewLease(cluster: string, holder: Holder): Promise<void>;
  releaseLease(cluster: string, run: string): Promise<void>;
  findLease(cluster: string): Promise<Holder | undefined>;
  /** The recovery points of a cluster as they were last seen; undefined if never, or if what is there cannot be read. */
  findPoints(cluster: string): Promise<View | undefined>;
  /** Puts this in the place of what was seen before. */
  keepPoints(cluster: string, view: View): Promise<void>;
  /** A message for the run's holder (a verb from a second terminal); read and taken away by the holder. */
  send(run: string, message: { readonly [key: string]: Json }): Promise<void>;
  receive(run: string): Promise<readonly { readonly [key: string]: Json }[]>;
  /** Calls back, perhaps more than once, soon after a message has come; the answer ends it. The callback must not throw. */
  listen(run: string, heard: () => void): () => void;
  /** Nothing new begins on what is held. Failure `conflict` naming whoever holds it already. */
  placeHold(hold: Hold): Promise<void>;
  /** By whom, why and when it is ended. Failure `not-found` if it is not held. */
  endHold(end: Hold): Promise<void>;
  findHolds(): Promise<readonly Hold[]>;
  /** Free bytes where the store writes; undefined if that cannot be told. */
  freeBytes(): Promise<number | undefined>;
}

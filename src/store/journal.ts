/**
 * The journal of one run: a folder of segments, and the one writer that appends to the newest.
 *
 * - Who writes segment 2 is said by the file 0002.holder, which is placed before the segment is. Its number is the
 *   fence: of two takers one gets the name. 0002.closed says that this writer is done and nobody holds the run.
 * - A row is acknowledged after its sync, and only if no later holder exists then. Whoever takes over places its
 *   holder file first and reads the segments afterwards, so every acknowledged row is in its chain.
 * - Rows handed over while a sync is under way share the next write and the next sync.
 * - After a write or a sync failed, nobody knows what of it is on the disk. The writer never touches that segment
 *   again: its next row goes into a new segment that names the last acknowledged row, which makes the failed ones
 *   void whatever the disk kept of them. It needs no repair of a torn line, and no second way to read.
 * - `fence` stays the number with which a writer began, also after such a change of segment, because the markers
 *   on the nodes carry it. A later holder always gets a greater number.
 */
import { existsSync, fdatasync, writeFileSync, writeSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure, invariant } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import type { JournalWriter, Row } from "../ports/store.ts";
import { ownerOf, type Machine } from "./machine.ts";
import {
  checkFolder,
  diskFailure,
  draft,
  draftName,
  errorCode,
  makeFolder,
  namesIn,
  readOwn,
  syncFolder,
} from "./private-files.ts";
import {
  assertHolds,
  formatRow,
  joinSegments,
  parseSegment,
  segmentName,
  segmentNumber,
  type StoredRow,
} from "./rows.ts";
import {
  closeAnyway,
  closedText,
  draftHolder,
  dropReserve,
  fileName,
  holderText,
  parseClosed,
  parseHolder,
  renewReserve,
  writeAll,
  writeReserve,
  writeSegment,
  type SegmentHolder,
} from "./run-files.ts";

type Body = { readonly [key: string]: Json };

/** How rows reach the disk; tests count its calls and make it fail. */
export interface Disk {
  write(fd: number, bytes: Uint8Array): number;
  sync(fd: number, done: (error: Error | null) => void): void;
}

export const realDisk: Disk = { write: (fd, bytes) => writeSync(fd, bytes), sync: fdatasync };

export interface Place {
  /** Where runs live: FOLDER/runs. */
  readonly runs: string;
  readonly machine: Machine;
  readonly disk: Disk;
  readonly reserveBytes: number;
}

export interface RunFiles {
  readonly rows: readonly StoredRow[];
  readonly torn: string | undefined;
  /** The greatest number that any holder took. */
  readonly newest: number;
  /** Who took it, and since when; undefined if that was closed, or cannot be told. */
  readonly holder: SegmentHolder | undefined;
  readonly closed: boolean;
}

/** Everything that a run's folder says. */
export async function readRun(place: Place, run: string): Promise<RunFiles> {
  const folder = join(place.runs, run);
  const { uid } = place.machine;
  const names = checkFolder(folder, uid) ? namesIn(folder) : [];
  const numbers = names.flatMap((name) => segmentNumber(name) ?? []).sort((a, b) => a - b);
  if (numbers.length === 0)
    throw new Failure("not-found", `there is no run ${run}`, { hint: "`runbook runs` lists the runs" });
  const segments = [];
  for (const number of numbers) {
    const bytes = readOwn(join(folder, segmentName(number)), uid);
    segments.push(parseSegment(number, bytes ?? Buffer.alloc(0)));
  }
  const newest = Math.max(
    ...numbers,
    ...names.map((name) => Number(/^(\d{4,})\.holder$/.exec(name)?.[1] ?? 0)),
  );
  const closed = names.includes(fileName(newest, "closed"));
  const holder = closed ? undefined : parseHolder(readOwn(join(folder, fileName(newest, "holder")), uid));
  const chain = joinSegments(run, segments);
  if (closed) {
    const name = fileName(newest, "closed");
    assertHolds(run, chain.rows, name, parseClosed(readOwn(join(folder, name), uid)));
  }
  return { ...chain, newest, closed, holder };
}

/** Makes the folder of a new run under a draft's name, so that a run exists whole or not at all. */
export async function createRun(
  place: Place,
  run: string,
  first: { readonly kind: string; readonly body: Body },
  at: number,
): Promise<JournalWriter> {
  const folder = join(place.runs, run);
  const fresh = join(place.runs, draftName());
  makeFolder(place.runs);
  let made = fresh;
  let fd: number | undefined;
  try {
    await mkdir(fresh, { mode: 0o700 });
    await mkdir(join(fresh, "inbox"), { mode: 0o700 });
    await writeReserve(fresh, place.reserveBytes);
    writeFileSync(join(fresh, fileName(1, "holder")), ours(place, at), { mode: 0o600, flush: true });
    const { line, row } = makeRow(undefined, first.kind, first.body, at);
    fd = await writeSegment(place.disk, join(fresh, segmentName(1)), line);
    await syncFolder(fresh);
    await rename(fresh, folder);
    made = folder;
    await syncFolder(place.runs);
    return new Journal(place, run, 1, fd, [row]);
  } catch (thrown) {
    if (fd !== undefined) closeAnyway(fd);
    // Nobody was told of it. Where the disk refuses that too, it stays: as a draft, or as a run that did nothing.
    await Promise.allSettled([rm(made, { recursive: true, force: true })]);
    const code = errorCode(thrown);
    if (code === "ENOTEMPTY" || code === "EEXIST")
      throw new Failure("conflict", `there is a run ${run} already`, {
        hint: "let the store choose a new id",
      });
    throw diskFailure(thrown, `writing the first row of run ${run}`);
  }
}

/** Takes a run over whose holder was found to be gone. `conflict` if somebody else was faster. */
export async function continueRun(
  place: Place,
  run: string,
  seen: RunFiles,
  at: number,
): Promise<JournalWriter> {
  const folder = join(place.runs, run);
  const number = seen.newest + 1;
  lastOf(run, seen.rows);
  let fd: number | undefined;
  try {
    const holder = await draftHolder(folder, ours(place, at));
    if (!holder.place(fileName(number, "holder"))) throw overtaken(run, seen.newest);
    const { rows } = await readRun(place, run);
    const first = firstRow(place, lastOf(run, rows), at, undefined);
    fd = await writeSegment(place.disk, join(folder, segmentName(number)), first.line);
    await syncFolder(folder);
    await renewReserve(folder, place.reserveBytes);
    return new Journal(place, run, number, fd, [...rows, first.row]);
  } catch (thrown) {
    if (fd !== undefined) closeAnyway(fd);
    throw diskFailure(thrown, `taking run ${run} over`);
  }
}

class Journal implements JournalWriter {
  readonly run: string;
  readonly fence: number;
  readonly #place: Place;
  readonly #folder: string;
  readonly #rows: StoredRow[];
  #number: number;
  #nextHolder: string;
  #fd: number;
  /** Whether a write or sync of the present segment failed. */
  #spoiled = false;
  #overtaken = false;
  #closed = false;
  #queue: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  constructor(place: Place, run: string, number: number, fd: number, rows: StoredRow[]) {
    this.run = run;
    this.fence = number;
    this.#place = place;
    this.#folder = join(place.runs, run);
    this.#number = number;
    this.#nextHolder = join(this.#folder, fileName(number + 1, "holder"));
    this.#fd = fd;
    this.#rows = rows;
  }

  rows(): readonly Row[] {
    return this.#rows.slice();
  }

  append(kind: string, body: Body, at: number): Promise<Row> {
    return new Promise((resolve, reject) => {
      invariant(!this.#closed, `the journal of run ${this.run} is closed`);
      invariant(Number.isSafeInteger(at), `expected a row's time in whole milliseconds, found ${at}`);
      this.#queue.push({ kind, bodyText: JSON.stringify(body), at, resolve, reject });
      // When this turn's promises have all had their say, so that rows which follow from each other without a wait (a
      // step's intent, and the first command sent for it) share one write and one sync.
      this.#flushing ??= new Promise<void>((resolve) => process.nextTick(resolve)).then(() => this.#flush());
    });
  }

  assertHeld(): void {
    this.#overtaken ||= existsSync(this.#nextHolder);
    if (this.#overtaken) throw overtaken(this.run, this.#number);
  }

  releaseReserve(): void {
    dropReserve(this.#folder);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#flushing;
    const head = closedText(lastOf(this.run, this.#rows));
    try {
      closeAnyway(this.#fd);
      if (this.#overtaken || existsSync(this.#nextHolder)) return;
      this.releaseReserve();
      writeFileSync(join(this.#folder, fileName(this.#number, "closed")), head, { mode: 0o600 });
    } catch (thrown) {
      // Every row is on the disk, or was refused to whoever appended it; that this process is done shows when it is gone.
      // A run must not end with another exit code because of that.
      const failure = diskFailure(thrown, `closing the journal of run ${this.run}`);
      if (failure.kind === "bug") throw failure;
    }
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        const rows = await this.#commit(batch);
        for (const [index, { resolve }] of batch.entries()) resolve(rows[index] as StoredRow);
      } catch (thrown) {
        // What was handed over meanwhile may build on the rows that failed, so it fails with them.
        const failed = batch.concat(this.#queue);
        this.#queue = [];
        const failure = diskFailure(thrown, `writing to the journal of run ${this.run}`);
        for (const { reject } of failed) reject(failure);
      }
    }
    this.#flushing = undefined;
  }

  async #commit(batch: readonly Waiting[]): Promise<readonly StoredRow[]> {
    if (this.#spoiled) await this.#changeSegment(batch[0]?.at ?? 0);
    const last = lastOf(this.run, this.#rows);
    const sums = [last.sum];
    let text = "";
    for (const [i, { kind, bodyText, at }] of batch.entries()) {
      const { line, sum } = formatRow({ n: last.n + 1 + i, at, kind, bodyText, prev: sums[i] ?? "" });
      text += line;
      sums.push(sum);
    }
    const synced = writeAll(this.#place.disk, this.#fd, text);
    // Done while the disk works. The body is as it will be read again, not the caller's object, which may change.
    const rows = batch.map(({ kind, bodyText, at }, i) => ({
      n: last.n + 1 + i,
      at,
      kind,
      body: JSON.parse(bodyText) as Body,
      prev: sums[i] ?? "",
      sum: sums[i + 1] ?? "",
    }));
    try {
      await synced;
    } catch (thrown) {
      this.#spoiled = true;
      throw thrown;
    }
    this.assertHeld();
    for (const row of rows) this.#rows.push(row);
    return rows;
  }

  async #changeSegment(at: number): Promise<void> {
    const holder = await draft(this.#folder, ours(this.#place, at));
    // Placed and counted in one turn, so that `assertHeld` never takes our own new number for somebody else's.
    if (!holder.place(fileName(this.#number + 1, "holder"))) {
      this.#overtaken = true;
      throw overtaken(this.run, this.#number);
    }
    this.#number += 1;
    this.#nextHolder = join(this.#folder, fileName(this.#number + 1, "holder"));
    const because = "a row could not be written to the segment before";
    const { line, row } = firstRow(this.#place, lastOf(this.run, this.#rows), at, because);
    const old = this.#fd;
    this.#fd = await writeSegment(this.#place.disk, join(this.#folder, segmentName(this.#number)), line);
    closeAnyway(old);
    await syncFolder(this.#folder);
    this.#spoiled = false;
    this.#rows.push(row);
  }
}

interface Waiting {
  readonly kind: string;
  readonly bodyText: string;
  readonly at: number;
  readonly resolve: (row: Row) => void;
  readonly reject: (failure: Failure) => void;
}

function ours(place: Place, since: number): string {
  return holderText({ process: place.machine.self, since });
}

function overtaken(run: string, number: number): Failure {
  return new Failure("conflict", `another runner took run ${run} over (after segment ${number})`, {
    hint: `\`runbook status ${run}\` shows who holds it now`,
  });
}

function lastOf(run: string, rows: readonly StoredRow[]): StoredRow {
  const last = rows.at(-1);
  if (last === undefined)
    throw new Failure("invalid", `the journal of run ${run} holds no whole row to go on from`, {
      hint: "nothing was done in this run; start a new one",
    });
  return last;
}

interface Made {
  readonly line: string;
  readonly row: StoredRow;
}

/** The row after `last`, as it will be read again. */
function makeRow(last: StoredRow | undefined, kind: string, body: Body, at: number): Made {
  const bodyText = JSON.stringify(body);
  const place = { n: (last?.n ?? 0) + 1, at, kind, prev: last?.sum ?? "" };
  const { line, sum } = formatRow({ ...place, bodyText });
  return { line, row: { ...place, body: JSON.parse(bodyText) as Body, sum } };
}

function firstRow(place: Place, last: StoredRow, at: number, because: string | undefined): Made {
  const body: Body = {
    by: ownerOf(place.machine.self),
    holder: { ...place.machine.self },
    after: last.n,
    ...(because === undefined ? {} : { because }),
  };
  return makeRow(last, "taken-over", body, at);
}

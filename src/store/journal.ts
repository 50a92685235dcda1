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
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fdatasync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { Failure, invariant } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import type { JournalWriter, Row } from "../ports/store.ts";
import { ownerOf, parseProcess, type Machine, type Process } from "./machine.ts";
import {
  checkFolder,
  diskFailure,
  draft,
  draftName,
  errorCode,
  makeFolder,
  namesIn,
  parseObject,
  readOwn,
  syncFolder,
  type Draft,
} from "./private-files.ts";
import { formatRow, joinSegments, parseSegment, segmentName, segmentNumber, type StoredRow } from "./rows.ts";

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
  readonly holder: { readonly process: Process; readonly since: number } | undefined;
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
  return { ...joinSegments(run, segments), newest, closed, holder };
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
  let fd: number | undefined;
  try {
    await mkdir(fresh, { mode: 0o700 });
    await mkdir(join(fresh, "inbox"), { mode: 0o700 });
    await writeReserve(place, fresh);
    writeFileSync(join(fresh, fileName(1, "holder")), holderText(place, at), { mode: 0o600, flush: true });
    const { line, row } = makeRow(undefined, first.kind, first.body, at);
    fd = await writeSegment(place, join(fresh, segmentName(1)), line);
    await syncFolder(fresh);
    await rename(fresh, folder);
    await syncFolder(place.runs);
    return new Journal(place, run, 1, fd, [row]);
  } catch (thrown) {
    if (fd !== undefined) closeSync(fd);
    await rm(fresh, { recursive: true, force: true });
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
    const holder = await draftHolder(place, folder, at);
    if (!holder.place(fileName(number, "holder"))) throw overtaken(run, seen.newest);
    const { rows } = await readRun(place, run);
    const first = firstRow(place, lastOf(run, rows), at, undefined);
    fd = await writeSegment(place, join(folder, segmentName(number)), first.line);
    await syncFolder(folder);
    await renewReserve(place, folder);
    return new Journal(place, run, number, fd, [...rows, first.row]);
  } catch (thrown) {
    if (fd !== undefined) closeSync(fd);
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
    rmSync(join(this.#folder, reserveName), { force: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#flushing;
    closeSync(this.#fd);
    if (this.#overtaken || existsSync(this.#nextHolder)) return;
    try {
      this.releaseReserve();
      writeFileSync(join(this.#folder, fileName(this.#number, "closed")), "", { mode: 0o600 });
    } catch (thrown) {
      throw diskFailure(thrown, `closing the journal of run ${this.run}`);
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
    let { n, sum: prev } = lastOf(this.run, this.#rows);
    let text = "";
    const lines = batch.map((waiting) => {
      n += 1;
      const row = { n, at: waiting.at, kind: waiting.kind, prev };
      const { line, sum } = formatRow({ ...row, bodyText: waiting.bodyText });
      text += line;
      prev = sum;
      return { ...row, sum, bodyText: waiting.bodyText };
    });
    const synced = writeAll(this.#place.disk, this.#fd, text);
    // Done while the disk works. The body is as it will be read again, not the caller's object, which may change.
    const rows = lines.map(({ bodyText, ...row }) => ({ ...row, body: JSON.parse(bodyText) as Body }));
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
    const holder = await draft(this.#folder, holderText(this.#place, at));
    // Placed and counted in one turn, so that `assertHeld` never takes our own new number for somebody else's.
    if (!holder.place(fileName(this.#number + 1, "holder"))) {
      this.#overtaken = true;
      throw overtaken(this.run, this.#number);
    }
    this.#number += 1;
    this.#nextHolder = join(this.#folder, fileName(this.#number + 1, "holder"));
    const because = "a row could not be written to the segment before";
    const { line, row } = firstRow(this.#place, lastOf(this.run, this.#rows), at, because);
    const fd = await writeSegment(this.#place, join(this.#folder, segmentName(this.#number)), line);
    closeSync(this.#fd);
    this.#fd = fd;
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

const reserveName = "reserve";

function fileName(number: number, ending: "holder" | "closed"): string {
  return `${String(number).padStart(4, "0")}.${ending}`;
}

function holderText(place: Place, since: number): string {
  return `${JSON.stringify({ ...place.machine.self, since })}\n`;
}

/** A takeover on a full disk is for the way back: it uses the room that was kept for that. */
async function draftHolder(place: Place, folder: string, at: number): Promise<Draft> {
  try {
    return await draft(folder, holderText(place, at));
  } catch (thrown) {
    const code = thrown instanceof Failure ? errorCode(thrown.cause) : undefined;
    if ((code !== "ENOSPC" && code !== "EDQUOT") || !existsSync(join(folder, reserveName))) throw thrown;
    rmSync(join(folder, reserveName), { force: true });
    return draft(folder, holderText(place, at));
  }
}

// A holder file that cannot be understood proves nothing about its holder, so the run then waits for its expiry.
function parseHolder(bytes: Buffer | undefined): RunFiles["holder"] {
  const value = bytes === undefined ? undefined : parseObject(bytes);
  const process = parseProcess(value);
  const since = value?.["since"];
  return process === undefined || typeof since !== "number" ? undefined : { process, since };
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

async function writeSegment(place: Place, path: string, line: string): Promise<number> {
  const fd = openSync(path, "ax", 0o600);
  try {
    await writeAll(place.disk, fd, line);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** One write and one sync. A write that stops short is what a full disk or a quota does. */
async function writeAll(disk: Disk, fd: number, text: string): Promise<void> {
  const bytes = Buffer.from(text, "utf8");
  const written = disk.write(fd, bytes);
  if (written !== bytes.length)
    throw new Failure("unavailable", `the disk took ${written} of ${bytes.length} bytes`, {
      hint: "make room on the disk that holds $RUNBOOK_HOME",
    });
  await new Promise<void>((resolve, reject) => {
    disk.sync(fd, (error) => (error === null || error === undefined ? resolve() : reject(error)));
  });
}

// Random, because a file system that compresses would keep no room for a file of zeros.
async function writeReserve(place: Place, folder: string): Promise<void> {
  const file = await open(join(folder, reserveName), "w", 0o600);
  try {
    await file.writeFile(randomBytes(place.reserveBytes));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** On takeover: a disk without room for a new reserve is no reason to leave a run without a holder. */
async function renewReserve(place: Place, folder: string): Promise<void> {
  if (existsSync(join(folder, reserveName))) return;
  try {
    await writeReserve(place, folder);
  } catch (thrown) {
    rmSync(join(folder, reserveName), { force: true });
    const failure = diskFailure(thrown, `keeping room in ${folder}`);
    if (failure.kind !== "unavailable") throw failure;
  }
}

/** The files of one run's folder beside its rows: who holds it, that its writer is done, and room for the way back. */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../errors.ts";
import type { Disk } from "./journal.ts";
import { parseProcess, type Process } from "./machine.ts";
import { diskFailure, discard, draft, errorCode, parseObject, type Draft } from "./private-files.ts";

export interface SegmentHolder {
  readonly process: Process;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** The last acknowledged row of a writer that is done. */
export interface Head {
  readonly n: number;
  readonly sum: string;
}

const reserveName = "reserve";

export function fileName(number: number, ending: "holder" | "closed"): string {
  return `${String(number).padStart(4, "0")}.${ending}`;
}

export function holderText(holder: SegmentHolder): string {
  return `${JSON.stringify({ ...holder.process, since: holder.since })}\n`;
}

// A holder file that cannot be understood proves nothing about its holder, so the run then waits for its expiry.
export function parseHolder(bytes: Buffer | undefined): SegmentHolder | undefined {
  const value = bytes === undefined ? undefined : parseObject(bytes);
  const process = parseProcess(value);
  const since = value?.["since"];
  return process === undefined || typeof since !== "number" ? undefined : { process, since };
}

export function closedText({ n, sum }: Head): string {
  return `${JSON.stringify({ n, sum })}\n`;
}

/** Undefined for a file that says nothing: nobody could be told more when it was written, or it was cut off. */
export function parseClosed(bytes: Buffer | undefined): Head | undefined {
  const { n, sum } = (bytes && parseObject(bytes)) ?? {};
  return typeof n === "number" && typeof sum === "string" ? { n, sum } : undefined;
}

/** A takeover on a full disk is for the way back: it uses the room that was kept for that. */
export async function draftHolder(folder: string, text: string): Promise<Draft> {
  try {
    return await draft(folder, text);
  } catch (thrown) {
    const code = thrown instanceof Failure ? errorCode(thrown.cause) : undefined;
    if ((code !== "ENOSPC" && code !== "EDQUOT") || !existsSync(join(folder, reserveName))) throw thrown;
    dropReserve(folder);
    return draft(folder, text);
  }
}

/** Creates the segment with its first row. A segment that is there already is not ours to write to. */
export async function writeSegment(disk: Disk, path: string, line: string): Promise<number> {
  const fd = openSync(path, "ax", 0o600);
  try {
    await writeAll(disk, fd, line);
    return fd;
  } catch (thrown) {
    closeAnyway(fd);
    throw thrown;
  }
}

/** After something worse went wrong, or when nothing more is written: what a disk says at the close changes nothing. */
export function closeAnyway(fd: number): void {
  try {
    closeSync(fd);
  } catch (thrown) {
    if (errorCode(thrown) === undefined) throw thrown;
  }
}

/** One write and one sync. A write that stops short is what a full disk or a quota does. */
export async function writeAll(disk: Disk, fd: number, text: string): Promise<void> {
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
export async function writeReserve(folder: string, bytes: number): Promise<void> {
  const file = await open(join(folder, reserveName), "w", 0o600);
  try {
    await file.writeFile(randomBytes(bytes));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** On takeover: a disk without room for a new reserve is no reason to leave a run without a holder. */
export async function renewReserve(folder: string, bytes: number): Promise<void> {
  if (existsSync(join(folder, reserveName))) return;
  try {
    await writeReserve(folder, bytes);
  } catch (thrown) {
    dropReserve(folder);
    const failure = diskFailure(thrown, `keeping room in ${folder}`);
    if (failure.kind !== "unavailable") throw failure;
  }
}

export function dropReserve(folder: string): void {
  discard(join(folder, reserveName));
}

/**
 * Files that are ours alone (0600, in folders 0700), and the one way in which they come to be: written under
 * another name, synced, and given their name by link(2). A link fails if the name is taken, exactly as O_EXCL does,
 * but what it names is whole from the first instant, so no reader ever meets a lease or a segment without a holder.
 *
 * The files are small and local, so that only what waits for the disk itself (a sync) is asynchronous: a turn through
 * Node's thread pool costs ten times as much as the call.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  type Stats,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Failure } from "../errors.ts";
import type { Json } from "../ports/driver.ts";

// Looked up at each call, so that tests can put a disk that refuses in its place, as for the calls that are not kept.
const sync = (fd: number): Promise<void> => promisify(fsync)(fd);

/** Makes the folder and those above it, for us alone. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    throw diskFailure(plainly(path, thrown), `making ${path}`);
  }
}

// A recursive mkdir says ENOENT on a disk that is read-only; a plain one says what it is.
function plainly(path: string, thrown: unknown): unknown {
  if (errorCode(thrown) !== "ENOENT") return thrown;
  try {
    mkdirSync(path, { mode: 0o700 });
    return thrown;
  } catch (plain) {
    return plain;
  }
}

/** Refuses a folder that is not ours, or not a folder. False if it is not there. */
export function checkFolder(path: string, uid: number | undefined): boolean {
  let stats: Stats;
  try {
    stats = lstatSync(path);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return false;
    throw diskFailure(thrown, `looking at ${path}`);
  }
  checkOwner(stats, path, uid);
  if (!stats.isDirectory()) throw new Failure("denied", `${path} is not a folder`, { hint: "move it away" });
  return true;
}

/** The bytes of a file that is ours; undefined if there is none. A link in its place is refused. */
export function readOwn(path: string, uid: number | undefined): Buffer | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      checkOwner(fstatSync(fd), path, uid);
      return readFileSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return undefined;
    throw diskFailure(thrown, `reading ${path}`);
  }
}

/** Names in a folder; none if it is not there. */
export function namesIn(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (thrown) {
    if (errorCode(thrown) === "ENOENT") return [];
    throw diskFailure(thrown, `listing ${path}`);
  }
}

/** A file that is whole and durable, but has no name yet that anybody looks at. */
export interface Draft {
  /** Gives it its name, in one turn; false if the name is taken. The draft is gone either way. */
  place(name: string): boolean;
}

export async function draft(folder: string, text: string): Promise<Draft> {
  const path = join(folder, draftName());
  try {
    const fd = openSync(path, "wx", 0o600);
    try {
      writeFileSync(fd, text);
      await sync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    discard(path);
    throw diskFailure(thrown, `writing to ${folder}`);
  }
  return {
    place: (name) => {
      try {
        linkSync(path, join(folder, name));
        return true;
      } catch (thrown) {
        if (errorCode(thrown) === "EEXIST") return false;
        throw diskFailure(thrown, `making ${join(folder, name)}`);
      } finally {
        discard(path);
      }
    },
  };
}

/** Puts a new file in place, whole and durable; false if the name is taken. */
export async function placeNew(folder: string, name: string, text: string): Promise<boolean> {
  const placed = (await draft(folder, text)).place(name);
  if (placed) await syncFolder(folder);
  return placed;
}

export function draftName(): string {
  return `.draft-${randomBytes(6).toString("hex")}`;
}

/** A JSON object from a file of ours; undefined if it is something else. */
export function parseObject(bytes: Buffer): { readonly [key: string]: Json } | undefined {
  try {
    const value = JSON.parse(bytes.toString("utf8")) as Json;
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as { readonly [key: string]: Json })
      : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the names in a folder durable, as fsync of the files alone does not. */
export async function syncFolder(path: string): Promise<void> {
  try {
    const fd = openSync(path, constants.O_RDONLY);
    try {
      await sync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    throw diskFailure(thrown, `syncing ${path}`);
  }
}

/** Takes away a file that means nothing any more. Where the disk refuses even that it stays, and still means nothing. */
export function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (thrown) {
    if (errorCode(thrown) === undefined) throw thrown;
  }
}

export function errorCode(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** What the file system's refusal means to us. Our own failures pass. */
export function diskFailure(thrown: unknown, what: string): Failure {
  if (thrown instanceof Failure) return thrown;
  const code = errorCode(thrown);
  if (code === undefined) return new Failure("bug", `${what} failed: ${String(thrown)}`, { cause: thrown });
  const hint = hints[code];
  const kind = code === "EACCES" || code === "EPERM" || code === "ELOOP" ? "denied" : "unavailable";
  return new Failure(kind, `${what} failed (${code})`, {
    cause: thrown,
    ...(hint === undefined ? {} : { hint }),
  });
}

const hints: { readonly [code: string]: string | undefined } = {
  ENOSPC: "make room on the disk that holds $RUNBOOK_HOME",
  EDQUOT: "make room in your quota on the disk that holds $RUNBOOK_HOME",
  EROFS: "the disk that holds $RUNBOOK_HOME is read-only; look at the system's log for why",
  EIO: "the disk that holds $RUNBOOK_HOME reports errors; look at the system's log",
  EACCES: "give $RUNBOOK_HOME to the user that runs runbook",
  ELOOP: "a link stands where a file of the tool's should: find out who put it there, and put the file back",
  EPERM: "the file system must allow hard links; set $RUNBOOK_HOME to a folder on a local Linux file system",
  ENOTSUP:
    "the file system must allow hard links; set $RUNBOOK_HOME to a folder on a local Linux file system",
};

function checkOwner(stats: Stats, path: string, uid: number | undefined): void {
  if (uid === undefined || stats.uid === uid) return;
  throw new Failure("denied", `${path} belongs to user id ${stats.uid}, not to us (${uid})`, {
    hint: "run runbook as the user that began the run, or set $RUNBOOK_HOME to a folder of your own",
  });
}

/**
 * The embedded store: folders and files, no set-up and no native code.
 *
 *   FOLDER/runs/RUN/0001.jsonl …           the journal, in segments (rows.ts says how to verify one by hand)
 *   FOLDER/runs/RUN/0001.holder, .closed   who wrote that segment, and that it is done (journal.ts)
 *   FOLDER/runs/RUN/inbox/00000001.json    messages for the holder (inbox.ts)
 *   FOLDER/runs/RUN/reserve                room on the disk for the way back
 *   FOLDER/points/CLUSTER.json             recovery points as they were last seen (views.ts)
 *   FOLDER/holds/WHAT/00000001.json        nothing new begins there, the greatest number counts (holds.ts)
 *   FOLDER/leases/CLUSTER/00000001.json    the lease on a cluster, the greatest number holds (leases.ts)
 *
 * Files are 0600 and folders 0700, whatever the umask allows; what belongs to another user is refused. Names that
 * begin with ".draft-" are left behind by a process that died while it wrote, and mean nothing.
 */
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Failure } from "../errors.ts";
import type { Holder, RunSummary, Store } from "../ports/store.ts";
import { listenAt, receiveMessages, sendMessage } from "./inbox.ts";
import {
  continueRun,
  createRun,
  readRun,
  realDisk,
  type Disk,
  type Place,
  type RunFiles,
} from "./journal.ts";
import { clusterFile, findLease, leaseExpiry, releaseLease, renewLease, takeLease } from "./leases.ts";
import { isProvenDead, ownerOf, thisMachine, type Machine } from "./machine.ts";
import { checkFolder, diskFailure, errorCode, makeFolder, namesIn } from "./private-files.ts";
import { endHold, findHolds, placeHold, type HoldPlace } from "./holds.ts";
import { findView, keepView } from "./views.ts";

export interface StoreOptions {
  /** This process and what it sees of others; tests inject one. */
  readonly machine?: Machine;
  /** How rows reach the disk; tests count its syncs and make it fail. */
  readonly disk?: Disk;
  /** Room kept for the way back of each run. */
  readonly reserveBytes?: number;
}

// A holder that cannot be proven dead, and holds no lease whose expiry would tell, is waited for this long after
// its last row.
const silenceMs = 15 * 60_000;

export function openStore(folder: string, options: StoreOptions = {}): Store {
  const root = resolve(folder);
  const machine = options.machine ?? thisMachine();
  const runs = join(root, "runs");
  const place: Place & { readonly leases: string } = {
    runs,
    leases: join(root, "leases"),
    machine,
    disk: options.disk ?? realDisk,
    reserveBytes: options.reserveBytes ?? 2 ** 20,
  };

  const holds: HoldPlace = { folder: join(root, "holds"), uid: machine.uid, nameOf: clusterFile };

  async function prepare(): Promise<void> {
    try {
      for (const path of [root, runs, place.leases]) makeFolder(path);
    } catch (thrown) {
      throw diskFailure(thrown, `making ${root}`);
    }
    await check();
  }

  async function check(): Promise<void> {
    for (const path of [root, runs, place.leases]) checkFolder(path, machine.uid);
  }

  /** The folder of a run that exists. */
  async function folderOf(run: string): Promise<string> {
    await check();
    const path = join(runs, checkRunId(run));
    if (!checkFolder(path, machine.uid))
      throw new Failure("not-found", `there is no run ${run}`, { hint: "`runbook runs` lists the runs" });
    return path;
  }

  async function read(run: string): Promise<RunFiles & { readonly held: Holder | undefined }> {
    await folderOf(run);
    const files = await readRun(place, run);
    return { ...files, held: await holderOf(run, files) };
  }

  /** Who holds the run as far as can be told; undefined if its writer closed it or is proven dead. */
  async function holderOf(run: string, { closed, holder, rows }: RunFiles): Promise<Holder | undefined> {
    if (closed || (holder !== undefined && isProvenDead(holder.process, machine))) return undefined;
    const seen = Math.max(holder?.since ?? 0, rows.at(-1)?.at ?? 0);
    return {
      run,
      owner: holder === undefined ? "unknown" : ownerOf(holder.process),
      since: holder?.since ?? seen,
      expiresAt: (await leaseExpiry(place, run)) ?? seen + silenceMs,
    };
  }

  async function summaryOf(run: string): Promise<RunSummary> {
    try {
      const { rows } = await readRun(place, run);
      return { run, startedAt: rows[0]?.at ?? 0, rows: rows.length };
    } catch (thrown) {
      // A damaged journal must not hide the other runs; reading this one by its name tells what is wrong.
      if (thrown instanceof Failure && thrown.kind === "invalid") return { run, startedAt: 0, rows: 0 };
      throw thrown;
    }
  }

  return {
    async create(first, at, run) {
      checkRunId(run);
      await prepare();
      return createRun(place, run, first, at);
    },
    newRunId() {
      for (;;) {
        const id = randomId();
        if (!existsSync(join(runs, id))) return id;
      }
    },
    async takeOver(run, at) {
      const files = await read(run);
      const { held } = files;
      if (held !== undefined && held.expiresAt > at) {
        const until = new Date(held.expiresAt).toISOString();
        throw new Failure("conflict", `run ${run} is held by ${held.owner} until ${until}`, {
          hint: "end that process, or wait until its lease has expired",
        });
      }
      return continueRun(place, run, files, at);
    },
    async read(run) {
      const { rows, torn, held } = await read(run);
      return { rows, torn, held };
    },
    async list() {
      await check();
      const names = namesIn(runs).filter((name) => runIdPattern.test(name));
      const found: RunSummary[] = [];
      for (const name of names) found.push(await summaryOf(name));
      return found.sort((a, b) => a.startedAt - b.startedAt || (a.run < b.run ? -1 : 1));
    },
    async takeLease(cluster, holder, at) {
      await prepare();
      await takeLease(place, cluster, holder, at);
    },
    async renewLease(cluster, holder) {
      await check();
      await renewLease(place, cluster, holder);
    },
    async releaseLease(cluster, run) {
      await check();
      await releaseLease(place, cluster, run);
    },
    async findLease(cluster) {
      await check();
      return findLease(place, cluster);
    },
    async findPoints(cluster) {
      await check();
      return findView(join(root, "points"), clusterFile(cluster), machine.uid);
    },
    async keepPoints(cluster, view) {
      await prepare();
      await keepView(join(root, "points"), clusterFile(cluster), view, machine.uid);
    },
    async send(run, message) {
      await sendMessage(join(await folderOf(run), "inbox"), message, machine.uid);
    },
    async receive(run) {
      return receiveMessages(join(await folderOf(run), "inbox"), machine.uid);
    },
    listen(run, heard) {
      return listenAt(join(runs, checkRunId(run), "inbox"), heard);
    },
    async placeHold(hold) {
      await prepare();
      await placeHold(holds, hold);
    },
    async endHold(end) {
      await check();
      await endHold(holds, end);
    },
    async findHolds() {
      await check();
      return findHolds(holds);
    },
    async freeBytes() {
      for (let path = root; ; path = dirname(path)) {
        try {
          const { bavail, bsize } = await statfs(path);
          return bavail * bsize;
        } catch (thrown) {
          // A store that was never used has no folder yet: what will hold it tells. Else it cannot be told.
          if (errorCode(thrown) !== "ENOENT" || path === dirname(path)) return undefined;
        }
      }
    },
  };
}

// It comes from a command line, and becomes part of a path and of tags.
const runIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

function checkRunId(run: string): string {
  if (runIdPattern.test(run)) return run;
  throw new Failure("invalid", `expected the id of a run, found ${JSON.stringify(run.slice(0, 80))}`, {
    hint: "`runbook runs` lists the runs",
  });
}

// Crockford's base 32: without i, l, o and u nothing is misread, misheard or spelled by accident.
const letters = "abcdefghjkmnpqrstvwxyz";
const digits = `0123456789${letters}`;

/** 8 characters; a letter first, so that no shell, YAML reader or spreadsheet takes it for a number. */
function randomId(): string {
  const pick = (from: string): string => from.charAt(randomInt(from.length));
  return pick(letters) + Array.from({ length: 7 }, () => pick(digits)).join("");
}

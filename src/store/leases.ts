/**
 * The lease on a cluster. Each state of a lease is a file of its own, leases/CLUSTER/00000001.json and on, and the
 * greatest number holds. Taking, renewing and releasing all place the next number, which succeeds for one process
 * only: so of two takers of an expired lease one wins, and a renewal that comes too late cannot undo a takeover.
 */
import { join } from "node:path";
import { Failure } from "../errors.ts";
import type { Holder } from "../ports/store.ts";
import { isProvenDead, parseProcess, type Machine, type Process } from "./machine.ts";
import {
  checkFolder,
  discard,
  makeFolder,
  namesIn,
  parseObject,
  placeNew,
  readOwn,
} from "./private-files.ts";

export interface LeasePlace {
  readonly leases: string;
  readonly machine: Machine;
}

interface Lease {
  readonly number: number;
  /** Undefined once it was released. */
  readonly holder: Holder | undefined;
  readonly process: Process | undefined;
}

export async function takeLease(
  place: LeasePlace,
  cluster: string,
  holder: Holder,
  at: number,
): Promise<void> {
  makeFolder(folderOf(place, cluster));
  await change(place, cluster, ({ holder: other, process }) => {
    const free =
      other === undefined ||
      other.run === holder.run ||
      other.expiresAt <= at ||
      (process !== undefined && isProvenDead(process, place.machine));
    if (!free) throw held(cluster, other);
    return holder;
  });
}

export async function renewLease(place: LeasePlace, cluster: string, holder: Holder): Promise<void> {
  await change(place, cluster, ({ holder: other }) => {
    if (other === undefined)
      throw new Failure(
        "conflict",
        `the lease on cluster ${cluster} is not held by run ${holder.run} any more`,
        {
          hint: `stop, and go through \`runbook resume ${holder.run}\``,
        },
      );
    if (other.run !== holder.run || other.owner !== holder.owner) throw held(cluster, other);
    return holder;
  });
}

/** Does nothing if the run does not hold it. */
export async function releaseLease(place: LeasePlace, cluster: string, run: string): Promise<void> {
  await change(place, cluster, ({ holder: now }) => (now?.run === run ? "released" : "unchanged"));
}

export async function findLease(place: LeasePlace, cluster: string): Promise<Holder | undefined> {
  return newest(place, cluster).holder;
}

/** When the last lease that this run holds on any cluster expires; undefined if it holds none. */
export async function leaseExpiry(place: LeasePlace, run: string): Promise<number | undefined> {
  const folders = checkFolder(place.leases, place.machine.uid) ? namesIn(place.leases) : [];
  let latest: number | undefined;
  for (const name of folders) {
    const { holder } = newestIn(place, join(place.leases, name));
    if (holder?.run === run) latest = Math.max(latest ?? 0, holder.expiresAt);
  }
  return latest;
}

// States that are kept behind the newest. A process that looked long ago then finds its next number taken, or at
// least a greater one beside its own.
const keptStates = 8;

async function change(
  place: LeasePlace,
  cluster: string,
  next: (now: Lease) => Holder | "released" | "unchanged",
): Promise<void> {
  const folder = folderOf(place, cluster);
  for (let tries = 0; tries < 100; tries += 1) {
    const now = newest(place, cluster);
    const state = next(now);
    if (state === "unchanged") return;
    const number = now.number + 1;
    const text = JSON.stringify(state === "released" ? {} : { ...state, process: place.machine.self });
    if (!(await placeNew(folder, stateName(number), `${text}\n`))) continue;
    const numbers = statesIn(folder);
    if (numbers.some((other) => other > number)) {
      // We looked before states that were cleared away since: ours is an old one, and never held.
      discard(join(folder, stateName(number)));
      continue;
    }
    for (const old of numbers) if (old <= number - keptStates) discard(join(folder, stateName(old)));
    return;
  }
  throw new Failure(
    "unavailable",
    `the lease on cluster ${cluster} changed each time that we tried to change it`,
  );
}

function newest(place: LeasePlace, cluster: string): Lease {
  return newestIn(place, folderOf(place, cluster));
}

function newestIn(place: LeasePlace, folder: string): Lease {
  if (!checkFolder(folder, place.machine.uid)) return { number: 0, holder: undefined, process: undefined };
  for (;;) {
    const number = Math.max(0, ...statesIn(folder));
    if (number === 0) return { number, holder: undefined, process: undefined };
    const path = join(folder, stateName(number));
    const bytes = readOwn(path, place.machine.uid);
    // Gone between the two looks means that there are newer ones now.
    if (bytes !== undefined) return { number, ...parseLease(path, bytes) };
  }
}

function statesIn(folder: string): readonly number[] {
  return namesIn(folder).flatMap((name) => {
    const digits = /^(\d{8})\.json$/.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
}

function stateName(number: number): string {
  return `${String(number).padStart(8, "0")}.json`;
}

function parseLease(path: string, bytes: Buffer): Pick<Lease, "holder" | "process"> {
  const value = parseObject(bytes);
  if (value !== undefined && Object.keys(value).length === 0)
    return { holder: undefined, process: undefined };
  const { run, owner, since, expiresAt, process } = value ?? {};
  if (
    typeof run !== "string" ||
    typeof owner !== "string" ||
    typeof since !== "number" ||
    typeof expiresAt !== "number"
  )
    throw new Failure("invalid", `the lease ${path} cannot be understood, so it counts as held`, {
      hint: "make sure that no run is at work on this cluster, then remove the file",
    });
  return { holder: { run, owner, since, expiresAt }, process: parseProcess(process) };
}

function held(cluster: string, holder: Holder): Failure {
  const until = new Date(holder.expiresAt).toISOString();
  return new Failure(
    "conflict",
    `cluster ${cluster} is held by run ${holder.run} (${holder.owner}) until ${until}`,
    {
      hint: `\`runbook status ${holder.run}\` shows what it does`,
    },
  );
}

/** The cluster's name comes from a file of people's making: it is put into a path in a form that cannot leave it. */
/** A cluster's name as that of a file or a folder. */
export function clusterFile(cluster: string): string {
  const name = /\p{Surrogate}/u.test(cluster) ? "" : encodeURIComponent(cluster).replace(/^\./, "%2E");
  if (name === "" || name.length > 200)
    throw new Failure(
      "invalid",
      `expected a cluster's name of 1 to 200 characters, found ${JSON.stringify(cluster)}`,
    );
  return name;
}

function folderOf(place: LeasePlace, cluster: string): string {
  return join(place.leases, clusterFile(cluster));
}

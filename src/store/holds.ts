/**
 * Holds: somebody wants nothing new to begin on a cluster, or in a cloud. Each state of a hold is a file of its own,
 * holds/WHAT/00000001.json and on, and the greatest number counts: of two people who speak at once one wins, and who said
 * what, and why, stays readable.
 */
import { join } from "node:path";
import { Failure } from "../errors.ts";
import type { Hold } from "../ports/store.ts";
import { checkFolder, makeFolder, namesIn, parseObject, placeNew, readOwn } from "./private-files.ts";

export interface HoldPlace {
  readonly folder: string;
  readonly uid: number | undefined;
  /** What a hold is about, as the name of a folder. */
  readonly nameOf: (what: string) => string;
}

interface State {
  readonly number: number;
  readonly hold: Hold | undefined;
}

/** Failure `conflict` if it is held already, or was changed by somebody else at this moment. */
export async function placeHold(place: HoldPlace, hold: Hold): Promise<void> {
  makeFolder(place.folder);
  makeFolder(folderOf(place, hold.what));
  const now = newest(place, folderOf(place, hold.what));
  if (now.hold) throw heldBy(now.hold);
  await put(place, hold, now.number, true);
}

/** Failure `not-found` if it is not held. */
export async function endHold(place: HoldPlace, end: Hold): Promise<void> {
  const now = newest(place, folderOf(place, end.what));
  if (!now.hold)
    throw new Failure("not-found", `${end.what} is not held`, { hint: "`runbook hold` lists what is" });
  await put(place, end, now.number, false);
}

export function findHolds(place: HoldPlace): readonly Hold[] {
  if (!checkFolder(place.folder, place.uid)) return [];
  return namesIn(place.folder).flatMap((name) => newest(place, join(place.folder, name)).hold ?? []);
}

async function put(place: HoldPlace, hold: Hold, last: number, held: boolean): Promise<void> {
  const folder = folderOf(place, hold.what);
  const text = `${JSON.stringify({ held, ...hold })}\n`;
  if (await placeNew(folder, stateName(last + 1), text)) return;
  const other = newest(place, folder).hold;
  throw other
    ? heldBy(other)
    : new Failure("conflict", `the hold on ${hold.what} was changed by somebody else just now`, {
        hint: "`runbook hold` shows how it stands",
      });
}

function heldBy({ what, by, why, at }: Hold): Failure {
  return new Failure("conflict", `${what} is held by ${by} since ${new Date(at).toISOString()}: ${why}`, {
    hint: "`runbook hold --end --why …` ends it",
  });
}

function newest({ uid }: HoldPlace, folder: string): State {
  if (!checkFolder(folder, uid)) return { number: 0, hold: undefined };
  const numbers = namesIn(folder).flatMap((name) => {
    const digits = /^(\d{8})\.json$/.exec(name)?.[1];
    return digits === undefined ? [] : [Number(digits)];
  });
  const number = Math.max(0, ...numbers);
  if (number === 0) return { number, hold: undefined };
  const path = join(folder, stateName(number));
  const { held, what, by, why, at } = parseObject(readOwn(path, uid) ?? Buffer.alloc(0)) ?? {};
  if (
    typeof held !== "boolean" ||
    typeof what !== "string" ||
    typeof by !== "string" ||
    typeof why !== "string" ||
    typeof at !== "number"
  )
    throw new Failure("invalid", `the hold ${path} cannot be understood, so it counts as held`, {
      hint: "find out who wrote it, and remove the file",
    });
  return { number, hold: held ? { what, by, why, at } : undefined };
}

function folderOf(place: HoldPlace, what: string): string {
  return join(place.folder, place.nameOf(what));
}

function stateName(number: number): string {
  return `${String(number).padStart(8, "0")}.json`;
}

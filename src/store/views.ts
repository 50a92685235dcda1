/**
 * What was last seen of things that live elsewhere: a file for each cluster, replaced as a whole. It can be lost and made
 * again, so one that cannot be understood (another version wrote it, a hand) is as if it were not there.
 */
import { renameSync } from "node:fs";
import { join } from "node:path";
import type { View } from "../ports/store.ts";
import {
  checkFolder,
  diskFailure,
  discard,
  draft,
  draftName,
  makeFolder,
  parseObject,
  readOwn,
} from "./private-files.ts";

const format = 1;

export async function findView(folder: string, name: string, uid: number | undefined) {
  if (!checkFolder(folder, uid)) return undefined;
  const bytes = readOwn(join(folder, `${name}.json`), uid);
  const value = bytes && parseObject(bytes);
  const { format: found, seenAt, seen } = value ?? {};
  if (found !== format || typeof seenAt !== "number" || seen === undefined) return undefined;
  return { seenAt, seen } satisfies View;
}

export async function keepView(
  folder: string,
  name: string,
  { seenAt, seen }: View,
  uid: number | undefined,
): Promise<void> {
  makeFolder(folder);
  checkFolder(folder, uid);
  // A name of its own first, so that a reader meets the old view or the new one, and never a part.
  const own = draftName();
  const text = `${JSON.stringify({ format, seenAt, seen })}\n`;
  (await draft(folder, text)).place(own);
  try {
    renameSync(join(folder, own), join(folder, `${name}.json`));
  } catch (thrown) {
    discard(join(folder, own));
    throw diskFailure(thrown, `writing to ${folder}`);
  }
}

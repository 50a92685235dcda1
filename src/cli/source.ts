/**
 * Finding runbooks, and their texts. A runbook may import `runbook`, and files that lie beside it: those are read with it
 * and kept with it, so that the text of a plan or a journal is enough to run it again, also years later.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { posix } from "node:path";

import { Failure } from "../errors.ts";
import { productFolder } from "./product.ts";

export interface Source {
  readonly file: string;
  /** Of the text and its parts: `digestOf`. */
  readonly sha256: string;
  readonly text: string;
  /** The files that it imports, by their paths below its own folder, as "steps/service.ts". */
  readonly parts: { readonly [path: string]: string };
}

/** Where runbooks are looked for: the user's own first, then the product's. */
export function runbookFolders(cwd: string): readonly string[] {
  const folders = [join(cwd, "runbooks"), join(productFolder, "runbooks")];
  return folders.filter((folder, i) => folders.indexOf(folder) === i && existsSync(folder));
}

/** Names with their files; a name found twice is the user's. */
export function listRunbooks(cwd: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const folder of runbookFolders(cwd)) {
    for (const file of readdirSync(folder).sort()) {
      const name = /^([a-z0-9][a-z0-9-]*)\.(ts|js|mjs)$/.exec(file)?.[1];
      if (name !== undefined && !found.has(name)) found.set(name, join(folder, file));
    }
  }
  return found;
}

export function findRunbook(name: string, cwd: string): Source {
  const runbooks = listRunbooks(cwd);
  const file = runbooks.get(name);
  if (file === undefined)
    throw new Failure("invalid", `there is no runbook "${name}"`, {
      hint: `known are ${[...runbooks.keys()].join(", ")}; your own belong into ./runbooks/NAME.ts`,
    });
  return readSource(file);
}

/** The text of a file with those of all that it imports from its folder, directly or through others. */
export function readSource(file: string): Source {
  const name = basename(file);
  const text = readFileSync(file, "utf8");
  const parts: Record<string, string> = {};
  const waiting = importsOf(name, text).map((path) => ({ path, by: name }));
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { path, by } = next;
    if (path === name || path in parts) continue;
    const at = join(dirname(file), path);
    if (!existsSync(at))
      throw new Failure("invalid", `${by} imports "${path}", which is not there`, {
        hint: `what a runbook shares with others lies beside it, below ${dirname(file)}`,
      });
    const part = readFileSync(at, "utf8");
    parts[path] = part;
    waiting.push(...importsOf(path, part).map((more) => ({ path: more, by: path })));
  }
  const sorted = Object.fromEntries(Object.entries(parts).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { file: name, sha256: digestOf({ text, parts: sorted }), text, parts: sorted };
}

/** What a text imports by a path of its own folder, as paths below the runbook's folder. */
function importsOf(file: string, text: string): readonly string[] {
  return [...text.matchAll(/^\s*(?:import|export)\b[^;"']*["'](\.[^"']*)["']/gm)].map(([, path = ""]) => {
    const found = partPath(file, path);
    if (found !== undefined) return found;
    throw new Failure("invalid", `${file} imports "${path}", which lies outside of the runbook's folder`, {
      hint: "a runbook imports only `runbook` and files below its own folder",
    });
  });
}

/** "./redundancy.ts" as "steps/service.ts" means it: "steps/redundancy.ts". Undefined if it leads out of the folder. */
export function partPath(file: string, path: string): string | undefined {
  const found = posix.normalize(posix.join(posix.dirname(file), path));
  return found.startsWith("..") || posix.isAbsolute(found) ? undefined : found;
}

/** The digest of a runbook: of its text alone, or of the list of its text and its parts as JSON. */
export function digestOf({ text, parts }: Pick<Source, "text" | "parts">): string {
  return sha256(
    Object.keys(parts).length === 0 ? text : JSON.stringify([text, Object.entries(parts).sort()]),
  );
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

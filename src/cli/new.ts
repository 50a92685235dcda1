/** Writes a runbook to begin with: a small one with a word on each part, or a copy of another one with all that it imports. */
import { randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";

import { Failure } from "../errors.ts";
import { layOut, readParams } from "../runbook/list.ts";
import { fileTrouble } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { newText } from "./new-text.ts";
import { productFolder, productVersion } from "./product.ts";
import { digestOf, findRunbook, listRunbooks, type Source } from "./source.ts";

export interface NewOptions {
  readonly from?: string;
  readonly force?: boolean;
}

export async function newRunbook(name: string, options: NewOptions): Promise<number> {
  process.stdout.write(`${await writeRunbook(name, options, { cwd: process.cwd(), cache: codeCache() })}\n`);
  return 0;
}

/** Answers with what came of it. */
export async function writeRunbook(
  name: string,
  options: NewOptions,
  { cwd, cache }: { readonly cwd: string; readonly cache?: string },
): Promise<string> {
  const force = options.force === true;
  assertName(name);
  assertFree(name, cwd, force);
  const source =
    options.from === undefined
      ? sourceOf(name, newText(name), {})
      : copyOf(name, options.from, findRunbook(options.from, cwd));
  await assertLoads(source, cache);

  const folder = join(cwd, "runbooks");
  const files = [...Object.entries(source.parts), [source.file, source.text] as const].map(
    ([path, text]) => ({ path: join(folder, path), text }),
  );
  if (!force)
    for (const { path, text } of files)
      if (existsSync(path) && readFileSync(path, "utf8") !== text) throw taken(relative(cwd, path));
  // The runbook itself last: without it, what it imports is nothing that anybody would find.
  for (const { path, text } of files) place(path, text, force, cwd);

  const shared = files.length - 1;
  const beside = shared === 0 ? "" : `, and the ${shared} files that it imports are below runbooks/${name}`;
  return (
    `The runbook is in runbooks/${source.file}${beside}. ` +
    `Next: change it, then \`runbook graph ${name}\` and \`runbook plan ${name} --lab\``
  );
}

function assertName(name: string): void {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) return;
  throw new Failure(
    "invalid",
    `${JSON.stringify(name)} is no name of a runbook; wanted small letters, digits and dashes, 63 at most`,
    { hint: "it becomes the file's name, as in runbooks/restart-groups.ts" },
  );
}

function assertFree(name: string, cwd: string, force: boolean): void {
  const found = listRunbooks(cwd).get(name);
  if (found === undefined) return;
  const ofProduct = join(productFolder, "runbooks");
  const isOwn = dirname(found) === join(cwd, "runbooks");
  if (isOwn && realpathSync(dirname(found)) === realpathSync(ofProduct))
    throw new Failure(
      "invalid",
      `${name} is the product's own runbook, and this is the product's own folder`,
      {
        hint: "give the command in a folder of yours, or take another name",
      },
    );
  if (isOwn && !found.endsWith(".ts"))
    throw new Failure("invalid", `runbooks/${name} is there already, as ${relative(cwd, found)}`, {
      hint: "move that file away, or take another name",
    });
  if (force) return;
  if (isOwn) throw taken(relative(cwd, found));
  throw new Failure(
    "invalid",
    `${name} is a runbook of the product; one of yours would take its place here`,
    {
      hint: "take another name; --force if that is what you want",
    },
  );
}

function taken(file: string): Failure {
  return new Failure("invalid", `${file} is there already`, {
    hint: "take another name; --force writes over it",
  });
}

/**
 * What a runbook imports is copied too, into a folder of its own, so that to change it changes no other runbook. The files
 * keep their places among themselves; only the runbook's own imports lead somewhere else.
 */
function copyOf(name: string, from: string, { text, parts }: Source): Source {
  const moved = text.replace(
    /^(\s*(?:import|export)\b[^;"']*["'])\.\/([^"']*["'])/gm,
    (_, before: string, path: string) => `${before}./${name}/${path}`,
  );
  const shares = Object.keys(parts).length > 0 ? ` What it imports lies in ./${name}/, and is its own.` : "";
  const head = `// A copy of ${from} as runbook ${productVersion()} has it, to be changed.${shares} Give it another title.\n`;
  return sourceOf(
    name,
    head + moved,
    Object.fromEntries(Object.entries(parts).map(([path, part]) => [`${name}/${path}`, part])),
  );
}

function sourceOf(name: string, text: string, parts: Source["parts"]): Source {
  return { file: `${name}.ts`, text, parts, sha256: digestOf({ text, parts }) };
}

/** Nothing is written that could not be used as it is. */
async function assertLoads(source: Source, cache: string | undefined): Promise<void> {
  const runbook = await loadRunbook(source, cache);
  // One that asks for a sentence cannot be laid out before somebody says it.
  if (Object.values(runbook.params).some((param) => "said" in param)) return;
  layOut(runbook, readParams(runbook, {}), ["active", "standby"]);
}

/** Whole or not at all, and only over another file if that was said. */
function place(path: string, text: string, force: boolean, cwd: string): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    if (existsSync(path) && readFileSync(path, "utf8") === text) return;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(draft, text, { flag: "wx" });
    if (force) renameSync(draft, path);
    else linkSync(draft, path);
  } catch (thrown) {
    throw new Failure("invalid", `${relative(cwd, path)} cannot be written: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "give the command in a folder that is yours",
    });
  } finally {
    rmSync(draft, { force: true });
  }
}

/**
 * Finding and loading runbooks. TypeScript loads as it is; a runbook may import only `runbook`, so its text alone is
 * enough to run it again, also years later from a journal.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";
import vm from "node:vm";

import type * as Jiti from "jiti";

import { asFailure, Failure } from "../errors.ts";
import type { Runbook } from "../runbook/step.ts";
import { checkFolder, makeFolder, placeNew, readOwn } from "../store/private-files.ts";
import { productFolder, productVersion } from "./product.ts";

export interface Source {
  readonly file: string;
  readonly sha256: string;
  readonly text: string;
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

export function readSource(file: string): Source {
  const text = readFileSync(file, "utf8");
  return { file: basename(file), sha256: sha256(text), text };
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What jiti exports instead of a text that it could not read. */
const unreadableMark = "__JITI_ERROR__";
interface SyntaxTrouble {
  readonly line?: number;
  readonly column?: number;
  readonly message?: string;
}

function unreadableAt(file: string, { line, column, message = "a syntax error" }: SyntaxTrouble): Failure {
  const place = line === undefined ? file : `${file}:${line}:${column ?? 0}`;
  const what = (message.split("\n")[0] ?? "")
    .replace(/^.*?SyntaxError: |^\S+: | \(\d+:\d+\)|\.$/g, "")
    .trim();
  return new Failure("invalid", `${place}: the runbook cannot be read: ${what}`, { hint: "mend this line" });
}

/**
 * The runbook in a text. A file that cannot be read as one is refused with what is wrong in it. To make JavaScript of
 * TypeScript takes a third of a second; what came of it is kept in the folder given, under the digest of the text.
 */
export async function loadRunbook(source: Source, cacheFolder?: string): Promise<Runbook> {
  const words = await import("../runbook/words.ts");
  let exported: unknown;
  try {
    const code = await javascriptOf(source, cacheFolder);
    const run = vm.compileFunction(
      code,
      ["exports", "require", "module", "__filename", "__dirname", "jitiImport", "jitiESMResolve"],
      {
        filename: source.file,
      },
    );
    const module = { exports: {} as Record<string, unknown> };
    const only = (name: string): unknown => {
      if (name === "runbook") return words;
      throw new Failure("invalid", `${source.file} imports "${name}"; a runbook imports only "runbook"`, {
        hint: "what it needs of the outside world it asks of the ports that each step is given",
      });
    };
    (run as (...args: unknown[]) => void)(module.exports, only, module, source.file, "", only, undefined);
    const unreadable = module.exports[unreadableMark] as SyntaxTrouble | undefined;
    if (unreadable !== undefined) throw unreadableAt(source.file, unreadable);
    exported = module.exports["default"];
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind === "invalid") throw failure;
    const first = failure.message.split("\n")[0] ?? "";
    throw new Failure("invalid", `${source.file} cannot be loaded: ${first}`, {
      cause: thrown,
      hint: "mend the file",
    });
  }
  if (exported === null || typeof exported !== "object" || (exported as Runbook).kind !== "runbook")
    throw new Failure("invalid", `${source.file} does not export a runbook as its default`, {
      hint: 'end it with `export default runbook({ title: "…", steps: () => ({ … }) })`',
    });
  return exported as Runbook;
}

async function javascriptOf(source: Source, cacheFolder: string | undefined): Promise<string> {
  const name = `${sha256([productVersion(), source.file, source.text].join("\0"))}.cjs`;
  const kept = cacheFolder === undefined ? undefined : await findKept(cacheFolder, name);
  if (kept !== undefined) return kept;
  const { createJiti } = createRequire(import.meta.url)("jiti") as typeof Jiti;
  // jiti's own cache lies in a folder that everybody may write to, and it would run whatever it found there.
  const jiti = createJiti(import.meta.url, { fsCache: false });
  const code = jiti.transform({ source: source.text, filename: source.file, ts: true, async: false });
  if (cacheFolder !== undefined && !code.includes(unreadableMark)) await keep(cacheFolder, name, code);
  return code;
}

// The cache saves time and nothing else: where it cannot be used (a full disk, a folder that is somebody else's), the
// text is read anew, and whatever needs the folder for more than that says what is wrong with it.
async function findKept(folder: string, name: string): Promise<string | undefined> {
  const uid = process.getuid?.();
  try {
    return (await checkFolder(folder, uid))
      ? (await readOwn(join(folder, name), uid))?.toString()
      : undefined;
  } catch {
    return undefined;
  }
}

async function keep(folder: string, name: string, code: string): Promise<void> {
  try {
    await makeFolder(folder);
    if (await checkFolder(folder, process.getuid?.())) await placeNew(folder, name, code);
  } catch {
    return;
  }
}

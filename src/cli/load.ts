/** Loading runbooks: TypeScript loads as it is, from the texts alone, and may import nothing of the outside world. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import vm from "node:vm";

import type * as Jiti from "jiti";

import { asFailure, Failure } from "../errors.ts";
import type { Runbook } from "../runbook/step.ts";
import { checkFolder, makeFolder, placeNew, readOwn } from "../store/private-files.ts";
import { productFolder, productVersion } from "./product.ts";
import { partPath, sha256, type Source } from "./source.ts";

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

/** JavaScript of the product's own runbooks, made when it is built (`prepare-runbooks.ts`): trusted as it is. */
export const builtFolder: string = join(productFolder, "dist", "runbooks");

/**
 * The runbook in a text. A file that cannot be read as one is refused with what is wrong in it. To make JavaScript of
 * TypeScript takes up to seconds; what came of it is kept in the folder given, under the digest of the text.
 */
export async function loadRunbook(source: Source, cacheFolder?: string): Promise<Runbook> {
  const words = await import("../runbook/words.ts");
  const texts = { ...source.parts, [source.file]: source.text };
  const code = new Map<string, string>();
  for (const [file, text] of Object.entries(texts))
    code.set(file, await javascriptOf(file, text, cacheFolder));
  const modules = new Map<string, { exports: Record<string, unknown> }>();

  // Files may import each other in a circle, as modules may: each is there before it is played.
  const load = (file: string): Record<string, unknown> => {
    const known = modules.get(file);
    if (known) return known.exports;
    const module = { exports: {} as Record<string, unknown> };
    modules.set(file, module);
    const only = (name: string): unknown => {
      if (name === "runbook") return words;
      const part = name.startsWith(".") ? partPath(file, name) : undefined;
      if (part !== undefined && code.has(part)) return load(part);
      throw new Failure("invalid", `${file} imports "${name}"; a runbook imports only "runbook"`, {
        hint: "what it needs of the outside world it asks of the ports that each step is given; steps that it shares lie in a file beside it",
      });
    };
    const names = ["exports", "require", "module", "__filename", "__dirname", "jitiImport", "jitiESMResolve"];
    const run = vm.compileFunction(code.get(file) ?? "", names, { filename: file }) as (
      ...args: unknown[]
    ) => void;
    run(module.exports, only, module, file, "", only, undefined);
    const unreadable = module.exports[unreadableMark] as SyntaxTrouble | undefined;
    if (unreadable !== undefined) throw unreadableAt(file, unreadable);
    return module.exports;
  };

  let exported: unknown;
  try {
    exported = load(source.file)["default"];
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

async function javascriptOf(file: string, text: string, cacheFolder: string | undefined): Promise<string> {
  const name = codeName(file, text);
  const built = join(builtFolder, name);
  if (existsSync(built)) return readFileSync(built, "utf8");
  const kept = cacheFolder === undefined ? undefined : await findKept(cacheFolder, name);
  if (kept !== undefined) return kept;
  const code = translate(file, text);
  if (cacheFolder !== undefined && !code.includes(unreadableMark)) await keep(cacheFolder, name, code);
  return code;
}

/** The file's name that the JavaScript of a text is kept under. */
export function codeName(file: string, text: string): string {
  return `${sha256([productVersion(), file, text].join("\0"))}.cjs`;
}

/** JavaScript of a text; of one that cannot be read, JavaScript that says what is wrong. */
export function translate(file: string, text: string): string {
  const { createJiti } = createRequire(import.meta.url)("jiti") as typeof Jiti;
  // jiti's own cache lies in a folder that everybody may write to, and it would run whatever it found there.
  const jiti = createJiti(import.meta.url, { fsCache: false });
  return jiti.transform({ source: text, filename: file, ts: true, async: false });
}

// The cache saves time and nothing else: where it cannot be used (a full disk, a folder that is somebody else's), the
// text is read anew, and whatever needs the folder for more than that says what is wrong with it.
async function findKept(folder: string, name: string): Promise<string | undefined> {
  const uid = process.getuid?.();
  try {
    return checkFolder(folder, uid) ? readOwn(join(folder, name), uid)?.toString() : undefined;
  } catch {
    return undefined;
  }
}

async function keep(folder: string, name: string, code: string): Promise<void> {
  try {
    makeFolder(folder);
    if (checkFolder(folder, process.getuid?.())) await placeNew(folder, name, code);
  } catch {
    return;
  }
}

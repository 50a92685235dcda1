/** Runbooks checked without a cluster and without an inventory: as they are written, and on every path that a run could take. */
import { statSync } from "node:fs";
import { basename, extname, isAbsolute, relative, resolve } from "node:path";

import { nearest } from "../config/nearest.ts";
import { lint as check, type Finding } from "../engine/lint.ts";
import { asFailure, Failure } from "../errors.ts";
import type { Params } from "../runbook/step.ts";
import { exitCodes, fileTrouble, harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { listRunbooks, readSource } from "./source.ts";

export interface Checked {
  readonly name: string;
  readonly file: string;
  readonly findings: readonly Finding[];
  /** False where the parameters have too many combinations, and each value was taken once. */
  readonly everyCombination: boolean;
}

export async function lint(named: readonly string[], options: { json?: boolean }): Promise<number> {
  const cwd = process.cwd();
  const checked: Checked[] = [];
  for (const [name, file] of wantedOf(named, cwd))
    checked.push({ name, file: shown(file, cwd), ...(await checkFile(file)) });
  const text = options.json === true ? `${JSON.stringify(checked, null, 2)}\n` : sayChecked(checked);
  process.stdout.write(text);
  return checked.some(({ findings }) => findings.length > 0) ? exitCodes.usage : exitCodes.done;
}

/** Names with their files; all that `runbook list` shows where none is named. */
export function wantedOf(
  named: readonly string[],
  cwd: string,
): readonly (readonly [name: string, file: string])[] {
  const all = listRunbooks(cwd);
  return named.length === 0 ? [...all] : named.map((one) => fileOf(one, all, cwd));
}

/** What has a dot or a slash in it is a file, as for `run`. */
function fileOf(
  named: string,
  all: ReadonlyMap<string, string>,
  cwd: string,
): readonly [name: string, file: string] {
  if (/[./]/.test(named)) {
    const file = resolve(cwd, named);
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === true) return [nameOf(file), file];
    throw new Failure("invalid", `there is no file ${named}`, {
      hint: "name a runbook's file, or a runbook",
    });
  }
  const file = all.get(named);
  if (file !== undefined) return [named, file];
  const names = [...all.keys()];
  const guess = nearest(named, names);
  throw new Failure("invalid", `there is no runbook "${named}"`, {
    hint: guess === undefined ? `known are ${names.join(", ")}` : `did you mean "${guess}"?`,
  });
}

async function checkFile(file: string): Promise<Pick<Checked, "findings" | "everyCombination">> {
  try {
    const { findings, complete } = check(await loadRunbook(readSource(file), codeCache()), nearest);
    return { findings, everyCombination: complete };
  } catch (thrown) {
    return { findings: [{ what: sayUnusable(thrown) }], everyCombination: true };
  }
}

/** Why a file cannot be used as a runbook. */
function sayUnusable(thrown: unknown): string {
  if (thrown instanceof Error && "syscall" in thrown) return `it cannot be read: ${fileTrouble(thrown)}`;
  const { kind, message, hint } = asFailure(thrown);
  if (kind !== "invalid") throw thrown;
  return hint === undefined ? message : `${message} (${hint})`;
}

function nameOf(file: string): string {
  return basename(file, extname(file));
}

function shown(file: string, cwd: string): string {
  const path = relative(cwd, file);
  return path.startsWith("..") || isAbsolute(path) ? file : path;
}

export function sayChecked(checked: readonly Checked[]): string {
  const found = checked.flatMap(({ file, findings, everyCombination }) => [
    ...findings.map(
      ({ step, what, with: params }) =>
        `${file}: ${step === undefined ? "" : `step "${step}" `}${what}${sayParams(params)}`,
    ),
    ...(everyCombination
      ? []
      : [
          `${file}: its parameters have too many combinations; each value was checked with the others' first`,
        ]),
  ]);
  const faulty = checked.filter(({ findings }) => findings.length > 0);
  const count = checked.reduce((sum, { findings }) => sum + findings.length, 0);
  const [one] = checked;
  const end =
    count > 0
      ? `${sayCount(count, "finding")} in ${faulty.length} of ${sayCount(checked.length, "runbook")}`
      : checked.length === 1 && one
        ? `${one.file} is clean`
        : `${checked.length} runbooks are clean`;
  return [...found, end].map((line) => `${harmless(line)}\n`).join("");
}

function sayParams(params: Params | undefined): string {
  const said = Object.entries(params ?? {}).map(([name, value]) => `${name}=${value}`);
  return said.length === 0 ? "" : ` (with ${said.join(", ")})`;
}

function sayCount(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** Runs that were really walked, in a store on the disk, and bundles of them; and what somebody would do who forges one. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";

import { bundleOf, writeBundle } from "../../src/cli/evidence.ts";
import {
  filesTold,
  fromJournal,
  journalOf,
  manifestText,
  sumsText,
  type Files,
  type Manifest,
} from "../../src/cli/evidence-contents.ts";
import { verifyBundle, type VerifyGiven } from "../../src/cli/evidence-verify.ts";
import { systemClock } from "../../src/drivers/clock/system.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { formatRow, segmentNumber } from "../../src/store/rows.ts";
import { openStore } from "../../src/store/store.ts";
import { strangersCommands, surprises } from "../support/page-shell.ts";
import { openSimulation } from "../support/simulation.ts";
import { killedWhen, outcomeOf, takeUp } from "../support/story.ts";

export const signer = "ops@example.com";
const programs = ["jq", "ssh-keygen"];

/** Why the page's commands cannot be typed here; undefined where they can. */
export const noPrograms: string | undefined = programs.every((program) =>
  (process.env["PATH"] ?? "").split(":").some((folder) => readable(join(folder, program))),
)
  ? undefined
  : `${programs.join(" and ")} are not installed (node test/support/setup.mjs installs them on Debian as root)`;

function readable(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

const page = readFileSync(join(import.meta.dirname, "../../docs/how-to/verify-evidence.md"), "utf8");
export const commands = strangersCommands(page);
export const signed = commands.filter(({ text }) => text.startsWith("ssh-keygen"));
export const unsigned = commands.filter((command) => !signed.includes(command));
export const lists = commands.filter(({ text }) => /^find |sha256sum --quiet -c/.test(text));

export interface Field {
  /** A folder for bundles, with `allowed_signers`; `note` is written by each bundle's test. */
  readonly folder: string;
  readonly home: string;
  readonly key: string;
  readonly otherKey: string;
  readonly allowed: string;
  keep(run: string, rows: readonly Line[]): Promise<void>;
  bundle(run: string, name: string, signed?: boolean): Promise<{ folder: string; manifest: Manifest }>;
  close(): void;
}

export interface Bundles {
  readonly good: string;
  /** Of a run that was killed and taken up, with a void row. */
  readonly resumed: string;
  /** Heads that were kept elsewhere, by bundle. */
  readonly heads: { readonly [bundle: string]: string };
}

/** A run that went through, another one of its kind, one that was never taken up, and the same one taken up. */
export async function walkRuns(field: Field): Promise<Bundles> {
  const sim = await openSimulation({ copySeconds: 60 });
  const keep = async (run: string, name: string) =>
    field.keep(name, (await sim.runner().store.read(run)).rows);
  try {
    await keep((await sim.runner().run()).walk.run, "whole");
    await keep((await sim.runner().run()).walk.run, "other");
    const { run } = await killedWhen(sim, {}, outcomeOf("stopGroups"));
    await keep(run, "killed");
    await takeUp(sim, run, "undo");
    await keep(run, "resumed");
  } finally {
    sim.close();
  }
  addVoidRow(join(field.home, "runs/resumed/0001.jsonl"));
  const whole = await field.bundle("whole", "whole-evidence");
  const taken = await field.bundle("resumed", "resumed-evidence");
  const heads = {
    [whole.folder]: whole.manifest.journal.head,
    [taken.folder]: taken.manifest.journal.head,
  };
  return { good: whole.folder, resumed: taken.folder, heads };
}

/** The overtaken writer had one more row under way. */
function addVoidRow(file: string): void {
  const last = linesOf(file).at(-1) ?? "";
  const { n, sum } = JSON.parse(last) as { n: number; sum: string };
  appendFileSync(file, `${resummed(last.replace(/^\{"n":\d+/, `{"n":${n + 1}`), sum)}\n`);
}

/** What the command finds, a line each. */
export function told(folder: string, given: VerifyGiven = {}): readonly string[] {
  return verifyBundle(folder, given).findings.map(({ file, what }) => `${file}: ${what}`);
}

/** What the page's commands print other than the page shows. */
export function typed(folder: string, which: typeof commands, head: string | undefined): readonly string[] {
  writeFileSync(join(folder, "../note"), `head: ${head ?? ""}\n`);
  return surprises(which, folder).map(({ command, said }) => `$ ${command}\n${said}`);
}

/** All that somebody can compare with: the head that was kept, and the sender's key. */
export function everything(field: Field, head = ""): Required<VerifyGiven> {
  const [n = "", hash = ""] = head.split(":");
  return { head: { n: Number(n), hash }, signers: { file: field.allowed, name: signer } };
}

/** What a command of ours prints, and its exit code. */
export async function say(field: Field, act: () => Promise<number>) {
  let out = "";
  vi.stubEnv("RUNBOOK_HOME", field.home);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  const code = await act();
  vi.restoreAllMocks();
  return { code, out };
}

export function openField(): Field {
  const folder = mkdtempSync(join(tmpdir(), "runbook-evidence-"));
  const home = join(folder, "home");
  mkdirSync(home, { mode: 0o700 });
  const store = openStore(home);
  const newKey = (name: string) => {
    const file = join(folder, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file]);
    return file;
  };
  const key = newKey("key");
  const otherKey = newKey("other-key");
  const allowed = join(folder, "allowed_signers");
  writeFileSync(allowed, `${signer} namespaces="runbook-evidence" ${readFileSync(`${key}.pub`, "utf8")}`);
  return {
    folder,
    home,
    key,
    otherKey,
    allowed,
    async keep(run, rows) {
      const [first, ...rest] = rows;
      if (!first) throw new Error("a run has rows");
      let writer = await store.create(first as never, first.at, run);
      for (const { kind, body, at } of rest) {
        if (kind !== "taken-over") {
          await writer.append(kind, body as never, at);
          continue;
        }
        await writer.close();
        writer = await store.takeOver(run, at);
      }
      await writer.close();
    },
    async bundle(run, name, signed = true) {
      const place = { store, folder: home, clock: systemClock(), lab: false };
      const { files, manifest } = await bundleOf(place, run, signed);
      const out = join(folder, name);
      await writeBundle(out, files, signed ? key : undefined);
      return { folder: out, manifest };
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export const linesOf = (file: string) => readFileSync(file, "utf8").trimEnd().split("\n");
export const writeLines = (file: string, lines: readonly string[]) =>
  writeFileSync(file, `${lines.join("\n")}\n`);

/** A row with its sum made anew, and with another `prev` if one is given. */
export function resummed(line: string, prev?: string): string {
  const row = JSON.parse(line) as { n: number; at: number; kind: string; body: unknown; prev: string };
  const { n, at, kind, body } = row;
  return formatRow({
    n,
    at,
    kind,
    bodyText: JSON.stringify(body),
    prev: prev ?? row.prev,
  }).line.trimEnd();
}

/** Every row from the first, numbered and chained anew. */
export function rechained(lines: readonly string[]): readonly string[] {
  let prev = "";
  return lines.map((line, i) => {
    const made = resummed(line.replace(/^\{"n":\d+/, `{"n":${i + 1}`), prev);
    prev = (JSON.parse(made) as { sum: string }).sum;
    return made;
  });
}

/** What a careful forger makes anew: the lists; with `claims`, also what the manifest says of the journal. */
export function relist(folder: string, claims: boolean): void {
  const file = join(folder, "manifest.json");
  const files = readAll(folder);
  for (const name of ["manifest.json", "SHA256SUMS", "SHA256SUMS.sig"]) files.delete(name);
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Manifest;
  const segments = [...files]
    .filter(([path]) => path.startsWith("journal/"))
    .map(([path, bytes]) => ({ number: segmentNumber(path.slice(8)) ?? 0, bytes }));
  const said = claims ? { ...manifest, ...fromJournal(journalOf("forged", segments)) } : manifest;
  const text = manifestText({ ...said, files: filesTold(files) });
  writeFileSync(file, text);
  files.set("manifest.json", Buffer.from(text));
  writeFileSync(join(folder, "SHA256SUMS"), sumsText(files));
}

function readAll(folder: string): Map<string, Buffer> & Files {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const files = paths.filter((path) => statSync(join(folder, path)).isFile());
  return new Map(files.map((path) => [path, readFileSync(join(folder, path))]));
}

export function filesIn(folder: string): readonly string[] {
  return [...readAll(folder).keys()];
}

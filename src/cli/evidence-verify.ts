/** Verifying a bundle of evidence: everything that the documented page looks at, in one go, and where it does not fit. */
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";

import { startOf } from "../engine/start-row.ts";
import { asFailure, Failure } from "../errors.ts";
import { canonical, hashOf } from "../runbook/plan.ts";
import { parseSegment, segmentNumber } from "../store/rows.ts";
import type { SegmentFile } from "../store/segments.ts";
import {
  brokenIn,
  filesTold,
  fromJournal,
  headOf,
  journalOf,
  journalPath,
  manifestFile,
  manifestText,
  planFiles,
  signatureFile,
  sumsFile,
  sumsText,
  type Files,
  type FileTold,
  type FromJournal,
  type Journal,
  type Manifest,
} from "./evidence-contents.ts";
import { isAsWritten, signedWith, wrongSignature, type Signers } from "./evidence-sign.ts";
import { fileTrouble } from "./exit.ts";
import { digestOf } from "./source.ts";

export interface Finding {
  readonly file: string;
  /** The rest of the sentence that begins with the file. */
  readonly what: string;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  /** N:HASH of the last row that counts, where the chain holds. */
  readonly head: string | undefined;
  readonly rows: number;
  /** The key of a signature that fits, whoever it belongs to. */
  readonly signedWith: string | undefined;
}

export interface VerifyGiven {
  readonly head?: { readonly n: number; readonly hash: string };
  readonly signers?: Signers;
}

export function verifyBundle(folder: string, given: VerifyGiven = {}): Verdict {
  const findings: Finding[] = [];
  const find = (file: string, what: string) => void findings.push({ file, what });
  const all = readBundle(folder, find);
  const files = new Map([...all].filter(([path]) => path !== sumsFile && path !== signatureFile));

  checkSums(files, all.get(sumsFile), find);
  const { journal, derived } = checkJournal(basename(resolve(folder)), files, given.head, find);
  const manifest = attempt(manifestFile, find, () => checkManifest(files, derived, find));
  const key = checkSignature(folder, all, manifest, given.signers, find);
  return { findings, head: journal?.told.head, rows: journal?.rows.length ?? 0, signedWith: key };
}

type Find = (file: string, what: string) => void;

/** Every file below the folder; a link, which could lead anywhere, is not read. */
function readBundle(folder: string, find: Find): Files {
  const files = new Map<string, Buffer>();
  const walk = (below: string) => {
    for (const name of readdirSync(join(folder, below)).sort()) {
      const path = below === "" ? name : `${below}/${name}`;
      const stats = lstatSync(join(folder, path));
      if (stats.isDirectory()) walk(path);
      else if (stats.isFile()) files.set(path, readFileSync(join(folder, path)));
      else find(path, "is neither a file nor a folder");
    }
  };
  try {
    walk("");
  } catch (thrown) {
    throw new Failure("invalid", `${folder} cannot be read as a bundle: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "name the folder that `runbook evidence RUN` made",
    });
  }
  return files;
}

function checkSums(files: Files, sums: Buffer | undefined, find: Find): void {
  if (sums === undefined) return find(sumsFile, "is missing");
  const wanted = sumsText(files);
  if (sums.equals(Buffer.from(wanted))) return;
  const listed = new Map<string, string>();
  let told = false;
  const tell: Find = (file, what) => {
    told = true;
    find(file, what);
  };
  for (const [i, line] of sums.toString("utf8").replace(/\n$/, "").split("\n").entries()) {
    const [, sum = "", path] = /^([0-9a-f]{64}) {2}\.\/(.+)$/.exec(line) ?? [];
    if (path === undefined) tell(sumsFile, `line ${i + 1} is not a sum and a file`);
    else listed.set(path, sum);
  }
  for (const { path, sha256 } of filesTold(files)) {
    const sum = listed.get(path);
    if (sum === undefined) tell(path, `is not listed in ${sumsFile}`);
    else if (sum !== sha256) tell(path, `was changed: its sha256 is not the one in ${sumsFile}`);
  }
  for (const path of listed.keys()) if (!files.has(path)) tell(path, `is listed in ${sumsFile}, and missing`);
  if (!told) find(sumsFile, "was changed: its lines are not as they were written");
}

/** The chain itself, and what was made of its first row. */
function checkJournal(
  name: string,
  files: Files,
  head: VerifyGiven["head"],
  find: Find,
): { readonly journal: Journal | undefined; readonly derived: FromJournal | undefined } {
  const segments = segmentsIn(files);
  if (segments.length === 0) {
    find("journal", "has no segment");
    return { journal: undefined, derived: undefined };
  }
  const broken = brokenIn(segments);
  for (const { file, what } of broken) find(file, what);
  const journal = broken.length === 0 ? attempt("journal", find, () => journalOf(name, segments)) : undefined;
  if (journal && head) checkHead(journal, head, find);
  // The plan can be compared even where a later row does not fit.
  const rows = journal?.rows ?? segments.flatMap(({ number, bytes }) => parseSegment(number, bytes).rows);
  if (rows[0]?.n === 1) attempt(journalPath(1), find, () => checkPlan(files, startOf(rows).plan, find));
  const derived = journal && attempt("journal", find, () => fromJournal(journal));
  return { journal, derived };
}

function segmentsIn(files: Files): readonly SegmentFile[] {
  return [...files]
    .flatMap(([path, bytes]) => {
      const number = path.startsWith("journal/") ? segmentNumber(path.slice("journal/".length)) : undefined;
      return number === undefined ? [] : [{ number, bytes }];
    })
    .sort((a, b) => a.number - b.number);
}

function checkHead({ rows, told }: Journal, head: { n: number; hash: string }, find: Find): void {
  const row = rows[head.n - 1];
  if (row === undefined)
    find(
      told.segments.at(-1)?.file ?? "journal",
      `ends with row ${rows.length}, and the head that was kept is row ${head.n}: the newest rows were cut off`,
    );
  else if (row.sum !== head.hash)
    find("journal", `row ${head.n} is ${headOf(row)}, and not the head that was kept: it was written anew`);
}

function checkPlan(files: Files, plan: Parameters<typeof planFiles>[0], find: Find): void {
  if (hashOf(plan) !== plan.hash) find(journalPath(1), "row 1 holds a plan that its hash does not fit");
  if (digestOf(plan.source) !== plan.source.sha256)
    find(journalPath(1), "row 1 holds a runbook that its sha256 does not fit");
  const wanted = planFiles(plan);
  for (const [path, bytes] of wanted) {
    const found = files.get(path);
    if (found === undefined) find(path, "is missing: the journal's first row has it");
    else if (!found.equals(bytes)) find(path, "is not what the journal's first row has");
  }
  for (const path of files.keys())
    if (path.startsWith("source/") && !wanted.has(path)) find(path, "is no file of the plan's runbook");
}

function checkManifest(files: Files, derived: FromJournal | undefined, find: Find): Manifest | undefined {
  const text = files.get(manifestFile)?.toString("utf8");
  if (text === undefined) {
    find(manifestFile, "is missing");
    return undefined;
  }
  const manifest = JSON.parse(text) as Manifest | null;
  if (manifest?.format !== 1)
    throw new Failure("unsupported", `it is of format ${short(manifest?.format)}, and this version knows 1`);
  if (manifestText(manifest) !== text) find(manifestFile, "is not in the form in which it was written");
  const others = new Map([...files].filter(([path]) => path !== manifestFile));
  const listed = new Map(listOf(manifest.files).map((told) => [told?.path ?? "", told]));
  for (const told of filesTold(others)) {
    if (!listed.has(told.path)) find(told.path, `is not listed in ${manifestFile}`);
    else if (canonical(listed.get(told.path)) !== canonical(told))
      find(told.path, `was changed: ${manifestFile} has another size or sha256`);
  }
  for (const path of listed.keys())
    if (!others.has(path)) find(path, `is listed in ${manifestFile}, and missing`);
  if (derived) checkClaims(manifest, derived, find);
  return manifest;
}

function listOf(value: unknown): readonly (Partial<FileTold> | null)[] {
  return Array.isArray(value) ? (value as (Partial<FileTold> | null)[]) : [];
}

/** What the manifest says of the journal, against the journal. */
function checkClaims(manifest: Manifest, derived: FromJournal, find: Find): void {
  for (const [key, is] of Object.entries(derived)) {
    const said = (manifest as unknown as { readonly [key: string]: unknown })[key];
    if (key === "journal" || canonical(said) === canonical(is)) continue;
    find(manifestFile, `says ${key} ${short(said)}, and the journal ${short(is)}`);
  }
  const said: Partial<Manifest["journal"]> = manifest.journal ?? {};
  const { journal } = derived;
  if (canonical(said) === canonical(journal)) return;
  const cut = typeof said.rows === "number" && said.rows > journal.rows;
  if (said.head === journal.head) find(manifestFile, "tells the journal's segments otherwise than they are");
  else
    find(
      journal.segments.at(-1)?.file ?? "journal",
      `ends with row ${journal.rows}; ${manifestFile} says ${short(said.head)}: ` +
        (cut ? "the newest rows were cut off" : "this is another journal, or the manifest was changed"),
    );
}

function checkSignature(
  folder: string,
  files: Files,
  manifest: Manifest | undefined,
  signers: Signers | undefined,
  find: Find,
): string | undefined {
  const sums = files.get(sumsFile);
  const signature = files.get(signatureFile);
  if (signature === undefined) {
    if (signers || manifest?.signed === true)
      find(signatureFile, signers ? "is missing: the bundle is not signed" : "is missing: it was signed");
    return undefined;
  }
  if (!isAsWritten(signature)) find(signatureFile, "is not in the form that ssh-keygen writes");
  if (sums === undefined) return undefined;
  const wrong = signers && wrongSignature(folder, sums, signers);
  if (wrong !== undefined) find(signatureFile, wrong);
  const by = signedWith(folder, sums);
  if ("key" in by) return by.key;
  if (wrong === undefined) find(signatureFile, by.wrong);
  return undefined;
}

/** Whatever a bundle from another hand makes fail is a finding, with the place. */
function attempt<T>(file: string, find: Find, look: () => T): T | undefined {
  try {
    return look();
  } catch (thrown) {
    find(file, `does not hold: ${asFailure(thrown).message}`);
    return undefined;
  }
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

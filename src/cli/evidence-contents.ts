/**
 * What a bundle of evidence holds, and what follows from what: the journal's segments are the root, and the plan, the
 * runbook's files and most of the manifest are made of them. So whoever makes a bundle and whoever verifies one ask the same
 * functions, and what was changed in one place only does not fit any more.
 *
 * A stranger verifies it without us (docs/how-to/verify-evidence.md). That is why plan.json is in the very form that the
 * plan's hash is taken of, and source.json holds the very bytes that the runbook's sha256 is taken of: no program has to
 * write numbers and escapes as we do.
 */
import { createHash } from "node:crypto";

import { startOf } from "../engine/start-row.ts";
import { Failure } from "../errors.ts";
import type { Row } from "../ports/store.ts";
import { canonical, type Plan } from "../runbook/plan.ts";
import { joinSegments, parseSegment, segmentName, type StoredRow } from "../store/rows.ts";
import type { SegmentFile } from "../store/segments.ts";

/** Path in the bundle, with "/" between its parts, and what is there. */
export type Files = ReadonlyMap<string, Buffer>;

export interface SegmentTold {
  readonly file: string;
  /** Whole rows, the void ones included. */
  readonly rows: number;
  /** Rows at its end that do not count: their writer had been overtaken, or could not know whether they were kept. */
  readonly void: number;
  /** What follows its last whole row: it was never acknowledged. */
  readonly torn?: string;
}

export interface JournalTold {
  /** The last row that counts, as N:HASH. Whoever has it can tell whether rows were cut off. */
  readonly head: string;
  readonly rows: number;
  readonly first: string;
  readonly last: string;
  readonly segments: readonly SegmentTold[];
}

export interface FileTold {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly format: 1;
  readonly run: string;
  readonly runbook: string;
  readonly cluster: string;
  readonly lab: boolean;
  /** As `runbook runs` showed it when the bundle was made. */
  readonly state: string;
  readonly startedAt: number;
  readonly ends: readonly { readonly row: number; readonly at: number; readonly end: string }[];
  /** The run has no end that is one: what comes after it has another head. */
  readonly mayGoOn: boolean;
  readonly plan: { readonly hash: string; readonly tool: string };
  readonly source: { readonly file: string; readonly sha256: string };
  readonly journal: JournalTold;
  /** When the bundle was made, and by which version. */
  readonly bundled: { readonly at: number; readonly tool: string };
  readonly signed: boolean;
  readonly files: readonly FileTold[];
}

/** What of a manifest follows from the journal alone. */
export type FromJournal = Pick<
  Manifest,
  "runbook" | "cluster" | "startedAt" | "ends" | "mayGoOn" | "plan" | "source" | "journal"
>;

export const sumsFile = "SHA256SUMS";
export const signatureFile = "SHA256SUMS.sig";
export const manifestFile = "manifest.json";

export interface Journal {
  /** Those that count. */
  readonly rows: readonly StoredRow[];
  /** The end of the last segment, where it is torn. */
  readonly torn: string | undefined;
  readonly told: JournalTold;
}

/** The rows that do not verify by themselves. A store reads over them where they are void; evidence does not. */
export function brokenIn(
  files: readonly SegmentFile[],
): readonly { readonly file: string; readonly what: string }[] {
  return files.flatMap(({ number, bytes }) => {
    const { broken } = parseSegment(number, bytes);
    return broken === undefined ? [] : [{ file: journalPath(number), what: broken }];
  });
}

/** Joins the segments; Failure `invalid` names the row that does not fit. */
export function journalOf(run: string, files: readonly SegmentFile[]): Journal {
  const segments = files.map(({ number, bytes }) => parseSegment(number, bytes));
  const { rows, torn } = joinSegments(run, segments);
  const [first] = rows;
  const last = rows.at(-1);
  if (first === undefined || last === undefined)
    throw new Failure("invalid", "the journal holds no whole row", {
      hint: "nothing was done in this run",
    });
  const counted = new Set(rows.map(({ sum }) => sum));
  return {
    rows,
    torn,
    told: {
      head: headOf(last),
      rows: rows.length,
      first: first.sum,
      last: last.sum,
      segments: segments.map((segment) => ({
        file: journalPath(segment.number),
        rows: segment.rows.length,
        void: segment.rows.filter(({ sum }) => !counted.has(sum)).length,
        ...(segment.torn !== undefined && { torn: segment.torn }),
      })),
    },
  };
}

export function journalPath(number: number): string {
  return `journal/${segmentName(number)}`;
}

export function headOf({ n, sum }: Pick<StoredRow, "n" | "sum">): string {
  return `${n}:${sum}`;
}

export function fromJournal({ rows, told }: Journal): FromJournal {
  const { plan } = startOf(rows);
  return {
    runbook: plan.runbook,
    cluster: plan.cluster,
    startedAt: rows[0]?.at ?? 0,
    ends: rows
      .filter(({ kind }) => kind === "end")
      .map((row) => ({ row: row.n, at: row.at, end: endOf(row) })),
    mayGoOn: mayGoOn(rows),
    plan: { hash: plan.hash, tool: plan.tool },
    source: { file: plan.source.file, sha256: plan.source.sha256 },
    journal: told,
  };
}

function mayGoOn(rows: readonly Row[]): boolean {
  const last = rows.at(-1);
  return last?.kind !== "end" || !["succeeded", "given back", "refused"].includes(endOf(last));
}

function endOf({ body }: Row): string {
  return typeof body["end"] === "string" ? body["end"] : "";
}

/** The plan of the first row and the runbook's files, as files. */
export function planFiles(plan: Plan): Files {
  const { file, text, parts } = plan.source;
  const texts = [[file, text] as const, ...Object.entries(parts)];
  const files = new Map([["plan.json", Buffer.from(`${canonical(plan)}\n`)]]);
  for (const [path, content] of texts) files.set(sourcePath(path), Buffer.from(content));
  if (Object.keys(parts).length > 0)
    files.set("source.json", Buffer.from(JSON.stringify([text, Object.entries(parts).sort()])));
  return files;
}

/** A journal may come from another hand: its names must not lead out of the folder, nor confuse a list of files. */
function sourcePath(path: string): string {
  const plain = path
    .split("/")
    .every((part) => part !== "" && part !== "." && part !== ".." && !/[\p{Cc}\\]/u.test(part));
  if (plain) return `source/${path}`;
  throw new Failure("invalid", `${JSON.stringify(path)} names no file that could lie in a bundle`, {
    hint: "the journal names it as a file of its runbook; look where that journal comes from",
  });
}

export function filesTold(files: Files): readonly FileTold[] {
  return [...files]
    .map(([path, bytes]) => ({ path, bytes: bytes.length, sha256: sha256Of(bytes) }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
}

/** As `find . ! -type d | LC_ALL=C sort | xargs sha256sum` prints it. */
export function sumsText(files: Files): string {
  return filesTold(files)
    .map(({ path, sha256 }) => `${sha256}  ./${path}\n`)
    .join("");
}

export function manifestText(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

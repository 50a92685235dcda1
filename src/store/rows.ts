/**
 * The rows of a journal, as lines, and the chain that proves them.
 *
 * A line is one JSON object with its keys in this order, and a newline:
 *
 *   {"n":2,"at":1700000000000,"kind":"intent","body":{…},"prev":"<64 hex>","sum":"<64 hex>"}
 *
 * `sum` is the sha256 of the line's own bytes up to, and without, the last `,"sum":`, closed with `}`. `prev` is the
 * `sum` of the valid row before it, and "" in the very first row. A stranger verifies row 2 of a segment so:
 *
 *   sed -n 2p 0001.jsonl | jq -r .sum
 *   sed -n 2p 0001.jsonl | sed 's/,"sum":"[0-9a-f]*"}$/}/' | tr -d '\n' | sha256sum
 *   sed -n 1p 0001.jsonl | jq -r .sum      # must be: sed -n 2p 0001.jsonl | jq -r .prev
 *
 * A run is a folder of segments, 0001.jsonl and on. The first row of a segment names, by its `prev`, the row after
 * which it goes on. Whatever was written after that row in any earlier segment is void: it was never acknowledged.
 * The last row of the last segment may be torn; it is left out. Nothing is ever truncated or rewritten.
 */
import { createHash, hash } from "node:crypto";
import { Failure } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import type { Row } from "../ports/store.ts";

export interface StoredRow extends Row {
  readonly prev: string;
  readonly sum: string;
}

export interface Segment {
  readonly number: number;
  readonly rows: readonly StoredRow[];
  /** The first line that does not verify; `rows` ends before it. */
  readonly broken: string | undefined;
  /** The last line, where it was not written to its end. */
  readonly torn: string | undefined;
}

export interface Chain {
  readonly rows: readonly StoredRow[];
  readonly torn: string | undefined;
}

export function segmentName(number: number): string {
  return `${String(number).padStart(4, "0")}.jsonl`;
}

/** The number of a segment's file; undefined for any other file. */
export function segmentNumber(file: string): number | undefined {
  const digits = /^(\d{4,})\.jsonl$/.exec(file)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** `bodyText` is the body as JSON, made when the row was handed over. */
export function formatRow(row: Omit<Row, "body"> & { readonly bodyText: string; readonly prev: string }): {
  readonly line: string;
  readonly sum: string;
} {
  const open = `{"n":${row.n},"at":${row.at},"kind":${JSON.stringify(row.kind)},"body":${row.bodyText},"prev":"${row.prev}"`;
  const sum = hash("sha256", `${open}}`, "hex");
  return { line: `${open},"sum":"${sum}"}\n`, sum };
}

/** Reads one segment as far as it verifies by itself. `prev` of its first row is looked at by `joinSegments`. */
export function parseSegment(number: number, bytes: Buffer): Segment {
  const rows: StoredRow[] = [];
  for (let start = 0; start < bytes.length;) {
    const where = `row ${rows.length + 1} of ${segmentName(number)}`;
    const newline = bytes.indexOf(0x0a, start);
    const end = newline < 0 ? bytes.length : newline;
    const line = bytes.subarray(start, end);
    const parsed = newline < 0 ? undefined : parseLine(line, rows.at(-1));
    if (typeof parsed === "object") {
      rows.push(parsed);
      start = end + 1;
      continue;
    }
    if (parsed === undefined || hasHole(bytes, start, end)) {
      const torn = `${where} is torn after ${line.length} bytes: it was never acknowledged and is left out`;
      return { number, rows, broken: undefined, torn };
    }
    return { number, rows, broken: `${where} ${parsed}`, torn: undefined };
  }
  return { number, rows, broken: undefined, torn: undefined };
}

/** The valid rows of a run, from all its segments in order of their numbers. Failure `invalid` if they do not join. */
export function joinSegments(run: string, segments: readonly Segment[]): Chain {
  const taken: (readonly StoredRow[])[] = [];
  const newest = segments.at(-1);
  let wanted: { readonly sum: string; readonly n: number; readonly by: string } | undefined;
  let broken: string | undefined;
  for (const segment of segments.toReversed()) {
    if (wanted === undefined && segment.broken !== undefined) throw altered(run, segment.broken);
    const cut =
      wanted === undefined
        ? segment.rows.length - 1
        : segment.rows.findIndex((row) => row.sum === wanted?.sum);
    const first = segment.rows[0];
    if (cut < 0 || first === undefined) {
      // Nothing in here counts (its runner was overtaken at once), unless the wanted row is in none of them.
      broken ??= segment.broken;
      continue;
    }
    if (wanted !== undefined && segment.rows[cut]?.n !== wanted.n)
      throw altered(run, `${wanted.by} is not numbered after the row that it names`);
    taken.unshift(segment.rows.slice(0, cut + 1));
    const by = `row 1 of ${segmentName(segment.number)}`;
    if (first.prev === "") {
      if (segment.number !== 1 || first.n !== 1)
        throw altered(run, `${by} begins a journal, but is not its first row`);
      return { rows: taken.flat(), torn: newest?.torn };
    }
    wanted = { sum: first.prev, n: first.n - 1, by };
  }
  if (wanted !== undefined)
    throw altered(run, broken ?? `${wanted.by} follows a row that is in no earlier segment`);
  return { rows: [], torn: newest?.torn };
}

/** A writer that was done said which row was its last. A journal that ends before it was cut off. */
export function assertHolds(
  run: string,
  rows: readonly StoredRow[],
  said: string,
  head: { readonly n: number; readonly sum: string } | undefined,
): void {
  if (head === undefined || rows[head.n - 1]?.sum === head.sum) return;
  const last = rows.at(-1)?.n ?? 0;
  throw altered(
    run,
    last < head.n
      ? `it ends with row ${last}, but ${said} says that row ${head.n} was written`
      : `row ${head.n} is not the one that ${said} names`,
  );
}

function altered(run: string, what: string): Failure {
  return new Failure("invalid", `the journal of run ${run} was altered or damaged: ${what}`, {
    hint: `keep a copy of the run's folder, put the file back from a backup, and look at the cluster itself before anything else is done for run ${run}`,
  });
}

// `,"sum":"` and 64 hex digits and `"}`.
const sumLength = 74;
const sumPattern = /^,"sum":"([0-9a-f]{64})"\}$/;

/** A row, or what is wrong with it as the end of a sentence. */
function parseLine(line: Buffer, before: StoredRow | undefined): StoredRow | string {
  const split = line.length - sumLength;
  const sum = split > 0 ? sumPattern.exec(line.subarray(split).toString("latin1"))?.[1] : undefined;
  if (sum === undefined) return "is not a row: it does not end with its sum";
  const open = line.subarray(0, split);
  if (createHash("sha256").update(open).update("}").digest("hex") !== sum) return "does not match its sum";
  const value = parseJson(`${open.toString("utf8")}}`);
  if (!isRow(value)) return "is not a row: its fields are not n, at, kind, body, prev, sum";
  if (before !== undefined && value.prev !== before.sum) return "does not follow the row before it";
  if (before !== undefined && value.n !== before.n + 1) return "is not numbered after the row before it";
  return { ...value, sum };
}

// What a disk or a file system writes, or leaves unwritten, at once.
const sector = 512;

/**
 * Whether a line that does not verify has what a crash leaves behind: blocks that never reached the disk, which read as
 * zeros, with whatever was to follow them. They begin with the line or with a sector, and last to the end of a sector or
 * of the file. A zero that stands alone is damage to a row that was whole.
 */
function hasHole(bytes: Buffer, start: number, end: number): boolean {
  for (let from = bytes.indexOf(0, start); from >= 0 && from < end; from = bytes.indexOf(0, from)) {
    let to = from;
    while (bytes[to] === 0) to += 1;
    const begins = from === start || from % sector === 0;
    if (begins && (to === bytes.length || to % sector === 0)) return true;
    from = to;
  }
  return false;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isRow(value: unknown): value is Row & { readonly prev: string } {
  if (typeof value !== "object" || value === null) return false;
  const { n, at, kind, body, prev } = value as { readonly [key: string]: Json };
  return (
    Object.keys(value).join() === "n,at,kind,body,prev" &&
    typeof n === "number" &&
    typeof at === "number" &&
    typeof kind === "string" &&
    typeof prev === "string" &&
    typeof body === "object" &&
    body !== null &&
    !Array.isArray(body)
  );
}

/** What a run sent, in order: each request with its answer, or with the fact that none is known. */
import type { Request } from "../ports/driver.ts";
import type { Plan } from "../runbook/plan.ts";
import { isScript, nameOfScript, shortRequest } from "./format.ts";
import type { ReportRow } from "./report-course.ts";
import { textOf, troubleOf } from "./view.ts";

export type AnswerState = "answered" | "failed" | "no" | "unknown" | "none";

export interface WriteTold {
  /** Of the row that was on disk before it left. */
  readonly row: number;
  readonly unit: string;
  readonly direction: "forward" | "back";
  /** The node, or undefined for the cloud. */
  readonly node: string | undefined;
  readonly request: string;
  readonly at: number;
  /** "none": no row tells of an answer, because its runner died or is still waiting. */
  readonly state: AnswerState;
  readonly answeredAt: number | undefined;
  readonly ms: number | undefined;
  readonly code: number | undefined;
  readonly why: string | undefined;
  /** The later row that settled it by a look, where no answer is known. */
  readonly settled: { readonly how: "found" | "given back"; readonly row: number } | undefined;
}

/** The same request sent again and again to keep a marker or a timer alive, every one of them answered. */
export interface RenewalTold {
  readonly unit: string;
  readonly node: string | undefined;
  readonly request: string;
  readonly times: number;
  readonly firstRow: number;
  readonly lastRow: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

export interface Writes {
  /** All but the answered renewals. */
  readonly list: readonly WriteTold[];
  readonly renewals: readonly RenewalTold[];
  readonly sent: number;
  /** Of those sent, the ones of which no answer is known. */
  readonly unanswered: number;
  /** Texts that stand in the requests by name. */
  readonly scripts: readonly { readonly name: string; readonly text: string }[];
}

export function writesOf(rows: readonly ReportRow[], plan: Plan): Writes {
  const answers = new Map<unknown, ReportRow>();
  for (const row of rows) if (row.kind === "answered") answers.set(row.body["sent"], row);
  const all = rows.flatMap((row, i) =>
    row.kind === "sent" ? [{ write: writeOf(rows, row, i, answers.get(row.body["n"])), sent: row }] : [],
  );
  const isRenewal = ({ write, sent }: (typeof all)[number]) =>
    write.state === "answered" && renewalsOf(plan, write.unit).includes(verbOf(sent));
  return {
    list: all.filter((each) => !isRenewal(each)).map(({ write }) => write),
    renewals: grouped(all.filter(isRenewal).map(({ write }) => write)),
    sent: all.length,
    unanswered: all.filter(({ write }) => write.state === "unknown" || write.state === "none").length,
    scripts: scriptsOf(rows),
  };
}

function writeOf(
  rows: readonly ReportRow[],
  row: ReportRow,
  i: number,
  answer: ReportRow | undefined,
): WriteTold {
  const request = requestOf(row);
  const unit = textOf(row.body["unit"]) ?? "";
  const state = answer === undefined ? "none" : answerState(answer.body["state"]);
  const code = answer?.body["code"];
  const ms = answer?.body["ms"];
  return {
    row: i + 1,
    unit,
    direction: row.body["direction"] === "back" ? "back" : "forward",
    node: request?.to === "node" ? request.node : undefined,
    request: request ? wholeRequest(request) : "(a request that this version cannot read)",
    at: row.at,
    state,
    answeredAt: answer?.at,
    ms: typeof ms === "number" ? ms : undefined,
    code: typeof code === "number" ? code : undefined,
    why: answer?.body["failure"] === undefined ? undefined : troubleOf(answer.body["failure"]).message,
    settled: state === "none" || state === "unknown" ? settledAfter(rows, unit, i) : undefined,
  };
}

/** With what was given on standard input, by its digest like any long script. */
function wholeRequest(request: Request): string {
  const input = request.to === "node" ? request.stdin : undefined;
  return `${shortRequest(request)}${input === undefined || input === "" ? "" : ` < ${nameOfScript(input)}`}`;
}

function answerState(state: unknown): AnswerState {
  return state === "answered" || state === "failed" || state === "no" ? state : "unknown";
}

/** What was lost on the way is settled by looking: by the outcome of the step, or by what was found on its way back. */
function settledAfter(rows: readonly ReportRow[], unit: string, i: number): WriteTold["settled"] {
  const later = rows.findIndex(
    ({ kind, body }, j) => j > i && body["unit"] === unit && (kind === "outcome" || kind === "undone"),
  );
  if (later === -1) return undefined;
  return { how: rows[later]?.kind === "outcome" ? "found" : "given back", row: later + 1 };
}

/** Undefined for what is no request at all: journals are read with care. */
function requestOf({ body }: ReportRow): Request | undefined {
  const request = body["request"] as Request | undefined;
  if (request === null || typeof request !== "object") return undefined;
  if (request.to === "node" && typeof request.node === "string" && Array.isArray(request.argv))
    return request;
  return request.to === "cloud" && typeof request.operation === "string" ? request : undefined;
}

function verbOf({ body }: ReportRow): string {
  return textOf((body["request"] as { readonly verb?: unknown } | undefined)?.verb) ?? "";
}

function renewalsOf(plan: Plan, unit: string): readonly string[] {
  const planned = plan.units.find(({ key }) => key === unit);
  return planned?.sends.flatMap(({ renewal, request }) => (renewal === true ? [request.verb] : [])) ?? [];
}

function grouped(writes: readonly WriteTold[]): readonly RenewalTold[] {
  const kinds = new Map<string, WriteTold[]>();
  for (const write of writes) {
    const kind = JSON.stringify([write.unit, write.request]);
    kinds.set(kind, [...(kinds.get(kind) ?? []), write]);
  }
  return [...kinds.values()].flatMap((alike) => {
    const [first, last] = [alike[0], alike.at(-1)];
    if (!first || !last) return [];
    const { unit, node, request } = first;
    return [
      {
        unit,
        node,
        request,
        times: alike.length,
        firstRow: first.row,
        lastRow: last.row,
        firstAt: first.at,
        lastAt: last.at,
      },
    ];
  });
}

function scriptsOf(rows: readonly ReportRow[]): Writes["scripts"] {
  const found = new Map<string, string>();
  for (const row of rows) {
    const request = row.kind === "sent" ? requestOf(row) : undefined;
    if (request?.to !== "node") continue;
    for (const word of request.argv) if (isScript(word)) found.set(nameOfScript(word), word);
    if (request.stdin !== undefined && request.stdin !== "")
      found.set(nameOfScript(request.stdin), request.stdin);
  }
  return [...found].map(([name, text]) => ({ name, text }));
}

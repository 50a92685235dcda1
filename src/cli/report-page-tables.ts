/** The long tables of a report: steps, failures, decisions, and everything that was sent. */
import { cut } from "./format.ts";
import { foundLines } from "./report-page-proof.ts";
import {
  fill,
  heading,
  wordOf,
  type Block,
  type Cell,
  type Pen,
  type Piece,
  type Text,
  type Tone,
} from "./report-blocks.ts";
import type { StepTold } from "./report-data.ts";
import type { WriteTold } from "./report-writes.ts";

export function stepBlocks(pen: Pen): readonly Block[] {
  const { report, texts } = pen;
  const { step } = texts;
  return heading(texts.section.steps, [
    {
      kind: "table",
      name: "steps",
      head: [step.step, step.result, step.begin, step.duration, step.limit, step.found],
      rows: report.steps.map((told): Cell[] => [
        { lines: [[pen.step(told.key)], ...takesLines(pen, told)] },
        resultCell(pen, told),
        { lines: [[told.firstAt === undefined ? "–" : pen.times.stamp(told.firstAt)]] },
        { lines: durationLines(pen, told) },
        { lines: [[pen.times.lasting(told.limitMs)]] },
        { lines: orDash(foundLines(pen, told.key)) },
      ]),
    },
  ]);
}

function orDash(lines: readonly Text[]): readonly Text[] {
  return lines.length > 0 ? lines : [["–"]];
}

function takesLines({ report, texts }: Pen, { number }: StepTold): readonly Text[] {
  const exposes = report.plan.units[number - 1]?.exposes;
  const what = exposes === undefined ? undefined : wordOf(texts.exposureShort, exposes);
  return what === undefined ? [] : [fill(texts.step.takes, { what })];
}

/** How the way forward ended, and what became of it afterwards. */
function resultCell(pen: Pen, told: StepTold): Cell {
  const { step } = pen.texts;
  const forward = forwardResult(pen, told);
  const back: { tone: Tone; text: string } | undefined =
    told.state === "given back"
      ? { tone: "back", text: told.backAlready ? step.nothingToGiveBack : step.givenBack }
      : told.state === "not given back"
        ? { tone: "bad", text: step.notGivenBack }
        : told.state === "giving back"
          ? { tone: "open", text: step.givingBack }
          : undefined;
  if (!back) return { tone: forward.tone, lines: [[forward.text]] };
  return { tone: back.tone, lines: [[back.text], ["(", forward.text, ")"]] };
}

function forwardResult({ report, texts }: Pen, told: StepTold): { tone: Tone; text: string } {
  const { step } = texts;
  if (told.state === "skipped") return { tone: "warn", text: step.skipped };
  if (told.went === "done") return { tone: "good", text: step.done };
  if (told.went === "held already") return { tone: "good", text: step.held };
  if (told.state === "waiting for you") return { tone: "open", text: step.waiting };
  // A failed step that is tried again is under way again.
  if (told.went === "failed" && told.state !== "looking") return { tone: "bad", text: step.failed };
  if (told.begun) return { tone: "open", text: step.begun };
  if (told.state === "looking") return { tone: "open", text: step.looking };
  const ended = report.endedAt !== undefined;
  return { tone: "plain", text: ended ? step.notReached : step.toCome };
}

function durationLines({ report, texts, times }: Pen, told: StepTold): readonly Text[] {
  const { forward, back } = told;
  const lines: Text[] = [];
  if (forward) {
    const ms = forward.until - forward.since;
    const alone = report.gaps.reduce(
      (sum, { from, to }) => sum + Math.max(0, Math.min(to, forward.until) - Math.max(from, forward.since)),
      0,
    );
    lines.push([times.lasting(ms)]);
    if (alone > 0) lines.push(fill(texts.step.alone, { time: times.lasting(alone) }));
  }
  if (back) lines.push(fill(texts.step.back, { time: times.lasting(back.until - back.since) }));
  return orDash(lines);
}

export function failureBlocks({ report, texts, times, step }: Pen): readonly Block[] {
  const { failure } = texts;
  const rows = report.failures.map((told): Cell[] => [
    { lines: [[times.stamp(told.firstAt)]] },
    { lines: [[told.unit === undefined ? { data: told.title } : step(told.unit)]] },
    { tone: "bad", lines: [[wordOf(failure.kinds, told.kind)]] },
    {
      lines: [
        [{ data: told.message }],
        ...(told.hint === undefined ? [] : [["→ ", { data: told.hint }]]),
        ...(told.times === 1
          ? []
          : [fill(failure.times, { times: String(told.times), time: times.stamp(told.lastAt) })]),
      ],
    },
  ]);
  const head = [failure.at, failure.where, failure.kind, failure.what];
  return heading(texts.section.failures, [
    rows.length === 0
      ? { kind: "paragraph", text: [failure.none] }
      : { kind: "table", name: "failures", head, rows },
  ]);
}

export function decisionBlocks({ report, texts, times }: Pen): readonly Block[] {
  const { decision, runner } = texts;
  const decisions = report.decisions.map(({ at, verb, by, why, policy, refused }): Cell[] => [
    { lines: [[times.stamp(at)]] },
    { lines: [[wordOf(decision.verbs, verb)]] },
    { lines: [[policy ? decision.policy : { data: by }]] },
    {
      lines: [
        why === "" ? ["–"] : [{ data: why }],
        ...(refused === undefined ? [] : [fill(decision.refused, { reason: { data: refused } })]),
      ],
    },
  ]);
  let takeovers = 0;
  const runners = report.runners.map(({ by, at, row, because }, i): Cell[] => {
    const gap = report.gaps.find(({ to }) => to === at);
    const how = (): Text => {
      if (i === 0) return [runner.start];
      if (because !== undefined) return fill(runner.sameRunner, { because: { data: because } });
      takeovers += 1;
      return fill(runner.takeover, {
        number: String(takeovers),
        time: times.lasting(gap ? gap.to - gap.from : 0),
        why: gap ? runner.why[gap.why] : texts.unknown,
      });
    };
    return [
      { lines: [[times.stamp(at)]] },
      { lines: [[{ data: by }]] },
      { lines: [[String(row)]] },
      { lines: [how()] },
    ];
  });
  const head = [decision.at, decision.what, decision.who, decision.why];
  return [
    ...heading(texts.section.decisions, [
      decisions.length === 0
        ? { kind: "paragraph", text: [decision.none] }
        : { kind: "table", name: "decisions", head, rows: decisions },
    ]),
    ...heading(texts.section.runners, [
      {
        kind: "table",
        name: "runners",
        head: [runner.at, runner.who, runner.row, runner.how],
        rows: runners,
      },
    ]),
  ];
}

export function writeBlocks(pen: Pen): readonly Block[] {
  const { report, texts } = pen;
  const { write } = texts;
  const { list, sent, unanswered, scripts } = report.writes;
  const blocks: Block[] = [];
  if (sent === 0) blocks.push({ kind: "paragraph", text: [write.nothing] });
  else {
    const lead = fill(write.lead, { sent: String(sent), unanswered: String(unanswered) });
    blocks.push({ kind: "paragraph", text: lead });
    blocks.push({
      kind: "table",
      name: "writes",
      head: [write.row, write.at, write.to, write.request, write.answer],
      rows: list.map((told) => writeRow(pen, told)),
    });
  }
  return [
    ...heading(texts.section.writes, blocks),
    ...renewalBlocks(pen),
    ...(scripts.length === 0
      ? []
      : heading(texts.section.scripts, [
          { kind: "paragraph", text: [write.scriptLead] },
          ...scripts.map(({ name, text }): Block => ({
            kind: "code",
            label: [{ data: name }],
            lines: text.split("\n"),
          })),
        ])),
  ];
}

function placeOf({ texts }: Pen, node: string | undefined): Piece {
  return node === undefined ? texts.cloud : { data: node };
}

/** The place has a column of its own. */
function requestPiece({ node, request }: Pick<WriteTold, "node" | "request">): Piece {
  return {
    code: node !== undefined && request.startsWith(`${node}: `) ? request.slice(node.length + 2) : request,
  };
}

function writeRow(pen: Pen, told: WriteTold): Cell[] {
  const { texts, times } = pen;
  const { write } = texts;
  const { row, at, unit, direction, state, code, why, settled, ms, answeredAt } = told;
  const tones = { answered: "plain", failed: "bad", no: "warn", unknown: "open", none: "open" } as const;
  const settledText = () => {
    if (state !== "none" && state !== "unknown") return [];
    return [settled ? fill(write[settled.how], { row: String(settled.row) }) : [write.unsettled]];
  };
  const stepLine: Text = direction === "back" ? [pen.step(unit), " – ", write.back] : [pen.step(unit)];
  return [
    { lines: [[String(row)]] },
    { lines: [[times.stamp(at)]] },
    { lines: [[placeOf(pen, told.node)]] },
    { lines: [stepLine, [requestPiece(told)]] },
    {
      tone: tones[state],
      lines: [
        [
          write[state],
          ...(code === undefined ? [] : [", ", ...fill(write.code, { code: String(code) })]),
          ...(ms === undefined ? [] : [", ", ...fill(write.after, { time: times.lasting(ms) })]),
          ...(answeredAt === undefined ? [] : [` (${times.stamp(answeredAt)})`]),
        ],
        ...(why === undefined ? [] : [[{ data: cut(why, longestWhy) }]]),
        ...settledText(),
      ],
    },
  ];
}

/** Cells of what was said to a request; the journal has all of it. */
const longestWhy = 400;

function renewalBlocks(pen: Pen): readonly Block[] {
  const { texts, times } = pen;
  const { write } = texts;
  const { renewals } = pen.report.writes;
  if (renewals.length === 0) return [];
  return heading(texts.section.renewals, [
    { kind: "paragraph", text: [write.renewalLead] },
    {
      kind: "table",
      name: "renewals",
      head: [texts.step.step, write.to, write.request, write.times, write.rows, write.first, write.last],
      rows: renewals.map((told): Cell[] => [
        { lines: [[pen.step(told.unit)]] },
        { lines: [[placeOf(pen, told.node)]] },
        { lines: [[requestPiece(told)]] },
        { lines: [[String(told.times)]] },
        {
          lines: [fill(write.rowsTo, { first: String(told.firstRow), last: String(told.lastRow) })],
        },
        { lines: [[times.stamp(told.firstAt)]] },
        { lines: [[times.stamp(told.lastAt)]] },
      ]),
    },
  ]);
}

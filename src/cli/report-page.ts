/**
 * What a report says, as blocks: the same for every format. A renderer only writes blocks down in its own syntax, so that
 * HTML and Markdown cannot tell different stories, and escaping is done in one place a format.
 */
import type { Exposure } from "../runbook/step.ts";
import type { ReportTexts } from "./report-text-en.ts";
import { timesOf, type Times } from "./report-times.ts";
import {
  fill,
  heading,
  titleOf,
  wordOf,
  type Block,
  type Cell,
  type Page,
  type Pen,
  type Text,
  type Tone,
} from "./report-blocks.ts";
import type { ExposureTold, Report } from "./report-data.ts";
import { proofBlocks } from "./report-page-proof.ts";
import { decisionBlocks, failureBlocks, stepBlocks, writeBlocks } from "./report-page-tables.ts";

export function pageOf(report: Report, texts: ReportTexts): Page {
  const pen: Pen = {
    report,
    texts,
    times: timesOf(report, texts),
    step: (key) => {
      const step = report.steps.find((candidate) => candidate.key === key);
      return step ? { data: `${step.number}. ${titleOf(step, texts)}` } : texts.unknown;
    },
  };
  return {
    title: `${texts.report}: ${texts.titles[report.plan.title] ?? report.plan.title}`,
    end: { tone: toneOfEnd(report), text: [wordOf(texts.end, report.state), " – ", ...whyText(pen)] },
    blocks: [
      ...(report.lab ? [{ kind: "paragraph" as const, tone: "warn" as const, text: [texts.lab] }] : []),
      ...leftBlocks(pen),
      ...factBlocks(pen),
      ...timeBlocks(pen),
      ...heading(texts.section.timeline, [{ kind: "timeline" }]),
      ...proofBlocks(pen),
      ...stepBlocks(pen),
      ...failureBlocks(pen),
      ...decisionBlocks(pen),
      ...writeBlocks(pen),
      ...heading(texts.section.journal, [
        { kind: "paragraph", text: fill(texts.journal.verified, { run: { data: report.run } }) },
        {
          kind: "paragraph",
          text: fill(texts.journal.written, {
            time: pen.times.full(report.written.at),
            tool: { data: report.written.tool },
          }),
        },
      ]),
    ],
  };
}

function toneOfEnd({ state, exposures }: Report): Tone {
  // What is still taken away is never shown as good, whatever the run says of itself.
  if (state === "succeeded") return exposures.some(({ open }) => open) ? "warn" : "good";
  if (state === "given back") return "back";
  if (state === "stuck") return "bad";
  return state === "refused" ? "plain" : "open";
}

function whyText({ report, texts, times, step }: Pen): Text {
  const { state, why, lastAt } = report;
  const values = {
    step: step(why.step),
    message: { data: sentence(why.message ?? texts.unproven.noReason) },
    by: { data: why.by ?? texts.unknown },
    time: times.full(lastAt),
  };
  const template = () => {
    if (state === "succeeded") return texts.why.succeeded;
    if (state === "interrupted") return texts.why.interrupted;
    if (state === "running") return texts.why.running;
    if (state === "held") return why.step === undefined ? texts.why.held : texts.why.failed;
    if (state === "stuck" && report.left.length === 0) return texts.why.rowsLost;
    if (why.message === undefined) return texts.why.unknown;
    if (why.step === undefined) return texts.why.asked;
    if (state === "stuck") return texts.why.stuck;
    return state === "refused" ? texts.why.refused : texts.why.failed;
  };
  return fill(template(), values);
}

/** A message that ends a sentence of ours brings no full stop of its own. */
function sentence(message: string): string {
  return message.replace(/[.。\s]+$/, "");
}

function leftBlocks({ report, texts, times, step }: Pen): readonly Block[] {
  const { state, run, left } = report;
  if (!["stuck", "interrupted", "held", "running"].includes(state)) return [];
  const open = report.exposures.flatMap(({ what, stretches }) =>
    stretches.filter(({ until }) => until === undefined).map(({ since }) => ({ what, since })),
  );
  const blocks: Block[] = [
    {
      kind: "list",
      items:
        open.length === 0
          ? [{ tone: "plain", text: [texts.left.nothingOpen] }]
          : open.map(({ what, since }) => ({
              tone: "bad" as const,
              text: fill(texts.left.open, { what: texts.exposure[what], time: times.full(since) }),
            })),
    },
  ];
  if (open.some(({ what }) => what === "service"))
    blocks.push({ kind: "paragraph", text: [texts.left.timer] });
  if (state === "stuck") {
    if (left.length > 0) blocks.push({ kind: "paragraph", text: [texts.left.stuck] });
    for (const { unit, message, commands } of left)
      blocks.push({
        kind: "code",
        label: fill(texts.left.step, {
          step: step(unit),
          message: { data: message ?? texts.unproven.noReason },
        }),
        lines: commands.length > 0 ? commands : [`# ${texts.left.noCommand}`],
      });
    blocks.push({ kind: "code", label: [texts.left.undo], lines: [`runbook undo ${run}`] });
  } else if (state !== "running") {
    blocks.push({ kind: "code", label: [texts.left.resume], lines: [`runbook resume ${run}`] });
    blocks.push({ kind: "code", label: [texts.left.giveBack], lines: [`runbook undo ${run}`] });
  } else if (open.length === 0) return [];
  return heading(texts.section.left, blocks);
}

function factBlocks({ report, texts, times }: Pen): readonly Block[] {
  const { fact } = texts;
  const { plan } = report;
  const data = (text: string): Text => [{ data: text }];
  const code = (text: string | undefined): Text => [text === undefined ? texts.unknown : { code: text }];
  const params = Object.entries(plan.params ?? {}).map(([name, value]) => data(`${name} = ${String(value)}`));
  const rows = [
    { label: fact.runbook, lines: [data(`${plan.runbook}: ${texts.titles[plan.title] ?? plan.title}`)] },
    { label: fact.params, lines: params.length > 0 ? params : [[texts.nothing]] },
    { label: fact.cluster, lines: [data(plan.cluster)] },
    {
      label: fact.instances,
      lines: Object.entries(plan.instances ?? {}).map(([node, instance]) =>
        data(`${node}: ${String(instance)}`),
      ),
    },
    { label: fact.run, lines: [code(report.run)] },
    { label: fact.startedBy, lines: [data(report.owner)] },
    { label: fact.onFailure, lines: [data(report.onFailure)] },
    { label: fact.started, lines: [[times.full(report.startedAt)]] },
    report.endedAt === undefined
      ? { label: fact.lastRow, lines: [[times.full(report.lastAt)]] }
      : { label: fact.ended, lines: [[times.full(report.endedAt)]] },
    { label: fact.lasted, lines: [lastedText(report, texts, times)] },
    { label: fact.zone, lines: [data(times.zone)] },
    { label: fact.tool, lines: [data(`runbook ${plan.tool}`)] },
    { label: fact.plan, lines: [code(plan.hash)] },
    {
      label: fact.planMade,
      lines: [
        [times.full(plan.madeAt), "; ", ...fill(texts.fact.planUntil, { time: times.full(plan.expiresAt) })],
      ],
    },
    { label: fact.source, lines: [code(plan.source?.sha256)] },
    { label: fact.configuration, lines: [code(report.configuration)] },
    { label: fact.rows, lines: [[String(report.journal.rows)]] },
    { label: fact.lastSum, lines: [code(report.journal.lastSum)] },
    { label: fact.runners, lines: [[String(report.runners.filter(({ because }) => !because).length)]] },
  ];
  return heading(texts.section.facts, [{ kind: "facts", rows }]);
}

function lastedText(report: Report, texts: ReportTexts, times: Times): Text {
  const all = times.lasting((report.endedAt ?? report.lastAt) - report.startedAt);
  const { working, waiting: waited, nobody: alone } = report.spent;
  if (alone === 0 && waited === 0) return [all];
  const parts = [
    fill(texts.fact.worked, { time: times.lasting(working) }),
    ...(waited > 0 ? [fill(texts.fact.waited, { time: times.lasting(waited) })] : []),
    ...(alone > 0 ? [fill(texts.fact.alone, { time: times.lasting(alone) })] : []),
  ];
  return fill(texts.fact.lastedOf, {
    all,
    parts: parts.flatMap((part, i) => (i > 0 ? [", ", ...part] : part)),
  });
}

function timeBlocks(pen: Pen): readonly Block[] {
  const { report, texts } = pen;
  const { time } = texts;
  const shown = report.exposures.filter(
    ({ what, ms, forecastMs }) => what !== "cost" || ms !== undefined || forecastMs !== 0,
  );
  const rows = shown.map((exposure): Cell[] => {
    const { what, ms, open, forecastMs } = exposure;
    const isPlanned = report.plan.units.some(({ exposes }) => exposes === what);
    return [
      { lines: [[texts.exposure[what]]] },
      { lines: actualLines(pen, exposure), ...(open && { tone: "bad" as const }) },
      {
        lines: [
          [
            !isPlanned
              ? time.notInPlan
              : forecastMs === undefined
                ? time.noHistory
                : pen.times.lasting(forecastMs),
          ],
        ],
      },
      { lines: [isPlanned && !open ? differenceText(pen, ms, forecastMs) : ["–"]] },
      { lines: stretchLines(pen, what) },
    ];
  });
  const head = [time.what, time.actual, time.forecast, time.difference, time.stretches];
  return heading(texts.section.time, [
    { kind: "table", name: "time", head, rows },
    { kind: "paragraph", text: [time.forecastOf] },
  ]);
}

function actualLines({ texts, times }: Pen, { ms, open, unseenMs }: ExposureTold): readonly Text[] {
  if (ms === undefined) return [[texts.time.never]];
  const time = times.lasting(ms);
  return [
    open ? fill(texts.time.stillOpen, { time }) : [time],
    ...(unseenMs > 0 ? [fill(texts.time.unseen, { time: times.lasting(unseenMs) })] : []),
  ];
}

function differenceText({ texts, times }: Pen, ms: number | undefined, forecastMs: number | undefined): Text {
  if (ms === undefined || forecastMs === undefined) return ["–"];
  const more = ms - forecastMs;
  if (Math.abs(more) < 1000) return [texts.time.same];
  return fill(more > 0 ? texts.time.more : texts.time.less, { time: times.lasting(Math.abs(more)) });
}

function stretchLines({ report, texts, times, step }: Pen, what: Exposure): readonly Text[] {
  const own = report.exposures.find((exposure) => exposure.what === what)?.stretches ?? [];
  if (own.length === 0) return [["–"]];
  return own.map(({ step: key, since, until, endedBy, endedHow }) => {
    const values = { from: times.stamp(since), step: step(key), ender: step(endedBy) };
    if (until === undefined) return fill(texts.time.open, values);
    const ended = endedHow === "given back" ? texts.time.givenBack : texts.time.ended;
    return fill(ended, { ...values, to: times.stamp(until) });
  });
}

/** What a report says was proven, and what was not. */
import {
  fill,
  heading,
  wordOf,
  type Block,
  type Cell,
  type Pen,
  type Text,
  type Tone,
} from "./report-blocks.ts";
import type { Report } from "./report-data.ts";
import type { PointTold, Unproven } from "./report-proof.ts";
import type { ReportTexts } from "./report-text-en.ts";

interface Item {
  readonly tone: Tone;
  readonly text: Text;
}

export function proofBlocks(pen: Pen): readonly Block[] {
  const { texts } = pen;
  const { points, unproven } = pen.report.proof;
  return [
    ...heading(texts.section.proven, [
      { kind: "paragraph", text: [texts.proof.lead] },
      { kind: "list", items: provenItems(pen) },
    ]),
    ...heading(texts.section.unproven, [
      { kind: "paragraph", text: [texts.unproven.lead] },
      {
        kind: "list",
        items: [
          ...unproven.map((each) => unprovenItem(pen, each)),
          { tone: "open", text: [texts.unproven.hash] },
        ],
      },
    ]),
    ...(points.length === 0 ? [] : heading(texts.section.points, [pointTable(pen, points)])),
  ];
}

function provenItems({ report, texts, step }: Pen): readonly Item[] {
  const { proof, journal, state, exposures } = report;
  const good = (text: Text): Item => ({ tone: "good", text });
  const items = proof.checks
    .filter((check) => check.state === "passed")
    .map(({ unit, row }) =>
      good(fill(texts.proof.check, { step: step(unit), row: fill(texts.row, { row: String(row) }) })),
    );
  if (proof.acted > 0) items.push(good(fill(texts.proof.acted, { count: String(proof.acted) })));
  for (const point of proof.points) {
    if (point.role === "used") continue;
    const names = namesOf(
      point.names,
      point.snapshots.map(({ id }) => id),
    );
    if (point.consistency === "quiesced")
      items.push(good(fill(texts.proof.quiesced, { names, why: { data: point.why.join("; ") } })));
    if (point.complete === true) items.push(good(fill(texts.proof.complete, { names })));
  }
  if (state === "given back") items.push(good([texts.proof.givenBack]));
  const taken = exposures.some(({ ms }) => ms !== undefined);
  const open = exposures.some((exposure) => exposure.open);
  if (report.endedAt !== undefined && taken && !open) items.push(good([texts.proof.closed]));
  if (journal.torn === undefined) items.push(good(fill(texts.proof.chain, { rows: String(journal.rows) })));
  return items.length > 0 ? items : [{ tone: "plain", text: [texts.proof.nothing] }];
}

function namesOf(names: readonly string[], otherwise: readonly string[] = []): Text {
  return [{ data: (names.length > 0 ? names : otherwise).join(", ") }];
}

function unprovenItem({ texts, times, step }: Pen, each: Unproven): Item {
  const told = texts.unproven;
  switch (each.kind) {
    case "not given back":
      return { tone: "bad", text: fill(told[each.kind], { step: step(each.unit) }) };
    case "failed":
    case "skipped":
    case "unsettled":
      return {
        tone: each.kind === "unsettled" ? "open" : "warn",
        text: fill(told[each.kind], { step: step(each.unit) }),
      };
    case "open":
      return {
        tone: "bad",
        text: fill(told.open, { what: texts.exposure[each.what], time: times.full(each.since) }),
      };
    case "unanswered": {
      const rows = each.rows.flatMap((row, i): Text => [
        ...(i > 0 ? [", "] : []),
        ...fill(texts.row, { row: String(row) }),
      ]);
      return { tone: "open", text: fill(told.unanswered, { rows }) };
    }
    case "not reached":
      return { tone: "plain", text: fill(told[each.kind], { count: String(each.count) }) };
    case "told":
    case "answered":
      return {
        tone: each.kind === "told" ? "warn" : "plain",
        text: fill(told[each.kind], { step: step(each.unit), text: { data: each.text } }),
      };
    case "consistency":
      return {
        tone: "warn",
        text: fill(told.consistency, {
          names: namesOf(each.names),
          consistency: wordOf(texts.consistency, each.consistency),
          why: { data: each.why.length > 0 ? each.why.join("; ") : told.noReason },
        }),
      };
    case "not recorded":
    case "not complete":
    case "not tested":
      return { tone: "open", text: fill(told[each.kind], { names: namesOf(each.names) }) };
    case "gap":
      return {
        tone: "open",
        text: fill(told.gap, { from: times.stamp(each.gap.from), to: times.stamp(each.gap.to) }),
      };
    case "torn":
      return { tone: "open", text: fill(told.torn, { text: { data: each.text } }) };
    case "clock":
      return {
        tone: "open",
        text: fill(told.clock, {
          time: times.lasting(each.ms),
          row: fill(texts.row, { row: String(each.row) }),
        }),
      };
  }
}

/** A recovery point is good when a restore of it has worked, and only then. */
function restoreCell({ state }: Report, { point }: ReportTexts, role: PointTold["role"]): Cell {
  if (role !== "used") return { tone: "open", lines: [[point.untested]] };
  return state === "succeeded"
    ? { tone: "good", lines: [[point.restored]] }
    : { tone: "open", lines: [[point.notRestored]] };
}

function pointTable({ report, texts }: Pen, points: readonly PointTold[]): Block {
  const { point } = texts;
  return {
    kind: "table",
    name: "points",
    head: [point.name, point.consistency, point.why, point.snapshots, point.copies, point.tested],
    rows: points.map((told): Cell[] => {
      const { names, role, consistency, why, snapshots, complete } = told;
      const quiesced = consistency === "quiesced" && role !== "cut";
      return [
        {
          lines: [
            names.length > 0 ? [{ data: names.join(", ") }] : [point.nameless],
            [point.role[role], ", ", ...fill(texts.row, { row: String(told.row) })],
          ],
        },
        { tone: quiesced ? "good" : "warn", lines: [[wordOf(texts.consistency, consistency)]] },
        { lines: why.length > 0 ? why.map((each): Text => [{ data: each }]) : [[texts.unproven.noReason]] },
        {
          lines: snapshots.map(({ id, volume }) =>
            fill(point.snapshot, { id: { data: id }, volume: { data: volume } }),
          ),
        },
        complete === undefined
          ? { lines: [["–"]] }
          : { tone: complete ? "good" : "open", lines: [[complete ? point.complete : point.incomplete]] },
        restoreCell(report, texts, role),
      ];
    }),
  };
}

/** What was found of a step: shortened, with the row that has all of it; what it told; why it failed. */
export function foundLines({ report, texts }: Pen, unit: string): readonly Text[] {
  const step = report.steps.find(({ key }) => key === unit);
  const failures = report.failures.filter((failure) => failure.unit === unit);
  const { found } = step ?? {};
  const row: Text = found ? [" (", ...fill(texts.row, { row: String(found.row) }), ")"] : [];
  return [
    ...(found
      ? [found.text === undefined ? [texts.step.holds, ...row] : [{ code: found.text }, ...row]]
      : []),
    ...(step?.told ?? []).map((told): Text => ["! ", { data: told }]),
    ...failures.map(({ message, times }): Text => [
      "✗ ",
      { data: message },
      ...(times > 1 ? [` (${times}×)`] : []),
    ]),
  ];
}

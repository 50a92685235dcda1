/**
 * A runbook as a picture, before it is drawn: what stands in each row, how it is broken into lines, and how high it comes
 * out. A runbook is a list with a way back beside it, so that rows from top to bottom are all the layout there is.
 */
import { wayBack } from "../engine/way-back.ts";
import { undoOf, unitsOf, type Stage, type Unit } from "../runbook/list.ts";
import type { Exposure } from "../runbook/step.ts";
import { lasting, oneLine, widthOf } from "./format.ts";

export interface Line {
  readonly text: string;
  /** It goes on with what the line above says. */
  readonly goesOn: boolean;
}

export interface Box {
  readonly lines: readonly Line[];
  /** Under the title, small. */
  readonly notes: readonly string[];
  readonly kind: "checks" | "step" | "wait" | "approve" | "undo";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** In a plan the stage has this number; of an undo, when its turn comes on the way back. */
  readonly number: string;
}

export interface Bar {
  readonly what: Exposure;
  readonly lane: number;
  readonly from: number;
  readonly to: number;
  /** Nothing in the list ends it. */
  readonly open: boolean;
}

export interface Row {
  readonly boxes: readonly Box[];
  readonly undo: Box | undefined;
  readonly y: number;
  /** Of the boxes alone. */
  readonly height: number;
}

export interface Layout {
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
  readonly lanes: number;
  readonly bottom: number;
  readonly hasWayBack: boolean;
}

/** Widths and places that do not depend on the runbook, in pixels. */
export const sheet = {
  margin: 24,
  lane: 22,
  main: 500,
  between: 54,
  undo: 300,
  pad: 10,
  gap: 20,
  /** Left of a title, for the number; and before a line that goes on. */
  number: 18,
  goesOn: 14,
  line: 17,
  noteLine: 15,
  titleSize: 13,
  noteSize: 10.5,
} as const;

export function layOutPicture(stages: readonly Stage[], top: number): Layout {
  const groups = inGroups(stages);
  const found = exposuresIn(stages);
  const lanes = lanesOf(found);
  const left = sheet.margin + Math.max(1, ...lanes.map((lane) => lane + 1)) * sheet.lane;
  const turns = turnsOf(stages);
  const rows: Row[] = [];
  let y = top;
  // What gives a step back may be longer than the step: it then reaches down beside the next rows, as far as these have none.
  let undoneTo = 0;
  for (const group of groups) {
    let row = rowOf(group, left, y, stages, turns);
    if (row.undo !== undefined && row.undo.y < undoneTo + sheet.pad)
      row = rowOf(group, left, undoneTo + sheet.pad, stages, turns);
    if (row.undo !== undefined) undoneTo = row.undo.y + row.undo.height;
    rows.push(row);
    y = row.y + row.height + sheet.gap;
  }
  const middle = (index: number) => {
    const row = rows[groups.findIndex((group) => group.some((stage) => stage === stages[index]))];
    return row === undefined ? y : row.y + row.height / 2;
  };
  const bottom = Math.max(y, undoneTo + sheet.gap);
  return {
    rows,
    bars: found.map(({ what, from, to }, i) => ({
      what,
      lane: lanes[i] ?? 0,
      from: middle(from),
      to: to === undefined ? bottom : middle(to),
      open: to === undefined,
    })),
    lanes: Math.max(0, ...lanes.map((lane) => lane + 1)),
    bottom,
    hasWayBack: rows.some((row) => row.undo !== undefined),
  };
}

/** Checks that follow each other are one row: they are looked at one after the other, and nothing happens between. */
function inGroups(stages: readonly Stage[]): readonly (readonly Stage[])[] {
  const groups: Stage[][] = [];
  for (const stage of stages) {
    const last = groups.at(-1);
    if (isCheck(stage) && last?.every(isCheck) === true) last.push(stage);
    else groups.push([stage]);
  }
  return groups;
}

function isCheck({ units }: Stage): boolean {
  return units.every(({ step }) => step.kind === "check");
}

function rowOf(
  group: readonly Stage[],
  x: number,
  y: number,
  stages: readonly Stage[],
  turns: ReadonlyMap<string, number>,
): Row {
  const [stage] = group;
  if (stage === undefined || isCheck(stage)) {
    const lines = group
      .flatMap(({ units }) => units)
      .flatMap(({ step, node }) => inLines(`✓ ${titleOf(step.title, node)}`, sheet.main - 2 * sheet.pad));
    const notes = [stage === stages[0] ? "checks: nothing has been touched yet" : "checks"];
    const box = boxOf({ kind: "checks", lines, notes, x, y, width: sheet.main });
    return { boxes: [box], undo: undefined, y, height: box.height };
  }
  // As a plan numbers them.
  const number = String(stages.filter((each) => !isCheck(each)).indexOf(stage) + 1);
  const columns = Math.min(3, stage.units.length);
  const width = (sheet.main - (columns - 1) * sheet.pad) / columns;
  const boxes: Box[] = [];
  let line = y;
  for (let i = 0; i < stage.units.length; i += columns) {
    const beside = stage.units.slice(i, i + columns).map((unit, j) =>
      boxOf({
        kind: kindOf(unit),
        lines: inLines(titleOf(unit.step.title, unit.node), width - 2 * sheet.pad - sheet.number),
        notes: broken(noteOf(unit), width - 2 * sheet.pad - sheet.number, sheet.noteSize),
        x: x + j * (width + sheet.pad),
        y: line,
        width,
        number: stage.units.length > 1 && !isCopied(stage) ? `${number}${letter(i + j)}` : number,
      }),
    );
    const height = Math.max(...beside.map((box) => box.height));
    boxes.push(...beside.map((box) => ({ ...box, height })));
    line += height + sheet.pad;
  }
  const titles = [...new Set(stage.units.flatMap(({ step }) => undoOf(step).map(({ title }) => title)))];
  const turn = stage.units.map(({ key }) => turns.get(key)).find((each) => each !== undefined);
  const undo =
    titles.length === 0
      ? undefined
      : boxOf({
          kind: "undo",
          lines: titles.flatMap((title) =>
            inLines(oneLine(title), sheet.undo - 2 * sheet.pad - sheet.number),
          ),
          notes: [],
          x: x + sheet.main + sheet.between,
          y,
          width: sheet.undo,
          number: turn === undefined ? "" : String(turn),
        });
  return { boxes, undo, y, height: line - sheet.pad - y };
}

function boxOf(
  given: Pick<Box, "kind" | "lines" | "notes" | "x" | "y" | "width"> & { readonly number?: string },
): Box {
  const text = given.lines.length * sheet.line + given.notes.length * sheet.noteLine;
  return { number: "", ...given, height: text + 2 * sheet.pad };
}

function kindOf({ step }: Unit): Box["kind"] {
  return step.kind === "check" ? "checks" : step.kind;
}

function titleOf(title: string, node: string | undefined): string {
  return oneLine(node === undefined ? title : `${title} (${node})`);
}

function noteOf({ key, step }: Unit): string {
  const limit =
    typeof step.within === "number" && step.kind !== "approve" ? ` · within ${lasting(step.within)}` : "";
  const kind = step.kind === "approve" ? "a person approves" : step.kind === "wait" ? "wait" : step.kind;
  return oneLine(`${key.replace(/@.*$/, "")} · ${kind}${limit}`);
}

/** As a plan letters the steps of one stage, unless they are copies of one step. */
function isCopied({ units }: Stage): boolean {
  return units.every(({ step }) => step === units[0]?.step);
}

function letter(n: number): string {
  return String.fromCharCode(97 + (n % 26));
}

/** When each unit has its turn on the way back, from 1 on, if all of them were begun; copies of a step count as one. */
function turnsOf(stages: readonly Stage[]): ReadonlyMap<string, number> {
  const units = unitsOf(stages);
  const order = wayBack(
    units.map(({ key, step }) => ({
      key,
      exposes: step.exposes,
      undoWhen: step.undoWhen,
      keptAlive: step.renew !== undefined,
      canBeGivenBack: step.undo !== undefined,
    })),
  ).list(
    units.map(({ key }) => key),
    () => false,
  );
  const turns = new Map<string, number>();
  const seen: Stage[] = [];
  for (const key of order) {
    const stage = stages.find((each) => each.units.some((unit) => unit.key === key));
    if (stage === undefined) continue;
    if (!seen.includes(stage)) seen.push(stage);
    turns.set(key, seen.indexOf(stage) + 1);
  }
  return turns;
}

interface Stretch {
  readonly what: Exposure;
  readonly from: number;
  /** Undefined if nothing ends it. */
  readonly to: number | undefined;
}

/** From each stage that exposes something to the last stage that a step of it is ended in. */
function exposuresIn(stages: readonly Stage[]): readonly Stretch[] {
  return stages.flatMap((stage, from) => {
    const exposing = stage.units.filter(({ step }) => step.exposes !== undefined);
    const kinds = [...new Set(exposing.map(({ step }) => step.exposes as Exposure))];
    return kinds.map((what): Stretch => {
      const ends = exposing
        .filter(({ step }) => step.exposes === what)
        .map(({ step }) =>
          stages.findIndex((other, i) => i > from && other.units.some((unit) => unit.step.ends === step)),
        );
      const to = Math.max(...ends);
      return { what, from, to: ends.includes(-1) ? undefined : to };
    });
  });
}

const inward: readonly Exposure[] = ["service", "redundancy", "cost"];

/** A lane for each kind, the service next to the boxes; a second one where two of a kind overlap. */
function lanesOf(found: readonly Stretch[]): readonly number[] {
  const lanes = found.map(() => 0);
  let first = 0;
  for (const what of inward) {
    const taken: number[] = [];
    found.forEach((stretch, i) => {
      if (stretch.what !== what) return;
      const free = taken.findIndex((until) => until <= stretch.from);
      const lane = free === -1 ? taken.length : free;
      taken[lane] = stretch.to ?? Infinity;
      lanes[i] = first + lane;
    });
    first += taken.length;
  }
  return lanes;
}

/** A title, with room before each line but the first. */
function inLines(title: string, width: number): readonly Line[] {
  const whole = broken(title, width, sheet.titleSize);
  const lines = whole.length < 2 ? whole : broken(title, width - sheet.goesOn, sheet.titleSize);
  return lines.map((text, i) => ({ text, goesOn: i > 0 }));
}

/** Text in lines that are no wider than this many pixels in whatever sans-serif font there is. */
export function broken(text: string, width: number, size: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => pieces(each, width, size))) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && measure(longer, size) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  return line === "" ? lines : [...lines, line];
}

/** A word that is too long for a line, or one of a script that has no spaces, in pieces that fit. */
function pieces(word: string, width: number, size: number): readonly string[] {
  if (measure(word, size) <= width) return [word];
  const found: string[] = [];
  let piece = "";
  for (const sign of word) {
    if (piece !== "" && measure(piece + sign, size) > width) {
      found.push(piece);
      piece = "";
    }
    piece += sign;
  }
  return [...found, piece];
}

/** Fonts differ: this is the width in one of the wider ones, so that nothing runs out of its box in any. */
export function measure(text: string, size: number): number {
  let ems = 0;
  for (const sign of text)
    ems +=
      widthOf(sign) === 2
        ? 1
        : /[iljtfrI.,:;'!|()[\] ]/.test(sign)
          ? 0.4
          : /[mwMW@%—→]/.test(sign)
            ? 0.98
            : /[A-Z]/.test(sign)
              ? 0.72
              : 0.62;
  return ems * size;
}

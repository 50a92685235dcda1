/** A runbook checked without a cluster: every list that its parameters can make of it, as it is written and as it is walked. */
import { asFailure, Failure } from "../errors.ts";
import { combinationsOf } from "../runbook/combinations.ts";
import { faultsOf, faultsOfParams, type Fault } from "../runbook/faults.ts";
import { layOut, readParams, unitsOf, type Stage } from "../runbook/list.ts";
import type { Params, Runbook, Step } from "../runbook/step.ts";
import { explore } from "./explore.ts";

export interface Finding {
  /** Key of the step in the runbook's list; undefined where it is about no single one. */
  readonly step?: string;
  readonly what: string;
  /** Parameters with which it is so; none where it is so with any. */
  readonly with?: Params;
}

export interface Linted {
  readonly findings: readonly Finding[];
  /** How many different lists the parameters make. */
  readonly lists: number;
  /** Whether each value of a parameter was put together with each of the others. */
  readonly complete: boolean;
  readonly states: number;
  readonly transitions: number;
}

export type Nearest = (word: string, known: readonly string[]) => string | undefined;

export function lint(runbook: Runbook, nearest: Nearest): Linted {
  const wrong = faultsOfParams(runbook);
  if (wrong.length > 0)
    return {
      findings: wrong.map(({ what }) => ({ what })),
      lists: 0,
      complete: true,
      states: 0,
      transitions: 0,
    };
  const { all, complete } = combinationsOf(runbook);
  const lists = listsOf(runbook, all);
  const found = new Map<string, { readonly fault: Fault; readonly in: Params[] }>();
  let states = 0;
  let transitions = 0;
  let walked = new Set<string>();
  const known = new Map<string, Step>();
  for (const { params, stages, faults } of lists) {
    // A step that is another one in this list, under the same key, goes another way back.
    if (unitsOf(stages).some(({ key, step }) => (known.get(key) ?? step) !== step)) walked = new Set();
    for (const { key, step } of unitsOf(stages)) known.set(key, step);
    const explored = explore(stages, walked);
    states += explored.states;
    transitions += explored.transitions;
    for (const fault of [...faults, ...faultsOf(stages, nearest), ...explored.findings]) {
      const key = `${fault.step ?? ""}: ${fault.what}`;
      const before = found.get(key)?.in ?? [];
      found.set(key, { fault, in: [...before, ...params] });
    }
  }
  const findings = [...found.values()].map(({ fault: { step, what }, in: seen }): Finding => {
    const chosen = chosenIn(runbook, seen);
    return {
      ...(step !== undefined && { step }),
      what,
      ...(Object.keys(chosen).length > 0 && { with: chosen }),
    };
  });
  return { findings, lists: lists.length, complete, states, transitions };
}

interface List {
  /** All that make it. */
  readonly params: Params[];
  readonly stages: readonly Stage[];
  readonly faults: readonly Fault[];
}

/** Lists that differ in nothing that is checked are one. */
function listsOf(runbook: Runbook, all: readonly Params[]): readonly List[] {
  const lists = new Map<string, List>();
  for (const params of all) {
    const { stages, faults } = listOf(runbook, params);
    const key = faults.map(({ what }) => what).join() + textOf(stages);
    const known = lists.get(key);
    if (known) known.params.push(params);
    else lists.set(key, { params: [params], stages, faults });
  }
  return [...lists.values()];
}

/** What cannot be laid out has one sentence, and its hint where there is one. */
function listOf(runbook: Runbook, params: Params): Pick<List, "stages" | "faults"> {
  try {
    return { stages: stagesOf(runbook, params), faults: [] };
  } catch (thrown) {
    const { kind, message, hint } = asFailure(thrown);
    const what = kind === "invalid" ? message : `the list cannot be made: ${message}`;
    return {
      stages: [],
      faults: [{ step: undefined, what: hint === undefined ? what : `${what} (${hint})` }],
    };
  }
}

function stagesOf(runbook: Runbook, params: Params): readonly Stage[] {
  // No compiler has seen it: what stands in the list and is no step is told here, by its name.
  for (const [key, entry] of Object.entries(runbook.steps(params) as { readonly [key: string]: unknown }))
    if (!isEntry(entry))
      throw new Failure(
        "invalid",
        `"${key}" in the list is no step, nor \`eachNode\` or \`together\` of steps`,
      );
  const members = runbook.onScratch ? ["scratch"] : ["active", "standby"];
  return layOut(runbook, readParams(runbook, params), members);
}

function isEntry(entry: unknown): boolean {
  if (typeof entry !== "object" || entry === null || !("kind" in entry)) return false;
  if (entry.kind === "each-node") return "step" in entry && isEntry(entry.step);
  if (entry.kind !== "together") return true;
  return "steps" in entry && Object.values(entry.steps as object).every(isEntry);
}

/** A list as far as it is checked. */
function textOf(stages: readonly Stage[]): string {
  const keys = new Map(unitsOf(stages).map(({ key, step }) => [step, key]));
  const units = unitsOf(stages).map(({ key, step: { ends, undo, refreshes: _, ...step } }) => [
    key,
    wordsOf(step),
    ends && keys.get(ends),
    undo && undosOf(undo),
  ]);
  return JSON.stringify(units);
}

function wordsOf(step: object): readonly unknown[] {
  return Object.entries(step).map(([word, said]: readonly [string, unknown]) => [
    word,
    typeof said === "function" ? "function" : said,
  ]);
}

function undosOf(undo: NonNullable<Step["undo"]>): unknown {
  try {
    return [undo()].flat().map(({ ends: _, refreshes: __, ...step }) => wordsOf(step));
  } catch {
    return "unreadable";
  }
}

/** Parameters that make a difference: those of which not every value shows it. The first values that do stand for all. */
function chosenIn({ params }: Runbook, seen: readonly Params[]): Params {
  return Object.fromEntries(
    Object.entries(params).flatMap(([name, spec]) => {
      const all = "oneOf" in spec ? spec.oneOf : [];
      const missing = all.some((value) => seen.every((one) => one[name] !== value));
      return missing ? [[name, seen[0]?.[name] ?? ""]] : [];
    }),
  );
}

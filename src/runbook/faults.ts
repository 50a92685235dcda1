/**
 * What is wrong with the steps of a list as they are written, before anything is walked: a runbook is loaded as it stands, so
 * that no compiler has seen it. What the order of its steps brings about is found by walking it (src/engine/explore.ts).
 */
import { asFailure } from "../errors.ts";
import { undoOf, unitsOf, type Stage, type Unit } from "./list.ts";
import type { Runbook, Step } from "./step.ts";

export interface Fault {
  /** Key of the step in the runbook's list; undefined where it is about no single one. */
  readonly step: string | undefined;
  /** What is wrong, to be read after the step's key. */
  readonly what: string;
}

/** The key that the list has for it: one for all nodes. */
export function stepOf({ key }: Unit): string {
  return key.split("@")[0] ?? key;
}

/** Every word that a step may say, so that one that is spelled wrong is not passed over in silence. */
const words: { readonly [word in Exclude<keyof Step, "outcome">]-?: true } = {
  kind: true,
  hint: true,
  title: true,
  done: true,
  do: true,
  must: true,
  before: true,
  expect: true,
  within: true,
  patience: true,
  undo: true,
  undoByLooks: true,
  exposes: true,
  undoWhen: true,
  refreshes: true,
  ends: true,
  ifUndone: true,
  renew: true,
  skippable: true,
  whenFailed: true,
  cuts: true,
  mayServe: true,
  servedBy: true,
  proves: true,
  startsMirrors: true,
  boots: true,
};

/** What may be said by the words that choose. */
const choices: { readonly [word: string]: readonly unknown[] } = {
  exposes: ["service", "redundancy", "cost"] satisfies Step["exposes"][],
  undoWhen: ["in turn", "after service", "last"] satisfies Step["undoWhen"][],
  whenFailed: ["hold"] satisfies Step["whenFailed"][],
  cuts: ["standby", "both"] satisfies Step["cuts"][],
  servedBy: ["standby"] satisfies Step["servedBy"][],
  proves: ["devices", "quiet", "off"] satisfies Step["proves"][],
};

/** `nearest` finds the known word that was probably meant. */
export function faultsOf(
  stages: readonly Stage[],
  nearest: (word: string, known: readonly string[]) => string | undefined,
): readonly Fault[] {
  const units = unitsOf(stages);
  return units.flatMap((unit, i) => {
    const back = undosOf(unit);
    const what = [
      ...wordsOf(unit.step, nearest),
      ...endsOf(units, i),
      ...back.faults,
      ...back.steps.flatMap((step) =>
        wordsOf(step, nearest).map((fault) => `its undo ${sayTitle(step)} ${fault}`),
      ),
      ...startsOf(unit.step, back.steps),
    ];
    return what.map((each) => ({ step: stepOf(unit), what: each }));
  });
}

function sayTitle({ title }: Step): string {
  return typeof title === "string" && title.trim() !== "" ? `"${title}"` : "(without a title)";
}

function wordsOf(
  step: Step,
  nearest: (word: string, known: readonly string[]) => string | undefined,
): readonly string[] {
  const known = Object.keys(words);
  const unknown = Object.keys(step).filter((word) => !known.includes(word));
  const { title, within } = step as { readonly title: unknown; readonly within: unknown };
  const limited =
    typeof within === "function" || (typeof within === "number" && within > 0 && within < Infinity);
  return [
    ...unknown.map((word) => {
      const meant = nearest(word, known);
      return `has the word "${word}", which no step knows${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
    }),
    ...Object.entries(step).flatMap(([word, said]: readonly [string, unknown]) => {
      const may = choices[word];
      if (said === undefined || may === undefined || may.includes(said)) return [];
      return [
        `says ${word}: ${JSON.stringify(said)}; wanted ${may.map((one) => `"${String(one)}"`).join(", ")}`,
      ];
    }),
    ...(typeof title === "string" && title.trim() !== "" ? [] : ["has no title"]),
    ...(limited ? [] : ["has no limit: say how long it may take (`within: minutes(5)`)"]),
    ...(typeof step.done === "function" ? [] : ["has no `done`: nothing shows whether it holds"]),
    ...(step.kind !== "step" || typeof step.do === "function" ? [] : ["has no `do`"]),
  ];
}

/** Parameters that no word has made. */
export function faultsOfParams({ params }: Pick<Runbook, "params">): readonly Fault[] {
  return Object.entries(params as { readonly [name: string]: unknown }).flatMap(([name, spec]) =>
    isParam(spec)
      ? []
      : [{ step: undefined, what: `parameter "${name}" is no oneOf(…), named(…), count(…) or said(…)` }],
  );
}

function isParam(spec: unknown): boolean {
  if (typeof spec !== "object" || spec === null) return false;
  const { oneOf, named, otherwise, count, said } = spec as { readonly [word: string]: unknown };
  if (Array.isArray(oneOf)) return oneOf.length > 0 && oneOf.every((value) => typeof value === "string");
  if (named !== undefined) return typeof named === "string" && typeof otherwise === "string";
  return typeof count === "number" || typeof said === "string";
}

/** `layOut` has seen that the step is in the list; it has to come before its end. */
function endsOf(units: readonly Unit[], at: number): readonly string[] {
  const { ends } = units[at]?.step ?? {};
  if (ends === undefined || units.slice(0, at).some(({ step }) => step === ends)) return [];
  return [`ends "${ends.title}", which is not in the list before it`];
}

function undosOf({ step }: Unit): { readonly steps: readonly Step[]; readonly faults: readonly string[] } {
  if (step.undo === undefined) return { steps: [], faults: [] };
  try {
    const steps = undoOf(step);
    if (steps.some((each) => typeof each !== "object" || each === null))
      return { steps: [], faults: ["has an undo that is no step, nor a list of steps"] };
    const empty = steps.length === 0 && step.exposes !== undefined;
    return { steps, faults: empty ? [`takes ${taken[step.exposes]}, and its undo is an empty list`] : [] };
  } catch (thrown) {
    return { steps: [], faults: [`has an undo that cannot be read: ${asFailure(thrown).message}`] };
  }
}

/** What an exposure takes, in words. */
export const taken = { service: "the service", redundancy: "redundancy", cost: "money" } as const;

/** A step that starts mirrors may prove their devices itself, by its `must`; on the way back there is no other proof. */
function startsOf(step: Step, back: readonly Step[]): readonly string[] {
  const own = (one: Step) => one.startsMirrors === true && one.proves === "devices" && one.must === undefined;
  const unproven = back.filter((one) => one.startsMirrors === true && one.proves !== "devices");
  return [
    ...(own(step)
      ? ["says that it proves the devices of the mirrors that it starts, and has no `must`"]
      : []),
    ...back
      .filter(own)
      .map(
        (one) =>
          `its undo ${sayTitle(one)} says that it proves the devices of the mirrors that it starts, and has no \`must\``,
      ),
    ...unproven.map((one) => `its undo ${sayTitle(one)} starts mirrors, and does not prove their devices`),
  ];
}

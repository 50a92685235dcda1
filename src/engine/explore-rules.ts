/**
 * What must hold in every state that the exploration (explore.ts) reaches: what was taken is given back or named, the way back
 * has its order, no mirror is started on devices that are not proven, and no volume is cut before its content is quiet. It
 * shares no code with what decides these in a run (machine.ts, way-back.ts, fold.ts): a mistake there has to show here.
 */
import { stepOf, taken, type Fault as Finding } from "../runbook/faults.ts";
import type { Unit } from "../runbook/list.ts";
import type { Step } from "../runbook/step.ts";
import type { Context, End } from "./events.ts";

/** A run that ends has closed what it opened; what a person had skipped stays open, and is named in the end. */
export function judgeEnd(units: readonly Unit[], context: Context, end: End): readonly Finding[] {
  if (end === "stuck")
    return context.left.length === 0
      ? [{ step: undefined, what: "a run is stuck, and does not say with what" }]
      : [];
  if (end !== "succeeded") return [];
  if (context.goBack) return [{ step: undefined, what: "a run that is to be given back succeeds" }];
  return units.flatMap((unit) => {
    const { exposes } = unit.step;
    if (exposes === undefined || !context.begun.includes(unit.key) || isOver(units, context, unit)) return [];
    return [{ step: stepOf(unit), what: `takes ${taken[exposes]}, and no step in the list ends that` }];
  });
}

/** When a run turns back, everything that it took and that is not over stands on its list. */
export function judgeSetOut(units: readonly Unit[], context: Context): readonly Finding[] {
  const { begun, list, left } = context;
  const missing = units.filter(
    (unit) =>
      begun.includes(unit.key) &&
      !isOver(units, context, unit) &&
      !list.includes(unit.key) &&
      !left.some((entry) => entry.unit === unit.key),
  );
  const lost = missing.flatMap((unit) => {
    const { exposes, undo } = unit.step;
    if (undo !== undefined) return [{ step: stepOf(unit), what: "was begun, and is not given back" }];
    if (exposes === undefined) return [];
    const what = `takes ${taken[exposes]} and has no undo: when it fails, or a step after it, nothing gives that back`;
    return [{ step: stepOf(unit), what }];
  });
  return [...lost, ...judgeOrder(units, list)];
}

/** The service comes first, and redundancy after what is left, unless a step says otherwise (design 3.5). */
function judgeOrder(units: readonly Unit[], list: readonly string[]): readonly Finding[] {
  const steps = list.flatMap((key) => units.find((unit) => unit.key === key) ?? []);
  const isPlain = ({ step }: Unit, exposes: Step["exposes"]) =>
    step.exposes === exposes && step.undoWhen === undefined && step.renew === undefined;
  return steps.flatMap((unit, i) => {
    const before = steps.slice(0, i);
    if (isPlain(unit, "service") && before.some((other) => !isPlain(other, "service")))
      return [{ step: stepOf(unit), what: "takes the service, and is not the first to be given back" }];
    const late = before.some((other) => isPlain(other, "redundancy"));
    if (late && (isPlain(unit, undefined) || isPlain(unit, "cost") || unit.step.undoWhen === "in turn"))
      return [{ step: stepOf(unit), what: "waits on the way back until the mirror is in sync" }];
    return [];
  });
}

/** What is kept alive for the whole run goes only when nothing else is open. */
export function judgeBack(units: readonly Unit[], { list }: Context): readonly Finding[] {
  const isKept = (key: string | undefined) =>
    units.some((unit) => unit.key === key && unit.step.renew !== undefined);
  const [first] = list;
  if (first === undefined || !isKept(first) || list.every(isKept)) return [];
  return [
    { step: first.split("@")[0], what: "is what keeps the run safe, and goes before the rest is given back" },
  ];
}

/** Asked of each step when it is about to act. */
export function judgeForward(units: readonly Unit[], context: Context, unit: Unit): readonly Finding[] {
  const findings: Finding[] = [];
  const { step } = unit;
  if (step.startsMirrors === true && !provesItself(step) && !isProven(units, context, unit, "devices"))
    findings.push({
      step: stepOf(unit),
      what: 'starts mirrors before a step has proven their devices, since the last boot (`proves: "devices"`)',
    });
  if (step.cuts === undefined) return findings;
  if (!isProven(units, context, unit, "quiet"))
    findings.push({
      step: stepOf(unit),
      what: 'cuts volumes before a step has proven that nothing writes to them, or after that was over (`proves: "quiet"`)',
    });
  if (!isProven(units, context, unit, "off"))
    findings.push({
      step: stepOf(unit),
      what: 'cuts volumes before a step has proven that their nodes are off (`proves: "off"`)',
    });
  return findings;
}

/** By its `must`, at the moment of acting. */
export function provesItself({ proves, must }: Step): boolean {
  return proves === "devices" && must !== undefined;
}

function isProven(
  units: readonly Unit[],
  context: Context,
  unit: Unit,
  kind: NonNullable<Step["proves"]>,
): boolean {
  const here = units.indexOf(unit);
  return units.some((proof, at) => {
    if (at >= here || proof.step.proves !== kind || !Object.hasOwn(context.outcomes, proof.key)) return false;
    const since = units.slice(at + 1, here);
    const upset = since.some(({ key, step }) => context.begun.includes(key) && upsets(step, kind));
    return !upset && !(kind === "quiet" && wasGivenBack(units, context, proof, since));
  });
}

function upsets({ boots, startsMirrors, mayServe }: Step, kind: NonNullable<Step["proves"]>): boolean {
  return boots === true || startsMirrors === true || (kind === "quiet" && mayServe === true);
}

/** What made it quiet is what the proof itself took away; or else all that was away when it was made. */
function wasGivenBack(
  units: readonly Unit[],
  context: Context,
  proof: Unit,
  since: readonly Unit[],
): boolean {
  const away =
    proof.step.exposes === undefined
      ? units.slice(0, units.indexOf(proof)).filter(({ step }) => step.exposes === "service")
      : [proof];
  return away.some((unit) =>
    since.some((other) => isEnderOf(other, unit) && Object.hasOwn(context.outcomes, other.key)),
  );
}

function isOver(units: readonly Unit[], { outcomes, skipped }: Context, unit: Unit): boolean {
  return units.some(
    (other) => isEnderOf(other, unit) && (Object.hasOwn(outcomes, other.key) || skipped.includes(other.key)),
  );
}

function isEnderOf(other: Unit, { step, node }: Unit): boolean {
  return other.step.ends === step && (other.node === undefined || node === undefined || other.node === node);
}

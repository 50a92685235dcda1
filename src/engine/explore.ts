/**
 * Every path that a run of a list can take, walked on the machine itself with `xstate/graph`: each step fails at each point,
 * finds its work done, is tried again or skipped, and the operator wants everything back at any moment.
 *
 * Two states are one where nothing that is still to come could tell them apart (`keyOf`). A step that found its work done, or
 * was skipped, changes what the way back has to do, and to mix all such steps would be 2 to the power of their number. So one of
 * them at a time is walked, and after it only straight on, or back from a failure; what is judged concerns one step or two.
 */
import { getAdjacencyMap } from "xstate/graph";

import { stepOf, type Fault as Finding } from "../runbook/faults.ts";
import { unitsOf, type Stage, type Unit } from "../runbook/list.ts";
import type { Context, RunEvent, Task, Trouble, Verb } from "./events.ts";
import { judgeBack, judgeEnd, judgeForward, judgeSetOut } from "./explore-rules.ts";
import { compile, tasksAfter, type Machine, type Position } from "./machine.ts";

export interface Explored {
  readonly states: number;
  readonly transitions: number;
  readonly findings: readonly Finding[];
}

/** Far above what any list needs; beyond it something does not fold. */
const limit = 1_000_000;

/**
 * The way back hangs on its list alone, so lists of one runbook share it: `walked` holds what the walks before this one have
 * seen of it, and is added to.
 */
export function explore(stages: readonly Stage[], walked: Set<string> = new Set()): Explored {
  const machine = compile(stages);
  const units = unitsOf(stages);
  const heavy = units
    .filter(({ step }) => matters(step))
    .map((unit) => ({ key: unit.key, enders: endersOf(units, unit).map(({ key }) => key) }));
  const way: Way = { machine, stages, units, heavy, inOrder: new Set(), walked: new Set(walked) };
  const keys = new WeakMap<Position, string>();
  const keyed = (at: Position): string => {
    const known = keys.get(at) ?? keyOf(way, at);
    keys.set(at, known);
    return known;
  };
  const reached = statesOf(way, keyed);
  const findings = new Map<string, Finding>();
  const note = (all: readonly Finding[]) => {
    for (const finding of all) findings.set(`${finding.step ?? ""}: ${finding.what}`, finding);
  };
  for (const { at, moves } of reached.values()) {
    note(judgeState(way, at));
    for (const { event, to } of moves) note(judgeMove(way, at, event, to));
  }
  note(withoutEnd(way, reached, keyed));
  for (const [key, { at }] of reached) if (isGoingBack(at) && isInOrder(way, at)) walked.add(key);
  return {
    states: reached.size,
    transitions: [...reached.values()].reduce((sum, { moves }) => sum + moves.length, 0),
    findings: [...findings.values()],
  };
}

interface Way {
  readonly machine: Machine;
  readonly stages: readonly Stage[];
  readonly units: readonly Unit[];
  /** Those that make a difference later by having acted, with what ends that. */
  readonly heavy: readonly { readonly key: string; readonly enders: readonly string[] }[];
  /** The lists that the way back set out with, and what is left of them as it goes. */
  readonly inOrder: Set<string>;
  /** States of the way back that need not be walked again. */
  readonly walked: ReadonlySet<string>;
}

interface Reached {
  readonly at: Position;
  readonly moves: readonly { readonly event: RunEvent; readonly to: Position }[];
}

/**
 * XState's own breadth-first walk, over positions: a position knows what is under way, which a snapshot does not. It makes one
 * scope for the whole walk, where the pure `transition` makes an actor for each move, which is half of what a move costs.
 */
function statesOf(way: Way, keyed: (at: Position) => string): ReadonlyMap<string, Reached> {
  const { machine } = way.machine;
  const logic = {
    transition: (at: Position, event: RunEvent, scope: Scope): Position => {
      const actions: unknown[] = [];
      scope.actionExecutor = (action) => actions.push(action);
      const snapshot = machine.transition(at.snapshot, event, scope as never);
      const to = { snapshot, tasks: tasksAfter(actions, at.tasks) };
      if (!isGoingBack(at) && isGoingBack(to)) keepOrder(way, to);
      return to;
    },
  };
  const map = getAdjacencyMap(
    logic as never,
    {
      fromState: way.machine.start(),
      events: (at: Position) => (way.walked.has(keyed(at)) ? [] : eventsIn(way, at)),
      serializeState: keyed,
      serializeEvent: sayEvent,
      limit,
    } as never,
  ) as unknown as { readonly [key: string]: Adjacent };
  return new Map(
    Object.entries(map).map(([key, { state, transitions }]) => [
      key,
      { at: state, moves: Object.values(transitions).map(({ event, state: to }) => ({ event, to })) },
    ]),
  );
}

function keepOrder({ machine, inOrder }: Way, at: Position): void {
  const { list } = machine.contextOf(at);
  for (const i of list.keys()) inOrder.add(list.slice(i).join());
}

/** The events of one state, told apart. */
function sayEvent(event: RunEvent): string {
  if (event.type === "verb") return event.verb;
  const how = event.type === "not-undone" ? ` ${event.again} ${event.atOnce}` : "";
  return `${event.type} ${event.unit}${how}`;
}

function isInOrder({ machine, inOrder }: Way, at: Position): boolean {
  return inOrder.has(machine.contextOf(at).list.join());
}

/** What `xstate/graph` takes and gives, in terms of positions. */
interface Scope {
  actionExecutor: (action: unknown) => void;
}
interface Adjacent {
  readonly state: Position;
  readonly transitions: { readonly [event: string]: { readonly event: RunEvent; readonly state: Position } };
}

const trouble: Trouble = { kind: "timeout", message: "" };
const verb = (name: Verb): RunEvent => ({ type: "verb", verb: name, by: "", why: "" });

/** What can happen in a state: what the tasks under way may answer, and what an operator may say. */
function eventsIn(way: Way, at: Position): readonly RunEvent[] {
  const context = way.machine.contextOf(at);
  const end = way.machine.endOf(at);
  if (end !== undefined) return end === "stuck" ? [verb("undo")] : [];
  const differs = hasDiffered(way, context);
  const events = at.tasks.flatMap((task) => answersOf(way, task, context, differs));
  const asking = at.tasks.some(({ kind }) => kind === "ask");
  return context.goBack || (differs && !asking) ? events : [...events, verb("give-back")];
}

function answersOf(way: Way, task: Task, context: Context, differs: boolean): readonly RunEvent[] {
  const [unit = ""] = task.units;
  const outcome: RunEvent = { type: "outcome", unit, found: null, already: false };
  const failure: RunEvent = { type: "failure", unit, trouble };
  switch (task.kind) {
    case "look": {
      const { kind, boots, startsMirrors, mayServe } = unitIn(way, unit).step;
      if (kind !== "step") return [outcome, failure];
      // What upsets a proof by acting is walked as it acts: found done, it upsets none.
      const acts = differs || (boots ?? startsMirrors ?? mayServe) === true;
      const intent: RunEvent = { type: "intent", unit, before: null };
      return [intent, ...(differs ? [] : [failure]), ...(acts ? [] : [outcome])];
    }
    case "do":
      return [outcome, failure, ...(differs ? [] : [{ type: "acted", unit } as const])];
    case "settle":
    case "approve":
      return [outcome, failure];
    case "ask": {
      const maySkip = task.units.every((key) => unitIn(way, key).step.skippable === true);
      return differs ? [] : [verb("retry"), ...(maySkip ? [verb("skip")] : [])];
    }
    case "undo": {
      const failed = { type: "not-undone", unit, trouble, atOnce: false, again: false } as const;
      const again: RunEvent = { ...failed, again: true };
      const undone: RunEvent = { type: "undone", unit, already: false };
      // One at a time changes places with the next, or is left, and the rest is walked to its end.
      if (!way.inOrder.has(context.list.join())) return [undone];
      return context.left.length > 0 ? [undone, failed] : [undone, failed, again, { ...again, atOnce: true }];
    }
  }
}

function unitIn(way: Way, key: string): Unit {
  return way.units.find((unit) => unit.key === key) as Unit;
}

/** Whether a step has found its work done, or was skipped, and that still makes a difference. */
function hasDiffered({ heavy }: Way, { outcomes, begun, skipped }: Context): boolean {
  return (
    skipped.length > 0 ||
    heavy.some(
      ({ key, enders }) =>
        Object.hasOwn(outcomes, key) &&
        !begun.includes(key) &&
        !enders.some((ender) => Object.hasOwn(outcomes, ender)),
    )
  );
}

/** Whether the way back, or what is open at an end, depends on its having acted. */
function matters({ undo, exposes }: Unit["step"]): boolean {
  return undo !== undefined || exposes !== undefined;
}

/** What a state is, as far as anything that can still happen, or is judged, depends on it. */
function keyOf(way: Way, at: Position): string {
  const { machine, stages } = way;
  const context = machine.contextOf(at);
  const places = machine.placesOf(at);
  const { begun, skipped, failures, goBack, list, left } = context;
  const any = begun.length > 0 ? "+" : "-";
  const end = machine.endOf(at);
  if (end === "succeeded") return `succeeded ${goBack} ${openIn(way, context).join()} ${skipped.join()}`;
  if (end === "given back" || end === "refused") return end;
  if (isGoingBack(at) || end === "stuck") {
    const last = list.length === 0 ? left.at(-1)?.unit : left.length > 0 ? "some" : "";
    return [places.join(), list.join(), last, any, begun.includes("holdNodes")].join(" ");
  }
  const stage = stages.find((one) =>
    one.units.some(({ key }) => at.tasks.some((t) => t.units.includes(key))),
  );
  const own = (stage?.units ?? []).map(
    ({ key }) => `${Object.hasOwn(failures, key) ? "f" : ""}${begun.includes(key) ? "b" : ""}`,
  );
  return [places.join(), own.join(), goBack, any, openIn(way, context).join(), skipped.join()].join(" ");
}

/** Begun, and not over: what another step has ended is no longer to be told from what was never begun. */
function openIn({ heavy }: Way, { begun, outcomes }: Context): readonly string[] {
  return heavy
    .filter(
      ({ key, enders }) => begun.includes(key) && !enders.some((ender) => Object.hasOwn(outcomes, ender)),
    )
    .map(({ key }) => key);
}

function endersOf(units: readonly Unit[], { step, node }: Unit): readonly Unit[] {
  return units.filter((other) => other.step.ends === step && (other.node ?? node) === node);
}

function judgeState(way: Way, at: Position): readonly Finding[] {
  const { machine, units } = way;
  const context = machine.contextOf(at);
  const end = machine.endOf(at);
  if (end !== undefined) return judgeEnd(units, context, end);
  if (at.tasks.length === 0)
    return [own(`in ${machine.placesOf(at).join()} nothing is under way, and no end is reached`)];
  if (isBack(way, at)) return judgeBack(units, context);
  return at.tasks.flatMap(({ kind, units: [unit = ""] }) =>
    kind === "do" ? judgeForward(units, context, unitIn(way, unit)) : [],
  );
}

/** A move has to end the task that it came from: the walk starts nothing twice, and would wait for ever. */
function judgeMove(way: Way, at: Position, event: RunEvent, to: Position): readonly Finding[] {
  const { machine, units } = way;
  const from = machine.contextOf(at);
  const next = machine.contextOf(to);
  const task = at.tasks.find(({ kind, units: about }) =>
    event.type === "verb" ? kind === "ask" : about.includes(event.unit),
  );
  const findings: Finding[] = [];
  if (task !== undefined && to.tasks.includes(task))
    findings.push(own(`${machine.placesOf(at).join()} does not take "${event.type}"`));
  if (from.goBack && to.tasks.some((task) => task.kind === "look" && !at.tasks.includes(task)))
    findings.push(own(`${machine.placesOf(to).join()} begins, though everything is to be given back`));
  if (!isBack(way, at) && isBack(way, to)) findings.push(...judgeSetOut(units, next));
  if (event.type === "verb" && event.verb === "undo") {
    const wanted = from.left.map(({ unit }) => unit);
    if (wanted.some((key) => !next.list.includes(key)))
      findings.push(own("`runbook undo` of a stuck run leaves out what was left"));
  }
  if (isBack(way, at) && machine.endOf(at) === undefined) {
    // What is off the list was given back, or is named.
    const gone = from.list.filter((key) => !next.list.includes(key));
    const lost = gone.filter((key) => {
      const undone = event.type === "undone" && event.unit === key;
      return !undone && !next.left.some(({ unit }) => unit === key);
    });
    findings.push(
      ...lost.map((key) => ({ step: stepOf(unitIn(way, key)), what: "is lost on the way back" })),
    );
  }
  return findings;
}

/** On the way back, or at an end of it. */
function isBack(way: Way, at: Position): boolean {
  const end = way.machine.endOf(at);
  return end === undefined ? isGoingBack(at) : end !== "succeeded";
}

function isGoingBack({ snapshot: { value } }: Position): boolean {
  return typeof value === "object" && "givingBack" in value;
}

/** States from which no end can be reached. */
function withoutEnd(
  { machine, walked }: Way,
  reached: ReadonlyMap<string, Reached>,
  keyed: (at: Position) => string,
): readonly Finding[] {
  const into = new Map<string, string[]>();
  for (const [key, { moves }] of reached)
    for (const { to } of moves) into.set(keyed(to), [...(into.get(keyed(to)) ?? []), key]);
  const good = new Set(
    [...reached]
      .filter(([key, { at }]) => machine.endOf(at) !== undefined || walked.has(key))
      .map(([key]) => key),
  );
  for (const key of good) for (const before of into.get(key) ?? []) good.add(before);
  const [bad] = [...reached].filter(([key]) => !good.has(key));
  return bad ? [own(`from ${machine.placesOf(bad[1].at).join()} no end can be reached`)] : [];
}

/** Nothing that a runbook could mend. */
function own(what: string): Finding {
  return { step: undefined, what };
}

/**
 * The list as one XState machine, moved by pure functions: the only module that knows XState (explore.ts walks
 * it with XState's own graph functions).
 *
 * A stage is a state; in it each unit is a region with its phases (looking, waiting for a person, doing, settling). A region
 * never leaves its stage: `done`, `failed` and `skipped` are final in it, and when all have ended the stage is left, or
 * the question is asked (retry, skip, give back). The way back is one looping state whose input is the head of a list in
 * context. Effects never start here: `transition` names what should be running now, and the walk starts it after the
 * event that led there was journaled (reference stack 2.1 to 2.5: why `createActor` is not used).
 */
import {
  assign,
  createMachine,
  fromPromise,
  initialTransition,
  transition,
  type AnyMachineSnapshot,
  type AnyStateMachine,
} from "xstate";

import type { Stage } from "../runbook/list.ts";
import {
  clearFailures,
  failureNoted,
  intentNoted,
  isSettled,
  nothing,
  notUndone,
  outcomeNoted,
  unitsToAsk,
  type Context,
  type End,
  type RunEvent,
  type Task,
  type Verb,
} from "./events.ts";
import { wayBack, type WayBack } from "./way-back.ts";

export interface Position {
  readonly snapshot: AnyMachineSnapshot;
  readonly tasks: readonly Task[];
}

/** The machine as plain data, for pictures and golden files. */
export interface Outline {
  readonly id: string;
  readonly name: string;
  readonly type: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly initial: string | undefined;
  readonly states: readonly Outline[];
  readonly edges: readonly { readonly event: string; readonly target: string }[];
}

export interface Machine {
  readonly machine: AnyStateMachine;
  outline(): Outline;
  start(): Position;
  next(position: Position, event: RunEvent): Position;
  contextOf(position: Position): Context;
  endOf(position: Position): End | undefined;
  /** Names of the states that are active, outermost first, joined by dots. */
  placesOf(position: Position): readonly string[];
}

export function compile(stages: readonly Stage[]): Machine {
  const machine = build(stages);
  const position = (
    snapshot: AnyMachineSnapshot,
    actions: readonly unknown[],
    before: readonly Task[],
  ): Position => ({
    snapshot,
    tasks: tasksAfter(actions, before),
  });
  return {
    machine,
    outline: () => outlineOf(machine.root),
    start: () => {
      const [snapshot, actions] = initialTransition(machine);
      return position(snapshot, actions, []);
    },
    next: (at, event) => {
      const [snapshot, actions] = transition(machine, at.snapshot, event);
      return position(snapshot, actions, at.tasks);
    },
    contextOf: (at) => at.snapshot.context as Context,
    endOf: (at) => endNames[String(at.snapshot.value)],
    placesOf: (at) => flatten(at.snapshot.value),
  };
}

const endNames: { readonly [state: string]: End } = {
  succeeded: "succeeded",
  givenBack: "given back",
  stuck: "stuck",
  refused: "refused",
};

function outlineOf(node: AnyStateMachine["root"]): Outline {
  const transitions = [...node.transitions.values()].flat().concat(node.always ?? []);
  const edges = transitions.flatMap((edge) =>
    (edge.target ?? []).map((target) => ({ event: plainEvent(String(edge.eventType)), target: target.id })),
  );
  const initial = node.initial.target[0]?.id;
  return {
    id: node.id,
    name: node.key,
    type: node.type,
    initial: node.type === "compound" ? initial : undefined,
    states: Object.values(node.states).map((child) => outlineOf(child)),
    edges: edges.filter(
      (edge, i) => edges.findIndex((other) => JSON.stringify(other) === JSON.stringify(edge)) === i,
    ),
  };
}

/** XState's own names for "all regions ended" and "at once", in words. */
function plainEvent(type: string): string {
  if (type.startsWith("xstate.done.state")) return "all ended";
  return type === "" ? "at once" : type;
}

/** Whoever wants everything back does not want to wait with it. */
const backNow: Partial<Context> = { goBack: true, paused: false };

type Guard = (args: { context: Context; event: RunEvent }) => boolean;
type Assign = (context: Context, event: RunEvent) => Partial<Context>;

/** An assign made from a pure function on our own types. */
function put(change: Assign): unknown {
  return assign(({ context, event }) => change(context as Context, event as unknown as RunEvent) as object);
}

/** Named so that the machine is complete; the walk runs the tasks itself and never starts these. */
const placeholder = fromPromise(async () => undefined);
const actors = {
  look: placeholder,
  approve: placeholder,
  do: placeholder,
  settle: placeholder,
  ask: placeholder,
  undo: placeholder,
};

function build(stages: readonly Stage[]): AnyStateMachine {
  const states: Record<string, object> = {};
  stages.forEach((stage, index) => {
    const next =
      index + 1 < stages.length ? `#run.${stateName(stages[index + 1]?.key ?? "")}` : "#run.succeeded";
    states[stateName(stage.key)] = stageState(stage, next);
  });
  const units = stages.flatMap((stage) => stage.units);
  const order = wayBack(
    units.map(({ key, step }) => ({
      key,
      exposes: step.exposes,
      undoWhen: step.undoWhen,
      keptAlive: step.renew !== undefined,
      canBeGivenBack: step.undo !== undefined,
    })),
  );
  const on = {
    intent: { actions: put((context, event) => intentNoted(context, event)) },
    verb: [
      { guard: isVerb("give-back"), actions: put(() => backNow) },
      { guard: isVerb("pause"), actions: put(() => ({ paused: true })) },
      { guard: isVerb("resume"), actions: put(() => ({ paused: false })) },
    ],
  };
  return createMachine({
    id: "run",
    context: nothing,
    initial: stages[0] ? stateName(stages[0].key) : "succeeded",
    on,
    states: {
      ...states,
      givingBack: givingBackState(order, (context, key) => isEnded(units, context, key)),
      succeeded: { type: "final" },
      givenBack: { type: "final" },
      refused: { type: "final" },
      // Not final: a person mends what was in the way and says `runbook undo`.
      stuck: {
        on: {
          verb: {
            guard: isVerb("undo"),
            target: "#run.givingBack",
            // The nodes are marked again first (walk.ts), so the marks go again last.
            actions: put((context) => ({
              list: order.sort(
                context.left
                  .map((entry) => entry.unit)
                  .concat(context.begun.includes("holdNodes") ? ["holdNodes"] : []),
              ),
              left: [],
              paused: false,
            })),
          },
        },
      },
    },
  } as never).provide({ actors });
}

function stageState(stage: Stage, next: string): object {
  const regions = Object.fromEntries(
    stage.units.map((unit) => [stateName(unit.key), unitState(unit.key, unit.step.kind)]),
  );
  const settled: Guard = ({ context }) => stage.units.every((unit) => isSettled(context, unit.key));
  return {
    initial: "work",
    states: {
      work: {
        type: "parallel",
        states: regions,
        onDone: [
          { guard: ({ context }: { context: Context }) => context.goBack, target: "#run.givingBack" },
          { guard: settled, target: next },
          { target: "asking" },
        ],
      },
      asking: {
        invoke: {
          id: `${stage.key}:ask`,
          src: "ask",
          input: ({ context }: { context: Context }) => unitsToAsk(stage, context),
        },
        always: { guard: ({ context }: { context: Context }) => context.goBack, target: "#run.givingBack" },
        on: {
          verb: [
            {
              guard: isVerb("retry"),
              target: "work",
              actions: put((context) => clearFailures(context, stage)),
            },
            {
              guard: isVerb("skip"),
              target: "work",
              actions: put((context) => ({
                ...clearFailures(context, stage),
                skipped: [...context.skipped, ...unitsToAsk(stage, context)],
              })),
            },
            { guard: isVerb("give-back"), actions: put(() => backNow) },
          ],
        },
      },
    },
  };
}

function unitState(key: string, kind: string): object {
  const own: Guard = ({ event }) => "unit" in event && event.unit === key;
  const found = { guard: own, target: "done", actions: put(outcomeNoted) };
  const failed = { guard: own, target: "failed", actions: put(failureNoted) };
  const intent = { guard: own, target: "doing", actions: put(intentNoted) };
  const phase = (src: Task["kind"], on: object) => ({
    invoke: { id: `${key}:${src}`, src, input: [key] },
    on: { ...on, failure: failed },
  });
  return {
    initial: "ready",
    states: {
      ready: {
        always: [
          { guard: ({ context }: { context: Context }) => isSettled(context, key), target: "done" },
          {
            guard: ({ context }: { context: Context }) =>
              context.failures[key] !== undefined || context.goBack,
            target: "failed",
          },
          { target: kind === "approve" ? "waiting" : "looking" },
        ],
      },
      ...(kind === "approve"
        ? { waiting: phase("approve", { outcome: found }) }
        : {
            looking: phase("look", { outcome: found, intent }),
            // The world may have got there while the answer was lost: an outcome may come without "acted".
            doing: phase("do", { outcome: found, acted: { guard: own, target: "settling" }, intent }),
            settling: phase("settle", { outcome: found }),
          }),
      done: { type: "final" },
      failed: { type: "final" },
    },
  };
}

/** Whether a later step has ended what this unit took. */
function isEnded(units: Stage["units"], context: Context, key: string): boolean {
  const unit = units.find((candidate) => candidate.key === key);
  return units.some(
    (other) =>
      other.step.ends !== undefined &&
      other.step.ends === unit?.step &&
      (other.node ?? unit.node) === unit.node &&
      isSettled(context, other.key),
  );
}

function givingBackState(order: WayBack, ended: (context: Context, key: string) => boolean): object {
  return {
    initial: "setOut",
    states: {
      setOut: {
        always: {
          target: "next",
          actions: put((context) =>
            context.list.length > 0 ? {} : { list: order.list(context.begun, (key) => ended(context, key)) },
          ),
        },
      },
      next: {
        always: [
          { guard: ({ context }: { context: Context }) => context.list.length > 0, target: "undoing" },
          { guard: ({ context }: { context: Context }) => context.left.length > 0, target: "#run.stuck" },
          {
            guard: ({ context }: { context: Context }) => context.begun.length === 0,
            target: "#run.refused",
          },
          { target: "#run.givenBack" },
        ],
      },
      undoing: {
        invoke: {
          id: "undo",
          src: "undo",
          input: ({ context }: { context: Context }) => context.list.slice(0, 1),
        },
        on: {
          undone: { target: "next", actions: put((context) => ({ list: context.list.slice(1) })) },
          "not-undone": {
            target: "next",
            actions: put((context, event) => notUndone(order, context, event)),
          },
        },
      },
    },
  };
}

function isVerb(verb: Verb): Guard {
  return ({ event }) => event.type === "verb" && event.verb === verb;
}

/** State names may not hold dots; unit keys may ("copies.a", "x@server1.example"). */
export function stateName(key: string): string {
  return key.replaceAll(".", "·");
}

function flatten(value: unknown, before: readonly string[] = []): string[] {
  if (typeof value === "string") return [[...before, value].join(".")];
  return Object.entries(value as Record<string, unknown>).flatMap(([name, inner]) =>
    flatten(inner, [...before, name]),
  );
}

/** What runs after a transition: XState says which invokes began and which were left. */
export function tasksAfter(actions: readonly unknown[], before: readonly Task[]): readonly Task[] {
  let tasks = [...before];
  for (const action of actions as readonly {
    type: string;
    params?: { id: string; src: string; input: readonly string[] };
  }[]) {
    if (action.type === "xstate.spawnChild" && action.params) {
      const { id, src, input } = action.params;
      tasks = [...tasks.filter((task) => task.id !== id), { id, kind: src as Task["kind"], units: input }];
    } else if (action.type === "xstate.stopChild" && action.params) {
      const { id } = action.params;
      tasks = tasks.filter((task) => task.id !== id);
    }
  }
  return tasks;
}

/**
 * What can happen in a run, and what each event changes in what the run knows. Each event is the body of one journal row;
 * in which state it may happen, and what comes next, is the machine's to say (`machine.ts`).
 */
import type { Stage } from "../runbook/list.ts";
import type { WayBack } from "./way-back.ts";

export interface Trouble {
  readonly kind: string;
  readonly message: string;
  readonly hint?: string;
}

/** What can happen in a run. Each is the body of one journal row, and nothing else moves the machine. */
export type RunEvent =
  | { readonly type: "outcome"; readonly unit: string; readonly found: unknown; readonly already: boolean }
  | { readonly type: "intent"; readonly unit: string; readonly before: unknown }
  | { readonly type: "acted"; readonly unit: string }
  | { readonly type: "failure"; readonly unit: string; readonly trouble: Trouble }
  | {
      readonly type: "verb";
      readonly verb: Verb;
      readonly unit?: string;
      readonly by: string;
      readonly why: string;
      /** Of the message that brought it from another terminal. */
      readonly id?: string;
    }
  | {
      readonly type: "undone";
      readonly unit: string;
      readonly already: boolean;
      /** What the last look found that a person should know. */
      readonly told?: readonly string[];
    }
  | {
      readonly type: "not-undone";
      readonly unit: string;
      readonly trouble: Trouble;
      readonly again: boolean;
      /** Tried again before anything else has its turn. */
      readonly atOnce: boolean;
      /** Title of the undo step that failed; those before it hold. */
      readonly part?: string;
    };

export type Verb = "retry" | "skip" | "give-back" | "undo" | "pause" | "resume";

export const eventKinds: readonly string[] = [
  "outcome",
  "intent",
  "acted",
  "failure",
  "verb",
  "undone",
  "not-undone",
];

/** Something that should be running in this state. */
export interface Task {
  /** The same after every replay. */
  readonly id: string;
  readonly kind: "look" | "approve" | "do" | "settle" | "ask" | "undo";
  readonly units: readonly string[];
}

export type End = "succeeded" | "given back" | "stuck" | "refused";

export interface Context {
  readonly outcomes: { readonly [unit: string]: unknown };
  readonly failures: { readonly [unit: string]: Trouble };
  readonly skipped: readonly string[];
  /** Units whose intent was written, in order. */
  readonly begun: readonly string[];
  readonly goBack: boolean;
  /** A person wants nothing new to begin. What is under way lands, and is looked at. */
  readonly paused: boolean;
  /** Still to be given back, next first; then what could not be. */
  readonly list: readonly string[];
  readonly left: readonly { readonly unit: string; readonly trouble: Trouble }[];
}

/** Before anything has happened. */
export const nothing: Context = {
  outcomes: {},
  failures: {},
  skipped: [],
  begun: [],
  goBack: false,
  paused: false,
  list: [],
  left: [],
};

export function isSettled(context: Context, key: string): boolean {
  return Object.hasOwn(context.outcomes, key) || context.skipped.includes(key);
}

export function unitsToAsk(stage: Stage, context: Context): string[] {
  return stage.units.map((unit) => unit.key).filter((key) => !isSettled(context, key));
}

export function clearFailures(context: Context, stage: Stage): Partial<Context> {
  const keys = stage.units.map((unit) => unit.key);
  return {
    failures: Object.fromEntries(Object.entries(context.failures).filter(([key]) => !keys.includes(key))),
  };
}

export function outcomeNoted(context: Context, event: RunEvent): Partial<Context> {
  return event.type === "outcome" ? { outcomes: { ...context.outcomes, [event.unit]: event.found } } : {};
}

export function failureNoted(context: Context, event: RunEvent): Partial<Context> {
  return event.type === "failure" ? { failures: { ...context.failures, [event.unit]: event.trouble } } : {};
}

export function intentNoted(context: Context, event: RunEvent): Partial<Context> {
  return event.type === "intent" && !context.begun.includes(event.unit)
    ? { begun: [...context.begun, event.unit] }
    : {};
}

export function notUndone(order: WayBack, context: Context, event: RunEvent): Partial<Context> {
  if (event.type !== "not-undone") return {};
  const rest = context.list.slice(1);
  return event.again
    ? { list: order.putBack(context.list, event.atOnce) }
    : { list: rest, left: [...context.left, { unit: event.unit, trouble: event.trouble }] };
}

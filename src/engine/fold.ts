/** The state of a run is the fold of its journal, and nothing else is stored (design 3.2). */
import type { Request } from "../ports/driver.ts";
import type { Row } from "../ports/store.ts";
import type { Stage, Unit } from "../runbook/list.ts";
import { unitsOf } from "../runbook/list.ts";
import type { CallSeen, Mine } from "../runbook/step.ts";
import { eventKinds, type Context, type RunEvent } from "./events.ts";
import type { Machine, Position } from "./machine.ts";

export interface Call {
  /** Counts the run's calls from 1; the answer names it. */
  readonly n: number;
  readonly unit: string;
  readonly direction: "forward" | "back";
  readonly request: Request;
  readonly visibleWithinMs: number;
  seen: CallSeen;
}

/** What the rows so far say, kept up to date row by row. */
export interface Told {
  position: Position;
  readonly calls: Call[];
  readonly before: Map<string, unknown>;
  readonly begunAt: Map<string, number>;
  /** When a unit last set out to act: a retry begins its time anew. */
  readonly actedAt: Map<string, number>;
  /** How often a unit's intent was written. */
  readonly tries: Map<string, number>;
  readonly doneAt: Map<string, number>;
  readonly undone: Set<string>;
  /** When a pause last ended: what was waited for meanwhile has its whole time from then. */
  resumedAt: number;
  /** A stuck run let its marks go and is being given back again: it has to mark the nodes before anything else. */
  unmarked: boolean;
  end: string | undefined;
}

export function begin(machine: Machine): Told {
  return {
    position: machine.start(),
    calls: [],
    before: new Map(),
    begunAt: new Map(),
    actedAt: new Map(),
    tries: new Map(),
    doneAt: new Map(),
    undone: new Set(),
    resumedAt: 0,
    unmarked: false,
    end: undefined,
  };
}

export function fold(machine: Machine, rows: readonly Row[]): Told {
  const told = begin(machine);
  for (const row of rows) take(told, machine, row.kind, row.body, row.at);
  return told;
}

/** One row. The same function serves the live run and the replay, so that both see the same. */
export function take(
  told: Told,
  machine: Machine,
  kind: string,
  body: { readonly [key: string]: unknown },
  at: number,
): void {
  if (eventKinds.includes(kind)) {
    const event = { type: kind, ...body } as unknown as RunEvent;
    told.position = machine.next(told.position, event);
    if (event.type === "intent" && !told.begunAt.has(event.unit)) {
      told.before.set(event.unit, event.before);
      told.begunAt.set(event.unit, at);
    }
    if (event.type === "intent") told.tries.set(event.unit, (told.tries.get(event.unit) ?? 0) + 1);
    if (event.type === "intent" || event.type === "acted") told.actedAt.set(event.unit, at);
    if (event.type === "outcome") told.doneAt.set(event.unit, at);
    if (event.type === "undone") told.undone.add(event.unit);
    if (event.type === "verb" && event.verb === "resume") told.resumedAt = at;
    if (event.type === "verb" && event.verb === "undo") {
      told.end = undefined;
      // What a run holds while it is at work, it takes again.
      told.undone.delete("holdNodes");
      told.unmarked = told.begunAt.has("holdNodes");
    }
  } else if (kind === "sent") {
    const { n, unit, direction, request, visibleWithinMs } = body as unknown as Call;
    const seen: CallSeen = {
      verb: request.verb,
      node: request.to === "node" ? request.node : undefined,
      request,
      sentAt: at,
      state: "unknown",
      text: "",
    };
    told.calls.push({ n, unit, direction, request, visibleWithinMs, seen });
    // Nothing is sent on the way back before the nodes were marked; until then, whoever takes the run up marks them.
    if (direction === "back") told.unmarked = false;
  } else if (kind === "answered") {
    const { sent, state, text } = body as unknown as { sent: number; state: CallSeen["state"]; text: string };
    const call = told.calls.find((candidate) => candidate.n === sent);
    if (call) call.seen = { ...call.seen, state, text };
  } else if (kind === "end") {
    told.end = String(body["end"]);
  }
}

export function mineOf(told: Told, key: string): Mine {
  return {
    begun: told.begunAt.has(key),
    before: told.before.get(key),
    tries: told.tries.get(key) ?? 0,
    calls: told.calls.filter((call) => call.unit === key).map((call) => call.seen),
  };
}

/** Something that a step took and that no step, and no undo, has ended yet. */
export interface OpenExposure {
  readonly unit: Unit;
  readonly what: NonNullable<Unit["step"]["exposes"]>;
  readonly since: number;
}

export function openExposures(
  stages: readonly Stage[],
  context: Context,
  told: Told,
): readonly OpenExposure[] {
  return activeUnits(stages, context, told).flatMap((unit) =>
    unit.step.exposes ? [{ unit, what: unit.step.exposes, since: told.begunAt.get(unit.key) ?? 0 }] : [],
  );
}

/** Units that were begun and are neither ended by a later step nor given back, oldest first. */
export function activeUnits(stages: readonly Stage[], context: Context, told: Told): readonly Unit[] {
  const units = unitsOf(stages);
  return units.filter((unit) => {
    if (!context.begun.includes(unit.key) || told.undone.has(unit.key)) return false;
    const enders = units.filter(
      (other) => other.step.ends === unit.step && (other.node ?? unit.node) === unit.node,
    );
    return !enders.some((other) => Object.hasOwn(context.outcomes, other.key));
  });
}

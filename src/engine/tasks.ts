/**
 * What the walk runs in each phase of a step: look, do, settle, and on the way back, undo. Straight lines; each ends by
 * noting exactly one event. The outcome of a step is always what a look found (design 3.1).
 */
import { asFailure, Failure } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import { fencedOutCode } from "../ports/shell.ts";
import { undoOf, type Stage, type Unit } from "../runbook/list.ts";
import { factDifferences, limitOf, notHolding, withCheck, type Plan } from "../runbook/plan.ts";
import { notYet, toldIn, type Step, type World } from "../runbook/step.ts";
import { activeUnits, mineOf } from "./fold.ts";
import type { Logbook } from "./logbook.ts";
import type { Trouble } from "./events.ts";

export type Direction = "forward" | "back";

export interface Tools {
  readonly logbook: Logbook;
  readonly clock: Clock;
  readonly stages: readonly Stage[];
  readonly worldFor: (unit: Unit, direction: Direction) => World;
  /** Fires when the operator wants out: what waits stops waiting, what is under way lands. */
  readonly signal: AbortSignal;
  /** Keeps markers and timers alive, and puts the present fence into markers of before. */
  renew(): Promise<void>;
  /** What the plan was computed from, by check. */
  readonly facts: Plan["facts"];
  /** When this process began to walk: time before that was an interruption, and does not count. */
  readonly walkingSince: number;
  /** Units whose intent this process wrote itself a moment ago: nothing of theirs can be unsettled. */
  readonly fresh: Set<string>;
}

/**
 * The one polling rule: first look at once, then 1 s, × 1.5, at most 15 s. A wait of hours is looked at ever more rarely, so
 * that what is noticed late is never more than a thirtieth of what was waited for.
 */
async function* looks(clock: Clock, signal: AbortSignal | undefined): AsyncGenerator<void> {
  const since = clock.now();
  for (let pause = 1_000; ; pause *= 1.5) {
    yield;
    pause = Math.min(pause, Math.max(15_000, (clock.now() - since) / 30));
    await clock.sleep(pause, signal);
  }
}

export async function look(tools: Tools, unit: Unit): Promise<void> {
  const { logbook, clock } = tools;
  const { step } = unit;
  const world = tools.worldFor(unit, "forward");
  const until = clock.now() + limitOf(step, world);
  if (step.kind === "check") {
    const found = await step.done(world, mineOf(logbook.told, unit.key));
    if (found === undefined) throw withCheck(notHolding(unit), unit);
    assertAsPlanned(tools.facts, unit.key, found);
    logbook.note({ type: "outcome", unit: unit.key, found, already: false });
    return;
  }
  if (step.kind === "wait") return noteFound(tools, unit, await waitFor(tools, unit, step, world, until));
  const patientUntil = clock.now() + (step.patience ?? 0);
  for await (const _ of looks(clock, tools.signal)) {
    const mine = mineOf(logbook.told, unit.key);
    const found = mine.begun ? await lookUnsettled(tools, unit, step, world) : await step.done(world, mine);
    if (found !== undefined) {
      logbook.note({ type: "outcome", unit: unit.key, found, already: !mine.begun });
      return;
    }
    if (clock.now() < patientUntil) continue;
    await assertStillTrue(tools, unit);
    if ((await step.must?.(world, mine)) === notYet) {
      if (clock.now() > until) throw tooLate(step, "the moment to begin never came");
      continue;
    }
    const before = mine.begun ? mine.before : ((await step.before?.(world)) ?? null);
    tools.fresh.add(unit.key);
    logbook.note({ type: "intent", unit: unit.key, before });
    return;
  }
}

/** A run does what was reviewed, or refuses, showing what is different (design 3.7). */
function assertAsPlanned(facts: Plan["facts"], key: string, found: unknown): void {
  if (!Object.hasOwn(facts, key)) return;
  const now = JSON.parse(JSON.stringify(found)) as unknown;
  const differences = factDifferences({ [key]: facts[key] }, { [key]: now });
  if (differences.length > 0)
    throw new Failure(
      "precondition",
      `the cluster is no longer as the plan found it: ${differences.join("; ")}`,
      {
        hint: "make a new plan, and have it reviewed",
      },
    );
}

/** Acts. After an answer that was lost it looks, for as long as an effect may stay invisible, before it acts again. */
export async function act(tools: Tools, unit: Unit): Promise<void> {
  const { logbook, clock } = tools;
  const { step } = unit;
  const world = tools.worldFor(unit, "forward");
  const until = clock.now() + limitOf(step, world);
  if (!tools.fresh.delete(unit.key)) {
    const found = await lookUnsettled(tools, unit, step, world);
    if (found !== undefined) return noteFound(tools, unit, found);
    await assertStillTrue(tools, unit);
    const early = await waitForMoment(tools, unit, step, world, until);
    if (early !== undefined) return noteFound(tools, unit, early.found);
  }
  const found = await send(tools, unit, step, world, until, () => assertStillTrue(tools, unit));
  if (found !== undefined) return noteFound(tools, unit, found);
  logbook.note({ type: "acted", unit: unit.key });
}

export async function settle(tools: Tools, unit: Unit): Promise<void> {
  const world = tools.worldFor(unit, "forward");
  // Waiting for a person, or for somebody to resume, is no time of the step's.
  const { actedAt, resumedAt } = tools.logbook.told;
  const since = Math.max(actedAt.get(unit.key) ?? 0, tools.walkingSince, resumedAt);
  noteFound(tools, unit, await waitFor(tools, unit, unit.step, world, since + limitOf(unit.step, world)));
}

/**
 * Gives back one step: its undo steps in order, each looked at first. Throws what hindered it; the walk decides whether it
 * is tried again.
 */
export async function giveBack(
  tools: Tools,
  unit: Unit,
  onPart: (title: string) => void = () => undefined,
): Promise<void> {
  const world = tools.worldFor(unit, "back");
  let acted = false;
  const told: string[] = [];
  for (const step of undoOf(unit.step)) {
    onPart(step.title);
    const until = tools.clock.now() + limitOf(step, world);
    let found = await lookUntilVisible(tools, unit, step, world);
    const patientUntil = tools.clock.now() + (step.patience ?? 0);
    found ??= (await waitForMoment(tools, unit, step, world, until, patientUntil))?.found;
    if (found === undefined) {
      acted = true;
      found =
        (await send(tools, unit, step, world, until)) ?? (await waitFor(tools, unit, step, world, until));
    }
    told.push(...toldIn(found));
  }
  tools.logbook.note({
    type: "undone",
    unit: unit.key,
    already: !acted,
    ...(told.length > 0 && { told }),
  });
}

/**
 * A look on the way back. "It is as it was" is no news while a call of this very step may still be on its way to where it
 * can be seen (a detach that the next answer does not know of yet): it is believed only after that.
 */
async function lookUntilVisible(tools: Tools, unit: Unit, step: Step, world: World): Promise<unknown> {
  let found = await lookUnsettled(tools, unit, step, world);
  const until = visibleAt(tools, unit);
  for await (const _ of looks(tools.clock, tools.signal)) {
    if (found === undefined || tools.clock.now() >= until) return found;
    found = await step.done(world, mineOf(tools.logbook.told, unit.key));
  }
  return found;
}

/** When the effects of all calls of a unit can be seen at the latest. */
function visibleAt(tools: Tools, unit: Unit): number {
  return Math.max(
    0,
    ...tools.logbook.told.calls
      .filter(
        (call) => call.unit === unit.key && (call.seen.state === "unknown" || call.seen.state === "answered"),
      )
      .map((call) => call.seen.sentAt + call.visibleWithinMs),
  );
}

/** Calls `do` until it went through, or a look shows that its effect is there. What says "not yet" has more to do later. */
async function send(
  tools: Tools,
  unit: Unit,
  step: Step,
  world: World,
  until: number,
  between: () => Promise<void> = async () => undefined,
): Promise<unknown> {
  for await (const _ of looks(tools.clock, tools.signal)) {
    let failure: Failure | undefined;
    try {
      if ((await step.do?.(world, mineOf(tools.logbook.told, unit.key))) !== notYet) return undefined;
    } catch (thrown) {
      failure = asFailure(thrown);
      if (failure.answer?.code === fencedOutCode) await renewOrLater(tools);
      else if (!mayPass(failure)) throw failure;
    }
    const found = await lookUnsettled(tools, unit, step, world);
    if (found !== undefined) return found;
    if (tools.clock.now() > until) throw failure ?? tooLate(step, "the moment for the rest of it never came");
    await between();
    const early = await waitForMoment(tools, unit, step, world, until);
    if (early !== undefined) return early.found;
  }
  return undefined;
}

/** A renewal whose own answer was lost is no reason to fail: the next try tells whether the marker carries our fence. */
async function renewOrLater(tools: Tools): Promise<void> {
  try {
    await tools.renew();
  } catch (thrown) {
    if (!mayPass(asFailure(thrown))) throw thrown;
  }
}

/** Whether what hindered a call may be gone the next time: nobody answered, or the answer was lost. */
function mayPass(failure: Failure): boolean {
  return failure.kind === "unavailable" || failure.kind === "timeout";
}

/** Asks `must` until the moment has come; answers with what was found if the step came to hold meanwhile. */
async function waitForMoment(
  tools: Tools,
  unit: Unit,
  step: Step,
  world: World,
  until: number,
  patientUntil = 0,
): Promise<{ readonly found: unknown } | undefined> {
  for await (const _ of looks(tools.clock, tools.signal)) {
    const early = tools.clock.now() < patientUntil;
    if (!early && (await step.must?.(world, mineOf(tools.logbook.told, unit.key))) !== notYet)
      return undefined;
    if (!early && tools.clock.now() > until) throw tooLate(step, "the moment to act never came");
    const found = await step.done(world, mineOf(tools.logbook.told, unit.key));
    if (found !== undefined) return { found };
  }
  return undefined;
}

/** Polls `done` until it holds. A look that nobody answered is no answer; what it said is kept for the message. */
async function waitFor(tools: Tools, unit: Unit, step: Step, world: World, until: number): Promise<unknown> {
  let last: Failure | undefined;
  for await (const _ of looks(tools.clock, tools.signal)) {
    try {
      const found = await step.done(world, mineOf(tools.logbook.told, unit.key));
      if (found !== undefined) return found;
      last = undefined;
    } catch (thrown) {
      last = asFailure(thrown);
      if (!mayPass(last)) throw last;
    }
    if (tools.clock.now() > until)
      throw tooLate(step, last ? `the last look failed: ${last.message}` : "it did not come about");
  }
  return undefined;
}

/**
 * One look, or where a call left without an answer, looks until its effect would have become visible (reference aws-ebs
 * 3.3: a list may miss for minutes what was just created).
 */
async function lookUnsettled(tools: Tools, unit: Unit, step: Step, world: World): Promise<unknown> {
  const until = visibleAt(tools, unit);
  for await (const _ of looks(tools.clock, tools.signal)) {
    try {
      const found = await step.done(world, mineOf(tools.logbook.told, unit.key));
      if (found !== undefined) return found;
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (!mayPass(failure)) throw failure;
      if (tools.clock.now() >= until) return undefined;
    }
    if (tools.clock.now() >= until) return undefined;
  }
  return undefined;
}

/**
 * Before anything new is done: whatever an earlier step took away and the run still counts on must still be so. A mirror
 * that somebody recovered, a service that the dead-man timer brought back: never simply done again (design 3.4).
 */
export async function assertStillTrue(tools: Tools, except: Unit): Promise<void> {
  const { logbook } = tools;
  for (const unit of activeUnits(tools.stages, logbook.context(), logbook.told)) {
    if (unit === except || !unit.step.exposes || !Object.hasOwn(logbook.context().outcomes, unit.key))
      continue;
    const verdict = await stillTrue(tools, unit);
    if (verdict === "gone")
      throw new Failure("precondition", `"${unit.step.title}" no longer holds`, {
        hint: "somebody or something changed it behind the run's back; it is not done again",
      });
  }
}

export async function stillTrue(
  tools: Tools,
  unit: Unit,
): Promise<"holds" | "gone, and that is fine" | "gone"> {
  const world = tools.worldFor(unit, "forward");
  const mine = mineOf(tools.logbook.told, unit.key);
  if ((await unit.step.done(world, mine)) !== undefined) return "holds";
  return (await unit.step.ifUndone?.(world, mine)) === true ? "gone, and that is fine" : "gone";
}

function noteFound(tools: Tools, unit: Unit, found: unknown): void {
  tools.logbook.note({ type: "outcome", unit: unit.key, found, already: false });
}

function tooLate(step: Step, why: string): Failure {
  return new Failure("timeout", `"${step.title}" took longer than it may: ${why}`, { happened: "maybe" });
}

export function troubleOf(failure: Failure): Trouble {
  return {
    kind: failure.kind,
    message: failure.message,
    ...(failure.hint !== undefined && { hint: failure.hint }),
  };
}

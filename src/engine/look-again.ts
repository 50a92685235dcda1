/** What a resume sees before it does anything: every step that was begun or that the run still counts on, as it is now. */
import { asFailure } from "../errors.ts";
import type { Unit } from "../runbook/list.ts";
import { activeUnits, mineOf } from "./fold.ts";
import { stillTrue, type Tools } from "./tasks.ts";

export interface Seen {
  readonly unit: Unit;
  readonly state: string;
  /** false: the run cannot go on from here, only give back. */
  readonly good: boolean;
}

export async function lookAgain(tools: Tools, unitOf: (key: string) => Unit): Promise<readonly Seen[]> {
  const { logbook } = tools;
  const context = logbook.context();
  const active = activeUnits(tools.stages, context, logbook.told);
  const seen: Seen[] = [];
  for (const key of context.begun) {
    const unit = unitOf(key);
    if (logbook.told.undone.has(key)) continue;
    if (!Object.hasOwn(context.outcomes, key)) seen.push({ unit, ...(await lookBegun(tools, unit)) });
    else if (unit.step.exposes && active.includes(unit))
      seen.push({ unit, ...(await lookOpen(tools, unit)) });
  }
  return seen;
}

/** A step that was begun: there, or may still be done, or no longer may (a service that came back is not taken again). */
async function lookBegun(tools: Tools, unit: Unit): Promise<Omit<Seen, "unit">> {
  const world = tools.worldFor(unit, "forward");
  const mine = mineOf(tools.logbook.told, unit.key);
  try {
    if ((await unit.step.done(world, mine)) !== undefined)
      return { state: "begun, and it is there", good: true };
    await unit.step.must?.(world, mine);
    return { state: "begun, not there yet", good: true };
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind === "precondition")
      return { state: `begun, and it cannot go on: ${failure.message}`, good: false };
    return { state: `cannot be seen now: ${failure.message}`, good: true };
  }
}

async function lookOpen(tools: Tools, unit: Unit): Promise<Omit<Seen, "unit">> {
  try {
    const verdict = await stillTrue(tools, unit);
    if (verdict === "holds") return { state: "still holds", good: true };
    if (verdict === "gone") return { state: "no longer holds", good: false };
    return { state: "no longer holds, and the run can go on without", good: true };
  } catch (thrown) {
    return { state: `cannot be seen now: ${asFailure(thrown).message}`, good: true };
  }
}

/** Giving back one step, as often as its limit allows: what could not be given back is noted, and the machine says what is next. */
import { asFailure } from "../errors.ts";
import type { JournalWriter } from "../ports/store.ts";
import { undoOf, type Unit } from "../runbook/list.ts";
import { limitOf } from "../runbook/plan.ts";
import type { RunEvent } from "./events.ts";
import type { Logbook } from "./logbook.ts";
import { giveBack, troubleOf, type Tools } from "./tasks.ts";

/** An undo that failed for good is tried this often; one that could not be reached, until its own limit is over. */
const undoTries = 3;

export interface Undoing {
  undo(unit: Unit): Promise<void>;
  /** Limits begin anew: until now a person was waited for. */
  refresh(): void;
}

export function openUndoing(args: {
  /** Their signal fires when the run is to be left as it is. */
  readonly tools: Tools;
  readonly journal: JournalWriter;
  readonly stopped: () => boolean;
}): Undoing {
  const { tools, journal, stopped } = args;
  const { logbook, clock, signal } = tools;
  const firstTry = new Map<string, number>();
  const failedTries = new Map<string, number>();

  async function undo(unit: Unit): Promise<void> {
    if (!firstTry.has(unit.key)) firstTry.set(unit.key, clock.now());
    let part = "";
    try {
      await giveBack(tools, unit, (title) => (part = title));
    } catch (thrown) {
      journal.assertHeld();
      if (stopped()) return;
      const failure = asFailure(thrown);
      const tries = (failedTries.get(unit.key) ?? 0) + 1;
      const limit = Math.max(
        0,
        ...undoOf(unit.step).map((step) => limitOf(step, tools.worldFor(unit, "back"))),
      );
      const passing = ["unavailable", "timeout", "precondition", "conflict"].includes(failure.kind);
      // Only answers count as tries: a node that does not answer is asked again until the step's own limit.
      if (failure.kind !== "unavailable") failedTries.set(unit.key, tries);
      const spent = clock.now() - (firstTry.get(unit.key) ?? clock.now());
      const again = passing && tries < undoTries && spent < limit;
      // A start of the service that failed is tried again before anything else has its turn; a node that does not
      // answer does not keep the rest waiting.
      const atOnce = again && unit.step.exposes === "service" && failure.kind !== "unavailable";
      if (again) await Promise.allSettled([clock.sleep(15_000, signal)]);
      logbook.note({ type: "not-undone", unit: unit.key, trouble: troubleOf(failure), again, atOnce, part });
    }
  }

  return { undo, refresh: () => firstTry.clear() };
}

/**
 * Tasks that nobody started in this process have nothing under way: they end as the operator wants. A yes that is waited for
 * is not going to come in any case.
 */
export function failWhatWaits(logbook: Logbook, why: string, going: boolean): void {
  for (const task of logbook.tasks()) {
    const idle = task.kind === "look" || task.kind === "do" || task.kind === "settle";
    if (task.kind === "approve" || (idle && !going)) {
      for (const unit of task.units)
        logbook.note({
          type: "failure",
          unit,
          trouble: { kind: "aborted", message: why },
        } satisfies RunEvent);
    }
  }
}

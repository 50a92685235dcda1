/**
 * Walks a run from where its journal stands to an end, or to where a person is needed. The machine says what should be
 * running; this starts it, and stops nothing that is under way. It can be killed on any line: everything it knows is in
 * the journal, and everything that it did can be seen in the world.
 */
import { asFailure, Failure, invariant } from "../errors.ts";
import type { Connect } from "../ports/calls.ts";
import type { Clock } from "../ports/clock.ts";
import type { JournalWriter, Store } from "../ports/store.ts";
import { layOut, undoOf, unitsOf, type Unit } from "../runbook/list.ts";
import { limitOf, type Plan } from "../runbook/plan.ts";
import type { Runbook } from "../runbook/step.ts";
import { makeWorld, type Setting } from "../runbook/world.ts";
import { hooksFor } from "./calls.ts";
import { keepAlive } from "./alive.ts";
import { askPerson, type Asking, type Question, type Reply } from "./ask.ts";
import { mineOf, openExposures, type OpenExposure } from "./fold.ts";
import { lookAgain, type Seen } from "./look-again.ts";
import { openLogbook, type Line, type Logbook } from "./logbook.ts";
import type { End, RunEvent, Task, Verb } from "./events.ts";
import { compile } from "./machine.ts";
import { act, giveBack, look, settle, troubleOf, type Direction, type Tools } from "./tasks.ts";

export interface WalkArgs {
  readonly runbook: Runbook;
  readonly plan: Plan;
  readonly journal: JournalWriter;
  readonly store: Store;
  readonly connect: Connect;
  readonly setting: Setting;
  readonly owner: string;
  readonly clock: Clock;
  readonly mask: (text: string) => string;
  /** Asks a person; undefined when there is none, and then `onFailure` decides. */
  readonly ask?: (question: Question) => Promise<Reply>;
  readonly onFailure: "give-back" | "hold";
  readonly onLine?: (line: Line) => void;
}

export interface Ended {
  readonly end: End | "held";
  readonly why: string | undefined;
  /** Kind and hint of the failure behind `why`. */
  readonly kind: string | undefined;
  readonly hint: string | undefined;
  readonly exposures: readonly OpenExposure[];
  readonly left: readonly { readonly unit: Unit; readonly message: string; readonly hint?: string }[];
  /** Rows that could not be written any more. */
  readonly lost: readonly Line[];
}

export interface Walk {
  readonly run: string;
  readonly logbook: Logbook;
  /** What a resume sees: each step that was begun or that the run still counts on, as it is now. Reads only. */
  lookAgain(): Promise<readonly Seen[]>;
  go(): Promise<Ended>;
  /** The operator wants everything given back (also the start of `runbook undo`). */
  wantBack(by: string, why: string): void;
  /** Where a failed step waits for an answer: try it again. */
  wantRetry(by: string, why: string): void;
  /** The operator wants to leave the run as it is; it can be resumed. */
  wantStop(by: string, why: string): void;
  exposures(): readonly OpenExposure[];
  close(): Promise<void>;
}

/** An undo that failed for good is tried this often; one that could not be reached, until its own limit is over. */
const undoTries = 3;

export function openWalk(args: WalkArgs): Walk {
  const { plan, journal, clock, setting } = args;
  const { hooks = [] } = plan.settings;
  const stages = layOut(args.runbook, plan.params, setting.members, { runbook: plan.runbook, hooks });
  const machine = compile(stages);
  const logbook = openLogbook(machine, journal, clock);
  const units = new Map(unitsOf(stages).map((unit) => [unit.key, unit]));
  const unitOf = (key: string): Unit => {
    const unit = units.get(key);
    invariant(unit, `the run has no step ${key}`);
    return unit;
  };
  const who = { run: journal.run, fence: String(journal.fence), owner: args.owner };
  let stopWanted: { by: string; why: string } | undefined;
  let going = false;
  const waiting = new AbortController();
  const waitingBack = new AbortController();
  const ending = new AbortController();

  const fence = () => {
    const begun = logbook.told.begunAt.has("holdNodes") && !logbook.told.undone.has("holdNodes");
    return begun ? `${journal.run}.${journal.fence}` : undefined;
  };
  const guarding = {
    plan,
    journal,
    logbook,
    clock,
    leaseUntil: () => alive.leaseUntil(),
    onSlept: () => leave("runbook", "this runner slept past its lease"),
    interrupted: () => waiting.signal.aborted,
    fence,
    mask: args.mask,
    seen: new Map(),
  };
  const tools: Tools = {
    logbook,
    clock,
    stages,
    signal: waiting.signal,
    facts: plan.facts,
    walkingSince: clock.now(),
    fresh: new Set(),
    renew: async () => void (await alive.renew()),
    worldFor: (unit, direction) =>
      makeWorld({
        setting,
        who,
        unit,
        stages,
        outcomes: new Map(Object.entries(logbook.context().outcomes)),
        planning: false,
        traceOf: (key) => mineOf(logbook.told, key),
        ports: args.connect(hooksFor(guarding, unit.key, direction, undefined)),
      }),
  };

  const alive = keepAlive({
    run: journal.run,
    owner: args.owner,
    cluster: setting.clusterName,
    store: args.store,
    clock,
    settings: setting.settings,
    stages,
    logbook,
    worldFor: tools.worldFor,
    questionStands: () => logbook.tasks().some((task) => task.kind === "ask" || task.kind === "approve"),
  });

  const verb = (name: Verb, by: string, why: string) =>
    logbook.note({ type: "verb", verb: name, by, why: args.mask(why) });
  const asking: Asking = {
    logbook,
    clock,
    mask: args.mask,
    ask: args.ask,
    onFailure: args.onFailure,
    unitOf,
    verb,
    stopped: () => stopWanted !== undefined,
    stop: (wanted) => (stopWanted = wanted),
  };

  async function perform(task: Task): Promise<void> {
    const unit = task.units[0] === undefined ? undefined : unitOf(task.units[0]);
    try {
      if (task.kind === "ask") return await askPerson(asking, task);
      invariant(unit, `task ${task.id} has no step`);
      if (task.kind === "look") return await look(tools, unit);
      if (task.kind === "do") return await act(tools, unit);
      if (task.kind === "settle") return await settle(tools, unit);
      if (task.kind === "undo") return await undo(unit);
      return await askPerson(asking, task);
    } catch (thrown) {
      // Somebody took the run over: what follows is theirs to say.
      journal.assertHeld();
      if (stopWanted) return;
      const failure = asFailure(thrown);
      invariant(unit, failure.message);
      // What the operator's wish ended was only waiting; a call that failed by itself keeps its own reason.
      const trouble =
        waiting.signal.aborted && failure.kind === "aborted"
          ? { kind: "aborted", message: "the operator stopped it" }
          : troubleOf(failure);
      logbook.note({
        type: "failure",
        unit: unit.key,
        trouble: { ...trouble, message: args.mask(trouble.message) },
      });
      // A write outside the plan is our own mistake, a journal that cannot be written no question: nobody is asked.
      if (failure.kind === "bug" || failure.kind === "aborted") verb("give-back", "runbook", failure.message);
    }
  }

  const firstTry = new Map<string, number>();
  const failedTries = new Map<string, number>();
  async function undo(unit: Unit): Promise<void> {
    const began = firstTry.get(unit.key) ?? clock.now();
    firstTry.set(unit.key, began);
    let part = "";
    try {
      await giveBack({ ...tools, signal: waitingBack.signal }, unit, (title) => (part = title));
    } catch (thrown) {
      journal.assertHeld();
      if (stopWanted) return;
      const failure = asFailure(thrown);
      const tries = (failedTries.get(unit.key) ?? 0) + 1;
      const limit = Math.max(
        0,
        ...undoOf(unit.step).map((step) => limitOf(step, tools.worldFor(unit, "back"))),
      );
      const passing = ["unavailable", "timeout", "precondition", "conflict"].includes(failure.kind);
      // Only answers count as tries: a node that does not answer is asked again until the step's own limit.
      if (failure.kind !== "unavailable") failedTries.set(unit.key, tries);
      const again = passing && tries < undoTries && clock.now() - began < limit;
      // A start of the service that failed is tried again before anything else has its turn; a node that does not
      // answer does not keep the rest waiting.
      const atOnce = again && unit.step.exposes === "service" && failure.kind !== "unavailable";
      if (again) await Promise.allSettled([clock.sleep(15_000, waitingBack.signal)]);
      logbook.note({ type: "not-undone", unit: unit.key, trouble: troubleOf(failure), again, atOnce, part });
    }
  }

  async function go(): Promise<Ended> {
    going = true;
    const started = new WeakSet<Task>();
    let wake: () => void = () => undefined;
    let crashed: Failure | undefined;
    logbook.onChange = (line) => {
      args.onLine?.(line);
      wake();
    };
    const running = new Set<Promise<void>>();
    const asking = new Set<Promise<void>>();
    try {
      if (logbook.told.unmarked) await markAgain();
      // The markers still carry the fence of the runner before, and its dead-man timer has been running down since.
      else if (journal.fence > 1) await alive.renew();
      void alive.keep(ending.signal).catch((thrown: unknown) => {
        const failure = asFailure(thrown);
        if (ending.signal.aborted) return;
        if (failure.kind === "aborted") leave("runbook", failure.message);
        else crashed = failure;
        wake();
      });
      for (;;) {
        const end = machine.endOf(logbook.told.position);
        if (end !== undefined && running.size === 0) return await finish(end);
        if (crashed) throw crashed;
        if (stopWanted && running.size === 0) return await hold(stopWanted);
        if (logbook.broken() && !logbook.context().goBack && !end) storeLost(logbook.broken() as Failure);
        if (!stopWanted) {
          for (const task of logbook.tasks()) {
            if (started.has(task)) continue;
            started.add(task);
            // A question is nothing under way: the run may end, or be stopped, while it stands.
            const under = task.kind === "ask" || task.kind === "approve" ? asking : running;
            const work = perform(task)
              .catch((thrown: unknown) => {
                crashed = asFailure(thrown);
              })
              .finally(() => {
                under.delete(work);
                wake();
              });
            under.add(work);
          }
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          // Nothing under way and nobody asked: what is to come was brought about above, and must not be waited for.
          if (running.size === 0 && asking.size === 0) resolve();
        });
      }
    } finally {
      ending.abort();
      logbook.onChange = () => undefined;
    }
  }

  /** The journal can no longer be written: room is made, and everything is given back, service first (design 3.3). */
  function storeLost(failure: Failure): void {
    if (failure.kind === "conflict") throw failure;
    journal.releaseReserve();
    logbook.mend();
    verb("give-back", "runbook", `the journal cannot be written: ${failure.message}`);
    waiting.abort(new Failure("aborted", "the journal cannot be written"));
  }

  async function finish(end: End): Promise<Ended> {
    const lostRows = logbook.lost.length > 0;
    const real: End = lostRows && end !== "refused" ? "stuck" : end;
    logbook.write("end", {
      end: real,
      exposures: exposures().map(({ unit, what }) => ({ unit: unit.key, what })),
    });
    // The end is said in any case, also where the disk no longer takes it.
    await Promise.allSettled([logbook.synced()]);
    await args.store.releaseLease(setting.clusterName, journal.run).catch((thrown: unknown) => {
      logbook.tell("trouble", { where: "lease", ...troubleOf(asFailure(thrown)) });
    });
    return ended(real, lostRows ? "rows of the journal could not be written" : undefined);
  }

  async function hold(wanted: { by: string; why: string }): Promise<Ended> {
    logbook.write("held", { by: wanted.by, why: args.mask(wanted.why) });
    await Promise.allSettled([logbook.synced()]);
    const failed = Object.values(logbook.context().failures)[0]?.message;
    return ended("held", failed === undefined ? wanted.why : `${failed} (${wanted.why})`);
  }

  function leave(by: string, why: string): void {
    stopWanted ??= { by, why };
    waiting.abort(new Failure("aborted", why));
    waitingBack.abort(new Failure("aborted", why));
  }

  /** A stuck run had let its marks go: it takes them again, or is refused where another run is at work now. */
  async function markAgain(): Promise<void> {
    const unit = unitOf("holdNodes");
    const world = tools.worldFor(unit, "forward");
    await unit.step.must?.(world, mineOf(logbook.told, unit.key));
    await unit.step.do?.(world, mineOf(logbook.told, unit.key));
  }

  function ended(end: Ended["end"], why: string | undefined): Ended {
    const context = logbook.context();
    const first = Object.values(context.failures)[0];
    return {
      end,
      why: why ?? (end === "succeeded" ? undefined : first?.message),
      kind: first?.kind,
      hint: first?.hint,
      exposures: exposures(),
      left: context.left.map((entry) => ({
        unit: unitOf(entry.unit),
        message: entry.trouble.message,
        ...(entry.trouble.hint !== undefined && { hint: entry.trouble.hint }),
      })),
      lost: logbook.lost,
    };
  }

  const exposures = () => openExposures(stages, logbook.context(), logbook.told);

  return {
    run: journal.run,
    logbook,
    close: () => journal.close(),
    go,
    exposures,
    wantBack: (by, why) => {
      if (machine.endOf(logbook.told.position) === "stuck") {
        verb("undo", by, why);
        return;
      }
      // Marking may have been refused, or have died, the last time: the way back is gone already, and is not stopped.
      if (logbook.told.unmarked && !going) return;
      verb("give-back", by, why);
      waiting.abort(new Failure("aborted", why));
      if (!going) failWhatWaits(logbook, why);
    },
    wantRetry: (by, why) => {
      if (logbook.tasks().some((task) => task.kind === "ask")) verb("retry", by, why);
    },
    wantStop: leave,
    lookAgain: () => lookAgain(tools, unitOf),
  };
}

/** Tasks that nobody started in this process have nothing under way: they end as the operator wants. */
function failWhatWaits(logbook: Logbook, why: string): void {
  for (const task of logbook.tasks()) {
    if (task.kind === "look" || task.kind === "do" || task.kind === "settle") {
      for (const unit of task.units)
        logbook.note({
          type: "failure",
          unit,
          trouble: { kind: "aborted", message: why },
        } satisfies RunEvent);
    }
  }
}

export type { Direction };

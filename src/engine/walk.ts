/**
 * Walks a run from where its journal stands to an end, or to where a person is needed. The machine says what should be
 * running; this starts it, and stops nothing that is under way. It can be killed on any line: everything it knows is in
 * the journal, and everything that it did can be seen in the world.
 */
import { asFailure, Failure, invariant } from "../errors.ts";
import type { Connect } from "../ports/calls.ts";
import type { Clock } from "../ports/clock.ts";
import type { JournalWriter, Store } from "../ports/store.ts";
import { layOut, unitsOf, type Unit } from "../runbook/list.ts";
import type { Plan } from "../runbook/plan.ts";
import type { Runbook } from "../runbook/step.ts";
import { makeWorld, type Setting } from "../runbook/world.ts";
import { hooksFor } from "./calls.ts";
import { keepAlive } from "./alive.ts";
import { askPerson, noteApproved, openQuestions, type Asking, type Question, type Reply } from "./ask.ts";
import { mineOf, openExposures, type OpenExposure } from "./fold.ts";
import { hearWords, noteHeeded, questionIn, questionsIn, type Word } from "./hear.ts";
import { lookAgain, type Seen } from "./look-again.ts";
import { openLogbook, type Line, type Logbook } from "./logbook.ts";
import type { End, Task, Verb } from "./events.ts";
import { compile } from "./machine.ts";
import { act, look, settle, troubleOf, type Direction, type Tools } from "./tasks.ts";
import { failWhatWaits, openUndoing } from "./undo.ts";

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
  /** Takes secrets out of a row of the journal. */
  readonly conceal?: <T>(body: T) => T;
  /** Asks a person; undefined when there is none, and then `onFailure` decides. */
  readonly ask?: (question: Question, signal: AbortSignal) => Promise<Reply>;
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
  /** Where a failed step waits for an answer, it is tried again; a pause is over. */
  wantOn(by: string, why: string): void;
  /** The operator wants to leave the run as it is; it can be resumed. */
  wantStop(by: string, why: string): void;
  exposures(): readonly OpenExposure[];
  close(): Promise<void>;
}

export function openWalk(args: WalkArgs): Walk {
  const { plan, journal, clock, setting } = args;
  const { hooks = [] } = plan.settings;
  const stages = layOut(args.runbook, plan.params, setting.members, { runbook: plan.runbook, hooks });
  const machine = compile(stages);
  const logbook = openLogbook(machine, journal, clock, args.conceal);
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
    personWaitedFor: () => logbook.context().paused || questionsIn(logbook).length > 0,
  });

  const verb = (name: Verb, by: string, why: string, id?: string) => {
    // A look from before a pause says nothing of what holds after it.
    if (name === "pause") tools.fresh.clear();
    if (name === "resume") undoing.refresh();
    logbook.note({ type: "verb", verb: name, by, why: args.mask(why), ...(id !== undefined && { id }) });
  };
  const questions = openQuestions(logbook);
  const asking: Asking = {
    logbook,
    clock,
    mask: args.mask,
    ask: args.ask,
    onFailure: args.onFailure,
    unitOf,
    verb,
    goneOf: questions.goneOf,
    stopped: () => stopWanted !== undefined,
    stop: (wanted) => (stopWanted = wanted),
  };

  const undoing = openUndoing({
    tools: { ...tools, signal: waitingBack.signal },
    journal,
    stopped: () => stopWanted !== undefined,
  });
  const hear = (over = stopWanted && "the run is being left as it is") =>
    hearWords({
      receive: () => args.store.receive(journal.run),
      logbook,
      mask: args.mask,
      standing: () => ({ logbook, question: questionIn(logbook, unitOf), over }),
      heed,
    });

  async function perform(task: Task): Promise<void> {
    const unit = task.units[0] === undefined ? undefined : unitOf(task.units[0]);
    try {
      if (task.kind === "ask") return await askPerson(asking, task);
      invariant(unit, `task ${task.id} has no step`);
      if (task.kind === "look") return await look(tools, unit);
      if (task.kind === "do") return await act(tools, unit);
      if (task.kind === "settle") return await settle(tools, unit);
      if (task.kind === "undo") return await undoing.undo(unit);
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

  /** While a run is paused, what is under way lands and is looked at, and whoever can be asked is asked. */
  const mayStart = (task: Task) =>
    !logbook.context().paused ||
    task.kind === "settle" ||
    (args.ask !== undefined && (task.kind === "ask" || task.kind === "approve"));

  function heed(word: Word): void {
    const { by, why, id } = word;
    if (word.verb === "give-back") return wantBack(by, why, id);
    if (word.verb !== "stop" && word.verb !== "approve") return verb(word.verb, by, why, id);
    noteHeeded(logbook, word);
    const [task] = questionsIn(logbook);
    if (word.verb === "stop") leave(by, why);
    else if (task) noteApproved({ logbook, clock, mask: args.mask }, task, word);
  }

  async function go(): Promise<Ended> {
    going = true;
    const started = new WeakSet<Task>();
    let wake: () => void = () => undefined;
    let crashed: Failure | undefined;
    // Something may lie there already.
    let heard = true;
    const deaf = args.store.listen(journal.run, () => {
      heard = true;
      wake();
    });
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
        if (heard) {
          heard = false;
          await hear();
          continue;
        }
        questions.dropGone();
        if (!stopWanted) {
          for (const task of logbook.tasks()) {
            if (started.has(task) || !mayStart(task)) continue;
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
          if (running.size === 0 && asking.size === 0 && !logbook.context().paused) resolve();
        });
      }
    } finally {
      deaf();
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
    await hear(`the run has ended: ${real}`);
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
    await hear();
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

  function wantBack(by: string, why: string, id?: string): void {
    if (machine.endOf(logbook.told.position) === "stuck") {
      verb("undo", by, why);
      return;
    }
    // Marking may have been refused, or have died, the last time: the way back is gone already, and is not stopped.
    if (logbook.told.unmarked && !going) return;
    verb("give-back", by, why, id);
    waiting.abort(new Failure("aborted", why));
    failWhatWaits(logbook, why, going);
  }

  return {
    run: journal.run,
    logbook,
    close: () => journal.close(),
    go,
    exposures,
    wantBack,
    wantOn: (by, why) => {
      if (logbook.context().paused) verb("resume", by, why);
      if (logbook.tasks().some((task) => task.kind === "ask")) verb("retry", by, why);
    },
    wantStop: leave,
    lookAgain: () => lookAgain(tools, unitOf),
  };
}

export type { Direction };

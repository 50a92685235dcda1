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
import { activeUnits, mineOf, openExposures, type OpenExposure } from "./fold.ts";
import { openLogbook, type Line, type Logbook } from "./logbook.ts";
import { compile, type End, type RunEvent, type Task } from "./machine.ts";
import { act, giveBack, look, settle, stillTrue, troubleOf, type Direction, type Tools } from "./tasks.ts";

export interface Question {
  readonly units: readonly {
    readonly key: string;
    readonly title: string;
    readonly why: string;
    readonly hint?: string;
  }[];
  readonly maySkip: boolean;
  /** A step that waits for a person's yes, not one that failed. */
  readonly approval: boolean;
}
export type Reply = {
  readonly verb: "retry" | "skip" | "give-back" | "stop" | "approve";
  readonly by: string;
  readonly why: string;
};

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
  lookAgain(): Promise<readonly { readonly unit: Unit; readonly state: string; readonly good: boolean }[]>;
  go(): Promise<Ended>;
  /** The operator wants everything given back (also the start of `runbook undo`). */
  wantBack(by: string, why: string): void;
  /** The operator wants to leave the run as it is; it can be resumed. */
  wantStop(by: string, why: string): void;
  exposures(): readonly OpenExposure[];
  close(): Promise<void>;
}

/** An undo that failed for good is tried this often; one that could not be reached, until its own limit is over. */
const undoTries = 3;

export function openWalk(args: WalkArgs): Walk {
  const { plan, journal, clock, setting } = args;
  const stages = layOut(args.runbook, plan.params, setting.members);
  const machine = compile(stages);
  const logbook = openLogbook(machine, journal, clock);
  const units = new Map(unitsOf(stages).map((unit) => [unit.key, unit]));
  const unitOf = (key: string): Unit => {
    const unit = units.get(key);
    invariant(unit, `the run has no step ${key}`);
    return unit;
  };
  const who = { run: journal.run, fence: String(journal.fence), owner: args.owner };
  const leaseMs = setting.settings.leaseMinutes * 60_000;
  let leaseUntil = clock.now() + leaseMs;
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
    leaseUntil: () => leaseUntil,
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
    renew: () => renewAll(),
    worldFor: (unit, direction) =>
      makeWorld({
        setting,
        who,
        unit,
        stages,
        outcomes: new Map(Object.entries(logbook.context().outcomes)),
        planning: false,
        ports: args.connect(hooksFor(guarding, unit.key, direction, undefined)),
      }),
  };

  /** Leases, markers and timers, kept alive for as long as they are needed. What hinders one does not hinder the others. */
  async function renewAll(): Promise<void> {
    const now = clock.now();
    await args.store.renewLease(setting.clusterName, {
      run: journal.run,
      owner: args.owner,
      since: now,
      expiresAt: now + leaseMs,
    });
    leaseUntil = now + leaseMs;
    let hindered: Failure | undefined;
    for (const unit of activeUnits(stages, logbook.context(), logbook.told)) {
      if (!unit.step.renew || !Object.hasOwn(logbook.context().outcomes, unit.key)) continue;
      try {
        await unit.step.renew(tools.worldFor(unit, "forward"), mineOf(logbook.told, unit.key));
      } catch (thrown) {
        hindered ??= asFailure(thrown);
      }
    }
    if (hindered) throw hindered;
  }

  async function renewOrSay(): Promise<boolean> {
    try {
      await renewAll();
      return true;
    } catch (thrown) {
      // A node that is off cannot be renewed; if it lasts, the lease runs out and the write layer stops the run.
      logbook.write("trouble", { where: "renewal", ...troubleOf(asFailure(thrown)) });
      return false;
    }
  }

  async function keepAlive(): Promise<void> {
    let renewed = true;
    while (!ending.signal.aborted) {
      // Sooner after a failure: an answer that was lost twice must not let the dead-man timer run out.
      await clock.sleep(renewed ? leaseMs / 3 : leaseMs / 30, ending.signal);
      renewed = await renewOrSay();
    }
  }

  const verb = (name: "give-back" | "retry" | "skip" | "undo", by: string, why: string) =>
    logbook.note({ type: "verb", verb: name, by, why: args.mask(why) });

  async function perform(task: Task): Promise<void> {
    const unit = task.units[0] === undefined ? undefined : unitOf(task.units[0]);
    try {
      if (task.kind === "ask") return await askPerson(task);
      invariant(unit, `task ${task.id} has no step`);
      if (task.kind === "look") return await look(tools, unit);
      if (task.kind === "do") return await act(tools, unit);
      if (task.kind === "settle") return await settle(tools, unit);
      if (task.kind === "undo") return await undo(unit);
      return await askPerson(task);
    } catch (thrown) {
      // Somebody took the run over: what follows is theirs to say.
      journal.assertHeld();
      if (stopWanted) return;
      const failure = asFailure(thrown);
      invariant(unit, failure.message);
      const trouble = waiting.signal.aborted
        ? { kind: "aborted", message: "the operator stopped it" }
        : troubleOf(failure);
      logbook.note({
        type: "failure",
        unit: unit.key,
        trouble: { ...trouble, message: args.mask(trouble.message) },
      });
      // A write outside the plan is our own mistake, and a lost lease is no longer our cluster: nobody is asked.
      if (failure.kind === "bug" || failure.kind === "aborted") verb("give-back", "runbook", failure.message);
    }
  }

  const firstTry = new Map<string, number>();
  const failedTries = new Map<string, number>();
  async function undo(unit: Unit): Promise<void> {
    const began = firstTry.get(unit.key) ?? clock.now();
    firstTry.set(unit.key, began);
    try {
      await giveBack({ ...tools, signal: waitingBack.signal }, unit);
    } catch (thrown) {
      journal.assertHeld();
      if (stopWanted) return;
      const failure = asFailure(thrown);
      const tries = (failedTries.get(unit.key) ?? 0) + 1;
      const limit = Math.max(
        0,
        ...undoOf(unit.step).map((step) => limitOf(step, tools.worldFor(unit, "back"))),
      );
      const passing =
        failure.kind === "unavailable" || failure.kind === "precondition" || failure.kind === "conflict";
      // Only answers count as tries: a node that does not answer is asked again until the step's own limit.
      if (failure.kind !== "unavailable") failedTries.set(unit.key, tries);
      const again = passing && tries < undoTries && clock.now() - began < limit;
      if (again) await clock.sleep(15_000, waitingBack.signal).catch(() => undefined);
      logbook.note({ type: "not-undone", unit: unit.key, trouble: troubleOf(failure), again });
    }
  }

  async function askPerson(task: Task): Promise<void> {
    const context = logbook.context();
    const question: Question = {
      units: task.units.map((key) => {
        const trouble = context.failures[key];
        return {
          key,
          title: unitOf(key).step.title,
          why: trouble?.message ?? "it waits for your word",
          ...(trouble?.hint !== undefined && { hint: trouble.hint }),
        };
      }),
      maySkip: task.kind === "ask" && task.units.every((key) => unitOf(key).step.skippable === true),
      approval: task.kind === "approve",
    };
    const reply = await answerTo(question, context.begun.length === 0);
    // Somebody interrupted meanwhile: the question is no longer the one that was answered.
    if (!logbook.tasks().includes(task) || stopWanted) return;
    if (reply.verb === "stop") stopWanted = reply;
    else if (reply.verb === "approve" && question.approval) {
      const found = { by: reply.by, why: args.mask(reply.why), at: clock.now() };
      logbook.note({ type: "outcome", unit: task.units[0] ?? "", found, already: false });
    } else if (reply.verb === "approve" || (reply.verb === "skip" && !question.maySkip))
      await askPerson(task);
    else if (question.approval && reply.verb === "give-back") {
      verb("give-back", reply.by, reply.why);
      logbook.note({
        type: "failure",
        unit: task.units[0] ?? "",
        trouble: { kind: "aborted", message: "not approved" },
      });
    } else
      verb(
        reply.verb === "skip" ? "skip" : reply.verb === "retry" ? "retry" : "give-back",
        reply.by,
        reply.why,
      );
  }

  /** A person's answer; without one, an approval waits, and a failure is dealt with as the run was told to. */
  async function answerTo(question: Question, nothingBegun: boolean): Promise<Reply> {
    if (args.ask && !(nothingBegun && !question.approval)) return args.ask(question);
    if (question.approval)
      return { verb: "stop", by: "runbook", why: `"${question.units[0]?.title ?? ""}" waits for a person` };
    if (nothingBegun) return { verb: "give-back", by: "runbook", why: "nothing was begun" };
    return {
      verb: args.onFailure === "hold" ? "stop" : "give-back",
      by: "runbook",
      why: `--on-failure=${args.onFailure}`,
    };
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
    // The markers still carry the fence of the runner before, and its dead-man timer has been running down since.
    if (journal.fence > 1) await renewOrSay();
    void keepAlive().catch((thrown: unknown) => {
      if (!ending.signal.aborted) crashed = asFailure(thrown);
      wake();
    });
    try {
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
            const work = perform(task)
              .catch((thrown: unknown) => {
                crashed = asFailure(thrown);
              })
              .finally(() => {
                running.delete(work);
                wake();
              });
            // A question is nothing under way: the run may end, or be stopped, while it stands.
            if (task.kind !== "ask" && task.kind !== "approve") running.add(work);
          }
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          // Something may have happened between the checks above and here.
          if (running.size === 0) resolve();
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
    verb("give-back", "runbook", `the journal cannot be written: ${failure.message}`);
  }

  async function finish(end: End): Promise<Ended> {
    const cannotWrite = logbook.broken() !== undefined;
    const real: End = cannotWrite && end !== "refused" ? "stuck" : end;
    logbook.write("end", {
      end: real,
      exposures: exposures().map(({ unit, what }) => ({ unit: unit.key, what })),
    });
    if (!cannotWrite) await logbook.synced();
    await args.store.releaseLease(setting.clusterName, journal.run);
    return ended(real, undefined);
  }

  async function hold(wanted: { by: string; why: string }): Promise<Ended> {
    logbook.write("held", { by: wanted.by, why: args.mask(wanted.why) });
    await logbook.synced();
    return ended("held", wanted.why);
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
      const stuck = machine.endOf(logbook.told.position) === "stuck";
      verb(stuck ? "undo" : "give-back", by, why);
      waiting.abort(new Failure("aborted", why));
      if (!stuck && !going) failWhatWaits(logbook, why);
    },
    wantStop: (by, why) => {
      stopWanted = { by, why };
      waiting.abort(new Failure("aborted", why));
      waitingBack.abort(new Failure("aborted", why));
    },
    lookAgain: async () => {
      const seen: { unit: Unit; state: string; good: boolean }[] = [];
      const context = logbook.context();
      const active = activeUnits(stages, context, logbook.told);
      for (const key of context.begun) {
        const unit = unitOf(key);
        if (logbook.told.undone.has(key)) continue;
        if (!Object.hasOwn(context.outcomes, key)) seen.push({ unit, ...(await lookBegun(tools, unit)) });
        else if (unit.step.exposes && active.includes(unit))
          seen.push({ unit, ...(await lookOpen(tools, unit)) });
      }
      return seen;
    },
  };
}

async function lookBegun(tools: Tools, unit: Unit): Promise<{ state: string; good: boolean }> {
  try {
    const found = await unit.step.done(tools.worldFor(unit, "forward"), mineOf(tools.logbook.told, unit.key));
    return { state: found === undefined ? "begun, not there yet" : "begun, and it is there", good: true };
  } catch (thrown) {
    return { state: `cannot be seen now: ${asFailure(thrown).message}`, good: true };
  }
}

async function lookOpen(tools: Tools, unit: Unit): Promise<{ state: string; good: boolean }> {
  try {
    const verdict = await stillTrue(tools, unit);
    return {
      state:
        verdict === "holds"
          ? "still holds"
          : verdict === "gone"
            ? "no longer holds: give back"
            : "no longer needed",
      good: verdict !== "gone",
    };
  } catch (thrown) {
    return { state: `cannot be seen now: ${asFailure(thrown).message}`, good: true };
  }
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

/** What a walk asks a person: a yes that a step waits for, or what to do after a failure. Where nobody can be asked, the run was told. */
import type { Clock } from "../ports/clock.ts";
import type { Unit } from "../runbook/list.ts";
import type { Task, Verb } from "./events.ts";
import type { Logbook } from "./logbook.ts";

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

export interface Asking {
  readonly logbook: Logbook;
  readonly clock: Clock;
  readonly mask: (text: string) => string;
  /** Asks a person; undefined when there is none, and then `onFailure` decides. */
  readonly ask: ((question: Question, signal: AbortSignal) => Promise<Reply>) | undefined;
  readonly onFailure: "give-back" | "hold";
  readonly unitOf: (key: string) => Unit;
  /** Journals a person's word, or what stands for it. */
  readonly verb: (name: Verb, by: string, why: string) => void;
  /** Fires when the question of this task is no longer the one to answer. */
  readonly goneOf: (task: Task) => AbortSignal;
  /** Whether the run is to be left as it is already. */
  readonly stopped: () => boolean;
  readonly stop: (wanted: { readonly by: string; readonly why: string }) => void;
}

/** Signals for the questions that stand: a prompt is taken off the screen once somebody answered elsewhere. */
export function openQuestions(logbook: Logbook) {
  const gone = new Map<Task, AbortController>();
  return {
    goneOf: (task: Task): AbortSignal => {
      const controller = gone.get(task) ?? new AbortController();
      gone.set(task, controller);
      return controller.signal;
    },
    dropGone: (): void => {
      for (const [task, controller] of gone) if (!logbook.tasks().includes(task)) controller.abort();
    },
  };
}

export async function askPerson(asking: Asking, task: Task): Promise<void> {
  const { logbook, unitOf, verb } = asking;
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
  const reply = await answerTo(asking, question, context.begun.length === 0, asking.goneOf(task));
  // Somebody interrupted, or answered from another terminal: the question is no longer the one that was answered.
  if (reply === undefined || !logbook.tasks().includes(task) || asking.stopped()) return;
  if (reply.verb === "stop") asking.stop(reply);
  else if (reply.verb === "approve" && question.approval) noteApproved(asking, task, reply);
  else if (reply.verb === "approve" || (reply.verb === "skip" && !question.maySkip))
    await askPerson(asking, task);
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

export function noteApproved(
  { logbook, clock, mask }: Pick<Asking, "logbook" | "clock" | "mask">,
  task: Task,
  { by, why }: { readonly by: string; readonly why: string },
): void {
  const found = { by, why: mask(why), at: clock.now() };
  logbook.note({ type: "outcome", unit: task.units[0] ?? "", found, already: false });
}

/** A person's answer; without one, an approval waits, and a failure is dealt with as the run was told to. */
async function answerTo(
  asking: Asking,
  question: Question,
  nothingBegun: boolean,
  gone: AbortSignal,
): Promise<Reply | undefined> {
  if (asking.ask && !(nothingBegun && !question.approval)) {
    try {
      return await asking.ask(question, gone);
    } catch (thrown) {
      if (gone.aborted) return undefined;
      throw thrown;
    }
  }
  if (question.approval)
    return { verb: "stop", by: "runbook", why: `"${question.units[0]?.title ?? ""}" waits for a person` };
  if (nothingBegun) return { verb: "give-back", by: "runbook", why: "nothing was begun" };
  if (question.units.some(({ key }) => asking.unitOf(key).step.whenFailed === "hold"))
    return { verb: "stop", by: "runbook", why: "this step stops the run when it fails" };
  return {
    verb: asking.onFailure === "hold" ? "stop" : "give-back",
    by: "runbook",
    why: `--on-failure=${asking.onFailure}`,
  };
}

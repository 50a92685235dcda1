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
  readonly ask: ((question: Question) => Promise<Reply>) | undefined;
  readonly onFailure: "give-back" | "hold";
  readonly unitOf: (key: string) => Unit;
  /** Journals a person's word, or what stands for it. */
  readonly verb: (name: Verb, by: string, why: string) => void;
  /** Whether the run is to be left as it is already. */
  readonly stopped: () => boolean;
  readonly stop: (wanted: { readonly by: string; readonly why: string }) => void;
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
  const reply = await answerTo(asking, question, context.begun.length === 0);
  // Somebody interrupted meanwhile: the question is no longer the one that was answered.
  if (!logbook.tasks().includes(task) || asking.stopped()) return;
  if (reply.verb === "stop") asking.stop(reply);
  else if (reply.verb === "approve" && question.approval) {
    const found = { by: reply.by, why: asking.mask(reply.why), at: asking.clock.now() };
    logbook.note({ type: "outcome", unit: task.units[0] ?? "", found, already: false });
  } else if (reply.verb === "approve" || (reply.verb === "skip" && !question.maySkip))
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

/** A person's answer; without one, an approval waits, and a failure is dealt with as the run was told to. */
async function answerTo(asking: Asking, question: Question, nothingBegun: boolean): Promise<Reply> {
  if (asking.ask && !(nothingBegun && !question.approval)) return asking.ask(question);
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

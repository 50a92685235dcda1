/**
 * Words of people at other terminals: `runbook tell` puts one into the run's inbox, and only the run's holder reads them
 * (design 3.3). Each is heeded or refused, and either way a row of the journal carries its id, so that whoever said it
 * can be told. A word says on which state of the run it was said: of two people who speak at once, one wins.
 */
import { asFailure, Failure } from "../errors.ts";
import type { Json } from "../ports/driver.ts";
import type { Unit } from "../runbook/list.ts";
import type { Task } from "./events.ts";
import type { Line, Logbook } from "./logbook.ts";
import { troubleOf } from "./tasks.ts";

/** What may be told to a run that is at work. */
export const tellable = ["pause", "resume", "retry", "skip", "approve", "give-back", "stop"] as const;
export type Tellable = (typeof tellable)[number];

export interface Word {
  readonly id: string;
  readonly verb: Tellable;
  readonly by: string;
  readonly why: string;
  /** The runner that it is meant for: how often the run had been taken over. */
  readonly runners: number;
  /** How many words of people, and of whatever stands for them, were in the journal when it was said. */
  readonly words: number;
  /** Steps that waited for an answer then. */
  readonly asked: readonly string[];
}

/** What a word is held against. */
export interface Standing {
  readonly logbook: Pick<Logbook, "lines" | "context">;
  /** The question that stands, if one does. */
  readonly question: Asked | undefined;
  /** The run is being left as it is, or has ended. */
  readonly over: string | undefined;
}

interface Asked {
  readonly asked: readonly string[];
  readonly maySkip: boolean;
  readonly approval: boolean;
}

export function questionsIn(logbook: Pick<Logbook, "tasks">): readonly Task[] {
  return logbook.tasks().filter((task) => task.kind === "ask" || task.kind === "approve");
}

export function questionIn(
  logbook: Pick<Logbook, "tasks">,
  unitOf: (key: string) => Unit,
): Asked | undefined {
  const [task] = questionsIn(logbook);
  return (
    task && {
      asked: task.units,
      maySkip: task.kind === "ask" && task.units.every((key) => unitOf(key).step.skippable === true),
      approval: task.kind === "approve",
    }
  );
}

/** Rows by which somebody had their say. */
export function wordsIn(
  lines: readonly Pick<Line, "kind" | "body">[],
): readonly Pick<Line, "kind" | "body">[] {
  return lines.filter(({ kind, body }) => kind === "verb" || (kind === "told" && body["heeded"] === true));
}

/** What hearing needs of the walk. */
export interface Hearing {
  readonly receive: () => Promise<readonly { readonly [key: string]: Json }[]>;
  readonly logbook: Logbook;
  readonly mask: (text: string) => string;
  readonly standing: () => Standing;
  /** Does what a word says that is heeded; a verb's row carries its id. */
  readonly heed: (word: Word) => void;
}

/** Reads what lies in the inbox, and answers each word with a row. */
export async function hearWords({ receive, logbook, mask, standing, heed }: Hearing): Promise<void> {
  try {
    for (const message of await receive()) {
      const said = readWord(message);
      const word = { ...said, why: mask(said.why) };
      const reason = refusal(word, standing());
      if (reason === undefined) heed(word);
      else logbook.write("told", { ...rowOf(word), heeded: false, reason });
    }
  } catch (thrown) {
    logbook.write("trouble", { where: "inbox", ...troubleOf(asFailure(thrown)) });
  }
}

/** For words that the machine knows no verb for. */
export function noteHeeded(logbook: Logbook, word: Word): void {
  logbook.write("told", { ...rowOf(word), heeded: true });
}

function rowOf({ id, verb, by, why }: Word): { readonly [key: string]: string } {
  return { id, verb, by, why };
}

/** How often the run was taken over. */
export function runnersIn(lines: readonly Pick<Line, "kind">[]): number {
  return lines.filter(({ kind }) => kind === "taken-over").length;
}

/** Why this word is not heeded, as a whole sentence; undefined if it is. */
export function refusal(word: Word, standing: Standing): string | undefined {
  const { question, logbook, over } = standing;
  const { paused, goBack, list } = logbook.context();
  if (over !== undefined) return over;
  if (word.runners !== runnersIn(logbook.lines))
    return "it was said to the runner before: the run was taken over since";
  const words = wordsIn(logbook.lines);
  const other = words[word.words];
  if (other !== undefined)
    return `${text(other.body["by"])} said "${text(other.body["verb"])}" first: ${text(other.body["why"])}`;
  switch (word.verb) {
    case "pause":
      return paused ? "the run is paused already" : undefined;
    case "resume":
      return paused ? undefined : "the run is not paused";
    case "give-back":
      return goBack || list.length > 0 ? "it is being given back already" : undefined;
    case "stop":
      return undefined;
    case "retry":
    case "skip":
    case "approve":
      if (question === undefined) return `no step waits for an answer, so there is nothing to ${word.verb}`;
      if (word.asked.join() !== question.asked.join()) return "by now other steps wait for an answer";
      if ((word.verb === "approve") !== question.approval)
        return question.approval
          ? 'the step waits for a yes: "approve", or "give-back"'
          : 'the step has failed: "retry" or "give-back"';
      return word.verb === "skip" && !question.maySkip ? "this step may not be skipped" : undefined;
  }
}

/** A message as a word. Failure `invalid` for whatever else lies in an inbox. */
export function readWord(message: { readonly [key: string]: Json }): Word {
  const { id, verb, by, why, runners, words, asked } = message;
  const known = tellable.find((one) => one === verb);
  if (
    typeof id !== "string" ||
    known === undefined ||
    typeof by !== "string" ||
    typeof why !== "string" ||
    typeof runners !== "number" ||
    typeof words !== "number" ||
    !Array.isArray(asked) ||
    !asked.every((key) => typeof key === "string")
  )
    throw new Failure(
      "invalid",
      "a message in the run's inbox is no word that this version knows; it was put aside",
      {
        hint: "say it again with `runbook tell`",
      },
    );
  return { id, verb: known, by, why, runners, words, asked };
}

/** What became of a word: the row that carries its id. */
export function answerTo(
  id: string,
  rows: readonly Pick<Line, "kind" | "body">[],
): { readonly heeded: boolean; readonly reason: string } | undefined {
  for (const { kind, body } of rows) {
    if (body["id"] !== id) continue;
    if (kind === "verb") return { heeded: true, reason: "" };
    if (kind === "told") return { heeded: body["heeded"] === true, reason: text(body["reason"]) };
  }
  return undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

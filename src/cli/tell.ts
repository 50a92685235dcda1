/** A word from another terminal to a run that is at work: put into its inbox, and answered by its holder in the journal. */
import { randomUUID } from "node:crypto";

import {
  answerTo,
  questionIn,
  runnersIn,
  tellable,
  wordsIn,
  type Tellable,
  type Word,
} from "../engine/hear.ts";
import { sleepReal } from "../drivers/clock/system.ts";
import { Failure } from "../errors.ts";
import type { Store } from "../ports/store.ts";
import { openPlaceOf, type Place, type WorldOptions } from "./context.ts";
import { exitCodes, harmless } from "./exit.ts";
import { seeRun, type RunSeen } from "./runs-seen.ts";
import { foldRun } from "./status.ts";

export interface TellOptions extends WorldOptions {
  readonly why?: string;
  readonly wait?: string;
}

const hints: { readonly [verb in Tellable]: string } = {
  pause:
    "nothing new begins; the dead-man timer runs down meanwhile, so a service that is out comes back by itself",
  resume: "the run looks at what holds, and goes on",
  retry: "the failed step is tried again",
  skip: "the failed step is left out",
  approve: "the step that waits for a yes has it",
  "give-back": "everything is given back, the service first",
  stop: "what is under way lands; then the run is left as it is",
};

export async function tell(run: string, said: string, options: TellOptions): Promise<number> {
  const verb = tellable.find((one) => one === said);
  if (verb === undefined)
    throw new Failure(
      "invalid",
      `"${said}" is nothing that a run can be told; wanted one of ${tellable.join(", ")}`,
      {
        hint: "`runbook tell --help` says what each does",
      },
    );
  const why = options.why?.trim() ?? "";
  if (why === "")
    throw new Failure("invalid", "--why is missing: whoever reads the journal wants to know the reason", {
      hint: `runbook tell ${run} ${verb} --why "…"`,
    });
  const waitMs = secondsOf(options.wait) * 1000;
  const place = await openPlaceOf(run, options);
  const seen = await seeRun(place.store, run);
  assertAtWork(seen, verb);
  const word = await wordFor(place, seen, verb, why);
  await place.store.send(run, { ...word });
  return waitForAnswer(place.store, word, run, waitMs);
}

function secondsOf(wait: string | undefined): number {
  if (wait === undefined) return 30;
  if (/^\d{1,5}$/.test(wait)) return Number(wait);
  throw new Failure("invalid", `--wait is "${wait}"; wanted whole seconds`, {
    hint: "0 does not wait for the answer",
  });
}

function assertAtWork({ run, state }: RunSeen, verb: Tellable): void {
  if (state === "running") return;
  if (state === "interrupted" || state === "held")
    throw new Failure(
      "precondition",
      `nobody is at work on run ${run} (${state}), so there is nobody to tell`,
      {
        hint:
          verb === "give-back"
            ? `give it back from here: \`runbook undo ${run}\``
            : `go on from here: \`runbook resume ${run}\`, or give back: \`runbook undo ${run}\``,
      },
    );
  throw new Failure("precondition", `run ${run} has ended (${state}); it cannot be told anything`, {
    hint:
      state === "stuck"
        ? `when it is mended: \`runbook undo ${run}\``
        : `look at it with \`runbook show ${run}\``,
  });
}

/** A word says on which state of the run it is said, so that of two people one wins. */
async function wordFor(place: Place, seen: RunSeen, verb: Tellable, why: string): Promise<Word> {
  const { told, unitOf } = await foldRun(seen);
  return {
    id: randomUUID(),
    verb,
    by: place.owner,
    why: place.mask(why),
    runners: runnersIn(seen.rows),
    words: wordsIn(seen.rows).length,
    asked: questionIn({ tasks: () => told.position.tasks }, unitOf)?.asked ?? [],
  };
}

const lookEveryMs = 100;

/** In real time: a person waits. */
async function waitForAnswer(store: Store, word: Word, run: string, waitMs: number): Promise<number> {
  const out = (text: string) => process.stdout.write(`${harmless(text)}\n`);
  for (let waited = 0; ; waited += lookEveryMs) {
    const { rows } = await store.read(run);
    const answer = answerTo(word.id, rows);
    if (answer?.heeded === true) {
      out(`run ${run} was told: ${word.verb}; ${hints[word.verb]}`);
      return exitCodes.done;
    }
    if (answer)
      throw new Failure("precondition", `run ${run} was not told to ${word.verb}: ${answer.reason}`, {
        hint: `\`runbook status ${run}\` shows where it stands; say it again if it is still wanted`,
      });
    const { state } = await seeRun(store, run);
    if (state !== "running")
      throw new Failure(
        "precondition",
        `run ${run} is no longer at work (${state}); it did not hear "${word.verb}"`,
        {
          hint: `look at it with \`runbook status ${run}\``,
        },
      );
    if (waited >= waitMs) {
      out(
        `run ${run} has not answered yet; what you said waits in its inbox, and \`runbook show ${run}\` will tell`,
      );
      return exitCodes.waiting;
    }
    await sleepReal(lookEveryMs);
  }
}

/** Where a run is shown: a live list on a terminal, plain lines elsewhere, or the journal's events as JSON. */
import { createInterface } from "node:readline/promises";

import type { Line, Logbook } from "../engine/logbook.ts";
import type { Question, Reply } from "../engine/ask.ts";
import type { Plan } from "../runbook/plan.ts";
import type { Context } from "./context.ts";
import { exitCodes, harmless } from "./exit.ts";
import { openLive } from "./live.ts";
import { plainLine } from "./plain.ts";
import { forecasts } from "./history.ts";
import { emptyView, seeLine, withQuestion, type View } from "./view.ts";

export interface Screen {
  /** A person can be asked here. */
  readonly interactive: boolean;
  begin(run: string, logbook: Logbook): void;
  line(line: Line): void;
  say(text: string): void;
  /** Rejects when the signal fires: somebody answered from another terminal. */
  ask(question: Question, signal: AbortSignal): Promise<Reply>;
  confirm(text: string): Promise<boolean>;
  close(): void;
}

export async function openScreen(args: {
  readonly context: Context;
  readonly plan: Plan;
  readonly json: boolean;
}): Promise<Screen> {
  const { context, plan, json } = args;
  const out = process.stdout;
  const interactive = !json && out.isTTY === true && process.stdin.isTTY === true;
  const forecast = await forecasts(context.store, plan);
  const endpoint = json || interactive ? "" : await context.endpoint();
  let view: View = emptyView(plan, "", forecast);
  const live = interactive ? openLive(out, () => view, context.clock) : undefined;
  const say = (text: string) => {
    if (live) live.above(harmless(text));
    else (json ? process.stderr : out).write(`${harmless(text)}\n`);
  };
  return {
    interactive,
    say,
    begin: (run, logbook) => {
      view = emptyView(plan, run, forecast);
      for (const line of logbook.lines) view = seeLine(view, line);
      if (!live && !json) say(`run ${run}: ${plan.title} on ${plan.cluster} (${endpoint})`);
      live?.start();
    },
    line: (line) => {
      view = seeLine(view, line);
      if (json) out.write(`${JSON.stringify(line)}\n`);
      else if (live) live.update();
      else {
        const text = plainLine(line, view);
        if (text !== undefined) out.write(`${text}\n`);
      }
    },
    ask: async (question, signal) => {
      view = withQuestion(view, question);
      const choices = question.approval
        ? "(y)es, (g)ive back, (x) stop here"
        : `(r)etry, ${question.maySkip ? "(s)kip, " : ""}(g)ive back, (x) stop here`;
      const what = question.units.map(
        (unit) => `${unit.title}: ${unit.why}${unit.hint === undefined ? "" : `\n  ${unit.hint}`}`,
      );
      for (;;) {
        const answer = await askLine(live, `${what.join("\n")}\n${choices}? `, signal);
        const verb = verbs[answer.trim().toLowerCase().slice(0, 1)];
        if (verb === undefined || (verb === "skip" && !question.maySkip)) continue;
        if ((verb === "approve") !== question.approval && (verb === "approve" || verb === "retry")) continue;
        return { verb, by: context.owner, why: "answered at the terminal" };
      }
    },
    confirm: async (text) => /^y(es)?$/i.test((await askLine(live, `${text} [y/N] `)).trim()),
    close: () => live?.close(),
  };
}

const verbs: { readonly [key: string]: Reply["verb"] } = {
  y: "approve",
  r: "retry",
  s: "skip",
  g: "give-back",
  x: "stop",
};

/** One line from the person; Ctrl-C at a question means the same as during the run. */
async function askLine(
  live: { pause(): void; start(): void } | undefined,
  prompt: string,
  signal?: AbortSignal,
): Promise<string> {
  live?.pause();
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  // A terminal in raw mode hands Ctrl-C to whoever reads the line; without this, nobody else would hear of it.
  lines.on("SIGINT", () => {
    if (!process.emit("SIGINT")) process.exit(exitCodes.waiting);
  });
  try {
    return await (signal ? lines.question(harmless(prompt), { signal }) : lines.question(harmless(prompt)));
  } finally {
    if (signal?.aborted) process.stdout.write("\n");
    lines.close();
    live?.start();
  }
}

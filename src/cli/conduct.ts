/** Shows a run while it goes, asks when a person is needed, listens to Ctrl-C, and says how it ended. */
import type { Ended, Question, Reply, Walk, WalkArgs } from "../engine/walk.ts";
import type { Plan } from "../runbook/plan.ts";
import type { Context } from "./context.ts";
import { exitCodes, harmless } from "./exit.ts";
import { openScreen, type Screen } from "./screen.ts";

type Common = Omit<WalkArgs, "journal" | "plan" | "runbook" | "setting">;

export async function conduct(
  context: Context,
  plan: Plan,
  options: { readonly json?: boolean; readonly onFailure: "give-back" | "hold" },
  open: (common: Common) => Promise<Walk>,
  before: (walk: Walk, screen: Screen) => Promise<number | undefined> = async () => undefined,
): Promise<number> {
  const screen = await openScreen({ context, plan, json: options.json === true });
  const common: Common = {
    store: context.store,
    connect: context.connect,
    owner: context.owner,
    clock: context.clock,
    mask: context.mask,
    onFailure: options.onFailure,
    onLine: (line) => screen.line(line),
    ...(screen.interactive && { ask: (question: Question): Promise<Reply> => screen.ask(question) }),
  };
  const walk = await open(common);
  screen.begin(walk.run, walk.logbook);
  const stopListening = listen(walk, screen);
  try {
    const early = await before(walk, screen);
    if (early !== undefined) return early;
    const ended = await walk.go();
    screen.close();
    return await sayEnd(ended, plan, walk, context, options.json === true);
  } finally {
    stopListening();
    screen.close();
    await walk.close();
  }
}

/** Once: give back, or simply stop if nothing is exposed. Twice: leave at once, and say what is still exposed. */
function listen(walk: Walk, screen: Screen): () => void {
  let times = 0;
  const onSignal = () => {
    times += 1;
    if (times > 1) {
      screen.close();
      const open = walk.exposures().map(({ what, unit }) => `${what} ("${unit.step.title}")`);
      process.stderr.write(
        `runbook: left at once; ${open.length > 0 ? `still exposed: ${open.join(", ")}` : "nothing is exposed"}\n`,
      );
      process.stderr.write(
        `  go on with \`runbook resume ${walk.run}\`, or give back with \`runbook undo ${walk.run}\`\n`,
      );
      process.exit(exitCodes.waiting);
    }
    const who = "operator";
    if (walk.exposures().length > 0) walk.wantBack(who, "interrupted by Ctrl-C");
    else walk.wantStop(who, "interrupted by Ctrl-C while nothing was exposed");
    screen.say("interrupted: what is under way lands first; once more leaves at once");
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return () => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
}

async function sayEnd(
  ended: Ended,
  plan: Plan,
  walk: Walk,
  context: Context,
  json: boolean,
): Promise<number> {
  const { run } = walk;
  const code = codeOf(ended);
  const out = (text: string) => (json ? process.stderr : process.stdout).write(`${harmless(text)}\n`);
  if (ended.end === "succeeded") out(`run ${run} succeeded`);
  if (ended.end === "given back") out(`run ${run} failed and was given back: ${ended.why ?? ""}`);
  if (ended.end === "refused") out(`run ${run} was refused, nothing was touched: ${ended.why ?? ""}`);
  if (ended.end === "held") {
    out(`run ${run} waits for a person: ${ended.why ?? ""}`);
    out(`  go on with \`runbook resume ${run}\`, or give back with \`runbook undo ${run}\``);
  }
  if (ended.hint !== undefined && ended.end !== "succeeded") out(`  ${ended.hint}`);
  if (ended.end === "stuck") {
    out(`run ${run} is stuck: a person is needed${ended.why === undefined ? "" : ` (${ended.why})`}`);
    const { commandsFor } = await import("./show-text.ts");
    const rows = (await context.store.read(run)).rows;
    for (const { unit, message, hint } of ended.left) {
      out(`- "${unit.step.title}" could not be given back: ${message}`);
      if (hint !== undefined) out(`  ${hint}`);
      for (const command of commandsFor(plan, unit.key, rows)) out(`    ${command}`);
    }
    for (const line of ended.lost) process.stderr.write(`not journaled: ${harmless(JSON.stringify(line))}\n`);
    out(`  when it is mended: \`runbook undo ${run}\` looks again, and gives back what is left`);
  }
  return code;
}

function codeOf(ended: Ended): number {
  if (ended.end === "succeeded") return exitCodes.done;
  if (ended.end === "given back") return exitCodes.givenBack;
  if (ended.end === "stuck") return exitCodes.stuck;
  if (ended.end === "held") return exitCodes.waiting;
  return ended.kind === "conflict" ? exitCodes.locked : exitCodes.refused;
}

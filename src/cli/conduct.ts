/** Shows a run while it goes, asks when a person is needed, listens to Ctrl-C, and says how it ended. */
import type { Question, Reply } from "../engine/ask.ts";
import type { Ended, Walk, WalkArgs } from "../engine/walk.ts";
import type { Plan } from "../runbook/plan.ts";
import { asFailure, type Failure } from "../errors.ts";
import { reachableIn, type Context } from "./context.ts";
import { complain, exitCodes, harmless } from "./exit.ts";
import type { ByHandOptions } from "./by-hand.ts";
import { openScreen, type Screen } from "./screen.ts";
import { concealFor } from "./secrets.ts";

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
    conceal: concealFor(JSON.stringify(plan), process.env),
    onFailure: options.onFailure,
    onLine: (line) => screen.line(line),
    ...(screen.interactive && {
      ask: (question: Question, signal: AbortSignal): Promise<Reply> => screen.ask(question, signal),
    }),
  };
  const walk = await open(common);
  screen.begin(walk.run, walk.logbook);
  let stopListening: () => void = () => undefined;
  try {
    const early = await before(walk, screen);
    if (early !== undefined) return early;
    // Only from here on is there anything to give back; before, Ctrl-C simply ends the process.
    stopListening = listen(walk, screen);
    const ended = await walk.go();
    screen.close();
    return await sayEnd(ended, plan, walk, context, options.json === true);
  } catch (thrown) {
    screen.close();
    return sayBroken(asFailure(thrown), walk);
  } finally {
    stopListening();
    screen.close();
    await walk.close();
  }
}

/** The run itself could not go on here: another runner took it over, or we have a fault. Never "nothing was touched". */
function sayBroken(failure: Failure, walk: Walk): number {
  complain(failure, (text) => process.stderr.write(text));
  const open = exposed(walk.exposures());
  process.stderr.write(`  the run stands where its journal says${open === "" ? "" : `; exposed: ${open}`}\n`);
  process.stderr.write(
    `  look at it with \`runbook status ${walk.run}\`; then \`runbook resume ${walk.run}\` or \`runbook undo ${walk.run}\`\n`,
  );
  return failure.kind === "conflict" ? exitCodes.locked : exitCodes.stuck;
}

function exposed(exposures: Ended["exposures"]): string {
  return exposures.map(({ what, unit }) => `${what} ("${unit.step.title}")`).join(", ");
}

/** Once: give back, or simply stop if nothing is exposed. Twice: leave at once, and say what is still exposed. */
function listen(walk: Walk, screen: Screen): () => void {
  let times = 0;
  const onSignal = () => {
    times += 1;
    if (times > 1) {
      screen.close();
      const open = exposed(walk.exposures());
      process.stderr.write(
        `runbook: left at once; ${open === "" ? "nothing is exposed" : `still exposed: ${open}`}\n`,
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
  if (ended.exposures.length > 0) out(`  still exposed: ${exposed(ended.exposures)}`);
  if (ended.hint !== undefined && ended.end !== "succeeded") out(`  ${ended.hint}`);
  if (ended.end === "stuck") {
    out(`run ${run} is stuck: a person is needed${ended.why === undefined ? "" : ` (${ended.why})`}`);
    const { commandsFor } = await import("./by-hand.ts");
    const byHand = await optionsByHand(context);
    for (const { unit, message, hint } of ended.left) {
      out(`- "${unit.step.title}" could not be given back: ${message}`);
      if (hint !== undefined) out(`  ${hint}`);
      for (const command of commandsFor(plan, unit.key, walk.logbook.lines, byHand)) out(`    ${command}`);
    }
    for (const line of ended.lost) process.stderr.write(`not journaled: ${harmless(JSON.stringify(line))}\n`);
    out(`  when it is mended: \`runbook undo ${run}\` looks again, and gives back what is left`);
  }
  return code;
}

/** As a person reaches the nodes and the cloud from here; in the lab, `runbook lab paste` knows both by name. */
export async function optionsByHand(context: Context): Promise<ByHandOptions> {
  if (context.lab) return {};
  const { wireArgv } = await import("../drivers/clusterpro/driver.ts");
  const { cloud } = context.cluster;
  const nodes = reachableIn(context.cluster);
  return {
    argvFor: (request) => (request.verb.startsWith("cluster.") ? wireArgv(request) : request.argv),
    addressOf: (node) => {
      const entry = nodes[node];
      return entry?.user === undefined ? (entry?.address ?? node) : `${entry.user}@${entry.address}`;
    },
    region: cloud.region,
  };
}

function codeOf(ended: Ended): number {
  if (ended.end === "succeeded") return exitCodes.done;
  if (ended.end === "given back") return exitCodes.givenBack;
  if (ended.end === "stuck") return exitCodes.stuck;
  if (ended.end === "held") return exitCodes.waiting;
  return ended.kind === "conflict" ? exitCodes.locked : exitCodes.refused;
}

/** Going on with a run that stopped, or giving back what it took: first it looks, prints what it sees, and asks. */
import { resumeRun } from "../engine/run.ts";
import { startOf } from "../engine/start-row.ts";
import type { Walk } from "../engine/walk.ts";
import { Failure } from "../errors.ts";
import { conduct } from "./conduct.ts";
import { openContext, openPlaceOf, type Context, type WorldOptions } from "./context.ts";
import { exitCodes } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { findRunbook } from "./source.ts";
import { seeRun, type RunSeen } from "./runs-seen.ts";
import type { Screen } from "./screen.ts";

export interface ResumeOptions extends WorldOptions {
  readonly onFailure?: "give-back" | "hold";
  readonly yes?: boolean;
  readonly why?: string;
  readonly json?: boolean;
}

export function resume(run: string, options: ResumeOptions): Promise<number> {
  return takeUp(run, options, "resume");
}

export function undo(run: string, options: ResumeOptions): Promise<number> {
  return takeUp(run, options, "undo");
}

async function takeUp(run: string, options: ResumeOptions, wish: "resume" | "undo"): Promise<number> {
  const place = await openPlaceOf(run, options);
  const seen = await seeRun(place.store, run);
  assertOpen(seen, wish);
  const { plan, onFailure } = startOf(seen.rows);
  const context = await openContext(options, plan.cluster, place);
  try {
    const runbook = await loadRunbook(plan.source, codeCache());
    const policy = { json: options.json === true, onFailure: options.onFailure ?? onFailure };
    return await conduct(
      context,
      plan,
      policy,
      (common) => resumeRun({ ...common, run, runbook, setting: context.setting(plan.params) }),
      (walk, screen) => lookFirst(walk, screen, { seen, context, options, wish }),
    );
  } finally {
    await context.close();
  }
}

function assertOpen(seen: RunSeen, wish: string): void {
  const { run, state } = seen;
  if (state === "running")
    throw new Failure("conflict", `run ${run} is at work (${seen.held?.owner ?? "holder unknown"})`, {
      hint: "wait for it, or stop it there with Ctrl-C",
    });
  if (state === "succeeded" || state === "given back" || state === "refused")
    throw new Failure("precondition", `run ${run} has ended (${state}); there is nothing to ${wish}`, {
      hint: `look at it with \`runbook show ${run}\``,
    });
  if (state === "stuck" && wish === "resume")
    throw new Failure("precondition", `run ${run} is stuck; it can only be given back`, {
      hint: `when it is mended: \`runbook undo ${run}\``,
    });
}

/** Prints what holds now, decides whether going on is possible at all, and asks. No write before the answer. */
async function lookFirst(
  walk: Walk,
  screen: Screen,
  given: { seen: RunSeen; context: Context; options: ResumeOptions; wish: "resume" | "undo" },
): Promise<number | undefined> {
  const { seen, context, options, wish } = given;
  const { plan } = startOf(seen.rows);
  const looked = await walk.lookAgain();
  screen.say(
    `run ${walk.run} (${plan.runbook} on ${plan.cluster}) is ${seen.state}; looking at what holds now`,
  );
  if (seen.trouble !== undefined)
    screen.say(`  the journal's last row is torn and left out: ${seen.trouble}`);
  for (const { unit, state } of looked)
    screen.say(`  ${unit.step.title}${unit.node === undefined ? "" : ` (${unit.node})`}: ${state}`);
  for (const { what, since } of walk.exposures())
    screen.say(`  exposed: ${what}, since ${new Date(since).toISOString()}`);
  if (isChanged(plan.runbook, plan.source.sha256))
    screen.say(`  the runbook's file has changed since; the copy in the journal is used`);
  const expired = context.clock.now() > plan.expiresAt;
  const lost = looked.filter((entry) => !entry.good);
  const back = wish === "undo" || expired || lost.length > 0;
  if (wish === "resume" && expired) screen.say("  the plan has expired: the run can only be given back");
  if (wish === "resume" && lost.length > 0)
    screen.say("  what the run counted on no longer holds: it will be given back");
  if (options.yes !== true) {
    if (!screen.interactive) {
      screen.say(`  nothing was done; go on with --yes`);
      return exitCodes.waiting;
    }
    if (!(await screen.confirm(back ? "Give back now?" : "Go on?"))) return exitCodes.waiting;
  }
  const why =
    options.why ??
    (wish === "undo"
      ? "runbook undo"
      : expired
        ? "the plan has expired"
        : "what the run counted on no longer holds");
  if (back) walk.wantBack(context.owner, why);
  else walk.wantOn(context.owner, "runbook resume");
  return undefined;
}

function isChanged(name: string, digest: string): boolean {
  try {
    return findRunbook(name, process.cwd()).sha256 !== digest;
  } catch {
    // The file is gone, or not to be found from here: the copy in the journal is what counts.
    return false;
  }
}

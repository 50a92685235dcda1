import { compile, stateName } from "../engine/machine.ts";
import { fold, openExposures } from "../engine/fold.ts";
import { startOf } from "../engine/start-row.ts";
import { invariant } from "../errors.ts";
import { layOut, unitsOf, type Unit } from "../runbook/list.ts";
import { openPlace, openPlaceOf, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
import { inWords } from "./hold.ts";
import { loadRunbook } from "./load.ts";
import { seeRun, seeRuns, type RunSeen } from "./runs-seen.ts";

interface StatusOptions extends WorldOptions {
  readonly json?: boolean;
  readonly check?: boolean;
}

/** What is running or waits, with open exposures; or one run, whatever its state. With `--check`, what is overdue. */
export async function status(run: string | undefined, options: StatusOptions): Promise<number> {
  // There the word names a cluster.
  if (options.check === true) return (await import("./overdue.ts")).checkOverdue(run, options);
  const { store, clock } = await (run === undefined ? openPlace(options) : openPlaceOf(run, options));
  const all = run === undefined ? await seeRuns(store) : [await seeRun(store, run)];
  const shown =
    run === undefined
      ? all.filter(({ state }) => !["succeeded", "given back", "refused"].includes(state))
      : all;
  const told = await Promise.all(
    shown.map(async (seen) => ({ ...brief(seen), ...(await whereItStands(seen)) })),
  );
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(told, null, 2)}\n`);
    return 0;
  }
  if (told.length === 0) process.stdout.write("nothing is running or waiting\n");
  const holds = run === undefined ? await store.findHolds() : [];
  for (const seen of told) {
    process.stdout.write(
      `${seen.run}  ${seen.runbook} on ${seen.cluster}: ${seen.state}${seen.holder === undefined ? "" : ` (${seen.holder})`}\n`,
    );
    for (const at of seen.at) process.stdout.write(`  at: ${harmless(at)}\n`);
    if (seen.lastWord)
      process.stdout.write(`  ${harmless(`${seen.paused ? "paused; " : ""}${lastSaid(seen.lastWord)}`)}\n`);
    for (const exposure of seen.exposures) {
      const minutes = ((clock.now() - exposure.since) / 60_000).toFixed(1);
      process.stdout.write(
        `  exposed: ${exposure.what}, since ${new Date(exposure.since).toISOString()} (${minutes} min): ${exposure.step}\n`,
      );
    }
    if (seen.trouble !== undefined) process.stdout.write(`  journal: ${harmless(seen.trouble)}\n`);
    if (seen.state === "interrupted" || seen.state === "held")
      process.stdout.write(
        `  go on with \`runbook resume ${seen.run}\`, or give back with \`runbook undo ${seen.run}\`\n`,
      );
    if (seen.state === "stuck")
      process.stdout.write(
        `  what is left: \`runbook show ${seen.run}\`; when it is mended: \`runbook undo ${seen.run}\`\n`,
      );
  }
  for (const hold of holds) process.stdout.write(`${harmless(inWords(hold))}\n`);
  return 0;
}

export async function runs(options: StatusOptions): Promise<number> {
  const { store } = await openPlace(options);
  const all = (await seeRuns(store)).map(brief);
  if (options.json === true) process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  else if (all.length === 0) process.stdout.write("there are no runs yet\n");
  else
    for (const seen of all)
      process.stdout.write(
        `${seen.run}  ${new Date(seen.startedAt).toISOString()}  ${seen.state.padEnd(11)}  ${seen.runbook} on ${seen.cluster}\n`,
      );
  return 0;
}

interface LastWord {
  readonly verb: string;
  readonly by: string;
  readonly why: string;
  readonly at: number;
}

function lastSaid({ verb, by, why, at }: LastWord): string {
  return `last said: ${verb}, by ${by} at ${new Date(at).toISOString()}: ${why}`;
}

function brief(seen: RunSeen) {
  return {
    run: seen.run,
    runbook: seen.start?.plan.runbook ?? "(unreadable)",
    cluster: seen.start?.plan.cluster ?? "?",
    state: seen.state,
    startedAt: seen.startedAt,
    endedAt: seen.endedAt,
    holder: seen.held?.owner,
    trouble: seen.trouble,
  };
}

/** A run's journal, folded by the runbook that it holds. */
export async function foldRun(seen: RunSeen) {
  const start = startOf(seen.rows);
  const stages = layOut(
    await loadRunbook(start.plan.source, codeCache()),
    start.plan.params,
    start.plan.members,
    { runbook: start.plan.runbook, hooks: start.plan.settings.hooks ?? [] },
  );
  const machine = compile(stages);
  const told = fold(machine, seen.rows);
  const units = unitsOf(stages);
  const unitOf = (key: string): Unit => {
    const unit = units.find((candidate) => candidate.key === key);
    invariant(unit, `the run has no step ${key}`);
    return unit;
  };
  return { stages, units, unitOf, machine, told, context: machine.contextOf(told.position) };
}

async function whereItStands(seen: RunSeen) {
  if (!seen.start) return { at: [], exposures: [], paused: false };
  const { stages, units, machine, told, context } = await foldRun(seen);
  const exposures = openExposures(stages, context, told).map(({ unit, what, since }) => ({
    what,
    since,
    step: unit.step.title,
  }));
  const at = machine.placesOf(told.position).flatMap((place) => {
    const path = place.split(".");
    const [phase = "", state] = path.slice(-2).reverse();
    const unit = units.find(({ key }) =>
      phase === "undoing" ? key === context.list[0] : stateName(key) === state,
    );
    const doing = phases[phase];
    if (doing === undefined) return [];
    return unit
      ? [`${unit.step.title}${unit.node === undefined ? "" : ` (${unit.node})`}: ${doing}`]
      : [doing];
  });
  const last = seen.rows.findLast(({ kind, body }) => kind === "verb" && body["by"] !== "runbook");
  const text = (value: unknown) => (typeof value === "string" ? value : "unknown");
  return {
    at,
    exposures,
    paused: context.paused,
    ...(last && {
      lastWord: {
        verb: text(last.body["verb"]),
        by: text(last.body["by"]),
        why: text(last.body["why"]),
        at: last.at,
      },
    }),
  };
}

/** What the phases of the machine mean to a person; those that are over are left out. */
const phases: { readonly [phase: string]: string | undefined } = {
  looking: "looking whether it holds",
  doing: "at work on it",
  settling: "waiting until it holds",
  waiting: "waiting for a person",
  asking: "it failed, and a person is asked what to do",
  undoing: "giving it back",
  stuck: "a person is needed",
};

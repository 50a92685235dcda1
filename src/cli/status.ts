import { compile, stateName } from "../engine/machine.ts";
import { fold, openExposures } from "../engine/fold.ts";
import { startOf } from "../engine/start-row.ts";
import { layOut, unitsOf } from "../runbook/list.ts";
import { openPlace, openPlaceOf, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
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
  for (const seen of told) {
    process.stdout.write(
      `${seen.run}  ${seen.runbook} on ${seen.cluster}: ${seen.state}${seen.holder === undefined ? "" : ` (${seen.holder})`}\n`,
    );
    for (const at of seen.at) process.stdout.write(`  at: ${harmless(at)}\n`);
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

async function whereItStands(seen: RunSeen) {
  if (!seen.start) return { at: [], exposures: [] };
  const start = startOf(seen.rows);
  const stages = layOut(
    await loadRunbook(start.plan.source, codeCache()),
    start.plan.params,
    start.plan.members,
    { runbook: start.plan.runbook, hooks: start.plan.settings.hooks ?? [] },
  );
  const machine = compile(stages);
  const told = fold(machine, seen.rows);
  const context = machine.contextOf(told.position);
  const exposures = openExposures(stages, context, told).map(({ unit, what, since }) => ({
    what,
    since,
    step: unit.step.title,
  }));
  const at = machine.placesOf(told.position).flatMap((place) => {
    const path = place.split(".");
    const [phase = "", state] = path.slice(-2).reverse();
    const unit = unitsOf(stages).find(({ key }) =>
      phase === "undoing" ? key === context.list[0] : stateName(key) === state,
    );
    const doing = phases[phase];
    if (doing === undefined) return [];
    return unit
      ? [`${unit.step.title}${unit.node === undefined ? "" : ` (${unit.node})`}: ${doing}`]
      : [doing];
  });
  return { at, exposures };
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

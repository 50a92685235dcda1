/** Forecasts come from this cluster's own history: the median of what a step took in runs that succeeded. */
import type { Store } from "../ports/store.ts";
import type { Plan } from "../runbook/plan.ts";
import { seeRuns, type RunSeen } from "./runs-seen.ts";

/** Milliseconds by unit key; undefined where there is no history. */
export async function forecasts(store: Store, plan: Plan): Promise<(unit: string) => number | undefined> {
  const runs = (await seeRuns(store)).filter(
    ({ state, start }) =>
      state === "succeeded" &&
      start?.plan.runbook === plan.runbook &&
      start.plan.cluster === plan.cluster &&
      JSON.stringify(start.plan.params) === JSON.stringify(plan.params),
  );
  const taken = new Map<string, number[]>();
  for (const run of runs.slice(0, 20)) {
    for (const [unit, ms] of durations(run)) taken.set(unit, [...(taken.get(unit) ?? []), ms]);
  }
  return (unit) => median(taken.get(unit) ?? []);
}

/**
 * How long each unit took: from the end of the stage before its own, looks and patience included, to its outcome. So the
 * units of a window add up to the whole of it (a copy that the cluster began by itself has no intent to count from).
 */
function durations({ rows, start }: RunSeen): ReadonlyMap<string, number> {
  const stageOf = new Map(start?.plan.units.map(({ key, stage }) => [key, stage]));
  const found = new Map<string, number>();
  let stage: string | undefined;
  let last = rows[0]?.at ?? 0;
  let began = last;
  for (const { kind, body, at } of rows) {
    if (kind !== "outcome") continue;
    const unit = typeof body["unit"] === "string" ? body["unit"] : "";
    if (stageOf.get(unit) !== stage) began = last;
    stage = stageOf.get(unit);
    found.set(unit, at - began);
    last = at;
  }
  return found;
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

/** Forecasts come from this cluster's own history: the median of what a step took in runs that succeeded. */
import type { Row, Store } from "../ports/store.ts";
import type { Plan } from "../runbook/plan.ts";
import { seeRuns } from "./runs-seen.ts";

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
  for (const { rows } of runs.slice(0, 20)) {
    for (const [unit, ms] of durations(rows)) taken.set(unit, [...(taken.get(unit) ?? []), ms]);
  }
  return (unit) => median(taken.get(unit) ?? []);
}

/** How long each unit took: from the outcome before it to its own. */
function durations(rows: readonly Row[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const begun = new Map<string, number>();
  let before = rows[0]?.at ?? 0;
  for (const row of rows) {
    const unit = typeof row.body["unit"] === "string" ? row.body["unit"] : "";
    if (row.kind === "intent") begun.set(unit, row.at);
    if (row.kind !== "outcome") continue;
    found.set(unit, row.at - (begun.get(unit) ?? before));
    before = row.at;
  }
  return found;
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}

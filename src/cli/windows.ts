/** Windows of a plan in which something is taken away, and how long they will last as far as history tells. */
import type { Plan, PlannedUnit } from "../runbook/plan.ts";
import type { Exposure } from "../runbook/step.ts";

export type Forecast = (unit: string) => number | undefined;

export interface Window {
  readonly what: Exposure;
  readonly from: PlannedUnit;
  /** The step that ends it; undefined if none does before the run's end. */
  readonly to: PlannedUnit | undefined;
}

export function windowsOf(plan: Pick<Plan, "units">): readonly Window[] {
  return plan.units.flatMap((from) =>
    from.exposes === undefined
      ? []
      : [{ what: from.exposes, from, to: plan.units.find((unit) => endsExposure(unit, from)) }],
  );
}

/** Something that a run took away: from the intent of the step until it was ended or given back. */
export interface ExposureView {
  readonly what: Exposure;
  /** Key of the step that took it. */
  readonly step: string;
  readonly since: number;
  readonly until: number | undefined;
}

/** Whether what one step took is over once the other is done. Copies of a step end what was taken on their own node. */
export function endsExposure(
  ender: { readonly ends?: string | undefined; readonly node?: string | undefined },
  exposing: { readonly title: string; readonly node?: string | undefined },
): boolean {
  return ender.ends === exposing.title && (ender.node ?? exposing.node) === exposing.node;
}

/** How long the plan will be without it; 0 if it takes none of it, undefined if there is no history for some step. */
export function forecastOf(
  plan: Pick<Plan, "units">,
  what: Exposure,
  forecast: Forecast,
): number | undefined {
  const stages = [...new Set(plan.units.map((unit) => unit.stage))];
  const within = new Set<string>();
  for (const window of windowsOf(plan)) {
    if (window.what !== what) continue;
    const last = window.to === undefined ? stages.length - 1 : stages.indexOf(window.to.stage);
    for (const stage of stages.slice(stages.indexOf(window.from.stage), last + 1)) within.add(stage);
  }
  let total = 0;
  for (const stage of within) {
    // Units of one stage run side by side.
    const ms = longestOf(plan, stage, forecast);
    if (ms === undefined) return undefined;
    total += ms;
  }
  return total;
}

function longestOf(plan: Pick<Plan, "units">, stage: string, forecast: Forecast): number | undefined {
  let longest = 0;
  for (const unit of plan.units.filter((candidate) => candidate.stage === stage)) {
    const ms = forecast(unit.key);
    if (ms === undefined) return undefined;
    longest = Math.max(longest, ms);
  }
  return longest;
}

/** How long something was taken away in all, up to `now`; stretches that overlap count once. Undefined: it never was. */
export function exposedFor(
  exposures: readonly ExposureView[],
  what: Exposure,
  now: number,
): { readonly ms: number; readonly open: ExposureView | undefined } | undefined {
  const own = exposures.filter((exposure) => exposure.what === what);
  if (own.length === 0) return undefined;
  let ms = 0;
  let reached = Number.NEGATIVE_INFINITY;
  for (const { since, until } of own.toSorted((a, b) => a.since - b.since)) {
    const end = until ?? Math.max(now, since);
    ms += Math.max(0, end - Math.max(since, reached));
    reached = Math.max(reached, end);
  }
  return { ms, open: own.find((exposure) => exposure.until === undefined) };
}

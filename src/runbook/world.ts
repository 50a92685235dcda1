import { Failure, invariant } from "../errors.ts";
import type { Ports } from "../ports/calls.ts";
import type { Clock } from "../ports/clock.ts";
import { later } from "./later.ts";
import { mayHook } from "./hooks.ts";
import { unitsOf, unitsOfStep, type Stage, type Unit } from "./list.ts";
import {
  untouched,
  type House,
  type Mine,
  type Params,
  type Runbook,
  type Settings,
  type World,
} from "./step.ts";

/** What is the same for every step of a run or a plan. */
export interface Setting {
  readonly clusterName: string;
  readonly members: readonly string[];
  readonly instances: { readonly [node: string]: string };
  readonly params: Params;
  readonly settings: Settings;
  readonly house: House;
  readonly clock: Clock;
}

/**
 * What a runbook is given of it. On scratch, the scratch node is the only member, so that everything that is done for all
 * members (markers, fences, looks at what is held) is done there, and nothing can be sent to a node of the cluster.
 */
export function settingFor(
  runbook: Pick<Runbook, "cloudOnly" | "onScratch" | "onStaging" | "takesOver" | "title"> &
    Partial<Pick<Runbook, "usesScratch">>,
  setting: Setting,
): Setting {
  const { drill, hooks, staging, ...settings } = setting.settings;
  if (runbook.onStaging) {
    if (staging === undefined)
      throw new Failure(
        "precondition",
        `the inventory does not say of which cluster ${setting.clusterName} is the staging cluster`,
        {
          hint: "name the staging cluster, and give it `staging: {of: …}` (docs/reference/drill-staging.md)",
        },
      );
    return { ...setting, settings: { ...settings, staging, checks: staging.checks } };
  }
  const uses = runbook.usesScratch?.(setting.params) === true;
  if (uses && drill === undefined)
    throw new Failure(
      "precondition",
      `the inventory has no \`drill\` for ${setting.clusterName}: nothing says which machine is the scratch node`,
      { hint: "name a scratch node in it (docs/reference/drill.md), or choose another --param warm=" },
    );
  if (!runbook.onScratch)
    return {
      ...setting,
      settings: {
        ...settings,
        ...(hooks && mayHook(runbook) && { hooks }),
        ...(uses && drill && { drill }),
      },
    };
  if (drill === undefined)
    throw new Failure(
      "precondition",
      `the inventory has no \`drill\` for ${setting.clusterName}: nothing says where to restore to, and what to check`,
      { hint: "name a scratch instance and at least one check (docs/reference/drill.md)" },
    );
  return {
    ...setting,
    members: [drill.node],
    instances: { [drill.node]: drill.instance },
    settings: { ...settings, drill },
  };
}

export interface Who {
  readonly run: string;
  readonly fence: string;
  readonly owner: string;
}

/** Who a run will be is not known while it is planned. */
export const someRun: Who = {
  run: later("this run"),
  fence: later("its fence"),
  owner: later("who runs it"),
};

/** The tag under which everything that a run creates is found again. */
export const runTag = "runbook:run";

export function makeWorld(args: {
  readonly setting: Setting;
  readonly ports: Ports;
  readonly who: Who;
  readonly unit: Unit;
  readonly stages: readonly Stage[];
  /** Outcomes by unit key. */
  readonly outcomes: ReadonlyMap<string, unknown>;
  readonly planning: boolean;
  /** What the run has done of a unit, by its key; nothing in a plan. */
  readonly traceOf?: (key: string) => Mine;
}): World {
  const { setting, ports, who, unit, stages, outcomes, planning } = args;
  const find: World["findOutcome"] = (step) => {
    const fresher = unitsOf(stages).findLast(
      ({ key, step: other }) => other.refreshes === step && outcomes.has(key),
    );
    const units = fresher ? [fresher] : unitsOfStep(stages, step);
    const own = units.find((candidate) => candidate.node === unit.node) ?? units[0];
    return own === undefined ? undefined : (outcomes.get(own.key) as never);
  };
  return {
    ...ports,
    clusterName: setting.clusterName,
    members: setting.members,
    instanceOf: (node) => {
      const instance = setting.instances[node];
      invariant(instance, `no instance is known for node ${node}`);
      return instance;
    },
    node: unit.node ?? "",
    params: setting.params,
    settings: setting.settings,
    run: who.run,
    fence: who.fence,
    owner: who.owner,
    tags: {
      [runTag]: who.run,
      "runbook:step": unit.key,
      "runbook:operation": `${who.run}/${unit.key}`,
      "runbook:cluster": setting.clusterName,
    },
    now: () => setting.clock.now(),
    findOutcome: find,
    outcomeOf: (step) => {
      const found = find(step);
      invariant(found !== undefined, `the outcome of "${step.title}" is asked for before it is known`);
      return found;
    },
    traceOf: (step) => {
      const units = unitsOfStep(stages, step);
      const own = units.find((candidate) => candidate.node === unit.node) ?? units[0];
      return own === undefined ? untouched : (args.traceOf?.(own.key) ?? untouched);
    },
    unless: async (holds, act) => {
      if (planning || !(await holds())) await act();
    },
    atRun: async (what, look) => (planning ? later(what) : look()),
    house: setting.house,
  };
}

/**
 * The user's own commands (`hooks` in the inventory), put into a runbook's list as steps of the engine's own, so that they
 * stand in the plan, the journal and the way back like any other.
 *
 * A hook goes around a phase. Its `before` is a step in front of the phase, its `after` one behind it that ends what the first
 * began: once `before` was begun, `after` is run whatever happened, on the way forward or as the undo of `before`. On the way
 * back the service comes first, and a hook right after it: no hook can keep the service down.
 *
 * How a command ended is kept on its node until the next boot. So a runner that was killed sees whether it ran. What was
 * begun, has no outcome in the journal and no trace on its node (rebooted meanwhile) is run again.
 */
import { Failure } from "../errors.ts";
import { hookKey, type HookSetting } from "./hook-setting.ts";
import { afterStep, backStep, beforeStep, moments, whereIs, type Part, type Phase } from "./hook-steps.ts";
import { check, type Entry, type Runbook, type Step, type World } from "./step.ts";

type Entries = readonly (readonly [string, Entry])[];

/** What of the inventory a list is laid out with. */
export interface Hooked {
  /** The runbook's name, which the commands are told. */
  readonly runbook: string;
  readonly hooks: readonly HookSetting[];
}

/**
 * A runbook that leaves the nodes alone has no node to run them on, one on scratch no node of the cluster; and one that takes
 * over works where nobody knows what stands, and is hindered by nothing.
 */
export function mayHook({
  cloudOnly,
  onScratch,
  onStaging,
  takesOver,
}: Pick<Runbook, "cloudOnly" | "onScratch" | "onStaging" | "takesOver">) {
  return !cloudOnly && !onScratch && !onStaging && !takesOver;
}

/** The list with its hooks. `first` is the place of its first entry that is no check. */
export function withHooks(list: Entries, first: number, { runbook, hooks }: Hooked): Entries {
  const phases = phasesOf(list, first);
  const placed = hooks
    .flatMap((hook) =>
      phases.filter(({ around }) => around === hook.around).map((phase, n) => place(hook, phase, n, runbook)),
    )
    // What is around everything is begun first, and ends last.
    .toSorted((a, b) => Number(b.hook.around === "run") - Number(a.hook.around === "run"));
  if (placed.length === 0) return list;
  const known = check("The hooks of the inventory have their nodes", async (world) =>
    whereAll(world, placed),
  );
  const entries = list.map(([key, entry]) => [key, entry] as const);
  const inFront = (at: number): Entries => [
    // What was begun last ends first.
    ...placed
      .toReversed()
      .flatMap(({ keys, phase, after }) =>
        after && phase.after === at ? [[keys.after, after] as const] : [],
      ),
    ...placed.flatMap(({ keys, phase, before }) =>
      before && phase.before === at ? [[keys.before, before] as const] : [],
    ),
  ];
  const all = [
    ...entries.slice(0, first),
    ["hooksKnown", known] as const,
    ...entries.slice(first).flatMap((entry, i) => [...inFront(first + i), entry]),
    ...inFront(entries.length),
  ];
  const twice = all.find(([key], i) => all.findIndex(([other]) => other === key) !== i);
  if (twice)
    throw new Failure("invalid", `the step name "${twice[0]}" is that of a hook of the inventory`, {
      hint: "give the step another name",
    });
  return all;
}

function phasesOf(list: Entries, first: number): readonly Phase[] {
  const phases: Phase[] = [];
  const common = { swapped: false, off: "none", move: false } as const;
  for (const [i, [, entry]] of list.entries()) {
    for (const one of stepsIn(entry)) {
      if (one.cuts !== undefined)
        phases.push({ ...common, around: "cut", before: i, after: i + 1, off: one.cuts });
      if (one.exposes !== "service") continue;
      const end = list.findIndex(([, other]) => stepsIn(other).some(({ ends }) => ends === one));
      if (end === -1) continue;
      const swapped = one.servedBy === "standby";
      // Nothing of the run's own starts the groups again: the step that stops them does.
      const move = stepsIn(list[end]?.[1]).some(({ kind, ends }) => ends === one && kind === "wait");
      phases.push({
        ...common,
        around: "service-stop",
        before: i,
        after: move ? end + 1 : i + 1,
        swapped,
        move,
      });
      const opens = list.findIndex(
        ([, other], at) => at > i && at < end && stepsIn(other).some(({ mayServe }) => mayServe === true),
      );
      const before = opens === -1 ? end : opens;
      if (!move) phases.push({ ...common, around: "service-return", before, after: end + 1, swapped });
    }
  }
  const { swapped = false } = phases.find(({ around }) => around === "service-stop") ?? {};
  phases.push({ ...common, around: "run", before: first, after: list.length, swapped });
  return phases;
}

function stepsIn(entry: Entry | undefined): readonly Step[] {
  if (entry === undefined) return [];
  if (entry.kind === "each-node") return [entry.step];
  return entry.kind === "together" ? Object.values(entry.steps) : [entry];
}

interface Placed {
  readonly keys: { readonly before: string; readonly after: string };
  readonly hook: HookSetting;
  readonly phase: Phase;
  readonly before: Step | undefined;
  readonly after: Step | undefined;
}

function place(hook: HookSetting, phase: Phase, n: number, runbook: string): Placed {
  const key = `hook${hookKey(hook.name)}`;
  const more = n === 0 ? "" : String(n + 1);
  const keys = { before: `${key}Before${more}`, after: `${key}After${more}` };
  const part = (when: "before" | "after"): Part => ({ hook, phase, when, key: keys[when], runbook });
  // What is due at every end of the run is begun with it.
  const begins = hook.before !== null || phase.around === "run";
  const ending = hook.after === null ? undefined : part("after");
  const before = begins ? beforeStep(part("before"), ending && backStep(ending)) : undefined;
  return { keys, hook, phase, before, after: ending && afterStep(ending, before) };
}

/** What a reviewer sees of them beside their steps. A hook that may not be missing refuses the plan where it cannot be run. */
function whereAll(world: World, placed: readonly Placed[]) {
  const on: Record<string, readonly string[]> = {};
  const told: string[] = [];
  for (const { hook, phase } of placed) {
    const { node, why } = whereIs(world, { hook, phase });
    if (node !== undefined) {
      on[hook.name] = [...new Set([...(on[hook.name] ?? []), node])];
      continue;
    }
    if (hook.before !== null && hook.onFailure !== "go-on")
      throw new Failure(
        "precondition",
        `hook "${hook.name}" cannot be run (${moments[phase.around].before}): ${why}`,
        {
          hint: "name another node in the inventory (`on`), or let the run go on without it (`onFailure: go-on`)",
        },
      );
    told.push(`hook "${hook.name}" is left out: ${why}`);
  }
  return { on, ...(told.length > 0 && { told }) };
}

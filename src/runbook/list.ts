/**
 * A runbook's list, laid out for walking: stages one after the other, each with the units that run side by side.
 * A unit is one step on one node (for `eachNode`) or simply one step; its key never changes between plan, journal and resume.
 */
import { Failure } from "../errors.ts";
import { mayHook, withHooks, type Hooked } from "./hooks.ts";
import { holdNodes, releaseNodes } from "./house.ts";
import type { Entry, Params, Runbook, Step } from "./step.ts";
import { holdWhatAnswers, releaseWhatAnswers } from "./take-over.ts";

export interface Unit {
  /** "breakMirrors", or "suspendMonitors@server1" for a copy on a node, or "copies.snapshots" inside a `together`. */
  readonly key: string;
  readonly step: Step;
  readonly node: string | undefined;
}

export interface Stage {
  readonly key: string;
  readonly units: readonly Unit[];
}

/** Lays the list out; refuses names that would not be unique, and parameters that the runbook does not know. */
export function layOut(
  runbook: Runbook,
  params: Params,
  members: readonly string[],
  hooked?: Hooked,
): readonly Stage[] {
  const stages = withHouse(runbook.steps(params), runbook, hooked).map(([key, entry]): Stage => {
    if (!/^[a-zA-Z][a-zA-Z0-9]*$/.test(key))
      throw new Failure("invalid", `the step name "${key}" must be letters and digits`, {
        hint: `rename it in the file of "${runbook.title}"`,
      });
    if (entry.kind === "each-node")
      return { key, units: members.map((node) => ({ key: `${key}@${node}`, step: entry.step, node })) };
    if (entry.kind === "together") {
      const units = Object.entries(entry.steps).map(([part, step]) => ({
        key: `${key}.${part}`,
        step,
        node: undefined,
      }));
      return { key, units };
    }
    return { key, units: [{ key, step: entry, node: undefined }] };
  });
  const steps = unitsOf(stages).map((unit) => unit.step);
  for (const { key, step } of unitsOf(stages)) {
    if (step.ends && !steps.includes(step.ends))
      throw new Failure("invalid", `step "${key}" ends "${step.ends.title}", which is not in the list`, {
        hint: `correct it in the file of "${runbook.title}"`,
      });
  }
  for (const { key, step } of unitsOf(stages)) {
    const taken = step.exposes === "service" || step.exposes === "redundancy";
    if (taken && !steps.some(({ ends }) => ends === step))
      throw new Failure("invalid", `step "${key}" takes ${step.exposes}, and no step in the list ends that`, {
        hint: `correct it in the file of "${runbook.title}": the step that gives it back says \`ends: ${key}\``,
      });
  }
  return stages;
}

/** Every run marks its nodes after its checks and before its first act, and takes the marks off last. */
function withHouse(
  entries: { readonly [key: string]: Entry },
  runbook: Runbook,
  hooked: Hooked | undefined,
): readonly (readonly [string, Entry])[] {
  const { cloudOnly, takesOver } = runbook;
  const own = Object.entries(entries);
  const taken = own.find(([key]) => key === "holdNodes" || key === "releaseNodes");
  if (taken)
    throw new Failure("invalid", `the step name "${taken[0]}" is the engine's own`, {
      hint: "give the step another name",
    });
  const acts = own.findIndex(([, entry]) => entry.kind !== "check");
  if (acts === -1 || cloudOnly) return own;
  const list = hooked && mayHook(runbook) ? withHooks(own, acts, hooked) : own;
  const first = list.findIndex(([, entry]) => entry.kind !== "check");
  return [
    ...list.slice(0, first),
    ["holdNodes", takesOver ? holdWhatAnswers : holdNodes],
    ...list.slice(first),
    ["releaseNodes", takesOver ? releaseWhatAnswers : releaseNodes],
  ];
}

/** The parameters in force: what was given, else each one's first choice. */
export function readParams(runbook: Runbook, given: Params): Params {
  const known = Object.keys(runbook.params);
  for (const name of Object.keys(given)) {
    if (!known.includes(name))
      throw new Failure("invalid", `this runbook has no parameter "${name}"`, {
        hint: known.length > 0 ? `it has ${known.join(", ")}` : "it has none",
      });
  }
  return Object.fromEntries(
    Object.entries(runbook.params).map(([name, spec]) => {
      if ("count" in spec) return [name, readCount(name, given[name] ?? String(spec.count))];
      if ("said" in spec) return [name, readSaid(name, given[name] ?? "", spec.said)];
      if ("named" in spec) return [name, readName(name, given[name] ?? spec.otherwise, spec.named)];
      const value = given[name] ?? spec.oneOf[0] ?? "";
      if (!spec.oneOf.includes(value))
        throw new Failure(
          "invalid",
          `parameter ${name} is "${value}"; wanted one of ${spec.oneOf.join(", ")}`,
          {
            hint: `give --param ${name}=${spec.oneOf[0] ?? ""}`,
          },
        );
      return [name, value];
    }),
  );
}

function readCount(param: string, value: string): string {
  if (/^(0|[1-9]\d{0,3})$/.test(value)) return value;
  throw new Failure("invalid", `parameter ${param} is "${value}"; wanted a whole number from 0 to 9999`, {
    hint: `give --param ${param}=7, for example`,
  });
}

/** It stands in the plan, the journal and the report, and is sent nowhere. */
function readSaid(param: string, value: string, what: string): string {
  const text = value.trim();
  if (text !== "" && text.length <= 400 && !/\p{Cc}/u.test(text)) return text;
  throw new Failure(
    "invalid",
    `parameter ${param} is ${JSON.stringify(value.slice(0, 80))}; wanted ${what}`,
    {
      hint: `say it: --param ${param}="..." (one line, at most 400 characters)`,
    },
  );
}

/** It stands in tags, requests and file names. */
function readName(param: string, value: string, what: string): string {
  if (/^[\w][\w.:-]{0,62}$/.test(value)) return value;
  throw new Failure("invalid", `parameter ${param} is "${value}"; wanted the name of ${what}`, {
    hint: "a name has letters, digits, dots, colons and dashes, and at most 63 of them",
  });
}

export function unitsOf(stages: readonly Stage[]): readonly Unit[] {
  return stages.flatMap((stage) => stage.units);
}

/** All units made from one step (one, or one a node). */
export function unitsOfStep(stages: readonly Stage[], step: Step): readonly Unit[] {
  return unitsOf(stages).filter((unit) => unit.step === step);
}

export function undoOf(step: Step): readonly Step[] {
  if (step.undo === undefined) return [];
  const undo = step.undo();
  return Array.isArray(undo) ? (undo as readonly Step[]) : [undo as Step];
}

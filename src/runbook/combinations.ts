/** All that a runbook's parameters can make of its list, as far as their values are known without a cluster. */
import type { Params, Runbook } from "./step.ts";

/** More than any runbook of ours has; a list of more is walked for each value once. */
const most = 256;

export interface Combinations {
  readonly all: readonly Params[];
  /** Whether each value was put together with each other one. */
  readonly complete: boolean;
}

export function combinationsOf({ params }: Pick<Runbook, "params">): Combinations {
  const choices = Object.entries(params).map(([name, spec]): readonly [string, readonly string[]] => {
    if ("oneOf" in spec) return [name, spec.oneOf];
    if ("count" in spec) return [name, [String(spec.count)]];
    // What a person says, and a name that only the world knows, choose no steps.
    return [name, ["said" in spec ? "checked by lint" : spec.otherwise]];
  });
  const complete = choices.reduce((product, [, values]) => product * values.length, 1) <= most;
  return { all: complete ? eachWithEach(choices) : eachOnce(choices), complete };
}

type Choices = readonly (readonly [name: string, values: readonly string[]])[];

function eachWithEach(choices: Choices): readonly Params[] {
  return choices.reduce<readonly Params[]>(
    (made, [name, values]) => made.flatMap((params) => values.map((value) => ({ ...params, [name]: value }))),
    [{}],
  );
}

function eachOnce(choices: Choices): readonly Params[] {
  const first = Object.fromEntries(choices.map(([name, values]) => [name, values[0] ?? ""]));
  return [
    first,
    ...choices.flatMap(([name, values]) => values.slice(1).map((value) => ({ ...first, [name]: value }))),
  ];
}

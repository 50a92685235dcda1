/**
 * The machine of a runbook, the very one that a run walks: as a Mermaid state diagram, and as plain data that XState's own
 * `createMachine` and its tools read.
 */
import { Failure } from "../errors.ts";
import type { Stage } from "../runbook/list.ts";
import { compile, stateName, type Outline } from "./machine.ts";

export function mermaid(stages: readonly Stage[]): string {
  const root = compile(stages).outline();
  const titles = new Map(
    stages.flatMap((stage) =>
      stage.units.map((unit) => [unit.key.replaceAll(".", "·"), unit.step.title] as const),
    ),
  );
  const lines = ["stateDiagram-v2"];
  if (root.initial !== undefined) lines.push(`  [*] --> ${id(root.initial)}`);
  for (const state of root.states) draw(state, "  ", lines, titles);
  for (const edge of edgesOf(root)) lines.push(`  ${edge}`);
  return `${lines.join("\n")}\n`;
}

function draw(state: Outline, indent: string, lines: string[], titles: ReadonlyMap<string, string>): void {
  const title = titles.get(state.name) ?? state.name;
  if (state.states.length === 0) {
    lines.push(`${indent}state "${title.replaceAll('"', "'")}" as ${id(state.id)}`);
    if (state.type === "final" && !state.id.includes(".", "run.".length))
      lines.push(`${indent}${id(state.id)} --> [*]`);
    return;
  }
  lines.push(`${indent}state "${title.replaceAll('"', "'")}" as ${id(state.id)} {`);
  if (state.initial !== undefined) lines.push(`${indent}  [*] --> ${id(state.initial)}`);
  state.states.forEach((child, i) => {
    if (state.type === "parallel" && i > 0) lines.push(`${indent}  --`);
    draw(child, `${indent}  `, lines, titles);
  });
  lines.push(`${indent}}`);
}

function edgesOf(state: Outline): string[] {
  const own = state.edges.map((edge) => `${id(state.id)} --> ${id(edge.target)}: ${edge.event}`);
  return [...own, ...state.states.flatMap(edgesOf)];
}

function id(path: string): string {
  return path.replaceAll(/[^A-Za-z0-9]/g, "_");
}

type Plain = { readonly [key: string]: unknown };

/**
 * The machine's configuration with its functions replaced by their names and what they are about, so that it can be
 * written as JSON. Whoever runs it gives the functions by these names (`machine.provide`).
 */
export function xstateConfig(stages: readonly Stage[]): Plain {
  return stateConfig(compile(stages).machine.config, [], stages);
}

function stateConfig(config: Plain, path: readonly string[], stages: readonly Stage[]): Plain {
  const { on, always, onDone, invoke, states, ...rest } = config;
  const where = whereIs(path, stages);
  const moves = (event: string, found: unknown) => transitions(found, event, where);
  return {
    ...rest,
    ...(where.title !== undefined && { description: where.title }),
    ...(invoke !== undefined && { invoke: invokeConfig(invoke as Plain) }),
    ...(on !== undefined && {
      on: Object.fromEntries(
        Object.entries(on as Plain).map(([event, found]) => [event, moves(event, found)]),
      ),
    }),
    ...(always !== undefined && { always: moves("always", always) }),
    ...(onDone !== undefined && { onDone: moves("onDone", onDone) }),
    ...(states !== undefined && {
      states: Object.fromEntries(
        Object.entries(states as { readonly [name: string]: Plain }).map(([name, inner]) => [
          name,
          stateConfig(inner, [...path, name], stages),
        ]),
      ),
    }),
  };
}

/** What an invoke works on, where that is found in the context when it begins, has no place in plain data. */
function invokeConfig({ input, ...rest }: Plain): Plain {
  return typeof input === "function" ? rest : { ...rest, input };
}

function transitions(found: unknown, event: string, where: Where): readonly Plain[] {
  const all = (Array.isArray(found) ? found : [found]) as readonly Plain[];
  return all.map(({ guard, actions, ...rest }, i) => {
    const place = `${where.kind} ${event} ${i}`;
    const name = names[place] ?? {};
    if (
      (guard === undefined) !== (name.guard === undefined) ||
      (actions === undefined) !== (name.action === undefined)
    )
      throw new Failure("bug", `the machine has a guard or an action that has no name: ${place}`);
    const about = (type: string) => (ofUnits.has(type) ? { type, params: { units: where.units } } : { type });
    return {
      ...rest,
      ...(name.guard !== undefined && { guard: about(name.guard) }),
      ...(name.action !== undefined && { actions: [about(name.action)] }),
    };
  });
}

interface Where {
  /** The state, or what kind of state it is where a stage or a unit gives it its name. */
  readonly kind: string;
  readonly units: readonly string[];
  readonly title?: string;
}

function whereIs(path: readonly string[], stages: readonly Stage[]): Where {
  const [first = "run", inner, region, phase] = path;
  const stage = stages.find(({ key }) => stateName(key) === first);
  if (stage === undefined) return { kind: path.length === 0 ? "run" : path.join("."), units: [] };
  const unit = stage.units.find(({ key }) => stateName(key) === region);
  if (unit === undefined)
    return {
      kind: inner === undefined ? "stage" : `stage.${inner}`,
      units: stage.units.map(({ key }) => key),
    };
  const units = [unit.key];
  return phase === undefined
    ? { kind: "unit", units, title: unit.step.title }
    : { kind: `unit.${phase}`, units };
}

interface Name {
  readonly guard?: string;
  readonly action?: string;
}

const failure: Name = { guard: "isOfUnit", action: "noteFailure" };
const outcome: Name = { guard: "isOfUnit", action: "noteOutcome" };
const intent: Name = { guard: "isOfUnit", action: "noteIntent" };
const giveBack: Name = { guard: "isGiveBack", action: "turnBack" };

/** What the guards and actions of src/engine/machine.ts are called, by state, event and place among those of the event. */
const names: { readonly [place: string]: Name | undefined } = {
  "run intent 0": { action: "noteIntent" },
  "run verb 0": giveBack,
  "run verb 1": { guard: "isPause", action: "pause" },
  "run verb 2": { guard: "isResume", action: "goOn" },
  "stage.work onDone 0": { guard: "isTurnedBack" },
  "stage.work onDone 1": { guard: "areSettled" },
  "stage.asking always 0": { guard: "isTurnedBack" },
  "stage.asking verb 0": { guard: "isRetry", action: "clearFailures" },
  "stage.asking verb 1": { guard: "isSkip", action: "skip" },
  "stage.asking verb 2": giveBack,
  "unit.ready always 0": { guard: "areSettled" },
  "unit.ready always 1": { guard: "hasFailedOrIsTurnedBack" },
  "unit.waiting outcome 0": outcome,
  "unit.waiting failure 0": failure,
  "unit.looking outcome 0": outcome,
  "unit.looking intent 0": intent,
  "unit.looking failure 0": failure,
  "unit.doing outcome 0": outcome,
  "unit.doing acted 0": { guard: "isOfUnit" },
  "unit.doing intent 0": intent,
  "unit.doing failure 0": failure,
  "unit.settling outcome 0": outcome,
  "unit.settling failure 0": failure,
  "givingBack.setOut always 0": { action: "listWhatIsGivenBack" },
  "givingBack.next always 0": { guard: "isMoreToGiveBack" },
  "givingBack.next always 1": { guard: "isSomethingLeft" },
  "givingBack.next always 2": { guard: "wasNothingBegun" },
  "givingBack.undoing undone 0": { action: "dropFirst" },
  "givingBack.undoing not-undone 0": { action: "putBackOrLeave" },
  "stuck verb 0": { guard: "isUndo", action: "listWhatWasLeft" },
};

/** Those that are about the units of the place where they stand. */
const ofUnits = new Set(["isOfUnit", "areSettled", "hasFailedOrIsTurnedBack", "clearFailures", "skip"]);

/** The machine of a runbook as a Mermaid state diagram: the very machine that a run walks. */
import type { Stage } from "../runbook/list.ts";
import { compile, type Outline } from "./machine.ts";

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

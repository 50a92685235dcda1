/** The machine that a run of a runbook walks, for two nodes called "active" and "standby". */
import { writeFileSync } from "node:fs";

import { mermaid, xstateConfig } from "../engine/graph.ts";
import { Failure } from "../errors.ts";
import { layOut, readParams, type Stage } from "../runbook/list.ts";
import type { Params, Runbook } from "../runbook/step.ts";
import { fileTrouble } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { givenParams } from "./making.ts";
import { findRunbook } from "./source.ts";

export interface GraphOptions {
  readonly param?: readonly string[];
  readonly format?: string;
  readonly out?: string;
}

export async function graph(name: string, options: GraphOptions): Promise<number> {
  const runbook = await loadRunbook(findRunbook(name, process.cwd()), codeCache());
  const params = readParams(runbook, givenParams(options.param));
  const stages = layOut(runbook, params, runbook.onScratch ? ["scratch"] : ["active", "standby"]);
  const text = await pictured(options.format ?? "mermaid", { name, runbook, params, stages });
  if (options.out === undefined) process.stdout.write(text);
  else writeGraph(options.out, text);
  return 0;
}

interface Graphed {
  readonly name: string;
  readonly runbook: Runbook;
  readonly params: Params;
  readonly stages: readonly Stage[];
}

async function pictured(format: string, { name, runbook, params, stages }: Graphed): Promise<string> {
  if (format === "xstate") return `${JSON.stringify(xstateConfig(stages), null, 2)}\n`;
  if (format === "mermaid") return mermaid(stages);
  const { drawRunbook } = await import("./graph-svg.ts");
  return drawRunbook({ name, title: runbook.title, params, stages });
}

/** It holds nothing of a cluster's, only what the runbook says. */
function writeGraph(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (thrown) {
    throw new Failure("invalid", `--out: ${file} cannot be written: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "name a file in a folder that exists and is yours",
    });
  }
  process.stdout.write(`The graph is in ${file}.\n`);
}

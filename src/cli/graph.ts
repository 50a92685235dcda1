import { mermaid } from "../engine/graph.ts";
import { layOut, readParams } from "../runbook/list.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { findRunbook } from "./source.ts";
import { givenParams } from "./making.ts";

/** The machine that a run of it walks, for two nodes called "active" and "standby". */
export async function graph(name: string, options: { readonly param?: readonly string[] }): Promise<number> {
  const runbook = await loadRunbook(findRunbook(name, process.cwd()), codeCache());
  const params = readParams(runbook, givenParams(options.param));
  process.stdout.write(mermaid(layOut(runbook, params, ["active", "standby"])));
  return 0;
}

import { existsSync } from "node:fs";

import { startRun } from "../engine/run.ts";
import { Failure } from "../errors.ts";
import { openContext, type WorldOptions } from "./context.ts";
import { givenParams, planFor, readPlanFile } from "./making.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { conduct } from "./conduct.ts";

export interface RunOptions extends WorldOptions {
  readonly param?: readonly string[];
  readonly onFailure: "give-back" | "hold";
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** `run drill`, with the point in short. */
export async function drill(
  point: string | undefined,
  cluster: string | undefined,
  options: Omit<RunOptions, "param">,
): Promise<number> {
  return run("drill", cluster, { ...options, param: [`point=${point ?? "newest"}`] });
}

export async function run(what: string, cluster: string | undefined, options: RunOptions): Promise<number> {
  const file = /[./]/.test(what) || existsSync(what) ? what : undefined;
  if (file !== undefined && (options.param ?? []).length > 0)
    throw new Failure(
      "invalid",
      "--param cannot be given with a plan file: its parameters were reviewed with it",
      { hint: "make a new plan with the parameters you want" },
    );
  const reviewed = file === undefined ? undefined : readPlanFile(file);
  if (reviewed && cluster !== undefined && cluster !== reviewed.cluster)
    throw new Failure("invalid", `the plan is for cluster ${reviewed.cluster}, not ${cluster}`, {
      hint: "leave the cluster out",
    });
  const context = await openContext(options, reviewed?.cluster ?? cluster);
  try {
    const { plan, runbook } = reviewed
      ? { plan: reviewed, runbook: await loadRunbook(reviewed.source, codeCache()) }
      : await planFor(context, what, givenParams(options.param));
    return await conduct(context, plan, options, async (common) =>
      startRun({ ...common, plan, runbook, setting: context.setting(plan.params) }),
    );
  } finally {
    await context.close();
  }
}

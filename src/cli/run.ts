import { existsSync } from "node:fs";

import { Failure } from "../errors.ts";
import type { Approval } from "../engine/start-row.ts";
import type { Plan } from "../runbook/plan.ts";
import { openContext, type Context, type WorldOptions } from "./context.ts";
import { givenParams, planFor, readPlanFile } from "./making.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";

export interface RunOptions extends WorldOptions {
  readonly param?: readonly string[];
  readonly onFailure: "give-back" | "hold";
  readonly yes?: boolean;
  readonly json?: boolean;
  readonly approval?: readonly string[];
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
  const context = await openContext({ ...options, warm: true }, reviewed?.cluster ?? cluster);
  try {
    // Loaded while the connections are made.
    const { startRun } = await import("../engine/run.ts");
    const { conduct } = await import("./conduct.ts");
    const { plan, runbook } = reviewed
      ? { plan: reviewed, runbook: await loadRunbook(reviewed.source, codeCache()) }
      : await planFor(context, what, givenParams(options.param));
    const approvals = await approvalsIn(context, plan, file, options);
    return await conduct(context, plan, options, async (common) =>
      startRun({ ...common, plan, runbook, setting: context.setting(plan.params), approvals }),
    );
  } finally {
    await context.close();
  }
}

async function approvalsIn(
  { cluster }: Context,
  plan: Plan,
  file: string | undefined,
  { approval = [] }: RunOptions,
): Promise<readonly Approval[]> {
  if (!cluster.approvals) {
    if (approval.length === 0) return [];
    throw new Failure("invalid", `--approval is given, and the inventory asks for none for ${cluster.name}`, {
      hint: "leave it out, or say under `approvals` of the cluster who may approve",
    });
  }
  const { approvalsFor } = await import("./approve.ts");
  // People sign by their own clocks, whatever time it is in the lab.
  const { systemClock } = await import("../drivers/clock/system.ts");
  return approvalsFor(cluster.approvals, plan, file, { named: approval, now: systemClock().now() });
}

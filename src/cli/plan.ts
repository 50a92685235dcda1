import { Failure } from "../errors.ts";
import { fileTrouble } from "./exit.ts";
import { openContext, type WorldOptions } from "./context.ts";
import { forecasts } from "./history.ts";
import { givenParams, planFor } from "./making.ts";
import { writePrivate } from "./private-file.ts";

export interface PlanOptions extends WorldOptions {
  readonly param?: readonly string[];
  readonly out?: string;
  readonly full?: boolean;
  readonly json?: boolean;
}

export async function plan(name: string, cluster: string | undefined, options: PlanOptions): Promise<number> {
  const context = await openContext(options, cluster);
  try {
    const { plan } = await planFor(context, name, givenParams(options.param));
    if (options.out !== undefined) writePlan(options.out, `${JSON.stringify(plan, null, 1)}\n`);
    const { planJson, planText } = await import("./plan-text.ts");
    if (options.json === true) process.stdout.write(`${JSON.stringify(planJson(plan), null, 2)}\n`);
    else {
      const forecast = await forecasts(context.store, plan);
      const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
      const width = process.stdout.columns ?? 110;
      const fastRestoreHour = context.cluster.cloud.prices?.fastRestoreHour;
      const shown = {
        color,
        width,
        forecast,
        full: options.full === true,
        ...(fastRestoreHour !== undefined && { fastRestoreHour }),
      };
      process.stdout.write(`${planText(plan, shown)}\n`);
      if (options.out !== undefined)
        process.stdout.write(
          `\nThe plan is in ${options.out}; run it with \`runbook run ${options.out}\`.\n`,
        );
    }
    return 0;
  } finally {
    await context.close();
  }
}

function writePlan(file: string, text: string): void {
  try {
    writePrivate(file, text, "over");
  } catch (thrown) {
    throw new Failure("invalid", `--out: ${file} cannot be written: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "name a file in a folder that exists and is yours",
    });
  }
}

/** From a runbook's name, or a plan's file, to a plan that can be shown or run. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

import { Failure } from "../errors.ts";
import { readParams } from "../runbook/list.ts";
import { hashOf, makePlan, planFormat, type Plan } from "../runbook/plan.ts";
import type { Params, Runbook } from "../runbook/step.ts";
import type { Context } from "./context.ts";
import { fileTrouble } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { assertHoldsNoSecret } from "./secrets.ts";
import { digestOf, findRunbook } from "./source.ts";
import { productVersion } from "./product.ts";

export function givenParams(given: readonly string[] | undefined): Params {
  const seen = new Set<string>();
  return Object.fromEntries(
    (given ?? []).map((text) => {
      const at = text.indexOf("=");
      if (at < 1)
        throw new Failure("invalid", `--param is "${text}"; wanted NAME=VALUE`, {
          hint: "for example --param service=late",
        });
      const name = text.slice(0, at);
      if (seen.has(name))
        throw new Failure("invalid", `--param ${name} is given twice`, { hint: "leave one of them out" });
      seen.add(name);
      return [name, text.slice(at + 1)];
    }),
  );
}

export async function planFor(
  context: Context,
  name: string,
  given: Params,
): Promise<{ plan: Plan; runbook: Runbook }> {
  const source = findRunbook(name, process.cwd());
  const runbook = await loadRunbook(source, codeCache());
  const setting = context.setting(readParams(runbook, given));
  const plan = await makePlan({
    runbook,
    name,
    source,
    tool: productVersion(),
    connect: context.connect,
    setting,
  });
  assertHoldsNoSecret(plan, process.env);
  return { plan, runbook };
}

/**
 * A plan file as it was written with --out: whole, of this format, and unchanged. Whoever can write it can also make its hash
 * fit, so one that is run has to be ours; one that is only looked at may be anybody's.
 */
export function readPlanFile(file: string, whose: "ours" | "anybody's" = "ours"): Plan {
  const text = readText(file, whose);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    // Of its message only the place: the rest repeats what the file holds, which may be another one than was meant.
    const place = / at position \d+/.exec((thrown as Error).message)?.[0] ?? "";
    throw new Failure("invalid", `${file} is no plan: it is not JSON${place && ` (${place.trim()})`}`, {
      hint: "write one with `runbook plan NAME --out FILE`",
    });
  }
  const plan = value as Plan;
  if (
    value === null ||
    typeof value !== "object" ||
    !Array.isArray(plan.units) ||
    typeof plan.source?.text !== "string" ||
    typeof plan.source.parts !== "object"
  )
    throw new Failure("invalid", `${file} is no plan: it lacks what every plan has (units, source)`, {
      hint: "write one with `runbook plan NAME --out FILE`",
    });
  if (plan.format !== planFormat)
    throw new Failure(
      "invalid",
      `${file} has plan format ${String(plan.format)}; this version reads ${String(planFormat)}`,
      { hint: "make the plan again with this version" },
    );
  if (hashOf(plan) !== plan.hash || digestOf(plan.source) !== plan.source.sha256)
    throw new Failure("invalid", `${file} was changed after it was made: its hash does not fit`, {
      hint: "make the plan again, and have it reviewed",
    });
  return plan;
}

function readText(file: string, whose: "ours" | "anybody's"): string {
  try {
    const fd = openSync(
      file,
      whose === "ours" ? constants.O_RDONLY | constants.O_NOFOLLOW : constants.O_RDONLY,
    );
    try {
      if (whose === "ours") assertOurs(file, fstatSync(fd).uid);
      return readFileSync(fd, "utf8");
    } finally {
      closeSync(fd);
    }
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code === "ELOOP")
      throw new Failure("denied", `the plan ${file} is a link, and may lead to another one tomorrow`, {
        hint: "name the file itself",
      });
    throw new Failure("invalid", `the plan ${file} cannot be read: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "write one with `runbook plan NAME --out FILE`",
    });
  }
}

function assertOurs(file: string, uid: number): void {
  const own = process.getuid?.();
  if (own === undefined || uid === own) return;
  throw new Failure("denied", `the plan ${file} belongs to user id ${uid}, not to us (${own})`, {
    hint: "look through it, and run a copy of your own",
  });
}

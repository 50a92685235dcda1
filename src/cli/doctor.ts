/** Plays a runbook's checks, all of them, and changes nothing. */
import { asFailure, Failure } from "../errors.ts";
import { later } from "../runbook/later.ts";
import { layOut, readParams, type Unit } from "../runbook/list.ts";
import { notHolding, withCheck } from "../runbook/plan.ts";
import { untouched } from "../runbook/step.ts";
import { makeWorld, settingFor, someRun } from "../runbook/world.ts";
import { openContext, type WorldOptions } from "./context.ts";
import { codeFor, exitCodes, harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { findRunbook } from "./source.ts";
import { givenParams } from "./making.ts";

interface Checked {
  readonly id: string;
  readonly title: string;
  readonly state: "ok" | "failed" | "not looked at";
  readonly found?: unknown;
  readonly message?: string;
  readonly hint?: string;
}

export async function doctor(
  cluster: string | undefined,
  options: WorldOptions & {
    readonly runbook: string;
    readonly param?: readonly string[];
    readonly json?: boolean;
    readonly policy?: string | true;
  },
): Promise<number> {
  if (options.policy !== undefined)
    return (await import("./policy.ts")).policy(options.policy, cluster, options);
  const runbook = await loadRunbook(findRunbook(options.runbook, process.cwd()), codeCache());
  const params = readParams(runbook, givenParams(options.param));
  const context = await openContext(options, cluster);
  try {
    const setting = settingFor(runbook, context.setting(params));
    const { hooks = [] } = setting.settings;
    const stages = layOut(runbook, params, setting.members, { runbook: options.runbook, hooks });
    const outcomes = new Map<string, unknown>();
    const ports = context.connect({
      onRead: async () => undefined,
      beforeWrite: () => Promise.reject(new Failure("bug", "a check would have written")),
      afterWrite: async () => undefined,
      fence: () => undefined,
    });
    const checked: Checked[] = [];
    let worst: Failure | undefined;
    for (const unit of stages.flatMap((stage) => stage.units)) {
      if (unit.step.kind !== "check") break;
      const world = makeWorld({
        setting,
        ports,
        who: { ...someRun, run: later("no run") },
        unit,
        stages,
        outcomes,
        planning: false,
      });
      const result = await checkOne(unit, () => unit.step.done(world, untouched), outcomes);
      checked.push(result.checked);
      worst ??= result.failure;
    }
    if (options.json === true) process.stdout.write(`${JSON.stringify(checked, null, 2)}\n`);
    else for (const line of checked.flatMap(sayChecked)) process.stdout.write(`${harmless(line)}\n`);
    const { sshConfigReadable } = await import("../drivers/ssh/driver.ts");
    if (!context.lab && !(await sshConfigReadable()))
      process.stdout.write(
        "note: OpenSSH is not installed here, so ~/.ssh/config is not read; the inventory has to say it all\n",
      );
    return worst ? codeFor(worst) : exitCodes.done;
  } finally {
    await context.close();
  }
}

async function checkOne(
  unit: Unit,
  look: () => Promise<unknown>,
  outcomes: Map<string, unknown>,
): Promise<{ checked: Checked; failure?: Failure }> {
  const { key: id, step } = unit;
  try {
    const found = await look();
    if (found === undefined) throw notHolding(unit);
    outcomes.set(id, found);
    return { checked: { id, title: step.title, state: "ok", found } };
  } catch (thrown) {
    const failure = withCheck(asFailure(thrown), unit);
    // What a failed check would have told is missing to the later ones: they cannot be looked at, which is no news.
    if (failure.kind === "bug") return { checked: { id, title: step.title, state: "not looked at" } };
    const message = failure.message;
    return {
      checked: {
        id,
        title: step.title,
        state: "failed",
        message,
        ...(failure.hint !== undefined && { hint: failure.hint }),
      },
      failure,
    };
  }
}

function sayChecked(checked: Checked): string[] {
  if (checked.state === "ok") {
    const told = typeof checked.found === "string" ? `: ${checked.found}` : "";
    return [`ok      ${checked.id}: ${checked.title}${told}`];
  }
  if (checked.state === "not looked at")
    return [`-       ${checked.id}: not looked at, because of what failed before`];
  return [
    `FAILED  ${checked.message ?? checked.id}`,
    ...(checked.hint === undefined ? [] : [`        ${checked.hint}`]),
  ];
}

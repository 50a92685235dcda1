/** The hooks of an inventory: the user's own commands around the phases of a procedure. */
import type * as Valibot from "valibot";

import { longestHookSeconds } from "../ports/nodes.ts";
import type { HookPhase, HookSetting } from "../runbook/hook-setting.ts";
import type { Mistake } from "./mistakes.ts";

const phases = ["service-stop", "cut", "service-return", "run"] as const satisfies readonly HookPhase[];
const endings = ["stop", "go-on", "give-back"] as const;

export function hookSchema(v: typeof Valibot) {
  const text = (pattern: RegExp, what: string) => v.pipe(v.string(what), v.regex(pattern, what));
  const words = "a list of words, as [/opt/orders/freeze, --quick]";
  const command = v.optional(
    v.pipe(
      v.array(text(/^[^\0]*$/, "a word"), words),
      v.minLength(1, words),
      // The first word is what is run; with "=" in it, env(1) would take it for a setting, with a dash for an option.
      v.check(
        ([first = ""]) => /^[^\s=-][^\s=]*$/.test(first),
        "a command whose first word is the name or the path of a program",
      ),
    ),
  );
  const limit = `a whole number from 1 to ${longestHookSeconds}`;
  return v.object(
    {
      name: text(
        /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$/,
        "a name of letters, digits, blanks, dots, dashes and underscores, 60 at most",
      ),
      around: v.picklist(phases, `one of ${phases.join(", ")}`),
      on: v.string('a node of the cluster, "active" or "standby"'),
      before: command,
      after: command,
      user: v.optional(text(/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/, "the name of a user of that node")),
      seconds: v.optional(
        v.pipe(
          v.number(limit),
          v.integer(limit),
          v.minValue(1, limit),
          v.maxValue(longestHookSeconds, limit),
        ),
      ),
      onFailure: v.optional(v.picklist(endings, `one of ${endings.join(", ")}`)),
    },
    "a hook: a mapping with name, around, on, before, after",
  );
}

export type HookFile = Valibot.InferOutput<ReturnType<typeof hookSchema>>;

/** What no single value shows. */
export function findHookContradictions(
  cluster: string,
  hooks: readonly HookFile[],
  nodes: readonly string[],
): Mistake[] {
  const mistakes: Mistake[] = [];
  const seen = new Map<string, string>();
  for (const [i, hook] of hooks.entries()) {
    const here = ["clusters", cluster, "hooks", i] as const;
    // What is left of it becomes part of a step's key.
    const key = hook.name.replace(/[^A-Za-z0-9]/g, "").toLowerCase();
    const other = seen.get(key);
    if (other !== undefined)
      mistakes.push({
        path: [...here, "name"],
        what: `expected a name whose letters and digits are its own, found ${JSON.stringify(hook.name)} beside ${JSON.stringify(other)}`,
      });
    seen.set(key, hook.name);
    const roles = ["active", "standby"];
    if (roles.includes(hook.on) && nodes.includes(hook.on))
      mistakes.push({
        path: [...here, "on"],
        what: `expected a word that means one thing, found ${JSON.stringify(hook.on)}, which is a role and the name of a node`,
      });
    else if (![...nodes, ...roles].includes(hook.on))
      mistakes.push({
        path: [...here, "on"],
        what: `expected one of ${[...nodes, ...roles].join(", ")}, found ${JSON.stringify(hook.on)}`,
      });
    if (hook.before === undefined && hook.after === undefined)
      mistakes.push({ path: [...here], what: "expected `before`, `after` or both, found neither" });
    if (hook.before === undefined && hook.onFailure !== undefined)
      mistakes.push({
        path: [...here, "onFailure"],
        what: "expected it beside a `before` only: an `after` that fails is told, and hinders nothing",
      });
  }
  return mistakes;
}

/** With the defaults where the file says nothing. */
export function finishHook(hook: HookFile): HookSetting {
  return {
    name: hook.name,
    around: hook.around,
    on: hook.on,
    before: hook.before ?? null,
    after: hook.after ?? null,
    user: hook.user ?? "root",
    seconds: hook.seconds ?? 60,
    onFailure: hook.onFailure ?? "give-back",
  };
}

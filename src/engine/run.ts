/** Opening a run: a new one from its plan, or one that was interrupted, from its journal. */
import { Failure } from "../errors.ts";
import { factDifferences, hashOf, type Plan } from "../runbook/plan.ts";
import { settingFor, type Setting } from "../runbook/world.ts";
import type { Runbook } from "../runbook/step.ts";
import { engineFormat, startOf, type Approval, type StartBody } from "./start-row.ts";
import { openWalk, type Walk, type WalkArgs } from "./walk.ts";

type Common = Omit<WalkArgs, "journal" | "plan" | "runbook">;

/** Takes the lease, writes the first row, and stands ready to go. Failure `conflict` if another run holds the cluster. */
export async function startRun(
  args: Common & {
    readonly plan: Plan;
    readonly runbook: Runbook;
    readonly approvals?: readonly Approval[];
  },
): Promise<Walk> {
  const { plan, setting, store, clock } = args;
  if (hashOf(plan) !== plan.hash)
    throw new Failure("invalid", "the plan was changed after it was made: its hash does not fit", {
      hint: "make a new plan with `runbook plan --out`",
    });
  if (clock.now() > plan.expiresAt)
    throw new Failure(
      "precondition",
      `the plan was good until ${new Date(plan.expiresAt).toISOString()}; it is too old to be run`,
      { hint: "make a new plan, and have it reviewed" },
    );
  const settled = settingOf(plan, settingFor(args.runbook, setting));
  const run = store.newRunId();
  const now = clock.now();
  await store.takeLease(
    setting.clusterName,
    { run, owner: args.owner, since: now, expiresAt: now + settled.settings.leaseMinutes * 60_000 },
    now,
  );
  await assertNotHeld(args, run);
  const body: StartBody = {
    format: engineFormat,
    plan,
    owner: args.owner,
    onFailure: args.onFailure,
    ...(args.approvals && args.approvals.length > 0 && { approvals: args.approvals }),
  };
  const journal = await store.create(
    { kind: "start", body: JSON.parse(JSON.stringify(body)) as never },
    now,
    run,
  );
  return openWalk({ ...args, setting: settled, journal });
}

/** Asked under the lease: whoever holds the cluster now and saw no run of ours begin can be sure that none will. */
async function assertNotHeld({ setting, store }: Common, run: string): Promise<void> {
  const [hold] = await setting.house.findHolds();
  if (!hold) return;
  await store.releaseLease(setting.clusterName, run);
  const { what, by, why, at } = hold;
  throw new Failure("precondition", `${what} is held by ${by} since ${new Date(at).toISOString()}: ${why}`, {
    hint: "nothing new begins there until `runbook hold --end --why …`",
  });
}

/** Takes a run over: the next segment is ours, whoever held it before can no longer write. */
export async function resumeRun(
  args: Common & { readonly run: string; readonly runbook: Runbook },
): Promise<Walk> {
  const { store, clock, setting, run } = args;
  const settled = settingOf(startOf((await store.read(run)).rows).plan, settingFor(args.runbook, setting));
  const journal = await store.takeOver(run, clock.now());
  const start = startOf(journal.rows());
  const now = clock.now();
  await store.takeLease(
    setting.clusterName,
    { run, owner: args.owner, since: now, expiresAt: now + settled.settings.leaseMinutes * 60_000 },
    now,
  );
  return openWalk({ ...args, setting: settled, journal, plan: start.plan });
}

/**
 * A run works on the nodes and instances that its plan names. An inventory that now names others is refused: their power and
 * their volumes are not this run's. Limits are those of the plan, because they stand in the requests that were reviewed.
 */
function settingOf(plan: Plan, setting: Setting): Setting {
  const differences = factDifferences(
    { members: plan.members, instances: plan.instances },
    { members: setting.members, instances: setting.instances },
  );
  if (differences.length > 0)
    throw new Failure(
      "precondition",
      `the inventory is no longer the one of the plan: ${differences.join("; ")}`,
      {
        hint: "put the inventory right, or make a new plan",
      },
    );
  return { ...setting, members: plan.members, instances: plan.instances, settings: plan.settings };
}

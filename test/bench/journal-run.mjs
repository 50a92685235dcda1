/**
 * `runbook run PLAN` with the store chosen by BENCH_STORE (disk, memory), for S4: the same calls as src/cli/run.ts makes,
 * with the same drivers as everywhere in the bench.
 */
import "./drivers.mjs";
import { conduct } from "../../dist/src/cli/conduct.js";
import { openContext, openPlace } from "../../dist/src/cli/context.js";
import { loadRunbook } from "../../dist/src/cli/load.js";
import { readPlanFile } from "../../dist/src/cli/making.js";
import { startRun } from "../../dist/src/engine/run.js";
import { memoryStore } from "./memory-store.mjs";

const [file = "", inventory = ""] = process.argv.slice(2);
const onDisk = process.env["BENCH_STORE"] !== "memory";
const place = await openPlace({ inventory });
const plan = readPlanFile(file);
const context = await openContext({ inventory }, plan.cluster, {
  ...place,
  ...(!onDisk && { store: memoryStore() }),
});
try {
  const runbook = await loadRunbook(plan.source);
  process.exitCode = await conduct(context, plan, { onFailure: "give-back" }, async (common) =>
    startRun({ ...common, plan, runbook, setting: context.setting(plan.params) }),
  );
} finally {
  await context.close();
}

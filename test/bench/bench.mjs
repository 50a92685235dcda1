/**
 * `npm run bench`: the rows S1, S4, J1, U1 and the outage of the performance goals, beside their goals and peers, in one run;
 * and beside the outage two more spans of the lab's world that have no goal: the redundancy gap, and the outage of a restore.
 *
 *   node test/bench/bench.mjs [--pairs N] [--only S1,J1,…] [--outage-pace N] [--write]
 *
 * Times are never asserted: a goal that is not met is said, and the exit status is 0 unless something did not work.
 * `--write` puts the table into docs/reference/performance.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureCommits } from "./commits.mjs";
import { openField } from "./field.mjs";
import { measureOutage } from "./outage.mjs";
import { machineLine, printTable, writePage } from "./report.mjs";
import { measureGap, measureRestore } from "./spans.mjs";
import { measureStart } from "./start.mjs";
import { measureSteps } from "./steps.mjs";

const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "7" },
    only: { type: "string", default: "S1,S4,J1,U1,outage,gap,restore" },
    "outage-pace": { type: "string", default: "1" },
    write: { type: "boolean", default: false },
  },
});
const pairs = Math.max(5, Number(values.pairs));
const pace = Number(values["outage-pace"]);
const wanted = (name) => values.only.split(",").includes(name);
const folder = mkdtempSync(join(tmpdir(), "runbook-bench-"));
const rows = [];
const skipped = [];
const before = machineLine();

async function measure(name, run) {
  process.stderr.write(`measuring ${name} …\n`);
  const found = await run();
  rows.push(...found);
  printTable(found);
}

const field = await openField(join(folder, "inventory"));
try {
  if (wanted("J1")) await measure("J1", () => measureCommits({ folder: join(folder, "j1"), pairs }));
  if (wanted("U1")) await measure("U1", () => measureStart({ folder, pairs, field }));
  if (wanted("S1") || wanted("S4")) {
    if (field.skipped === undefined) await measure("S1 and S4", () => measureSteps({ folder, pairs, field }));
    else skipped.push(`S1, S4: ${field.skipped}`);
  }
  if (wanted("outage"))
    await measure("the outage (it takes as long as the cluster's commands do)", () =>
      measureOutage({ folder: join(folder, "outage"), pace }),
    );
  if (wanted("gap"))
    await measure("the redundancy gap (a node goes off and comes back, and the mirror is copied)", () =>
      measureGap({ folder: join(folder, "gap"), pace }),
    );
  if (wanted("restore"))
    await measure("the outage of a restore (both nodes go off and come back twice)", () =>
      measureRestore({ folder: join(folder, "restore"), pace }),
    );
} finally {
  await field.close?.();
  rmSync(folder, { recursive: true, force: true });
}

const machine = [before, machineLine()];
process.stdout.write("\n");
printTable(rows);
process.stdout.write(`\nbefore: ${machine[0]}\nafter:  ${machine[1]}\n`);
for (const line of skipped) process.stdout.write(`skipped: ${line}\n`);
if (values.write) await writePage({ rows, skipped, machine, pairs });

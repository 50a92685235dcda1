/**
 * `npm run bench`: the rows S1 to S6, J1, J2, U1 and the outage of the performance goals, beside their goals and peers, in one
 * run; and beside the outage two more spans of the lab's world that have no goal: the redundancy gap, and the outage of a
 * restore.
 *
 *   node test/bench/bench.mjs [--pairs N] [--only S1,J1,…] [--outage-pace N] [--install] [--write]
 *
 * Times are never asserted: a goal that is not met is said, and the exit status is 0 unless something did not work.
 * `--install` brings the peers that are missing, on Debian as root. `--write` puts the table into
 * docs/reference/performance.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installPacks } from "../support/packs.mjs";
import { measureCommits, measureGroups } from "./commits.mjs";
import { openField } from "./field.mjs";
import { othersBusy } from "./measure.mjs";
import { measureOutage } from "./outage.mjs";
import { peerPacks } from "./peers.mjs";
import { machineLine, printTable, writePage } from "./report.mjs";
import { measureGap, measureRestore } from "./spans.mjs";
import { measureStart } from "./start.mjs";
import { measureSteps } from "./steps.mjs";

const steps = ["S1", "S2", "S3", "S4", "S5", "S6"];
const names = [...steps, "J1", "J2", "U1", "outage", "gap", "restore"];
const { values } = parseArgs({
  options: {
    pairs: { type: "string", default: "7" },
    only: { type: "string", default: names.join() },
    "outage-pace": { type: "string", default: "1" },
    install: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});
const pairs = Math.max(5, Number(values.pairs));
const pace = Number(values["outage-pace"]);
const only = values.only.split(",");
const unknown = only.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`bench: there is no row ${unknown.join(", ")}\n  --only takes ${names.join(", ")}\n`);
  process.exit(2);
}
const wanted = (name) => only.includes(name);
if (values.install) {
  process.stderr.write(`installing what is missing of ${peerPacks.map(({ pack }) => pack).join(", ")} …\n`);
  const why = installPacks(peerPacks);
  if (why !== undefined) process.stderr.write(`bench: nothing was installed: ${why}\n`);
}
const folder = mkdtempSync(join(tmpdir(), "runbook-bench-"));
const rows = [];
const skipped = [];
const before = machineLine();

async function measure(name, run) {
  process.stderr.write(`measuring ${name} …\n`);
  const busy = await othersBusy();
  const found = (await run()).map((each) => (busy < 0.2 ? each : onBusyMachine(each, busy)));
  rows.push(...found);
  printTable(found);
}

const field = await openField(join(folder, "inventory"));
try {
  if (wanted("J1")) await measure("J1", () => measureCommits({ folder: join(folder, "j1"), pairs }));
  if (wanted("U1")) await measure("U1", () => measureStart({ folder, pairs, field }));
  if (wanted("J2")) await measure("J2", () => measureGroups({ folder: join(folder, "j2"), pairs }));
  for (const name of steps.filter(wanted)) {
    if (field.skipped === undefined)
      await measure(name, () => measureSteps({ name, folder, pairs, field, skipped }));
    else skipped.push(`${name}: ${field.skipped}`);
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

/** What others do at the same time falls on both sides of a row, but not in the same way. */
function onBusyMachine(each, busy) {
  return {
    ...each,
    verdict: `${each.verdict}, on a busy machine (others used ${Math.round(busy * 100)} % of it)`,
  };
}

const machine = [before, machineLine()];
process.stdout.write("\n");
printTable(rows);
process.stdout.write(`\nbefore: ${machine[0]}\nafter:  ${machine[1]}\n`);
for (const line of skipped) process.stdout.write(`skipped: ${line}\n`);
if (values.write) await writePage({ rows, skipped, machine, pairs });

/** Plays one case in a world of its own: kills the product where the case says, lets happen what it says, resumes, judges. */
import { fileURLToPath } from "node:url";

import { readSource } from "../../dist/src/cli/source.js";

import { effectsOf, endOf, judgeAlways, judgeAsUndisturbed } from "./judge.mjs";
import { killAtWrite, openWorld } from "./world.mjs";

const minute = 60_000;
/** Of the lab's defaults: the dead-man timer fires so long after it was renewed last, and looks every ten seconds. */
const deadManMs = 15 * minute + 20_000;

const lookUp = `return wholeSet(await world.cloud.findSnapshots(operation(world)), volumes);`;
const lookUpBefore = `const part = await world.cloud.findSnapshots(operation(world));
    return part.length > 0 ? notYet : undefined;`;
const asking = `await world.cloud.createSnapshotSet({`;

/**
 * The control: the same runbook, but a process looks for the tag of a snapshot set only after it asked for one itself. It
 * serves an undisturbed run, and a lost reply, as well as the real one.
 */
export function withoutLookUp() {
  const source = readSource(fileURLToPath(new URL("../../runbooks/backup-standby.ts", import.meta.url)));
  const file = "steps/cut.ts";
  let text = source.parts[file] ?? "";
  const replaced = [
    [lookUp, `if (!asked) return undefined;\n    ${lookUp}`],
    [lookUpBefore, `return undefined;`],
    [asking, `asked = true;\n    ${asking}`],
    [`export const snapshotVolumes`, `let asked = false;\n\nexport const snapshotVolumes`],
  ];
  for (const [old, mutated] of replaced) {
    if (text.split(old).length !== 2)
      throw new Error(`the control cannot be made: ${JSON.stringify(old)} is not once in the runbook`);
    text = text.replace(old, () => mutated);
  }
  return { [source.file]: source.text, ...source.parts, [file]: text };
}

export async function play(one, { pace, undisturbed, keep, gate }) {
  const runbook = one.control ? withoutLookUp() : undefined;
  const world = { ...(await openWorld({ shape: one.shape, pace, seed: one.seed, runbook })), gate };
  const story = [];
  const tell = (line) => story.push(`${((world.now() - begun) / 1000).toFixed(0).padStart(6)} s  ${line}`);
  const begun = world.now();
  const result = { id: one.id, wrong: [], end: undefined, code: undefined, met: [], applies: true, story };
  try {
    await playIn(world, one, undisturbed, result, tell);
  } catch (error) {
    result.wrong.push(`the harness failed: ${error.stack ?? error}`);
  } finally {
    if (keep) story.push(...linesOf(world), `kept in ${world.home}`);
    await world.close(keep);
  }
  return result;
}

/**
 * One run, killed at each of the case's points that it meets, in the order in which it meets them, and resumed each time;
 * the last process is left alone.
 */
async function playIn(world, one, undisturbed, result, tell) {
  const { shape } = one;
  if (shape.backedUp && !(await backUp(world, shape, result))) return;
  const earlier = world.runs();
  const on = shape.on === undefined ? [] : [shape.on];
  const start = [
    "run",
    shape.runbook,
    ...on,
    "--lab",
    ...shape.params.flatMap((param) => ["--param", param]),
  ];
  const runs = () => world.runs().filter((run) => !earlier.includes(run));
  const seen = new Set();
  let args = start;
  let points = one.points ?? [];
  // Rows that are written together reach the disk together: killed after any of them, its end may be in the journal.
  let endedBefore = false;
  result.output = "";
  for (;;) {
    const ended = await runOnce(world, args, points, seen, tell);
    result.slowestStartMs = Math.max(result.slowestStartMs ?? 0, Math.round(ended.startMs ?? 0));
    result.output += `--- runbook ${args.join(" ")}\n${ended.said}\n`;
    tell(
      `\`runbook ${args[0]} ${args[1]}\` ended: ${ended.killed ? `killed at ${ended.point}` : ended.code}`,
    );
    if (ended.hung) {
      result.wrong.push(`\`runbook ${args[0]}\` hung`);
      return;
    }
    result.code = ended.code;
    if (!ended.killed) break;
    result.met.push(ended.point);
    points = points.filter((point) => point.id !== ended.point);
    const [run] = runs();
    endedBefore = run !== undefined && endOf(world.rows(run)).end !== undefined;
    if (one.change && !(await change(world, one.change, tell))) {
      result.applies = false;
      return;
    }
    // Killed before the run existed, there is nothing to resume: the next run must simply start.
    args = run === undefined ? start : ["resume", run, "--yes", "--lab"];
  }
  const [begun] = runs();
  if (begun === undefined) {
    result.wrong.push(`no run began (exit code ${result.code}): ${lastLines(result.output)}`);
    return;
  }
  const { settled, busy } = await world.settle();
  if (!settled) result.wrong.push(`the world does not come to rest: ${busy.join(", ")}`);
  const rows = world.rows(begun);
  const { end, failures } = endOf(rows);
  if (end === undefined) result.wrong.push(`it said: ${lastLines(result.output)}`);
  Object.assign(result, { end, failures, writes: seen.size, counts: effectsOf(world) });
  result.lines = world.writes().map(({ line }) => line);
  result.snapshots = world.lab.cloud.listSnapshots().length;
  result.wrong.push(...judgeAlways(world, { run: begun, rows, shape, mayMove: one.change === "failover" }));
  if (!one.change && undisturbed)
    result.wrong.push(...judgeAsUndisturbed(world, { rows, undisturbed, shape }));
  const codes = { succeeded: 0, "given back": 1, stuck: 3, refused: 4 };
  // Then there is nothing to resume, and resume says so.
  const saidSo = endedBefore && result.code === 4 && /has ended \(/.test(result.output);
  if (codes[end] !== result.code && !saidSo)
    result.wrong.push(`it ended ${end}, and its exit code is ${result.code}`);
  result.keys = rows.map(({ kind, body }) =>
    [kind, body.unit, body.request?.verb ?? body.verb].filter((part) => part !== undefined).join(" "),
  );
}

/** A backup, and files that are lost on both sides after it. */
async function backUp(world, { lost }, result) {
  const { code, said } = await world.product(["run", "backup-standby", "--lab"], { gate: world.gate });
  if (code !== 0) {
    result.wrong.push(`the backup before it failed: ${lastLines(said)}`);
    return false;
  }
  if (lost) {
    await world.hand("delete", ["orders.txt"]);
    await world.hand("write", ["late.txt", "after the cut"]);
  }
  await world.settle();
  world.beginNow();
  return true;
}

const lastLines = (text) => text.trim().split("\n").slice(-3).join(" / ");

async function runOnce(world, args, points, seen, tell) {
  let stop;
  const ended = await world.product(args, {
    gate: world.gate,
    at: points.filter((point) => point.key !== undefined),
    onChild: (child) => (stop = killAtWrite(world, child, points, seen)),
  });
  const hit = stop();
  if (hit === undefined) return ended;
  tell(`killed while the lab did: ${hit.line}`);
  return { ...ended, point: hit.point };
}

/** What happens to the world between the death and the resume; false where it cannot happen now. */
async function change(world, what, tell) {
  await world.settle();
  try {
    if (what === "started") await world.type("server1", "clpgrp -s failover1");
    if (what === "dead-man" || what === "started") await world.sleep(deadManMs);
    if (what === "failover") tell(await world.hand("failover"));
    if (what === "reboot") tell(await world.hand("reboot", ["server2"]));
  } catch (error) {
    if (error.kind !== "precondition") throw error;
    tell(`${what} cannot happen now: ${error.message}`);
    // A failover that began and found no place leaves the service down: that is the very case.
    return /did not move/.test(error.message);
  }
  await world.settle();
  return true;
}

/** What the lab received and what happened, without reads and the clients' counting, for a person to read. */
function linesOf(world) {
  const { heart } = world.lab;
  const origin = heart.received[0]?.at ?? 0;
  const at = (row) => `${((row.at - origin) / 1000).toFixed(1).padStart(8)} s`;
  const effects = heart.effects
    .filter(({ detail }) => detail.kind !== "data-written" && !/^file|^folder/.test(detail.kind))
    .map((row) => ({ row, line: `${at(row)}    ${row.what}` }));
  const writes = world
    .writes()
    .map((row) => ({ row, line: `${at(row)}  ▸ ${row.line.slice(0, 120)} (${row.reply})` }));
  return [...effects, ...writes].sort((a, b) => a.row.at - b.row.at).map(({ line }) => line);
}

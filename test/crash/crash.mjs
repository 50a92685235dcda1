/**
 * `npm run crash`: the product, killed from outside at each row of its journal and in each of its calls, resumed, and
 * judged by the lab's own log of effects. Prints a table; ends with 1 if anything was violated.
 *
 *   --runbook NAME    backup-standby, or another (see cases)   --shape 1-early   one shape of it only
 *   --quick           every tenth point, for development
 *   --kind "in write" one kind of kill only                    --case ID         one case, with its story
 *   --jobs N          cases side by side                       --pace N          how fast the worlds turn (100)
 *   --size N          kills in one run                         --minutes N       takes no new case after that
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { changeCases, controlCases, rowCases, shapes, writeCases } from "./cases.mjs";
import { printTable } from "./table.mjs";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    runbook: { type: "string", default: "backup-standby" },
    shape: { type: "string" },
    kind: { type: "string" },
    case: { type: "string" },
    jobs: { type: "string", default: String(availableParallelism() + 1) },
    pace: { type: "string", default: "100" },
    size: { type: "string", default: "20" },
    minutes: { type: "string", default: "19" },
  },
});
const pace = Number(values.pace);
/** From the wish to start the product to its first words; on a machine that has time it is one second. */
const slowStartMs = 4000;
/** What the product says where a limit of its own was over. */
const late = /did not (end|answer) within|could not be asked within|slept past its lease|timed out/;
const began = Date.now();
const minutesGone = () => (Date.now() - began) / 60_000;

const workers = Array.from({ length: Number(values.jobs) }, () =>
  fork(fileURLToPath(new URL("worker.mjs", import.meta.url)), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  }),
);

// At most so many products load at once; see worker.mjs.
let turns = availableParallelism();
const waiting = [];
const giveTurns = () => {
  while (turns > 0 && waiting.length > 0) {
    turns -= 1;
    waiting.shift().send({ go: true });
  }
};
for (const worker of workers)
  worker.on("message", ({ gate, first }) => {
    // A resume comes first: its world has an open exposure, and goes on while it waits.
    if (gate === "enter") first ? waiting.unshift(worker) : waiting.push(worker);
    if (gate === "leave") turns += 1;
    giveTurns();
  });

function playOn(worker, one, options) {
  return new Promise((resolve) => {
    const listener = ({ result }) => {
      if (!result) return;
      worker.off("message", listener);
      resolve({ ...result, one });
    };
    worker.on("message", listener);
    worker.send({ one, options });
  });
}

/** Plays all of them; where the machine was too slow for a limit of the product, the case is played again. */
async function playAll(cases, optionsOf, told) {
  const queue = cases.map((one) => ({ one, tries: 1 }));
  const results = [];
  await Promise.all(
    workers.map(async (worker) => {
      while (queue.length > 0 && minutesGone() < Number(values.minutes)) {
        const { one, tries, first } = queue.shift();
        const result = { ...(await playOn(worker, one, optionsOf(one))), tries };
        if (result.wrong.length > 0 && !one.control && tries < 3 && wasLate(result)) {
          queue.push({ one, tries: tries + 1, first: first ?? result });
          console.log(
            `      to be played again, the machine was late: ${one.id} (slowest start ${result.slowestStartMs ?? "-"} ms): ${result.wrong[0]}`,
          );
          continue;
        }
        results.push(result);
        told?.(result);
      }
    }),
  );
  // What was late and could not be played again for want of time proves nothing either way, and is told as such.
  const undecided = queue.flatMap(({ first }) => first ?? []);
  return { results, undecided, notPlayed: queue.length - undecided.length };
}

/**
 * At this pace thirty seconds of a command's limit last a third of a real one, and the dead-man timer nine: a machine that
 * is busy with something else misses that. Such a case says nothing, and is played again; what it said is printed.
 */
function wasLate({ failures = [], wrong, slowestStartMs = 0 }) {
  return slowestStartMs > slowStartMs || [...failures, ...wrong].some((line) => late.test(line));
}

const wanted = shapes.filter(
  ({ id, runbook }) => runbook === values.runbook && (values.shape === undefined || id === values.shape),
);
if (wanted.length === 0) {
  console.error(
    `there is no such shape; there are ${shapes.map(({ id, runbook }) => `${runbook} ${id}`).join(", ")}`,
  );
  process.exit(2);
}
const asked = values.case;
const shapesNow =
  asked === undefined
    ? wanted
    : shapes.filter(
        ({ id }) => asked.startsWith(`${id}/`) || (asked.startsWith("control") && id === "1-early"),
      );

// Two undisturbed runs of each shape say which rows and which calls there are, and how often what happens.
const references = new Map();
{
  const cases = shapesNow.flatMap((shape) =>
    [1, 2].map((seed) => ({
      id: `${shape.id}/undisturbed/${seed}`,
      kind: "undisturbed",
      shape,
      seed,
      points: [],
    })),
  );
  // A run that ended otherwise than well is no reference.
  const { results } = await playAll(cases, () => ({ pace, undisturbed: {} }));
  for (const shape of shapesNow) {
    const mine = results.filter(({ one }) => one.shape.id === shape.id);
    const wrong = mine
      .flatMap(({ wrong }) => wrong)
      .concat(
        mine
          .filter(({ end }) => end !== "succeeded")
          .map(({ id, end, failures }) => `${id} ended ${end}: ${failures}`),
      );
    if (wrong.length > 0) {
      console.error(`an undisturbed run (${shape.id}) is not well:\n  ${wrong.join("\n  ")}`);
      process.exit(1);
    }
    const longest = mine.toSorted((a, b) => b.keys.length - a.keys.length)[0];
    references.set(shape.id, {
      keys: longest.keys,
      writes: Math.max(...mine.map(({ writes }) => writes)),
      counts: longest.counts,
      lines: longest.lines,
    });
  }
}

const size = Number(values.size);
const q = values.quick ? 10 : 1;
const perShape = shapesNow.map((shape) => {
  const reference = references.get(shape.id);
  const main = shape.id === "1-early";
  const changes =
    shape.runbook === "backup-standby"
      ? ["dead-man", "failover", "reboot"]
      : shape.stopsAll
        ? ["started"]
        : [];
  return [
    ...rowCases(shape, reference, "after", { size, stride: q * (main ? 1 : 3) }),
    ...writeCases(shape, reference, { size: main ? 1 : 4, stride: values.quick ? 4 : 1 }),
    ...changes.flatMap((change) =>
      changeCases(shape, change, change === "started" || (main && !values.quick) ? 1 : 5),
    ),
    ...rowCases(shape, reference, "torn", { size, stride: q * (main ? 1 : 6) }),
    ...rowCases(shape, reference, "before", { size, stride: q * (main ? 1 : 6) }),
  ];
});
// The control and the first shape come first; the others take turns, so that where time is short each has some.
const [mainCases = [], ...otherCases] = perShape;
const cases = [
  ...(references.has("1-early") ? controlCases(references.get("1-early")) : []),
  ...mainCases,
  ...Array.from({ length: Math.max(0, ...otherCases.map((each) => each.length)) }, (_, i) =>
    otherCases.flatMap((each) => each.slice(i, i + 1)),
  ).flat(),
];

const optionsOf = (one) => ({ pace, undisturbed: references.get(one.shape.id).counts });

if (asked !== undefined) {
  const one = cases.find(({ id }) => id === asked);
  if (!one) {
    console.error(`there is no case ${asked}; there are\n  ${cases.map(({ id }) => id).join("\n  ")}`);
    process.exit(2);
  }
  const result = await playOn(workers[0], one, { ...optionsOf(one), keep: true });
  console.log(result.output);
  console.log(result.story.join("\n"));
  console.log(`${result.id}: ended ${result.end}, exit code ${result.code}`);
  for (const line of result.failures ?? []) console.log(`  ${line}`);
  for (const line of result.wrong) console.log(`  VIOLATED: ${line}`);
  process.exit(result.wrong.length > 0 ? 1 : 0);
}

const chosen = cases.filter(({ kind }) => values.kind === undefined || kind === values.kind);
console.log(
  `${chosen.length} runs with ${chosen.reduce((sum, { points }) => sum + points.length, 0)} kills, ${workers.length} at a time, pace ${pace}`,
);
let count = 0;
const { results, undecided, notPlayed } = await playAll(chosen, optionsOf, (result) => {
  count += 1;
  const { id, end, wrong, met, one, tries, slowestStartMs } = result;
  const mark = wrong.length === 0 ? "ok " : one.control ? "bad (wanted)" : "BAD";
  console.log(
    `${minutesGone().toFixed(1).padStart(5)} min ${String(count).padStart(4)} ${mark} ${id}: ${end ?? "-"}, ${met.length}/${one.points.length} kills${tries > 1 ? `, try ${tries}` : ""}, slowest start ${slowestStartMs ?? "-"} ms`,
  );
  if (wrong.length > 0 && !one.control) for (const line of wrong) console.log(`        ${line}`);
  if (end === "stuck" || (one.change && end === "given back"))
    for (const line of result.failures.slice(0, 3)) console.log(`        · ${line}`);
});
for (const worker of workers) worker.disconnect();
process.exitCode = printTable(results, { cases: chosen, undecided, notPlayed, minutes: minutesGone(), pace });

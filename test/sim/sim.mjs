/**
 * `npm run sim`: whole runs of every runbook against a world that goes wrong, judged at each of its changes.
 *
 *   --seeds N      how many nights (300)          --seed S      one night alone, with its story
 *   --from N       the first seed (1)             --minutes M   takes no new night after that
 *   --runbook R    nights of one runbook          --jobs J      nights side by side (one a core)
 */
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { printTable } from "./table.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "300" },
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    minutes: { type: "string", default: "600" },
    runbook: { type: "string" },
    jobs: { type: "string", default: String(availableParallelism()) },
  },
});
const number = (name) => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} is "${values[name]}", expected a whole number`);
  process.exit(2);
};
const only = values.runbook;
const first = values.seed === undefined ? number("from") : number("seed");
const last = values.seed === undefined ? first + number("seeds") - 1 : first;
const until = Date.now() + number("minutes") * 60_000;
const began = Date.now();

const nights = [];
let next = first;
await Promise.all(
  Array.from({ length: Math.max(1, Math.min(number("jobs"), last - first + 1)) }, async () => {
    let worker = begin();
    while (next <= last && Date.now() < until) {
      const seed = next;
      next += 1;
      const played = await worker.play(seed);
      nights.push(played);
      if (played.wrong.length > 0 || values.seed !== undefined) tell(played);
      if (played.end === "lost") {
        worker.end();
        worker = begin();
      }
    }
    worker.end();
  }),
);
const minutes = (Date.now() - began) / 60_000;
const bad = nights.filter(({ wrong }) => wrong.length > 0);
if (values.seed === undefined) printTable(nights);
console.log(
  `${nights.length} nights in ${minutes.toFixed(1)} minutes (${(nights.length / minutes).toFixed(0)} a minute), ` +
    `${(nights.reduce((sum, { calls }) => sum + calls, 0) / Math.max(1, nights.length)).toFixed(0)} calls a night; ${bad.length} went wrong` +
    (bad.length > 0 ? `: seeds ${bad.map(({ seed }) => seed).join(" ")}` : ""),
);
process.exitCode = bad.length > 0 || nights.length === 0 ? 1 : 0;

/** A process for nights; one that dies of a night, or never ends it, is told of as that night's fault. */
function begin() {
  const child = fork(fileURLToPath(new URL("../../dist/sim/test/sim/worker.js", import.meta.url)));
  return {
    play: (seed) =>
      new Promise((resolve) => {
        const lost = (why) => {
          clearTimeout(timer);
          child.removeAllListeners();
          child.kill("SIGKILL");
          resolve({
            seed,
            runbook: only ?? "?",
            night: "?",
            end: "lost",
            wrong: [why],
            struck: [],
            moved: [],
            calls: 0,
            story: [],
          });
        };
        const timer = setTimeout(
          () => lost("the night did not come to an end within three minutes"),
          180_000,
        );
        child.once("exit", (code) => lost(`the process that played it ended with ${code}`));
        child.once("message", (played) => {
          clearTimeout(timer);
          child.removeAllListeners();
          resolve(played);
        });
        child.send({ seed, only });
      }),
    end: () => child.disconnect(),
  };
}

function tell({ seed, night, end, wrong, struck, story }) {
  console.log(`\nseed ${seed}: ${night}; ended ${end}`);
  for (const trouble of struck) console.log(`  struck: ${trouble}`);
  for (const each of wrong) console.log(`  WRONG: ${each}`);
  if (values.seed !== undefined) for (const line of story) console.log(`  ${line}`);
}

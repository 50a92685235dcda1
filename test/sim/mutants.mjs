/**
 * `npm run sim-mutants`: each mutant of mutant-list.mjs is played until a night goes wrong that is well without it. Prints which
 * seed caught it, and by what; ends with 1 if one was not caught.
 *
 *   --seeds N   how many nights at most for each (2000)     --jobs J   mutants side by side (one a core)
 *   --only N    the mutant with this number
 */
import { fork } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";

import { mutants } from "./mutant-list.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "2000" },
    jobs: { type: "string", default: String(availableParallelism()) },
    only: { type: "string" },
  },
});
const root = fileURLToPath(new URL("../..", import.meta.url));
const most = Number(values.seeds);
const left = mutants
  .map((mutant, i) => ({ ...mutant, number: i + 1 }))
  .filter(({ number }) => values.only === undefined || Number(values.only) === number);
const caught = [];
await Promise.all(
  Array.from({ length: Math.min(Number(values.jobs), left.length) }, async () => {
    for (let mutant = left.shift(); mutant; mutant = left.shift()) caught.push(await play(mutant));
  }),
);
caught.sort((a, b) => a.number - b.number);
console.log("");
for (const { number, what, seed, nights, wrong } of caught)
  console.log(
    `${String(number).padStart(2)}  ${wrong === undefined ? "NOT CAUGHT" : `caught by seed ${seed}, night ${nights}`}: ${what}\n      ${(wrong ?? "").slice(0, 160)}`,
  );
const missed = caught.filter(({ wrong }) => wrong === undefined).length;
console.log(`${caught.length - missed} of ${caught.length} mutants caught`);
process.exitCode = missed > 0 ? 1 : 0;

async function play({ number, what, patches, only }) {
  const folder = join(root, "dist", "sim-mutants", String(number));
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, "dist", "sim"), join(folder, "sim"), { recursive: true });
  cpSync(join(root, "runbooks"), join(folder, "runbooks"), { recursive: true });
  for (const [file, text] of mutated(patches)) writeMutant(folder, file, text);
  const mutant = worker(join(folder, "sim"), folder);
  const healthy = worker(join(root, "dist", "sim"), root);
  try {
    for (let night = 1; night <= most; night += 1) {
      const ask = { seed: night, only: only?.[night % only.length] };
      const { wrong } = await mutant.ask(ask);
      if (wrong.length === 0) continue;
      // A night that goes wrong without the mutant too says nothing about it.
      if ((await healthy.ask(ask)).wrong.length > 0) continue;
      console.log(`mutant ${number}, "${what}": seed ${night}: ${wrong[0]}`);
      return { number, what, seed: night, nights: night, wrong: wrong[0] };
    }
    return { number, what, nights: most, wrong: undefined };
  } finally {
    mutant.end();
    healthy.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A text that is no longer where the fault belongs fails, so that no mutant rots away. */
function mutated(patches) {
  const texts = new Map();
  for (const { file, from, to } of patches) {
    const text = texts.get(file) ?? readFileSync(join(root, file), "utf8");
    const count = text.split(from).length - 1;
    if (count !== 1) throw new Error(`${file} has this text ${count} times; wanted once:\n${from}`);
    texts.set(
      file,
      text.replace(from, () => to),
    );
  }
  return texts;
}

function writeMutant(folder, file, text) {
  if (file.startsWith("runbooks/")) return writeFileSync(join(folder, file), text);
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  const path = join(folder, "sim", file.replace(/\.ts$/, ".js"));
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, outputText);
}

function worker(code, cwd) {
  let child;
  const begin = () =>
    (child = fork(join(code, "test", "sim", "worker.js"), {
      cwd,
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    }));
  begin();
  return {
    ask: (night) =>
      new Promise((resolve) => {
        const over = (answer) => {
          clearTimeout(timer);
          child.removeAllListeners();
          resolve(answer);
        };
        const lost = (why) => {
          child.removeAllListeners();
          child.kill("SIGKILL");
          begin();
          over({ wrong: [why] });
        };
        const timer = setTimeout(() => lost("the night came to no end"), 120_000);
        child.once("exit", (status) => lost(`the process that played it ended with ${status}`));
        child.once("message", over);
        child.send(night);
      }),
    end: () => child.kill(),
  };
}

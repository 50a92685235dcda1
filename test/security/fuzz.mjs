/**
 * `npm run fuzz`: hostile texts and changed outputs through quoting, parsers, paths and the terminal; and the longer stories
 * of the canaries.
 *
 *   --cases N   how many (FUZZ, else 100000)     --seed S   the same ones again (FUZZ_SEED, else new ones)
 */
import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { cases: { type: "string" }, seed: { type: "string" } } });
const number = (name, value) => {
  if (/^\d{1,9}$/.test(value) && Number(value) > 0) return value;
  console.error(`--${name} is "${value}", expected a whole number above 0`);
  process.exit(2);
};
const cases = number("cases", values.cases ?? process.env.FUZZ ?? "100000");
const seed = number("seed", values.seed ?? process.env.FUZZ_SEED ?? String(1 + (Date.now() % 1_000_000)));

console.log(`${cases} cases; the same again: npm run fuzz -- --cases ${cases} --seed ${seed}`);
const began = Date.now();
const { status } = spawnSync("npx", ["vitest", "run", "test/security"], {
  env: { ...process.env, FUZZ: cases, FUZZ_SEED: seed },
  stdio: "inherit",
});
console.log(
  `${cases} cases in ${((Date.now() - began) / 1000).toFixed(0)} s: ${status === 0 ? "nothing found" : "see above"}`,
);
process.exitCode = status ?? 1;

/**
 * The product's side of the S rows: `runbook run PLAN`, from the start of its process to the end, with the plan made before
 * (as it is for a reviewed run). Only the drivers for the cluster and the cloud are the bench's (drivers.mjs): each step's
 * look is `test -e FILE`, each step's command `touch FILE`, both through the product's ssh driver.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { timeChild } from "./measure.mjs";

const product = new URL("../../bin/runbook.js", import.meta.url).pathname;
const here = (name) => new URL(name, import.meta.url).pathname;

/** Runs of so many steps over the servers of a field; all of them leave their files in one folder. */
export async function openProduct({ folder, field, steps = 12 }) {
  mkdirSync(folder, { recursive: true });
  const files = join(folder, "files");
  const home = join(folder, "home");
  const usage = join(folder, "usage");
  const env = {
    ...process.env,
    HOME: field.home,
    RUNBOOK_HOME: home,
    BENCH_FOLDER: files,
    BENCH_USAGE: usage,
  };
  delete env["SSH_AUTH_SOCK"];
  const cwd = here(".");
  const plan = join(folder, "plan.json");
  const preload = ["--import", here("drivers.mjs")];
  clean(files);
  const planning = [
    "plan",
    "twelve",
    "--param",
    `steps=${steps}`,
    "--inventory",
    field.inventory,
    "--out",
    plan,
  ];
  await timeChild(process.execPath, [...preload, product, ...planning], () => existsSync(plan), { cwd, env });

  const ran = ({ out }) => / succeeded\n/.test(out) && readdirSync(files).length === steps;
  const run = async (args, more) => {
    clean(files);
    rmSync(home, { recursive: true, force: true });
    return timeChild(process.execPath, args, ran, { cwd, env: { ...env, ...more } });
  };
  const cli = [product, "run", plan, "--inventory", field.inventory];
  return {
    files,
    env,
    /** Wall time of one run, in milliseconds. `looks: false` answers each look in memory. */
    run: ({ looks = true } = {}) => run([...preload, ...cli], looks ? {} : { BENCH_LOOKS: "memory" }),
    /** The same, with the store on the disk or in memory. */
    runWithStore: (store) => run([here("journal-run.mjs"), plan, field.inventory], { BENCH_STORE: store }),
    /** Wall time, CPU time and memory of one run. */
    runMeasured: async ({ looks = true } = {}) => {
      const args = ["--import", here("usage.mjs"), ...preload, ...cli];
      const ms = await run(args, looks ? {} : { BENCH_LOOKS: "memory" });
      return { ms, ...JSON.parse(readFileSync(usage, "utf8")) };
    },
  };
}

export function clean(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

/**
 * U1: what it costs to start. B is `node -e 0`, below which no program in Node can come. The plan is of a runbook that
 * speaks to the nodes alone (runbooks/ssh-only.ts), over SSH to two servers, with an inventory that names a cloud.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { alternate, row, runChild, timeChild } from "./measure.mjs";

const product = new URL("../../bin/runbook.js", import.meta.url).pathname;
const here = (name) => new URL(name, import.meta.url).pathname;

export async function measureStart({ folder, pairs, field }) {
  const env = { ...process.env, RUNBOOK_HOME: join(folder, "home"), AWS_EC2_METADATA_DISABLED: "true" };
  delete env["SSH_AUTH_SOCK"];
  const cases = [
    { what: "--version", args: ["--version"], goal: 1.4, says: /^\d+\.\d+\.\d+\n$/ },
    { what: "--help", args: ["--help"], goal: 1.4, says: /Usage: runbook/ },
  ];
  if (field.skipped === undefined) {
    env["HOME"] = field.home;
    cases.push({
      what: "plan of an SSH-only runbook, 2 nodes",
      args: ["plan", "ssh-only", "--inventory", field.inventory],
      goal: 2.6,
      says: /Both nodes have been up for a second/,
    });
  }
  const rows = [];
  for (const { what, args, goal, says } of cases) {
    const cwd = here(".");
    const measured = await alternate({
      pairs: pairs * 2,
      a: () => timeChild(process.execPath, [product, ...args], ({ out }) => says.test(out), { cwd, env }),
      b: () => timeChild(process.execPath, ["-e", "0"], ({ out }) => out === "", { cwd, env }),
    });
    const loaded = await sdkModules(folder, [product, ...args], { cwd, env });
    rows.push(
      row({
        id: "U1",
        what: `\`${what}\`, ${loaded === 0 ? "no cloud SDK loaded" : `${loaded} MODULES OF A CLOUD SDK LOADED`}`,
        goal,
        peer: "node -e 0",
        measured,
        note: `${Math.round(measured.a)} ms against ${Math.round(measured.b)} ms`,
      }),
    );
    if (loaded > 0) rows.at(-1).verdict = "not met";
  }
  return rows;
}

/** How many modules of a cloud's SDK the command loads. */
async function sdkModules(folder, args, options) {
  const said = join(folder, "loaded");
  rmSync(said, { force: true });
  const run = await runChild(process.execPath, ["--import", here("loaded.mjs"), ...args], {
    ...options,
    env: { ...options.env, BENCH_LOADED: said },
  });
  if (run.code !== 0 || !existsSync(said)) throw new Error(`${args.join(" ")}: ${run.err}`);
  return readFileSync(said, "utf8").split("\n").filter(Boolean).length;
}

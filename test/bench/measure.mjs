/**
 * How the bench measures: A and B in turns (A B A B …), so that whatever else the machine does falls on both, and the
 * median of the ratios of the pairs. A run that failed or said something else than expected is no measurement: it throws.
 */
import { spawn } from "node:child_process";

/**
 * @param {{ pairs: number, a: () => Promise<number>, b: () => Promise<number>, warm?: boolean }} how
 * each side answers with what it measured, in any unit as long as both have the same.
 */
export async function alternate({ pairs, a, b, warm = true }) {
  // The first run of each reads files that are not in memory yet.
  if (warm) {
    await a();
    await b();
  }
  const as = [];
  const bs = [];
  for (let i = 0; i < pairs; i += 1) {
    as.push(await a());
    bs.push(await b());
  }
  const ratios = as.map((value, i) => value / bs[i]).sort((x, y) => x - y);
  return { ratio: median(ratios), low: ratios[0], high: ratios.at(-1), a: median(as), b: median(bs), pairs };
}

export function median(values) {
  const sorted = [...values].sort((x, y) => x - y);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Runs a program to its end. Answers with the wall time from before the start to after the end, and the output. */
export function runChild(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const from = process.hrtime.bigint();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    let out = "";
    let err = "";
    child.stdout.setEncoding("utf8").on("data", (text) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text) => (err += text));
    child.once("error", reject);
    child.once("close", (code) => {
      resolve({ ms: Number(process.hrtime.bigint() - from) / 1e6, code, out, err });
    });
  });
}

/** The same, but a run that did not end with 0 or whose output does not pass `check` stops the bench. */
export async function timeChild(command, args, check, options = {}) {
  const run = await runChild(command, args, options);
  const said = `${run.out}${run.err}`.slice(-2000);
  if (run.code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${run.code}: ${said}`);
  if (!check(run)) throw new Error(`${command} ${args.join(" ")} did not say what it should: ${said}`);
  return run.ms;
}

/** One row of the table. `low` and `high` are the extremes of the pairs: how far the machine's noise reaches. */
export function row({ id, what, goal, peer, measured, at = "most", note }) {
  const met =
    goal === undefined ? undefined : at === "most" ? measured.ratio <= goal : measured.ratio >= goal;
  return {
    id,
    what,
    goal: goal === undefined ? "" : `${at === "most" ? "<=" : ">="} ${goal}`,
    measured: `${measured.ratio.toFixed(2)} (${measured.low.toFixed(2)}–${measured.high.toFixed(2)})`,
    peer,
    verdict: met === undefined ? "for comparison" : met ? "met" : "not met",
    note,
  };
}

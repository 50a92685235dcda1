/**
 * How the bench measures: A and B in turns (A B A B …), so that whatever else the machine does falls on both, and the
 * median of the ratios of the pairs. A run that failed or said something else than expected is no measurement: it throws.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/**
 * @param {{ pairs: number, a: () => Promise<number>, b: () => Promise<number>, warm?: boolean }} how
 * each side answers with what it measured, in any unit as long as both have the same.
 */
export async function alternate({ pairs, a, b, warm = true }) {
  const { as, bs } = await takeTurns({ pairs, a, b, warm });
  return compare(as, bs);
}

/** The same, with whatever each run answers. */
export async function takeTurns({ pairs, a, b, warm = true }) {
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
  return { as, bs };
}

export function compare(as, bs) {
  return { ...spread(as.map((value, i) => value / bs[i])), a: median(as), b: median(bs) };
}

/** The median, and the middle half. */
export function spread(values) {
  const sorted = [...values].sort((x, y) => x - y);
  const quarter = Math.floor(sorted.length / 4);
  return { ratio: median(sorted), low: sorted[quarter], high: sorted[sorted.length - 1 - quarter] };
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

/**
 * Wall and CPU time of a program and of all that it waited for, in milliseconds. bash counts: a parent is told the CPU time
 * of a child only when it has ended. `errors` takes what the program says on stderr.
 */
export async function measureTree(command, args, options, errors) {
  const script = 'TIMEFORMAT="%U %S"; errors=$0; time "$@" 2> "$errors"';
  const run = await runChild("bash", ["-c", script, errors, command, ...args], options);
  if (run.code !== 0) throw new Error(`${command} ended with ${run.code}; see ${errors}`);
  const [user, system] = run.err.trim().split(" ").map(Number);
  return { ms: run.ms, cpuMs: (user + system) * 1000 };
}

/** How much of this machine others use while nothing is measured, as a part of 1. */
export async function othersBusy() {
  const read = () => {
    const [, ...ticks] = readFileSync("/proc/stat", "utf8").split("\n")[0].split(/\s+/);
    const all = ticks.slice(0, 8).reduce((sum, tick) => sum + Number(tick), 0);
    return { all, idle: Number(ticks[3]) + Number(ticks[4]) };
  };
  const before = read();
  await delay(1000);
  const after = read();
  return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all);
}

/**
 * One row of the table. A goal counts as met, or as not met, only if the middle half of the pairs agrees: where it lies
 * on both sides of the goal the machine was too busy to tell, and that is what is said.
 */
export function row({ id, what, goal, peer, measured, at = "most", note }) {
  const { ratio, low, high } = measured;
  const good = (value) => (at === "most" ? value <= goal : value >= goal);
  const agreed = good(low) === good(high);
  return {
    id,
    what,
    goal: goal === undefined ? "" : `${at === "most" ? "<=" : ">="} ${goal}`,
    measured: `${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`,
    peer,
    verdict:
      goal === undefined ? "for comparison" : !agreed ? "too noisy to tell" : good(ratio) ? "met" : "not met",
    note,
  };
}

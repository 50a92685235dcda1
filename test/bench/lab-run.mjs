/**
 * A lab in this process that the bench reads, and the product's runs in it. The lab books what it received and what changed;
 * what is added here is when each command had ended. So what is measured is what the world saw, whatever the product says.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pacedClock } from "../../dist/src/drivers/clock/paced.js";
import { serveLab } from "../../dist/src/lab/serve.js";
import { thisMachine } from "../../dist/src/store/machine.js";

const product = new URL("../../bin/runbook.js", import.meta.url).pathname;

export async function openLab({ folder, pace }) {
  const begun = Date.now();
  let turning = { pace, originReal: begun, originWorld: begun };
  let paced = pacedClock(turning);
  const clock = { now: () => paced.now(), sleep: (ms, signal) => paced.sleep(ms, signal) };
  const labFolder = join(folder, "lab");
  const served = await serveLab({
    folder: labFolder,
    clock,
    pace: turning,
    startTime: thisMachine().startOf(process.pid) ?? "",
  });
  const { lab } = served;
  const commands = [];
  for (const node of lab.nodes.values()) listen(node, clock, commands);
  return {
    lab,
    /** What nodes received, with the instants of its begin and its end by the world's clock. */
    commands,
    home: folder,
    /** Slows or hastens the world, for it and for the runs that begin from now on; to be called while nothing is under way. */
    turn(to) {
      turning = { pace: to, originReal: Date.now(), originWorld: clock.now() };
      paced = pacedClock(turning);
      writeFileSync(join(labFolder, "lab.json"), `${JSON.stringify({ ...served.info, ...turning })}\n`);
    },
    /** Everything so far, as `critical.ts` reads it. */
    record() {
      const { latencyMs, stateLagSeconds } = lab.cloud.settings;
      const cluster = lab.cluster();
      const calls = lab.heart.received.filter(({ to }) => to === "cloud");
      return {
        commands: [
          ...commands.map(({ node, row, from, to }) => ({
            node,
            line: row.line,
            class: row.class,
            from,
            until: to,
            effects: row.effects,
          })),
          ...calls.map((row) => ({
            line: row.line,
            class: row.class,
            from: row.at,
            until: row.at + latencyMs,
            effects: row.effects,
          })),
        ],
        effects: [...lab.heart.effects],
        nodes: cluster.members.map(({ node: { name, instance } }) => ({ name, instance })),
        autoRecoveryMs: cluster.times.autoRecoveryMs,
        shownLateMs: stateLagSeconds * 1000,
      };
    },
    close: () => served.close(),
  };
}

function listen(node, clock, commands) {
  const exec = node.exec.bind(node);
  node.exec = async (...args) => {
    const running = exec(...args);
    // The node books what it receives at once, so the last row is this command's.
    const row = node.heart.received.at(-1);
    const command = { node: node.name, row, argv: row.argv ?? [], from: clock.now(), to: undefined };
    commands.push(command);
    const result = await running;
    command.to = clock.now();
    command.code = result.code;
    return result;
  };
}

/** A run of the product in that lab, with its journal's lines as they are written. */
export function startRun({ home }, ...words) {
  const child = spawn(process.execPath, [product, "run", ...words, "--lab", "--json"], {
    env: { ...process.env, RUNBOOK_HOME: home },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  const lines = [];
  let said = "";
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const parts = `${rest}${text}`.split("\n");
    rest = parts.pop();
    lines.push(...parts.filter((part) => part.startsWith("{")).map((part) => JSON.parse(part)));
  });
  child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
  const complaint = (why) => {
    const last = lines.slice(-5).map((line) => JSON.stringify(line).slice(0, 500));
    return new Error(`${words.join(" ")} ${why}:\n${said}${last.join("\n")}`);
  };
  return {
    /** When a step's outcome was written, by the run's own clock. */
    noticedAt: (unit) => lines.find(({ kind, body }) => kind === "outcome" && body.unit === unit)?.at,
    /** Waits until `isSo`; a run that ended before is a failure. */
    async until(isSo, what) {
      while (!isSo()) {
        if (child.exitCode !== null || child.signalCode !== null)
          throw complaint(`ended with ${child.exitCode ?? child.signalCode} before ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async succeeded() {
      const code = await ended;
      if (code !== 0) throw complaint(`ended with ${code}`);
    },
    /** Whatever it still does takes no part in what is measured. */
    async end() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

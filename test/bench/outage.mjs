/**
 * The outage of `backup-standby`: from the instant at which the node received "stop the group" to the end of "start the
 * group", against the sum of the cluster's own commands on that way. Both are read in the lab, which runs in this process:
 * it tells when each command came and when it had ended, whatever the product says of itself. The world turns at pace 1, so
 * that what the product adds (looks, journal, SSH) is weighed against commands as slow as a cluster's.
 *
 * The run is ended once the group is back: the rest of a backup takes no part in the outage.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pacedClock } from "../../dist/src/drivers/clock/paced.js";
import { serveLab } from "../../dist/src/lab/serve.js";
import { thisMachine } from "../../dist/src/store/machine.js";

const product = new URL("../../bin/runbook.js", import.meta.url).pathname;

/** The commands of the critical way, in their order; what of one kind overlaps counts once. */
const critical = [
  { what: "stop the group", words: ["clpgrp", "-t"] },
  { what: "suspend the monitors", words: ["clpmonctrl", "-s"] },
  { what: "break the mirror", words: ["clpmdctrl", "--break"] },
  { what: "start the group", words: ["clpgrp", "-s"] },
];

export async function measureOutage({ folder, pace }) {
  const origin = Date.now();
  const paced = { pace, originReal: origin, originWorld: origin };
  const clock = pacedClock(paced);
  const startTime = thisMachine().startOf(process.pid) ?? "";
  const served = await serveLab({ folder: join(folder, "lab"), clock, pace: paced, startTime });
  const commands = [];
  for (const node of served.lab.nodes.values()) listen(node, clock, commands);
  const child = spawn(process.execPath, [product, "run", "backup-standby", "--lab"], {
    env: { ...process.env, RUNBOOK_HOME: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => (said += text));
  try {
    while (!commands.some(isBack)) {
      if (child.exitCode !== null) throw new Error(`the run ended before the group was back:\n${said}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    child.kill("SIGKILL");
    await ended;
    await served.close();
  }
  return tell(commands, pace);
}

function listen(node, clock, commands) {
  const exec = node.exec.bind(node);
  node.exec = async (...args) => {
    const running = exec(...args);
    // The node books what it receives at once, so the last row is this command's.
    const argv = node.heart.received.at(-1)?.argv ?? [];
    const command = { node: node.name, argv, from: clock.now(), to: undefined, code: undefined };
    commands.push(command);
    const result = await running;
    command.to = clock.now();
    command.code = result.code;
    return result;
  };
}

/** The words stand among the arguments themselves: a script that contains them is another command. */
function says({ argv }, [name, option]) {
  const at = argv.indexOf(name);
  return at >= 0 && argv[at + 1] === option;
}

const isBack = (command) => command.to !== undefined && says(command, critical.at(-1).words);

function tell(commands, pace) {
  const parts = critical.map(({ what, words }) => {
    const found = commands.filter((command) => says(command, words));
    const failed = found.find(({ code }) => code !== 0);
    if (found.length === 0 || failed)
      throw new Error(`"${what}" ${failed ? `ended with ${failed.code}` : "never came"}`);
    return {
      what,
      found,
      ms: covered(found),
      from: found[0].from,
      to: Math.max(...found.map(({ to }) => to)),
    };
  });
  const from = parts[0].from;
  const to = parts.at(-1).to;
  const own = parts.reduce((sum, { ms }) => sum + ms, 0);
  const ratio = (to - from) / own;
  const looks = commands.filter(
    (command) =>
      command.from >= from && command.from < to && !parts.some(({ found }) => found.includes(command)),
  );
  const gaps = parts.slice(1).map((part, i) => gapOf(parts[i], part, looks));
  return [
    {
      id: "outage",
      what: `backup-standby in the lab at pace ${pace}, ${seconds(to - from)} from stop to start`,
      goal: "<= 1.02",
      measured: ratio.toFixed(3),
      peer: `the cluster's own commands, ${seconds(own)} (${parts.map(({ what, ms }) => `${what} ${seconds(ms)}`).join(", ")})`,
      verdict: ratio <= 1.02 ? "met" : "not met",
      note: `${looks.length} looks in between; ${gaps.map(({ text }) => text).join("; ")}`,
      gaps,
    },
  ];
}

/** How long at least one of them was under way: side by side counts once. */
function covered(commands) {
  let sum = 0;
  let end = -Infinity;
  for (const { from, to } of [...commands].sort((a, b) => a.from - b.from)) {
    sum += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return sum;
}

function gapOf(before, after, looks) {
  const inside = looks.filter((look) => look.from >= before.from && look.from < after.from);
  const between = inside.filter((look) => look.from >= before.to);
  const text = `${after.from - before.to} ms between "${before.what}" and "${after.what}", ${covered(between)} ms of it in ${between.length} looks`;
  return {
    text,
    looks: inside.map(({ node, argv, from, to }) => ({
      node,
      line: argv.join(" "),
      at: from - before.to,
      ms: to - from,
    })),
  };
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(2)} s`;
}

/**
 * The outage of `backup-standby`: from the instant at which the node received "stop the group" to the end of "start the
 * group", against the sum of the cluster's own commands on that way. Both are read in the lab, which runs in this process:
 * it tells when each command came and when it had ended, whatever the product says of itself. The world turns at pace 1, so
 * that what the product adds (looks, journal, SSH) is weighed against commands as slow as a cluster's.
 *
 * The run is ended once the group is back: the rest of a backup takes no part in the outage.
 */
import { createJiti } from "jiti";
import { openLab, seconds, startRun } from "./lab-run.mjs";

const { covered } = await createJiti(import.meta.url).import("./critical.ts");

/** The commands of the critical way, in their order; what of one kind overlaps counts once. */
const critical = [
  { what: "stop the group", words: ["clpgrp", "-t"] },
  { what: "suspend the monitors", words: ["clpmonctrl", "-s"] },
  { what: "break the mirror", words: ["clpmdctrl", "--break"] },
  { what: "start the group", words: ["clpgrp", "-s"] },
];

export async function measureOutage({ folder, pace }) {
  const world = await openLab({ folder, pace });
  const { commands } = world;
  const run = startRun(world, "backup-standby");
  try {
    await run.until(() => commands.some(isBack), "the group was back");
  } finally {
    await run.end();
    await world.close();
  }
  return tell(commands, pace);
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

/**
 * Two spans of time that a user waits for, each against what the lab's world itself did on the critical path (critical.ts):
 *
 * - the redundancy gap of `backup-standby`, from the break received to every mirror in sync on both sides;
 * - the outage of `restore`, from the stop of the group received to the group started again.
 *
 * Both are read in the lab, and end when it is so there. When the product noticed is told beside it, and is no part of them.
 */
import { createJiti } from "jiti";
import { openLab, seconds, startRun } from "./lab-run.mjs";

const { covered, criticalWay, motionsOf } = await createJiti(import.meta.url).import("./critical.ts");

export async function measureGap({ folder, pace }) {
  const world = await openLab({ folder, pace });
  const { heart } = world.lab;
  const cluster = world.lab.cluster();
  let inSyncAt;
  heart.listeners.add(({ effect }) => {
    if (!effect || !heart.effects.some(({ detail }) => detail.kind === "mirror-broken")) return;
    const inSync = cluster.mirrors.every((mirror) => mirror.status(cluster.names[0]) === "Normal");
    inSyncAt = inSync ? (inSyncAt ?? effect.at) : undefined;
  });
  const run = startRun(world, "backup-standby");
  try {
    await run.until(() => run.noticedAt("mirrorsBack") !== undefined, "the mirrors were back");
    const from = receivedAt(world.commands, /^clpmdctrl --break /);
    if (inSyncAt === undefined)
      throw new Error("the run says that the mirrors are back, and the lab does not");
    return [
      tell(world, {
        id: "gap",
        what: `backup-standby in the lab at pace ${pace}`,
        span: "from break to in sync",
        from,
        to: inSyncAt,
        noticedAt: run.noticedAt("mirrorsBack"),
      }),
    ];
  } finally {
    await run.end();
    await world.close();
  }
}

const file = "bench/deleted";
const text = "what the backup holds\n";
/** The backup only prepares: the world may turn as fast as the product can follow. */
const preparingPace = 60;

export async function measureRestore({ folder, pace }) {
  const world = await openLab({ folder, pace: Math.max(pace, preparingPace) });
  const { heart } = world.lab;
  const cluster = world.lab.cluster();
  const [mirror] = cluster.mirrors;
  let run;
  try {
    world.lab.writeFile(cluster.name, mirror.name, file, text);
    run = startRun(world, "backup-standby");
    await run.succeeded();
    world.lab.deleteFile(cluster.name, mirror.name, file);
    world.turn(pace);
    const prepared = { commands: world.commands.length, effects: heart.effects.length };
    run = startRun(world, "restore");
    await run.until(() => run.noticedAt("groupsBack") !== undefined, "the groups were back");
    const from = receivedAt(world.commands.slice(prepared.commands), /^clpgrp -t /);
    const started = heart.effects
      .slice(prepared.effects)
      .findLast(({ detail }) => detail.kind === "group-started");
    if (started === undefined) throw new Error("the run says that the group is back, and the lab does not");
    for (const name of cluster.names)
      if (mirror.content(name)?.data[file] !== text)
        throw new Error(`the restore did not bring ${file} back on ${name}`);
    return [
      tell(world, {
        id: "restore",
        what: `restore in the lab at pace ${pace}`,
        span: "from stop to started",
        from,
        to: started.at,
        noticedAt: run.noticedAt("groupsBack"),
      }),
    ];
  } finally {
    await run?.end();
    await world.close();
  }
}

/** When the first command of this kind came. */
function receivedAt(commands, line) {
  const found = commands.find(({ row }) => line.test(row.line));
  if (found === undefined) throw new Error(`no command fits ${line}`);
  return found.from;
}

function tell(world, { id, what, span, from, to, noticedAt }) {
  const record = world.record();
  const way = criticalWay(motionsOf(record), from, to);
  const parts = way.motions.filter(({ ms }) => ms >= 100).map(({ what, ms }) => `${what} ${seconds(ms)}`);
  const lengthOf = (wait) => wait.to - wait.from;
  const longest = way.waits.sort((a, b) => lengthOf(b) - lengthOf(a)).slice(0, 3);
  const told = longest.map((wait) => {
    const looks = looksIn(record, wait);
    return `${seconds(lengthOf(wait))} between "${wait.after}" and "${wait.before}", ${seconds(covered(looks))} of it in ${looks.length} looks`;
  });
  return {
    id,
    what: `${what}, ${seconds(to - from)} ${span}`,
    goal: "",
    measured: ((to - from) / way.ms).toFixed(3),
    peer: `what the world itself did on that way, ${seconds(way.ms)} (${parts.join(", ")})`,
    verdict: "for comparison",
    note: `${seconds(to - from - way.ms)} in which the world waited; longest ${told.join("; ")}; the run noticed ${seconds(noticedAt - to)} after the end`,
    way,
  };
}

/** What the product sent while the world waited, cut to that wait. */
function looksIn({ commands }, { from, to }) {
  return commands
    .filter((command) => command.from < to && (command.until ?? to) > from)
    .map(({ from: begin, until = to }) => ({ from: Math.max(from, begin), to: Math.min(to, until) }));
}

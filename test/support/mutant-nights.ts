/** The nights in which mutants are played (test/runbooks/mutants.slow.test.ts): each ends well with the product's own runbook. */
import { settle } from "../../src/lab/hands.ts";
import type { LabNode } from "../../src/lab/node.ts";
import type { Night } from "./mutants.ts";
import { lostFiles } from "./lost-files.ts";
import type { Simulation } from "./simulation.ts";
import { answered, killedWhen, minutes, outcomeOf, takeUp, typed } from "./story.ts";

const world = { files: { "orders.txt": "one" } };

/** The product's own runbook, to its good end. */
export async function play(sim: Simulation, name: string): Promise<void> {
  const { ended } = await sim.runner(await sim.open(`runbooks/${name}.ts`)).run();
  if (ended.end !== "succeeded") throw new Error(`${name} ended ${ended.end}: ${ended.why ?? ""}`);
  await settle(sim.lab);
}

export async function restoredBefore(sim: Simulation): Promise<void> {
  await lostFiles(sim);
  await play(sim, "restore");
}

/** The mirror is broken, and only one side has what was written since: the other one is stale, and known to be. */
export async function staleSide(sim: Simulation): Promise<void> {
  await lostFiles(sim);
  for (const node of ["server1", "server2"]) await typed(sim, "server1", `clpmonctrl -s -h ${node} -m mdw1`);
  await typed(sim, "server2", "clpmdctrl --break md1");
  sim.lab.writeFile("prod", "md1", "since.txt", "on one side alone");
}

export const plainRun =
  (params = {}) =>
  async (sim: Simulation) =>
    (await sim.runner().run(params)).ended;

/** Killed at a row, then time goes by, and somebody may do something; then it is resumed, or given back. */
export function interrupted(
  when: Parameters<typeof killedWhen>[2],
  wish: "resume" | "undo",
  meanwhile: (sim: Simulation) => Promise<void>,
): Night["play"] {
  return async (sim) => {
    const { run } = await killedWhen(sim, {}, when);
    await meanwhile(sim);
    return (await takeUp(sim, run, wish)).ended;
  };
}

export const pause = (count: number) => (sim: Simulation) => sim.clock.sleep(minutes(count));
export const broughtBack = (sim: Simulation) => typed(sim, "server1", "clpgrp -s failover1");
const atOnce = async () => undefined;

/** The kernel finds the disks of both nodes in another order, while this holds of a node; else in that of the attach names. */
function movedWhile(sim: Simulation, holds: (node: LabNode) => boolean): void {
  for (const name of ["server1", "server2"]) {
    const node = sim.lab.node(name);
    const devices = node.disks
      .list()
      .filter(({ root }) => !root)
      .map(({ volume }) => sim.lab.cloud.getVolume(volume).attachment.now?.device ?? "");
    node.disks.order = () =>
      holds(node) && node.systemd.units.get("clusterpro")?.enabled !== true ? devices.toReversed() : devices;
  }
}

const bareNames = { ...world, mirrors: 2, devices: "bare", acceptBareNvme: true } as const;

/** At the boot on the new volumes the names have moved; with the old ones back they are as they were. */
export const movedNames: Night = {
  runbook: "restore",
  world: bareNames,
  prepare: async (sim) => {
    movedWhile(sim, ({ instance }) =>
      sim.lab.cloud
        .attached(instance)
        .some(({ volume }) => "runbook:replaces" in sim.lab.cloud.getVolume(volume).tags),
    );
    await play(sim, "backup-standby");
  },
  play: plainRun(),
};

export const movedAtBoot: Night = {
  runbook: "backup-both",
  world: bareNames,
  prepare: async (sim) => movedWhile(sim, () => true),
  play: plainRun(),
};

export const restore: Night = { runbook: "restore", world, prepare: lostFiles, play: plainRun() };
/** The new volumes are in, nothing has served from them, and it is given back. */
export const givenBack: Night = { ...restore, play: interrupted(outcomeOf("newVolumesIn"), "undo", atOnce) };

/** One of the two nodes was told to start its mirror, and the other one was not. */
export const halfStarted = (wish: "resume" | "undo"): Night => ({
  ...restore,
  play: interrupted(answered("cluster.finishRestore"), wish, pause(30)),
});

export const restoreOne: Night = { ...restore, runbook: "restore-one", play: plainRun({ onto: "server1" }) };

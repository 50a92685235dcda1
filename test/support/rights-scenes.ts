/** Scenes in which every built-in runbook is played, so that each of its rights is needed in one of them. */
import { settle } from "../../src/lab/hands.ts";
import {
  bothPrepared,
  broken,
  standbyOff,
  standbyOutside,
  stopGroup,
  suspend,
  type as typed,
  volumesOut,
} from "./bad-nights.ts";
import type { Scene } from "./least-rights.ts";
import { lostFiles } from "./lost-files.ts";
import { plantPoints } from "./points.ts";
import type { Simulation } from "./simulation.ts";
import { hours } from "./story.ts";

export const playWell = async (sim: Simulation, name: string, params = {}): Promise<void> => {
  const { ended } = await sim.runner(await sim.open(`runbooks/${name}.ts`)).run(params);
  if (ended.end !== "succeeded") throw new Error(`${name} ended ${ended.end}: ${ended.why ?? ""}`);
  await settle(sim.lab);
};
const swapped = async (sim: Simulation) => {
  await typed(sim, "server1", "clpgrp -m failover1 -h server1 -a server2");
  await settle(sim.lab);
};
const restored = async (sim: Simulation) => {
  await lostFiles(sim);
  await playWell(sim, "restore");
};
const confirmed = async (sim: Simulation) => {
  await restored(sim);
  await playWell(sim, "confirm");
};
const backedUp = async (sim: Simulation) => {
  await playWell(sim, "backup-standby");
  sim.lab.deleteFile("prod", "md1", "orders.txt");
  await settle(sim.lab);
};
const restoredFromBackup = async (sim: Simulation) => {
  await backedUp(sim);
  await playWell(sim, "restore");
};
const endingVolumes = async (sim: Simulation) => {
  await lostFiles(sim);
  for (const node of sim.lab.cluster("prod").names)
    sim.lab.cloud.setDeleteOnTermination(sim.lab.node(node).instance, "/dev/sdf", true);
};
/** While the service was out; nobody looked after it for half a day. */
const runDied = async (sim: Simulation) => {
  const runner = sim.runner(await sim.open("runbooks/backup-standby.ts"));
  const walk = await runner.start(await runner.plan(), { dieAtRow: { row: 80, when: "before" } });
  void walk.go();
  while (runner.alive()) await sim.clock.sleep(1000);
  await sim.clock.sleep(hours(12));
  sim.loseStore();
};
const years = async (sim: Simulation) => {
  plantPoints(
    sim.lab,
    [0, 1, 2, 3, 8, 40, 400].map((daysAgo, i) => ({ point: `p${i}`, daysAgo, of: 1 })),
  );
};
const off = async (sim: Simulation) => {
  await lostFiles(sim);
  sim.lab.killPower("server2");
  await settle(sim.lab);
};

const threeMirrors = { mirrors: 3 } as const;
const byHandOnly = { settings: { autoRecovery: false } };
const lvm = { devices: "lvm" } as const;
const staging = { cluster: "staging" } as const;
// The scratch node can read for both nodes only where all are in one zone.
const oneZone = { cloud: { zones: ["ap-northeast-1a"], lazyMiBps: 1000 } };
const few = { last: "2", daily: "0", weekly: "0", monthly: "0", yearly: "0", keepTested: "1" };

export const scenes: readonly Scene[] = [
  { runbook: "backup-standby", name: "early" },
  { runbook: "backup-standby", name: "late", params: { service: "late" } },
  { runbook: "backup-standby", name: "three mirrors", world: threeMirrors },
  {
    runbook: "backup-standby",
    name: "three mirrors, roles swapped",
    world: threeMirrors,
    prepare: swapped,
  },
  {
    runbook: "backup-standby",
    name: "three mirrors, after a restore",
    world: threeMirrors,
    prepare: restoredFromBackup,
    printedFirst: true,
  },
  { runbook: "backup-standby", name: "no automatic recovery", world: byHandOnly },
  { runbook: "backup-standby", name: "roles swapped", prepare: swapped },
  { runbook: "backup-standby", name: "on LVM", world: lvm },
  { runbook: "backup-standby", name: "after a restore", prepare: restored, printedFirst: true },
  { runbook: "backup-active", name: "back" },
  { runbook: "backup-active", name: "stay", params: { after: "stay", service: "late" } },
  { runbook: "backup-active", name: "three mirrors", world: threeMirrors },
  { runbook: "backup-active", name: "three mirrors, roles swapped", world: threeMirrors, prepare: swapped },
  {
    runbook: "backup-active",
    name: "three mirrors, after a restore",
    world: threeMirrors,
    prepare: restoredFromBackup,
    printedFirst: true,
  },
  { runbook: "backup-active", name: "no automatic recovery", world: byHandOnly },
  { runbook: "backup-active", name: "roles swapped", prepare: swapped },
  { runbook: "backup-active", name: "after a restore", prepare: restored, printedFirst: true },
  { runbook: "backup-both", name: "plain" },
  { runbook: "backup-both", name: "three mirrors", world: threeMirrors },
  {
    runbook: "backup-both",
    name: "three mirrors, after a restore",
    world: threeMirrors,
    prepare: restoredFromBackup,
    printedFirst: true,
  },
  { runbook: "backup-both", name: "after a restore", prepare: restored, printedFirst: true },
  ...["none", "fast", "rate", "read", "helper"].map((warm) => ({
    runbook: "restore",
    name: warm,
    params: { warm },
    prepare: lostFiles,
    ...(warm === "helper" && { world: oneZone }),
  })),
  { runbook: "restore", name: "three mirrors", world: threeMirrors, prepare: backedUp },
  { runbook: "restore", name: "on LVM", world: lvm, prepare: backedUp },
  { runbook: "restore", name: "volumes that end with their instance", prepare: endingVolumes },
  { runbook: "restore", name: "a second time", prepare: restored, printedFirst: true },
  ...["server1", "server2"].map((onto) => ({
    runbook: "restore-one",
    name: onto,
    params: { onto },
    prepare: lostFiles,
  })),
  ...["fast", "rate", "read"].map((warm) => ({
    runbook: "restore-one",
    name: warm,
    params: { onto: "server1", warm },
    prepare: lostFiles,
  })),
  { runbook: "restore-one", name: "after a restore", prepare: restored, printedFirst: true },
  { runbook: "restore-one", name: "volumes that end with their instance", prepare: endingVolumes },
  { runbook: "rollback", name: "after a restore", params: { why: "the wrong night" }, prepare: restored },
  { runbook: "confirm", name: "after a restore", prepare: restored },
  { runbook: "drill", name: "on scratch", prepare: lostFiles },
  { runbook: "drill", name: "on LVM", world: lvm, prepare: backedUp },
  ...["start", "mount"].map((group) => ({
    runbook: "drill-staging",
    name: group,
    params: { group },
    world: staging,
    prepare: lostFiles,
  })),
  ...["fast", "rate", "read"].map((warm) => ({
    runbook: "drill-staging",
    name: warm,
    params: { group: "start", warm },
    world: staging,
    prepare: lostFiles,
  })),
  { runbook: "prune", name: "points", params: few, prepare: years },
  { runbook: "prune", name: "old volumes", params: { ...few, oldVolumes: "prune" }, prepare: confirmed },
  {
    runbook: "prune",
    name: "old volumes, once more",
    params: { ...few, oldVolumes: "prune" },
    prepare: async (sim) => {
      await confirmed(sim);
      await playWell(sim, "prune", { ...few, oldVolumes: "prune" });
      await sim.clock.sleep(hours(12));
    },
  },
  { runbook: "boot-bare", name: "a node is off", prepare: off },
  {
    runbook: "boot-bare",
    name: "after a restore",
    prepare: async (sim) => {
      await restored(sim);
      sim.lab.killPower("server2");
    },
    printedFirst: true,
  },
  ...Object.entries({
    "the group is stopped": stopGroup,
    "monitors are suspended": suspend,
    "the mirror is broken": broken,
    "the standby is off in backup mode": standbyOff,
    "the standby is up outside of the cluster": standbyOutside,
    "both nodes are off, prepared": bothPrepared,
    "the volumes are out": async (sim: Simulation) => {
      await bothPrepared(sim);
      await volumesOut(sim, true);
    },
    "a run died": runDied,
  }).map(([name, prepare]): Scene => ({
    runbook: "give-back",
    name,
    params: { alone: "known" },
    printedFirst: true,
    prepare: async (sim) => prepare(sim),
  })),
  {
    runbook: "give-back",
    name: "no automatic recovery",
    params: { alone: "known" },
    world: byHandOnly,
    prepare: broken,
  },
  { runbook: "resync", name: "the mirror is broken", prepare: broken },
  { runbook: "resync", name: "no automatic recovery", world: byHandOnly, prepare: broken },
  { runbook: "resync", name: "monitors are suspended", prepare: suspend },
];

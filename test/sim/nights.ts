/** Which nights there are: a runbook, what its cluster looks like, and what went before. */
import { settle } from "../../src/lab/hands.ts";
import type { Params } from "../../src/runbook/step.ts";
import {
  bothPrepared,
  broken,
  standbyOff,
  standbyOutside,
  stopGroup,
  suspend,
} from "../support/bad-nights.ts";
import { lostFiles } from "../support/lost-files.ts";
import { plantPoints } from "../support/points.ts";
import type { Simulation, SimulationOptions } from "../support/simulation.ts";
import { hours } from "../support/story.ts";
import type { Dice } from "./dice.ts";

export interface Night {
  readonly seed: number;
  readonly runbook: string;
  readonly params: Params;
  readonly world: SimulationOptions;
  /** What went before, in one or two words. */
  readonly before: string;
  readonly prepare: (sim: Simulation) => Promise<void>;
}

type Before = { readonly name: string; readonly act: (sim: Simulation) => Promise<void> };

type Devices = NonNullable<SimulationOptions["devices"]>;

interface Kind {
  readonly runbook: string;
  /** How often it is drawn, beside the others. */
  readonly weight: number;
  readonly params: (dice: Dice) => Params;
  readonly before: readonly Before[];
  /** It is played on the cluster of that name. */
  readonly cluster?: string;
  /** Worlds that it is not made for are left out. */
  readonly mirrors?: readonly (1 | 3)[];
  readonly devices?: readonly Devices[];
}

const untouched: Before = { name: "an ordinary day", act: async () => undefined };
const lost: Before = { name: "files were lost", act: lostFiles };
const backedUp: Before = {
  name: "a backup was made",
  act: async (sim) => {
    await playWell(sim, "backup-standby");
    sim.lab.deleteFile("prod", "md1", "orders.txt");
    sim.lab.writeFile("prod", "md1", "late.txt", "written after the cut");
    await settle(sim.lab);
  },
};
const restored: Before = {
  name: "a restore was made",
  act: async (sim) => {
    await lostFiles(sim);
    await playWell(sim, "restore");
  },
};
const manyPoints: Before = {
  name: "years of backups",
  act: async (sim) => {
    const days = [0, 1, 2, 3, 8, 15, 40, 100, 400];
    plantPoints(
      sim.lab,
      days.map((daysAgo, i) => ({ point: `p${i}`, daysAgo, of: 1, ...(i === 3 && { tags: testedGood }) })),
    );
  },
};
const testedGood = { "runbook:tested-content": "passed 2026-02-20T00:00:00Z drill000" };
const off: Before = {
  name: "a node is off",
  act: async (sim) => {
    await lostFiles(sim);
    sim.lab.killPower("server2");
    await settle(sim.lab);
  },
};
const byHand = (name: string, act: (sim: Simulation) => Promise<unknown>): Before => ({
  name,
  act: async (sim) => {
    await act(sim);
    await settle(sim.lab);
    // What a person's hand broke is what the run begins with.
    sim.breaches.length = 0;
  },
});
const middles: readonly Before[] = [
  byHand("the group is stopped", stopGroup),
  byHand("monitors are suspended", suspend),
  byHand("the mirror is broken", broken),
  byHand("the standby is off in backup mode", standbyOff),
  byHand("the standby is up outside of the cluster", standbyOutside),
  byHand("both nodes are off, prepared", bothPrepared),
  byHand("the standby has no power", async (sim) => sim.lab.killPower("server2")),
];

const service = (dice: Dice) => dice.pick(["early", "late"]);
const kinds: readonly Kind[] = [
  {
    runbook: "backup-standby",
    weight: 6,
    params: (dice) => ({ service: service(dice) }),
    before: [untouched],
  },
  {
    runbook: "backup-active",
    weight: 4,
    params: (dice) => ({ service: service(dice), after: dice.pick(["back", "stay"]) }),
    before: [untouched],
  },
  { runbook: "backup-both", weight: 3, params: () => ({}), before: [untouched] },
  {
    runbook: "restore",
    weight: 6,
    params: (dice) => ({ warm: dice.pick(["none", "none", "fast", "rate", "read", "helper"]) }),
    before: [lost, backedUp],
  },
  {
    runbook: "restore-one",
    weight: 3,
    params: (dice) => ({ onto: dice.pick(["server1", "server2"]), join: "now" }),
    before: [lost, backedUp],
  },
  {
    runbook: "rollback",
    weight: 2,
    params: () => ({ why: "the wrong night" }),
    before: [restored],
    mirrors: [1],
  },
  { runbook: "confirm", weight: 1, params: () => ({}), before: [restored], mirrors: [1] },
  { runbook: "drill", weight: 3, params: () => ({}), before: [lost, backedUp] },
  {
    runbook: "drill-staging",
    weight: 2,
    cluster: "staging",
    params: (dice) => ({ group: dice.pick(["start", "mount"]) }),
    before: [lost],
    mirrors: [1],
    devices: ["partuuid", "own partuuid"],
  },
  {
    runbook: "prune",
    weight: 2,
    params: () => ({ last: "2", daily: "0", weekly: "0", monthly: "0", yearly: "0", keepTested: "1" }),
    before: [manyPoints],
  },
  { runbook: "boot-bare", weight: 1, params: () => ({}), before: [off], mirrors: [1] },
  {
    runbook: "give-back",
    weight: 3,
    params: () => ({ alone: "known" }),
    before: middles,
  },
  { runbook: "resync", weight: 2, params: () => ({}), before: middles.slice(1, 3), mirrors: [1] },
];

export const runbooks: readonly string[] = kinds.map(({ runbook }) => runbook);

/** The night of a seed; of one runbook alone, if it is named. */
export function drawNight(dice: Dice, seed: number, only?: string): Night {
  const drawn = kinds.flatMap((kind) => Array.from({ length: kind.weight }, () => kind));
  const kind = dice.pick(only === undefined ? drawn : drawn.filter(({ runbook }) => runbook === only));
  const before = dice.pick(kind.before);
  const mirrors = dice.pick<1 | 3>(kind.mirrors ?? [1, 1, 3]);
  const devices = dice.pick<Devices>(kind.devices ?? ["partuuid", "partuuid", "own partuuid", "lvm"]);
  return {
    seed,
    runbook: kind.runbook,
    params: kind.params(dice),
    before: before.name,
    prepare: before.act,
    world: {
      seed,
      // A point that was planted is of one volume.
      mirrors: before === lost || before === off || before === manyPoints ? 1 : mirrors,
      devices: before === lost && devices === "lvm" ? "partuuid" : devices,
      nvme: dice.chance(0.7),
      files: { "orders.txt": "one" },
      ...(dice.chance(0.1) && { nodeTimes: { boot: [240_000, 900_000] } }),
      copySeconds: dice.pick([5, 60, 600]),
      cloud: {
        listLagSeconds: dice.pick([0, 5, 45]),
        stateLagSeconds: dice.pick([0, 3]),
        snapshotSeconds: dice.pick([30, 600, 5400]),
      },
      ...(kind.cluster !== undefined && { cluster: kind.cluster }),
    },
  };
}

async function playWell(sim: Simulation, name: string): Promise<void> {
  const { ended } = await sim.runner(await sim.open(`runbooks/${name}.ts`)).run();
  if (ended.end !== "succeeded")
    throw new Error(`before the night, ${name} ended ${ended.end}: ${ended.why ?? ""}`);
  await settle(sim.lab);
}

/** How long nobody is at work after a runner was killed. */
export const pauses: readonly number[] = [0, 60_000, 10 * 60_000, 40 * 60_000, hours(6)];

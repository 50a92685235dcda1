/** Prunes that are killed, and resumed by another machine; and the way of an old volume from its restore to its end. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { confirmedTag } from "../../src/runbook/prune.ts";
import { droppedTag } from "../../src/runbook/points.ts";
import { everyRow } from "../support/kill.ts";
import { plantPoints, pointsLeft, type Planted } from "../support/points.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import { hours, takeUp } from "../support/story.ts";

const lastTwo = { last: "2", daily: "0", weekly: "0", monthly: "0", yearly: "0", keepTested: "0" };
const planted: readonly Planted[] = [
  { point: "p1", daysAgo: 40 },
  { point: "p2", daysAgo: 30, of: 3 },
  { point: "p3", daysAgo: 20 },
  { point: "p4", daysAgo: 10 },
];

const night = {
  params: lastTwo,
  world: { runbook: "runbooks/prune.ts" },
  prepare: async (sim: Simulation) => void plantPoints(sim.lab, planted),
  look: (sim: Simulation) => ({
    left: pointsLeft(sim.lab),
    marked: sim.lab.cloud.listSnapshots().filter(({ tags }) => tags[droppedTag] !== undefined).length,
  }),
};

describe("a prune that was killed", () => {
  it("ends as if never killed when it is resumed, at whatever row", { timeout: 300_000 }, async () => {
    const asUndisturbed = JSON.stringify({ left: ["p3 2", "p4 2"], marked: 0 });
    const bad = await everyRow(
      2,
      night,
      ({ end, looked, gaps }) =>
        end === "succeeded" && JSON.stringify(looked) === asUndisturbed && gaps.length === 0,
    );
    expect(bad).toEqual([]);
  });

  it("deletes nothing more that a fresh look would keep", { timeout: 300_000 }, async () => {
    // Somebody deletes the newest set: of what is whole then, the last two are to stay.
    const newestGone = async (sim: Simulation) => {
      for (const { id, tags } of sim.lab.cloud.listSnapshots())
        if (tags["runbook:point"] === "p4") sim.lab.cloud.deleteSnapshot(id);
    };
    let spared = 0;
    const bad = await everyRow(2, { ...night, meanwhile: newestGone }, ({ end, looked, gaps }) => {
      const { left, marked } = looked as ReturnType<typeof night.look>;
      const p2 = left.find((point) => point.startsWith("p2"));
      if (p2 === "p2 3") spared += 1;
      // A part of a set is worth nothing: whatever was begun is finished, or the run refused before it began anything.
      return (
        (end === "succeeded" || (end === "refused" && p2 === "p2 3")) &&
        (p2 === undefined || p2 === "p2 3") &&
        left.includes("p3 2") &&
        marked === 0 &&
        gaps.length === 0
      );
    });
    expect(bad).toEqual([]);
    expect(spared).toBeGreaterThan(0);
  });

  it("can be given back: what is whole carries no mark", { timeout: 120_000 }, async () => {
    const sim = await openSimulation({ runbook: "runbooks/prune.ts" });
    try {
      plantPoints(sim.lab, planted);
      const first = sim.runner();
      const walk = await first.start(await first.plan(lastTwo), {
        onLine: ({ kind, body }) => void (kind === "outcome" && body["unit"] === "markPoints" && first.die()),
      });
      void walk.go();
      while (first.alive()) await sim.clock.sleep(10);
      const { ended } = await takeUp(sim, walk.run, "undo");
      expect(ended.end).toBe("given back");
      expect(pointsLeft(sim.lab)).toEqual(["p1 2", "p2 3", "p3 2", "p4 2"]);
      expect(sim.lab.cloud.listSnapshots().filter(({ tags }) => tags[droppedTag] !== undefined)).toEqual([]);
    } finally {
      sim.close();
    }
  });
});

describe("the old volumes of a restore", () => {
  it(
    "go two prunes after the restore was confirmed, and its recovery point may go only then",
    { timeout: 300_000 },
    async () => {
      const sim = await openSimulation({ runbook: "runbooks/prune.ts", files: { "orders.txt": "one" } });
      try {
        const run = async (file: string) => {
          const { ended } = await sim.runner(await sim.open(file)).run({});
          expect(ended.end).toBe("succeeded");
          await settle(sim.lab);
        };
        const rule = { ...lastTwo, last: "1", oldVolumes: "prune" };
        const old = sim.lab.cloud.listVolumes().filter(({ tags }) => /server\d md1/.test(tags["Name"] ?? ""));
        await run("runbooks/backup-standby.ts");
        await run("runbooks/restore.ts");
        await run("runbooks/backup-standby.ts");
        const before = await sim.runner().run(rule);
        expect(before.ended.end).toBe("succeeded");
        // The older point is no longer asked for by the rule, and still needed.
        expect(pointsLeft(sim.lab)).toHaveLength(2);
        const taken = sim.lab.cloud.listVolumes().filter(({ tags }) => tags["runbook:old"] !== undefined);
        expect(taken.map(({ id }) => id).sort()).toEqual(old.map(({ id }) => id).sort());
        sim.lab.cloud.setTags(
          taken.map(({ id }) => id),
          { [confirmedTag]: "r1" },
        );
        expect((await sim.runner().run(rule)).ended.end).toBe("succeeded");
        expect(pointsLeft(sim.lab)).toHaveLength(1);
        await sim.clock.sleep(hours(2));
        expect((await sim.runner().run(rule)).ended.end).toBe("succeeded");
        await settle(sim.lab);
        const left = sim.lab.cloud.listVolumes().map(({ id }) => id);
        for (const { id } of taken) expect(left).not.toContain(id);
        expect(sim.gaps()).toEqual([]);
        expect(sim.breaches).toEqual([]);
      } finally {
        sim.close();
      }
    },
  );
});

import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { plantPoints } from "../support/points.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const world = { files: { "orders.txt": "one" } };

/** A recovery point, a loss, a restore, and what clients wrote since. */
async function restored(sim: Simulation): Promise<void> {
  plantPoints(sim.lab, [{ point: "p1", daysAgo: 1, of: 1 }]);
  sim.lab.writeFile("prod", "md1", "orders.txt", "two");
  await settle(sim.lab);
  const { ended } = await sim.runner(await sim.open("runbooks/restore.ts")).run();
  expect(ended.end).toBe("succeeded");
  sim.lab.writeFile("prod", "md1", "since.txt", "after the restore");
  await settle(sim.lab);
}

const rollback: Play = {
  runbook: "runbooks/rollback.ts",
  world,
  prepare: restored,
  params: { why: "it was the wrong night" },
};
/** Volumes and their places are all that it changes; and where a group runs whose node came up later than the other. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes|groups\.failover1|mounts/;

const beforeRestore = { "app/version": "1", "orders.txt": "two" };

function files(sim: Simulation) {
  return ["server1", "server2"].map((node) => sim.lab.readFiles(sim.lab.volumeOf(node, "md1") ?? ""));
}

describe("rollback", () => {
  it("brings the service back from the old volumes, says what leaves service, and keeps the restored ones", async () => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/rollback.ts" });
    try {
      await restored(sim);
      const { ended, plan } = await sim.runner().run({ why: "it was the wrong night" });
      expect(ended).toMatchObject({ end: "succeeded" });
      await settle(sim.lab);
      expect(files(sim)).toEqual([beforeRestore, beforeRestore]);
      expect([sim.breaches, sim.gaps()]).toEqual([[], []]);
      expect(JSON.stringify(plan.facts["rollbackTold"])).toMatch(
        /everything written since restore .* leaves service/,
      );
      const kept = sim.lab.cloud.listVolumes().filter(({ tags }) => "runbook:replaces" in tags);
      expect(kept.map(({ state }) => state)).toEqual(["available", "available"]);
      const serving = ["server1", "server2"].map((node) =>
        sim.lab.cloud.getVolume(sim.lab.volumeOf(node, "md1") ?? ""),
      );
      expect(
        serving.flatMap(({ tags }) => Object.keys(tags)).filter((key) => key.startsWith("runbook:old")),
      ).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("is not begun without a reason, nor where there is nothing to take back", async () => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/rollback.ts" });
    try {
      await expect(sim.runner().plan()).rejects.toThrow(/why/);
      await expect(sim.runner().plan({ why: "so" })).rejects.toThrow(/no restored volume of prod is in use/);
    } finally {
      sim.close();
    }
  });

  it(
    "puts the restored volumes back when a command fails once, or stays where it was let in",
    { timeout: 900_000 },
    async () => {
      let served: unknown;
      const bad = await failEach(
        {
          ...rollback,
          after: (sim) => (served = [...files(sim), sim.lab.cluster().nodeOf("failover1") ?? "nowhere"]),
          alsoGood: ({ done, changed }) =>
            done.includes("devicesProven") &&
            changed.every((line) => places.test(line)) &&
            ["server1", "server2"].some(
              (node) => JSON.stringify(served) === JSON.stringify([beforeRestore, beforeRestore, node]),
            ),
        },
        { times: 1 },
      );
      expect(bad).toEqual([]);
    },
  );

  it("reboots the node whose command never left, after it was killed between the two", async () => {
    const bad = await everyRow(
      2,
      { params: rollback.params ?? {}, world: { ...world, runbook: rollback.runbook }, prepare: restored },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        end === "succeeded" &&
        changed.every((line) => places.test(line)),
      (unit, sends) => unit === "startAsTheyWere" && sends === "nodes.reboot",
    );
    expect(bad).toEqual([]);
  });

  it("ends as if never killed, or given back", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: rollback.params ?? {}, world: { ...world, runbook: rollback.runbook }, prepare: restored },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back" && changed.length === 0),
    );
    expect(bad).toEqual([]);
  });
});

describe("confirm", () => {
  it("marks the old volumes, and touches nothing else", async () => {
    const { played } = await playOnce({ runbook: "runbooks/confirm.ts", world, prepare: restored });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(played.changed.map((line) => line.replace(/vol-[0-9a-f]+/, "vol").replace(/: .*/, ""))).toEqual([
      "volumes.vol.tags.runbook:confirmed",
      "volumes.vol.tags.runbook:confirmed",
    ]);
  });
});

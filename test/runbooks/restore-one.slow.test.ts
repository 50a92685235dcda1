import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const atTheCut = { "app/version": "1", "orders.txt": "one" };
const conf = "/opt/nec/clusterpro/etc/clp.conf";
const world = { files: { "orders.txt": "one" } };

function files(sim: Simulation): unknown {
  return ["server1", "server2"].map((node) => {
    const volume = sim.lab.volumeOf(node, "md1");
    return volume === undefined ? "no volume" : sim.lab.readFiles(volume);
  });
}

const play = (onto: string, join: "now" | "later" = "now"): Play => ({
  runbook: "runbooks/restore-one.ts",
  world,
  prepare: lostFiles,
  params: { onto, join },
});

/** The volumes of one side and their places; and the copy that the other side got. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes|groups\.failover1|mounts/;

describe("restore-one", () => {
  it.each(["server1", "server2"])("restores %s, and copies everything over the other", async (onto) => {
    let found: unknown;
    let copies: unknown;
    const { played } = await playOnce({
      ...play(onto),
      after: (sim) => {
        found = files(sim);
        copies = sim.lab.heart.effects
          .filter(({ detail }) => detail.kind === "recovery-started")
          .map(({ detail }) => [detail["from"], detail["copy"]])
          .at(-1);
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(found).toEqual([atTheCut, atTheCut]);
    expect(copies).toEqual([onto, "full"]);
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it("serves alone, for as long as the other one is to stay away", async () => {
    let found: unknown;
    const { played } = await playOnce({
      ...play("server1", "later"),
      after: (sim) => {
        found = [files(sim), sim.lab.cluster().nodeOf("failover1"), sim.lab.node("server2").state];
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(found).toEqual([
      [atTheCut, { "app/version": "1", "late.txt": "written after the cut" }],
      "server1",
      "up",
    ]);
  });

  it("restores what is left when the other node is gone for good", async () => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/restore-one.ts" });
    try {
      await lostFiles(sim);
      // With the initial full copy on, the restored side could not be started: nobody else could take another setting.
      const gone = { onto: "server2", join: "later" };
      await sim.runner(await sim.open("runbooks/restore.ts")).run();
      sim.lab.cloud.terminate(sim.lab.node("server1").instance);
      while (sim.lab.cluster().nodeOf("failover1") !== "server2") await sim.clock.sleep(1000);
      await expect(sim.runner().plan({ onto: "server2" })).rejects.toThrow(
        /cannot join the restored side now/,
      );
      await expect(sim.runner().plan(gone)).rejects.toThrow(/initial full copy or mkfs is on/);
      const { files: disk } = sim.lab.node("server2");
      disk.write(
        conf,
        disk.read(conf).replace(/(<md name="md1">[\s\S]*?<parameters>)/, "$1<fullcopy>0</fullcopy>"),
      );
      const { ended } = await sim.runner().run(gone);
      expect(ended).toMatchObject({ end: "succeeded" });
      await settle(sim.lab);
      expect(sim.lab.readFiles(sim.lab.volumeOf("server2", "md1") ?? "")).toEqual(atTheCut);
      expect(sim.lab.cluster().nodeOf("failover1")).toBe("server2");
      expect([sim.breaches, sim.gaps()]).toEqual([[], []]);
    } finally {
      sim.close();
    }
  });

  it.each([
    ["onto whom is not said", { onto: "nobody" }, /which side is restored/],
    ["the node is unknown", { onto: "server9" }, /server9 is no node/],
  ] as const)("is refused when %s", async (_what, params, message) => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/restore-one.ts" });
    try {
      await lostFiles(sim);
      const writes = sim.writes().length;
      await expect(sim.runner().plan(params)).rejects.toThrow(message);
      expect(sim.writes()).toHaveLength(writes);
    } finally {
      sim.close();
    }
  });

  it(
    "gives the old volume back, or what is restored stays, when a command fails once",
    { timeout: 900_000 },
    async () => {
      let state: unknown;
      const bad = await failEach(
        {
          ...play("server1"),
          insists: /^clpmdctrl --force|^clpgrp -s|^StartInstances/,
          after: (sim) => (state = [files(sim), sim.lab.cluster().nodeOf("failover1")]),
          alsoGood: ({ done }) =>
            done.includes("startMirrors") &&
            JSON.stringify(state) === JSON.stringify([[atTheCut, atTheCut], "server1"]),
        },
        { times: 1 },
      );
      expect(bad).toEqual([]);
    },
  );

  it("ends well, is given back, or asks a person, wherever it was killed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      {
        params: { onto: "server1" },
        world: { ...world, runbook: "runbooks/restore-one.ts" },
        prepare: lostFiles,
      },
      ({ end, why, changed, breaches, gaps }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back"
            ? changed.length === 0
            : end === "stuck" && /may have served|not proven|holds what counts|which side/.test(why)),
    );
    expect(bad).toEqual([]);
  });
});

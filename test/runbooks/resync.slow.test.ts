import { describe, expect, it } from "vitest";

import { broken, standbyOff, stopGroup, suspend, type } from "../support/bad-nights.ts";
import { play } from "../support/morning.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const runbook = "runbooks/resync.ts";

const brokenWhileServing = async (sim: Simulation) => {
  await broken(sim);
  await type(sim, "server1", "clpgrp -s failover1");
};

describe("resync", () => {
  it("brings a broken mirror back in sync, and nothing else", async () => {
    await play({ runbook, befalls: brokenWhileServing }, ({ ended, changed, writes }) => {
      expect(ended).toMatchObject({ end: "succeeded", left: [] });
      expect(changed).toEqual([]);
      expect(writes).toEqual([
        "server1: clpmonctrl -r -h server1 -m mdw1",
        "server2: clpmonctrl -r -h server2 -m mdw1",
      ]);
    });
  });

  it("asks for the copy where the cluster does not begin it by itself", async () => {
    const world = { mirrors: 3, settings: { autoRecovery: false } } as const;
    await play({ runbook, befalls: brokenWhileServing, world }, ({ ended, changed, writes }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(changed).toEqual([]);
      expect(writes.filter((line) => line.includes("--recovery"))).toHaveLength(3);
    });
  });

  it("leaves a group that is stopped as it is", async () => {
    await play({ runbook, befalls: broken }, ({ ended, sim }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(sim.lab.cluster().nodeOf("failover1")).toBeUndefined();
      expect(sim.lab.cluster().mirrors[0]?.status("server1")).toBe("Normal");
    });
  });

  it("has nothing to do where all is in sync", async () => {
    await play({ runbook, befalls: async () => undefined }, ({ ended, writes }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(writes).toEqual([]);
    });
  });

  it("is stuck where a monitor cannot be resumed, and prints how", async () => {
    const faults = [{ match: "clpmonctrl -r", action: "fail-before" as const, times: Infinity }];
    await play({ runbook, befalls: brokenWhileServing, faults }, ({ ended, byHand }) => {
      expect(ended.end).toBe("stuck");
      expect(byHand["untilNormal"]).toEqual([
        "ssh server1 'clpmonctrl -r -h server1 -m mdw1'",
        "ssh server2 'clpmonctrl -r -h server2 -m mdw1'",
      ]);
    });
  });

  it("tries again what failed once", async () => {
    const faults = [{ match: "clpmonctrl -r", action: "fail-before" as const }];
    await play({ runbook, befalls: brokenWhileServing, faults }, ({ ended, changed }) => {
      expect(ended).toMatchObject({ end: "given back", left: [] });
      expect(changed).toEqual([]);
    });
  });

  it.each([
    ["a node is off", (sim: Simulation) => standbyOff(sim), /more than a mirror is at fault: server2/],
    [
      "a node is half prepared for a backup",
      (sim: Simulation) => type(sim, "server2", "clpbackup.sh --pre --no-shutdown"),
      /more than a mirror is at fault: server2/,
    ],
    [
      "no side is proven good",
      async (sim: Simulation) => {
        await stopGroup(sim);
        await suspend(sim);
        await type(sim, "server2", "clpmdctrl --break md1");
        sim.lab.cluster().mirrors[0]?.put("server1", { control: { colour: "RED" } });
      },
      /no side of md1 is proven good: RED on server1, RED on server2/,
    ],
  ] as const)("touches nothing where %s", async (_what, befalls, message) => {
    const sim = await openSimulation({ runbook });
    try {
      await befalls(sim);
      const writes = sim.writes().length;
      await expect(sim.runner().plan()).rejects.toMatchObject({
        message: expect.stringMatching(message) as string,
      });
      expect(sim.writes().length).toBe(writes);
    } finally {
      sim.close();
    }
  });
});

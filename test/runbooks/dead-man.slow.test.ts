import { afterEach, describe, expect, it } from "vitest";

import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";

let sim: Simulation;
afterEach(() => sim.close());

/** Runs until a step has its outcome, and kills the runner there. */
async function killedAfter(
  step: string,
  options: SimulationOptions = {},
  service: "early" | "late" = "early",
) {
  sim = await openSimulation(options);
  const runner = sim.runner();
  const walk = await runner.start(await runner.plan({ service }), {
    onLine: (line) => {
      if (line.kind === "outcome" && line.body["unit"] === step) runner.die();
    },
  });
  void walk.go();
  while (runner.alive()) await sim.clock.sleep(10);
  return walk.run;
}

const starts = (node: string) =>
  sim.lab.heart.effects.filter(({ detail }) => detail.kind === "group-started" && detail["node"] === node)
    .length;
const minutes = (n: number) => sim.clock.sleep(n * 60_000);

describe("the dead-man timer", () => {
  for (const step of ["stopGroups", "breakMirrors"]) {
    it(`brings the group back, once, when nobody else can (killed after ${step})`, async () => {
      await killedAfter(step);
      for (const node of ["server1", "server2"]) sim.lab.cutOperator(node);
      expect(sim.lab.cluster().nodeOf("failover1")).toBeUndefined();
      await minutes(60);
      expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
      expect(starts("server1")).toBe(1);
      expect(starts("server2")).toBe(0);
      expect(sim.breaches).toEqual([]);
    });
  }

  it("leaves the group alone while the runner is alive and renews it", async () => {
    sim = await openSimulation();
    const runner = sim.runner();
    const slow = sim.lab.heart.addFault({ match: "clpbackup.sh --pre", action: "fail-before" });
    const { ended } = await runner.run({ service: "late" });
    expect(ended.end).toBe("given back");
    expect(slow.left).toBe(0);
    expect(starts("server1")).toBe(1);
  });

  it("does not start a group that the cluster started on the standby while the active node was cut off", async () => {
    await killedAfter("stopGroups", { settings: { partitionHandling: "none" } });
    for (const node of ["server1", "server2"]) sim.lab.cutOperator(node);
    sim.lab.isolate("server1");
    await minutes(2);
    // By the cluster or by a person at the console: what counts is that it runs there, on an unbroken mirror.
    void sim.lab
      .node("server2")
      .exec("clpgrp -s failover1 -h server2", { stdout: () => undefined, stderr: () => undefined });
    await minutes(60);
    expect(sim.lab.cluster().nodeOf("failover1")).toBe("server2");
    expect(starts("server1")).toBe(0);
    expect(sim.breaches).toEqual([]);
  });

  it("starts it on a cut-off active node when the break was seen: the standby has no good side", async () => {
    await killedAfter("breakMirrors", { settings: { partitionHandling: "none" } });
    await minutes(1);
    for (const node of ["server1", "server2"]) sim.lab.cutOperator(node);
    sim.lab.isolate("server1");
    await minutes(60);
    expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
    expect(starts("server1")).toBe(1);
    expect(sim.breaches).toEqual([]);
  });

  it("does nothing after a reboot of its node", async () => {
    await killedAfter("stopGroups");
    sim.lab.rebootUnasked("server1");
    await minutes(60);
    // The cluster itself decides where its groups start after a boot; the timer of the boot before is gone.
    expect(sim.breaches).toEqual([]);
    const run = sim.runner();
    await expect(run.plan()).rejects.toMatchObject({ kind: "conflict" });
    expect(await run.drivers.cluster.reads.findDeadMan("server1")).not.toMatchObject({ state: "armed" });
  });
});

import { afterEach, describe, expect, it } from "vitest";

import { planText } from "../../src/cli/plan-text.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { golden } from "../support/golden.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";

let sim: Simulation;
const open = async (options: SimulationOptions = {}) => (sim = await openSimulation(options));
afterEach(() => sim.close());

/** What holds at every good end, whatever the shape of the cluster. */
function expectGood(before: unknown, mirrors: number) {
  expect(sim.gaps()).toEqual([]);
  expect(sim.breaches).toEqual([]);
  expect(describeWorld(sim.lab)).toEqual(before);
  const truths = sim.lab.cloud.listSnapshots().map(({ truth }) => truth);
  expect(truths).toEqual(
    Array.from({ length: mirrors }, () => ({ powerOff: true, isolated: true, clean: true })),
  );
}

describe("backup-standby", () => {
  it.each([
    { service: "late", options: {} },
    { service: "early", options: { mirrors: 3 } },
    { service: "late", options: { mirrors: 3 } },
    { service: "early", options: { nvme: false } },
    { service: "early", options: { cloud: { listLagSeconds: 60, idLagSeconds: 20, stateLagSeconds: 10 } } },
  ] as const)("ends well with service $service and $options", async ({ service, options }) => {
    await open(options);
    const before = describeWorld(sim.lab);
    const { ended } = await sim.runner().run({ service });
    expect(ended).toMatchObject({ end: "succeeded", exposures: [] });
    expectGood(before, "mirrors" in options ? options.mirrors : 1);
    // One set at one instant, whatever the number of volumes.
    expect(new Set(sim.lab.cloud.listSnapshots().map(({ startedAt }) => startedAt)).size).toBe(1);
  });

  it("holds the files as they were at the cut, not as they became", async () => {
    await open({ files: { "orders.txt": "one" } });
    const runner = sim.runner();
    await runner.run(
      { service: "early" },
      {
        onLine: ({ kind, body }) => {
          if (kind === "outcome" && body["unit"] === "startGroups")
            sim.lab.writeFile("prod", "md1", "orders.txt", "two");
        },
      },
    );
    const [snapshot] = sim.lab.cloud.listSnapshots();
    expect(snapshot?.content.data["orders.txt"]).toBe("one");
    for (const node of ["server1", "server2"])
      expect(sim.lab.readFiles(sim.lab.volumeOf(node, "md1") ?? "")["orders.txt"]).toBe("two");
  });

  it("plans by reads alone, and the plan reads like this", async () => {
    await open({ mirrors: 3 });
    const plan = await sim.runner().plan({ service: "late" });
    expect(sim.writes()).toEqual([]);
    golden(
      "backup-standby.late-3.plan.txt",
      // What planning took of the virtual clock depends on how busy this machine is.
      planText(plan, { color: false, width: 120, zone: "UTC" })
        .replaceAll(/\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g, "«hash»")
        .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "«time»"),
    );
  });

  it("leaves alone what it found stopped or suspended", async () => {
    await open();
    await sim.lab.shell.run("server1", ["clpmonctrl", "-s", "-h", "server1", "-m", "mdw1"], {
      timeoutMs: 60_000,
    });
    const before = describeWorld(sim.lab);
    const { ended } = await sim.runner().run({ service: "early" });
    expect(ended.end).toBe("succeeded");
    expectGood(before, 1);
  });

  describe("refuses, with nothing touched,", () => {
    const cases: readonly {
      name: string;
      options?: SimulationOptions;
      spoil?: () => Promise<void> | void;
      why: RegExp;
    }[] = [
      {
        name: "a mirror that is not GREEN",
        spoil: async () => void (await person("server2", "clpmdctrl --break md1")),
        why: /mirrorsGreen: the mirror is not in sync: md1/,
      },
      {
        name: "an instance that a shutdown would terminate",
        options: { onGuestShutdown: "terminate" },
        why: /shutdownStops: a shutdown of server2 would terminate/,
      },
      {
        name: "a standby that is no member",
        spoil: async () => void (await person("server2", "clpcl -t")),
        why: /roles: server2 is/,
      },
      {
        name: "a cloud that denies",
        options: { cloud: { denied: ["CreateSnapshot"] } },
        why: /rightsGranted: rights are missing/,
      },
      {
        name: "a marker of another run",
        spoil: async () =>
          void (await person(
            "server1",
            "mkdir -p /var/lib/runbook/lock; echo other.1 > /var/lib/runbook/lock/fence",
          )),
        why: /nobodyElse: server1/,
      },
      {
        name: "a mirror without a GREEN group anywhere",
        spoil: async () => void (await person("server1", "clpgrp -t failover1")),
        why: /roles: no group with a mirror is online/,
      },
    ];
    it.each(cases)("$name", async ({ options, spoil, why }) => {
      await open(options);
      await spoil?.();
      await sim.clock.sleep(60_000);
      const before = describeWorld(sim.lab);
      const writes = sim.writes().length;
      await expect(sim.runner().plan({ service: "early" })).rejects.toThrow(why);
      expect(sim.writes().length).toBe(writes);
      expect(describeWorld(sim.lab)).toEqual(before);
    });
  });

  it("refuses to run a plan whose facts have changed, and names the difference", async () => {
    await open();
    const runner = sim.runner();
    const plan = await runner.plan({ service: "early" });
    await sim.lab.moveGroup("failover1", "server2");
    const walk = await runner.start(plan);
    const ended = await walk.go();
    expect(ended).toMatchObject({ end: "refused", kind: "precondition" });
    expect(ended.why).toContain('roles.active: the plan has "server1", now it is "server2"');
    expect(sim.writes()).toEqual([]);
  });

  it("is refused while another run holds the cluster, and the other is not disturbed", async () => {
    await open();
    const first = sim.runner();
    const second = sim.runner();
    const plan = await second.plan({ service: "early" });
    const other = first.run({ service: "early" });
    await sim.clock.sleep(30_000);
    await expect(second.start(plan)).rejects.toMatchObject({ kind: "conflict" });
    expect((await other).ended.end).toBe("succeeded");
  });
});

async function person(node: string, command: string) {
  return sim.lab.node(node).exec(command, { stdout: () => undefined, stderr: () => undefined });
}

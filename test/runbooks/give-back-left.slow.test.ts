/** What a dead run left on the nodes, what a person may have meant, and what is refused. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import {
  bothPrepared,
  broken,
  standbyOff,
  standbyOutside,
  stopGroup,
  type,
  until,
} from "../support/bad-nights.ts";
import { play } from "../support/morning.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import { hours, leftOnNodes, minutes } from "../support/story.ts";

const configFile = "/opt/nec/clusterpro/etc/clp.conf";

/** A backup dies at this outcome, and its machine with its journal. */
async function lostAfter(sim: Simulation, unit: string): Promise<void> {
  const runner = sim.runner(await sim.open("runbooks/backup-standby.ts"));
  const walk = await runner.start(await runner.plan({ service: "late" }), {
    onLine: ({ kind, body }) => void (kind === "outcome" && body["unit"] === unit && runner.die()),
  });
  void walk.go();
  while (runner.alive()) await sim.clock.sleep(10);
  sim.loseStore();
}

describe("what a dead run left on the nodes", () => {
  it.each(["stopGroups", "breakMirrors", "prepareStandby", "startStandby"])(
    "is taken over once no call of it can be under way any more (it died after %s)",
    async (unit) => {
      await play(
        {
          befalls: async (sim) => {
            await lostAfter(sim, unit);
            await sim.clock.sleep(hours(5));
          },
        },
        async ({ sim, ended, changed }) => {
          expect(ended).toMatchObject({ end: "succeeded" });
          expect(changed).toEqual([]);
          expect(await leftOnNodes(sim)).toEqual([]);
        },
      );
    },
  );

  it.each([
    ["at work, as far as anybody can see", minutes(1), /for another \d+ s/],
    ["expired, and a call of it may be under way", minutes(60), /expired \d+ s ago/],
  ])("counts as held while it is %s", async (_what, later, message) => {
    const sim = await openSimulation({ runbook: "runbooks/give-back.ts" });
    try {
      await lostAfter(sim, "breakMirrors");
      await sim.clock.sleep(later);
      const heard = sim.writes().length;
      await expect(sim.runner().plan()).rejects.toMatchObject({
        kind: "conflict",
        message: expect.stringMatching(message) as string,
        hint: expect.stringMatching(/may be taken over in \d+ min/) as string,
      });
      expect(sim.writes().length).toBe(heard);
    } finally {
      sim.close();
    }
  });

  it("is a timer alone, once somebody has taken the marks away: the service comes first all the same", async () => {
    await play(
      {
        befalls: async (sim) => {
          await lostAfter(sim, "stopGroups");
          for (const node of sim.lab.cluster().names) await type(sim, node, "rm -rf /var/lib/runbook/lock");
        },
      },
      ({ ended, changed, writes }) => {
        expect(ended).toMatchObject({ end: "succeeded" });
        expect(changed).toEqual([]);
        expect(writes.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
          "server1: clpgrp",
          "server1: runbook-clear-dead-man",
        ]);
      },
    );
  });

  it("is never taken over from under a run of this store: its own journal knows the way back", async () => {
    const sim = await openSimulation({ runbook: "runbooks/give-back.ts" });
    try {
      const runner = sim.runner(await sim.open("runbooks/backup-standby.ts"));
      const walk = await runner.start(await runner.plan(), {
        onLine: ({ kind, body }) =>
          void (kind === "outcome" && body["unit"] === "breakMirrors" && runner.die()),
      });
      void walk.go();
      while (runner.alive()) await sim.clock.sleep(10);
      await sim.clock.sleep(hours(5));
      await expect(sim.runner().plan()).rejects.toMatchObject({
        kind: "conflict",
        message: expect.stringContaining("is interrupted") as string,
        hint: `finish it first: \`runbook resume ${walk.run}\` or \`runbook undo ${walk.run}\``,
      });
    } finally {
      sim.close();
    }
  });

  it("is one node's configuration that names other partitions: that node is not let in, and the service stays", async () => {
    const befalls = async (sim: Simulation) => {
      await standbyOff(sim);
      const { files } = sim.lab.node("server2");
      files.write(configFile, files.read(configFile).replace("<dppath>/dev/", "<dppath>//dev/"));
    };
    await play({ befalls }, ({ sim, ended }) => {
      expect(ended).toMatchObject({
        end: "stuck",
        why: "the cluster's configuration is not the same on server1 and server2",
      });
      expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
      expect(sim.lab.cluster().member("server2").core).toBe("stopped");
    });
  });

  it("cannot be seen where no node answers: then a person has to say that nobody is at work", async () => {
    const sim = await openSimulation({ runbook: "runbooks/give-back.ts" });
    try {
      await bothPrepared(sim);
      await expect(sim.runner().plan()).rejects.toMatchObject({
        kind: "conflict",
        hint: expect.stringContaining("--param alone=known") as string,
      });
    } finally {
      sim.close();
    }
  });
});

describe("what a person may have meant", () => {
  it("is a group that the cluster does not start by itself: it is left stopped, and said", async () => {
    const night = { befalls: broken, world: { startsByItself: false } };
    await play(night, ({ sim, ended, told }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(sim.lab.cluster().nodeOf("failover1")).toBeUndefined();
      expect(sim.lab.cluster().mirrors[0]?.status("server1")).toBe("Normal");
      expect(told).toContain(
        "failover1 is stopped, and not one that the cluster starts by itself (--param groups=failover1 starts it)",
      );
    });
    for (const groups of ["failover1", "all"])
      await play({ ...night, params: { groups } }, ({ sim, changed }) => {
        expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
        expect(changed).toEqual([]);
      });
  });

  it("is a group that was stopped for a reason: groups=none starts none, and mends the rest", async () => {
    await play({ befalls: broken, params: { groups: "none" } }, ({ sim, ended, told }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(sim.lab.cluster().nodeOf("failover1")).toBeUndefined();
      expect(sim.lab.cluster().mirrors[0]?.status("server1")).toBe("Normal");
      expect(told).toContain("failover1 is not started, as --param groups says");
    });
  });

  it("is no group at all", async () => {
    const sim = await openSimulation({ runbook: "runbooks/give-back.ts" });
    try {
      await stopGroup(sim);
      await expect(sim.runner().plan({ groups: "failover2" })).rejects.toMatchObject({
        kind: "precondition",
        message: expect.stringContaining("the cluster has no group failover2") as string,
      });
    } finally {
      sim.close();
    }
  });

  it("is a monitor that is not a mirror's: it stays suspended, and is said, unless all are to run", async () => {
    const befalls = (sim: Simulation) => type(sim, "server1", "clpmonctrl -s -h server1");
    await play({ befalls }, ({ ended, told, writes }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(writes).toEqual(["server1: clpmonctrl -r -h server1 -m mdw1"]);
      expect(told.some((line) => /^\S+ stays suspended on server1 \(--param monitors=all/.test(line))).toBe(
        true,
      );
    });
    await play({ befalls, params: { monitors: "all" } }, ({ changed }) => expect(changed).toEqual([]));
  });

  it("is an initial full copy that is off: it is said, and left so", async () => {
    await play({ befalls: stopGroup, world: { fullCopy: false } }, ({ ended, told, changed }) => {
      expect(ended).toMatchObject({ end: "succeeded" });
      expect(changed).toEqual([]);
      expect(told.some((line) => line.startsWith("the initial full copy of md1 is off"))).toBe(true);
    });
  });

  it("is what is attached now, where it does not look like one pair", async () => {
    await play(
      {
        befalls: async (sim) => {
          await standbyOutside(sim);
          // One of the volumes was restored long ago, and both have served together since.
          const volume = sim.lab.volumeOf("server1", "md1") ?? "";
          Object.assign(sim.lab.cloud.getVolume(volume), { snapshot: "snap-0123456789abcdef0" });
          sim.lab.rebootUnasked("server1");
          await until(sim, "it waits", () => sim.lab.cluster().member("server1").core === "waiting");
        },
        params: { volumes: "attached" },
      },
      ({ ended, sim }) => {
        expect(ended).toMatchObject({ end: "succeeded" });
        expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
      },
    );
  });
});

describe("a plan", () => {
  it("is refused when the cluster is no longer as it was found", async () => {
    const sim = await openSimulation({ runbook: "runbooks/give-back.ts" });
    try {
      await stopGroup(sim);
      const runner = sim.runner();
      const plan = await runner.plan();
      await type(sim, "server1", "clpgrp -s failover1");
      await settle(sim.lab);
      const walk = await runner.start(plan);
      expect(await walk.go()).toMatchObject({ end: "refused" });
      await walk.close();
    } finally {
      sim.close();
    }
  });
});

/** Restores that begin on a bad day: what is broken before must not hinder what mends it. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const atTheCut = { "app/version": "1", "orders.txt": "one" };

const world = { files: { "orders.txt": "one" } };

async function type(sim: Simulation, node: string, line: string): Promise<void> {
  const { code } = await sim.lab.shell.run(node, line.split(" "), { timeoutMs: 3_600_000 });
  if (code !== 0) throw new Error(`${node}: ${line}: exit ${code}`);
}

function isRestored(sim: Simulation): boolean {
  const sides = ["server1", "server2"];
  return (
    sides.every((node) => {
      const volume = sim.lab.volumeOf(node, "md1");
      const files = volume === undefined ? {} : sim.lab.readFiles(volume);
      return JSON.stringify(files) === JSON.stringify(atTheCut);
    }) &&
    sim.lab
      .cluster()
      .mirrors.every((mirror) => sides.every((node) => mirror.control(node)?.colour === "GREEN")) &&
    sim.lab.cluster().members.every(({ core }) => core === "online")
  );
}

/** Orderly, by a person: the cluster software moves its groups away first. */
async function powerOff(sim: Simulation, node: string): Promise<void> {
  const { instance } = sim.lab.node(node);
  sim.lab.cloud.stop(instance);
  while (sim.lab.cloud.getInstance(instance).state.now.state !== "stopped") await sim.clock.sleep(1000);
  await settle(sim.lab);
}

async function bootBare(sim: Simulation): Promise<void> {
  const { ended } = await sim.runner(await sim.open("runbooks/boot-bare.ts")).run();
  expect(ended).toMatchObject({ end: "succeeded" });
  await settle(sim.lab);
}

const badDays: { readonly [what: string]: (sim: Simulation) => Promise<void> } = {
  "with the mirror broken and the monitors suspended": async (sim) => {
    await type(sim, "server1", "clpmonctrl -s -h server1 -m mdw1");
    await type(sim, "server1", "clpmonctrl -s -h server2 -m mdw1");
    await type(sim, "server1", "clpgrp -t failover1");
    await type(sim, "server2", "clpmdctrl --break md1");
  },
  "with both sides RED, and the group failed": async (sim) => {
    await type(sim, "server1", "clpmonctrl -s -h server1 -m mdw1");
    await type(sim, "server1", "clpmonctrl -s -h server2 -m mdw1");
    await type(sim, "server1", "clpgrp -t failover1");
    await type(sim, "server2", "clpmdctrl --break md1");
    // As after both sides served apart from each other: nobody knows any more which is the good one.
    sim.lab.cluster().mirrors[0]?.put("server1", { control: { colour: "RED" } });
    await sim.lab.shell.run("server1", ["clpgrp", "-s", "failover1"], { timeoutMs: 3_600_000 });
  },
  "with the cluster software of the standby stopped": (sim) => type(sim, "server2", "clpcl -t -h server2"),
  "with the cluster software of both nodes stopped": (sim) => type(sim, "server1", "clpcl -t -a"),
  "with the standby off": async (sim) => {
    await powerOff(sim, "server2");
    await bootBare(sim);
  },
  "with the active off, and its peer serving": async (sim) => {
    await powerOff(sim, "server1");
    expect(sim.lab.cluster().nodeOf("failover1")).toBe("server2");
    await bootBare(sim);
  },
  "with both nodes off": async (sim) => {
    await powerOff(sim, "server2");
    await powerOff(sim, "server1");
    await bootBare(sim);
  },
};

const restore: Play = { runbook: "runbooks/restore.ts", world };

describe("a restore begins", () => {
  it.each(Object.entries(badDays))("%s", async (_what, befalls) => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/restore.ts" });
    try {
      await lostFiles(sim);
      await befalls(sim);
      // The machine with the journals may be gone as well.
      sim.loseStore();
      const { ended } = await sim.runner().run();
      expect(ended).toMatchObject({ end: "succeeded" });
      await settle(sim.lab);
      expect(isRestored(sim)).toBe(true);
      expect([sim.breaches, sim.gaps()]).toEqual([[], []]);
    } finally {
      sim.close();
    }
  });
});

describe("a restore that fails gives back the bad day as it was found", () => {
  const days = ["with both sides RED, and the group failed", "with the standby off", "with both nodes off"];
  it.each(days)("%s", { timeout: 900_000 }, async (day) => {
    let restored = false;
    const bad = await failEach(
      {
        ...restore,
        prepare: async (sim) => {
          await lostFiles(sim);
          await badDays[day]?.(sim);
        },
        after: (sim) => (restored = isRestored(sim)),
        alsoGood: ({ end, done, changed }) =>
          (done.includes("startMirrors") && restored) ||
          // A reboot forgets which monitors were suspended, and that a group had failed.
          (end === "given back" &&
            changed.every((line) => /suspendedMonitors: .* → \[\]$|: \\?"failed\\?" → null$/.test(line))),
      },
      { times: 1 },
    );
    expect(bad).toEqual([]);
  });
});

describe("a node that is off", () => {
  const prepare = async (sim: Simulation) => {
    await lostFiles(sim);
    await powerOff(sim, "server2");
  };
  const bootsBare: Play = { world, prepare, runbook: "runbooks/boot-bare.ts" };

  it("comes up without its data volumes and stays out, while its peer serves", async () => {
    let serving: string | undefined;
    const { played } = await playOnce({
      ...bootsBare,
      after: (sim) => (serving = sim.lab.cluster().nodeOf("failover1")),
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(serving).toBe("server1");
  });

  it("is off again with its volumes in their places when a command fails", { timeout: 900_000 }, async () => {
    expect(await failEach(bootsBare, { times: 1 })).toEqual([]);
  });

  it("is booted bare as if nobody had been killed, or is off again", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { ...world, runbook: bootsBare.runbook }, prepare },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        (end === "succeeded" || (end === "given back" && changed.length === 0)),
    );
    expect(bad).toEqual([]);
  });

  it.each([
    ["off", "boot-bare", async (sim: Simulation) => powerOff(sim, "server2")],
    [
      "gone for good",
      "restore-one",
      async (sim: Simulation) => {
        sim.lab.cloud.terminate(sim.lab.node("server2").instance);
        await settle(sim.lab);
      },
    ],
    ["silent", "is dead, power it off", async (sim: Simulation) => sim.lab.cutOperator("server2")],
  ] as const)(
    "that is %s is refused by a restore, which says what to do (%s)",
    async (_what, hint, befalls) => {
      const sim = await openSimulation({ ...world, runbook: "runbooks/restore.ts" });
      try {
        await lostFiles(sim);
        await befalls(sim);
        await expect(sim.runner().plan()).rejects.toMatchObject({
          hint: expect.stringContaining(hint) as string,
        });
      } finally {
        sim.close();
      }
    },
  );
});

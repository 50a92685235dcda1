/** Nights that `npm run sim` found to go wrong, told as what went wrong in them. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { notNormal } from "../sim/judge.ts";
import { playThrough, when } from "../support/happenings.ts";
import { lostFiles } from "../support/lost-files.ts";
import { openSimulation, type More, type Simulation } from "../support/simulation.ts";
import { outcomeOf, takeUp } from "../support/story.ts";

async function night(
  options: Parameters<typeof openSimulation>[0],
  play: (sim: Simulation) => Promise<void>,
): Promise<void> {
  const sim = await openSimulation({ files: { "orders.txt": "one" }, ...options });
  try {
    await play(sim);
    expect(sim.breaches).toEqual([]);
  } finally {
    sim.close();
  }
}

/** A run to which something happens at an outcome. */
async function runUntil(
  sim: Simulation,
  unit: string,
  act: (runner: ReturnType<Simulation["runner"]>) => void,
  more: More = {},
) {
  const runner = sim.runner();
  const walk = await runner.start(await runner.plan(), {
    ...more,
    onLine: (line) => void (outcomeOf(unit)(line) && act(runner)),
  });
  const ended = await walk.go();
  await walk.close();
  runner.die();
  return { ended, run: walk.run };
}

describe("a night that the simulation found", () => {
  it("everything was given back with no row of it written: the undo after it takes no served node's power", () =>
    night({ runbook: "runbooks/restore.ts" }, async (sim) => {
      await lostFiles(sim);
      const { ended, run } = await runUntil(sim, "devicesProven", (runner) => runner.fillDisk("ENOSPC"));
      expect(ended.end).toBe("stuck");
      await settle(sim.lab);
      expect(notNormal(sim.lab, "prod")).toEqual([]);
      const heard = sim.lab.heart.effects.length;
      const { ended: again } = await takeUp(sim, run, "undo");
      expect([again.end, again.left]).toEqual(["given back", []]);
      expect(sim.lab.heart.effects.slice(heard).map(({ what }) => what)).not.toContainEqual(
        expect.stringMatching(/stopping|shutting down/),
      );
      expect(notNormal(sim.lab, "prod")).toEqual([]);
    }));

  it("the node that served loses its power while its group is stopped: the service comes back on the other", () =>
    night({ runbook: "runbooks/backup-both.ts" }, async (sim) => {
      when(sim, /^clpgrp -t/, () => sim.lab.killPower("server1"));
      const { ended, walk } = await sim.runner().run();
      expect(ended.end).toBe("stuck");
      expect(sim.lab.cluster().nodeOf("failover1")).toBe("server2");
      // While the node is off its mark cannot be taken away, and it is said what to do.
      expect(ended.left.map(({ hint }) => hint)).toContainEqual(expect.stringContaining("power it on"));
      sim.lab.cloud.start(sim.lab.node("server1").instance);
      await settle(sim.lab);
      const { ended: again } = await takeUp(sim, walk.run, "undo");
      expect(again.end).toBe("given back");
      await settle(sim.lab);
      expect(notNormal(sim.lab, "prod")).toEqual([]);
    }));

  it("a stuck run can be given back while a node is off: the rest of it does not wait", () =>
    night({ runbook: "runbooks/backup-both.ts" }, async (sim) => {
      when(sim, /^clpgrp -t/, () => sim.lab.killPower("server1"));
      const { walk } = await sim.runner().run();
      const { ended } = await takeUp(sim, walk.run, "undo");
      expect(ended.left.map(({ unit }) => unit.key)).toEqual(["holdNodes"]);
    }));

  it.each(["partuuid", "own partuuid"] as const)(
    "a node of staging falls while it serves production's point (%s): staging comes back",
    async (devices) => {
      const { played, sim } = await playThrough(
        {
          runbook: "runbooks/drill-staging.ts",
          world: { files: { "orders.txt": "one" }, cluster: "staging", devices },
          prepare: lostFiles,
        },
        (each) =>
          when(each, /^cat app/, () => each.lab.crash(each.lab.cluster("staging").nodeOf("failover1") ?? "")),
      );
      expect([played.breaches, played.changed.filter((line) => !/failover1/.test(line))]).toEqual([[], []]);
      expect(notNormal(sim.lab, "staging")).toEqual([]);
    },
  );
});

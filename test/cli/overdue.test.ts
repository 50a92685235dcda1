import { afterEach, describe, expect, it } from "vitest";

import { judgeOverdue, overdueText } from "../../src/cli/overdue.ts";
import { lookForPoints, type PointShown } from "../../src/cli/points.ts";
import { plantPoints, type Planted } from "../support/points.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import { connected, contextOf } from "../support/story.ts";

const day = 86_400_000;
const both = { backupEveryMs: day, drillEveryMs: 7 * day };

let sim: Simulation;
afterEach(() => sim.close());

async function pointsOf(planted: readonly Planted[]): Promise<readonly PointShown[]> {
  sim = await openSimulation();
  plantPoints(sim.lab, planted);
  const runner = await connected(sim);
  return (await lookForPoints(contextOf(sim, runner), true)).points;
}

const tested = (result: string, daysAgo: number, how = "content") => ({
  [`runbook:tested-${how}`]: `${result} ${new Date(Date.UTC(2026, 2, 1) - daysAgo * day).toISOString()} d${daysAgo}`,
});

describe("status --check", () => {
  it("is OK while the newest whole point and the newest drill that passed are young enough", async () => {
    const points = await pointsOf([
      { point: "p1", daysAgo: 0.5 },
      { point: "p2", daysAgo: 6, tags: tested("passed", 5) },
    ]);
    const found = judgeOverdue(points, both, sim.clock.now());
    expect(found.state).toBe("OK");
    expect(overdueText("prod", found)).toMatch(
      /^OK - prod: the newest complete recovery point is 12 h old; the last drill that passed was 5 d ago \| backup_age=\d+s;;86400 drill_age=\d+s;;604800$/,
    );
  });

  it("is CRITICAL when a backup is overdue, and a set that lacks a snapshot is no backup", async () => {
    const points = await pointsOf([
      { point: "p1", daysAgo: 0.5, missing: 1 },
      { point: "p2", daysAgo: 2, tags: tested("passed", 1) },
    ]);
    const found = judgeOverdue(points, both, sim.clock.now());
    expect(found.state).toBe("CRITICAL");
    expect(found.says[0]).toBe(
      "backup overdue: the newest complete recovery point is 48 h old, wanted every 24 h",
    );
    expect(judgeOverdue([], { backupEveryMs: day }, 0).state).toBe("CRITICAL");
  });

  it("is WARNING when a drill is overdue, or none has passed", async () => {
    const points = await pointsOf([{ point: "p1", daysAgo: 0.5, tags: tested("passed", 8, "cluster") }]);
    const late = judgeOverdue(points, both, sim.clock.now());
    expect([late.state, late.says[0]]).toEqual([
      "WARNING",
      "drill overdue: the last drill that passed was 8 d ago, wanted every 7 d",
    ]);
    const none = judgeOverdue(
      points.map((point) => ({ ...point, tests: [] })),
      both,
      sim.clock.now(),
    );
    expect([none.state, none.says[0]]).toEqual(["WARNING", "drill overdue: no drill has passed yet"]);
  });

  it("is CRITICAL after a drill that failed, however young another is that passed", async () => {
    const points = await pointsOf([
      { point: "p1", daysAgo: 0.5, tags: tested("failed", 1) },
      { point: "p2", daysAgo: 3, tags: tested("passed", 2) },
    ]);
    const found = judgeOverdue(points, both, sim.clock.now());
    expect([found.state, found.says[0]]).toEqual(["CRITICAL", "the last drill failed: run d1 on point p1"]);
  });

  it("is UNKNOWN where nothing says how often, and no bar in a name begins the numbers", async () => {
    await pointsOf([]);
    expect(judgeOverdue([], {}, 0).state).toBe("UNKNOWN");
    expect(overdueText("a|b", { state: "UNKNOWN", says: ["c|d"], ages: [] })).toBe("UNKNOWN - a/b: c/d");
  });
});

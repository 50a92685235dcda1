import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";

import type { Context } from "../../src/cli/context.ts";
import { lookForPoints, pointsText, unrecorded } from "../../src/cli/points.ts";
import type { Store } from "../../src/ports/store.ts";
import { holdTag, testTag } from "../../src/runbook/points.ts";
import { openStore } from "../../src/store/store.ts";
import { plantPoints } from "../support/points.ts";
import {
  openSimulation,
  type Runner,
  type Simulation,
  type SimulationOptions,
} from "../support/simulation.ts";
import { contextOf } from "../support/story.ts";

let sim: Simulation;
afterEach(() => sim.close());

/** One machine, which made a backup, and another that never saw anything. */
async function open(options: SimulationOptions = {}) {
  sim = await openSimulation(options);
  const here = sim.runner();
  return here;
}

const look = (runner: Runner, rebuild = false, more: Partial<Context> = {}) =>
  lookForPoints(contextOf(sim, runner, more), rebuild);

describe("points", () => {
  it("tells of each point what a person must know of it", async () => {
    const runner = await open();
    const { walk } = await runner.run({ service: "early" });
    const { points, notes } = await look(runner);
    expect(notes).toEqual([]);
    const [snapshot] = sim.lab.cloud.listSnapshots();
    expect(points).toEqual([
      {
        point: walk.run,
        run: walk.run,
        cluster: "prod",
        node: "server2",
        cutAt: new Date(snapshot?.startedAt ?? 0).toISOString(),
        consistency: "quiesced",
        why: ["group offline from the stop to the proven break; clean shutdown from the guest"],
        complete: true,
        lacks: "",
        sizeGiB: 100,
        tested: "never",
        testedGood: false,
        tests: [],
        lockedUntil: null,
        snapshots: [{ id: snapshot?.id, volume: snapshot?.volume, holds: "md1:data+md1:cluster" }],
      },
    ]);
  });

  it("tells the same on a machine whose store is empty, from the cloud alone", async () => {
    const runner = await open();
    await runner.run({ service: "early" });
    plantPoints(sim.lab, [
      { point: "p1", daysAgo: 2, consistency: "crash-consistent" },
      { point: "p2-server1", daysAgo: 3, node: "server1", missing: 1 },
    ]);
    const here = await look(runner);
    for (const rebuild of [false, true]) {
      const store = emptyStore();
      expect(await look(runner, rebuild, { store })).toEqual(here);
      // And keeps it there, for the day on which the cloud does not answer.
      expect((await store.findPoints("prod"))?.seen).toEqual(here.points);
    }
    expect(here.points.map(({ point, run, complete }) => [point, run, complete]).slice(1)).toEqual([
      ["p1", "p1", true],
      ["p2-server1", "p2", false],
    ]);
  });

  it("tells what was seen last, and when, while the cloud does not answer; --rebuild does not", async () => {
    const runner = await open();
    plantPoints(sim.lab, [{ point: "p1", daysAgo: 2 }]);
    await runner.plan({ service: "early" });
    const seen = await look(runner);
    const at = sim.clock.now();
    await sim.clock.sleep(3_600_000);
    sim.lab.cloud.denied.add("DescribeSnapshots");
    const kept = await look(runner);
    expect(kept.points).toEqual(seen.points);
    const [, since = ""] = /this is what was seen at (\S+)$/.exec(kept.notes[0] ?? "") ?? [];
    expect(Math.abs(Date.parse(since) - at)).toBeLessThan(60_000);
    await expect(look(runner, true)).rejects.toMatchObject({ kind: "denied" });
    sim.lab.cloud.denied.clear();
    for (const { id } of sim.lab.cloud.listSnapshots()) sim.lab.cloud.deleteSnapshot(id);
    expect((await look(runner)).points).toEqual([]);
  });

  it("tells what the journals know where nothing was ever seen and the cloud does not answer", async () => {
    const runner = await open();
    const { walk } = await runner.run({ service: "early" });
    sim.lab.cloud.denied.add("DescribeSnapshots");
    const { points, notes } = await look(runner);
    expect(points).toMatchObject([
      { point: walk.run, node: "server2", consistency: "quiesced", complete: true, lockedUntil: "unknown" },
    ]);
    expect(notes[0]).toMatch(/the cloud could not be asked \(.*\): this is what the journals here tell/);
  });

  it("says that locks are not known where it may not ask for them", async () => {
    const runner = await open({ cloud: { denied: ["DescribeLockedSnapshots"] } });
    plantPoints(sim.lab, [{ point: "p1", daysAgo: 2 }]);
    await runner.plan({ service: "early" });
    const { points, notes } = await look(runner);
    expect(points).toMatchObject([{ point: "p1", lockedUntil: "unknown" }]);
    expect(notes).toEqual([
      expect.stringMatching(/^locks could not be asked for: .*DescribeLockedSnapshots/),
    ]);
  });

  it("tells of a set whose run did not come to record it", async () => {
    const runner = await open();
    const plan = await runner.plan({ service: "early" });
    const walk = await runner.start(plan, {
      onLine: ({ kind, body }) =>
        void (kind === "outcome" && body["unit"] === "startStandby" && runner.die()),
    });
    void walk.go();
    while (runner.alive()) await sim.clock.sleep(10);
    await sim.clock.sleep(600_000);
    const other = sim.runner();
    // Its drivers open with a plan, which the run before it keeps from being made.
    await expect(other.plan({ service: "early" })).rejects.toMatchObject({ kind: "conflict" });
    const { points } = await look(other);
    expect(points).toMatchObject([
      { point: walk.run, run: walk.run, node: "server2", complete: false, consistency: "unknown" },
    ]);
    expect(points[0]?.lacks).toMatch(/has not recorded it as a recovery point/);
    expect(unrecorded([])).toEqual([]);
  });

  it("reads like this", async () => {
    const runner = await open();
    const passed = { result: "passed", at: "2026-02-27T05:00:00.000Z", run: "d1" } as const;
    const ids = plantPoints(sim.lab, [
      { point: "p1", daysAgo: 1 },
      { point: "p2", daysAgo: 2, tags: testTag({ ...passed, how: "content" }) },
      {
        point: "p3",
        daysAgo: 3,
        consistency: "crash-consistent",
        tags: {
          ...testTag({ ...passed, how: "content" }),
          ...testTag({ ...passed, how: "cluster", result: "failed", run: "d2" }),
        },
      },
      { point: "p4", daysAgo: 4, missing: 1, tags: { [holdTag]: "x\u001b[2J" } },
      { point: "p5", daysAgo: 5, tags: { "runbook:tested": "perhaps\u001b[2J" } },
    ]);
    for (const id of ids.get("p2") ?? [])
      sim.lab.cloud.locks.lock(sim.lab.cloud.getSnapshot(id), { mode: "governance", days: 30 });
    await runner.plan({ service: "early" });
    const text = pointsText((await look(runner)).points).replaceAll(/T\d\d:\d\d:\d\d\.\d+Z/g, "T…");
    expect(text.split("\n")).toEqual([
      "2026-02-28T…  prod  server2  quiesced  complete  200 GiB  never tested  (run p1)",
      expect.stringMatching(/^ {2}snap-\w+ of vol-\w+: md1:data\+md1:cluster$/),
      expect.stringMatching(/^ {2}snap-\w+ of vol-\w+: md2:data\+md2:cluster$/),
      "  group offline from the stop to the proven break; clean shutdown from the guest",
      "2026-02-27T…  prod  server2  quiesced  complete  200 GiB  tested  (run p2)",
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}group/),
      "  tested: passed (its content, on a scratch instance, 2026-02-27, run d1)",
      "  locked until 2026-03-31T…",
      "2026-02-26T…  prod  server2  crash-consistent  complete  200 GiB  test failed  (run p3)",
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}group/),
      "  tested: failed (a cluster served from it, 2026-02-27, run d2); passed (its content, on a scratch instance, 2026-02-27, run d1)",
      "2026-02-25T…  prod  server2  quiesced  not complete  100 GiB  never tested  (run p4)",
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}group/),
      "  lacks: the set has 1 snapshots; wanted 2",
      "2026-02-24T…  prod  server2  quiesced  complete  200 GiB  test unclear  (run p5)",
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}snap-/),
      expect.stringMatching(/^ {2}group/),
      '  tested: runbook:tested is "perhaps\\x1b[2J"',
      "",
    ]);
    expect(pointsText([])).toBe("there are no recovery points yet\n");
  });
});

/** That of another machine, which never saw anything. */
function emptyStore(): Store {
  const folder = mkdtempSync(join(tmpdir(), "runbook-points-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return openStore(join(folder, "home"));
}

/** Mirrors on LVM, with a devices file and without: backups, restores and what takes them back, and drills. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import type { Tags } from "../../src/ports/cloud.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { play } from "../support/mutant-nights.ts";
import { plantPoints, type Planted } from "../support/points.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";

const atTheCut = { "app/version": "1", "orders.txt": "one" };
const files = { "orders.txt": "one" };
const restore: Play = { runbook: "runbooks/restore.ts", prepare: lostFiles };
/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;

const listed: SimulationOptions = { files, devices: "lvm" };
const unlisted: SimulationOptions = { ...listed, lvm: { devicesFile: false } };

/** Nothing is left of LVM's but what lists the restored volumes. */
const restoredPlaces = (line: string) => places.test(line) || /\.lvm\.devices: /.test(line);

const filesOf = (sim: Simulation) =>
  ["server1", "server2"].map((node) => {
    const volume = sim.lab.volumeOf(node, "md1");
    return volume === undefined ? "no volume" : sim.lab.readFiles(volume);
  });

describe("mirrors on LVM", () => {
  it("are backed up and restored", async () => {
    let found: unknown;
    let layout: unknown;
    const { played } = await playOnce({
      ...restore,
      world: listed,
      prepare: async (sim) => {
        await play(sim, "backup-standby");
        sim.lab.deleteFile("prod", "md1", "orders.txt");
        await settle(sim.lab);
      },
      after: (sim) => {
        found = filesOf(sim);
        layout = sim.lab.cloud.listSnapshots().map(({ tags }) => tags["runbook:layout"]);
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(found).toEqual([atTheCut, atTheCut]);
    expect(layout).toEqual(["md1:data=vg_md1/data"]);
    expect(played.changed.filter((line) => !restoredPlaces(line))).toEqual([]);
  });

  it.each([
    // Where LVM sees every device, nothing has to be shown to it, and the plan says nothing of it.
    ["without a devices file", unlisted, 0],
    ["on whole disks without serials", { ...listed, nvme: false, lvm: { on: "disk" } }, 4],
  ] as const)("are restored %s", async (_how, world, planned) => {
    const sim = await openSimulation({ ...world, runbook: "runbooks/restore.ts" });
    try {
      await lostFiles(sim);
      const { ended, plan } = await sim.runner().run();
      expect(ended.end).toBe("succeeded");
      await settle(sim.lab);
      expect(filesOf(sim)).toEqual([atTheCut, atTheCut]);
      expect(plan.units.find(({ key }) => key === "volumesSeen")?.sends).toHaveLength(planned);
      expect([sim.breaches, sim.gaps()]).toEqual([[], []]);
    } finally {
      sim.close();
    }
  });

  it("keep what the devices file listed, so that old volumes are seen by whoever puts them back", async () => {
    let found: unknown;
    const { played } = await playOnce({
      runbook: "runbooks/rollback.ts",
      params: { why: "it was the wrong night" },
      world: listed,
      prepare: async (sim) => {
        await lostFiles(sim);
        await play(sim, "restore");
      },
      after: (sim) => (found = filesOf(sim)),
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    const before = { "app/version": "1", "late.txt": "written after the cut" };
    expect(found).toEqual([before, before]);
    // Nothing had to be listed again.
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it("are restored on one side alone, and copied over the other", async () => {
    const onto = "server1";
    let found: unknown;
    const { played } = await playOnce({
      runbook: "runbooks/restore-one.ts",
      world: listed,
      prepare: lostFiles,
      params: { onto, join: "now" },
      after: (sim) => (found = filesOf(sim)),
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(found).toEqual([atTheCut, atTheCut]);
  });

  it("refuse a restore that would take another logical volume along", async () => {
    const { played } = await playOnce({ ...restore, world: { ...listed, lvm: { more: "home" } } }).catch(
      (thrown: unknown) => ({ played: thrown }),
    );
    expect(played).toMatchObject({
      kind: "unsupported",
      message: expect.stringMatching(
        /server1: vg_md1\/home lies in a volume group of the mirrors/,
      ) as unknown,
    });
  });

  it("refuse a helper whose LVM would take hold of the new volumes", async () => {
    await expect(playOnce({ ...restore, world: unlisted, params: { warm: "helper" } })).rejects.toThrow(
      /scratch1 has no devices file: its LVM would take hold of the new volumes/,
    );
  });

  it("end as if never killed, or given back", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { ...listed, runbook: restore.runbook }, prepare: lostFiles },
      ({ end, changed, breaches, gaps, lies }) =>
        [breaches, gaps, lies].every((list) => list.length === 0) &&
        (end === "succeeded" ? changed.every(restoredPlaces) : end === "given back" && changed.length === 0),
      (unit) => unit === "volumesSeen",
    );
    expect(bad).toEqual([]);
  });

  it("give the old volumes back when the new ones cannot be shown to LVM", async () => {
    const { writes } = await playOnce({ ...restore, world: listed });
    const bad: unknown[] = [];
    for (const { line, fault } of writes.filter((write) => /Lvm/.test(write.line)).slice(-1))
      for (const [action, times] of [
        ["fail-before", Infinity],
        ["fail-after", Infinity],
        ["fail-after", 1],
      ] as const) {
        const { played } = await playOnce({ ...restore, world: listed }, [{ ...fault, action, times }]);
        const { end, changed, breaches, gaps } = played;
        const expected = action === "fail-before" ? ["given back"] : ["given back", "succeeded"];
        const rest = end === "succeeded" ? changed.filter((each) => !restoredPlaces(each)) : changed;
        if (!expected.includes(end) || rest.length + breaches.length + gaps.length > 0)
          bad.push({ line, action, end, why: played.why, changed, breaches, gaps });
      }
    expect(bad).toEqual([]);
  });
});

const layout: Tags = { "runbook:layout": "md1:data=vg_md1/data" };
const planted =
  (more: Partial<Planted> = {}) =>
  async (sim: Simulation) => {
    plantPoints(sim.lab, [{ point: "p1", daysAgo: 2, of: 1, tags: layout, ...more }]);
    await settle(sim.lab);
  };
const drill: Play = { runbook: "runbooks/drill.ts", world: listed, prepare: planted() };

const backedUp = (sim: Simulation) => play(sim, "backup-standby");

const tested = (sim: Simulation) =>
  sim.lab.cloud.listSnapshots().map(({ tags }) => tags["runbook:tested-content"]?.split(" ")[0]);

describe("a drill of a point on LVM", () => {
  it.each([
    ["with a devices file", { devices: "lvm", mirrors: 2 }, backedUp],
    ["without a devices file", { devices: "lvm", lvm: { devicesFile: false, on: "disk" } }, planted()],
  ] as const)("proves what was cut, and leaves nothing, %s", async (_how, world, prepare) => {
    let marks: unknown;
    const { played, writes } = await playOnce({
      ...drill,
      world,
      prepare,
      after: (sim) => (marks = tested(sim)),
    });
    expect(played).toMatchObject({ end: "succeeded", changed: [], breaches: [], gaps: [] });
    expect(new Set(marks as string[])).toEqual(new Set(["passed"]));
    // Under a name that nobody else has, before anything is mounted; and the file system is first looked at as it was cut.
    const lines = writes.map(({ line }) => line);
    const order = [/importVolumeGroup .* runbook_\w+_1$/, /mountVolume .* as-it-is /, /hideFromLvm/].map(
      (each) => lines.findIndex((line) => each.test(line)),
    );
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(order).not.toContain(-1);
  });

  it("still sees a log that was dirty at the cut", async () => {
    let marks: unknown;
    const { played } = await playOnce({
      ...drill,
      prepare: planted({ dirty: true }),
      after: (sim) => (marks = tested(sim)),
    });
    expect(played).toMatchObject({ end: "given back", changed: [], breaches: [], gaps: [] });
    expect(played.why).toContain("the log of md1: failed");
    expect(marks).toEqual(["failed"]);
  });

  it.each([
    ["does not say in which logical volume", {}, /^not proven: the data of md1 lies on LVM/],
    [
      "names one that is not there",
      { "runbook:layout": "md1:data=vg_md1/other" },
      /there is no logical volume other/,
    ],
  ])("is not good where the point %s", async (_how, tags, why) => {
    const { played } = await playOnce({ ...drill, prepare: planted({ tags }) });
    expect(played).toMatchObject({ end: "given back", changed: [], breaches: [], gaps: [] });
    expect(played.why).toMatch(why);
  });

  it("leaves nothing when its import fails for good", async () => {
    const { writes } = await playOnce(drill);
    const fault = writes.find(({ line }) => /importVolumeGroup/.test(line))?.fault;
    for (const action of ["fail-before", "fail-after"] as const) {
      const { played } = await playOnce({ ...drill, world: unlisted }, [
        { match: "", ...fault, action, times: Infinity },
      ]);
      expect(played).toMatchObject({ end: "given back", changed: [], breaches: [], gaps: [] });
    }
  });

  it("leaves nothing when a command fails once", { timeout: 900_000 }, async () => {
    expect(await failEach(drill, { times: 1, from: 5 })).toEqual([]);
  });

  it("ends as if never killed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { ...listed, runbook: drill.runbook }, prepare: planted() },
      ({ end, changed, breaches, gaps }) =>
        end === "succeeded" && [changed, breaches, gaps].every((list) => list.length === 0),
      (unit) => unit === "groupsImported" || unit === "groupsGone",
    );
    expect(bad).toEqual([]);
  });
});

/** Drills in the lab: what they say of good, wrong and doubtful points, and that they leave nothing but the mark. */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { describeWorld, differences } from "../../src/lab/compare.ts";
import { listPoints } from "../../src/runbook/points.ts";
import type { DrillSetting } from "../../src/runbook/drill-setting.ts";
import type { Params } from "../../src/runbook/step.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, type Play } from "../support/laws.ts";
import { plantPoints, type Planted } from "../support/points.ts";
import { openSimulation, versionIs, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { takeUp } from "../support/story.ts";
import { worldOf } from "../support/world.ts";

const book = "runbooks/drill.ts";
const good: Planted = { point: "p1", daysAgo: 2, of: 1 };

const planted = (point: Planted) => async (sim: Simulation) => {
  plantPoints(sim.lab, [point]);
  await settle(sim.lab);
};

interface Drilled {
  readonly end: string;
  readonly why: string;
  readonly told: readonly string[];
  /** What is different from the world before. */
  readonly changed: readonly string[];
  readonly tested: readonly string[];
  /** Commands on nodes and calls that changed something, with whom they were about. */
  readonly writes: readonly string[];
  readonly gaps: readonly string[];
}

async function drilled(
  how: {
    readonly drill?: Partial<DrillSetting>;
    readonly world?: SimulationOptions;
    readonly params?: Params;
    readonly prepare?: (sim: Simulation) => Promise<void>;
    readonly meanwhile?: (sim: Simulation) => void;
  } = {},
): Promise<Drilled> {
  const sim = await openSimulation({ ...how.world, runbook: book, ...(how.drill && { drill: how.drill }) });
  try {
    await (how.prepare ?? planted(good))(sim);
    const before = worldOf(sim.lab);
    const tagsBefore = snapshotTags(sim);
    const heard = sim.lab.heart.received.length;
    const runner = sim.runner();
    const plan = await runner.plan(how.params);
    how.meanwhile?.(sim);
    const walk = await runner.start(plan);
    const ended = await walk.go();
    await walk.close();
    await settle(sim.lab);
    const marked = walk.logbook.lines.find(
      ({ kind, body }) => kind === "outcome" && body["unit"] === "pointMarked",
    );
    const cloud = runner.drivers.cloud.reads;
    const points = await listPoints({ cloud: cloud as never, clusterName: "prod" });
    return {
      end: ended.end,
      why: ended.why ?? "",
      told: (marked?.body["found"] as { told: readonly string[] } | undefined)?.told ?? [],
      changed: [
        ...differences(before, worldOf(sim.lab)),
        // Of snapshots, nothing but the mark of a test.
        ...differences(tagsBefore, snapshotTags(sim)).filter(
          (line) => !/\.runbook:tested-content: /.test(line),
        ),
      ],
      tested: points.map(({ tests }) => tests.map(({ how: kind, result }) => `${kind} ${result}`).join()),
      writes: sim.lab.heart.received
        .slice(heard)
        .filter((row) => row.class === "write")
        .map((row) => `${row.node ?? "cloud"}: ${row.line}`),
      gaps: sim.gaps(),
    };
  } finally {
    sim.close();
  }
}

function snapshotTags(sim: Simulation) {
  return Object.fromEntries(sim.lab.cloud.listSnapshots().map(({ id, tags }) => [id, { ...tags }]));
}

async function backedUp(sim: Simulation): Promise<void> {
  const { ended } = await sim.runner(await sim.open("runbooks/backup-standby.ts")).run({ service: "early" });
  expect(ended.end).toBe("succeeded");
  await settle(sim.lab);
}

const file = { kind: "file", on: "md1", seconds: 60 } as const;
const http = { kind: "http", seconds: 10, status: 200, contains: null } as const;

describe("a drill", () => {
  it("proves what a backup has cut, and leaves nothing but the mark on the point", async () => {
    const { end, told, changed, tested, gaps } = await drilled({ prepare: backedUp });
    expect({ end, changed, tested, gaps }).toEqual({
      end: "succeeded",
      changed: [],
      tested: ["content passed"],
      gaps: [],
    });
    expect(told.slice(0, 4)).toEqual([
      "the log of md1: passed",
      "md1 can be read as it is: passed",
      "md1 can be mounted for use: passed",
      "the version: passed",
    ]);
    expect(told[4]).toMatch(
      /^recovery time .* \(volumes .*, attached and found .*, mounted .*, checked .*\); no target is set$/,
    );
  });

  it("writes to nothing of the cluster's: to its nodes, instances and volumes not at all", async () => {
    const sim = await openSimulation({ runbook: book });
    const ids = [...sim.lab.clusters.values()].flatMap(({ members }) =>
      members.flatMap(({ node }) => [
        node.instance,
        ...sim.lab.cloud.attached(node.instance).map(({ volume }) => volume),
      ]),
    );
    sim.close();
    const { writes } = await drilled();
    expect(writes.length).toBeGreaterThan(8);
    expect(writes.filter((line) => !/^(scratch1|cloud): /.test(line))).toEqual([]);
    expect(writes.filter((line) => ids.some((id) => line.includes(id)))).toEqual([]);
    const calls = writes.flatMap((line) => /^cloud: (\w+)/.exec(line)?.[1] ?? []);
    expect(new Set(calls)).toEqual(
      new Set(["CreateVolume", "AttachVolume", "DetachVolume", "DeleteVolume", "CreateTags"]),
    );
  });

  it("runs while both nodes of the cluster are off", async () => {
    const { end } = await drilled({
      prepare: async (sim) => {
        await planted(good)(sim);
        for (const node of ["server1", "server2"]) sim.lab.killPower(node);
        await settle(sim.lab);
      },
    });
    expect(end).toBe("succeeded");
  });

  it("fails on wrong content, marks the point so, and cleans up all the same", async () => {
    const { end, why, changed, tested } = await drilled({ drill: { checks: [versionIs("2")] } });
    expect({ end, changed, tested }).toEqual({ end: "given back", changed: [], tested: ["content failed"] });
    expect(why).toBe('the drill failed: the version: failed (it printed "1"; wanted "2")');
  });

  it("fails on a dirty log of a point that is called quiesced, though its files are there", async () => {
    const { end, why, changed, tested } = await drilled({ prepare: planted({ ...good, dirty: true }) });
    expect({ end, changed, tested }).toEqual({ end: "given back", changed: [], tested: ["content failed"] });
    expect(why).toContain("the log of md1: failed");
  });

  it("does not hold a dirty log against a point that is called crash-consistent", async () => {
    const { end, tested } = await drilled({
      prepare: planted({ ...good, dirty: true, consistency: "crash-consistent" }),
    });
    expect({ end, tested }).toEqual({ end: "succeeded", tested: ["content passed"] });
  });

  it("calls a check that could not be run not proven, and marks nothing", async () => {
    const nobody = { ...versionIs("1"), user: "postgres" };
    const nothing = { ...versionIs("1"), name: "a tool", argv: ["/opt/none/check"], stdout: null };
    for (const [each, wanted] of [
      [nobody, "the version: not proven (there is no user postgres there)"],
      [nothing, "a tool: not proven (it could not be run there"],
      [
        { ...http, name: "page", url: "http://127.0.0.1:8080/" },
        "page: not proven (http://127.0.0.1:8080/ gave no",
      ],
      [
        { ...versionIs("1"), argv: ["sleep", "600"], seconds: 5 },
        "the version: not proven (it took longer than 5 s)",
      ],
    ] as const) {
      const { end, why, changed, tested } = await drilled({
        drill: { checks: [versionIs("1"), each].slice(1) },
      });
      expect({ end, changed, tested }).toEqual({ end: "given back", changed: [], tested: [""] });
      expect(why).toMatch(/^not proven: /);
      expect(why).toContain(wanted);
    }
  });

  it("judges files and pages by what the inventory says of them", async () => {
    const { end, why, told } = await drilled({
      world: { files: { "orders.txt": "one" } },
      drill: {
        checks: [
          { ...file, name: "there", path: "orders.txt", sha256: null },
          {
            ...file,
            name: "the same",
            path: "orders.txt",
            // Of "one".
            sha256: "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
          },
          { ...file, name: "other", path: "orders.txt", sha256: "0".repeat(64) },
          { ...file, name: "gone", path: "none.txt", sha256: null },
          { ...http, name: "page", url: "http://127.0.0.1/", contains: "fine" },
          { ...http, name: "wrong page", url: "http://127.0.0.1/", status: 204 },
        ],
      },
      meanwhile: (sim) =>
        void sim.lab.scratch.pages.set("http://127.0.0.1/", { status: 200, body: "all is fine" }),
    });
    expect(end).toBe("given back");
    expect(told).toEqual(expect.arrayContaining(["there: passed", "the same: passed", "page: passed"]));
    expect(why).toContain("other: failed (orders.txt has the checksum 7692c3ad");
    expect(why).toContain("gone: failed (none.txt is not there)");
    expect(why).toContain("wrong page: failed (http://127.0.0.1/ answered 200; wanted 204)");
  });

  it("finds each of several mirrors by its volume, on disks with and without a serial", async () => {
    for (const nvme of [true, false]) {
      const { end, changed, told } = await drilled({
        prepare: backedUp,
        world: { mirrors: 3, nvme },
        drill: { checks: ["md1", "md2", "md3"].map((on) => ({ ...versionIs("1"), name: on, on })) },
      });
      expect({ end, changed }).toEqual({ end: "succeeded", changed: [] });
      expect(told).toEqual(expect.arrayContaining(["md1: passed", "md2: passed", "md3: passed"]));
    }
  });

  it("leaves no volume when its node dies in the middle, and takes the mark off once that is up again", async () => {
    const sim = await openSimulation({ runbook: book });
    try {
      await planted(good)(sim);
      const before = worldOf(sim.lab);
      const runner = sim.runner();
      const walk = await runner.start(await runner.plan(), {
        onLine: ({ kind, body }) => {
          if (kind === "outcome" && body["unit"] === "mountedForUse") sim.lab.killPower("scratch1");
        },
      });
      const ended = await walk.go();
      await walk.close();
      expect(ended.end).toBe("stuck");
      expect(ended.left.map(({ unit }) => unit.key)).toEqual(["holdNodes"]);
      sim.lab.cloud.start(sim.lab.scratch.instance);
      await settle(sim.lab);
      await sim.clock.sleep(120_000);
      const { ended: after } = await takeUp(sim, walk.run, "undo");
      expect(after.end).toBe("given back");
      await settle(sim.lab);
      expect(differences(before, worldOf(sim.lab))).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("ends with nothing left when its node is gone for good", async () => {
    const sim = await openSimulation({ runbook: book });
    try {
      await planted(good)(sim);
      const runner = sim.runner();
      const walk = await runner.start(await runner.plan(), {
        onLine: ({ kind, body }) => {
          if (kind === "outcome" && body["unit"] === "mountedForUse")
            sim.lab.cloud.terminate(sim.lab.scratch.instance);
        },
      });
      const { end } = await walk.go();
      await walk.close();
      await settle(sim.lab);
      expect(end).toBe("given back");
      expect(sim.lab.cloud.listVolumes().filter(({ tags }) => tags["runbook:drill"])).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("is measured against its target", async () => {
    const met = await drilled({ drill: { targetMinutes: 30 } });
    expect(met.told.join("\n")).toContain("the target is 30 min: met");
    const missed = await drilled({
      drill: { targetMinutes: 5 },
      world: { cloud: { createVolumeSeconds: 900 } },
    });
    expect(missed.told.join("\n")).toContain("the target is 5 min: missed");
  });
});

describe("a drill whose volume vanishes for want of its key, or that is denied one", () => {
  it("is not proven, and leaves neither mark nor volume", async () => {
    const vanishing = await drilled({
      prepare: async (sim) => {
        plantPoints(sim.lab, [good]);
        const [snapshot] = sim.lab.cloud.listSnapshots();
        if (snapshot) Object.assign(snapshot, { encrypted: true, key: "gone" });
        sim.lab.cloud.badKeys.add("gone");
        await settle(sim.lab);
      },
    });
    const denied = await drilled({
      meanwhile: (sim) => void sim.lab.heart.addFault({ match: "/^CreateVolume$/", action: "deny", skip: 1 }),
    });
    for (const { end, why, changed, tested } of [vanishing, denied]) {
      expect({ end, changed, tested }).toEqual({ end: "given back", changed: [], tested: [""] });
      expect(why).toMatch(/^not proven: /);
    }
  });
});

describe("a drill is refused", () => {
  const refused = async (how: Parameters<typeof drilled>[0]) =>
    drilled(how).then(
      () => "it was not",
      (thrown: unknown) => (thrown as Error).message,
    );

  it("on a node of the cluster, a machine with volumes, and one with the cluster's software", async () => {
    const sim = await openSimulation({ runbook: book });
    const instance = sim.lab.node("server2").instance;
    sim.close();
    expect(await refused({ drill: { instance } })).toContain("is server2, a node of prod");
    const other = { zone: "ap-northeast-1a", sizeGiB: 1, tags: {} };
    expect(
      await refused({
        prepare: async (lab) => {
          await planted(good)(lab);
          const made = lab.lab.cloud.createVolume(other);
          await lab.clock.sleep(60_000);
          lab.lab.cloud.attachVolume(made.id, lab.lab.scratch.instance, "/dev/sdf");
          await settle(lab.lab);
        },
      }),
    ).toContain("has volumes beside its root");
    expect(
      await refused({
        prepare: async (lab) => {
          await planted(good)(lab);
          lab.lab.scratch.files.plant("/opt/nec/clusterpro/etc/clp.conf", "x");
        },
      }),
    ).toContain("has the cluster's software on it: /opt/nec/clusterpro/etc/clp.conf");
  });

  it("with a check on a mirror that the point does not hold", async () => {
    expect(await refused({ drill: { checks: [{ ...versionIs("1"), on: "md2" }] } })).toContain(
      "is about a mirror that point p1 does not hold",
    );
  });
});

const drill: Play = { runbook: book, prepare: planted(good) };

describe("whatever happens to a drill", () => {
  it("no volume is left, and nothing mounted, when a write fails once", { timeout: 900_000 }, async () => {
    // A mount or a check whose command answers with failure may have been done: then there is a result, and it is used.
    const insists = /^(runbook-(mountVolume|runCheck)|mount |umount )/;
    expect(await failEach({ ...drill, insists }, { times: 1 })).toEqual([]);
  });

  it("nor when it is killed at any row, and resumed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      2,
      { params: {}, world: { runbook: book }, prepare: planted(good) },
      ({ end, changed, breaches, gaps }) =>
        ["succeeded", "given back", "refused"].includes(end) &&
        [changed, breaches, gaps].every((list) => list.length === 0),
    );
    expect(bad).toEqual([]);
  });
});

it("the lab's description of the world has the scratch node in it", async () => {
  const sim = await openSimulation({ runbook: book });
  expect(describeWorld(sim.lab)["scratch"]).toMatchObject({ mounts: [], files: {} });
  sim.close();
});

/** Drills of production's points on the staging cluster. */
import { describe, expect, it } from "vitest";

import { differences } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { openSimulation, versionIs, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { hours, typed } from "../support/story.ts";
import { worldOf } from "../support/world.ts";

const book = "runbooks/drill-staging.ts";
const world: SimulationOptions = { files: { "orders.txt": "one" }, cluster: "staging" };
const conf = "/opt/nec/clusterpro/etc/clp.conf";

interface Drilled {
  readonly end: string;
  readonly why: string;
  readonly told: string;
  readonly changed: readonly string[];
  readonly breaches: readonly string[];
  readonly gaps: readonly string[];
  /** What of the run reached the world and was no read, as "NODE LINE" or "cloud LINE". */
  readonly writes: readonly string[];
  readonly tags: readonly string[];
}

async function drilled(
  options: SimulationOptions = {},
  params: { readonly [name: string]: string } = {},
  prepare: (sim: Simulation) => void = () => undefined,
): Promise<Drilled> {
  const sim = await openSimulation({ ...world, runbook: book, ...options });
  try {
    await lostFiles(sim);
    prepare(sim);
    const before = worldOf(sim.lab);
    const tagsBefore = tagsOf(sim);
    const { length } = sim.lab.heart.received;
    const { ended, walk } = await sim.runner().run(params);
    await settle(sim.lab);
    return {
      end: ended.end,
      why: ended.why ?? "",
      told: JSON.stringify(walk.logbook.lines.flatMap(({ body }) => body["found"] ?? [])),
      changed: differences(before, worldOf(sim.lab)).map(String),
      breaches: sim.breaches.map(({ what }) => what),
      gaps: sim.gaps(),
      writes: sim.lab.heart.received
        .slice(length)
        .filter((row) => row.class === "write")
        .map((row) => `${row.node ?? "cloud"} ${row.line}`),
      tags: tagsOf(sim).filter((tag) => !tagsBefore.includes(tag)),
    };
  } finally {
    sim.close();
  }
}

function tagsOf(sim: Simulation): readonly string[] {
  return sim.lab.cloud
    .listSnapshots()
    .flatMap(({ id, tags }) => Object.entries(tags).map(([key, value]) => `${id} ${key}=${value}`));
}

/** Everything of production that a call could name. */
function ofProduction(sim: Simulation): readonly string[] {
  const instances = ["server1", "server2"].map((node) => sim.lab.node(node).instance);
  return [
    ...instances,
    ...instances.flatMap((instance) => sim.lab.cloud.attached(instance).map(({ volume }) => volume)),
  ];
}

describe("a drill on staging", () => {
  it("proves that a cluster serves from the point, and leaves staging as it was", async () => {
    let production: readonly string[] = [];
    const found = await drilled({}, {}, (sim) => (production = ofProduction(sim)));
    expect([found.end, found.why]).toEqual(["succeeded", ""]);
    expect(found).toMatchObject({ changed: [], breaches: [], gaps: [] });
    expect(found.tags).toEqual([expect.stringMatching(/ runbook:tested-cluster=passed /)]);
    expect(found.told).toMatch(/recovery time .*volumes made and put in their places/);

    // Of production, nothing is written to; of its snapshots, volumes are made, and the mark is set.
    expect(production).toHaveLength(6);
    expect(found.writes.length).toBeGreaterThan(20);
    expect(found.writes.filter((line) => /^server\d /.test(line))).toEqual([]);
    expect(found.writes.filter((line) => production.some((id) => line.includes(id)))).toEqual([]);
    const onSnapshots = found.writes.filter((line) => line.includes("snap-"));
    expect(onSnapshots.map((line) => line.split(" ")[1]).toSorted()).toEqual([
      "CreateTags",
      "CreateVolume",
      "CreateVolume",
    ]);
    // Staging's own machines, and volumes of the drill, are all that is left.
    expect(found.writes.some((line) => line.includes("runbook:drill"))).toBe(true);
  });

  it("fails where the content is not what was wanted, and says so on the point", async () => {
    const found = await drilled({ staging: { checks: [versionIs("2")] } });
    expect(found.end).toBe("given back");
    expect(found.why).toMatch(/the drill failed: the version: failed/);
    expect(found).toMatchObject({ changed: [], breaches: [], gaps: [] });
    expect(found.tags).toEqual([expect.stringMatching(/ runbook:tested-cluster=failed /)]);
  });

  it("proves the content alone where no group is to be started, isolated or not", async () => {
    const found = await drilled({ staging: { isolated: false } }, { group: "mount" });
    expect([found.end, found.why]).toEqual(["succeeded", ""]);
    expect(found).toMatchObject({ changed: [], breaches: [], gaps: [] });
    expect(found.tags).toEqual([expect.stringMatching(/ runbook:tested-content=passed /)]);
    expect(found.writes.filter((line) => /--post|clpgrp -s/.test(line))).toEqual([]);
  });

  it.each([
    ["a check cannot be run", [{ ...versionIs("1"), argv: ["nowhere-to-be-found"] }]],
    ["a mirror of that name is not there", [{ ...versionIs("1"), on: "md9" }]],
    ["no check is declared", []],
  ])("is not proven, and not green, where %s", async (_why, checks) => {
    const found = await drilled({ staging: { checks } });
    expect([found.end, found.why]).toEqual(["given back", expect.stringContaining("not proven")]);
    expect(found).toMatchObject({ changed: [], breaches: [], tags: [] });
  });
});

describe("a drill on staging is refused, with nothing changed,", () => {
  const put = (path: string, change: (text: string, other: string) => string) => (sim: Simulation) => {
    const theirs = sim.lab.node("server1").files.read(path);
    for (const node of ["stage1", "stage2"]) {
      const { files } = sim.lab.node(node);
      files.write(path, change(files.read(path), theirs));
    }
  };
  const valueOf = (text: string, tag: string) => new RegExp(`<${tag}>([^<]*)<`).exec(text)?.[1] ?? "";
  const take = (tag: string) =>
    put(conf, (ours, theirs) =>
      ours.replace(`<${tag}>${valueOf(ours, tag)}<`, `<${tag}>${valueOf(theirs, tag)}<`),
    );

  interface Common {
    readonly name: string;
    readonly message: RegExp;
    readonly prepare?: (sim: Simulation) => void;
    readonly isolated?: boolean;
  }
  const cases: readonly Common[] = [
    {
      name: "where it has production's floating address",
      message: /in common with prod: the address or name 10\.0\.1\.200/,
      prepare: take("ip"),
    },
    { name: "where it has production's uuid", message: /the cluster's uuid/, prepare: take("uuid") },
    {
      name: "where it is a copy of production's disk",
      message: /the machine id/,
      prepare: put("/etc/machine-id", (_ours, theirs) => theirs),
    },
    {
      name: "where its floating address is that of production's machine",
      message: /10\.0\.1\.12/,
      prepare: put(conf, (ours) => ours.replace(`<ip>${valueOf(ours, "ip")}<`, "<ip>10.0.1.12<")),
    },
    {
      name: "where a node of production cannot be asked",
      message: /not proven that staging and production are apart: server2/,
      prepare: (sim) => sim.lab.cutOperator("server2"),
    },
    { name: "where it is not declared isolated", message: /not declared isolated/, isolated: false },
  ];
  it("where a group of it is stopped that starts by itself: after the drill it would run", async () => {
    const sim = await openSimulation({ ...world, runbook: book });
    try {
      await lostFiles(sim);
      const [group = ""] = sim.lab.cluster("staging").groups.map(({ name }) => name);
      await typed(sim, "stage1", `clpgrp -t ${group}`);
      await settle(sim.lab);
      const { length } = sim.writes();
      await expect(sim.runner().plan()).rejects.toThrow(
        `${group} of staging is stopped, and starts by itself`,
      );
      expect(sim.writes().slice(length)).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it.each(cases)("$name", async ({ message, prepare, isolated = true }) => {
    const sim = await openSimulation({ ...world, runbook: book, staging: { isolated } });
    try {
      await lostFiles(sim);
      prepare?.(sim);
      const { length } = sim.writes();
      await expect(sim.runner().plan()).rejects.toThrow(message);
      expect(sim.writes().slice(length)).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("but for what the inventory lets both have", async () => {
    const sim = await openSimulation({ ...world, runbook: book, staging: { shares: ["10.0.1.200"] } });
    try {
      await lostFiles(sim);
      take("ip")(sim);
      expect(JSON.stringify(await sim.runner().plan())).toContain(
        "shared with prod, by the inventory's word",
      );
    } finally {
      sim.close();
    }
  });
});

describe("whatever happens to a drill on staging, staging comes back", () => {
  const drill = { runbook: book, world, prepare: lostFiles };

  it("when a command fails", { timeout: 900_000 }, async () => {
    expect(
      await failEach({ ...drill, alsoGood: ({ changed }) => changed.length === 0 }, { times: 1 }),
    ).toEqual([]);
  });

  it("when the second of two volumes is not attached: no node is powered on without its own", async () => {
    const bad = await failEach(
      { ...drill, alsoGood: ({ changed }) => changed.length === 0 },
      { times: 1, where: /AttachVolume .*i-00a0000000000000a/ },
    );
    expect(bad).toEqual([]);
  });

  it("and when it was killed while the content is looked at", { timeout: 900_000 }, async () => {
    const looking = [
      "partitionsFound",
      "mountedAsItIs",
      "unmountedAgain",
      "mountedForUse",
      "checksRun",
      "cleared",
    ];
    const bad = await everyRow(
      1,
      {
        params: { group: "mount" },
        world: { ...world, runbook: book },
        prepare: lostFiles,
        look: () => "settled",
      },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps, changed].every((list) => list.length === 0) && end === "succeeded",
      (unit) => looking.includes(unit),
    );
    expect(bad).toEqual([]);
  });

  it("and when it was killed anywhere", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      2,
      { params: {}, world: { ...world, runbook: book }, prepare: lostFiles, look: () => "settled" },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps, changed].every((list) => list.length === 0) &&
        ["succeeded", "given back", "refused"].includes(end),
    );
    expect(bad).toEqual([]);
  });

  it("and give-back lets nothing in while a drill's volume lies there, its journal being lost", async () => {
    const sim = await openSimulation({ ...world, runbook: book });
    try {
      await lostFiles(sim);
      const runner = sim.runner();
      const walk = await runner.start(await runner.plan({}), {
        onLine: ({ kind, body }) =>
          void (kind === "outcome" && body["unit"] === "newVolumesIn" && runner.die()),
      });
      void walk.go();
      while (runner.alive()) await sim.clock.sleep(10);
      sim.loseStore();
      await sim.clock.sleep(hours(5));
      await settle(sim.lab);
      const writes = sim.writes().length;
      const giveBack = await sim.open("runbooks/give-back.ts");
      await expect(sim.runner(giveBack).plan({ alone: "known" })).rejects.toMatchObject({
        message: expect.stringMatching(/stage1 has vol-\S+ of drill \S+ attached/) as string,
        hint: expect.stringContaining("power the nodes off, detach its volumes, and plan again") as string,
      });
      expect(sim.writes().slice(writes)).toEqual([]);

      for (const node of ["stage1", "stage2"]) {
        const { instance } = sim.lab.node(node);
        sim.lab.cloud.stop(instance);
        await settle(sim.lab);
        for (const { volume } of sim.lab.cloud.attached(instance))
          if ("runbook:drill" in sim.lab.cloud.getVolume(volume).tags) sim.lab.cloud.detachVolume(volume);
      }
      await settle(sim.lab);
      const { ended } = await sim.runner(giveBack).run({ alone: "known" });
      expect([ended.end, ended.why]).toEqual(["succeeded", undefined]);
      await settle(sim.lab);
      expect(sim.lab.cluster("staging").mirrors[0]?.status("stage1")).toBe("Normal");
      expect(sim.breaches).toEqual([]);
    } finally {
      sim.close();
    }
  });
});

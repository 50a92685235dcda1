import { describe, expect, it } from "vitest";

import { spoilVolume } from "../../src/lab/commands-read.ts";
import { playThrough, when } from "../support/happenings.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play, type Played } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const read: Play = {
  runbook: "runbooks/restore.ts",
  params: { warm: "read" },
  // What comes over comes fast, so that nobody looks for hours: a reader is then as slow as the volume.
  world: { files: { "orders.txt": "one" }, cloud: { lazyMiBps: 1000 } },
  prepare: lostFiles,
};
/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;
const givenBack = { end: "given back", changed: [], breaches: [], gaps: [] };

interface Effect {
  readonly what: string;
  readonly node: string;
  readonly volume: string;
  readonly at: number;
}

/** What happened of these kinds, in order. */
function effectsOf(sim: Simulation, ...kinds: readonly string[]): readonly Effect[] {
  return sim.lab.heart.effects
    .filter(({ detail }) => kinds.includes(detail.kind))
    .map(({ detail, at }) => ({
      what: detail.kind,
      node: String(detail["node"]),
      volume: String(detail["volume"]),
      at,
    }));
}

describe("a restore that reads its new volumes through", () => {
  it("reads each of them whole, side by side, after the swap and before a mirror is started", async () => {
    const { played, sim } = await playThrough(read);
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
    const volumes = ["server1", "server2"].map((node) => sim.lab.volumeOf(node, "md1"));
    const reads = effectsOf(sim, "volume-read");
    expect(reads.map(({ volume }) => volume).sort()).toEqual([...volumes].sort());
    const started = effectsOf(sim, "mirror-initialised", "mirror-loaded").filter(({ volume }) =>
      volumes.includes(volume),
    );
    const attached = effectsOf(sim, "volume-attached").filter(({ volume }) => volumes.includes(volume));
    for (const { at } of reads) {
      expect(at).toBeLessThan(Math.min(...started.map((each) => each.at)));
      expect(at).toBeGreaterThan(Math.max(...attached.map((each) => each.at)));
    }
    const begun = sim.lab.heart.received.filter(({ line }) => line.startsWith("runbook-startReading"));
    expect(begun.map(({ node }) => node)).toEqual(["server1", "server2"]);
    // Both were begun before either was over.
    expect(Math.max(...begun.map(({ at }) => at))).toBeLessThan(Math.min(...reads.map(({ at }) => at)));
  });

  it("puts them back when a node is booted meanwhile: nothing is believed of another boot", async () => {
    const { played } = await playThrough(read, (each) =>
      when(each, /^runbook-startReading/, () => each.lab.rebootUnasked("server2")),
    );
    expect(played).toMatchObject(givenBack);
    expect(played.why).toMatch(/server2 was booted since its devices were proven/);
  });

  it("puts the old volumes back when a block cannot be read, and ends the other readers before", async () => {
    const { played, sim } = await playThrough(read, (each) =>
      when(each, /^runbook-startReading/, () => {
        const volume = each.lab.volumeOf("server1", "md1");
        if (volume !== undefined) spoilVolume(each.lab.heart, volume);
      }),
    );
    expect(played).toMatchObject(givenBack);
    expect(played.why).toMatch(
      /server1: vol-\w+ cannot be read through: dd ended with exit status 1: dd: error reading/,
    );
    expect(played.done).not.toContain("startMirrors");
    expect(effectsOf(sim, "mirror-initialised", "volume-busy")).toEqual([]);
    // The reader on the other node was in the middle of it.
    const lines = sim.lab.heart.received.map(({ node, line }) => `${node ?? "cloud"} ${line}`);
    const stopped = lines.findIndex((line) => line.startsWith("server2 runbook-stopReadings"));
    expect(stopped).toBeGreaterThan(0);
    expect(stopped).toBeLessThan(lines.findLastIndex((line) => /DetachVolume/.test(line)));
  });

  it("begins none twice when the answer is lost, and goes on", async () => {
    let begun = 0;
    const { played } = await playOnce(
      {
        ...read,
        after: (sim) =>
          (begun = new Set(
            sim.lab.heart.effects
              .filter(({ what }) => /readings\/\w+\/vol-\w+\.1\/bytes/.test(what))
              .map(({ what }) => what),
          ).size),
      },
      [{ match: "/startReading/", node: "server1", action: "lose-after", times: 1 }],
    );
    expect({ begun, ...played }).toMatchObject({ begun: 2, end: "succeeded", breaches: [], gaps: [] });
  });

  it("of one side alone, reads that side before its mirror is started", async () => {
    const { played, sim } = await playThrough({
      ...read,
      runbook: "runbooks/restore-one.ts",
      params: { warm: "read", onto: "server2", join: "now" },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(effectsOf(sim, "volume-read").map(({ node, volume }) => [node, volume])).toEqual([
      ["server2", sim.lab.volumeOf("server2", "md1")],
    ]);
  });

  it("says in its plan how long the service is out for it at least, and where that is from", async () => {
    const sim = await openSimulation({ ...read.world, runbook: read.runbook });
    try {
      await lostFiles(sim);
      const plan = await sim.runner().plan({ warm: "read" });
      const { told } = plan.facts["warmTold"] as { told: string[] };
      // 100 GiB at 125 MiB a second, and at 100.
      expect(told.join()).toMatch(/the service is out meanwhile: at least 14 min, .*no history.*18 min/);
      const unit = plan.units.find(({ key }) => key === "readThrough");
      expect(unit?.sends.map(({ request }) => request.verb)).toEqual([
        "nodes.startReading",
        "nodes.startReading",
      ]);
      expect(unit?.undo.map(({ title }) => title)).toEqual(["End the reading of the new volumes"]);
      expect(unit?.withinMs).toBeGreaterThan(2 * 3_600_000);
    } finally {
      sim.close();
    }
  });

  it("leaves nothing half done when a command fails once", { timeout: 900_000 }, async () => {
    const restored: Play["alsoGood"] = ({ changed, done }: Played) =>
      done.includes("startMirrors") && changed.every((line) => places.test(line));
    expect(await failEach({ ...read, alsoGood: restored }, { times: 1 })).toEqual([]);
  });

  const killed = {
    params: { warm: "read" },
    world: { ...read.world, runbook: read.runbook },
    prepare: lostFiles,
    look: (sim: Simulation) =>
      sim.lab.heart.received.filter(({ line }) => line.startsWith("runbook-startReading")).length,
  };
  const reading = (unit: string) => unit === "readThrough";

  for (const [words, hours] of [
    ["at once", 0],
    ["when the reading is long over", 2],
  ] as const)
    it(`killed around the reading and resumed ${words}, it goes on`, { timeout: 900_000 }, async () => {
      const bad = await everyRow(
        1,
        { ...killed, meanwhile: (sim) => sim.clock.sleep(hours * 3_600_000) },
        ({ end, changed, breaches, gaps, looked }) =>
          [breaches, gaps].every((list) => list.length === 0) &&
          looked === 2 &&
          end === "succeeded" &&
          changed.every((line) => places.test(line)),
        reading,
      );
      expect(bad).toEqual([]);
    });

  it(
    "killed around the reading, with a node booted meanwhile, it gives back",
    { timeout: 900_000 },
    async () => {
      const bad = await everyRow(
        1,
        {
          ...killed,
          meanwhile: async (sim) => {
            sim.lab.rebootUnasked("server1");
            await sim.clock.sleep(600_000);
          },
        },
        ({ end, changed, breaches, gaps }) =>
          end === "given back" && [changed, breaches, gaps].every((list) => list.length === 0),
        reading,
      );
      expect(bad).toEqual([]);
    },
  );
});

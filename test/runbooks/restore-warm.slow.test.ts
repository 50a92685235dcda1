import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import type { Simulation } from "../support/simulation.ts";

const fast: Play = {
  runbook: "runbooks/restore.ts",
  params: { warm: "fast" },
  world: { files: { "orders.txt": "one" } },
  prepare: lostFiles,
};
/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;

interface Seen {
  readonly fast: readonly (boolean | undefined)[];
  readonly on: number;
  readonly uses: number;
  /** Milliseconds between the first new volume and the stop of the groups. */
  readonly readyBeforeStop: boolean;
}

function look(sim: Simulation): Seen {
  const volumes = ["server1", "server2"].map((node) =>
    sim.lab.cloud.getVolume(sim.lab.volumeOf(node, "md1") ?? ""),
  );
  const { received } = sim.lab.heart;
  // The backup before it has stopped the groups too.
  const stop = received.findLast(({ line }) => line.startsWith("clpgrp -t"))?.at ?? 0;
  return {
    fast: volumes.map(({ fastRestored }) => fastRestored),
    on: sim.lab.cloud.fastRestores.on().length,
    uses: sim.lab.cloud.fastRestores.uses().length,
    readyBeforeStop: volumes.every(({ initialization }) => (initialization?.until ?? 0) <= stop),
  };
}

async function play(play: Play) {
  let seen: Seen | undefined;
  const { played } = await playOnce({ ...play, after: (sim) => (seen = look(sim)) });
  return { played, seen };
}

/** From the first wish for fast restore to the last word about it. */
const warming = [
  "fastRestoreOn",
  "fastRestoreReady",
  "newVolumes",
  "volumesReady",
  "volumesFast",
  "fastRestoreOff",
];

describe("a restore with a warm-up", () => {
  it("by fast restore makes whole volumes, and switches it off again before the outage", async () => {
    const { played, seen } = await play(fast);
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toMatchObject({ fast: [true, true], on: 0, uses: 2 });
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it("of two nodes in one zone, over one TiB, makes one volume after the other, both whole", async () => {
    const { played, seen } = await play({
      ...fast,
      world: { ...fast.world, sizeGiB: 2048, cloud: { zones: ["ap-northeast-1a"] } },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toMatchObject({ fast: [true, true], on: 0, uses: 1 });
  });

  it("leaves on what was on before", async () => {
    const { played, seen } = await play({
      ...fast,
      prepare: async (sim) => {
        await lostFiles(sim);
        const [snapshot] = sim.lab.cloud.listSnapshots();
        if (!snapshot) throw new Error("no snapshot");
        sim.lab.cloud.fastRestores.enable(snapshot, ["ap-northeast-1a"]);
        await settle(sim.lab);
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toMatchObject({ fast: [true, true], on: 1, uses: 2 });
  });

  it("that cannot be had is given back before anything is stopped", async () => {
    const { played, seen } = await play({
      ...fast,
      prepare: async (sim) => {
        await lostFiles(sim);
        sim.lab.cloud.fastRestores.failNext();
      },
    });
    expect(played).toMatchObject({ end: "given back", changed: [], breaches: [], gaps: [] });
    expect(played.why).toMatch(/fast restore of snap-\w+ in \S+ was not to be had/);
    expect(played.done).not.toContain("newVolumes");
    expect(seen).toMatchObject({ on: 0 });
  });

  it("at a rate waits until the new volumes are whole, and stops the groups then", async () => {
    const { played, seen } = await play({ ...fast, params: { warm: "rate", rate: "100" } });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toMatchObject({ readyBeforeStop: true, uses: 0 });
  });

  it("and without one does not wait, and says so in its plan", async () => {
    const { played, seen } = await play({ ...fast, params: {} });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toMatchObject({ readyBeforeStop: false, uses: 0 });
  });

  it("never leaves fast restore on when a command fails once", { timeout: 900_000 }, async () => {
    const restored: Play["alsoGood"] = ({ changed, done }) =>
      done.includes("startMirrors") && changed.every((line) => places.test(line));
    expect(await failEach({ ...fast, alsoGood: restored }, { times: 1 })).toEqual([]);
  });

  it("never leaves fast restore on when it was killed, wherever that was", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      {
        params: { warm: "fast" },
        world: { ...fast.world, runbook: fast.runbook },
        prepare: lostFiles,
        look: (sim) => sim.lab.cloud.fastRestores.on().length,
      },
      ({ end, changed, breaches, gaps, looked }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        looked === 0 &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back" && changed.length === 0),
      (unit) => warming.includes(unit),
    );
    expect(bad).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { play } from "../support/mutant-nights.ts";
import { lostFiles } from "../support/lost-files.ts";
import type { Simulation } from "../support/simulation.ts";

const atTheCut = { "app/version": "1", "orders.txt": "one" };
const restore: Play = {
  runbook: "runbooks/restore.ts",
  world: { files: { "orders.txt": "one" } },
  prepare: lostFiles,
};

/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;

describe("restore", () => {
  it("brings the files of a backup back on both sides, and keeps the old volumes", async () => {
    let files: unknown;
    const { played } = await playOnce({
      ...restore,
      prepare: async (sim) => {
        await play(sim, "backup-standby");
        sim.lab.deleteFile("prod", "md1", "orders.txt");
        sim.lab.writeFile("prod", "md1", "late.txt", "written after the cut");
        await settle(sim.lab);
      },
      after: (sim) => {
        files = ["server1", "server2"].map((node) => sim.lab.readFiles(sim.lab.volumeOf(node, "md1") ?? ""));
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(files).toEqual([atTheCut, atTheCut]);
    // Nothing has changed but volumes and their places.
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it("ends as if never killed, or given back", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { ...restore.world, runbook: restore.runbook }, prepare: lostFiles },
      ({ end, changed, breaches, gaps, lies }) =>
        [breaches, gaps, lies].every((list) => list.length === 0) &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back" && changed.length === 0),
    );
    expect(bad).toEqual([]);
  });

  it.each([1, "for good"] as const)(
    "gives the old volumes back when a node cannot be stopped, or a volume not taken out (%s)",
    { timeout: 900_000 },
    async (times) => {
      const where = /^(StopInstances|DetachVolume)/;
      expect(await failEach(restore, { times, where })).toEqual([]);
    },
  );

  it("gives the old volumes back when a command fails once", { timeout: 900_000 }, async () => {
    // After the start of the mirrors there is no way back, and what remains to be done is done.
    let state: unknown;
    const restored: Play["alsoGood"] = ({ changed, done }) =>
      done.includes("startMirrors") &&
      changed.every((line) => places.test(line)) &&
      JSON.stringify(state) === JSON.stringify([atTheCut, atTheCut]);
    const look = (sim: Simulation) =>
      (state = ["server1", "server2"].map((node) => {
        const volume = sim.lab.volumeOf(node, "md1");
        return volume === undefined ? "no volume" : sim.lab.readFiles(volume);
      }));
    expect(await failEach({ ...restore, after: look, alsoGood: restored }, { times: 1 })).toEqual([]);
  });

  it.each([
    ["at once", 0],
    ["when one side has long served alone", 30 * 60_000],
  ] as const)(
    "killed while the two sides are started, and resumed %s, never shows two contents, and comes to be whole",
    { timeout: 900_000 },
    async (_when, pauseMs) => {
      const bad = await everyRow(
        1,
        {
          params: {},
          world: { ...restore.world, runbook: restore.runbook },
          prepare: lostFiles,
          meanwhile: (sim) => sim.clock.sleep(pauseMs),
          look: whole,
        },
        ({ end, looked, breaches, gaps }) =>
          [breaches, gaps].every((list) => list.length === 0) &&
          looked === "whole" &&
          ["succeeded", "given back", "stuck"].includes(end),
        (unit) => unit === "startMirrors",
      );
      expect(bad).toEqual([]);
    },
  );
});

/** One content on both sides, in sync, and served. */
function whole(sim: Simulation): string {
  const sides = ["server1", "server2"];
  const colours = sides.map((node) => sim.lab.cluster().mirrors[0]?.control(node)?.colour).join();
  const [one, two] = sides.map((node) => {
    const volume = sim.lab.volumeOf(node, "md1");
    return volume === undefined ? "none" : JSON.stringify(sim.lab.readFiles(volume, true));
  });
  const serves = sim.lab.cluster().nodeOf("failover1") ?? "nowhere";
  return colours === "GREEN,GREEN" && one === two && serves !== "nowhere"
    ? "whole"
    : `${colours}, ${one === two ? "same" : `${one} and ${two}`}, served ${serves}`;
}

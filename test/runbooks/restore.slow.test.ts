import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import type { Simulation } from "../support/simulation.ts";

/** A backup was made, and then files were deleted and written, on both sides of the mirror. */
async function lostFiles(sim: Simulation): Promise<void> {
  const backup = await sim.open("runbooks/backup-standby.ts");
  const { ended } = await sim.runner(backup).run({ service: "early" });
  expect(ended.end).toBe("succeeded");
  sim.lab.deleteFile("prod", "md1", "orders.txt");
  sim.lab.writeFile("prod", "md1", "late.txt", "written after the cut");
  await settle(sim.lab);
}

const atTheCut = { "app/version": "1", "orders.txt": "one" };
const restore: Play = {
  runbook: "runbooks/restore.ts",
  world: { files: { "orders.txt": "one" } },
  prepare: lostFiles,
};

/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;

describe("restore", () => {
  it("brings the files back on both sides, and keeps the old volumes", async () => {
    let files: unknown;
    const { played } = await playOnce({
      ...restore,
      after: (sim) => {
        files = ["server1", "server2"].map((node) => sim.lab.readFiles(sim.lab.volumeOf(node, "md1") ?? ""));
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(files).toEqual([atTheCut, atTheCut]);
    // Nothing has changed but volumes and their places.
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it(
    "ends as if never killed, or given back, or stuck where only one side was started",
    { timeout: 900_000 },
    async () => {
      const bad = await everyRow(
        2,
        Number(process.env["ROW_STEP"] ?? 53),
        { params: {}, world: { ...restore.world, runbook: restore.runbook }, prepare: lostFiles },
        ({ end, why, changed, breaches, gaps, lies }) =>
          [breaches, gaps, lies].every((list) => list.length === 0) &&
          (end === "succeeded"
            ? changed.every((line) => places.test(line))
            : end === "given back"
              ? changed.length === 0
              : // Which side is to count is a person's choice then.
                end === "stuck" && /may have served alone/.test(why)),
      );
      expect(bad).toEqual([]);
    },
  );

  it("gives the old volumes back when a command fails once", { timeout: 900_000 }, async () => {
    // After the start of the mirrors there is no way back, and what remains to be done is done.
    const restored: Play["alsoGood"] = ({ changed, done }) =>
      done.includes("startMirrors") && changed.every((line) => places.test(line));
    expect(await failEach({ ...restore, alsoGood: restored }, { times: 1 })).toEqual([]);
  });
});

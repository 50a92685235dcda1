import { describe, expect, it } from "vitest";

import { playThrough, when } from "../support/happenings.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce } from "../support/laws.ts";

const both = { runbook: "runbooks/backup-both.ts" } as const;

describe("backup-both", () => {
  it.each([{}, { mirrors: 3 }] as const)(
    "cuts each side, and leaves the cluster as it was (%o)",
    async (world) => {
      let truths: unknown;
      const { played } = await playOnce({
        ...both,
        world,
        after: (sim) => {
          truths = sim.lab.cloud.listSnapshots().map(({ truth }) => [truth.powerOff, truth.clean]);
        },
      });
      expect(played).toMatchObject({ end: "succeeded", changed: [], breaches: [], gaps: [] });
      expect(truths).toEqual(Array.from({ length: "mirrors" in world ? 6 : 2 }, () => [true, true]));
    },
  );

  it("calls no point quiesced that was cut after a node had fallen while it stopped the groups", async () => {
    const { played, sim } = await playThrough(both, (each) =>
      when(each, /^clpgrp -t/, () => each.lab.crash("server1")),
    );
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    const cut = sim.lab.cloud.listSnapshots();
    expect(cut.map(({ truth }) => truth.clean)).toEqual([false, false]);
    expect(cut.map(({ tags }) => tags["runbook:consistency"])).toEqual([
      "crash-consistent",
      "crash-consistent",
    ]);
    expect(cut[0]?.tags["runbook:why"]).toContain("may not have been unmounted");
  });

  it("gives everything back when one of its commands fails once", { timeout: 900_000 }, async () => {
    expect(await failEach(both, { times: 1 })).toEqual([]);
  });

  it("ends as if never killed, wherever it was killed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { runbook: both.runbook } },
      ({ end, changed, breaches, gaps, snapshots }) =>
        end === "succeeded" &&
        [changed, breaches, gaps].every((list) => list.length === 0) &&
        snapshots === 2,
    );
    expect(bad).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";

import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";

const active = { runbook: "runbooks/backup-active.ts" } as const;

describe("backup-active", () => {
  it.each([
    { service: "early", after: "back" },
    { service: "late", after: "back" },
  ] as const)("ends well, and the groups are where they were ($service)", async (params) => {
    const { played } = await playOnce({ ...active, params });
    expect(played).toMatchObject({ end: "succeeded", changed: [], breaches: [], gaps: [] });
  });

  it("leaves the groups on the other node if it was told so, and changes nothing else", async () => {
    const { played } = await playOnce({ ...active, params: { after: "stay" } });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(played.changed.filter((line) => !/groups\.failover1|mounts/.test(line))).toEqual([]);
  });

  it("gives everything back when one of its commands fails once", { timeout: 600_000 }, async () => {
    const play: Play = { ...active, params: { service: "early" } };
    expect(await failEach(play, { times: 1 })).toEqual([]);
  });

  it(
    "gives back, or is stuck with commands that help, when one fails for good",
    { timeout: 600_000 },
    async () => {
      expect(await failEach(active, { times: "for good" })).toEqual([]);
    },
  );

  it("ends as if never killed, wherever it was killed", { timeout: 600_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: { service: "early" }, world: { runbook: active.runbook } },
      ({ end, changed, breaches, gaps, lies, snapshots }) =>
        end === "succeeded" &&
        [changed, breaches, gaps, lies].every((list) => list.length === 0) &&
        snapshots === 1,
    );
    expect(bad).toEqual([]);
  });
});

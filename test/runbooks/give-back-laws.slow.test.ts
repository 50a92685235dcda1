/** give-back itself in trouble: each of its commands fails, and its runner is killed anywhere. */
import { describe, expect, it } from "vitest";

import { bothPrepared, broken, standbyOutside, type, volumesOut } from "../support/bad-nights.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, type Play } from "../support/laws.ts";
import type { Simulation } from "../support/simulation.ts";

const runbook = "runbooks/give-back.ts";

const nights: { readonly [night: string]: Pick<Play, "prepare" | "params"> } = {
  "the standby in backup mode": { prepare: (sim) => standbyOutside(sim) },
  "the standby half prepared": {
    prepare: async (sim: Simulation) => {
      await broken(sim);
      await type(sim, "server2", "clpbackup.sh --pre --no-shutdown");
    },
  },
  "both nodes off, their volumes detached": {
    prepare: async (sim: Simulation) => {
      await bothPrepared(sim);
      await volumesOut(sim, true);
    },
    params: { alone: "known" },
  },
};

/** Marking the nodes failed, and all is as it was found; or the side that came in first has the group. */
const fine: NonNullable<Play["alsoGood"]> = ({ end, done, changed }) =>
  end === "given back" &&
  (!done.includes("holdNodes") ||
    changed.every((line) => /groups\.failover1\.server|nodes\.server\d\.mounts/.test(line)));

describe.each(Object.entries(nights))("after a night that left %s", (_night, night) => {
  const play: Play = { ...night, runbook, against: "untouched", alsoGood: fine };

  it("one command that fails hinders nothing: all is normal in the end", { timeout: 900_000 }, async () => {
    expect(await failEach(play, { times: 1 })).toEqual([]);
  });

  it("a command that fails for good makes it stuck, and breaks nothing", { timeout: 900_000 }, async () => {
    const alsoGood: Play["alsoGood"] = (played) => played.end === "stuck" || fine(played);
    expect(await failEach({ ...play, alsoGood }, { times: "for good" })).toEqual([]);
  });

  it("ends as if never killed, wherever it was killed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, ...night, world: { runbook }, against: "untouched" },
      ({ end, changed, breaches, gaps }) =>
        ["succeeded", "given back"].includes(end) &&
        [changed, breaches, gaps].every((list) => list.length === 0),
    );
    expect(bad).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";

import type { DrillCheck } from "../../src/runbook/drill-setting.ts";
import { everyRow } from "../support/kill.ts";
import { playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { versionIs, type Simulation } from "../support/simulation.ts";

const file = (path: string): DrillCheck => ({
  kind: "file",
  name: `${path} is there`,
  on: "md1",
  path,
  sha256: null,
  seconds: 60,
});

const restore = (...checks: readonly DrillCheck[]): Play => ({
  runbook: "runbooks/restore.ts",
  world: { files: { "orders.txt": "one" }, checks },
  prepare: lostFiles,
});
const places = /^volumes\.|attachments|mirrors\.md1\.volumes/;

/** What of a restored world lies on the nodes, and where checks were run. */
function look(sim: Simulation) {
  return {
    left: [...sim.lab.nodes.values()].filter((node) =>
      node.files.list("/run").some((name) => /drill/.test(name)),
    ).length,
    ranOn: [
      ...new Set(
        sim.lab.heart.received
          .filter(({ line }) => line.includes("runbook-runCheck"))
          .map(({ node }) => node ?? ""),
      ),
    ],
  };
}

describe("what the inventory wants to find after a restore", () => {
  it("is looked at where the service runs again, and nothing of it stays on the nodes", async () => {
    let seen: unknown;
    const { played } = await playOnce({
      ...restore(versionIs("1"), file("orders.txt")),
      after: (sim) => (seen = look(sim)),
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(seen).toEqual({ left: 0, ranOn: ["server1"] });
  });

  it("and is not there, ends the run with what stays and what a person says next", async () => {
    const { played } = await playOnce(restore(versionIs("2")));
    expect(played).toMatchObject({ end: "given back", breaches: [], gaps: [] });
    expect(played.why).toMatch(/the restored content is not what was wanted: the version: failed/);
    // Both sides serve what was restored, in sync, and the settings are as they were.
    expect(played.done).toContain("optionsBack");
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
  });

  it("and could not be looked at, is not proven, and so no success", async () => {
    const unknown: DrillCheck = { ...versionIs("1"), argv: ["no-such-program"] };
    const { played } = await playOnce(restore(unknown));
    expect(played.end).toBe("given back");
    expect(played.why).toMatch(/the restored content is not proven: the version: not proven/);
  });

  it("is looked at before the other side is overwritten, where one side was restored", async () => {
    const { played } = await playOnce({
      ...restore(versionIs("2")),
      runbook: "runbooks/restore-one.ts",
      params: { onto: "server1" },
    });
    expect(played.end).toBe("stuck");
    expect(played.why).toMatch(/the restored content is not what was wanted/);
    expect(played.breaches).toEqual([]);
    expect(played.done).toContain("servesAlone");
    expect(played.done).not.toContain("otherStarted");
  });

  it("is looked at once, wherever the run was killed", { timeout: 900_000 }, async () => {
    const { world, prepare, runbook } = restore(versionIs("1"));
    const bad = await everyRow(
      1,
      {
        params: {},
        world: { ...world, runbook },
        ...(prepare && { prepare }),
        look: (sim) => look(sim).left,
      },
      ({ end, changed, breaches, gaps, looked }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        looked === 0 &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back" && changed.length === 0),
      (unit) => ["contentLooked", "checkFoldersGone", "contentRight"].includes(unit),
    );
    expect(bad).toEqual([]);
  });
});

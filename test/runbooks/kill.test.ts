import { describe, expect, it } from "vitest";

import { describeWorld } from "../../src/lab/compare.ts";
import { openSimulation } from "../support/simulation.ts";

/** Kills the runner at one row, resumes at once, and says how it ended and what stands in the world. */
async function killAt(row: number, when: "before" | "after", service: "early" | "late") {
  const sim = await openSimulation({ cloud: { listLagSeconds: 20 } });
  try {
    const before = describeWorld(sim.lab);
    const first = sim.runner();
    const plan = await first.plan({ service });
    let reached = false;
    const walk = await first.start(plan, { dieAtRow: { row, when } });
    const ended = await Promise.race([
      walk.go(),
      (async () => {
        while (first.alive()) await sim.clock.sleep(1);
        reached = true;
        return undefined;
      })(),
    ]);
    if (!reached) return { reached, ended };
    const second = sim.runner();
    const again = await second.resume(walk.run);
    const looked = await again.lookAgain();
    if (looked.some((entry) => !entry.good)) again.wantBack("test", "no longer holds");
    const end = await again.go();
    await again.close();
    const stops = sim.lab.heart.effects.filter((effect) => effect.detail.kind === "group-stopped");
    return {
      reached,
      ended: end,
      snapshots: sim.lab.cloud.listSnapshots().length,
      stops: stops.length,
      gaps: sim.gaps(),
      breaches: sim.breaches.map((breach) => breach.what),
      world: describeWorld(sim.lab),
      before,
      rows: again.logbook.lines,
    };
  } finally {
    sim.close();
  }
}

describe("killed at every row and resumed at once, backup-standby", () => {
  for (const service of ["early", "late"] as const) {
    it(`ends as if never killed, service ${service}`, { timeout: 600_000 }, async () => {
      const step = Number(process.env["ROW_STEP"] ?? 7);
      const bad: string[] = [];
      for (
        let row = Number(process.env["ROW_FROM"] ?? 2);
        row < Number(process.env["ROW_TO"] ?? 10000);
        row += step
      ) {
        for (const when of ["before", "after"] as const) {
          const result = await killAt(row, when, service);
          if (!result.reached) return expect(bad).toEqual([]);
          const { ended, snapshots, stops, gaps, breaches } = result;
          const same = JSON.stringify(result.world) === JSON.stringify(result.before);
          if (
            ended?.end !== "succeeded" ||
            snapshots !== 1 ||
            stops !== 1 ||
            gaps?.length ||
            breaches?.length ||
            !same
          ) {
            bad.push(
              `${row} ${when}: ${ended?.end} ${ended?.why} snapshots=${snapshots} stops=${stops} ${gaps} ${breaches} same=${same}`,
            );
            if (process.env["TRACE"]) {
              console.log(bad.at(-1));
              console.log(
                result.rows
                  ?.filter((line) => line.kind !== "read")
                  .map(
                    (line) =>
                      `${new Date(line.at).toISOString()} ${line.kind} ${JSON.stringify(line.body).slice(0, 260)}`,
                  )
                  .join("\n"),
              );
              if (!same) expect(result.world).toEqual(result.before);
            }
          }
        }
      }
      expect(bad).toEqual([]);
    });
  }
});

import { afterEach, describe, expect, it } from "vitest";

import { describeWorld } from "../../src/lab/compare.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";

let sim: Simulation;
const open = async (options: SimulationOptions = {}) => (sim = await openSimulation(options));
afterEach(() => sim.close());

describe("backup-standby", () => {
  it("ends well, with twelve hours of copying, and leaves the cluster as it found it", async () => {
    await open({ cloud: { snapshotSeconds: 12 * 3600 } });
    const before = describeWorld(sim.lab);
    const lines: string[] = [];
    const { ended } = await sim.runner().run(
      { service: "early" },
      {
        onLine: (line) =>
          (process.env.TRACE &&
            process.stderr.write(
              `${new Date(line.at).toISOString()} ${line.kind} ${JSON.stringify(line.body).slice(0, 300)}\n`,
            )) ||
          lines.push(
            `${new Date(line.at).toISOString()} ${line.kind} ${JSON.stringify(line.body).slice(0, 200)}`,
          ),
      },
    );
    if (ended.end !== "succeeded") console.log(lines.join("\n"));
    expect(ended.why).toBeUndefined();
    expect(ended.end).toBe("succeeded");
    console.log(sim.writes().join("\n"));
    expect(sim.gaps()).toEqual([]);
    expect(sim.breaches).toEqual([]);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.lab.cloud.listSnapshots().map(({ truth }) => truth)).toEqual([
      { powerOff: true, isolated: true, clean: true },
    ]);
  });
});

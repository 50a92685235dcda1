/**
 * A resume long after the run was planned. What it decides, it decides in the command (`src/cli/resume.ts`), so the command
 * itself is played here, its place and its context being those of the simulation.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Context } from "../../src/cli/context.ts";
import { exitCodes } from "../../src/cli/exit.ts";
import { resume } from "../../src/cli/resume.ts";
import { seeRun } from "../../src/cli/runs-seen.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import {
  argsOf,
  connected,
  contextOf,
  effects,
  home,
  hours,
  killedWhen,
  leftOnNodes,
  minutes,
  outcomeOf,
  startRun,
} from "../support/story.ts";

const given = vi.hoisted((): { context?: Context } => ({}));
vi.mock("../../src/cli/context.ts", async (original) => ({
  ...(await original<typeof import("../../src/cli/context.ts")>()),
  openPlaceOf: async () => given.context,
  openContext: async () => given.context,
}));

let sim: Simulation;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "runbook-expiry-"));
  vi.stubEnv("RUNBOOK_HOME", folder);
  sim = await openSimulation();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
  sim.close();
});

/** `runbook resume RUN`, as another runner on the same machine gives it. */
async function resumed(run: string, options: { yes?: boolean }) {
  const runner = await connected(sim);
  const out: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
  // Loading the runbook takes real time, in which nothing may happen in the lab.
  const release = sim.clock.hold("loading the runbook");
  const context = contextOf(sim, runner);
  given.context = {
    ...context,
    setting: (params) => {
      release();
      return context.setting(params);
    },
  } satisfies Context;
  const writes = sim.writes().length;
  const code = await resume(run, options);
  vi.restoreAllMocks();
  return { code, said: out.join(""), written: sim.writes().slice(writes), store: runner.store };
}

describe("a run that was killed, and is resumed", () => {
  it("goes on while its plan holds", async () => {
    const { run } = await killedWhen(sim, { service: "early" }, outcomeOf("startGroups"));
    const { code, said } = await resumed(run, { yes: true });
    expect(code, said).toBe(exitCodes.done);
    expect(said).not.toContain("expired");
    expect(effects(sim, "snapshot-cut")).toHaveLength(1);
  });

  for (const service of ["early", "late"] as const) {
    it(`only gives back once its plan has expired (service ${service})`, async () => {
      const before = describeWorld(sim.lab);
      const last = service === "early" ? "startGroups" : "breakMirrors";
      const { run, plan } = await killedWhen(sim, { service }, outcomeOf(last));
      await sim.clock.sleep(plan.expiresAt - sim.clock.now() + minutes(1));
      const { code, said, written, store } = await resumed(run, { yes: true });
      expect(said).toContain("the plan has expired: the run can only be given back");
      expect(code, said).toBe(exitCodes.givenBack);
      expect((await seeRun(store, run)).state).toBe("given back");
      // The procedure's own writes: the standby stays up, and nothing is cut.
      expect(written.filter((line) => /clpbackup|clpgrp -t|Snapshot|Instances/.test(line))).toEqual([]);
      expect(effects(sim, "snapshot-cut")).toEqual([]);
      expect(home(sim)).toBe("server1");
      expect(effects(sim, "group-stopped")).toHaveLength(1);
      expect(effects(sim, "group-started")).toHaveLength(1);
      expect(await leftOnNodes(sim)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(before);
    });
  }

  it("writes nothing before somebody has said yes, and says that it would give back", async () => {
    const { run, plan } = await killedWhen(sim, { service: "early" }, outcomeOf("startGroups"));
    await sim.clock.sleep(plan.expiresAt - sim.clock.now() + hours(1));
    const { code, said, written, store } = await resumed(run, {});
    expect(code).toBe(exitCodes.waiting);
    expect(said).toContain("the plan has expired: the run can only be given back");
    expect(said).toContain("nothing was done; go on with --yes");
    expect(written).toEqual([]);
    expect((await seeRun(store, run)).state).toBe("interrupted");
  });

  it("cannot begin anew with a plan that has expired", async () => {
    const runner = sim.runner();
    const plan = await runner.plan({ service: "early" });
    await sim.clock.sleep(plan.expiresAt - sim.clock.now() + 1);
    await expect(startRun(argsOf(sim, runner, plan))).rejects.toMatchObject({ kind: "precondition" });
    expect(sim.writes()).toEqual([]);
    expect(await runner.store.list()).toEqual([]);
  });
});

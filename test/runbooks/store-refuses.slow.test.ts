/**
 * A disk that refuses the run's journal while the service is out. Whatever it refuses, down to taking the reserve away: the
 * service comes back first, and the operator is told what is wrong with the disk, what was not journaled, and what to do.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { conduct } from "../../src/cli/conduct.ts";
import { exitCodes } from "../../src/cli/exit.ts";
import type { Walk } from "../../src/engine/walk.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { memory } from "../store/bench.ts";
import { refusingDisk, type RefusingDisk } from "../store/refusing-disk.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import {
  answered,
  argsOf,
  contextOf,
  home,
  leftOnNodes,
  minutes,
  outcomeOf,
  startRun,
  takeUp,
} from "../support/story.ts";

let refusing: RefusingDisk;
let sim: Simulation;
beforeAll(() => {
  refusing = refusingDisk();
});
afterAll(() => refusing.close());
afterEach(() => {
  refusing.refuse = () => undefined;
  vi.restoreAllMocks();
  sim.close();
});

const reading = ["openSync", "readFileSync", "readdirSync", "lstatSync", "closeSync"];
/** What a disk refuses that is full, that turned read-only, and that is gone. */
const troubles = [
  {
    code: "ENOSPC",
    when: answered("cluster.stopGroup"),
    hint: "make room on the disk",
    refuses: (name: string) => !reading.includes(name) && !name.endsWith("rmSync"),
  },
  {
    code: "EROFS",
    when: outcomeOf("breakMirrors"),
    hint: "is read-only",
    refuses: (name: string) => !reading.includes(name),
  },
  { code: "EIO", when: answered("cluster.stopGroup"), hint: "reports errors", refuses: () => true },
];

describe("a disk that refuses the journal while the service is out", () => {
  it.each(troubles)("with $code: the service is given back, and the run says what to do", async (trouble) => {
    const { code, hint, refuses, when } = trouble;
    sim = await openSimulation();
    const before = describeWorld(sim.lab);
    const runner = sim.runner();
    const plan = await runner.plan({ service: "late" });
    refusing.folder = `${memory}/runbook-sim-`;
    let brokenAt = 0;
    let onlineAt = 0;
    sim.lab.heart.listeners.add(({ effect }) => {
      if (effect?.detail.kind === "group-started") onlineAt = sim.clock.now();
    });
    const out: string[] = [];
    const err: string[] = [];
    vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
    vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
    let walk: Walk | undefined;
    const exit = await conduct(contextOf(sim, runner), plan, { onFailure: "give-back" }, async (common) => {
      const { onLine, ...rest } = common;
      walk = await startRun({
        ...argsOf(sim, runner, plan),
        ...rest,
        onLine: (line) => {
          onLine?.(line);
          if (brokenAt > 0 || !when(line)) return;
          brokenAt = sim.clock.now();
          refusing.refuse = (_call, name) => (refuses(name) ? { code, done: "nothing" } : undefined);
        },
      });
      return walk;
    });
    vi.restoreAllMocks();
    refusing.refuse = () => undefined;

    const said = out.join("");
    expect(exit, said).toBe(exitCodes.stuck);
    expect(home(sim)).toBe("server1");
    expect(onlineAt - brokenAt).toBeGreaterThan(0);
    expect(onlineAt - brokenAt).toBeLessThan(minutes(1));
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(said).toContain(`is stuck: a person is needed (rows of the journal could not be written`);
    expect(said).toContain(code);
    expect(said).toContain(hint);
    expect(said).toContain(`runbook undo ${walk?.run ?? ""}`);
    expect(err.join("")).toContain('not journaled: {"at":');

    // The process is gone, and the disk is well again: the journal is whole up to where it was refused, and a look settles the rest.
    runner.die();
    const { ended } = await takeUp(sim, walk?.run ?? "", "undo");
    expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
  });
});

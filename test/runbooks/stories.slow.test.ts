import { setTimeout as realTime } from "node:timers/promises";

import { afterEach, describe, expect, it } from "vitest";

import { seeRun } from "../../src/cli/runs-seen.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import {
  answered,
  argsOf,
  connected,
  effects,
  home,
  hours,
  killedWhen,
  leftOnNodes,
  minutes,
  outcomeOf,
  resumeRun,
  startRun,
  takeUp,
  typed,
} from "../support/story.ts";

let sim: Simulation;
const open = async (options: SimulationOptions = {}) => (sim = await openSimulation(options));
afterEach(() => sim.close());

describe("a question that stays open", () => {
  /** Answers when three hours of the world have gone by, and no sooner than 50 ms of ours. */
  const afterHours = async () => {
    const asked = sim.clock.now();
    await realTime(50);
    while (sim.clock.now() < asked + hours(3)) await realTime(5);
    return asked;
  };

  it("keeps lease and markers alive, and the run ends as it is answered", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const runner = sim.runner();
    sim.lab.heart.addFault({ match: "clpbackup.sh --pre", action: "fail-before" });
    const lines: Line[] = [];
    const seen: object[] = [];
    const { ended, walk } = await runner.run(
      { service: "early" },
      {
        onLine: (line) => void lines.push(line),
        ask: async ({ units }) => {
          const asked = await afterHours();
          const lease = await runner.store.findLease("prod");
          const renewals = lines.filter(
            ({ at, kind, body }) => at > asked && kind === "answered" && body["verb"] === "nodes.renewMarker",
          );
          seen.push({
            units: units.map(({ key }) => key),
            leaseHolds: (lease?.expiresAt ?? 0) > sim.clock.now(),
            refused: renewals.filter(({ body }) => body["state"] !== "answered").length,
            // Both nodes, several times in each hour.
            often: renewals.length >= 2 * 3 * 3,
          });
          const marker = await runner.drivers.nodes.reads.getMarker("server2");
          expect(marker).toMatchObject({ held: true, marker: { run: walkOf(lines) } });
          expect(marker.held && (marker.marker?.secondsLeft ?? 0)).toBeGreaterThan(0);
          return { verb: "retry", by: "operator", why: "mended" };
        },
      },
    );
    expect(seen).toEqual([{ units: ["prepareStandby"], leaseHolds: true, refused: 0, often: true }]);
    expect(ended).toMatchObject({ end: "succeeded", exposures: [], left: [] });
    expect(walk.logbook.lines.filter(({ kind }) => kind === "verb").map(({ body }) => body)).toMatchObject([
      { verb: "retry", by: "operator", why: "mended" },
    ]);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });

  it("does not keep the service down: the dead-man timer has its time while nobody answers", async () => {
    await open();
    const before = describeWorld(sim.lab);
    sim.lab.heart.addFault({ match: "clpbackup.sh --pre", action: "fail-before" });
    let whileOpen: string | undefined;
    const { ended } = await sim.runner().run(
      { service: "late" },
      {
        ask: async () => {
          await afterHours();
          whileOpen = home(sim);
          return { verb: "give-back", by: "operator", why: "enough for tonight" };
        },
      },
    );
    expect(whileOpen).toBe("server1");
    expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
    expect(effects(sim, "group-started")).toHaveLength(1);
    expect(effects(sim, "group-stopped")).toHaveLength(1);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });

  const walkOf = (lines: readonly Line[]) => {
    const sent = lines.find(({ kind, body }) => kind === "sent" && body["unit"] === "holdNodes");
    return (sent?.body["request"] as { argv: readonly string[] } | undefined)?.argv.find((word) =>
      /^[a-z0-9]{8}$/.test(word),
    );
  };
});

describe("a runner that slept past its lease", () => {
  /** Its clock jumps by twenty minutes right after the break, while the service is out. */
  async function slept() {
    await open();
    const before = describeWorld(sim.lab);
    const runner = sim.runner();
    const plan = await runner.plan({ service: "late" });
    let ahead = 0;
    let writes = -1;
    const clock = { now: () => runner.clock.now() + ahead, sleep: runner.clock.sleep };
    const walk = await startRun({
      ...argsOf(sim, runner, plan, { clock }),
      onLine: (line) => {
        if (!outcomeOf("breakMirrors")(line)) return;
        ahead = minutes(20);
        writes = sim.writes().length;
      },
    });
    const ended = await walk.go();
    await walk.close();
    return { before, ended, run: walk.run, written: sim.writes().slice(writes), store: runner.store };
  }

  it("writes nothing more, and leaves the run open for whoever resumes it", async () => {
    const { ended, run, written, store } = await slept();
    expect(written).toEqual([]);
    expect(ended).toMatchObject({
      end: "held",
      why: "this runner slept past its lease",
      exposures: [{ what: "service" }, { what: "redundancy" }],
    });
    const { state, rows } = await seeRun(store, run);
    expect(["interrupted", "held"]).toContain(state);
    expect(rows.filter(({ kind }) => kind === "end")).toEqual([]);
    expect(home(sim)).toBeUndefined();
  });

  it("is followed by one that looks first and brings the service back", async () => {
    const { before, run } = await slept();
    const { ended, looked } = await takeUp(sim, run, "resume");
    expect(looked).toEqual([
      "stopGroups: still holds",
      "breakMirrors: still holds",
      // Its intent was written when the sleep was noticed: before anything was sent.
      "prepareStandby: begun, not there yet",
    ]);
    expect(ended).toMatchObject({ end: "succeeded", exposures: [] });
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(effects(sim, "group-stopped")).toHaveLength(1);
    expect(sim.breaches).toEqual([]);
  });

  it("is followed, where the dead-man timer was quicker, by one that leaves the service alone", async () => {
    const { before, run } = await slept();
    await sim.clock.sleep(minutes(20));
    expect(home(sim)).toBe("server1");
    const { ended } = await takeUp(sim, run, "resume");
    await settle(sim.lab);
    expect(["succeeded", "given back"]).toContain(ended.end);
    expect(ended).toMatchObject({ exposures: [], left: [] });
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(effects(sim, "group-stopped")).toHaveLength(1);
    expect(effects(sim, "group-started")).toHaveLength(1);
    expect(sim.breaches).toEqual([]);
  });
});

describe("a run that was killed", () => {
  it("is resumed after a person had restarted the service: it stays up, and the rest is given back", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const { run } = await killedWhen(sim, { service: "early" }, answered("cluster.stopGroup"));
    await sim.clock.sleep(minutes(1));
    await typed(sim, "server1", "clpgrp -s failover1");
    const { ended, looked, lines } = await takeUp(sim, run, "resume");
    expect(looked).toEqual([
      "stopGroups: begun, and it cannot go on: failover1 was stopped by this run and is online again",
    ]);
    expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
    expect(effects(sim, "group-stopped")).toHaveLength(1);
    expect(effects(sim, "group-started")).toHaveLength(1);
    expect(lines.find(({ kind, body }) => kind === "undone" && body["unit"] === "stopGroups")).toMatchObject({
      body: { already: true },
    });
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(describeWorld(sim.lab)).toEqual(before);
  });

  for (const between of ["sent", "answered"] as const) {
    it(`between its two markers (${between}) leaves none of them behind an undo`, async () => {
      await open();
      const before = describeWorld(sim.lab);
      const { run } = await killedWhen(sim, { service: "early" }, ({ kind, body }) =>
        kind === between && body["unit"] !== undefined
          ? isTaking(body["request"])
          : kind === between && body["verb"] === "nodes.takeMarker",
      );
      if (between === "answered") expect(await leftOnNodes(sim)).toEqual([`server1: marker of ${run}`]);
      const { ended } = await takeUp(sim, run, "undo");
      expect(ended).toMatchObject({ end: "given back", left: [] });
      expect(await leftOnNodes(sim)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(before);
      expect(sim.writes().filter((line) => !line.includes("runbook-"))).toEqual([]);
    });
  }

  it("is not resumed on other instances than those of its plan, and the stranger is never touched", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const { run, plan } = await killedWhen(sim, { service: "early" }, outcomeOf("prepareStandby"));
    const stranger = sim.lab.node("stage2").instance;
    const writes = sim.writes().length;
    const runner = await connected(sim);
    const args = argsOf(sim, runner, plan);
    const instances = { ...args.setting.instances, server2: stranger };
    const setting = { ...args.setting, instances };
    await expect(resumeRun({ ...args, setting, run })).rejects.toMatchObject({
      kind: "precondition",
      message: expect.stringMatching(
        new RegExp(
          `instances\\.server2: the plan has "${plan.instances["server2"]}", now it is "${stranger}"`,
        ),
      ) as string,
    });
    await expect(startRun({ ...args, setting })).rejects.toMatchObject({ kind: "precondition" });
    expect(sim.writes().slice(writes)).toEqual([]);
    expect(JSON.stringify(sim.lab.heart.received)).not.toContain(stranger);
    // Nothing was taken over by the refusal: with the inventory put right, the run goes on where it stood.
    const { ended } = await takeUp(sim, run, "resume");
    expect(ended).toMatchObject({ end: "succeeded", exposures: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(JSON.stringify(sim.lab.heart.received)).not.toContain(stranger);
  });
});

const isTaking = (request: unknown) =>
  (request as { verb?: string } | undefined)?.verb === "nodes.takeMarker";

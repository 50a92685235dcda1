import { afterEach, describe, expect, it, vi } from "vitest";

import { commandsFor } from "../../src/cli/by-hand.ts";
import { conduct } from "../../src/cli/conduct.ts";
import { exitCodes } from "../../src/cli/exit.ts";
import { seeRun } from "../../src/cli/runs-seen.ts";
import { Failure } from "../../src/errors.ts";
import type { Walk } from "../../src/engine/walk.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import type { JournalWriter, Store } from "../../src/ports/store.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import {
  answered,
  argsOf,
  contextOf,
  effects,
  home,
  hours,
  leftOnNodes,
  markedByOther,
  minutes,
  outcomeOf,
  startRun,
  story,
  takeUp,
  typed,
} from "../support/story.ts";

let sim: Simulation;
const open = async (options: SimulationOptions = {}) => (sim = await openSimulation(options));
afterEach(() => {
  vi.restoreAllMocks();
  sim.close();
});

/** The cloud refuses the snapshot while the service is out: two dry runs of the checks come before it. */
const snapshotDenied = () =>
  sim.lab.heart.addFault({ match: "CreateSnapshot", skip: 2, action: "deny", times: 1 });
const startFails = (times: number) =>
  sim.lab.heart.addFault({ match: "clpgrp -s", action: "fail-before", times });

describe("the start of the group, on the way back,", () => {
  it("is tried again at once when it fails once, and the timer stays until the service is back", async () => {
    await open({ copySeconds: 1800 });
    const before = describeWorld(sim.lab);
    snapshotDenied();
    startFails(1);
    const { ended, walk } = await sim.runner().run({ service: "late" });
    expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
    const { lines } = walk.logbook;
    const back = lines.filter(
      ({ kind, body }) =>
        kind === "not-undone" || kind === "undone" || (kind === "sent" && body["direction"] === "back"),
    );
    const told = back.map(({ kind, body }) =>
      kind === "sent"
        ? String((body["request"] as { verb: string }).verb)
        : `${kind} ${String(body["unit"])}`,
    );
    // Nothing else has its turn between the two starts: not the standby's boot, and not the timer.
    expect(told.slice(0, 4)).toEqual([
      "cluster.startGroup",
      "not-undone stopGroups",
      "cluster.startGroup",
      "undone stopGroups",
    ]);
    expect(told.indexOf("cluster.clearDeadMan")).toBeGreaterThan(told.indexOf("undone breakMirrors"));
    expect(effects(sim, "group-started")).toHaveLength(1);
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });

  describe("fails for good:", () => {
    async function stuck() {
      await open();
      const before = describeWorld(sim.lab);
      snapshotDenied();
      const fault = startFails(Infinity);
      const { ended, walk, plan } = await sim.runner().run({ service: "late" });
      return { before, fault, ended, walk, plan };
    }

    it("stuck, the way by hand names the start, and the timer is the last that could start it", async () => {
      const { ended, walk, plan } = await stuck();
      expect(ended).toMatchObject({ end: "stuck", exposures: [{ what: "service" }] });
      expect(ended.left.map(({ unit }) => unit.key).slice(0, 2)).toEqual(["stopGroups", "armTimer"]);
      expect(ended.left[0]?.message).toContain("clpgrp -s failover1 on server1");
      expect(commandsFor(plan, "stopGroups", walk.logbook.lines)).toEqual([
        "ssh server1 'clpgrp -s failover1'",
      ]);
      expect(walk.logbook.lines.findLast(({ kind }) => kind === "end")?.body).toMatchObject({
        end: "stuck",
        exposures: [{ unit: "stopGroups", what: "service" }],
      });
      // The rest was given back all the same.
      expect(sim.lab.cluster().member("server2").suspended.size).toBe(0);
      expect(await leftOnNodes(sim)).toContain(`server1: timer of ${walk.run}, armed`);
      expect(home(sim)).toBeUndefined();
      expect(sim.breaches).toEqual([]);
    });

    // The timer's script starts nothing on a node whose marker does not name its run, and a stuck run takes its markers
    // away while it leaves its timer: "fails" goes when the two stay together.
    it("once what was in the way is gone, the timer brings the service back, and an undo clears up", async () => {
      const { before, fault, walk } = await stuck();
      fault.left = 0;
      await sim.clock.sleep(minutes(20));
      expect(home(sim)).toBe("server1");
      const { ended } = await takeUp(sim, walk.run, "undo");
      expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
      expect(effects(sim, "group-started")).toHaveLength(1);
      expect(await leftOnNodes(sim)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(before);
    });

    it("an undo writes nothing where another run has marked the nodes, and says who holds them", async () => {
      const { before, fault, walk } = await stuck();
      fault.left = 0;
      const other = await markedByOther(sim, ["server1", "server2"]);
      const world = describeWorld(sim.lab);
      const writes = sim.writes().length;
      await expect(takeUp(sim, walk.run, "undo")).rejects.toMatchObject({
        kind: "conflict",
        message: expect.stringMatching(
          /^server1 is held by run other000 of somebody@elsewhere \(for another \d+ s\)$/,
        ) as string,
      });
      expect(sim.writes().slice(writes)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(world);
      expect(home(sim)).toBeUndefined();

      // When the other has let go, the same words give back.
      await other.letGo();
      const { ended, lines } = await takeUp(sim, walk.run, "undo");
      expect(ended, story(lines)).toMatchObject({ end: "given back", exposures: [], left: [] });
      expect(home(sim)).toBe("server1");
      expect(await leftOnNodes(sim)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(before);
    });

    it("an undo that was killed while it marked the nodes is said again, and gives back", async () => {
      const { before, fault, walk } = await stuck();
      fault.left = 0;
      // As found after a person had cleared the nodes by hand.
      await (await markedByOther(sim, ["server1", "server2"])).letGo();
      const second = sim.runner();
      const killed = await second.resume(walk.run, {
        onLine: (line) => void (answered("nodes.takeMarker")(line) && second.die()),
      });
      killed.wantBack("operator", "runbook undo");
      void killed.go();
      while (second.alive()) await sim.clock.sleep(10);
      expect(home(sim)).toBeUndefined();
      const { ended, lines } = await takeUp(sim, walk.run, "undo");
      expect(ended, story(lines)).toMatchObject({ end: "given back", exposures: [], left: [] });
      expect(home(sim)).toBe("server1");
      expect(await leftOnNodes(sim)).toEqual([]);
      expect(describeWorld(sim.lab)).toEqual(before);
    });

    it("an undo takes no marker where another run has marked only the second node", async () => {
      const { fault, walk } = await stuck();
      fault.left = 0;
      await markedByOther(sim, ["server2"]);
      const writes = sim.writes().length;
      await expect(takeUp(sim, walk.run, "undo")).rejects.toMatchObject({
        kind: "conflict",
        message: expect.stringContaining("server2 is held by run other000") as string,
      });
      expect(sim.writes().slice(writes)).toEqual([]);
      const left = await leftOnNodes(sim);
      expect(left).toContain(`server1: timer of ${walk.run}, armed`);
      expect(left).toContain("server2: marker of other000");
    });
  });
});

describe("a store that takes nothing any more from the row of the start on", () => {
  /** Every write of the store fails from the moment at which the start of the group was to be journaled. */
  function failing(store: Store, onBreak: () => void): Store {
    let broken = false;
    const refused = () => {
      throw new Failure("unavailable", "writing to the journal failed (ENOSPC)");
    };
    const writer = (journal: JournalWriter): JournalWriter => ({
      ...journal,
      append: async (kind, body, at) => {
        const request = body["request"] as { verb?: string } | undefined;
        if (!broken && kind === "sent" && request?.verb === "cluster.startGroup") {
          broken = true;
          onBreak();
        }
        return broken ? refused() : journal.append(kind, body, at);
      },
    });
    return {
      ...store,
      create: async (...args) => writer(await store.create(...args)),
      renewLease: async (...args) => (broken ? refused() : store.renewLease(...args)),
      releaseLease: async (...args) => (broken ? refused() : store.releaseLease(...args)),
    };
  }

  it.each(["early", "late"] as const)(
    "gives the service back promptly, says what is not journaled, and is stuck (service %s)",
    async (service) => {
      await open();
      const before = describeWorld(sim.lab);
      const runner = sim.runner();
      const plan = await runner.plan({ service });
      let brokenAt = 0;
      let onlineAt = 0;
      sim.lab.heart.listeners.add(({ effect }) => {
        if (effect?.detail.kind === "group-started") onlineAt = sim.clock.now();
      });
      const store = failing(runner.store, () => (brokenAt = sim.clock.now()));
      const out: string[] = [];
      const err: string[] = [];
      vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
      vi.spyOn(process.stderr, "write").mockImplementation((text) => err.push(String(text)) > 0);
      let walk: Walk | undefined;
      const code = await conduct(
        contextOf(sim, runner, { store }),
        plan,
        { onFailure: "give-back" },
        async (common) => (walk = await startRun({ ...argsOf(sim, runner, plan), ...common })),
      );
      vi.restoreAllMocks();
      expect(code).toBe(exitCodes.stuck);
      expect(home(sim)).toBe("server1");
      // A start takes the lab ten seconds or so; the timer would have come after a quarter of an hour.
      expect(onlineAt - brokenAt).toBeGreaterThan(0);
      expect(onlineAt - brokenAt).toBeLessThan(minutes(0.5));
      expect(effects(sim, "group-started")).toHaveLength(1);
      expect(describeWorld(sim.lab)).toEqual(before);
      expect(out.join("")).toContain(
        "is stuck: a person is needed (rows of the journal could not be written)",
      );
      const lost = err
        .filter((text) => text.startsWith("not journaled: "))
        .map((text) => JSON.parse(text.slice("not journaled: ".length)) as { kind: string; body: object });
      expect(lost).toContainEqual(
        expect.objectContaining({ kind: "undone", body: { unit: "stopGroups", already: false } }),
      );
      expect(lost.at(-1)).toMatchObject({ kind: "end", body: { end: "stuck" } });

      // With room on the disk again, the journal still calls the service out: a look tells better.
      const run = walk?.run ?? "";
      expect((await seeRun(runner.store, run)).state).toBe("interrupted");
      const written = sim.writes().filter((line) => line.startsWith("clp")).length;
      const { ended } = await takeUp(sim, run, "undo");
      expect(ended).toMatchObject({ end: "given back", exposures: [], left: [] });
      expect(sim.writes().filter((line) => line.startsWith("clp"))).toHaveLength(written);
      expect(describeWorld(sim.lab)).toEqual(before);
    },
  );
});

describe("a group that a person stopped on purpose, long after the run had started it again,", () => {
  /** The standby is a member again and the copy begins when the person stops the group and presses Ctrl-C. */
  async function interrupted() {
    await open();
    const runner = sim.runner();
    const plan = await runner.plan({ service: "early" });
    const out: string[] = [];
    vi.spyOn(process.stdout, "write").mockImplementation((text) => out.push(String(text)) > 0);
    const before = new Set(process.listeners("SIGINT"));
    const pressed = () => {
      for (const listen of process.listeners("SIGINT")) if (!before.has(listen)) listen("SIGINT");
    };
    let stopped: Promise<void> | undefined;
    const code = await conduct(
      contextOf(sim, runner),
      plan,
      { onFailure: "give-back" },
      async ({ onLine, ...common }) =>
        startRun({
          ...argsOf(sim, runner, plan),
          ...common,
          onLine: (line) => {
            onLine?.(line);
            if (outcomeOf("joinCluster")(line))
              stopped = typed(sim, "server1", "clpgrp -t failover1").then(pressed);
          },
        }),
    );
    await stopped;
    vi.restoreAllMocks();
    return { code, said: out.join("") };
  }

  it("is not started on the way back from Ctrl-C", async () => {
    const { code, said } = await interrupted();
    expect(said).toContain("interrupted by Ctrl-C");
    expect(code, said).toBe(exitCodes.givenBack);
    await settle(sim.lab);
    await sim.clock.sleep(hours(1));
    expect(home(sim)).toBeUndefined();
    expect(effects(sim, "group-started")).toHaveLength(1);
    expect(effects(sim, "group-stopped")).toHaveLength(2);
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(sim.breaches).toEqual([]);
  });

  // The way back looks, finds nothing of its own to start, and says "nothing to give back" alone: "fails" goes when it
  // tells of the group that stands still.
  it("is named at the end of that run as stopped", async () => {
    const { said } = await interrupted();
    expect(said).toMatch(/failover1[^\n]*(stopped|offline)|(stopped|offline)[^\n]*failover1/i);
  });

  it("is not started by the run that goes on either, which tells of it", async () => {
    await open();
    const runner = sim.runner();
    let stopping: Promise<void> | undefined;
    const { ended, walk } = await runner.run(
      { service: "early" },
      {
        onLine: (line) => {
          if (outcomeOf("joinCluster")(line)) stopping = typed(sim, "server1", "clpgrp -t failover1");
        },
      },
    );
    await stopping;
    await settle(sim.lab);
    expect(ended).toMatchObject({ end: "succeeded", exposures: [] });
    expect(walk.logbook.context().outcomes["serviceRunsStill"]).toMatchObject({
      told: [expect.stringContaining("failover1 is stopped") as string],
    });
    expect(home(sim)).toBeUndefined();
    expect(effects(sim, "group-started")).toHaveLength(1);
  });
});

describe("an active node that reboots unasked right after the break, the service being out,", () => {
  it("serves again from its good side at the end, and stays so", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const { ended, walk } = await sim
      .runner()
      .run(
        { service: "late" },
        { onLine: (line) => void (outcomeOf("breakMirrors")(line) && sim.lab.rebootUnasked("server1")) },
      );
    // Where the cluster's own start of its groups was quicker, or not quick enough, the end may differ; the world not.
    expect(["given back", "stuck"], story(walk.logbook.lines)).toContain(ended.end);
    if (ended.end === "stuck")
      expect(ended.left).toMatchObject([
        {
          unit: { key: "stopGroups" },
          message: expect.stringContaining("Server is not active") as string,
          hint: expect.any(String) as string,
        },
      ]);
    await settle(sim.lab);
    const then = describeWorld(sim.lab);
    expect(then).toEqual(before);
    expect(home(sim)).toBe("server1");
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(sim.breaches).toEqual([]);
    const seen = sim.lab.heart.effects.length;
    await sim.clock.sleep(hours(1));
    expect(sim.lab.heart.effects.slice(seen).filter(({ detail }) => detail.kind !== "data-written")).toEqual(
      [],
    );
    expect(describeWorld(sim.lab)).toEqual(then);
    if (ended.end !== "stuck") return;
    const undone = await takeUp(sim, walk.run, "undo");
    expect(undone.ended).toMatchObject({ end: "given back", exposures: [], left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
  });
});

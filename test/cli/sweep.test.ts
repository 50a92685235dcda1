import { afterEach, describe, expect, it } from "vitest";

import type { Context } from "../../src/cli/context.ts";
import { lookForLeftovers, sweptText, type Swept } from "../../src/cli/sweep.ts";
import { parsePasted } from "../../src/cli/lab-paste.ts";
import { typeLine } from "../../src/lab/hands.ts";
import { blank } from "../../src/lab/world.ts";
import { droppedTag } from "../../src/runbook/points.ts";
import { confirmedTag, finalTag } from "../../src/runbook/prune.ts";
import { plantPoints } from "../support/points.ts";
import {
  openSimulation,
  type Runner,
  type Simulation,
  type SimulationOptions,
} from "../support/simulation.ts";
import { connected, contextOf, hours, killedWhen, outcomeOf } from "../support/story.ts";

let sim: Simulation;
afterEach(() => sim.close());

const open = async (options: SimulationOptions = {}): Promise<Runner> => {
  sim = await openSimulation(options);
  return connected(sim);
};

const look = (runner: Runner, cloud: Partial<Context["cluster"]["cloud"]> = {}): Promise<Swept> =>
  lookForLeftovers(
    contextOf(sim, runner, {
      cluster: {
        name: "prod",
        cloud: { driver: "aws", region: "ap-northeast-1", ...cloud },
      } as Context["cluster"],
    }),
  );

const kindsOf = ({ found }: Swept) => found.map(({ kind }) => kind);

/** What it prints is typed as it stands; comments are for people. */
async function typeAll(swept: Swept): Promise<void> {
  for (const line of swept.found.flatMap(({ clean }) => clean)) {
    if (line.startsWith("#") || line.startsWith("runbook ")) continue;
    for (const { node, command } of parsePasted(line, [...sim.lab.nodes.keys()]))
      await typeLine(sim.lab, { markPerson: () => undefined } as never, command, node);
  }
}

const zone = "ap-northeast-1a";
const volume = (tags: { readonly [key: string]: string }) =>
  sim.lab.cloud.addVolume({ sizeGiB: 100, type: "gp3", zone, content: blank, tags });

describe("sweep", () => {
  it("finds nothing where nothing is left over, and changes nothing", async () => {
    const runner = await open();
    plantPoints(sim.lab, [{ point: "p1", daysAgo: 5 }]);
    const swept = await look(runner);
    expect(swept).toMatchObject({ cluster: "prod", found: [], notLookedAt: [], usdPerMonth: 0 });
    expect(sweptText(swept, sim.clock.now())).toBe("nothing is left over on prod\n");
    expect(sim.writes()).toEqual([]);
  });

  it("finds fast restores that are on, whoever switched them on, with what they cost; its commands switch them off", async () => {
    const runner = await open();
    const [snapshot = ""] = plantPoints(sim.lab, [{ point: "p1", daysAgo: 5 }]).get("p1") ?? [];
    const foreign = sim.lab.cloud.createSnapshot(sim.lab.volumeOf("server1", "md1") ?? "", "by hand", {}).id;
    await sim.clock.sleep(hours(1));
    for (const [id, zones] of [
      [snapshot, [zone, "ap-northeast-1c"]],
      [foreign, [zone]],
    ] as const)
      sim.lab.cloud.fastRestores.enable(sim.lab.cloud.getSnapshot(id), zones);
    await sim.clock.sleep(60_000);
    const swept = await look(runner);
    expect(swept.found).toMatchObject([
      {
        kind: "fast restore",
        id: snapshot,
        what: expect.stringContaining("recovery point p1 of prod"),
        usdPerMonth: 547.5,
      },
      { kind: "fast restore", id: snapshot },
      { kind: "fast restore", id: foreign, what: expect.stringContaining("none of ours") },
    ]);
    expect(swept.usdPerMonth).toBeCloseTo(3 * 547.5);
    expect((await look(runner, { prices: { fastRestoreHour: 1 } })).usdPerMonth).toBeCloseTo(3 * 730);
    expect(sim.lab.cloud.fastRestores.on()).toHaveLength(3);
    await typeAll(swept);
    await sim.clock.sleep(hours(1));
    expect(sim.lab.cloud.fastRestores.on()).toEqual([]);
  });

  it("finds volumes of ours that are attached nowhere, with what to do about each", async () => {
    const runner = await open();
    const old = { "runbook:old": "r1", "runbook:old-node": "server1", "runbook:old-device": "/dev/sdf" };
    const unconfirmed = volume(old);
    const confirmed = volume({ ...old, [confirmedTag]: "r1" });
    const made = volume({ "runbook:run": "r2", "runbook:replaces": unconfirmed, "runbook:cluster": "prod" });
    const drill = volume({ "runbook:run": "r3", "runbook:drill": "r3" });
    volume({ Name: "somebody else's" });
    sim.lab.cloud.attach(sim.lab.node("server1").instance, volume({ "runbook:run": "r4" }), "/dev/sdp");
    const swept = await look(runner);
    expect(swept.found).toMatchObject([
      {
        kind: "new volume",
        id: made,
        usdPerMonth: 8,
        what: expect.stringMatching(/made by run r2, and is attached to nothing/),
      },
      { kind: "drill volume", id: drill },
      {
        kind: "old volume",
        id: unconfirmed,
        what: expect.stringMatching(/until run r1, which is not confirmed/),
        since: null,
      },
      { kind: "old volume", id: confirmed, clean: ["runbook run prune prod --param oldVolumes=prune"] },
    ]);
    await typeAll(swept);
    await sim.clock.sleep(60_000);
    const left = sim.lab.cloud.listVolumes().map(({ id }) => id);
    expect([made, drill].filter((id) => left.includes(id))).toEqual([]);
    expect(left).toEqual(expect.arrayContaining([unconfirmed, confirmed]));
    // What it prints for the one that nobody confirmed is the confirmation, for a person who is sure.
    expect(sim.lab.cloud.getVolume(unconfirmed).tags[confirmedTag]).toBe("r1");
  });

  it("finds snapshots that failed, hang, are final, or are the rest of a set", async () => {
    const runner = await open({ cloud: { snapshotSeconds: 3 * 86_400 } });
    const ids = plantPoints(sim.lab, [
      { point: "good", daysAgo: 1 },
      { point: "bad", daysAgo: 2, of: 1, state: "error" },
      { point: "half", daysAgo: 3, missing: 1, tags: { [droppedTag]: "r9" } },
      { point: "poor", daysAgo: 4, missing: 1 },
      { point: "f", daysAgo: 5, of: 1, tags: { [finalTag]: "vol-1" } },
    ]);
    const [final = ""] = ids.get("f") ?? [];
    sim.lab.cloud.deleteTags([final], { "runbook:point": undefined });
    const mine = {
      "runbook:run": "r5",
      "runbook:cluster": "prod",
      "runbook:operation": "r5/snapshotVolumes",
    };
    const slow = sim.lab.cloud.createSnapshot(sim.lab.volumeOf("server2", "md1") ?? "", "", mine).id;
    await sim.clock.sleep(hours(20));
    expect((await look(runner)).found.map(({ id }) => id)).not.toContain(slow);
    await sim.clock.sleep(hours(5));
    const swept = await look(runner);
    expect(swept.found).toMatchObject([
      { kind: "final snapshot", id: final, usdPerMonth: 5 },
      { kind: "snapshot", what: expect.stringMatching(/failed: .*recovery point bad of prod/) },
      { kind: "snapshot", id: slow, what: expect.stringMatching(/still being copied, at 34%/) },
      { kind: "rest of a set", id: "half", clean: ["runbook run prune prod"] },
      { kind: "rest of a set", id: "poor", clean: [expect.stringMatching(/^aws ec2 delete-snapshot /)] },
    ]);
    await typeAll(swept);
    const left = sim.lab.cloud.listSnapshots().map(({ tags }) => tags["runbook:point"]);
    expect(left).toEqual(["good", "good", "half"]);
  });

  it("finds a set that no run recorded, a day later, and not before", async () => {
    const runner = await open();
    const mine = {
      "runbook:run": "r5",
      "runbook:cluster": "prod",
      "runbook:node": "server2",
      "runbook:operation": "r5/snapshotVolumes",
    };
    sim.lab.cloud.createSnapshot(sim.lab.volumeOf("server2", "md1") ?? "", "", mine);
    await sim.clock.sleep(hours(23));
    expect(kindsOf(await look(runner))).toEqual([]);
    await sim.clock.sleep(hours(2));
    const swept = await look(runner);
    expect(swept.found).toMatchObject([
      {
        kind: "unrecorded set",
        what: expect.stringMatching(/1 snapshots of run r5 on prod were never recorded/),
      },
    ]);
    await typeAll(swept);
    expect(sim.lab.cloud.listSnapshots()).toEqual([]);
  });

  it("finds open runs, and takes nothing of theirs for litter", async () => {
    await open();
    const { run } = await killedWhen(sim, { service: "early" }, outcomeOf("breakMirrors"));
    const swept = await look(await connected(sim));
    expect(swept.found).toMatchObject([
      {
        kind: "open run",
        id: run,
        what: `run ${run} (backup-standby) is interrupted`,
        clean: [`runbook resume ${run}`, `runbook undo ${run}`],
      },
    ]);
  });

  it("finds markers and timers of runs that are none of this store's, on nodes that answer, and says which do not", async () => {
    const runner = await open();
    const how = { limitMs: 60_000, fence: undefined, signal: undefined };
    const { nodes, cluster } = runner.drivers;
    const other = { run: "other000", owner: "somebody@elsewhere", fence: "1" };
    await nodes.send(nodes.requests.takeMarker({ node: "server1", ...other, seconds: 60 }), how);
    const { bootId } = await nodes.reads.getBoot("server1");
    const timer = {
      node: "server1",
      peer: "server2",
      run: "other000",
      bootId,
      groups: ["failover1"],
      mirrors: ["md1"],
    };
    await cluster.send(cluster.requests.armDeadMan({ ...timer, afterSeconds: 900 }), how);
    const early = await look(runner);
    expect(early.found[0]?.what).toMatch(/it may be at work elsewhere: its mark is good for another \d+ s/);
    expect(early.found[0]?.clean).toEqual([]);
    await sim.clock.sleep(120_000);
    sim.lab.killPower("server2");
    await sim.clock.sleep(60_000);
    const swept = await look(runner);
    expect(kindsOf(swept)).toEqual(["marker", "timer"]);
    expect(swept.found[1]?.what).toMatch(
      /the dead-man timer on server1 \(armed\): of run other000, which this store does not know/,
    );
    expect(swept.notLookedAt).toEqual([expect.stringMatching(/^server2: /)]);
    await typeAll(swept);
    expect(kindsOf(await look(runner))).toEqual([]);
  });

  it("says what it could not look at, instead of 'nothing'", async () => {
    const runner = await open({ cloud: { denied: ["DescribeFastSnapshotRestores"] } });
    const swept = await look(runner);
    expect(swept.notLookedAt).toEqual([
      expect.stringMatching(/^fast restores: .*DescribeFastSnapshotRestores/),
    ]);
    expect(sweptText(swept, sim.clock.now())).toContain("not looked at: fast restores");
  });

  it("reads like this", () => {
    const swept: Swept = {
      cluster: "prod",
      found: [
        {
          kind: "fast restore",
          id: "snap-1",
          what: "fast restore of snap-1 in ap-northeast-1a is enabled, of recovery point p1 of prod",
          since: null,
          usdPerMonth: 547.5,
          clean: ["aws ec2 disable-fast-snapshot-restores --cli-input-json '{}'"],
        },
        {
          kind: "new volume",
          id: "vol-1",
          what: "new volume vol-1 (100 GiB gp3) was made by run r\u001b[2J1, and is attached to nothing",
          since: "2026-02-01T00:00:00.000Z",
          usdPerMonth: 8,
          clean: ["# a note", "aws ec2 delete-volume --cli-input-json '{}'"],
        },
      ],
      notLookedAt: ["server2: it does not answer"],
      usdPerMonth: 555.5,
      prices: "some prices",
    };
    expect(sweptText(swept, Date.UTC(2026, 1, 11)).split("\n")).toEqual([
      "fast restore of snap-1 in ap-northeast-1a is enabled, of recovery point p1 of prod, about 547.50 USD a month",
      "    aws ec2 disable-fast-snapshot-restores --cli-input-json '{}'",
      "new volume vol-1 (100 GiB gp3) was made by run r\\x1b[2J1, and is attached to nothing, since 2026-02-01T00:00:00.000Z (10 days), about 8.00 USD a month",
      "    # a note",
      "    aws ec2 delete-volume --cli-input-json '{}'",
      "not looked at: server2: it does not answer",
      "in all about 555.50 USD a month (some prices; a snapshot costs less than its size says)",
      "nothing was changed",
      "",
    ]);
  });
});

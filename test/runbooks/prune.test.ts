import { afterEach, describe, expect, it } from "vitest";

import { planText } from "../../src/cli/plan-text.ts";
import { droppedTag, holdTag, testTag } from "../../src/runbook/points.ts";
import { golden } from "../support/golden.ts";
import { plantPoints, pointsLeft, type Planted } from "../support/points.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { answered, minutes, outcomeOf } from "../support/story.ts";

let sim: Simulation;
const open = async (planted: readonly Planted[], options: SimulationOptions = {}) => {
  sim = await openSimulation({ ...options, runbook: "runbooks/prune.ts" });
  return plantPoints(sim.lab, planted);
};
afterEach(() => sim.close());

/** Nothing but the last two, unless something speaks for the others. */
const lastTwo = { last: "2", daily: "0", weekly: "0", monthly: "0", yearly: "0", keepTested: "0" };

const passed = (daysAgo: number) =>
  testTag({
    how: "content",
    result: "passed",
    at: new Date(Date.UTC(2026, 2, 1) - daysAgo).toISOString(),
    run: "d1",
  });

const four: readonly Planted[] = [
  { point: "p1", daysAgo: 40 },
  { point: "p2", daysAgo: 30 },
  { point: "p3", daysAgo: 20 },
  { point: "p4", daysAgo: 10 },
];

/** Of the four snapshots that go, in the plan and again at the start of the run. */
const dryRuns = 8;

const deletions = () =>
  sim.lab.heart.effects
    .filter(({ detail }) => detail.kind === "snapshot-deleted")
    .map(({ detail }) => detail["snapshot"]);

describe("prune", () => {
  it("deletes what no rule keeps, whole sets and the oldest first, and touches nothing else", async () => {
    const ids = await open([...four, { point: "other", daysAgo: 50, cluster: "staging" }]);
    const { ended, walk } = await sim.runner().run(lastTwo);
    expect(ended).toMatchObject({ end: "succeeded", exposures: [] });
    expect(pointsLeft(sim.lab)).toEqual(["other 2", "p3 2", "p4 2"]);
    expect(deletions()).toEqual([...(ids.get("p1") ?? []), ...(ids.get("p2") ?? [])]);
    // No marker, no command: it leaves the nodes alone.
    expect(sim.lab.heart.received.filter(({ to }) => to === "node")).toEqual([]);
    expect(sim.gaps()).toEqual([]);
    const told = walk.logbook.lines.find(outcomeOf("dropPoints"))?.body["found"];
    expect(told).toMatchObject({
      deleted: ["p2", "p1"],
      stayed: [],
      told: [expect.stringMatching(/^deleted: p2, p1 .*Recycle Bin/)],
    });
  });

  it("plans by reads alone, and the plan reads like this", async () => {
    await open([
      ...four,
      { point: "p5", daysAgo: 5, missing: 1 },
      { point: "p0", daysAgo: 60, tags: { ...passed(1) } },
    ]);
    const plan = await sim.runner().plan(lastTwo);
    expect(sim.writes()).toEqual([]);
    golden(
      "prune.plan.txt",
      planText(plan, { color: false, width: 120, zone: "UTC" })
        .replaceAll(/\b(?:[0-9a-f]{64}|[0-9a-f]{12})\b/g, "«hash»")
        .replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "«time»")
        .replaceAll(/(\d{4}-\d\d-\d\dT)\d\d:\d\d:\d\d\.\d+Z/g, "$1…"),
    );
  });

  it("works while both nodes are off", async () => {
    await open(four);
    for (const node of sim.lab.cluster().names) sim.lab.killPower(node);
    await sim.clock.sleep(minutes(10));
    expect((await sim.runner().run(lastTwo)).ended.end).toBe("succeeded");
    expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2"]);
  });

  it("has nothing to do the second time, and says so without a write", async () => {
    await open(four);
    await sim.runner().run(lastTwo);
    const writes = sim.writes().length;
    const { ended } = await sim.runner().run(lastTwo);
    expect(ended.end).toBe("succeeded");
    expect(sim.writes().length).toBe(writes);
  });

  it("counts ages from the newest point: years without a backup cost none of the last ones", async () => {
    await open([
      { point: "p1", daysAgo: 1002 },
      { point: "p2", daysAgo: 1001 },
      { point: "p3", daysAgo: 1000 },
    ]);
    const rule = { ...lastTwo, last: "0", daily: "3" };
    expect((await sim.runner().run(rule)).ended.end).toBe("succeeded");
    expect(pointsLeft(sim.lab)).toEqual(["p1 2", "p2 2", "p3 2"]);
  });

  describe("keeps", () => {
    const spoils: readonly {
      readonly name: string;
      readonly why: RegExp;
      readonly spoil: (ids: readonly string[]) => void;
    }[] = [
      {
        name: "what is locked",
        why: /is locked until 2026-03-0/,
        spoil: ([, id = ""]) =>
          sim.lab.cloud.locks.lock(sim.lab.cloud.getSnapshot(id), { mode: "governance", days: 3 }),
      },
      {
        name: "what a person holds by a tag",
        why: /held: the auditor wants it/,
        spoil: ([, id = ""]) => sim.lab.cloud.setTags([id], { [holdTag]: "the auditor wants it" }),
      },
      {
        name: "what an image holds",
        why: /is in the image ami-/,
        spoil: ([, id = ""]) => void sim.lab.cloud.images.register("golden", { "/dev/sdf": id }),
      },
      {
        name: "what is shared",
        why: /is shared with 111122223333/,
        spoil: ([, id = ""]) => {
          sim.lab.cloud.getSnapshot(id).sharedWith = ["111122223333"];
        },
      },
      {
        name: "what a volume was made from",
        why: /was made from .*, and is not confirmed/,
        spoil: ([, id = ""]) =>
          void sim.lab.cloud.createVolume({ zone: "ap-northeast-1a", snapshot: id, tags: {} }),
      },
      {
        name: "what fast restore is on for",
        why: /fast restore of .* is on in ap-northeast-1c/,
        spoil: ([, id = ""]) =>
          void sim.lab.cloud.fastRestores.enable(sim.lab.cloud.getSnapshot(id), ["ap-northeast-1c"]),
      },
      {
        name: "the newest that passed a test",
        why: /the newest tested/,
        spoil: (ids) => sim.lab.cloud.setTags(ids, passed(1)),
      },
      {
        name: "what has a test that nobody understands",
        why: /it cannot be told whether it may go: runbook:tested-moon is "maybe"/,
        spoil: (ids) => sim.lab.cloud.setTags(ids, { "runbook:tested-moon": "maybe" }),
      },
    ];

    it.each(spoils)("$name, and says why", async ({ spoil, why }) => {
      const ids = await open(four);
      spoil(ids.get("p1") ?? []);
      await sim.clock.sleep(minutes(1));
      const { ended, plan } = await sim.runner().run(lastTwo);
      expect(ended.end).toBe("succeeded");
      expect(pointsLeft(sim.lab)).toEqual(["p1 2", "p3 2", "p4 2"]);
      const { stays } = plan.facts["pointsJudged"] as { stays: { point: string; why: string }[] };
      expect(stays.find(({ point }) => point === "p1")?.why).toMatch(why);
    });

    it.each(spoils)(
      "$name since the plan was made: looked at again before each deletion",
      async ({ spoil }) => {
        // What is late in the cloud's lists is late for everybody.
        const ids = await open(four, { cloud: { listLagSeconds: 0, stateLagSeconds: 0 } });
        let spoilt = false;
        const { ended, walk } = await sim.runner().run(lastTwo, {
          onLine: (line) => {
            if (!spoilt && answered("cloud.setTags")(line)) spoil(ids.get("p1") ?? []);
            spoilt ||= answered("cloud.setTags")(line);
          },
        });
        expect(ended.end).toBe("succeeded");
        expect(pointsLeft(sim.lab)).toEqual(["p1 2", "p3 2", "p4 2"]);
        const { stayed } = walk.logbook.lines.find(outcomeOf("dropPoints"))?.body["found"] as {
          stayed: { point: string }[];
        };
        expect(stayed.map(({ point }) => point)).toEqual(["p1"]);
        // What stays carries no mark of a deletion.
        for (const id of ids.get("p1") ?? [])
          expect(sim.lab.cloud.getSnapshot(id).tags[droppedTag]).toBeUndefined();
      },
    );

    it("a set that lacks a snapshot, tells it, and never counts it among those that stay", async () => {
      await open([
        ...four,
        { point: "p5", daysAgo: 5, missing: 1 },
        { point: "p6", daysAgo: 4, state: "error" },
      ]);
      const { plan } = await sim.runner().run(lastTwo);
      expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2", "p5 1", "p6 2"]);
      const { stays } = plan.facts["pointsJudged"] as { stays: { point: string; why: string }[] };
      expect(stays).toMatchObject([
        { point: "p6", why: expect.stringMatching(/^not whole: .*is error/) },
        { point: "p5", why: "not whole: the set has 1 snapshots; wanted 2" },
        { point: "p4" },
        { point: "p3" },
      ]);
    });

    it("what it cannot ask about", async () => {
      await open(four, { cloud: { denied: ["DescribeImages"] } });
      const { plan } = await sim.runner().run(lastTwo);
      expect(pointsLeft(sim.lab)).toEqual(["p1 2", "p2 2", "p3 2", "p4 2"]);
      expect(JSON.stringify(plan.facts["pointsJudged"])).toMatch(
        /it cannot be told whether it may go: .*DescribeImages/,
      );
    });
  });

  it("deletes the rest of a set that an earlier prune left", async () => {
    await open([...four, { point: "p0", daysAgo: 50, missing: 1, tags: { [droppedTag]: "before" } }]);
    const { ended } = await sim.runner().run(lastTwo);
    expect(ended.end).toBe("succeeded");
    expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2"]);
  });

  it("stops where a deletion is refused for good: exit 1, told what went and what did not, and no mark on what is whole", async () => {
    const ids = await open(four);
    sim.lab.heart.addFault({ match: "DeleteSnapshot", action: "deny", skip: dryRuns + 2, times: Infinity });
    const { ended } = await sim.runner().run(lastTwo);
    expect(ended).toMatchObject({ end: "given back", exposures: [] });
    expect(ended.why).toMatch(
      /is not allowed.*; before it, these were done with: p1; not deleted, or in part: p2/,
    );
    expect(pointsLeft(sim.lab)).toEqual(["p2 2", "p3 2", "p4 2"]);
    for (const id of ids.get("p2") ?? [])
      expect(sim.lab.cloud.getSnapshot(id).tags[droppedTag]).toBeUndefined();
    sim.lab.heart.faults.length = 0;
    expect((await sim.runner().run(lastTwo)).ended.end).toBe("succeeded");
    expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2"]);
  });

  it("leaves a set half deleted if it must, and the next prune deletes the rest", async () => {
    await open(four);
    sim.lab.heart.addFault({ match: "DeleteSnapshot", action: "deny", skip: dryRuns + 1, times: Infinity });
    expect((await sim.runner().run(lastTwo)).ended.end).toBe("given back");
    expect(pointsLeft(sim.lab)).toEqual(["p1 1", "p2 2", "p3 2", "p4 2"]);
    sim.lab.heart.faults.length = 0;
    expect((await sim.runner().run(lastTwo)).ended.end).toBe("succeeded");
    expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2"]);
  });

  it.each(["lose-before", "lose-after", "throttle", "fail-after"] as const)(
    "goes on where the answer to a deletion is lost or put off (%s)",
    async (action) => {
      await open(four);
      sim.lab.heart.addFault({ match: "DeleteSnapshot", action, skip: dryRuns + 1 });
      expect((await sim.runner().run(lastTwo)).ended.end).toBe("succeeded");
      expect(pointsLeft(sim.lab)).toEqual(["p3 2", "p4 2"]);
    },
  );

  it("is refused without the right to delete, and nothing is touched", async () => {
    await open(four, { cloud: { denied: ["DeleteSnapshot"] } });
    await expect(sim.runner().plan(lastTwo)).rejects.toThrow(
      /pruneRights: rights are missing: ec2:DeleteSnapshot/,
    );
    expect(sim.writes()).toEqual([]);
  });

  it("is refused where another recovery point came since the plan was made", async () => {
    await open(four);
    const runner = sim.runner();
    const plan = await runner.plan(lastTwo);
    plantPoints(sim.lab, [{ point: "p5", daysAgo: 1 }]);
    const ended = await (await runner.start(plan)).go();
    expect(ended).toMatchObject({ end: "refused", kind: "precondition" });
    expect(sim.writes()).toEqual([]);
  });

  it("is refused while another run on the cluster is open", async () => {
    await open(four);
    const backup = await sim.open("runbooks/backup-standby.ts");
    const other = sim.runner(backup);
    const walk = await other.start(await other.plan({}), {
      onLine: (line) => void (outcomeOf("breakMirrors")(line) && other.die()),
    });
    void walk.go();
    while (other.alive()) await sim.clock.sleep(10);
    await expect(sim.runner().plan(lastTwo)).rejects.toThrow(/noOpenRun: run \S+ \(backup-standby\)/);
  });

  it.each(["-1", "1.5", "many", "10000", ""])(
    "takes a whole number for its rule, and not %j",
    async (last) => {
      await open([]);
      await expect(sim.runner().plan({ ...lastTwo, last })).rejects.toMatchObject({ kind: "invalid" });
    },
  );
});

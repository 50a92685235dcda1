import { afterEach, describe, expect, it } from "vitest";

import { confirmedTag, finalTag } from "../../src/runbook/prune.ts";
import { blank } from "../../src/lab/world.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { answered, hours, outcomeOf } from "../support/story.ts";

let sim: Simulation;
afterEach(() => sim.close());

const zone = "ap-northeast-1a";

/** A volume as a restore leaves it, and the one in its place. */
function takenOut(more: { readonly tags?: Record<string, string>; readonly cluster?: string } = {}) {
  const { cloud } = sim.lab;
  const old = cloud.addVolume({
    sizeGiB: 100,
    type: "gp3",
    zone,
    content: { ...blank, data: { "app/version": "before the restore" } },
    tags: {
      "runbook:old": "r1",
      "runbook:old-node": "server1",
      "runbook:old-device": "/dev/sdf",
      ...more.tags,
    },
  });
  cloud.addVolume({
    sizeGiB: 100,
    type: "gp3",
    zone,
    content: blank,
    tags: { "runbook:cluster": more.cluster ?? "prod", "runbook:replaces": old, "runbook:run": "r1" },
  });
  return old;
}

const confirmed = { [confirmedTag]: "r1" };
const open = async (options: SimulationOptions = {}) => {
  sim = await openSimulation({ ...options, runbook: "runbooks/prune.ts" });
};
const prune = () => sim.runner().run({ oldVolumes: "prune" });
const isThere = (volume: string) => sim.lab.cloud.listVolumes().some(({ id }) => id === volume);
const finals = () => sim.lab.cloud.listSnapshots().filter(({ tags }) => tags[finalTag] !== undefined);

describe("prune with oldVolumes=prune", () => {
  it("makes a final snapshot of a confirmed old volume, and deletes it in a later run, when that is complete", async () => {
    await open();
    const old = takenOut({ tags: confirmed });
    const first = await prune();
    expect(first.ended.end).toBe("succeeded");
    expect(isThere(old)).toBe(true);
    expect(finals()).toMatchObject([
      { volume: old, content: { data: { "app/version": "before the restore" } } },
    ]);
    expect(first.walk.logbook.lines.find(outcomeOf("takeFinalSnapshots"))?.body["found"]).toMatchObject({
      told: [expect.stringMatching(/to be deleted by a prune once its final snapshot is complete/)],
    });
    await sim.clock.sleep(hours(1));
    const second = await prune();
    expect(second.ended.end).toBe("succeeded");
    await sim.clock.sleep(60_000);
    expect(isThere(old)).toBe(false);
    expect(finals()).toHaveLength(1);
    // It is no recovery point.
    expect(second.plan.facts["pointsJudged"]).toEqual({ goes: [], stays: [] });
  });

  it("leaves alone what was not confirmed, is attached, or belongs to another cluster", async () => {
    await open();
    const waiting = takenOut();
    const attached = takenOut({ tags: confirmed });
    sim.lab.cloud.attach(sim.lab.node("server1").instance, attached, "/dev/sdp");
    const foreign = takenOut({ tags: confirmed, cluster: "staging" });
    const { ended, plan } = await prune();
    expect(ended.end).toBe("succeeded");
    expect(finals()).toEqual([]);
    expect([waiting, attached, foreign].map(isThere)).toEqual([true, true, true]);
    const { volumes } = plan.facts["oldVolumesJudged"] as { volumes: { volume: string; why: string }[] };
    expect(volumes.map(({ volume, why }) => [volume, why])).toEqual([
      [waiting, "its restore was not confirmed"],
      [attached, "it is in-use"],
    ]);
  });

  it("does not count a final snapshot that failed, nor one that is not complete yet", async () => {
    await open({ cloud: { snapshotSeconds: 7200 } });
    const old = takenOut({ tags: confirmed });
    await prune();
    const { plan } = await prune();
    expect(JSON.stringify(plan.facts["oldVolumesJudged"])).toMatch(/is not complete yet/);
    sim.lab.cloud.failSnapshot(finals()[0]?.id ?? "");
    await sim.clock.sleep(60_000);
    await prune();
    expect(isThere(old)).toBe(true);
    expect(finals().map(({ state }) => state)).toEqual(["error", "pending"]);
    await sim.clock.sleep(hours(3));
    await prune();
    await sim.clock.sleep(60_000);
    expect(isThere(old)).toBe(false);
  });

  it("makes one final snapshot where the answer is lost", async () => {
    await open({ cloud: { listLagSeconds: 30 } });
    takenOut({ tags: confirmed });
    takenOut({ tags: confirmed });
    await sim.clock.sleep(60_000);
    // Four dry runs before.
    sim.lab.heart.addFault({ match: "CreateSnapshot", action: "lose-after", skip: 4 });
    expect((await prune()).ended.end).toBe("succeeded");
    expect(finals()).toHaveLength(2);
    expect(new Set(finals().map(({ volume }) => volume)).size).toBe(2);
  });

  it.each([
    [
      "its confirmation is taken back",
      (volume: string) => sim.lab.cloud.deleteTags([volume], { [confirmedTag]: undefined }),
    ],
    [
      "somebody attaches it",
      (volume: string) => sim.lab.cloud.attach(sim.lab.node("server1").instance, volume, "/dev/sdp"),
    ],
    [
      "its final snapshot is gone",
      (volume: string) =>
        sim.lab.cloud.deleteSnapshot(finals().find((snapshot) => snapshot.volume === volume)?.id ?? ""),
    ],
  ] as const)("keeps a volume when %s between the look and the deletion", async (_name, spoil) => {
    await open({ cloud: { listLagSeconds: 0, stateLagSeconds: 0 } });
    const [first, second] = [takenOut({ tags: confirmed }), takenOut({ tags: confirmed })];
    await prune();
    await sim.clock.sleep(hours(1));
    const { ended } = await sim
      .runner()
      .run(
        { oldVolumes: "prune" },
        { onLine: (line) => void (answered("cloud.deleteVolume")(line) && spoil(second)) },
      );
    expect(ended.end).toBe("succeeded");
    await sim.clock.sleep(60_000);
    expect([first, second].map(isThere)).toEqual([false, true]);
  });

  it("touches no volume with oldVolumes=keep, which is what holds when nothing is said", async () => {
    await open();
    takenOut({ tags: confirmed });
    const { ended } = await sim.runner().run({});
    expect(ended.end).toBe("succeeded");
    expect(sim.writes()).toEqual([]);
  });
});

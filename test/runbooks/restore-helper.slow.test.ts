import { describe, expect, it } from "vitest";

import { planText } from "../../src/cli/plan-text.ts";
import { settle } from "../../src/lab/hands.ts";
import { golden } from "../support/golden.ts";
import { playThrough, when } from "../support/happenings.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, type Play, type Played } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { playNight } from "../support/mutants.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

// The scratch node of the lab is in the first zone; where there is one zone only, it can read for both nodes.
const helper: Play = {
  runbook: "runbooks/restore.ts",
  params: { warm: "helper" },
  world: { files: { "orders.txt": "one" }, cloud: { zones: ["ap-northeast-1a"], lazyMiBps: 1000 } },
  prepare: lostFiles,
};
/** Volumes and their places: all that a restore changes. */
const places = /^volumes\.|^instances\.server\d\.attachments|mirrors\.md1\.volumes/;
const givenBack = { end: "given back", changed: [], breaches: [], gaps: [] };

async function planned(world: Play["world"], prepare: (sim: Simulation) => unknown = () => undefined) {
  const sim = await openSimulation({ ...helper.world, ...world, runbook: helper.runbook });
  try {
    await lostFiles(sim);
    await prepare(sim);
    await settle(sim.lab);
    return await sim.runner().plan({ warm: "helper" });
  } finally {
    sim.close();
  }
}

describe("a restore whose new volumes are read through on a helper", () => {
  it("reads them whole before the outage, takes them off again, and starts both sides without a copy", async () => {
    const { played, sim } = await playThrough(helper);
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(played.changed.filter((line) => !places.test(line))).toEqual([]);
    const { effects, received } = sim.lab.heart;
    const reads = effects.filter(({ detail }) => detail.kind === "volume-read");
    expect(reads.map(({ detail }) => `${detail["node"]} ${detail["volume"]}`).sort()).toEqual(
      ["server1", "server2"].map((node) => `scratch1 ${sim.lab.volumeOf(node, "md1")}`).sort(),
    );
    const stop = received.findLast(({ line }) => line.startsWith("clpgrp -t"))?.at ?? 0;
    expect(Math.max(...reads.map(({ at }) => at))).toBeLessThan(stop);
    expect(received.filter(({ line }) => /^(mount|runbook-mountVolume)/.test(line))).toEqual([]);
    expect(sim.lab.readFiles(sim.lab.volumeOf("server2", "md1") ?? "")["orders.txt"]).toBe("one");
  });

  it("plans by reads alone, and says what the helper is asked for", async () => {
    const plan = await planned({});
    const text = planText(plan, { color: false, width: 120, zone: "UTC" });
    const between = (from: string, to: string) => text.slice(text.indexOf(from), text.indexOf(to));
    const parts = [
      between("What the chosen warm-up takes", "  · The content is"),
      between("Mark the scratch node as held", "Make a volume from the snapshot"),
      between("Attach the new volumes to the scratch node", "Tag the old volumes"),
    ];
    // The numbers of the steps are those of the whole restore.
    const told = parts.join("").replaceAll(/^ +\d+\. /gm, " - ");
    golden("restore.helper.plan.txt", told);
  });

  it("is given back when anything was written to one of them there, though nothing is mounted any more", async () => {
    const { played } = await playThrough(helper, (sim) =>
      when(sim, /^runbook-startReading/, () => {
        const { disks, files } = sim.lab.scratch;
        const disk = disks.list().find(({ root }) => !root);
        files.plant("/mnt/look", undefined);
        expect(disks.mountByHand(disk?.partitions[1]?.path ?? "", "/mnt/look", ["rw"])).toBeUndefined();
        disks.unmountByHand("/mnt/look");
      }),
    );
    expect(played).toMatchObject(givenBack);
    expect(played.why).toMatch(/scratch1 has written \d+ sectors to vol-\w+ and discarded 0/);
    expect(played.done).not.toContain("stopAll");
  });

  it("is given back when one of them is mounted there, be it to look alone", async () => {
    const { played } = await playThrough(helper, (sim) => {
      when(sim, /^runbook-startReading/, () => {
        const { disks, files } = sim.lab.scratch;
        const disk = disks.list().find(({ root }) => !root);
        files.plant("/mnt/look", undefined);
        const refused = disks.mountByHand(disk?.partitions[1]?.path ?? "", "/mnt/look", ["ro", "norecovery"]);
        expect(refused).toBeUndefined();
        // Whoever has mounted it goes away again, a good while after it was seen.
        sim.lab.heart.after(30 * 60_000, () => disks.unmountByHand("/mnt/look"));
      });
    });
    expect(played).toMatchObject(givenBack);
    expect(played.why).toMatch(/scratch1: vol-\w+ is mounted at \/mnt\/look/);
  });

  it("is given back when the helper was booted meanwhile: nobody counted what was written before", async () => {
    const { played } = await playThrough(helper, (sim) =>
      when(sim, /^runbook-startReading/, () => sim.lab.rebootUnasked("scratch1")),
    );
    expect(played).toMatchObject(givenBack);
    expect(played.why).toMatch(/scratch1 was booted while it had the new volumes/);
  });

  it("starts no side without the helper's proof, even where a runbook leaves it out", async () => {
    const seen = await playNight(
      {
        runbook: "restore",
        ...(helper.world && { world: helper.world }),
        prepare: lostFiles,
        play: async (sim) => (await sim.runner().run({ warm: "helper" })).ended,
      },
      [
        {
          file: "restore.ts",
          from: "helperRead, helperProven, helperVolumesOut, helperReleased",
          to: "helperRead, helperVolumesOut, helperReleased",
        },
      ],
    );
    expect(seen).toMatchObject({ end: "given back", rules: [], left: [], changed: [], gaps: [] });
    expect(seen.why).toMatch(/it is not proven that vol-\w+ and vol-\w+ came off scratch1 untouched/);
  });

  it("is refused, with what to do, where the helper is in another zone than a node", async () => {
    await expect(planned({ cloud: { lazyMiBps: 1000 } })).rejects.toMatchObject({
      kind: "precondition",
      message:
        "helperFits: scratch1 is in ap-northeast-1a, and the new volume of server2 will be in ap-northeast-1c: it cannot be attached there",
      hint: expect.stringContaining("--param warm=rate"),
    });
  });

  it("is refused where the helper has a volume of its own, or is none", async () => {
    await expect(
      planned({}, ({ lab }) => {
        const { zone } = lab.cloud.getInstance(lab.scratch.instance);
        const content = { kind: "blank", data: {}, control: {}, dirty: false } as const;
        const volume = lab.cloud.addVolume({ sizeGiB: 1, type: "gp3", zone, content });
        lab.cloud.attach(lab.scratch.instance, volume, "/dev/sdf");
      }),
    ).rejects.toThrow(/scratchClean: scratch1 has volumes beside its root/);
    await expect(planned({ drill: { node: "server2" } })).rejects.toThrow(
      /server2 .* is server2, a node of prod/,
    );
  });

  it("is refused where another run holds the helper", async () => {
    await expect(
      planned({}, async ({ lab }) => {
        const said = await lab.shell.run(
          "scratch1",
          ["sh", "-c", "mkdir -p /var/lib/runbook/lock && echo nonsense > /var/lib/runbook/lock/run"],
          { timeoutMs: 10_000 },
        );
        expect(said.code).toBe(0);
      }),
    ).rejects.toThrow(/helperFits: scratch1 carries a marker that cannot be read/);
  });

  it("leaves nothing on the helper when a command fails once", { timeout: 900_000 }, async () => {
    const restored: Play["alsoGood"] = ({ changed, done }: Played) =>
      done.includes("startMirrors") && changed.every((line) => places.test(line));
    expect(await failEach({ ...helper, alsoGood: restored }, { times: 1, from: 5 })).toEqual([]);
  });

  it("goes on when it was killed while the helper had the volumes", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      {
        params: { warm: "helper" },
        world: { ...helper.world, runbook: helper.runbook },
        prepare: lostFiles,
        look: (sim) =>
          sim.lab.heart.received.filter(({ line }) => line.startsWith("runbook-startReading")).length,
      },
      ({ end, changed, breaches, gaps, looked }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        looked === 2 &&
        end === "succeeded" &&
        changed.every((line) => places.test(line)),
      (unit) => unit.startsWith("helper"),
    );
    expect(bad).toEqual([]);
  });
});

/**
 * Nodes whose partitions have UUIDs of their own, as they have where each disk was set up by itself: what is restored onto
 * the other node brings foreign ones along.
 */
import { describe, expect, it } from "vitest";

import { settle } from "../../src/lab/hands.ts";
import type { Tags } from "../../src/ports/cloud.ts";
import { everyRow } from "../support/kill.ts";
import { failEach, playOnce, type Play } from "../support/laws.ts";
import { lostFiles } from "../support/lost-files.ts";
import { play } from "../support/mutant-nights.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

const world = { files: { "orders.txt": "one" }, devices: "own partuuid" } as const;
const atTheCut = { "app/version": "1", "orders.txt": "one" };
const restore: Play = { runbook: "runbooks/restore.ts", world, prepare: lostFiles };
const ours = ["pathsOfPoint", "bootNodes", "pathsSet", "devicesProven"];

const configFile = "/opt/nec/clusterpro/etc/clp.conf";

/** Volumes and their places, and where the cluster looks for their partitions. */
const places = /^volumes\.|attachments|mirrors\.md1\.volumes|configuration/;

function files(sim: Simulation) {
  return ["server1", "server2"].map((node) => sim.lab.readFiles(sim.lab.volumeOf(node, "md1") ?? ""));
}

function configured(sim: Simulation, node: string) {
  const text = sim.lab.node(node).files.read(configFile);
  return [...text.matchAll(/<dppath>[^<]*by-partuuid\/([^<]*)</g)].map(([, uuid]) => uuid);
}

describe("a restore onto nodes whose partitions have names of their own", () => {
  it("has the cluster look for what came along, and is taken back by its old names", async () => {
    const sim = await openSimulation({ ...world, runbook: restore.runbook });
    try {
      await lostFiles(sim);
      const before = configured(sim, "server1");
      expect(new Set(before).size).toBe(2);
      const plan = await sim.runner().plan({});
      expect(JSON.stringify(plan)).toContain(`md1 will be looked for at /dev/disk/by-partuuid/${before[1]}`);
      await play(sim, "restore");
      expect(files(sim)).toEqual([atTheCut, atTheCut]);
      for (const node of ["server1", "server2"])
        expect(configured(sim, node)).toEqual([before[1], before[1]]);

      const { ended } = await sim
        .runner(await sim.open("runbooks/rollback.ts"))
        .run({ why: "it was the wrong night" });
      expect([ended.end, ended.why]).toEqual(["succeeded", undefined]);
      await settle(sim.lab);
      const lost = { "app/version": "1", "late.txt": "written after the cut" };
      expect(files(sim)).toEqual([lost, lost]);
      for (const node of ["server1", "server2"]) expect(configured(sim, node)).toEqual(before);
      const tags = sim.lab.cloud.listVolumes().flatMap((volume) => Object.keys(volume.tags));
      // The restored volumes are the old ones now.
      expect(tags.filter((key) => key.startsWith("runbook:old-path"))).toHaveLength(2);
      expect(sim.breaches).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("has it look for the names of the cut, whatever its nodes are called since", async () => {
    const sim = await openSimulation({ ...world, runbook: restore.runbook });
    try {
      const [one = "", two = ""] = configured(sim, "server1");
      // The first is cut from server1's volumes, the second from those of server2.
      await play(sim, "backup-active");
      const cut: Tags = sim.lab.cloud.listSnapshots()[0]?.tags ?? {};
      expect(cut["runbook:path:md1:data"]).toBe(`/dev/disk/by-partuuid/${one}`);
      await sim.clock.sleep(60_000);
      await play(sim, "backup-standby");
      await play(sim, "restore");
      expect(configured(sim, "server1")).toEqual([two, two]);
      const older = { point: cut["runbook:point"] ?? "" };
      const plan = await sim.runner().plan(older);
      expect(JSON.stringify(plan)).toContain(`md1 will be looked for at /dev/disk/by-partuuid/${one}`);
      const { ended } = await sim.runner().run(older);
      expect([ended.end, ended.why]).toEqual(["succeeded", undefined]);
      for (const node of ["server1", "server2"]) expect(configured(sim, node)).toEqual([one, one]);
      expect(sim.breaches).toEqual([]);
    } finally {
      sim.close();
    }
  });

  it("puts one and the same file back on both, also where only one was written to", async () => {
    const halfOwn = async (sim: Simulation) => {
      await lostFiles(sim);
      for (const node of ["server1", "server2"]) {
        const { files } = sim.lab.node(node);
        const text = files.read(configFile);
        const [, common = ""] = /<dppath>([^<]*)</.exec(text) ?? [];
        // server1 has one of its two partitions for itself: the setting of both adds a line there.
        const own = `<server name="server1"><parameters><diskdev><dppath>${common}</dppath></diskdev></parameters></server>`;
        files.write(configFile, text.replace(/<server name="server2">\s*<parameters>/, `${own}$&`));
        expect(files.read(configFile)).toContain(own);
      }
    };
    let alike: boolean[] = [];
    const play: Play = {
      ...restore,
      prepare: halfOwn,
      after: (sim) => {
        const [one, two] = ["server1", "server2"].map((node) => sim.lab.node(node).files.read(configFile));
        alike = [...alike, one === two];
      },
      alsoGood: ({ changed }) => changed.every((line) => line.includes("configuration")),
    };
    expect(await failEach(play, { times: 1, where: /set-mirror-devices/ })).toEqual([]);
    expect(alike.length).toBeGreaterThan(4);
    expect(alike).not.toContain(false);
  });

  it.each(["server1", "server2"])("also where %s alone is restored", async (onto) => {
    let found: unknown;
    const { played } = await playOnce({
      ...restore,
      runbook: "runbooks/restore-one.ts",
      params: { onto },
      after: (sim) => {
        found = [files(sim), configured(sim, "server1").join() === configured(sim, "server2").join()];
      },
    });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(found).toEqual([[atTheCut, atTheCut], true]);
  });

  it("gives the names back with the old volumes when a command fails", { timeout: 900_000 }, async () => {
    const restored: Play["alsoGood"] = ({ changed, done }) =>
      done.includes("startMirrors") && changed.every((line) => places.test(line));
    expect(await failEach({ ...restore, alsoGood: restored }, { times: 1 })).toEqual([]);
  });

  it("and when it was killed", { timeout: 900_000 }, async () => {
    const bad = await everyRow(
      1,
      { params: {}, world: { ...world, runbook: restore.runbook }, prepare: lostFiles },
      ({ end, changed, breaches, gaps }) =>
        [breaches, gaps].every((list) => list.length === 0) &&
        (end === "succeeded"
          ? changed.every((line) => places.test(line))
          : end === "given back" && changed.length === 0),
      (unit) => ours.includes(unit),
    );
    expect(bad).toEqual([]);
  });
});

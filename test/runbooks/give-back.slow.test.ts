/** Every row of the failure table, typed into the lab by hand, and given back by looking alone. */
import { describe, expect, it } from "vitest";

import { parsePasted } from "../../src/cli/lab-paste.ts";
import { settle, typeLine } from "../../src/lab/hands.ts";
import {
  backedUp,
  bothPrepared,
  broken,
  dataVolumes,
  powerOn,
  powerState,
  setFullCopy,
  standbyOff,
  standbyOutside,
  stopGroup,
  suspend,
  type,
  until,
  volumesIn,
  volumesOut,
} from "../support/bad-nights.ts";
import { play, type Night } from "../support/morning.ts";
import type { Simulation } from "../support/simulation.ts";

/** Restored volumes on both nodes, which are up, outside of the cluster: R1, 1 to 10. */
async function restoredOutside(sim: Simulation, fullCopy: boolean): Promise<void> {
  const snapshots = await backedUp(sim);
  await setFullCopy(sim, fullCopy);
  await bothPrepared(sim);
  await volumesOut(sim, false);
  await volumesIn(sim, snapshots);
  await powerOn(sim, "server1", "server2");
}

async function standbyRejoined(sim: Simulation, service: "early" | "late"): Promise<void> {
  await standbyOutside(sim, service);
  await type(sim, "server2", "clpbackup.sh --post");
  await until(sim, "the standby has joined", () => sim.lab.cluster().isOnline("server2"));
}

async function oneOff(sim: Simulation, node: string, command: string): Promise<void> {
  await type(sim, node, command);
  await until(sim, `${node} is off`, () => powerState(sim, node) === "stopped");
}

/** All that a restore changes by its nature, and all that another home of the group does. */
const restored = /^volumes\.|attachments|mirrors\.md\d\.volumes|configuration/;
const moved = /groups\.failover1\.server|nodes\.server\d\.mounts/;

interface Row extends Night {
  /** What may differ in the end. */
  readonly may?: RegExp;
  /** Whether the group can be started at once: then that comes before anything slow. */
  readonly serviceFirst: boolean;
}

const normal: { readonly [row: string]: Row } = {
  "B1 2: the group is stopped": { befalls: stopGroup, serviceFirst: true },
  "B1 3: the monitors are suspended too": {
    befalls: async (sim) => {
      await stopGroup(sim);
      await suspend(sim);
    },
    serviceFirst: true,
  },
  "B1 4: the mirror is broken": { befalls: broken, serviceFirst: true },
  "B1 4: three mirrors are broken": { befalls: broken, world: { mirrors: 3 }, serviceFirst: true },
  "B1 6: --pre failed before the shutdown": {
    befalls: async (sim) => {
      await broken(sim);
      await type(sim, "server2", "clpbackup.sh --pre --no-shutdown");
    },
    serviceFirst: true,
  },
  "B1 6: --pre failed before the shutdown, and nothing was broken": {
    befalls: (sim) => type(sim, "server2", "clpbackup.sh --pre --no-shutdown"),
    serviceFirst: false,
  },
  "B1 6: the standby is off in backup mode": { befalls: (sim) => standbyOff(sim), serviceFirst: true },
  "B1 9: the standby is up in backup mode": { befalls: (sim) => standbyOutside(sim), serviceFirst: true },
  "B1 9: the same, while the service runs": {
    befalls: (sim) => standbyOutside(sim, "early"),
    serviceFirst: false,
  },
  "B1 10: the standby does not join": {
    befalls: async (sim) => {
      await standbyRejoined(sim, "late");
      await type(sim, "server2", "clpcl -t");
    },
    serviceFirst: true,
  },
  "B1 13: the recovery waits for the monitor": {
    befalls: (sim) => standbyRejoined(sim, "early"),
    serviceFirst: false,
  },
  "B1 13: automatic recovery is off": {
    befalls: (sim) => standbyRejoined(sim, "early"),
    world: { settings: { autoRecovery: false } },
    serviceFirst: false,
  },
  "R1 1: the initial full copy is off": {
    befalls: (sim) => setFullCopy(sim, false),
    params: { copy: "on" },
    serviceFirst: false,
  },
  "R1 6: only the second node was prepared": {
    befalls: async (sim) => {
      await stopGroup(sim);
      await oneOff(sim, "server2", "clprestore.sh --pre");
    },
    serviceFirst: true,
  },
  "R1 6: only the first node was prepared": {
    befalls: async (sim) => {
      await stopGroup(sim);
      await oneOff(sim, "server1", "clprestore.sh --pre");
    },
    may: moved,
    serviceFirst: true,
  },
  "R1 6: both nodes are off": { befalls: bothPrepared, params: { alone: "known" }, serviceFirst: false },
  "R1 7: the old volumes are detached, with their places in their tags": {
    befalls: async (sim) => {
      await bothPrepared(sim);
      await volumesOut(sim, true);
    },
    params: { alone: "known" },
    serviceFirst: false,
  },
  "a node was booted without its volumes, for a restore": {
    befalls: async (sim) => {
      await oneOff(sim, "server2", "clpdown");
      const { ended } = await sim.runner(await sim.open("runbooks/boot-bare.ts")).run();
      expect(ended).toMatchObject({ end: "succeeded" });
      sim.loseStore();
    },
    serviceFirst: false,
  },
  "R1 11: one side was started, a moment ago": {
    befalls: async (sim) => {
      await restoredOutside(sim, false);
      await type(sim, "server1", "clprestore.sh --post --skip-copy");
      await until(sim, "it waits", () => sim.lab.cluster().member("server1").core === "waiting");
    },
    may: restored,
    serviceFirst: false,
  },
  "R1 11: one side was started, and has served": {
    befalls: async (sim) => {
      await restoredOutside(sim, false);
      await type(sim, "server1", "clprestore.sh --post --skip-copy");
      await until(sim, "it serves", () => sim.lab.cluster().nodeOf("failover1") === "server1");
      await sim.clock.sleep(60_000);
    },
    may: restored,
    serviceFirst: false,
  },
  "B3 3: both nodes are off in backup mode": {
    befalls: async (sim) => {
      await stopGroup(sim);
      await oneOff(sim, "server1", "clpbackup.sh --pre");
      await oneOff(sim, "server2", "clpbackup.sh --pre");
    },
    params: { alone: "known" },
    serviceFirst: false,
  },
  "the active lost its power while the standby is in backup mode": {
    befalls: async (sim) => {
      await standbyOutside(sim, "early");
      sim.lab.killPower("server1");
      await until(sim, "it is off", () => powerState(sim, "server1") === "stopped");
    },
    serviceFirst: false,
  },
  "the standby lost its power": {
    befalls: async (sim) => {
      sim.lab.killPower("server2");
      await until(sim, "it is off", () => powerState(sim, "server2") === "stopped");
    },
    serviceFirst: false,
  },
  "the active was cut off after the break, shut itself down, and the network is back": {
    befalls: async (sim) => {
      await broken(sim);
      await type(sim, "server1", "clpgrp -s failover1");
      sim.lab.isolate("server1");
      await sim.clock.sleep(120_000);
      sim.lab.rejoin("server1");
    },
    serviceFirst: false,
  },
  "a node came up alone that was off while the other one served, and thinks itself good": {
    befalls: async (sim) => {
      await oneOff(sim, "server2", "clpdown");
      sim.lab.writeFile("prod", "md1", "orders.txt", "two");
      sim.lab.killPower("server1");
      await until(sim, "it is off", () => powerState(sim, "server1") === "stopped");
      await powerOn(sim, "server2");
      await until(sim, "it is alone", () => sim.lab.cluster().isOnline("server2"));
      expect(sim.lab.cluster().mirrors[0]?.control("server2")?.colour).toBe("GREEN");
    },
    world: { startsByItself: false },
    params: { groups: "failover1" },
    may: /data\.orders\.txt: "one" → "two"$/,
    serviceFirst: false,
  },
  "the cluster software of both nodes is stopped": {
    befalls: (sim) => type(sim, "server1", "clpcl -t -a"),
    serviceFirst: false,
  },
  "nothing at all": { befalls: async () => undefined, serviceFirst: false },
};

const slow = /StartInstances|clpbackup|clprestore|shutdown|clpcl|--recovery|AttachVolume/;

describe("give-back reaches normal, the service first", () => {
  it.each(Object.entries(normal))("%s", async (_row, night) => {
    await play(night, ({ ended, changed, writes, story: rows }) => {
      expect(ended, rows).toMatchObject({ end: "succeeded", left: [], exposures: [] });
      expect(changed.filter((line) => night.may?.test(line) !== true)).toEqual([]);
      const start = writes.findIndex((line) => line.includes("clpgrp -s"));
      const later = writes.findIndex((line) => slow.test(line));
      if (night.serviceFirst) {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(later === -1 || start < later).toBe(true);
      }
      expect(writes.filter((line) => line.includes("clpgrp -t"))).toEqual([]);
    });
  });

  it("brings a side that has not served in by a copy of everything from the one that has", async () => {
    const night = normal["R1 11: one side was started, and has served"];
    await play(night as Row, ({ sim }) => {
      const copies = sim.lab.heart.effects.filter(({ detail }) => detail.kind === "recovery-started");
      expect(copies.at(-1)?.detail).toMatchObject({ from: "server1", to: "server2", copy: "full" });
    });
  });
});

interface Stuck extends Night {
  readonly why: RegExp;
  /** By unit, the commands that are printed. */
  readonly byHand: { readonly [unit: string]: RegExp | null };
  /** Where the service runs in the end. */
  readonly home?: string;
}

const bothRed = async (sim: Simulation) => {
  await broken(sim);
  // As after both sides served apart from each other: nobody knows any more which is the good one.
  sim.lab.cluster().mirrors[0]?.put("server1", { control: { colour: "RED" } });
  await type(sim, "server1", "clpgrp -s failover1", 1);
};
const keep = (node: string) =>
  new RegExp(`clpmdctrl --force ${node} md1'[^]*ssh ${node} 'clpgrp -s failover1'`);

const stuck: { readonly [row: string]: Stuck } = {
  "both sides are RED": {
    befalls: bothRed,
    why: /no side is proven good: md1 is RED on server1, RED on server2/,
    byHand: { "choice@server1": keep("server1"), "choice@server2": keep("server2"), untilNormal: null },
  },
  "R1 11 refused: restored volumes on both nodes, never started": {
    befalls: async (sim) => {
      await restoredOutside(sim, true);
      await type(sim, "server1", "clprestore.sh --post --skip-copy", 1);
    },
    why: /no side is proven good/,
    byHand: { "choice@server1": keep("server1"), "choice@server2": keep("server2"), untilNormal: null },
  },
  "the active is gone while the standby is in backup mode": {
    befalls: async (sim) => {
      await standbyOutside(sim, "early");
      sim.lab.cloud.terminate(sim.lab.node("server1").instance);
      await settle(sim.lab);
    },
    why: /server1 has no instance any more/,
    byHand: {
      "choice@server2": new RegExp(`ssh server2 'clpbackup.sh --post'[^]*${keep("server2").source}`),
      untilNormal: null,
    },
  },
  "the active is off and does not boot, while the standby is in backup mode": {
    befalls: async (sim) => {
      await standbyOutside(sim, "early");
      sim.lab.killPower("server1");
      sim.lab.node("server1").bootFails = true;
      await settle(sim.lab);
    },
    why: /took longer than it may/,
    byHand: {
      "choice@server2": new RegExp(`ssh server2 'clpbackup.sh --post'[^]*${keep("server2").source}`),
      untilNormal: null,
    },
  },
  "the active was cut off after the break, and still is": {
    befalls: async (sim) => {
      await broken(sim);
      await type(sim, "server1", "clpgrp -s failover1");
      sim.lab.isolate("server1");
      await sim.clock.sleep(120_000);
    },
    why: /they do not see each other/,
    byHand: { untilNormal: /^ssh server1 'clpcl -s'$/ },
    home: "server1",
  },
  "the active serves, and only the way to it is cut": {
    befalls: async (sim) => {
      await broken(sim);
      await type(sim, "server1", "clpgrp -s failover1");
      sim.lab.cutOperator("server1");
      await sim.clock.sleep(60_000);
    },
    why: /server1 is a member in the eyes of server2, and does not answer here/,
    byHand: { untilNormal: null },
    home: "server1",
  },
  "the active is gone, and the standby is good": {
    befalls: async (sim) => {
      sim.lab.cloud.terminate(sim.lab.node("server1").instance);
      await settle(sim.lab);
    },
    why: /server1 has no instance any more/,
    byHand: { untilNormal: null },
    home: "server2",
  },
  "R1 7: the old volumes are detached, and nobody knows their places": {
    befalls: async (sim) => {
      await bothPrepared(sim);
      await volumesOut(sim, false);
    },
    params: { alone: "known" },
    why: /server1 has no data volume attached/,
    byHand: { untilNormal: null },
  },
  "R1 8: only one node has a restored volume": {
    befalls: async (sim) => {
      const snapshots = await backedUp(sim);
      await bothPrepared(sim);
      for (const { volume } of dataVolumes(sim, "server1"))
        sim.lab.cloud.detachVolume(volume, sim.lab.node("server1").instance);
      await settle(sim.lab);
      await volumesIn(sim, snapshots, ["server1"]);
      await powerOn(sim, "server1", "server2");
    },
    why: /the volumes do not look like one pair/,
    byHand: { untilNormal: null },
  },
  "R1 10: the device names may have moved": {
    befalls: async (sim) => {
      await bothPrepared(sim);
      await powerOn(sim, "server1", "server2");
    },
    world: { mirrors: 3, devices: "bare" },
    why: /may be another disk since the last boot; its mirror is not started/,
    byHand: { untilNormal: null },
  },
  "R1 12: the standby's mirror does not load": {
    befalls: async (sim) => {
      await oneOff(sim, "server2", "clpbackup.sh --pre");
      const { instance } = sim.lab.node("server2");
      const { zone } = sim.lab.cloud.getInstance(instance);
      for (const { volume } of dataVolumes(sim, "server2")) sim.lab.cloud.detachVolume(volume, instance);
      const content = {
        kind: "mirror" as const,
        data: {},
        control: { mirror: "md9", disk: "d6972011", colour: "GREEN" },
        dirty: false,
      };
      const other = sim.lab.cloud.addVolume({ sizeGiB: 100, type: "gp3", zone, content, tags: {} });
      await settle(sim.lab);
      sim.lab.cloud.attachVolume(other, instance, "/dev/sdf");
      await settle(sim.lab);
      await powerOn(sim, "server2");
      await type(sim, "server2", "clpsvcctrl.sh --enable -a");
      await type(sim, "server2", "clpcl -s");
      await until(sim, "it is a member", () => sim.lab.cluster().isOnline("server2"));
    },
    why: /The status of md1 is invalid/,
    byHand: { untilNormal: /^ssh server1 'clpmdctrl --recovery md1'$/ },
    home: "server1",
  },
};

describe("give-back is stuck, and says for what, where no look can tell", () => {
  it.each(Object.entries(stuck))("%s", { timeout: 300_000 }, async (_row, night) => {
    await play(night, ({ ended, byHand, sim, writes, story: rows }) => {
      expect(ended.end, rows).toBe("stuck");
      expect(ended.why).toMatch(night.why);
      expect(Object.keys(byHand).sort()).toEqual(Object.keys(night.byHand).sort());
      for (const [unit, wanted] of Object.entries(night.byHand)) {
        const printed = byHand[unit]?.join("\n") ?? "";
        if (wanted === null) expect(printed).toBe("");
        else expect(printed).toMatch(wanted);
      }
      if (night.home !== undefined) expect(sim.lab.cluster().nodeOf("failover1")).toBe(night.home);
      // Nothing is started, and nobody is brought in, on a side that is not proven.
      else expect(writes.filter((line) => line.includes("clpgrp -s"))).toEqual([]);
    });
  });

  it("says what each choice would lose", async () => {
    const night: Night = {
      befalls: async (sim) => {
        await broken(sim);
        await type(sim, "server1", "clpgrp -s failover1");
        await sim.clock.sleep(600_000);
        await stopGroup(sim);
        sim.lab.cluster().mirrors[0]?.put("server1", { control: { colour: "RED" } });
      },
    };
    await play(night, ({ ended }) => {
      const said = Object.fromEntries(ended.left.map(({ unit, message }) => [unit.key, message]));
      expect(said["choice@server2"]).toMatch(
        /md1 is RED on server2, .*what server1 got between the break at 2026\S+ 00:00:\d\d and 2026\S+ 00:1\d:\d\d would be lost/,
      );
      expect(said["choice@server1"]).toMatch(/server2 got nothing after the break/);
    });
  });

  it.each(["server1", "server2"])(
    "the commands for one choice, pasted, and `undo`: normal with the data of %s",
    async (kept) => {
      await play({ befalls: bothRed }, async ({ byHand, sim, run }) => {
        const names = [...sim.lab.nodes.keys()];
        for (const { node, command } of parsePasted((byHand[`choice@${kept}`] ?? []).join("\n"), names)) {
          const said = await typeLine(sim.lab, { markPerson: () => undefined } as never, command, node);
          expect([command, said.code, said.stdout]).toEqual([command, 0, said.stdout]);
          await settle(sim.lab);
        }
        const again = await sim.runner().resume(run);
        await again.lookAgain();
        again.wantBack("operator", "the side is chosen");
        const ended = await again.go();
        await again.close();
        expect(ended).toMatchObject({ end: "given back", left: [] });
        const copies = sim.lab.heart.effects.filter(({ detail }) => detail.kind === "recovery-started");
        expect(copies.map(({ detail }) => detail["from"])).toEqual([kept]);
        expect(sim.lab.cluster().mirrors[0]?.status("server1")).toBe("Normal");
        expect(sim.lab.cluster().nodeOf("failover1")).toBe(kept);
        expect(sim.breaches).toEqual([]);
      });
    },
  );

  it("does not stand in the way of a new give-back, which begins from what is there then", async () => {
    const night: Night = {
      befalls: async (sim) => {
        await broken(sim);
        await type(sim, "server2", "clpbackup.sh --pre --no-shutdown");
        // Its flags are on, and nothing shows it.
        await type(sim, "server2", "clpsvcctrl.sh --enable -a");
      },
    };
    await play(night, async ({ ended, sim, run }) => {
      expect(ended.end).toBe("stuck");
      expect(ended.left[0]?.hint).toMatch(/clpsvcctrl\.sh --disable -a/);
      expect(sim.lab.cluster().nodeOf("failover1")).toBe("server1");
      await type(sim, "server2", "clpsvcctrl.sh --disable -a");
      expect((await sim.runner().run()).ended).toMatchObject({ end: "succeeded" });
      const again = await sim.runner().resume(run);
      again.wantBack("operator", "all is well");
      expect(await again.go()).toMatchObject({ end: "given back" });
      await again.close();
    });
  });
});

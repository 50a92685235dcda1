/** The driver's part of the restores, on the lab's shell: requests are sent, and their effect is found by reads alone. */
import { expect, test } from "vitest";
import { openClusterpro } from "../../src/drivers/clusterpro/driver.ts";
import type { LabOptions } from "../../src/lab/build.ts";
import type { Request } from "../../src/ports/driver.ts";
import { bench, type Bench } from "../support/lab.ts";

function driven(options: Partial<LabOptions> = {}) {
  const world = bench(options);
  const driver = openClusterpro({ shell: world.lab.shell, clock: world.clock });
  const send = (request: Request) => driver.send(request, { limitMs: 3_600_000 });
  const mirror = async (via = "server1") => driver.reads.getMirror({ mirror: "md1", via });
  const gaps = () => world.lab.heart.received.filter((row) => row.class === "gap").map(({ line }) => line);
  return { ...world, send, mirror, gaps, reads: driver.reads, requests: driver.requests };
}

async function startAgain({ lab, until }: Bench, node: string): Promise<void> {
  const { instance } = lab.node(node);
  await until(`${node} is off`, () => lab.cloud.getInstance(instance).state.now.state === "stopped");
  lab.cloud.start(instance);
  await until(`${node} is up`, () => lab.node(node).state === "up");
}

const both = ["server1", "server2"] as const;
const members = ({ lab }: Bench) => both.every((node) => lab.cluster().isOnline(node));
const temporary = ({ lab }: Bench) =>
  both.flatMap((node) =>
    Object.keys(lab.node(node).files.tree("/run")).filter((path) => path.includes("runbook")),
  );

test("the options of mirrors are changed on all nodes, again without harm, and back", async () => {
  const world = driven({ mirrors: 2 });
  const { reads, requests, send } = world;
  const options = async () => {
    const { mirrors, digests } = await reads.getConfig(both);
    expect(new Set(Object.values(digests)).size).toBe(1);
    return mirrors.map(({ name, fullCopy, initialMkfs }) => [name, fullCopy, initialMkfs]);
  };
  expect(await options()).toEqual([
    ["md1", true, false],
    ["md2", true, false],
  ]);
  const off = requests.setMirrorOptions({
    node: "server2",
    mirrors: ["md1", "md2"],
    fullCopy: false,
    initialMkfs: false,
  });
  await send(off);
  await send(off);
  expect(await options()).toEqual([
    ["md1", false, false],
    ["md2", false, false],
  ]);
  await send(
    requests.setMirrorOptions({ node: "server1", mirrors: ["md2"], fullCopy: true, initialMkfs: false }),
  );
  expect(await options()).toEqual([
    ["md1", false, false],
    ["md2", true, false],
  ]);
  expect(temporary(world)).toEqual([]);
  expect(world.gaps()).toEqual([]);
});

test("a change that cannot reach all nodes changes none, and leaves no folder", async () => {
  const world = driven();
  const { lab, reads, requests, send } = world;
  const before = (await reads.getConfig(["server1"])).digests;
  lab.killPower("server2");
  await expect(
    send(
      requests.setMirrorOptions({ node: "server1", mirrors: ["md1"], fullCopy: false, initialMkfs: false }),
    ),
  ).rejects.toMatchObject({ kind: "precondition", happened: "said" });
  expect((await reads.getConfig(["server1"])).digests).toEqual(before);
  expect(temporary(world)).toEqual([]);
});

test("without clpcfset a person is sent to Cluster WebUI", async () => {
  const { lab, requests, send } = driven();
  lab.node("server1").commands.delete("clpcfset");
  await expect(
    send(
      requests.setMirrorOptions({ node: "server1", mirrors: ["md1"], fullCopy: false, initialMkfs: false }),
    ),
  ).rejects.toMatchObject({
    kind: "unsupported",
    happened: "no",
    hint: expect.stringContaining("Cluster WebUI") as string,
  });
});

test("the partitions of a mirror are changed in one node's file, once its cluster software stands still", async () => {
  const { lab, reads, requests, send, clock } = driven({ startsByItself: false });
  const partitions = async (node: string) => {
    const [first] = (await reads.getConfig([node])).mirrors;
    return { data: first?.dataPartition, cluster: first?.clusterPartition, own: first?.ownPartitions };
  };
  const set = (name: string, of: string | null) =>
    send(
      requests.setMirrorDevices({
        node: "server1",
        mirror: "md1",
        dataPartition: `/dev/vg/${name}-data`,
        clusterPartition: `/dev/vg/${name}-cluster`,
        of,
      }),
    );
  const before = await partitions("server1");
  await expect(set("common", null)).rejects.toMatchObject({ kind: "precondition", happened: "no" });
  expect(await partitions("server1")).toEqual(before);

  await send(requests.disableService({ node: "server1" }));
  lab.rebootUnasked("server1");
  while ((await reads.getService("server1").catch(() => ({ running: true }))).running)
    await clock.sleep(5_000);
  await set("common", null);
  expect(await partitions("server1")).toEqual({
    data: { server1: "/dev/vg/common-data", server2: "/dev/vg/common-data" },
    cluster: { server1: "/dev/vg/common-cluster", server2: "/dev/vg/common-cluster" },
    own: [],
  });
  await set("second", "server2");
  await set("newer", null);
  expect(await partitions("server1")).toEqual({
    data: { server1: "/dev/vg/newer-data", server2: "/dev/vg/second-data" },
    cluster: { server1: "/dev/vg/newer-cluster", server2: "/dev/vg/second-cluster" },
    own: ["server2"],
  });
  expect(await partitions("server2")).toEqual(before);
  expect(lab.node("server1").files.list("/opt/nec/clusterpro/etc")).toEqual(["clp.conf"]);
});

test.each([false, true])(
  "both sides are prepared and finished without a copy (cut output: %s)",
  async (cuts) => {
    const world = driven({ startsByItself: false, settings: { cutsOutput: cuts }, seed: 5 });
    const { lab, reads, requests, send } = world;
    // What takes a node down is found by looking; its answer may be lost.
    const takeDown = async (request: Request) => {
      try {
        await send(request);
      } catch (failure) {
        if (!cuts) throw failure;
        expect(failure).toMatchObject({ kind: "unavailable", happened: "maybe" });
      }
    };
    await send(
      requests.setMirrorOptions({ node: "server1", mirrors: ["md1"], fullCopy: false, initialMkfs: false }),
    );
    await send(requests.stopGroup({ group: "failover1", node: "server1" }));
    for (const node of both) await takeDown(requests.prepareRestore({ node }));
    for (const node of both) await startAgain(world, node);
    for (const node of both)
      expect(await reads.getService(node)).toMatchObject({ startsAtBoot: false, running: false });
    for (const node of both) await takeDown(requests.finishRestore({ node, skipCopy: true }));
    await world.until("both are members", () => members(world));
    expect(await world.mirror()).toMatchObject({
      status: "Normal",
      sides: { server1: { colour: "GREEN" }, server2: { colour: "GREEN" } },
    });
    for (const node of both)
      expect(await reads.getService(node)).toMatchObject({ startsAtBoot: true, running: true });
    const told = await Promise.all(
      both.map((node) => reads.findCopies({ node, mirror: "md1", sinceUptimeSeconds: 0 })),
    );
    expect(told.flat()).toEqual([
      { kind: "initial", started: false, ended: false, failed: false, at: expect.any(String) as string },
    ]);
    expect(lab.heart.effects.some(({ detail }) => detail.kind === "recovery-started")).toBe(false);
    expect(world.gaps()).toEqual([]);
  },
);

test("finishing is refused while the initial full copy is on, and what it said is shown", async () => {
  const world = driven({ startsByItself: false });
  const { reads, requests, send } = world;
  await send(requests.stopGroup({ group: "failover1", node: "server1" }));
  await send(requests.prepareRestore({ node: "server2" }));
  await startAgain(world, "server2");
  await expect(send(requests.finishRestore({ node: "server2", skipCopy: true }))).rejects.toMatchObject({
    kind: "conflict",
    happened: "said",
    message: expect.stringContaining("initial mirror construction") as string,
  });
  expect(await reads.getService("server2")).toMatchObject({ startsAtBoot: false, running: false });
});

test("a forced side wins by a full copy that the log tells of, asked or not", async () => {
  for (const forceAsks of [true, false]) {
    const world = driven({ settings: { cutsOutput: false, forceAsks } });
    const { lab, reads, requests, send } = world;
    await send(requests.suspendMonitor({ monitor: "mdw1", node: "server1", via: "server1" }));
    await send(requests.breakMirror({ mirror: "md1", node: "server2" }));
    await send(requests.stopGroup({ group: "failover1", node: "server1" }));
    lab.cluster().mirrors[0]?.put("server2", { data: { "app/version": "restored" } });
    const since = lab.node("server2").uptimeSeconds;
    await send(requests.forceGood({ mirror: "md1", node: "server2" }));
    expect((await world.mirror()).recovery).toMatchObject({ from: "server2", to: "server1" });
    const find = () => reads.findCopies({ node: "server2", mirror: "md1", sinceUptimeSeconds: since });
    expect(await find()).toMatchObject([{ kind: "full", started: true, ended: false, failed: false }]);
    await world.until("the copy ends", () => lab.cluster().mirrors[0]?.recovery === undefined);
    expect(await find()).toMatchObject([{ kind: "full", started: true, ended: true, failed: false }]);
    expect(lab.readFiles(lab.volumeOf("server1", "md1") ?? "")).toEqual({ "app/version": "restored" });
    expect(world.gaps()).toEqual([]);
  }
});

test("a copy of what differs is told as such, with its time, and not before the uptime asked for", async () => {
  const world = driven();
  const { lab, reads, requests, send } = world;
  await send(requests.suspendMonitor({ monitor: "mdw1", node: "server1", via: "server1" }));
  await send(requests.breakMirror({ mirror: "md1", node: "server2" }));
  await send(requests.recoverMirror({ mirror: "md1", node: "server1" }));
  const at = new Date(world.clock.now()).toISOString().slice(0, 17);
  await world.until("the copy ends", () => lab.cluster().mirrors[0]?.recovery === undefined);
  const find = (sinceUptimeSeconds: number) =>
    reads.findCopies({ node: "server1", mirror: "md1", sinceUptimeSeconds });
  const copies = await find(0);
  expect(copies).toMatchObject([{ kind: "difference", started: true, ended: true, failed: false }]);
  expect(copies[0]?.at.startsWith(at)).toBe(true);
  expect(await find(lab.node("server1").uptimeSeconds)).toEqual([]);
  expect(await reads.findCopies({ node: "server1", mirror: "md2", sinceUptimeSeconds: 0 })).toEqual([]);
});

test("a node without a journal tells of no copy", async () => {
  const { lab, reads } = driven();
  lab.node("server1").commands.set("journalctl", () => 1);
  expect(await reads.findCopies({ node: "server1", mirror: "md1", sinceUptimeSeconds: 0 })).toEqual([]);
});

test("a group is moved, from the node that is named", async () => {
  const world = driven();
  const { reads, requests, send } = world;
  const where = () => reads.findGroupNode({ group: "failover1", via: "server1" });
  await send(requests.moveGroup({ group: "failover1", from: "server1", to: "server2" }));
  expect(await where()).toBe("server2");
  await expect(
    send(requests.moveGroup({ group: "failover1", from: "server1", to: "server2" })),
  ).rejects.toMatchObject({ happened: "said" });
  await send(requests.moveGroup({ group: "failover1", from: "server2", to: "server1" }));
  expect(await where()).toBe("server1");
  expect(world.breaches).toEqual([]);
});

test.each(["the product's script", "systemd"])("automatic start goes off and on again by %s", async (by) => {
  const world = driven();
  const { lab, reads, requests, send } = world;
  if (by === "systemd") lab.node("server2").commands.delete("clpsvcctrl.sh");
  await send(requests.disableService({ node: "server2" }));
  await send(requests.disableService({ node: "server2" }));
  expect(await reads.getService("server2")).toMatchObject({ startsAtBoot: false, running: true });
  await send(requests.enableService({ node: "server2" }));
  expect(await reads.getService("server2")).toMatchObject({ startsAtBoot: true, running: true });
  expect([...lab.node("server2").systemd.units.values()].every(({ enabled }) => enabled)).toBe(true);
  expect(world.gaps()).toEqual([]);
});

test("the software of a node is stopped and started, and its group goes to the peer", async () => {
  const world = driven();
  const { lab, reads, requests, send } = world;
  await send(requests.stopService({ node: "server1" }));
  expect((await reads.getService("server1")).running).toBe(false);
  await world.until("taken over", () => lab.cluster().nodeOf("failover1") === "server2");
  await send(requests.startService({ node: "server1" }));
  await world.until("a member", () => members(world));
});

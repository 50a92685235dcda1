/** Each of the lab's rules speaks of a world that was broken by hand, and is silent on one in which things go as they should. */
import { describe, expect, test } from "vitest";

import { runAwsLine } from "../../src/lab/aws-line.ts";
import { beginLeftOver } from "../../src/lab/invariants.ts";
import { fenced } from "../../src/ports/shell.ts";
import { bench, type Bench } from "../support/lab.ts";

const both = ["server1", "server2"] as const;
const broken = ({ breaches }: Bench) => [...new Set(breaches.map(({ rule }) => rule))];
const dataOf = ({ lab }: Bench, node: string) => lab.volumeOf(node, "md1") ?? "";

/** As a run would: with its fence, from a node that carries its marker. */
async function byRun({ lab }: Bench, run: string, node: string, words: string): Promise<void> {
  lab.node(node).files.plant("/var/lib/runbook/lock/fence", `${run}.1\n`);
  await lab.shell.run(node, fenced(`${run}.1`, words.split(" ")), { timeoutMs: 3_600_000 });
}

const isOff =
  ({ lab }: Bench, node: string) =>
  () =>
    lab.cloud.getInstance(lab.node(node).instance).state.now.state === "stopped";

async function powerOn(world: Bench, node: string): Promise<void> {
  const { lab, until } = world;
  lab.cloud.start(lab.node(node).instance);
  await until(`${node} is up`, () => lab.node(node).state === "up");
}

/** R1, 5 and 6, on these nodes. */
async function prepared(world: Bench, nodes: readonly string[] = both): Promise<void> {
  await world.run("server1", "clpgrp -t failover1");
  for (const node of nodes) {
    await world.run(node, "clprestore.sh --pre");
    await world.until(`${node} is off`, isOff(world, node));
  }
}

/** The volume out of its place, and one made from the snapshot, or an older one, in. Answers with the one that came out. */
async function swap(
  world: Bench,
  node: string,
  to: { snapshot: string } | { volume: string },
): Promise<string> {
  const { lab, until } = world;
  const { instance } = lab.node(node);
  const [, data] = lab.cloud.attached(instance);
  const old = data?.volume ?? "";
  lab.cloud.detachVolume(old, instance);
  await until("free", () => lab.cloud.getVolume(old).state === "available");
  const volume =
    "volume" in to
      ? to.volume
      : lab.cloud.createVolume({ zone: lab.cloud.getInstance(instance).zone, type: "gp3", tags: {}, ...to })
          .id;
  await until("made", () => lab.cloud.getVolume(volume).state === "available");
  lab.cloud.attachVolume(volume, instance, data?.device ?? "");
  await until("attached", () => lab.cloud.getVolume(volume).attachment.now?.state === "attached");
  return old;
}

async function cut(world: Bench, node: string): Promise<string> {
  const { id } = world.lab.cloud.createSnapshot(dataOf(world, node), "by hand", {});
  await world.until("copied", () => world.lab.cloud.getSnapshot(id).state === "completed");
  return id;
}

/** A whole R1 by hand onto both sides, with the volumes that came out. */
async function restored(world: Bench): Promise<readonly string[]> {
  const snapshot = await cut(world, "server1");
  await prepared(world);
  const old: string[] = [];
  for (const node of both) old.push(await swap(world, node, { snapshot }));
  for (const node of both) await powerOn(world, node);
  for (const node of both) await world.run(node, "clprestore.sh --post --skip-copy");
  await world.until("served", () => world.lab.cluster().nodeOf("failover1") !== undefined);
  await world.seconds(60);
  return old;
}

describe("a restore by hand, as the procedure has it", () => {
  test("breaks no rule, and the old volumes may come back as long as the new ones have not served", async () => {
    const world = bench({ fullCopy: false });
    await restored(world);
    expect(broken(world)).toEqual([]);
  });

  test("breaks none either when it is given back before anything served", async () => {
    const world = bench({ fullCopy: false });
    const snapshot = await cut(world, "server1");
    await prepared(world);
    for (const node of both) {
      const old = await swap(world, node, { snapshot });
      await swap(world, node, { volume: old });
    }
    for (const node of both) {
      await powerOn(world, node);
      await world.sh(node, "clpsvcctrl.sh --enable -a && reboot");
    }
    await world.until("served", () => world.lab.cluster().nodeOf("failover1") !== undefined);
    await world.seconds(60);
    expect(broken(world)).toEqual([]);
  });
});

describe("the rules of content", () => {
  test("a side is told to be identical only with one that holds the same", async () => {
    const world = bench({ fullCopy: false });
    await prepared(world);
    for (const node of both) await powerOn(world, node);
    await world.run("server1", "clprestore.sh --post --skip-copy");
    expect(broken(world)).toEqual([]);
    // It serves alone, and its peer is told so all the same.
    await world.until("served", () => world.lab.cluster().nodeOf("failover1") === "server1");
    await world.seconds(60);
    await world.run("server2", "clprestore.sh --post --skip-copy");
    expect(broken(world)).toEqual(["a side is told to be identical only with one that holds the same"]);
  });

  test("no run makes a side the one that counts, but one that it has restored; a person may", async () => {
    for (const [force, wanted] of [
      [(world: Bench) => world.run("server2", "clpmdctrl --force md1"), []],
      [
        (world: Bench) => byRun(world, "run1", "server2", "clpmdctrl --force md1"),
        ["no run makes a side the one that counts, but one that it has restored"],
      ],
    ] as const) {
      const world = bench();
      await world.run("server1", "clpmonctrl -s -m mdw1");
      await world.run("server1", "clpgrp -t failover1");
      await world.run("server2", "clpmdctrl --break md1");
      await force(world);
      expect(broken(world)).toEqual(wanted);
    }
  });

  test("what was replaced never serves again, nor anything without what clients were told is written", async () => {
    const world = bench({ fullCopy: false });
    const old = await restored(world);
    await prepared(world);
    for (const [i, node] of both.entries()) await swap(world, node, { volume: old[i] ?? "" });
    for (const node of both) {
      await powerOn(world, node);
      await world.sh(node, "clpsvcctrl.sh --enable -a && reboot");
    }
    await world.until("served", () => world.lab.cluster().nodeOf("failover1") !== undefined);
    expect(broken(world)).toEqual([
      "what a restore has replaced in service never serves again",
      "what clients were told is written stays in service",
    ]);
  });

  test("a person who makes the stale side the one that counts has chosen what is lost", async () => {
    const world = bench();
    const { run, lab, seconds } = world;
    await run("server1", "clpmonctrl -s -m mdw1");
    await run("server2", "clpmdctrl --break md1");
    await seconds(60);
    await run("server1", "clpgrp -t failover1");
    await run("server2", "clpmdctrl --force md1");
    await world.until("copied", () => lab.cluster().mirrors[0]?.status("server2") === "Normal");
    await run("server2", "clpgrp -s failover1");
    expect(lab.cluster().nodeOf("failover1")).toBe("server2");
    expect(broken(world)).toEqual([]);
  });

  test("a side that comes to serve without what was written on the other one is seen", async () => {
    const world = bench();
    const { run, lab, seconds } = world;
    await run("server1", "clpmonctrl -s -m mdw1");
    await run("server2", "clpmdctrl --break md1");
    await seconds(60);
    await run("server1", "clpgrp -t failover1");
    // Nothing of the product does this: the flag that says that it is stale is gone.
    lab.cluster().mirrors[0]?.put("server2", { control: { colour: "GREEN" } });
    await run("server2", "clpgrp -s failover1");
    expect(broken(world)).toContain("what clients were told is written stays in service");
  });
});

describe("the rules of volumes", () => {
  test("a mirror is started only on a device of its own", async () => {
    const world = bench({ mirrors: 2, devices: "bare" });
    const { disks } = world.lab.node("server2");
    const first = disks
      .list()
      .map(({ volume }) => world.lab.cloud.getVolume(volume).attachment.now?.device ?? "");
    const boot = async () => {
      world.lab.rebootUnasked("server2");
      await world.until("down", () => !world.lab.node("server2").alive);
      await world.until("up", () => world.lab.node("server2").state === "up");
    };
    disks.order = () => first.filter((device) => device !== "/dev/xvda");
    await boot();
    expect(broken(world)).toEqual([]);
    disks.order = () => first.filter((device) => device !== "/dev/xvda").toReversed();
    await boot();
    expect(broken(world)).toEqual(["a mirror is started only on a device of its own"]);
  });

  test("no node boots into the cluster with a restored volume that nobody has started there", async () => {
    const world = bench({ fullCopy: false });
    const snapshot = await cut(world, "server2");
    world.lab.cloud.stop(world.lab.node("server2").instance);
    await world.until("off", isOff(world, "server2"));
    await swap(world, "server2", { snapshot });
    await powerOn(world, "server2");
    expect(broken(world)).toContain(
      "no node boots into the cluster with a restored volume that nobody has started there",
    );
  });

  const kept = "an old volume is kept as it is, and comes back only to its own place";

  test("an old volume comes back only to its own place", async () => {
    const world = bench();
    const { lab, until } = world;
    const volume = dataOf(world, "server2");
    lab.cloud.stop(lab.node("server2").instance);
    await until("off", isOff(world, "server2"));
    lab.cloud.detachVolume(volume);
    await until("free", () => lab.cloud.getVolume(volume).state === "available");
    lab.cloud.attachVolume(volume, lab.node("server2").instance, "/dev/sdz");
    await world.seconds(10);
    expect(broken(world)).toEqual([kept]);
  });

  test("an old volume that was put back is not told to be identical with anything", async () => {
    const world = bench({ fullCopy: false });
    const snapshot = await cut(world, "server1");
    await prepared(world);
    const old = await swap(world, "server2", { snapshot });
    await swap(world, "server2", { volume: old });
    for (const node of both) await powerOn(world, node);
    await world.run("server2", "clprestore.sh --post");
    expect(broken(world)).toEqual([]);
    await world.until("back", () => world.lab.node("server2").state === "up");
    await world.run("server1", "clprestore.sh --post --skip-copy");
    // The other side never left its place: of that one it may be said.
    expect(broken(world)).toEqual([]);
  });

  test("an old volume goes only when that is confirmed, and what it held is in a snapshot", async () => {
    for (const [confirmed, wanted] of [
      [false, [kept]],
      [true, []],
    ] as const) {
      const world = bench({ fullCopy: false });
      const [old = ""] = await restored(world);
      const { id } = world.lab.cloud.createSnapshot(old, "final", {});
      await world.until("copied", () => world.lab.cloud.getSnapshot(id).state === "completed");
      if (confirmed) world.lab.cloud.setTags([old], { "runbook:confirmed": "2026-03-02" });
      world.lab.cloud.deleteVolume(old);
      expect(broken(world)).toEqual(wanted);
    }
  });

  test("what a run leaves over is told at its end, and what is kept with its place is not", async () => {
    const world = bench();
    const leftOver = beginLeftOver(world.lab);
    const snapshot = await cut(world, "server1");
    const made = world.lab.cloud.createVolume({ zone: "ap-northeast-1a", snapshot, tags: {} });
    world.lab.cloud.fastRestores.enable(world.lab.cloud.getSnapshot(snapshot), ["ap-northeast-1a"]);
    await world.seconds(60);
    expect(leftOver().map((line) => line.replaceAll(/(vol|snap)-[0-9a-f]+/g, "$1"))).toEqual([
      "left over: volume vol is available, and nothing says what it is kept for",
      "left over: fast restore of snap in ap-northeast-1a is on",
    ]);
    world.lab.cloud.setTags([made.id], { "runbook:old-node": "server1" });
    world.lab.cloud.fastRestores.disable(world.lab.cloud.getSnapshot(snapshot), ["ap-northeast-1a"]);
    await world.seconds(60);
    expect(leftOver()).toEqual([]);
  });
});

describe("the rules of runs", () => {
  test("a run takes the service away once, but to move it away and back; another run may", async () => {
    const world = bench();
    const { run } = world;
    await byRun(world, "run1", "server1", "clpgrp -m failover1 -h server1 -a server2");
    await byRun(world, "run1", "server2", "clpgrp -t failover1");
    await run("server2", "clpgrp -s failover1");
    await byRun(world, "run1", "server2", "clpgrp -m failover1 -h server2 -a server1");
    await run("server1", "clpgrp -t failover1");
    await run("server1", "clpgrp -s failover1");
    await byRun(world, "run2", "server1", "clpgrp -t failover1");
    expect(broken(world)).toEqual([]);
    await run("server1", "clpgrp -s failover1");
    for (const words of ["-t failover1", "-m failover1 -h server1 -a server2"]) {
      world.breaches.length = 0;
      await byRun(world, "run1", "server1", `clpgrp ${words}`);
      expect(broken(world)).toEqual(["a run takes the service away once"]);
      await run("server1", "clpgrp -s failover1");
    }
  });

  test("no node is taken down under a group that runs on it", async () => {
    const world = bench({ fullCopy: false });
    await byRun(world, "run1", "server2", "reboot");
    await world.until("up", () => world.lab.node("server2").boots > 1);
    expect(broken(world)).toEqual([]);
    await byRun(world, "run1", "server1", "clprestore.sh --pre");
    expect(broken(world)).toEqual(["no node is taken down under a group that runs on it"]);
  });

  test("nor by the cloud", () => {
    const world = bench();
    const stop = (node: string) => `ec2 stop-instances --instance-ids ${world.lab.node(node).instance}`;
    runAwsLine(world.lab.cloud, ["aws", ...stop("server2").split(" ")]);
    expect(broken(world)).toEqual([]);
    runAwsLine(world.lab.cloud, ["aws", ...stop("server1").split(" ")]);
    expect(broken(world)).toEqual(["no node is taken down under a group that runs on it"]);
  });
});

/** What the lab does in restores (reference clusterpro 8, R1 and R2; 9; 11), through real command lines. */
import { expect, test } from "vitest";
import { bench, type Bench } from "../support/lab.ts";

const both = ["server1", "server2"] as const;
const colours = async ({ run }: Bench, via = "server1") =>
  /^Mirror Color\s+(\S+)\s+(\S+)/m.exec((await run(via, "clpmdstat --mirror md1")).out)?.slice(1);
const kinds = ({ lab }: Bench) => lab.heart.effects.map(({ detail }) => detail.kind);
const online = ({ lab }: Bench) => both.every((node) => lab.cluster().isOnline(node));
const log = async ({ run }: Bench, node: string) => (await run(node, "journalctl -b")).out;
const data = ({ lab }: Bench, node: string) => lab.readFiles(lab.volumeOf(node, "md1") ?? "");

/** Group stopped, nodes prepared for a restore and booted again. */
async function prepared(world: Bench, nodes: readonly string[] = both): Promise<void> {
  const { lab, run, until } = world;
  await run("server1", "clpgrp -t failover1");
  for (const node of nodes) {
    await run(node, "clprestore.sh --pre");
    const { instance } = lab.node(node);
    await until(`${node} is off`, () => lab.cloud.getInstance(instance).state.now.state === "stopped");
    lab.cloud.start(instance);
    await until(`${node} is up`, () => lab.node(node).state === "up");
  }
}

/** Something else lies on that node's mirror, as after a swap of its volume. */
function swap({ lab }: Bench, node: string, text: string): void {
  const volume = lab.volumeOf(node, "md1") ?? "";
  lab.cloud.write(volume, { ...lab.cloud.content(volume), data: { "app/version": text }, dirty: false });
}

test("after --post a node waits for its peer, then starts its groups alone, and clients write", async () => {
  const world = bench({ fullCopy: false });
  const { lab, run, until, seconds } = world;
  await prepared(world);
  await run("server1", "clprestore.sh --post --skip-copy");
  await until("up", () => lab.cluster().member("server1").core === "waiting");
  await seconds(200);
  expect(await run("server1", "clpgrp -s failover1")).toMatchObject({ code: 1 });
  expect(lab.cluster().nodeOf("failover1")).toBeUndefined();
  await until("alone", () => lab.cluster().nodeOf("failover1") === "server1");
  await seconds(60);
  expect(kinds(world)).toContain("data-written");

  // The other side comes late, and is told to be equal: it gets what was written meanwhile, and nothing else.
  swap(world, "server2", "late");
  await run("server2", "clprestore.sh --post --skip-copy");
  await until("copied", () => kinds(world).includes("recovery-ended"));
  expect(await log(world, "server1")).toContain("Mirror recovery mode is FAST.");
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  expect(data(world, "server2")["app/version"]).toBe("late");
  expect(world.breaches.map(({ rule }) => rule)).toContain("two GREEN sides hold the same");
});

test("a side that comes late without --skip-copy gets everything from the side that served", async () => {
  const world = bench({ fullCopy: false });
  const { lab, run, until, seconds } = world;
  await prepared(world);
  await run("server1", "clprestore.sh --post --skip-copy");
  await until("alone", () => lab.cluster().nodeOf("failover1") === "server1");
  await seconds(60);
  swap(world, "server2", "late");
  await run("server2", "clprestore.sh --post");
  await until("copied", () => kinds(world).includes("recovery-ended"));
  expect(data(world, "server2")).toEqual({ "app/version": "1" });
  expect(world.breaches).toEqual([]);
});

test("a node that waits for its peer can be stopped, and joins when it is started again", async () => {
  const world = bench({ fullCopy: false });
  const { lab, run, until, seconds } = world;
  await prepared(world);
  await run("server1", "clprestore.sh --post --skip-copy");
  await until("up", () => lab.cluster().member("server1").core === "waiting");
  expect(await run("server1", "clpcl -t")).toMatchObject({ code: 0 });
  await seconds(1000);
  expect(lab.cluster().nodeOf("failover1")).toBeUndefined();
  await run("server1", "clpcl -s");
  await run("server2", "clprestore.sh --post --skip-copy");
  await until("both", () => online(world));
});

test("R1: equal sides with fullcopy off are Normal without a copy, and the log says that it was left out", async () => {
  const world = bench({ fullCopy: false });
  await prepared(world);
  for (const node of both) swap(world, node, "restored");
  for (const node of both) await world.run(node, "clprestore.sh --post --skip-copy");
  await world.until("both", () => online(world));
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  expect(kinds(world)).not.toContain("recovery-started");
  expect(await log(world, "server1")).toContain(
    "<type: mdadmn><event: 20> Initial mirror recovery was not executed following the configuration. (Device:/dev/NMP1)",
  );
  await world.until(
    "the service is back by itself",
    () => world.lab.cluster().nodeOf("failover1") !== undefined,
  );
  expect(world.breaches).toEqual([]);
});

test("where --post may be told with fullcopy on, the first node is copied over the second as a whole", async () => {
  const world = bench({
    startsByItself: false,
    settings: { cutsOutput: false, guardsPlainPost: false },
  });
  await prepared(world);
  swap(world, "server1", "restored");
  for (const node of both) await world.run(node, "clprestore.sh --post");
  await world.until("copied", () => kinds(world).includes("recovery-ended"));
  expect(data(world, "server2")).toEqual({ "app/version": "restored" });
  const told = (await log(world, "server1")).split("\n").filter((line) => line.includes("mdadmn"));
  expect(told.map((line) => line.replace(/^.*: </, "<"))).toEqual([
    "<type: mdadmn><event: 16> Initial mirror recovery of md1 has started.",
    "<type: mdadmn><event: 18> Initial mirror recovery of md1 was successful.",
  ]);
});

test("R2: with fullcopy off two different sides are Normal, copied by nobody, until a side is forced", async () => {
  const world = bench({ fullCopy: false, startsByItself: false });
  const { run, until, breaches } = world;
  await prepared(world);
  swap(world, "server2", "restored");
  for (const node of both) await run(node, "clprestore.sh --post");
  await until("both", () => online(world));
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  expect(kinds(world)).not.toContain("recovery-started");
  expect(breaches.map(({ rule }) => rule)).toContain("two GREEN sides hold the same");

  breaches.length = 0;
  await run("server2", "clpmdctrl --force server2 md1");
  await until("copied", () => kinds(world).includes("recovery-ended"));
  expect(data(world, "server1")).toEqual({ "app/version": "restored" });
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  expect(await log(world, "server2")).toMatch(
    /event: 36> Forced .*\n.*event: 17> .*\n.*mode is NORMAL\.\(Device:\/dev\/NMP1\)/,
  );
  expect(breaches).toEqual([]);
});

test("R2: a restored side beside one that stayed is stale, and gets everything, not what differs", async () => {
  const world = bench({ fullCopy: false, startsByItself: false });
  await prepared(world, ["server2"]);
  swap(world, "server2", "restored");
  await world.run("server2", "clprestore.sh --post");
  await world.until("copied by itself", () => kinds(world).includes("recovery-ended"));
  expect(data(world, "server2")).toEqual({ "app/version": "1" });
  expect(await log(world, "server1")).toContain("Mirror recovery mode is NORMAL.");
});

test("a copy that is canceled, or loses its target, is told as such", async () => {
  const world = bench();
  const { run, seconds, lab } = world;
  await run("server2", "clpmdctrl --break md1");
  await seconds(20);
  await run("server1", "clpmdctrl --cancel md1");
  expect(await log(world, "server1")).toMatch(/type: mdw><event: 17> .*\n.*17> .*\n.*FAST.*\n.*event: 44>/);
  await run("server1", "clpmdctrl --recovery md1");
  lab.killPower("server2");
  expect(await log(world, "server1")).toContain("<event: 5> Failed to recover the mirror.");
});

test("what is asked before a forced recovery must be agreed to", async () => {
  const world = bench({ settings: { cutsOutput: false, forceAsks: true } });
  const { lab, run, sh } = world;
  await run("server1", "clpmonctrl -s -m mdw1");
  await run("server1", "clpgrp -t failover1");
  await run("server2", "clpmdctrl --break md1");
  expect(await sh("server2", "clpmdctrl --force server2 md1", "")).toMatchObject({ code: 1 });
  expect(await sh("server2", "clpmdctrl --force server2 md1", "n\n")).toMatchObject({ code: 1 });
  expect(await colours(world)).toEqual(["GREEN", "RED"]);
  expect(await sh("server2", "clpmdctrl --force server2 md1", "y\n")).toMatchObject({ code: 0 });
  expect(lab.cluster().mirrors[0]?.recovery).toMatchObject({ from: "server2", to: "server1", kind: "full" });
});

test("a node's own partitions stand before the common ones, and lead where they say", async () => {
  const world = bench({ fullCopy: false });
  const { run, sh } = world;
  const set = (path: string, value: string) =>
    `cd /root && cp /opt/nec/clusterpro/etc/clp.conf . && clpcfset add rscparam md md1 ${path} ${value} && clpcfctrl --push -l -x /root`;
  expect((await sh("server1", set("server@server2/parameters/diskdev/dppath", "/dev/none"))).code).toBe(0);
  const get = async (path: string) =>
    (await run("server1", `clpcfget -g /root/resource/md@md1/${path}`)).out.trim();
  expect(await get("server@server2/parameters/diskdev/dppath")).toBe("/dev/none");
  expect(await get("parameters/diskdev/dppath")).not.toBe("/dev/none");
  await prepared(world);
  expect(await run("server2", "clprestore.sh --post --skip-copy")).toMatchObject({
    code: 1,
    out: expect.stringContaining("<md1> failed") as string,
  });
  expect((await run("server1", "clprestore.sh --post --skip-copy")).code).toBe(0);
});

test("settings are pushed to nodes outside the cluster, but not where the service that takes them was kept from the start", async () => {
  const push = "cd /root && cp /opt/nec/clusterpro/etc/clp.conf . && clpcfctrl --push -l -x /root";
  const core = bench();
  await prepared(core);
  expect((await core.sh("server1", push)).code).toBe(0);
  const all = bench({ settings: { cutsOutput: false, preDisables: "all" } });
  await prepared(all, ["server2"]);
  expect(await all.sh("server1", push)).toMatchObject({ code: 1 });
});

test("a move names the node that the group leaves", async () => {
  const { run } = bench();
  expect((await run("server2", "clpgrp -m failover1 -h server2 -a server1")).code).toBe(1);
  expect((await run("server2", "clpgrp -m failover1 -h server1 -a server2")).code).toBe(0);
  expect((await run("server1", "clpgrp -n failover1")).out).toBe("server2\n");
});

test("the journal keeps its boots apart, and the times of the node", async () => {
  const { lab, run, until } = bench();
  await run("server1", "clplogcmd -m before");
  lab.rebootUnasked("server1");
  await until("down", () => !lab.node("server1").alive);
  await until("up", () => lab.node("server1").state === "up");
  await run("server1", "clplogcmd -m after");
  const entries = (await run("server1", "journalctl -b -o json --no-pager")).out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly [field: string]: string });
  expect(entries.map(({ MESSAGE }) => MESSAGE)).not.toContain("<type: logcmd><event: 1> before");
  const last = entries.at(-1);
  expect(last).toMatchObject({ MESSAGE: "<type: logcmd><event: 1> after", _HOSTNAME: "server1" });
  expect(Number(last?.["__MONOTONIC_TIMESTAMP"]) / 1e6).toBeCloseTo(lab.node("server1").uptimeSeconds, 0);
  expect((await run("server1", "journalctl")).out).toMatch(
    /^Mar {2}1 \d\d:\d\d:\d\d server1 clusterpro: <type: logcmd><event: 1> before\n/,
  );
});

test("a folder for a while has a name of its own and is gone after a boot", async () => {
  const { lab, sh, until } = bench();
  const { out } = await sh("server1", "mktemp -d /run/a.XXXXXX; mktemp -d /run/a.XXXXXX");
  const [one = "", two = ""] = out.trim().split("\n");
  expect([one, two].every((name) => /^\/run\/a\.\w{6}$/.test(name))).toBe(true);
  expect(one).not.toBe(two);
  expect((await sh("server1", `stat -c %a ${one}`)).out).toBe("700\n");
  expect((await sh("server1", "mktemp -d /nowhere/a.XXXXXX")).code).toBe(1);
  lab.rebootUnasked("server1");
  await until("down", () => !lab.node("server1").alive);
  await until("up", () => lab.node("server1").state === "up");
  expect((await sh("server1", `[ -e ${one} ]`)).code).toBe(1);
});

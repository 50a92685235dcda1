/** The emulator's rules (reference clusterpro 11), one by one, through real command lines. */
import { expect, test } from "vitest";
import { bench, type Bench } from "../support/lab.ts";

const colours = async ({ run }: Bench, via = "server1") => {
  const { out } = await run(via, "clpmdstat --mirror md1");
  return /^Mirror Color\s+(\S+)\s+(\S+)/m.exec(out)?.slice(1) ?? out;
};

/** Stop, suspend on both, break: the beginning of every backup. */
async function broken(world: Bench): Promise<void> {
  const { run } = world;
  await run("server1", "clpgrp -t failover1");
  await run("server1", "clpmonctrl -s -h server1 -m mdw1");
  await run("server1", "clpmonctrl -s -h server2 -m mdw1");
  expect((await run("server2", "clpmdctrl --break md1")).out).toBe("md1: Isolated completed successfully\n");
}

async function boot(world: Bench, node: string): Promise<void> {
  const { lab, until } = world;
  await until(
    `${node} is off`,
    () => lab.cloud.getInstance(lab.node(node).instance).state.now.state === "stopped",
  );
  lab.cloud.start(lab.node(node).instance);
  await until(`${node} is up`, () => lab.node(node).state === "up");
}

test("a mirror that is well prints what the sources show", async () => {
  const { run } = bench();
  const said = await run("server2", "clpmdstat --mirror md1");
  expect(said.out.replace(/ +/g, " ")).toBe(
    `Mirror Status: Normal\n\nmd1 server1 server2\n${"-".repeat(60)}\nMirror Color GREEN GREEN\n`,
  );
  expect(said.code).toBe(0);
});

test("clpstat prints the summary with its columns", async () => {
  const { run } = bench();
  const { out } = await run("server1", "clpstat");
  expect(out).toBe(` ========================  CLUSTER STATUS  ===========================
  Cluster : prod
  <server>
   *server1 .........: Online          
      lankhb1        : Normal           Kernel Mode LAN Heartbeat
    server2 .........: Online          
      lankhb1        : Normal           Kernel Mode LAN Heartbeat
  <group>
    failover1 .......: Online          
      current        : server1
      fip1           : Online
      md1            : Online
      exec1          : Online
  <monitor>
    fipw1            : Normal          
    mdnw1            : Normal          
    mdw1             : Normal          
    userw            : Normal          
 =====================================================================
`);
});

test("rule 1: a break makes the side RED where it was given, and with the group stopped Lastupdate is Break", async () => {
  const world = bench();
  await broken(world);
  expect(await colours(world)).toEqual(["GREEN", "RED"]);
  const { out, code } = await world.run("server1", "clpmdstat --mirror md1");
  const time = (label: string) => new RegExp(`^${label} Time\\s+(\\S+ \\S+)\\s+--$`, "m").exec(out)?.[1];
  expect(time("Break")).toMatch(/^2026\/03\/01 \d\d:\d\d:\d\d$/);
  expect(time("Lastupdate")).toBe(time("Break"));
  expect(code).not.toBe(0);
});

test("rule 1: with the group running, Lastupdate goes on after Break", async () => {
  const world = bench();
  await world.run("server1", "clpmonctrl -s -m mdw1");
  await world.run("server2", "clpmdctrl --break md1");
  await world.seconds(65);
  const { out } = await world.run("server2", "clpmdstat --mirror md1");
  const [, last = ""] = /^Lastupdate Time\s+(\S+ \S+)/m.exec(out) ?? [];
  const [, cut = ""] = /^Break Time\s+(\S+ \S+)/m.exec(out) ?? [];
  expect(last > cut).toBe(true);
});

test("a break of a mirror in another state is invalid", async () => {
  const world = bench();
  await broken(world);
  expect(await world.run("server2", "clpmdctrl --break md1")).toMatchObject({
    code: 1,
    out: "The status of md1 is invalid.\n",
  });
});

test("rule 2: with the active's monitor running, a RED side is copied by itself", async () => {
  const world = bench();
  const { lab, run, seconds } = world;
  await run("server2", "clpmdctrl --break md1");
  lab.writeFile("prod", "md1", "app/new", "x");
  await seconds(15);
  expect(await colours(world)).toEqual(["YELLOW", "YELLOW"]);
  expect((await run("server1", "clpmdstat -m md1")).out).toMatch(
    /Recovery Direction {4}server1 -> server2\nPercent +\d+%/,
  );
  await seconds(70);
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  const [a = "", b = ""] = [lab.volumeOf("server1", "md1"), lab.volumeOf("server2", "md1")];
  expect(lab.readFiles(b, true)).toEqual(lab.readFiles(a, true));
  expect(lab.readFiles(b)["app/new"]).toBe("x");
});

test("rule 2: with the active's monitor suspended it is not, until somebody asks", async () => {
  const world = bench();
  await broken(world);
  await world.seconds(600);
  expect(await colours(world)).toEqual(["GREEN", "RED"]);
  await world.run("server1", "clpmdctrl --recovery md1");
  expect(await colours(world)).toEqual(["YELLOW", "YELLOW"]);
  await world.until("the copy ends", () => world.lab.cluster().mirrors[0]?.recovery === undefined);
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
});

test("rule 3: a reboot clears the suspension on that node only", async () => {
  const { lab, run, until } = bench();
  await run("server1", "clpmonctrl -s -h server1 -m mdw1");
  await run("server1", "clpmonctrl -s -h server2 -m mdw1");
  expect((await run("server1", "clpstat -m")).out.match(/: Suspend\n/g)).toHaveLength(2);
  lab.rebootUnasked("server2");
  await until("down", () => !lab.node("server2").alive);
  await until("a member again", () => lab.cluster().isOnline("server2"));
  const { out } = await run("server1", "clpstat -m");
  // It missed the writes of the meantime, which its monitor shows as Caution.
  expect(
    /Monitor\d \[mdw1 : Suspend\]\n.*\n +server0 \[o\] : Suspend\n +server1 \[o\] : Caution/.test(out),
  ).toBe(true);
});

test("rules 4 and 5: --pre sets the flags, disables the units and powers off; the node then boots outside the cluster", async () => {
  const world = bench({ mirrors: 2 });
  const { lab, run } = world;
  await broken(world);
  await run("server2", "clpmdctrl --break md2");
  const said = await run("server2", "clpbackup.sh --pre");
  expect(said.out).toBe(`clpbackup.sh : Beginning backup-mode.
All backup flags have set to <ON>.
clpbackup.sh : Changing the setting of cluster services to Manual Startup.
clpbackup.sh : Shutting down...
Command succeeded.
clpbackup.sh : Command succeeded.
`);
  await boot(world, "server2");
  for (const mirror of ["md1", "md2"]) {
    const volume = lab.volumeOf("server2", mirror) ?? "";
    expect(lab.cloud.content(volume).control).toMatchObject({ backup: true, colour: "RED" });
  }
  expect((await run("server2", "systemctl is-enabled clusterpro clusterpro_md")).out).toBe(
    "disabled\ndisabled\n",
  );
  expect((await run("server1", "clpstat")).out).toContain("    server2 .........: Offline");
  expect(await colours(world)).toEqual(["GREEN", "GRAY"]);
  expect(await run("server2", "clpmdstat --mirror md1")).toMatchObject({
    code: 1,
    out: expect.stringContaining("Mirror agent is not running") as string,
  });
});

test("rule 4: an image without a break is told apart from one with it, and from a running one", async () => {
  const world = bench({ startsByItself: false });
  const { lab, run, seconds } = world;
  const cut = (node: string) => lab.cloud.createSnapshot(lab.volumeOf(node, "md1") ?? "", "", {}).truth;
  expect(cut("server2")).toEqual({ powerOff: false, isolated: false, clean: false });
  await run("server1", "clpgrp -t failover1");
  await run("server2", "clpbackup.sh --pre");
  await world.until("off", () => lab.node("server2").state === "off");
  await seconds(20);
  expect(cut("server2")).toEqual({ powerOff: true, isolated: false, clean: true });
});

test("rule 6: --post takes the node back into the cluster, and may be told only while the agent is down", async () => {
  const world = bench();
  const { lab, run, until } = world;
  await broken(world);
  expect(await run("server2", "clpbackup.sh --post")).toMatchObject({ code: 1 });
  await run("server2", "clpbackup.sh --pre");
  await boot(world, "server2");
  const before = lab.node("server2").boots;
  expect((await run("server2", "clpbackup.sh --post")).out).toBe(`clpbackup.sh : Starting Mirror Agent.
Command succeeded.
clpbackup.sh : Ending backup-mode.
All backup flags have set to <OFF>.
clpbackup.sh : Changing the setting of cluster services to Auto Startup.
clpbackup.sh : Stopping Mirror Agent.
Command succeeded.
clpbackup.sh : Rebooting...
`);
  await until("rejoined", () => lab.node("server2").boots > before && lab.cluster().isOnline("server2"));
  expect(lab.cloud.content(lab.volumeOf("server2", "md1") ?? "").control).toMatchObject({
    backup: false,
    colour: "RED",
  });
  expect((await run("server2", "systemctl is-enabled clusterpro")).out).toBe("enabled\n");
});

test("rule 7: --skip-copy with fullcopy on is refused and changes nothing", async () => {
  const world = bench();
  const { lab, run } = world;
  await run("server1", "clpgrp -t failover1");
  await run("server2", "clprestore.sh --pre");
  await boot(world, "server2");
  const before = lab.cloud.content(lab.volumeOf("server2", "md1") ?? "");
  const said = await run("server2", "clprestore.sh --post --skip-copy");
  expect(said.code).not.toBe(0);
  expect(lab.cloud.content(lab.volumeOf("server2", "md1") ?? "")).toBe(before);
  expect((await run("server2", "systemctl is-enabled clusterpro")).out).toBe("disabled\n");
});

test("rule 8: a restore through the wrong device destroys what lies there, and the mirror does not load", async () => {
  const world = bench({ mirrors: 2, devices: "bare", fullCopy: false, seed: 3 });
  const { lab, run, breaches } = world;
  await run("server1", "clpgrp -t failover1");
  // Names are dealt at each boot: go on until they do not agree with clp.conf.
  for (let tries = 0; tries < 20; tries += 1) {
    await run("server2", "clprestore.sh --pre");
    await boot(world, "server2");
    if (lab.cluster().mirrors[0]?.locate(lab.cluster().member("server2"))?.ours === false) break;
  }
  await run("server2", "clprestore.sh --post --skip-copy");
  expect(breaches.map(({ rule }) => rule)).toContain("no partition is destroyed");
  await world.until(
    "up again",
    () => lab.node("server2").state === "up" && lab.cluster().member("server2").agent,
  );
  expect((await run("server2", "journalctl -b")).out).toContain(
    "<type: mdagent><event: 5> Failed to load the resource(md1).",
  );
  expect(await colours(world, "server2")).toContain("RED");
});

test("rule 9: --skip-copy over two different contents reports Normal, and only the lab knows", async () => {
  const world = bench({ fullCopy: false, startsByItself: false });
  const { lab, run, until, breaches } = world;
  await run("server1", "clpgrp -t failover1");
  for (const node of ["server1", "server2"]) {
    await run(node, "clprestore.sh --pre");
    await boot(world, node);
  }
  const volume = lab.volumeOf("server2", "md1") ?? "";
  lab.cloud.write(volume, { ...lab.cloud.content(volume), data: { "app/version": "another" } });
  for (const node of ["server1", "server2"]) {
    expect((await run(node, "clprestore.sh --post --skip-copy")).out)
      .toBe(`Mirror info will be set as default.
The main handle on initializing mirror disk <md1> success.
Initializing mirror disk complete.
clprestore.sh : Changing the setting of cluster services to Auto Startup.
clprestore.sh : Rebooting...
`);
  }
  await until(
    "both are members",
    () => lab.cluster().isOnline("server1") && lab.cluster().isOnline("server2"),
  );
  expect(await colours(world)).toEqual(["GREEN", "GREEN"]);
  expect(breaches.map(({ rule }) => rule)).toContain("two GREEN sides hold the same");
});

test("rule 10: a group does not start on a RED side; --force makes that side's content win", async () => {
  const world = bench();
  const { lab, run, until, breaches } = world;
  await broken(world);
  lab.cluster().mirrors[0]?.put("server2", { data: { "app/version": "standby" } });
  expect(await run("server2", "clpgrp -s failover1")).toMatchObject({
    code: 1,
    out: "Failed to start one or more group resources.\n",
  });
  expect((await run("server1", "clpstat")).out).toContain("    failover1 .......: Error");
  await run("server2", "clpmdctrl --force md1");
  await until("the copy ends", () => lab.cluster().mirrors[0]?.recovery === undefined);
  expect(lab.readFiles(lab.volumeOf("server1", "md1") ?? "")).toEqual({ "app/version": "standby" });
  expect(await run("server2", "clpgrp -s failover1")).toMatchObject({ code: 0, out: "Command succeeded.\n" });
  expect(breaches).toEqual([]);
});

test("rule 11: a command that takes its node down may lose the end of its output and its exit status", async () => {
  const ends = new Set<string>();
  for (let seed = 1; seed <= 12; seed += 1) {
    const world = bench({ seed, settings: {} });
    await broken(world);
    const said = await world.run("server2", "clpbackup.sh --pre");
    ends.add(`${said.code} ${said.out.split("\n").length - 1}`);
    await world.until("off all the same", () => world.lab.node("server2").state === "off");
    expect(
      world.lab.cloud.content(world.lab.cloud.attached(world.lab.node("server2").instance)[1]?.volume ?? "")
        .control["backup"],
    ).toBe(true);
    world.lab.close();
  }
  expect(ends.size).toBeGreaterThan(2);
  expect(ends).toContain("0 6");
});

test("rule 12: a second control command on one node is busy", async () => {
  const { run } = bench();
  const [first, second] = await Promise.all([
    run("server1", "clpgrp -t failover1"),
    run("server1", "clpmonctrl -s -m mdw1"),
  ]);
  expect([first.code, second.code]).toEqual([0, 128]);
});

test("after a group is stopped its image is clean, while it runs it is not", async () => {
  const { lab, run } = bench();
  const dirty = () => lab.cloud.content(lab.volumeOf("server2", "md1") ?? "").dirty;
  expect(dirty()).toBe(true);
  await run("server1", "clpgrp -t failover1");
  expect(dirty()).toBe(false);
  expect((await run("server1", "findmnt -n -o SOURCE /mnt/md1")).code).toBe(1);
  await run("server1", "clpgrp -s failover1");
  expect((await run("server1", "findmnt -n -o SOURCE /mnt/md1")).out).toBe("/dev/NMP1\n");
  expect(dirty()).toBe(true);
});

test("clients write while the group is online, and what they write is on both sides", async () => {
  const { lab, sh, seconds } = bench({ files: { "app/data": "d" } });
  await seconds(95);
  expect((await sh("server1", "cat /mnt/md1/clients/counter; echo; ls /mnt/md1/app")).out).toBe(
    "6\ndata\nversion\n",
  );
  expect(lab.readFiles(lab.volumeOf("server2", "md1") ?? "", true)["clients/counter"]).toBe("6");
});

test("a service that was stopped and started has the clients that it had, not twice as many", async () => {
  const { run, sh, seconds } = bench({ times: { stopGroup: [2000, 2000], startGroup: [2000, 2000] } });
  const counter = async () => Number((await sh("server1", "cat /mnt/md1/clients/counter")).out);
  await seconds(20);
  await run("server1", "clpgrp -t failover1");
  await run("server1", "clpgrp -s failover1");
  const before = await counter();
  await seconds(150);
  expect((await counter()) - before).toBe(10);
});

test("when the active dies the standby takes the group; when its side is RED the service is down until a person acts", async () => {
  const well = bench();
  well.lab.killPower("server1");
  await well.until("taken over", () => well.lab.cluster().nodeOf("failover1") === "server2");
  expect(well.breaches).toEqual([]);

  const world = bench();
  await broken(world);
  await world.run("server1", "clpgrp -s failover1");
  world.lab.killPower("server1");
  await world.seconds(3600);
  expect(world.lab.cluster().nodeOf("failover1")).toBeUndefined();
  expect((await world.run("server2", "clpstat")).out).toMatch(/failover1 \.+: Error/);
  expect(world.breaches).toEqual([]);
});

test("a member that finds no peer waits, then starts its groups alone and clients write", async () => {
  const { lab, until, seconds } = bench();
  lab.killPower("server2");
  lab.crash("server1");
  await until("up", () => lab.node("server1").state === "up");
  await seconds(60);
  expect(lab.cluster().nodeOf("failover1")).toBeUndefined();
  await until("alone", () => lab.cluster().nodeOf("failover1") === "server1");
  await seconds(60);
  expect(lab.cloud.content(lab.volumeOf("server1", "md1") ?? "").control["alone"]).toBe(true);
});

test("a side that missed writes comes back stale and is copied", async () => {
  const { lab, until, seconds, breaches } = bench();
  lab.killPower("server2");
  await seconds(120);
  lab.writeFile("prod", "md1", "app/late", "1");
  lab.cloud.start(lab.node("server2").instance);
  await until(
    "equal again",
    () =>
      lab.readFiles(lab.cloud.attached(lab.node("server2").instance)[1]?.volume ?? "")["app/late"] === "1",
  );
  expect(lab.heart.effects.map(({ detail }) => detail.kind)).toContain("mirror-stale");
  expect(breaches).toEqual([]);
});

test("a stop that fails takes the node down, and the peer has the group", async () => {
  const { lab, run, until } = bench();
  lab.failStops("server1");
  expect((await run("server1", "clpgrp -t failover1")).code).toBeUndefined();
  await until("taken over", () => lab.cluster().nodeOf("failover1") === "server2");
});

test("a node that is cut off from its peer goes down, and the peer has the group", async () => {
  const { lab, until, breaches } = bench();
  lab.isolate("server1");
  await until("taken over", () => lab.cluster().nodeOf("failover1") === "server2");
  expect(lab.node("server1").state).toBe("off");
  expect(breaches).toEqual([]);
});

test("without that handling the cluster splits, and the invariants say so", async () => {
  const { lab, seconds, breaches } = bench({ settings: { partitionHandling: "none" } });
  lab.isolate("server1");
  await seconds(120);
  expect(breaches.map(({ rule }) => rule)).toContain("a group is online on one node at most");
  lab.rejoin("server1");
  await seconds(60);
  // Both sides took writes: when they meet again, none of them is good, and only a person can choose.
  lab.cloud.start(lab.node("server2").instance);
  await seconds(600);
  const [mirror] = lab.cluster().mirrors;
  expect([mirror?.control("server1")?.colour, mirror?.control("server2")?.colour]).toEqual(["RED", "RED"]);
});

test("R2: a restored side without --skip-copy and with fullcopy off is copied by nobody", async () => {
  const world = bench({ fullCopy: false, startsByItself: false });
  const { lab, run, until } = world;
  await run("server1", "clpgrp -t failover1");
  for (const node of ["server1", "server2"]) {
    await run(node, "clprestore.sh --pre");
    await boot(world, node);
    await run(node, "clprestore.sh --post");
  }
  await until("members", () => lab.cluster().isOnline("server1") && lab.cluster().isOnline("server2"));
  expect(lab.heart.effects.some(({ detail }) => detail.kind === "recovery-started")).toBe(false);
});

test("R2: one restored side alone loses against the other, whose times are newer", async () => {
  const world = bench({ fullCopy: false, startsByItself: false });
  const { lab, run, until } = world;
  await run("server1", "clpgrp -t failover1");
  await run("server2", "clprestore.sh --pre");
  await boot(world, "server2");
  await run("server2", "clprestore.sh --post");
  await until("stale", () =>
    lab.heart.effects.some(({ detail }) => detail.kind === "mirror-stale" && detail["node"] === "server2"),
  );
});

test("the configuration is changed with clpcfset and pushed to both nodes", async () => {
  const { run, sh } = bench();
  const push =
    "mkdir /root/c && clpcfctrl --pull -l -x /root/c && cd /root/c && clpcfset add rscparam md md1 parameters/fullcopy 0 && clpcfctrl --push -l -x /root/c";
  expect((await sh("server1", push)).out).toContain(
    "The upload is completed successfully.(cfmgr:0)\nCommand succeeded.(code:0)\n",
  );
  expect((await run("server2", "clpcfget -g /root/resource/md@md1/parameters/fullcopy")).out).toBe("0\n");
  expect((await run("server2", "clpcfget -e /root/resource/md")).out).toBe("md1\n");
});

test("groups are named, moved and refused as the product says it", async () => {
  const { run } = bench();
  expect((await run("server2", "clpgrp -n failover1")).out).toBe("server1\n");
  expect(await run("server2", "clpgrp -t failover1")).toMatchObject({ code: 1 });
  expect(await run("server1", "clpgrp -s failover1")).toMatchObject({
    code: 1,
    out: "The group has already been started on the local server.\n",
  });
  expect(await run("server1", "clpgrp -t nonesuch")).toMatchObject({
    code: 1,
    out: "Invalid group name. Specify a valid group name in the cluster.\n",
  });
  expect(await run("server1", "clpgrp -m failover1 -a server2")).toMatchObject({ code: 0 });
  expect((await run("server1", "clpgrp -n failover1")).out).toBe("server2\n");
  expect((await run("server1", "clpstat -g")).out).toContain("    server1 [o] : failover1[o] \n");
});

test("the service of a node is stopped and started by clpcl", async () => {
  const { lab, run, until } = bench();
  expect((await run("server2", "clpcl -t")).code).toBe(0);
  expect((await run("server2", "systemctl is-active clusterpro clusterpro_md")).out).toBe(
    "inactive\nactive\n",
  );
  expect((await run("server1", "clpcl -s -h server2")).out).toBe("Start server2 : Command succeeded.\n");
  await until("a member", () => lab.cluster().isOnline("server2"));
});

test("clpdown moves the group and powers off; clpstdn takes all down", async () => {
  const { lab, run, until } = bench();
  await run("server1", "clpdown");
  await until("moved", () => lab.cluster().nodeOf("failover1") === "server2");
  await until("off", () => lab.node("server1").state === "off");
  const other = bench();
  await other.run("server1", "clpstdn");
  await other.until("all off", () =>
    ["server1", "server2"].every((node) => other.lab.node(node).state === "off"),
  );
  expect(other.lab.heart.effects.some(({ detail }) => detail.kind === "group-failing-over")).toBe(false);
});

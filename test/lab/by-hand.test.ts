/** Whole procedures by hand, as an operator would type them (reference clusterpro 8), on the virtual clock. */
import { expect, test } from "vitest";
import { compareContent } from "../support/lab-content.ts";
import { differences, describeWorld } from "../../src/lab/compare.ts";
import { bench, type Bench } from "../support/lab.ts";

const stopped = ({ lab }: Bench, node: string) =>
  lab.cloud.getInstance(lab.node(node).instance).state.now.state === "stopped";

async function backUp(world: Bench, service: "early" | "late") {
  const { lab, run, until } = world;
  const say = async (node: string, words: string) => {
    const said = await run(node, words);
    expect([words, said.code ?? 0]).toEqual([words, 0]);
  };
  await say("server1", "clpgrp -t failover1");
  await say("server1", "clpmonctrl -s -h server1 -m mdw1");
  await say("server1", "clpmonctrl -s -h server2 -m mdw1");
  await say("server2", "clpmdctrl --break md1");
  const atBreak = lab.readFiles(lab.volumeOf("server1", "md1") ?? "");
  if (service === "early") await say("server1", "clpgrp -s failover1");
  await say("server2", "clpbackup.sh --pre");
  await until("stopped", () => stopped(world, "server2"));
  const volume = lab.cloud.attached(lab.node("server2").instance)[1]?.volume ?? "";
  const snapshot = lab.cloud.createSnapshot(volume, "by hand", { run: "hand" });
  lab.cloud.start(lab.node("server2").instance);
  await until("up", () => lab.node("server2").state === "up");
  const { boots } = lab.node("server2");
  await say("server2", "clpbackup.sh --post");
  await until("rejoined", () => lab.node("server2").boots > boots && lab.cluster().isOnline("server2"));
  await say("server1", "clpmonctrl -r -h server1 -m mdw1");
  if (service === "late") await say("server1", "clpgrp -s failover1");
  const [mirror] = lab.cluster().mirrors;
  await until("in sync", () => mirror?.status("server1") === "Normal");
  return { snapshot, atBreak };
}

test.each(["early", "late"] as const)(
  "B1 with the service back %s leaves all as found, and a quiesced image of the standby",
  async (service) => {
    const world = bench({ files: { "app/data": "kept" } });
    const { lab, breaches, seconds } = world;
    const before = describeWorld(lab);
    const { snapshot, atBreak } = await backUp(world, service);
    expect(snapshot.truth).toEqual({ powerOff: true, isolated: true, clean: true });
    expect(compareContent(snapshot.content.data, atBreak)).toEqual([]);
    expect(snapshot.content.control).toMatchObject({ mirror: "md1", backup: true, colour: "RED" });
    await seconds(120);
    expect(differences(before, describeWorld(lab))).toEqual([]);
    expect(breaches).toEqual([]);
    expect(lab.heart.received.filter((row) => row.class === "gap")).toEqual([]);
  },
);

test("R1 puts the same image on both sides, and both hold what was backed up", async () => {
  const world = bench({ fullCopy: false, files: { "app/data": "good" } });
  const { lab, run, until, breaches } = world;
  const { snapshot } = await backUp(world, "early");
  await until("copied", () => snapshot.state === "completed");
  lab.writeFile("prod", "md1", "app/data", "spoilt");
  await run("server1", "clpgrp -t failover1");
  for (const node of ["server1", "server2"]) await run(node, "clprestore.sh --pre");
  await until("both off", () => stopped(world, "server1") && stopped(world, "server2"));
  for (const node of ["server1", "server2"]) {
    const { instance } = lab.node(node);
    const old = lab.cloud.attached(instance)[1];
    const made = lab.cloud.createVolume({
      zone: lab.cloud.getInstance(instance).zone,
      snapshot: snapshot.id,
      type: "gp3",
      tags: {},
    });
    lab.cloud.detachVolume(old?.volume ?? "", instance);
    await until(
      "free",
      () => made.state === "available" && lab.cloud.getVolume(old?.volume ?? "").state === "available",
    );
    lab.cloud.attachVolume(made.id, instance, old?.device ?? "");
    await until("attached", () => made.attachment.now?.state === "attached");
    lab.cloud.start(instance);
  }
  for (const node of ["server1", "server2"]) {
    await until("up", () => lab.node(node).state === "up");
    expect((await run(node, "lsblk -J -b -o PATH,SERIAL,PARTUUID")).code).toBe(0);
    await run(node, "clprestore.sh --post --skip-copy");
  }
  await until("service", () => lab.cluster().nodeOf("failover1") === "server1");
  expect((await run("server1", "clpmdstat -m md1")).out).toMatch(/^Mirror Status: Normal\n/);
  expect((await run("server1", "cat /mnt/md1/app/data")).out).toBe("good");
  expect(lab.readFiles(lab.volumeOf("server2", "md1") ?? "")["app/data"]).toBe("good");
  expect(breaches).toEqual([]);
});

test("the same seed plays the same world", async () => {
  const play = async () => {
    const world = bench({ seed: 7, settings: {} });
    // A world may draw times in which the walk by hand comes too early; then it does so both times.
    const trouble = await backUp(world, "early").then(() => "none", String);
    world.lab.close();
    return [trouble, ...world.lab.heart.effects.map(({ at, what }) => `${at} ${what}`)];
  };
  expect(await play()).toEqual(await play());
});

test("a standby that reboots between the suspension and --pre comes back with its monitor running", async () => {
  const { lab, run, until } = bench();
  await run("server1", "clpgrp -t failover1");
  await run("server1", "clpmonctrl -s -h server1 -m mdw1");
  await run("server1", "clpmonctrl -s -h server2 -m mdw1");
  lab.rebootUnasked("server2");
  await until("down", () => !lab.node("server2").alive);
  await until("a member", () => lab.cluster().isOnline("server2"));
  expect([...lab.cluster().member("server2").suspended]).toEqual([]);
  expect([...lab.cluster().member("server1").suspended]).toEqual(["mdw1"]);
});

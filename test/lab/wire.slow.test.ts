import { readFileSync, statSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { DescribeInstancesCommand, EC2Client } from "@aws-sdk/client-ec2";
import { afterEach, describe, expect, test } from "vitest";
import { labClient } from "../../src/lab/client.ts";
import { wiredLab, type WiredLab } from "../support/wire.ts";

let wired: WiredLab;
const open = async (...options: Parameters<typeof wiredLab>) => (wired = await wiredLab(...options));
afterEach(() => wired.end());

const until = async (what: () => boolean | Promise<boolean>) => {
  for (let look = 0; look < 1000; look += 1) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("it never came to that");
};

test("a lab tells in lab.json where everything is, to its owner alone", async () => {
  const { folder, info } = await open();
  expect(JSON.parse(readFileSync(join(folder, "lab.json"), "utf8"))).toEqual(info);
  for (const file of ["lab.json", "log.jsonl", "keys/client", "keys/host-server1", "known_hosts"])
    expect([file, statSync(join(folder, file)).mode & 0o777]).toEqual([file, 0o600]);
  expect(info.default).toBe("prod");
  expect(Object.keys(info.clusters["prod"]!.nodes)).toEqual(["server1", "server2"]);
  expect(Object.keys(info.clusters["staging"]!.nodes)).toEqual(["stage1", "stage2"]);
});

test("nodes and cloud behind the sockets are one world", async () => {
  const { info, ssh } = await open();
  expect(await ssh("server1", "hostname; echo no >&2; exit 3")).toEqual({
    code: 3,
    out: "server1\n",
    err: "no\n",
  });
  const cloud = new EC2Client({
    region: info.ec2.region,
    endpoint: info.ec2.url,
    credentials: { accessKeyId: info.ec2.accessKeyId, secretAccessKey: "lab" },
  });
  const { Reservations = [] } = await cloud.send(new DescribeInstancesCommand({}));
  cloud.destroy();
  const ids = Reservations.flatMap(({ Instances = [] }) => Instances.map(({ InstanceId }) => InstanceId));
  expect(ids).toContain(info.clusters["prod"]!.nodes["server1"]!.instance);
});

test("a lab that is started again in its folder keeps its keys, so that known hosts stay true", async () => {
  const first = await open();
  const before = readFileSync(join(first.folder, "known_hosts"), "utf8");
  await first.shell.close();
  await first.close();
  const again = await open({ folder: first.folder });
  expect(readFileSync(join(again.folder, "known_hosts"), "utf8")).toBe(before);
  expect((await again.ssh("server1", "true")).code).toBe(0);
});

describe("power", () => {
  test("a node without power refuses, and what was running there ends without an exit status", async () => {
    const { client, ssh } = await open();
    const running = ssh("server1", "sleep 100000");
    await until(async () => (await client.log()).entries.some((row) => row.kind === "received"));
    await client.hand("power-off", ["server1"]);
    expect((await running).code).toBeUndefined();
    await expect(ssh("server1", "true")).rejects.toMatchObject({ kind: "unavailable", happened: "no" });
    expect((await ssh("server2", "true")).code).toBe(0);
  });

  test("a node that was given power again answers with another boot id", async () => {
    const { client, info, ssh } = await open({ rate: 2000 });
    const bootId = "cat /proc/sys/kernel/random/boot_id";
    const before = await ssh("server2", bootId);
    await client.hand("power-off", ["server2"]);
    await client.settle();
    const { instance } = info.clusters["prod"]!.nodes["server2"]!;
    expect(await client.exec(`aws ec2 start-instances --instance-ids ${instance}`)).toMatchObject({
      code: 0,
    });
    expect(await client.settle()).toEqual({ settled: true, busy: [] });
    const after = await ssh("server2", bootId);
    expect(after.code).toBe(0);
    expect(after.out).not.toBe(before.out);
  });
});

describe("the network", () => {
  test("a path that is cut is silent, while the node goes on and its console works", async () => {
    const { client, info, ssh } = await open();
    expect((await ssh("server1", "true")).code).toBe(0);
    const running = ssh("server1", "sleep 100000");
    await until(async () => (await client.log()).last > 1);
    await client.hand("cut", ["server1"]);
    expect((await running).code).toBeUndefined();
    await expect(ssh("server1", "true")).rejects.toMatchObject({ kind: "unavailable", happened: "no" });
    const { port } = info.clusters["prod"]!.nodes["server1"]!;
    const heard = await new Promise<string>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      let said = "";
      socket.on("data", (data) => (said += data.toString()));
      socket.write("SSH-2.0-test\r\n");
      setTimeout(() => {
        socket.destroy();
        resolve(said);
      }, 300);
    });
    expect(heard).toBe("");
    expect(await client.exec("hostname", "server1")).toMatchObject({ code: 0, stdout: "server1\n" });
    await client.hand("mend", ["server1"]);
    expect((await ssh("server1", "hostname")).out).toBe("server1\n");
  });

  test("a lost answer is an answer without exit status, and the log tells whether it happened", async () => {
    const { client, ssh } = await open();
    await client.addFault({ match: "before", action: "lose-before", node: "server1" });
    await client.addFault({ match: "after", action: "lose-after" });
    expect((await ssh("server1", "mkdir /root/before")).code).toBeUndefined();
    expect((await ssh("server1", "mkdir /root/after")).code).toBeUndefined();
    expect((await ssh("server1", "test -d /root/before")).code).toBe(1);
    expect((await ssh("server1", "test -d /root/after")).code).toBe(0);
    const { entries } = await client.log({ writes: true });
    expect(entries.map((row) => row.kind === "received" && [row.class, row.reply])).toEqual([
      ["write", "lost"],
    ]);
  });

  test("half an output comes with no exit status", async () => {
    const { client, ssh } = await open();
    await client.addFault({ match: "echo", action: "half-output" });
    const { code, out } = await ssh("server1", "echo 0123456789");
    expect(code).toBeUndefined();
    expect("0123456789\n".startsWith(out)).toBe(true);
    expect(out.length).toBeGreaterThan(0);
  });

  test("a hanging command is silent for ever and holds up no other", async () => {
    const { client, shell, ssh } = await open();
    await client.addFault({ match: "hostname", action: "hang" });
    await expect(shell.run("server1", ["hostname"], { timeoutMs: 400 })).rejects.toMatchObject({
      kind: "timeout",
    });
    expect((await ssh("server1", "echo on")).out).toBe("on\n");
  });

  test("with --lose-replies every write loses its answer and no read does", async () => {
    const { client, info, ssh, lab } = await open({ loseReplies: 1 });
    expect((await ssh("server1", "hostname")).code).toBe(0);
    expect((await ssh("server1", "mkdir /root/made")).code).toBeUndefined();
    expect((await ssh("server1", "test -d /root/made")).code).toBe(0);
    const instance = info.clusters["prod"]!.nodes["server2"]!.instance;
    const call = (form: { [name: string]: string }) =>
      fetch(info.ec2.url, {
        method: "POST",
        headers: { authorization: `AWS4-HMAC-SHA256 Credential=${info.ec2.accessKeyId}/x` },
        body: new URLSearchParams({ ...form, Version: "2016-11-15" }),
      });
    expect((await call({ Action: "DescribeInstances" })).status).toBe(200);
    await expect(
      call({ Action: "CreateTags", "ResourceId.1": instance, "Tag.1.Key": "a", "Tag.1.Value": "b" }),
    ).rejects.toThrow();
    expect(lab.cloud.getInstance(instance).tags["a"]).toBe("b");
    expect(await client.faults()).toEqual([]);
  });
});

describe("the control endpoint", () => {
  test("is closed to whoever has not the token", async () => {
    const { info } = await open();
    const other = labClient({ ...info, control: { ...info.control, token: "x" } });
    await expect(other.status()).rejects.toMatchObject({ kind: "denied" });
  });

  test("shows the state of the world", async () => {
    const { client } = await open();
    const { clusters, busy, snapshots } = await client.status();
    expect(busy).toEqual([]);
    expect(snapshots).toEqual([]);
    expect(clusters["prod"]).toMatchObject({
      groups: { failover1: { server1: "online" } },
      mirrors: { md1: { colours: { server1: "GREEN", server2: "GREEN" }, copying: null } },
      nodes: { server1: { power: true, system: "up", member: "online", disabledUnits: [], marker: null } },
    });
  });

  test("moves a group as another operator does, and the log tells it apart from the tool", async () => {
    const { client, ssh } = await open({ rate: 3000 });
    expect((await client.hand("failover", [])).said).toBe("group failover1 moved from server1 to server2");
    await client.exec("mkdir /root/by-hand", "server1");
    await ssh("server1", "mkdir /root/by-tool");
    const { entries } = await client.log({ writes: true });
    expect(entries.map((row) => row.kind === "received" && row.by)).toEqual(["person", "tool"]);
    expect((await client.status()).clusters["prod"]!.groups).toEqual({ failover1: { server2: "online" } });
  });

  test("writes files as clients of the service do", async () => {
    const { client } = await open();
    await client.hand("write", ["/mnt/md1/orders/17", "paid"]);
    const { said } = await client.hand("files", []);
    expect(said.match(/orders\/17 {2}"paid"/g)).toHaveLength(2);
    await client.hand("delete", ["orders/17"]);
    expect((await client.hand("files", [])).said).not.toContain("orders/17");
  });

  test("a fault that waits for the tool does not strike a person", async () => {
    const { client, ssh } = await open();
    await client.addFault({ match: "hostname", action: "fail-before", times: "forever" });
    expect(await client.exec("hostname", "server1")).toMatchObject({ code: 0 });
    expect((await ssh("server1", "hostname")).code).toBe(1);
    expect(await client.faults()).toMatchObject([{ match: "hostname", left: "forever" }]);
    expect(await client.clearFaults()).toEqual({ cleared: 1 });
    expect((await ssh("server1", "hostname")).code).toBe(0);
  });

  test.each([
    ["an unknown hand", (lab: WiredLab) => lab.client.hand("dance", []), "invalid"],
    ["an unknown node", (lab: WiredLab) => lab.client.hand("reboot", ["server9"]), "not-found"],
    ["a hand without its word", (lab: WiredLab) => lab.client.hand("reboot", []), "invalid"],
    ["an unknown fault", (lab: WiredLab) => lab.client.addFault({ match: "a", action: "b" }), "invalid"],
    [
      "a broken expression",
      (lab: WiredLab) => lab.client.addFault({ match: "/(/", action: "hang" }),
      "invalid",
    ],
    ["an unknown aws command", (lab: WiredLab) => lab.client.exec("aws ec2 terminate-instances"), "invalid"],
    [
      "a command for a node that is off",
      async (lab: WiredLab) => {
        await lab.client.hand("power-off", ["stage1"]);
        return lab.client.exec("true", "stage1");
      },
      "precondition",
    ],
  ])("answers %s with one sentence", async (_name, ask, kind) => {
    const answer = expect(ask(await open())).rejects;
    await answer.toMatchObject({ name: "Failure", kind });
    expect(await wired.client.status()).toMatchObject({ mistakes: [] });
  });

  test("the log is kept in a file as well, with how each call ended", async () => {
    const { client, folder, ssh } = await open();
    await ssh("server1", "mkdir /root/x");
    await client.log();
    await ssh("server1", "true");
    const rows = readFileSync(join(folder, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((row) => JSON.parse(row) as object);
    expect(rows).toContainEqual(
      expect.objectContaining({ received: expect.objectContaining({ n: 1, node: "server1" }) }),
    );
    expect(rows).toContainEqual({
      answered: expect.objectContaining({ n: 1, class: "write", reply: "sent" }),
    });
  });
});

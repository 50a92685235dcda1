import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/drivers/clock/system.ts";
import { openSsh } from "../../src/drivers/ssh/driver.ts";
import type { SshNode } from "../../src/drivers/ssh/driver.ts";
import { parseSshConfig } from "../../src/drivers/ssh/ssh-config.ts";
import { parseHop, resolveTarget } from "../../src/drivers/ssh/target.ts";

const homes = { home: "/home/op", accountHome: "/account/op" };

describe("what ssh -G says", () => {
  const config = parseSshConfig(
    [
      "host db1",
      "user admin",
      "hostname 10.0.0.7",
      "port 2222",
      "identitiesonly yes",
      "identityfile ~/.ssh/id_a",
      "identityfile /keys/my key",
      "identityfile none",
      "userknownhostsfile /account/op/.ssh/known_hosts /account/op/.ssh/known_hosts2",
      "globalknownhostsfile /etc/ssh/ssh_known_hosts",
      "proxyjump admin@gate:2200",
      "proxycommand none",
      "hostkeyalias cluster-db",
      "identityagent ~/agent.sock",
    ].join("\n"),
    homes,
  );

  test("becomes our settings, with paths in our home", () => {
    expect(config).toEqual({
      address: "10.0.0.7",
      port: 2222,
      user: "admin",
      identities: ["/home/op/.ssh/id_a", "/keys/my key"],
      knownHosts: ["/home/op/.ssh/known_hosts", "/home/op/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts"],
      jump: "admin@gate:2200",
      proxyCommand: undefined,
      hostKeyAlias: "cluster-db",
      identityAgent: "/home/op/agent.sock",
      identitiesOnly: true,
    });
  });

  test("fills in what the inventory does not say, and never more", () => {
    const filled = resolveTarget("n1", { address: "db1", agent: false }, config);
    expect(filled).toMatchObject({ address: "10.0.0.7", port: 2222, jump: "admin@gate:2200" });
    expect(filled.login.user).toBe("admin");
    const said: SshNode = {
      address: "db1",
      port: 22,
      user: "root",
      identity: "/k",
      knownHosts: "/kh",
      jump: "g",
      agent: false,
    };
    expect(resolveTarget("n1", said, config)).toMatchObject({
      port: 22,
      knownHosts: ["/kh"],
      jump: "g",
      login: { user: "root", identities: [{ path: "/k", wanted: true }], agent: undefined },
    });
  });

  test("a gateway that its own rule sends to itself is connected to", () => {
    const self = parseSshConfig("hostname 10.0.0.1\nproxyjump gate\n", homes);
    expect(resolveTarget("gate", { address: "gate", agent: false }, self).jump).toBeUndefined();
  });

  test("a ProxyCommand is refused rather than gone around", () => {
    const proxied = parseSshConfig("hostname 10.0.0.1\nproxycommand nc %h %p\n", homes);
    expect(() => resolveTarget("n1", { address: "db1", agent: false }, proxied)).toThrow(
      expect.objectContaining({ kind: "unsupported" }),
    );
  });
});

describe("a jump that is no node", () => {
  test.each([
    ["gate", { address: "gate" }],
    ["op@gate:2200", { address: "gate", user: "op", port: 2200 }],
    ["ssh://op@gate:2200", { address: "gate", user: "op", port: 2200 }],
    ["[fe80::1]:2200", { address: "fe80::1", port: 2200 }],
    ["a, op@b", { address: "b", user: "op", jump: "a" }],
  ])("%s", (jump, node) => {
    expect(parseHop(jump)).toEqual(node);
  });

  test("is refused if it cannot be understood", () => {
    for (const jump of ["", "a:b:c", "gate:ssh"])
      expect(() => parseHop(jump)).toThrow(expect.objectContaining({ kind: "invalid" }));
  });
});

describe("without any server", () => {
  let folder: string;
  let identity: string;
  let knownHosts: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "runbook-ssh-"));
    identity = join(folder, "id");
    knownHosts = join(folder, "known_hosts");
    writeFileSync(knownHosts, "");
    const { default: ssh2 } = await import("ssh2");
    writeFileSync(identity, ssh2.utils.generateKeyPairSync("ed25519").private);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const open = (node: Partial<SshNode>, connectTimeoutMs = 5000) =>
    openSsh({
      nodes: { n1: { address: "127.0.0.1", user: "op", identity, knownHosts, agent: false, ...node } },
      clock: systemClock(),
      useSshConfig: false,
      connectTimeoutMs,
    });
  const run = (shell: ReturnType<typeof open>, node = "n1", timeoutMs = 20_000) =>
    shell.run(node, ["true"], { timeoutMs }).finally(() => shell.close());

  test("a node that is not in the inventory is not found", async () => {
    await expect(run(open({}), "n2")).rejects.toMatchObject({ kind: "not-found", happened: "no" });
    await expect(run(open({}), "toString")).rejects.toMatchObject({ kind: "not-found" });
  });

  test("a closed port is unavailable, and nothing happened", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await expect(run(open({ port }))).rejects.toMatchObject({
      kind: "unavailable",
      happened: "no",
      message: expect.stringContaining(`n1 (op@127.0.0.1:${port})`) as string,
    });
  });

  test("a port that says nothing is unavailable once the time to connect is over", async () => {
    const server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await expect(run(open({ port }, 300))).rejects.toMatchObject({ kind: "unavailable", happened: "no" });
    // The caller's own limit may be shorter; the command never left, so that is no time-out of the command.
    await expect(run(open({ port }, 2000), "n1", 200)).rejects.toMatchObject({
      kind: "unavailable",
      happened: "no",
    });
    await new Promise((resolve) => server.close(resolve));
  });

  test("a key file that is not there or is no key is denied before anything is sent", async () => {
    for (const file of [join(folder, "nothing"), knownHosts])
      await expect(run(open({ identity: file }))).rejects.toMatchObject({
        kind: "denied",
        happened: "no",
        message: expect.stringContaining(file) as string,
      });
  });

  test("a shell closes at once while a connection is being opened", async () => {
    const server = createServer((socket) => socket.resume());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const shell = open({ port: (server.address() as AddressInfo).port }, 60_000);
    const running = expect(shell.run("n1", ["true"], { timeoutMs: 60_000 })).rejects.toMatchObject({
      kind: "unavailable",
      happened: "no",
    });
    await new Promise((resolve) => server.once("connection", resolve));
    await shell.close();
    await running;
    await new Promise((resolve) => server.close(resolve));
  });

  test("a shell that was closed is not used again", async () => {
    const shell = open({});
    await shell.close();
    await expect(run(shell)).rejects.toMatchObject({ kind: "bug" });
  });
});

test("ssh2 is not loaded before the first connection is made", () => {
  // Played in a process of its own, since the tests above load it.
  const script = `
    import { Module } from "node:module";
    const loaded = () => Object.keys(Module._cache).filter((path) => path.includes("/ssh2/")).length > 0;
    const { createJiti } = await import("jiti");
    const { openSsh } = await createJiti(process.cwd() + "/").import("./src/drivers/ssh/driver.ts");
    const shell = openSsh({ nodes: {}, clock: { now: () => 0, sleep: async () => {} } });
    const unknown = await shell.run("n1", ["true"], { timeoutMs: 1 }).then(() => "ran", ({ kind }) => kind);
    const before = loaded();
    await import("ssh2");
    console.log(JSON.stringify({ unknown, before, after: loaded() }));
  `;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: new URL("../..", import.meta.url),
    encoding: "utf8",
  });
  expect(JSON.parse(out)).toEqual({ unknown: "not-found", before: false, after: true });
});

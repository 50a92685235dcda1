import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/drivers/clock/system.ts";
import { openSsh, sshConfigReadable } from "../../src/drivers/ssh/driver.ts";
import type { SshNode, SshOptions } from "../../src/drivers/ssh/driver.ts";
import { fingerprint, namesHost, parseKnownHosts } from "../../src/drivers/ssh/known-hosts.ts";
import { text } from "../../src/ports/shell.ts";
import type { Shell } from "../../src/ports/shell.ts";
import { leaveOut, noSshd, openSshdField } from "../support/sshd.ts";
import type { Sshd, SshdField } from "../support/sshd.ts";

const clock = systemClock();
const second = { timeoutMs: 30_000 };

describe.skipIf(leaveOut(noSshd))("connections, keys and hosts against OpenSSH's server", () => {
  let field: SshdField;
  let server: Sshd;
  const shells: Shell[] = [];
  beforeAll(async () => {
    field = openSshdField();
    server = await field.start({ hostKeyTypes: ["ed25519", "ecdsa", "rsa"] });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await Promise.all(shells.splice(0).map((shell) => shell.close()));
  });
  afterAll(() => field.close());

  const at = (more: Partial<SshNode> = {}): SshNode => ({
    address: server.address,
    port: server.port,
    user: field.user,
    identity: field.identity,
    knownHosts: field.knownHosts,
    agent: false,
    ...more,
  });
  const open = (nodes: Record<string, SshNode>, more: Partial<SshOptions> = {}) => {
    const shell = openSsh({ nodes, clock, useSshConfig: false, ...more });
    shells.push(shell);
    return shell;
  };
  const file = (name: string, content: string) => {
    const path = join(field.folder, name);
    writeFileSync(path, content);
    return path;
  };
  const hello = async (shell: Shell, node = "n1") => {
    const out = await shell.run(node, ["echo", "hello"], second);
    return text(out.stdout);
  };
  const lookedUp = () => `[${server.address}]:${server.port}`;

  test("one kept connection carries all commands of a node", async () => {
    const shell = open({ n1: at() });
    const script = ["sh", "-c", 'echo "$SSH_CONNECTION"'];
    const seen = await Promise.all([1, 2, 3].map(() => shell.run("n1", script, second)));
    seen.push(await shell.run("n1", script, second));
    expect(new Set(seen.map((out) => text(out.stdout))).size).toBe(1);
  });

  test("a server that takes fewer sessions than asked for is given further connections", async () => {
    const small = await field.start({ config: ["MaxSessions 1"] });
    const shell = open({ n1: at({ port: small.port }) });
    const first = await Promise.all([hello(shell), hello(shell)]);
    expect(first).toEqual(["hello\n", "hello\n"]);
  });

  test("a gateway that runs out of sessions keeps the connections that lead through it", async () => {
    const gateway = await field.start({ config: ["MaxSessions 1"] });
    const shell = open({ n1: at({ jump: "gateway" }), gateway: at({ port: gateway.port }) });
    await hello(shell, "n1");
    const running = shell.run("n1", ["sh", "-c", "sleep 2; echo calm"], second);
    const crowd = await Promise.all(Array.from({ length: 12 }, () => hello(shell, "gateway")));
    expect(new Set(crowd)).toEqual(new Set(["hello\n"]));
    expect(text((await running).stdout)).toBe("calm\n");
  });

  test("commands that hang and were given up do not lock the node for others", async () => {
    const small = await field.start({ config: ["MaxSessions 4"] });
    const shell = open({ n1: at({ port: small.port }) });
    const hung = Array.from({ length: 6 }, () => shell.run("n1", ["sleep", "5"], { timeoutMs: 1500 }));
    for (const one of await Promise.allSettled(hung))
      expect(one).toMatchObject({ reason: { kind: "timeout" } });
    expect(await hello(shell)).toBe("hello\n");
  });

  test("hashed names in known_hosts are understood, as ssh-keygen writes them", async () => {
    const hashed = file("hashed", readFileSync(field.knownHosts, "utf8"));
    execFileSync("ssh-keygen", ["-H", "-f", hashed], { stdio: "ignore" });
    expect(readFileSync(hashed, "utf8")).toContain("|1|");
    expect(await hello(open({ n1: at({ knownHosts: hashed }) }))).toBe("hello\n");
  });

  test("a name is found on the lines on which ssh-keygen -F finds it", () => {
    const key = server.hostKeys[0] ?? "";
    const names = [
      "plain.example",
      "[plain.example]:2222",
      "10.0.0.1",
      "db.cluster.example",
      "x.other",
      lookedUp(),
    ];
    const patterns = [
      ...names,
      "*.example,!db.*",
      "plain.example,10.0.0.?",
      "[*.example]:2222",
      "!*,plain.example",
    ];
    const path = file("mixed", patterns.map((pattern) => `${pattern} ${key}\n`).join(""));
    const hashed = file("mixed-hashed", names.map((name) => `${name} ${key}\n`).join(""));
    execFileSync("ssh-keygen", ["-H", "-f", hashed], { stdio: "ignore" });
    for (const [source, name] of [path, hashed].flatMap((one) => names.map((name) => [one, name] as const))) {
      const ours = parseKnownHosts(source, readFileSync(source, "utf8"))
        .filter((line) => namesHost(line.names, name))
        .map(({ line }) => line);
      const said = execFileSync("ssh-keygen", ["-F", name, "-f", source], { encoding: "utf8" });
      const theirs = [...said.matchAll(/found: line (\d+)/g)].map(([, line]) => Number(line));
      expect({ source, name, lines: ours }).toEqual({ source, name, lines: theirs });
    }
  });

  test("a fingerprint is the one that ssh-keygen shows", () => {
    const path = file("host.pub", `${server.hostKeys[0]}\n`);
    const said = execFileSync("ssh-keygen", ["-l", "-f", path], { encoding: "utf8" });
    const [line] = parseKnownHosts("x", `host ${server.hostKeys[0]}`);
    expect(said).toContain(fingerprint(line?.key ?? new Uint8Array()));
  });

  test("a server with several keys is asked for one that is known", async () => {
    for (const key of server.hostKeys) {
      const path = file("one-key", `${lookedUp()} ${key}\n`);
      expect(await hello(open({ n1: at({ knownHosts: path }) }))).toBe("hello\n");
    }
  });

  test("an unknown host is denied, with the fingerprint to compare", async () => {
    const path = file("nobody", "# nobody yet\n");
    const [line] = parseKnownHosts("x", `host ${server.hostKeys[0]}`);
    const print = fingerprint(line?.key ?? new Uint8Array());
    await expect(hello(open({ n1: at({ knownHosts: path }) }))).rejects.toMatchObject({
      kind: "denied",
      happened: "no",
      message: expect.stringContaining(print) as string,
      hint: expect.stringMatching(/ssh-keyscan .* after comparing the fingerprint SHA256:/) as string,
    });
    await expect(
      hello(open({ n1: at({ knownHosts: join(field.folder, "no such file") }) })),
    ).rejects.toMatchObject({
      kind: "denied",
    });
  });

  test("a changed host key is denied, with file, line and both fingerprints", async () => {
    const other = readFileSync(`${field.makeKey("other-host")}.pub`, "utf8")
      .split(" ")
      .slice(0, 2)
      .join(" ");
    const path = file("changed", `# first\n${lookedUp()} ${other}\n`);
    const [old] = parseKnownHosts("x", `host ${other}`);
    const [now] = parseKnownHosts("x", `host ${server.hostKeys[0]}`);
    const failure = hello(open({ n1: at({ knownHosts: path }) }));
    await expect(failure).rejects.toMatchObject({ kind: "denied", happened: "no" });
    for (const part of [
      `${path} line 2`,
      fingerprint(old?.key ?? new Uint8Array()),
      fingerprint(now?.key ?? new Uint8Array()),
    ])
      await expect(failure).rejects.toThrow(part);
  });

  test("a revoked host key is denied even where another line knows it", async () => {
    const lines = `${lookedUp()} ${server.hostKeys[0]}\n@revoked * ${server.hostKeys[0]}\n`;
    await expect(hello(open({ n1: at({ knownHosts: file("revoked", lines) }) }))).rejects.toThrow(
      /revoked by .* line 2/,
    );
  });

  test("a known type that the server does not have is denied", async () => {
    const other = await field.start({ hostKeyTypes: ["ecdsa"] });
    const path = file("other-type", `[${other.address}]:${other.port} ${server.hostKeys[0]}\n`);
    await expect(hello(open({ n1: at({ port: other.port, knownHosts: path }) }))).rejects.toMatchObject({
      kind: "denied",
      message: expect.stringContaining(`${path} line 1`) as string,
    });
  });

  test("a certificate authority that alone would vouch for the host is named as not used", async () => {
    const path = file("authority", `@cert-authority * ${server.hostKeys[0]}\n`);
    await expect(hello(open({ n1: at({ knownHosts: path }) }))).rejects.toThrow(
      /@cert-authority of .* line 1/,
    );
  });

  test("a key that the node does not accept is denied, with what was tried", async () => {
    const stranger = field.makeKey("stranger");
    await expect(hello(open({ n1: at({ identity: stranger }) }))).rejects.toMatchObject({
      kind: "denied",
      happened: "no",
      message: expect.stringContaining(stranger) as string,
      hint: expect.stringContaining("authorized_keys") as string,
    });
  });

  test.each([
    ["ed25519", ["-t", "ed25519", "-N", ""]],
    ["ecdsa P-256", ["-t", "ecdsa", "-b", "256", "-N", ""]],
    ["ecdsa P-384", ["-t", "ecdsa", "-b", "384", "-N", ""]],
    ["ecdsa P-521", ["-t", "ecdsa", "-b", "521", "-N", ""]],
    ["rsa", ["-t", "rsa", "-b", "3072", "-N", ""]],
    ["rsa in PEM", ["-t", "rsa", "-b", "2048", "-m", "PEM", "-N", ""]],
  ])("a private key of kind %s logs in", async (kind, args) => {
    const key = field.makeKey(`login ${kind}`, ...args);
    const accepted = file(`accepted ${kind}`.replaceAll(" ", "-"), readFileSync(`${key}.pub`, "utf8"));
    const own = await field.start({ config: [`AuthorizedKeysFile ${accepted}`] });
    expect(await hello(open({ n1: at({ port: own.port, identity: key }) }))).toBe("hello\n");
  });

  test("an encrypted key opens by RUNBOOK_SSH_PASSPHRASE alone, and the passphrase enters no message", async () => {
    const key = field.makeKey("encrypted", "-t", "ed25519", "-N", "canary-passphrase");
    const accepted = file("accepted-encrypted", readFileSync(`${key}.pub`, "utf8"));
    const own = await field.start({ config: [`AuthorizedKeysFile ${accepted}`] });
    const node = at({ port: own.port, identity: key });
    await expect(hello(open({ n1: node }))).rejects.toMatchObject({
      kind: "denied",
      hint: expect.stringContaining("RUNBOOK_SSH_PASSPHRASE") as string,
    });
    vi.stubEnv("RUNBOOK_SSH_PASSPHRASE", "wrong-canary");
    const wrong = await hello(open({ n1: node })).catch((error: unknown) => error);
    expect(wrong).toMatchObject({ kind: "denied" });
    expect(JSON.stringify([wrong, String(wrong)])).not.toContain("canary");
    vi.stubEnv("RUNBOOK_SSH_PASSPHRASE", "canary-passphrase");
    expect(await hello(open({ n1: node }))).toBe("hello\n");
  });

  test("a key in the agent logs in, and a wanted agent that is not there is denied", async () => {
    const socket = join(field.folder, "agent");
    const said = execFileSync("ssh-agent", ["-s", "-a", socket], { encoding: "utf8" });
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(said)?.[1]);
    try {
      execFileSync("ssh-add", ["-q", field.identity], {
        env: { ...process.env, SSH_AUTH_SOCK: socket },
        stdio: "ignore",
      });
      const { identity: _, agent: __, ...node } = at();
      vi.stubEnv("HOME", field.home);
      vi.stubEnv("SSH_AUTH_SOCK", socket);
      expect(await hello(open({ n1: { ...node, agent: true } }))).toBe("hello\n");
      expect(await hello(open({ n1: node }))).toBe("hello\n");
      await expect(hello(open({ n1: { ...node, agent: false } }))).rejects.toMatchObject({ kind: "denied" });
    } finally {
      process.kill(pid);
    }
    vi.stubEnv("SSH_AUTH_SOCK", "");
    await expect(hello(open({ n1: at({ agent: true }) }))).rejects.toMatchObject({ kind: "denied" });
  });

  test("a way that leads through itself is refused, and not waited for", async () => {
    const shell = open({ n1: at({ jump: "n2" }), n2: at({ jump: "n1" }) });
    const both = await Promise.allSettled([hello(shell, "n1"), hello(shell, "n2")]);
    expect(
      both.map((one) => (one.status === "rejected" ? (one.reason as { kind: string }).kind : one.value)),
    ).toEqual(["invalid", "invalid"]);
  });

  test("a server that hangs is noticed by keepalives, and its command has no exit status", async () => {
    const hanging = await field.start();
    const shell = open({ n1: at({ port: hanging.port }) }, { keepaliveMs: 300, connectTimeoutMs: 1500 });
    const running = shell.run("n1", ["sh", "-c", "echo begun; sleep 6"], second);
    await clock.sleep(700);
    hanging.freeze();
    try {
      const out = await running;
      expect(out).toMatchObject({ code: undefined, signal: undefined });
      expect(text(out.stdout)).toBe("begun\n");
      await expect(hello(shell)).rejects.toMatchObject({ kind: "unavailable", happened: "no" });
    } finally {
      hanging.thaw();
    }
    expect(await hello(shell)).toBe("hello\n");
  });

  test("a shell closes at once though a server hangs", async () => {
    const hanging = await field.start();
    const shell = open({ n1: at({ port: hanging.port }) });
    await hello(shell);
    hanging.freeze();
    try {
      await shell.close();
    } finally {
      hanging.thaw();
    }
  });

  describe("with ~/.ssh/config", () => {
    const withConfig = (lines: readonly string[]) => {
      mkdirSync(join(field.home, ".ssh"), { recursive: true });
      writeFileSync(join(field.home, ".ssh", "config"), lines.join("\n") + "\n");
      vi.stubEnv("HOME", field.home);
      vi.stubEnv("SSH_AUTH_SOCK", "");
    };

    test("it can be read where OpenSSH is installed", async () => {
      expect(await sshConfigReadable()).toBe(true);
      vi.stubEnv("PATH", "/nonexistent");
      expect(await sshConfigReadable()).toBe(false);
    });

    test("it fills in what the inventory does not say", async () => {
      withConfig([
        "Host db-one",
        `  HostName ${server.address}`,
        `  Port ${server.port}`,
        `  User ${field.user}`,
        `  IdentityFile ${field.identity}`,
        `  UserKnownHostsFile ${field.knownHosts}`,
      ]);
      expect(await hello(open({ n1: { address: "db-one" } }, { useSshConfig: true }))).toBe("hello\n");
    });

    test("what the inventory says wins", async () => {
      withConfig([
        "Host *",
        "  Port 1",
        "  User nobody",
        "  IdentityFile /nonexistent",
        "  ProxyCommand false",
      ]);
      const gateway = await field.start();
      const nodes = { n1: at({ jump: "gateway" }), gateway: at({ port: gateway.port }) };
      await expect(hello(open(nodes, { useSshConfig: true }))).rejects.toMatchObject({ kind: "unsupported" });
      withConfig(["Host *", "  Port 1", "  User nobody", "  IdentityFile /nonexistent"]);
      expect(await hello(open(nodes, { useSshConfig: true }))).toBe("hello\n");
    });

    test("its jump hosts are used, and a gateway does not jump through itself", async () => {
      const gateway = await field.start();
      withConfig([
        "Host *",
        `  User ${field.user}`,
        `  IdentityFile ${field.identity}`,
        `  UserKnownHostsFile ${field.knownHosts}`,
        "  ProxyJump gate",
        "Host gate",
        `  HostName ${gateway.address}`,
        `  Port ${gateway.port}`,
        "Host db-one",
        `  HostName ${server.address}`,
        `  Port ${server.port}`,
      ]);
      const shell = open({ n1: { address: "db-one" } }, { useSshConfig: true });
      expect(await hello(shell)).toBe("hello\n");
      const out = await shell.run("n1", ["sh", "-c", "echo $SSH_CONNECTION"], second);
      expect(text(out.stdout)).toMatch(new RegExp(` ${server.port}$`, "m"));
    });

    test("a broken one is refused by name", async () => {
      withConfig(["Host *", "  NoSuchOption yes"]);
      await expect(hello(open({ n1: at() }, { useSshConfig: true }))).rejects.toMatchObject({
        kind: "invalid",
      });
    });
  });
});

/**
 * Debian's own sshd on loopback, for tests and for the bench: each server with its own port, host keys and
 * authorized_keys, a scratch home (a login shell reads ~/.bashrc, which costs more than SSH itself), and handles
 * to kill and to freeze it.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const sshdPath = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path));
const isRoot = process.getuid?.() === 0;

/** Why there is no sshd to play against; undefined where there is one. */
export const noSshd: string | undefined =
  sshdPath === undefined
    ? "OpenSSH's server is not installed (node test/support/setup.mjs installs it on Debian as root)"
    : undefined;
/** Why password-less sudo cannot be set up. */
export const noSudo: string | undefined =
  noSshd ??
  (!isRoot
    ? "only root can set up a user with sudo"
    : existsSync("/usr/bin/sudo")
      ? undefined
      : "sudo is not installed");

/** Says in the test's log why a suite is left out; vitest itself shows only that it is. */
export function leaveOut(reason: string | undefined): boolean {
  if (reason !== undefined) console.log(`left out: ${reason}`);
  return reason !== undefined;
}

export interface SshdOptions {
  readonly address?: string;
  readonly port?: number;
  /** Further lines of sshd_config. */
  readonly config?: readonly string[];
  readonly hostKeyTypes?: readonly ("ed25519" | "ecdsa" | "rsa")[];
}

export interface Sshd {
  readonly address: string;
  readonly port: number;
  /** "TYPE BASE64" of each host key. */
  readonly hostKeys: readonly string[];
  /** Kills every connection's server side; the listener stays. Commands that run are left to end by themselves. */
  cut(): void;
  /** Stops every connection's server side and the listener, as a machine that hangs. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export interface SshdField {
  readonly folder: string;
  /** Private key that every server accepts. */
  readonly identity: string;
  /** known_hosts with every server that was started. */
  readonly knownHosts: string;
  readonly home: string;
  /** Who we log in as: ourselves, since only root's sshd can log in others. */
  readonly user: string;
  start(options?: SshdOptions): Promise<Sshd>;
  /** An unprivileged user who may run everything by `sudo -n`; root only. */
  addSudoUser(): string;
  /** A new key pair in the folder, accepted nowhere. */
  makeKey(name: string, ...keygenArgs: readonly string[]): string;
  close(): Promise<void>;
}

export function openSshdField(): SshdField {
  const folder = mkdtempSync(join(tmpdir(), "runbook-sshd-"));
  // Others must be able to enter: the unprivileged user's home is below it.
  execFileSync("chmod", ["755", folder]);
  const home = join(folder, "home");
  mkdirSync(home);
  // Only root's sshd separates privileges, and it insists on this folder, which a boot makes on an installed system.
  if (isRoot) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const knownHosts = join(folder, "known_hosts");
  writeFileSync(knownHosts, "");
  const identity = makeKey("id_test");
  const authorizedKeys = join(folder, "authorized_keys");
  writeFileSync(authorizedKeys, readFileSync(`${identity}.pub`, "utf8"), { mode: 0o644 });
  const servers: Sshd[] = [];
  const users: string[] = [];
  return {
    folder,
    identity,
    knownHosts,
    home,
    user: userInfo().username,
    start,
    addSudoUser,
    makeKey,
    close,
  };

  function makeKey(name: string, ...keygenArgs: readonly string[]): string {
    const path = join(folder, name);
    const args = keygenArgs.length > 0 ? keygenArgs : ["-t", "ed25519", "-N", ""];
    execFileSync("ssh-keygen", ["-q", ...args, "-C", name, "-f", path]);
    return path;
  }

  async function start(options: SshdOptions = {}): Promise<Sshd> {
    const address = options.address ?? "127.0.0.1";
    const port = options.port ?? (await freePort(address));
    const name = `server-${servers.length}`;
    const keys = (options.hostKeyTypes ?? ["ed25519"]).map((type) =>
      makeKey(`${name}-${type}`, "-t", type, "-N", ""),
    );
    const hostKeys = keys.map((key) => readFileSync(`${key}.pub`, "utf8").split(" ").slice(0, 2).join(" "));
    const config = join(folder, `${name}.conf`);
    // The first value of a setting holds, so a test's own lines come first.
    writeFileSync(
      config,
      [
        ...(options.config ?? []),
        `ListenAddress ${address}`,
        `Port ${port}`,
        ...keys.map((key) => `HostKey ${key}`),
        `AuthorizedKeysFile ${authorizedKeys}`,
        `PidFile none`,
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password",
        "PrintMotd no",
        "MaxStartups 200",
        `SetEnv HOME=${home}`,
        "",
      ].join("\n"),
    );
    const child = spawn(sshdPath ?? "sshd", ["-D", "-e", "-f", config], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
    await answers(child, address, port, () => log);
    const host = port === 22 ? address : `[${address}]:${port}`;
    for (const key of hostKeys) appendFileSync(knownHosts, `${host} ${key}\n`);
    const server = handle(child, address, port, hostKeys);
    servers.push(server);
    return server;
  }

  function addSudoUser(): string {
    const user = `rbtest${process.pid}`;
    execFileSync("useradd", [
      "--no-create-home",
      "--home-dir",
      home,
      "--shell",
      "/bin/sh",
      "--password",
      "*",
      user,
    ]);
    users.push(user);
    writeFileSync(`/etc/sudoers.d/${user}`, `${user} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
    return user;
  }

  async function close(): Promise<void> {
    await Promise.all(servers.map((server) => server.stop()));
    for (const user of users) {
      rmSync(`/etc/sudoers.d/${user}`, { force: true });
      execFileSync("userdel", ["--force", user], { stdio: "ignore" });
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

function handle(child: ChildProcess, address: string, port: number, hostKeys: readonly string[]): Sshd {
  const listener = child.pid ?? 0;
  const signal = (pids: readonly number[], name: NodeJS.Signals) => {
    for (const pid of pids)
      try {
        process.kill(pid, name);
      } catch (error) {
        // It ended between the look and the signal, which is as good.
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
      }
  };
  return {
    address,
    port,
    hostKeys,
    cut: () => signal(sshdsBelow(listener), "SIGKILL"),
    freeze: () => signal([listener, ...sshdsBelow(listener)], "SIGSTOP"),
    thaw: () => signal([listener, ...sshdsBelow(listener)], "SIGCONT"),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      signal([...sshdsBelow(listener), listener], "SIGKILL");
      await ended;
    },
  };
}

/** The sshd processes below one, and not the commands that they run. */
function sshdsBelow(parent: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const stat = readStat(pid);
    if (stat?.command !== "sshd") continue;
    children.set(stat.parent, [...(children.get(stat.parent) ?? []), pid]);
  }
  const below = (pid: number): number[] => (children.get(pid) ?? []).flatMap((one) => [one, ...below(one)]);
  return below(parent);
}

/** undefined: it ended while we looked. */
function readStat(pid: number): { readonly command: string; readonly parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [, command = "", parent = ""] = /^\d+ \((.*)\) \S (\d+) /s.exec(stat) ?? [];
    return { command, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

async function freePort(address: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(child: ChildProcess, address: string, port: number, log: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`sshd ended at once: ${log()}`);
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, address, () => resolve(true));
      socket.once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    await delay(25);
  }
  throw new Error(`sshd does not answer on ${address}:${port}: ${log()}`);
}

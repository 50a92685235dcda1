/**
 * `~/.ssh/config` as OpenSSH itself reads it: `ssh -G` prints what holds for a host after Include, Match and
 * tokens, which no library computes in full. Without OpenSSH the file is not read.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { Failure } from "../../errors.ts";

export interface SshConfig {
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly identities: readonly string[];
  readonly knownHosts: readonly string[];
  readonly jump: string | undefined;
  readonly proxyCommand: string | undefined;
  readonly hostKeyAlias: string | undefined;
  /** Path of the agent's socket, "none", or undefined for SSH_AUTH_SOCK. */
  readonly identityAgent: string | undefined;
  readonly identitiesOnly: boolean;
}

/** Whether `~/.ssh/config` can be read at all, which is whether OpenSSH's client is installed. */
export async function sshConfigReadable(): Promise<boolean> {
  return (await runSsh(["-V"])) !== "not installed";
}

/** What OpenSSH would use for this address; undefined where OpenSSH is not installed. */
export async function readSshConfig(
  address: string,
  said: { readonly user?: string | undefined; readonly port?: number | undefined },
): Promise<SshConfig | undefined> {
  const args = ["-G", ...configFile()];
  // Match blocks may ask for these two, so OpenSSH is told what the inventory says.
  if (said.user !== undefined) args.push("-l", said.user);
  if (said.port !== undefined) args.push("-p", String(said.port));
  // "--" keeps an address that begins with a dash from being taken for an option.
  const answer = await runSsh([...args, "--", address]);
  if (answer === "not installed") return undefined;
  if (answer.failed !== undefined)
    throw new Failure("invalid", `OpenSSH cannot read its configuration for ${address}: ${answer.failed}`, {
      hint: `run \`ssh -G ${address}\` and mend the file it names`,
      cause: answer.cause,
    });
  return parseSshConfig(answer.stdout, { home: homedir(), accountHome: accountHome() });
}

/**
 * OpenSSH looks into the home of the account and never at $HOME, while everything else of ours follows $HOME.
 * Where the two differ, $HOME wins: its file is named to `ssh`.
 */
function configFile(): readonly string[] {
  if (homedir() === accountHome()) return [];
  const own = join(homedir(), ".ssh", "config");
  const everyones = "/etc/ssh/ssh_config";
  return ["-F", existsSync(own) ? own : existsSync(everyones) ? everyones : "none"];
}

/** An account may have no passwd entry (a container's bare uid); then there is only $HOME. */
function accountHome(): string {
  try {
    return userInfo().homedir;
  } catch {
    return homedir();
  }
}

export function parseSshConfig(
  text: string,
  homes: { readonly home: string; readonly accountHome: string },
): SshConfig {
  const options = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const space = line.indexOf(" ");
    if (space < 0) continue;
    const key = line.slice(0, space).toLowerCase();
    options.set(key, [...(options.get(key) ?? []), line.slice(space + 1).trim()]);
  }
  const one = (key: string): string | undefined => {
    const value = options.get(key)?.[0];
    return value === "" || value === "none" ? undefined : value;
  };
  const path = (value: string) => {
    if (value.startsWith("~/")) return join(homes.home, value.slice(2));
    const accountSsh = join(homes.accountHome, ".ssh") + "/";
    return value.startsWith(accountSsh) ? join(homes.home, ".ssh", value.slice(accountSsh.length)) : value;
  };
  const paths = (values: readonly string[]) => values.filter((value) => value !== "none").map(path);
  const files = (key: string) =>
    paths((options.get(key)?.[0] ?? "").split(" ").filter((word) => word !== ""));
  const port = Number(one("port"));
  return {
    address: one("hostname"),
    port: Number.isInteger(port) ? port : undefined,
    user: one("user"),
    identities: paths(options.get("identityfile") ?? []),
    knownHosts: [...files("userknownhostsfile"), ...files("globalknownhostsfile")],
    jump: one("proxyjump"),
    proxyCommand: one("proxycommand"),
    hostKeyAlias: one("hostkeyalias"),
    identityAgent: agentSocket(options.get("identityagent")?.[0], path),
    identitiesOnly: one("identitiesonly") === "yes",
  };
}

function agentSocket(value: string | undefined, path: (value: string) => string): string | undefined {
  if (value === undefined || value === "SSH_AUTH_SOCK") return undefined;
  return value.startsWith("$") ? process.env[value.replace(/^\$\{?|\}$/g, "")] : path(value);
}

type SshAnswer =
  | "not installed"
  | { readonly stdout: string; readonly failed: string | undefined; readonly cause?: unknown };

function runSsh(args: readonly string[]): Promise<SshAnswer> {
  return new Promise((resolve) => {
    execFile("ssh", args, { timeout: 10_000, encoding: "utf8" }, (error, stdout, stderr) => {
      if (error === null) return resolve({ stdout, failed: undefined });
      if ("code" in error && error.code === "ENOENT") return resolve("not installed");
      resolve({ stdout, failed: stderr.trim() || error.message, cause: error });
    });
  });
}

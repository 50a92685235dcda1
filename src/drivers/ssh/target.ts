/** From what the inventory and OpenSSH's configuration say to what it takes to connect. */
import { existsSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { Failure } from "../../errors.ts";
import type { Identity, Login } from "./keys.ts";
import type { SshConfig } from "./ssh-config.ts";

export interface SshNode {
  readonly address: string;
  readonly port?: number;
  readonly user?: string;
  /** Path of a private key. */
  readonly identity?: string;
  /** Path of a known_hosts file, used instead of the usual ones. */
  readonly knownHosts?: string;
  /** Commands run through `sudo -n`. */
  readonly sudo?: boolean;
  /** The way there: another entry of `nodes`, or host names as in ProxyJump. */
  readonly jump?: string;
  /** true: the agent first, and it must be there; false: never; else after the key files, if there is one. */
  readonly agent?: boolean;
}

/** A node with everything known that it takes to connect. */
export interface Target {
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly knownHosts: readonly string[];
  readonly hostKeyAlias: string | undefined;
  readonly jump: string | undefined;
  readonly login: Login;
}

/** The inventory wins, then OpenSSH's configuration, then what OpenSSH would do without any. */
export function resolveTarget(node: string, spec: SshNode, config: SshConfig | undefined): Target {
  // "Host * ProxyJump gateway" holds for the gateway too; OpenSSH does not jump to a host through itself either.
  const jump = spec.jump ?? (config?.jump === spec.address ? undefined : config?.jump);
  if (jump === undefined && config?.proxyCommand !== undefined)
    throw new Failure(
      "unsupported",
      `OpenSSH's configuration reaches ${node} by a ProxyCommand, which is not supported`,
      {
        hint: "name the gateway as `jump` in the inventory, or as ProxyJump in ~/.ssh/config",
      },
    );
  const ssh = join(homedir(), ".ssh");
  const defaultKeys = ["id_ed25519", "id_ecdsa", "id_rsa"].map((name) => join(ssh, name));
  const identities: Identity[] =
    spec.identity === undefined
      ? (config?.identities ?? defaultKeys)
          .filter((path) => existsSync(path))
          .map((path) => ({ path, wanted: false }))
      : [{ path: withHome(spec.identity), wanted: true }];
  return {
    node,
    address: config?.address ?? spec.address,
    port: spec.port ?? config?.port ?? 22,
    knownHosts:
      spec.knownHosts === undefined
        ? (config?.knownHosts ?? [join(ssh, "known_hosts"), "/etc/ssh/ssh_known_hosts"])
        : [withHome(spec.knownHosts)],
    hostKeyAlias: config?.hostKeyAlias,
    jump,
    login: {
      user: spec.user ?? config?.user ?? userInfo().username,
      identities,
      agent: agentOf(node, spec, config),
      agentWanted: spec.agent === true,
      identitiesOnly: spec.agent !== true && config?.identitiesOnly === true,
    },
  };
}

function agentOf(node: string, spec: SshNode, config: SshConfig | undefined): string | undefined {
  if (spec.agent === false) return undefined;
  const configured = config?.identityAgent === "none" ? "" : config?.identityAgent;
  const socket = configured ?? process.env["SSH_AUTH_SOCK"] ?? "";
  if (socket !== "") return socket;
  if (spec.agent === true)
    throw new Failure("denied", `${node} is to be logged in to by the agent, and there is none`, {
      hint: "start one and add the key: `eval $(ssh-agent)` and `ssh-add`",
    });
  return undefined;
}

/** A jump that is no entry of the inventory: "[user@]host[:port]", several with commas, as in ProxyJump. */
export function parseHop(jump: string): SshNode {
  const comma = jump.lastIndexOf(",");
  const match = /^(?:ssh:\/\/)?(?:([^@]+)@)?(\[[^\]]+\]|[^:@]+)(?::(\d+))?\/?$/.exec(
    jump.slice(comma + 1).trim(),
  );
  if (match === null)
    throw new Failure(
      "invalid",
      `jump ${JSON.stringify(jump)} is no entry of the inventory and no host name`,
      {
        hint: "write it as [user@]host[:port]",
      },
    );
  const [, user, address = "", port] = match;
  return {
    address: address.replace(/^\[|\]$/g, ""),
    ...(user === undefined ? {} : { user }),
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(comma < 0 ? {} : { jump: jump.slice(0, comma).trim() }),
  };
}

/** For messages: "node1 (root@10.0.0.1:22)". */
export function where({ node, login, address, port }: Target): string {
  return `${node} (${login.user}@${address}:${port})`;
}

function withHome(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}

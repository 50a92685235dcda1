/** The connections of a run: one a node, opened on first use, shared, kept, and opened again after it died. */
import { createRequire } from "node:module";
import type { Duplex } from "node:stream";
import { Failure } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { Connection, openClient } from "./connection.ts";
import type { OpenedClient, Ssh2 } from "./connection.ts";
import { hostKeyPolicy } from "./host-keys.ts";
import { findCredentials, openKeyStore } from "./keys.ts";
import { readSshConfig } from "./ssh-config.ts";
import type { SshConfig } from "./ssh-config.ts";
import { parseHop, resolveTarget, where } from "./target.ts";
import type { SshNode, Target } from "./target.ts";

const require = createRequire(import.meta.url);

export interface SshOptions {
  readonly nodes: Readonly<Record<string, SshNode>>;
  readonly clock: Clock;
  /** Two of these without an answer, and the connection counts as lost at the third. */
  readonly keepaliveMs?: number;
  readonly connectTimeoutMs?: number;
  /** Whether `ssh -G` fills in what the inventory does not say; yes unless told otherwise. */
  readonly useSshConfig?: boolean;
  /** Nodes to connect to at once, while there is other work to do: what hinders it, the first command tells. */
  readonly warm?: readonly string[];
}

export interface Fleet {
  connect(node: string): Promise<Connection>;
  /** Takes a connection out of use; running commands end first. */
  retire(node: string, connection: Connection): void;
  close(): Promise<void>;
}

interface Line {
  readonly opening: Promise<Connection>;
  connection: Connection | undefined;
}

export function openFleet(options: SshOptions): Fleet {
  const lines = new Map<string, Line>();
  const open = new Set<Connection>();
  /** Which gateway each node that is being opened waits for. */
  const waitsFor = new Map<string, string>();
  const keys = openKeyStore();
  const configs = new Map<string, Promise<SshConfig | undefined>>();
  const connectTimeoutMs = options.connectTimeoutMs ?? 15_000;
  const closing = new AbortController();
  return { connect, retire, close };

  function connect(name: string): Promise<Connection> {
    if (closing.signal.aborted)
      return Promise.reject(new Failure("bug", "the shell was used after it was closed"));
    const present = lines.get(name);
    if (present !== undefined) return present.opening;
    const forget = () => {
      if (lines.get(name) === line) lines.delete(name);
    };
    const opening = dial(name).then((opened) => {
      const connection = new Connection(opened, forget);
      open.add(connection);
      opened.client.once("close", () => open.delete(connection));
      line.connection = connection;
      return connection;
    });
    const line: Line = { opening, connection: undefined };
    lines.set(name, line);
    // The next command tries anew; this one's callers see the reason themselves.
    opening.catch(forget);
    return opening;
  }

  function retire(name: string, connection: Connection): void {
    if (lines.get(name)?.connection === connection) lines.delete(name);
    connection.retire();
  }

  async function close(): Promise<void> {
    closing.abort();
    const openings = [...lines.values()].map(({ opening }) => opening);
    await closeOpen();
    await Promise.allSettled(openings);
    // One may have been on the last step of its login.
    await closeOpen();
  }

  async function closeOpen(): Promise<void> {
    await Promise.all([...open].map((connection) => connection.close()));
  }

  async function dial(name: string): Promise<OpenedClient> {
    const spec = specOf(name);
    const target = resolveTarget(name, spec, await configOf(spec));
    // Loaded when the first node is called. It is CommonJS, which a require loads faster than an import.
    const ssh2 = require("ssh2") as Ssh2;
    const credentials = await findCredentials(ssh2, keys, name, target.login);
    const { methods, names, passedOver } = credentials;
    if (methods.length === 0) {
      const why = passedOver.length === 0 ? "" : `: ${passedOver.join("; ")}`;
      throw new Failure("denied", `there is no key to log in to ${name} with${why}`, {
        hint: "name a private key as `identity` in the inventory, or start an agent and add the key to it",
      });
    }
    const policy = await hostKeyPolicy(target);
    const sock = target.jump === undefined ? undefined : await hop(target, target.jump);
    if (closing.signal.aborted) throw new Failure("unavailable", `${name}: the shell was closed meanwhile`);
    return openClient(ssh2, {
      address: target.address,
      port: target.port,
      user: target.login.user,
      auth: [...methods],
      hostKeyAlgorithms: policy.algorithms,
      refuseHostKey: policy.refuse,
      sock,
      keepaliveMs: options.keepaliveMs ?? 5000,
      connectTimeoutMs,
      signal: closing.signal,
      translate: (error) => translate(error, target, [...names, ...passedOver], policy.knownFrom),
    });
  }

  async function hop(target: Target, jump: string): Promise<Duplex> {
    for (let next: string | undefined = jump; next !== undefined; next = waitsFor.get(next))
      if (next === target.node)
        throw new Failure("invalid", `the way to ${target.node} leads through itself, by ${jump}`, {
          hint: "mend `jump` in the inventory",
        });
    waitsFor.set(target.node, jump);
    const gateway = await connect(jump).finally(() => waitsFor.delete(target.node));
    const ended = new AbortController();
    // The gateway's own sshd may try for minutes; the limit for connecting is ours.
    const late = options.clock.sleep(connectTimeoutMs, ended.signal).then(() => {
      throw new Error(`no answer within ${connectTimeoutMs / 1000} s`);
    });
    const way = gateway.forward(target.address, target.port);
    try {
      return await Promise.race([way, late]);
    } catch (error) {
      // A way that opens after all has nobody left to use it; why it failed is told below.
      way.then(
        (stream) => stream.destroy(),
        () => {},
      );
      const why = messageOf(error);
      throw new Failure("unavailable", `${where(target)} cannot be reached through ${jump}: ${why}`, {
        cause: error,
        hint: reachHint(target.node),
      });
    } finally {
      ended.abort();
    }
  }

  function specOf(name: string): SshNode {
    return (Object.hasOwn(options.nodes, name) ? options.nodes[name] : undefined) ?? parseHop(name);
  }

  function configOf(spec: SshNode): Promise<SshConfig | undefined> {
    if (options.useSshConfig === false) return Promise.resolve(undefined);
    const key = JSON.stringify([spec.address, spec.user, spec.port]);
    const present = configs.get(key);
    if (present !== undefined) return present;
    const config = readSshConfig(spec.address, { user: spec.user, port: spec.port });
    configs.set(key, config);
    // A configuration that was mended meanwhile is read again.
    config.catch(() => configs.delete(key));
    return config;
  }
}

/** ssh2's errors as ours: by its `level` and the system's error codes. */
function translate(
  error: Error & { level?: string; code?: string },
  target: Target,
  tried: readonly string[],
  knownFrom: string,
): Failure {
  const { node } = target;
  const there = where(target);
  if (error.level === "client-authentication")
    return new Failure(
      "denied",
      `${there} refused the login of ${target.login.user}, who tried ${tried.join(", ")}`,
      {
        hint: `check \`user\` and \`identity\` of ${node}, and that its authorized_keys has the public key`,
        cause: error,
      },
    );
  if (error.message.includes("no matching host key format"))
    return new Failure("denied", `${there} has none of the host keys that are known for it (${knownFrom})`, {
      hint: `ask its administrator which host keys it has, and add the line for one of them to known_hosts`,
      cause: error,
    });
  if (error.message.includes("Handshake failed: no matching"))
    return new Failure("unsupported", `${there} and we have no algorithm in common: ${error.message}`, {
      hint: "let its sshd allow curve25519-sha256 for the key exchange, and AES in CTR or GCM mode",
      cause: error,
    });
  return new Failure("unavailable", `${there} cannot be reached: ${messageOf(error)}`, {
    cause: error,
    hint: reachHint(target.node),
  });
}

export function reachHint(node: string): string {
  return `is ${node} up, are its address and port in the inventory right, and is the way to it open?`;
}

/** Node joins the errors of several addresses into one without a message. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

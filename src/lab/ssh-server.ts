/**
 * A node's SSH server on loopback: real sockets, real keys, one command a session. A login shell, sftp and forwarding
 * are not there. What a network does to a conversation (silence, a reset, half an answer) is done to the socket itself,
 * so that whoever logs in meets what he would meet outside.
 */
import { timingSafeEqual } from "node:crypto";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { AuthContext, Connection, ParsedKey, ServerChannel, Session } from "ssh2";
import { Failure } from "../errors.ts";
import type { ExecResult } from "./exec.ts";
import type { LabNode } from "./node.ts";
import { Wire } from "./wire.ts";
import type { Received } from "./world.ts";

export interface SshServerOptions {
  readonly node: LabNode;
  /** Tried first; another one is taken if it is in use. */
  readonly port?: number | undefined;
  /** Private key in OpenSSH's format. */
  readonly hostKey: string;
  /** "ssh-ed25519 AAAA…" of the one who may log in. */
  readonly clientKey: string;
  readonly user: string;
  /** Asked after a command has ended: is its answer lost on the way? */
  readonly loses?: (row: Received) => boolean;
  /** Told of mistakes of the lab itself. */
  readonly onBug: (error: unknown) => void;
}

export interface NodeServer {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

// As sshd has it unless told otherwise (MaxSessions in sshd_config).
const sessionsPerConnection = 10;
const loopback = "127.0.0.1";

/** Loaded only where a server is wanted: the library costs more to load than the lab itself. */
export async function loadSsh2(): Promise<typeof import("ssh2")> {
  const { default: ssh2 } = await import("ssh2");
  return ssh2;
}

export async function serveSsh(options: SshServerOptions): Promise<NodeServer> {
  const { node } = options;
  const ssh2 = await loadSsh2();
  const parsed = ssh2.utils.parseKey(options.clientKey);
  if (parsed instanceof Error)
    throw new Failure("bug", "the lab's own client key cannot be read", { cause: parsed });
  const wires = new Set<Wire>();
  const listener = createServer({ noDelay: true }, (socket) => {
    // Without power nothing answers. The port is kept all the same: no other program may take it meanwhile, and the
    // inventory stays true.
    if (!node.alive) {
      socket.on("error", () => undefined);
      socket.resetAndDestroy();
      return;
    }
    const wire = new Wire(socket, () => node.operatorCut);
    wires.add(wire);
    wire.once("close", () => wires.delete(wire));
    // A server of its own for each connection, so that the client it makes belongs to this wire without doubt.
    const server = new ssh2.Server({ hostKeys: [options.hostKey] }, (client) => {
      client.on("authentication", (context) => authenticate(context, options.user, parsed));
      // A client that goes without a farewell is an ordinary end; the channels are told by their own "close".
      client.on("error", () => undefined);
      client.once("ready", () => serveSessions(options, client, wire));
    });
    // ssh2 asks of a socket what a stream with an address gives, and is content with one in its clients too.
    server.injectSocket(wire as unknown as Socket);
  });
  node.listen({
    booted: () => undefined,
    goingDown: () => Promise.resolve(),
    gone: () => {
      for (const wire of wires) wire.cut();
    },
  });
  const port = await listenOn(listener, options.port);
  return {
    address: loopback,
    port,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const wire of wires) wire.cut();
      }),
  };
}

/** The wished port if it is free, else any. */
export async function listenOn(server: Server, wish: number | undefined): Promise<number> {
  const attempt = (port: number) =>
    new Promise<number>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, loopback, () => {
        server.off("error", reject);
        resolve((server.address() as AddressInfo).port);
      });
    });
  try {
    return await attempt(wish ?? 0);
  } catch (error) {
    if (wish === undefined) throw error;
    return attempt(0);
  }
}

/** ssh2 checks no signature by itself. A question without one ("would this key do?") is answered alike. */
function authenticate(context: AuthContext, user: string, allowed: ParsedKey): void {
  const key = allowed.getPublicSSH();
  const fits =
    context.method === "publickey" &&
    context.username === user &&
    context.key.data.length === key.length &&
    timingSafeEqual(context.key.data, key) &&
    (context.signature === undefined ||
      (context.blob !== undefined &&
        allowed.verify(context.blob, context.signature, context.hashAlgo) === true));
  if (fits) context.accept();
  else context.reject(["publickey"]);
}

function serveSessions(options: SshServerOptions, client: Connection, wire: Wire): void {
  let open = 0;
  client.on("session", (accept, reject) => {
    if (open >= sessionsPerConnection) {
      reject();
      return;
    }
    open += 1;
    const session = accept();
    session.once("close", () => (open -= 1));
    // A terminal is granted, so that `ssh -t` works; no command of the lab asks for one.
    session.on("pty", (agree) => agree?.());
    session.on("shell", (agree) => refuseShell(options.node.name, agree()));
    session.on("exec", (agree, _refuse, { command }) => {
      void serveCommand(options, agree(), command, wire);
    });
    refuseSubsystems(session);
  });
}

/** sftp is what a modern scp asks for; it is told no, as by a server without it. */
function refuseSubsystems(session: Session): void {
  session.on("sftp", (_agree, refuse) => refuse?.());
  session.on("subsystem", (_agree, refuse) => refuse?.());
}

function refuseShell(node: string, channel: ServerChannel): void {
  channel.resume();
  channel.write(
    `${node} is a node of the lab: it runs commands and has no login shell.\r\n` +
      "Give the command with the login, for example: ssh … clpstat\r\n",
  );
  channel.exit(1);
  channel.end();
}

async function serveCommand(
  options: SshServerOptions,
  channel: ServerChannel,
  command: string,
  wire: Wire,
): Promise<void> {
  const { node } = options;
  const said: Promise<void>[] = [];
  const gone = new Promise<void>((resolve) => channel.once("close", () => resolve()));
  const say = (stream: NodeJS.WritableStream) => (chunk: Uint8Array) => {
    if (!channel.writable) return;
    said.push(new Promise((resolve) => stream.write(chunk, () => resolve())));
  };
  const running = node.exec(command, {
    stdin: inputOf(channel),
    stdout: say(channel),
    stderr: say(channel.stderr),
  });
  // The node books what it receives at once, so the last row is this command's.
  const row = node.heart.received.at(-1);
  let result: ExecResult;
  try {
    result = await running;
  } catch (error) {
    // A mistake of the lab must be seen by who meets it, and must not look like an answer of the command.
    options.onBug(error);
    if (row) row.class = "gap";
    channel.stderr.write(`the lab failed: ${error instanceof Error ? error.message : String(error)}\n`);
    result = {};
  }
  channel.resume();
  await Promise.race([Promise.all(said), gone]);
  if (row && !channel.writable) row.reply = "cut";
  if (row && options.loses?.(row) === true) {
    row.reply = "lost";
    wire.cut();
  } else if (result.signal !== undefined) {
    channel.exit(result.signal, false, "");
    channel.end();
  } else if (result.code !== undefined) {
    channel.exit(result.code);
    channel.end();
  } else wire.cutAfterWriting();
}

const largestQueue = 1024 * 1024;

/** What the client sends, as a command reads it. Iterating a channel itself would close it at the end of its input. */
function inputOf(channel: ServerChannel): AsyncIterable<Uint8Array> {
  const queue: Buffer[] = [];
  let size = 0;
  let ended = false;
  let wake: () => void = () => undefined;
  const end = () => {
    ended = true;
    wake();
  };
  channel.once("close", end);
  return {
    // The client's bytes stay with the channel, and hold the client back, until the command reads.
    async *[Symbol.asyncIterator]() {
      channel.once("end", end);
      channel.on("data", (chunk: Buffer) => {
        queue.push(chunk);
        size += chunk.length;
        if (size > largestQueue) channel.pause();
        wake();
      });
      for (;;) {
        const chunk = queue.shift();
        if (chunk !== undefined) {
          size -= chunk.length;
          if (size <= largestQueue) channel.resume();
          yield chunk;
        } else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

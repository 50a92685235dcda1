/**
 * One SSH connection to one node: opened, used for many commands, given up when it dies. ssh2's events are turned
 * here into the Shell's answers; what decides between "it never left" and "nobody knows" stands in this file alone.
 */
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Client, ClientChannel, ConnectConfig, ServerHostKeyAlgorithm } from "ssh2";
import { Failure } from "../../errors.ts";
import type { Output } from "../../ports/shell.ts";

export type Ssh2 = typeof import("ssh2");

/** Whoever waits for a command; it may stop waiting before the command ends. */
export interface Call {
  /** Set as soon as the command may have reached the node. */
  sent: boolean;
  /** Nobody waits any longer: a command that was not sent is not to be sent. */
  given: "wait" | "up";
  /** Closes the command's channel. */
  close: () => void;
  /** What the command was seen to exit with while its channel stays open. */
  exited: number | undefined;
}

/** Thrown where a command provably never left, so that it may be sent once more on a fresh connection. */
export class NeverSent extends Error {
  /** "lost": the connection was gone. "full": the node takes no more sessions on this connection. */
  readonly why: "lost" | "full";

  constructor(why: NeverSent["why"], message: string, cause?: unknown) {
    super(message, { cause });
    this.why = why;
  }
}

/** Together for stdout and stderr; more is a mistake of the caller's, and would end in our memory. */
export const outputLimitBytes = 8 * 1024 * 1024;

/**
 * sshd allows ten sessions a connection unless told otherwise (MaxSessions, sshd_config), and counts one that has
 * ended a little longer than we do.
 */
const sessionsPerConnection = 8;

export class Connection {
  readonly #client: Client;
  readonly #transport: Duplex;
  readonly #waiting: (() => void)[] = [];
  #sessions = 0;
  #forwards = 0;
  #alive = true;
  #retired = false;
  #whyDead: Error | undefined;

  /** Takes a client that is logged in. */
  constructor({ client, transport }: OpenedClient, gone: () => void) {
    this.#client = client;
    this.#transport = transport;
    client.on("error", (error) => {
      // ssh2 reports trouble here and closes afterwards; from now on no command may begin on this connection.
      this.#whyDead = error;
      this.#alive = false;
      gone();
      // ssh2 itself may wait for the other side's farewell, and so would the commands that run.
      transport.destroy();
    });
    client.on("close", () => {
      this.#alive = false;
      gone();
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  /** Runs one command line. Rejects with NeverSent or a Failure, or resolves with whatever came back. */
  async run(command: string, stdin: string | Uint8Array | undefined, call: Call): Promise<Output> {
    await this.#enter();
    let left = false;
    const leave = () => {
      if (left) return;
      left = true;
      this.#leave();
    };
    try {
      if (!this.#alive) throw new NeverSent("lost", "the connection was lost", this.#whyDead);
      if (this.#retired) throw new NeverSent("full", "the connection was given up");
      if (call.given === "up") throw new NeverSent("lost", "nobody waits for it any longer");
      return await this.#exec(command, stdin, call, leave);
    } finally {
      leave();
    }
  }

  /** A TCP connection from the node to somewhere else, for what lies behind a jump host. */
  forward(address: string, port: number): Promise<Duplex> {
    this.#forwards++;
    const end = () => {
      this.#forwards--;
      this.#closeIfIdle();
    };
    return new Promise<Duplex>((resolve, reject) => {
      this.#client.forwardOut("127.0.0.1", 0, address, port, (error, stream) => {
        if (error !== undefined) return reject(error);
        stream.once("close", end);
        resolve(stream);
      });
    }).catch((error: unknown) => {
      end();
      throw error;
    });
  }

  /** Begins no more commands; closes once the running ones ended. */
  retire(): void {
    this.#retired = true;
    for (const wake of this.#waiting.splice(0)) wake();
    this.#closeIfIdle();
  }

  /**
   * Closes from our side at once. A polite farewell would wait for the other side, and a node that hangs never
   * answers.
   */
  async close(): Promise<void> {
    const closed = this.#alive && new Promise<void>((resolve) => this.#client.once("close", () => resolve()));
    this.#transport.destroy();
    await closed;
  }

  async #enter(): Promise<void> {
    while (this.#alive && !this.#retired && this.#sessions >= sessionsPerConnection)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#sessions++;
  }

  #leave(): void {
    this.#sessions--;
    this.#waiting.shift()?.();
    this.#closeIfIdle();
  }

  /** A retired gateway stays as long as somebody is connected through it. */
  #closeIfIdle(): void {
    if (this.#retired && this.#sessions === 0 && this.#forwards === 0) this.#transport.destroy();
  }

  #exec(
    command: string,
    stdin: string | Uint8Array | undefined,
    call: Call,
    leave: () => void,
  ): Promise<Output> {
    return new Promise((resolve, reject) => {
      const opened = (error: Error | undefined, channel: ClientChannel) => {
        if (error !== undefined) {
          const why = whyNeverSent(error);
          if (why !== undefined) reject(new NeverSent(why, error.message, error));
          else if (!this.#alive) resolve(emptyOutput);
          else
            reject(
              new Failure("unavailable", `the node did not take the command (${error.message})`, {
                happened: "maybe",
                cause: error,
              }),
            );
          return;
        }
        // Whoever gives up frees our place at once: a command that hangs keeps its channel half open for as long
        // as it lives, and ten of them would lock the node for everybody else.
        call.close = () => {
          channel.close();
          leave();
        };
        if (call.given === "up") call.close();
        this.#collect(channel, call, resolve, reject);
        if (stdin === undefined) channel.end();
        else channel.end(stdin);
      };
      try {
        call.sent = true;
        this.#client.exec(command, opened);
      } catch (error) {
        // ssh2 throws only before it writes anything ("Not connected").
        reject(new NeverSent("lost", "the connection is closed", error));
      }
    });
  }

  #collect(
    channel: ClientChannel,
    call: Call,
    resolve: (output: Output) => void,
    reject: (failure: Failure) => void,
  ): void {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let code: number | undefined;
    let signal: string | undefined;
    let bytes = 0;
    const take = (into: Buffer[]) => (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= outputLimitBytes) {
        into.push(chunk);
        return;
      }
      call.close();
      reject(
        new Failure(
          "invalid",
          `the command wrote more than ${outputLimitBytes / 1024 / 1024} MiB, the limit of a command's output`,
          {
            hint: "have the node write it to a file, or ask for less",
            happened: "maybe",
          },
        ),
      );
    };
    channel.on("data", take(stdout));
    channel.stderr.on("data", take(stderr));
    channel.on("exit", (...args: readonly unknown[]) => {
      if (typeof args[0] === "number") call.exited = code = args[0];
      if (typeof args[1] === "string") signal = args[1].replace(/^SIG/, "");
    });
    // A stream error here means a write to a command that no longer reads; how it ended is told by "close".
    channel.on("error", () => {});
    channel.on("close", () => {
      // An exit status without an orderly close may stand over half an output, so it counts as not known.
      const known = this.#alive || bytes === 0;
      resolve({
        code: known ? code : undefined,
        signal: known ? signal : undefined,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr),
      });
    });
  }
}

const emptyOutput: Output = {
  code: undefined,
  signal: undefined,
  stdout: new Uint8Array(),
  stderr: new Uint8Array(),
};

/**
 * The server refused to open the channel (it gives a reason), or the connection was lost while the channel was being
 * opened: the command itself is sent only after that. The words are those of ssh2 1.17; others count as unknown.
 */
function whyNeverSent(error: Error): NeverSent["why"] | undefined {
  if ("reason" in error) return "full";
  if (error.message === "No response from server" || error.message === "Channel is not open") return "lost";
  return undefined;
}

export interface OpenOptions {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly auth: NonNullable<ConnectConfig["authHandler"]>;
  readonly hostKeyAlgorithms: readonly ServerHostKeyAlgorithm[];
  /** Answers why a host key is refused, or nothing. */
  readonly refuseHostKey: (key: Buffer) => Failure | undefined;
  /** The way through a gateway; without it, the address is connected to. */
  readonly sock: Duplex | undefined;
  readonly keepaliveMs: number;
  readonly connectTimeoutMs: number;
  /** Gives the attempt up. */
  readonly signal: AbortSignal;
  /** Turns ssh2's error into a Failure. */
  readonly translate: (error: Error) => Failure;
}

export interface OpenedClient {
  readonly client: Client;
  /** What it runs over: a socket, or a channel of the gateway. */
  readonly transport: Duplex;
}

/** Connects and logs in; resolves with a client that is ready for commands. */
export function openClient(ssh2: Ssh2, options: OpenOptions): Promise<OpenedClient> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    // The socket is ours, since ssh2 closes its own only while it can still be written to, and a connection whose
    // other side hangs would stay for ever.
    const transport = options.sock ?? connect({ host: options.address, port: options.port });
    // A gateway's channel stays half open when the node behind it is gone; a socket closes by itself.
    transport.once("end", () => transport.destroy());
    let refused: Failure | undefined;
    const fail = (error: Error) => {
      options.signal.removeEventListener("abort", onAbort);
      transport.destroy();
      reject(refused ?? options.translate(error));
    };
    const onAbort = () => fail(new Error("the shell was closed meanwhile"));
    options.signal.addEventListener("abort", onAbort);
    const onError = (error: Error & { level?: string }) => {
      // An agent that does not answer is no failure yet: ssh2 goes on with the next way to log in.
      if (error.level !== "agent") fail(error);
    };
    const onClose = () => fail(new Error("the connection was closed before the login"));
    client.on("error", onError);
    client.once("close", onClose);
    client.once("ready", () => {
      // `onError` stays: an error that comes before the Connection listens must not end the process.
      client.removeListener("close", onClose);
      options.signal.removeEventListener("abort", onAbort);
      resolve({ client, transport });
    });
    const config: ConnectConfig = {
      username: options.user,
      authHandler: options.auth,
      hostVerifier: (key: Buffer) => {
        refused = options.refuseHostKey(Buffer.from(key));
        return refused === undefined;
      },
      keepaliveInterval: options.keepaliveMs,
      keepaliveCountMax: 2,
      readyTimeout: options.connectTimeoutMs,
      sock: transport,
    };
    if (options.hostKeyAlgorithms.length > 0)
      config.algorithms = { serverHostKey: [...options.hostKeyAlgorithms] };
    try {
      client.connect(config);
      // Without it every command waits some 40 ms for a delayed ACK (reference stack, section 4).
      client.setNoDelay(true);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

/**
 * One connection to a node's SSH server, with the network between the two in our hand. ssh2 speaks to this stream
 * and never to the socket, so that a path which was cut can swallow what is sent, as a network does.
 */
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

export class Wire extends Duplex {
  readonly #socket: Socket;
  readonly #isSilent: () => boolean;
  #lost = false;

  constructor(socket: Socket, isSilent: () => boolean) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#isSilent = isSilent;
    socket.on("data", (chunk: Buffer) => {
      if (!this.#swallows() && !this.push(chunk)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    // The reason of a broken connection interests nobody here: what was running on it is told by "close".
    socket.on("error", () => this.destroy());
    socket.on("close", () => this.destroy());
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  /** The connection dies at once, without a farewell. */
  cut(): void {
    this.#socket.resetAndDestroy();
  }

  /** What was written goes out, and then the connection dies. */
  cutAfterWriting(): void {
    this.end(() => this.#socket.destroySoon());
  }

  // Nobody sends again what was swallowed once, so the conversation cannot go on after that, whether the path was
  // mended or not: both ends find out by their keepalives.
  #swallows(): boolean {
    this.#lost ||= this.#isSilent();
    return this.#lost;
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#swallows() || !this.#socket.writable) done();
    else this.#socket.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    if (!this.#swallows()) this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#socket.destroyed) this.#socket.destroy();
    done(error);
  }
}

/**
 * The lab's own Shell: commands on its nodes without a socket, for simulation. It keeps the port's contract as a real
 * one does: what never left is `unavailable`, what was cut resolves without an exit status.
 */
import { Failure } from "../errors.ts";
import type { Output, RunOptions, Shell } from "../ports/shell.ts";
import type { LabNode } from "./node.ts";
import { noLonger } from "./stoppable-clock.ts";

export class LabShell implements Shell {
  readonly name = "lab";
  readonly #nodes: ReadonlyMap<string, LabNode>;

  constructor(nodes: ReadonlyMap<string, LabNode>) {
    this.#nodes = nodes;
  }

  async run(name: string, argv: readonly string[], options: RunOptions): Promise<Output> {
    const node = this.#nodes.get(name);
    if (!node) throw new Failure("not-found", `the lab has no node ${name}`);
    if (argv.some((word) => word.includes("\0"))) throw new Failure("invalid", "an argument holds a NUL");
    if (options.signal?.aborted)
      throw new Failure("aborted", `nothing was sent to ${name}`, {
        happened: "no",
        cause: options.signal.reason,
      });
    if (!node.reachable)
      throw new Failure("unavailable", `${name} does not answer: no connection`, { happened: "no" });

    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    const stop = new AbortController();
    const { clock } = node.heart;
    const limit = clock.sleep(options.timeoutMs, stop.signal).then(
      () => "over" as const,
      () => "stopped" as const,
    );
    const aborted = new Promise<"aborted">((resolve) =>
      options.signal?.addEventListener("abort", () => resolve("aborted"), {
        once: true,
        signal: stop.signal,
      }),
    );
    const command = node.runArgv(argv, {
      ...(options.stdin !== undefined && { stdin: options.stdin }),
      stdout: (chunk) => stdout.push(chunk),
      stderr: (chunk) => stderr.push(chunk),
    });
    let answered = false;
    try {
      const result = await Promise.race([command.finally(() => (answered = true)), limit, aborted]);
      if (result === "over")
        throw new Failure("timeout", `${name} did not answer within ${options.timeoutMs / 1000} s`, {
          happened: "maybe",
        });
      if (result === "aborted")
        throw new Failure("aborted", `the answer of ${name} was not awaited`, {
          happened: "maybe",
          cause: options.signal?.reason,
        });
      if (result === "stopped") throw new Failure("bug", "a time limit ended by itself");
      return {
        code: result.code,
        signal: result.signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr),
      };
    } finally {
      stop.abort(noLonger);
      // Where nobody waits for it any more, an error of the lab itself must not vanish.
      const waited = answered;
      command.catch((error: unknown) => {
        if (!waited) throw error;
      });
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

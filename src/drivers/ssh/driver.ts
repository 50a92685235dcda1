/**
 * The Shell over SSH (ssh2 1.17, seen with OpenSSH 9.2). One connection a node, opened on first use and kept.
 *
 * What to grant: a login by key or agent, and where `sudo` is set, the right to run the commands without a password
 * (`sudo -n`; the lines are in docs/reference/clusterpro.md). Not supported: passwords, user and host certificates,
 * FIDO keys, and servers that allow post-quantum key exchange only (reference stack, section 4).
 */
import { Failure } from "../../errors.ts";
import type { Output, RunOptions, Shell } from "../../ports/shell.ts";
import { text } from "../../ports/shell.ts";
import { NeverSent } from "./connection.ts";
import type { Call } from "./connection.ts";
import { openFleet, reachHint } from "./fleet.ts";
import type { Fleet, SshOptions } from "./fleet.ts";
import { quote } from "./quote.ts";

export type { SshOptions } from "./fleet.ts";
export type { SshNode } from "./target.ts";
export { sshConfigReadable } from "./ssh-config.ts";

export function openSsh(options: SshOptions): Shell {
  const fleet = openFleet(options);
  for (const node of options.warm ?? []) void fleet.connect(node).catch(() => undefined);
  return {
    name: "ssh",
    run: (node, argv, runOptions) => run(fleet, options, node, argv, runOptions),
    close: () => fleet.close(),
  };
}

async function run(
  fleet: Fleet,
  options: SshOptions,
  node: string,
  argv: readonly string[],
  { stdin, timeoutMs, signal }: RunOptions,
): Promise<Output> {
  const spec = Object.hasOwn(options.nodes, node) ? options.nodes[node] : undefined;
  if (spec === undefined)
    throw new Failure("not-found", `there is no node ${node} in the inventory`, {
      hint: `name one of ${Object.keys(options.nodes).join(", ") || "its nodes (it has none)"}`,
    });
  const command = quote(spec.sudo === true ? ["sudo", "-n", "--", ...argv] : argv);
  const call: Call = { sent: false, given: "wait", close: () => {}, exited: undefined };
  const ended = new AbortController();
  if (signal?.aborted === true) throw abortFailure(node, argv, call, signal.reason);
  const cut = signal === undefined ? ended.signal : AbortSignal.any([signal, ended.signal]);
  const over = options.clock.sleep(timeoutMs, cut).then(
    () => giveUp(call, timeoutFailure(node, argv, timeoutMs, call)),
    (reason: unknown) => {
      if (ended.signal.aborted) return undefined as never;
      return giveUp(call, abortFailure(node, argv, call, reason));
    },
  );
  try {
    const output = await Promise.race([over, send(fleet, node, command, stdin, call)]);
    if (spec.sudo === true) refuseIfSudoRefused(node, argv, output);
    return output;
  } finally {
    ended.abort();
  }
}

/**
 * Sends the command once. If it provably never left (the kept connection had died unnoticed, or carries as many
 * sessions as the node allows), a fresh connection is opened for it: that is no retry, since nothing was tried yet.
 */
async function send(
  fleet: Fleet,
  node: string,
  command: string,
  stdin: string | Uint8Array | undefined,
  call: Call,
): Promise<Output> {
  const tries = { lost: 0, full: 0 };
  for (;;) {
    const connection = await fleet.connect(node);
    try {
      return await connection.run(command, stdin, call);
    } catch (error) {
      if (!(error instanceof NeverSent)) throw error;
      call.sent = false;
      tries[error.why]++;
      if (call.given === "wait") fleet.retire(node, connection);
      if (call.given === "up" || tries.lost > 1 || tries.full > mostConnections)
        throw new Failure("unavailable", `the command was not sent to ${node}: ${error.message}`, {
          cause: error,
        });
    }
  }
}

/** A node may take as little as one session a connection (MaxSessions); one that takes none is found out here. */
const mostConnections = 32;

function giveUp(call: Call, failure: Failure): never {
  call.given = "up";
  call.close();
  throw failure;
}

function timeoutFailure(node: string, argv: readonly string[], timeoutMs: number, call: Call): Failure {
  const limit = `${timeoutMs / 1000} s`;
  if (!call.sent)
    return new Failure("unavailable", `${node} could not be asked within the limit of ${limit}`, {
      hint: reachHint(node),
    });
  const how =
    call.exited === undefined
      ? "did not end"
      : `ended with exit status ${call.exited}, but what it started kept its output open, and it did not close`;
  return new Failure("timeout", `${argv[0]} on ${node} ${how} within ${limit}`, { happened: "maybe" });
}

function abortFailure(node: string, argv: readonly string[], call: Call, reason: unknown): Failure {
  return new Failure("aborted", `${argv[0]} on ${node} was given up`, {
    happened: call.sent ? "maybe" : "no",
    cause: reason,
  });
}

/**
 * When sudo itself refuses, it exits 1, which `test` and many other commands use for a plain "no". Read as that, a
 * node without the sudo right would look like one on which nothing is there; so these known words are a refusal.
 */
function refuseIfSudoRefused(node: string, argv: readonly string[], output: Output): void {
  if (output.code !== 1 || output.stdout.length > 0) return;
  const said = text(output.stderr).trim();
  const refusal =
    /^(sudo: (a password is required|a terminal is required|sorry, you must have a tty)|Sorry, user )|is not in the sudoers file/m;
  if (!refusal.test(said)) return;
  throw new Failure("denied", `sudo on ${node} does not let us run ${argv[0]}: ${said}`, {
    hint: "grant it with NOPASSWD, as docs/reference/clusterpro.md says",
    answer: { code: 1, text: said },
  });
}

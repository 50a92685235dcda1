import { Failure } from "../errors.ts";

/**
 * Runs one argv on a node, nothing else: no pipes, globs or `&&` are added; a driver that needs a small
 * script passes it whole as `sh -c SCRIPT name args…`, so that every argument is still an argument.
 */
export interface RunOptions {
  readonly stdin?: string | Uint8Array;
  /** Longest time the command may take, milliseconds; over it: Failure `timeout`, happened "maybe". */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Output {
  /** Exit status. `undefined`: the channel closed without one (connection lost, node went down): the outcome is unknown. */
  readonly code: number | undefined;
  /** Name of the signal that ended the command, without SIG, where the server said so. */
  readonly signal: string | undefined;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}

export interface Shell {
  readonly name: string;
  /**
   * Resolves with whatever came back, whatever the exit status; a cut command resolves with code undefined and the
   * output so far. Rejects with a Failure only if the command did not run or nothing is known of it:
   *   unavailable, happened "no":    no connection (refused, no route, node off): never sent
   *   denied, happened "no":         host key or login refused
   *   timeout, happened "maybe":     `timeoutMs` over
   *   aborted, happened "maybe":     the signal fired
   *   not-found, happened "no":      a node that this shell does not know
   * The command sees `LC_ALL=C` only if the caller sets it by `env` in its argv.
   */
  run(node: string, argv: readonly string[], options: RunOptions): Promise<Output>;
  close(): Promise<void>;
}

/** Where a run keeps its marker on a node: persistent disk, root only. */
export const markerFolder = "/var/lib/runbook/lock";

/**
 * The argv that runs `argv` only if the node's marker carries `fence` ("RUN.FENCE"), checked in the same
 * command, so that a runner that lost its lock writes nothing. Exit 75 means fenced out, nothing ran.
 */
export function fenced(fence: string, argv: readonly string[]): readonly string[] {
  return ["sh", "-c", fenceScript, "runbook-fence", fence, ...argv];
}
export const fencedOutCode = 75;
const fenceScript =
  `[ "$(cat ${markerFolder}/fence 2>/dev/null)" = "$1" ] || ` +
  `{ echo "runbook: the marker on this node is not $1" >&2; exit ${fencedOutCode}; }; shift; exec "$@"`;

/** Writes a file as a whole (a reader sees the old one or the new one), mode 0600 unless told otherwise. */
export async function upload(
  shell: Shell,
  node: string,
  path: string,
  content: string | Uint8Array,
  mode = "600",
) {
  const script = 'umask 077; cat > "$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"';
  const out = await shell.run(node, ["sh", "-c", script, "runbook-upload", path, mode], {
    stdin: content,
    timeoutMs: 60_000,
  });
  if (out.code !== 0) throw commandFailure(node, `writing ${path}`, out);
}

const downloadScript = '[ -e "$1" ] || exit 44; exec cat "$1"';
export const downloadArgv = (path: string): readonly string[] => [
  "sh",
  "-c",
  downloadScript,
  "runbook-download",
  path,
];

/** A file's bytes, or undefined if it is not there. */
export async function download(shell: Shell, node: string, path: string): Promise<Uint8Array | undefined> {
  const out = await shell.run(node, downloadArgv(path), { timeoutMs: 60_000 });
  if (out.code === 44) return undefined;
  if (out.code !== 0) throw commandFailure(node, `reading ${path}`, out);
  return out.stdout;
}

/** The kernel's boot id: another one proves that the node was booted since. */
export async function bootId(shell: Shell, node: string): Promise<string> {
  const out = await shell.run(node, ["cat", "/proc/sys/kernel/random/boot_id"], { timeoutMs: 20_000 });
  const id = text(out.stdout).trim();
  if (out.code !== 0 || !/^[0-9a-f-]{36}$/.test(id)) throw commandFailure(node, "reading the boot id", out);
  return id;
}

export type Job =
  | { readonly state: "running" }
  | { readonly state: "ended"; readonly code: number; readonly output: string }
  /** It was started and is neither running nor ended: the node went down under it, or it was killed. */
  | { readonly state: "lost" };

const jobFolder = "/var/lib/runbook/jobs";

/** Starts a command that outlives the connection. Starting the same name twice is refused by the node itself. */
export async function startJob(
  shell: Shell,
  node: string,
  name: string,
  argv: readonly string[],
): Promise<void> {
  const script =
    `umask 077; d=${jobFolder}/$1; mkdir -p ${jobFolder} && mkdir "$d" || exit 46; shift; ` +
    `cat /proc/sys/kernel/random/boot_id > "$d/boot"; ` +
    `setsid sh -c 'd=$1; shift; "$@" > "$d/output" 2>&1; echo $? > "$d/code.new"; mv "$d/code.new" "$d/code"' ` +
    `runbook-job "$d" "$@" < /dev/null > /dev/null 2>&1 & echo $! > "$d/pid"`;
  const out = await shell.run(node, ["sh", "-c", script, "runbook-start-job", name, ...argv], {
    timeoutMs: 20_000,
  });
  if (out.code === 46) throw new Failure("conflict", `job ${name} was already started on ${node}`);
  if (out.code !== 0) throw commandFailure(node, `starting job ${name}`, out);
}

/** Asks for a job; undefined if it was never started. */
export async function findJob(shell: Shell, node: string, name: string): Promise<Job | undefined> {
  const script =
    `d=${jobFolder}/$1; [ -d "$d" ] || exit 44; ` +
    `if [ -e "$d/code" ]; then cat "$d/code" "$d/output"; exit 0; fi; ` +
    `[ "$(cat "$d/boot")" = "$(cat /proc/sys/kernel/random/boot_id)" ] && kill -0 "$(cat "$d/pid")" 2>/dev/null && exit 45; ` +
    // It may have ended between the first look for its code and the look for its process.
    `if [ -e "$d/code" ]; then cat "$d/code" "$d/output"; exit 0; fi; exit 47`;
  const out = await shell.run(node, ["sh", "-c", script, "runbook-find-job", name], { timeoutMs: 20_000 });
  if (out.code === 44) return undefined;
  if (out.code === 45) return { state: "running" };
  if (out.code === 47) return { state: "lost" };
  if (out.code !== 0) throw commandFailure(node, `asking for job ${name}`, out);
  const [code = "", ...rest] = text(out.stdout).split("\n");
  if (!/^\d{1,3}$/.test(code)) throw commandFailure(node, `asking for job ${name}`, out);
  return { state: "ended", code: Number(code), output: rest.join("\n") };
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** What a command's bad end means: without an exit status nothing is known. */
export function commandFailure(node: string, what: string, out: Output): Failure {
  const said = (text(out.stderr).trim() || text(out.stdout).trim()).slice(0, 2000);
  if (out.code === undefined && out.signal === undefined)
    return new Failure("unavailable", `${what} on ${node} was cut off; whether it happened is not known`, {
      happened: "maybe",
      answer: { text: said },
    });
  if (out.code === fencedOutCode)
    return new Failure("conflict", `${what} on ${node} was refused: another run holds the node`, {
      happened: "no",
      answer: { code: fencedOutCode, text: said },
    });
  const ended =
    out.code === undefined ? `was ended by signal ${out.signal}` : `ended with exit status ${out.code}`;
  return new Failure("conflict", `${what} on ${node} ${ended}: ${said || "it said nothing"}`, {
    happened: "said",
    answer: { ...(out.code === undefined ? {} : { code: out.code }), text: said },
  });
}

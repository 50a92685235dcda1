/** What the lab's shell runs that is none of its own: commands of the node, scripts on its disk, and other shells. */
import { NotModelled } from "./command-words.ts";
import { FileError } from "./files.ts";
import { Killed, type Context } from "./process.ts";
import type { Streams } from "./sh-builtins.ts";
import type { ShellRun } from "./sh.ts";

/** Runs a command that is none of the shell's own. */
export async function external(
  shell: ShellRun,
  argv: readonly string[],
  streams: Streams,
  env: { readonly [name: string]: string },
): Promise<number> {
  shell.process.check();
  const [name = ""] = argv;
  const host = shell.host;
  const plain = name.slice(name.lastIndexOf("/") + 1);
  const found = host.commands.get(plain);
  const known = found !== undefined && (!name.includes("/") || host.node.hasProgram(name));
  if (!known) {
    const path = shell.path(name);
    const entry = name.includes("/") ? shell.files.find(path) : undefined;
    if (entry?.kind === "file") {
      if ((entry.mode & 0o111) === 0) {
        streams.err(`${shell.state.name}: 1: ${name}: Permission denied\n`);
        return 126;
      }
      return shell.nested(streams, env, { name, positional: argv.slice(1) }).script(withoutHead(entry.bytes));
    }
    streams.err(`${shell.state.name}: 1: ${name}: not found\n`);
    host.gap(name);
    return 127;
  }
  if (plain === "sh" || plain === "bash" || plain === "dash")
    return runShell(shell, argv.slice(1), streams, env);
  const { node } = host;
  const context: Context = {
    node,
    argv: [plain, ...argv.slice(1)],
    stdin: streams.stdin,
    out: streams.out,
    err: streams.err,
    env,
    folder: shell.state.folder,
    umask: shell.state.umask,
    process: shell.process,
    sleep: (ms) => shell.process.sleep(node.heart.clock, ms),
    change: (act) => {
      shell.process.check();
      return node.heart.during(shell.process.cause, act);
    },
    run: (words, more) => external(shell, words, streams, { ...env, ...more }),
    aside: (words) => aside(shell, words, streams, env),
    path: (path) => shell.path(path),
  };
  try {
    return await found(context);
  } catch (error) {
    if (error instanceof NotModelled) {
      if (error.message !== "") streams.err(`${error.message}\n`);
      host.gap(plain);
      return 127;
    }
    if (!(error instanceof FileError)) throw error;
    streams.err(`${plain}: ${error.message}\n`);
    return 1;
  }
}

function aside(
  shell: ShellRun,
  argv: readonly string[],
  streams: Streams,
  env: { readonly [name: string]: string },
) {
  const { node } = shell.host;
  const child = node.spawn(argv[0] ?? "", shell.process.cause, shell.process.detached);
  const done = shell
    .clone(streams, child)
    .external(argv, streams, env)
    .catch((thrown: unknown) => {
      if (!(thrown instanceof Killed)) throw thrown;
      return 143;
    })
    .finally(() => node.reap(child));
  return { done, kill: () => child.kill("TERM") };
}

/** `sh` itself: with -c, -s or a file. */
async function runShell(
  shell: ShellRun,
  args: readonly string[],
  streams: Streams,
  env: { readonly [name: string]: string },
): Promise<number> {
  let letters = "";
  let index = 0;
  for (; index < args.length && /^-[a-z]+$/.test(args[index] as string); index += 1)
    letters += (args[index] as string).slice(1);
  if (args[index] === "--") index += 1;
  let source: string;
  let name = "sh";
  if (letters.includes("c")) {
    const [script = "", zero, ...rest] = args.slice(index);
    const inner = shell.nested(streams, env, { name: zero ?? "sh", positional: rest });
    inner.options(letters);
    return inner.script(script);
  }
  const file = letters.includes("s") ? undefined : args[index];
  if (file === undefined) source = await shell.process.orDeath(streams.stdin.all());
  else {
    name = file;
    const path = shell.path(file);
    if (shell.files.find(path)?.kind !== "file") {
      streams.err(`sh: 0: cannot open ${file}: No such file\n`);
      return 2;
    }
    source = shell.files.read(path);
  }
  const inner = shell.nested(streams, env, {
    name,
    positional: args.slice(file === undefined ? index : index + 1),
  });
  inner.options(letters);
  return inner.script(withoutHead(source));
}

const withoutHead = (source: string): string => source.replace(/^#![^\n]*/, "");

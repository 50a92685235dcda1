/** Redirections of the lab's shell: `>file`, `2>&1`, `<file` and the like. */
import { FileError } from "./files.ts";
import { Input, type Sink } from "./process.ts";
import type { Streams } from "./sh-builtins.ts";
import { expandText } from "./sh-expand.ts";
import type { Redirection } from "./sh-tree.ts";
import type { ShellRun } from "./sh.ts";

/** The streams with these redirections; undefined if a file could not be opened, which was told. */
export async function redirect(
  shell: ShellRun,
  redirections: readonly Redirection[],
  before: Streams,
): Promise<Streams | undefined> {
  let streams = before;
  for (const { fd, operator, target } of redirections) {
    const name = await expandText(shell, target);
    if (operator === ">&" || operator === "<&") {
      if (name === "-")
        streams =
          fd === 0
            ? { ...streams, stdin: new Input("") }
            : fd === 1
              ? { ...streams, out: () => undefined }
              : fd === 2
                ? { ...streams, err: () => undefined }
                : { ...streams, third: undefined };
      else {
        const from = { 1: streams.out, 2: streams.err, 3: streams.third }[name];
        if (!from || fd === 0 || fd > 3) shell.fail(`${name}: bad fd number`);
        streams =
          fd === 1
            ? { ...streams, out: from }
            : fd === 2
              ? { ...streams, err: from }
              : { ...streams, third: from };
      }
      continue;
    }
    const path = shell.path(name);
    try {
      if (operator === "<") {
        streams = { ...streams, stdin: new Input(shell.files.read(path)) };
        continue;
      }
      const sink = openForWriting(shell, path, operator === ">>");
      if (fd === 1) streams = { ...streams, out: sink };
      else if (fd === 2) streams = { ...streams, err: sink };
      else shell.fail(`${fd}: bad fd number`);
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      const doing = operator === "<" ? "open" : "create";
      const why =
        error.code === "ENOENT" && doing === "open"
          ? "No such file"
          : error.code === "ENOENT"
            ? "Directory nonexistent"
            : error.message;
      before.err(`${shell.state.name}: 1: cannot ${doing} ${name}: ${why}\n`);
      return undefined;
    }
  }
  return streams;
}

function openForWriting(shell: ShellRun, path: string, append: boolean): Sink {
  const { node } = shell.host;
  const book = <T>(act: () => T) => node.heart.during(shell.process.cause, act);
  const mode = 0o666 & ~shell.state.umask;
  book(() => node.files.write(path, "", { append, mode }));
  return (text) => {
    shell.process.check();
    book(() => node.files.write(path, text, { append: true, mode, quiet: true }));
  };
}

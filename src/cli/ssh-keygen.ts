/** OpenSSH's own ssh-keygen, by which signatures are made and verified: a program and its arguments, never a shell. */
import { spawnSync } from "node:child_process";

import { Failure } from "../errors.ts";

export interface Keygen {
  readonly status: number | null;
  readonly stdout: string;
  /** Its first line that says anything. */
  readonly said: string;
}

export function keygen(
  argv: readonly string[],
  given: { readonly cwd?: string; readonly input?: Buffer | string },
): Keygen {
  const { status, stdout, stderr, error } = spawnSync("ssh-keygen", argv, {
    ...given,
    stdio: [given.input === undefined ? "inherit" : "pipe", "pipe", "pipe"],
    encoding: "utf8",
  });
  if ((error as NodeJS.ErrnoException | undefined)?.code === "ENOENT")
    throw new Failure("precondition", "signatures need ssh-keygen, which is not in $PATH", {
      cause: error,
      hint: "install OpenSSH's client, 8.2 or later",
    });
  if (error !== undefined && status === null)
    throw new Failure("unavailable", `ssh-keygen could not be run: ${error.message}`, { cause: error });
  const lines = `${stderr}\n${stdout}`.split("\n").map((line) => line.trim());
  return { status, stdout, said: lines.find((line) => line !== "") ?? `it ended with ${String(status)}` };
}

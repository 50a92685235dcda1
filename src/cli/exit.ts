/** Exit codes: stable, the same for every command, and listed in its help. */
import { asFailure, Failure } from "../errors.ts";

export const exitCodes = {
  done: 0,
  givenBack: 1,
  usage: 2,
  stuck: 3,
  refused: 4,
  locked: 5,
  waiting: 6,
} as const;

export const exitHelp =
  "Exit codes: 0 done · 1 failed and given back · 2 wrong usage · 3 stuck, a person is needed · " +
  "4 refused, nothing was touched · 5 locked by another run · 6 waiting for a person";

/** What a failure before or outside a run means for the caller. */
export function codeFor(failure: Failure): number {
  if (failure.kind === "invalid" || failure.kind === "not-found") return exitCodes.usage;
  if (failure.kind === "conflict") return exitCodes.locked;
  return exitCodes.refused;
}

/** One clear message, and never a stack trace: what it is about, what was found and wanted, and what to do. */
export function complain(thrown: unknown, write: (text: string) => void): number {
  const failure = asFailure(thrown);
  write(`runbook: ${sentence(failure.message)}\n`);
  if (failure.hint !== undefined) write(`  ${sentence(failure.hint)}\n`);
  if (failure.kind === "bug")
    write("  this is a mistake of runbook's own: please report it with the command you gave\n");
  return codeFor(failure);
}

/** Why a file cannot be read or written, in words. */
export function fileTrouble(thrown: unknown): string {
  const { code = "error" } = thrown as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file or folder";
  if (code === "EISDIR") return "it is a folder";
  if (code === "EACCES" || code === "EPERM") return "its permissions forbid it";
  return code;
}

/** A tab is part of a command that is pasted; in a sentence it would only move what follows. */
function sentence(text: string): string {
  return harmless(text).replaceAll("\t", " ");
}

/** Text from elsewhere cannot move the cursor, change colours or turn the direction of writing. */
// eslint-disable-next-line no-control-regex -- control characters are what is taken out
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
export function harmless(text: string): string {
  return text.replace(controls, (sign) => {
    const code = sign.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

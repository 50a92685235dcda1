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
  if (failure.kind === "invalid") return exitCodes.usage;
  if (failure.kind === "conflict") return exitCodes.locked;
  return exitCodes.refused;
}

/** One clear message, and never a stack trace: what it is about, what was found and wanted, and what to do. */
export function complain(thrown: unknown, write: (text: string) => void): number {
  const failure = asFailure(thrown);
  write(`runbook: ${harmless(failure.message)}\n`);
  if (failure.hint !== undefined) write(`  ${harmless(failure.hint)}\n`);
  if (failure.kind === "bug")
    write("  this is a mistake of runbook's own: please report it with the command you gave\n");
  return codeFor(failure);
}

/** Text from elsewhere cannot move the cursor or change colours. */
// eslint-disable-next-line no-control-regex -- control characters are what is taken out
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
export function harmless(text: string): string {
  return text.replace(controls, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

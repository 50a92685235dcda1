/**
 * How many cases a property is tried with. `npm test` plays some two thousand, the same each time; `npm run fuzz` plays a
 * hundred thousand new ones, and prints the seed with which they are played again.
 */
import fc from "fast-check";

const wanted = process.env["FUZZ"];
const total = Number(wanted ?? 2000);
const seed = Number(process.env["FUZZ_SEED"] ?? 20_260_301);

/** A test that hangs ends; how long a case takes is not judged. */
export const patience = { timeout: 60_000 + total * 20 };

/** `share` of all cases; `inOne` of them are tried together, where a try starts a process. */
export function cases(share: number, inOne = 1): fc.Parameters<unknown> {
  return { numRuns: Math.max(1, Math.ceil((total * share) / inOne)), seed };
}

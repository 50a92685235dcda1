/**
 * The time of a lab's world that turns faster or slower than ours. Every process that speaks to the same world is
 * given the same two origins, so they agree on the world's time without asking one another.
 */
import { Failure } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { sleepReal } from "./system.ts";

export interface Pace {
  /** Seconds of the world in one real second. */
  readonly pace: number;
  /** The same instant by the real clock and by the world's, milliseconds since the epoch. */
  readonly originReal: number;
  readonly originWorld: number;
}

export function pacedClock({ pace, originReal, originWorld }: Pace): Clock {
  if (!Number.isFinite(pace) || pace <= 0)
    throw new Failure("invalid", `expected a pace above 0, found ${pace}`, {
      hint: "give a number such as 1 (as fast as real time) or 60 (a minute in a second)",
    });
  return {
    now: () => Math.floor(originWorld + (Date.now() - originReal) * pace),
    sleep: (ms, signal) => sleepReal(ms / pace, signal),
  };
}

/**
 * Real time. This folder is the only place for `Date.now` and `setTimeout`; everything else is given a `Clock`,
 * so that the lab runs a twelve-hour wait in a millisecond.
 */
import type { Clock } from "../../ports/clock.ts";

export function systemClock(): Clock {
  return { now: () => Date.now(), sleep: sleepReal };
}

// A longer delay overflows the 32 bits of a Node timer, which then fires at once.
const longestTimerMs = 2 ** 31 - 1;

/**
 * Sleeps by the monotonic clock, so that a corrected wall clock neither shortens nor stretches a wait. A timer
 * may fire a fraction of a millisecond early; the rest is slept too, because callers compare with `now()` afterwards.
 */
export function sleepReal(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const due = performance.now() + Math.max(0, ms);
    let timer: NodeJS.Timeout;
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const arm = (): void => {
      timer = setTimeout(wake, Math.min(longestTimerMs, Math.ceil(Math.max(0, due - performance.now()))));
    };
    const wake = (): void => {
      if (performance.now() < due) {
        arm();
        return;
      }
      signal?.removeEventListener("abort", aborted);
      resolve();
    };
    signal?.addEventListener("abort", aborted, { once: true });
    arm();
  });
}

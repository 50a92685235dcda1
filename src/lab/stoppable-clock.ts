/** A clock whose sleepers never wake once it was stopped, so that nothing of a closed lab goes on behind its back. */
import type { Clock } from "../ports/clock.ts";
import type { LabClock } from "./clock.ts";

export interface StoppableClock extends LabClock {
  stop(): void;
}

export function stoppableClock(clock: Clock): StoppableClock {
  const sleepers = new Set<AbortController>();
  let stopped = false;
  const sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    const over = new AbortController();
    const giveUp = () => over.abort(signal?.reason);
    if (signal?.aborted === true) giveUp();
    // Joined by hand: in a lab that lives for days, signals made by AbortSignal.any would pile up on a node's own.
    else signal?.addEventListener("abort", giveUp, { once: true });
    sleepers.add(over);
    try {
      if (stopped && signal?.aborted !== true) await never();
      await clock.sleep(ms, over.signal);
    } catch (error) {
      if (stopped && signal?.aborted !== true) await never();
      throw error;
    } finally {
      sleepers.delete(over);
      signal?.removeEventListener("abort", giveUp);
    }
  };
  return {
    now: () => clock.now(),
    sleep,
    after: (ms, act) => {
      const cancelled = new AbortController();
      void sleep(ms, cancelled.signal).then(act, (reason: unknown) => {
        if (!cancelled.signal.aborted) throw reason;
      });
      return () => cancelled.abort(noLonger);
    },
    stop: () => {
      stopped = true;
      for (const sleeper of sleepers) sleeper.abort(new Error("the lab was closed"));
    },
  };
}

/** Why a wait was given up. One for all: an abort without a reason makes an error with a stack each time, which costs more than the wait. */
export const noLonger = new Error("no longer waited for");

function never(): Promise<never> {
  return new Promise(() => undefined);
}

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pacedClock } from "../../src/drivers/clock/paced.ts";
import { systemClock } from "../../src/drivers/clock/system.ts";

const begin = 1_700_000_000_000;
beforeEach(() => {
  vi.useFakeTimers({ now: begin });
});
afterEach(() => {
  vi.useRealTimers();
});

const clocks = [
  { name: "the system's clock", pace: 1, open: systemClock },
  {
    name: "a fast clock",
    pace: 60,
    open: () => pacedClock({ pace: 60, originReal: begin, originWorld: begin }),
  },
  {
    name: "a slow clock",
    pace: 0.5,
    open: () => pacedClock({ pace: 0.5, originReal: begin, originWorld: begin }),
  },
];

describe.each(clocks)("$name", ({ pace, open }) => {
  test("after a sleep its time has moved by at least as much", async () => {
    const clock = open();
    expect(clock.now()).toBe(begin);
    const slept = clock.sleep(90_001);
    await vi.advanceTimersByTimeAsync(Math.ceil(90_001 / pace) + 1);
    await slept;
    expect(clock.now()).toBeGreaterThanOrEqual(begin + 90_001);
    expect(clock.now()).toBeLessThanOrEqual(begin + 90_001 + 2 * Math.max(1, pace));
  });

  test("a sleep of 60 days neither ends at once nor too late", async () => {
    const days = 60 * 24 * 3_600_000;
    const done = vi.fn();
    void open().sleep(days).then(done);
    await vi.advanceTimersByTimeAsync(days / pace - 1000);
    expect(done).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1001);
    expect(done).toHaveBeenCalledOnce();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("an abort ends a sleep with its reason, and leaves no timer and no listener", async () => {
    const stop = new AbortController();
    const removed = vi.spyOn(stop.signal, "removeEventListener");
    const slept = open().sleep(1000, stop.signal);
    stop.abort(new Error("enough"));
    await expect(slept).rejects.toThrow("enough");
    expect(vi.getTimerCount()).toBe(0);
    await expect(open().sleep(1000, stop.signal)).rejects.toThrow("enough");
    expect(vi.getTimerCount()).toBe(0);
    expect(removed).not.toHaveBeenCalled();
  });

  test("a sleep that ended listens no more", async () => {
    const stop = new AbortController();
    const removed = vi.spyOn(stop.signal, "removeEventListener");
    const slept = open().sleep(10, stop.signal);
    await vi.advanceTimersByTimeAsync(100);
    await slept;
    expect(removed).toHaveBeenCalledOnce();
    stop.abort();
  });

  test("no time, and time in the past, is over at once", async () => {
    for (const ms of [0, -5]) {
      const slept = open().sleep(ms);
      await vi.advanceTimersByTimeAsync(1);
      await slept;
    }
  });
});

test("a world begins at its own time and turns at its own pace", async () => {
  const clock = pacedClock({ pace: 3600, originReal: begin - 1000, originWorld: 0 });
  expect(clock.now()).toBe(3_600_000);
  await vi.advanceTimersByTimeAsync(10);
  expect(clock.now()).toBe(3_636_000);
});

test.each([0, -1, Number.NaN, Infinity])("a pace of %s is refused", (pace) => {
  expect(() => pacedClock({ pace, originReal: 0, originWorld: 0 })).toThrow(
    expect.objectContaining({ kind: "invalid" }) as Error,
  );
});

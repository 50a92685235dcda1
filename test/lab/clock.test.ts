import { expect, test } from "vitest";
import { VirtualClock } from "../../src/lab/clock.ts";

test("time moves straight to the next sleeper, and equal times keep the order of registration", async () => {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const sleep = async (name: string, ms: number) => {
    await clock.sleep(ms);
    seen.push(`${name} ${new Date(clock.now()).toISOString().slice(11, 19)}`);
  };
  await Promise.all([sleep("late", 43_200_000), sleep("a", 1000), sleep("b", 1000)]);
  expect(seen).toEqual(["a 00:00:01", "b 00:00:01", "late 12:00:00"]);
});

test("time stands still while somebody holds it", async () => {
  const clock = new VirtualClock();
  const release = clock.hold("a file being synced");
  let woke = false;
  const sleeping = clock.sleep(10).then(() => (woke = true));
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(woke).toBe(false);
  release();
  await sleeping;
  expect(woke).toBe(true);
});

test("a sleep ends with the reason of its signal", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const sleeping = clock.sleep(60_000, stop.signal);
  stop.abort(new Error("enough"));
  await expect(sleeping).rejects.toThrow("enough");
  await expect(clock.sleep(1, stop.signal)).rejects.toThrow("enough");
});

test("a clock that is not driven moves only when told", async () => {
  const clock = new VirtualClock({ drive: false });
  const seen: number[] = [];
  void clock.sleep(5).then(() => seen.push(5));
  void clock.sleep(50).then(() => seen.push(50));
  await clock.settle();
  expect(seen).toEqual([]);
  await clock.advance(10);
  expect(seen).toEqual([5]);
});

test("what waits for ever fails at the clock's limit instead of spinning", async () => {
  const clock = new VirtualClock({ limitMs: 60_000 });
  const forever = async () => {
    for (;;) await clock.sleep(1000);
  };
  await expect(forever()).rejects.toThrow("something waits for what never comes");
});

/**
 * The contract of the Store port, for whatever stands behind it. A bench gives runners on the same data: each looks
 * like a process of its own, and can be made to die without closing anything.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { FailureKind } from "../../src/errors.ts";
import type { Holder, Store } from "../../src/ports/store.ts";

export interface StoreBench {
  /** The store as seen by runner N. */
  runner(n: number): Store;
  /** Runner N dies as by kill -9: whatever it holds stays as it is, and it is provably gone. */
  kill(n: number): void;
  close(): Promise<void>;
}

export function failing(kind: FailureKind, text = ""): Error {
  return expect.objectContaining({ kind, message: expect.stringContaining(text) as string }) as Error;
}

const minute = 60_000;

export function storeSuite(name: string, open: () => Promise<StoreBench>): void {
  describe(`${name} keeps the contract of a store`, () => {
    let bench: StoreBench;
    let store: Store;
    beforeEach(async () => {
      bench = await open();
      store = bench.runner(1);
    });
    afterEach(() => bench.close());

    const start = { kind: "start", body: { plan: { steps: ["a", "b"] } } };
    const holder = (run: string, expiresAt: number, owner = "operator@machine pid 1"): Holder => ({
      run,
      owner,
      since: 0,
      expiresAt,
    });

    describe("recovery points as they were seen", () => {
      test("none were seen at first; the last that were kept stand, for every runner, each cluster its own", async () => {
        expect(await store.findPoints("prod")).toBeUndefined();
        const points = [{ point: "8f3a", why: ["ß 日本"], lockedUntil: null }];
        await store.keepPoints("prod", { seenAt: 1000, seen: [] });
        await store.keepPoints("prod", { seenAt: 2000, seen: points });
        await store.keepPoints("../staging & <co>", { seenAt: 3000, seen: [] });
        expect(await bench.runner(2).findPoints("prod")).toEqual({ seenAt: 2000, seen: points });
        expect(await store.findPoints("../staging & <co>")).toEqual({ seenAt: 3000, seen: [] });
      });

      test("many that are kept at once leave one that is whole", async () => {
        const many = Array.from({ length: 20 }, (_, i) => ({ seenAt: i, seen: [`p${i}`] }));
        await Promise.all(many.map((view, i) => bench.runner((i % 2) + 1).keepPoints("prod", view)));
        expect(many).toContainEqual(await store.findPoints("prod"));
      });
    });

    describe("the journal", () => {
      test("a new run has its first row, and rows are read as they were appended", async () => {
        const writer = await store.create(start, 1000, "run1");
        expect(writer.rows()).toMatchObject([{ n: 1, at: 1000, ...start }]);
        const row = await writer.append(
          "intent",
          { step: "ß\n日本\u2028\u0000", list: [1, null, true, { deep: -0.5 }] },
          1001,
        );
        expect(row).toMatchObject({ n: 2, at: 1001, kind: "intent" });
        const { rows, torn } = await bench.runner(2).read("run1");
        expect(torn).toBeUndefined();
        expect(rows).toEqual(writer.rows());
        expect(rows[0]?.body).toEqual(start.body);
        expect(rows[1]?.body["step"]).toBe("ß\n日本\u2028\u0000");
        await writer.close();
      });

      test("a row is as it was when it was handed over, whatever the caller does to it later", async () => {
        const writer = await store.create(start, 1, "run1");
        const body = { list: ["before"] };
        const appended = writer.append("intent", body, 2);
        body.list.push("after");
        expect((await appended).body).toEqual({ list: ["before"] });
        expect((await store.read("run1")).rows[1]?.body).toEqual({ list: ["before"] });
        await writer.close();
      });

      test("rows appended together keep their order", async () => {
        const writer = await store.create(start, 1, "run1");
        const appended = await Promise.all(
          Array.from({ length: 300 }, (_, i) => writer.append("read", { i }, 2)),
        );
        expect(appended.map(({ n }) => n)).toEqual(Array.from({ length: 300 }, (_, i) => i + 2));
        const { rows } = await store.read("run1");
        expect(rows.slice(1).map(({ body }) => body["i"])).toEqual(Array.from({ length: 300 }, (_, i) => i));
        await writer.close();
      });

      test("closing waits for the rows that are under way", async () => {
        const writer = await store.create(start, 1, "run1");
        const row = writer.append("end", {}, 2);
        await writer.close();
        expect((await row).n).toBe(2);
        await writer.close();
        await expect(writer.append("late", {}, 3)).rejects.toThrow(failing("bug"));
      });

      test("an id is used once, and one that could leave the store is refused", async () => {
        await (await store.create(start, 1, "run1")).close();
        await expect(store.create(start, 1, "run1")).rejects.toThrow(failing("conflict"));
        for (const id of ["", "..", "../run1", "a/b", "-x", ".draft-1", "a".repeat(65)])
          await expect(store.create(start, 1, id)).rejects.toThrow(failing("invalid"));
        await expect(store.read("nothere")).rejects.toThrow(failing("not-found"));
        await expect(store.takeOver("nothere", 1)).rejects.toThrow(failing("not-found"));
      });

      test("fresh ids have 8 plain characters, a letter first, and differ", () => {
        const ids = Array.from({ length: 200 }, () => store.newRunId());
        for (const id of ids) expect(id).toMatch(/^[a-hjkmnp-tv-z][0-9a-hjkmnp-tv-z]{7}$/);
        expect(new Set(ids).size).toBe(200);
      });

      test("the list has every run, oldest first", async () => {
        expect(await store.list()).toEqual([]);
        const later = await store.create(start, 2000, "later");
        await later.append("intent", {}, 2001);
        const sooner = await store.create(start, 1000, "sooner");
        expect(await bench.runner(2).list()).toEqual([
          { run: "sooner", startedAt: 1000, rows: 1 },
          { run: "later", startedAt: 2000, rows: 2 },
        ]);
        await later.close();
        await sooner.close();
      });
    });

    describe("taking over", () => {
      test("a run that was closed is taken over at once, with the next fence", async () => {
        const first = await store.create(start, 1, "run1");
        expect(first.fence).toBe(1);
        expect((await store.read("run1")).held).toMatchObject({ run: "run1", since: 1 });
        await first.close();
        expect((await store.read("run1")).held).toBeUndefined();
        const second = await bench.runner(2).takeOver("run1", 2);
        expect(second.fence).toBeGreaterThan(first.fence);
        expect(second.rows().map(({ n, kind }) => [n, kind])).toEqual([
          [1, "start"],
          [2, "taken-over"],
        ]);
        await second.append("intent", {}, 3);
        expect((await store.read("run1")).rows).toEqual(second.rows());
        await second.close();
      });

      test("a living holder is not taken over before its expiry, and is named", async () => {
        const writer = await store.create(start, 0, "run1");
        await store.takeLease("prod", holder("run1", 10 * minute), 0);
        const held = (await bench.runner(2).read("run1")).held;
        expect(held).toMatchObject({ expiresAt: 10 * minute });
        await expect(bench.runner(2).takeOver("run1", 10 * minute - 1)).rejects.toThrow(
          failing("conflict", held?.owner ?? "an owner"),
        );
        await store.renewLease("prod", holder("run1", 20 * minute));
        await expect(bench.runner(2).takeOver("run1", 10 * minute)).rejects.toThrow(failing("conflict"));
        const taker = await bench.runner(2).takeOver("run1", 20 * minute);
        expect(() => writer.assertHeld()).toThrow(failing("conflict"));
        await taker.close();
        await writer.close();
      });

      test("a dead holder is taken over at once, and loses no acknowledged row", async () => {
        const writer = await store.create(start, 0, "run1");
        await store.takeLease("prod", holder("run1", 10 * minute), 0);
        await writer.append("intent", { step: "a" }, 1);
        bench.kill(1);
        expect((await bench.runner(2).read("run1")).held).toBeUndefined();
        const taker = await bench.runner(2).takeOver("run1", 2);
        expect(taker.rows().map(({ kind }) => kind)).toEqual(["start", "intent", "taken-over"]);
        await taker.close();
        await writer.close();
      });

      test("whoever was taken over writes nothing more, and is told", async () => {
        const writer = await store.create(start, 0, "run1");
        writer.assertHeld();
        bench.kill(1);
        const taker = await bench.runner(2).takeOver("run1", 1);
        await expect(writer.append("late", {}, 2)).rejects.toThrow(failing("conflict"));
        await expect(writer.append("later", {}, 2)).rejects.toThrow(failing("conflict"));
        expect(() => writer.assertHeld()).toThrow(failing("conflict"));
        taker.assertHeld();
        await taker.append("intent", {}, 3);
        expect((await store.read("run1")).rows.map(({ kind }) => kind)).toEqual([
          "start",
          "taken-over",
          "intent",
        ]);
        await writer.close();
        taker.assertHeld();
        expect((await bench.runner(3).read("run1")).held).toBeDefined();
        await taker.close();
      });

      test("of several takers at the same moment exactly one gets the run", async () => {
        await (await store.create(start, 0, "run1")).close();
        const takers = await Promise.allSettled(
          [2, 3, 4, 5, 6].map((n) => bench.runner(n).takeOver("run1", 1)),
        );
        const won = takers.flatMap((taker) => (taker.status === "fulfilled" ? [taker.value] : []));
        expect(won).toHaveLength(1);
        for (const taker of takers)
          if (taker.status === "rejected") expect(taker.reason).toMatchObject({ kind: "conflict" });
        await won[0]?.append("intent", {}, 2);
        await won[0]?.close();
        expect((await store.read("run1")).rows.map(({ kind }) => kind)).toEqual([
          "start",
          "taken-over",
          "intent",
        ]);
      });
    });

    describe("the lease on a cluster", () => {
      test("one holder at a time, who is named to the others", async () => {
        await store.takeLease("prod", holder("run1", minute), 0);
        expect(await bench.runner(2).findLease("prod")).toEqual(holder("run1", minute));
        await expect(bench.runner(2).takeLease("prod", holder("run2", minute), 1)).rejects.toThrow(
          failing("conflict", "operator@machine pid 1"),
        );
        await bench.runner(2).takeLease("staging", holder("run2", minute), 1);
        await store.takeLease("prod", holder("run1", 2 * minute), 1);
        expect(await store.findLease("prod")).toMatchObject({ expiresAt: 2 * minute });
      });

      test("released it is free; releasing what another run holds changes nothing", async () => {
        await store.releaseLease("prod", "run1");
        expect(await store.findLease("prod")).toBeUndefined();
        await store.takeLease("prod", holder("run1", minute), 0);
        await bench.runner(2).releaseLease("prod", "run2");
        expect(await store.findLease("prod")).toMatchObject({ run: "run1" });
        await store.releaseLease("prod", "run1");
        expect(await store.findLease("prod")).toBeUndefined();
        await bench.runner(2).takeLease("prod", holder("run2", minute), 1);
        await expect(store.renewLease("prod", holder("run1", 2 * minute))).rejects.toThrow(
          failing("conflict"),
        );
      });

      test("expired, or of a dead holder, it is replaced, and the earlier holder cannot renew", async () => {
        await store.takeLease("prod", holder("run1", minute), 0);
        await bench.runner(2).takeLease("prod", holder("run2", 10 * minute), minute);
        await expect(store.renewLease("prod", holder("run1", 20 * minute))).rejects.toThrow(
          failing("conflict", "run2"),
        );
        bench.kill(2);
        await bench.runner(3).takeLease("prod", holder("run3", 10 * minute), minute + 1);
        expect(await store.findLease("prod")).toMatchObject({ run: "run3" });
      });

      test("of several takers of an expired lease exactly one wins, time and again", async () => {
        let now = 0;
        await store.takeLease("prod", holder("run1", minute), now);
        for (let round = 0; round < 5; round += 1) {
          now += minute;
          const takers = await Promise.allSettled(
            [2, 3, 4, 5, 6].map((n) =>
              bench.runner(n).takeLease("prod", holder(`round${round}run${n}`, now + minute), now),
            ),
          );
          expect(takers.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
          const index = takers.findIndex(({ status }) => status === "fulfilled");
          expect(await store.findLease("prod")).toMatchObject({ run: `round${round}run${index + 2}` });
        }
      });

      test("renewed many times it stays one lease", async () => {
        await store.takeLease("prod", holder("run1", 1), 0);
        for (let at = 2; at < 30; at += 1) await store.renewLease("prod", holder("run1", at));
        expect(await store.findLease("prod")).toEqual(holder("run1", 29));
      });

      test("any cluster's name is safe", async () => {
        for (const cluster of ["..", ".", "a/b", "../../etc", "本番", "a b"]) {
          await store.takeLease(cluster, holder("run1", minute), 0);
          expect(await store.findLease(cluster)).toMatchObject({ run: "run1" });
          await store.releaseLease(cluster, "run1");
        }
        await expect(store.findLease("")).rejects.toThrow(failing("invalid"));
      });
    });

    describe("messages to the holder", () => {
      test("they arrive once, in the order in which they were sent", async () => {
        const writer = await store.create(start, 0, "run1");
        expect(await store.receive("run1")).toEqual([]);
        for (let i = 0; i < 12; i += 1) await bench.runner(2 + (i % 2)).send("run1", { verb: "approve", i });
        expect(await store.receive("run1")).toEqual(
          Array.from({ length: 12 }, (_, i) => ({ verb: "approve", i })),
        );
        expect(await store.receive("run1")).toEqual([]);
        await bench.runner(2).send("run1", { verb: "hold" });
        expect(await store.receive("run1")).toEqual([{ verb: "hold" }]);
        await expect(store.send("nothere", {})).rejects.toThrow(failing("not-found"));
        await writer.close();
      });

      test("many senders at once lose nothing", async () => {
        const writer = await store.create(start, 0, "run1");
        await Promise.all(
          Array.from({ length: 20 }, (_, i) => bench.runner(2 + (i % 4)).send("run1", { i })),
        );
        const got = (await store.receive("run1")).map(({ i }) => i as number);
        expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
        await writer.close();
      });
    });

    describe("holds", () => {
      const said = (by: string, at: number, what = "cluster ../prod & co") => ({
        what,
        by,
        why: `${by}'s reason`,
        at,
      });

      test("one is seen by every runner until it is ended, and may be placed again", async () => {
        expect(await store.findHolds()).toEqual([]);
        await store.placeHold(said("ann", 1));
        await bench.runner(2).placeHold(said("ben", 2, "cloud aws eu-central-1"));
        const seen = await bench.runner(3).findHolds();
        expect(seen).toHaveLength(2);
        expect(seen).toContainEqual(said("ann", 1));
        await bench.runner(2).endHold(said("ben", 3));
        expect(await store.findHolds()).toEqual([said("ben", 2, "cloud aws eu-central-1")]);
        await expect(store.endHold(said("ann", 4))).rejects.toThrow(failing("not-found"));
        await store.placeHold(said("cid", 5));
        expect(await store.findHolds()).toContainEqual(said("cid", 5));
      });

      test("of many who place one at once, one does, and the others are told who", async () => {
        const tries = await Promise.allSettled(
          Array.from({ length: 12 }, (_, i) => bench.runner(1 + (i % 4)).placeHold(said(`p${i}`, i))),
        );
        const [winner] = await store.findHolds();
        expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
        for (const one of tries)
          if (one.status === "rejected")
            expect(one.reason).toMatchObject({
              kind: "conflict",
              message: expect.stringContaining(winner?.why ?? "?") as string,
            });
      });
    });

    test("a listener hears of a message that comes, and of none once it has ended listening", async () => {
      const writer = await store.create(start, 0, "run1");
      let heard: () => void = () => undefined;
      const once = new Promise<void>((resolve) => (heard = resolve));
      const end = store.listen("run1", () => heard());
      await bench.runner(2).send("run1", { verb: "pause" });
      await once;
      expect(await store.receive("run1")).toEqual([{ verb: "pause" }]);
      end();
      expect(() => store.listen("../run1", () => undefined)).toThrow(failing("invalid"));
      await writer.close();
    });

    test("room on the disk is told before anything was written", async () => {
      expect(await store.freeBytes()).toBeGreaterThan(0);
    });
  });
}

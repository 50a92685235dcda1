/**
 * A store whose disk refuses, at each of its calls in turn. Whatever the disk says: what was acknowledged is read again,
 * nobody is shown half of anything, each refusal is a sentence with what to do, and the next try on a disk that is well
 * again goes through.
 */
import fs from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Failure } from "../../src/errors.ts";
import type { JournalWriter, Row, Store } from "../../src/ports/store.ts";
import type { Disk } from "../../src/store/journal.ts";
import { folderBench, memory, type FolderBench } from "./bench.ts";
import { refusingDisk, type Refusal, type RefusingDisk } from "./refusing-disk.ts";

const start = { kind: "start", body: { plan: "p" } };
const lease = { run: "run1", owner: "operator", since: 0, expiresAt: 60_000 };

/** The real disk, through Node's calls as they are at the moment. */
const disk: Disk = {
  write: (fd, bytes) => fs.writeSync(fd, bytes),
  sync: (fd, done) => fs.fdatasync(fd, done),
};

let bench: FolderBench;
let refusing: RefusingDisk;
beforeAll(() => {
  refusing = refusingDisk();
});
afterAll(() => refusing.close());
beforeEach(openFolder);
afterEach(() => bench.close());

function openFolder(): void {
  bench = folderBench(memory);
  Object.assign(refusing, { folder: bench.folder, calls: [], refuse: () => undefined });
}

// `npm test` plays some of the calls with each refusal, FAULT_STEP=1 all of them.
const step = Number(process.env["FAULT_STEP"] ?? 7);
let begin = 0;

/** What became of it; all of it was said to be done. */
interface Life {
  run: string;
  readonly acknowledged: Row[];
  readonly sent: unknown[];
  readonly arrived: unknown[];
  readonly failures: unknown[];
}

/** Two runners and one run, one after the other. What is refused is tried once more, as a person or the way back does. */
async function live(life: Life): Promise<void> {
  const twice = async <T>(ask: () => Promise<T>, between: () => void = () => undefined): Promise<T> => {
    try {
      return await ask();
    } catch (thrown) {
      life.failures.push(thrown);
      between();
      return ask();
    }
  };
  const append = (writer: JournalWriter, step: string): Promise<unknown> =>
    twice(
      async () => life.acknowledged.push(await writer.append("intent", { step }, 2)),
      () => writer.releaseReserve(),
    );
  const message = async (store: Store, i: number): Promise<void> => {
    await twice(() => store.send(life.run, { i }));
    life.sent.push({ i });
    life.arrived.push(...(await twice(() => store.receive(life.run))));
  };

  const one = bench.open({ n: 1, disk });
  await twice(() => one.takeLease("prod", lease, 0));
  let tries = 0;
  const first = await twice(() => one.create(start, 1, `run${(tries += 1)}`));
  life.run = first.run;
  life.acknowledged.push(...first.rows());
  await append(first, "a");
  await Promise.all([append(first, "b"), append(first, "c")]);
  await message(one, 1);
  await twice(() => one.renewLease("prod", lease));
  for (const seenAt of [1, 2]) await twice(() => one.keepPoints("prod", { seenAt, seen: [] }));
  bench.kill(1);

  let n = 1;
  const second = await twice(
    () => bench.open({ n: (n += 1), disk }).takeOver(life.run, 3),
    () => bench.kill(n),
  );
  life.acknowledged.push(...second.rows().slice(-1));
  await append(second, "d");
  await second.close();
  await first.close();
  await twice(() => bench.open({ n, disk }).releaseLease("prod", "run1"));
}

/** Seen by somebody who comes later, on a disk that is well. */
async function judge({ run, acknowledged, sent, arrived, failures }: Life): Promise<void> {
  const store = bench.open({ n: 9 });
  for (const failure of failures) {
    expect(failure).toBeInstanceOf(Failure);
    expect(failure).toMatchObject({ kind: "unavailable", hint: expect.any(String) as string });
  }
  for (const summary of await store.list()) expect(summary.rows).toBeGreaterThan(0);
  await store.findLease("prod");
  if (run === "") return;
  const { rows } = await store.read(run);
  expect(rows.map(({ n }) => n)).toEqual(rows.map((_, index) => index + 1));
  for (const row of acknowledged) expect(rows[row.n - 1]).toEqual(row);
  for (const message of [...arrived, ...(await store.receive(run))]) sent.splice(sent.indexOf(message), 1);
  expect(sent).toEqual([]);
}

const newLife = (): Life => ({ run: "", acknowledged: [], sent: [], arrived: [], failures: [] });

/** Lives once for each call that the first life made, in a folder of its own. */
async function atEachCall(
  refuse: (call: number, at: number) => Refusal | undefined,
  what: (life: Life) => Promise<void>,
) {
  await live(newLife());
  const calls = refusing.calls.slice();
  begin += 1;
  for (let at = 1 + (begin % step); at <= calls.length; at += step) {
    await bench.close();
    openFolder();
    refusing.refuse = (call) => refuse(call, at);
    const life = newLife();
    try {
      await what(life);
    } catch (thrown) {
      throw new Error(`refused at call ${at}, ${calls[at - 1] ?? ""}`, { cause: thrown });
    }
  }
  return calls;
}

const refusals: readonly Refusal[] = [
  { code: "ENOSPC", done: "half" },
  { code: "ENOSPC", done: "nothing" },
  { code: "EIO", done: "nothing" },
  { code: "EIO", done: "all" },
];

describe("a disk that refuses one call", () => {
  test.each(refusals)(
    "with $code, $done of it done: nothing acknowledged is lost, and the next try goes through",
    async (refusal) => {
      const calls = await atEachCall(
        (call, at) => (call === at ? refusal : undefined),
        async (life) => {
          await live(life);
          refusing.refuse = () => undefined;
          expect(
            life.acknowledged
              .map(({ body }) => body["step"])
              .filter(Boolean)
              .sort(),
          ).toEqual(["a", "b", "c", "d"]);
          // A run whose making was refused is not there; or, where the disk had renamed it all the same, did nothing.
          for (const { run, rows } of await bench.open({ n: 9 }).list())
            if (run !== life.run) expect([rows, refusal.done]).toEqual([1, "all"]);
          expect(await bench.open({ n: 9 }).findLease("prod")).toBeUndefined();
          expect(await bench.open({ n: 9 }).findPoints("prod")).toMatchObject({ seenAt: 2 });
          await judge(life);
        },
      );
      for (const name of [
        "openSync",
        "writeSync",
        "writeFileSync",
        "fsync",
        "fdatasync",
        "linkSync",
        "mkdirSync",
        "promises.rename",
      ])
        expect(calls.map((call) => call.split(" ")[0])).toContain(name);
    },
  );
});

describe("a disk that refuses everything from one call on", () => {
  test.each(["ENOSPC", "EIO", "EROFS"])(
    "with %s: what was acknowledged before is read, and the run can be taken over once the disk is well",
    async (code) => {
      await atEachCall(
        (call, at) => (call >= at ? { code, done: "nothing" } : undefined),
        async (life) => {
          const gaveUp = await live(life).then(
            () => undefined,
            (thrown: unknown) => thrown,
          );
          if (gaveUp !== undefined) life.failures.push(gaveUp);
          refusing.refuse = () => undefined;
          await judge(life);
          if (life.run === "") return;
          for (const n of [1, 2, 3]) bench.kill(n);
          const taker = await bench.open({ n: 8 }).takeOver(life.run, 9);
          life.acknowledged.push(await taker.append("intent", { step: "z" }, 9));
          await taker.close();
          await judge(life);
        },
      );
    },
  );
});

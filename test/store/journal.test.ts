import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failing } from "../conformance/store.ts";
import { realDisk, type Disk } from "../../src/store/journal.ts";
import { formatRow } from "../../src/store/rows.ts";
import { folderBench, type FolderBench } from "./bench.ts";

const start = { kind: "start", body: { plan: "p" } };
let bench: FolderBench;
beforeEach(() => {
  bench = folderBench();
});
afterEach(() => bench.close());

function segment(number: number, run = "run1"): string {
  return join(bench.folder, `runs/${run}/000${number}.jsonl`);
}

function lines(number: number): string[] {
  return readFileSync(segment(number), "utf8").trimEnd().split("\n");
}

function rewrite(number: number, changed: readonly string[]): void {
  writeFileSync(segment(number), `${changed.join("\n")}\n`);
}

/** A line with its sum made anew, as somebody would who alters a journal with care. */
function withSum(line: string): string {
  const { n, at, kind, body, prev } = JSON.parse(line) as {
    n: number;
    at: number;
    kind: string;
    body: unknown;
    prev: string;
  };
  return formatRow({ n, at, kind, bodyText: JSON.stringify(body), prev }).line.trimEnd();
}

/** start, then intents numbered 2 to 4. */
async function fourRows(): Promise<void> {
  const writer = await bench.open().create(start, 1, "run1");
  for (const step of ["a", "b", "c"]) await writer.append("intent", { step }, 2);
  await writer.close();
}

/** The same, of a process that died before it could say that it was done. */
async function fourRowsOfTheDead(): Promise<void> {
  await fourRows();
  rmSync(join(bench.folder, "runs/run1/0001.closed"));
  bench.kill(1);
}

describe("a torn tail", () => {
  test("cut at every byte of its last row, a journal keeps exactly the others and names the torn one", async () => {
    await fourRowsOfTheDead();
    const whole = readFileSync(segment(1));
    const store = bench.open();
    const lengths = lines(1).map((line) => line.length + 1);
    const before = whole.length - (lengths.at(-1) ?? 0);
    for (let size = before; size < whole.length; size += 1) {
      writeFileSync(segment(1), whole.subarray(0, size));
      const { rows, torn } = await store.read("run1");
      expect(rows).toHaveLength(3);
      if (size === before) expect(torn).toBeUndefined();
      else expect(torn).toContain("row 4 of 0001.jsonl");
    }
  });

  test("cut at any byte at all, the rows before the cut are kept", async () => {
    await fourRowsOfTheDead();
    const whole = readFileSync(segment(1));
    for (let size = 1; size < whole.length; size += 7) {
      writeFileSync(segment(1), whole.subarray(0, size));
      const kept = whole.subarray(0, size).toString("latin1").split("\n").length - 1;
      expect((await bench.open().read("run1")).rows).toHaveLength(kept);
    }
  });

  test("cut JSON, and blocks of zeros with what was to follow them, are torn too", async () => {
    await fourRowsOfTheDead();
    const whole = readFileSync(segment(1));
    for (const tail of [
      '{"n":5,"at":17',
      "\0".repeat(5000),
      `${"\0".repeat(512 - (whole.length % 512))}4,"prev":""}\n${lines(1)[3] ?? ""}\n`,
      `{"n":5,"at":17`.padEnd(512 - (whole.length % 512), " ") + "\0".repeat(512),
    ]) {
      writeFileSync(segment(1), Buffer.concat([whole, Buffer.from(tail)]));
      const { rows, torn } = await bench.open().read("run1");
      expect(rows).toHaveLength(4);
      expect(torn).toContain("row 5 of 0001.jsonl is torn");
    }
  });

  test("it is never truncated: a takeover goes on from the last whole row in the next segment", async () => {
    await fourRowsOfTheDead();
    appendFileSync(segment(1), '{"n":5,"at":17');
    const before = readFileSync(segment(1));
    const writer = await bench.open().takeOver("run1", 3);
    await writer.append("intent", { step: "d" }, 4);
    await writer.close();
    expect(readFileSync(segment(1))).toEqual(before);
    const { rows, torn } = await bench.open().read("run1");
    expect(rows.map(({ n, kind }) => `${n} ${kind}`)).toEqual([
      "1 start",
      "2 intent",
      "3 intent",
      "4 intent",
      "5 taken-over",
      "6 intent",
    ]);
    expect(torn).toBeUndefined();
  });

  test("a journal without a whole first row is read as empty, listed, and not taken over", async () => {
    await fourRowsOfTheDead();
    truncateSync(segment(1), 10);
    expect(await bench.open().read("run1")).toMatchObject({
      rows: [],
      torn: expect.stringContaining("row 1") as string,
    });
    expect(await bench.open().list()).toEqual([{ run: "run1", startedAt: 0, rows: 0 }]);
    for (let i = 0; i < 2; i += 1)
      await expect(bench.open().takeOver("run1", 3)).rejects.toThrow(failing("invalid", "no whole row"));
  });
});

describe("an altered journal is refused, naming segment and row", () => {
  beforeEach(fourRows);
  const refused = async (text: string, hint = "backup"): Promise<void> => {
    for (const ask of [() => bench.open().read("run1"), () => bench.open().takeOver("run1", 9)])
      await expect(ask()).rejects.toThrow(
        expect.objectContaining({
          kind: "invalid",
          message: expect.stringContaining(text) as string,
          hint: expect.stringContaining(hint) as string,
        }) as Error,
      );
  };

  const alterations: readonly (readonly [string, RegExp, string])[] = [
    ["n", /"n":3/, '"n":7'],
    ["at", /"at":2/, '"at":3'],
    ["kind", /"kind":"intent"/, '"kind":"outcome"'],
    ["body", /"step":"b"/, '"step":"x"'],
    ["prev", /"prev":"(.)/, '"prev":"g'],
    ["sum", /"sum":"(.)/, '"sum":"g'],
  ];
  test.each(alterations)("the field %s", async (_, from, to) => {
    rewrite(
      1,
      lines(1).map((line, i) => (i === 2 ? line.replace(from, to) : line)),
    );
    await refused("row 3 of 0001.jsonl");
  });

  test.each(alterations)("the field %s of the last row", async (_, from, to) => {
    rewrite(
      1,
      lines(1).map((line, i) =>
        i === 3 ? line.replace('"n":4', '"n":3').replace('"c"', '"b"').replace(from, to) : line,
      ),
    );
    await refused("row 4 of 0001.jsonl");
  });

  test("a field with its sum made anew", async () => {
    rewrite(
      1,
      lines(1).map((line, i) => (i === 2 ? withSum(line.replace('"b"', '"x"')) : line)),
    );
    await refused("row 4 of 0001.jsonl does not follow");
    rewrite(
      1,
      lines(1).map((line, i) => (i === 1 ? withSum(line.replace('"n":2', '"n":5')) : line)),
    );
    await refused("row 2 of 0001.jsonl is not numbered");
  });

  test("a field more, or space between fields", async () => {
    rewrite(
      1,
      lines(1).map((line, i) => (i === 2 ? line.replace('"at":2', '"at": 2') : line)),
    );
    await refused("row 3 of 0001.jsonl does not match its sum");
  });

  test("rows in another order", async () => {
    const [a = "", b = "", c = "", d = ""] = lines(1);
    rewrite(1, [a, c, b, d]);
    await refused("row 2 of 0001.jsonl");
  });

  test("a row taken away, in the middle or at the start", async () => {
    const [a = "", b = "", c = "", d = ""] = lines(1);
    rewrite(1, [a, b, d]);
    await refused("row 3 of 0001.jsonl");
    rewrite(1, [b, c, d]);
    await refused("row 1 of 0001.jsonl");
  });

  test("a row given twice, an empty line, a line of something else", async () => {
    const [a = "", b = "", c = "", d = ""] = lines(1);
    rewrite(1, [a, b, b, c, d]);
    await refused("row 3 of 0001.jsonl");
    rewrite(1, [a, b, "", c, d]);
    await refused("row 3 of 0001.jsonl");
    rewrite(1, [a, b, c, d, "hello"]);
    await refused("row 5 of 0001.jsonl");
  });

  test("a row before the takeover, a segment that is gone, and a first row that names nothing", async () => {
    await (await bench.open().takeOver("run1", 3)).close();
    const kept = lines(1);
    rewrite(
      1,
      kept.map((line, i) => (i === 2 ? line.replace('"b"', '"x"') : line)),
    );
    await refused("row 3 of 0001.jsonl");
    rewrite(1, kept.slice(0, 3));
    await refused("row 1 of 0002.jsonl follows a row that is in no earlier segment");
    rmSync(segment(1));
    await refused("row 1 of 0002.jsonl follows a row that is in no earlier segment");
  });

  test("it does not hide the other runs from the list", async () => {
    await (await bench.open().create(start, 9, "run2")).close();
    rewrite(1, ["x", ...lines(1)]);
    expect(await bench.open().list()).toEqual([
      { run: "run1", startedAt: 0, rows: 0 },
      { run: "run2", startedAt: 9, rows: 1 },
    ]);
  });
});

describe("two segments", () => {
  test("rows that land in the old segment after a takeover are void, whole or torn or nonsense", async () => {
    const old = await bench.open().create(start, 1, "run1");
    await old.append("intent", { step: "a" }, 2);
    bench.kill(1);
    const taker = await bench.open({ n: 2 }).takeOver("run1", 3);
    await expect(old.append("late", {}, 4)).rejects.toThrow(failing("conflict"));
    expect(lines(1).at(-1)).toContain('"late"');
    await taker.append("intent", { step: "b" }, 5);
    const wanted = ["start", "intent", "taken-over", "intent"];
    for (const tail of ["", "nonsense\n", '{"n":9']) {
      appendFileSync(segment(1), tail);
      expect((await bench.open({ n: 2 }).read("run1")).rows.map(({ kind }) => kind)).toEqual(wanted);
    }
    await taker.close();
    await old.close();
    const third = await bench.open({ n: 3 }).takeOver("run1", 6);
    expect(third.rows().map(({ kind }) => kind)).toEqual([...wanted, "taken-over"]);
    await third.close();
  });

  test("a row that was on disk when the taker looked is kept, acknowledged or not", async () => {
    await fourRows();
    const { sum } = JSON.parse(lines(1)[3] ?? "") as { sum: string };
    appendFileSync(segment(1), formatRow({ n: 5, at: 2, kind: "late", bodyText: "{}", prev: sum }).line);
    const writer = await bench.open().takeOver("run1", 3);
    expect(
      writer
        .rows()
        .map(({ n, kind }) => [n, kind])
        .slice(-2),
    ).toEqual([
      [5, "late"],
      [6, "taken-over"],
    ]);
    await writer.close();
  });

  test("a stranger verifies rows with sed, jq and sha256sum as the file's head says", async () => {
    await fourRows();
    const sh = (command: string): string =>
      execFileSync("sh", ["-c", command], { encoding: "utf8", cwd: join(segment(1), "..") }).trim();
    for (const n of [1, 2, 3, 4]) {
      const made = sh(
        `sed -n ${n}p 0001.jsonl | sed 's/,"sum":"[0-9a-f]*"}$/}/' | tr -d '\\n' | sha256sum`,
      ).slice(0, 64);
      expect(made).toBe((JSON.parse(lines(1)[n - 1] ?? "") as { sum: string }).sum);
    }
  });
});

/** A disk whose syncs wait until they are let go, and which fails when it is told to. */
function slowDisk() {
  const waiting: (() => void)[] = [];
  const seen = {
    writes: 0,
    syncs: 0,
    hold: false,
    fail: undefined as "write" | "short" | "sync" | undefined,
  };
  const error = (code: string): Error => Object.assign(new Error(code), { code });
  const disk: Disk = {
    write(fd, bytes) {
      if (seen.fail === "write") throw error("ENOSPC");
      if (seen.fail === "short") return realDisk.write(fd, bytes.subarray(0, bytes.length >> 1));
      seen.writes += 1;
      return realDisk.write(fd, bytes);
    },
    sync(fd, done) {
      seen.syncs += 1;
      const { fail } = seen;
      const act = (): void => (fail === "sync" ? done(error("EIO")) : realDisk.sync(fd, done));
      if (seen.hold) waiting.push(act);
      else act();
    },
  };
  return { disk, seen, letGo: () => waiting.splice(0).forEach((act) => act()) };
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe("group commit", () => {
  test("a lone commit costs exactly one write and one sync", async () => {
    const { disk, seen } = slowDisk();
    const writer = await bench.open({ disk }).create(start, 1, "run1");
    Object.assign(seen, { writes: 0, syncs: 0 });
    for (let i = 0; i < 5; i += 1) await writer.append("intent", { i }, 2);
    expect(seen).toMatchObject({ writes: 5, syncs: 5 });
    await writer.close();
    expect(seen.syncs).toBe(5);
  });

  test("rows appended while a sync is under way share the next, and none is acknowledged before its own", async () => {
    const { disk, seen, letGo } = slowDisk();
    const writer = await bench.open({ disk }).create(start, 1, "run1");
    Object.assign(seen, { syncs: 0, hold: true });
    const acknowledged: number[] = [];
    const append = (): void => void writer.append("read", {}, 2).then(({ n }) => acknowledged.push(n));
    append();
    await turn();
    expect(seen.syncs).toBe(1);
    for (let i = 0; i < 253; i += 1) append();
    await turn();
    expect(seen.syncs).toBe(1);
    expect(acknowledged).toEqual([]);
    expect(writer.rows()).toHaveLength(1);
    letGo();
    while (acknowledged.length === 0) await turn();
    await turn();
    expect(acknowledged).toEqual([2]);
    expect(seen.syncs).toBe(2);
    letGo();
    while (acknowledged.length === 1) await turn();
    expect(acknowledged).toEqual(Array.from({ length: 254 }, (_, i) => i + 2));
    expect(seen.syncs).toBe(2);
    seen.hold = false;
    await writer.close();
  });

  test("a row whose sync ends after a takeover is not acknowledged", async () => {
    const { disk, seen, letGo } = slowDisk();
    const writer = await bench.open({ disk }).create(start, 1, "run1");
    seen.hold = true;
    const row = writer.append("sent", {}, 2);
    await turn();
    bench.kill(1);
    const taker = await bench.open({ n: 2 }).takeOver("run1", 3);
    letGo();
    await expect(row).rejects.toThrow(failing("conflict"));
    await taker.close();
    await writer.close();
  });
});

describe("a disk that refuses", () => {
  test.each(["write", "short", "sync"] as const)(
    "after a failed %s the row is rejected and void, and the next one goes to a new segment",
    async (fail) => {
      const { disk, seen } = slowDisk();
      const store = bench.open({ disk });
      const writer = await store.create(start, 1, "run1");
      await writer.append("intent", { step: "a" }, 2);
      seen.fail = fail;
      await expect(writer.append("lost", {}, 3)).rejects.toThrow(failing("unavailable"));
      await expect(writer.append("lost", {}, 3)).rejects.toThrow(failing("unavailable"));
      const tail = readFileSync(segment(1));
      seen.fail = undefined;
      writer.releaseReserve();
      writer.assertHeld();
      const row = await writer.append("intent", { step: "b" }, 4);
      writer.assertHeld();
      await writer.append("end", {}, 5);
      expect(readFileSync(segment(1))).toEqual(tail);
      const { rows, torn, held } = await bench.open({ n: 2 }).read("run1");
      expect(rows.map(({ kind }) => kind)).toEqual(["start", "intent", "taken-over", "intent", "end"]);
      expect(rows).toEqual(writer.rows());
      expect(rows[3]).toEqual(row);
      expect(torn).toBeUndefined();
      expect(held?.owner).toBe("operator@machine pid 1");
      expect(writer.fence).toBe(1);
      await writer.close();
      const taker = await bench.open({ n: 2 }).takeOver("run1", 6);
      expect(taker.fence).toBeGreaterThan(writer.fence);
      await taker.close();
    },
  );

  test("what was handed over while a failing sync was under way fails with it", async () => {
    const { disk, seen, letGo } = slowDisk();
    const writer = await bench.open({ disk }).create(start, 1, "run1");
    Object.assign(seen, { hold: true, fail: "sync" });
    const first = writer.append("sent", { i: 1 }, 2);
    await turn();
    const second = writer.append("sent", { i: 2 }, 2);
    const settled = Promise.allSettled([first, second]);
    letGo();
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    Object.assign(seen, { hold: false, fail: undefined });
    expect((await writer.append("sent", { i: 3 }, 2)).n).toBe(3);
    await writer.close();
  });

  test("a writer that was overtaken while its disk failed does not come back", async () => {
    const { disk, seen } = slowDisk();
    const writer = await bench.open({ disk }).create(start, 1, "run1");
    seen.fail = "write";
    await expect(writer.append("lost", {}, 3)).rejects.toThrow(failing("unavailable"));
    seen.fail = undefined;
    bench.kill(1);
    const taker = await bench.open({ n: 2 }).takeOver("run1", 4);
    await expect(writer.append("late", {}, 5)).rejects.toThrow(failing("conflict"));
    taker.assertHeld();
    await taker.close();
    await writer.close();
  });

  test("a run is not begun where its first row cannot be kept, and leaves nothing behind", async () => {
    const { disk, seen } = slowDisk();
    seen.fail = "write";
    await expect(bench.open({ disk }).create(start, 1, "run1")).rejects.toThrow(failing("unavailable"));
    mkdirSync(join(bench.folder, "runs"), { recursive: true });
    expect(existsSync(join(bench.folder, "runs/run1"))).toBe(false);
    expect(await bench.open().list()).toEqual([]);
  });
});

import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failing, storeSuite } from "../conformance/store.ts";
import { isProvenDead, thisMachine } from "../../src/store/machine.ts";
import { folderBench, type FolderBench } from "./bench.ts";

storeSuite("a folder", () => Promise.resolve(folderBench()));

const start = { kind: "start", body: {} };
let bench: FolderBench;
beforeEach(() => {
  bench = folderBench();
});
afterEach(() => bench.close());

function everything(path: string): string[] {
  const below = statSync(path).isDirectory()
    ? readdirSync(path).flatMap((name) => everything(join(path, name)))
    : [];
  return [path, ...below];
}

describe("what is private", () => {
  test("files are 0600 and folders 0700 under any umask", async () => {
    const before = process.umask(0);
    try {
      const store = bench.open();
      const writer = await store.create(start, 1, "run1");
      await store.takeLease("prod", { run: "run1", owner: "o", since: 0, expiresAt: 1 }, 0);
      await store.send("run1", { verb: "hold" });
      await store.keepPoints("prod", { seenAt: 1, seen: [] });
      await writer.close();
      const second = await store.takeOver("run1", 2);
      await second.close();
    } finally {
      process.umask(before);
    }
    const paths = everything(bench.folder).slice(1);
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths)
      expect([path, (statSync(path).mode & 0o777).toString(8)]).toEqual([
        path,
        statSync(path).isDirectory() ? "700" : "600",
      ]);
    expect(paths.filter((path) => path.includes(".draft-"))).toEqual([]);
  });

  test("what belongs to another user is refused", async () => {
    const writer = await bench.open().create(start, 1, "run1");
    await writer.close();
    const other = bench.open({ uid: (process.getuid?.() ?? 0) + 1 });
    await expect(other.read("run1")).rejects.toThrow(failing("denied", "belongs to user id"));
    await expect(other.list()).rejects.toThrow(failing("denied"));
    await expect(other.create(start, 1, "run2")).rejects.toThrow(failing("denied"));
    await expect(other.takeOver("run1", 2)).rejects.toThrow(failing("denied"));
  });

  test("a segment of another user is refused", async (context) => {
    if (process.getuid?.() !== 0) context.skip("only root can make a file of another user");
    await (await bench.open().create(start, 1, "run1")).close();
    chownSync(join(bench.folder, "runs/run1/0001.jsonl"), 12_345, 12_345);
    await expect(bench.open().read("run1")).rejects.toThrow(failing("denied", "12345"));
  });

  test("a link in the place of a segment or of a run is refused", async () => {
    await (await bench.open().create(start, 1, "run1")).close();
    symlinkSync(join(bench.folder, "runs/run1"), join(bench.folder, "runs/run2"));
    await expect(bench.open().read("run2")).rejects.toThrow(failing("denied", "not a folder"));
    rmSync(join(bench.folder, "runs/run1/0001.jsonl"));
    symlinkSync("/etc/hostname", join(bench.folder, "runs/run1/0001.jsonl"));
    await expect(bench.open().read("run1")).rejects.toThrow(failing("denied"));
  });
});

describe("who is proven dead", () => {
  const holder = () => bench.machine(7).self;

  test("a pid that is gone, or belongs to a younger process", () => {
    const machine = bench.machine(1);
    expect(isProvenDead(holder(), { ...machine, startOf: () => undefined })).toBe(true);
    expect(isProvenDead(holder(), { ...machine, startOf: () => "9999" })).toBe(true);
    expect(isProvenDead(holder(), { ...machine, startOf: () => "7000" })).toBe(false);
  });

  test("every process of an earlier boot", () => {
    expect(isProvenDead(holder(), { ...bench.machine(1, { bootId: "boot2" }), startOf: () => "7000" })).toBe(
      true,
    );
  });

  test("nobody on another machine, in another container, or where nothing can be known", () => {
    const startOf = (): undefined => undefined;
    for (const other of [
      { host: "elsewhere", bootId: "boot2" },
      { machineId: "clone", bootId: "boot2" },
      { pidNamespace: "pid:[4026532000]" },
      { bootId: "" },
    ])
      expect(isProvenDead(holder(), { ...bench.machine(1, other), startOf })).toBe(false);
    const contained = { pidNamespace: "pid:[4026532000]" };
    const moved = bench.machine(1, { ...contained, bootId: "boot2" });
    expect(isProvenDead(bench.machine(7, contained).self, { ...moved, startOf })).toBe(false);
  });

  test("this process knows its own start and finds none for a free pid", (context) => {
    if (process.platform !== "linux") context.skip("only Linux tells the start of a process in /proc");
    const machine = thisMachine();
    expect(machine.self.started).toMatch(/^\d+$/);
    expect(machine.startOf(machine.self.pid)).toBe(machine.self.started);
    expect(machine.startOf(2 ** 22 + 1)).toBeUndefined();
    expect(isProvenDead(machine.self, machine)).toBe(false);
  });

  test("a silent holder on another machine is waited for 15 minutes after its last row", async () => {
    const writer = await bench.open({ other: { host: "elsewhere" } }).create(start, 0, "run1");
    await writer.append("intent", {}, 60_000);
    await expect(bench.open({ n: 2 }).takeOver("run1", 16 * 60_000 - 1)).rejects.toThrow(
      failing("conflict", "elsewhere"),
    );
    await (await bench.open({ n: 2 }).takeOver("run1", 16 * 60_000)).close();
    await writer.close();
  });
});

describe("what a dying process leaves behind", () => {
  test("a folder that never became a run is not a run", async () => {
    const store = bench.open();
    await (await store.create(start, 1, "run1")).close();
    mkdirSync(join(bench.folder, "runs/.draft-0123456789ab"));
    expect((await store.list()).map(({ run }) => run)).toEqual(["run1"]);
  });

  test("a taker that died before its segment was made is taken over in turn", async () => {
    await (await bench.open().create(start, 1, "run1")).close();
    const dead = { ...bench.machine(2).self, since: 2 };
    writeFileSync(join(bench.folder, "runs/run1/0002.holder"), JSON.stringify(dead));
    expect((await bench.open({ n: 3 }).read("run1")).rows).toHaveLength(1);
    const writer = await bench.open({ n: 3 }).takeOver("run1", 3);
    expect(writer.fence).toBe(3);
    await writer.append("intent", {}, 4);
    expect((await bench.open({ n: 3 }).read("run1")).rows.map(({ n }) => n)).toEqual([1, 2, 3]);
    await writer.close();
  });

  test("a lease that cannot be understood counts as held, and is named", async () => {
    const store = bench.open();
    await store.takeLease("prod", { run: "run1", owner: "o", since: 0, expiresAt: 1 }, 0);
    writeFileSync(join(bench.folder, "leases/prod/00000001.json"), "{");
    await expect(
      store.takeLease("prod", { run: "run2", owner: "o", since: 0, expiresAt: 9 }, 5),
    ).rejects.toThrow(failing("invalid", "leases/prod/00000001.json"));
  });

  test("a view of points that cannot be understood is as if nothing had been seen, and is replaced", async () => {
    const store = bench.open();
    const view = { seenAt: 1, seen: [{ point: "8f3a" }] };
    await store.keepPoints("prod", view);
    for (const text of ["{", "[]", '{"format":2,"seenAt":1,"seen":[]}', '{"format":1,"seen":[]}']) {
      writeFileSync(join(bench.folder, "points/prod.json"), text);
      expect(await store.findPoints("prod")).toBeUndefined();
    }
    await store.keepPoints("prod", view);
    expect(await store.findPoints("prod")).toEqual(view);
  });

  test("a message that cannot be understood is put aside in its turn, and hides no other", async () => {
    const store = bench.open();
    const writer = await store.create(start, 1, "run1");
    await store.send("run1", { i: 1 });
    writeFileSync(join(bench.folder, "runs/run1/inbox/00000002.json"), "not json");
    await store.send("run1", { i: 3 });
    expect(await store.receive("run1")).toEqual([{ i: 1 }]);
    await expect(store.receive("run1")).rejects.toThrow(failing("invalid", ".refused"));
    expect(await store.receive("run1")).toEqual([{ i: 3 }]);
    await writer.close();
  });

  test("the reserve is there while a run is held, and goes with it", async () => {
    const store = bench.open();
    const reserve = join(bench.folder, "runs/run1/reserve");
    const writer = await store.create(start, 1, "run1");
    expect(statSync(reserve).size).toBe(4096);
    writer.releaseReserve();
    writer.releaseReserve();
    expect(existsSync(reserve)).toBe(false);
    bench.kill(1);
    const taker = await bench.open({ n: 2 }).takeOver("run1", 2);
    expect(statSync(reserve).size).toBe(4096);
    await taker.close();
    expect(existsSync(reserve)).toBe(false);
    await writer.close();
  });
});

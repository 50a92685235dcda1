/**
 * A taker beside a slow writer: a process that was stopped, or that its disk kept waiting, while another took its run
 * over. What it was told is written is in the run; what it writes too late is void, and it is told so.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";
import { failing } from "../conformance/store.ts";
import { folderBench, memory } from "./bench.ts";
import { refusingDisk, type RefusingDisk } from "./refusing-disk.ts";

const minute = 60_000;

describe("a writer that stands still between any two calls of a taker", () => {
  // `npm test` plays some of the moments, FAULT_STEP=1 all of them.
  const step = Number(process.env["FAULT_STEP"] ?? 19);
  type Mode = "segment" | "number" | "new segment";
  // Places in what both threads share: what the writer may do, and what it did.
  const at = { mayWrite: 0, hasWritten: 1, mayEnd: 2, ended: 3 };
  const ends = { acknowledged: 1, refused: 2, wrong: 3 };
  const state = new Int32Array(new SharedArrayBuffer(16));
  let worker: Worker;
  let refusing: RefusingDisk;

  const said = () =>
    new Promise<void>((resolve, reject) => {
      worker.once("error", reject);
      worker.once("message", () => {
        worker.off("error", reject);
        resolve();
      });
    });
  const let_ = (what: number, until: number): void => {
    Atomics.store(state, what, 1);
    Atomics.notify(state, what);
    if (Atomics.wait(state, until, 0, 20_000) === "timed-out") throw new Error("the writer did not go on");
  };
  const write = (): void => let_(at.mayWrite, at.hasWritten);
  const end = (): void => let_(at.mayEnd, at.ended);

  beforeAll(async () => {
    refusing = refusingDisk();
    worker = new Worker(new URL("slow-writer.mjs", import.meta.url), { workerData: { state, at, ends } });
    await said();
  });
  afterAll(async () => {
    refusing.close();
    await worker.terminate();
  });

  /** The writer writes before the taker's call number `writes`, and its sync ends before the call number `syncs`. */
  async function play(mode: Mode, writes: number, syncs: number): Promise<{ calls: number; late: number }> {
    const bench = folderBench(memory);
    try {
      state.fill(0);
      const stands = said();
      const { self, uid } = bench.machine(1);
      worker.postMessage({ folder: bench.folder, mode, self, uid });
      await stands;
      Object.assign(refusing, { folder: bench.folder, calls: [] });
      refusing.refuse = (call) => {
        if (call === writes) write();
        if (call === syncs) end();
        return undefined;
      };
      const taking = await bench
        .open({ n: 2 })
        .takeOver("run1", 20 * minute)
        .catch((thrown: unknown) => thrown as Error);
      const calls = refusing.calls.length;
      refusing.refuse = () => undefined;
      if (calls < writes) write();
      if (calls < syncs) end();
      const late = Atomics.load(state, at.ended);
      expect([ends.acknowledged, ends.refused]).toContain(late);
      const { rows } = await bench.open({ n: 9 }).read("run1");
      expect(rows.map(({ n }) => n)).toEqual(rows.map((_, index) => index + 1));
      const kinds = rows.map(({ kind }) => kind);
      if (late === ends.acknowledged) expect(kinds).toContain("late");
      if (taking instanceof Error) {
        // The writer had changed its segment a moment before, which is as good as a new holder.
        expect(taking).toMatchObject({ kind: "conflict" });
        expect([mode, late]).toEqual(["number", ends.acknowledged]);
      } else {
        expect(rows).toEqual(taking.rows());
        expect(kinds.at(-1)).toBe("taken-over");
        await taking.close();
      }
      return { calls, late };
    } finally {
      await bench.close();
    }
  }

  test.each(["segment", "number", "new segment"] as const)(
    "and was about to write to its %s: nothing is lost that it was told is written",
    async (mode) => {
      const { calls } = await play(mode, Infinity, Infinity);
      const seen = new Set<number>();
      let count = 0;
      for (let writes = 1; writes <= calls + 1; writes += 1)
        for (let syncs = writes; syncs <= calls + 1; syncs += 1, count += 1)
          if (count % step === 0) seen.add((await play(mode, writes, syncs)).late);
      expect(seen).toEqual(new Set([ends.acknowledged, ends.refused]));
    },
  );
});

describe("a process that is stopped while it appends", () => {
  const folder = mkdtempSync(join(tmpdir(), "runbook-stopped-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is not taken over while it lives and its lease runs; after it, it writes nothing more and is told", async () => {
    const store = openStore(folder);
    const acknowledged: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, "appender.mjs"), folder, String(round * 30 * minute)],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      const ended = new Promise((done) => child.on("close", done));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
      while (said.split("\n").length < 2 + round * 41) await delay(1);
      child.kill("SIGSTOP");
      await expect(store.takeOver("run1", (round * 30 + 14) * minute)).rejects.toThrow(
        failing("conflict", `pid ${child.pid ?? 0}`),
      );
      const taker = await store.takeOver("run1", (round * 30 + 16) * minute);
      await taker.append("read", { id: `taker-${round}` }, (round * 30 + 16) * minute);
      child.kill("SIGCONT");
      expect(await ended).toBe(0);
      expect(said.trimEnd().split("\n").at(-1)).toBe("refused: conflict");
      acknowledged.push(...said.trimEnd().split("\n").slice(0, -1));
      taker.assertHeld();
      await taker.close();
      const { rows } = await store.read("run1");
      expect(rows).toEqual(taker.rows());
      const found = new Set(rows.map(({ n, body }) => `${n} ${String(body["id"])}`));
      expect(acknowledged.filter((line) => !found.has(line))).toEqual([]);
    }
    expect(acknowledged.length).toBeGreaterThan(100);
  });
});

/**
 * A journal that is cut, flipped or written to by somebody else: at each of its bytes, whoever reads it is shown all that
 * was acknowledged, or is told in which row of which file it is not as it was written. Never is it just shorter.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failing } from "../conformance/store.ts";
import type { JournalWriter } from "../../src/ports/store.ts";
import { formatRow } from "../../src/store/rows.ts";
import { folderBench, memory, type FolderBench } from "./bench.ts";

let bench: FolderBench;
beforeEach(() => {
  bench = folderBench(memory);
});
afterEach(() => bench.close());

// `npm test` plays some of the bits, FAULT_STEP=1 all of them.
const step = Number(process.env["FAULT_STEP"] ?? 17);

const segment = (number: number): string => join(bench.folder, `runs/run1/000${number}.jsonl`);
const read = () => bench.open({ n: 9 }).read("run1");

/** Two segments of rows of several lengths; the writer of the second one dies, or closes. */
async function record(end: "dies" | "closes"): Promise<void> {
  const first = await bench.open({ n: 1 }).create({ kind: "start", body: { plan: "p" } }, 1, "run1");
  await first.append("intent", { unit: "a", before: null }, 2);
  await first.close();
  const second = await bench.open({ n: 2 }).takeOver("run1", 3);
  await append(second);
  if (end === "closes") await second.close();
  bench.kill(2);
}

/** Lone rows and rows that share a sync. */
async function append(writer: JournalWriter): Promise<void> {
  await writer.append("sent", { n: 1, request: { argv: ["clpgrp", "-t", "failover1"] } }, 4);
  await Promise.all([
    writer.append("answered", { sent: 1, text: "ß 日本\n\u0000" }, 5),
    writer.append("outcome", { unit: "a", found: { at: "@@" } }, 6),
  ]);
  await writer.append("intent", { unit: "b" }, 7);
}

describe("the newest segment cut at each of its bytes", () => {
  test("of a writer that died: whole rows are kept, the rest is named as torn, and the next runner goes on", async () => {
    await record("dies");
    const all = (await read()).rows;
    const bytes = readFileSync(segment(2));
    const before = all.length - bytes.toString("latin1").split("\n").length + 1;
    for (let size = 0; size <= bytes.length; size += 1) {
      const part = bytes.subarray(0, size);
      writeFileSync(segment(2), part);
      const kept = before + part.toString("latin1").split("\n").length - 1;
      const { rows, torn } = await read();
      expect(rows).toEqual(all.slice(0, kept));
      const whole = size === 0 || part.at(-1) === 0x0a;
      expect(torn ?? "whole").toContain(whole ? "whole" : `row ${kept - before + 1} of 0002.jsonl is torn`);
    }
  });

  test("the next runner goes on from the last whole row, and leaves the torn one where it is", async () => {
    await record("dies");
    const bytes = readFileSync(segment(2));
    for (let size = 0; size <= bytes.length; size += step) {
      await bench.close();
      bench = folderBench(memory);
      await record("dies");
      writeFileSync(segment(2), bytes.subarray(0, size));
      const { rows } = await read();
      const taker = await bench.open({ n: 3 }).takeOver("run1", 8);
      await taker.append("intent", { unit: "c" }, 9);
      const found = await read();
      expect(found.torn).toBeUndefined();
      expect(found.rows.slice(0, rows.length)).toEqual(rows);
      expect(found.rows.slice(rows.length).map(({ kind }) => kind)).toEqual(["taken-over", "intent"]);
      expect(readFileSync(segment(2)).length).toBe(size);
      await taker.close();
    }
  });

  test("of a writer that was done: it is refused, and said what is missing", async () => {
    await record("closes");
    const { rows } = await read();
    const bytes = readFileSync(segment(2));
    for (let size = 0; size < bytes.length; size += 1) {
      writeFileSync(segment(2), bytes.subarray(0, size));
      const last = rows.length - bytes.subarray(size).toString("latin1").split("\n").length + 1;
      await expect(read()).rejects.toThrow(
        failing(
          "invalid",
          `it ends with row ${last}, but 0002.closed says that row ${rows.length} was written`,
        ),
      );
    }
    writeFileSync(segment(2), bytes);
    expect((await read()).rows).toEqual(rows);
  });
});

describe("one bit of it flipped", () => {
  /** Flips bits of the segment, and answers with how often it was refused and how often a tear was said. */
  async function flip(number: number): Promise<{ refused: number; torn: number }> {
    const { rows } = await read();
    const bytes = readFileSync(segment(number));
    const seen = { refused: 0, torn: 0 };
    for (let bit = number; bit < bytes.length * 8; bit += step) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      writeFileSync(segment(number), changed);
      const found = await read().catch((thrown: unknown) => thrown as Error);
      if (found instanceof Error) {
        expect(found).toMatchObject({ kind: "invalid" });
        expect(found.message).toMatch(/row \d+ of 000[12]\.jsonl|0002\.closed says/);
        seen.refused += 1;
        continue;
      }
      // Only the last newline can be gone without a trace of more: what was before it is kept, and that is said.
      expect(found.torn).toContain(`is torn`);
      expect([bit >> 3, found.rows]).toEqual([bytes.length - 1, rows.slice(0, -1)]);
      seen.torn += 1;
    }
    writeFileSync(segment(number), bytes);
    return seen;
  }

  test("of a writer that died: refused with row and file; in the last newline, said to be torn", async () => {
    await record("dies");
    for (const number of [1, 2]) expect((await flip(number)).refused).toBeGreaterThan(50);
  });

  test("of a writer that was done: always refused", async () => {
    await record("closes");
    for (const number of [1, 2]) expect(await flip(number)).toMatchObject({ torn: 0 });
  });

  test("to a zero, in the middle: damage, and not a block that never reached the disk", async () => {
    await record("dies");
    const bytes = readFileSync(segment(2));
    const at = bytes.indexOf("@@");
    bytes[at] = 0;
    writeFileSync(segment(2), bytes);
    await expect(read()).rejects.toThrow(failing("invalid", "row 4 of 0002.jsonl does not match its sum"));
  });
});

describe("two writers", () => {
  test("of the same segment, which no fence lets be, are found by the chain, and the row is named", async () => {
    await record("dies");
    const lines = readFileSync(segment(2), "utf8").trimEnd().split("\n");
    const { n, sum } = JSON.parse(lines[1] ?? "") as { n: number; sum: string };
    const other = formatRow({ n: n + 1, at: 9, kind: "sent", bodyText: "{}", prev: sum }).line;
    for (const after of [3, 4, 5]) {
      writeFileSync(
        segment(2),
        [...lines.slice(0, after), other.trimEnd(), ...lines.slice(after), ""].join("\n"),
      );
      await expect(read()).rejects.toThrow(
        failing("invalid", `row ${after + 1} of 0002.jsonl does not follow`),
      );
    }
  });

  test("a segment that lies there already is nobody's to write to", async () => {
    await record("dies");
    // As if another runner had taken the number while its holder file was lost.
    writeFileSync(segment(3), "");
    const taker = await bench.open({ n: 3 }).takeOver("run1", 16 * 60_000);
    expect(taker.fence).toBe(4);
    expect(readFileSync(segment(3), "utf8")).toBe("");
    await taker.close();
  });
});

/** A process that appends is killed, again and again: what it was told is on the disk is on the disk. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-kill-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Lets a child append until it has said `lines` things, kills it, and answers with what it said. */
async function appendAndDie(round: number, lines: number): Promise<readonly string[]> {
  const appender = join(import.meta.dirname, "appender.mjs");
  const process = spawn("node", [appender, folder, String(round)], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  let wrong = "";
  process.stderr.on("data", (bytes: Buffer) => (wrong += bytes.toString()));
  process.stdout.on("data", (bytes: Buffer) => {
    said += bytes.toString();
    if (said.split("\n").length > lines) process.kill("SIGKILL");
  });
  const signal = await new Promise((done) => process.on("close", (_code, by) => done(by)));
  expect([signal, wrong]).toEqual(["SIGKILL", ""]);
  return said.split("\n").slice(0, -1);
}

test("kill -9 at any moment loses no acknowledged row, and the next process takes over at once", async () => {
  const acknowledged: string[] = [];
  const rounds = 12;
  for (let round = 0; round < rounds; round += 1) {
    acknowledged.push(...(await appendAndDie(round, 1 + round * 37)));
    const { rows, held } = await openStore(folder).read("run1");
    expect(held).toBeUndefined();
    const found = new Set(rows.map(({ n, body }) => `${n} ${String(body["id"])}`));
    expect(acknowledged.filter((line) => !found.has(line))).toEqual([]);
    expect(rows.map(({ n }) => n)).toEqual(rows.map((_, index) => index + 1));
  }
  expect(acknowledged.length).toBeGreaterThan(rounds);
});

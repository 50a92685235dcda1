/** A process that appends is killed, again and again: what it was told is on the disk is on the disk. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-kill-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const root = resolve(import.meta.dirname, "../..");
// Creates the run or takes it over, then appends lone rows and groups, and says which were acknowledged.
const child = `
  import { writeSync } from "node:fs";
  import { createJiti } from "jiti";
  const { openStore } = await createJiti(${JSON.stringify(`${root}/package.json`)}).import("./src/store/store.ts");
  const [folder, round] = process.argv.slice(1);
  const store = openStore(folder, { reserveBytes: 4096 });
  const at = Number(round);
  const writer = round === "0" ? await store.create({ kind: "start", body: {} }, at, "run1") : await store.takeOver("run1", at);
  const tell = ({ n, body }) => writeSync(1, n + " " + body.id + "\\n");
  for (let i = 0; ; i += 1) {
    const group = Array.from({ length: i % 3 === 0 ? 1 : 5 }, (_, k) => ({ id: round + "-" + i + "-" + k, text: "x".repeat(i % 700) }));
    await Promise.all(group.map((body) => writer.append("read", body, at).then(tell)));
  }
`;

/** Lets a child append until it has said `lines` things, kills it, and answers with what it said. */
async function appendAndDie(round: number, lines: number): Promise<readonly string[]> {
  const process = spawn("node", ["--input-type=module", "-e", child, folder, String(round)], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
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

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import { findScript, parseMarker, takeOverScript, takeScript } from "../../src/drivers/linux/marker.ts";

// The scripts under the machine's own sh, on a folder of their own.
let base: string;
let lock: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "take-over-"));
  lock = join(base, "runbook", "lock");
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function sh(script: string, ...args: readonly string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile("sh", ["-c", script, "test", ...args], (error, out) =>
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out }),
    );
  });
}
const takeOver = (run: string, from: string, seconds = "100") =>
  sh(takeOverScript(lock), run, "1", `owner of ${run}`, "60", from, seconds);
const file = (name: string) => readFileSync(join(lock, name), "utf8").trim();

/** The mark of run `old`, expired this long ago. */
async function expired(secondsAgo: number): Promise<void> {
  await sh(takeScript(lock), "old", "3", "owner of old", "60");
  writeFileSync(join(lock, "expires"), `${Math.floor(Date.now() / 1000) - secondsAgo}\n`);
}

test("a mark that expired long enough ago is the new run's, with its own time", async () => {
  await expired(200);
  expect((await takeOver("new", "old.3")).code).toBe(0);
  expect(parseMarker((await sh(findScript(lock))).out)).toMatchObject({
    held: true,
    marker: { run: "new", fence: 1, owner: "owner of new" },
  });
  expect(Number(file("expires"))).toBeGreaterThan(Date.now() / 1000 + 30);
  expect(readdirSync(join(base, "runbook"))).toEqual(["lock"]);
});

test.each([
  ["not yet expired", -30],
  ["not long enough expired", 50],
])("a mark that is %s stays, by the node's own clock", async (_what, secondsAgo) => {
  await expired(secondsAgo);
  expect((await takeOver("new", "old.3")).code).toBe(76);
  expect(file("fence")).toBe("old.3");
});

test("a mark that is no longer the one that was seen stays", async () => {
  await expired(200);
  expect((await takeOver("new", "old.2")).code).toBe(76);
  expect((await takeOver("new", "other.3")).code).toBe(76);
  expect(file("fence")).toBe("old.3");
  rmSync(lock, { recursive: true });
  expect((await takeOver("new", "old.3")).code).toBe(76);
});

test("of many takers one has it in the end", async () => {
  await expired(200);
  const codes = await Promise.all(
    ["a", "b", "c", "d"].map(async (run) => (await takeOver(run, "old.3")).code),
  );
  expect(codes.filter((code) => code === 0).length).toBeGreaterThanOrEqual(1);
  // A taker that was overtaken in its last moment is fenced out by the mark itself.
  expect(["a.1", "b.1", "c.1", "d.1"]).toContain(file("fence"));
});

test("doing it again changes nothing", async () => {
  await expired(200);
  await takeOver("new", "old.3");
  writeFileSync(join(lock, "expires"), "17\n");
  expect((await takeOver("new", "old.3")).code).toBe(0);
  expect(file("expires")).toBe("17");
});

test("a mark without a time counts as held", async () => {
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, "fence"), "old.3\n");
  expect((await takeOver("new", "old.3")).code).not.toBe(0);
  expect(file("fence")).toBe("old.3");
});

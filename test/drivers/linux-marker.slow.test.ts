import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  adoptScript,
  findScript,
  parseMarker,
  releaseScript,
  renewScript,
  takeScript,
} from "../../src/drivers/linux/marker.ts";

// The scripts under the machine's own sh, on a folder of their own.
let base: string;
let lock: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "marker-"));
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
const take = (run: string, fence = "1") => sh(takeScript(lock), run, fence, `owner of ${run}`, "60");
const adopt = (run: string, fence: string) => sh(adoptScript(lock), run, fence, `owner ${fence}`, "90");
const release = (run: string) => sh(releaseScript(lock), run);
const find = async () => {
  const { code, out } = await sh(findScript(lock));
  return code === 44 ? { held: false } : parseMarker(out);
};
const left = () => (existsSync(join(base, "runbook")) ? readdirSync(join(base, "runbook")) : []);

test("one of many takes it, and the others are told", async () => {
  const codes = await Promise.all(["a", "b", "c", "d", "e"].map((run) => take(run)));
  expect(codes.map(({ code }) => code).sort()).toEqual([0, 76, 76, 76, 76]);
  expect(left()).toEqual(["lock"]);
  expect(await find()).toMatchObject({ held: true, marker: { fence: 1, secondsLeft: expect.any(Number) } });
});

test("its file holds RUN.FENCE and nothing else, as the fence compares it", async () => {
  await take("r1", "3");
  expect(readFileSync(join(lock, "fence"), "utf8")).toBe("r1.3\n");
  expect(await find()).toMatchObject({ marker: { run: "r1", fence: 3, owner: "owner of r1" } });
});

test("taking it twice is a conflict, for its own run too", async () => {
  await take("r1");
  expect(await take("r1", "2")).toMatchObject({ code: 76 });
  expect(await find()).toMatchObject({ marker: { run: "r1", fence: 1 } });
});

test("a folder that names nobody is held, and only the run whose claims stand beside it goes on", async () => {
  mkdirSync(lock, { recursive: true });
  mkdirSync(`${lock}.claim.r1`);
  writeFileSync(`${lock}.claim.r1/fence`, "");
  expect(await find()).toMatchObject({ held: true, marker: undefined });
  expect(await take("r2")).toMatchObject({ code: 76 });
  expect(await release("r2")).toMatchObject({ code: 76 });
  expect(await adopt("r1", "2")).toMatchObject({ code: 76 });
  expect(await take("r1")).toMatchObject({ code: 0 });
  expect(await find()).toMatchObject({ marker: { run: "r1" } });
  expect(left()).toEqual(["lock"]);
});

test("a resume adopts it with a higher fence, and never with a lower one", async () => {
  await take("r1", "1");
  expect(await adopt("r1", "3")).toMatchObject({ code: 0 });
  expect(await adopt("r1", "3")).toMatchObject({ code: 0 });
  expect(await adopt("r1", "2")).toMatchObject({ code: 76 });
  expect(await adopt("r2", "9")).toMatchObject({ code: 76 });
  expect(await find()).toMatchObject({ marker: { run: "r1", fence: 3, owner: "owner 3" } });
});

test("only its holder renews it", async () => {
  await take("r1", "1");
  writeFileSync(join(lock, "expires"), "5\n");
  expect(await sh(renewScript(lock), "r1", "2", "60")).toMatchObject({ code: 76 });
  expect(await sh(renewScript(lock), "r1", "1", "60")).toMatchObject({ code: 0 });
  expect(Number(readFileSync(join(lock, "expires"), "utf8"))).toBeGreaterThan(5);
});

test("it is released once or many times, and never by another run", async () => {
  await take("r1");
  expect(await release("r")).toMatchObject({ code: 76 });
  expect(await release("r2")).toMatchObject({ code: 76 });
  expect(await release("r1")).toMatchObject({ code: 0 });
  expect(await release("r1")).toMatchObject({ code: 0 });
  expect(left()).toEqual([]);
});

test("a release that was cut in the middle can be done again by its run", async () => {
  await take("r1");
  mkdirSync(`${lock}.claim.r1`);
  rmSync(join(lock, "fence"));
  expect(await release("r2")).toMatchObject({ code: 76 });
  expect(await release("r1")).toMatchObject({ code: 0 });
  expect(left()).toEqual([]);
});

test("a run's name with a dot is refused, since the fence's number follows the dot", async () => {
  expect(await take("r.1")).toMatchObject({ code: 77 });
  expect(left()).toEqual([]);
});

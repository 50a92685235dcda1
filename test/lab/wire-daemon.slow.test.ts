import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureLab, findLab, stopLab } from "../../src/cli/lab-home.ts";
import { labClient } from "../../src/lab/client.ts";

// The product from its source, so that the test plays what is there and not what was built last.
const source = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const fromSource = ["--import", import.meta.resolve("jiti/register")];
const entry = [...fromSource, source("src/cli/main.ts")];

let home: string;
let starter: ChildProcess | undefined;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "runbook-home-"));
});
afterEach(async () => {
  starter?.kill("SIGKILL");
  starter = undefined;
  await stopLab(home);
  rmSync(home, { recursive: true, force: true });
});

/** A process that starts the lab and then goes on, as `runbook run --lab` does. */
function startStarter(): ChildProcess {
  const script = join(home, "starter.ts");
  const text = `
    import { ensureLab } from ${JSON.stringify(source("src/cli/lab-home.ts"))};
    await ensureLab(${JSON.stringify(home)}, { pace: 500 }, ${JSON.stringify(entry)});
    setInterval(() => undefined, 1000);
  `;
  writeFileSync(script, text);
  starter = spawn(process.execPath, [...fromSource, script], { stdio: "ignore" });
  return starter;
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 50));
}

test("the lab outlives a starter that is killed, and is found by the next one", async () => {
  const child = startStarter();
  await until(async () => (await findLab(home)) !== undefined);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  const info = await ensureLab(home, {}, entry);
  expect(info).toEqual(await findLab(home));
  expect(info.pace).toBe(500);
  expect((await labClient(info).exec("hostname", "server1")).stdout).toBe("server1\n");
  expect(existsSync(join(home, "lab", "starting.lock"))).toBe(false);
  expect(await stopLab(home)).toBe(true);
  expect(await findLab(home)).toBeUndefined();
  expect(await stopLab(home)).toBe(false);
});

test("a starter that is killed while the lab comes up does not make a second one", async () => {
  const child = startStarter();
  const lock = join(home, "lab", "starting.lock");
  // The lock names the lab's own process as soon as there is one.
  await until(() => existsSync(lock) && !readFileSync(lock, "utf8").startsWith(`${child.pid} `));
  const coming = Number(readFileSync(lock, "utf8").split(" ")[0]);
  child.kill("SIGKILL");
  expect((await ensureLab(home, {}, entry)).pid).toBe(coming);
});

test("two who start the lab at once get the same one", async () => {
  const both = await Promise.all([
    ensureLab(home, { pace: 100 }, entry),
    ensureLab(home, { pace: 100 }, entry),
  ]);
  expect(both[0]).toEqual(both[1]);
});

test("what a dead lab left behind is replaced", async () => {
  const first = await ensureLab(home, {}, entry);
  process.kill(first.pid, "SIGKILL");
  await until(async () => (await findLab(home)) === undefined);
  expect(existsSync(join(home, "lab", "lab.json"))).toBe(true);
  const second = await ensureLab(home, {}, entry);
  expect(second.pid).not.toBe(first.pid);
  // Keys and ports stay, so that whoever knows the nodes still knows them.
  expect(second.clusters).toEqual(first.clusters);
});

test("a lab that cannot start says why", async () => {
  await expect(ensureLab(home, { pace: -1 }, entry)).rejects.toMatchObject({
    kind: "unavailable",
    message: expect.stringContaining('--pace is "-1"') as string,
  });
  expect(existsSync(join(home, "lab", "starting.lock"))).toBe(false);
});

/** The scripts of a drill under the machine's own sh, in a folder of their own; mounting itself is the lab's part. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

import {
  checkScript,
  clearScript,
  findTriedScript,
  judgeLog,
  keptBytes,
  logArgv,
  mountScript,
  parseTried,
  unmountScript,
} from "../../src/drivers/linux/drill.ts";
import { commandOf, judgeCheck, judgeMount } from "../../src/runbook/drill.ts";
import { leaveOut } from "../support/sshd.ts";

let base: string;
let folder: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "drill-"));
  folder = join(base, "runbook-drill-r1");
  mkdirSync(join(folder, "md1"), { recursive: true });
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function sh(script: string, ...args: readonly string[]): Promise<{ code: number; out: Buffer }> {
  return new Promise((resolve) => {
    execFile(
      "sh",
      ["-c", script, "test", ...args],
      { encoding: "buffer", maxBuffer: 2 ** 24 },
      (error, out) => resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out }),
    );
  });
}

const check = (name: string, argv: readonly string[], { user = "root", seconds = 20, at = "md1" } = {}) =>
  sh(checkScript, folder, name, user, String(seconds), join(folder, at), ...argv);
const find = async (name: string) => {
  const { code, out } = await sh(findTriedScript, folder, name);
  return code === 44 ? undefined : parseTried(out, "here");
};

test("what a check printed, said and ended with is kept apart", async () => {
  expect(await find("c1")).toBeUndefined();
  expect((await check("c1", ["sh", "-c", "pwd; echo two; echo trouble >&2; exit 3"])).code).toBe(0);
  expect(await find("c1")).toEqual({
    code: 3,
    why: "",
    stdout: `${join(folder, "md1")}\ntwo\n`,
    stderr: "trouble\n",
    cut: false,
  });
});

test("a check that was begun is not begun again: a second call waits for its end", async () => {
  const slow = ["sh", "-c", "echo x >> ../count; sleep 1; echo done"];
  await Promise.all([check("c1", slow), check("c1", slow), check("c1", slow)]);
  expect(readFileSync(join(folder, "count"), "utf8")).toBe("x\n");
  expect(await find("c1")).toMatchObject({ code: 0, stdout: "done\n" });
});

test("no more is kept than is told, and that it was more is told", async () => {
  await check("c1", ["sh", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"]);
  const found = await find("c1");
  expect(found).toMatchObject({ cut: true });
  expect(found?.stdout.length).toBe(keptBytes);
  await check("c2", ["sh", "-c", `head -c ${keptBytes} /dev/zero`]);
  expect(await find("c2")).toMatchObject({ code: 0, cut: false });
});

test("a check that takes too long is ended", async () => {
  await check("c1", ["sleep", "30"], { seconds: 1 });
  expect(await find("c1")).toMatchObject({ code: 124 });
});

test("what could not be begun says why, and is no exit status", async () => {
  await check("c1", ["true"], { user: "no-such-user-here" });
  await check("c2", ["true"], { at: "md9" });
  expect(await find("c1")).toMatchObject({
    code: undefined,
    why: "there is no user no-such-user-here there",
  });
  expect(await find("c2")).toMatchObject({
    code: undefined,
    why: expect.stringMatching(/^there is no folder /) as string,
  });
  await check("c3", ["/none/such"]);
  expect((await find("c3"))?.code).toBe(127);
});

// To become somebody else takes the rights of root.
test.skipIf(leaveOut(process.getuid?.() === 0 ? undefined : "only root can become somebody else"))(
  "a check runs as its user, who gains nothing and reaches its folder",
  async () => {
    await check("c1", ["sh", "-c", "id -un; grep NoNewPrivs /proc/self/status; pwd"], { user: "nobody" });
    expect((await find("c1"))?.stdout).toMatch(/^nobody\nNoNewPrivs:\t1\n.*\/md1\n$/);
  },
);

test("a file is read below its mirror, and never through a link that leads out of it", async () => {
  writeFileSync(join(folder, "md1", "a"), "one");
  writeFileSync(join(base, "secret"), "one");
  await sh('ln -s a "$1/b"; ln -s "$2/secret" "$1/c"', join(folder, "md1"), base);
  const sha256 = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
  const judged = [];
  for (const path of ["a", "b", "c", "d"]) {
    const each = { kind: "file", name: path, on: "md1", path, sha256, seconds: 20 } as const;
    await check(`c-${path}`, commandOf(each).argv);
    judged.push(judgeCheck(each, await find(`c-${path}`)));
  }
  expect(judged.map(({ result, why }) => `${result} ${why}`)).toEqual([
    "passed ",
    "passed ",
    "failed c leads out of the restored file system",
    "failed d is not there",
  ]);
});

// A real file system needs root and a loop device, which not every machine that tests has.
const loop = process.getuid?.() === 0 ? freeLoop() : undefined;
test.skipIf(leaveOut(loop === undefined ? "a real ext4 needs root and a free loop device" : undefined))(
  "an ext4 that was cut in use shows its log, is mounted as it is, and then for use",
  async () => {
    const [live, image] = [join(base, "live.img"), join(base, "cut.img")];
    const run = (script: string) =>
      execFileSync("sh", ["-ec", script], { stdio: ["ignore", "pipe", "ignore"] }).toString();
    const device = run(
      `dd if=/dev/zero of=${live} bs=1M count=32; mkfs.ext4 -q ${live}; mkdir ${base}/m; mount -o loop ${live} ${base}/m; ` +
        `echo hello > ${base}/m/a; sync; cp ${live} ${image}; umount ${base}/m; losetup -f --show ${image}`,
    ).trim();
    const point = join(folder, "md1");
    const options = () =>
      run("cat /proc/mounts")
        .split("\n")
        .find((line) => line.includes(` ${point} `))
        ?.split(" ")[3];
    try {
      const argv = logArgv("ext4", device) ?? [];
      expect(judgeLog("ext4", run(argv.join(" "))).log).toBe("dirty");
      await sh(mountScript, folder, "md1", "as-it-is", device);
      expect(await find("md1-as-it-is")).toMatchObject({ code: 0 });
      expect(options()).toMatch(/^ro,nosuid,nodev.*norecovery|^ro,nosuid,nodev.*noload/);
      await sh(unmountScript, folder, "md1");
      expect(options()).toBeUndefined();
      await sh(mountScript, folder, "md1", "writable", device);
      expect(options()).toMatch(/^rw,/);
      await check("c1", ["cat", "a"]);
      expect(await find("c1")).toMatchObject({ code: 0, stdout: "hello\n" });
      await sh(mountScript, folder, "md2", "writable", image.replace("cut", "none"));
      expect(judgeMount("md2", await find("md2-writable")).result).toBe("failed");
      expect((await sh(clearScript, folder)).code).toBe(0);
      expect(existsSync(folder)).toBe(false);
      expect(judgeLog("ext4", run(argv.join(" "))).log).toBe("clean");
    } finally {
      run(`umount ${point} || true; losetup -d ${device}`);
    }
  },
);

function freeLoop(): string | undefined {
  try {
    return execFileSync("losetup", ["-f"], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    // No such program, or no such device: then there is nothing to try it on.
    return undefined;
  }
}

test("the folder goes as a whole, and once gone it stays gone", async () => {
  await check("c1", ["true"]);
  expect((await sh(clearScript, folder)).code).toBe(0);
  expect(existsSync(folder)).toBe(false);
  expect((await sh(clearScript, folder)).code).toBe(0);
});

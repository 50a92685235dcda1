/** How disks are read through on a node: under this machine's own sh and dd, and under the lab's, which must tell the same. */
import { execFile, spawn } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { openLinux } from "../../src/drivers/linux/driver.ts";
import {
  listReadingsScript,
  parseDiskWrites,
  parseReadings,
  startReadingScript,
  stopReadingsScript,
} from "../../src/drivers/linux/read-through.ts";
import { buildLab } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import type { Reading } from "../../src/ports/nodes.ts";

interface Order {
  readonly name?: string;
  readonly boot?: string;
  readonly device?: string;
  readonly sizeBytes?: number;
}

/** What the contract of `startReading`, `listReadings` and `stopReadings` says, whoever answers. */
function suite(
  open: () => Promise<{
    /** Throws where it is refused. */
    start(order: Order): Promise<void>;
    list(): Promise<readonly Reading[]>;
    stop(): Promise<void>;
    pause(): Promise<void>;
    /** One that is over soon, and one that takes its time. */
    readonly small: { readonly device: string; readonly sizeBytes: number };
    readonly large: { readonly device: string; readonly sizeBytes: number };
    close(): void;
  }>,
) {
  let it: Awaited<ReturnType<typeof open>>;
  beforeEach(async () => void (it = await open()));
  afterEach(async () => {
    await it.stop();
    it.close();
  });
  const ended = async () => {
    for (let i = 0; i < 100; i += 1) {
      const [reading] = await it.list();
      if (reading?.state !== "reading") return reading;
      await it.pause();
    }
    throw new Error("it does not end");
  };

  test("nothing is known of a disk that nobody reads", async () => {
    expect(await it.list()).toEqual([]);
  });

  test("a disk that was read to its end is whole", async () => {
    await it.start(it.small);
    expect(await ended()).toEqual({ name: "vol-1.1", state: "whole", percent: 100, why: "" });
  });

  test("it is begun and not waited for, and tells how far it is", async () => {
    await it.start(it.large);
    await it.pause();
    const [reading] = await it.list();
    expect(reading).toMatchObject({ name: "vol-1.1", state: "reading", why: "" });
    expect(reading?.percent).toBeLessThan(100);
  });

  test("begun once, it is not begun again; another name is another reader", async () => {
    await it.start(it.small);
    const first = await ended();
    await it.start(it.large);
    expect(await it.list()).toEqual([first]);
    await it.start({ ...it.large, name: "vol-2.1" });
    expect((await it.list()).map(({ name, state }) => `${name} ${state}`)).toEqual([
      "vol-1.1 whole",
      "vol-2.1 reading",
    ]);
  });

  test("in another boot than that of the device's name nothing is read", async () => {
    await expect(it.start({ ...it.small, boot: "11111111-1111-4111-8111-111111111111" })).rejects.toThrow(
      /it was booted since its devices were looked up/,
    );
    expect(await it.list()).toEqual([]);
  });

  test("a disk that is not there, or ends too early, is not whole", async () => {
    await it.start({ ...it.small, device: "/dev/nosuchdisk" });
    expect(await ended()).toMatchObject({
      state: "failed",
      why: expect.stringMatching(
        /^dd ended with exit status 1: dd: failed to open '\/dev\/nosuchdisk': No such file/,
      ),
    });
    await it.stop();
    await it.start({ ...it.small, sizeBytes: it.small.sizeBytes + 512 });
    expect(await ended()).toMatchObject({
      state: "failed",
      why: `${it.small.sizeBytes} bytes were read; wanted ${it.small.sizeBytes + 512}`,
    });
  });

  test("when it is stopped nobody reads any more, and nothing is known of it; so it is where nothing was begun", async () => {
    await it.start(it.large);
    await it.start({ ...it.small, name: "vol-2.1" });
    await it.stop();
    expect(await it.list()).toEqual([]);
    await it.stop();
    expect(await it.list()).toEqual([]);
  });
}

describe("in the lab", () => {
  suite(async () => {
    const clock = new VirtualClock();
    const lab = buildLab({ clock, sizeGiB: 8 });
    const linux = openLinux({ shell: lab.shell, clock });
    const node = "server1";
    const [, disk] = lab.node(node).disks.list();
    const large = { device: disk?.path ?? "", sizeBytes: disk?.sizeBytes ?? 0 };
    const send = async (request: Parameters<typeof linux.send>[0]) =>
      void (await linux.send(request, { fence: undefined, limitMs: 180_000 }));
    return {
      start: ({ name = "vol-1.1", boot = lab.node(node).bootId, device = "", sizeBytes = 0 }) =>
        send(linux.requests.startReading({ node, run: "r1", name, boot, device, sizeBytes })),
      list: () => linux.reads.listReadings({ node, run: "r1" }),
      stop: () => send(linux.requests.stopReadings({ node, run: "r1" })),
      pause: () => clock.sleep(10_000),
      small: large,
      large,
      close: () => {
        expect(lab.heart.received.filter((row) => row.class === "gap")).toEqual([]);
        lab.close();
        clock.drive = false;
      },
    };
  });

  test("a boot ends it, and nothing is known of it then", async () => {
    const clock = new VirtualClock();
    const lab = buildLab({ clock });
    const linux = openLinux({ shell: lab.shell, clock });
    const { bootId, disks } = lab.node("server1");
    const on = { node: "server1", run: "r1" };
    const disk = disks.list()[1];
    const request = linux.requests.startReading({
      ...on,
      name: "vol-1.1",
      boot: bootId,
      device: disk?.path ?? "",
      sizeBytes: disk?.sizeBytes ?? 0,
    });
    await linux.send(request, { fence: undefined, limitMs: 60_000 });
    expect(await linux.reads.listReadings(on)).toMatchObject([{ state: "reading" }]);
    lab.rebootUnasked("server1");
    await clock.sleep(7_200_000);
    expect(await linux.reads.listReadings(on)).toEqual([]);
    expect(lab.heart.effects.filter(({ detail }) => detail.kind === "volume-read")).toEqual([]);
    lab.close();
    clock.drive = false;
  });
});

let base = "";
const bootHere = existsSync("/proc/sys/kernel/random/boot_id")
  ? readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
  : "";
const sh = (script: string, args: readonly string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) =>
    execFile(
      "sh",
      ["-c", script, "test", ...args],
      { env: { ...process.env, LC_ALL: "C" } },
      (error, out, err) =>
        resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out, err }),
    ),
  );
const argsOf = ({ name = "vol-1.1", boot = bootHere, device = "", sizeBytes = 0 }: Order) => [
  `${base}/readings`,
  "r1",
  name,
  boot,
  String(sizeBytes),
  device,
];
const real = {
  start: async (order: Order) => {
    const { code, err } = await sh(startReadingScript, argsOf(order));
    if (code !== 0) throw new Error(err);
  },
  list: async () => parseReadings((await sh(listReadingsScript, [`${base}/readings`, "r1"])).out, "here"),
  stop: async () => {
    expect(await sh(stopReadingsScript, [`${base}/readings`, "r1"])).toMatchObject({ code: 0, err: "" });
  },
  pause: () => sleep(100),
};
// Under /var/tmp, as a file system in memory may know no reading past the page cache.
const make = () => {
  base = mkdtempSync(join(existsSync("/var/tmp") ? "/var/tmp" : tmpdir(), "readings-"));
  const disk = (name: string, sizeBytes: number) => {
    const device = join(base, name);
    writeFileSync(device, "");
    truncateSync(device, sizeBytes);
    return { device, sizeBytes };
  };
  // No whole number of pieces; and holes alone, which are read at once, but not so many of them.
  return { small: disk("small", 2 ** 24 + 4096), large: disk("large", 2 ** 40) };
};
const clear = () => rmSync(base, { recursive: true, force: true });

describe("under this machine's sh", () => {
  suite(async () => ({ ...real, ...make(), close: clear }));
});

describe("under this machine's sh, beyond what the lab can show", () => {
  let disks: ReturnType<typeof make>;
  beforeEach(() => void (disks = make()));
  afterEach(async () => {
    await real.stop();
    clear();
  });
  const pidOf = (part: string) => Number(readFileSync(join(base, `readings/r1/vol-1.1/${part}`), "utf8"));
  const isAlive = (pid: number) =>
    existsSync(`/proc/${pid}`) && !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

  test("it outlives the session that began it, and opens its disk to be read alone", async () => {
    const session = spawn("sh", ["-c", startReadingScript, "test", ...argsOf(disks.large)], {
      detached: true,
      stdio: "ignore",
    });
    while (!existsSync(join(base, "readings/r1/vol-1.1/reader"))) await sleep(20);
    try {
      process.kill(-(session.pid ?? 0), "SIGKILL");
    } catch {
      // It was over already.
    }
    expect(await real.list()).toMatchObject([{ state: "reading" }]);
    const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/${pidOf("reader")}/fdinfo/0`, "utf8"))?.[1];
    expect(Number.parseInt(flags ?? "1", 8) & 3).toBe(0);
  });

  test("what stops it ends the reader itself, and what keeps it", async () => {
    await real.start(disks.large);
    while (!existsSync(join(base, "readings/r1/vol-1.1/reader"))) await sleep(20);
    const pids = ["reader", "pid"].map(pidOf);
    expect(pids.map(isAlive)).toEqual([true, true]);
    await real.stop();
    // The keeper ends by itself, a moment after its reader.
    for (let i = 0; i < 100 && pids.some(isAlive); i += 1) await sleep(20);
    expect(pids.map(isAlive)).toEqual([false, false]);
    expect(existsSync(join(base, "readings"))).toBe(false);
  });

  test("a reader that somebody killed has failed; so has one whose keeper is gone, and it is stopped too", async () => {
    await real.start(disks.large);
    while (!existsSync(join(base, "readings/r1/vol-1.1/reader"))) await sleep(20);
    const reader = pidOf("reader");
    process.kill(reader, "SIGKILL");
    while (isAlive(pidOf("pid"))) await sleep(20);
    expect(await real.list()).toMatchObject([{ state: "failed", why: /exit status 137/ }]);
    await real.stop();
    await real.start(disks.large);
    while (!existsSync(join(base, "readings/r1/vol-1.1/reader"))) await sleep(20);
    const left = pidOf("reader");
    const keeper = pidOf("pid");
    process.kill(keeper, "SIGKILL");
    // Until the system has forgotten it: before that, kill(1) takes it for alive.
    for (let i = 0; i < 200 && existsSync(`/proc/${keeper}`); i += 1) await sleep(50);
    expect(await real.list()).toMatchObject([{ state: "failed", why: /never seen/ }]);
    await real.stop();
    expect(isAlive(left)).toBe(false);
  });

  test("this machine's kernel counts writes and discards in the form that is read", () => {
    const stats = readdirSync("/sys/class/block").map((name) =>
      readFileSync(`/sys/class/block/${name}/stat`, "utf8"),
    );
    for (const stat of stats) {
      const { written, discarded } = parseDiskWrites(stat, "here");
      expect(written).toBeGreaterThanOrEqual(0);
      expect(discarded ?? 0).toBeGreaterThanOrEqual(0);
    }
  });

  test("what earlier runs left is taken away by the next run's first reader", async () => {
    await sh(startReadingScript, [`${base}/readings`, "old", "vol-9.1", bootHere, "1", "/dev/null"]);
    await real.start(disks.small);
    expect(existsSync(join(base, "readings/old"))).toBe(false);
  });
});

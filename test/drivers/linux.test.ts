import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseMarker } from "../../src/drivers/linux/marker.ts";
import { openLinux } from "../../src/drivers/linux/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { Output, RunOptions, Shell } from "../../src/ports/shell.ts";

const fixture = (name: string) =>
  readFileSync(new URL(`../../fixtures/linux/${name}`, import.meta.url), "utf8");
const boot = "11111111-2222-3333-4444-555555555555";

type Said = { code?: number | undefined; out?: string; err?: string };

function scripted(answer: (argv: readonly string[]) => Said | Failure) {
  const calls: { argv: readonly string[]; options: RunOptions }[] = [];
  const shell: Shell = {
    name: "scripted",
    run(_, argv, options): Promise<Output> {
      calls.push({ argv, options });
      const said = answer(argv);
      if (said instanceof Failure) return Promise.reject(said);
      const code = "code" in said ? said.code : 0;
      return Promise.resolve({
        code,
        signal: undefined,
        stdout: Buffer.from(said.out ?? ""),
        stderr: Buffer.from(said.err ?? ""),
      });
    },
    close: () => Promise.resolve(),
  };
  return { driver: openLinux({ shell, clock: { now: () => 0, sleep: () => Promise.resolve() } }), calls };
}
const reads = (said: Said | Failure) => scripted(() => said).driver.reads;

describe("boots", () => {
  test("are told by one command", async () => {
    const { driver, calls } = scripted(() => ({ out: `${boot}\n1234.56 99.00\n` }));
    expect(await driver.reads.getBoot("server1")).toEqual({ bootId: boot, uptimeSeconds: 1234.56 });
    expect(calls.map(({ argv }) => argv.slice(3))).toEqual([
      ["cat", "/proc/sys/kernel/random/boot_id", "/proc/uptime"],
    ]);
  });

  test("of a node that does not answer are nothing to findBoot, while refusal and nonsense are failures", async () => {
    await expect(reads(new Failure("unavailable", "off")).findBoot("n")).resolves.toBeUndefined();
    await expect(reads(new Failure("timeout", "hangs")).findBoot("n")).resolves.toBeUndefined();
    await expect(reads({ code: undefined }).findBoot("n")).resolves.toBeUndefined();
    await expect(reads(new Failure("denied", "no")).findBoot("n")).rejects.toMatchObject({ kind: "denied" });
    await expect(reads({ out: "lorem\n" }).findBoot("n")).rejects.toMatchObject({ kind: "invalid" });
    await expect(reads(new Failure("unavailable", "off")).getBoot("n")).rejects.toMatchObject({
      kind: "unavailable",
    });
  });
});

test("a machine id is 32 hexadecimal digits, and nothing else is taken for one", async () => {
  const id = "0123456789abcdef0123456789abcdef";
  await expect(reads({ out: `${id}\n` }).getMachineId("n")).resolves.toBe(id);
  for (const out of ["", "uninitialized\n", `${id.toUpperCase()}\n`, `${id}\n${id}\n`])
    await expect(reads({ out }).getMachineId("n")).rejects.toMatchObject({ kind: "invalid" });
  await expect(reads({ code: 1 }).getMachineId("n")).rejects.toBeInstanceOf(Failure);
});

describe("block devices", () => {
  test("carry the serial of their disk, what they lie on, and the kernel's path", async () => {
    const { driver } = scripted((argv) =>
      argv.includes("readlink") ? { out: "/dev/dm-0\n" } : { out: fixture("lsblk-tree.invented.json") },
    );
    const devices = await driver.reads.listBlockDevices("server1");
    expect(devices.find((each) => each.path === "/dev/nvme1n1p2")).toEqual({
      path: "/dev/nvme1n1p2",
      type: "part",
      serial: "vol0a000000000000002",
      sizeBytes: 20399013888,
      partUuid: "0b7f1d5e-02",
      mountPoints: [],
      under: ["/dev/nvme1n1"],
    });
    expect(devices.find((each) => each.path === "/dev/NMP1")).toMatchObject({
      serial: "vol0a000000000000002",
      mountPoints: ["/mnt/md1", "/srv/export"],
    });
    const striped = devices.filter((each) => each.type === "lvm");
    // Two disks with two serials: whose it is cannot be said in one.
    expect(striped).toMatchObject([
      { path: "/dev/dm-0", serial: undefined, under: ["/dev/nvme2n1", "/dev/nvme3n1"] },
    ]);
  });

  test("are read from an lsblk without PATH, where names are asked for as paths", async () => {
    const flat = {
      blockdevices: [
        {
          name: "/dev/nvme1n1",
          type: "disk",
          serial: "vol0a000000000000002",
          size: 1024,
          partuuid: null,
          mountpoint: null,
          pkname: null,
        },
        {
          name: "/dev/nvme1n1p1",
          type: "part",
          serial: null,
          size: 512,
          partuuid: "x-01",
          mountpoint: "/mnt",
          pkname: "/dev/nvme1n1",
        },
      ],
    };
    const { driver, calls } = scripted((argv) =>
      argv.includes("-p") ? { out: JSON.stringify(flat) } : { code: 1, err: "lsblk: unknown column: PATH\n" },
    );
    expect(await driver.reads.listBlockDevices("server1")).toMatchObject([
      { path: "/dev/nvme1n1" },
      {
        path: "/dev/nvme1n1p1",
        serial: "vol0a000000000000002",
        mountPoints: ["/mnt"],
        under: ["/dev/nvme1n1"],
      },
    ]);
    expect(calls).toHaveLength(3);
  });

  test("are read from an lsblk that has MOUNTPOINT only", async () => {
    const { driver, calls } = scripted((argv) =>
      argv.at(-1)?.includes("MOUNTPOINTS")
        ? { code: 1, err: "lsblk: unknown column: MOUNTPOINTS\n" }
        : { out: fixture("lsblk-older.invented.json") },
    );
    expect(await driver.reads.listBlockDevices("server1")).toMatchObject([
      { path: "/dev/xvda", mountPoints: [], under: [], serial: undefined },
      { path: "/dev/xvda1", sizeBytes: 8587837440, mountPoints: ["/"], under: ["/dev/xvda"] },
      { path: "/dev/xvdf" },
    ]);
    expect(calls).toHaveLength(2);
  });

  test("are read from a flat list", async () => {
    expect(await reads({ out: fixture("lsblk-flat.invented.json") }).listBlockDevices("n")).toMatchObject([
      { path: "/dev/sda", under: [] },
      { path: "/dev/sda1", under: ["/dev/sda"], serial: "0001" },
      { path: "/dev/md0", type: "raid", under: ["/dev/sda1"], serial: "0001" },
    ]);
  });

  test.each([
    "lorem",
    "{}",
    '{"blockdevices":[1]}',
    '{"blockdevices":[{"name":"sda","size":null}]}',
    '{"blockdevices":[{"size":1}]}',
  ])("that are not understood are refused: %s", async (out) =>
    expect(reads({ out }).listBlockDevices("n")).rejects.toMatchObject({ kind: "invalid" }),
  );
});

test("a path is resolved, absent, or refused", async () => {
  await expect(
    reads({ out: "/dev/nvme1n1p2\n" }).resolvePath({ node: "n", path: "/dev/disk/by-partuuid/x" }),
  ).resolves.toBe("/dev/nvme1n1p2");
  await expect(reads({ code: 1 }).resolvePath({ node: "n", path: "/dev/none" })).resolves.toBeUndefined();
  await expect(reads({ code: undefined }).resolvePath({ node: "n", path: "/dev/x" })).rejects.toMatchObject({
    kind: "unavailable",
  });
  await expect(reads({}).resolvePath({ node: "n", path: "-f" })).rejects.toMatchObject({ kind: "invalid" });
});

describe("holders of a mount", () => {
  test("are listed with their names, and are none where nothing is mounted", async () => {
    await expect(
      reads({ out: "12 postgres\n34 bash\n" }).listHolders({ node: "n", mountPoint: "/mnt/md1" }),
    ).resolves.toEqual(["12 postgres", "34 bash"]);
    await expect(reads({ out: "" }).listHolders({ node: "n", mountPoint: "/mnt/md1" })).resolves.toEqual([]);
  });

  test("come from the links below /proc where fuser is missing", async () => {
    const { driver } = scripted((argv) =>
      argv.includes("find")
        ? { code: 1, out: "/proc/12/cwd\n/proc/12/fd/3\n/proc/34/fd/9\n" }
        : argv.includes("grep")
          ? { code: 2, out: "/proc/12/comm:postgres\n" }
          : { code: 43 },
    );
    await expect(driver.reads.listHolders({ node: "n", mountPoint: "/mnt/md1" })).resolves.toEqual([
      "12 postgres",
      "34",
    ]);
  });
});

describe("the marker", () => {
  test("is read with the seconds left by the node's own clock", () => {
    expect(parseMarker("1000\nr1.4\n1060\nuser@machine pid 7\n")).toEqual({
      held: true,
      marker: { run: "r1", owner: "user@machine pid 7", fence: 4, secondsLeft: 60 },
    });
  });

  test.each(["1000\n\n\n\n", "1000\nlorem\n1060\nx\n", "1000\nr1.4\n\nx\n", "", "r1.4\n"])(
    "that is not understood is held: %j",
    (text) => {
      expect(parseMarker(text)).toMatchObject({ held: true, marker: undefined });
    },
  );

  test("that may not be read is held, and one that is not there is not", async () => {
    await expect(
      reads({ code: 44, err: "cat: x: Permission denied\n" }).getMarker("n"),
    ).resolves.toMatchObject({ held: true, marker: undefined });
    await expect(
      reads({ code: 44, err: "cat: x: No such file or directory\n" }).getMarker("n"),
    ).resolves.toEqual({ held: false });
    await expect(reads({ code: undefined }).getMarker("n")).rejects.toMatchObject({ kind: "unavailable" });
  });

  const { requests } = scripted(() => ({})).driver;
  const take = requests.takeMarker({ node: "n", run: "r1", owner: "me", fence: "1", seconds: 60 });
  const renew = requests.renewMarker({ node: "n", run: "r1", fence: "1", seconds: 60 });
  const release = requests.releaseMarker({ node: "n", run: "r1" });

  test("is taken without a fence, and renewed and released behind it", async () => {
    const { driver, calls } = scripted(() => ({}));
    for (const request of [take, renew, release])
      await driver.send(request, { limitMs: 1000, fence: "r1.1" });
    expect(calls.map(({ argv }) => argv.includes("runbook-fence"))).toEqual([false, true, true]);
    expect(calls.every(({ options }) => options.stdin === "" && options.timeoutMs === 1000)).toBe(true);
  });

  test("of another run is a conflict in which nothing happened", async () => {
    const send = (said: Said, request = take) =>
      scripted(() => said).driver.send(request, { limitMs: 1000, fence: "r1.1" });
    await expect(send({ code: 76, err: "runbook: held: r0.1\n" })).rejects.toMatchObject({
      kind: "conflict",
      happened: "no",
    });
    await expect(
      send({ code: 75, err: "runbook: the marker on this node is not r1.1\n" }, renew),
    ).rejects.toMatchObject({ kind: "conflict", happened: "no" });
    await expect(send({ code: undefined })).rejects.toMatchObject({ kind: "unavailable", happened: "maybe" });
  });

  test("that is gone is released, and another's stays", async () => {
    const fencedOut = { code: 75, err: "runbook: the marker on this node is not r1.1\n" };
    const send = (found: Said) =>
      scripted((argv) =>
        argv.includes("runbook-fence")
          ? fencedOut
          : argv.includes("runbook-find-marker")
            ? found
            : { code: 76 },
      ).driver.send(release, { limitMs: 1000, fence: "r1.1" });
    await expect(send({ code: 44 })).resolves.toMatchObject({ code: 0 });
    await expect(send({ out: "1000\nr2.1\n1060\nx\n" })).rejects.toMatchObject({
      kind: "conflict",
      happened: "no",
    });
    await expect(send({ out: "1000\n\n\n\n" })).rejects.toMatchObject({ kind: "conflict", happened: "no" });
  });
});

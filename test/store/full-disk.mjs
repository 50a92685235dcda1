/**
 * `node full-disk.mjs FOLDER`: a run on a disk that is really full, and that really turns read-only. FOLDER is a file system
 * of its own, small, mounted for this process alone (full-disk.slow.test.ts). Prints what it met as JSON.
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readdirSync, rmSync, statfsSync, writeSync } from "node:fs";
import { createJiti } from "jiti";

const { openStore } = await createJiti(import.meta.url).import("../../src/store/store.ts");
const [folder] = process.argv.slice(2);
const seen = [];
const living = new Set([1]);
const open = (pid) => {
  const self = {
    host: "h",
    machineId: "m",
    bootId: "b",
    pidNamespace: "p",
    pid,
    started: `${pid}`,
    user: "u",
  };
  const startOf = (other) => (living.has(other) ? `${other}` : undefined);
  living.add(pid);
  return openStore(`${folder}/store`, {
    machine: { self, uid: process.getuid(), startOf },
    reserveBytes: 2 ** 16,
  });
};
const told = async (what, ask) => {
  try {
    await ask();
    seen.push({ what });
  } catch ({ kind, message, hint }) {
    seen.push({ what, kind, message, hint });
  }
};

function fill() {
  const fd = openSync(`${folder}/filler`, "a");
  for (const size of [4096, 64, 1])
    try {
      for (;;) if (writeSync(fd, Buffer.alloc(size)) === 0) break;
    } catch (thrown) {
      if (thrown.code !== "ENOSPC") throw thrown;
    }
  closeSync(fd);
}

const first = await open(1).create({ kind: "start", body: {} }, 1, "run1");
const rows = async (writer, count) => {
  for (let i = 0; i < count; i += 1) await writer.append("sent", { i, text: "x".repeat(300) }, 2);
};
await told("before", () => rows(first, 20));
fill();
await told("on the full disk", () => rows(first, 200));
const acknowledged = first.rows().length;
first.releaseReserve();
await told("the way back, in the room that was kept", () => rows(first, 50));
await told("a new run", () => open(3).create({ kind: "start", body: {} }, 3, "run2"));
living.delete(1);
rmSync(`${folder}/filler`);
let second;
await told("a takeover", async () => (second = await open(2).takeOver("run1", 3)));
fill();
living.delete(2);
let third;
await told("a takeover on the full disk", async () => (third = await open(4).takeOver("run1", 4)));
await told("its way back", () => rows(third, 20));
const whole = third.rows();
await told("the end", () => third.close());
for (const writer of [first, second]) await writer.close();
execFileSync("mount", ["-o", "remount,ro", folder]);
await told("a takeover on the disk made read-only", () => open(5).takeOver("run1", 5));
await told("a lease there", () =>
  open(5).takeLease("prod", { run: "run1", owner: "u", since: 0, expiresAt: 9 }, 0),
);
const read = await open(6).read("run1");
process.stdout.write(
  JSON.stringify({
    seen,
    acknowledged,
    same: read.rows.map(({ sum }) => sum).join() === whole.map(({ sum }) => sum).join(),
    rows: read.rows.length,
    runs: readdirSync(`${folder}/store/runs`),
    free: statfsSync(folder).bavail,
  }),
);

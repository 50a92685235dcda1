/* global process, Buffer */
"use strict";
/**
 * Kills the process that it was loaded into (`node --require`), at one row of a run's journal. The product knows nothing
 * of it: it stands around node's own `write` and `fdatasync`, and tells a journal by its path alone.
 *
 * CRASH_AT is JSON: a list of points, of which the one that comes first is met. A point has `when`: "before" (nothing of
 * the row is written), "torn" (a part of it), "written" (all of it, not yet synced) or "synced"; and the row: its `key`
 * as `keyOf` makes it, and `nth`, which of the rows with this key that this process writes. Rows that are written together
 * count one by one. The point's `id` goes into the file CRASH_LOG.
 */
const fs = require("node:fs");
const { syncBuiltinESMExports } = require("node:module");

const points = JSON.parse(process.env.CRASH_AT ?? "[]");
const log = process.env.CRASH_LOG;
delete process.env.CRASH_AT;
delete process.env.CRASH_LOG;

const isJournal = (fd) => {
  try {
    return /\/runs\/[^/]+\/\d{4,}\.jsonl$/.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    // A descriptor without a name is no file of a journal.
    return false;
  }
};

function die(point) {
  fs.writeFileSync(log, point.id);
  process.kill(process.pid, "SIGKILL");
  // The signal is on its way; not one more instruction of the product may run.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function keyOf({ kind, body }) {
  return [kind, body.unit, body.request?.verb ?? body.verb].filter((part) => part !== undefined).join(" ");
}

const met = new Map();

/** Where the first row of a point begins and ends in these bytes, if there is one among them. */
function findRow(bytes) {
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(10, start);
    if (newline < 0) return undefined;
    const key = keyOf(JSON.parse(bytes.toString("utf8", start, newline)));
    const nth = (met.get(key) ?? 0) + 1;
    met.set(key, nth);
    const point = points.find((each) => each.key === key && each.nth === nth);
    if (point) return { point, start, end: newline + 1 };
    start = newline + 1;
  }
  return undefined;
}

if (points.length > 0) {
  const { writeSync, write, fdatasync, fdatasyncSync, fsync } = fs;
  let atSync;

  const meet = (fd, bytes) => {
    if (atSync !== undefined || !isJournal(fd)) return;
    const row = findRow(bytes);
    if (row === undefined) return;
    const { point, start, end } = row;
    if (point.when === "synced") {
      atSync = { fd, point };
      return;
    }
    // Torn: at least one byte is there, and at least the newline is missing.
    const torn = start + 1 + Math.floor(point.cut * (end - start - 2));
    const until = point.when === "before" ? start : point.when === "torn" ? torn : end;
    if (until > 0) writeSync(fd, bytes.subarray(0, until));
    die(point);
  };
  const bytesOf = (data) =>
    typeof data === "string" ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength);

  fs.writeSync = function (fd, data, ...rest) {
    meet(fd, bytesOf(data));
    return writeSync.call(fs, fd, data, ...rest);
  };
  fs.write = function (fd, data, ...rest) {
    meet(fd, bytesOf(data));
    return write.call(fs, fd, data, ...rest);
  };
  const thenDie = (sync) => (fd, done) =>
    sync.call(fs, fd, (...answer) => {
      if (fd === atSync?.fd) die(atSync.point);
      done(...answer);
    });
  fs.fdatasync = thenDie(fdatasync);
  fs.fsync = thenDie(fsync);
  fs.fdatasyncSync = (fd) => {
    fdatasyncSync.call(fs, fd);
    if (fd === atSync?.fd) die(atSync.point);
  };
  // The product imports these by name, and an import by name follows only after this.
  syncBuiltinESMExports();
}

/* global require, process, Buffer */
"use strict";
/**
 * Kills the process that it was loaded into (`node --require`), at one row of a run's journal. The product knows nothing
 * of it: it stands around node's own `write` and `fdatasync`, and tells a journal by its path alone.
 *
 * CRASH_AT is JSON: `when` is "before" (nothing of the row is written), "torn" (a part of it), "written" (all of it, not
 * yet synced) or "synced"; the row is named by its number (`n`), or by what it says (`kind`, `unit`, `verb`). Rows that
 * are written together count one by one.
 */
const fs = require("node:fs");
const { syncBuiltinESMExports } = require("node:module");

const at = JSON.parse(process.env.CRASH_AT ?? "null");
delete process.env.CRASH_AT;

const isJournal = (fd) => {
  try {
    return /\/runs\/[^/]+\/\d{4,}\.jsonl$/.test(fs.readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    // A descriptor without a name is no file of a journal.
    return false;
  }
};

function die() {
  process.kill(process.pid, "SIGKILL");
  // The signal is on its way; not one more instruction of the product may run.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function isTheRow(line) {
  if (at.n !== undefined) return line.startsWith(`{"n":${at.n},`);
  const { kind, body } = JSON.parse(line);
  return (
    kind === at.kind &&
    (at.unit === undefined || body.unit === at.unit) &&
    (at.verb === undefined || (body.request?.verb ?? body.verb) === at.verb)
  );
}

/** Where the row begins and ends in these bytes, if it is among them. */
function findRow(bytes) {
  for (let start = 0; start < bytes.length;) {
    const newline = bytes.indexOf(10, start);
    const end = newline < 0 ? bytes.length : newline + 1;
    if (newline >= 0 && isTheRow(bytes.toString("utf8", start, newline))) return { start, end };
    start = end;
  }
  return undefined;
}

if (at !== null) {
  const { writeSync, write, fdatasync, fdatasyncSync, fsync } = fs;
  let dieAtSync;

  const meet = (fd, bytes) => {
    if (dieAtSync !== undefined || !isJournal(fd)) return;
    const row = findRow(bytes);
    if (row === undefined) return;
    if (at.when === "synced") {
      dieAtSync = fd;
      return;
    }
    // Torn: at least one byte is there, and at least the newline is missing.
    const torn = row.start + 1 + Math.floor((at.cut ?? 0.5) * (row.end - row.start - 1));
    const until = at.when === "before" ? row.start : at.when === "torn" ? torn : row.end;
    if (until > 0) writeSync(fd, bytes.subarray(0, until));
    die();
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
  const thenDie =
    (sync) =>
    (fd, done) =>
      sync.call(fs, fd, (...answer) => {
        if (fd === dieAtSync) die();
        done(...answer);
      });
  fs.fdatasync = thenDie(fdatasync);
  fs.fsync = thenDie(fsync);
  fs.fdatasyncSync = (fd) => {
    fdatasyncSync.call(fs, fd);
    if (fd === dieAtSync) die();
  };
  // The product imports these by name, and an import by name follows only after this.
  syncBuiltinESMExports();
}

/** What a node says of its readers and its disks. Written by hand after dd of coreutils and the kernel's Documentation/block. */
import { expect, test } from "vitest";

import { progressOf } from "../../src/cli/progress.ts";
import { parseDiskWrites, parseReadings } from "../../src/drivers/linux/read-through.ts";

const copied = (bytes: number) =>
  `2+0 records in 2+0 records out ${bytes} bytes (34 MB, 32 MiB) copied, 0.02 s, 1.4 GB/s`;

test("a reader is whole only if as many bytes were read as the volume has", () => {
  const [whole, short, silent] = parseReadings(
    [
      `vol-1.1 0 33554432 - ${copied(33554432)}`,
      `vol-2.1 0 33554432 - ${copied(16777216)}`,
      "vol-3.1 0 33554432 - ",
    ].join("\n"),
    "server1",
  );
  expect(whole).toEqual({ name: "vol-1.1", state: "whole", percent: 100, why: "" });
  expect(short).toMatchObject({ state: "failed", why: "16777216 bytes were read; wanted 33554432" });
  expect(silent).toMatchObject({
    state: "failed",
    why: "it is not known how many bytes were read; wanted 33554432",
  });
});

test("an I/O error is told in dd's own words, and steers no terminal", () => {
  const [failed] = parseReadings(
    `vol-1.1 1 1000 - dd: error reading '/dev/nvme1n1': Input/output error\u001b[31m 0+0 records in 0+0 records out 0 bytes copied, 1 s, 0.0 kB/s`,
    "server1",
  );
  expect(failed).toEqual({
    name: "vol-1.1",
    state: "failed",
    percent: 0,
    why: "dd ended with exit status 1: dd: error reading '/dev/nvme1n1': Input/output error [31m",
  });
});

test("one that reads is never at 100 percent before it has ended, and one that was lost has failed", () => {
  const readings = parseReadings(
    "vol-1.1 reading 1000 - \nvol-2.1 reading 1000 555 \nvol-3.1 reading 1000 1000 \nvol-4.1 lost 1000 - ",
    "server1",
  );
  expect(readings.map(({ state, percent }) => `${state} ${percent}`)).toEqual([
    "reading 0",
    "reading 55",
    "reading 99",
    "failed 0",
  ]);
});

test("what cannot be read is no answer", () => {
  expect(() => parseReadings("garbled", "server1")).toThrow(/server1 tells of a reader in words/);
  expect(() => parseDiskWrites("0 0 x", "server1")).toThrow(/server1 counts the writes/);
});

test("writes and discards are the 7th and the 14th number; an old kernel has no 14th", () => {
  expect(parseDiskWrites("  91 0 728 12 4 0 32 5 0 8 17 3 0 24 1 2 9\n", "n")).toEqual({
    written: 32,
    discarded: 24,
  });
  expect(parseDiskWrites("91 0 728 12 4 0 32 5 0 8 17\n", "n")).toEqual({
    written: 32,
    discarded: undefined,
  });
});

test("the live view tells of the slowest reader of a node", () => {
  const answer = [
    { name: "vol-1.1", state: "whole", percent: 100, why: "" },
    { name: "vol-2.1", state: "reading", percent: 40, why: "" },
  ];
  expect(progressOf('nodes.listReadings {"node":"server1","run":"r1"}', answer)).toEqual({
    about: "reading on server1",
    text: "2 volumes on server1 read to 40 %",
    percent: 40,
  });
  expect(progressOf('nodes.listReadings {"node":"server1","run":"r1"}', [])).toBeUndefined();
});

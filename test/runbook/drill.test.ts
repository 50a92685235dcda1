import { describe, expect, it } from "vitest";

import { judgeLog, parseMounts, parseTried } from "../../src/drivers/linux/drill.ts";
import type { Tried } from "../../src/ports/nodes.ts";
import type { DrillCheck } from "../../src/runbook/drill-setting.ts";
import {
  dataMirrorsIn,
  judgeCheck,
  judgeLogOf,
  judgeMount,
  sayNumbers,
  verdictOf,
} from "../../src/runbook/drill.ts";

const command: Extract<DrillCheck, { kind: "command" }> = {
  kind: "command",
  name: "c",
  on: "md1",
  user: "nobody",
  seconds: 9,
  argv: ["x"],
  stdout: null,
  matches: null,
};
const ended = (code: number | undefined, stdout = "", stderr = "", more: Partial<Tried> = {}): Tried => ({
  code,
  why: "",
  stdout,
  stderr,
  cut: false,
  ...more,
});
const result = (each: DrillCheck, tried: Tried | undefined) => judgeCheck(each, tried).result;

describe("a check", () => {
  it("passes by its exit status alone, or by what it printed", () => {
    expect(result(command, ended(0, "anything"))).toBe("passed");
    expect(result({ ...command, stdout: "1" }, ended(0, "1\n"))).toBe("passed");
    expect(result({ ...command, stdout: "1" }, ended(0, "1\n\n"))).toBe("failed");
    expect(result({ ...command, stdout: "" }, ended(0, "x"))).toBe("failed");
    expect(result({ ...command, matches: "^rows: [1-9]" }, ended(0, "a\nrows: 7\n"))).toBe("passed");
    expect(result({ ...command, matches: "^rows: [1-9]" }, ended(0, "rows: 0\n"))).toBe("failed");
    expect(result({ ...command, stdout: "1" }, ended(1, "1\n"))).toBe("failed");
  });

  it("proves nothing where it did not come to an answer", () => {
    const none = [
      undefined,
      ended(undefined, "", "", { why: "there is no user" }),
      ended(124),
      ended(126),
      ended(127),
      ended(137),
      ended(0, "1", "", { cut: true }),
    ];
    expect(none.map((tried) => result({ ...command, stdout: "1" }, tried))).toEqual(
      none.map(() => "not proven"),
    );
  });

  it("over HTTP is failed by an answer, and not proven by none", () => {
    const http = {
      kind: "http",
      name: "h",
      url: "http://x/",
      status: 200,
      contains: "ok",
      seconds: 9,
    } as const;
    expect(result(http, ended(0, "all ok\nrunbook-status=200"))).toBe("passed");
    expect(result(http, ended(0, "bad\nrunbook-status=200"))).toBe("failed");
    expect(result(http, ended(0, "ok\nrunbook-status=500"))).toBe("failed");
    expect(result(http, ended(7, "", "curl: (7) refused"))).toBe("not proven");
    expect(result(http, ended(0, "ok"))).toBe("not proven");
  });
});

describe("a file system", () => {
  it("is held to a clean log only where the point is called quiesced", () => {
    const of = (log: string, consistency: string) => judgeLogOf("md1", { log, why: "w" }, consistency).result;
    expect(["clean", "dirty", "unknown"].map((log) => of(log, "quiesced"))).toEqual([
      "passed",
      "failed",
      "not proven",
    ]);
    expect(["dirty", "unknown"].map((log) => of(log, "crash-consistent"))).toEqual(["passed", "passed"]);
  });

  it("that cannot be mounted fails, unless the scratch node does not know it", () => {
    expect(judgeMount("m", ended(0)).result).toBe("passed");
    expect(judgeMount("m", ended(32, "", "mount: bad superblock")).result).toBe("failed");
    expect(judgeMount("m", ended(32, "", "mount: unknown filesystem type 'xfs'.")).result).toBe("not proven");
    expect(judgeMount("m", undefined).result).toBe("not proven");
  });

  it("tells of its log in the words of xfsprogs and e2fsprogs, and of nothing else", () => {
    const xfs = (state: string) => judgeLog("xfs", `    log tail: 451 head: 460 state: ${state}\n`).log;
    expect([xfs("<CLEAN>"), xfs("<DIRTY>"), xfs("<ODD>")]).toEqual(["clean", "dirty", "unknown"]);
    const ext = (features: string, state: string) =>
      judgeLog("ext4", `Filesystem features:      ${features}\nFilesystem state:         ${state}\n`).log;
    expect(ext("has_journal extent", "clean")).toBe("clean");
    expect(ext("has_journal needs_recovery extent", "clean")).toBe("dirty");
    expect(ext("has_journal", "not clean")).toBe("unknown");
    expect(judgeLog("ext4", "").log).toBe("unknown");
  });
});

describe("a drill", () => {
  const said = (...results: ("passed" | "failed" | "not proven")[]) =>
    verdictOf(results.map((each) => ({ name: "", result: each, why: "" })));

  it("is green only when everything passed, and something was looked at", () => {
    expect(said("passed", "passed")).toBe("passed");
    expect(said("passed", "not proven")).toBe("not proven");
    expect(said("not proven", "failed", "passed")).toBe("failed");
    expect(said()).toBe("not proven");
  });

  it("says how long each phase took, against the target", () => {
    const at = (minutes: number) => Date.UTC(2026, 0, 2) + minutes * 60_000;
    const times = { begun: at(0), ready: at(5), found: at(6), mounted: at(7), checked: at(12) };
    expect(sayNumbers({ ...times, cutAt: "2026-01-01T00:00:00.000Z", targetMinutes: 12 })).toEqual([
      "recovery time 12.0 min (volumes 5.0 min, attached and found 60 s, mounted 60 s, checked 5.0 min); the target is 12 min: met",
      "the point was 24.0 h old",
    ]);
  });

  it("knows the mirrors whose data a volume holds", () => {
    expect(dataMirrorsIn("md1:data+md1:cluster+md2:data")).toEqual(["md1", "md2"]);
    expect(dataMirrorsIn("md1:cluster")).toEqual([]);
    expect(dataMirrorsIn("")).toEqual([]);
  });
});

describe("what the scratch node tells", () => {
  it("is read with its blanks, and refused where it cannot be read", () => {
    expect(parseMounts("/dev/a /mnt/a\\040b xfs ro,norecovery 0 0\n")).toEqual([
      { device: "/dev/a", point: "/mnt/a b", type: "xfs", options: ["ro", "norecovery"] },
    ]);
    const bytes = (text: string) => new TextEncoder().encode(text);
    expect(parseTried(bytes("3\n4\nout\nerr"), "n")).toMatchObject({
      code: 3,
      stdout: "out\n",
      stderr: "err",
    });
    for (const wrong of ["", "x\n0\n", "0\n", "0\nmany\n"])
      expect(() => parseTried(bytes(wrong), "n")).toThrow("cannot be read");
  });
});

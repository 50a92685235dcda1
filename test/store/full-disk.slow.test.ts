/** The store on a real file system that is full, and that turns read-only: small, in memory, and mounted for one process. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { leaveOut } from "../support/sshd.ts";

const mount = 'mount -t tmpfs -o size=400k tmpfs "$1"';
const inPrivate = (script: string, folder: string) =>
  spawnSync("unshare", ["-m", "sh", "-c", script, "sh", folder], { encoding: "utf8" });

const folder = mkdtempSync(join(tmpdir(), "runbook-full-"));
const refused =
  process.getuid?.() === 0 && inPrivate(mount, folder).status === 0
    ? undefined
    : "a small file system of its own needs root, and `unshare -m` that may mount";

describe.skipIf(leaveOut(refused))("on a disk that is really full, or read-only,", () => {
  test("rows are refused with what to do, the kept room serves the way back, and nothing acknowledged is lost", () => {
    const script = join(import.meta.dirname, "full-disk.mjs");
    const ran = inPrivate(`${mount} && exec node '${script}' "$1"`, folder);
    rmSync(folder, { recursive: true });
    expect(ran.stderr).toBe("");
    const { seen, acknowledged, same, rows, runs, free } = JSON.parse(ran.stdout) as {
      seen: { what: string; kind?: string; message?: string; hint?: string }[];
      acknowledged: number;
      same: boolean;
      rows: number;
      runs: string[];
      free: number;
    };
    const full = { kind: "unavailable", hint: "make room on the disk that holds $RUNBOOK_HOME" };
    const readOnly = {
      kind: "unavailable",
      hint: "the disk that holds $RUNBOOK_HOME is read-only; look at the system's log for why",
    };
    expect(seen).toEqual([
      { what: "before" },
      { what: "on the full disk", ...full, message: expect.any(String) as string },
      { what: "the way back, in the room that was kept" },
      { what: "a new run", ...full, message: expect.stringMatching(/run2.*ENOSPC|making/) as string },
      { what: "a takeover" },
      { what: "a takeover on the full disk" },
      { what: "its way back" },
      { what: "the end" },
      {
        what: "a takeover on the disk made read-only",
        ...readOnly,
        message: expect.stringContaining("run1") as string,
      },
      { what: "a lease there", ...readOnly, message: expect.any(String) as string },
    ]);
    expect(acknowledged).toBeGreaterThan(20);
    expect([same, rows > acknowledged + 70]).toEqual([true, true]);
    expect(runs.filter((name) => !name.startsWith(".draft-"))).toEqual(["run1"]);
    expect(free).toBeLessThan(100);
  });
});

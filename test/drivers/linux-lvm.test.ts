/** What LVM says of a node, and the scripts that change its devices file: played by a real shell, over commands that are made up. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

import { openLinux } from "../../src/drivers/linux/driver.ts";
import {
  hideScript,
  importScript,
  keepScript,
  parseDevicesFile,
  parseLogical,
  parsePhysical,
  showScript,
} from "../../src/drivers/linux/lvm.ts";
import type { Shell } from "../../src/ports/shell.ts";

const report = (kind: string, rows: readonly object[]) => JSON.stringify({ report: [{ [kind]: rows }] });

describe("what LVM reports", () => {
  test("is its physical volumes, and its logical volumes with their device while they are active", () => {
    const pv = { pv_name: "/dev/nvme1n1p1", vg_name: "vg_md1" };
    expect(parsePhysical(report("pv", [pv, { pv_name: "/dev/nvme2n1", vg_name: "" }]), "n")).toEqual([
      { device: "/dev/nvme1n1p1", group: "vg_md1" },
      { device: "/dev/nvme2n1", group: "" },
    ]);
    const lv = { vg_name: "vg_md1", lv_name: "data", lv_dm_path: "/dev/mapper/vg_md1-data" };
    expect(
      parseLogical(
        report("lv", [
          { ...lv, lv_active: "active" },
          { ...lv, lv_active: "" },
        ]),
        "n",
      ),
    ).toEqual([
      { group: "vg_md1", name: "data", device: "/dev/mapper/vg_md1-data" },
      { group: "vg_md1", name: "data", device: undefined },
    ]);
  });

  test.each([
    ["nothing", ""],
    ["half of it", report("pv", [{ pv_name: "/dev/sda", vg_name: "x" }]).slice(0, 30)],
    ["a list alone", "[]"],
    ["another report", report("lv", [])],
    ["rows that are none", JSON.stringify({ report: [{ pv: ["/dev/sda"] }] })],
    ["a row without its group", report("pv", [{ pv_name: "/dev/sda" }])],
    ["a name that is a number", report("pv", [{ pv_name: 1, vg_name: "x" }])],
  ])("is refused where it is %s", (_what, said) => {
    expect(() => parsePhysical(said, "server1")).toThrow(
      expect.objectContaining({
        kind: "invalid",
        message: expect.stringMatching(/^pvs on server1: /) as unknown,
      }),
    );
  });

  test("has of a devices file the lines that list a device", () => {
    const line = "IDTYPE=sys_wwid IDNAME=nvme.1 DEVNAME=/dev/nvme1n1 PVID=a";
    expect(parseDevicesFile(`# LVM uses devices\nVERSION=1.1.1\n${line}\n\n`)).toEqual([line]);
  });

  test("is nothing where LVM is not installed, and the kernel's own names where it is", async () => {
    const shell = (said: (argv: string) => readonly [number, string]): Shell => ({
      name: "scripted",
      run: async (_node, argv) => {
        const [code, out] = said(argv.slice(3).join(" "));
        return { code, signal: undefined, stdout: Buffer.from(out), stderr: Buffer.from("") };
      },
      close: async () => undefined,
    });
    const clock = { now: () => 0, sleep: async () => undefined };
    const without = openLinux({ shell: shell(() => [127, ""]), clock });
    expect(await without.reads.findLvm("n")).toBeUndefined();
    const dm = "/dev/mapper/vg_md1-data";
    const lv = { vg_name: "vg_md1", lv_name: "data", lv_dm_path: dm, lv_active: "active" };
    const withIt = openLinux({
      clock,
      shell: shell((argv) => {
        if (argv.startsWith("pvs ")) return [0, report("pv", [{ pv_name: "/dev/sdb", vg_name: "vg_md1" }])];
        if (argv.startsWith("lvs ")) return [0, report("lv", [lv])];
        if (argv.endsWith(" runbook-mapped")) return [0, `${dm} /dev/dm-3\n`];
        return [45, ""];
      }),
    });
    expect(await withIt.reads.findLvm("n")).toEqual({
      entries: undefined,
      physical: [{ device: "/dev/sdb", group: "vg_md1" }],
      logical: [{ group: "vg_md1", name: "data", device: "/dev/dm-3" }],
    });
  });
});

const head = "# LVM uses devices listed in this file.\nVERSION=1.1.1\n";
const old = "IDTYPE=sys_wwid IDNAME=old DEVNAME=/dev/nvme1n1p1 PVID=aaa PART=1";
const other = "IDTYPE=sys_wwid IDNAME=other DEVNAME=/dev/nvme2n1p1 PVID=bbb PART=1";
const renamed = other.replace("/dev/nvme2n1p1", ".");
const added = "IDTYPE=sys_wwid IDNAME=new DEVNAME=/dev/nvme2n1p1 PVID=aaa PART=1";

/** A node of files: `lvmdevices` puts a line in the place of one with the same physical volume, and changes another's name. */
function node(lines: readonly string[] | undefined) {
  const folder = mkdtempSync(join(tmpdir(), "runbook-lvm-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "devices");
  if (lines) writeFileSync(file, `${head}${lines.join("\n")}\n`);
  const command = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\necho "${name} $*" >> ${folder}/calls\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  command(
    "lvmdevices",
    `if [ "$2" = --adddev ]; then grep -v PVID=aaa ${file} | sed 's#/dev/nvme2n1p1#.#' > ${file}.new
echo '${added}' >> ${file}.new; mv ${file}.new ${file}; fi`,
  );
  command("pvs", `case "$*" in *vg_uuid*) echo "  uu-id" ;; *vg_name*) echo "  vg_md1" ;; esac`);
  command("vgchange", "");
  command("vgimportclone", "");
  return {
    run(script: string, ...args: readonly string[]) {
      const text = script.replaceAll("/etc/lvm/devices/system.devices", file);
      const env = { PATH: `${folder}:/usr/bin:/bin` };
      return spawnSync("sh", ["-c", text, "runbook-test", ...args], { env, encoding: "utf8" });
    },
    lines: () => readFileSync(file, "utf8").slice(head.length).trim().split("\n"),
    calls: () =>
      execFileSync("cat", [join(folder, "calls")], { encoding: "utf8" })
        .trim()
        .split("\n"),
  };
}

describe("the devices file", () => {
  test("lists a device beside what it listed, also where LVM takes a line away or changes a name", () => {
    const { run, lines, calls } = node([old, other]);
    for (let again = 0; again < 2; again += 1) {
      expect(run(showScript, "/dev/nvme2n1p1")).toMatchObject({ status: 0, stderr: "" });
      expect(lines()).toEqual([renamed, added, old]);
    }
    expect(calls().slice(0, 3)).toEqual([
      "lvmdevices --yes --adddev /dev/nvme2n1p1",
      "pvs --noheadings -o vg_uuid /dev/nvme2n1p1",
      "vgchange -ay --select vg_uuid=uu-id",
    ]);
  });

  test("is not made where there is none, since it would hide every other device", () => {
    const { run, calls } = node(undefined);
    expect(run(showScript, "/dev/nvme2n1p1").status).toBe(0);
    expect(run(keepScript, old).status).toBe(0);
    expect(calls().filter((line) => line.startsWith("lvmdevices"))).toEqual([]);
  });

  test("has lines put back that are missing, and no other", () => {
    const { run, lines } = node([added, renamed]);
    expect(run(keepScript, `${old}\n${other}`)).toMatchObject({ status: 0, stderr: "" });
    expect(lines()).toEqual([added, renamed, old]);
  });

  test("loses a device only when its group is down", () => {
    const { run, calls } = node([added, old]);
    expect(run(hideScript, "/dev/nvme2n1p1").status).toBe(0);
    expect(calls().slice(-2)).toEqual([
      "vgchange -an --select vg_uuid=uu-id",
      "lvmdevices --yes --deldev /dev/nvme2n1p1",
    ]);
  });
});

test("a group is imported once, under the name that was asked for, and never while it is active", () => {
  const { run, calls } = node([old]);
  expect(run(importScript, "/dev/nvme2n1p1", "runbook_r1_1").status).toBe(0);
  expect(calls().slice(-3)).toEqual([
    "vgchange -an --select vg_uuid=uu-id",
    "vgimportclone -n runbook_r1_1 /dev/nvme2n1p1",
    "vgchange -ay runbook_r1_1",
  ]);
  expect(run(importScript, "/dev/nvme2n1p1", "vg_md1").status).toBe(0);
  expect(calls().slice(-1)).toEqual(["vgchange -ay vg_md1"]);
  expect(calls().filter((line) => line.startsWith("vgimportclone"))).toHaveLength(1);
});

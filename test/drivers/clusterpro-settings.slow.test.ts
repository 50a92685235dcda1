import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findCopiesScript } from "../../src/drivers/clusterpro/copies.ts";
import { setConfigScript, switchArgs, switchScript } from "../../src/drivers/clusterpro/settings.ts";

// The scripts under the machine's own sh, with the product's commands played by stubs in a folder of their own.
let base: string;
const log = () => (existsSync(join(base, "log")) ? readFileSync(join(base, "log"), "utf8") : "");
const left = () => readdirSync(join(base, "run"));

function stub(name: string, body: string): void {
  const file = join(base, "bin", name);
  writeFileSync(file, `#!/bin/sh\necho "${name} $*" >> '${base}/log'\n${body}\n`);
  chmodSync(file, 0o755);
}

function begin(script: string, args: readonly string[]) {
  const child = spawn("sh", ["-c", script, "test", ...args], {
    env: { PATH: `${base}/bin:/usr/bin:/bin`, LC_ALL: "C" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const done = new Promise<{ code: number | null; out: string; err: string }>((resolve) =>
    child.on("close", (code) => resolve({ code, out, err })),
  );
  return { child, done };
}
const sh = (script: string, args: readonly string[]) => begin(script, args).done;
const config = () =>
  setConfigScript({ configFile: join(base, "clp.conf"), temporaryFolder: join(base, "run") });
const change = ["md1", "parameters/fullcopy", "0", "md 2", "server@server2/parameters/mkfs", "$(touch x)"];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "settings-"));
  mkdirSync(join(base, "bin"));
  mkdirSync(join(base, "run"));
  writeFileSync(join(base, "clp.conf"), "old\n");
  stub("clpcfset", `echo "$4 $5 $6" >> clp.conf`);
  stub("clpcfctrl", `cp "$4/clp.conf" '${base}/pushed'; ls -ld "$4" >> '${base}/log'`);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe("the script that changes clp.conf", () => {
  test("pushes a changed copy from a folder that only root reads, and takes the folder away", async () => {
    expect(await sh(config(), change)).toMatchObject({ code: 0, err: "" });
    expect(readFileSync(join(base, "pushed"), "utf8")).toBe(
      "old\nmd1 parameters/fullcopy 0\nmd 2 server@server2/parameters/mkfs $(touch x)\n",
    );
    expect(readFileSync(join(base, "clp.conf"), "utf8")).toBe("old\n");
    expect(log()).toMatch(/clpcfctrl --push -l -x .*runbook-config\.\w{6}\ndrwx------/);
    expect(left()).toEqual([]);
  });

  test.each([
    ["a value is refused", "clpcfset", 5, false],
    ["the push fails", "clpcfctrl", 6, true],
  ])("ends as the product's command does if %s, without its folder", async (_, command, code, pushes) => {
    stub(command, `echo "why" >&2; exit ${code}`);
    expect(await sh(config(), change)).toMatchObject({ code, err: "why\n" });
    expect(log().includes("clpcfctrl")).toBe(pushes);
    expect(left()).toEqual([]);
  });

  test("does nothing without clpcfset, or without a configuration", async () => {
    rmSync(join(base, "bin", "clpcfset"));
    expect(await sh(config(), change)).toMatchObject({
      code: 127,
      err: "runbook: clpcfset is not on this node\n",
    });
    stub("clpcfset", "");
    rmSync(join(base, "clp.conf"));
    expect((await sh(config(), change)).code).toBe(1);
    expect(log()).toBe("");
    expect(left()).toEqual([]);
  });

  test.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGINT", 130],
  ] as const)("ended by %s lets the push land, and takes its folder away", async (signal, code) => {
    stub("clpcfctrl", `touch '${base}/begun'; sleep 0.3; cp "$4/clp.conf" '${base}/pushed'`);
    const { child, done } = begin(config(), change);
    while (!existsSync(join(base, "begun"))) await new Promise((resolve) => setTimeout(resolve, 10));
    child.kill(signal);
    expect((await done).code).toBe(code);
    expect(existsSync(join(base, "pushed"))).toBe(true);
    expect(left()).toEqual([]);
  });
});

describe("the script for the start at boot", () => {
  test("uses the product's own", async () => {
    stub("clpsvcctrl.sh", "exit 3");
    expect((await sh(switchScript, switchArgs("disable"))).code).toBe(3);
    expect(log()).toBe("clpsvcctrl.sh --disable -a\n");
  });

  test("asks systemd where there is none: two units are kept from the start, all that exist are put back", async () => {
    stub(
      "systemctl",
      `[ "$1" = is-enabled ] || exit 0
case "$2" in *_ib) exit 1 ;; *_api) echo not-found; exit 4 ;; *_md) echo disabled; exit 1 ;; *) echo enabled ;; esac`,
    );
    const changed = () =>
      log()
        .split("\n")
        .filter((line) => /systemctl (en|dis)able/.test(line));
    expect((await sh(switchScript, switchArgs("disable"))).code).toBe(0);
    expect(changed()).toEqual(["systemctl disable clusterpro", "systemctl disable clusterpro_md"]);
    rmSync(join(base, "log"));
    expect((await sh(switchScript, switchArgs("enable"))).code).toBe(0);
    const units = ["", "_md", "_evt", "_trn", "_webmgr", "_alertsync", "_nm"];
    expect(changed()).toEqual(units.map((unit) => `systemctl enable clusterpro${unit}`));
  });

  test("fails if a unit cannot be changed, and if there are none", async () => {
    stub("systemctl", `[ "$1" = is-enabled ] && echo enabled || exit 1`);
    expect((await sh(switchScript, switchArgs("enable"))).code).toBe(1);
    stub("systemctl", "exit 1");
    expect(await sh(switchScript, switchArgs("enable"))).toMatchObject({
      code: 127,
      err: "runbook: none of the cluster's units is on this node\n",
    });
  });
});

describe("the script that looks for copies", () => {
  test("asks the journal of this boot for a day more than needed, and keeps the lines that may matter", async () => {
    writeFileSync(join(base, "uptime"), "1000.50 900.00\n");
    const lines = [
      '{"MESSAGE":"something else"}',
      '{ "MESSAGE" : "Mirror recovery of md1 has started." }',
      '{"MESSAGE":[109,100]}',
      '{"MESSAGE":"<type: mdadmn><event: 20> ..."}',
      '{"MESSAGE":"Failed to recover mirror."}',
    ];
    stub("journalctl", `cat <<'END'\n${lines.join("\n")}\nEND`);
    const { code, out } = await sh(findCopiesScript(join(base, "uptime")), ["400"]);
    expect(log()).toBe("journalctl -b -q -o json --no-pager --since=-87000s\n");
    expect({ code, out }).toEqual({ code: 0, out: `${lines.slice(1).join("\n")}\n` });
  });

  test("says nothing where there is no journal", async () => {
    writeFileSync(join(base, "uptime"), "1000.50 900.00\n");
    stub("journalctl", "exit 1");
    expect(await sh(findCopiesScript(join(base, "uptime")), ["400"])).toMatchObject({ code: 0, out: "" });
  });
});

import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  armScript,
  clearScript,
  deadManScript,
  findScript,
  parseDeadMan,
  renewScript,
  type DeadManPlaces,
} from "../../src/drivers/clusterpro/dead-man.ts";

// The scripts under the machine's own sh, with the cluster's commands played by stubs in a folder of their own.
let base: string;
let places: DeadManPlaces;
const bootId = "11111111-2222-3333-4444-555555555555";
const put = (name: string, text: string) => writeFileSync(join(base, name), text);
const folder = (name: string) => join(base, "dead-man", name);
const has = (name: string) => existsSync(folder(name));
const said = (name: string) => (has(name) ? readFileSync(folder(name), "utf8") : "");
const log = () =>
  existsSync(join(base, "log")) ? readFileSync(join(base, "log"), "utf8").trim().split("\n") : [];
const starts = () => log().filter((line) => line.startsWith("clpgrp -s"));

function stub(name: string, body: string): void {
  writeFileSync(join(base, "bin", name), `#!/bin/sh\necho "${name} $*" >> '${base}/log'\n${body}\n`);
  chmodSync(join(base, "bin", name), 0o755);
}

function sh(
  script: string,
  args: readonly string[] = [],
  input = "",
): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      "sh",
      ["-c", script, "test", ...args],
      { env: { PATH: places.searchPath, LC_ALL: "C" } },
      (error, out, err) =>
        resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, out, err }),
    );
    // Nothing is written to a script that reads nothing: it may have ended before.
    if (input === "") child.stdin?.end();
    else child.stdin?.end(input);
  });
}
const arm = (
  more: {
    run?: string;
    boot?: string;
    groups?: string[];
    mirrors?: string[];
    input?: string;
    after?: string;
  } = {},
) => {
  const {
    run = "r1",
    boot = bootId,
    groups = ["failover1"],
    mirrors = ["md1"],
    input = deadManScript(places),
    after = "60",
  } = more;
  return sh(
    armScript(places),
    [run, boot, "server1", "server2", after, String(groups.length), ...groups, ...mirrors],
    input,
  );
};
const tick = () => sh(`exec sh '${folder("script")}'`);
const find = async () => {
  const out = await sh(findScript(places));
  return out.code === 44 ? undefined : parseDeadMan(out.out, "server1");
};
const summary = (peer: string) =>
  ` =====  CLUSTER STATUS  =====\n  <server>\n   *server1 .........: Online\n    server2 .........: ${peer}\n  <group>\n    failover1 .......: Offline\n      current        : None\n`;
const mirror = (here: string, there: string) =>
  `Mirror Status: X\n\nmd1              server1              server2\n----------\nMirror Color     ${here}                ${there}\n`;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "dead-man-"));
  mkdirSync(join(base, "bin"));
  places = {
    folder: join(base, "dead-man"),
    fenceFile: join(base, "fence"),
    uptimeFile: join(base, "uptime"),
    bootIdFile: join(base, "boot_id"),
    searchPath: `${base}/bin:/usr/bin:/bin`,
  };
  put("uptime", "1000.50 900.00\n");
  put("boot_id", `${bootId}\n`);
  put("fence", "r1.4\n");
  put("clpstat", summary("Online"));
  put("clpmdstat", mirror("GREEN", "GREEN"));
  put("where", "");
  put("timer", "inactive\n");
  stub("clpstat", `cat '${base}/clpstat'`);
  stub("clpmdstat", `cat '${base}/clpmdstat'; exit 3`);
  stub("clpgrp", `case "$1" in -n) cat '${base}/where' ;; -s) echo "Command succeeded." ;; esac`);
  stub(
    "systemctl",
    `case "$1" in is-active) cat '${base}/timer' ;; stop) echo inactive > '${base}/timer' ;; esac`,
  );
  stub("systemd-run", `echo active > '${base}/timer'`);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe("at its hour", () => {
  const conditions = ["boot", "marker", "nowhere", "green", "visible", "proven"] as const;
  const all = Array.from({ length: 2 ** conditions.length }, (_, bits) =>
    Object.fromEntries(conditions.map((name, i) => [name, (bits & (1 << i)) !== 0])),
  );

  test.each(all)("it starts the group only if all is as it must be: %o", async (holds) => {
    await arm();
    put("uptime", "1060.00 1\n");
    if (!holds["boot"]) put("boot_id", "another\n");
    if (!holds["marker"]) put("fence", "r11.1\n");
    if (!holds["nowhere"]) put("where", "server2\n");
    put("clpmdstat", mirror(holds["green"] ? "GREEN" : "YELLOW", "RED"));
    put("clpstat", summary(holds["visible"] ? "Online" : "Online Pending"));
    if (holds["proven"]) put("dead-man/peer-red", "");
    await tick();
    const may =
      holds["boot"] &&
      holds["marker"] &&
      holds["nowhere"] &&
      holds["green"] &&
      (holds["visible"] || holds["proven"]);
    expect(starts()).toEqual(may ? ["clpgrp -s failover1 -h server1"] : []);
    expect(said("report")).toMatch(may ? /^failover1: started\n$/ : /^failover1: not started: .+\n$/);
    expect(readFileSync(join(base, "timer"), "utf8")).toBe("inactive\n");
    expect(await find()).toMatchObject({
      run: "r1",
      state: "fired",
      report: [expect.stringContaining("failover1: ")],
    });
  });

  test("it acts once, whatever ticks later", async () => {
    await arm();
    put("uptime", "1060.00 1\n");
    await Promise.all([tick(), tick(), tick()]);
    await tick();
    expect(starts()).toHaveLength(1);
    expect(said("report")).toBe("failover1: started\n");
  });

  test("it starts each group on its own account, in order, and reports a start that failed", async () => {
    stub(
      "clpgrp",
      `case "$1 $2" in "-n g2") echo server2 ;; "-s g3") echo "The group is busy."; exit 5 ;; esac`,
    );
    await arm({ groups: ["g1", "g2", "g3"], mirrors: [] });
    put("uptime", "2000.00 1\n");
    await tick();
    expect(said("report")).toBe(
      "g1: started\ng2: not started: clpgrp -n said: server2 \ng3: start failed with exit status 5: The group is busy. \n",
    );
  });

  test("it needs every mirror GREEN here", async () => {
    stub(
      "clpmdstat",
      `if [ "$2" = md2 ]; then echo "md2 server1 server2"; echo "Mirror Color RED GREEN"; else cat '${base}/clpmdstat'; fi`,
    );
    await arm({ mirrors: ["md1", "md2"] });
    put("uptime", "2000.00 1\n");
    await tick();
    expect(said("report")).toBe("failover1: not started: mirror md2 is not GREEN here\n");
  });

  test("it reads the columns by their names, and refuses those it does not know", async () => {
    for (const [text, started] of [
      ["md1 server2 server1\nMirror Color RED GREEN\n", 1],
      ["md1 server2 server1\nMirror Color GREEN RED\n", 0],
      ["md1 server1 server3\nMirror Color GREEN GREEN\n", 0],
      ["Internal error.\n", 0],
    ] as const) {
      rmSync(join(base, "log"), { force: true });
      await sh(clearScript(places), ["r1"]);
      put("uptime", "1000.00 1\n");
      put("clpmdstat", text);
      await arm();
      put("uptime", "2000.00 1\n");
      await tick();
      expect(starts()).toHaveLength(started);
    }
  });

  test("cut while a group starts, it says so and does not start it again", async () => {
    stub("clpgrp", `case "$1" in -s) kill -9 $PPID ;; esac`);
    await arm();
    put("uptime", "2000.00 1\n");
    await tick();
    await tick();
    expect(starts()).toHaveLength(1);
    expect(await find()).toMatchObject({
      state: "fired",
      report: [expect.stringContaining("its start was begun")],
    });
  });

  test("a part of the script does nothing", async () => {
    await arm();
    put("uptime", "2000.00 1\n");
    const text = deadManScript(places);
    const whole = text.lastIndexOf("\nmain\n") + "\nmain\n".length - 1;
    for (let i = 1; i < 12; i++) {
      writeFileSync(folder("script"), text.slice(0, Math.floor((whole * i) / 12)));
      await tick();
    }
    expect(starts()).toEqual([]);
    expect(has("fired")).toBe(false);
  });
});

describe("before its hour", () => {
  test("it remembers that the peer was seen RED, also while the peer cannot be seen", async () => {
    await arm();
    put("clpmdstat", mirror("GREEN", "RED"));
    await tick();
    expect(has("peer-red")).toBe(true);
    put("clpstat", summary("Offline"));
    put("clpmdstat", mirror("GREEN", "GRAY"));
    await tick();
    expect(has("peer-red")).toBe(true);
    // The mirrors' connection goes down before the cluster counts the member as lost.
    put("clpstat", summary("Online           a comment"));
    await tick();
    expect(has("peer-red")).toBe(true);
    put("clpmdstat", mirror("GREEN", "GREEN"));
    await tick();
    expect(has("peer-red")).toBe(false);
    expect(starts()).toEqual([]);
    expect(has("fired")).toBe(false);
  });

  test("a peer whose name begins like the node's is another one", async () => {
    put("clpstat", ` =====\n   *server10 ........: Online\n    server1 .........: Offline\n`);
    put("clpmdstat", "md1 server10 server1\nMirror Color GREEN RED\n");
    await sh(
      armScript(places),
      ["r1", bootId, "server10", "server1", "60", "1", "g1", "md1"],
      deadManScript(places),
    );
    await tick();
    expect(has("peer-red")).toBe(false);
    put("clpstat", ` =====\n   *server10 ........: Offline\n    server1 .........: Online\n`);
    await tick();
    expect(has("peer-red")).toBe(true);
  });
});

describe("arming", () => {
  test("sets a repeating timer and proves it", async () => {
    expect(await arm()).toMatchObject({ code: 0 });
    expect(log().find((line) => line.startsWith("systemd-run"))).toBe(
      `systemd-run --collect --unit=runbook-dead-man --on-active=10 --on-unit-active=10 --timer-property=AccuracySec=1s /bin/sh ${folder("script")}`,
    );
    expect(await find()).toEqual({ run: "r1", state: "armed", dueUptimeSeconds: 1060, report: [] });
    expect(readFileSync(folder("script"), "utf8")).toBe(deadManScript(places));
  });

  test("again with the same words moves the hour and never stops the timer", async () => {
    await arm();
    put("uptime", "1030.00 1\n");
    rmSync(join(base, "log"));
    expect(await arm()).toMatchObject({ code: 0 });
    expect(log().some((line) => / stop |systemd-run/.test(line))).toBe(false);
    expect(await find()).toMatchObject({ state: "armed", dueUptimeSeconds: 1090 });
  });

  test("again for other groups sets it anew, and keeps what was seen of the peer", async () => {
    await arm();
    put("dead-man/peer-red", "");
    expect(await arm({ groups: ["g2"] })).toMatchObject({ code: 0 });
    expect([said("group.1"), has("peer-red")]).toEqual(["g2\n", true]);
  });

  test("works where systemd does not know --collect", async () => {
    stub("systemd-run", `case "$*" in *--collect*) exit 1 ;; esac; echo active > '${base}/timer'`);
    expect(await arm()).toMatchObject({ code: 0 });
  });

  test.each<[string, () => void | Promise<unknown>, Parameters<typeof arm>[0], number]>([
    ["a timer that does not tick", () => stub("systemd-run", "exit 1"), {}, 77],
    ["another boot", () => put("boot_id", "another\n"), {}, 78],
    ["half of the script", () => undefined, { input: "#!/bin/sh\nd=1\n" }, 79],
    ["another script", () => undefined, { input: "id\n" }, 79],
    ["another run's timer", () => arm({ run: "r0" }), {}, 76],
    ["its own timer that fired", async () => (await arm(), mkdirSync(folder("fired"))), {}, 80],
  ])("fails for %s", async (_, prepare, args, code) => {
    await prepare();
    expect(await arm(args)).toMatchObject({ code });
  });

  test("replaces what another run left behind before the node was booted", async () => {
    await arm({ run: "r0" });
    put("boot_id", "99999999-2222-3333-4444-555555555555\n");
    put("timer", "inactive\n");
    expect((await find())?.state).toBe("dead");
    expect(await arm({ boot: "99999999-2222-3333-4444-555555555555" })).toMatchObject({ code: 0 });
    expect(await find()).toMatchObject({ run: "r1", state: "armed" });
  });
});

describe("renewing", () => {
  const renew = (run = "r1") => sh(renewScript(places), [run, "300"]);
  test("moves the hour", async () => {
    await arm();
    expect(await renew()).toMatchObject({ code: 0 });
    expect(await find()).toMatchObject({ dueUptimeSeconds: 1300 });
  });

  test.each<[string, () => void | Promise<unknown>, number]>([
    ["no timer", () => undefined, 44],
    ["another run's timer", () => arm({ run: "r0" }), 76],
    ["a timer that ticks no more", async () => (await arm(), put("timer", "inactive\n")), 77],
    ["a timer that fired", async () => (await arm(), mkdirSync(folder("fired"))), 80],
  ])("fails for %s", async (_, prepare, code) => {
    await prepare();
    expect(await renew()).toMatchObject({ code });
  });
});

describe("clearing", () => {
  test("takes timer and folder away, may be done again, and leaves another run's alone", async () => {
    await arm();
    expect(await sh(clearScript(places), ["r2"])).toMatchObject({ code: 76 });
    expect((await find())?.state).toBe("armed");
    expect(await sh(clearScript(places), ["r1"])).toMatchObject({ code: 0 });
    expect(await sh(clearScript(places), ["r1"])).toMatchObject({ code: 0 });
    expect([await find(), existsSync(places.folder), readFileSync(join(base, "timer"), "utf8")]).toEqual([
      undefined,
      false,
      "inactive\n",
    ]);
  });

  test("fails if the timer cannot be stopped, and keeps the folder", async () => {
    await arm();
    stub("systemctl", "echo active");
    expect(await sh(clearScript(places), ["r1"])).toMatchObject({ code: 1 });
    expect(has("run")).toBe(true);
  });
});

// Without systemd-run on the search path: a folder of links to the few commands, and nothing else.
describe("without an init system's timers", () => {
  beforeEach(() => {
    rmSync(join(base, "bin", "systemd-run"));
    rmSync(join(base, "bin", "systemctl"));
    for (const name of [
      "env",
      "cat",
      "grep",
      "cut",
      "head",
      "tr",
      "mkdir",
      "rm",
      "mv",
      "sh",
      "setsid",
      "sha256sum",
      "printf",
    ])
      writeFileSync(join(base, "bin", name), `#!/bin/sh\nexec /usr/bin/${name} "$@"\n`, { mode: 0o755 });
    writeFileSync(join(base, "bin", "sleep"), `#!/bin/sh\nexec /usr/bin/sleep 0.1\n`, { mode: 0o755 });
    places = { ...places, searchPath: join(base, "bin") };
  });

  test("a loop ticks, fires, and ends by itself", async () => {
    expect(await arm()).toMatchObject({ code: 0 });
    expect(await find()).toMatchObject({ state: "armed" });
    const pid = Number(said("loop"));
    put("uptime", "2000.00 1\n");
    await expect.poll(() => said("report"), { timeout: 10_000 }).toBe("failover1: started\n");
    await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false);
  });

  test("clearing ends the loop", async () => {
    await arm();
    const pid = Number(said("loop"));
    expect(await sh(clearScript(places), ["r1"])).toMatchObject({ code: 0 });
    await expect.poll(() => alive(pid), { timeout: 10_000 }).toBe(false);
    expect(existsSync(places.folder)).toBe(false);
  });

  function alive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      // A process that ended and that nobody has waited for still has its number.
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return false;
    }
  }
});

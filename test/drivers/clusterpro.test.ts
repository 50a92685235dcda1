import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { openClusterpro, wireArgv } from "../../src/drivers/clusterpro/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { Clock } from "../../src/ports/clock.ts";
import type { Output, RunOptions, Shell } from "../../src/ports/shell.ts";

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/clusterpro/${name}`, import.meta.url));
const prefix = ["env", "LC_ALL=C", "PATH=/opt/nec/clusterpro/bin:/usr/sbin:/usr/bin:/sbin:/bin"];
const clock: Clock = { now: () => 0, sleep: () => Promise.resolve() };

type Said = { code?: number | undefined; signal?: string; out?: string | Uint8Array; err?: string };

/** A shell that answers by the words of the command, and remembers what it was given. */
function scripted(answer: (line: string, node: string) => Said | Failure) {
  const calls: { node: string; argv: readonly string[]; options: RunOptions }[] = [];
  const shell: Shell = {
    name: "scripted",
    run(node, argv, options): Promise<Output> {
      calls.push({ node, argv, options });
      const said = answer(argv.join(" "), node);
      if (said instanceof Failure) return Promise.reject(said);
      return Promise.resolve({
        code: "code" in said ? said.code : 0,
        signal: said.signal,
        stdout:
          typeof said.out === "string" || said.out === undefined ? Buffer.from(said.out ?? "") : said.out,
        stderr: Buffer.from(said.err ?? ""),
      });
    },
    close: () => Promise.resolve(),
  };
  return { driver: openClusterpro({ shell, clock }), calls };
}

const cluster = (more: (line: string, node: string) => Said | Failure | undefined = () => undefined) =>
  scripted((line, node) => {
    const own = more(line, node);
    if (own) return own;
    if (line.includes("clp.conf")) return { out: fixture("clp.invented.conf") };
    if (line.endsWith("clpstat")) return { out: fixture("clpstat-three-mirrors.invented.txt") };
    if (line.endsWith("clpstat -m")) return { out: fixture("clpstat-m.invented.txt") };
    if (line.includes("clpgrp -n")) return { out: line.endsWith("east") ? "server1\n" : "" };
    return { out: "Command succeeded.\n" };
  });

describe("requests", () => {
  const { requests } = cluster().driver;
  test.each([
    [
      requests.stopGroup({ group: "failover1", node: "server1" }),
      "cluster.stopGroup",
      "server1",
      ["clpgrp", "-t", "failover1"],
    ],
    [
      requests.startGroup({ group: "failover1", node: "server1" }),
      "cluster.startGroup",
      "server1",
      ["clpgrp", "-s", "failover1"],
    ],
    [
      requests.suspendMonitor({ monitor: "mdw1", node: "server2", via: "server1" }),
      "cluster.suspendMonitor",
      "server1",
      ["clpmonctrl", "-s", "-h", "server2", "-m", "mdw1"],
    ],
    [
      requests.resumeMonitor({ monitor: "mdw1", node: "server1", via: "server1" }),
      "cluster.resumeMonitor",
      "server1",
      ["clpmonctrl", "-r", "-h", "server1", "-m", "mdw1"],
    ],
    [
      requests.breakMirror({ mirror: "md1", node: "server2" }),
      "cluster.breakMirror",
      "server2",
      ["clpmdctrl", "--break", "md1"],
    ],
    [
      requests.recoverMirror({ mirror: "md1", node: "server1" }),
      "cluster.recoverMirror",
      "server1",
      ["clpmdctrl", "--recovery", "md1"],
    ],
    [
      requests.prepareBackup({ node: "server2" }),
      "cluster.prepareBackup",
      "server2",
      ["clpbackup.sh", "--pre"],
    ],
    [
      requests.finishBackup({ node: "server2" }),
      "cluster.finishBackup",
      "server2",
      ["clpbackup.sh", "--post"],
    ],
    [requests.startService({ node: "server2" }), "cluster.startService", "server2", ["clpcl", "-s"]],
    [requests.stopService({ node: "server2" }), "cluster.stopService", "server2", ["clpcl", "-t"]],
    [
      requests.moveGroup({ group: "failover1", from: "server1", to: "server2" }),
      "cluster.moveGroup",
      "server1",
      ["clpgrp", "-m", "failover1", "-h", "server1", "-a", "server2"],
    ],
    [
      requests.prepareRestore({ node: "server2" }),
      "cluster.prepareRestore",
      "server2",
      ["clprestore.sh", "--pre"],
    ],
    [
      requests.finishRestore({ node: "server2", skipCopy: false }),
      "cluster.finishRestore",
      "server2",
      ["clprestore.sh", "--post"],
    ],
    [
      requests.finishRestore({ node: "server2", skipCopy: true }),
      "cluster.finishRestore",
      "server2",
      ["clprestore.sh", "--post", "--skip-copy"],
    ],
  ])("are the bare commands: %#", (request, verb, node, argv) => {
    expect(request).toEqual({ to: "node", verb, node, argv });
  });

  test("of a forced recovery say yes to whatever is asked, and nothing else does", () => {
    expect(requests.forceGood({ mirror: "md1", node: "server2" })).toMatchObject({
      node: "server2",
      argv: ["clpmdctrl", "--force", "server2", "md1"],
      stdin: expect.stringMatching(/^(y\n)+$/) as string,
    });
    expect(requests.recoverMirror({ mirror: "md1", node: "server2" })).not.toHaveProperty("stdin");
  });

  test("of settings are one script with every value as an argument of its own", () => {
    const args = (request: typeof hostile) => request.to === "node" && request.argv.slice(3);
    const hostile = requests.setMirrorDevices({
      node: "server1",
      mirror: "md1",
      dataPartition: "/dev/$(reboot)",
      clusterPartition: "/dev/b'",
      of: "server1",
    });
    expect(args(hostile)).toEqual([
      "runbook-set-mirror-devices",
      ...["md1", "server@server1/parameters/diskdev/dppath", "/dev/$(reboot)"],
      ...["md1", "server@server1/parameters/diskdev/cppath", "/dev/b'"],
    ]);
    expect(hostile.to === "node" && hostile.argv[2]).not.toContain("reboot");
    expect(
      args(
        requests.setMirrorOptions({
          node: "server1",
          mirrors: ["md1", "md2"],
          fullCopy: true,
          initialMkfs: false,
        }),
      ),
    ).toEqual([
      "runbook-set-mirror-options",
      ...["md1", "parameters/fullcopy", "1", "md1", "parameters/mkfs", "0"],
      ...["md2", "parameters/fullcopy", "1", "md2", "parameters/mkfs", "0"],
    ]);
  });

  test("go out in an environment of their own, behind the fence if there is one", () => {
    const request = requests.breakMirror({ mirror: "md1", node: "server2" });
    expect(wireArgv(request)).toEqual([...prefix, "clpmdctrl", "--break", "md1"]);
    expect(wireArgv(request, "run1.3").slice(3)).toEqual([
      "runbook-fence",
      "run1.3",
      ...prefix,
      "clpmdctrl",
      "--break",
      "md1",
    ]);
  });

  test("of the dead-man timer carry the script as input, and every name as an argument of its own", () => {
    const request = requests.armDeadMan({
      node: "server1",
      peer: "server2",
      run: "r1",
      bootId: "b",
      groups: ["g1", "g2"],
      mirrors: ["md1"],
      afterSeconds: 90,
    });
    expect(request.to === "node" && request.argv.slice(3)).toEqual([
      "runbook-arm-dead-man",
      "r1",
      "b",
      "server1",
      "server2",
      "90",
      "2",
      "g1",
      "g2",
      "md1",
    ]);
    expect(request.to === "node" && request.stdin?.startsWith("#!/bin/sh")).toBe(true);
  });
});

describe("send", () => {
  const { requests } = cluster().driver;
  const stop = requests.stopGroup({ group: "failover1", node: "server1" });
  const pre = requests.prepareBackup({ node: "server2" });
  const post = requests.finishBackup({ node: "server2" });
  const suspend = requests.suspendMonitor({ monitor: "mdw1", node: "server2", via: "server1" });
  const cut = requests.breakMirror({ mirror: "md1", node: "server2" });
  const restorePre = requests.prepareRestore({ node: "server2" });
  const restorePost = requests.finishRestore({ node: "server2", skipCopy: true });
  const options = requests.setMirrorOptions({
    node: "server1",
    mirrors: ["md1"],
    fullCopy: false,
    initialMkfs: false,
  });
  const enable = requests.enableService({ node: "server2" });
  const force = requests.forceGood({ mirror: "md1", node: "server2" });
  const send = (request: typeof stop, said: Said) =>
    scripted(() => said).driver.send(request, { limitMs: 1000 });

  test("passes exactly the wire's argv, with a closed input and the limit", async () => {
    const { driver, calls } = cluster();
    await driver.send(stop, { limitMs: 1234, fence: "r1.1" });
    expect(calls).toEqual([
      {
        node: "server1",
        argv: wireArgv(stop, "r1.1"),
        options: { stdin: "", timeoutMs: 1234, signal: undefined },
      },
    ]);
  });

  test.each<[string, typeof stop, Said]>([
    ["a stop", stop, { out: "Command succeeded.\n" }],
    ["a break", cut, { out: "md1: Isolated completed successfully\n" }],
    ["a break in words that we have not seen", cut, { out: "md1 done\n" }],
    ["--pre", pre, { out: fixture("clpbackup-pre.txt") }],
    ["--post, which ends with the reboot", post, { out: fixture("clpbackup-post.txt") }],
    ["--pre of a restore", restorePre, { out: fixture("clprestore-pre.txt") }],
    ["--post of a restore", restorePost, { out: fixture("clprestore-post.txt") }],
    ["a forced recovery in words that we have not seen", force, { out: "md1 done\n" }],
    ["a push of settings", options, { out: "Command succeeded.(code:0)\n" }],
  ])("answers for %s", async (_, request, said) => {
    await expect(send(request, said)).resolves.toMatchObject({ code: 0 });
  });

  test.each<[string, typeof stop, Said, string, string]>([
    ["a lost connection", stop, { code: undefined }, "unavailable", "maybe"],
    [
      "a connection that went down with the node",
      pre,
      { code: undefined, out: fixture("clpbackup-pre.txt") },
      "unavailable",
      "maybe",
    ],
    [
      "a command that was killed as the node went down",
      post,
      { code: undefined, signal: "TERM" },
      "unavailable",
      "maybe",
    ],
    [
      "--pre that ended well, before it came to the shutdown",
      pre,
      { out: "clpbackup.sh : Beginning backup-mode.\n" },
      "conflict",
      "said",
    ],
    [
      "--post that failed",
      post,
      { code: 1, out: "clpbackup.sh : Starting Mirror Agent.\nInternal error.\n" },
      "conflict",
      "said",
    ],
    [
      "--post of a restore that is refused",
      restorePost,
      { code: 1, out: "clprestore.sh : something about the construction\n" },
      "conflict",
      "said",
    ],
    [
      "--post of a restore that ended well, before it came to the reboot",
      restorePost,
      { out: "Mirror info will be set as default.\n" },
      "conflict",
      "said",
    ],
    [
      "--post of a restore whose end was lost with the node",
      restorePost,
      { code: undefined, out: "Mirror info will be set as default.\n" },
      "unavailable",
      "maybe",
    ],
    [
      "--post of a restore that the reboot made fail",
      restorePost,
      { code: 1, out: fixture("clprestore-post.txt") },
      "unavailable",
      "maybe",
    ],
    ["--pre of a restore that a signal ended", restorePre, { code: 143 }, "unavailable", "maybe"],
    [
      "a tool for settings that is not there",
      options,
      { code: 127, err: "runbook: clpcfset is not on this node\n" },
      "unsupported",
      "no",
    ],
    [
      "a node without the cluster's units",
      enable,
      { code: 127, err: "runbook: none of the cluster's units is on this node\n" },
      "unsupported",
      "no",
    ],
    ["settings whose push was cut", options, { code: undefined }, "unavailable", "maybe"],
    ["settings whose script was ended", options, { code: 143 }, "unavailable", "maybe"],
    ["settings at the same time as another command", options, { code: 128 }, "unavailable", "no"],
    ["settings that are refused", options, { code: 3, out: "xyzzy\n" }, "conflict", "said"],
    ["a forced recovery that was not agreed to", force, { code: 1, out: "Canceled.\n" }, "conflict", "said"],
    [
      "a group that was stopped already",
      stop,
      { code: 1, err: "The group has already been stopped.\n" },
      "conflict",
      "said",
    ],
    ["a failure in unknown words", stop, { code: 9, err: "xyzzy\n" }, "conflict", "said"],
    ["a second command at the same time", suspend, { code: 128 }, "unavailable", "no"],
    ["a busy group", stop, { code: 1, out: "The group is busy. Try again later.\n" }, "unavailable", "no"],
    [
      "a cluster that does not run",
      stop,
      { code: 1, out: "Could not connect to the server. Check if the cluster service is active.\n" },
      "precondition",
      "said",
    ],
    ["a monitor that is not there", suspend, { code: 6 }, "not-found", "said"],
    [
      "a break that says no with exit status 0",
      cut,
      { out: "The status of md1 is invalid.\n" },
      "precondition",
      "said",
    ],
    ["a missing licence", cut, { code: 1, out: "The license is not registered.\n" }, "precondition", "said"],
    [
      "a command that does not exist",
      pre,
      { code: 127, err: "env: 'clpbackup.sh': No such file or directory\n" },
      "unsupported",
      "no",
    ],
    ["rights that are missing", stop, { code: 1, err: "sudo: a password is required\n" }, "denied", "no"],
    [
      "a lost lock",
      stop,
      { code: 75, err: "runbook: the marker on this node is not r1.1\n" },
      "conflict",
      "no",
    ],
  ])("fails for %s", async (_, request, said, kind, happened) => {
    await expect(send(request, said)).rejects.toMatchObject({ name: "Failure", kind, happened });
  });
});

describe("getConfig", () => {
  test("leaves out a node that does not answer, and digests those that do", async () => {
    const { driver } = cluster((_, node) =>
      node === "server2" ? new Failure("unavailable", "off") : undefined,
    );
    const config = await driver.reads.getConfig(["server1", "server2"]);
    expect(Object.keys(config.digests)).toEqual(["server1"]);
    expect(config).not.toHaveProperty("monitors");
    expect(config.nodes).toEqual(["server1", "server2"]);
  });

  test("shows two configurations by two digests", async () => {
    const other = Buffer.concat([fixture("clp.invented.conf"), Buffer.from("\r\n")]);
    const { driver } = cluster((_, node) => (node === "server2" ? { out: other } : undefined));
    const { digests } = await driver.reads.getConfig(["server1", "server2"]);
    expect(digests["server1"]).not.toBe(digests["server2"]);
  });

  test("fails if nobody answers, if a login is refused, and if the file is not there", async () => {
    const get = (said: Said | Failure) => scripted(() => said).driver.reads.getConfig(["server1"]);
    await expect(get(new Failure("unavailable", "off"))).rejects.toMatchObject({ kind: "unavailable" });
    await expect(get(new Failure("denied", "no"))).rejects.toMatchObject({ kind: "denied" });
    await expect(get({ code: 44 })).rejects.toMatchObject({ kind: "invalid" });
  });
});

describe("reads", () => {
  test("getState joins both tables under the configuration's names", async () => {
    const { driver, calls } = cluster();
    const state = await driver.reads.getState("server1");
    expect(state).toMatchObject({
      askedOn: "server1",
      nodes: { server1: "online", server2: "offline" },
      groups: {
        failover1: { status: "pending" },
        "warehouse-of-the-east": { node: "server1", status: "online" },
      },
      monitors: { mdw1: { server1: "suspended", server2: "failed" } },
    });
    expect(calls.every(({ options }) => options.stdin === undefined || options.stdin === "")).toBe(true);
  });

  test("getState refuses an answer from another node than the one asked", async () => {
    await expect(cluster().driver.reads.getState("server2")).rejects.toMatchObject({ kind: "precondition" });
  });

  test("getState reads the configuration again when it meets a new name", async () => {
    let changed = false;
    const { driver } = cluster((line) =>
      line.endsWith("clpstat") && changed
        ? {
            out: fixture("clpstat-three-mirrors.invented.txt").toString().replace("reports ..", "newgroup ."),
          }
        : line.includes("clp.conf") && changed
          ? {
              out: Buffer.from(
                fixture("clp.invented.conf")
                  .toString("latin1")
                  .replace('group name="reports"', 'group name="newgroup"'),
                "latin1",
              ),
            }
          : undefined,
    );
    await driver.reads.getState("server1");
    changed = true;
    expect((await driver.reads.getState("server1")).groups).toHaveProperty("newgroup");
  });

  test("getState of a node whose cluster does not answer is unavailable, and nonsense is invalid", async () => {
    const down = cluster((line) =>
      line.includes("clpstat")
        ? { code: 1, err: "Could not connect to the server. Check if the cluster service is active.\n" }
        : undefined,
    );
    await expect(down.driver.reads.getState("server1")).rejects.toMatchObject({
      kind: "unavailable",
      happened: "no",
    });
    const odd = cluster((line) => (line.includes("clpstat") ? { out: "lorem ipsum\n" } : undefined));
    await expect(odd.driver.reads.getState("server1")).rejects.toMatchObject({ kind: "invalid" });
  });

  test("getMirror reads the text whatever the exit status, and refuses a cut answer", async () => {
    const get = (said: Said) =>
      cluster((line) => (line.includes("clpmdstat") ? said : undefined)).driver.reads.getMirror({
        mirror: "md1",
        via: "server1",
      });
    await expect(get({ code: 3, out: fixture("clpmdstat-abnormal.invented.txt") })).resolves.toMatchObject({
      status: "Abnormal",
    });
    await expect(get({ code: undefined, out: fixture("clpmdstat-normal.txt") })).rejects.toMatchObject({
      kind: "unavailable",
    });
    await expect(
      get({ code: 1, err: "Invalid mirror disk name. Specify a valid mirror disk name.\n" }),
    ).rejects.toMatchObject({ kind: "not-found" });
  });

  test("findGroupNode gives a node, or nothing for no text, and refuses other text", async () => {
    const find = (said: Said) =>
      cluster((line) => (line.includes("clpgrp -n") ? said : undefined)).driver.reads.findGroupNode({
        group: "failover1",
        via: "server1",
      });
    await expect(find({ out: "server2\n" })).resolves.toBe("server2");
    await expect(find({ out: "" })).resolves.toBeUndefined();
    await expect(find({ code: 1, out: "" })).resolves.toBeUndefined();
    await expect(
      find({ code: 1, out: "Invalid group name. Specify a valid group name in the cluster.\n" }),
    ).rejects.toMatchObject({ kind: "not-found" });
    await expect(find({ out: "moon\n" })).rejects.toMatchObject({ kind: "invalid" });
  });

  test("getService needs both units", async () => {
    const get = (enabled: string, active: string) =>
      scripted((line) =>
        line.includes("is-enabled") ? { code: 1, out: enabled } : { code: 3, out: active },
      ).driver.reads.getService("server2");
    await expect(get("enabled\nenabled\n", "active\nactive\n")).resolves.toEqual({
      startsAtBoot: true,
      running: true,
      agentRuns: true,
    });
    await expect(get("disabled\nenabled\n", "inactive\nactive\n")).resolves.toEqual({
      startsAtBoot: false,
      running: false,
      agentRuns: true,
    });
    await expect(get("enabled\n", "active\n")).rejects.toMatchObject({ kind: "invalid" });
  });

  test("findDeadMan tells armed, fired and dead apart", async () => {
    const find = (said: Said) => scripted(() => said).driver.reads.findDeadMan("server1");
    const text = (now: string, ticking: string, fired: string, more = "") =>
      `run r1\nset b1\nnow ${now}\ndue 120\nticking ${ticking}\nfired ${fired}\n${more}`;
    await expect(find({ code: 44 })).resolves.toBeUndefined();
    await expect(find({ out: text("b1", "yes", "no") })).resolves.toEqual({
      run: "r1",
      state: "armed",
      dueUptimeSeconds: 120,
      report: [],
    });
    await expect(find({ out: text("b1", "no", "no") })).resolves.toMatchObject({
      state: "dead",
      dueUptimeSeconds: undefined,
    });
    await expect(find({ out: text("b2", "yes", "no") })).resolves.toMatchObject({ state: "dead" });
    await expect(find({ out: text("b1", "no", "yes", "g1: started\n") })).resolves.toMatchObject({
      state: "fired",
      report: ["g1: started"],
    });
    await expect(find({ out: "lorem\n" })).rejects.toMatchObject({ kind: "invalid" });
  });
});

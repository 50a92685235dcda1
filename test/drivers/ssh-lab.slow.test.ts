import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quote } from "../../src/drivers/ssh/quote.ts";
import { shellSuite } from "../conformance/shell.ts";
import { wiredLab, type WiredLab } from "../support/wire.ts";
import { leaveOut } from "../support/sshd.ts";

shellSuite(
  "ssh against the lab's servers",
  async () => {
    // The suite's sleeps are short and its time limits real, so its world turns as fast as ours.
    const wired = await wiredLab({ rate: 1, options: { nodeTimes: { latencyMs: 1, keepaliveMs: 50 } } });
    wired.lab.killPower("stage1");
    return {
      shell: wired.shell,
      node: "server1",
      otherNode: "server2",
      deadNode: "stage1",
      clock: wired.clock,
      real: false,
      privileged: true,
      cut: async () => {
        wired.lab.cutOperator("server1");
        await wired.clock.sleep(150);
        wired.lab.mendOperator("server1");
      },
      close: () => wired.end(),
    };
  },
  { real: false },
);

const noSsh = (() => {
  try {
    execFileSync("ssh", ["-V"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "OpenSSH's client is not installed";
  }
})();

describe.skipIf(leaveOut(noSsh))("OpenSSH's own client", () => {
  let wired: WiredLab;
  beforeAll(async () => {
    wired = await wiredLab();
  });
  afterAll(() => wired.end());

  const run = promisify(execFile);
  const ssh = async (node: string, ...words: readonly string[]) => {
    const { address, port, user, identity, knownHosts } = wired.info.clusters["prod"]!.nodes[node]!;
    const options = [
      "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes",
      "-o", `UserKnownHostsFile=${knownHosts}`, "-i", identity, "-p", String(port),
    ]; // prettier-ignore
    return run("ssh", [...options, `${user}@${address}`, ...words]).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  test("logs in with the lab's files, and gets stdout, stderr and the exit status", async () => {
    const line = quote(["sh", "-c", "hostname; echo oops >&2; exit 7"]);
    expect(await ssh("server1", line)).toMatchObject({ code: 7, stdout: "server1\n", stderr: "oops\n" });
    expect(await ssh("server2", "clpstat -g")).toMatchObject({ code: 0 });
  });

  test("is told by name of the signal that ended a command", async () => {
    const { code, stderr } = await ssh("server1", quote(["sh", "-c", "kill -TERM $$; sleep 60"]));
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/signal|^$/i);
  });

  test("gets a friendly word instead of a login shell, and an end", async () => {
    const { code, stdout } = await ssh("server1");
    expect(code).toBe(1);
    expect(stdout).toContain("runs commands and has no login shell");
  });

  test("is refused with another key", async () => {
    const { address, port } = wired.info.clusters["prod"]!.nodes["server1"]!;
    const other = `${wired.folder}/other`;
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", other]);
    const args = [
      "-F",
      "none",
      "-o",
      "BatchMode=yes",
      "-o",
      "IdentitiesOnly=yes",
      "-o",
      `UserKnownHostsFile=${wired.folder}/known_hosts`,
    ];
    await expect(
      run("ssh", [...args, "-i", other, "-p", String(port), `root@${address}`, "true"]),
    ).rejects.toMatchObject({
      code: 255,
      stderr: expect.stringContaining("Permission denied (publickey)") as string,
    });
  });
});

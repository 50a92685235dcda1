import { rmdirSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/drivers/clock/system.ts";
import { openSsh } from "../../src/drivers/ssh/driver.ts";
import type { SshNode } from "../../src/drivers/ssh/driver.ts";
import { shellSuite } from "../conformance/shell.ts";
import type { ShellUnderTest } from "../conformance/shell.ts";
import { leaveOut, noSshd, noSudo, openSshdField } from "../support/sshd.ts";
import type { Sshd } from "../support/sshd.ts";

const clock = systemClock();
const second = { timeoutMs: 30_000 };

function openUnderTest(how: { readonly sudo: boolean; readonly jump: boolean }) {
  return async (): Promise<ShellUnderTest> => {
    const field = openSshdField();
    const server = await field.start();
    const otherServer = await field.start();
    const gateway = await field.start();
    const dead = await field.start();
    await dead.stop();
    const user = how.sudo ? field.addSudoUser() : field.user;
    const at = ({ address, port }: Sshd): SshNode => ({
      address,
      port,
      user,
      identity: field.identity,
      knownHosts: field.knownHosts,
      agent: false,
      ...(how.sudo ? { sudo: true } : {}),
    });
    const through = (node: SshNode): SshNode => (how.jump ? { ...node, jump: "gateway" } : node);
    const shell = openSsh({
      nodes: {
        server1: through(at(server)),
        server2: through(at(otherServer)),
        dead: through(at(dead)),
        gateway: at(gateway),
      },
      clock,
      useSshConfig: false,
    });
    return {
      shell,
      node: "server1",
      otherNode: "server2",
      deadNode: "dead",
      clock,
      real: true,
      privileged: how.sudo || process.getuid?.() === 0,
      cut: () => Promise.resolve(server.cut()),
      close: async () => {
        await shell.close();
        await field.close();
        forgetEmptyFolders();
      },
    };
  };
}

/** The suite leaves no folder of runbook behind on this machine, unless something of somebody else's is in it. */
function forgetEmptyFolders(): void {
  for (const folder of ["/var/lib/runbook/jobs", "/var/lib/runbook"])
    try {
      rmdirSync(folder);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code !== "ENOENT" && code !== "ENOTEMPTY" && code !== "EACCES") throw error;
    }
}

describe.skipIf(leaveOut(noSshd))("against OpenSSH's server", () => {
  shellSuite("ssh", openUnderTest({ sudo: false, jump: false }));
  shellSuite("ssh through a jump host", openUnderTest({ sudo: false, jump: true }));
});

describe.skipIf(leaveOut(noSudo))("against OpenSSH's server, as a user with password-less sudo", () => {
  shellSuite("ssh with sudo", openUnderTest({ sudo: true, jump: false }));

  test("sudo that asks for a password is denied, and nothing ran", async () => {
    const field = openSshdField();
    try {
      const server = await field.start();
      const user = field.addSudoUser();
      writeFileSync(`/etc/sudoers.d/${user}`, "", { mode: 0o440 });
      const { address, port } = server;
      const { identity, knownHosts } = field;
      const shell = openSsh({
        nodes: { n1: { address, port, user, identity, knownHosts, agent: false, sudo: true } },
        clock,
        useSshConfig: false,
      });
      await expect(shell.run("n1", ["test", "-e", "/"], second)).rejects.toMatchObject({ kind: "denied" });
      await shell.close();
    } finally {
      await field.close();
    }
  });
});

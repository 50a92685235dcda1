// Programs from Debian's packages, for the tests and the bench.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Installs those of `{ program, pack }` that are not there. Answers with why not, where it could not; quiet otherwise. */
export function installPacks(wanted) {
  const packs = wanted.filter(({ program }) => !isInstalled(program)).map(({ pack }) => pack);
  return packs.length === 0 ? undefined : (whyNot() ?? runApt(packs));
}

function whyNot() {
  if (process.getuid?.() !== 0) return "not installed, and only root may install it";
  if (!isDebian()) return "not installed, and this is no Debian";
  return undefined;
}

function runApt(packs) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  // Debian starts a service as soon as its package is installed, unless policy-rc.d says no (exit 101). A machine
  // must not find itself with an open port 22 because somebody ran the tests.
  const policy = "/usr/sbin/policy-rc.d";
  const ours = !existsSync(policy);
  if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    for (const args of [
      ["-q", "update"],
      ["-q", "install", "-y", "--no-install-recommends", ...packs],
    ]) {
      const { status, error } = spawnSync("apt-get", args, { env, stdio: ["ignore", "ignore", "inherit"] });
      if (status !== 0) return `apt-get ${args[1]} failed: ${error?.message ?? `exit status ${status}`}`;
    }
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
  return undefined;
}

function isDebian() {
  if (!existsSync("/etc/os-release")) return false;
  return /^(ID|ID_LIKE)=.*\bdebian\b/m.test(readFileSync("/etc/os-release", "utf8"));
}

/** Looks where a daemon lives too: an ordinary user's PATH lacks the sbin folders. */
export function isInstalled(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

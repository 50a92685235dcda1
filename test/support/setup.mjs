// Brings what the slow tests need on a fresh Debian machine: OpenSSH's server and client, sudo, jq, and a browser. It
// installs nothing anywhere else; there it says in one line what is left out. Quiet when there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const wanted = [
  { program: "sshd", pack: "openssh-server" },
  { program: "ssh", pack: "openssh-client" },
  { program: "sudo", pack: "sudo" },
  { program: "jq", pack: "jq" },
  { program: "chromium", pack: "chromium" },
];

// The browser by itself: where it cannot be had, the others still are.
for (const group of [wanted.filter(({ program }) => program !== "chromium"), wanted.slice(-1)]) {
  const missing = group.filter(({ program }) => !isInstalled(program));
  if (missing.length > 0) install(missing);
}

function install(missing) {
  const why = whyNot() ?? runApt(missing.map(({ pack }) => pack));
  if (why === undefined) return;
  const programs = missing.map(({ program }) => program).join(", ");
  console.log(`left out: the tests that need ${programs} (${why})`);
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
function isInstalled(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  return folders.some((folder) => folder !== "" && existsSync(join(folder, program)));
}

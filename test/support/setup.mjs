// Brings what the slow tests need on a fresh Debian machine: OpenSSH's server and client, sudo, jq, and a browser. It
// installs nothing anywhere else; there it says in one line what is left out. Quiet when there is nothing to do.
import { installPacks, isInstalled } from "./packs.mjs";

const wanted = [
  { program: "sshd", pack: "openssh-server" },
  { program: "ssh", pack: "openssh-client" },
  { program: "sudo", pack: "sudo" },
  { program: "jq", pack: "jq" },
  { program: "chromium", pack: "chromium" },
];

// The browser by itself: where it cannot be had, the others still are.
for (const group of [wanted.filter(({ program }) => program !== "chromium"), wanted.slice(-1)]) {
  const programs = group.map(({ program }) => program).filter((program) => !isInstalled(program));
  const why = installPacks(group);
  if (why !== undefined) console.log(`left out: the tests that need ${programs.join(", ")} (${why})`);
}

/**
 * Two OpenSSH servers on loopback, with the crypto that costs them least (ECDSA and ECDH on P-256, AES-128-GCM), so
 * that what is compared is the clients; and an inventory that names them.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createJiti } from "jiti";
import { openRelay } from "./relay.mjs";

export async function openField(folder) {
  const { noSshd, openSshdField } = await createJiti(import.meta.url).import("../support/sshd.ts");
  if (noSshd !== undefined) return { skipped: noSshd };
  const field = openSshdField();
  const identity = field.makeKey("id_bench", "-t", "ecdsa", "-b", "256", "-N", "");
  const authorized = join(field.folder, "authorized_bench");
  writeFileSync(authorized, readFileSync(`${identity}.pub`));
  const config = [
    `AuthorizedKeysFile ${authorized}`,
    "KexAlgorithms ecdh-sha2-nistp256",
    // The first is what all use but Fabric's paramiko, which only knows the second.
    "Ciphers aes128-gcm@openssh.com,aes128-ctr",
    // Ansible copies its modules by it.
    "Subsystem sftp internal-sftp",
  ];
  const servers = [
    await field.start({ hostKeyTypes: ["ecdsa"], config }),
    await field.start({ hostKeyTypes: ["ecdsa"], config }),
  ];
  const there = { ...field, identity, servers };
  return { ...there, inventory: writeInventory(folder, there) };
}

/** The same servers, with a way of so many milliseconds there and back. Closing it closes the way alone. */
export async function openFarField(folder, field, roundTripMs) {
  const relays = await Promise.all(field.servers.map((server) => openRelay(server, roundTripMs)));
  const known = relays.flatMap(({ port }, i) =>
    field.servers[i].hostKeys.map((key) => `[127.0.0.1]:${port} ${key}\n`),
  );
  appendFileSync(field.knownHosts, known.join(""));
  const far = { ...field, servers: relays.map(({ port }) => ({ address: "127.0.0.1", port })) };
  const close = () => relays.forEach((relay) => relay.close());
  return { ...far, inventory: writeInventory(folder, far), close };
}

function writeInventory(folder, { servers, user, identity, knownHosts }) {
  const inventory = join(folder, "runbook.yaml");
  mkdirSync(folder, { recursive: true });
  const nodes = servers.map(({ address, port }, i) =>
    [
      `      server${i + 1}:`,
      `        { address: ${address}, port: ${port}, user: ${user}, identity: ${identity},`,
      `          knownHosts: ${knownHosts}, instance: i-0000000000000000${i + 1} }`,
    ].join("\n"),
  );
  writeFileSync(
    inventory,
    `clusters:\n  bench:\n    manager: clusterpro\n    cloud: { driver: aws, region: eu-west-1 }\n    nodes:\n${nodes.join("\n")}\n`,
  );
  return inventory;
}

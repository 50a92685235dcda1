/**
 * Two OpenSSH servers on loopback, with the crypto that costs them least (ECDSA and ECDH on P-256, AES-128-GCM), so
 * that what is compared is the clients; and an inventory that names them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createJiti } from "jiti";

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
    "Ciphers aes128-gcm@openssh.com",
  ];
  const servers = [
    await field.start({ hostKeyTypes: ["ecdsa"], config }),
    await field.start({ hostKeyTypes: ["ecdsa"], config }),
  ];
  const inventory = join(folder, "runbook.yaml");
  mkdirSync(folder, { recursive: true });
  const nodes = servers.map(({ address, port }, i) =>
    [
      `      server${i + 1}:`,
      `        { address: ${address}, port: ${port}, user: ${field.user}, identity: ${identity},`,
      `          knownHosts: ${field.knownHosts}, instance: i-0000000000000000${i + 1} }`,
    ].join("\n"),
  );
  writeFileSync(
    inventory,
    `clusters:\n  bench:\n    manager: clusterpro\n    cloud: { driver: aws, region: eu-west-1 }\n    nodes:\n${nodes.join("\n")}\n`,
  );
  return { ...field, identity, servers, inventory };
}

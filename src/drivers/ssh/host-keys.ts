/** What a node must prove before anything is said to it: reads the known_hosts files, and words the refusals. */
import { readFile } from "node:fs/promises";
import { Failure } from "../../errors.ts";
import { quote } from "./quote.ts";
import type { Target } from "./target.ts";
import {
  algorithmsFor,
  checkHostKey,
  fingerprint,
  hostKeyName,
  keyType,
  parseKnownHosts,
  plainLines,
} from "./known-hosts.ts";
import type { HostKeyAlgorithm, HostKeyLine } from "./known-hosts.ts";

export interface HostKeyPolicy {
  /** Empty where nothing is known: then any is asked for, so that its fingerprint can be shown, and refused. */
  readonly algorithms: readonly HostKeyAlgorithm[];
  /** Where the known keys stand: "ssh-ed25519 in /root/.ssh/known_hosts line 3". */
  readonly knownFrom: string;
  readonly refuse: (key: Buffer) => Failure | undefined;
}

export async function hostKeyPolicy(target: Target): Promise<HostKeyPolicy> {
  const name = target.hostKeyAlias?.toLowerCase() ?? hostKeyName(target.address, target.port);
  const lines = (await Promise.all(target.knownHosts.map(readLines))).flat();
  const plain = plainLines(lines, name);
  const algorithms = algorithmsFor(plain.map(({ type }) => type));
  const knownFrom = plain.map((line) => `${line.type} in ${place(line)}`).join(", ");
  if (plain.length > 0 && algorithms.length === 0)
    throw new Failure(
      "unsupported",
      `${target.node} is known only by host keys of a kind that we cannot check: ${knownFrom}`,
      {
        hint: "add a line with its ssh-ed25519, ecdsa or ssh-rsa key",
      },
    );
  return { algorithms, knownFrom, refuse: (key) => refuse(target, name, lines, key) };
}

function refuse(
  target: Target,
  name: string,
  lines: readonly HostKeyLine[],
  key: Buffer,
): Failure | undefined {
  const verdict = checkHostKey(lines, name, key);
  const { node } = target;
  const presented = `${keyType(key)} key ${fingerprint(key)}`;
  switch (verdict.kind) {
    case "known":
      return undefined;
    case "changed":
      return new Failure(
        "denied",
        `the host key of ${node} has changed: it shows the ${presented}, but ${place(verdict.line)} has ` +
          `the ${verdict.line.type} key ${fingerprint(verdict.line.key)}`,
        {
          hint:
            `somebody may be in between; only if the node was reinstalled, take the old key away with ` +
            `\`ssh-keygen -R ${paste(name)} -f ${paste(verdict.line.path)}\` and add the new one`,
        },
      );
    case "revoked":
      return new Failure(
        "denied",
        `the host key of ${node}, the ${presented}, is revoked by ${place(verdict.line)}`,
        {
          hint: "somebody who has this key may be in between; ask whoever revoked it",
        },
      );
    case "unknown": {
      const unused = verdict.authorities.map(place).join(", ");
      const certificates =
        unused === ""
          ? ""
          : `; the @cert-authority of ${unused} was not used, host certificates are not supported`;
      return new Failure(
        "denied",
        `the host key of ${node} is not known: it shows the ${presented}, and ${name} is not in ` +
          `${target.knownHosts.join(" or ") || "any known_hosts file"}${certificates}`,
        {
          hint:
            `add it by \`ssh-keyscan -p ${target.port} ${paste(target.address)} >> ${paste(target.knownHosts[0] ?? "known_hosts")}\`` +
            `${target.jump === undefined ? "" : ` (the scan has to run on ${target.jump}, the way to ${node})`}, ` +
            `after comparing the fingerprint ${fingerprint(key)} with the one on the node's own console`,
        },
      );
    }
  }
}

/** A word of a command that works when pasted, whatever the inventory says. */
function paste(word: string): string {
  return /^[\w.:/@%+-]+$/.test(word) ? word : quote([word]);
}

function place({ path, line }: HostKeyLine): string {
  return `${path} line ${line}`;
}

/** A file that is not there knows nobody; one that cannot be read must not pass for that. */
async function readLines(path: string): Promise<readonly HostKeyLine[]> {
  try {
    return parseKnownHosts(path, await readFile(path, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw new Failure("denied", `the known hosts in ${path} cannot be read`, { cause: error });
  }
}

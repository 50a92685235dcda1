/**
 * Whom we believe to be who: the known_hosts format of sshd(8), as far as plain keys go. Pure functions; the
 * connection reads the files and asks here. `@cert-authority` lines are read only to be able to say that they
 * were not used, since ssh2 has no host certificates.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

export interface HostKeyLine {
  readonly path: string;
  readonly line: number;
  readonly marker: "cert-authority" | "revoked" | undefined;
  /** The first field as it stands: comma-separated patterns, or one hashed name. */
  readonly names: string;
  readonly type: string;
  readonly key: Buffer;
}

export type HostKeyVerdict =
  | { readonly kind: "known"; readonly line: HostKeyLine }
  | { readonly kind: "changed"; readonly line: HostKeyLine }
  | { readonly kind: "revoked"; readonly line: HostKeyLine }
  | { readonly kind: "unknown"; readonly authorities: readonly HostKeyLine[] };

/** What a host is looked up by: its name alone on port 22, else "[name]:port". */
export function hostKeyName(address: string, port: number): string {
  const name = address.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** The lines of one file. Lines that make no sense are passed over, as OpenSSH does: they can only trust less. */
export function parseKnownHosts(path: string, text: string): readonly HostKeyLine[] {
  return text.split("\n").flatMap((raw, index) => {
    const words = raw.trim().split(/[ \t]+/);
    const marker = markers.get(words[0] ?? "");
    if (marker !== undefined) words.shift();
    const [names = "", type = "", base64 = ""] = words;
    if (names.startsWith("#") || names.startsWith("@") || base64 === "") return [];
    const key = Buffer.from(base64, "base64");
    // The blob repeats its type; a line in which the two differ was damaged or forged.
    if (keyType(key) !== type) return [];
    return [{ path, line: index + 1, marker, names, type, key }];
  });
}

const markers = new Map<string, HostKeyLine["marker"]>([
  ["@cert-authority", "cert-authority"],
  ["@revoked", "revoked"],
]);

/** Whether the first field of a line means this host: hashed, or patterns of which no negated one matches. */
export function namesHost(names: string, host: string): boolean {
  if (names.startsWith("|")) return hashNamesHost(names, host);
  const patterns = names.split(",");
  const matches = (pattern: string) => globMatches(pattern.toLowerCase(), host.toLowerCase());
  if (patterns.some((pattern) => pattern.startsWith("!") && matches(pattern.slice(1)))) return false;
  return patterns.some((pattern) => !pattern.startsWith("!") && matches(pattern));
}

/** "|1|SALT|HASH": the hash is HMAC-SHA1 of the name under the salt; a hashed name has no wildcards. */
function hashNamesHost(names: string, host: string): boolean {
  const [, version, salt = "", hash = ""] = names.split("|");
  if (version !== "1") return false;
  const wanted = Buffer.from(hash, "base64");
  const found = createHmac("sha1", Buffer.from(salt, "base64")).update(host.toLowerCase()).digest();
  return wanted.length === found.length && timingSafeEqual(wanted, found);
}

/** Only `*` and `?` are special; walked with one step back instead of a RegExp, so that no pattern can stall us. */
function globMatches(pattern: string, text: string): boolean {
  let p = 0;
  let star = -1;
  let retry = 0;
  for (let t = 0; t < text.length;) {
    if (pattern[p] === "*") {
      star = p++;
      retry = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++retry;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

export function checkHostKey(lines: readonly HostKeyLine[], host: string, key: Uint8Array): HostKeyVerdict {
  const ours = lines.filter(({ names }) => namesHost(names, host));
  const same = ours.filter((line) => line.key.equals(key));
  const revoked = same.find(({ marker }) => marker === "revoked");
  if (revoked !== undefined) return { kind: "revoked", line: revoked };
  const known = same.find(({ marker }) => marker === undefined);
  if (known !== undefined) return { kind: "known", line: known };
  const type = keyType(key);
  const others = ours.filter(({ marker }) => marker === undefined);
  const changed = others.find((line) => line.type === type) ?? others[0];
  if (changed !== undefined) return { kind: "changed", line: changed };
  return { kind: "unknown", authorities: ours.filter(({ marker }) => marker === "cert-authority") };
}

/** The lines that a host may prove itself by. */
export function plainLines(lines: readonly HostKeyLine[], host: string): readonly HostKeyLine[] {
  return lines.filter(({ marker, names }) => marker === undefined && namesHost(names, host));
}

export type HostKeyAlgorithm =
  | "ssh-ed25519"
  | "ecdsa-sha2-nistp256"
  | "ecdsa-sha2-nistp384"
  | "ecdsa-sha2-nistp521"
  | "rsa-sha2-512"
  | "rsa-sha2-256";

/**
 * The signature algorithms to offer for the types of key that are known. Only these are offered: a server that
 * has several keys would else choose one that we do not know, and an honest host would look like an attack.
 * RSA is taken with SHA-2 only, as OpenSSH does since 8.8.
 */
export function algorithmsFor(types: readonly string[]): readonly HostKeyAlgorithm[] {
  return algorithms.filter(({ type }) => types.includes(type)).map(({ algorithm }) => algorithm);
}

const algorithms: readonly { readonly type: string; readonly algorithm: HostKeyAlgorithm }[] = [
  { type: "ssh-ed25519", algorithm: "ssh-ed25519" },
  { type: "ecdsa-sha2-nistp256", algorithm: "ecdsa-sha2-nistp256" },
  { type: "ecdsa-sha2-nistp384", algorithm: "ecdsa-sha2-nistp384" },
  { type: "ecdsa-sha2-nistp521", algorithm: "ecdsa-sha2-nistp521" },
  { type: "ssh-rsa", algorithm: "rsa-sha2-512" },
  { type: "ssh-rsa", algorithm: "rsa-sha2-256" },
];

/** As OpenSSH prints it: "SHA256:" and base64 without padding. */
export function fingerprint(key: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replaceAll("=", "")}`;
}

/** The type that a key blob says it is, "" if it is no key blob. */
export function keyType(key: Uint8Array): string {
  const blob = Buffer.from(key.buffer, key.byteOffset, key.byteLength);
  if (blob.length < 4) return "";
  const length = blob.readUInt32BE(0);
  return length <= blob.length - 4 ? blob.toString("latin1", 4, 4 + length) : "";
}

import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  algorithmsFor,
  checkHostKey,
  fingerprint,
  hostKeyName,
  keyType,
  namesHost,
  parseKnownHosts,
  plainLines,
} from "../../src/drivers/ssh/known-hosts.ts";

/** A key blob as on the wire: its type and some bytes. */
function blob(type: string, content: string): Buffer {
  const part = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return Buffer.concat([part(Buffer.from(type)), part(Buffer.from(content.padEnd(32, "-")))]);
}
const line = (names: string, key: Buffer, marker = "") =>
  `${marker}${names} ${keyType(key)} ${key.toString("base64")} a comment\n`;
const hashed = (host: string) => {
  const salt = Buffer.from("twenty bytes of salt");
  return `|1|${salt.toString("base64")}|${createHmac("sha1", salt).update(host).digest("base64")}`;
};
const mine = blob("ssh-ed25519", "mine");
const other = blob("ssh-ed25519", "other");
const rsa = blob("ssh-rsa", "rsa");
const check = (file: string, host: string, key: Buffer) =>
  checkHostKey(parseKnownHosts("f", file), host, key);

test("a host is looked up by its name, with the port unless it is 22", () => {
  expect(hostKeyName("DB1.example", 22)).toBe("db1.example");
  expect(hostKeyName("10.0.0.1", 2222)).toBe("[10.0.0.1]:2222");
  expect(hostKeyName("fe80::1", 2222)).toBe("[fe80::1]:2222");
});

describe("names of a line", () => {
  test.each([
    ["db1", "db1", true],
    ["DB1", "db1", true],
    ["db1", "db11", false],
    ["db1,10.0.0.1", "10.0.0.1", true],
    ["*.example", "a.b.example", true],
    ["*.example", "example", false],
    ["db?", "db1", true],
    ["db?", "db", false],
    ["db.1", "dbx1", false],
    ["*.example,!db.example", "db.example", false],
    ["!db.example,*.example", "web.example", true],
    ["!db.example", "web.example", false],
    ["db1", "[db1]:2222", false],
    ["[db1]:2222", "[db1]:2222", true],
    ["[*.example]:2222", "[a.example]:2222", true],
    ["[db1]:2222", "db1", false],
    ["a*b*c", "aXbYbZc", true],
    ["a*b*c", "aXbYbZ", false],
  ])("%s and %s: %s", (names, host, matches) => {
    expect(namesHost(names, host)).toBe(matches);
  });

  test("a hashed name is the host's own, and no other's", () => {
    expect(namesHost(hashed("[db1]:2222"), "[db1]:2222")).toBe(true);
    expect(namesHost(hashed("[db1]:2222"), "[DB1]:2222")).toBe(true);
    expect(namesHost(hashed("db1"), "db2")).toBe(false);
    expect(namesHost("|2|AAAA|AAAA", "db1")).toBe(false);
    expect(namesHost("|1|AAAA", "db1")).toBe(false);
  });

  test("a pattern full of wildcards does not stall", () => {
    expect(namesHost("*a".repeat(40), "a".repeat(200) + "b")).toBe(false);
  });
});

describe("a file", () => {
  test("comments, empty, torn and forged lines are passed over, and lines keep their number", () => {
    const forged = `db1 ssh-rsa ${mine.toString("base64")}\n`;
    const file = `# c\n\ndb1\ndb1 ssh-ed25519\n@new db1 x y\ndb1 ssh-ed25519 !!!\n${forged}${line("db1", mine)}`;
    expect(parseKnownHosts("f", file)).toMatchObject([
      { path: "f", line: 8, names: "db1", type: "ssh-ed25519" },
    ]);
  });

  test("Windows line ends do not spoil the last word", () => {
    const file = `db1 ssh-ed25519 ${mine.toString("base64")}\r\n`;
    expect(check(file, "db1", mine).kind).toBe("known");
  });
});

describe("a host's key is", () => {
  test("known by any line that names it", () => {
    const file = line("db1", other) + line(hashed("db1"), mine);
    expect(check(file, "db1", mine)).toMatchObject({ kind: "known", line: { line: 2 } });
  });

  test("changed where lines name the host, and none has this key; the line of the same type is shown", () => {
    const file = line("db1", rsa) + line("db1", other);
    expect(check(file, "db1", mine)).toMatchObject({ kind: "changed", line: { line: 2 } });
    expect(check(line("db1", rsa), "db1", mine)).toMatchObject({ kind: "changed", line: { line: 1 } });
  });

  test("revoked before it is known", () => {
    const file = line("db1", mine) + line("*", mine, "@revoked ");
    expect(check(file, "db1", mine)).toMatchObject({ kind: "revoked", line: { line: 2 } });
  });

  test("not touched by another key's revocation", () => {
    expect(check(line("*", other, "@revoked ") + line("db1", mine), "db1", mine).kind).toBe("known");
    expect(check(line("*", other, "@revoked "), "db1", mine).kind).toBe("unknown");
  });

  test("unknown where no line names the host", () => {
    expect(check(line("db2", mine), "db1", mine)).toEqual({ kind: "unknown", authorities: [] });
  });

  test("unknown under a certificate authority, which is named", () => {
    const file = line("*", mine, "@cert-authority ");
    expect(check(file, "db1", mine)).toMatchObject({ kind: "unknown", authorities: [{ line: 1 }] });
  });
});

test("only algorithms of the known types are asked for, and RSA never with SHA-1", () => {
  const lines = parseKnownHosts("f", line("db1", rsa) + line("db2", mine) + line("db1", mine, "@revoked "));
  const types = plainLines(lines, "db1").map(({ type }) => type);
  expect(algorithmsFor(types)).toEqual(["rsa-sha2-512", "rsa-sha2-256"]);
  expect(algorithmsFor(["ssh-dss", "sk-ssh-ed25519@openssh.com"])).toEqual([]);
  expect(algorithmsFor(["ecdsa-sha2-nistp256", "ssh-ed25519"])).toEqual([
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
  ]);
});

test("a fingerprint is SHA-256 in base64 without padding", () => {
  expect(fingerprint(Buffer.from(""))).toBe("SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
});

test("what is no key blob has no type", () => {
  expect(keyType(new Uint8Array())).toBe("");
  expect(keyType(Uint8Array.from([255, 255, 255, 255, 1]))).toBe("");
});

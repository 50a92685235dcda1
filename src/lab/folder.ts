/**
 * What a lab keeps in its folder: the keys of its nodes and of the one who may log in to them, which stay for as long
 * as the folder does (so a known_hosts that was written once is true for ever), and files that are ours alone.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "../errors.ts";
import { loadSsh2 } from "./ssh-server.ts";

export interface KeyPair {
  readonly path: string;
  readonly private: string;
  /** "ssh-ed25519 AAAA…". */
  readonly public: string;
}

export async function openFolder(folder: string): Promise<void> {
  await mkdir(join(folder, "keys"), { recursive: true, mode: 0o700 });
}

/** The key pair of that name; made if it is not there. */
export async function keyPair(folder: string, name: string): Promise<KeyPair> {
  const path = join(folder, "keys", name);
  if (existsSync(path) && existsSync(`${path}.pub`))
    return {
      path,
      private: await readFile(path, "utf8"),
      public: (await readFile(`${path}.pub`, "utf8")).trim(),
    };
  const made = await newPair(`runbook lab ${name}`);
  await writeOwn(`${path}.pub`, `${made.public}\n`);
  await writeOwn(path, made.private);
  return { path, ...made };
}

async function newPair(comment: string): Promise<{ readonly private: string; readonly public: string }> {
  const { utils } = await loadSsh2();
  // The library writes some keys so that it cannot read them again itself; such a one is thrown away.
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const pair = utils.generateKeyPairSync("ed25519", { comment });
    const usable = [pair.private, pair.public].every((key) => !(utils.parseKey(key) instanceof Error));
    if (usable) return { private: pair.private, public: pair.public.trim() };
  }
  throw new Failure("bug", "no usable key could be made for the lab");
}

/** Writes a file as a whole, for us alone: a reader sees the old one or the new one. */
export async function writeOwn(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, text, { mode: 0o600, flag: "wx" });
  await rename(draft, path);
}

/** Signatures over a bundle's SHA256SUMS. */
import { chmodSync } from "node:fs";
import { join, resolve } from "node:path";

import { Failure } from "../errors.ts";
import { signatureFile, sumsFile } from "./evidence-contents.ts";
import { keygen } from "./ssh-keygen.ts";

/** What a signature is for: one that was made for something else does not count here. */
const purpose = "runbook-evidence";

export interface Signers {
  /** A file as ssh-keygen(1) tells under ALLOWED SIGNERS. */
  readonly file: string;
  readonly name: string;
}

/** Signs the bundle in this folder. ssh-keygen asks for a passphrase on the terminal itself; an agent's key is named by its public half. */
export function sign(folder: string, key: string): void {
  const argv = ["-q", "-Y", "sign", "-f", resolve(key), "-n", purpose, sumsFile];
  const { status, said } = keygen(argv, { cwd: folder });
  if (status !== 0)
    throw new Failure("denied", `ssh-keygen did not sign with ${key}: ${said}`, {
      hint: "--sign takes a private key, or the public half of one that the agent holds",
    });
  // It goes by the umask alone.
  chmodSync(join(folder, signatureFile), 0o600);
}

/** What is wrong with the signature as the end of a sentence; undefined if it is by this signer. */
export function wrongSignature(folder: string, sums: Buffer, { file, name }: Signers): string | undefined {
  const signature = join(folder, signatureFile);
  const argv = ["-Y", "verify", "-f", resolve(file), "-I", name, "-n", purpose, "-s", signature];
  const { status, said } = keygen(argv, { input: sums });
  return status === 0 ? undefined : `is no signature of ${sumsFile} by ${name} (ssh-keygen: ${said})`;
}

/** Whether the signature fits at all, whoever made it, and with which key. */
export function signedWith(
  folder: string,
  sums: Buffer,
): { readonly key: string } | { readonly wrong: string } {
  const argv = ["-Y", "check-novalidate", "-n", purpose, "-s", join(folder, signatureFile)];
  const { status, said } = keygen(argv, { input: sums });
  if (status !== 0) return { wrong: `is no signature of ${sumsFile} (ssh-keygen: ${said})` };
  return { key: / with (.+)$/.exec(said)?.[1] ?? said };
}

/**
 * ssh-keygen reads over white space and whatever follows the last line, so a changed byte there would not show: the text must
 * be the one that ssh-keygen writes.
 */
export function isAsWritten(signature: Buffer): boolean {
  const text = signature.toString("latin1");
  const [begin, end] = ["-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"];
  if (!text.startsWith(begin) || !text.endsWith(end)) return false;
  const body = text.slice(begin.length, text.length - end.length);
  const again = Buffer.from(body, "base64").toString("base64");
  return body === again.replace(/.{1,70}/g, "$&\n");
}

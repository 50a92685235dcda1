/**
 * What we prove ourselves by: private keys from files, and the agent. A passphrase comes from
 * RUNBOOK_SSH_PASSPHRASE and from nowhere else.
 */
import { createPrivateKey, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { AuthMethod, ParsedKey, PublicKeyAuthMethod, AgentAuthMethod } from "ssh2";
import { Failure } from "../../errors.ts";
import type { Ssh2 } from "./connection.ts";

export interface Identity {
  readonly path: string;
  /** The inventory named it: then it must be usable. The files that OpenSSH tries by default need not be there. */
  readonly wanted: boolean;
}

export interface Login {
  readonly user: string;
  readonly identities: readonly Identity[];
  /** Path of the agent's socket. */
  readonly agent: string | undefined;
  /** The inventory asked for the agent, so it goes first. */
  readonly agentWanted: boolean;
  /** OpenSSH's IdentitiesOnly: the agent only steps in where no key file could be used. */
  readonly identitiesOnly: boolean;
}

export interface Credentials {
  readonly methods: readonly AuthMethod[];
  /** What they are, for a message: "the key /root/.ssh/id_ed25519". */
  readonly names: readonly string[];
  /** What was passed over and why: "/root/.ssh/id_rsa is encrypted". */
  readonly passedOver: readonly string[];
}

export type KeyStore = (ssh2: Ssh2, identity: Identity) => Promise<KeyOutcome>;
type KeyOutcome = { readonly key: ParsedKey } | { readonly why: string; readonly hint?: string };

/** Each file is read and parsed once, whatever the number of nodes it opens. */
export function openKeyStore(): KeyStore {
  const parsed = new Map<string, Promise<KeyOutcome>>();
  return (ssh2, { path }) => {
    const found = parsed.get(path) ?? loadKey(ssh2, path);
    parsed.set(path, found);
    return found;
  };
}

export async function findCredentials(
  ssh2: Ssh2,
  keys: KeyStore,
  node: string,
  login: Login,
): Promise<Credentials> {
  const methods: AuthMethod[] = [];
  const names: string[] = [];
  const passedOver: string[] = [];
  for (const identity of login.identities) {
    const outcome = await keys(ssh2, identity);
    if ("key" in outcome) {
      const method: PublicKeyAuthMethod = { type: "publickey", username: login.user, key: outcome.key };
      methods.push(method);
      names.push(`the key ${identity.path}`);
    } else if (identity.wanted && login.agent === undefined)
      throw new Failure("denied", `the key for ${node} cannot be used: ${outcome.why}`, {
        hint: outcome.hint ?? "name a readable private key as `identity` in the inventory",
      });
    else if (identity.wanted || outcome.hint !== undefined) passedOver.push(outcome.why);
  }
  if (login.agent !== undefined && !(login.identitiesOnly && methods.length > 0)) {
    const method: AgentAuthMethod = { type: "agent", username: login.user, agent: login.agent };
    if (login.agentWanted) methods.unshift(method);
    else methods.push(method);
    names.push("the agent's keys");
  }
  return { methods, names, passedOver };
}

async function loadKey(ssh2: Ssh2, path: string): Promise<KeyOutcome> {
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    return { why: `${path} cannot be read (${error instanceof Error ? error.message : String(error)})` };
  }
  const passphrase = process.env["RUNBOOK_SSH_PASSPHRASE"];
  const parsed: ParsedKey | Error | ParsedKey[] = ssh2.utils.parseKey(content, passphrase);
  const key: ParsedKey | Error | undefined = Array.isArray(parsed)
    ? (parsed as readonly ParsedKey[])[0]
    : parsed;
  if (key === undefined || key instanceof Error) {
    // The only way to tell an encrypted key from a damaged one is how ssh2 words it; both are passed over alike.
    const encrypted = key !== undefined && /encrypted|passphrase|decrypt|integrity/i.test(key.message);
    if (!encrypted)
      return { why: `${path} is no private key that we understand (${key?.message ?? "it is empty"})` };
    return {
      why: `${path} is encrypted, and ${passphrase === undefined ? "no passphrase was given" : "the passphrase given does not open it"}`,
      hint: "put the passphrase into RUNBOOK_SSH_PASSPHRASE, or add the key to the agent with `ssh-add`",
    };
  }
  if (!key.isPrivateKey()) return { why: `${path} is a public key` };
  return { key: signFast(key) };
}

/**
 * ssh2 keeps a private key as PEM text and parses it anew at every signature, a quarter of the cost of a connection
 * (reference performance, "What decides speed" 2). We parse once and sign with the key object.
 */
function signFast(key: ParsedKey): ParsedKey {
  const object = createPrivateKey(key.getPrivatePEM());
  const hash = ownHash.get(key.type);
  key.sign = (data, algorithm) => sign(algorithm ?? hash ?? null, Buffer.from(data), object);
  return key;
}

/** What each type signs with where the server did not choose; ed25519 hashes by itself. */
const ownHash = new Map<string, string>([
  ["ssh-rsa", "sha1"],
  ["ssh-dss", "sha1"],
  ["ecdsa-sha2-nistp256", "sha256"],
  ["ecdsa-sha2-nistp384", "sha384"],
  ["ecdsa-sha2-nistp521", "sha512"],
]);

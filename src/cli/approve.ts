/**
 * Approvals of a plan (design 3.7): a person signs a statement about it with an SSH key. A run of a cluster whose
 * inventory asks for approvals counts those that are signed by an allowed signer, for this very plan and the state that it
 * was made from, and are still good.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join, resolve } from "node:path";

import type { ApprovalEntry } from "../config/approvals.ts";
import type { Approval } from "../engine/start-row.ts";
import { Failure } from "../errors.ts";
import { canonical, type Plan } from "../runbook/plan.ts";
import { exitCodes, fileTrouble, harmless } from "./exit.ts";
import { readPlanFile } from "./making.ts";
import { writePrivate } from "./private-file.ts";
import { maskSecrets } from "./secrets.ts";
import { keygen } from "./ssh-keygen.ts";

/** What a signature is for: one that was made for something else does not count here. */
const purpose = "runbook-approval";
/** A signer's name: it becomes an argument of ssh-keygen and part of a file's name. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,62}$/;

export interface ApproveOptions {
  readonly key?: string;
  readonly as?: string;
  readonly why?: string;
  readonly hours?: string;
}

/** What is signed, as text: nothing is read out of it before its signature was verified. */
interface Statement {
  readonly approves: "runbook plan";
  readonly plan: string;
  readonly state: string;
  readonly runbook: string;
  readonly cluster: string;
  readonly by: string;
  readonly why: string;
  /** Milliseconds since the epoch, by the clock of whoever signed. */
  readonly at: number;
  readonly until: number;
}

interface Signed {
  readonly statement: string;
  readonly signature: string;
}

/** sha256 of the state that a plan was made from: what a run finds to be the same, or refuses. */
export function stateHashOf(plan: Pick<Plan, "facts">): string {
  return createHash("sha256").update(canonical(plan.facts)).digest("hex");
}

export async function approve(file: string, options: ApproveOptions): Promise<number> {
  const { key, as: by = "", why = "" } = options;
  if (why.trim() === "")
    throw new Failure("invalid", "--why is missing: whoever reads the journal wants to know the reason", {
      hint: 'for example --why "reviewed with the night shift"',
    });
  if (!namePattern.test(by))
    throw new Failure("invalid", `--as is "${by}"; wanted your name as the file of allowed signers has it`, {
      hint: "for example --as ann@example.com",
    });
  if (key === undefined || !existsSync(key))
    throw new Failure("invalid", key === undefined ? "--key is missing" : `--key: there is no key ${key}`, {
      hint: "name a private SSH key, or the public half of one that the agent holds",
    });
  const hours = Number(options.hours ?? "24");
  if (!/^\d{1,3}$/.test(options.hours ?? "24") || hours < 1 || hours > 720)
    throw new Failure("invalid", `--hours is "${options.hours ?? ""}"; wanted whole hours from 1 to 720`, {
      hint: "for so long the approval is good; 24 if left out",
    });
  const plan = readPlanFile(file, "anybody's");
  const { systemClock } = await import("../drivers/clock/system.ts");
  const at = systemClock().now();
  const said: Statement = {
    approves: "runbook plan",
    plan: plan.hash,
    state: stateHashOf(plan),
    runbook: plan.runbook,
    cluster: plan.cluster,
    by,
    why: maskSecrets(process.env)(why.trim()),
    at,
    until: at + hours * 3_600_000,
  };
  const statement = `${JSON.stringify(said)}\n`;
  const argv = ["-q", "-Y", "sign", "-f", resolve(key), "-n", purpose];
  const { status, stdout, said: trouble } = keygen(argv, { input: statement });
  if (status !== 0 || !stdout.startsWith("-----BEGIN SSH SIGNATURE-----"))
    throw new Failure("denied", `ssh-keygen did not sign with ${key}: ${trouble}`, {
      hint: "--key takes a private key, or the public half of one that the agent holds",
    });
  const out = `${file}.${by}.approval`;
  const signed: Signed = { statement, signature: stdout };
  writePrivate(out, `${JSON.stringify(signed, null, 2)}\n`, "over");
  const until = new Date(said.until).toISOString();
  process.stdout.write(
    `${harmless(`${out}: ${by} approves ${plan.runbook} on ${plan.cluster}, plan ${plan.hash.slice(0, 12)}…, until ${until}`)}\n`,
  );
  return exitCodes.done;
}

/** The approvals that count for this plan. Failure `precondition` if there are too few, naming why the others do not count. */
export function approvalsFor(
  asked: ApprovalEntry | undefined,
  plan: Plan,
  file: string | undefined,
  given: { readonly named: readonly string[]; readonly now: number },
): readonly Approval[] {
  if (!asked || (asked.runbooks && !asked.runbooks.includes(plan.runbook))) return [];
  const wanted = `${plan.runbook} on ${plan.cluster} needs ${asked.need === 1 ? "an approval" : `the approvals of ${asked.need} people`}`;
  if (file === undefined)
    throw new Failure("precondition", `${wanted}, and only a plan file can be approved`, {
      hint: `runbook plan ${plan.runbook} ${plan.cluster} --out plan.json; then \`runbook approve plan.json\`, and \`runbook run plan.json\``,
    });
  const approvals: Approval[] = [];
  const troubles: string[] = [];
  for (const path of [...found(file), ...given.named]) {
    const judged = judge(path, asked, plan, given.now);
    if (typeof judged === "string") troubles.push(`${path} ${judged}`);
    else if (approvals.some(({ by, key }) => by === judged.by || key === judged.key))
      troubles.push(`${path} is by somebody who is counted already, or with the same key`);
    else approvals.push(judged);
  }
  if (approvals.length >= asked.need) return approvals;
  const told = troubles.length === 0 ? "none was found beside the plan" : troubles.join("; ");
  throw new Failure("precondition", `${wanted}, and has ${approvals.length}: ${told}`, {
    hint: `runbook approve ${file} --key KEY --as NAME --why "…"${asked.notStarter ? ", by somebody else than whoever starts it" : ""}`,
  });
}

/** As `runbook approve` names them, beside the plan. */
function found(file: string): readonly string[] {
  const folder = dirname(resolve(file));
  const begin = `${basename(file)}.`;
  return readdirSync(folder)
    .filter((name) => name.startsWith(begin) && name.endsWith(".approval"))
    .sort()
    .map((name) => join(folder, name));
}

/** An approval, or why it does not count as the end of a sentence. */
function judge(path: string, asked: ApprovalEntry, plan: Plan, now: number): Approval | string {
  const signed = readSigned(path);
  if (typeof signed === "string") return signed;
  const { statement, signature } = signed;
  const claimed = readStatement(statement);
  if (!claimed) return "is no approval of a plan";
  const key = keyOf(asked.signers, claimed.by, signed);
  if (typeof key !== "object") return key;
  if (claimed.plan !== plan.hash) return "is of another plan";
  if (claimed.state !== stateHashOf(plan)) return "is of another state of the cluster";
  if (claimed.at > now + 300_000) return "is from the future, by the clock here";
  const until = Math.min(claimed.until, claimed.at + asked.hours * 3_600_000);
  if (now > until) return `was good until ${new Date(until).toISOString()}`;
  if (asked.notStarter && isStarter(claimed.by)) return `is by ${claimed.by}, who starts it`;
  const { by, why, at } = claimed;
  return { by, why, at, until, key: key.fingerprint, statement, signature };
}

function readSigned(path: string): Signed | string {
  try {
    const { statement, signature } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    if (typeof statement === "string" && typeof signature === "string") return { statement, signature };
    return "is no approval: it lacks statement and signature";
  } catch (thrown) {
    return thrown instanceof SyntaxError
      ? "is no approval: it is not JSON"
      : `cannot be read: ${fileTrouble(thrown)}`;
  }
}

function readStatement(text: string): Statement | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const texts = ["plan", "state", "runbook", "cluster", "by", "why"];
    const isOne =
      value["approves"] === "runbook plan" &&
      texts.every((name) => typeof value[name] === "string") &&
      namePattern.test(String(value["by"])) &&
      Number.isFinite(value["at"]) &&
      Number.isFinite(value["until"]);
    return isOne ? (value as unknown as Statement) : undefined;
  } catch {
    return undefined;
  }
}

/** The key with which it is signed, if that is one of this signer's; else what is wrong. */
function keyOf(
  signers: string,
  by: string,
  { statement, signature }: Signed,
): { readonly fingerprint: string } | string {
  if (!existsSync(signers))
    throw new Failure("precondition", `the file of allowed signers ${signers} is not there`, {
      hint: "the inventory names it under `approvals`; ssh-keygen(1) tells its form under ALLOWED SIGNERS",
    });
  const folder = mkdtempSync(join(tmpdir(), "runbook-approval-"));
  try {
    const file = join(folder, "signature");
    writeFileSync(file, signature, { mode: 0o600 });
    const argv = ["-Y", "verify", "-f", signers, "-I", by, "-n", purpose, "-s", file];
    const { status, said } = keygen(argv, { input: statement });
    const fingerprint = / (SHA256:\S+)/.exec(said)?.[1];
    return status === 0 && fingerprint !== undefined
      ? { fingerprint }
      : `is not signed by ${by} as ${signers} knows them (ssh-keygen: ${said})`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Whoever is logged in, and whoever became that user by sudo: compared with the name before any @. */
function isStarter(by: string): boolean {
  const login = (by.split("@")[0] ?? by).toLowerCase();
  return [userInfo().username, process.env["SUDO_USER"], process.env["LOGNAME"]].some(
    (name) => name?.toLowerCase() === login,
  );
}

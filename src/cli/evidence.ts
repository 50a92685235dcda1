/** A run as evidence: a folder that a stranger verifies without us, and the same verification in one go. */
import { existsSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

import { startOf } from "../engine/start-row.ts";
import { Failure } from "../errors.ts";
import type { Store } from "../ports/store.ts";
import { draftName, syncFolder } from "../store/private-files.ts";
import { readSegments } from "../store/segments.ts";
import { openPlaceOf, type Place, type WorldOptions } from "./context.ts";
import {
  filesTold,
  fromJournal,
  journalOf,
  journalPath,
  manifestFile,
  manifestText,
  planFiles,
  sumsFile,
  sumsText,
  type Files,
  type Manifest,
} from "./evidence-contents.ts";
import { sign } from "./evidence-sign.ts";
import { verifyBundle, type VerifyGiven } from "./evidence-verify.ts";
import { exitCodes, fileTrouble, harmless } from "./exit.ts";
import { productVersion } from "./product.ts";
import { reportOf } from "./report.ts";
import { renderHtml } from "./report-html.ts";
import { renderMarkdown } from "./report-markdown.ts";
import { english } from "./report-text-en.ts";
import { japanese } from "./report-text-ja.ts";
import { seeRun } from "./runs-seen.ts";

export interface EvidenceOptions extends WorldOptions {
  readonly out?: string;
  readonly sign?: string;
}

export async function evidence(run: string, options: EvidenceOptions): Promise<number> {
  const place = await openPlaceOf(run, options);
  const out = options.out ?? `${run}-evidence`;
  const { files, manifest } = await bundleOf(place, run, options.sign !== undefined);
  await writeBundle(out, files, options.sign);
  const { journal, mayGoOn, state } = manifest;
  process.stdout.write(
    `The evidence of run ${run} is in ${harmless(out)}.\n` +
      `head: ${journal.head}\n` +
      "Keep the head where nobody who can write this folder can change it: without it, rows that are cut off do not show.\n" +
      (mayGoOn ? `The run is ${state}: its journal may go on, and then has another head.\n` : ""),
  );
  return exitCodes.done;
}

interface Bundle {
  readonly files: Files;
  readonly manifest: Manifest;
}

/** Everything is made of the segments as they were read once: a run that is under way goes on meanwhile. */
export async function bundleOf(
  place: Pick<Place, "store" | "folder" | "clock" | "lab">,
  run: string,
  signed: boolean,
): Promise<Bundle> {
  const { store, folder, clock, lab } = place;
  const { held } = await store.read(run);
  const segments = readSegments(folder, run);
  const journal = journalOf(run, segments);
  const frozen: Store = {
    ...store,
    read: async (other) =>
      other === run ? { rows: journal.rows, torn: journal.torn, held } : store.read(other),
  };
  const bundled = { at: clock.now(), tool: productVersion() };
  const told = await reportOf(frozen, run, {
    lab,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    written: bundled,
  });
  const files = new Map<string, Buffer>([
    ...segments.map(({ number, bytes }) => [journalPath(number), bytes] as const),
    ...planFiles(startOf(journal.rows).plan),
    ["report.html", Buffer.from(renderHtml(told, english))],
    ["report.md", Buffer.from(renderMarkdown(told, english))],
    ["report.ja.html", Buffer.from(renderHtml(told, japanese))],
    ["report.ja.md", Buffer.from(renderMarkdown(told, japanese))],
  ]);
  const { state } = await seeRun(frozen, run);
  const { runbook, cluster, ...rest } = fromJournal(journal);
  const manifest: Manifest = {
    format: 1,
    run,
    runbook,
    cluster,
    lab,
    state,
    ...rest,
    bundled,
    signed,
    files: filesTold(files),
  };
  files.set(manifestFile, Buffer.from(manifestText(manifest)));
  files.set(sumsFile, Buffer.from(sumsText(files)));
  return { files, manifest };
}

/** Private, and whole or not at all: made under a draft's name beside it, verified there, and renamed. */
export async function writeBundle(out: string, files: Files, key: string | undefined): Promise<void> {
  const above = dirname(resolve(out));
  const draft = join(above, draftName());
  if (lstatSync(out, { throwIfNoEntry: false }) !== undefined)
    throw new Failure("invalid", `${out} is there already`, { hint: "--out names another folder" });
  if (key !== undefined && !existsSync(key))
    throw new Failure("invalid", `--sign: there is no key ${key}`, {
      hint: "name a private key, or the public half of one that the agent holds",
    });
  try {
    mkdirSync(draft, { mode: 0o700 });
    for (const [path, bytes] of files) {
      const file = join(draft, path);
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, bytes, { mode: 0o600, flag: "wx", flush: true });
    }
    if (key !== undefined) sign(draft, key);
    const [finding] = verifyBundle(draft).findings;
    if (finding)
      throw new Failure("precondition", `this run gives no evidence: ${finding.file} ${finding.what}`, {
        hint: "keep a copy of the run's folder, and find out who wrote to it",
      });
    renameSync(draft, out);
    await syncFolder(above);
  } catch (thrown) {
    rmSync(draft, { recursive: true, force: true });
    if (thrown instanceof Failure) throw thrown;
    throw new Failure("invalid", `${out} cannot be written: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "name a folder to be made, in one that exists and is yours, with --out",
    });
  }
}

export interface VerifyOptions {
  readonly head?: string;
  readonly allowedSigners?: string;
  readonly signer?: string;
}

export async function verify(folder: string, options: VerifyOptions): Promise<number> {
  const given = givenOf(options);
  const { findings, head, rows, signedWith } = verifyBundle(folder, given);
  const lines = findings.map(({ file, what }) => `${file}: ${what}`);
  if (findings.length > 0) {
    lines.push(`This is not the bundle as it was made: ${findings.length} findings.`);
  } else {
    lines.push(`The bundle is whole: ${rows} rows, and the plan, runbook and manifest that fit them.`);
    lines.push(`head: ${head ?? ""}`);
    if (!given.head)
      lines.push("Not looked at: whether rows were cut off before the bundle was made anew (--head N:HASH).");
    if (given.signers) lines.push(`signed by ${given.signers.name} with ${signedWith ?? ""}`);
    else if (signedWith !== undefined)
      lines.push(
        `signed with ${signedWith}; whose key that is was not looked at (--allowed-signers, --signer).`,
      );
    else lines.push("It is not signed: who made it, and whether its reports were changed, does not show.");
  }
  process.stdout.write(`${lines.map(harmless).join("\n")}\n`);
  return findings.length > 0 ? exitCodes.refused : exitCodes.done;
}

function givenOf({ head, allowedSigners, signer }: VerifyOptions): VerifyGiven {
  const [, n, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(head ?? "") ?? [];
  if (head !== undefined && (n === undefined || hash === undefined))
    throw new Failure("invalid", `--head is "${head}"; wanted a row's number and its hash, as 87:3f2a…`, {
      hint: "`runbook evidence RUN` and `runbook show RUN` print it",
    });
  if ((allowedSigners === undefined) !== (signer === undefined))
    throw new Failure("invalid", "--allowed-signers and --signer are given together or not at all", {
      hint: "the file says which key is whose, the name whose signature is wanted",
    });
  if (allowedSigners !== undefined && !existsSync(allowedSigners))
    throw new Failure("invalid", `--allowed-signers: there is no file ${allowedSigners}`, {
      hint: 'ssh-keygen(1) tells its form under ALLOWED SIGNERS: NAME namespaces="runbook-evidence" KEY',
    });
  return {
    ...(n !== undefined && hash !== undefined && { head: { n: Number(n), hash } }),
    ...(allowedSigners !== undefined &&
      signer !== undefined && { signers: { file: allowedSigners, name: signer } }),
  };
}

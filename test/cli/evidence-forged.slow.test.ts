/** Evidence that was forged: each kind is found by the page's own commands and by the command, with the place. */
import { execFileSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { verify } from "../../src/cli/evidence.ts";
import { ownFolder } from "../support/folder.ts";
import { leaveOut } from "../support/sshd.ts";
import {
  commands,
  everything,
  linesOf,
  lists,
  noPrograms,
  openField,
  rechained,
  relist,
  resummed,
  say,
  signed,
  signer,
  told,
  typed,
  unsigned,
  walkRuns,
  type Bundles,
  type Field,
} from "./evidence-field.ts";

describe.skipIf(leaveOut(noPrograms))("forged evidence", () => {
  let field: Field;
  let good: string;
  let resumed: string;
  let heads: Bundles["heads"];
  beforeAll(async () => {
    field = openField();
    ({ good, resumed, heads } = await walkRuns(field));
  });
  afterAll(() => field.close());
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  interface Forgery {
    readonly of?: "resumed";
    readonly forge: (bundle: string) => void;
    /** What the page and the command name where the lists were made anew; none: only head and signature tell. */
    readonly page: RegExp | undefined;
    readonly command: RegExp | undefined;
    /** The manifest's claims of the journal are made anew, too. */
    readonly claims?: true;
  }
  const first = (bundle: string) => join(bundle, "journal/0001.jsonl");
  const edit = (file: string, change: (text: string) => string) => {
    const before = readFileSync(file, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`nothing was changed in ${file}`);
    writeFileSync(file, after);
  };
  const lines = (bundle: string, change: (lines: readonly string[]) => readonly string[]) =>
    edit(first(bundle), (text) => `${change(text.trimEnd().split("\n")).join("\n")}\n`);
  const answered = () => linesOf(first(good)).findIndex((line) => line.includes('"kind":"answered"'));
  const withAnswer = (line: string) => line.replace(/"ms":\d+/, '"ms":1234567');
  const rowsCutOff = (all: readonly string[]) => all.slice(0, -3);

  const forgeries: { readonly [name: string]: Forgery } = {
    "a row edited": {
      forge: (bundle) => lines(bundle, (all) => all.with(6, (all[6] ?? "").replace('"at":1', '"at":2'))),
      page: /journal\/0001\.jsonl: row 7 does not fit/,
      command: /row 7 of 0001\.jsonl does not match its sum/,
    },
    "an answer edited, with its sum made anew": {
      forge: (bundle) =>
        lines(bundle, (all) => all.with(answered(), resummed(withAnswer(all[answered()] ?? "")))),
      get page() {
        return new RegExp(`journal/0001\\.jsonl: row ${answered() + 2} does not fit`);
      },
      get command() {
        return new RegExp(`row ${answered() + 2} of 0001\\.jsonl does not follow the row before it`);
      },
    },
    "two rows swapped": {
      forge: (bundle) => lines(bundle, (all) => all.with(9, all[10] ?? "").with(10, all[9] ?? "")),
      page: /journal\/0001\.jsonl: row 10 does not fit/,
      command: /row 10 of 0001\.jsonl does not follow the row before it/,
    },
    "a row taken out of the middle": {
      forge: (bundle) => lines(bundle, (all) => all.toSpliced(19, 1)),
      page: /journal\/0001\.jsonl: row 20 does not fit/,
      command: /row 20 of 0001\.jsonl does not follow the row before it/,
    },
    "a row put in, with a sum of its own": {
      forge: (bundle) => {
        lines(bundle, (all) => {
          const { sum } = JSON.parse(all[11] ?? "") as { sum: string };
          return all.toSpliced(12, 0, resummed((all[12] ?? "").replace('"at":1', '"at":2'), sum));
        });
      },
      page: /journal\/0001\.jsonl: row 14 does not fit/,
      command: /row 14 of 0001\.jsonl does not follow the row before it/,
    },
    "the newest rows cut off": {
      forge: (bundle) => lines(bundle, rowsCutOff),
      page: /manifest\.json names another head/,
      command:
        /journal\/0001\.jsonl: ends with row \d+; manifest\.json says .*: the newest rows were cut off/,
    },
    "the newest rows cut off, and the manifest made anew": {
      forge: (bundle) => lines(bundle, rowsCutOff),
      claims: true,
      page: undefined,
      command: undefined,
    },
    "every row from an edited one on made anew, and the manifest": {
      forge: (bundle) =>
        lines(bundle, (all) => rechained(all.with(answered(), withAnswer(all[answered()] ?? "")))),
      claims: true,
      page: undefined,
      command: undefined,
    },
    "the first segment taken out": {
      of: "resumed",
      forge: (bundle) => rmSync(first(bundle)),
      page: /follows a row that is not here/,
      command: /row 1 of 0002\.jsonl follows a row that is in no earlier segment/,
    },
    "the last segment taken out": {
      of: "resumed",
      forge: (bundle) => rmSync(join(bundle, "journal/0002.jsonl")),
      page: /manifest\.json names another head/,
      command:
        /journal\/0001\.jsonl: ends with row \d+; manifest\.json says .*: the newest rows were cut off/,
    },
    "a segment of another run in its place": {
      forge: (bundle) => cpSync(join(field.home, "runs/other/0001.jsonl"), first(bundle)),
      page: /\.body\.plan == \$plan\[0\]'\nfalse/,
      command: /plan\.json: is not what the journal's first row has/,
    },
    "a later segment of another run": {
      of: "resumed",
      forge: (bundle) =>
        cpSync(join(field.home, "runs/other/0001.jsonl"), join(bundle, "journal/0002.jsonl")),
      page: /manifest\.json names another head/,
      command: /row 1 of 0002\.jsonl begins a journal, but is not its first row/,
    },
    "the plan edited": {
      forge: (bundle) => edit(join(bundle, "plan.json"), (text) => text.replace('"server1"', '"server9"')),
      page: /\.body\.plan == \$plan\[0\]'\nfalse/,
      command: /plan\.json: is not what the journal's first row has/,
    },
    "a space put into the plan": {
      forge: (bundle) => edit(join(bundle, "plan.json"), (text) => text.replace('","', '", "')),
      page: /plan\.json has another hash/,
      command: /plan\.json: is not what the journal's first row has/,
    },
    "the runbook edited": {
      forge: (bundle) => appendFileSync(join(bundle, "source/steps/cut.ts"), "// later\n"),
      page: /source\/steps\/cut\.ts is not the text in the plan/,
      command: /source\/steps\/cut\.ts: is not what the journal's first row has/,
    },
    "the runbook's digested texts edited": {
      forge: (bundle) => edit(join(bundle, "source.json"), (text) => text.replace("standby", "active")),
      page: /source\.json has another sha256/,
      command: /source\.json: is not what the journal's first row has/,
    },
    "a file added to the runbook": {
      forge: (bundle) => writeFileSync(join(bundle, "source/more.ts"), "// more\n"),
      page: /source\/more\.ts\nthere are no others/,
      command: /source\/more\.ts: is no file of the plan's runbook/,
    },
    "a report edited": {
      forge: (bundle) => edit(join(bundle, "report.md"), (text) => text.replace("succeeded", "was perfect")),
      page: undefined,
      command: undefined,
    },
    "the last line torn": {
      forge: (bundle) => edit(first(bundle), (text) => text.slice(0, -40)),
      page: /manifest\.json names another head/,
      command:
        /journal\/0001\.jsonl: ends with row \d+; manifest\.json says .*: the newest rows were cut off/,
    },
    "the manifest's head edited": {
      forge: (bundle) =>
        edit(join(bundle, "manifest.json"), (text) => text.replace(/("head": "\d+:)./, "$1x")),
      page: /manifest\.json names another head/,
      command: /manifest\.json says/,
    },
    "the manifest's end edited": {
      forge: (bundle) =>
        edit(join(bundle, "manifest.json"), (text) => text.replace('"end": "', '"end": "not ')),
      // The page tells to believe the journal alone.
      page: undefined,
      command: /manifest\.json: says ends .*not succeeded.*, and the journal .*succeeded/,
    },
  };

  for (const [name, forgery] of Object.entries(forgeries)) {
    it(`shows: ${name}`, () => {
      const from = forgery.of === "resumed" ? resumed : good;
      const bundle = join(ownFolder(), "bundle");
      cpSync(from, bundle, { recursive: true });
      cpSync(field.allowed, join(bundle, "../allowed_signers"));
      const head = heads[from] ?? "";
      const seenByPage = (which: typeof commands) => typed(bundle, which, head).join("\n");
      forgery.forge(bundle);

      // Nothing made anew: the lists tell which file.
      expect(seenByPage(lists)).toMatch(/\n[<>] [0-9a-f]{64} {2}\.\/|FAILED/);
      expect(told(bundle).join("\n")).toMatch(/SHA256SUMS|manifest\.json/);

      // The lists made anew: the signature tells.
      relist(bundle, forgery.claims === true);
      expect(seenByPage(lists)).toBe("");
      expect(seenByPage(signed)).toContain("Could not verify signature");
      expect(told(bundle, everything(field, head)).join("\n")).toContain(
        `SHA256SUMS.sig: is no signature of SHA256SUMS by ${signer}`,
      );

      // As if it had never been signed.
      rmSync(join(bundle, "SHA256SUMS.sig"));
      edit(join(bundle, "manifest.json"), (text) => text.replace('"signed": true', '"signed": false'));
      relist(bundle, false);
      const page = seenByPage(unsigned);
      const command = told(bundle).join("\n");
      if (forgery.command) expect(command).toMatch(forgery.command);
      else expect(command).toBe("");
      if (forgery.page) expect(page).toMatch(forgery.page);
      else if (!forgery.claims) expect(page).toBe("");
      if (forgery.claims) {
        expect(page).toContain("the head that was kept is not in the chain");
        expect(told(bundle, { head: everything(field, head).head }).join("\n")).toMatch(
          /the newest rows were cut off|it was written anew/,
        );
      }
    });
  }

  it("shows: a signature by another key, one for something else, and none", () => {
    const bundle = join(ownFolder(), "bundle");
    const signature = join(bundle, "SHA256SUMS.sig");
    const signAnew = (key: string, purpose: string) => {
      rmSync(signature, { force: true });
      const argv = ["-q", "-Y", "sign", "-f", key, "-n", purpose, join(bundle, "SHA256SUMS")];
      execFileSync("ssh-keygen", argv, { stdio: "ignore" });
    };
    cpSync(good, bundle, { recursive: true });
    cpSync(field.allowed, join(bundle, "../allowed_signers"));
    expect(typed(bundle, signed, undefined)).toEqual([]);
    signAnew(field.otherKey, "runbook-evidence");
    expect(typed(bundle, signed, undefined).join("\n")).toContain("Could not verify signature");
    expect(told(bundle, everything(field, heads[good])).join("\n")).toMatch(
      /^SHA256SUMS\.sig: is no signature .* by ops/,
    );
    // Whose key it is was not asked.
    expect(told(bundle)).toEqual([]);
    signAnew(field.key, "file");
    expect(typed(bundle, signed, undefined)).not.toEqual([]);
    expect(told(bundle).join("\n")).toMatch(/^SHA256SUMS\.sig: is no signature of SHA256SUMS/);
    cpSync(join(good, "SHA256SUMS.sig"), signature);
    // ssh-keygen reads over this.
    edit(signature, (text) => text.replace(/(\w)\n(\w)/, "$1\v$2"));
    expect(told(bundle)).toEqual(["SHA256SUMS.sig: is not in the form that ssh-keygen writes"]);
    rmSync(signature);
    expect(typed(bundle, signed, undefined)).not.toEqual([]);
    expect(told(bundle)).toEqual(["SHA256SUMS.sig: is missing: it was signed"]);
  });

  it("shows: a file added, renamed, or made a link", () => {
    const bundle = join(ownFolder(), "bundle");
    cpSync(good, bundle, { recursive: true });
    cpSync(field.allowed, join(bundle, "../allowed_signers"));
    writeFileSync(join(bundle, "READ ME FIRST.md"), "all is well\n");
    expect(typed(bundle, lists, undefined).join("\n")).toMatch(/> .*READ ME FIRST\.md/);
    expect(told(bundle).join("\n")).toContain("READ ME FIRST.md: is not listed in SHA256SUMS");
    rmSync(join(bundle, "READ ME FIRST.md"));
    mkdirSync(join(bundle, "journal/old"));
    renameSync(join(bundle, "report.md"), join(bundle, "journal/old/report.md"));
    expect(typed(bundle, lists, undefined).join("\n")).toMatch(/< .*report\.md/);
    expect(told(bundle)).toContain("report.md: is listed in SHA256SUMS, and missing");
    renameSync(join(bundle, "journal/old/report.md"), join(bundle, "report.md"));
    rmSync(join(bundle, "plan.json"));
    execFileSync("ln", ["-s", join(good, "plan.json"), join(bundle, "plan.json")]);
    expect(told(bundle)).toContain("plan.json: is neither a file nor a folder");
  });

  it("ends the command with exit code 4 and the place, else with 0", async () => {
    const bundle = join(ownFolder(), "bundle");
    cpSync(good, bundle, { recursive: true });
    const head = heads[good] ?? "";
    const whole = await say(field, () => verify(bundle, { head, allowedSigners: field.allowed, signer }));
    expect(whole.code).toBe(0);
    expect(whole.out).toContain(`head: ${head}\nsigned by ${signer} with ED25519 key SHA256:`);
    lines(bundle, (all) => all.toSpliced(5, 1));
    const { code, out } = await say(field, () => verify(bundle, {}));
    expect(code).toBe(4);
    expect(out).toContain("row 6 of 0001.jsonl does not follow the row before it");
  });
});

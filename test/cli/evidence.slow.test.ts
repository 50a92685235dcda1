/** Evidence that a stranger verifies by one page alone, in a clean shell, and of which no byte can change unseen. */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { evidence, verify } from "../../src/cli/evidence.ts";
import { digestOf } from "../../src/cli/source.ts";
import { hashOf, type Plan } from "../../src/runbook/plan.ts";
import { ownFolder, refusal } from "../support/folder.ts";
import { surprises } from "../support/page-shell.ts";
import { leaveOut } from "../support/sshd.ts";
import {
  commands,
  everything,
  filesIn,
  linesOf,
  lists,
  noPrograms,
  openField,
  say,
  signer,
  told,
  typed,
  walkRuns,
  writeLines,
  type Bundles,
  type Field,
} from "./evidence-field.ts";

describe.skipIf(leaveOut(noPrograms))("evidence", () => {
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

  describe("as it was made", () => {
    it("verifies by the page alone in a clean shell, and by the command", () => {
      expect(commands.length).toBeGreaterThan(12);
      expect(typed(good, commands, heads[good])).toEqual([]);
      expect(told(good, everything(field, heads[good]))).toEqual([]);
    });

    it("does so for a run that was taken over, whose void rows are counted and do not matter", () => {
      expect(told(resumed, everything(field, heads[resumed]))).toEqual([]);
      const { journal } = JSON.parse(readFileSync(join(resumed, "manifest.json"), "utf8"));
      expect(journal.segments).toMatchObject([{ file: "journal/0001.jsonl", void: 1 }, { void: 0 }]);
      expect(typed(resumed, commands, heads[resumed])).toEqual([]);
    });

    it("has the journal byte for byte, and both reports in both languages", () => {
      for (const number of ["0001", "0002"])
        expect(readFileSync(join(resumed, `journal/${number}.jsonl`))).toEqual(
          readFileSync(join(field.home, `runs/resumed/${number}.jsonl`)),
        );
      expect(readFileSync(join(good, "report.html"), "utf8")).toContain('<html lang="en">');
      expect(readFileSync(join(good, "report.ja.html"), "utf8")).toContain('<html lang="ja">');
      expect(readFileSync(join(good, "source/backup-standby.ts"), "utf8")).toBe(
        readFileSync(join(import.meta.dirname, "../../runbooks/backup-standby.ts"), "utf8"),
      );
    });

    it("is private, whatever the umask", async () => {
      const before = process.umask(0);
      try {
        const { folder } = await field.bundle("whole", "lax");
        const modes = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => {
          const stats = statSync(join(folder, path));
          return `${stats.isDirectory() ? "folder" : "file"} ${(stats.mode & 0o777).toString(8)}`;
        });
        expect([...new Set(modes)].toSorted()).toEqual(["file 600", "folder 700"]);
        expect((statSync(folder).mode & 0o777).toString(8)).toBe("700");
      } finally {
        process.umask(before);
      }
    });

    it("can be had of a run that has no end, and says that its journal may go on", async () => {
      const out = join(field.folder, "killed-evidence");
      const { out: said, code } = await say(field, () => evidence("killed", { out }));
      expect(code).toBe(0);
      expect(said).toContain("The run is interrupted: its journal may go on");
      const { journal, mayGoOn, ends } = JSON.parse(readFileSync(join(out, "manifest.json"), "utf8"));
      expect(said).toContain(`\nhead: ${journal.head}\n`);
      expect({ mayGoOn, ends }).toEqual({ mayGoOn: true, ends: [] });
      // The head that was kept then is in the chain of the run that went on.
      const [n = "", hash = ""] = String(journal.head).split(":");
      expect(told(resumed, { head: { n: Number(n), hash } })).toEqual([]);
    });

    it("leaves out what a crash tore, and says so", async () => {
      const file = join(field.home, "runs/killed/0001.jsonl");
      const whole = readFileSync(file);
      appendFileSync(file, '{"n":999,"at":17');
      const { folder, manifest } = await field.bundle("killed", "torn-evidence");
      writeFileSync(file, whole);
      expect(manifest.journal.segments[0]?.torn).toContain("is torn after 16 bytes");
      expect(told(folder)).toEqual([]);
      expect(typed(folder, commands, manifest.journal.head)).toEqual([]);
    });

    it("holds the file alone of a runbook that imports nothing", async () => {
      const [row = ""] = linesOf(join(good, "journal/0001.jsonl"));
      const { at, body } = JSON.parse(row) as { at: number; body: { plan: Plan } };
      const alone = { file: "mine.ts", text: 'export default "ä\u007f\u2028";\n', parts: {} };
      const planned = { ...body.plan, source: { ...alone, sha256: digestOf(alone) } };
      const plan = { ...planned, hash: hashOf(planned) };
      await field.keep("alone", [{ kind: "start", at, body: { ...body, plan } }]);
      const { folder, manifest } = await field.bundle("alone", "alone-evidence");
      expect(filesIn(folder).filter((path) => path.startsWith("source"))).toEqual(["source/mine.ts"]);
      expect(told(folder)).toEqual([]);
      const said = typed(folder, commands, manifest.journal.head);
      expect(said.map((each) => each.split("\n")[0])).toEqual([
        expect.stringContaining("sha256sum source.json"),
        expect.stringContaining("--slurpfile plan plan.json '$plan[0].source"),
      ]);
      const sum = execFileSync("sha256sum", [join(folder, "source/mine.ts")], { encoding: "utf8" });
      expect(sum.slice(0, 64)).toBe(manifest.source.sha256);
    });
  });

  describe("is refused", () => {
    it("where the folder is there already, and nothing of it is touched", async () => {
      const out = ownFolder();
      const failure = await refusal(async () => void (await say(field, () => evidence("whole", { out }))));
      expect(failure).toMatchObject({ kind: "invalid", message: `${out} is there already` });
      expect(readdirSync(out)).toEqual([]);
    });

    it("where it cannot be signed, and nothing is left behind", async () => {
      const folder = ownFolder();
      const out = join(folder, "evidence");
      const ask = (sign: string) =>
        refusal(async () => void (await say(field, () => evidence("whole", { out, sign }))));
      expect(await ask(join(folder, "no-key"))).toMatchObject({ kind: "invalid" });
      expect(await ask(field.allowed)).toMatchObject({
        kind: "denied",
        message: expect.stringContaining("ssh-keygen did not sign with") as string,
      });
      vi.stubEnv("PATH", folder);
      expect(await ask(field.key)).toMatchObject({
        kind: "precondition",
        message: "signatures need ssh-keygen, which is not in $PATH",
      });
      expect(readdirSync(folder)).toEqual([]);
    });

    it("of a journal that was altered", async () => {
      const file = join(field.home, "runs/other/0001.jsonl");
      const whole = readFileSync(file);
      writeLines(file, linesOf(file).toSpliced(4, 1));
      const failure = await refusal(() => field.bundle("other", "never"));
      writeFileSync(file, whole);
      expect(failure.message).toContain("row 5 of 0001.jsonl does not follow the row before it");
      expect(existsSync(join(field.folder, "never"))).toBe(false);
    });

    it("of a journal in which a void row was altered, which the store reads over", async () => {
      const file = join(field.home, "runs/resumed/0001.jsonl");
      const whole = readFileSync(file);
      const lines = linesOf(file);
      writeLines(file, lines.with(-1, (lines.at(-1) ?? "").replace('"at":1', '"at":2')));
      const failure = await refusal(() => field.bundle("resumed", "never"));
      writeFileSync(file, whole);
      expect(failure.kind).toBe("precondition");
      expect(failure.message).toContain(`row ${lines.length} of 0001.jsonl does not match its sum`);
    });

    it("of a journal whose runbook would lie outside of the folder", async () => {
      const [row = ""] = linesOf(join(good, "journal/0001.jsonl"));
      const { at, body } = JSON.parse(row) as { at: number; body: { plan: Plan } };
      for (const [i, path] of [
        "../../escaped.ts",
        "/escaped.ts",
        "a//b.ts",
        "a\nb.ts",
        "a\\b.ts",
      ].entries()) {
        const source = { file: "mine.ts", text: "", parts: { [path]: "x" } };
        const planned = { ...body.plan, source: { ...source, sha256: digestOf(source) } };
        const plan = { ...planned, hash: hashOf(planned) };
        await field.keep(`evil${i}`, [{ kind: "start", at, body: { ...body, plan } }]);
        const failure = await refusal(() => field.bundle(`evil${i}`, `evil${i}-evidence`));
        expect(failure.message).toContain("names no file that could lie in a bundle");
      }
    });

    it("to be verified against what is no head, half a signer, or no folder", async () => {
      for (const head of ["", "87", "0:" + "a".repeat(64), `87:${"A".repeat(64)}`])
        expect((await refusal(async () => void (await verify(good, { head })))).kind).toBe("invalid");
      for (const half of [{ signer }, { allowedSigners: field.allowed }, { signer, allowedSigners: "/no" }])
        expect((await refusal(async () => void (await verify(good, half)))).kind).toBe("invalid");
      expect((await refusal(async () => void (await verify(`${good}-not`, {})))).kind).toBe("invalid");
    });
  });

  it("shows any byte that is changed in any file, signed or not", { timeout: 240_000 }, async () => {
    const plain = (await field.bundle("whole", "plain-evidence", false)).folder;
    const places = [good, plain].flatMap((bundle) => filesIn(bundle).map((path) => ({ bundle, path })));
    fc.assert(
      fc.property(
        fc.constantFrom(...places),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.integer({ min: 1, max: 255 }),
        ({ bundle, path }, where, change) => {
          const file = join(bundle, path);
          const whole = readFileSync(file);
          const at = Math.floor(where * whole.length);
          const changed = Buffer.from(whole);
          changed[at] = (changed[at] ?? 0) ^ change;
          writeFileSync(file, changed);
          try {
            expect(told(bundle)).not.toEqual([]);
          } finally {
            writeFileSync(file, whole);
          }
        },
      ),
      { numRuns: Number(process.env["FLIPS"] ?? 200) },
    );
  });

  it("shows by the page's own look at the files any byte that is changed in any of them, the list included", () => {
    const bundle = join(ownFolder(), "bundle");
    cpSync(good, bundle, { recursive: true });
    const looks = lists.slice(0, 1);
    // The signature has its own look, which reads over white space.
    const files = filesIn(bundle).filter((path) => path !== "SHA256SUMS.sig");
    fc.assert(
      fc.property(
        fc.constantFrom(...files),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (path, where, change) => {
          const file = join(bundle, path);
          const whole = readFileSync(file);
          const changed = Buffer.from(whole);
          changed[where % whole.length] = (changed[where % whole.length] ?? 0) ^ change;
          writeFileSync(file, changed);
          try {
            expect(surprises(looks, bundle)).toHaveLength(1);
          } finally {
            writeFileSync(file, whole);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});

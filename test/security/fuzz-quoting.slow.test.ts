/** Any words, quoted as one line, through real shells: they arrive byte for byte, and nothing of them is executed. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";

import { quote } from "../../src/drivers/ssh/quote.ts";
import { Failure } from "../../src/errors.ts";
import { staticArgv } from "../../src/lab/sh-parse.ts";
import { fenced } from "../../src/ports/shell.ts";
import { cases, patience } from "./cases.ts";
import { hostileText, long } from "./hostile.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-quote-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A login shell of a node may be any of these. */
const shells = ["/bin/sh", "bash", "dash", "ksh", "zsh", "busybox"].filter(
  (shell) => spawnSync(shell, [...of(shell), "-c", "true"]).status === 0,
);
const ending = ["printf", "%s\\0"];
const line = fc.array(hostileText.filter(canArrive), { minLength: 1, maxLength: 6 });

test("every word arrives as it was, in every shell that is here", patience, () => {
  expect(shells).toContain("/bin/sh");
  const inOne = 100;
  fc.assert(
    fc.property(fc.array(line, { minLength: inOne, maxLength: inOne }), (lines) => {
      const script = lines.map((words) => quote([...ending, ...words])).join("\n");
      for (const shell of shells) expect(heard(shell, script)).toEqual(lines.flat());
    }),
    cases(0.3, inOne),
  );
});

test("through a script that hands its arguments on, as all of ours do, they arrive as well", patience, () => {
  const inOne = 50;
  fc.assert(
    fc.property(fc.array(line, { minLength: inOne, maxLength: inOne }), (lines) => {
      const script = lines.map((words) =>
        quote(["sh", "-c", 'shift; "$@"', "name", "first", ...ending, ...words]),
      );
      expect(heard("/bin/sh", script.join("\n"))).toEqual(lines.flat());
    }),
    cases(0.02, inOne),
  );
});

test("the lab's own shell takes a line apart into the same words", patience, () => {
  fc.assert(
    fc.property(line, (words) => {
      expect(staticArgv(quote(words))).toEqual(words);
    }),
    cases(0.08),
  );
});

test("a fenced command keeps its words, and is not run where the marker names somebody else", () => {
  fc.assert(
    fc.property(line, (words) => {
      const { status, stdout } = run("/bin/sh", quote(fenced("run.1", [...ending, ...words])));
      expect({ status, stdout: stdout.toString() }).toEqual({ status: 75, stdout: "" });
    }),
    { numRuns: 10 },
  );
});

test("what cannot arrive as it is, is refused and not sent", patience, () => {
  fc.assert(
    fc.property(
      fc.array(hostileText, { maxLength: 3 }),
      fc.constantFrom("\0", "\ud83d", "\udca5x"),
      hostileText,
      (words, bad, after) => {
        fc.pre(!/^[\udc00-\udfff]/.test(after));
        let thrown: unknown;
        try {
          quote(["true", ...words.filter(canArrive), `${bad}${after}`]);
        } catch (caught) {
          thrown = caught;
        }
        expect(thrown).toBeInstanceOf(Failure);
        expect(thrown).toMatchObject({ kind: "invalid", happened: "no" });
      },
    ),
    cases(0.02),
  );
});

test("a word of a megabyte is refused in a sentence that tells where to put it", () => {
  for (const piece of ["'", "$(x)", "日", "\n"])
    expect(() => quote(["true", long(piece)])).toThrow(
      expect.objectContaining({ kind: "invalid", hint: "send what is long by standard input or as a file" }),
    );
});

function canArrive(word: string): boolean {
  return !word.includes("\0") && !/\p{Surrogate}/u.test(word);
}

function of(shell: string): readonly string[] {
  return shell === "busybox" ? ["sh"] : [];
}

function run(shell: string, script: string) {
  return spawnSync(shell, [...of(shell), "-s"], { input: script, cwd: folder, maxBuffer: 2 ** 26 });
}

/** What the commands of a script were given, after a look that they were all that was executed. */
function heard(shell: string, script: string): readonly string[] {
  const { status, stdout, stderr } = run(shell, script);
  expect({ status, stderr: stderr.toString() }).toEqual({ status: 0, stderr: "" });
  expect(readdirSync(folder), "nothing was executed").toEqual([]);
  return stdout.toString().split("\0").slice(0, -1);
}

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { loadRunbook } from "../../src/cli/load.ts";
import { digestOf, readSource } from "../../src/cli/source.ts";

let folder = "";
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "runbook-source-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const put = (path: string, text: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
  return join(folder, path);
};
const book = (imports: string, title: string) =>
  `import { runbook } from "runbook";\n${imports}\nexport default runbook({ title: ${title}, steps: () => ({}) });\n`;

describe("the text of a runbook", () => {
  it("comes with the files that it imports, directly and through others, once each", async () => {
    put("steps/a.ts", 'import { b } from "./b.ts";\nexport const a = () => `a${b()}`;\n');
    // In a circle, as modules may.
    put("steps/b.ts", 'import {\n  a,\n} from "./a.ts";\nexport const b = () => `b${typeof a}`;\n');
    const file = put(
      "mine.ts",
      book('import { a } from "./steps/a.ts";\nimport { b } from "./steps/b.ts";', "a() + b()"),
    );
    const source = readSource(file);
    expect(Object.keys(source.parts)).toEqual(["steps/a.ts", "steps/b.ts"]);
    expect((await loadRunbook(source)).title).toBe("abfunctionbfunction");
  });

  it("has one digest for all of it", () => {
    put("steps/a.ts", "export const a = 1;\n");
    const file = put("mine.ts", book('import { a } from "./steps/a.ts";', "String(a)"));
    const before = readSource(file);
    put("steps/a.ts", "export const a = 2;\n");
    const after = readSource(file);
    expect(after.text).toBe(before.text);
    expect(after.sha256).not.toBe(before.sha256);
    expect(digestOf(before)).toBe(before.sha256);
  });

  it("runs from what was kept, whatever became of the files", async () => {
    put("steps/a.ts", 'export const a = "as it was";\n');
    const file = put("mine.ts", book('import { a } from "./steps/a.ts";', "a"));
    const source = readSource(file);
    rmSync(join(folder, "steps"), { recursive: true });
    expect((await loadRunbook(source)).title).toBe("as it was");
  });

  it("is refused when it imports what is not there, or lies outside of its folder", () => {
    const missing = put("mine.ts", book('import { a } from "./steps/a.ts";', "a"));
    expect(() => readSource(missing)).toThrow('mine.ts imports "steps/a.ts", which is not there');
    const outside = put("deep/mine.ts", book('import { a } from "../a.ts";', "a"));
    put("a.ts", 'export const a = "x";\n');
    expect(() => readSource(outside)).toThrow("outside of the runbook's folder");
    put("deep/steps/b.ts", 'import { a } from "../../a.ts";\nexport const b = a;\n');
    const through = put("deep/other.ts", book('import { b } from "./steps/b.ts";', "b"));
    expect(() => readSource(through)).toThrow("outside of the runbook's folder");
  });

  it("does not reach the outside world through a part", async () => {
    put("steps/a.ts", 'import { readFileSync } from "node:fs";\nexport const a = String(readFileSync);\n');
    const file = put("mine.ts", book('import { a } from "./steps/a.ts";', "a"));
    await expect(loadRunbook(readSource(file))).rejects.toMatchObject({
      kind: "invalid",
      message: expect.stringContaining('steps/a.ts imports "node:fs"') as string,
    });
  });
});

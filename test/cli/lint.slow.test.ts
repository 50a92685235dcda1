/** `runbook lint` by the built command line, in a folder without an inventory: what it says, and how it ends. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { wantedOf } from "../../src/cli/lint.ts";
import { listRunbooks } from "../../src/cli/source.ts";
import { ownFolder } from "../support/folder.ts";
import { product } from "./play.ts";

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function openPlace(): { cwd: string; say: (...args: string[]) => Promise<Said> } {
  const root = ownFolder();
  const cwd = join(root, "work");
  mkdirSync(join(cwd, "runbooks"), { recursive: true });
  const env = { PATH: process.env["PATH"], HOME: root, RUNBOOK_HOME: join(root, "home") };
  const say = (...args: string[]) =>
    new Promise<Said>((resolve, reject) => {
      execFile(process.execPath, [product, ...args], { env, cwd }, (error, out, err) => {
        if (error !== null && typeof error.code !== "number")
          reject(new Error("node did not run to its end", { cause: error }));
        else resolve({ code: Number(error?.code ?? 0), out, err });
      });
    });
  return { cwd, say };
}

test("a new runbook is clean, by its name and as a file, and so is one of the product", async () => {
  const { say } = openPlace();
  expect((await say("new", "mine")).code).toBe(0);
  expect(await say("lint", "mine")).toEqual({ code: 0, out: "runbooks/mine.ts is clean\n", err: "" });
  const [file, two] = await Promise.all([say("lint", "./runbooks/mine.ts"), say("lint", "mine", "resync")]);
  expect(file).toEqual({ code: 0, out: "runbooks/mine.ts is clean\n", err: "" });
  expect(two).toEqual({ code: 0, out: "2 runbooks are clean\n", err: "" });
});

test("a copy of a built-in one whose break has lost its undo is told, with the step, and ends with 2", async () => {
  const { cwd, say } = openPlace();
  expect((await say("new", "night", "--from", "backup-standby")).code).toBe(0);
  const part = join(cwd, "runbooks", "night", "steps", "redundancy.ts");
  const text = readFileSync(part, "utf8");
  const without = text.replace("  undo: (): Step => mirrorsBack,\n", "");
  expect(without.length).toBeLessThan(text.length);
  writeFileSync(part, without);
  const what = "takes redundancy and has no undo: when it fails, or a step after it, nothing gives that back";
  const [told, json] = await Promise.all([say("lint", "night"), say("lint", "night", "--json")]);
  expect(told).toEqual({
    code: 2,
    out: `runbooks/night.ts: step "breakMirrors" ${what}\n1 finding in 1 of 1 runbook\n`,
    err: "",
  });
  expect(json.code).toBe(2);
  expect(JSON.parse(json.out)).toEqual([
    {
      name: "night",
      file: "runbooks/night.ts",
      findings: [{ step: "breakMirrors", what }],
      everyCombination: true,
    },
  ]);
});

test("what cannot be loaded is a finding; what is not there is wrong usage, with what was meant", async () => {
  const { cwd, say } = openPlace();
  writeFileSync(join(cwd, "runbooks", "torn.ts"), "export default {\n");
  writeFileSync(join(cwd, "runbooks", "other.ts"), "export default 7;\n");
  const [torn, other, name, file] = await Promise.all([
    say("lint", "torn"),
    say("lint", "other"),
    say("lint", "restor"),
    say("lint", "runbooks/nowhere.ts"),
  ]);
  expect(torn).toMatchObject({ code: 2, err: "" });
  expect(torn.out).toMatch(/^runbooks\/torn\.ts: torn\.ts:\d+:\d+: the runbook cannot be read: /);
  expect(other).toMatchObject({ code: 2, err: "" });
  expect(other.out).toContain("runbooks/other.ts: other.ts does not export a runbook as its default");
  expect(name).toEqual({
    code: 2,
    out: "",
    err: 'runbook: there is no runbook "restor"\n  did you mean "restore"?\n',
  });
  expect(file).toEqual({
    code: 2,
    out: "",
    err: "runbook: there is no file runbooks/nowhere.ts\n  name a runbook's file, or a runbook\n",
  });
});

test("without a name it takes every runbook that `runbook list` shows", () => {
  const { cwd } = openPlace();
  writeFileSync(join(cwd, "runbooks", "mine.ts"), "");
  const all = wantedOf([], cwd);
  expect(all).toEqual([...listRunbooks(cwd)]);
  expect(all.map(([name]) => name)).toEqual(expect.arrayContaining(["mine", "backup-standby", "restore"]));
});

import { describe, expect, it } from "vitest";

import { rulesFor } from "../../src/cli/policy-sudoers.ts";
import { readSudoers } from "../../src/lab/sudoers.ts";
import { hole } from "../../src/ports/rights.ts";

const list = (...argvs: (readonly string[])[]) =>
  readSudoers(
    argvs
      .flatMap((argv) => rulesFor(argv))
      .map((rule) => `# a comment\nops ALL=(root) NOPASSWD: ${rule}\n`)
      .join(""),
    "ops",
  );

describe("rules of sudoers", () => {
  it.each([
    [["env", "LC_ALL=C", "PATH=/a:/b", "clpstat", "-m"]],
    [["sh", "-c", 'case "$1" in a|b*) echo [x] \\? {1,2} # done;; esac', "name", "an arg"]],
    [["sh", "-c", "if true; then\n  echo one   two\nfi\n", "name"]],
    [["sh", "-c", "printf '%s\\n' \"$@\" ! ^", "name", "ends in a blank "]],
  ])("let through what they are made of, and nothing else: %j", (argv) => {
    const sudoers = list(argv);
    expect(sudoers.find(argv)).toBeDefined();
    expect(sudoers.find([...argv, "more"])).toBeUndefined();
    expect(sudoers.find(["id", ...argv])).toBeUndefined();
    expect(sudoers.find([...argv.slice(0, -1), `${argv.at(-1) ?? ""}$(id)`])).toBeUndefined();
  });

  it("let in letters of their kind and number where only a run knows the word", () => {
    const sudoers = list(["sh", "-c", 'echo "$1"', "name", `${hole("run")}.${hole("fence")}`]);
    const lets = (token: string) => sudoers.find(["sh", "-c", 'echo "$1"', "name", token]) !== undefined;
    expect(["k3v9x2ab.1", "k3v9x2ab.42"].map(lets)).toEqual([true, true]);
    expect(
      [
        "k3v9x2ab.",
        "k3v9x2ab.123",
        "k3v9x2a.1",
        "K3v9x2ab.1",
        "k3v9x2a$.1",
        "k3v9 2ab.1",
        "k3v9x2ab.1 x",
      ].map(lets),
    ).toEqual(Array.from({ length: 7 }, () => false));
  });

  it("have no wildcard of their own", () => {
    const rules = rulesFor(["sh", "-c", "echo * ?", hole("boot"), hole("device"), hole("bytes")]);
    for (const rule of rules) expect(rule.replaceAll(/\\./g, "")).not.toMatch(/[*?]/);
  });

  it("are for the user that they name", () => {
    const [rule = ""] = rulesFor(["env", "clpstat"]);
    const text = `ops ALL=(root) NOPASSWD: ${rule}\n`;
    expect(readSudoers(text, "other").find(["env", "clpstat"])).toBeUndefined();
    expect(() => readSudoers("ops ALL=(ALL) ALL\n", "ops")).toThrow(/does not model this line/);
  });
});

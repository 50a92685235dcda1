import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { quote } from "../../src/drivers/ssh/quote.ts";

test("every word stands between single quotes, and a single quote is let out of them", () => {
  expect(quote(["echo", "a b", "", "it's", "$(x)"])).toBe(`'echo' 'a b' '' 'it'\\''s' '$(x)'`);
});

test("a shell takes the line apart into the same words", () => {
  const word = fc.string({ unit: "binary" }).filter((w) => !w.includes("\0") && !/\p{Surrogate}/u.test(w));
  fc.assert(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      const out = execFileSync("/bin/sh", ["-c", quote(["printf", "%s\\n.\\n", ...words, "end"])], {
        encoding: "utf8",
      });
      expect(out).toBe([...words, "end"].map((one) => `${one}\n.\n`).join(""));
    }),
    { numRuns: 60 },
  );
});

test("a first word that is a shell's own word or an assignment stays a command's name", () => {
  for (const name of ["if", "A=b", "!", "{"])
    expect(() => execFileSync("/bin/sh", ["-c", quote([name, "true"])], { stdio: "ignore" })).toThrow();
});

test("what cannot arrive is refused: NUL, half a character, and a line past the kernel's limit", () => {
  expect(() => quote(["echo", "a\0"])).toThrow(expect.objectContaining({ kind: "invalid", happened: "no" }));
  expect(() => quote(["echo", "\ud83d"])).toThrow(expect.objectContaining({ kind: "invalid" }));
  expect(() => quote(["echo", "x".repeat(140_000)])).toThrow(expect.objectContaining({ kind: "invalid" }));
  expect(() => quote([])).toThrow(expect.objectContaining({ kind: "bug" }));
});

/** Golden files: what we say, reviewed like code. `npm run golden` writes them anew. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { expect } from "vitest";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..", "golden");

export function golden(name: string, text: string): void {
  const file = join(folder, name);
  const whole = text.endsWith("\n") ? text : `${text}\n`;
  if (process.env["GOLDEN"] === "write") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, whole);
    return;
  }
  expect(existsSync(file), `test/golden/${name} is not there yet: write it with \`npm run golden\``).toBe(
    true,
  );
  expect(whole).toBe(readFileSync(file, "utf8"));
}

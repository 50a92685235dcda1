import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { hookUses, uses } from "../../src/cli/policy-uses.ts";
import { builtInRunbooks, hookPlaces, usesFrom, usesOf } from "../support/port-uses.ts";

const file = "src/cli/policy-uses.ts";

test(`${file} lists what each built-in runbook can come to call, as its text says`, async () => {
  const read = Object.fromEntries(builtInRunbooks().map((name) => [name, usesOf(name)]));
  const hooks = usesFrom(hookPlaces);
  if (process.env["GOLDEN"] === "write") {
    const { format, resolveConfig } = await import("prettier");
    const options = { ...(await resolveConfig(file)), parser: "typescript" };
    writeFileSync(file, await format(textOf(read, hooks), options));
    return;
  }
  expect(uses).toEqual(read);
  expect(hookUses).toEqual(hooks);
});

function textOf(read: { readonly [runbook: string]: readonly string[] }, hooks: readonly string[]): string {
  return `/**
 * The methods of the ports that each built-in runbook can come to call: written by test/cli/policy-uses.test.ts from the
 * runbooks' own text (\`GOLDEN=write\`), and held against it by the same test.
 */
export const uses: { readonly [runbook: string]: readonly string[] } = ${JSON.stringify(read, null, 2)};

/** Besides, where the inventory has hooks. */
export const hookUses: readonly string[] = ${JSON.stringify(hooks, null, 2)};
`;
}

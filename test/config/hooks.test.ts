import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";

import { readInventory } from "../../src/config/inventory.ts";
import { asFailure } from "../../src/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-hooks-"));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

/** An inventory with these hooks, the first of them in line 14. */
function withHooks(hooks: string): string {
  const file = join(folder, `hooks${(files += 1)}.yaml`);
  writeFileSync(
    file,
    `clusters:
  prod:
    manager: clusterpro
    cloud:
      driver: aws
      region: ap-northeast-1
    nodes:
      server1:
        { address: 10.0.1.11, instance: i-0123456789abcdef0 }
      server2:
        { address: 10.0.1.12, instance: i-0123456789abcdef1 }
    hooks:
      # Below this line stand the hooks of the test.
${hooks
  .trim()
  .split("\n")
  .map((line) => `      ${line}`)
  .join("\n")}
`,
  );
  return file;
}

test("every key of a hook is read, and what it leaves out has its default", async () => {
  const file = withHooks(`
- name: freeze orders
  around: service-stop
  on: server1
  before: [/opt/orders/freeze, --quick, "", "a b"]
  after: [/opt/orders/thaw]
  user: orders
  seconds: 120
  onFailure: stop
- { name: notify, around: run, on: active, after: [logger, done] }
- { name: flush, around: cut, on: standby, before: [sync] }
`);
  expect((await readInventory(file)).clusters["prod"]?.hooks).toEqual([
    {
      name: "freeze orders",
      around: "service-stop",
      on: "server1",
      before: ["/opt/orders/freeze", "--quick", "", "a b"],
      after: ["/opt/orders/thaw"],
      user: "orders",
      seconds: 120,
      onFailure: "stop",
    },
    {
      name: "notify",
      around: "run",
      on: "active",
      before: null,
      after: ["logger", "done"],
      user: "root",
      seconds: 60,
      onFailure: "give-back",
    },
    {
      name: "flush",
      around: "cut",
      on: "standby",
      before: ["sync"],
      after: null,
      user: "root",
      seconds: 60,
      onFailure: "give-back",
    },
  ]);
});

const good = "- { name: one, around: cut, on: active, before: [sync] }";
test.each([
  [
    "- { name: one, around: cut, on: active }",
    /:14: clusters.prod.hooks.0: expected `before`, `after` or both/,
  ],
  [
    "- { name: one, around: lunch, on: active, before: [sync] }",
    /:14: .*around: expected one of service-stop, cut/,
  ],
  [
    "- { name: one, around: cut, on: server3, before: [sync] }",
    /:14: .*on: expected one of server1, server2, active/,
  ],
  ["- { name: one, around: cut, on: active, before: sync }", /:14: .*before: expected a list of words/],
  ["- { name: one, around: cut, on: active, before: [] }", /:14: .*before: expected a list of words/],
  [
    "- { name: one, around: cut, on: active, before: [--help] }",
    /:14: .*before: expected a command whose first word/,
  ],
  [
    "- { name: one, around: cut, on: active, before: [A=b] }",
    /:14: .*before: expected a command whose first word/,
  ],
  [
    "- { name: one, around: cut, on: active, before: [sync], seconds: 1801 }",
    /:14: .*seconds: expected .* 1 to 1800/,
  ],
  [
    "- { name: one, around: cut, on: active, before: [sync], onFailure: shrug }",
    /:14: .*onFailure: expected one of/,
  ],
  [
    "- { name: one, around: run, on: active, after: [sync], onFailure: stop }",
    /:14: .*onFailure: expected it beside a `before` only/,
  ],
  [
    "- { name: one, around: cut, on: active, before: [sync], befor: [x] }",
    /:14: .*unknown key; did you mean "before"/,
  ],
  [
    '- { name: "../one", around: cut, on: active, before: [sync] }',
    /:14: .*name: expected a name of letters/,
  ],
  [
    "- { name: one, around: cut, on: active, before: [sync], user: 'a b' }",
    /:14: .*user: expected the name of a user/,
  ],
  [
    `${good}\n- { name: O-N.E, around: run, on: active, after: [sync] }`,
    /:15: .*name: expected a name whose letters and digits are its own/,
  ],
  ["- sync", /:14: .*expected a hook: a mapping/],
])("%s is refused, with its line", async (hooks, message) => {
  const failure = asFailure(await readInventory(withHooks(hooks)).catch((thrown: unknown) => thrown));
  expect(failure.kind).toBe("invalid");
  expect(failure.message).toMatch(message);
});

test("no hooks at all is an empty list too many", async () => {
  const file = withHooks(good);
  writeFileSync(file, "clusters:\n  prod:\n    hooks: []\n");
  await expect(readInventory(file)).rejects.toThrow(
    /:3: clusters.prod.hooks: expected a list of at least one hook/,
  );
});

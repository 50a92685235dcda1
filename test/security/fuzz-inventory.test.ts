/** Inventories that somebody broke: each is read, or refused in a few sentences, and nothing of it passes unchecked. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";

import { complain } from "../../src/cli/exit.ts";
import { readInventory, type Inventory } from "../../src/config/inventory.ts";
import { Failure } from "../../src/errors.ts";
import { cases, patience } from "./cases.ts";
import { hostileText, long } from "./hostile.ts";
import { mutatedText } from "./mutate.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-inventory-"));
const file = join(folder, "runbook.yaml");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const whole = readFileSync(new URL("../../fixtures/inventory/two-clusters.yaml", import.meta.url), "utf8");
const places = placesIn(parse(whole));

test("a value or a key that is something else is checked, or refused in words", patience, async () => {
  const other = fc.oneof(
    { weight: 6, arbitrary: hostileText },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(Infinity, NaN, -0, 2 ** 53, new Date(0)) },
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), fc.boolean(), other, async (place, key, value) => {
      await answers(stringify(changed(parse(whole), place, key, value)));
    }),
    cases(0.03),
  );
});

test("a text that was cut, doubled or shuffled is checked, or refused in words", patience, async () => {
  await fc.assert(
    fc.asyncProperty(mutatedText(whole), async (text) => void (await answers(text))),
    cases(0.03),
  );
});

describe("refused in words, and soon:", () => {
  const refused = (text: string | Buffer) => async () => {
    expect(await answers(text)).toBeUndefined();
  };
  const bomb = (levels: number) =>
    [
      `a0: &a0 [x, x, x, x, x, x, x, x, x]`,
      ...Array.from({ length: levels }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`),
    ].join("\n");
  const inPlace = (place: string, value: string) => whole.replace(place, value);

  test("aliases that stand for aliases", refused(bomb(30)));
  test("an alias of itself", refused("clusters: &a { prod: *a }"));
  test("a merge of everything into itself", refused(`x: &x { y: 1 }\n<<: [*x, *x]\n${bomb(9)}`));
  test("lists in lists, five thousand deep", refused(`clusters: ${"[".repeat(5_000)}`));
  test("mappings in mappings, five thousand deep", refused(`clusters: ${"{a: ".repeat(5_000)}1`));
  test(
    "lines indented ever more",
    refused(Array.from({ length: 1500 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")),
  );
  test("a NUL", refused(inPlace("server2.example.com", "server2\0.example.com")));
  test("bytes that are no text", refused(Buffer.from([0xff, 0xfe, 0x00, 0xd8, 0x41, 0x00])));
  test("a megabyte", refused(`# ${long("x")}\n${whole}`));
  test("a key as long as a file may be", refused(`${long("k").slice(0, 2 ** 18 - 8000)}: 1\n`));
  test(
    "a name as long as a file may be",
    refused(inPlace("server2:", `${long("s").slice(0, 2 ** 18 - 9000)}:`)),
  );
  test(
    "a value as long as a file may be",
    refused(inPlace("i-0123456789abcdef1", `"${long("'").slice(0, 2 ** 18 - 9000)}"`)),
  );
  test("a key with line breaks", refused(inPlace("profile:", '"a\\nrunbook: all is well\\n":')));
  test("ten thousand unknown keys", refused(Array.from({ length: 10_000 }, (_, i) => `k${i}: 1`).join("\n")));
  test("a key that every object has", refused(inPlace("profile:", "__proto__:")));
  test("an address that is an option", refused(inPlace("192.0.2.11", "-oProxyCommand=true")));
});

/** Reads it; undefined where it was refused. Whatever else happens is a mistake of ours. */
async function answers(text: string | Buffer): Promise<Inventory | undefined> {
  writeFileSync(file, text);
  let inventory: Inventory;
  try {
    inventory = await readInventory(file);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Failure);
    let said = "";
    expect([2, 4]).toContain(complain(thrown, (words) => (said += words)));
    expect(said.length, "a person reads this").toBeLessThan(8000);
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    expect(said).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    for (const line of said.split("\n"))
      expect(line, "each line is ours").toMatch(/^(runbook: |\/\S+runbook\.yaml:\d+:|and \d+ more$| {2}|$)/);
    return undefined;
  }
  for (const { name, nodes } of Object.values(inventory.clusters))
    for (const node of Object.values(nodes)) {
      for (const word of [name, node.name, node.address, node.user, node.jump, node.instance])
        expect(word ?? "none", "it becomes an argument").toMatch(/^[A-Za-z0-9_:[][A-Za-z0-9_.:%@,[\]\\$-]*$/);
      for (const path of [node.identity, node.knownHosts])
        expect(path === undefined || (isAbsolute(path) && !/[\0\n]/.test(path)), path).toBe(true);
    }
  return inventory;
}

type Place = readonly (string | number)[];

function placesIn(value: unknown, place: Place = []): readonly Place[] {
  if (typeof value !== "object" || value === null) return [place];
  const inner = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [
    ...(place.length > 0 ? [place] : []),
    ...inner.flatMap(([key, held]) => placesIn(held, [...place, key])),
  ];
}

/** The value at a place, or the name of its key, is another. */
function changed(root: unknown, place: Place, key: boolean, value: unknown): unknown {
  let inside = root as { [key: string | number]: unknown };
  for (const part of place.slice(0, -1)) inside = inside[part] as typeof inside;
  const last = place.at(-1) ?? 0;
  if (!key || Array.isArray(inside)) inside[last] = value;
  else {
    const held = inside[last];
    delete inside[last];
    Object.defineProperty(inside, String(value), { value: held, enumerable: true });
  }
  return root;
}

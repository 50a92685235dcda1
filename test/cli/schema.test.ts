/** The schema for editors says what the reader says, as far as JSON Schema can; a checker for the keywords that it uses. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as valibot from "valibot";
import { describe, expect, test, vi } from "vitest";
import * as yaml from "yaml";

import { schema } from "../../src/cli/schema.ts";
import { inventoryJsonSchema, meaningOf, type JsonSchema } from "../../src/config/json-schema.ts";
import { findMistakes, findUnknownKeys } from "../../src/config/mistakes.ts";
import { inventorySchema, type Keys } from "../../src/config/schema.ts";

const fixtures = resolve(import.meta.dirname, "../../fixtures/inventory");
const made = inventoryJsonSchema(valibot);
const yamlIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".yaml"));

describe("the JSON Schema of the inventory", () => {
  test("is what the command prints", async () => {
    let out = "";
    const write = vi
      .spyOn(process.stdout, "write")
      .mockImplementation((text) => ((out += String(text)), true));
    expect(await schema()).toBe(0);
    write.mockRestore();
    expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(made)));
    expect(made["$schema"]).toBe("http://json-schema.org/draft-07/schema#");
  });

  test.each(yamlIn(fixtures))("accepts %s", (name) => {
    expect(faults(made, yaml.parse(readFileSync(join(fixtures, name), "utf8")))).toEqual([]);
  });

  const broken = join(fixtures, "broken");
  // Two nodes, one cluster at least, one kind of check: rules beside the reader's schema that JSON Schema can say.
  const beyond = ["one-node.yaml", "no-clusters.yaml", "drill-check-of-two-kinds.yaml"];
  let refused = 0;
  test.each(yamlIn(broken))("refuses %s, unless that takes more than a schema", (name) => {
    const { value, mistakes } = findMistakes(yaml, readFileSync(join(broken, name), "utf8"));
    if (mistakes.length > 0) return;
    const rules = inventorySchema(valibot);
    const bySchema = !valibot.safeParse(rules, value).success || findUnknownKeys(value, rules).length > 0;
    if (!bySchema && !beyond.includes(name)) return;
    expect(faults(made, value)).not.toEqual([]);
    refused += 1;
  });

  test("most of what is broken is broken by the schema", () => {
    expect(refused).toBeGreaterThan(18);
  });

  test("refuses a key that is not known, at every depth", () => {
    const good = yaml.parse(readFileSync(join(fixtures, "two-clusters.yaml"), "utf8")) as object;
    let mappings = 0;
    const spoil = (value: unknown, path: readonly (string | number)[]): void => {
      if (value === null || typeof value !== "object") return;
      if (!Array.isArray(value) && !isNamedByPeople(path)) {
        mappings += 1;
        const spoilt = structuredClone(good);
        const at = path.reduce<unknown>(
          (held, part) => (held as Record<string | number, unknown>)[part],
          spoilt,
        );
        (at as Record<string, unknown>)["sudoo"] = true;
        expect(faults(made, spoilt), path.join(".")).not.toEqual([]);
      }
      for (const [key, inner] of Object.entries(value))
        spoil(inner, [...path, Array.isArray(value) ? Number(key) : key]);
    };
    spoil(good, []);
    expect(mappings).toBeGreaterThan(12);
  });

  test("says what each key means or what is expected of it", () => {
    const silent: string[] = [];
    const walk = (each: JsonSchema, path: string): void => {
      if (typeof each["description"] !== "string" && path !== "") silent.push(path);
      for (const [key, inner] of Object.entries((each["properties"] ?? {}) as { [key: string]: JsonSchema }))
        walk(inner, `${path}.${key}`);
      for (const [word, sign] of [
        ["additionalProperties", "*"],
        ["items", "[]"],
      ] as const)
        if (typeof each[word] === "object") walk(each[word] as JsonSchema, `${path}.${sign}`);
    };
    walk(made, "");
    expect(silent).toEqual([]);
    expect(at("clusters", "additionalProperties", "nodes", "additionalProperties", "instance")).toMatchObject(
      {
        description: 'the instance that it runs on; expected the id of an instance, as "i-0123456789abcdef0"',
        patternErrorMessage: 'expected the id of an instance, as "i-0123456789abcdef0"',
      },
    );
  });

  test("has no meaning for a key that is not there", () => {
    const known = new Set(pathsOf(inventorySchema(valibot), []));
    const source = readFileSync(resolve(import.meta.dirname, "../../src/config/json-schema.ts"), "utf8");
    const table = /const meanings[^]*?\n};/.exec(source)?.[0] ?? "";
    const named = [...table.matchAll(/^ {2}"?([\w.*]+)"?:/gm)].map(([, name = ""]) => name);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(meaningOf(["clusters", "*", "drill", "scratch", "address"])).toBe(
      meaningOf(["clusters", "*", "nodes", "*", "address"]),
    );
  });

  test("has expressions that an editor reads as we do, with the flag for Unicode too", () => {
    const patterns: string[] = [];
    JSON.stringify(made, (key, value: unknown) => {
      if (key === "pattern" && typeof value === "string") patterns.push(value);
      return value;
    });
    expect(patterns.length).toBeGreaterThan(15);
    for (const pattern of patterns) expect(new RegExp(pattern, "u").source).toBeDefined();
  });

  test("says of a hook and of a check after a restore what the reader says beside its schema", () => {
    const one = yaml.parse(readFileSync(join(fixtures, "one-cluster.yaml"), "utf8")) as {
      clusters: { prod: object };
    };
    const withKeys = (keys: object) =>
      faults(made, { clusters: { prod: { ...one.clusters.prod, ...keys } } });
    const hook = { name: "freeze", around: "cut", on: "active" };
    expect(withKeys({ hooks: [{ ...hook, before: ["/opt/freeze"] }] })).toEqual([]);
    expect(withKeys({ hooks: [hook] })).not.toEqual([]);
    const file = { name: "there", file: "orders/today.csv" };
    expect(withKeys({ restore: { checks: [{ ...file, on: "md1" }] } })).toEqual([]);
    expect(withKeys({ restore: { checks: [file] } })).not.toEqual([]);
  });

  test("the checker of this test can say no", () => {
    const one = yaml.parse(readFileSync(join(fixtures, "one-cluster.yaml"), "utf8")) as object;
    for (const [change, word] of [
      [{ default: 7 }, "type"],
      [{ default: undefined, clusters: {} }, "minProperties"],
      [{ clusters: { "-x": {} } }, "propertyNames"],
    ] as const)
      expect(faults(made, { ...one, ...change }).join(), word).toContain(word);
  });
});

/** Below these, keys are names that people choose. */
function isNamedByPeople(path: readonly (string | number)[]): boolean {
  return path.length === 1 ? path[0] === "clusters" : path.length === 3 && path[2] === "nodes";
}

function at(...path: readonly string[]): unknown {
  return path.reduce<unknown>((held, part) => {
    const inner = held as { [key: string]: unknown };
    return part === "additionalProperties"
      ? inner[part]
      : (inner["properties"] as { [key: string]: unknown })[part];
  }, made);
}

function pathsOf(schema: Keys, path: readonly string[]): readonly string[] {
  const inner = schema.type === "optional" ? (schema.wrapped ?? schema) : schema;
  const held = inner.value ?? inner.item;
  return [
    path.join("."),
    ...(held === undefined ? [] : pathsOf(held, [...path, "*"])),
    ...Object.entries(inner.entries ?? {}).flatMap(([key, value]) => pathsOf(value, [...path, key])),
  ];
}

/** What of draft 7 the schema uses, and nothing else: a keyword that is not known here fails the test. */
function faults(schema: JsonSchema, value: unknown, path = "$"): string[] {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  const mapping = (isMapping ? value : {}) as { readonly [key: string]: unknown };
  const keys = Object.keys(mapping).filter((key) => mapping[key] !== undefined);
  const fails = (word: string, good: boolean) => (good ? [] : [`${path}: ${word}`]);
  return Object.entries(schema).flatMap(([word, said]): string[] => {
    switch (word) {
      case "$schema":
      case "title":
      case "description":
      case "patternErrorMessage":
        return [];
      case "type":
        return fails(
          word,
          said === "object"
            ? isMapping
            : said === "array"
              ? Array.isArray(value)
              : said === "integer"
                ? Number.isInteger(value)
                : typeof value === said,
        );
      case "const":
        return fails(word, value === said);
      case "enum":
        return fails(word, (said as unknown[]).includes(value));
      case "pattern":
        return fails(word, typeof value !== "string" || new RegExp(said as string, "u").test(value));
      case "minimum":
        return fails(word, typeof value !== "number" || value >= (said as number));
      case "maximum":
        return fails(word, typeof value !== "number" || value <= (said as number));
      case "minLength":
        return fails(word, typeof value !== "string" || value.length >= (said as number));
      case "maxLength":
        return fails(word, typeof value !== "string" || value.length <= (said as number));
      case "minItems":
        return fails(word, !Array.isArray(value) || value.length >= (said as number));
      case "maxItems":
        return fails(word, !Array.isArray(value) || value.length <= (said as number));
      case "minProperties":
        return fails(word, !isMapping || keys.length >= (said as number));
      case "maxProperties":
        return fails(word, !isMapping || keys.length <= (said as number));
      case "required":
        return (said as string[]).flatMap((key) =>
          fails(`required ${key}`, !isMapping || keys.includes(key)),
        );
      case "propertyNames":
        return keys.flatMap((key) =>
          faults(said as JsonSchema, key).length > 0 ? [`${path}.${key}: ${word}`] : [],
        );
      case "properties":
        return keys.flatMap((key) => {
          const inner = (said as { readonly [key: string]: JsonSchema })[key];
          return inner === undefined ? [] : faults(inner, mapping[key], `${path}.${key}`);
        });
      case "additionalProperties": {
        const known = Object.keys(schema["properties"] ?? {});
        const more = keys.filter((key) => !known.includes(key));
        if (said === false) return more.map((key) => `${path}.${key}: ${word}`);
        return more.flatMap((key) => faults(said as JsonSchema, mapping[key], `${path}.${key}`));
      }
      case "items":
        return Array.isArray(value)
          ? value.flatMap((item: unknown, i) => faults(said as JsonSchema, item, `${path}[${i}]`))
          : [];
      case "oneOf":
        return fails(
          word,
          (said as JsonSchema[]).filter((each) => faults(each, value).length === 0).length === 1,
        );
      case "anyOf":
        return fails(
          word,
          (said as JsonSchema[]).some((each) => faults(each, value).length === 0),
        );
      case "not":
        return fails(word, faults(said as JsonSchema, value).length > 0);
      default:
        throw new Error(`the checker does not know the keyword ${word}`);
    }
  });
}

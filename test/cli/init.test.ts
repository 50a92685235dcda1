/** What `init` writes, and how it puts it in place; what it finds out over the wire is in init.slow.test.ts. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import type { FoundCluster } from "../../src/cli/init-find.ts";
import { assertOnlyAdded, withCluster, type Addition } from "../../src/cli/init-add.ts";
import { addedLines, defaultLines, inventoryText, type Written } from "../../src/cli/init-text.ts";
import { assertPlaceable, placeInventory, readExisting, replaceInventory } from "../../src/cli/init-write.ts";
import { readInventory } from "../../src/config/inventory.ts";
import { ownFolder, refusal } from "../support/folder.ts";

function found(change: Partial<FoundCluster["config"]> = {}): FoundCluster {
  const config: FoundCluster["config"] = {
    name: "sales",
    uuid: undefined,
    nodes: ["server1", "server2"],
    addresses: { server1: ["10.0.1.11"], server2: ["10.0.1.12"] },
    groups: [{ name: "failover1", resources: [], startsByItself: true, failsOverByItself: true }],
    claims: [],
    mirrors: [],
    hybridDisks: [],
    savedBy: undefined,
    digests: {},
    ...change,
  };
  const [first = "", second = ""] = config.nodes;
  return {
    config,
    readOn: first,
    nodes: [
      {
        name: first,
        login: {
          address: "10.0.1.11",
          port: 2222,
          user: "123",
          identity: "/keys/it's mine",
          sudo: true,
          jump: "a@b",
        },
        unreached: undefined,
        instance: "i-0123456789abcdef0",
        by: "as the node says itself",
      },
      {
        name: second,
        login: { address: "2001:db8::12" },
        unreached: "it said:\nno: way",
        instance: "i-0123456789abcdef1",
        by: "it has the address 10.0.1.12",
      },
    ],
  };
}

const written = (more: Partial<Written> = {}): string =>
  inventoryText({
    found: found(),
    cloud: { driver: "aws", region: "eu-west-1" },
    lab: false,
    schema: undefined,
    ...more,
  });

async function read(text: string) {
  const file = join(ownFolder(), "runbook.yaml");
  writeFileSync(file, text);
  return readInventory(file);
}

describe("the text", () => {
  test("is read as what was found, whatever YAML might make of a value", async () => {
    expect(await read(written())).toMatchObject({
      default: "sales",
      clusters: {
        sales: {
          cloud: { driver: "aws", region: "eu-west-1" },
          nodes: {
            server1: {
              address: "10.0.1.11",
              port: 2222,
              user: "123",
              identity: "/keys/it's mine",
              sudo: true,
              jump: "a@b",
              instance: "i-0123456789abcdef0",
            },
            server2: { name: "server2", address: "2001:db8::12", instance: "i-0123456789abcdef1" },
          },
        },
      },
    });
  });

  test("has a cluster name that the reader takes, and node names that YAML would take for numbers or words", async () => {
    const odd = written({ found: found({ name: "売上 (east)", nodes: ["101", "no"] }) });
    const { clusters } = await read(odd);
    expect(Object.keys(clusters)).toEqual(["east-"]);
    expect(Object.keys(clusters["east-"]?.nodes ?? {})).toEqual(["101", "no"]);
    expect(Object.keys((await read(written({ found: found({ name: "東" }) }))).clusters)).toEqual([
      "cluster",
    ]);
  });

  test("says of a node that was not reached what to put in, in one line", () => {
    const lines = written().split("\n");
    const at = lines.indexOf("        address: 2001:db8::12");
    expect(lines.slice(at - 2, at)).toEqual([
      "        # server2 was not reached from here: it said: no: way",
      "        # This address is what clp.conf has for it: put in the one that answers from here.",
    ]);
  });

  test("has examples that are right once they are switched on: each alone, and all together", async () => {
    const lines = written().split("\n");
    const examples = lines.flatMap((line, i) => (/^ *#[^ ]/.test(line) ? [i] : []));
    expect(examples.map((i) => lines[i]?.trim())).toContain("#drill:");
    // The lines of a block that is switched off, or a single one.
    const blocks = examples.filter((i) => !/^ *# {2}/.test(lines[i] ?? ""));
    expect(blocks.length).toBeGreaterThan(4);
    const on = (some: readonly number[]) =>
      lines
        .map((line, i) => {
          const block = some.findLast((from) => from <= i);
          const ofBlock =
            block !== undefined && lines.slice(block, i + 1).every((each) => /^ *#([^ ]| {2})/.test(each));
          return ofBlock ? line.replace("#", "") : line;
        })
        .join("\n");
    for (const block of blocks) await read(on([block]));
    const { clusters } = await read(on(blocks));
    expect(clusters["sales"]).toMatchObject({
      cloud: { profile: "operations" },
      settings: { deadManMinutes: 15 },
      backupEveryMs: 86_400_000,
      drill: { scratch: { name: "scratch1" }, checks: [{ on: "md1" }] },
    });
  });

  test("names a schema only if it is told that there is one, in the first line", () => {
    expect(written()).not.toContain("$schema");
    expect(written({ schema: "runbook.schema.json" }).split("\n")[0]).toBe(
      "# yaml-language-server: $schema=./runbook.schema.json",
    );
  });
});

describe("the file", () => {
  const schemaIn = (at: string) => ({ file: join(at, "runbook.schema.json"), text: "{}\n" });

  test("is put in place whole and private, with the schema beside it", async () => {
    const at = ownFolder();
    const file = join(at, "runbook.yaml");
    assertPlaceable(file, false);
    await placeInventory({ file, text: written() }, schemaIn(at), false);
    expect(readdirSync(at).sort()).toEqual(["runbook.schema.json", "runbook.yaml"]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toBe(written());
  });

  test("that is there already is left alone, also one that came meanwhile; --force writes over it", async () => {
    const at = ownFolder();
    const file = join(at, "runbook.yaml");
    writeFileSync(file, "mine\n");
    for (const act of [
      () => assertPlaceable(file, false),
      () => placeInventory({ file, text: written() }, schemaIn(at), false),
    ])
      expect(await refusal(act)).toMatchObject({ kind: "invalid", message: `${file} is there already` });
    expect(readdirSync(at)).toEqual(["runbook.yaml"]);
    expect(readFileSync(file, "utf8")).toBe("mine\n");
    assertPlaceable(file, true);
    await placeInventory({ file, text: written() }, undefined, true);
    expect(readFileSync(file, "utf8")).toBe(written());
    expect(readdirSync(at)).toEqual(["runbook.yaml"]);
  });

  test("is not written where a schema of somebody's own would be overwritten", async () => {
    const at = ownFolder();
    const file = join(at, "runbook.yaml");
    writeFileSync(join(at, "runbook.schema.json"), "mine\n");
    const failure = await refusal(() => placeInventory({ file, text: written() }, schemaIn(at), false));
    expect(failure.message).toBe(`${join(at, "runbook.schema.json")} is there already`);
    expect(readdirSync(at)).toEqual(["runbook.schema.json"]);
    expect(readFileSync(join(at, "runbook.schema.json"), "utf8")).toBe("mine\n");
  });

  test("is not written if the product itself would not read it", async () => {
    const at = ownFolder();
    const file = join(at, "runbook.yaml");
    const odd = written({ found: found({ nodes: ["server 1", "server2"] }) });
    const failure = await refusal(() => placeInventory({ file, text: odd }, schemaIn(at), false));
    expect(failure.kind).toBe("invalid");
    expect(failure.message).toMatch(
      /^what was found makes no inventory: runbook\.yaml:\d+: clusters\.sales\.nodes/,
    );
    expect(existsSync(file)).toBe(false);
    expect(readdirSync(at)).toEqual([]);
  });

  test("needs a folder, and is no folder", async () => {
    const at = ownFolder();
    mkdirSync(join(at, "runbook.yaml"));
    expect(await refusal(() => assertPlaceable(join(at, "runbook.yaml"), true))).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("is not a file") as string,
    });
    expect(await refusal(() => assertPlaceable(join(at, "none", "runbook.yaml"), true))).toMatchObject({
      kind: "invalid",
      message: expect.stringContaining("there is no folder") as string,
    });
  });
});

describe("one more cluster", () => {
  const cloud = { driver: "aws", region: "eu-west-1" } as const;
  const more = (name: string, naming: readonly string[] = []): Addition => ({
    name,
    lines: addedLines({ found: found({ name }), cloud, lab: false }),
    naming,
  });
  const nodes = (indent: string) =>
    ["server1", "server2"]
      .map((name, i) => `${indent}${name}: { address: 10.0.1.1${i}, instance: i-0123456789abcdef${i} }\n`)
      .join("");
  const small = (name: string, indent: string, inner = "  ") =>
    `${indent}${name}:\n${indent}${inner}manager: clusterpro\n${indent}${inner}cloud: { driver: aws, region: eu-west-1 }\n` +
    `${indent}${inner}nodes:\n${nodes(indent + inner + inner)}`;
  const shapes: { readonly [name: string]: string } = {
    "as init wrote it": written(),
    "with other indents, and a footer": `default: a\nclusters:\n    # the first\n${small("a", "    ", "   ")}# the end\n`,
    "with the default below": `clusters:\n${small("a", "  ")}\n\ndefault: a # the first`,
    "with a comment on what stands below the clusters": `clusters:\n${small("a", "  ")}    #settings:\n    #  deadManMinutes: 5\n\n# The cluster that is meant:\ndefault: a\n`,
    "without an end of line at its end": `default: a\nclusters:\n${small("a", "  ").trimEnd()}`,
    "with the line ends of Windows": `default: a\nclusters:\n${small("a", "  ")}`.replaceAll("\n", "\r\n"),
    "with several, and no default": `clusters:\n${small("a", " ")}${small("b", " ")}`,
    "with an example that is switched off below the last, and a comment on its last line": `default: a\n\nclusters:\n${small("a", "  ").trimEnd()} # the last\n\n    #settings:\n    #  deadManMinutes: 5\n\n# bye\n`,
    "with a text of several lines at its end": `default: a\nclusters:\n${small("a", "  ")}    drill:\n      scratch: { node: s, address: 10.0.1.9, instance: i-0123456789abcdef9 }\n      checks:\n        - name: one\n          on: md1\n          command: [cat, x]\n          stdout: |\n            # one\n            two\n`,
  };

  test.each(Object.entries(shapes))(
    "comes below the others, and what was there stays to the byte: %s",
    async (_, text) => {
      const at = ownFolder();
      const file = join(at, "runbook.yaml");
      writeFileSync(file, text);
      const existing = await readExisting(file);
      const addition = more("staging");
      const changed = withCluster(file, text, addition);
      await replaceInventory(existing, changed, (is) => assertOnlyAdded(existing.inventory, is, addition));
      const after = readFileSync(file, "utf8");
      expect(after).toBe(changed);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(readdirSync(at)).toEqual(["runbook.yaml"]);
      const is = await readInventory(file);
      expect(Object.keys(is.clusters)).toEqual([...Object.keys(existing.inventory.clusters), "staging"]);
      expect(is.clusters["staging"]?.nodes["server1"]).toMatchObject({ address: "10.0.1.11", port: 2222 });
      const { staging: _staging, ...others } = is.clusters;
      expect({ ...is, clusters: others }).toEqual(existing.inventory);
      // One piece was put in, and nothing else: without it the file is what it was, but for an end of line at its end.
      const start = [...after].findIndex((sign, i) => sign !== text[i]);
      const cut = after.length - text.length;
      const whole = after.slice(0, start) + after.slice(start + cut);
      expect(whole).toBe(text);
      // Lines of a mapping that are switched off stay with the cluster above.
      const lines = after.split(/\r?\n/);
      const own = lines.indexOf(lines.find((line) => /^ +staging:$/.test(line)) ?? "");
      expect(lines.slice(own).some((line) => line.includes("deadManMinutes: 5"))).toBe(false);
      // What is about the file, or about what comes below, stays below.
      expect(lines.slice(0, own).filter((line) => /^# (the end|bye|The cluster)/.test(line))).toEqual([]);
      expect(after.includes("\r\n") ? /[^\r]\n/.test(after) : false).toBe(false);
    },
  );

  test("a file without a default gets one where two clusters need it, above its clusters", async () => {
    const head = "# yaml-language-server: $schema=./runbook.schema.json\n";
    for (const [text, at] of [
      [`${head}clusters:\n${small("a", "  ")}`, 1],
      [`${head}\n# Ours.\nclusters:\n${small("a", "  ")}`, 2],
    ] as const) {
      const changed = withCluster("f", text, more("staging", defaultLines("a")));
      const lines = changed.split("\n");
      expect(lines[0]).toBe(head.trim());
      expect(lines.findIndex((line) => line === "default: a")).toBe(at + 1);
      const is = await read(changed);
      expect([is.default, Object.keys(is.clusters)]).toEqual(["a", ["a", "staging"]]);
    }
  });

  test("is refused where its lines cannot come between, and nothing is written", async () => {
    const one = `{ manager: clusterpro, cloud: { driver: aws, region: eu-west-1 }, nodes: { s1: { address: a, instance: i-0123456789abcdef0 }, s2: { address: b, instance: i-0123456789abcdef1 } } }`;
    for (const text of [
      `clusters: { a: ${one} }\n`,
      `{ clusters: { a: ${one} } }\n`,
      `? clusters\n: a: ${one}\n`,
    ]) {
      await read(text);
      expect(await refusal(() => void withCluster("f", text, more("staging")))).toMatchObject({
        kind: "invalid",
        message: "no cluster can be added to f: its clusters do not stand on lines of their own",
      });
    }
  });

  test("is not put in place where what is there would read otherwise, or was changed meanwhile", async () => {
    const at = ownFolder();
    const file = join(at, "runbook.yaml");
    writeFileSync(file, shapes["with the default below"] ?? "");
    const existing = await readExisting(file);
    const addition = more("staging");
    const good = withCluster(file, existing.text, addition);
    const only = (is: Parameters<typeof assertOnlyAdded>[1]) =>
      assertOnlyAdded(existing.inventory, is, addition);
    for (const [text, why] of [
      [good.replace("10.0.1.10", "10.0.1.99"), "would not read as before"],
      [good.replace("default: a", "default: staging"), "would not read as before"],
      [existing.text, "would not read as before"],
      [good.replace("region:", "regoin:"), "what was found makes no inventory"],
    ] as const)
      expect((await refusal(() => replaceInventory(existing, text, only))).message).toContain(why);
    expect(readFileSync(file, "utf8")).toBe(existing.text);
    writeFileSync(file, `${existing.text}\n# mine\n`);
    expect(await refusal(() => replaceInventory(existing, good, only))).toMatchObject({
      kind: "precondition",
      message: `${file} was changed meanwhile`,
    });
    expect(readFileSync(file, "utf8")).toBe(`${existing.text}\n# mine\n`);
    expect(readdirSync(at)).toEqual(["runbook.yaml"]);
  });

  test("needs an inventory that is there and can be read; a link to it stays one", async () => {
    const at = ownFolder();
    const link = join(at, "link.yaml");
    const file = join(at, "runbook.yaml");
    expect((await refusal(() => readExisting(link))).message).toBe(`there is no ${link} to add to`);
    writeFileSync(file, "clusters:\n");
    expect((await refusal(() => readExisting(file))).kind).toBe("invalid");
    writeFileSync(file, written());
    symlinkSync(file, link);
    expect((await readExisting(link)).file).toBe(realpathSync(file));
  });
});

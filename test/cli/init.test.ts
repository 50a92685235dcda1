/** What `init` writes, and how it puts it in place; what it finds out over the wire is in init.slow.test.ts. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";

import type { FoundCluster } from "../../src/cli/init-find.ts";
import { inventoryText, type Written } from "../../src/cli/init-text.ts";
import { assertPlaceable, placeInventory } from "../../src/cli/init-write.ts";
import { readInventory } from "../../src/config/inventory.ts";
import { Failure } from "../../src/errors.ts";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "runbook-init-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function found(change: Partial<FoundCluster["config"]> = {}): FoundCluster {
  const config: FoundCluster["config"] = {
    name: "sales",
    uuid: undefined,
    nodes: ["server1", "server2"],
    addresses: { server1: ["10.0.1.11"], server2: ["10.0.1.12"] },
    groups: [{ name: "failover1", resources: [], startsByItself: true, failsOverByItself: true }],
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
  const file = join(folder(), "runbook.yaml");
  writeFileSync(file, text);
  return readInventory(file);
}

async function refusal(act: () => Promise<unknown> | void): Promise<Failure> {
  try {
    await act();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Failure);
    return thrown as Failure;
  }
  throw new Error("nothing was thrown");
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
    const at = folder();
    const file = join(at, "runbook.yaml");
    assertPlaceable(file, false);
    await placeInventory({ file, text: written() }, schemaIn(at), false);
    expect(readdirSync(at).sort()).toEqual(["runbook.schema.json", "runbook.yaml"]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toBe(written());
  });

  test("that is there already is left alone, also one that came meanwhile; --force writes over it", async () => {
    const at = folder();
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
    const at = folder();
    const file = join(at, "runbook.yaml");
    writeFileSync(join(at, "runbook.schema.json"), "mine\n");
    const failure = await refusal(() => placeInventory({ file, text: written() }, schemaIn(at), false));
    expect(failure.message).toBe(`${join(at, "runbook.schema.json")} is there already`);
    expect(readdirSync(at)).toEqual(["runbook.schema.json"]);
    expect(readFileSync(join(at, "runbook.schema.json"), "utf8")).toBe("mine\n");
  });

  test("is not written if the product itself would not read it", async () => {
    const at = folder();
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
    const at = folder();
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

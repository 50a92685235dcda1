import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { Failure } from "../../src/errors.ts";
import { findInventory, pickCluster, readInventory, type Inventory } from "../../src/config/inventory.ts";

const fixtures = resolve(import.meta.dirname, "../../fixtures/inventory");
const scratch = mkdtempSync(join(tmpdir(), "runbook-inventory-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function written(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

async function refusal(promise: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(thrown).toBeInstanceOf(Failure);
  return thrown as Failure;
}

describe("a good inventory", () => {
  test("every key is read, with paths made absolute", async () => {
    const file = join(fixtures, "two-clusters.yaml");
    const inventory = await readInventory(file);
    expect(inventory.file).toBe(file);
    expect(inventory.default).toBe("prod");
    expect(inventory.clusters["prod"]).toEqual({
      name: "prod",
      manager: "clusterpro",
      cloud: {
        driver: "aws",
        region: "ap-northeast-1",
        profile: "operations",
        endpoint: "https://ec2.ap-northeast-1.amazonaws.com",
      },
      nodes: {
        server1: {
          name: "server1",
          address: "192.0.2.11",
          port: 2222,
          user: "operator",
          identity: join(homedir(), ".ssh/cluster"),
          knownHosts: join(fixtures, "known_hosts"),
          sudo: true,
          jump: "gate@gateway.example.com:22",
          instance: "i-0123456789abcdef0",
        },
        server2: { name: "server2", address: "server2.example.com", instance: "i-0123456789abcdef1" },
      },
      settings: { deadManMinutes: 20, leaseMinutes: 10, copyHours: 48, acceptBareNvme: true },
      backupEveryMs: 36 * 3_600_000,
      drillEveryMs: 14 * 86_400_000,
      drill: {
        scratch: {
          name: "scratch1",
          address: "192.0.2.90",
          identity: join(homedir(), ".ssh/scratch"),
          sudo: true,
          instance: "i-0123456789abcdef9",
        },
        targetMinutes: 90,
        checks: [
          {
            kind: "command",
            name: "the version is known",
            on: "md1",
            user: "app",
            seconds: 30,
            argv: ["cat", "app/version"],
            stdout: null,
            matches: "^[0-9]+$",
          },
          {
            kind: "command",
            name: "one row",
            on: "md1",
            user: "nobody",
            seconds: 60,
            argv: ["app-count", "--orders"],
            stdout: "1",
            matches: null,
          },
          {
            kind: "file",
            name: "the ledger is whole",
            on: "md2",
            path: "books/ledger.csv",
            sha256: "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
            seconds: 60,
          },
          {
            kind: "http",
            name: "the page answers",
            url: "http://127.0.0.1:8080/health",
            status: 200,
            contains: "fine",
            seconds: 60,
          },
        ],
      },
    });
  });

  test("a staging cluster says what it belongs to", async () => {
    const { clusters } = await readInventory(join(fixtures, "two-clusters.yaml"));
    expect(clusters["staging"]?.staging).toEqual({
      of: "prod",
      isolated: true,
      shares: ["vpc-0123456789abcdef0"],
    });
  });

  test("what it leaves out has its default", async () => {
    const { clusters } = await readInventory(join(fixtures, "one-cluster.yaml"));
    expect(clusters["prod"]?.settings).toEqual({
      deadManMinutes: 15,
      leaseMinutes: 15,
      copyHours: 24,
      acceptBareNvme: false,
    });
    expect(Object.keys(clusters["prod"]?.nodes["server1"] ?? {})).toEqual(["name", "address", "instance"]);
  });
});

describe("a broken inventory is refused with file, line, what was expected and what was found", () => {
  const folder = join(fixtures, "broken");
  const names = readdirSync(folder).filter((name) => name.endsWith(".yaml"));
  test.each(names)("%s", async (name) => {
    const failure = await refusal(readInventory(join(folder, name)));
    expect(failure.kind).toBe("invalid");
    const said = `${failure.message.replaceAll(`${folder}/`, "")}\n\n${failure.hint ?? "no hint"}\n`;
    expect(said).not.toContain("correct-horse");
    const golden = join(folder, name.replace(".yaml", ".txt"));
    if (process.env["GOLDEN"] === "write") writeFileSync(golden, said);
    expect(said).toBe(readFileSync(golden, "utf8"));
  });

  test("a file that is not there says how to make one", async () => {
    const failure = await refusal(readInventory(join(scratch, "none.yaml")));
    expect(failure.kind).toBe("not-found");
    expect(failure.hint).toContain("`runbook init`");
  });

  test("a file of more than 256 KiB is not read", async () => {
    const failure = await refusal(readInventory(written("large.yaml", "#".repeat(2 ** 18 + 1))));
    expect(failure.message).toContain("262145 bytes");
  });

  test("a folder, and text that is not UTF-8, are refused", async () => {
    expect((await refusal(readInventory(scratch))).message).toContain("is not a file");
    expect(
      (await refusal(readInventory(written("latin1.yaml", Buffer.from([0x61, 0xe9]))))).message,
    ).toContain("UTF-8");
  });

  test("nesting without end is refused like any other text", async () => {
    for (const text of ["[".repeat(200_000), `${"a: {".repeat(5_000)}${"}".repeat(5_000)}`])
      expect((await refusal(readInventory(written("deep.yaml", text)))).kind).toBe("invalid");
  });
});

describe("which inventory is meant", () => {
  const below = join(scratch, "a/b/c");
  mkdirSync(below, { recursive: true });
  const above = written("a/runbook.yaml", "clusters: {}\n");

  test("the flag, before the environment, before the working directory", () => {
    const env = { RUNBOOK_INVENTORY: "from-env.yaml" };
    expect(findInventory({ flag: "flag.yaml", env, cwd: below })).toBe(join(below, "flag.yaml"));
    expect(findInventory({ flag: undefined, env, cwd: below })).toBe(join(below, "from-env.yaml"));
    expect(findInventory({ flag: undefined, env: {}, cwd: below })).toBe(above);
  });

  test("a folder of that name is passed by, and without any file there is none", () => {
    mkdirSync(join(below, "runbook.yaml"));
    expect(findInventory({ flag: undefined, env: { RUNBOOK_INVENTORY: "" }, cwd: below })).toBe(above);
    expect(findInventory({ flag: undefined, env: {}, cwd: "/" })).toBeUndefined();
  });
});

describe("which cluster is meant", () => {
  const read = (name: string): Promise<Inventory> => readInventory(join(fixtures, name));

  test("the named one, else the only one, else the default", async () => {
    const two = await read("two-clusters.yaml");
    expect(pickCluster(two, "staging").name).toBe("staging");
    expect(pickCluster(two).name).toBe("prod");
    expect(pickCluster(await read("one-cluster.yaml")).name).toBe("prod");
  });

  test("several without a default are listed", async () => {
    const { file, clusters } = await read("two-clusters.yaml");
    expect(() => pickCluster({ file, clusters })).toThrow(
      expect.objectContaining({
        kind: "invalid",
        hint: expect.stringContaining("prod, staging") as string,
      }) as Error,
    );
  });

  test("an unknown name is answered with the nearest and with all names", async () => {
    const two = await read("two-clusters.yaml");
    expect(() => pickCluster(two, "stagign")).toThrow(
      expect.objectContaining({
        kind: "not-found",
        hint: 'did you mean "staging"? the clusters are prod, staging',
      }) as Error,
    );
    expect(() => pickCluster(two, "toString")).toThrow("there is no cluster");
  });
});

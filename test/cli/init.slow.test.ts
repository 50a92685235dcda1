/** `init` against a lab on the wire: what it finds out, that it only reads, and one clear sentence where it cannot. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";

import { complain } from "../../src/cli/exit.ts";
import { init, type InitOptions } from "../../src/cli/init.ts";
import { readInventory } from "../../src/config/inventory.ts";
import { confFile } from "../../src/lab/cluster-settings.ts";
import { openStage, type Stage } from "./play.ts";

const tag = "/sys/devices/virtual/dmi/id/board_asset_tag";
let stage: Stage;
let folder = "";
let conf: string;
beforeAll(async () => {
  stage = await openStage({ pace: 60 });
  conf = stage.lab.node("server1").files.read(confFile);
});
afterAll(() => stage.end());
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const node of ["server1", "server2"]) {
    stage.lab.node(node).files.plant(confFile, conf, 0o600);
    stage.lab.node(node).files.plant(tag, undefined);
  }
  stage.lab.cloud.denied.clear();
  // Whatever was asked of it: the lab itself saw no write, and nothing that it does not know.
  expect(stage.touched()).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
});

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly file: string;
}

/** As the command line does, in this process. */
async function type(
  options: InitOptions,
  env: { readonly [name: string]: string } = {},
  there?: string,
): Promise<Said> {
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "runbook-init-"));
  if (there !== undefined) writeFileSync(join(folder, "runbook.yaml"), there, { mode: 0o600 });
  const file = join(folder, "runbook.yaml");
  let out = "";
  let err = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((out += String(text)), true));
  const all = {
    HOME: join(stage.home, "..", "user"),
    RUNBOOK_HOME: stage.home,
    AWS_ACCESS_KEY_ID: stage.info.ec2.accessKeyId,
    AWS_SECRET_ACCESS_KEY: "anything",
    AWS_EC2_METADATA_DISABLED: "true",
    SSH_AUTH_SOCK: "",
    ...env,
  };
  for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
  const code = await init(file, options).catch((thrown: unknown) =>
    complain(thrown, (text) => void (err += text)),
  );
  vi.mocked(process.stdout.write).mockRestore();
  return { code, out, err, file };
}

const nodeOf = (name: string) => {
  const node = { ...stage.info.clusters["prod"]?.nodes, ...stage.info.clusters["staging"]?.nodes }[name];
  if (node === undefined) throw new Error(`the lab has no node ${name}`);
  return node;
};
const given = (...names: string[]) => names.map((name) => `root@127.0.0.1:${nodeOf(name).port}`);
const wire = (): InitOptions => ({
  identity: nodeOf("server1").identity,
  knownHosts: nodeOf("server1").knownHosts,
  region: "ap-northeast-1",
  endpoint: stage.info.ec2.url,
});

test("with --lab, one node is enough: the inventory is that of the lab, and nothing was written there", async () => {
  const { code, out, err, file } = await type({ lab: true, schema: true });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("cluster prod: groups failover1; mirrors md1\n");
  expect(out).toMatch(
    /\nNext: `AWS_ACCESS_KEY_ID=\S+ AWS_SECRET_ACCESS_KEY=lab runbook doctor --inventory \S+`\n$/,
  );
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).sort()).toEqual(["runbook.schema.json", "runbook.yaml"]);
  const { clusters } = await readInventory(file);
  expect(Object.keys(clusters)).toEqual(["prod"]);
  for (const name of ["server1", "server2"])
    expect(clusters["prod"]?.nodes[name]).toEqual({ name, ...nodeOf(name) });
  expect(stage.received().length).toBeGreaterThan(3);
});

test("with --lab and a node of the other cluster, it is that one's", async () => {
  const { code, file } = await type({ lab: true, node: ["stage2"] });
  expect(code).toBe(0);
  expect(Object.keys((await readInventory(file)).clusters["staging"]?.nodes ?? {})).toEqual([
    "stage1",
    "stage2",
  ]);
});

test("--add puts another cluster below the one that is there, and tells which is meant from now on", async () => {
  const first = await type({ lab: true });
  const one = readFileSync(first.file, "utf8").replace(/^default: .*\n/m, "");
  const { code, out, err, file } = await type({ lab: true, node: ["stage1"], add: true }, {}, one);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("cluster staging: groups failover1; mirrors md1\n");
  expect(out).toMatch(
    /\nThe cluster staging was added to \S+; nothing was changed on the nodes or in the cloud\.\n/,
  );
  expect(out).toContain("\nnote: prod is the default now: it is meant where no cluster is named\n");
  expect(out).toMatch(/lab runbook doctor staging --inventory \S+`\n$/);
  const is = await readInventory(file);
  expect(is.default).toBe("prod");
  expect(Object.keys(is.clusters)).toEqual(["prod", "staging"]);
  expect(Object.keys(is.clusters["staging"]?.nodes ?? {})).toEqual(["stage1", "stage2"]);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  // With a default of its own the file keeps it, and nothing is said of it.
  const kept = one.replace("clusters:", "default: prod\nclusters:");
  const again = await type({ lab: true, node: ["stage1"], add: true }, {}, kept);
  expect([again.code, again.out.includes("default")]).toEqual([0, false]);
  expect(readFileSync(again.file, "utf8").startsWith(kept.trimEnd())).toBe(true);
});

test("--add refuses a cluster that is there, what it cannot read, and what does not go with it; nothing is written", async () => {
  const { file: first } = await type({ lab: true });
  const one = readFileSync(first, "utf8");
  for (const [options, there, code, sentence] of [
    [{}, one, 4, "has a cluster prod already"],
    [{ force: true }, one, 2, "--add is given with --force"],
    [{ schema: true }, one, 2, "--add is given with --schema"],
    [{}, one.replace("driver: aws", "driver: asw"), 2, "asw"],
    [{}, undefined, 2, "to add to"],
  ] as const) {
    const asked = stage.received().length;
    const said = await type({ lab: true, add: true, ...options }, {}, there);
    expect([said.code, said.out], sentence).toEqual([code, ""]);
    expect(said.err).toContain(sentence);
    expect(existsSync(said.file) ? readFileSync(said.file, "utf8") : undefined).toBe(there);
    expect(readdirSync(join(said.file, ".."))).toEqual(there === undefined ? [] : ["runbook.yaml"]);
    // Only what the cluster is called has to be asked for; the rest is told before anybody is asked.
    if (code === 2) expect(stage.received().length).toBe(asked);
  }
});
test("both nodes given, the inventory says how they were logged in to, and doctor's drivers open with it", async () => {
  const { code, err, file } = await type({ ...wire(), node: given("server2", "server1") });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const { clusters } = await readInventory(file);
  expect(clusters["prod"]?.cloud).toEqual({
    driver: "aws",
    region: "ap-northeast-1",
    endpoint: stage.info.ec2.url,
  });
  expect(Object.keys(clusters["prod"]?.nodes ?? {})).toEqual(["server1", "server2"]);
  for (const name of ["server1", "server2"])
    expect(clusters["prod"]?.nodes[name]).toEqual({ name, ...nodeOf(name) });
});

/** server2 also answers at another address of this machine, under the port of server1. */
async function forward(address: string): Promise<() => void> {
  const server = createServer((from) => {
    const to = connect(nodeOf("server2").port, "127.0.0.1");
    from.pipe(to).pipe(from);
    for (const side of [from, to]) side.on("error", () => side.destroy());
  });
  await new Promise<void>((resolve) => server.listen(nodeOf("server1").port, address, resolve));
  expect((server.address() as AddressInfo).port).toBe(nodeOf("server1").port);
  return () => server.close();
}

function withAddresses(node: string, ...addresses: string[]): void {
  const devices = addresses.map(
    (address, i) =>
      `<device id="${i}"><type>${i === 0 ? "lan" : "mdc"}</type><info>${address}</info></device>`,
  );
  const changed = conf.replace(
    new RegExp(`(<server name="${node}">[\\s\\S]*?)<device[\\s\\S]*?(\\s*</server>)`),
    (_, before: string, after: string) => before + devices.join("") + after,
  );
  expect(changed).not.toBe(conf);
  for (const each of ["server1", "server2"]) stage.lab.node(each).files.plant(confFile, changed, 0o600);
}

test("one node given, the other is found where clp.conf says, if the same login works there", async () => {
  withAddresses("server2", "127.0.0.12", "10.0.1.12");
  const keys = readFileSync(nodeOf("server2").knownHosts, "utf8");
  const [, key = ""] =
    new RegExp(`^\\[127\\.0\\.0\\.1\\]:${nodeOf("server2").port} (.*)$`, "m").exec(keys) ?? [];
  const knownHosts = join(stage.cwd, "known_hosts");
  writeFileSync(knownHosts, `${keys}[127.0.0.12]:${nodeOf("server1").port} ${key}\n`);
  const close = await forward("127.0.0.12");
  try {
    const { code, out, err, file } = await type({
      ...wire(),
      knownHosts,
      node: ["127.0.0.1"],
      ...loginOf("server1"),
    });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).not.toContain("note:");
    expect((await readInventory(file)).clusters["prod"]?.nodes["server2"]).toMatchObject({
      address: "127.0.0.12",
      port: nodeOf("server1").port,
      user: "root",
      instance: nodeOf("server2").instance,
    });
  } finally {
    close();
  }
});

const loginOf = (name: string): InitOptions => ({ user: "root", port: String(nodeOf(name).port) });

test("a node that is not reached there stands in the inventory with what to put in, and it is said", async () => {
  // Nobody listens at the one, and the other is server1 itself.
  withAddresses("server2", "127.0.0.13", "127.0.0.1");
  stage.lab.cloud.addInstance({
    id: "i-0123456789abcdef0",
    name: "elsewhere",
    zone: "ap-northeast-1a",
    type: "m5.large",
    nvme: true,
    onGuestShutdown: "stop",
    privateAddress: "127.0.0.13",
    state: "stopped",
  });
  const { code, out, err, file } = await type({ ...wire(), node: ["127.0.0.1"], ...loginOf("server1") });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(
    /\nnote: server2 was not reached: .*ECONNREFUSED.*; 127\.0\.0\.1 answers as "server1"\n/,
  );
  expect(readFileSync(file, "utf8")).toMatch(
    /# server2 was not reached from here: .*\n.*put in the one that answers/,
  );
  expect((await readInventory(file)).clusters["prod"]?.nodes["server2"]).toMatchObject({
    address: "127.0.0.13",
    instance: "i-0123456789abcdef0",
  });
});

test("a node that says which instance it is, is believed before the addresses", async () => {
  stage.lab.node("server1").files.plant(tag, `${stage.lab.scratch.instance}\n`);
  const { code, out } = await type({ lab: true });
  expect(code).toBe(0);
  // That id has 17 digits, as those of EC2 have.
  expect(out).toContain(
    `server1 at 127.0.0.1: instance ${stage.lab.scratch.instance} (as the node says itself)`,
  );
  stage.lab.node("server1").files.plant(tag, "not specified\n");
  expect((await type({ lab: true })).out).toContain(
    `${nodeOf("server1").instance} (it has the address 10.0.1.11)`,
  );
});

const dead = { id: "i-00000000000000bad" };
const bad: readonly [string, () => Promise<Said>, number, RegExp][] = [
  ["no node", () => type({}), 2, /no node was named\n {2}give one .* --lab\n$/],
  ["three nodes", () => type({ ...wire(), node: ["a", "b", "c"] }), 2, /a cluster has two nodes/],
  [
    "no host name",
    () => type({ ...wire(), node: ["-oProxyCommand=x"] }),
    2,
    /wanted a host name or an IP address/,
  ],
  [
    "a port that is none",
    () => type({ ...wire(), node: ["a"], port: "0" }),
    2,
    /wanted a whole number from 1 to 65535/,
  ],
  [
    "a node that does not answer",
    () => type({ ...wire(), node: ["127.0.0.1:1"] }),
    4,
    /127\.0\.0\.1:1\) cannot be reached: .*ECONNREFUSED.*\n {2}is .* up, are its address and port right,/,
  ],
  [
    "a wrong login",
    () => type({ ...wire(), node: [`nobody@127.0.0.1:${nodeOf("server1").port}`] }),
    4,
    /refused the login of nobody/,
  ],
  [
    "a host key that is not known",
    () => type({ ...wire(), knownHosts: "/dev/null", node: given("server1") }),
    4,
    /the host key of .* is not known.*\n {2}add it by `ssh-keyscan/,
  ],
  [
    "a key that is not there",
    () => type({ ...wire(), identity: "/none", node: given("server1") }),
    4,
    /the key for .* cannot be used.*\n {2}name a readable private key as --identity\n$/,
  ],
  [
    "a machine of no cluster",
    () => type({ ...wire(), node: [`root@127.0.0.1:${stage.info.scratch.port}`] }),
    2,
    /has no \/opt\/nec\/clusterpro\/etc\/clp\.conf/,
  ],
  [
    "nodes of two clusters",
    () => type({ ...wire(), node: given("server1", "stage1") }),
    2,
    /is of the cluster prod .* of the cluster staging/,
  ],
  [
    "one node twice",
    () =>
      type({ ...wire(), node: [...given("server1"), `127.0.0.1:${nodeOf("server1").port}`], user: "root" }),
    2,
    /are the same node, server1/,
  ],
  [
    "an address that no instance has",
    () => {
      withAddresses("server2", "10.9.9.9");
      return type({ lab: true });
    },
    2,
    /no instance in ap-northeast-1 has an address of server2 \(10\.9\.9\.9\)/,
  ],
  [
    "an instance that the cloud does not know",
    () => {
      stage.lab.node("server2").files.plant(tag, `${dead.id}\n`);
      return type({ lab: true });
    },
    2,
    /server2 runs on i-00000000000000bad, which EC2 does not know in ap-northeast-1/,
  ],
  [
    "one instance for both",
    () => {
      stage.lab.node("server2").files.plant(tag, `${stage.lab.scratch.instance}\n`);
      stage.lab.node("server1").files.plant(tag, `${stage.lab.scratch.instance}\n`);
      return type({ lab: true });
    },
    2,
    /server1 and server2 lead to one instance/,
  ],
  [
    "no right to look",
    () => {
      stage.lab.cloud.denied.add("DescribeInstances");
      return type({ lab: true });
    },
    4,
    /DescribeInstances/,
  ],
  [
    "no credentials",
    () =>
      type(
        { ...wire(), node: given("server1", "server2") },
        { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" },
      ),
    4,
    /no usable AWS credentials were found\n {2}set AWS_PROFILE .* or give --profile\n$/,
  ],
  [
    "no region",
    () => type({ node: given("server1") }, { AWS_REGION: "", AWS_DEFAULT_REGION: "" }),
    2,
    /the region of the cloud is not known.*\n {2}give it, for example --region/,
  ],
  [
    "--lab with what the lab knows",
    () => type({ lab: true, user: "x", knownHosts: "y" }),
    2,
    /--user, --known-hosts: the lab knows/,
  ],
  [
    "a node that the lab has not",
    () => type({ lab: true, node: ["server9"] }),
    2,
    /no node "server9"\n {2}its nodes are server1, server2, stage1/,
  ],
];

test.each(bad)("%s: one clear sentence, and no file", async (_, act, code, words) => {
  const said = await act();
  expect(said.err).toMatch(words);
  expect(said.code).toBe(code);
  expect(said.err.trimEnd().split("\n").length).toBeLessThan(3);
  expect(said.out).toBe("");
  expect(existsSync(said.file)).toBe(false);
  expect(readdirSync(folder)).toEqual([]);
});

test("an address that two instances have is not guessed", async () => {
  const again = {
    zone: "ap-northeast-1c",
    type: "m5.large",
    nvme: true,
    onGuestShutdown: "stop",
    state: "stopped",
  } as const;
  const id = stage.lab.cloud.addInstance({ ...again, name: "twin", privateAddress: "10.0.1.12" });
  const { code, err, file } = await type({ lab: true });
  expect(code).toBe(2);
  expect(err).toContain("several instances in ap-northeast-1 have an address of server2 (10.0.1.12): ");
  expect(err).toContain(`${id} (twin)`);
  expect(existsSync(file)).toBe(false);
});

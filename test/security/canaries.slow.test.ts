/**
 * Secrets that must never be seen: in the environment, in files that an inventory names, in what nodes print and in what a
 * cloud answers. The built command line is played through all that it does with a run, and everything that it printed, kept
 * or wrote is searched for each of them, plain, in JSON and in base64.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { readPlanFile } from "../../src/cli/making.ts";
import { readInventory } from "../../src/config/inventory.ts";
import { openStage, type Played, type Stage } from "../cli/play.ts";
import { refusal } from "../support/folder.ts";

/** Of nobody; each begins and ends with signs that are nowhere else. */
const canaries = {
  AWS_SECRET_ACCESS_KEY: 'cnryA/wJalrXUtn"FEMI+K7MDENG\\PxRfiCYzA1',
  AWS_SESSION_TOKEN: `cnryB${"IQoJb3JpZ2luX2VjE/Jh".repeat(20)}zzzzB1`,
  RUNBOOK_SSH_PASSPHRASE: "cnryC correct <horse> & 'battery' zzC1",
  ORDERS_API_TOKEN: "cnryD-0f1e2d3c4b5a69788796-zzzzD1",
  DATABASE_URL: "postgres://orders:cnryE-9f8e7d6c-zzzE1@db.example.com/orders",
};
const secrets = Object.values(canaries).map((value) => /:([^:@]*)@/.exec(value)?.[1] ?? value);
const credentials = "/root/credentials";
const quick = {
  pace: 60,
  copySeconds: 15,
  cloud: { snapshotSeconds: 20 },
  nodeTimes: { boot: [6_000, 8_000], shutdown: [3_000, 5_000] },
} as const;

/** The longer stories are played by `npm run fuzz`, which has the time. */
const short = process.env["FUZZ"] === undefined;
const whySkipped = "played by `npm run fuzz`";

let stage: Stage;
let liar: Server;
const played: { readonly words: string; readonly out: string }[] = [];

const umask = process.umask();
beforeAll(async () => {
  // The laxest there is: what the tool makes is private all the same.
  process.umask(0);
  stage = await openStage(quick);
  for (const node of ["server1", "server2"])
    stage.lab.node(node).files.plant(credentials, `${secrets.flatMap(formsOf).join("\n")}\n`, 0o600);
  liar = createServer((_, response) => response.writeHead(400).end(errorWith(secrets.join(" "))));
  await once(liar.listen(0, "127.0.0.1"), "listening");
});
afterAll(async () => {
  process.umask(umask);
  liar.close();
  await stage.end();
});

async function play(...words: readonly string[]): Promise<Played> {
  const done = await stage.play(words, { env: canaries });
  played.push({ words: words.join(" "), out: done.out + done.err });
  return done;
}

/** A hook that prints the node's credentials, at length, and then ends so. */
function inventory(exit: number, change: (text: string) => string = (text) => text): void {
  const leak = `sh, -c, "cat ${credentials}; printf %0180d 0; tail -n 1 ${credentials}; exit ${exit}"`;
  const hook = `{ name: leak, around: run, on: server1, before: [${leak}], after: [${leak}], onFailure: `;
  const hooks = `    hooks:\n      - ${hook}${exit === 3 ? "go-on" : "give-back"} }\n`;
  stage.inventory((text) => change(text.replace("    nodes:\n", `${hooks}    nodes:\n`)));
}

describe("no secret is seen", () => {
  test("in a plan, in a run that goes on past a hook that fails, and in all that is made of it", async () => {
    inventory(3);
    expect(await play("plan", "backup-standby", "--full", "--out", "plan.json")).toMatchObject({ code: 0 });
    const ran = await play("run", "plan.json", "--json");
    expect(ran, ran.err).toMatchObject({ code: 0 });
    expect(ran.out, "the hook was heard, and masked").toContain("(secret)");
    const [run = ""] = runs();
    await play("show", run);
    expect(readdirSync(join(stage.home, "runs", run))).toContain("0001.jsonl");
    expect(await play("evidence", run), "and its journal verifies").toMatchObject({ code: 0 });
    nothingLeaked();
  });

  test("in a run that fails by a hook and is given back", async ({ skip }) => {
    if (short) skip(whySkipped);
    inventory(4);
    expect(await play("run", "backup-standby")).toMatchObject({ code: 1 });
    await play("report", runs().at(-1) ?? "");
    nothingLeaked();
  });

  test("in a run that is killed, looked at and given back", async ({ skip }) => {
    if (short) skip(whySkipped);
    inventory(3);
    const before = runs();
    const killed = stage.start(["run", "backup-standby"], { env: canaries });
    await killed.until(/▸ Stop the groups/);
    killed.child.kill("SIGKILL");
    const { out, err } = await killed.ended;
    played.push({ words: "killed", out: out + err });
    const run = runs().find((each) => !before.includes(each)) ?? "";
    await play("status", run, "--json");
    expect(await play("resume", run), "it looks, and asks").toMatchObject({ code: 6 });
    expect(await play("undo", run, "--yes", "--why", `it held ${secrets.join(" ")}`)).toMatchObject({
      code: 1,
    });
    nothingLeaked();
  });

  test("in what a cloud or a node answers when it refuses", async () => {
    const { port } = liar.address() as AddressInfo;
    inventory(3, (text) => text.replace(/endpoint: "[^"]*"/, `endpoint: "http://127.0.0.1:${port}/"`));
    expect((await play("plan", "backup-standby")).err).toContain("(InvalidParameterValue)");
    inventory(3);
    const { files } = stage.lab.node("server1");
    files.plant("/var/lib/runbook/lock/fence", secrets.join(" "), 0o600);
    expect((await play("plan", "backup-standby", "--json")).code).not.toBe(0);
    await stage.lab.shell.run("server1", ["rm", "-rf", "/var/lib/runbook/lock"], { timeoutMs: 60_000 });
    nothingLeaked();
  });

  test("in an error that nobody caught", async () => {
    const throwing = `let n = 0; const t = setInterval(() => {
      const heard = process.listenerCount("uncaughtException") > 0;
      if (heard || (n += 1) > 3000) clearInterval(t);
      if (heard) throw new Error("found " + process.env.ORDERS_API_TOKEN);
    }, 1);`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(throwing)}`;
    const { code, err } = await stage.play(["list"], { env: { ...canaries, NODE_OPTIONS } });
    expect({ code, err }).toMatchObject({
      code: 3,
      err: expect.stringMatching(/^runbook: found \(secret\)\n/) as unknown,
    });
    expect(err, "no stack").not.toMatch(/\n\s+at /);
  });

  test("where a file that is named holds something else than it should", async () => {
    const wrong = stage.put("wrong", `[default]\naws_secret_access_key = ${secrets[0]}\n: ${secrets[3]}\n`);
    inventory(3, (text) => text.replace(/identity: \S+/, `identity: ${wrong}`));
    await play("doctor");
    if (!short) {
      inventory(3, (text) => text.replace(/knownHosts: \S+/, `knownHosts: ${wrong}`));
      await play("doctor");
    }
    // Without the environment nothing is masked: then the message itself may repeat nothing of the file.
    for (const read of [() => readInventory(wrong), async () => readPlanFile(wrong)]) {
      const { message, hint = "" } = await refusal(async () => void (await read()));
      played.push({ words: "a file that is something else", out: message + hint });
    }
    nothingLeaked();
  });

  test("where a key has a passphrase, right or wrong", async () => {
    const { identity } = stage.info.clusters["prod"]?.nodes["server1"] ?? { identity: "" };
    const locked = (name: string, passphrase: string) => {
      const key = join(stage.cwd, name);
      copyFileSync(identity, key);
      const words = ["-q", "-p", "-P", "", "-N", passphrase, "-f", key];
      expect(spawnSync("ssh-keygen", words), "OpenSSH's ssh-keygen").toMatchObject({ status: 0 });
      return key;
    };
    if (!short) {
      const right = locked("right", canaries.RUNBOOK_SSH_PASSPHRASE);
      inventory(3, (text) => text.replace(/identity: \S+/g, `identity: ${right}`));
      expect((await play("doctor")).out).toMatch(/^ok {6}/);
    }
    const other = locked("other", "cnryF another zzF1");
    inventory(3, (text) => text.replace(/identity: \S+/g, `identity: ${other}`));
    const { out, err } = await play("doctor");
    expect(out + err).toContain("the passphrase given does not open it");
    nothingLeaked();
  });
});

test("the search finds what it is to find", () => {
  for (const secret of secrets)
    for (const form of formsOf(secret)) expect(leaksIn(`before ${form} after`), form).not.toEqual([]);
  expect(leaksIn(`cut off: ${secrets[1]?.slice(0, 40) ?? ""}`)).not.toEqual([]);
});

function runs(): readonly string[] {
  const folder = join(stage.home, "runs");
  return readdirSync(folder).sort(
    (a, b) => statSync(join(folder, a)).birthtimeMs - statSync(join(folder, b)).birthtimeMs,
  );
}

function formsOf(secret: string): readonly string[] {
  const encoded = ["", "x", "xx"].map((before) => Buffer.from(before + secret).toString("base64"));
  return [secret, JSON.stringify(secret), ...encoded, encodeURIComponent(secret)];
}

/** Its first and last signs in each form, so that a part that was cut off shows as well. */
function leaksIn(text: string): readonly string[] {
  return secrets.flatMap((secret) => {
    const encoded = [0, 1, 2].map((offset) =>
      Buffer.from("x".repeat(offset) + secret)
        .toString("base64")
        .slice(4, 24),
    );
    const ends = [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)].flatMap((form) => [
      form.slice(0, 9),
      form.slice(-7),
    ]);
    return [...ends, ...encoded].filter((form) => text.includes(form));
  });
}

/** Everything that was printed so far, kept in $RUNBOOK_HOME or written here; the lab's own world is no part of it. */
function nothingLeaked(): void {
  expect(played.length).toBeGreaterThan(0);
  for (const { words, out } of played) expect(leaksIn(out), `${words}:\n${out.slice(0, 4000)}`).toEqual([]);
  const given = new Set(["wrong", "right", "other", "runbook.yaml"].map((name) => join(stage.cwd, name)));
  const files = [...filesIn(stage.home), ...filesIn(stage.cwd)].filter(
    (file) => !given.has(file) && !file.startsWith(join(stage.home, "lab")),
  );
  for (const file of files) expect(leaksIn(readFileSync(file, "utf8")), file).toEqual([]);
  for (const path of readdirSync(stage.home, { recursive: true, encoding: "utf8" }).map((name) =>
    join(stage.home, name),
  ))
    expect(lstatSync(path).mode & 0o077, `${path} is private`).toBe(0);
  for (const file of files) expect(lstatSync(file).mode & 0o077, `${file} is private`).toBe(0);
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function errorWith(message: string): string {
  const said = message.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<Response><Errors><Error><Code>InvalidParameterValue</Code><Message>${said}</Message></Error></Errors><RequestID>r</RequestID></Response>`;
}

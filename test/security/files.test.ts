/** Files of the tool, under the laxest umask that there is: each is for its owner alone, and what is somebody else's is refused. */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { writeBundle, bundleOf } from "../../src/cli/evidence.ts";
import { loadRunbook } from "../../src/cli/load.ts";
import { readPlanFile } from "../../src/cli/making.ts";
import { writePrivate } from "../../src/cli/private-file.ts";
import { digestOf, readSource } from "../../src/cli/source.ts";
import { hashOf } from "../../src/runbook/plan.ts";
import { openStore } from "../../src/store/store.ts";
import { plan as shortPlan, succeeded } from "../cli/short-run.ts";
import { refusal } from "../support/folder.ts";

const folder = mkdtempSync(join(tmpdir(), "runbook-files-"));
const home = join(folder, "home");
const ofProduct = readSource(new URL("../../runbooks/prune.ts", import.meta.url).pathname);
// Another text than any that was built, so that it is made anew and kept.
const text = `${ofProduct.text}\n// a copy\n`;
const source = { ...ofProduct, text, sha256: digestOf({ text, parts: ofProduct.parts }) };
const plan = { ...shortPlan, source, hash: "" };
const planText = JSON.stringify({ ...plan, hash: hashOf(plan) });
const umask = process.umask();
const store = openStore(home, { reserveBytes: 4096 });
const run = "k3v9x2ab";

/** All that a run, a second one that takes it over, and a person beside them leave behind. */
beforeAll(async () => {
  process.umask(0);
  const at = Date.now();
  const first = await store.create(
    { kind: "start", body: { ...succeeded[0]?.body, plan: JSON.parse(planText) } },
    at,
    run,
  );
  for (const { kind, body } of succeeded.slice(1, 5)) await first.append(kind, body as never, at);
  await store.takeLease("prod", { run, owner: "me", since: at, expiresAt: at + 60_000 }, at);
  await store.renewLease("prod", { run, owner: "me", since: at, expiresAt: at + 120_000 });
  await first.close();
  const second = await store.takeOver(run, at + 1);
  await second.append("note", { text: "taken over" }, at + 1);
  await store.send(run, { verb: "pause" });
  await store.keepPoints("prod", { seenAt: at, seen: [] });
  await second.close();
  await loadRunbook(source, join(home, "cache"));
  const clock = { now: () => at, sleep: () => Promise.resolve() };
  const { files } = await bundleOf({ store, folder: home, clock, lab: false }, run, false);
  await writeBundle(join(folder, "evidence"), files, undefined);
  writePrivate(join(folder, "plan.json"), planText, "new");
  writePrivate(join(folder, "report.html"), "<!doctype html>", "new");
});
afterAll(() => {
  process.umask(umask);
  rmSync(folder, { recursive: true, force: true });
});

test("every file is 0600 and every folder 0700", () => {
  const modes = new Map(everything(folder).map((path) => [path, lstatSync(path)]));
  const found = [...modes.keys()].map((path) =>
    path.slice(folder.length + 1).replace(/draft-\w+|[0-9a-f]{64}/, "x"),
  );
  for (const path of [
    "home/leases",
    "home/points",
    "home/cache/x.cjs",
    `home/runs/${run}/0002.jsonl`,
    "evidence/manifest.json",
  ])
    expect(found, "the walk meets what it is about").toContain(path);
  expect(found.some((path) => path.startsWith(`home/runs/${run}/inbox/`))).toBe(true);
  for (const [path, stats] of modes)
    expect(`${path} ${(stats.mode & 0o777).toString(8)}`).toBe(`${path} ${stats.isDirectory() ? 700 : 600}`);
});

test("a file that others could read is private once it is written over, and a new one is never put over another", () => {
  const file = join(folder, "lax");
  writeFileSync(file, "a long text of before", { mode: 0o666 });
  writePrivate(file, "new", "over");
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, "utf8")).toBe("new");
  expect(() => writePrivate(file, "newer", "new")).toThrow("EEXIST");
  rmSync(file);
});

describe("what is a link or somebody else's is refused in words:", () => {
  const nobody = 65_534;
  const asRoot = process.getuid?.() === 0;
  let undo: () => void = () => undefined;
  beforeEach(() => () => undo());

  const theirs = (path: string) => {
    chownSync(path, nobody, nobody);
    undo = () => chownSync(path, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
  };
  const linked = (path: string) => {
    renameSync(path, `${path}.away`);
    symlinkSync(`${path}.away`, path);
    undo = () => {
      rmSync(path);
      renameSync(`${path}.away`, path);
    };
  };
  const reading = () => store.read(run);
  const taking = () => store.takeOver(run, Date.now() + 1e9);
  const leasing = () =>
    store.takeLease("prod", { run: "other", owner: "o", since: 0, expiresAt: 1 }, Date.now());
  const hearing = () => store.receive(run);
  const planning = () => readPlanFile(join(folder, "plan.json"));
  const message = () => join(`runs/${run}/inbox`, readdirSync(join(home, `runs/${run}/inbox`))[0] ?? "");
  const places: readonly (readonly [string, () => string, () => unknown])[] = [
    ["the store", () => "home", reading],
    ["the folder of runs", () => "home/runs", reading],
    ["a run", () => `home/runs/${run}`, reading],
    ["a segment of a journal", () => `home/runs/${run}/0001.jsonl`, reading],
    ["a journal that is taken over", () => `home/runs/${run}/0002.jsonl`, taking],
    ["the folder of leases", () => "home/leases", leasing],
    ["an inbox", () => `home/runs/${run}/inbox`, hearing],
    ["a message", () => `home/${message()}`, hearing],
    [
      "what was seen of a cluster",
      () => join("home/points", readdirSync(join(home, "points"))[0] ?? ""),
      () => store.findPoints("prod"),
    ],
    ["a plan", () => "plan.json", planning],
  ];

  test.each(places)("%s behind a link", async (_, place, act) => {
    linked(join(folder, place()));
    refusedWell(await refusal(async () => void (await act())));
  });

  test.runIf(asRoot).each(places)("%s of another user", async (_, place, act) => {
    theirs(join(folder, place()));
    const failure = await refusal(async () => void (await act()));
    refusedWell(failure);
    expect(failure.message).toContain(`belongs to user id ${nobody}, not to us (0)`);
  });

  function refusedWell({ kind, message, hint }: { kind: string; message: string; hint: string | undefined }) {
    expect({ kind, message }).toMatchObject({ kind: "denied" });
    expect(hint, message).toBeDefined();
  }
});

test("of a cache that is somebody else's nothing is run", async () => {
  const cache = join(folder, "their-cache");
  mkdirSync(cache, { mode: 0o777 });
  chmodSync(cache, 0o777);
  await loadRunbook(source, cache);
  const [name = ""] = readdirSync(cache);
  if (process.getuid?.() !== 0 || name === "") return;
  writeFileSync(join(cache, name), "throw new Error('it was run')");
  chownSync(join(cache, name), 65_534, 65_534);
  await loadRunbook(source, cache);
  expect(existsSync(join(cache, name))).toBe(true);
});

test("a plan that is only looked at may be anybody's", () => {
  symlinkSync(join(folder, "plan.json"), join(folder, "link.json"));
  expect(readPlanFile(join(folder, "link.json"), "anybody's").cluster).toBe("prod");
  rmSync(join(folder, "link.json"));
});

function everything(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join(path, name));
}

/** Names of runs, clusters, runbooks and messages, as somebody might give them: nothing leaves its folder. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";

import { writeRunbook } from "../../src/cli/new.ts";
import { findRunbook, partPath } from "../../src/cli/source.ts";
import { assertDrillPath } from "../../src/drivers/linux/drill.ts";
import { assertHookPath } from "../../src/drivers/linux/hook.ts";
import { assertReadingPath } from "../../src/drivers/linux/read-through.ts";
import { Failure } from "../../src/errors.ts";
import type { Store } from "../../src/ports/store.ts";
import { openStore } from "../../src/store/store.ts";
import { cases, patience } from "./cases.ts";
import { hostileText, long } from "./hostile.ts";

/** Three folders deep, so that a way up or two would show. */
const outer = mkdtempSync(join(tmpdir(), "runbook-paths-"));
const root = join(outer, "a", "b");
const home = join(root, "home");
const work = join(root, "work");
let store: Store;
beforeAll(async () => {
  for (const folder of [home, work]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(outer, "a", "secret.ts"), "outside");
  store = openStore(home, { reserveBytes: 0 });
  for (const run of ["real", "heard"])
    await (await store.create({ kind: "start", body: {} }, 1, run)).close();
});
afterAll(() => rmSync(outer, { recursive: true, force: true }), patience.timeout);

const upwards = fc
  .array(
    fc.constantFrom("..", ".", "a", "b", "real", "secret.ts", "", "%2e%2e", "..\\", "inbox", "0001.jsonl"),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((parts) => parts.join("/"));
const name = fc.oneof(
  { weight: 3, arbitrary: hostileText },
  { weight: 3, arbitrary: upwards },
  { weight: 1, arbitrary: upwards.map((path) => join(root, path)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("real\0", "real/", "/real", "REAL", "con", ".", "..", "a".repeat(300)),
  },
);

test("a run's name that is no name reaches no file", patience, async () => {
  await fc.assert(
    fc.asyncProperty(name, fc.constantFrom(...verbs()), async (run, verb) => {
      await refusedOrKept(() => verb(run));
    }),
    cases(0.04),
  );
});

test(
  "whatever a cluster is called, its lease and what was seen of it stay in their folders",
  patience,
  async () => {
    await fc.assert(
      fc.asyncProperty(name, async (cluster) => {
        const holder = { run: "real", owner: "me", since: 1, expiresAt: 2 };
        await refusedOrKept(() => store.takeLease(cluster, holder, 1));
        await refusedOrKept(() => store.releaseLease(cluster, "real"));
        await refusedOrKept(() => store.keepPoints(cluster, { seenAt: 1, seen: [] }));
        await refusedOrKept(() => store.findPoints(cluster));
      }),
      cases(0.02),
    );
  },
);

test("two clusters never share a file, however alike their names are", async () => {
  const names = [
    "prod",
    "PROD",
    "prod.",
    "prod/",
    "prod ",
    "p/rod",
    "p%2frod",
    "",
    ".",
    "..",
    "é",
    "e\u0301",
  ];
  for (const [at, cluster] of names.entries())
    await refusedOrKept(() => store.keepPoints(cluster, { seenAt: at, seen: [] }));
  const seen = await Promise.all(names.map((cluster) => store.findPoints(cluster).catch(() => undefined)));
  for (const [at, view] of seen.entries()) if (view) expect(view.seenAt).toBe(at);
});

test("a message for a run stays in its inbox, and comes out as it was", patience, async () => {
  await fc.assert(
    fc.asyncProperty(hostileText, hostileText, async (key, text) => {
      const message = { verb: text, [key === "__proto__" ? "key" : key]: [text] };
      await store.send("heard", message);
      expect(await store.receive("heard")).toEqual([JSON.parse(JSON.stringify(message))]);
      nothingElse();
    }),
    cases(0.01),
  );
});

test("a runbook's name leads to no file outside of ./runbooks and the product's own", patience, async () => {
  await fc.assert(
    fc.asyncProperty(name, async (words) => {
      await refusedOrKept(() => {
        const { text } = findRunbook(words, work);
        expect(text).not.toBe("outside");
      });
      await refusedOrKept(() => writeRunbook(words, {}, { cwd: work, cache: join(home, "cache") }));
    }),
    cases(0.02),
  );
});

test("what a runbook imports never lies outside of its folder", patience, () => {
  fc.assert(
    fc.property(fc.constantFrom("a.ts", "steps/a.ts", "steps/deep/a.ts"), name, (from, path) => {
      const found = partPath(from, path);
      if (found === undefined) return;
      const folder = join(work, "runbooks");
      expect(join(folder, found).startsWith(folder + sep) || found === ".").toBe(true);
    }),
    cases(0.02),
  );
});

test("on a node, what becomes part of a path is a name without a way up", patience, () => {
  fc.assert(
    fc.property(name, (part) => {
      const good = /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(part.replace(/\u27e8[^\u27e8\u27e9]*\u27e9/g, "1"));
      for (const accept of [
        () => assertHookPath(part),
        () => assertReadingPath(part),
        () => assertDrillPath("/run/runbook/drill-1", part.replaceAll(/[\u27e8\u27e9]/g, "")),
      ])
        if (!good && !/[\u27e8\u27e9]/.test(part)) expect(accept).toThrow(Failure);
    }),
    cases(0.01),
  );
});

test("a name of a megabyte is refused in a short sentence", async () => {
  for (const piece of ["a", "../", "'"])
    for (const verb of verbs()) await refusedOrKept(() => verb(long(piece)), 400);
});

function verbs(): readonly ((run: string) => Promise<unknown>)[] {
  return [
    (run) => store.read(run),
    (run) => store.send(run, { verb: "pause" }),
    (run) => store.receive(run),
    (run) => store.takeOver(run, 1),
    async (run) => (await store.create({ kind: "start", body: {} }, 1, run)).close(),
  ];
}

/** It does what it was asked, or refuses; either way nothing is to be seen outside. */
async function refusedOrKept(act: () => unknown, longest = 20_000): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown;
    expect(thrown.message.length).toBeLessThan(longest);
    expect(thrown.kind).not.toBe("bug");
  }
  nothingElse();
}

function nothingElse(): void {
  expect(readdirSync(outer)).toEqual(["a"]);
  expect(readdirSync(join(outer, "a")).sort()).toEqual(["b", "secret.ts"]);
  expect(readdirSync(root).sort()).toEqual(["home", "work"]);
  expect(readdirSync(home).filter((entry) => !known.has(entry))).toEqual([]);
  if (existsSync(work)) expect(readdirSync(work).filter((entry) => entry !== "runbooks")).toEqual([]);
}
const known = new Set(["runs", "leases", "points", "cache"]);

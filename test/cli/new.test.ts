/** What `new` writes can be listed, drawn, planned and run as it is, and it writes over nothing. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

import { drawRunbook } from "../../src/cli/graph-svg.ts";
import { loadRunbook } from "../../src/cli/load.ts";
import { writeRunbook, type NewOptions } from "../../src/cli/new.ts";
import { productFolder } from "../../src/cli/product.ts";
import { findRunbook, listRunbooks } from "../../src/cli/source.ts";
import { mermaid } from "../../src/engine/graph.ts";
import { layOut, readParams, unitsOf } from "../../src/runbook/list.ts";
import type { Simulation } from "../support/simulation.ts";
import { ownFolder, refusal } from "../support/folder.ts";
import { failEach, playOnce } from "../support/laws.ts";

const cache = mkdtempSync(join(tmpdir(), "runbook-new-cache-"));
afterAll(() => rmSync(cache, { recursive: true, force: true }));
const make = (name: string, options: NewOptions, cwd: string) => writeRunbook(name, options, { cwd, cache });

const stagesIn = async (name: string, cwd: string) => {
  const runbook = await loadRunbook(findRunbook(name, cwd), cache);
  const params = readParams(runbook, {});
  return { runbook, params, stages: layOut(runbook, params, ["server1", "server2"]) };
};

describe("a new runbook", () => {
  test("is found, loaded and drawn as it is, and says how to go on", async () => {
    const cwd = ownFolder();
    const told = await make("mine", {}, cwd);
    expect(told).toBe(
      "The runbook is in runbooks/mine.ts. Next: change it, then `runbook graph mine` and `runbook plan mine --lab`",
    );
    expect(readdirSync(join(cwd, "runbooks"))).toEqual(["mine.ts"]);
    expect(listRunbooks(cwd).get("mine")).toBe(join(cwd, "runbooks", "mine.ts"));
    const { runbook, params, stages } = await stagesIn("mine", cwd);
    expect(mermaid(stages)).toContain("Resume the mirror monitors");
    expect(drawRunbook({ name: "mine", title: runbook.title, params, stages })).toContain("</svg>");
    expect(unitsOf(stages).map(({ key }) => key)).toEqual([
      "nobodyElse",
      "roles",
      "mirrorsGreen",
      "monitorsKnown",
      "roomInStore",
      "holdNodes",
      "resumeMonitors@server1",
      "resumeMonitors@server2",
      "releaseNodes",
    ]);
  });

  const suspend = async (sim: Simulation) => {
    const clpmonctrl = sim.lab.shell.run("server2", ["clpmonctrl", "-s", "-h", "server2", "-m", "mdw1"], {
      timeoutMs: 60_000,
    });
    expect((await clpmonctrl).code).toBe(0);
  };

  test("keeps the laws in the lab: it reaches its end, and whatever fails is given back", async () => {
    const cwd = ownFolder();
    await make("mine", {}, cwd);
    const play = { runbook: join(cwd, "runbooks", "mine.ts") };
    const quiet = await playOnce(play);
    expect(quiet.played).toMatchObject({ end: "succeeded", changed: [], breaches: [], gaps: [] });
    expect(quiet.writes.filter(({ line }) => line.includes("clpmonctrl"))).toEqual([]);

    const { played, writes } = await playOnce({ ...play, prepare: suspend });
    expect(played).toMatchObject({ end: "succeeded", breaches: [], gaps: [] });
    expect(played.changed.join()).toContain("mdw1");
    expect(writes.flatMap(({ line }) => /clpmonctrl .*/.exec(line)?.[0] ?? [])).toEqual([
      "clpmonctrl -r -h server2 -m mdw1",
    ]);
    expect(await failEach({ ...play, prepare: suspend }, { times: 1, from: 2 })).toEqual([]);
  });
});

describe("a copy", () => {
  test("has the steps of the other one, in files of its own, and follows them wherever they are changed", async () => {
    const cwd = ownFolder();
    const told = await make("ours", { from: "resync" }, cwd);
    const files = readdirSync(join(cwd, "runbooks"), { recursive: true, encoding: "utf8" }).sort();
    expect(files).toContain("ours.ts");
    expect(files.filter((file) => file.endsWith(".ts")).every((file) => /^ours(\.ts$|\/)/.test(file))).toBe(
      true,
    );
    expect(told).toContain(
      `and the ${files.filter((file) => file.endsWith(".ts")).length - 1} files that it imports`,
    );
    const keys = async (name: string, at: string) =>
      unitsOf((await stagesIn(name, at)).stages).map(({ key }) => key);
    expect(await keys("ours", cwd)).toEqual(await keys("resync", productFolder));

    const part = join(cwd, "runbooks", "ours", "steps", "back-to-normal.ts");
    writeFileSync(part, readFileSync(part, "utf8").replace(/title: "/g, 'title: "Changed: '));
    const titles = async (name: string, at: string) =>
      unitsOf((await stagesIn(name, at)).stages).map(({ step }) => step.title);
    const isChanged = (title: string) => title.startsWith("Changed: ");
    expect((await titles("ours", cwd)).some(isChanged)).toBe(true);
    expect((await titles("resync", productFolder)).some(isChanged)).toBe(false);
  });

  test("of a runbook that is not there is refused, and nothing is written", async () => {
    const cwd = ownFolder();
    expect(await refusal(() => make("ours", { from: "backup-stanby" }, cwd))).toMatchObject({
      kind: "invalid",
      message: 'there is no runbook "backup-stanby"',
    });
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe("what is there already", () => {
  test.each(["", "Mine", "a/b", "../x", "-x", "x.ts", "é", "x".repeat(64)])(
    "a bad name is refused: %j",
    async (name) => {
      const cwd = ownFolder();
      expect(await refusal(() => make(name, { force: true }, cwd))).toMatchObject({ kind: "invalid" });
      expect(readdirSync(cwd)).toEqual([]);
    },
  );

  test("one's own file is left alone, and written over only by --force", async () => {
    const cwd = ownFolder();
    const file = join(cwd, "runbooks", "mine.ts");
    mkdirSync(join(cwd, "runbooks"));
    writeFileSync(file, "mine\n");
    expect(await refusal(() => make("mine", {}, cwd))).toMatchObject({
      kind: "invalid",
      message: "runbooks/mine.ts is there already",
      hint: expect.stringContaining("--force") as string,
    });
    expect(readFileSync(file, "utf8")).toBe("mine\n");
    await make("mine", { force: true }, cwd);
    expect(readFileSync(file, "utf8")).toContain("export default runbook(");
    expect(readdirSync(join(cwd, "runbooks"))).toEqual(["mine.ts"]);
  });

  test("a file that a copy shares is left alone too, and then the runbook is not written either", async () => {
    const cwd = ownFolder();
    const part = join(cwd, "runbooks", "ours", "steps", "back-to-normal.ts");
    mkdirSync(join(part, ".."), { recursive: true });
    writeFileSync(part, "mine\n");
    expect((await refusal(() => make("ours", { from: "resync" }, cwd))).message).toBe(
      "runbooks/ours/steps/back-to-normal.ts is there already",
    );
    expect(existsSync(join(cwd, "runbooks", "ours.ts"))).toBe(false);
  });

  test("a name of the product's would be taken by one's own, which is said first", async () => {
    const cwd = ownFolder();
    const failure = await refusal(() => make("resync", {}, cwd));
    expect(failure).toMatchObject({
      kind: "invalid",
      message: "resync is a runbook of the product; one of yours would take its place here",
      hint: expect.stringContaining("--force") as string,
    });
    expect(readdirSync(cwd)).toEqual([]);
    await make("resync", { from: "resync", force: true }, cwd);
    expect(listRunbooks(cwd).get("resync")).toBe(join(cwd, "runbooks", "resync.ts"));
    expect((await stagesIn("resync", cwd)).runbook.title).toBe("Bring the mirrors back in sync");
  });

  test("the product's own files are never written over, and one in JavaScript would hide the new one", async () => {
    expect((await refusal(() => make("resync", { force: true }, productFolder))).message).toContain(
      "this is the product's own folder",
    );
    const cwd = ownFolder();
    mkdirSync(join(cwd, "runbooks"));
    writeFileSync(join(cwd, "runbooks", "mine.js"), "");
    expect((await refusal(() => make("mine", { force: true }, cwd))).message).toBe(
      "runbooks/mine is there already, as runbooks/mine.js",
    );
  });
});

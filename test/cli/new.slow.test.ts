/** The built command line from an empty folder: a new runbook is listed, drawn and planned, and an inventory and its schema are written. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

import { openStage, type Stage } from "./play.ts";

let stage: Stage;
beforeAll(async () => {
  stage = await openStage({ pace: 60 });
});
afterAll(() => stage.end());

test("new, then list, graph in every format, and plan in the lab; nothing is written to the nodes", async () => {
  const made = await stage.play(["new", "mine"]);
  expect(made).toMatchObject({ code: 0, err: "" });
  const listed = await stage.play(["list"]);
  expect(listed.out).toMatch(/^mine +Resume the mirror monitors that were left suspended$/m);
  const [mermaid, xstate, svg, planned] = await Promise.all([
    stage.play(["graph", "mine"]),
    stage.play(["graph", "mine", "--format", "xstate"]),
    stage.play(["graph", "mine", "--format", "svg", "--out", "mine.svg"]),
    stage.play(["plan", "mine", "--lab"]),
  ]);
  expect(mermaid.out).toMatch(/^stateDiagram-v2\n/);
  expect(JSON.parse(xstate.out)).toMatchObject({ id: "run", initial: "nobodyElse" });
  expect(svg).toMatchObject({ code: 0, out: "The graph is in mine.svg.\n" });
  expect(readFileSync(join(stage.cwd, "mine.svg"), "utf8")).toMatch(/^<svg [^]*<\/svg>\n$/);
  expect(planned, planned.err).toMatchObject({ code: 0 });
  expect(planned.out).toContain("clpmonctrl -r -h server2 -m mdw1");
  expect(planned.out).toContain("clpmonctrl -s -h server2 -m mdw1");
  expect(stage.touched()).toEqual([]);

  const again = await stage.play(["new", "mine"]);
  expect(again).toEqual({
    code: 2,
    signal: null,
    out: "",
    err: "runbook: runbooks/mine.ts is there already\n  take another name; --force writes over it\n",
  });
});

test("init writes an inventory that doctor takes as it is, and refuses to write over it", async () => {
  const made = await stage.play(["init", "--lab", "--schema"]);
  expect(made, made.err).toMatchObject({ code: 0, err: "" });
  const file = join(stage.cwd, "runbook.yaml");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = readFileSync(file, "utf8");
  const [doctor, again, schema] = await Promise.all([
    stage.play(["doctor"]),
    stage.play(["init", "--lab"]),
    stage.play(["schema"]),
  ]);
  expect(doctor.code, doctor.out + doctor.err).toBe(0);
  expect(again).toMatchObject({
    code: 2,
    err: expect.stringContaining(
      "is there already\n  --add puts another cluster into an inventory, --force writes over it",
    ) as string,
  });
  expect(readFileSync(file, "utf8")).toBe(text);
  expect(readFileSync(join(stage.cwd, "runbook.schema.json"), "utf8")).toBe(schema.out);
  expect(stage.touched()).toEqual([]);
});

test("a graph that cannot be written, or of a format that is not there, is told in two lines", async () => {
  const [nowhere, odd] = await Promise.all([
    stage.play(["graph", "resync", "--format", "svg", "--out", "none/x.svg"]),
    stage.play(["graph", "resync", "--format", "png"]),
  ]);
  expect(nowhere).toMatchObject({ code: 2, out: "" });
  expect(nowhere.err).toMatch(/^runbook: --out: none\/x\.svg cannot be written: .*\n {2}name a file .*\n$/);
  expect(odd.code).toBe(2);
  expect(odd.err).toContain("Allowed choices are mermaid, svg, xstate");
  expect(existsSync(join(stage.cwd, "none"))).toBe(false);
});

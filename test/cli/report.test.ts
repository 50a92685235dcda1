/** Reports of runs that were really walked, in the lab and in process; and of journals that somebody else may have written. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { report, reportOf } from "../../src/cli/report.ts";
import { axisOf, ticksOf } from "../../src/cli/report-axis.ts";
import type { ReportRow } from "../../src/cli/report-course.ts";
import { readReport, type Report } from "../../src/cli/report-data.ts";
import { renderHtml } from "../../src/cli/report-html.ts";
import { renderMarkdown } from "../../src/cli/report-markdown.ts";
import { english, type ReportTexts } from "../../src/cli/report-text-en.ts";
import { japanese } from "../../src/cli/report-text-ja.ts";
import { openStore } from "../../src/store/store.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";
import { hours, killedWhen, takeUp, typed } from "../support/story.ts";
import {
  breakFailed,
  givenBack,
  noon,
  onNode,
  plan,
  rowsAt,
  stuck,
  succeeded,
  take,
  upToStop,
  withPlan,
} from "./short-run.ts";

const given = { zone: "UTC", written: { at: noon, tool: "0.1.0" }, lab: false };
const read = (rows: readonly ReportRow[], state: string) =>
  readReport(rows, { ...given, run: "8f3a", state });
const languages = [english, japanese];

/** What a walked run left: its rows, and what the report says of them. */
interface Told {
  readonly rows: readonly ReportRow[];
  readonly told: Report;
}

async function toldOf(sim: Simulation, run: string): Promise<Told> {
  const { store } = sim.runner();
  return { rows: (await store.read(run)).rows, told: await reportOf(store, run, given) };
}

const at = ({ rows }: Told, kind: string, unit: string): number =>
  rows.find((row) => row.kind === kind && row.body["unit"] === unit)?.at ?? Number.NaN;
const exposure = ({ told }: Told, what: string) => told.exposures.find((each) => each.what === what);
const step = ({ told }: Told, key: string) => told.steps.find((each) => each.key === key);
const count = ({ rows }: Told, kind: string) => rows.filter((row) => row.kind === kind).length;

/** Every format and language of it. */
function everyPage(told: Report): readonly string[] {
  return languages.flatMap((texts) => [renderHtml(told, texts), renderMarkdown(told, texts)]);
}

describe("a run that succeeded", () => {
  let good: Told;
  let before: Told;
  beforeAll(async () => {
    const sim = await openSimulation({ copySeconds: 60 });
    try {
      const first = await sim.runner().run();
      const second = await sim.runner().run();
      // What came after the first run is no forecast of it.
      before = await toldOf(sim, first.walk.run);
      good = await toldOf(sim, second.walk.run);
    } finally {
      sim.close();
    }
  });

  it("is told by the numbers of its journal", () => {
    expect(good.told.state).toBe("succeeded");
    expect(exposure(good, "service")).toMatchObject({
      ms: at(good, "outcome", "startGroups") - at(good, "intent", "stopGroups"),
      open: false,
      unseenMs: 0,
    });
    expect(exposure(good, "redundancy")).toMatchObject({
      ms: at(good, "outcome", "mirrorsBack") - at(good, "intent", "breakMirrors"),
      stretches: [{ step: "breakMirrors", endedBy: "mirrorsBack", endedHow: "outcome" }],
    });
    expect(good.told.startedAt).toBe(good.rows[0]?.at);
    expect(good.told.endedAt).toBe(good.rows.at(-1)?.at);
    expect(good.told.journal).toEqual({
      rows: good.rows.length,
      lastSum: good.rows.at(-1)?.sum,
      torn: undefined,
    });
    expect(good.told.journal.lastSum).toMatch(/^[0-9a-f]{64}$/);
  });

  it("has every step, with when it was begun, what was found and the row that says so", () => {
    expect(good.told.steps.map(({ key }) => key)).toEqual(good.told.plan.units.map(({ key }) => key));
    for (const { key, found, forward, went } of good.told.steps) {
      const row = good.rows[(found?.row ?? 0) - 1];
      expect(row?.body).toMatchObject({ unit: key, already: went === "held already" });
      expect(forward?.until).toBe(row?.at);
      expect(forward?.since).toBeLessThanOrEqual(row?.at ?? 0);
    }
    expect(step(good, "snapshotsReady")?.limitMs).toBe(24 * 3_600_000);
  });

  it("lists every request once, in order, or among the renewals", () => {
    const { list, renewals, sent } = good.told.writes;
    expect(sent).toBe(count(good, "sent"));
    expect(list.length + renewals.reduce((sum, { times }) => sum + times, 0)).toBe(sent);
    expect(list.map(({ row }) => row)).toEqual(list.map(({ row }) => row).toSorted((a, b) => a - b));
    for (const { row, at: when } of list)
      expect(good.rows[row - 1]).toMatchObject({ kind: "sent", at: when });
  });

  it("says of a request whose answer was lost which look has settled it", () => {
    const lost = good.rows.filter(({ kind, body }) => kind === "answered" && body["state"] === "unknown");
    const told = good.told.writes.list.filter(({ state }) => state === "unknown");
    expect(told.length).toBe(lost.length);
    expect(good.told.writes.unanswered).toBe(lost.length);
    // The shutdown cuts its own connection, so there is always one.
    expect(told.length).toBeGreaterThan(0);
    for (const { settled, unit } of told)
      expect(good.rows[(settled?.row ?? 0) - 1]).toMatchObject({ kind: "outcome", body: { unit } });
  });

  it("expects what earlier runs took, and knows nothing of later ones", () => {
    expect(exposure(before, "service")?.forecastMs).toBeUndefined();
    // The first run's own window, look of the first step included.
    const earlier = exposure(before, "service")?.ms ?? 0;
    const expected = exposure(good, "service")?.forecastMs ?? 0;
    expect(expected).toBeGreaterThanOrEqual(earlier);
    expect(expected).toBeLessThan(earlier + 5_000);
    const gap = exposure(before, "redundancy")?.ms ?? 0;
    expect(exposure(good, "redundancy")?.forecastMs).toBeGreaterThanOrEqual(gap);
    expect(renderMarkdown(before.told, english)).toContain("no history");
    expect(renderMarkdown(good.told, english)).not.toContain("no history");
  });

  it("calls its recovery point quiesced, and that it can be restored not proven", () => {
    const [point] = good.told.proof.points;
    expect(point).toMatchObject({ role: "recorded", consistency: "quiesced", complete: true });
    expect(good.told.proof.unproven.map(({ kind }) => kind)).toEqual(["answered", "not tested"]);
    const html = renderHtml(good.told, english);
    expect(html).toContain('<td class="open"><b class="sign">?</b> not proven</td>');
    expect(html).not.toMatch(/class="good">[^<]*<b class="sign">✓<\/b>[^<]*not proven/);
  });

  it("is the same, byte by byte, whenever it is written from the same rows", () => {
    const again = readReport(good.rows, { ...given, run: good.told.run, state: "succeeded" });
    const once = readReport(good.rows, { ...given, run: good.told.run, state: "succeeded" });
    expect(everyPage(again)).toEqual(everyPage(once));
    expect(renderHtml(good.told, english)).not.toContain("undefined");
    expect(renderMarkdown(good.told, japanese)).not.toContain("undefined");
  });

  it("stands in one file that refers to nothing outside and runs nothing", () => {
    for (const texts of languages) {
      const html = renderHtml(good.told, texts);
      expect(html).toContain(`default-src 'none'; style-src 'unsafe-inline'; img-src data:`);
      expect(html).not.toMatch(/https?:|\burl\(|@import|\bsrc=|<script|\bon[a-z]+=/i);
      expect([...html.matchAll(/\bhref="([^"]*)"/g)].map(([, href]) => href)).toEqual(["data:,"]);
      assertWhole(html);
    }
  });

  it("has the product's own titles in Japanese, and a user's as they are", () => {
    const missing = good.told.steps.filter(({ title }) => japanese.titles[title] === undefined);
    expect(missing.map(({ title }) => title)).toEqual([]);
    const own = { ...plan, units: plan.units.map((unit) => ({ ...unit, title: `My ${unit.key}` })) };
    expect(renderHtml(read(withPlan(succeeded, own), "succeeded"), japanese)).toContain("My stopGroups");
  });
});

describe("a run that failed", () => {
  let sim: Simulation;
  afterEach(() => sim.close());
  /** Two dry runs of the checks come before it. */
  const snapshotDenied = () =>
    sim.lab.heart.addFault({ match: "CreateSnapshot", skip: 2, action: "deny", times: 1 });

  it("and was given back: names what failed, each step's way back, and the decision", async () => {
    sim = await openSimulation({ copySeconds: 60 });
    snapshotDenied();
    const { walk } = await sim.runner().run({ service: "late" });
    const back = await toldOf(sim, walk.run);
    expect(back.told).toMatchObject({ state: "given back", why: { step: "snapshotVolumes" } });
    expect(step(back, "snapshotVolumes")).toMatchObject({ went: "failed", state: "failed" });
    expect(step(back, "stopGroups")).toMatchObject({ went: "done", state: "given back", backAlready: false });
    expect(exposure(back, "service")).toMatchObject({
      ms: at(back, "undone", "stopGroups") - at(back, "intent", "stopGroups"),
      stretches: [{ endedHow: "given back" }],
    });
    expect(back.told.decisions).toMatchObject([{ verb: "give-back", by: "runbook", policy: true }]);
    const markdown = renderMarkdown(back.told, english);
    expect(markdown).toContain("Failed, and everything was given back");
    expect(markdown).toContain("is not allowed");
    expect(markdown).not.toContain("✓ Succeeded");
    for (const texts of languages) assertWhole(renderHtml(back.told, texts));
  });

  it("and is stuck: says first what is still taken away, and the commands that bring it back", async () => {
    sim = await openSimulation({ copySeconds: 60 });
    snapshotDenied();
    sim.lab.heart.addFault({ match: "clpgrp -s", action: "fail-before", times: Infinity });
    const { walk } = await sim.runner().run({ service: "late" });
    const left = await toldOf(sim, walk.run);
    expect(left.told).toMatchObject({ state: "stuck", why: { step: "stopGroups" } });
    expect(left.told.left[0]).toMatchObject({
      unit: "stopGroups",
      commands: ["ssh server1 'clpgrp -s failover1'"],
    });
    expect(exposure(left, "service")).toMatchObject({
      open: true,
      ms: (left.rows.at(-1)?.at ?? 0) - at(left, "intent", "stopGroups"),
    });
    expect(left.told.proof.unproven[0]).toEqual({ kind: "not given back", unit: "holdNodes" });
    const html = renderHtml(left.told, english);
    expect(html.indexOf("What a person has to do")).toBeLessThan(html.indexOf("What was run"));
    expect(html).toContain("ssh server1 &#39;clpgrp -s failover1&#39;");
    expect(html).toContain(`runbook undo ${walk.run}`);
    expect(html).not.toContain('class="end good"');
    for (const texts of languages) assertWhole(renderHtml(left.told, texts));
  });

  it("before it began: nothing was sent, and no step is called done that was not reached", async () => {
    sim = await openSimulation();
    const runner = sim.runner();
    const planned = await runner.plan();
    await typed(sim, "server1", "clpgrp -m failover1");
    const walk = await runner.start(planned);
    await walk.go();
    await walk.close();
    const refused = await toldOf(sim, walk.run);
    expect(refused.told).toMatchObject({ state: "refused", why: { step: "roles" }, writes: { sent: 0 } });
    expect(refused.told.steps.filter(({ went }) => went === "done").length).toBe(count(refused, "outcome"));
    expect(refused.told.exposures.every(({ ms }) => ms === undefined)).toBe(true);
    expect(renderMarkdown(refused.told, english)).toContain("Nothing was sent to any node or cloud.");
  });

  it("because it was killed: shows the gap, who took it over, and the request that was never answered", async () => {
    sim = await openSimulation({ copySeconds: 60 });
    const isBreak = ({ body }: ReportRow) =>
      (body["request"] as { verb?: unknown } | undefined)?.verb === "cluster.breakMirror";
    const { run } = await killedWhen(
      sim,
      { service: "late" },
      (line) => line.kind === "sent" && isBreak(line),
    );
    const dead = await toldOf(sim, run);
    expect(dead.told).toMatchObject({ state: "interrupted", endedAt: undefined, gaps: [] });
    expect(dead.told.writes.list.at(-1)).toMatchObject({ state: "none", settled: undefined });
    expect(dead.told.proof.unproven.map(({ kind }) => kind)).toContain("unsettled");
    expect(renderHtml(dead.told, english)).toContain(`runbook resume ${run}`);

    await sim.clock.sleep(hours(2));
    await takeUp(sim, run, "resume");
    const killed = await toldOf(sim, run);
    const taken = killed.rows.findIndex(({ kind }) => kind === "taken-over");
    const [from, to] = [killed.rows[taken - 1]?.at ?? 0, killed.rows[taken]?.at ?? 0];
    expect(to - from).toBeGreaterThanOrEqual(hours(2));
    expect(killed.told.gaps).toEqual([{ from, to, why: "interrupted" }]);
    expect(killed.told.runners.map(({ row }) => row)).toEqual([1, taken + 1]);
    // Whether the service came back in between, nobody saw.
    expect(exposure(killed, "service")?.unseenMs).toBe(to - from);
    expect(killed.told.proof.unproven).toContainEqual({
      kind: "gap",
      gap: { from, to, why: "interrupted" },
    });
    // Nothing is drawn over the time in which nobody was at work.
    for (const { stretches } of killed.told.steps)
      for (const each of stretches) expect(each.from >= to || each.to <= from).toBe(true);
    expect(renderHtml(killed.told, english)).toContain('class="gap"');
  });
});

describe("a run whose rows are told by hand", () => {
  it("counts waiting for a person neither as work nor as a gap", () => {
    const asked = read(breakFailed, "running");
    const waiting = read(
      [...breakFailed, ...rowsAt([60, "verb", { verb: "retry", by: "ops", why: "mended" }])],
      "running",
    );
    const broken = (told: Report) => told.steps.find(({ key }) => key === "breakMirrors")?.stretches ?? [];
    expect(broken(asked).map(({ phase }) => phase)).toEqual(["looking", "doing"]);
    expect(broken(waiting)).toMatchObject([
      { phase: "looking" },
      { phase: "doing" },
      { phase: "waiting", from: noon + 31_000, to: noon + 60_000 },
    ]);
    expect(renderMarkdown(waiting, english)).toContain("29 s waiting for a person");
  });

  it("tells a failure that came again and again once, with how often", () => {
    const failures = read(stuck, "stuck").failures.filter(({ unit }) => unit === "stopGroups");
    expect(failures).toMatchObject([{ times: 2, firstAt: noon + 75_000, lastAt: noon + 110_000 }]);
  });

  it("calls snapshots that were cut but not recorded neither complete nor consistent", () => {
    const cut = succeeded.slice(
      0,
      succeeded.findIndex(({ kind, body }) => kind === "outcome" && body["unit"] === "mirrorsBack"),
    );
    const told = read(cut, "interrupted");
    expect(told.proof.points).toMatchObject([
      {
        role: "cut",
        consistency: "unknown",
        complete: false,
        snapshots: [{ id: "snap-1" }, { id: "snap-2" }],
      },
    ]);
    const kinds = told.proof.unproven.map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(["not recorded", "not complete", "not tested"]));
  });

  it("says when the clock of whoever wrote went back", () => {
    const back = [...upToStop, { at: noon - 60_000, kind: "read", body: {} }];
    expect(read(back, "running").proof.unproven).toContainEqual({
      kind: "clock",
      row: back.length,
      ms: 65_000,
    });
    for (const page of everyPage(read(back, "running"))) expect(page).not.toMatch(/NaN|Infinity/);
  });

  it("says whose clock it shows, and adds the date where the run lasts over midnight", () => {
    const html = (zone: string) =>
      renderHtml(readReport(givenBack, { ...given, zone, run: "8f3a", state: "given back" }), english);
    expect(html("Asia/Tokyo")).toContain("2026-03-01 21:00:00 UTC+09:00");
    expect(html("America/New_York")).toContain("2026-03-01 07:00:00 UTC-05:00");
    const night = [...upToStop, { at: noon + hours(14), kind: "end", body: { end: "stuck" } }];
    expect(renderMarkdown(read(night, "stuck"), english)).toContain("03-01 12:00:05");
  });

  it("marks a run of the lab as one that says nothing of a real cluster", () => {
    const told = readReport(succeeded, { ...given, lab: true, run: "8f3a", state: "succeeded" });
    for (const [i, page] of everyPage(told).entries())
      expect(page).toContain((i < 2 ? english : japanese).lab.slice(0, 20));
  });

  it("is not moved by rows that it does not know, or whose body is not as expected", () => {
    const odd = [
      ...upToStop,
      ...rowsAt(
        [6, "from-another-version", { unit: "stopGroups" }],
        [6, "sent", { n: 9, unit: "stopGroups", request: "?" }],
        [6, "sent", { n: 10, unit: 7, request: { to: "node" } }],
        [6, "answered", { sent: 10, state: 3, ms: "long", code: {} }],
        [7, "outcome", { unit: "stopGroups", found: [1, null], told: "?" }],
        [7, "taken-over", {}],
        [8, "verb", {}],
        [9, "end", { end: "ended in a way of its own" }],
      ),
    ];
    const told = read(odd, "ended in a way of its own");
    for (const page of everyPage(told)) expect(page).toContain("ended in a way of its own");
  });
});

describe("words", () => {
  const leaves = (value: unknown, path: string): readonly (readonly [string, string])[] =>
    typeof value === "string"
      ? [[path, value]]
      : Object.entries(value as object).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`));
  const wordsOf = ({ titles: _titles, ...words }: ReportTexts) => new Map(leaves(words, ""));
  const holes = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([hole]) => hole).toSorted();

  it("are the same in both languages: each key, with the same things put in", () => {
    const [en, ja] = [wordsOf(english), wordsOf(japanese)];
    expect([...ja.keys()]).toEqual([...en.keys()]);
    for (const [key, text] of en) {
      expect({ key, holes: holes(ja.get(key) ?? "") }).toEqual({ key, holes: holes(text) });
      if (key !== ".units.between") expect(ja.get(key), key).not.toBe("");
    }
  });

  it("are never English in a Japanese report, where they are ours", () => {
    const en = wordsOf(english);
    const untouched = [...wordsOf(japanese)].filter(([key, text]) => text === en.get(key));
    expect(untouched.map(([key]) => key)).toEqual([]);
  });
});

describe("hostile text", () => {
  const nasty = [
    `</td><script>alert(1)</script>`,
    `"><img src=x onerror=alert(1)>`,
    `' style='x' \` & &lt;`,
    `a | b\\| c \\\\| d`,
    "line\nbreak\r\n| x |\n# head\n```\n~~~",
    "\u001b[31mred\u001b]0;title\u0007",
    "\u202eright to left\u2066\u200b\u061c\u{e0041}",
    "[link](javascript:alert(1)) ![i](https://example.org/x.png) <https://example.org>",
    "*bold* _under_ ~~out~~ <!-- gone -->",
  ].join(" ");
  const bad = `${nasty} ${nasty.slice(0, 20)}`;
  // As long, so that what is cut or told by its digest is so in both.
  const good = "plain words ".repeat(40).trim();

  /** The same rows, with these words wherever anything came from elsewhere. */
  function rowsWith(words: string): readonly ReportRow[] {
    const evil = {
      ...plan,
      runbook: words,
      title: words,
      cluster: words,
      tool: words,
      hash: words,
      source: { ...plan.source, sha256: words },
      params: { [words]: words },
      instances: { [words]: words },
      facts: { roles: { configuration: words } },
      units: plan.units.map((unit) => ({
        ...unit,
        title: `${words} ${unit.key}`,
        ...(unit.node !== undefined && { node: words }),
        ...(unit.ends !== undefined && { ends: `${words} ${unit.key}` }),
      })),
    };
    const trouble = { kind: words, message: words, hint: words };
    const request = onNode(words, "x", words, "-c", `${words}\n${words.repeat(3)}`);
    return withPlan(
      [
        ...breakFailed.map((row) =>
          row.kind === "start" ? { ...row, body: { ...row.body, owner: words, onFailure: words } } : row,
        ),
        ...rowsAt(
          [32, "outcome", { unit: "snapshotVolumes", found: [{ id: words, volume: words }], already: false }],
          [
            33,
            "outcome",
            { unit: "recordPoint", found: { point: words, consistency: words, why: [words], told: [words] } },
          ],
          [34, "outcome", { unit: "volumesFound", found: words }],
          [35, "failure", { unit: "breakMirrors", trouble }],
          [36, "trouble", { where: words, ...trouble }],
          [40, "verb", { verb: words, by: words, why: words }],
          [41, "taken-over", { by: words, because: words }],
          [42, "sent", { n: 8, unit: "holdNodes", direction: "back", request, visibleWithinMs: 0 }],
          [
            43,
            "answered",
            { sent: 8, state: "failed", ms: 3, code: 1, failure: trouble, text: words, verb: "x" },
          ],
          [
            44,
            "sent",
            { n: 9, unit: "holdNodes", direction: "back", request: take(words), visibleWithinMs: 0 },
          ],
          [60, "verb", { verb: "give-back", by: words, why: words }],
          [92, "not-undone", { unit: "holdNodes", trouble, again: false }],
          [110, "not-undone", { unit: "stopGroups", trouble, again: false }],
          [110, "end", { end: words, exposures: [] }],
        ),
      ],
      evil,
    );
  }
  const toldWith = (words: string, state: string) =>
    readReport(rowsWith(words), { ...given, run: words, state, torn: words });

  it("opens no element and no attribute in the HTML", () => {
    for (const state of ["stuck", bad]) {
      for (const texts of languages) {
        const html = renderHtml(toldWith(bad, state), texts);
        assertWhole(html);
        // Exactly the elements that the same report has with harmless words: nothing was added, nothing swallowed.
        const tags = (page: string) =>
          [...page.matchAll(/<\/?[a-z0-9]+/gi)].map(([tag]) => tag).filter(isNoText);
        expect(tags(html)).toEqual(tags(renderHtml(toldWith(good, state === bad ? good : state), texts)));
      }
    }
  });

  it("adds no row, no cell, no heading and no link to the Markdown", () => {
    for (const texts of languages) {
      const shape = (page: string) =>
        withoutFences(page).map((line) =>
          line.startsWith("|") ? line.split("|").length : line.replace(/^(#+|-|)( |).*$/s, "$1$2"),
        );
      const page = renderMarkdown(toldWith(bad, "stuck"), texts);
      expect(shape(page)).toEqual(shape(renderMarkdown(toldWith(good, "stuck"), texts)));
      const text = withoutFences(page).join("\n").replaceAll("<br>", "");
      expect(text).not.toMatch(/<|(?<!\\)\]\(|(?<!\\)!\[|https?:\/\//);
    }
  });

  it("steers neither the terminal nor the direction of writing", () => {
    for (const page of everyPage(toldWith(bad, "stuck"))) expect(page).not.toMatch(steering);
  });

  it("can still be read", () => {
    const html = renderHtml(toldWith(bad, "stuck"), english);
    expect(html).toContain("&#60;script&#62;alert(1)&#60;/script&#62;");
    expect(html).toContain("␛[31mred");
    expect(html).toContain("\\u202eright to left");
  });
});

// All controls but line feed and tab, which only our own layout and blocks of code have.
const steering = /[^\P{Cc}\n\t]|[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/u;
const isNoText = (tag: string) => /^<\/?[a-z0-9]+$/i.test(tag);

/** Lines outside of blocks of code; a block counts as one line. */
function withoutFences(page: string): readonly string[] {
  const lines: string[] = [];
  let fence: string | undefined;
  for (const line of page.split("\n")) {
    const mark = /^`{3,}/.exec(line)?.[0];
    if (fence === undefined && mark !== undefined) {
      fence = mark;
      lines.push("(code)");
    } else if (fence !== undefined) {
      if (line === fence) fence = undefined;
    } else lines.push(line);
  }
  expect(fence, "a block of code that is not closed").toBeUndefined();
  return lines;
}

/** Elements that a report is made of; each is closed, and none has an attribute of another kind. */
function assertWhole(html: string): void {
  const elements = new Set(
    "html head meta link title style body main h1 h2 p b bdi br table thead tbody tr th td ul li code pre div span figure figcaption svg g rect path text".split(
      " ",
    ),
  );
  const attributes = new Set(
    "lang charset http-equiv content name rel href class scope viewBox role aria-label aria-hidden width height x y d".split(
      " ",
    ),
  );
  const open: string[] = [];
  const body = html.replace(/<!doctype html>/, "").replace(/<style>[^<]*<\/style>/, "");
  for (const [whole, slash = "", name = "", rest = ""] of body.matchAll(/<(\/?)([^\s>]*)([^>]*)>/g)) {
    expect(elements, whole).toContain(name);
    const given = [...rest.matchAll(/([^\s=]+)="[^"]*"/g)].map(([, key]) => key ?? "");
    for (const key of given) expect(attributes, whole).toContain(key);
    expect(rest.replace(/[^\s=]+="[^"]*"/g, "").trim(), whole).toMatch(/^\/?$/);
    if (slash === "/") expect(open.pop(), whole).toBe(name);
    else if (!rest.endsWith("/") && !["meta", "link", "br"].includes(name)) open.push(name);
  }
  expect(open).toEqual([]);
  expect(body.replace(/<(\/?)([^\s>]*)([^>]*)>/g, "")).not.toMatch(/[<>]/);
}

describe("the time axis", () => {
  const minute = 60_000;

  it("is in proportion where no stretch is long", () => {
    const axis = axisOf([0, 4 * minute, 9 * minute, 15 * minute], 450, 60);
    expect(axis.pieces).toMatchObject([{ broken: false, x0: 0, x1: 450 }]);
    expect(axis.at(5 * minute)).toBeCloseTo(150);
  });

  it("cuts a night's copy out, and leaves the rest in proportion", () => {
    const marks = [0, 2, 5, 9, 14, 15]
      .map((n) => n * minute)
      .concat(15 * minute + hours(13), 15 * minute + hours(13) + minute);
    const axis = axisOf(marks, 460, 60);
    expect(axis.pieces.map(({ broken }) => broken)).toEqual([false, true, false]);
    expect(axis.at(15 * minute)).toBeCloseTo(375);
    expect(axis.at(marks.at(-1) ?? 0)).toBeCloseTo(460);
    // Its order is never lost.
    const places = Array.from({ length: 200 }, (_, i) => axis.at(((15 * minute + hours(13)) * i) / 199));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  it("has round times of the zone as its marks, far enough from each other", () => {
    const axis = axisOf([0, 3 * minute, 9 * minute, 15 * minute], 450, 60);
    const ahead = 5.5 * 3_600_000;
    const ticks = ticksOf(axis, 60, ahead);
    expect(ticks.length).toBeGreaterThan(3);
    for (const tick of ticks) expect((tick + ahead) % minute).toBe(0);
    const places = ticks.map((tick) => axis.at(tick));
    for (const [i, x] of places.slice(1).entries()) expect(x - (places[i] ?? 0)).toBeGreaterThanOrEqual(60);
  });

  it("stands where a run has but one row, or rows of one instant", () => {
    for (const marks of [[], [5], [5, 5]]) expect(axisOf(marks, 450, 60).at(5)).toBe(0);
    for (const page of everyPage(read(upToStop.slice(0, 1), "interrupted")))
      expect(page).not.toContain("NaN");
  });

  it("is drawn again on every page of a long run, with a bar for each step", () => {
    const many = Array.from({ length: 90 }, (_, i) => ({
      ...(plan.units[0] ?? expect.unreachable()),
      key: `check${i}`,
      stage: `check${i}`,
      title: `検査 ${i}: ${"a title that is a good deal longer than a line of the picture has room for, ".repeat(2)}`,
    }));
    const rows = withPlan(upToStop.slice(0, 1), { ...plan, units: many }).concat(
      ...many.map(({ key }, i) => rowsAt([i + 1, "outcome", { unit: key, found: true, already: false }])),
    );
    const html = renderHtml(read(rows, "running"), english);
    expect(html.match(/<text class="number/g)).toHaveLength(90);
    const heights = [...html.matchAll(/viewBox="0 0 760 ([\d.]+)"/g)].map(([, height]) => Number(height));
    expect(heights.length).toBeGreaterThan(2);
    for (const height of heights) expect(height).toBeLessThanOrEqual(860);
    assertWhole(html);
  });
});

describe("`runbook report`", () => {
  const home = mkdtempSync(join(tmpdir(), "runbook-report-"));
  const file = join(home, "out.html");
  const options = { lang: "en", format: "html" };
  beforeAll(async () => {
    const [first, ...rest] = givenBack;
    const journal = await openStore(home).create(
      { kind: "start", body: JSON.parse(JSON.stringify(first?.body)) as never },
      noon,
      "8f3a2222",
    );
    for (const { kind, body, at: when } of rest)
      await journal.append(kind, JSON.parse(JSON.stringify(body)) as never, when);
    await journal.close();
    vi.stubEnv("RUNBOOK_HOME", home);
  });
  afterEach(() => vi.restoreAllMocks());
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(home, { recursive: true, force: true });
  });
  const printed = () => {
    const lines: string[] = [];
    vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0);
    return lines;
  };

  it("writes a private file, and says where", async () => {
    const lines = printed();
    expect(await report("8f3a2222", { ...options, out: file })).toBe(0);
    expect(lines).toEqual([`The report is in ${file}.\n`]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toContain("Failed, and everything was given back");
  });

  it("writes over nothing, unless it is told to", async () => {
    printed();
    writeFileSync(file, "mine");
    await expect(report("8f3a2222", { ...options, out: file })).rejects.toMatchObject({
      message: `${file} is there already`,
    });
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(await report("8f3a2222", { ...options, out: file, force: true, lang: "ja" })).toBe(0);
    expect(readFileSync(file, "utf8")).toContain('<html lang="ja">');
  });

  it("prints Markdown to standard output, and nothing else", async () => {
    const lines = printed();
    expect(await report("8f3a2222", { ...options, format: "md", out: "-" })).toBe(0);
    expect(lines.join("")).toMatch(/^# Run report: Back up the standby node\n/);
  });

  it("makes no report of a run that is not there, or whose journal was altered", async () => {
    const none = join(home, "none.html");
    await expect(report("9z9z9z9z", { ...options, out: none })).rejects.toMatchObject({ kind: "not-found" });
    const journal = join(home, "runs", "8f3a2222", "0001.jsonl");
    const whole = readFileSync(journal, "utf8");
    writeFileSync(journal, whole.replace('"give-back"', '"take-more"'));
    await expect(report("8f3a2222", { ...options, out: none })).rejects.toMatchObject({ kind: "invalid" });
    writeFileSync(journal, whole);
    expect(existsSync(none)).toBe(false);
  });
});

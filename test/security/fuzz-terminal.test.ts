/**
 * Whatever a node, a cloud or another hand put into a plan or a journal: what is printed of it steers no terminal, and no
 * page of it holds a tag, an attribute or an address that is not ours.
 */
import fc from "fast-check";
import { expect, test } from "vitest";

import { complain } from "../../src/cli/exit.ts";
import { planText } from "../../src/cli/plan-text.ts";
import { plainLine } from "../../src/cli/plain.ts";
import { render } from "../../src/cli/render.ts";
import { readReport } from "../../src/cli/report-data.ts";
import { renderHtml } from "../../src/cli/report-html.ts";
import { renderMarkdown } from "../../src/cli/report-markdown.ts";
import { english } from "../../src/cli/report-text-en.ts";
import { japanese } from "../../src/cli/report-text-ja.ts";
import { guardOutput } from "../../src/cli/secrets.ts";
import { showText } from "../../src/cli/show-text.ts";
import { emptyView, seeLine, viewOf, withQuestion } from "../../src/cli/view.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { Failure } from "../../src/errors.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import { breakFailed, copying, givenBack, noon, plan, stuck, succeeded } from "../cli/short-run.ts";
import { cases, patience } from "./cases.ts";
import { hostileText, long } from "./hostile.ts";

const runs = [succeeded, givenBack, stuck, copying, breakFailed];

/** Some texts of a journal are others; what kind of row it is, and of which step, stays, or there would be nothing to show. */
const journals = fc
  .tuple(fc.constantFrom(...runs), fc.array(fc.tuple(fc.nat(), hostileText), { minLength: 1, maxLength: 12 }))
  .map(([rows, changes]) =>
    rows.map((row, at) =>
      changedIn(
        row,
        changes.map(([n, text]) => [n + at, text]),
      ),
    ),
  );

test("a run that is shown steers no terminal, in lines, in the live view and afterwards", patience, () => {
  fc.assert(
    fc.property(journals, hostileText, (rows, run) => {
      let view = emptyView(planOf(rows), run);
      for (const row of rows) {
        view = seeLine(view, row);
        assertOneLine(plainLine(row, view, { zone: "UTC" }) ?? "");
      }
      for (const width of [20, 80]) {
        const units = [{ key: "stopGroups", title: run, why: run, hint: run }];
        const asked = withQuestion(view, { units, maySkip: true, approval: false } as never);
        for (const shown of [view, asked])
          render(shown, width, noon, { color: true, height: 30 }).forEach(assertOneLine);
      }
      assertLines(showText(rows, { color: true, width: 100, zone: "UTC", run }));
    }),
    cases(0.02),
  );
});

test("a plan that is shown steers no terminal", patience, () => {
  fc.assert(
    fc.property(journals, fc.boolean(), (rows, full) => {
      assertLines(planText(planOf(rows), { color: true, width: 100, zone: "UTC", full }));
    }),
    cases(0.03),
  );
});

test("a message steers no terminal, and neither does JSON", patience, () => {
  fc.assert(
    fc.property(hostileText, hostileText, (message, hint) => {
      let said = "";
      complain(new Failure("invalid", message, { hint }), (text) => (said += text));
      assertLines(said);
      const json = JSON.stringify({ message, [hint]: hint });
      const printed = guardOutput({})(json);
      assertLines(printed);
      expect(JSON.parse(printed)).toEqual(JSON.parse(json));
    }),
    cases(0.04),
  );
});

test(
  "a report has the tags and attributes that it always has, and nothing to run or to fetch",
  patience,
  () => {
    fc.assert(
      fc.property(journals, hostileText, (rows, run) => {
        const told = reportOf(rows, run);
        for (const texts of [english, japanese]) {
          assertPage(renderHtml(told, texts));
          assertMarkdown(renderMarkdown(told, texts));
        }
      }),
      cases(0.003),
    );
  },
);

test("a text of a megabyte is shown, and cut where a line has its end", () => {
  const text = long("' \"\u001b[2J<zq>");
  const rows = succeeded.map((row, at) => (at === 5 ? changedIn(row, [[3, text]]) : row));
  expect(JSON.stringify(rows).length).toBeGreaterThan(2 ** 20);
  assertLines(showText(rows, { color: false, width: 100, zone: "UTC", run: "r" }));
  for (const line of render(viewOf(rows), 80, noon, { color: false, height: 30 })) assertOneLine(line);
  assertPage(renderHtml(reportOf(rows, "r"), english));
});

function planOf(rows: readonly Line[]): Plan {
  return (rows[0]?.body["plan"] ?? plan) as Plan;
}

function reportOf(rows: readonly Line[], run: string) {
  const withHashes = rows.map((row, i) => ({ ...row, n: i + 1, prev: "0", sum: `sum${i}` }));
  const written = { at: noon, tool: "0.1.0" };
  return readReport(withHashes, { zone: "UTC", written, lab: false, run, state: "succeeded" });
}

/** By what the engine goes; a journal with another hash or kind is refused before anything is shown. */
const structural = new Set(["kind", "key", "unit", "to", "state", "direction", "end", "format"]);

/** The n-th text of a row, counted around, is another. */
function changedIn<T>(row: T, changes: readonly (readonly [number, string])[]): T {
  const places: (readonly [{ [key: string]: unknown }, string])[] = [];
  const copy = structuredClone(row);
  const walk = (value: unknown) => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, held] of Object.entries(value))
      if (typeof held === "string" && !structural.has(key))
        places.push([value as { [key: string]: unknown }, key]);
      else walk(held);
  };
  walk(copy);
  if (places.length > 0)
    for (const [n, text] of changes) {
      const [inside, key] = places[n % places.length] ?? [{}, ""];
      inside[key] = text;
    }
  return copy;
}

/** Our own colours are these and no others. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const colours = /\u001b\[(?:[0-9]{1,2})(?:;[0-9]{1,2})*m/g;
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const steering = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

function assertLines(text: string): void {
  // A text may hold the words of a colour, but never the sign that begins one.
  expect(text.replace(colours, "").replaceAll("\t", " ")).not.toMatch(steering);
}

function assertOneLine(text: string): void {
  assertLines(text);
  expect(text).not.toContain("\n");
}

const tag = /<(?:!doctype html|\/[a-z0-9]+|[a-z][a-zA-Z0-9]*(?:\s+[a-zA-Z:-]+="[^"<>]*")*\s*\/?)>/y;
const allowed = new Set(
  [
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "body",
    "main",
    "h1",
    "h2",
    "h3",
    "p",
    "b",
    "i",
    "br",
    "ul",
    "li",
  ]
    .concat([
      "table",
      "tbody",
      "thead",
      "tr",
      "th",
      "td",
      "div",
      "pre",
      "code",
      "bdi",
      "span",
      "small",
      "time",
      "section",
    ])
    .concat([
      "svg",
      "g",
      "rect",
      "line",
      "path",
      "text",
      "tspan",
      "circle",
      "polygon",
      "defs",
      "pattern",
      "figure",
    ]),
);

/** Reads the page sign by sign: every "<" begins a whole tag of ours, and nothing stands in one that is not quoted. */
function assertPage(html: string): void {
  const page = html.replace(/<style>[^<]*<\/style>/, "<style></style>");
  for (let at = page.indexOf("<"); at >= 0; at = page.indexOf("<", tag.lastIndex)) {
    tag.lastIndex = at;
    const found = tag.exec(page)?.[0];
    expect(found, page.slice(at, at + 200)).toBeDefined();
    const name = /^<[/!]?([a-zA-Z0-9]+)/.exec(found ?? "")?.[1]?.toLowerCase() ?? "";
    expect(allowed.has(name) || name === "doctype", `<${name}>`).toBe(true);
    const attributes = (found ?? "").replaceAll('href="data:,"', "").replace(/"[^"]*"/g, "");
    expect(attributes).not.toMatch(/\s(zq|on[a-z]+|src|srcset|formaction|href|style)=/i);
  }
  expect(html.replaceAll("\t", " ")).not.toMatch(steering);
}

/** Outside of a fence, which is closed by its own length alone, no tag and no link. */
function assertMarkdown(text: string): void {
  const outside = text.replace(/^(`{3,})text\n[\s\S]*?\n\1$/gm, "").replace(/(?<!\\)`[^`\n]*`/g, "");
  expect(outside).not.toMatch(/(?<!\\)<(zq|script)/i);
  expect(outside).not.toMatch(/(?<!\\)\]\(javascript:/);
  expect(text.replaceAll("\t", " ")).not.toMatch(steering);
}

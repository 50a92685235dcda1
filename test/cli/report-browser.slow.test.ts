/** Reports as a browser shows and prints them: nothing is fetched, nothing complains, and nothing runs into anything else. */
import { describe, expect, it } from "vitest";

import type { ReportRow } from "../../src/cli/report-course.ts";
import { readReport } from "../../src/cli/report-data.ts";
import { renderHtml } from "../../src/cli/report-html.ts";
import { english } from "../../src/cli/report-text-en.ts";
import { japanese } from "../../src/cli/report-text-ja.ts";
import { describeInBrowser } from "../support/page-browser.ts";
import { noon, plan, rowsAt, stuck, succeeded, upToStop, withPlan } from "./short-run.ts";

const hour = 3_600_000;
/** Titles much longer than any of ours, in both scripts, and a night between two rows. */
const longTitles = {
  ...plan,
  units: plan.units.map((unit, i) => ({
    ...unit,
    title:
      i % 2 === 0
        ? "WWW Every mirror is in sync again, and it was looked at from both sides WWW WWW WWW"
        : "待機系のミラー用ボリュームのスナップショットを同一時点で取得し、完了するまで待つ手順",
  })),
};
const runs: { readonly [name: string]: { readonly rows: readonly ReportRow[]; readonly state: string } } = {
  succeeded: { rows: succeeded, state: "succeeded" },
  stuck: { rows: stuck, state: "stuck" },
  "killed, with long titles, over a night": {
    rows: withPlan(
      [
        ...upToStop,
        { at: noon + 14 * hour, kind: "taken-over", body: { by: "ops@elsewhere pid 9" } },
        ...rowsAt([14 * 3600 + 20, "outcome", { unit: "stopGroups", found: true, already: false }]),
      ],
      longTitles,
    ),
    state: "interrupted",
  },
};

describeInBrowser((pages) => {
  const put = (html: string) => pages.put("report.html", html);

  /** The browser asks for things of its own, too. */
  const ofPages = (from: number) =>
    pages.browser.proxied.slice(from).filter((url) => url.includes(".invalid"));

  for (const [name, { rows, state }] of Object.entries(runs)) {
    for (const texts of [english, japanese]) {
      const html = () =>
        renderHtml(
          readReport(rows, {
            run: "8f3a",
            state,
            zone: "Asia/Tokyo",
            written: { at: noon, tool: "0.1.0" },
          }),
          texts,
        );

      describe(`the report of a run that is ${name}, in ${texts.lang},`, () => {
        it("asks for nothing, and leaves the console empty", async () => {
          expect(await pages.browser.open(put(html()), 1100)).toEqual({ requests: [], console: [] });
        });

        it("is nowhere wider than its window, on a screen as on a telephone", async () => {
          for (const width of [1100, 390]) {
            await pages.browser.open(put(html()), width);
            expect(await pages.browser.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(
              width,
            );
          }
        });

        it("has no label in its picture that runs into the bars, or out of the picture", async () => {
          await pages.browser.open(put(html()), 1100);
          const over = await pages.browser.evaluate(`
            [...document.querySelectorAll("figure text")]
              .map((text) => ({ text: text.textContent, name: text.getAttribute("class"), box: text.getBBox() }))
              .filter(({ name, box }) =>
                box.x < 0 || box.x + box.width > 760 || (/^label|before/.test(name) && box.x + box.width > 242))
              .map(({ text }) => text)`);
          expect(over).toEqual([]);
        });

        it("is printed with each picture on one page", async () => {
          // A4 within its margins, at 96 points an inch.
          await pages.browser.open(put(html()), 703, "print");
          const heights = (await pages.browser.evaluate(
            '[...document.querySelectorAll("figure")].map((figure) => figure.offsetHeight)',
          )) as number[];
          expect(heights.length).toBeGreaterThan(0);
          for (const height of heights) expect(height).toBeLessThan(1017);
          expect((await pages.browser.print()).subarray(0, 5).toString()).toBe("%PDF-");
        });
      });
    }
  }

  it("would see a request and a complaint, if a page had any", async () => {
    const before = pages.browser.proxied.length;
    const seen = await pages.browser.open(
      put('<img src="http://report.invalid/x.png"><script>console.error("here")</script>'),
      1100,
    );
    expect(seen.requests).toEqual(["http://report.invalid/x.png"]);
    expect(seen.console.join()).toContain("here");
    expect(ofPages(before)).toEqual(["http://report.invalid/x.png"]);
  });

  it("keeps what is hostile from being fetched even where it had come through", async () => {
    const told = readReport(succeeded, {
      run: "8f3a",
      state: "succeeded",
      zone: "UTC",
      written: { at: noon, tool: "0.1.0" },
    });
    const html = renderHtml(told, english).replace(
      "</main>",
      '<img src="http://report.invalid/x.png"><script>document.title = "taken"</script></main>',
    );
    const before = pages.browser.proxied.length;
    await pages.browser.open(put(html), 1100);
    expect(ofPages(before)).toEqual([]);
    expect(await pages.browser.evaluate("document.title")).not.toBe("taken");
  });
});

/** Pictures of runbooks as a browser draws them, with its own fonts: nothing is fetched, and no text runs out of its box. */
import { expect, it } from "vitest";

import backupBoth from "../../runbooks/backup-both.ts";
import backupStandby from "../../runbooks/backup-standby.ts";
import drill from "../../runbooks/drill.ts";
import giveBack from "../../runbooks/give-back.ts";
import restore from "../../runbooks/restore.ts";
import { drawRunbook } from "../../src/cli/graph-svg.ts";
import { layOut, readParams } from "../../src/runbook/list.ts";
import { eachNode, minutes, runbook, said, step, together, type Runbook } from "../../src/runbook/step.ts";
import { describeInBrowser } from "../support/page-browser.ts";

const titled = (title: string) =>
  step({ title, done: async () => undefined, do: async () => undefined, within: minutes(1) });
const wide = "WWW Every mirror is in sync again, and it was looked at from both sides WWW MMM <&>";
const longTitles = runbook({
  title: `Long titles in both scripts, and this one is as long as a title can be that somebody still reads to its end: ${wide}`,
  params: { why: said("why") },
  steps: () => ({
    one: { ...titled(wide), undo: () => [titled(wide), titled(`${"m".repeat(70)} ${wide}`)] },
    two: eachNode(
      titled("待機系のミラー用ボリュームのスナップショットを同一時点で取得し、完了するまで待つ手順"),
    ),
    three: together({ a: titled(wide), b: titled("short"), c: titled("W".repeat(60)), d: titled(wide) }),
  }),
});

const books: readonly (readonly [string, Runbook, object, readonly string[]])[] = [
  ["backup-standby, early", backupStandby, { service: "early" }, ["active", "standby"]],
  ["backup-standby, late", backupStandby, { service: "late" }, ["active", "standby"]],
  ["backup-both", backupBoth, {}, ["active", "standby"]],
  ["restore", restore, { warm: "fast" }, ["active", "standby"]],
  ["drill", drill, {}, ["scratch"]],
  ["give-back", giveBack, {}, ["active", "standby"]],
  ["long titles", longTitles, { why: "because ".repeat(40) }, ["a-node-with-a-long-name.example.com", "b"]],
];

/** Texts that are cut off or leave the box that they begin in, and boxes or bars that lie on one another. */
const lookForTrouble = `(() => {
  const whole = document.documentElement.getBoundingClientRect();
  const inside = (inner, outer) =>
    inner.left >= outer.left - 1 && inner.right <= outer.right + 1 && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  const rects = [...document.querySelectorAll("rect.box, rect.bar, rect.end")];
  const boxes = rects.map((each) => each.getBoundingClientRect());
  const trouble = [];
  for (const text of document.querySelectorAll("text")) {
    const at = text.getBoundingClientRect();
    if (!inside(at, whole)) trouble.push("cut off: " + text.textContent);
    const x = text.classList.contains("label") || text.classList.contains("said") ? (at.left + at.right) / 2 : at.left;
    const y = (at.top + at.bottom) / 2;
    const box = boxes.find((each) => each.left <= x && x <= each.right && each.top <= y && y <= each.bottom);
    if (box && !inside(at, box)) trouble.push("out of its box: " + text.textContent);
  }
  boxes.forEach((one, i) => boxes.slice(i + 1).forEach((other) => {
    const apart = one.right <= other.left || other.right <= one.left || one.bottom <= other.top || other.bottom <= one.top;
    if (!apart) trouble.push("on one another");
  }));
  return { trouble, texts: document.querySelectorAll("text.title").length, boxes: boxes.length };
})()`;

describeInBrowser((pages) => {
  it.each(books)(
    "%s fetches nothing, and all its texts are whole and in their boxes",
    async (name, book, given, members) => {
      const params = readParams(book, { ...given });
      const stages = layOut(book, params, members);
      const { browser } = pages;
      const file = pages.put("graph.svg", drawRunbook({ name, title: book.title, params, stages }));
      const seen = await browser.open(file, 1000);
      expect(seen).toEqual({ requests: [], console: [] });
      const found = (await browser.evaluate(lookForTrouble)) as {
        trouble: string[];
        texts: number;
        boxes: number;
      };
      expect(found.trouble).toEqual([]);
      expect(found.texts).toBeGreaterThanOrEqual(stages.length);
      expect(found.boxes).toBeGreaterThan(4);
    },
  );
});

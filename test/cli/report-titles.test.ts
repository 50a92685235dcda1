import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

import { loadRunbook } from "../../src/cli/load.ts";
import { titlesInJapanese } from "../../src/cli/report-titles-ja.ts";
import { readSource } from "../../src/cli/source.ts";
import { layOut, undoOf, unitsOf } from "../../src/runbook/list.ts";
import type { Params, Runbook, Step } from "../../src/runbook/step.ts";

const folder = join(import.meta.dirname, "../../runbooks");

/** Every choice of every parameter, the others as they are when nothing is given. */
function choices({ params }: Runbook): readonly Params[] {
  const plain: Params = Object.fromEntries(
    Object.entries(params).map(([name, spec]) => [
      name,
      "oneOf" in spec ? (spec.oneOf[0] ?? "") : "otherwise" in spec ? spec.otherwise : "1",
    ]),
  );
  const others = Object.entries(params).flatMap(([name, spec]) =>
    "oneOf" in spec ? spec.oneOf.map((value) => ({ ...plain, [name]: value })) : [],
  );
  return [plain, ...others];
}

/** Titles of a step, and of all that gives it back. */
function titlesOf(step: Step, seen: Set<Step> = new Set()): readonly string[] {
  if (seen.has(step)) return [];
  seen.add(step);
  return [step.title, ...undoOf(step).flatMap((undo) => titlesOf(undo, seen))];
}

const files = readdirSync(folder).filter((file) => file.endsWith(".ts"));
const titles = new Set<string>();
for (const file of files) {
  const runbook = await loadRunbook(readSource(join(folder, file)));
  titles.add(runbook.title);
  for (const params of choices(runbook))
    for (const { step } of unitsOf(layOut(runbook, params, ["server1", "server2"])))
      for (const title of titlesOf(step)) titles.add(title);
}

test("a report in Japanese knows every title of the product's own runbooks", () => {
  expect([...titles].filter((title) => titlesInJapanese[title] === undefined)).toEqual([]);
});

test("and none that no runbook has any more", () => {
  expect(Object.keys(titlesInJapanese).filter((title) => !titles.has(title))).toEqual([]);
});

/** A run as a report to hand on: one file, from the journal alone, in HTML or Markdown. */
import { existsSync } from "node:fs";

import { Failure } from "../errors.ts";
import type { Store } from "../ports/store.ts";
import { openPlaceOf, type WorldOptions } from "./context.ts";
import { fileTrouble } from "./exit.ts";
import { forecasts } from "./history.ts";
import { writePrivate } from "./private-file.ts";
import { productVersion } from "./product.ts";
import { readReport, type Report } from "./report-data.ts";
import { renderHtml } from "./report-html.ts";
import { renderMarkdown } from "./report-markdown.ts";
import { english, type ReportTexts } from "./report-text-en.ts";
import { japanese } from "./report-text-ja.ts";
import { seeRun } from "./runs-seen.ts";

export interface ReportOptions extends WorldOptions {
  readonly lang: string;
  readonly format: string;
  readonly out?: string;
  readonly force?: boolean;
}

const languages: { readonly [lang: string]: ReportTexts } = { en: english, ja: japanese };

export async function report(run: string, options: ReportOptions): Promise<number> {
  const place = await openPlaceOf(run, options);
  const told = await reportOf(place.store, run, {
    lab: place.lab,
    zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    written: { at: place.clock.now(), tool: productVersion() },
  });
  const texts = languages[options.lang] ?? english;
  const markdown = options.format === "md";
  const text = markdown ? renderMarkdown(told, texts) : renderHtml(told, texts);
  const file = options.out ?? `${run}.${markdown ? "md" : "html"}`;
  if (file === "-") {
    process.stdout.write(text);
    return 0;
  }
  writeReport(file, text, options.force === true);
  process.stdout.write(`The report is in ${file}.\n`);
  return 0;
}

/** What the store has of a run, with what the runs before it let expect. */
export async function reportOf(
  store: Store,
  run: string,
  given: Pick<Report, "lab" | "zone" | "written">,
): Promise<Report> {
  const { state, start, rows, trouble, startedAt } = await seeRun(store, run);
  // A forecast that knew the run itself, or what came later, would be none.
  const before: Store = {
    ...store,
    list: async () =>
      (await store.list()).filter((other) => other.run !== run && other.startedAt < startedAt),
  };
  return readReport(rows, {
    ...given,
    run,
    state,
    torn: trouble,
    ...(start && { forecast: await forecasts(before, start.plan) }),
  });
}

/** Private, like the journal that it tells of. */
function writeReport(file: string, text: string, force: boolean): void {
  try {
    writePrivate(file, text, force ? "over" : "new");
  } catch (thrown) {
    if (!force && existsSync(file))
      throw new Failure("invalid", `${file} is there already`, {
        cause: thrown,
        hint: "--force writes over it, --out names another file",
      });
    throw new Failure("invalid", `${file} cannot be written: ${fileTrouble(thrown)}`, {
      cause: thrown,
      hint: "name a file in a folder that exists and is yours with --out",
    });
  }
}

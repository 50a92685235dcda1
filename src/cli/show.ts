import { openPlaceOf, type WorldOptions } from "./context.ts";
import type { ReportRow } from "./report-course.ts";
import { showText } from "./show-text.ts";

export async function show(
  run: string,
  options: WorldOptions & { readonly json?: boolean },
): Promise<number> {
  const { store } = await openPlaceOf(run, options);
  const { rows, torn } = await store.read(run);
  if (options.json === true) {
    for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
    return 0;
  }
  const color = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
  process.stdout.write(`${showText(rows, { color, width: process.stdout.columns ?? 110 })}\n`);
  const last: ReportRow | undefined = rows.at(-1);
  if (typeof last?.sum === "string") process.stdout.write(`\nhead: ${rows.length}:${last.sum}\n`);
  if (torn !== undefined) process.stdout.write(`the journal's last row is torn and left out: ${torn}\n`);
  return 0;
}

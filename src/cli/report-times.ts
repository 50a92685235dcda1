/** Times of a report: in one zone that is named once, and as short as they can be told apart. */
import { dateAndTime, lasting } from "./format.ts";
import type { Report } from "./report-data.ts";
import type { ReportTexts } from "./report-text-en.ts";

export interface Times {
  /** The zone with its distance from UTC. */
  readonly zone: string;
  /** With date and distance from UTC: "2026-03-01 14:02:11 UTC+09:00". */
  full(at: number): string;
  /** "14:02:11", with month and day where the run lasts over midnight. */
  stamp(at: number): string;
  /** How far local time is ahead of UTC then, milliseconds. */
  aheadMs(at: number): number;
  /** "4 min 12 s" in the words of the language. */
  lasting(ms: number): string;
}

export function timesOf(report: Pick<Report, "zone" | "startedAt" | "lastAt">, texts: ReportTexts): Times {
  const { zone, startedAt, lastAt } = report;
  const local = (at: number) => (isTime(at) ? dateAndTime(at, zone) : "?");
  const aheadMs = (at: number) =>
    isTime(at) ? Date.parse(`${local(at).replace(" ", "T")}Z`) - Math.floor(at / 1000) * 1000 : 0;
  const oneDay = local(startedAt).slice(0, 10) === local(lastAt).slice(0, 10);
  // Where the clocks are changed while the run goes on, the same hour comes twice.
  const changing = aheadMs(startedAt) !== aheadMs(lastAt);
  const offset = (at: number) => `UTC${distance(aheadMs(at))}`;
  return {
    zone: changing ? `${zone} (${offset(startedAt)}, ${offset(lastAt)})` : `${zone} (${offset(startedAt)})`,
    full: (at) => `${local(at)} ${offset(at)}`,
    stamp: (at) => `${local(at).slice(oneDay ? 11 : 5)}${changing ? ` ${distance(aheadMs(at))}` : ""}`,
    aheadMs,
    lasting: (ms) => inWords(ms, texts),
  };
}

function isTime(at: unknown): at is number {
  return typeof at === "number" && Number.isFinite(at) && Math.abs(at) < 8.64e15;
}

function distance(ms: number): string {
  const minutes = Math.round(Math.abs(ms) / 60_000);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${ms < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}

/** The same rounding as everywhere else, with the units of the language. */
function inWords(ms: number, { units }: ReportTexts): string {
  const parts = [...lasting(ms).matchAll(/([\d.]+) (ms|s|min|h|days?)/g)];
  return parts
    .map(([, count = "", unit = "s"]) => `${count}${units[unit as Exclude<keyof typeof units, "between">]}`)
    .join(units.between);
}

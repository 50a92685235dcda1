/**
 * Which recovery points stay, and why. Pure: it is given what is known of them, and asks no clock. Ages and calendar
 * periods (UTC) count from the newest whole point, so that a cluster whose backups stopped, or a runner whose clock is
 * wrong, loses nothing by waiting.
 */
export interface RetentionRule {
  /** So many of the newest. */
  readonly last: number;
  /** The last point of each of so many days (weeks from Monday, months, years), the newest point's own included. */
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
  /** So many of the newest that passed their tests stay in any case; the newest of them even with 0. */
  readonly keepTested: number;
}

export interface RetentionPoint {
  readonly point: string;
  /** ISO 8601 in UTC. */
  readonly cutAt: string;
  /** Its tests were passed, and none was failed since. */
  readonly tested: boolean;
  readonly consistency: string;
  /** What is missing to restore from it; whatever lacks something never stands for a period, and is never dropped. */
  readonly lacks: readonly string[];
  /** A prune began to delete it, and a part of it is left. */
  readonly halfGone: boolean;
  /** Why it must not go, a sentence each: locks and holds. */
  readonly locked: readonly string[];
  /** Who still uses it, a sentence each. */
  readonly referenced: readonly string[];
  /** What of it could not be read: nobody knows then whether it may go. */
  readonly unread: readonly string[];
}

export interface Verdict {
  readonly point: string;
  readonly cutAt: string;
  readonly keep: boolean;
  /** Why it stays, every reason; of one that goes, why nothing keeps it. */
  readonly reasons: readonly string[];
}

/** The verdicts, newest first. A set is judged as one: all of its snapshots stay, or all go. */
export function retain(points: readonly RetentionPoint[], rule: RetentionRule): readonly Verdict[] {
  const sorted = points.toSorted(newestFirst);
  const whole = sorted.filter((point) => point.lacks.length === 0 && !point.halfGone && isTime(point.cutAt));
  const chosen = new Map<string, string[]>();
  const choose = (point: RetentionPoint | undefined, why: string) => {
    if (point) chosen.set(point.point, [...(chosen.get(point.point) ?? []), why]);
  };

  choose(whole[0], "the newest");
  choose(
    whole.find(({ consistency }) => consistency === "quiesced"),
    "the newest that is quiesced",
  );
  const tested = whole.filter((point) => point.tested);
  choose(tested[0], "the newest tested");
  for (const point of tested.slice(0, rule.keepTested))
    choose(point, `tested, of ${rule.keepTested} to stay`);
  for (const point of whole.slice(0, rule.last)) choose(point, `of the last ${rule.last}`);
  for (const { word, count, name, indexOf } of periods(rule)) {
    const anchor = whole[0] && indexOf(whole[0].cutAt);
    if (anchor === undefined) continue;
    for (const index of new Set(whole.map(({ cutAt }) => indexOf(cutAt)))) {
      if (anchor - index >= count) continue;
      const some = whole.filter(({ cutAt }) => indexOf(cutAt) === index);
      // One whose consistency is known stands for its period before one of which nothing is known.
      const best = some.find(({ consistency }) => consistency !== "unknown") ?? some[0];
      if (best) choose(best, `${word} ${name(best.cutAt)}`);
    }
  }

  return sorted.map((point) => {
    const reasons = [
      ...(chosen.get(point.point) ?? []),
      ...point.locked,
      ...point.referenced,
      ...point.unread.map((what) => `it cannot be told whether it may go: ${what}`),
      ...(isTime(point.cutAt) ? [] : ["it cannot be told when it was cut"]),
      ...(point.lacks.length > 0 && !point.halfGone ? [`not whole: ${point.lacks.join("; ")}`] : []),
    ];
    if (reasons.length > 0) return { point: point.point, cutAt: point.cutAt, keep: true, reasons };
    const why = point.halfGone ? "the rest of a set that a prune began to delete" : "no rule keeps it";
    return { point: point.point, cutAt: point.cutAt, keep: false, reasons: [why] };
  });
}

interface Period {
  readonly word: string;
  readonly count: number;
  readonly name: (cutAt: string) => string;
  /** Counts periods: the one before has the index one less. */
  readonly indexOf: (cutAt: string) => number;
}

const dayMs = 86_400_000;

function periods(rule: RetentionRule): readonly Period[] {
  const day = (cutAt: string) => Math.floor(Date.parse(cutAt) / dayMs);
  const date = (cutAt: string) => new Date(Date.parse(cutAt));
  // The epoch began on a Thursday.
  const week = (cutAt: string) => Math.floor((day(cutAt) + 3) / 7);
  const months = (cutAt: string) => date(cutAt).getUTCFullYear() * 12 + date(cutAt).getUTCMonth();
  return [
    { word: "day", count: rule.daily, indexOf: day, name: (cutAt) => iso(day(cutAt)) },
    { word: "week of", count: rule.weekly, indexOf: week, name: (cutAt) => iso(week(cutAt) * 7 - 3) },
    {
      word: "month",
      count: rule.monthly,
      indexOf: months,
      name: (cutAt) => date(cutAt).toISOString().slice(0, 7),
    },
    {
      word: "year",
      count: rule.yearly,
      indexOf: (cutAt) => date(cutAt).getUTCFullYear(),
      name: (cutAt) => date(cutAt).toISOString().slice(0, 4),
    },
  ];
}

function iso(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10);
}

function isTime(text: string): boolean {
  return Number.isFinite(Date.parse(text));
}

/** By their instants; two of one instant by their names, so that the order is the same each time. */
function newestFirst(a: RetentionPoint, b: RetentionPoint): number {
  const [at, other] = [Date.parse(a.cutAt), Date.parse(b.cutAt)];
  if (Number.isNaN(at) || Number.isNaN(other)) return Number(Number.isNaN(at)) - Number(Number.isNaN(other));
  return other - at || (a.point < b.point ? -1 : 1);
}

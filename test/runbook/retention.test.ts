import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { retain, type RetentionPoint, type RetentionRule } from "../../src/runbook/retention.ts";

const nothing: RetentionRule = { last: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, keepTested: 0 };

const point = (cutAt: string, more: Partial<RetentionPoint> = {}): RetentionPoint => ({
  point: cutAt,
  cutAt,
  tested: false,
  consistency: "quiesced",
  lacks: [],
  halfGone: false,
  locked: [],
  referenced: [],
  unread: [],
  ...more,
});

const kept = (points: readonly RetentionPoint[], rule: Partial<RetentionRule>) =>
  retain(points, { ...nothing, ...rule })
    .filter(({ keep }) => keep)
    .map((verdict) => verdict.point);

const noon = (...dates: readonly string[]) => dates.map((date) => point(`${date}T12:00:00.000Z`));
const dates = (points: readonly string[]) => points.map((name) => name.slice(0, 10));

describe("retention", () => {
  it("keeps the newest and no more where nothing is asked for", () => {
    expect(dates(kept(noon("2026-03-01", "2026-02-01", "2026-01-01"), {}))).toEqual(["2026-03-01"]);
    expect(kept([], { last: 5 })).toEqual([]);
  });

  it("counts days back from the newest point, with or without a point in them", () => {
    const points = noon("2026-03-10", "2026-03-09", "2026-03-07", "2026-03-06");
    expect(dates(kept(points, { daily: 4 }))).toEqual(["2026-03-10", "2026-03-09", "2026-03-07"]);
  });

  it("keeps the last point of each day, by UTC", () => {
    const points = [
      point("2026-03-10T00:01:00.000Z"),
      point("2026-03-09T23:59:00.000Z"),
      point("2026-03-09T00:00:00.000Z"),
      point("2026-03-08T23:59:59.999Z"),
    ];
    expect(kept(points, { daily: 3 })).toEqual([
      "2026-03-10T00:01:00.000Z",
      "2026-03-09T23:59:00.000Z",
      "2026-03-08T23:59:59.999Z",
    ]);
  });

  it("has weeks begin on Monday, also over the turn of a year", () => {
    // 2026-01-05 is a Monday, 2025-12-29 the one before.
    const points = noon("2026-01-05", "2026-01-04", "2026-01-01", "2025-12-29", "2025-12-28");
    expect(dates(kept(points, { weekly: 3 }))).toEqual(["2026-01-05", "2026-01-04", "2025-12-28"]);
    expect(retain(points, { ...nothing, weekly: 2 })[1]?.reasons).toEqual(["week of 2025-12-29"]);
  });

  it("keeps the last point of each month and of each year", () => {
    const points = noon("2026-03-02", "2026-02-28", "2026-02-01", "2025-12-31", "2025-01-01", "2023-06-01");
    expect(dates(kept(points, { monthly: 4 }))).toEqual(["2026-03-02", "2026-02-28", "2025-12-31"]);
    expect(dates(kept(points, { yearly: 3 }))).toEqual(["2026-03-02", "2025-12-31"]);
    expect(dates(kept(points, { yearly: 4 }))).toEqual(["2026-03-02", "2025-12-31", "2023-06-01"]);
  });

  it("says every reason for which a point stays", () => {
    const [verdict] = retain(
      [point("2026-03-01T12:00:00.000Z", { tested: true, locked: ["snap-1 is locked"] })],
      {
        last: 1,
        daily: 1,
        weekly: 1,
        monthly: 1,
        yearly: 1,
        keepTested: 1,
      },
    );
    expect(verdict?.reasons).toEqual([
      "the newest",
      "the newest that is quiesced",
      "the newest tested",
      "tested, of 1 to stay",
      "of the last 1",
      "day 2026-03-01",
      "week of 2026-02-23",
      "month 2026-03",
      "year 2026",
      "snap-1 is locked",
    ]);
  });

  it("lets a point whose consistency is known stand for its day before one of which nothing is known", () => {
    const early = point("2026-03-01T01:00:00.000Z", { consistency: "crash-consistent" });
    const late = point("2026-03-01T02:00:00.000Z", { consistency: "unknown" });
    const newest = point("2026-03-02T00:00:00.000Z");
    expect(kept([newest, late, early], { daily: 2 })).toEqual([newest.point, early.point]);
  });

  it("keeps what cannot be dated", () => {
    const verdicts = retain([point("2026-03-01T12:00:00.000Z"), point("yesterday")], nothing);
    expect(verdicts.map(({ keep }) => keep)).toEqual([true, true]);
  });
});

const hour = 3_600_000;
const origin = Date.UTC(2026, 2, 1);

/** Some years of points, a few of them ill. */
const points = fc
  .uniqueArray(fc.integer({ min: 0, max: 24 * 900 }), { maxLength: 40 })
  .chain((hours) =>
    fc.tuple(
      ...hours.map((ago) =>
        fc.record({
          point: fc.constant(`p${ago}`),
          cutAt: fc.constant(new Date(origin - ago * hour).toISOString()),
          tested: fc.boolean(),
          consistency: fc.constantFrom("quiesced", "crash-consistent", "unknown"),
          lacks: fc.constantFrom([], [], [], ["a copy is not complete"]),
          halfGone: fc.constant(false),
          locked: fc.constantFrom([], [], [], [], ["locked"]),
          referenced: fc.constantFrom([], [], [], [], ["used"]),
          unread: fc.constantFrom([], [], [], [], ["not read"]),
        }),
      ),
    ),
  )
  .map((all): readonly RetentionPoint[] => all);
const count = fc.integer({ min: 0, max: 12 });
const rule = fc.record({
  last: count,
  daily: count,
  weekly: count,
  monthly: count,
  yearly: count,
  keepTested: count,
});

const isWhole = ({ lacks, halfGone }: RetentionPoint) => lacks.length === 0 && !halfGone;
const newestFirst = (all: readonly RetentionPoint[]) => all.toSorted((a, b) => (a.cutAt < b.cutAt ? 1 : -1));
const keeps = (all: readonly RetentionPoint[], by: RetentionRule) =>
  new Set(
    retain(all, by)
      .filter(({ keep }) => keep)
      .map((verdict) => verdict.point),
  );
const holds = (property: (all: readonly RetentionPoint[], by: RetentionRule) => void) => () =>
  fc.assert(fc.property(points, rule, property));

describe("retention, whatever the points and the rule", () => {
  it(
    "judges each point once, and gives a reason for each verdict",
    holds((all, by) => {
      const verdicts = retain(all, by);
      expect(verdicts.map((verdict) => verdict.point).sort()).toEqual(all.map((each) => each.point).sort());
      for (const { reasons } of verdicts) expect(reasons.length).toBeGreaterThan(0);
    }),
  );

  it(
    "keeps the newest whole one, the newest quiesced one and the newest tested one",
    holds((all, by) => {
      const stays = keeps(all, by);
      const whole = newestFirst(all).filter(isWhole);
      for (const best of [
        whole[0],
        whole.find(({ consistency }) => consistency === "quiesced"),
        whole.find(({ tested }) => tested),
      ])
        if (best) expect(stays).toContain(best.point);
    }),
  );

  it(
    "keeps as many tested ones as are asked for, if there are so many",
    holds((all, by) => {
      const stays = keeps(all, by);
      const tested = all.filter((each) => each.tested && isWhole(each));
      const left = tested.filter((each) => stays.has(each.point));
      expect(left.length).toBeGreaterThanOrEqual(Math.min(by.keepTested, tested.length));
    }),
  );

  it(
    "drops nothing that is locked, used, not whole, or could not be read",
    holds((all, by) => {
      const stays = keeps(all, by);
      for (const each of all)
        if ([each.lacks, each.locked, each.referenced, each.unread].some((list) => list.length > 0))
          expect(stays).toContain(each.point);
    }),
  );

  it(
    "drops nothing more when it is asked again",
    holds((all, by) => {
      const stays = keeps(all, by);
      const left = all.filter((each) => stays.has(each.point));
      expect(keeps(left, by)).toEqual(stays);
    }),
  );

  it("keeps all that a narrower rule keeps", () => {
    fc.assert(
      fc.property(points, rule, rule, (all, by, more) => {
        const wider = Object.fromEntries(
          Object.entries(by).map(([name, n]) => [name, n + more[name as keyof RetentionRule]]),
        ) as unknown as RetentionRule;
        const stays = keeps(all, wider);
        for (const each of keeps(all, by)) expect(stays).toContain(each);
      }),
    );
  });

  it(
    "counts what is not whole for nothing: without it, every other verdict is the same",
    holds((all, by) => {
      const stays = keeps(all, by);
      const whole = all.filter(isWhole);
      const without = keeps(whole, by);
      for (const each of whole) expect(without.has(each.point)).toBe(stays.has(each.point));
    }),
  );

  it(
    "does not depend on the order in which the points are told",
    holds((all, by) => {
      expect(retain(all.toReversed(), by)).toEqual(retain(all, by));
    }),
  );

  it(
    "lets the rest of a set go that was half deleted, unless something holds it",
    holds((all, by) => {
      const half = point("2026-03-01T12:00:00.000Z", {
        point: "half",
        halfGone: true,
        lacks: ["it is half gone"],
      });
      expect(keeps([...all, half], by)).not.toContain("half");
      expect(keeps([...all, { ...half, locked: ["locked"] }], by)).toContain("half");
    }),
  );
});

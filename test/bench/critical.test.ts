/** The arithmetic of the bench's rows "gap" and "restore", on made-up records. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Effect } from "../../src/lab/world.ts";
import { covered, criticalWay, motionsOf, type Command, type Motion, type WorldRecord } from "./critical.ts";

type Told = readonly [at: number, kind: string, more?: Readonly<Record<string, string | boolean>>];

function recordOf(effects: readonly Told[], commands: readonly Partial<Command>[] = []): WorldRecord {
  return {
    effects: effects.map(([at, kind, more], i): Effect => ({
      n: i + 1,
      at,
      what: kind,
      detail: { kind, ...more },
    })),
    commands: commands.map((command) => ({
      line: "clpstat",
      class: "write" as const,
      from: 0,
      until: undefined,
      effects: [],
      ...command,
    })),
    nodes: [
      { name: "one", instance: "i-1" },
      { name: "two", instance: "i-2" },
    ],
    autoRecoveryMs: 10_000,
    shownLateMs: 1000,
  };
}

const lengths = (motions: readonly Motion[], from: number, to: number) => {
  const way = criticalWay(motions, from, to);
  return { ...way, waits: way.waits.map((wait) => [wait.after, wait.before, wait.to - wait.from]) };
};

describe("what counts as motion of the world", () => {
  it("is a command of the cluster that changed something, and no look, mark or tag", () => {
    const record = recordOf(
      [
        [5, "tags-set", { volume: "v" }],
        [7, "snapshot-cut", { volume: "v" }],
      ],
      [
        { node: "one", line: "clpmdctrl --break md1", from: 1, until: 4 },
        { node: "one", line: "clpstat", class: "read", from: 1, until: 2 },
        { node: "one", line: "mkdir /var/lib/runbook/lock", from: 2, until: 3 },
        { line: "CreateTags ResourceId.1=v", from: 5, until: 6, effects: [1] },
        { line: "CreateSnapshot VolumeId=v", from: 7, until: 8, effects: [2] },
      ],
    );
    expect(motionsOf(record)).toEqual([
      { what: "one: clpmdctrl --break md1", from: 1, to: 4 },
      { what: "CreateSnapshot", from: 7, to: 8 },
    ]);
  });

  it("is a node from the command that sends it off until the cloud shows it stopped, and its boot until it is up", () => {
    const record = recordOf(
      [
        [2500, "node-stopping", { node: "two", reboot: false }],
        [9000, "node-down", { node: "two" }],
        [12_000, "instance-stopping", { instance: "i-2", by: "guest" }],
        [14_000, "instance-stopped", { instance: "i-2" }],
        [20_000, "instance-starting", { instance: "i-2" }],
        [25_000, "instance-running", { instance: "i-2" }],
        [60_000, "node-up", { node: "two" }],
        [70_000, "node-stopping", { node: "two", reboot: true }],
        [75_000, "node-down", { node: "two" }],
        [130_000, "node-up", { node: "two" }],
      ],
      [{ node: "two", line: "clpbackup.sh --pre", from: 100, effects: [1] }],
    );
    expect(motionsOf(record)).toEqual([
      { what: "two goes off", from: 100, to: 14_000, shownAt: 15_000 },
      { what: "two boots", from: 20_000, to: 60_000 },
      { what: "two reboots", from: 70_000, to: 130_000 },
    ]);
  });

  it("is no snapshot that is copied on the side, and no node that waits for its peer", () => {
    const record = recordOf([
      [0, "snapshot-cut", { snapshot: "s", volume: "v" }],
      [0, "member-offline", { node: "one" }],
      [0, "member-offline", { node: "two" }],
      [10_000, "member-waiting", { node: "one" }],
      [40_000, "member-waiting", { node: "two" }],
      [45_000, "member-online", { node: "one" }],
      [45_000, "member-online", { node: "two" }],
      [90_000, "snapshot-completed", { snapshot: "s", volume: "v" }],
    ]);
    expect(motionsOf(record)).toEqual([
      { what: "one joins", from: 40_000, to: 45_000 },
      { what: "two joins", from: 40_000, to: 45_000 },
    ]);
    const alone = recordOf([
      [0, "member-offline", { node: "one" }],
      [0, "member-offline", { node: "two" }],
      [10_000, "member-waiting", { node: "one" }],
      [310_000, "member-online", { node: "one" }],
    ]);
    expect(motionsOf(alone)).toEqual([]);
  });

  it("is a copy from the command that let the cluster begin it by itself", () => {
    const record = recordOf(
      [
        [1000, "member-online", { node: "two" }],
        [4000, "monitor-resumed", { node: "one" }],
        [14_001, "recovery-started", { mirror: "md1" }],
        [74_001, "recovery-ended", { mirror: "md1", ok: true }],
      ],
      [{ node: "one", line: "clpmonctrl -r", from: 2000, until: 4100, effects: [2] }],
    );
    expect(motionsOf(record)).toContainEqual({ what: "md1 is copied", from: 2000, to: 74_001 });
  });
});

describe("the critical path", () => {
  it("takes each motion's last forerunner, and tells what lies between as waiting", () => {
    const motions = [
      { what: "stop", from: 0, to: 20 },
      { what: "break", from: 21, to: 24 },
      { what: "start", from: 26, to: 40 },
    ];
    expect(lengths(motions, 0, 41)).toEqual({
      ms: 37,
      motions: [
        { what: "stop", ms: 20 },
        { what: "break", ms: 3 },
        { what: "start", ms: 14 },
      ],
      waits: [
        ["stop", "break", 1],
        ["break", "start", 2],
        ["start", "the end", 1],
      ],
    });
  });

  it("shows that one of two nodes was told late, though the other was in motion meanwhile", () => {
    const motions = [
      { what: "stop", from: 0, to: 10 },
      { what: "one boots", from: 10, to: 60 },
      { what: "two boots", from: 18, to: 70 },
      { what: "join", from: 70, to: 75 },
    ];
    const { ms, waits } = lengths(motions, 0, 75);
    expect(waits).toEqual([["stop", "two boots", 8]]);
    expect(ms).toBe(67);
    expect(covered(motions)).toBe(75);
  });

  it("does not count as waiting what nobody could see yet", () => {
    const motions = [
      { what: "off", from: 0, to: 10, shownAt: 11 },
      { what: "cut", from: 13, to: 14 },
    ];
    expect(lengths(motions, 0, 14)).toMatchObject({ ms: 12, waits: [["off", "cut", 2]] });
  });

  it("ends with a span: what began before it or ended after it counts no further", () => {
    const motions = [
      { what: "before", from: 0, to: 5 },
      { what: "into", from: 5, to: 12 },
      { what: "beyond", from: 15, to: 40 },
    ];
    expect(lengths(motions, 10, 20)).toMatchObject({ ms: 2, waits: [["into", "the end", 8]] });
  });

  it("divides any span into motion and waiting, and never finds more motion than there was", () => {
    const motion = fc
      .tuple(fc.nat(100), fc.nat(30), fc.nat(5))
      .map(([from, ms, late]) => ({ what: "it moves", from, to: from + ms, shownAt: from + ms + late }));
    fc.assert(
      fc.property(fc.array(motion, { maxLength: 12 }), fc.nat(60), fc.nat(60), (motions, from, ms) => {
        const to = from + ms;
        const way = criticalWay(motions, from, to);
        expect(way.ms + covered(way.waits)).toBe(ms);
        const cut = motions.map((each) => ({
          from: Math.max(from, each.from),
          to: Math.min(to, each.shownAt),
        }));
        expect(way.ms).toBeLessThanOrEqual(covered(cut.filter((each) => each.to > each.from)));
      }),
    );
  });
});

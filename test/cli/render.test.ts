import { describe, expect, it } from "vitest";

import { openLive } from "../../src/cli/live.ts";
import { plainLine } from "../../src/cli/plain.ts";
import { render } from "../../src/cli/render.ts";
import { cut, harmless, lasting, ticking, widthOf, wrap } from "../../src/cli/format.ts";
import { emptyView, seeLine, viewOf, withQuestion } from "../../src/cli/view.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { golden } from "../support/golden.ts";
import {
  backAgain,
  breakFailed,
  copying,
  givenBack,
  noon,
  plan,
  rowsAt,
  stopping,
  stuck,
  succeeded,
  upToStop,
  withPlan,
} from "./short-run.ts";

const at = (second: number) => noon + second * 1000;
const seen = (rows: readonly Line[], second: number, width = 110, height?: number) =>
  render(viewOf(rows, "8f3a"), width, at(second), { color: false, ...(height !== undefined && { height }) });
const controls = /\p{Cc}/u;

const inJapanese = (title: string) => `${title.slice(0, 4)}ミラーを切断し、それを確認する`;
const japanese = {
  ...plan,
  title: "待機系ノードのバックアップ",
  units: plan.units.map((unit) => ({
    ...unit,
    title: inJapanese(unit.title),
    ...(unit.ends !== undefined && { ends: inJapanese(unit.ends) }),
  })),
};
const nasty = "\u001b[2J\u001b]0;gone\u0007 md\u00a01\r\nnext \u009b31m\u202egnp\u2066 \ud800";

describe("a run on a terminal", () => {
  it("shows the step under way with its time, its limit and what is seen, and the service that is out", () => {
    golden("view-running.txt", seen(stopping, 26).join("\n"));
  });
  it("shows the progress of a copy", () => golden("view-copying.txt", seen(copying, 401).join("\n")));
  it("asks with the reason, the hint and the keys", () =>
    golden("view-question.txt", seen(breakFailed, 45).join("\n")));
  it("shows the way back", () => golden("view-giving-back.txt", seen(backAgain, 72).join("\n")));
  it("ends with what was given back", () => golden("view-given-back.txt", seen(givenBack, 9_999).join("\n")));
  it("ends stuck with what is left, and the service still out", () =>
    golden("view-stuck.txt", seen(stuck, 200).join("\n")));
  it("ends with the totals of what was taken away", () =>
    golden("view-succeeded.txt", seen(succeeded, 9_999).join("\n")));
  it("fits a narrow terminal", () => {
    golden("view-narrow.txt", seen(stopping, 26, 44).join("\n"));
    golden("view-very-narrow.txt", seen(breakFailed, 45, 24).join("\n"));
  });
  it("shows a low terminal the steps around the current one", () =>
    golden("view-low.txt", seen(breakFailed, 45, 80, 12).join("\n")));
  it("keeps Japanese titles in their columns", () =>
    golden("view-japanese.txt", seen(withPlan(copying, japanese), 401, 90).join("\n")));

  it("never writes a line wider than the terminal, nor more lines than it has", () => {
    for (const rows of [
      upToStop,
      stopping,
      breakFailed,
      backAgain,
      stuck,
      copying,
      succeeded,
      withPlan(stuck, japanese),
    ]) {
      for (const width of [1, 2, 5, 10, 20, 33, 60, 79, 80, 200]) {
        for (const height of [1, 2, 3, 5, 8, 13, 40]) {
          const lines = seen(rows, 500, width, height);
          // A sign of two cells does not fit into one: only there a line may be wider than asked.
          expect(Math.max(...lines.map(widthOf))).toBeLessThanOrEqual(Math.max(2, width));
          expect(lines.length).toBeLessThanOrEqual(height);
        }
      }
    }
  });
  it("shows the keys of a question on the lowest terminal", () => {
    expect(seen(breakFailed, 45, 80, 1)).toEqual(["  (r)etry  (s)kip  (g)ive back  (x) stop here"]);
  });
  it("offers to skip only where the step allows it, once that is known", () => {
    const view = viewOf(breakFailed, "8f3a");
    const asked = withQuestion(view, { units: view.question?.units ?? [], maySkip: false });
    expect(render(asked, 80, at(45), { color: false }).at(-1)).toBe("  (r)etry  (g)ive back  (x) stop here");
  });
  it("colours without changing a letter", () => {
    const coloured = render(viewOf(stuck, "8f3a"), 90, at(500), { color: true });
    expect(coloured.join("")).toContain("\u001b[31m");
    expect(coloured.map((line) => line.replace(/\p{Cc}\[[0-9;]*m/gu, ""))).toEqual(seen(stuck, 500, 90));
  });
  it("shows what would steer a terminal instead of sending it", () => {
    const evil = {
      ...plan,
      title: nasty,
      cluster: nasty,
      units: plan.units.map((unit) => ({
        ...unit,
        title: `${unit.title}${nasty}`,
        ...(unit.node !== undefined && { node: nasty }),
      })),
    };
    const rows = [
      ...withPlan(stopping, evil),
      ...rowsAt(
        [
          13,
          "read",
          {
            key: "cluster.getMirror",
            unit: "stopGroups",
            answer: { mirror: nasty, status: nasty, sides: { [nasty]: { colour: nasty } } },
          },
        ],
        [14, "failure", { unit: "stopGroups", trouble: { kind: nasty, message: nasty, hint: nasty } }],
        [15, "trouble", { where: nasty, kind: "x", message: nasty }],
        [16, "held", { by: nasty, why: nasty }],
      ),
    ];
    for (const part of [rows, rows.slice(0, -1), rows.slice(0, -3)]) {
      const view = viewOf(part, nasty);
      for (const line of render(view, 120, at(20), { color: false })) expect(line).not.toMatch(controls);
    }
    let view = emptyView(evil, nasty);
    for (const row of rows) {
      view = seeLine(view, row);
      expect(plainLine(row, view) ?? "").not.toMatch(controls);
    }
    golden("view-escapes.txt", render(viewOf(rows, nasty), 120, at(20), { color: false }).join("\n"));
  });
});

describe("a run as plain lines", () => {
  const told = (rows: readonly Line[]) => {
    let view = emptyView(plan, "8f3a");
    return rows.flatMap((row) => {
      view = seeLine(view, row);
      return plainLine(row, view, { zone: "UTC" }) ?? [];
    });
  };
  it("tells each thing once", () => golden("plain-succeeded.txt", told(succeeded).join("\n")));
  it("tells what failed, and what was left", () => golden("plain-stuck.txt", told(stuck).join("\n")));
  it("tells a lost answer as not known", () => {
    const lost = rowsAt([
      9,
      "answered",
      {
        sent: 2,
        state: "unknown",
        ms: 4000,
        failure: { kind: "timeout", message: "connection reset" },
        text: "",
        verb: "cluster.stopGroup",
      },
    ]);
    expect(told([...upToStop, ...lost]).at(-1)).toBe(
      "12:00:09 ← no answer in 4 s, a look will tell: connection reset",
    );
  });
  it("says nothing of a marker that is kept alive, unless that fails", () => {
    const renewal = plan.units[2]?.sends[1]?.request ?? { verb: "" };
    const rows = rowsAt(
      [9, "sent", { n: 9, unit: "holdNodes", request: renewal }],
      [9, "answered", { sent: 9, state: "answered", ms: 10, code: 0, verb: renewal.verb, text: "" }],
    );
    expect(told([...upToStop, ...rows])).toEqual(told(upToStop));
    const failed = rowsAt([
      9,
      "trouble",
      { where: "renewal", kind: "unavailable", message: "server2 does not answer" },
    ]);
    expect(told([...upToStop, ...failed]).at(-1)).toBe("12:00:09 ! renewal: server2 does not answer");
  });
  it("can write the time as ISO 8601", () => {
    const [first] = upToStop;
    expect(first && plainLine(first, viewOf([first], "8f3a"), { time: "iso" })).toMatch(
      /^2026-03-01T12:00:00\.000Z run 8f3a/,
    );
  });
});

describe("words and numbers", () => {
  it("counts the cells of East Asian and combining signs", () => {
    expect(["abc", "ミラー", "ﾐﾗｰ", "e\u0301", "ガ".normalize("NFD"), "✓ –", "🚀"].map(widthOf)).toEqual([
      3, 6, 3, 1, 2, 3, 2,
    ]);
  });
  it("never cuts a wide sign in half", () => {
    expect([
      cut("ミラー", 6),
      cut("ミラー", 5),
      cut("ミラー", 4),
      cut("ミラー", 1),
      cut("ミラー", 0),
    ]).toEqual(["ミラー", "ミラ…", "ミ…", "…", ""]);
  });
  it("breaks lines at spaces, and long words anywhere", () => {
    expect(wrap("one two three", 7)).toEqual(["one two", "three"]);
    expect(wrap("ミラーを切断", 4)).toEqual(["ミラ", "ーを", "切断"]);
  });
  it("writes times that tick and times that are over", () => {
    expect([42_000, 750_000, 3_723_000].map(ticking)).toEqual(["0:42", "12:30", "1:02:03"]);
    expect([0, 400, 20_100, 252_000, 3_600_000, 43_200_000, 180_000_000].map(lasting)).toEqual([
      "0 s",
      "0.4 s",
      "20 s",
      "4 min 12 s",
      "1 h",
      "12 h",
      "2 days 2 h",
    ]);
  });
  it("shows controls, direction marks and half signs as what they are", () => {
    expect(harmless("\u001b[2J\u202e\ud800\u009b")).toBe("␛[2J\\u202e\ufffd\\u009b");
  });
});

describe("the live view", () => {
  const open = (
    rows: readonly Line[],
    size: { columns?: number; rows?: number } = { columns: 90, rows: 30 },
  ) => {
    const written: string[] = [];
    const terminal = { ...size, write: (text: string) => written.push(text) };
    const live = openLive(
      terminal,
      () => viewOf(rows, "8f3a"),
      { now: () => at(20), sleep: async () => undefined },
      false,
    );
    return { live, written, terminal };
  };
  it("writes nothing before it is started, and nothing after it is closed", () => {
    const { live, written } = open(stopping);
    live.update();
    live.close();
    expect(written).toEqual([]);
  });
  it("hides the cursor only while it paints, and leaves the last state as a whole", () => {
    const { live, written } = open(stopping, { columns: 90, rows: 5 });
    live.start();
    expect(written[0]).toBe("\u001b[?25l");
    live.close();
    live.close();
    expect(written.at(-1)).toMatch(/\p{Cc}\[\?25h$/u);
    expect(written.at(-1)).toContain("Record the recovery point");
    expect(written.join("")).not.toContain("\u001b[?1049h");
  });
  it("goes back over as many rows as a narrowed terminal has made of its lines", () => {
    const { live, written, terminal } = open(stopping, { columns: 60, rows: 30 });
    live.start();
    const lines = written[1]?.split("\n").length ?? 0;
    terminal.columns = 30;
    live.above("note");
    const up = Number(/\p{Cc}\[(\d+)A/u.exec(written[2] ?? "")?.[1]);
    live.close();
    expect(up).toBeGreaterThan(lines - 1);
  });
  it("leaves the screen to a prompt, and goes on below it", () => {
    const { live, written } = open(breakFailed);
    live.start();
    live.pause();
    expect(written.at(-1)).toBe("\u001b[?25h");
    live.update();
    expect(written.at(-1)).toBe("\u001b[?25h");
    live.start();
    expect(written.at(-1)).not.toMatch(/\p{Cc}\[\d+A/u);
    live.close();
  });
});

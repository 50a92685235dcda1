/** A runbook as a graph: XState's own reader takes the JSON and walks as a run does; the picture is drawn so that it can be read. */
import {
  assign,
  createMachine,
  fromPromise,
  initialTransition,
  transition,
  type AnyMachineSnapshot,
  type AnyStateMachine,
} from "xstate";
import { describe, expect, test } from "vitest";

import backupBoth from "../../runbooks/backup-both.ts";
import backupStandby from "../../runbooks/backup-standby.ts";
import drill from "../../runbooks/drill.ts";
import restore from "../../runbooks/restore.ts";
import { broken, layOutPicture, measure, sheet } from "../../src/cli/graph-layout.ts";
import { drawRunbook } from "../../src/cli/graph-svg.ts";
import { xstateConfig } from "../../src/engine/graph.ts";
import type { Context, RunEvent } from "../../src/engine/events.ts";
import { compile, type Position } from "../../src/engine/machine.ts";
import { layOut, readParams, unitsOf, type Stage } from "../../src/runbook/list.ts";
import { approve, check, eachNode, minutes, runbook, step, together, wait } from "../../src/runbook/step.ts";
import type { Runbook } from "../../src/runbook/step.ts";

const stagesOf = (book: Runbook, given = {}, members: readonly string[] = ["active", "standby"]) =>
  layOut(book, readParams(book, given), members);

const plain = (title: string) => ({ title, done: async () => undefined, within: minutes(1) });
const back = step({ ...plain("Put it back"), do: async () => undefined });
const take = step({ ...plain("Take it"), do: async () => undefined, undo: () => back, exposes: "service" });
const small = runbook({
  title: 'A small one, with <signs> & "quotes"',
  steps: () => ({
    first: check("It holds", async () => true),
    take,
    asked: approve("Go on?"),
    both: eachNode(step({ ...plain("On each"), do: async () => undefined, undo: () => back })),
    parts: together({
      one: wait(plain("One")),
      other: step({ ...plain("Other"), do: async () => undefined }),
    }),
    back: { ...back, ends: take },
  }),
});

const again = step({ ...plain("Take it again"), do: async () => undefined, exposes: "service" });
const nested = runbook({
  title: "Two of a kind at once, and one that nothing ends",
  steps: () => ({
    costs: step({ ...plain("It costs"), do: async () => undefined, exposes: "cost" }),
    take,
    again,
    back: { ...back, ends: take },
    backAgain: { ...back, ends: again },
  }),
});

describe("the machine as JSON", () => {
  /** The names with functions of this test's own; what the order of the way back is, it takes from the real one. */
  function loaded(text: string, real: () => Context): AnyStateMachine {
    type Args = { readonly context: Context; readonly event: RunEvent };
    type Units = { readonly units: readonly string[] };
    const settled = ({ outcomes, skipped }: Context, unit: string) =>
      unit in outcomes || skipped.includes(unit);
    const verb =
      (wanted: string) =>
      ({ event }: Args) =>
        event.type === "verb" && event.verb === wanted;
    const put = (change: (args: Args, params: Units) => Partial<Context>) => assign(change as never);
    const nobody = fromPromise(async () => undefined);
    const clear = ({ context }: Args, { units }: Units) => ({
      failures: Object.fromEntries(
        Object.entries(context.failures).filter(([unit]) => !units.includes(unit)),
      ),
    });
    return createMachine(JSON.parse(text) as never).provide({
      actors: { look: nobody, approve: nobody, do: nobody, settle: nobody, ask: nobody, undo: nobody },
      guards: {
        isOfUnit: ({ event }: Args, { units }: Units) => "unit" in event && units.includes(event.unit ?? ""),
        areSettled: ({ context }: Args, { units }: Units) => units.every((unit) => settled(context, unit)),
        hasFailedOrIsTurnedBack: ({ context }: Args, { units }: Units) =>
          context.goBack || units.some((unit) => unit in context.failures),
        isTurnedBack: ({ context }: Args) => context.goBack,
        isGiveBack: verb("give-back"),
        isRetry: verb("retry"),
        isSkip: verb("skip"),
        isUndo: verb("undo"),
        isMoreToGiveBack: ({ context }: Args) => context.list.length > 0,
        isSomethingLeft: ({ context }: Args) => context.left.length > 0,
        wasNothingBegun: ({ context }: Args) => context.begun.length === 0,
      } as never,
      actions: {
        noteIntent: put(({ context, event }) =>
          event.type === "intent" && !context.begun.includes(event.unit)
            ? { begun: [...context.begun, event.unit] }
            : {},
        ),
        noteOutcome: put(({ context, event }) =>
          event.type === "outcome" ? { outcomes: { ...context.outcomes, [event.unit]: event.found } } : {},
        ),
        noteFailure: put(({ context, event }) =>
          event.type === "failure" ? { failures: { ...context.failures, [event.unit]: event.trouble } } : {},
        ),
        turnBack: put(() => ({ goBack: true })),
        clearFailures: put(clear),
        skip: put((args, params) => ({
          ...clear(args, params),
          skipped: [...args.context.skipped, ...params.units.filter((unit) => !settled(args.context, unit))],
        })),
        dropFirst: put(({ context }) => ({ list: context.list.slice(1) })),
        listWhatIsGivenBack: put(() => (real().list.length > 0 ? { list: real().list } : {})),
        putBackOrLeave: put(() => ({ list: real().list, left: real().left })),
        listWhatWasLeft: put(() => ({ list: real().list, left: [] })),
      },
    });
  }

  /** One and the same each time. */
  function dice(seed: number): (below: number) => number {
    let state = seed * 2654435761 + 1;
    return (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
  }

  const trouble = { kind: "conflict", message: "no" };
  /** Something that may happen now. */
  function anEvent(position: Position, roll: (below: number) => number): RunEvent | undefined {
    const verb = (word: "retry" | "skip" | "give-back" | "undo"): RunEvent => ({
      type: "verb",
      verb: word,
      by: "me",
      why: "",
    });
    if (position.snapshot.value === "stuck") return verb("undo");
    const task = position.tasks[roll(Math.max(1, position.tasks.length))];
    if (task === undefined) return undefined;
    if (roll(40) === 0) return verb("give-back");
    const unit = task.units[0] ?? "";
    const outcome: RunEvent = { type: "outcome", unit, found: { of: unit }, already: false };
    const failure: RunEvent = { type: "failure", unit, trouble };
    const fails = roll(12) === 0;
    switch (task.kind) {
      case "look":
        return fails ? failure : roll(3) === 0 ? outcome : { type: "intent", unit, before: null };
      case "do":
        return fails ? failure : roll(4) === 0 ? outcome : { type: "acted", unit };
      case "settle":
      case "approve":
        return fails ? failure : outcome;
      case "ask":
        return verb((["retry", "skip", "give-back"] as const)[roll(3)] ?? "retry");
      case "undo":
        return roll(3) === 0
          ? { type: "not-undone", unit, trouble, again: roll(2) === 0, atOnce: roll(2) === 0 }
          : { type: "undone", unit, already: false };
    }
  }

  test.each<[string, readonly Stage[], number]>([
    ["a small runbook", stagesOf(small), 30],
    ["backup-standby", stagesOf(backupStandby), 4],
  ])("%s: XState's createMachine takes it, and it goes wherever a run goes", (_, stages, plays) => {
    const text = JSON.stringify(xstateConfig(stages));
    const machine = compile(stages);
    const ends = new Set<string>();
    const met = new Set<string>();
    let position = machine.start();
    const other = loaded(text, () => machine.contextOf(position));
    for (let seed = 1; seed <= plays; seed += 1) {
      const roll = dice(seed);
      position = machine.start();
      let snapshot: AnyMachineSnapshot = initialTransition(other)[0];
      for (let n = 0; n < 400; n += 1) {
        expect(snapshot.value).toEqual(position.snapshot.value);
        const end = machine.endOf(position);
        if (end !== undefined) ends.add(end);
        const event = anEvent(position, roll);
        if (event === undefined) break;
        position = machine.next(position, event);
        snapshot = transition(other, snapshot, event)[0];
        met.add(event.type === "verb" ? event.verb : event.type);
      }
      expect(snapshot.value).toEqual(position.snapshot.value);
    }
    if (plays > 20) {
      expect([...ends].sort()).toEqual(["given back", "refused", "stuck", "succeeded"]);
      expect([...met]).toEqual(expect.arrayContaining(["skip", "undo", "retry", "give-back", "not-undone"]));
    }
  });

  test("is plain data, with the titles of the steps, and says no more than the machine has", () => {
    const config = xstateConfig(stagesOf(small));
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
    expect(config).toMatchObject({
      id: "run",
      states: { both: { states: { work: { states: { "both@active": { description: "On each" } } } } } },
    });
  });

  test.each([backupBoth, restore, drill])("of every runbook has a name for each guard and action", (book) => {
    expect(createMachine(xstateConfig(stagesOf(book)) as never).root.states["givingBack"]).toBeDefined();
  });
});

describe("the picture", () => {
  const books: readonly (readonly [string, Runbook, object, readonly string[]])[] = [
    ["early", backupStandby, { service: "early" }, ["active", "standby"]],
    ["late", backupStandby, { service: "late" }, ["active", "standby"]],
    ["restore", restore, {}, ["active", "standby"]],
    ["backup-both", backupBoth, {}, ["active", "standby"]],
    ["drill", drill, {}, ["scratch"]],
    ["restore warm=fast", restore, { warm: "fast" }, ["active", "standby"]],
    ["small", small, {}, ["active", "standby"]],
    ["nested", nested, {}, ["active", "standby"]],
  ];

  test.each(books)(
    "of %s: no box lies on another, no text is wider than its box, and bars keep apart",
    (_, book, given, members) => {
      const { rows, bars } = layOutPicture(stagesOf(book, given, members), 100);
      const boxes = rows.flatMap((row) => [...row.boxes, ...(row.undo ? [row.undo] : [])]);
      for (const [i, box] of boxes.entries()) {
        for (const other of boxes.slice(i + 1))
          expect(
            box.x + box.width <= other.x ||
              other.x + other.width <= box.x ||
              box.y + box.height <= other.y ||
              other.y + other.height <= box.y,
          ).toBe(true);
        for (const line of box.lines)
          expect(measure(line.text, sheet.titleSize)).toBeLessThanOrEqual(box.width - 2 * sheet.pad);
        for (const note of box.notes)
          expect(measure(note, sheet.noteSize)).toBeLessThanOrEqual(box.width - 2 * sheet.pad);
      }
      for (const [i, bar] of bars.entries()) {
        expect(bar.to).toBeGreaterThan(bar.from);
        for (const other of bars.slice(i + 1))
          expect(bar.lane !== other.lane || bar.to <= other.from || other.to <= bar.from).toBe(true);
      }
    },
  );

  test("has a bar from the step that takes the service to the one that ends that, in either order of the parameters", () => {
    for (const service of ["early", "late"]) {
      const stages = stagesOf(backupStandby, { service });
      const { rows, bars } = layOutPicture(stages, 0);
      const noted = (key: string) =>
        rows.find((row) => row.boxes.some((box) => box.notes[0]?.startsWith(`${key} ·`)));
      const middle = (key: string) => (noted(key)?.y ?? 0) + (noted(key)?.height ?? 0) / 2;
      expect(bars).toMatchObject([
        { what: "service", lane: 0, from: middle("stopGroups"), to: middle("startGroups"), open: false },
        { what: "redundancy", lane: 1, from: middle("breakMirrors"), to: middle("mirrorsBack"), open: false },
      ]);
    }
  });

  test("has a lane of its own for what overlaps, and leaves a bar open that nothing ends", () => {
    const { bars, lanes, bottom } = layOutPicture(stagesOf(nested), 0);
    expect(lanes).toBe(3);
    expect(bars.map(({ what, lane, open }) => [what, lane, open])).toEqual([
      ["cost", 2, true],
      ["service", 0, false],
      ["service", 1, false],
    ]);
    expect(bars[0]?.to).toBe(bottom);
  });

  test("numbers the stages as a plan does, and the way back by its turns: service first, marks last", () => {
    const { rows } = layOutPicture(stagesOf(backupStandby), 0);
    const turns = rows.flatMap(({ boxes, undo }) => (undo ? [[boxes[0]?.number, undo.number]] : []));
    expect(turns).toEqual([
      ["1", "6"],
      ["2", "5"],
      ["3", "1"],
      ["4", "3"],
      ["5", "4"],
      ["8", "2"],
    ]);
  });

  const svg = drawRunbook({
    name: "small",
    title: small.title,
    params: { how: "a<b" },
    stages: stagesOf(small),
  });

  test("stands alone: nothing from outside, no script, light and dark, and text stays text", () => {
    expect(svg).not.toMatch(/<script|<image|<foreignObject|href=|url\(|@import|@font-face| on\w+=/i);
    expect(svg.match(/https?:\/\/[^"]*/g)).toEqual(["http://www.w3.org/2000/svg"]);
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg).toContain("A small one, with &#60;signs&#62; &#38; &#34;quotes&#34;");
    expect(svg).not.toContain("<signs>");
    expect(svg).toContain("how=a&#60;b");
  });

  test("is well-formed, and shows every step once, with what gives it back", () => {
    const open: string[] = [];
    for (const [, close, name = "", empty] of svg.matchAll(/<(\/?)([a-zA-Z]+)[^<>]*?(\/?)>/g)) {
      if (empty) continue;
      if (close) expect(open.pop()).toBe(name);
      else open.push(name);
    }
    expect(open).toEqual([]);
    for (const { key, step: each } of unitsOf(stagesOf(small)).filter(
      ({ step: { kind } }) => kind !== "check",
    ))
      expect(svg, key).toContain(each.title.split(" ")[0]);
    expect(svg.split("Put it back").length - 1).toBe(3);
  });

  test("breaks words that are too long, and scripts without spaces", () => {
    for (const text of ["x".repeat(300), "待".repeat(90), `a ${"m".repeat(80)} b`]) {
      const lines = broken(text, 200, 13);
      expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
      for (const line of lines) expect(measure(line, 13)).toBeLessThanOrEqual(200);
    }
    expect(broken("", 200, 13)).toEqual([]);
  });
});

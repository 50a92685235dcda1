import { describe, expect, it } from "vitest";

import type { RunEvent } from "../../src/engine/events.ts";
import { compile } from "../../src/engine/machine.ts";
import type { Stage } from "../../src/runbook/list.ts";
import { check, step } from "../../src/runbook/step.ts";

const plain = (title: string, exposes?: "service") =>
  step({
    title,
    done: async () => undefined,
    do: async () => undefined,
    within: 1000,
    undo: () => [],
    ...(exposes && { exposes }),
  });
const stages: Stage[] = [
  { key: "look", units: [{ key: "look", step: check("Look", async () => 1), node: undefined }] },
  { key: "stop", units: [{ key: "stop", step: plain("Stop", "service"), node: undefined }] },
  {
    key: "both",
    units: ["a", "b"].map((node) => ({ key: `both@${node}`, step: plain("Both"), node })),
  },
];

function play(...events: RunEvent[]) {
  const machine = compile(stages);
  let at = machine.start();
  for (const event of events) at = machine.next(at, event);
  return {
    places: machine.placesOf(at),
    tasks: at.tasks.map((task) => task.id),
    end: machine.endOf(at),
    context: machine.contextOf(at),
  };
}
const outcome = (unit: string): RunEvent => ({ type: "outcome", unit, found: 1, already: false });
const intent = (unit: string): RunEvent => ({ type: "intent", unit, before: null });
const failure = (unit: string): RunEvent => ({
  type: "failure",
  unit,
  trouble: { kind: "timeout", message: "too late" },
});
const verb = (name: "retry" | "skip" | "give-back" | "undo"): RunEvent => ({
  type: "verb",
  verb: name,
  by: "me",
  why: "",
});

describe("the machine", () => {
  it("walks stage by stage, looking first", () => {
    expect(play().tasks).toEqual(["look:look"]);
    expect(play(outcome("look")).tasks).toEqual(["stop:look"]);
    expect(play(outcome("look"), intent("stop")).tasks).toEqual(["stop:do"]);
    expect(play(outcome("look"), intent("stop"), { type: "acted", unit: "stop" }).tasks).toEqual([
      "stop:settle",
    ]);
  });

  it("runs the units of a stage side by side and joins them", () => {
    const upTo = [outcome("look"), outcome("stop")];
    expect(play(...upTo).tasks).toEqual(["both@a:look", "both@b:look"]);
    expect(play(...upTo, outcome("both@a")).end).toBeUndefined();
    expect(play(...upTo, outcome("both@a"), outcome("both@b")).end).toBe("succeeded");
  });

  it("does not leave a stage before every unit has ended", () => {
    const state = play(
      outcome("look"),
      outcome("stop"),
      intent("both@a"),
      intent("both@b"),
      failure("both@a"),
    );
    expect(state.tasks).toEqual(["both@b:do"]);
    expect(state.places.join()).toContain("both.work");
  });

  it("asks what to do with a failure, and retries only what failed", () => {
    const upTo = [outcome("look"), outcome("stop"), outcome("both@a"), failure("both@b")];
    expect(play(...upTo).tasks).toEqual(["both:ask"]);
    expect(play(...upTo, verb("retry")).tasks).toEqual(["both@b:look"]);
    expect(play(...upTo, verb("skip")).end).toBe("succeeded");
  });

  it("gives back in reverse order, service first", () => {
    const upTo = [outcome("look"), intent("stop"), outcome("stop"), intent("both@a"), intent("both@b")];
    const failed = play(...upTo, failure("both@a"), failure("both@b"), verb("give-back"));
    expect(failed.context.list).toEqual(["stop", "both@b", "both@a"]);
    expect(failed.tasks).toEqual(["undo"]);
  });

  it("is refused when nothing was begun", () => {
    expect(play(failure("look"), verb("give-back")).end).toBe("refused");
  });

  it("puts an undo that cannot be done now behind the others, and is stuck when it never can", () => {
    const trouble = { kind: "unavailable", message: "off" };
    const upTo = [outcome("look"), intent("stop"), failure("stop"), verb("give-back")];
    const again = play(...upTo, { type: "not-undone", unit: "stop", trouble, again: true, atOnce: false });
    expect(again.context.list).toEqual(["stop"]);
    expect(again.tasks).toEqual(["undo"]);
    const stuck: RunEvent[] = [
      ...upTo,
      { type: "not-undone", unit: "stop", trouble, again: false, atOnce: false },
    ];
    expect(play(...stuck).end).toBe("stuck");
    expect(play(...stuck, verb("undo")).tasks).toEqual(["undo"]);
    expect(play(...stuck, verb("undo"), { type: "undone", unit: "stop", already: false }).end).toBe(
      "given back",
    );
  });
});

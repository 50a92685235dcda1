import { describe, expect, it } from "vitest";

import { wayBack, type BackUnit } from "../../src/engine/way-back.ts";

const unit = (key: string, more: Partial<BackUnit> = {}): BackUnit => ({
  key,
  exposes: undefined,
  undoWhen: undefined,
  keptAlive: false,
  canBeGivenBack: true,
  ...more,
});
const none = () => false;

describe("the order of the way back", () => {
  const backup = wayBack([
    unit("holdNodes", { keptAlive: true }),
    unit("armTimer", { keptAlive: true }),
    unit("stopGroups", { exposes: "service" }),
    unit("suspend"),
    unit("break", { exposes: "redundancy" }),
    unit("prepare"),
    unit("snapshot", { canBeGivenBack: false }),
  ]);
  const begun = ["holdNodes", "armTimer", "stopGroups", "suspend", "break", "prepare", "snapshot"];

  it("is the service first, then newest first, redundancy last, and what is kept alive at the very end", () => {
    expect(backup.list(begun, none)).toEqual([
      "stopGroups",
      "prepare",
      "suspend",
      "break",
      "armTimer",
      "holdNodes",
    ]);
  });

  it("leaves out what a later step has ended, but never the service", () => {
    expect(backup.list(begun, () => true)).toEqual(["stopGroups"]);
  });

  it("takes what waits for the service alone right after it, wherever that is, and never behind a move", () => {
    const hook = (key: string) => unit(key, { undoWhen: "after service" });
    const units = [
      unit("holdNodes", { keptAlive: true }),
      unit("move", { exposes: "service", undoWhen: "last" }),
      hook("early"),
      unit("stop", { exposes: "service" }),
      unit("suspend"),
      hook("late"),
      unit("break", { exposes: "redundancy" }),
    ];
    const all = units.map(({ key }) => key);
    expect(wayBack(units).list(all, none)).toEqual([
      "stop",
      "late",
      "early",
      "suspend",
      "break",
      "move",
      "holdNodes",
    ]);
    const restore = units.map((each) =>
      each.key === "stop" ? unit("stop", { exposes: "service", undoWhen: "in turn" }) : each,
    );
    expect(wayBack(restore).list(all, none)).toEqual([
      "suspend",
      "stop",
      "late",
      "early",
      "break",
      "move",
      "holdNodes",
    ]);
    expect(wayBack(units).list(["early", "suspend", "break"], none)).toEqual(["early", "suspend", "break"]);
  });

  it("follows a step's own word: in turn, whatever it exposes, or after redundancy", () => {
    const other = wayBack([
      unit("move", { exposes: "service", undoWhen: "last" }),
      unit("stopAll", { exposes: "service", undoWhen: "in turn" }),
      unit("nodesOff", { exposes: "redundancy", undoWhen: "in turn" }),
      unit("swap"),
      unit("break", { exposes: "redundancy" }),
    ]);
    expect(other.list(["move", "stopAll", "nodesOff", "swap", "break"], none)).toEqual([
      "swap",
      "nodesOff",
      "stopAll",
      "break",
      "move",
    ]);
    // Ended or not, a service that was taken is looked at.
    expect(other.list(["move", "stopAll", "swap"], () => true)).toEqual(["stopAll", "move"]);
  });

  it("gives one of the others its turn when the first could not be given back now", () => {
    expect(backup.putBack(["prepare", "suspend", "break", "armTimer"], false)).toEqual([
      "suspend",
      "prepare",
      "break",
      "armTimer",
    ]);
    expect(backup.putBack(["stopGroups", "prepare"], true)).toEqual(["stopGroups", "prepare"]);
    expect(backup.putBack(["armTimer", "holdNodes"], false)).toEqual(["armTimer", "holdNodes"]);
  });
});

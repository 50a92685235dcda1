import { describe, expect, it } from "vitest";

import { emptyView, viewOf, type View } from "../../src/cli/view.ts";
import { exposedFor } from "../../src/cli/windows.ts";
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
} from "./short-run.ts";

const stateOf = (view: View, key: string) => view.steps.find((step) => step.key === key)?.state;
const secondsOf = (view: View, what: "service" | "redundancy", second: number) =>
  (exposedFor(view.exposures, what, noon + second * 1000)?.ms ?? 0) / 1000;

describe("the view of a run", () => {
  it("begins with every step to come and nothing taken away", () => {
    const view = emptyView(plan, "8f3a");
    expect(new Set(view.steps.map((step) => step.state))).toEqual(new Set(["to come"]));
    expect(view.exposures).toEqual([]);
  });

  it("looks at the first stage as soon as the run has started", () => {
    const view = viewOf(upToStop.slice(0, 1));
    expect(stateOf(view, "roles")).toBe("looking");
    expect(stateOf(view, "volumesFound")).toBe("to come");
  });

  it("counts an exposure from the intent of the step that takes it, not from its outcome", () => {
    expect(secondsOf(viewOf(stopping), "service", 20)).toBe(15);
  });

  it("ends an exposure with the outcome of the step that says so, and not before", () => {
    const view = viewOf(copying);
    expect(secondsOf(view, "service", 400)).toBe(32);
    expect(exposedFor(view.exposures, "redundancy", noon + 400_000)?.open?.step).toBe("breakMirrors");
    expect(secondsOf(viewOf(succeeded), "redundancy", 9_999)).toBe(471);
  });

  it("ends an exposure when its step was given back", () => {
    const view = viewOf(givenBack);
    expect(secondsOf(view, "service", 9_999)).toBe(64);
    expect(secondsOf(view, "redundancy", 9_999)).toBe(41);
  });

  it("does not count the intent of a second try as a second exposure", () => {
    const again = [
      ...breakFailed,
      ...rowsAt(
        [40, "verb", { verb: "retry", by: "ops", why: "" }],
        [41, "intent", { unit: "breakMirrors", before: null }],
      ),
    ];
    const view = viewOf(again);
    expect(view.question).toBeUndefined();
    expect(stateOf(view, "breakMirrors")).toBe("doing");
    expect(secondsOf(view, "redundancy", 49)).toBe(20);
  });

  it("asks about a failed step only when everything beside it has ended", () => {
    const view = viewOf(breakFailed);
    expect(view.question?.units.map((unit) => unit.key)).toEqual(["breakMirrors"]);
    const half = viewOf([
      ...upToStop,
      ...rowsAt(
        [26, "outcome", { unit: "stopGroups", found: 1, already: false }],
        [27, "failure", { unit: "suspendMonitors@server1", trouble: { kind: "conflict", message: "no" } }],
      ),
    ]);
    expect(half.question).toBeUndefined();
    expect(stateOf(half, "suspendMonitors@server2")).toBe("looking");
  });

  it("asks nothing when a check fails before anything was begun", () => {
    const view = viewOf([
      ...upToStop.slice(0, 2),
      ...rowsAt([2, "failure", { unit: "volumesFound", trouble: { kind: "precondition", message: "no" } }]),
    ]);
    expect(view.question).toBeUndefined();
  });

  it("goes on after a skipped step", () => {
    const view = viewOf([...breakFailed, ...rowsAt([40, "verb", { verb: "skip", by: "ops", why: "" }])]);
    expect(stateOf(view, "breakMirrors")).toBe("skipped");
    expect(stateOf(view, "startGroups")).toBe("looking");
  });

  it("gives back what exposes the service first, and what may wait for a copy late", () => {
    const [verb, ...rest] = backAgain.slice(breakFailed.length);
    const first = viewOf([...breakFailed, ...(verb ? [verb] : [])]);
    expect(first.back).toEqual(["stopGroups", "suspendMonitors@server1", "breakMirrors", "holdNodes"]);
    expect(stateOf(first, "stopGroups")).toBe("giving back");
    expect(stateOf(first, "breakMirrors")).toBe("failed");
    expect(rest.length).toBeGreaterThan(0);
    expect(stateOf(viewOf(backAgain), "holdNodes")).toBe("giving back");
  });

  it("gives another step its turn before what cannot be given back yet", () => {
    const view = viewOf(stuck.slice(0, breakFailed.length + 2));
    expect(view.back).toEqual(["suspendMonitors@server1", "stopGroups", "breakMirrors", "holdNodes"]);
  });

  it("tries again what was left when a person says undo", () => {
    const view = viewOf([
      ...stuck,
      ...rowsAt(
        [999, "taken-over", { by: "ops" }],
        [1000, "verb", { verb: "undo", by: "ops", why: "mended" }],
      ),
    ]);
    expect(view.end).toBeUndefined();
    expect(view.back).toEqual(["stopGroups", "holdNodes"]);
    expect(stateOf(view, "stopGroups")).toBe("giving back");
  });

  it("asks again when a run that was stopped by hand is taken over", () => {
    const held = [...breakFailed, ...rowsAt([50, "held", { by: "ops", why: "lunch" }])];
    expect(viewOf(held).end).toMatchObject({ end: "held", why: "lunch" });
    const resumed = viewOf([...held, ...rowsAt([60, "taken-over", { by: "ops" }])]);
    expect(resumed.end).toBeUndefined();
    expect(resumed.question?.units).toHaveLength(1);
  });

  it("tells a copy's progress at every tenth part, and notes every part", () => {
    const news = copying.slice(-3).map((_, i) => viewOf(copying.slice(0, copying.length - 2 + i)).news);
    expect(news).toEqual([
      "md1 recovering 12 % (server1 GREEN, server2 YELLOW)",
      undefined,
      "md1 recovering 42 % (server1 GREEN, server2 YELLOW)",
    ]);
    expect(viewOf(copying).steps.find((step) => step.key === "mirrorsBack")?.note).toContain("42 %");
  });

  it("forecasts an outage only when history knows every step of it", () => {
    const known: { readonly [key: string]: number } = {
      stopGroups: 20_000,
      "suspendMonitors@server1": 1000,
      "suspendMonitors@server2": 3000,
      breakMirrors: 2000,
      startGroups: 5000,
    };
    expect(emptyView(plan, "", (key) => known[key]).forecast).toEqual({
      service: 30_000,
      redundancy: undefined,
      cost: 0,
    });
  });

  it("is not moved by rows that it does not know, or whose body is not as expected", () => {
    const odd = rowsAt(
      [6, "from-another-version", { unit: "stopGroups" }],
      [6, "read", { key: 7, unit: "stopGroups", answer: "cut…" }],
      [6, "outcome", { unit: ["x"] }],
      [6, "failure", { unit: "stopGroups" }],
    );
    const view = viewOf([...upToStop, ...odd]);
    expect(view.failures).toMatchObject([{ message: "no reason was written down" }]);
  });
});

/** The view is folded from the same rows as the machine, by other code: here the two are held against each other. */
import { afterEach, describe, expect, it } from "vitest";

import { emptyView, seeLine, type View } from "../../src/cli/view.ts";
import { begin, openExposures, take, type Told } from "../../src/engine/fold.ts";
import { compile } from "../../src/engine/machine.ts";
import type { Line } from "../../src/engine/logbook.ts";
import { layOut } from "../../src/runbook/list.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import { openSimulation, type Simulation } from "../support/simulation.ts";

let sim: Simulation;
afterEach(() => sim.close());

/** What the machine has running, in the words of the view; a task that is asked of a person is a question. */
function machineSays(told: Told): readonly string[] {
  const words = {
    look: "looking",
    do: "doing",
    settle: "settling",
    undo: "giving back",
    approve: "waiting for you",
    ask: "asked",
  };
  return told.position.tasks
    .flatMap((task) => task.units.map((unit) => `${unit} ${words[task.kind]}`))
    .toSorted();
}

function viewSays(view: View): readonly string[] {
  const active = view.steps.flatMap(({ key, state }) =>
    state === "looking" ||
    state === "doing" ||
    state === "settling" ||
    (state === "giving back" && view.back?.[0] === key)
      ? [`${key} ${state}`]
      : [],
  );
  return [...active, ...(view.question?.units ?? []).map((unit) => `${unit.key} asked`)].toSorted();
}

function compare(plan: Plan, rows: readonly Line[], members: readonly string[]): View {
  const stages = layOut(sim.runbook, plan.params, members);
  const machine = compile(stages);
  const told = begin(machine);
  let view = emptyView(plan, "run");
  for (const row of rows) {
    take(told, machine, row.kind, row.body, row.at);
    view = seeLine(view, row);
    if (row.kind === "end" || row.kind === "held") continue;
    // Before its first act a run is refused without a question, whatever the machine would ask.
    if (view.begun.length > 0)
      expect(viewSays(view), JSON.stringify(row).slice(0, 200)).toEqual(machineSays(told));
    const open = openExposures(stages, machine.contextOf(told.position), told);
    expect(view.exposures.filter((exposure) => exposure.until === undefined)).toEqual(
      open.map(({ unit, what, since }) => ({ step: unit.key, what, since, until: undefined })),
    );
  }
  return view;
}

async function rowsOf(runner: ReturnType<Simulation["runner"]>): Promise<readonly Line[]> {
  const [summary] = await runner.store.list();
  return (await runner.store.read(summary?.run ?? "")).rows;
}

describe("the view agrees with the machine at every row", () => {
  it("in a run that succeeds", async () => {
    sim = await openSimulation();
    const runner = sim.runner();
    const { plan, ended } = await runner.run({ service: "late" });
    expect(ended.end).toBe("succeeded");
    const view = compare(plan, await rowsOf(runner), sim.lab.cluster("prod").names);
    expect(view.end?.end).toBe("succeeded");
    expect(view.exposures.map(({ what }) => what).toSorted()).toEqual(["redundancy", "service"]);
  });

  it.each(["stopGroups", "suspendMonitors@server1", "breakMirrors", "snapshotVolumes", "mirrorsBack"])(
    "in a run that the operator gives back at %s",
    async (unit) => {
      sim = await openSimulation();
      const runner = sim.runner();
      const plan = await runner.plan({ service: "early" });
      const walk = await runner.start(plan, {
        onLine: (line) => {
          if (line.kind === "intent" && line.body["unit"] === unit) walk.wantBack("operator", "enough");
        },
      });
      const ended = await walk.go();
      await walk.close();
      const view = compare(plan, await rowsOf(runner), sim.lab.cluster("prod").names);
      expect(view.end?.end).toBe(ended.end);
    },
  );
});

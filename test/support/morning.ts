/** A night that left a cluster somewhere, and the morning after: a plan and a run by looking alone, and what came of it. */
import { expect } from "vitest";

import { commandsFor } from "../../src/cli/by-hand.ts";
import type { Ended } from "../../src/engine/walk.ts";
import { differences } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import type { Fault } from "../../src/lab/world.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import type { Params } from "../../src/runbook/step.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "./simulation.ts";
import { story } from "./story.ts";
import { worldOf } from "./world.ts";

export interface Night {
  readonly runbook?: string;
  /** Each meets a command of the run. */
  readonly faults?: readonly {
    match: string;
    node?: string;
    action: Fault["action"];
    times?: number;
    skip?: number;
  }[];
  readonly befalls: (sim: Simulation) => Promise<unknown>;
  readonly world?: SimulationOptions;
  readonly params?: Params;
}

export interface Morning {
  readonly sim: Simulation;
  readonly plan: Plan;
  readonly ended: Ended;
  readonly run: string;
  /** What differs from the world before the night, once it has come to rest. */
  readonly changed: readonly string[];
  /** What the lab received as writes, one line each, marks left out. */
  readonly writes: readonly string[];
  readonly told: readonly string[];
  readonly byHand: { readonly [unit: string]: readonly string[] };
  readonly story: string;
}

/** Plays a night and a `give-back` after it, and what must hold of every one. */
export async function play(night: Night, check: (morning: Morning) => Promise<void> | void): Promise<void> {
  const sim = await openSimulation({
    files: { "orders.txt": "one" },
    ...night.world,
    runbook: night.runbook ?? "runbooks/give-back.ts",
  });
  try {
    const before = worldOf(sim.lab);
    await night.befalls(sim);
    // What a person's hand broke in the night is what the morning begins with.
    sim.breaches.length = 0;
    const heard = sim.lab.heart.received.length;
    const runner = sim.runner();
    const plan = await runner.plan(night.params);
    for (const fault of night.faults ?? []) sim.lab.heart.addFault(fault);
    const walk = await runner.start(plan);
    const ended = await walk.go();
    await walk.close();
    sim.lab.heart.faults.length = 0;
    await settle(sim.lab);
    const writes = sim.lab.heart.received
      .slice(heard)
      .filter(({ class: kind, line }) => kind === "write" && !/Marker/.test(line))
      .map(({ node, line }) => `${node ?? "cloud"}: ${line}`);
    const lines = walk.logbook.lines;
    const morning: Morning = {
      sim,
      plan,
      ended,
      run: walk.run,
      changed: differences(before, worldOf(sim.lab)),
      writes,
      told: lines.flatMap(({ kind, body }) =>
        kind === "outcome" ? ((body["found"] as { told?: readonly string[] } | null)?.told ?? []) : [],
      ),
      byHand: Object.fromEntries(
        ended.left.map(({ unit }) => [unit.key, commandsFor(plan, unit.key, lines)]),
      ),
      story: story(lines),
    };
    expect([sim.breaches, sim.gaps()], morning.story).toEqual([[], []]);
    expect(writes.filter((line) => line.includes("--force"))).toEqual([]);
    for (const node of sim.lab.cluster().names)
      expect(JSON.stringify(sim.lab.node(node).files.tree("/var/lib/runbook"))).not.toContain(walk.run);
    await check(morning);
  } finally {
    sim.close();
  }
}

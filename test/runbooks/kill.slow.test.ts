import { describe, expect, it } from "vitest";

import { everyRow, type Outcome } from "../support/kill.ts";

const clean = (outcome: Outcome) =>
  outcome.breaches.length === 0 &&
  outcome.gaps.length === 0 &&
  outcome.lies.length === 0 &&
  outcome.stops <= 1;

describe("backup-standby, killed before and after rows of its journal and resumed at once", () => {
  it.each([
    { service: "early", world: {} },
    { service: "late", world: {} },
    { service: "early", world: { mirrors: 3 } },
  ] as const)(
    "ends as if never killed (service $service, $world)",
    { timeout: 600_000 },
    async ({ service, world }) => {
      const mirrors = "mirrors" in world ? world.mirrors : 1;
      const bad = await everyRow(
        1,
        { params: { service }, world },
        (outcome) =>
          clean(outcome) &&
          outcome.end === "succeeded" &&
          outcome.snapshots === mirrors &&
          outcome.stops === 1 &&
          outcome.changed.length === 0,
      );
      expect(bad).toEqual([]);
    },
  );
});

describe("backup-standby, killed, and resumed after something happened", () => {
  const nights: readonly { name: string; meanwhile: Parameters<typeof everyRow>[1]["meanwhile"] & {} }[] = [
    { name: "the dead-man timer had its time", meanwhile: async (sim) => sim.clock.sleep(20 * 60_000) },
    {
      name: "the standby rebooted unasked",
      meanwhile: async (sim) => {
        sim.lab.rebootUnasked("server2");
        await sim.clock.sleep(4 * 60_000);
      },
    },
  ];
  for (const service of ["early", "late"] as const) {
    it.each(nights)(
      `$name: given back or succeeded, truthfully, the service stopped once (service ${service})`,
      { timeout: 600_000 },
      async ({ meanwhile }) => {
        const bad = await everyRow(
          1,
          { params: { service }, meanwhile },
          (outcome) =>
            clean(outcome) &&
            ["succeeded", "given back"].includes(outcome.end) &&
            outcome.changed.length === 0,
        );
        expect(bad).toEqual([]);
      },
    );
  }

  // A group that moved to the other node is served there: it is left where it is.
  it.each(["early", "late"] as const)(
    "the group had failed over: given back or succeeded, and the service runs (service %s)",
    { timeout: 600_000 },
    async (service) => {
      const bad = await everyRow(
        1,
        {
          params: { service },
          meanwhile: async (sim) => {
            await sim.lab.failover();
            await sim.clock.sleep(4 * 60_000);
          },
        },
        // Before anything was begun, a run refuses when the roles are no longer those of its plan.
        (outcome) =>
          clean(outcome) && ["succeeded", "given back", "refused"].includes(outcome.end) && outcome.serving,
      );
      expect(bad).toEqual([]);
    },
  );
});

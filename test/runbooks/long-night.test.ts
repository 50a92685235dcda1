/**
 * Twelve hours of copying, in less time than it takes to read this: the promise of the virtual clock. This file plays
 * alone, so that what it takes tells of the simulation and not of its neighbours.
 */
import { beforeAll, expect, it } from "vitest";

import { describeWorld } from "../../src/lab/compare.ts";
import { golden } from "../support/golden.ts";
import { openSimulation } from "../support/simulation.ts";
import { plainWrites } from "../support/writes.ts";

// The SDK and the runbook's TypeScript take a second to load and to warm up; that is no part of any night.
beforeAll(async () => {
  const sim = await openSimulation();
  await sim.runner().run();
  sim.close();
});

it("ends well after twelve hours of copying, and leaves the cluster as it found it", async ({
  onTestFinished,
}) => {
  const sim = await openSimulation({ cloud: { snapshotSeconds: 12 * 3600 } });
  onTestFinished(() => sim.close());
  const before = describeWorld(sim.lab);
  const { ended, walk } = await sim.runner().run({ service: "early" });
  expect(ended).toMatchObject({ end: "succeeded", exposures: [], left: [] });
  expect(walk.logbook.context().outcomes["recordPoint"]).toMatchObject({ consistency: "quiesced" });
  expect([sim.gaps(), sim.breaches]).toEqual([[], []]);
  expect(describeWorld(sim.lab)).toEqual(before);
  const truths = sim.lab.cloud.listSnapshots().map(({ truth }) => truth);
  expect(truths).toEqual([{ powerOff: true, isolated: true, clean: true }]);
  golden("backup-standby.early.writes.txt", plainWrites(sim.lab.heart.received));
});

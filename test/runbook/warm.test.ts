import fc from "fast-check";
import { describe, expect, it } from "vitest";

import { Cloud } from "../../src/lab/cloud.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { Heart } from "../../src/lab/world.ts";
import { creditsAt, creditTime, optimizingTime, rateTime } from "../../src/runbook/warm.ts";

const hour = 3_600_000;
const minute = 60_000;

describe("credits of fast restore", () => {
  it("the bucket starts empty, and a small snapshot has a credit every six minutes", () => {
    expect(creditsAt(100, 0, [], 0)).toBe(0);
    expect(creditsAt(100, 0, [], 6 * minute)).toBeCloseTo(1);
    expect(creditsAt(8, 0, [], 5 * hour)).toBe(10);
  });

  it("over one TiB it holds one at most, and fills slower", () => {
    expect(creditsAt(2048, 0, [], hour)).toBeCloseTo(0.5);
    expect(creditsAt(2048, 0, [], 30 * hour)).toBe(1);
    expect(creditsAt(2048, 0, [3 * hour], 4 * hour)).toBeCloseTo(0.5);
  });

  it("a volume that was made without a whole credit took none", () => {
    expect(creditsAt(2048, 0, [hour], 2 * hour)).toBeCloseTo(1);
  });

  it("says as the lab's cloud does, whenever volumes are made", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(8, 100, 500, 1024, 3000),
        fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 6 }),
        async (sizeGiB, pauses) => {
          const clock = new VirtualClock();
          const cloud = new Cloud(new Heart(clock));
          const zone = cloud.settings.zones[0] ?? "";
          const content = { kind: "root", data: {}, control: { disk: "00000000" }, dirty: false } as const;
          const volume = cloud.addVolume({ sizeGiB, type: "gp3", zone, content });
          const snapshot = cloud.createSnapshot(volume, "to be restored fast", {});
          await clock.sleep(100 * hour);
          cloud.fastRestores.enable(snapshot, [zone]);
          const record = () => cloud.fastRestores.list().find((each) => each.zone === zone);
          await clock.sleep(10 * hour);
          expect(record()?.state.now).toBe("enabled");
          const enabledAt = record()?.creditedAt ?? 0;
          const made: number[] = [];
          for (const pause of pauses) {
            await clock.sleep(pause * minute);
            const mine = creditsAt(sizeGiB, enabledAt, made, clock.now());
            expect(mine >= 1 - 1e-9).toBe(cloud.fastRestores.takeCredit(snapshot.id, zone));
            made.push(clock.now());
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

it("the forecasts follow the cloud's own figures", () => {
  expect(optimizingTime({ sizeGiB: 2048 })).toBe(2 * hour);
  expect(optimizingTime({ sizeGiB: 1 })).toBe(minute);
  expect(creditTime({ sizeGiB: 100, volumes: 2 })).toBe(12 * minute);
  expect(creditTime({ sizeGiB: 2048, volumes: 2 })).toBe(4 * hour);
  // 10 GiB at 300 MiB a second: 34 s (reference aws-ebs 5).
  expect(Math.round(rateTime([{ snapshotGiB: 10 }], 300) / 1000)).toBe(34);
});

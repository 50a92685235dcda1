import { describe, expect, it } from "vitest";

import { judge, type Evidence } from "../../src/runbook/consistency.ts";

const whole: Evidence = {
  groupsOfflineAtBreak: true,
  greenAtBreak: true,
  unmounted: true,
  breaks: [{ mirror: "md1", breakTime: "2026/03/01 00:00:02", lastUpdate: "2026/03/01 00:00:01" }],
  allSynchronous: true,
  keptBoot: true,
  keptBreak: true,
  stoppedBy: "guest",
  wasPrepared: true,
};

describe("how consistent a cut is", () => {
  it("is quiesced where every link was seen", () => {
    expect(judge(whole).consistency).toBe("quiesced");
  });

  it.each([
    { groupsOfflineAtBreak: false },
    { greenAtBreak: false },
    { unmounted: false },
    { breaks: [{ mirror: "md1", breakTime: null, lastUpdate: null }] },
    { breaks: [{ mirror: "md1", breakTime: "2026/03/01 00:00:01", lastUpdate: "2026/03/01 00:00:02" }] },
    { allSynchronous: false },
    { keptBoot: false },
    { keptBreak: false },
    { stoppedBy: "unknown" },
    { stoppedBy: "user" },
    { wasPrepared: false },
  ] as readonly Partial<Evidence>[])("is never called so, and says why, with %o", (missing) => {
    const { consistency, why } = judge({ ...whole, ...missing });
    expect(["crash-consistent", "unknown"]).toContain(consistency);
    expect(why).toHaveLength(1);
  });
});

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseCopies } from "../../src/drivers/clusterpro/copies.ts";

const journal = readFileSync(
  new URL("../../fixtures/clusterpro/journal-copies.invented.jsonl", import.meta.url),
  "utf8",
);
const md1 = { mirror: "md1", device: "/dev/NMP1", sinceUptimeSeconds: 0 };
const brief = (copies: ReturnType<typeof parseCopies>) =>
  copies.map(({ kind, started, ended, failed, at }) =>
    [at.slice(11, 19), kind, started && "started", ended && "ended", failed && "failed"]
      .filter(Boolean)
      .join(" "),
  );

describe("the copies of a mirror", () => {
  test("are told with kind and end, however many modules tell them and in whatever order", () => {
    expect(brief(parseCopies(journal, md1))).toEqual([
      "09:01:40 unknown started ended",
      "09:03:20 full started ended",
      "09:05:00 difference started ended failed",
      "09:06:40 unknown started",
      "09:08:20 unknown started ended failed",
      "09:10:00 initial started ended",
      "09:11:40 initial",
    ]);
  });

  test("are those since an uptime: an end alone tells of a copy whose start was before", () => {
    expect(brief(parseCopies(journal, { ...md1, sinceUptimeSeconds: 250 })).slice(0, 2)).toEqual([
      "09:04:20 unknown ended",
      "09:05:00 difference started ended failed",
    ]);
    expect(parseCopies(journal, { ...md1, sinceUptimeSeconds: 701 })).toEqual([]);
  });

  test("are not mixed up with those of a mirror whose name begins the same", () => {
    expect(
      brief(parseCopies(journal, { mirror: "md10", device: "/dev/NMP10", sinceUptimeSeconds: 0 })),
    ).toEqual(["09:03:23 difference started"]);
    expect(parseCopies(journal, { mirror: "md", device: "/dev/NMP", sinceUptimeSeconds: 0 })).toEqual([]);
  });

  test("are none in what is no journal", () => {
    for (const output of [
      "",
      "\n\n",
      "lorem ipsum\n",
      "[1]\nnull\n12\n",
      '{"MESSAGE":"Mirror recovery of md1"}\n',
    ])
      expect(parseCopies(output, md1)).toEqual([]);
  });

  test("whose device is not known are told by name alone", () => {
    expect(brief(parseCopies(journal, { ...md1, device: undefined }))[1]).toBe(
      "09:03:20 unknown started ended",
    );
  });
});

/**
 * The lab grants exactly what `runbook doctor --policy` prints. `npm run rights` plays every built-in runbook whole under it, with
 * its ways back and its resumes, and takes each right away in turn; RIGHTS=restore,drill plays these alone. Here stands a sample.
 */
import { appendFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { playUnder, rightsIn, type Enforced, type Scene, type Trouble } from "../support/least-rights.ts";
import { scenes } from "../support/rights-scenes.ts";
import { unreached } from "../support/rights-unreached.ts";

const wanted = process.env["RIGHTS"];
const sceneOf = (runbook: string) => {
  const scene = scenes.find((each) => each.runbook === runbook);
  if (!scene) throw new Error(`there is no scene for ${runbook}`);
  return scene;
};

describe.skipIf(wanted !== undefined)("under exactly the printed rights", () => {
  it.each<[runbook: string, how: string, trouble: Trouble, end: string]>([
    ["backup-standby", "to its end", {}, "succeeded"],
    ["backup-standby", "and back", { fault: failing("clpmdctrl --break") }, "given back"],
    ["backup-standby", "killed and resumed", { killedAt: 62 }, "succeeded"],
    ["restore", "and back", { fault: { match: "/^AttachVolume$/", skip: 2, action: "deny" } }, "given back"],
  ])("%s goes %s", async (runbook, _how, trouble, end) => {
    const played = await playUnder(sceneOf(runbook), trouble);
    expect(played.refused).toEqual([]);
    expect(played.gaps).toEqual([]);
    expect(played.end).toBe(end);
  });

  it.each([
    "ec2:CreateSnapshot / Held",
    "ec2:CreateTags / TagNewSnapshot",
    "clpbackup.sh --pre",
    "clpgrp -t failover1",
  ])("a backup without %s fails", async (right) => {
    const scene = sceneOf("backup-standby");
    const { rights } = await playUnder(scene, {}, { free: true, onlyRights: true });
    const name = rightsIn(rights).find((each) => each.endsWith(right));
    const played = await playUnder(scene, {}, { ...(name !== undefined && { without: name }) });
    expect(played.refused).not.toEqual([]);
    expect(played.end).not.toBe("succeeded");
  });
});

function failing(match: string): NonNullable<Trouble["fault"]> {
  return { match, action: "fail-before" };
}

interface Play {
  readonly scene: Scene;
  readonly trouble: Trouble;
  readonly end: string;
  readonly used: ReadonlySet<string>;
}

const runbooks = [...new Set(scenes.map(({ runbook }) => runbook))].filter(
  (runbook) => wanted === "all" || wanted?.split(",").includes(runbook) === true,
);

describe.skipIf(wanted === undefined)("the printed rights", () => {
  it.each(runbooks)("of %s are enough, and none is needless", { timeout: 7_200_000 }, async (runbook) => {
    const plays: Play[] = [];
    const all = new Set<string>();
    const bad: string[] = [];
    for (const scene of scenes.filter((each) => each.runbook === runbook)) {
      const plain = await playUnder(scene, {});
      for (const [trouble, played] of [[{}, plain] as const, ...(await inTrouble(scene, plain))]) {
        const what = `${scene.name} ${JSON.stringify(trouble)}`;
        bad.push(...[...new Set(played.refused)].map((refused) => `${what}: refused ${refused.slice(-300)}`));
        bad.push(...played.gaps.map((gap) => `${what}: the lab lacks ${gap}`));
        plays.push({ scene, trouble, end: played.end, used: played.used });
        for (const right of rightsIn(played.rights)) all.add(right);
      }
      if (plain.end !== "succeeded") bad.push(`${scene.name}: ended ${plain.end}: ${plain.why}`);
      note(`${runbook}, ${scene.name}: ${plays.length} runs`);
    }
    bad.push(...needless(runbook, all, plays));
    for (const right of all) bad.push(...(await isMissed(runbook, right, plays)));
    note(
      `${runbook}: ${plays.length} runs, ${all.size} rights; ${bad.length === 0 ? "well" : bad.join("\n  ")}`,
    );
    expect(bad).toEqual([]);
  });
});

/** Each of its writes fails once, and its runner dies every so many rows. */
async function inTrouble(
  scene: Scene,
  { writes, rows }: Enforced,
): Promise<readonly (readonly [Trouble, Enforced])[]> {
  const everyRow = Number(process.env["RIGHTS_ROWS"] ?? 25);
  const everyWrite = Number(process.env["RIGHTS_STEP"] ?? 1);
  const troubles: readonly Trouble[] = [
    ...writes
      .filter((_, i) => i % everyWrite === 0)
      .map((write): Trouble => ({
        fault: { ...write, action: write.node === undefined ? "deny" : "fail-before" },
      })),
    ...Array.from({ length: Math.floor(rows / everyRow) }, (_, i) => ({ killedAt: (i + 1) * everyRow })),
  ];
  const played: (readonly [Trouble, Enforced])[] = [];
  for (const trouble of troubles) played.push([trouble, await playUnder(scene, trouble)]);
  return played;
}

const isExcused = (runbook: string, right: string) =>
  unreached.some(([runbooks, pattern]) => runbooks.test(runbook) && pattern.test(right));

function needless(runbook: string, all: ReadonlySet<string>, plays: readonly Play[]): readonly string[] {
  return [...all]
    .filter((right) => !plays.some(({ used }) => used.has(right)) && !isExcused(runbook, right))
    .map((right) => `never used: ${short(right)}`);
}

/** Without it, one of the runs that used it ends otherwise; or the same, when the tool has another way. */
async function isMissed(runbook: string, right: string, plays: readonly Play[]): Promise<readonly string[]> {
  const users = plays.filter(({ used }) => used.has(right));
  for (const { scene, trouble, end } of users.slice(0, 3)) {
    const played = await playUnder(scene, trouble, { without: right });
    if (played.refused.length > 0 && played.end !== end) return [];
  }
  if (users.length === 0 || isExcused(runbook, right)) return [];
  return [`not missed: ${short(right)}`];
}

const short = (right: string) =>
  right.length > 200 ? `${right.split(" ")[0]} … ${right.slice(-150)}` : right;

function note(line: string): void {
  const file = process.env["RIGHTS_NOTES"];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

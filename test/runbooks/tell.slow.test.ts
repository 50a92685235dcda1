/** Words from another terminal: what each does to a run, to the cluster under it, and to whoever says it too late. */
import { afterEach, describe, expect, it } from "vitest";

import { answerTo, runnersIn, wordsIn, type Tellable, type Word } from "../../src/engine/hear.ts";
import type { Line } from "../../src/engine/logbook.ts";
import type { Ended, Walk } from "../../src/engine/walk.ts";
import { describeWorld } from "../../src/lab/compare.ts";
import type { Params } from "../../src/runbook/step.ts";
import { openSimulation, type More, type Simulation, type SimulationOptions } from "../support/simulation.ts";
import { effects, home, leftOnNodes, minutes, outcomeOf, takeUp } from "../support/story.ts";

let sim: Simulation;
const open = async (options: SimulationOptions = {}) => (sim = await openSimulation(options));
afterEach(() => sim.close());

type When = (line: Line) => boolean;
const intentOf =
  (unit: string): When =>
  ({ kind, body }) =>
    kind === "intent" && body["unit"] === unit;
const failureOf =
  (unit: string): When =>
  ({ kind, body }) =>
    kind === "failure" && body["unit"] === unit;

/** A word on the run as it is now, said by this person. */
async function wordOn(run: string, verb: Tellable, by: string, more: Partial<Word> = {}): Promise<Word> {
  const { rows } = await terminal().store.read(run);
  return {
    id: `${by}-${verb}-${rows.length}`,
    verb,
    by,
    why: `because of ${verb}`,
    runners: runnersIn(rows),
    words: wordsIn(rows).length,
    asked: [],
    ...more,
  };
}

const terminal = () => sim.runner();

async function say(run: string, word: Word): Promise<void> {
  await terminal().store.send(run, { ...word });
}

async function answerIn(run: string, word: Word) {
  return answerTo(word.id, (await terminal().store.read(run)).rows);
}

interface Running {
  readonly walk: Walk;
  readonly ended: Promise<Ended>;
  /** Until such a row is written. */
  until(when: When): Promise<Line>;
}

async function begin(params: Params, more: More = {}): Promise<Running> {
  const lines: Line[] = [];
  const runner = sim.runner();
  const plan = await runner.plan(params);
  const walk = await runner.start(plan, { ...more, onLine: (line) => void lines.push(line) });
  const ended = walk.go().finally(() => walk.close());
  return {
    walk,
    ended,
    until: async (when) => {
      for (;;) {
        const line = lines.find(when);
        if (line) return line;
        await sim.clock.sleep(100);
      }
    },
  };
}

/** What went out between two times and was no renewal of a marker, a timer or a lease. */
function sentBetween({ walk }: Running, from: number, to: number): readonly string[] {
  return walk.logbook.lines
    .filter(({ at, kind }) => kind === "sent" && at > from && at < to)
    .map(({ body }) => String((body["request"] as { verb: string }).verb))
    .filter((verb) => !/renew/i.test(verb));
}

describe("pause", () => {
  it("lets what is under way land, begins nothing new, and the run then succeeds", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const running = await begin({ service: "late" });
    const { run } = running.walk;
    await running.until(outcomeOf("holdNodes"));
    const pause = await wordOn(run, "pause", "ann");
    await say(run, pause);
    await running.until(({ kind, body }) => kind === "verb" && body["verb"] === "pause");
    // A step that had begun may land; after that nothing is sent.
    await sim.clock.sleep(minutes(5));
    const from = sim.clock.now();
    await sim.clock.sleep(minutes(10));
    expect(sentBetween(running, from, sim.clock.now())).toEqual([]);
    expect(home(sim)).toBe("server1");
    expect(await answerIn(run, pause)).toEqual({ heeded: true, reason: "" });
    await say(run, await wordOn(run, "resume", "ann"));
    expect(await running.ended).toMatchObject({ end: "succeeded", exposures: [], left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });

  it("never keeps the service down: the timer brings it back, and the run that goes on gives back the rest", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const running = await begin({ service: "late" });
    const { run } = running.walk;
    await running.until(outcomeOf("stopGroups"));
    await say(run, await wordOn(run, "pause", "ann"));
    await sim.clock.sleep(minutes(40));
    expect(home(sim)).toBe("server1");
    await say(run, await wordOn(run, "resume", "ann"));
    expect(await running.ended).toMatchObject({ end: "given back", left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(await leftOnNodes(sim)).toEqual([]);
    expect(sim.breaches).toEqual([]);
  });

  it("holds a failure that nobody was asked about, until somebody says what is to be done", async () => {
    await open();
    sim.lab.heart.addFault({ match: "clpgrp -t", action: "fail-after" });
    const running = await begin({ service: "early" });
    const { run } = running.walk;
    await running.until(intentOf("stopGroups"));
    await say(run, await wordOn(run, "pause", "ann"));
    await running.until(failureOf("stopGroups"));
    await sim.clock.sleep(minutes(2));
    const retry = await wordOn(run, "retry", "ben", { asked: ["stopGroups"] });
    await say(run, retry);
    await sim.clock.sleep(minutes(1));
    expect(await answerIn(run, retry)).toEqual({ heeded: true, reason: "" });
    await say(run, await wordOn(run, "resume", "ben"));
    expect(await running.ended).toMatchObject({ end: "succeeded", exposures: [], left: [] });
    expect(sim.breaches).toEqual([]);
  });

  it("survives its runner: whoever resumes the run goes on", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const runner = sim.runner();
    const plan = await runner.plan({ service: "late" });
    const walk = await runner.start(plan, {});
    void walk.go();
    while (!walk.logbook.lines.some(outcomeOf("breakMirrors"))) await sim.clock.sleep(100);
    await say(walk.run, await wordOn(walk.run, "pause", "ann"));
    await sim.clock.sleep(minutes(2));
    runner.die();
    const { ended } = await takeUp(sim, walk.run, "resume");
    expect(ended).toMatchObject({ end: "succeeded", left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });
});

describe("a question at the first terminal", () => {
  it("is answered from the second, and taken off the first", async () => {
    await open();
    sim.lab.heart.addFault({ match: "clpbackup.sh --pre", action: "fail-before" });
    const signals: AbortSignal[] = [];
    const running = await begin(
      { service: "early" },
      {
        ask: async (_question, signal) => {
          signals.push(signal);
          return new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(new Error("taken off the screen")));
          });
        },
      },
    );
    const { run } = running.walk;
    await running.until(failureOf("prepareStandby"));
    await sim.clock.sleep(minutes(1));
    const skip = await wordOn(run, "skip", "ben", { asked: ["prepareStandby"] });
    const other = await wordOn(run, "retry", "ben", { asked: ["cutSnapshots"] });
    await say(run, skip);
    await say(run, other);
    await sim.clock.sleep(minutes(1));
    expect(await answerIn(run, skip)).toEqual({ heeded: false, reason: "this step may not be skipped" });
    expect(await answerIn(run, other)).toMatchObject({ heeded: false });
    await say(run, await wordOn(run, "retry", "ben", { asked: ["prepareStandby"] }));
    expect(await running.ended).toMatchObject({ end: "succeeded", left: [] });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });
});

describe("two people at once", () => {
  it("one wins, and the other is told who", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const running = await begin({ service: "early" });
    const { run } = running.walk;
    await running.until(outcomeOf("breakMirrors"));
    const ann = await wordOn(run, "pause", "ann");
    const ben = await wordOn(run, "give-back", "ben");
    await Promise.all([say(run, ann), say(run, ben)]);
    await sim.clock.sleep(minutes(1));
    const answers = [await answerIn(run, ann), await answerIn(run, ben)];
    expect(answers.filter((answer) => answer?.heeded)).toHaveLength(1);
    const [loser] = answers.filter((answer) => !answer?.heeded);
    expect(loser?.reason).toMatch(/^(ann said "pause"|ben said "give-back") first: because of/);
    if (answers[1]?.heeded !== true) await say(run, await wordOn(run, "give-back", "ben"));
    expect(await running.ended).toMatchObject({ end: "given back", left: [] });
    expect(describeWorld(sim.lab)).toEqual(before);
    expect(sim.breaches).toEqual([]);
  });
});

describe("stop", () => {
  it("leaves the run as it is, to be resumed; what was said to that runner is not done by the next", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const running = await begin({ service: "early" });
    const { run } = running.walk;
    await running.until(outcomeOf("startGroups"));
    await say(run, await wordOn(run, "stop", "ann"));
    expect(await running.ended).toMatchObject({ end: "held" });
    const late = await wordOn(run, "give-back", "ben");
    await say(run, late);
    const { ended } = await takeUp(sim, run, "resume");
    expect(ended).toMatchObject({ end: "succeeded", left: [] });
    expect(await answerIn(run, late)).toEqual({
      heeded: false,
      reason: "it was said to the runner before: the run was taken over since",
    });
    expect(describeWorld(sim.lab)).toEqual(before);
  });
});

describe("give-back", () => {
  it("brings the service back first, and everything else after it", async () => {
    await open();
    const before = describeWorld(sim.lab);
    const running = await begin({ service: "late" });
    const { run } = running.walk;
    await running.until(outcomeOf("stopGroups"));
    await say(run, await wordOn(run, "give-back", "ben"));
    expect(await running.ended).toMatchObject({ end: "given back", left: [] });
    expect(effects(sim, "snapshot-created")).toEqual([]);
    expect(describeWorld(sim.lab)).toEqual(before);
    const late = await wordOn(run, "pause", "ann");
    await say(run, late);
    expect(await answerIn(run, late)).toBeUndefined();
  });
});

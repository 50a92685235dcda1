/**
 * What can go wrong, by class, and when: before a step's first call, while a call of it is under way, or after it was
 * answered. A trouble is set off by a row of the run's own journal, so that it meets the moment that it is meant for.
 */
import { asFailure } from "../../src/errors.ts";
import type { Fault } from "../../src/lab/world.ts";
import { answerTo, runnersIn, wordsIn, type Tellable, type Word } from "../../src/engine/hear.ts";
import type { Line } from "../../src/engine/logbook.ts";
import type { Walk } from "../../src/engine/walk.ts";
import type { Runner, Simulation } from "../support/simulation.ts";
import { typed } from "../support/story.ts";
import type { Dice } from "./dice.ts";

export type Moment = "before" | "during" | "after";
export const moments: readonly Moment[] = ["before", "during", "after"];

export interface Scene {
  readonly sim: Simulation;
  readonly runner: Runner;
  readonly walk: Walk;
  /** Nodes of the cluster that the run works on. */
  readonly nodes: readonly string[];
  /** What must not have happened. */
  readonly wrong: (what: string) => void;
  readonly dice: Dice;
}

interface TroubleClass {
  readonly name: string;
  readonly weight: number;
  /** At the moment that the row was written; the call that it is meant for leaves after it. */
  readonly strike: (scene: Scene, moment: Moment) => void;
}

/** What a call may meet: nothing done before its effect, or its effect done and the answer spoilt. */
const callFaults: readonly {
  readonly name: string;
  readonly before: Fault["action"];
  readonly during: Fault["action"];
}[] = [
  { name: "failed answer", before: "fail-before", during: "fail-after" },
  { name: "lost connection", before: "lose-before", during: "lose-after" },
  { name: "half answer", before: "nonsense", during: "half-output" },
  { name: "no answer", before: "hang", during: "hang-after" },
  { name: "refused", before: "deny", during: "deny" },
  { name: "throttled", before: "throttle", during: "throttle" },
  { name: "service unavailable", before: "unavailable", during: "unavailable" },
];

/** Of the actions that only a cloud knows, what a node would do. */
const onNodes = new Map<Fault["action"], Fault["action"]>([
  ["deny", "fail-before"],
  ["throttle", "fail-before"],
  ["unavailable", "lose-before"],
]);

function meet({ sim, dice }: Scene, action: Fault["action"]): void {
  const { heart } = sim.lab;
  const times = dice.pick([1, 1, 1, 2, 5]);
  const cloud = ({ received }: { readonly received?: { readonly to: string } }) => {
    if (!received) return;
    heart.listeners.delete(cloud);
    heart.addFault({ match: "", action: (received.to === "node" && onNodes.get(action)) || action, times });
  };
  // The next thing that arrives, whatever it is: the listener hears of it just before faults are asked for.
  heart.listeners.add(cloud);
}

const someNode = ({ nodes, dice }: Scene) => dice.pick(nodes);

/** Soon: at once, or while the next calls are under way. */
function soon(scene: Scene, act: () => void): void {
  scene.sim.lab.heart.after(scene.dice.pick([0, 50, 2_000, 20_000]), act);
}

function withNode(scene: Scene, act: (node: string) => void): void {
  const node = someNode(scene);
  soon(scene, () => {
    if (scene.sim.lab.node(node).alive) act(node);
  });
}

const byHand =
  (line: (scene: Scene, node: string) => string): TroubleClass["strike"] =>
  (scene) =>
    withNode(scene, (node) => {
      // A person whose command is refused shrugs.
      void typed(scene.sim, node, line(scene, node)).catch(() => undefined);
    });

export const troubleClasses: readonly TroubleClass[] = [
  ...callFaults.map(({ name, before, during }): TroubleClass => ({
    name,
    weight: 2,
    strike: (scene, moment) => meet(scene, moment === "before" ? before : during),
  })),
  { name: "killed", weight: 6, strike: ({ runner }) => runner.die() },
  {
    name: "slept",
    weight: 2,
    strike: ({ runner, dice }) => runner.freeze(dice.pick([60_000, 16 * 60_000, 3_600_000])),
  },
  {
    name: "clock set",
    weight: 1,
    strike: ({ runner, dice }) => runner.setClock(dice.pick([-3_600_000, -30_000, 30_000, 3_600_000])),
  },
  { name: "disk full", weight: 2, strike: ({ runner }) => runner.fillDisk("ENOSPC") },
  { name: "write error", weight: 1, strike: ({ runner }) => runner.fillDisk("EIO") },
  {
    name: "a node dies",
    weight: 2,
    strike: (scene) => withNode(scene, (node) => scene.sim.lab.killPower(node)),
  },
  {
    name: "a node resets",
    weight: 2,
    strike: (scene) => withNode(scene, (node) => scene.sim.lab.crash(node)),
  },
  {
    name: "a node reboots",
    weight: 2,
    strike: (scene) => withNode(scene, (node) => scene.sim.lab.rebootUnasked(node)),
  },
  {
    name: "no way to a node",
    weight: 2,
    strike: (scene) =>
      withNode(scene, (node) => {
        scene.sim.lab.cutOperator(node);
        scene.sim.lab.heart.after(scene.dice.pick([30_000, 900_000]), () => scene.sim.lab.mendOperator(node));
      }),
  },
  {
    name: "the nodes part",
    weight: 1,
    strike: (scene) =>
      withNode(scene, (node) => {
        scene.sim.lab.isolate(node);
        scene.sim.lab.heart.after(scene.dice.pick([5_000, 120_000]), () => scene.sim.lab.rejoin(node));
      }),
  },
  {
    name: "failover",
    weight: 2,
    strike: (scene) =>
      soon(scene, () => {
        const cluster = scene.sim.lab.clusterOf(scene.nodes[0] ?? "");
        void scene.sim.lab.failover("failover1", cluster.name).catch(() => undefined);
      }),
  },
  { name: "a stop fails", weight: 1, strike: (scene) => scene.sim.lab.failStops(someNode(scene)) },
  { name: "somebody starts the group", weight: 1, strike: byHand(() => "clpgrp -s failover1") },
  { name: "somebody stops the group", weight: 1, strike: byHand(() => "clpgrp -t failover1") },
  {
    name: "somebody resumes monitors",
    weight: 1,
    strike: byHand((_scene, node) => `clpmonctrl -r -h ${node} -m mdw1`),
  },
  { name: "somebody recovers the mirror", weight: 1, strike: byHand(() => "clpmdctrl --recovery md1") },
  { name: "somebody starts the cluster", weight: 1, strike: byHand(() => "clpcl -s") },
  {
    name: "a copy fails",
    weight: 1,
    strike: ({ sim }) => {
      const pending = sim.lab.cloud.listSnapshots().find(({ state }) => state === "pending");
      if (pending) sim.lab.cloud.failSnapshot(pending.id);
    },
  },
  {
    name: "no capacity",
    weight: 1,
    strike: ({ sim, dice }) =>
      void sim.lab.heart.addFault({
        match: "/^StartInstances$/",
        action: "no-capacity",
        times: dice.pick([1, 3, 40]),
      }),
  },
  {
    name: "a node does not boot",
    weight: 1,
    strike: (scene) => (scene.sim.lab.node(someNode(scene)).bootFails = true),
  },
  { name: "a second runner", weight: 2, strike: (scene) => void beside(scene) },
  { name: "words from another terminal", weight: 3, strike: (scene) => void speak(scene) },
  { name: "given back", weight: 2, strike: ({ walk }) => walk.wantBack("operator", "simulation") },
  { name: "stopped", weight: 2, strike: ({ walk }) => walk.wantStop("operator", "simulation") },
];

const words = ["pause", "pause", "give-back", "stop", "retry", "skip", "approve", "resume"] as const;

/** One or two people say what they want; whoever pauses goes on some time later, or forgets it for hours. */
async function speak({ sim, runner, walk: { run }, wrong, dice }: Scene): Promise<void> {
  const said: Word[] = [];
  const say = async (by: string, verb: Tellable): Promise<void> => {
    const { store } = sim.runner();
    const { rows } = await store.read(run);
    const asked = rows
      .flatMap(({ kind, body }) => (kind === "failure" ? [String(body["unit"])] : []))
      .slice(-1);
    const state = { runners: runnersIn(rows), words: wordsIn(rows).length, asked };
    const word: Word = { id: `${by} ${verb} ${rows.length}`, verb, by, why: "simulation", ...state };
    said.push(word);
    await store.send(run, { ...word });
  };
  const first = dice.pick(words);
  const second = dice.chance(0.3) ? dice.pick(words) : undefined;
  const later = dice.pick([60_000, 5 * 60_000, 3 * 3_600_000]);
  try {
    await Promise.all([say("ann", first), ...(second ? [say("ben", second)] : [])]);
    await sim.clock.sleep(later);
    if (first === "pause" || second === "pause") await say("ann", "resume");
    await sim.clock.sleep(60_000);
    const { rows, held } = await sim.runner().store.read(run);
    // Where the runner lives and goes on, whoever spoke was answered.
    if (!runner.alive() || held?.owner === undefined || runnersIn(rows) !== said[0]?.runners) return;
    for (const { id } of said) if (answerTo(id, rows) === undefined) wrong(`nobody answered "${id}"`);
  } catch (thrown) {
    const { kind, message } = asFailure(thrown);
    if (kind !== "unavailable" && kind !== "conflict") wrong(`a word met ${kind}: ${message}`);
  }
}

/** Somebody resumes the run in a second terminal while the first is at work: he is refused. */
async function beside({ sim, runner, walk, wrong }: Scene): Promise<void> {
  const other = sim.runner();
  try {
    const taken = await other.resume(walk.run);
    if (runner.alive()) wrong("a second runner took the run over from one that is alive");
    await taken.close();
  } catch (thrown) {
    const { kind, message } = asFailure(thrown);
    if (kind !== "conflict" && kind !== "precondition") wrong(`a second runner met ${kind}: ${message}`);
  }
  other.die();
}

export interface Trouble {
  readonly what: TroubleClass;
  readonly unit: string;
  readonly moment: Moment;
}

export function drawTroubles(dice: Dice, units: readonly string[]): readonly Trouble[] {
  const drawn = troubleClasses.flatMap((what) => Array.from({ length: what.weight }, () => what));
  return Array.from({ length: dice.pick([1, 1, 1, 2, 2, 3]) }, () => ({
    what: dice.pick(drawn),
    unit: dice.pick(units),
    moment: dice.pick(moments),
  }));
}

/**
 * Which row sets a trouble off. A step that acts is met at its intent, when its call leaves, and when that was answered; one
 * that only looks, when the step before it is done, at its first answer, and when it is done itself.
 */
export function isItsMoment(
  { unit, moment }: Pick<Trouble, "unit" | "moment">,
  { kind, body }: Line,
  how: {
    readonly acts: boolean;
    readonly previous: string | undefined;
    readonly senderOf: (n: unknown) => string | undefined;
  },
): boolean {
  const own = body["unit"] === unit;
  if (how.acts) {
    if (moment === "before") return own && kind === "intent";
    if (moment === "during") return own && kind === "sent";
    return kind === "answered" && how.senderOf(body["sent"]) === unit;
  }
  if (moment === "before") return kind === "outcome" && body["unit"] === how.previous;
  if (moment === "during") return own && kind === "read";
  return own && kind === "outcome";
}

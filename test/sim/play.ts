/**
 * One simulated night: a run of a built-in runbook in a world that goes wrong, whoever takes it up again, and the morning
 * after, in which everything broken is mended and the product has to bring the cluster back to normal.
 */
import { commandsFor } from "../../src/cli/by-hand.ts";
import { asFailure, Failure } from "../../src/errors.ts";
import type { Line } from "../../src/engine/logbook.ts";
import type { Ended, Walk } from "../../src/engine/walk.ts";
import { settle } from "../../src/lab/hands.ts";
import { beginLeftOver } from "../../src/lab/invariants.ts";
import type { Plan } from "../../src/runbook/plan.ts";
import { paste } from "../support/laws.ts";
import { openSimulation, type Runner, type Simulation } from "../support/simulation.ts";
import { Dice } from "./dice.ts";
import { lies, madeTwice, needsChoice, notNormal, untrue } from "./judge.ts";
import { drawNight, pauses, type Night } from "./nights.ts";
import { drawTroubles, isItsMoment, type Scene, type Trouble } from "./troubles.ts";

export interface Played {
  readonly seed: number;
  readonly runbook: string;
  readonly night: string;
  readonly end: string;
  /** Empty if everything held. */
  readonly wrong: readonly string[];
  /** Troubles that struck, as "unit / class / moment". */
  readonly struck: readonly string[];
  /** What the machine did, as "unit event". */
  readonly moved: readonly string[];
  readonly calls: number;
  readonly story: readonly string[];
}

/** One process that works on the run, until it is done, or dies. */
interface Shift {
  readonly end: string;
  readonly ended: Ended | undefined;
  readonly walk: Walk;
}

export async function playNight(seed: number, only?: string): Promise<Played> {
  const dice = new Dice(seed);
  const night = drawNight(dice, seed, only);
  const sim = await openSimulation({ ...night.world, runbook: `runbooks/${night.runbook}.ts` });
  const play = new Play(sim, night, dice);
  try {
    return await play.play();
  } catch (thrown) {
    return play.result("lost", [`the night was not played to its end: ${whole(thrown)}`]);
  } finally {
    sim.close();
  }
}

class Play {
  readonly #sim: Simulation;
  readonly #night: Night;
  readonly #dice: Dice;
  readonly #cluster: string;
  readonly #struck: string[] = [];
  readonly #moved = new Set<string>();
  readonly #story: string[] = [];
  readonly #wrong: string[] = [];
  #lines: readonly Line[] = [];

  constructor(sim: Simulation, night: Night, dice: Dice) {
    this.#sim = sim;
    this.#night = night;
    this.#dice = dice;
    this.#cluster = night.world.cluster ?? "prod";
  }

  async play(): Promise<Played> {
    const sim = this.#sim;
    await this.#night.prepare(sim);
    await settle(sim.lab);
    if (sim.breaches.length > 0)
      throw new Error(`before the night: ${sim.breaches.map(({ what }) => what).join("; ")}`);
    const known = new Set(sim.lab.cloud.listSnapshots().map(({ id }) => id));
    const leftOver = beginLeftOver(sim.lab);

    const runner = sim.runner();
    let plan: Plan;
    try {
      plan = await runner.plan(this.#night.params);
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.kind === "bug") throw thrown;
      this.#say(`no plan: ${thrown.message}`);
      return this.result(
        "no plan",
        sim.breaches.map(({ what }) => what),
      );
    }
    const shift = await this.#begin(runner, plan);
    const last = await this.#toAnEnd(plan, shift);
    const { end } = last;
    if (end === "succeeded" || end === "given back") this.#wrong.push(...leftOver());
    await this.#morning(plan, last);
    this.#wrong.push(
      ...this.#breaches(),
      ...sim.gaps().map((line) => `the lab does not model: ${line}`),
      ...madeTwice(sim.lab),
      ...lies(sim.lab, known, this.#night.runbook === "backup-both"),
    );
    return this.result(end, this.#wrong);
  }

  /** What the world's rules found. Two nodes that parted may both have written, and that is nobody's doing but the cluster's. */
  #breaches(): readonly string[] {
    const parted = this.#struck.some((trouble) => trouble.includes("the nodes part"));
    return this.#sim.breaches
      .filter(({ rule }) => !(parted && /stale|GREEN/.test(rule)))
      .map(({ rule, what }) => `${rule}: ${what}`);
  }

  result(end: string, wrong: readonly string[]): Played {
    const { seed, runbook, params, before, world } = this.#night;
    return {
      seed,
      runbook,
      night: `${runbook} ${JSON.stringify(params)}, ${before}, ${String(world.mirrors)} mirrors, ${world.devices ?? ""}`,
      end,
      wrong: [...new Set(wrong)],
      struck: this.#struck,
      moved: [...this.#moved],
      calls: this.#sim.lab.heart.received.length,
      story: wrong.length === 0 ? [] : this.#wholeStory(),
    };
  }

  /** What was done to the run, what its journal says, and what the world did, in the order in which it happened. */
  #wholeStory(): readonly string[] {
    const effects = this.#sim.lab.heart.effects
      .filter(({ detail }) => detail.kind !== "data-written")
      .map(({ at, what }) => `${timeOf(at)}     * ${what}`);
    return [...this.#story, ...this.#lines.map(inOneLine), ...effects].toSorted((a, b) =>
      a.slice(0, 14) < b.slice(0, 14) ? -1 : 1,
    );
  }

  /** The first process, with the troubles of this night. */
  async #begin(runner: Runner, plan: Plan): Promise<Shift> {
    const watched = this.#watch(runner, plan);
    const walk = await runner.start(plan, { onLine: watched.onLine });
    return watched.work(walk);
  }

  /** Everything that the rows of a run set off. */
  #watch(runner: Runner, plan: Plan) {
    const units = plan.units.map(({ key }) => key);
    const acting = new Set(plan.units.filter(({ sends }) => sends.length > 0).map(({ key }) => key));
    const left = new Set<Trouble>(drawTroubles(this.#dice, units));
    const senders = new Map<unknown, string>();
    let scene: Scene | undefined;
    const onLine = (line: Line) => {
      const { kind, body } = line;
      if (kind === "sent") senders.set(body["n"], String(body["unit"]));
      if (typeof body["unit"] === "string" && kind !== "read" && kind !== "sent")
        this.#moved.add(`${body["unit"]} ${kind}`);
      if (!scene) return;
      for (const trouble of left) {
        const how = {
          acts: acting.has(trouble.unit),
          previous: units[units.indexOf(trouble.unit) - 1],
          senderOf: (n: unknown) => senders.get(n),
        };
        if (isItsMoment(trouble, line, how)) this.#strike(scene, trouble, left);
      }
    };
    const work = async (walk: Walk): Promise<Shift> => {
      const { names } = this.#sim.lab.cluster(this.#cluster);
      scene = {
        sim: this.#sim,
        runner,
        walk,
        nodes: names,
        dice: this.#dice,
        wrong: (what) => this.#wrong.push(what),
      };
      for (const trouble of left)
        if (trouble.moment === "before" && trouble.unit === units[0]) this.#strike(scene, trouble, left);
      const ended = await Promise.race([goWell(walk), untilDead(this.#sim, runner)]);
      this.#lines = [...walk.logbook.lines];
      if (!runner.alive()) return { end: "killed", ended: undefined, walk };
      await Promise.race([walk.close().catch(() => undefined), untilDead(this.#sim, runner)]);
      runner.die();
      if (ended instanceof Failure) {
        if (ended.kind === "bug") this.#wrong.push(`a mistake of the product: ${whole(ended)}`);
        this.#say(`it ended with: ${whole(ended)}`);
        return { end: "killed", ended: undefined, walk };
      }
      this.#say(`ended ${ended?.end ?? "?"}: ${ended?.why ?? ""}`);
      return { end: ended?.end ?? "?", ended, walk };
    };
    return { onLine, work };
  }

  #strike(scene: Scene, trouble: Trouble, left: Set<Trouble>): void {
    left.delete(trouble);
    const name = `${trouble.unit} / ${trouble.what.name} / ${trouble.moment}`;
    this.#struck.push(name);
    this.#say(`trouble: ${name}`);
    trouble.what.strike(scene, trouble.moment);
  }

  /** Taken up as often as it is killed or stopped; a stuck one once everything broken is mended. */
  async #toAnEnd(plan: Plan, first: Shift): Promise<Shift> {
    let shift = first;
    for (let tries = 0; tries < 8; tries += 1) {
      const { end, ended } = shift;
      if (ended !== undefined && ended.end !== "held") this.#wrong.push(...untrue(end, this.#lines));
      if (end === "succeeded" || end === "given back" || end === "refused") return shift;
      if (end === "stuck" && tries > 4) {
        const byHand = (ended?.left ?? []).flatMap(({ unit }) => commandsFor(plan, unit.key, this.#lines));
        this.#mend();
        this.#say(`typed by hand: ${byHand.join(" ; ")}`);
        for (const line of await paste(this.#sim, byHand)) this.#say(`could not be typed: ${line}`);
        await settle(this.#sim.lab);
        return shift;
      }
      await this.#sim.clock.sleep(this.#dice.pick(pauses));
      if (tries > 0 || this.#dice.chance(0.7)) this.#mend();
      if (tries > 2) this.#givePower();
      await settle(this.#sim.lab);
      shift = await this.#takeUp(plan, shift);
    }
    this.#wrong.push("it came to no end, however often it was taken up");
    return shift;
  }

  async #takeUp(plan: Plan, { walk: { run }, end }: Shift, wanted?: "undo"): Promise<Shift> {
    const wish =
      end === "stuck" ? "undo" : (wanted ?? this.#dice.pick(["resume", "resume", "undo"] as const));
    const runner = this.#sim.runner();
    // A second one on the same run, while the first is still there, or a moment later.
    this.#say(`${wish}`);
    const watched = this.#watch(runner, plan);
    try {
      const walk = await runner.resume(run, { onLine: watched.onLine });
      const writes = this.#sim.writes().length;
      const seen = await walk.lookAgain();
      if (this.#sim.writes().length !== writes)
        this.#wrong.push("a look before a resume has written something");
      if (wish === "undo" || seen.some(({ good }) => !good)) walk.wantBack("operator", `runbook ${wish}`);
      else walk.wantOn("operator", "runbook resume");
      return await watched.work(walk);
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") this.#wrong.push(`a mistake of the product: ${whole(failure)}`);
      this.#say(`could not be taken up: ${failure.message}`);
      runner.die();
      return { end: "killed", ended: undefined, walk: { run } as Walk };
    }
  }

  /** What was broken works again: nodes have power, ways are open, no fault waits. */
  #mend(): void {
    const { lab } = this.#sim;
    lab.heart.faults.length = 0;
    for (const node of lab.nodes.keys()) lab.mendOperator(node);
    for (const cluster of lab.clusters.values()) {
      cluster.rejoin();
      for (const member of cluster.members) member.failingStops = 0;
    }
  }

  /** A person gives power to what has none; only to what a run has not set apart. */
  #givePower(): void {
    const { lab } = this.#sim;
    for (const node of lab.nodes.values()) {
      const { instance, name } = node;
      if (node.bootFails) {
        node.bootFails = false;
        this.#say(`${name} boots again`);
        node.crash();
      }
      if (lab.cloud.getInstance(instance).state.now.state !== "stopped") continue;
      this.#say(`power for ${name}`);
      lab.cloud.start(instance);
    }
  }

  async #morning(plan: Plan, shift: Shift): Promise<void> {
    this.#mend();
    await settle(this.#sim.lab);
    for (let tries = 0; tries < 3; tries += 1) {
      if (notNormal(this.#sim.lab, this.#cluster).length === 0) return;
      await this.#sim.clock.sleep(6 * 3_600_000);
      // A run whose end could not be written is open still, and goes first.
      const taken = await this.#giveBack();
      if (taken === "open") await this.#takeUp(plan, shift, "undo");
    }
    const odd = notNormal(this.#sim.lab, this.#cluster);
    if (odd.length === 0) return;
    if (needsChoice(this.#sim.lab, this.#cluster)) this.#say(`a person has to choose: ${odd.join("; ")}`);
    else this.#wrong.push(`not normal in the end: ${odd.join("; ")}`);
  }

  async #giveBack(): Promise<"open" | "played"> {
    const runner = this.#sim.runner(await this.#sim.open("runbooks/give-back.ts"));
    let open = false;
    try {
      const { ended, walk, plan } = await runner.run({ alone: "known", copy: "on" });
      this.#say(`give-back ended ${ended.end}: ${ended.why ?? ""}`);
      if (ended.end === "stuck") {
        const byHand = ended.left.flatMap(({ unit }) => commandsFor(plan, unit.key, walk.logbook.lines));
        this.#say(`typed by hand: ${byHand.join(" ; ")}`);
        await paste(this.#sim, byHand);
      }
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") this.#wrong.push(`a mistake of the product: ${whole(failure)}`);
      this.#say(`give-back: ${failure.message}`);
      open = failure.message.includes("is interrupted") || failure.message.includes("is held");
    }
    runner.die();
    await settle(this.#sim.lab);
    return open ? "open" : "played";
  }

  #say(what: string): void {
    this.#story.push(`${timeOf(this.#sim.clock.now())} ${what}`);
  }
}

/** A run that throws has left the world as it is; it can be taken up. */
async function goWell(walk: Walk): Promise<Ended | Failure> {
  try {
    return await walk.go();
  } catch (thrown) {
    return asFailure(thrown);
  }
}

async function untilDead(sim: Simulation, runner: Runner): Promise<undefined> {
  while (runner.alive()) await sim.clock.sleep(1000);
  return undefined;
}

function whole(thrown: unknown): string {
  return thrown instanceof Error
    ? (thrown.stack ?? thrown.message).split("\n").slice(0, 8).join(" | ")
    : String(thrown);
}

function timeOf(at: number): string {
  return new Date(at).toISOString().slice(5, 19);
}

function inOneLine({ at, kind, body }: Line): string {
  return `${timeOf(at)}   ${kind} ${JSON.stringify(body).slice(0, 220)}`;
}

/** Kills a runner at one row of its journal, lets something happen, resumes, and tells what came of it. */
import { commandsFor } from "../../src/cli/by-hand.ts";
import { differences } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { beginLeftOver } from "../../src/lab/invariants.ts";
import type { Params } from "../../src/runbook/step.ts";
import { paste } from "./laws.ts";
import { worldOf } from "./world.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "./simulation.ts";

export interface Killing {
  readonly row: number;
  readonly when: "before" | "after";
  readonly params: Params;
  /** What happens while nobody is at work. */
  readonly meanwhile?: (sim: Simulation) => Promise<void>;
  readonly world?: SimulationOptions;
  /** Before the run is planned. */
  readonly prepare?: (sim: Simulation) => Promise<void>;
  /** What the end is held against: the world before `prepare`, instead of after it. */
  readonly against?: "untouched";
  /** Looks at the world in the end, once it has come to rest. */
  readonly look?: (sim: Simulation) => unknown;
}

export interface Outcome {
  /** false: the run ended before it came to that row. */
  readonly reached: boolean;
  readonly end: string;
  readonly why: string;
  /** The group runs as a whole on one node at the end. */
  readonly serving: boolean;
  readonly snapshots: number;
  /** How often the run stopped the groups. */
  readonly stops: number;
  readonly changed: readonly string[];
  readonly breaches: readonly string[];
  readonly gaps: readonly string[];
  /** "quiesced" was said of a snapshot that the lab knows better. */
  readonly lies: readonly string[];
  /** What a stuck run printed for a person; it was pasted. */
  readonly byHand: readonly string[];
  readonly looked: unknown;
  readonly story: readonly string[];
}

export async function killAndResume({
  row,
  when,
  params,
  meanwhile,
  world,
  prepare,
  against,
  look,
}: Killing): Promise<Outcome> {
  const sim = await openSimulation({ ...world, cloud: { listLagSeconds: 20, ...world?.cloud } });
  try {
    const untouched = worldOf(sim.lab);
    await prepare?.(sim);
    const before = against === "untouched" ? untouched : worldOf(sim.lab);
    const leftOver = beginLeftOver(sim.lab);
    const first = sim.runner();
    const plan = await first.plan(params);
    const walk = await first.start(plan, { dieAtRow: { row, when } });
    const ended = await Promise.race([walk.go(), untilDead(sim, first)]);
    if (ended) return nothingReached;
    await meanwhile?.(sim);
    const again = await sim.runner().resume(walk.run);
    const looked = await again.lookAgain();
    if (looked.some((entry) => !entry.good))
      again.wantBack("test", "what the run counted on no longer holds");
    const end = await again.go();
    await again.close();
    const byHand =
      end.end === "stuck"
        ? end.left.flatMap(({ unit }) => commandsFor(plan, unit.key, again.logbook.lines))
        : [];
    await paste(sim, byHand);
    if (look) await settle(sim.lab);
    const { effects } = sim.lab.heart;
    const said = again.logbook.lines.find(
      (line) => line.kind === "outcome" && line.body["unit"] === "recordPoint",
    )?.body["found"];
    const consistency = (said as { consistency?: string } | undefined)?.consistency;
    const truths = sim.lab.cloud.listSnapshots().map(({ truth }) => truth);
    return {
      reached: true,
      end: end.end,
      why: end.why ?? "",
      serving: sim.lab.cluster().nodeOf("failover1") !== undefined,
      snapshots: truths.length,
      stops: sim.lab.heart.received.filter(
        ({ line, effects: caused }) =>
          line.startsWith("clpgrp -t") &&
          effects.some(({ n, detail }) => caused.includes(n) && detail.kind === "group-stopped"),
      ).length,
      changed: differences(before, worldOf(sim.lab)).map(String),
      breaches: [...sim.breaches.map(({ what }) => what), ...(end.end === "stuck" ? [] : leftOver())],
      gaps: sim.gaps(),
      lies: truths
        .filter((truth) => consistency === "quiesced" && !(truth.powerOff && truth.isolated && truth.clean))
        .map((truth) => JSON.stringify(truth)),
      byHand,
      looked: look?.(sim),
      story: again.logbook.lines
        .filter(({ kind }) => kind !== "read")
        .map(
          ({ at, kind, body }) =>
            `${new Date(at).toISOString()} ${kind} ${JSON.stringify(body).slice(0, 260)}`,
        ),
    };
  } finally {
    sim.close();
  }
}

const nothingReached: Outcome = {
  reached: false,
  end: "",
  why: "",
  serving: false,
  snapshots: 0,
  stops: 0,
  changed: [],
  breaches: [],
  gaps: [],
  lies: [],
  byHand: [],
  looked: undefined,
  story: [],
};

async function untilDead(sim: Simulation, runner: { alive(): boolean }): Promise<undefined> {
  while (runner.alive()) await sim.clock.sleep(10);
  return undefined;
}

interface Row {
  readonly n: number;
  /** The unit that it is about, also of an answer, which names its call alone; "" of a row about the run. */
  readonly unit: string;
  /** The verb of the call that leaves with this row. */
  readonly sends: string | undefined;
}

type Begun = Pick<Killing, "params" | "world" | "prepare">;

/** Undisturbed nights that were played already, by how they are prepared and what they are like. */
const playedNights = new Map<Killing["prepare"], Map<string, Promise<readonly Row[]>>>();

/** The rows that an undisturbed run of such a night writes: always the same, so nights that begin alike learn them once. */
function rowsOf(night: Begun): Promise<readonly Row[]> {
  const { params, world, prepare } = night;
  // A runbook that is given as itself is not told apart by its text.
  if (typeof world?.runbook === "object") return playedRows(night);
  const alike = playedNights.get(prepare) ?? new Map<string, Promise<readonly Row[]>>();
  playedNights.set(prepare, alike);
  const key = JSON.stringify({ params, world: world ?? {} });
  const rows = alike.get(key) ?? playedRows(night);
  alike.set(key, rows);
  return rows;
}

async function playedRows({ params, world, prepare }: Begun): Promise<readonly Row[]> {
  const sim = await openSimulation({ ...world, cloud: { listLagSeconds: 20, ...world?.cloud } });
  try {
    await prepare?.(sim);
    const runner = sim.runner();
    const { walk } = await runner.run(params);
    const { rows } = await runner.store.read(walk.run);
    const senders = new Map<unknown, string>();
    return rows.map(({ n, body }) => {
      const unit = typeof body["unit"] === "string" ? body["unit"] : senders.get(body["sent"]);
      if (unit !== undefined && body["n"] !== undefined) senders.set(body["n"], unit);
      const { verb } = (body["request"] ?? {}) as { readonly verb?: string };
      return { n, unit: unit ?? "", sends: verb };
    });
  } finally {
    sim.close();
  }
}

/**
 * Plays one kind of night, killed before and after so many of its rows, spread over the whole journal or over those of some
 * units, and names those that did not end as they should. ROW_STEP=1 plays every row, ROW=N one alone, with its story.
 */
export async function everyRow(
  many: number,
  night: Omit<Killing, "row" | "when">,
  isGood: (outcome: Outcome) => boolean,
  isOf?: (unit: string, sends: string | undefined) => boolean,
): Promise<readonly string[]> {
  const only = process.env["ROW"];
  const chosen = only === undefined ? spread(await rowsOf(night), many, isOf) : [Number(only)];
  const bad: string[] = [];
  for (const row of chosen)
    for (const when of ["before", "after"] as const) {
      const outcome = await killAndResume({ ...night, row, when });
      // The end itself is written by the last row: after it there is nobody left to kill.
      if (!outcome.reached) bad.push(`row ${row} ${when}: the run was over before it`);
      else if (!isGood(outcome)) {
        const { story, ...rest } = outcome;
        bad.push(`row ${row} ${when}: ${JSON.stringify(rest)}`);
        if (only !== undefined) process.stderr.write(`${story.join("\n")}\n`);
      }
    }
  return bad;
}

/** The first row is the start of the run and the last its end: neither leaves a run to be resumed. */
function spread(
  rows: readonly Row[],
  many: number,
  isOf: (unit: string, sends: string | undefined) => boolean = () => true,
): readonly number[] {
  const inside = rows
    .slice(1, -1)
    .filter(({ unit, sends }) => isOf(unit, sends))
    .map(({ n }) => n);
  if (inside.length < many)
    throw new Error(`${inside.length} rows to kill at, of ${rows.length}; wanted ${many}`);
  const step = Number(process.env["ROW_STEP"] ?? inside.length / many);
  return Array.from(
    { length: Math.ceil(inside.length / step) },
    (_, i) => inside[Math.floor((i + 0.5) * step)],
  ).filter((n) => n !== undefined);
}

/**
 * The laws of every runbook, played in the lab: it reaches its end and leaves the world as it was, and each of its writes
 * may fail, before or after its effect, once or for good. Which writes there are is learnt from an undisturbed run.
 */
import { commandsFor } from "../../src/cli/by-hand.ts";
import { parsePasted } from "../../src/cli/lab-paste.ts";
import { Failure } from "../../src/errors.ts";
import { differences } from "../../src/lab/compare.ts";
import { settle, typeLine } from "../../src/lab/hands.ts";
import { beginLeftOver } from "../../src/lab/invariants.ts";
import type { Fault } from "../../src/lab/world.ts";
import type { Params } from "../../src/runbook/step.ts";
import { worldOf } from "./world.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "./simulation.ts";

export interface Played {
  readonly end: string;
  readonly why: string;
  /** What differs from the world before the run, once it has come to rest. */
  readonly changed: readonly string[];
  /** Steps that came to hold, by their keys. */
  readonly done: readonly string[];
  readonly breaches: readonly string[];
  readonly gaps: readonly string[];
  /** What a stuck run printed for a person; it was pasted. */
  readonly byHand: readonly string[];
  /** Lines of that which could not be typed as they stand, and why. */
  readonly untyped: readonly string[];
  readonly story: readonly string[];
}

export interface Play {
  readonly runbook: string;
  readonly params?: Params;
  readonly world?: SimulationOptions;
  /** Before the run is planned: a backup that is to be restored, files that were deleted. */
  readonly prepare?: (sim: Simulation) => Promise<void>;
  /** What the end is held against: the world before `prepare`, instead of after it. */
  readonly against?: "untouched";
  /** When the run has ended and the world has come to rest. */
  readonly after?: (sim: Simulation) => void;
  /** Commands that the runbook gives again by itself when they fail: then it may succeed. */
  readonly insists?: RegExp;
  /** Another good end than the world as it was found. */
  readonly alsoGood?: (played: Played) => boolean;
}

/** A write as the lab received it, with how many of its like came before. */
export interface Write {
  readonly line: string;
  readonly node: string | undefined;
  readonly fault: Pick<Fault, "match" | "node" | "skip">;
}

export async function playOnce(
  play: Play,
  faults: readonly Parameters<Simulation["lab"]["heart"]["addFault"]>[0][] = [],
): Promise<{ played: Played; writes: readonly Write[] }> {
  const sim = await openSimulation({ ...play.world, runbook: play.runbook });
  try {
    const untouched = worldOf(sim.lab);
    await play.prepare?.(sim);
    await settle(sim.lab);
    const before = play.against === "untouched" ? untouched : worldOf(sim.lab);
    const leftOver = beginLeftOver(sim.lab);
    const runner = sim.runner();
    const plan = await runner.plan(play.params);
    const heard = sim.lab.heart.received.length;
    for (const fault of faults) sim.lab.heart.addFault(fault);
    const walk = await runner.start(plan);
    const ended = await walk.go();
    await walk.close();
    const writes = writesIn(sim, heard, walk.run);
    const byHand =
      ended.end === "stuck"
        ? ended.left.flatMap(({ unit }) => commandsFor(plan, unit.key, walk.logbook.lines))
        : [];
    sim.lab.heart.faults.length = 0;
    const untyped = await paste(sim, byHand);
    await settle(sim.lab);
    play.after?.(sim);
    const changed = differences(before, worldOf(sim.lab));
    return {
      played: {
        end: ended.end,
        why: ended.why ?? "",
        changed,
        done: Object.keys(walk.logbook.context().outcomes),
        // What a stuck run left is for a person, and is judged by what came of his commands.
        breaches: [...sim.breaches.map(({ what }) => what), ...(ended.end === "stuck" ? [] : leftOver())],
        gaps: sim.gaps(),
        byHand,
        untyped,
        story: walk.logbook.lines
          .filter(({ kind }) => kind !== "read")
          .map(
            ({ at, kind, body }) =>
              `${new Date(at).toISOString()} ${kind} ${JSON.stringify(body).slice(0, 240)}`,
          ),
      },
      writes,
    };
  } finally {
    sim.close();
  }
}

/** A fault meets what the node was given (a script with its name and arguments last), or the name of the cloud's operation. */
function writesIn(sim: Simulation, from: number, run: string): readonly Write[] {
  const seen = new Map<string, number>();
  return sim.lab.heart.received.slice(from).flatMap((row): Write[] => {
    const match = row.to === "cloud" ? `/^${row.operation ?? ""}$/` : patternOf(row.line, run);
    const key = `${row.node ?? "cloud"} ${match}`;
    const skip = seen.get(key) ?? 0;
    // Dry runs count too: they are the same operation.
    seen.set(key, skip + 1);
    if (row.class !== "write" || /renewMarker|renew-dead-man/.test(row.line)) return [];
    const fault = { match, ...(row.node !== undefined && { node: row.node }), skip };
    return [{ line: row.line, node: row.node, fault }];
  });
}

/** Names that are new in each run are left open; the rest of the line is exact. */
function patternOf(line: string, run: string): string {
  const open = escape(line)
    .replaceAll(run, "[a-z0-9]+")
    .replace(/pid \d+/g, "pid \\d+")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "\\S+");
  return line.startsWith("runbook-") ? `/${open}$/` : `/^${open}$/`;
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** Types what a stuck run printed; answers with the lines that could not be typed. */
export async function paste(sim: Simulation, lines: readonly string[]): Promise<readonly string[]> {
  const names = [...sim.lab.nodes.keys()];
  const untyped: string[] = [];
  for (const line of lines) {
    try {
      for (const { node, command } of parsePasted(line, names)) {
        await settle(sim.lab);
        await typeLine(sim.lab, { markPerson: () => undefined } as never, command, node);
      }
    } catch (thrown) {
      // A line that a person has to complete first (a node to be found out), or a node that does not answer: told, since
      // whether the rest was enough is judged by the world.
      if (!(thrown instanceof Failure)) throw thrown;
      untyped.push(`${line}: ${thrown.message}`);
    }
  }
  return untyped;
}

/** 1 plays every write; a stride keeps `npm test` short. WRITE=N plays one and tells its story. */
const stride = process.env["WRITE"] === undefined ? Number(process.env["WRITE_STEP"] ?? 83) : 1;

const learnt = new Map<Play["prepare"], Map<string, Promise<readonly Write[]>>>();

/** The writes of an undisturbed run: always the same, so runs that begin alike learn them once. */
function writesOf(play: Play): Promise<readonly Write[]> {
  const { runbook, params, world, prepare } = play;
  const played = () => playOnce(play).then(({ writes }) => writes);
  // A runbook that is given as itself is not told apart by its text.
  if (typeof world?.runbook === "object") return played();
  const alike = learnt.get(prepare) ?? new Map<string, Promise<readonly Write[]>>();
  learnt.set(prepare, alike);
  const key = JSON.stringify({ runbook, params: params ?? {}, world: world ?? {} });
  const writes = alike.get(key) ?? played();
  alike.set(key, writes);
  return writes;
}

/** A command that takes its node down: whether it worked cannot be told from its answer. */
const takesNodeDown = /^clp(backup|restore)\.sh /;

/**
 * Plays a run for each of its writes, with that write failing. What may come of it: everything given back; or, where the
 * cloud's own trouble can be looked at and cured, or the answer says nothing, success; or stuck, with commands that bring
 * it back when they are pasted. One line for each that ended otherwise.
 */
export async function failEach(
  play: Play,
  how: {
    readonly times: 1 | "for good";
    readonly from?: number;
    /** Every write that it meets, instead of some of all. */
    readonly where?: RegExp;
  },
): Promise<readonly string[]> {
  const bad: string[] = [];
  const writes = await writesOf(play);
  const times = how.times === 1 ? 1 : Infinity;
  const only = process.env["WRITE"];
  const { where } = how;
  if (where && !writes.some(({ line }) => where.test(line))) bad.push(`no write is like ${String(where)}`);
  for (let n = how.from ?? 0; n < writes.length; n += where ? 1 : stride) {
    const write = writes[n];
    if (!write || where?.test(write.line) === false || (only !== undefined && Number(only) !== n)) continue;
    const actions: readonly Fault["action"][] =
      write.node === undefined
        ? times === 1
          ? ["deny", "lose-after", "throttle"]
          : ["deny"]
        : times === 1
          ? ["fail-before", "fail-after"]
          : ["fail-before"];
    for (const action of actions) {
      const { played } = await playOnce(play, [{ ...write.fault, action, times }]);
      const cured =
        action === "lose-after" ||
        action === "throttle" ||
        takesNodeDown.test(write.line) ||
        play.insists?.test(write.line) === true;
      const ends = ["given back", ...(cured ? ["succeeded"] : []), ...(times === 1 ? [] : ["stuck"])];
      const fine =
        ends.includes(played.end) &&
        (played.changed.length === 0 || played.end === "succeeded" || play.alsoGood?.(played) === true) &&
        played.breaches.length === 0 &&
        played.gaps.length === 0;
      if (fine) continue;
      const { story, ...rest } = played;
      bad.push(
        `write ${n} (${write.node ?? "cloud"}: ${write.line.slice(0, 60)}) ${action}: ${JSON.stringify(rest)}`,
      );
      if (only !== undefined) process.stderr.write(`${story.join("\n")}\n`);
    }
  }
  return bad;
}

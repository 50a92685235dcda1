/**
 * The steps of one hook: its `before`, its `after`, and the same `after` on the way back. What they run, where, and what its
 * end means; where they stand in a list is in hooks.ts.
 */
import { asFailure, Failure } from "../errors.ts";
import type { HookEnd } from "../ports/nodes.ts";
import { fencedOutCode } from "../ports/shell.ts";
import type { HookPhase, HookSetting } from "./hook-setting.ts";
import { pointFound } from "./points.ts";
import { sides } from "./restore.ts";
import { roles } from "./roles.ts";
import { minutes, seconds, step, type Mine, type Step, type World } from "./step.ts";

/** Where a phase stands in a list: its `before` goes in front of one entry, its `after` in front of another. */
export interface Phase {
  readonly around: HookPhase;
  readonly before: number;
  readonly after: number;
  /** Whether the groups run on the node that `roles` calls the standby. */
  readonly swapped: boolean;
  /** Which nodes are off in it. */
  readonly off: "none" | "standby" | "both";
  /** It takes the service and gives it back in one: in between there is no moment. */
  readonly move: boolean;
}

export interface Part {
  readonly hook: HookSetting;
  readonly phase: Phase;
  readonly when: "before" | "after";
  readonly key: string;
  readonly runbook: string;
}

interface HookSeen {
  readonly ran: boolean;
  readonly told: readonly string[];
}

/** For how long a node that is silent, or cannot begin the command, is asked again before that is an end of its own. */
const patience = minutes(1);

export function beforeStep(part: Part, back: Step | undefined): Step {
  const { hook, phase } = part;
  const { onFailure } = hook;
  return step<HookSeen, { at: number }>({
    title: hook.before === null ? `Hook "${hook.name}" is due from here on, whatever comes` : titleOf(part),
    done: async (world, mine) => {
      if (leftOut(world, part)) return { ran: false, told: [] };
      if (!mine.begun) return undefined;
      if (hook.before === null) return { ran: false, told: [] };
      const end = await findEnd(world, part, tryOf(mine));
      if (typeof end === "object") {
        const trouble = troubleIn(part, end);
        if (trouble === undefined) return { ran: true, told: [] };
        // What else it means is said by `do`, once: a person may have it tried again.
        return onFailure === "go-on" ? { ran: true, told: [`${trouble}; the run goes on`] } : undefined;
      }
      if (world.now() < patientUntil(part, mine)) return undefined;
      const why = `${say(part)} could not be run${end === "silent" ? `: ${nodeOf(world, part)} does not answer` : ""}`;
      const tried = end === "silent" || mine.calls.length > 0;
      if (onFailure === "go-on" && tried && !mayRun(mine))
        return { ran: false, told: [`${why}; the run goes on`] };
      if (end === "silent")
        throw new Failure("precondition", why, { hint: "bring that node up, or skip the hook" });
      return undefined;
    },
    before: async (world) => ({ at: world.now() }),
    do: async (world, mine) => {
      if (hook.before === null || leftOut(world, part)) return;
      const name = await world.atRun("its try", async () => tryOf(mine));
      const begin = () =>
        world.unless(
          async () => typeof (await findEnd(world, part, name)) === "object",
          () => runIt(world, part, name, "forward"),
        );
      await (onFailure === "go-on" ? insist(begin) : begin());
      await world.unless(
        async () => {
          const end = await findEnd(world, part, name);
          const trouble = typeof end === "object" ? troubleIn(part, end) : undefined;
          if (trouble !== undefined && onFailure !== "go-on")
            throw new Failure("conflict", trouble, {
              hint: "mend what hinders it; tried again, it is run again",
            });
          return true;
        },
        async () => undefined,
      );
    },
    within: seconds(hook.seconds) + minutes(3),
    skippable: true,
    undoWhen: phase.around === "run" ? "last" : "after service",
    ...(onFailure === "stop" && { whenFailed: "hold" as const }),
    ...(back && { undo: () => back }),
  });
}

/** Whatever its end, the run goes on; it is told. */
export function afterStep(part: Part, before: Step | undefined): Step {
  const { hook } = part;
  // A person had it skipped before it was begun.
  const neverBegun = (world: World) => before !== undefined && !world.traceOf(before).begun;
  return step<HookSeen>({
    title: titleOf(part),
    done: async (world, mine) => {
      if (leftOut(world, part)) return { ran: false, told: [] };
      if (!mine.begun) return undefined;
      if (neverBegun(world))
        return { ran: false, told: [`${say(part)} was not run: its \`before\` was never begun`] };
      const end = await findEnd(world, part, "");
      if (typeof end === "object") return seenOf(part, end);
      if (end === "silent") throw unanswered(world, part);
      return undefined;
    },
    do: async (world) => {
      if (leftOut(world, part)) return;
      await world.unless(
        async () => neverBegun(world),
        () => insist(() => runIt(world, part, "", "forward")),
      );
    },
    within: seconds(hook.seconds) + minutes(5),
    skippable: true,
    ...(before && { ends: before }),
  });
}

/** The same on the way back. A node that does not answer has its turn later, and keeps nothing else waiting. */
export function backStep(part: Part): Step {
  return step<HookSeen>({
    title: titleOf(part),
    done: async (world) => {
      if (leftOut(world, part)) return { ran: false, told: [] };
      const end = await findEnd(world, part, "");
      if (end === "silent") throw unanswered(world, part);
      return end && seenOf(part, end);
    },
    must: async (world) => {
      const node = nodeOf(world, part);
      if ((await world.nodes.findBoot(node)) === undefined) throw unanswered(world, part);
    },
    do: async (world) => {
      if (leftOut(world, part)) return;
      await insist(() => runIt(world, part, "", "back"));
    },
    within: seconds(part.hook.seconds) + minutes(20),
  });
}

async function runIt(world: World, part: Part, attempt: string, way: "forward" | "back"): Promise<void> {
  const { hook, when, phase, key, runbook } = part;
  const node = nodeOf(world, part);
  const point = world.findOutcome(pointFound)?.point;
  await world.nodes.runHook({
    node,
    run: world.run,
    name: recordOf(key, attempt),
    user: hook.user,
    seconds: hook.seconds,
    env: {
      RUNBOOK_RUN: world.run,
      RUNBOOK_NAME: runbook,
      RUNBOOK_HOOK: hook.name,
      RUNBOOK_PHASE: `${when}-${phase.around}`,
      RUNBOOK_WAY: way,
      RUNBOOK_NODE: node,
      ...(point !== undefined && { RUNBOOK_POINT: point }),
    },
    argv: hook[when] ?? [],
  });
}

/** "silent": the node does not answer, so that nothing is known. */
async function findEnd(world: World, part: Part, attempt: string): Promise<HookEnd | "silent" | undefined> {
  try {
    return await world.nodes.findHook({
      node: nodeOf(world, part),
      run: world.run,
      name: recordOf(part.key, attempt),
    });
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind !== "unavailable" && failure.kind !== "timeout") throw failure;
    return "silent";
  }
}

function recordOf(key: string, attempt: string): string {
  return attempt === "" ? key : `${key}.${attempt}`;
}

/** Each try of a person's has a trace of its own; a resume goes on with the one that was begun. */
function tryOf(mine: Mine<unknown>): string {
  return String(Math.max(1, mine.tries ?? 1));
}

/** Whether a command left and its answer is not known: it may be at work. */
function mayRun(mine: Mine<unknown>): boolean {
  return mine.calls.at(-1)?.state === "unknown";
}

function patientUntil({ hook }: Part, mine: Mine<{ at: number }>): number {
  const last = mine.calls.at(-1);
  const since = last && mayRun(mine) ? last.sentAt + seconds(hook.seconds) : (mine.before?.at ?? 0);
  return since + patience;
}

/** A node that could not begin it says so with an exit status of its own: that is asked again, as if it had not answered. */
async function insist(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind !== "conflict" || failure.answer?.code === fencedOutCode) throw failure;
    throw new Failure("unavailable", failure.message, {
      cause: failure,
      ...(failure.happened !== undefined && { happened: failure.happened }),
      ...(failure.answer !== undefined && { answer: failure.answer }),
    });
  }
}

function seenOf(part: Part, end: HookEnd): HookSeen {
  const trouble = troubleIn(part, end);
  return { ran: true, told: trouble === undefined ? [] : [trouble] };
}

function troubleIn(part: Part, { how, code, said }: HookEnd): string | undefined {
  if (how === "ended" && code === 0) return undefined;
  const last = said.at(-1);
  const words = last === undefined ? "" : `: ${last}`;
  if (how === "over") return `${say(part)} took longer than ${part.hook.seconds} s, and was ended${words}`;
  if (how === "unable") return `${say(part)} could not be run${words}`;
  return `${say(part)} ended with exit status ${code ?? "unknown"}${words}`;
}

function unanswered(world: World, part: Part): Failure {
  const node = nodeOf(world, part);
  return new Failure("unavailable", `${say(part)} cannot be run: ${node} does not answer`, {
    hint: `once ${node} answers, \`runbook undo\` runs it`,
  });
}

function say({ hook, when }: Part): string {
  return `the \`${when}\` of hook "${hook.name}"`;
}

export const moments: {
  readonly [around in HookPhase]: { readonly before: string; readonly after: string };
} = {
  "service-stop": { before: "before the service stops", after: "once the service has stopped" },
  cut: { before: "before the cut", after: "after the cut" },
  "service-return": { before: "before the service returns", after: "once the service is back" },
  run: { before: "before anything is done", after: "after all" },
};

function titleOf({ hook, phase, when }: Part): string {
  const moment = phase.move && when === "after" ? "once the groups have moved" : moments[phase.around][when];
  const node = hook.on === "active" || hook.on === "standby" ? `the ${hook.on} node` : hook.on;
  return `Hook "${hook.name}" ${moment}, on ${node}`;
}

function nodeOf(world: World, part: Pick<Part, "hook" | "phase">): string {
  return whereIs(world, part).node ?? "";
}

function leftOut(world: World, part: Part): boolean {
  return whereIs(world, part).why !== undefined;
}

/** On which node it is run; or why it cannot be, as far as that can be known beforehand. */
export function whereIs(
  world: World,
  { hook, phase }: Pick<Part, "hook" | "phase">,
): { readonly node: string; readonly why?: never } | { readonly node?: never; readonly why: string } {
  const who = whoIs(world, phase.swapped);
  const node = hook.on === "active" || hook.on === "standby" ? who?.[hook.on] : hook.on;
  if (node === undefined) return { why: `which node is the ${hook.on} one cannot be told` };
  if (phase.off === "both" || (phase.off === "standby" && node === who?.standby))
    return { why: `${node} is off when the volumes are cut` };
  return { node };
}

function whoIs(
  world: World,
  swapped: boolean,
): { readonly active: string; readonly standby: string } | undefined {
  const found = world.findOutcome(roles);
  if (found) {
    const { active, standby } = found;
    return swapped ? { active: standby, standby: active } : { active, standby };
  }
  // A restore begins from bad days too: then its groups may run nowhere, and no node is the active one.
  const ran = [...new Set(world.findOutcome(sides)?.ran.map(({ node }) => node))];
  const [active] = ran;
  const standby = world.members.find((node) => node !== active);
  return ran.length === 1 && active !== undefined && standby !== undefined ? { active, standby } : undefined;
}

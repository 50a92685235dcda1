/**
 * Marks and timers of runs that are dead (design 3.6). A run without the journal of a dead one may only give back, and only
 * once that run cannot write any more: its mark expired on every node's own clock, by the longest that one call may take.
 * The node itself checks this in the command that puts the new mark in the old one's place.
 *
 * A node that is off cannot be asked. One that answers is enough, since every run holds all nodes; where none answers, the
 * person has to say that no other run is at work (a restore has both nodes off for a while). A node is marked as soon as it
 * is up, and before anything is sent to it.
 */
import { Failure } from "../errors.ts";
import { cloudContract } from "../ports/cloud.ts";
import { clusterContract } from "../ports/cluster-manager.ts";
import { nodesContract } from "../ports/nodes.ts";
import { heldByOther, holdNodes } from "./house.ts";
import { assertNoOpenRun } from "./preflight.ts";
import { check, minutes, step, type Step, type World } from "./step.ts";

/** After this long no call of a dead run can still be under way. */
export const longestCallSeconds =
  Math.max(
    ...[clusterContract, cloudContract, nodesContract].flatMap((contract) =>
      Object.values(contract).map((terms) => (terms.kind === "write" ? terms.limitMs : 0)),
    ),
  ) / 1000;

export interface LeftBehind {
  /** By node: "RUN.FENCE" of a mark that may be taken over, "none", or "unseen" where the node does not answer. */
  readonly marks: { readonly [node: string]: string };
  /** By node: the run whose dead-man timer stands there, "none" or "unseen". */
  readonly timers: { readonly [node: string]: string };
}
const none = "none";
const unseen = "unseen";
const ours = "ours";

/** Stands in the place of `nobodyElse` in a runbook that takes over. */
export const nobodyAtWork = check<LeftBehind>(
  "No run is at work on this cluster; what a dead one left is taken over",
  async (world) => {
    // One of its own kind that got stuck knows no more than a new look does, and took nothing.
    await assertNoOpenRun(world, ({ runbook, state }) => runbook === "give-back" && state === "stuck");
    const marks: Record<string, string> = {};
    const timers: Record<string, string> = {};
    for (const node of world.members) {
      const mark = await markOn(world, node);
      if (mark !== unseen) await assertMayTake(world, node);
      marks[node] = mark === ours ? none : mark;
      timers[node] = mark === unseen ? unseen : ((await foreignTimer(world, node)) ?? none);
    }
    if (Object.values(marks).every((mark) => mark === unseen) && world.params["alone"] !== "known")
      throw new Failure(
        "conflict",
        "no node answers, so that no mark can be read: another run may be at work here, and a restore has both nodes off for a while",
        { hint: "if you know that none is at work, say so: --param alone=known" },
      );
    return { marks, timers };
  },
);

export const holdWhatAnswers = step({
  title: "Mark the nodes that answer as held by this run",
  done: async (world, mine) =>
    mine.begun && (await unmarked(world)).length === 0 ? { held: true } : undefined,
  must: assertMayTakeAll,
  do: markAll,
  renew: async (world, mine) => holdNodes.renew?.(world, mine),
  within: minutes(3),
  undo: (): Step => releaseWhatAnswers,
});

/** Those that came up since. */
export const markWhatCameUp = step({
  title: "Mark the nodes that came up as held by this run",
  done: async (world) => ((await unmarked(world)).length === 0 ? { held: true } : undefined),
  must: assertMayTakeAll,
  do: markAll,
  within: minutes(3),
});

/** A node that does not answer keeps its mark, if it has one, until it is met again: it runs out by itself. */
export const releaseWhatAnswers = step({
  title: "Take this run's marks off the nodes",
  done: async (world) => {
    for (const node of world.members) if ((await markOn(world, node)) === ours) return undefined;
    return { nodes: world.members };
  },
  do: async (world) => {
    for (const node of world.members) {
      await world.unless(
        async () => (await markOn(world, node)) !== ours,
        () => world.nodes.releaseMarker({ node, run: world.run }),
      );
    }
  },
  within: minutes(10),
  ends: holdWhatAnswers,
});

/** They act only under their own run's mark, which is gone: what is left of them would only hinder the next run. */
export const deadTimersGone = step({
  title: "Take away the dead-man timers of dead runs",
  done: async (world) => {
    for (const node of world.members) {
      if ((await markOn(world, node)) === unseen) continue;
      if ((await foreignTimer(world, node)) !== undefined) return undefined;
    }
    return { nodes: world.members };
  },
  do: async (world) => {
    for (const node of world.members) {
      const left = world.findOutcome(nobodyAtWork)?.timers[node] ?? unseen;
      if (left === none) continue;
      await world.unless(
        async () => (await markOn(world, node)) === unseen || (await foreignTimer(world, node)) === undefined,
        async () => {
          const run = await world.atRun(
            `the run whose timer stands on ${node}`,
            async () => (await foreignTimer(world, node)) ?? "",
          );
          await world.cluster.clearDeadMan({ node, run });
        },
      );
    }
  },
  within: minutes(5),
});

async function markAll(world: World): Promise<void> {
  for (const node of world.members) {
    const left = world.findOutcome(nobodyAtWork)?.marks[node] ?? unseen;
    const mark = {
      node,
      run: world.run,
      owner: world.owner,
      fence: world.fence,
      seconds: world.settings.leaseMinutes * 60,
    };
    await world.unless(
      async () => (await markOn(world, node)) !== none,
      () => world.nodes.takeMarker(mark),
    );
    if (left === none) continue;
    await world.unless(
      async () => [none, unseen, ours].includes(await markOn(world, node)),
      async () => {
        const from =
          left === unseen
            ? await world.atRun(`mark of a dead run on ${node}`, () => markOn(world, node))
            : left;
        await world.nodes.takeOverMarker({ ...mark, from, expiredSeconds: longestCallSeconds });
      },
    );
  }
}

async function unmarked(world: World): Promise<readonly string[]> {
  const left: string[] = [];
  for (const node of world.members) if (![ours, unseen].includes(await markOn(world, node))) left.push(node);
  return left;
}

async function assertMayTakeAll(world: World): Promise<void> {
  for (const node of await unmarked(world)) await assertMayTake(world, node);
}

async function assertMayTake(world: World, node: string): Promise<void> {
  const found = await world.nodes.getMarker(node);
  if (!found.held || found.marker?.run === world.run) return;
  const { marker } = found;
  if (marker && marker.secondsLeft < -longestCallSeconds) return;
  const { message, hint } = heldByOther(node, found);
  const left = marker && Math.ceil((marker.secondsLeft + longestCallSeconds) / 60);
  throw new Failure("conflict", message, {
    hint:
      left === undefined
        ? (hint ?? "")
        : `${hint ?? ""}; if that run's journal is lost, its mark may be taken over in ${left} min, when no call of it can be under way any more`,
  });
}

async function markOn(world: World, node: string): Promise<string> {
  if ((await world.nodes.findBoot(node)) === undefined) return unseen;
  const found = await world.nodes.getMarker(node);
  if (!found.held) return none;
  if (!found.marker) throw heldByOther(node, found);
  return found.marker.run === world.run ? ours : `${found.marker.run}.${found.marker.fence}`;
}

async function foreignTimer(world: World, node: string): Promise<string | undefined> {
  const timer = await world.cluster.findDeadMan(node);
  return timer === undefined || timer.run === world.run ? undefined : timer.run;
}

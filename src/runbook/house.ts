/**
 * The two steps that every run on a cluster begins and ends with: its marker on each node, so that one run at a time
 * writes there, and so that a person who logs in sees who is at work (design 3.6).
 */
import { Failure } from "../errors.ts";
import type { MarkerState } from "../ports/nodes.ts";
import { minutes, step, type Step, type World } from "./step.ts";

/** Marks the nodes, in the order of the cluster's configuration; sequential, so that two runs cannot each hold one. */
export const holdNodes = step({
  title: "Mark both nodes as held by this run",
  done: async (world) => {
    for (const node of world.members) {
      if (!isOurs(world, await world.nodes.getMarker(node))) return undefined;
    }
    return world.members;
  },
  must: async (world) => {
    for (const node of world.members) {
      const found = await world.nodes.getMarker(node);
      if (found.held && !isOurs(world, found)) throw heldByOther(node, found);
    }
  },
  do: async (world) => {
    for (const node of world.members) {
      await world.unless(
        async () => isOurs(world, await world.nodes.getMarker(node)),
        () => world.nodes.takeMarker({ node, ...holder(world) }),
      );
    }
  },
  renew: async (world) => {
    for (const node of world.members) {
      let renewed = false;
      await world.unless(
        async () => false,
        async () => {
          renewed = await tryRenewing(world, node);
        },
      );
      // After a takeover the nodes still carry the fence of the runner before; one that was off is met later.
      await world.unless(
        async () => renewed || !isOurs(world, (await markerWhereUp(world, node)) ?? { held: false }),
        () => world.nodes.adoptMarker({ node, ...holder(world) }),
      );
    }
  },
  within: minutes(3),
  undo: (): Step => releaseNodes,
});

export const releaseNodes = step({
  title: "Take this run's marker off both nodes",
  done: async (world) => {
    for (const node of world.members) {
      if (isOurs(world, await world.nodes.getMarker(node))) return undefined;
    }
    return world.members;
  },
  do: async (world) => {
    for (const node of world.members) {
      await world.unless(
        async () => !isOurs(world, await world.nodes.getMarker(node)),
        () => world.nodes.releaseMarker({ node, run: world.run }),
      );
    }
  },
  // A timer that could not be taken away may still have to bring the service back, and it acts only under our mark.
  must: async (world) => {
    for (const node of world.members) {
      const timer = await world.cluster.findDeadMan(node);
      if (timer?.run === world.run && timer.state === "armed")
        throw new Failure(
          "precondition",
          `the dead-man timer on ${node} is armed, and needs this run's mark to act`,
          {
            hint: "once the groups are online, `runbook undo` takes the timer and the marks away",
          },
        );
    }
  },
  within: minutes(10),
  ends: holdNodes,
});

/** The first thing that a second run meets: who is at work here. */
export function heldByOther(node: string, found: MarkerState & { held: true }): Failure {
  if (!found.marker)
    return new Failure(
      "conflict",
      `${node} carries a marker that cannot be read (${found.why}): it counts as held`,
      {
        hint: "look at /var/lib/runbook/lock on that node, and remove the folder only if no run is at work",
      },
    );
  const { run, owner, secondsLeft } = found.marker;
  const since = secondsLeft > 0 ? `for another ${secondsLeft} s` : `expired ${-secondsLeft} s ago`;
  return new Failure("conflict", `${node} is held by run ${run} of ${owner} (${since})`, {
    hint: `look at it with \`runbook status ${run}\`; go on with \`runbook resume ${run}\` or give back with \`runbook undo ${run}\``,
  });
}

function isOurs(world: World, found: MarkerState): boolean {
  return found.held && found.marker?.run === world.run;
}

/** Whether the marker carries our fence and was renewed; a node that does not answer is left for the next time. */
async function tryRenewing(world: World, node: string): Promise<boolean> {
  try {
    await world.nodes.renewMarker({ node, run: world.run, fence: world.fence, seconds: leaseSeconds(world) });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.kind === "bug" || thrown.kind === "aborted") throw thrown;
    return false;
  }
}

/** A node that is off keeps its marker on disk; it is met again when it is up. */
async function markerWhereUp(world: World, node: string) {
  if ((await world.nodes.findBoot(node)) === undefined) return undefined;
  return world.nodes.getMarker(node);
}

function holder(world: World) {
  return { run: world.run, owner: world.owner, fence: world.fence, seconds: leaseSeconds(world) };
}

function leaseSeconds(world: World): number {
  return world.settings.leaseMinutes * 60;
}

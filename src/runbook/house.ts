/**
 * The two steps that every run on a cluster begins and ends with: its marker on each node, so that one run at a time
 * writes there, and so that a person who logs in sees who is at work (design 3.6).
 */
import { Failure } from "../errors.ts";
import type { MarkerState } from "../ports/nodes.ts";
import { minutes, step, type Step, type World } from "./step.ts";

/**
 * Marks the nodes, in the order of the cluster's configuration; sequential, so that two runs cannot each hold one. A node
 * that is off can be written to by nobody: it is marked once it is up. (Whether a runbook may begin so is for its checks.)
 */
export const holdNodes: Step<readonly string[]> = step<readonly string[]>({
  title: "Mark both nodes as held by this run",
  done: async (world) => {
    const marked: string[] = [];
    for (const node of world.members) {
      const found = await findMarkerWhereOn(world, node);
      if (found === "off") continue;
      if (!isOurs(world, found)) return undefined;
      marked.push(node);
    }
    return marked;
  },
  must: async (world) => {
    for (const node of world.members) {
      const found = await findMarkerWhereOn(world, node);
      if (found !== "off" && found.held && !isOurs(world, found)) throw heldByOther(node, found);
    }
  },
  do: markAll,
  renew: async (world) => {
    const marked = world.findOutcome(holdNodes) ?? world.members;
    for (const node of world.members) {
      // It was off, and came up since.
      if (!marked.includes(node) && (await markerWhereUp(world, node))?.held === false)
        await world.nodes.takeMarker({ node, ...holder(world) });
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

/** For a runbook that boots nodes which were off. */
export const holdBooted = step<readonly string[]>({
  title: "Mark the nodes that came up",
  done: async (world) => {
    for (const node of world.members) {
      const found = await findMarker(world, node);
      if (found !== "off" && !isOurs(world, found)) return undefined;
    }
    return world.members;
  },
  must: async (world) => {
    for (const node of world.members) {
      const found = await findMarker(world, node);
      if (found !== "off" && found.held && !isOurs(world, found)) throw heldByOther(node, found);
    }
  },
  do: markAll,
  within: minutes(3),
  undo: (): Step => releaseBooted,
});

async function markAll(world: World): Promise<void> {
  for (const node of world.members) {
    await world.unless(
      async () => {
        const found = await findMarkerWhereOn(world, node);
        return found === "off" || isOurs(world, found);
      },
      () => world.nodes.takeMarker({ node, ...holder(world) }),
    );
  }
}

/** The nodes that were off when this run began; they go off again, and then nobody could take the marker away. */
const releaseBooted = step({
  title: "Take this run's marker off the nodes that came up",
  done: async (world) => {
    for (const node of cameUp(world)) {
      const found = await findMarker(world, node);
      if (found !== "off" && isOurs(world, found)) return undefined;
    }
    return { nodes: cameUp(world) };
  },
  do: async (world) => {
    for (const node of world.members) {
      await world.unless(
        async () => {
          if (!cameUp(world).includes(node)) return true;
          const found = await findMarker(world, node);
          return found === "off" || !isOurs(world, found);
        },
        () => world.nodes.releaseMarker({ node, run: world.run }),
      );
    }
  },
  within: minutes(10),
});

function cameUp(world: World): readonly string[] {
  const marked = world.findOutcome(holdNodes) ?? [];
  return world.members.filter((node) => !marked.includes(node));
}

export const releaseNodes = step({
  title: "Take this run's marker off both nodes",
  done: async (world) => {
    for (const node of world.members) {
      const found = await findMarker(world, node);
      if (found !== "off" && isOurs(world, found)) return undefined;
    }
    return world.members;
  },
  do: async (world) => {
    for (const node of world.members) {
      await world.unless(
        async () => {
          const found = await findMarker(world, node);
          return found === "off" || !isOurs(world, found);
        },
        () => world.nodes.releaseMarker({ node, run: world.run }),
      );
    }
  },
  // A timer that could not be taken away may still have to bring the service back, and it acts only under our mark.
  must: async (world) => {
    for (const node of world.members) {
      if ((await findMarker(world, node)) === "off") continue;
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

/** The same for whoever marks: while a node is off nobody marks it, and a stuck run is not kept from giving back by that. */
async function findMarkerWhereOn(world: World, node: string): Promise<MarkerState | "off"> {
  try {
    return await findMarker(world, node);
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.kind !== "unavailable") throw thrown;
    if ((await powerOf(world, node)) === "stopped") return "off";
    throw thrown;
  }
}

/**
 * "off": its instance is stopped or gone, so that nothing can be read there, nor written by anybody. Never said of a node that this
 * run has marked: there the mark waits to be taken off again.
 */
export async function findMarker(world: World, node: string): Promise<MarkerState | "off"> {
  try {
    return await world.nodes.getMarker(node);
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.kind !== "unavailable") throw thrown;
    const power = await powerOf(world, node);
    // Its disk is gone, and whatever mark was on it.
    if (power === "terminated") return "off";
    const marked = world.findOutcome(holdNodes)?.includes(node) === true;
    if (power === "stopped") {
      if (marked) throw await silentNode(world, node);
      return "off";
    }
    if (marked) throw thrown;
    // Why the way to it is closed is known only here.
    if ((await powerOf(world, node)) === "running")
      throw new Failure("unavailable", thrown.message, {
        cause: thrown,
        hint: [thrown.hint, "if it is dead, power it off (aws ec2 stop-instances), and plan again"]
          .filter(Boolean)
          .join("; "),
      });
    throw await silentNode(world, node);
  }
}

/** The state of a node's instance; one that ended long ago is forgotten by the cloud. */
export async function powerOf(world: World, node: string): Promise<string> {
  try {
    return (await world.cloud.getPower(world.instanceOf(node))).state;
  } catch (thrown) {
    if (thrown instanceof Failure && thrown.kind === "not-found") return "terminated";
    throw thrown;
  }
}

/** What a person does about a node that does not answer depends on its instance. */
export async function silentNode(world: World, node: string): Promise<Failure> {
  const id = world.instanceOf(node);
  const state = await powerOf(world, node);
  const gone = "without it, `runbook plan restore-one` restores the other node alone";
  const hints: { readonly [state: string]: string } = {
    stopped: "power it on; for a restore, `runbook run boot-bare` boots it without its data volumes",
    running:
      "if it serves, mend the way to it; if it is dead, power it off (aws ec2 stop-instances), and plan again",
    terminated: gone,
    "shutting-down": gone,
  };
  return new Failure("unavailable", `${node} does not answer; its instance ${id} is ${state}`, {
    hint: hints[state] ?? "wait until its instance has settled, and plan again",
  });
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

/**
 * Mirrors on new volumes: their settings, the proofs without which no mirror is started, and the start itself. Starting a
 * mirror on a wrong device may destroy a partition, and `--skip-copy` on two contents reports two disks as equal that are
 * not (reference clusterpro 1.11, 8 R1, 11 rules 8 and 9).
 */
import {
  Failure,
  findMirrorVolumes,
  isInSync,
  later,
  minutes,
  notYet,
  optionsOf,
  readMirrors,
  sayMirror,
  sides,
  step,
  wait,
  type Sides,
  type Step,
  type World,
} from "runbook";

import { newVolumes, places } from "./volumes.ts";

// With the initial copy on, the post command refuses; with the initial mkfs on, it would format the restored partition.
export const copyOff = step({
  title: "Switch the initial full copy and the initial mkfs off",
  done: async (world) => {
    const { options } = await configured(world);
    return options.every(({ fullCopy, initialMkfs }) => !fullCopy && !initialMkfs) ? { options } : undefined;
  },
  do: async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    await world.cluster.setMirrorOptions({
      node: nodes[0] ?? "",
      mirrors: mirrors.map(({ name }) => name),
      fullCopy: false,
      initialMkfs: false,
    });
  },
  within: minutes(15),
  undo: (): Step => optionsBack,
  // Its last turn comes when both nodes are members and in sync again.
  undoWhen: "last",
});

export const optionsBack = step({
  title: "Put the mirrors' settings back as they were found",
  ends: copyOff,
  done: async (world) => {
    const now = await configured(world);
    return same(now.options, world.outcomeOf(sides).options) ? { options: now.options } : undefined;
  },
  must: async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const [via = ""] = nodes;
    const state = await world.cluster.getState(via);
    const out = nodes.filter((node) => state.nodes[node] !== "online");
    if (out.length > 0)
      throw new Failure(
        "unavailable",
        `${out.join(" and ")} is no member: a full copy could be started unasked`,
      );
    const bad = (await readMirrors(world, mirrors, via)).filter((mirror) => !isInSync(mirror));
    if (bad.length > 0)
      throw new Failure("unavailable", `the mirrors are not in sync: ${bad.map(sayMirror).join(", ")}`);
  },
  do: async (world) => {
    const { nodes, options } = world.outcomeOf(sides);
    for (const fullCopy of [true, false])
      for (const initialMkfs of [true, false]) {
        const mirrors = options
          .filter((option) => option.fullCopy === fullCopy && option.initialMkfs === initialMkfs)
          .map(({ mirror }) => mirror);
        if (mirrors.length > 0)
          await world.cluster.setMirrorOptions({ node: nodes[0] ?? "", mirrors, fullCopy, initialMkfs });
      }
  },
  within: minutes(30),
});

export interface Proven {
  /** The boot that the proof holds for, by node. */
  readonly boots: { readonly [node: string]: string };
}

/** A proof holds for one boot (design 4, "Devices"): `startMirrors` compares. */
export const devicesProven: Step<Proven> = wait<Proven>({
  title: "On both nodes the new volumes lie where the cluster expects its mirrors",
  done: async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const known = world.findOutcome(devicesProven);
    if (known && world.traceOf(startMirrors).begun) return known;
    const boots: Record<string, string> = {};
    for (const node of nodes) {
      const { bootId } = await world.nodes.getBoot(node);
      const { partitions } = await findMirrorVolumes(world, node, mirrors);
      for (const { node: place, old, made } of world.outcomeOf(newVolumes)) {
        if (place !== node) continue;
        const holds = places(world).find(({ swap }) => swap.old === old)?.swap.holds ?? "";
        for (const wanted of holds.split("+")) {
          const found = partitions.find(({ mirror, part }) => `${mirror}:${part}` === wanted);
          if (found?.volume !== made)
            throw new Failure(
              "precondition",
              `${node}: ${wanted} (${found?.path ?? "not configured"}) lies on ${found?.volume ?? "nothing"}; wanted the new volume ${made}`,
              { hint: "the device names have moved; the old volumes are put back" },
            );
        }
      }
      boots[node] = bootId;
    }
    return { boots };
  },
  expect: async (world) => ({
    boots: Object.fromEntries(
      world.outcomeOf(sides).nodes.map((node) => [node, later(`boot id of ${node}`)]),
    ),
  }),
  within: minutes(10),
});

/** What `--skip-copy` needs: one content on both sides, untouched since it was made (design 4). */
export const contentsSame = wait({
  title: "Both sides hold the same snapshot, untouched",
  done: async (world) => {
    if (world.traceOf(startMirrors).begun) return { proven: true };
    const made = world.outcomeOf(newVolumes);
    const volumes = await world.cloud.getVolumes(made.map((one) => one.made));
    const sources = new Map<string, Set<string>>();
    for (const [i, one] of made.entries()) {
      const volume = volumes[i];
      const place = places(world).find(({ swap }) => swap.old === one.old);
      if (!volume || !place) throw new Failure("bug", `${one.made} has no place`);
      if (volume.snapshot !== place.swap.snapshot)
        throw new Failure(
          "precondition",
          `${volume.id} was made from ${volume.snapshot ?? "no snapshot"}; wanted ${place.swap.snapshot}`,
        );
      if (volume.attachments.length !== 1)
        throw new Failure("precondition", `${volume.id} is attached ${volume.attachments.length} times`);
      const known = sources.get(place.swap.holds) ?? new Set<string>();
      sources.set(place.swap.holds, known.add(volume.snapshot));
    }
    for (const [holds, snapshots] of sources) {
      if (snapshots.size !== 1)
        throw new Failure(
          "precondition",
          `${holds} comes from ${[...snapshots].join(" and ")}: two contents are never started as equal`,
        );
    }
    for (const node of world.outcomeOf(sides).nodes) {
      const service = await world.cluster.getService(node);
      if (service.running)
        throw new Failure(
          "precondition",
          `the cluster software runs on ${node}: its mirror may have been written to`,
        );
      const devices = await world.nodes.listBlockDevices(node);
      const mounted = world
        .outcomeOf(sides)
        .mirrors.filter(({ mountPoint }) =>
          devices.some((device) => device.mountPoints.includes(mountPoint)),
        );
      if (mounted.length > 0)
        throw new Failure(
          "precondition",
          `${node}: ${mounted.map(({ mountPoint }) => mountPoint).join(", ")} is mounted`,
        );
    }
    return { proven: true };
  },
  within: minutes(10),
});

/**
 * One right after the other, within seconds. A side that came up again may serve, alone, and what it writes the other side
 * never had: from then on the other side is never told to skip the copy. So a command that is refused, or whose answer was
 * lost while the node is still there, is given again at once; and if the first side refuses for good, none was started.
 */
export const startMirrors = step({
  title: "Start the mirrors on both nodes as identical; the nodes reboot",
  done: async (world, mine) => {
    if (!mine.begun) return undefined;
    const { boots } = world.outcomeOf(devicesProven);
    for (const node of world.outcomeOf(sides).nodes) {
      const boot = await world.nodes.findBoot(node);
      if (!boot || boot.bootId === boots[node]) return undefined;
      if (!(await world.cluster.getService(node)).startsAtBoot) return undefined;
    }
    return { nodes: world.outcomeOf(sides).nodes };
  },
  must: async (world, mine) => {
    const { nodes } = world.outcomeOf(sides);
    const { boots } = world.outcomeOf(devicesProven);
    for (const node of nodes) {
      const sent = mine.calls.findLast((call) => call.node === node && call.state !== "no");
      const boot = await world.nodes.findBoot(node);
      if (boot?.bootId === boots[node]) continue;
      if (boot === undefined && (sent === undefined || world.now() - sent.sentAt < minutes(10)))
        return notYet;
      const left = await notStarted(world, nodes);
      if (left.length > 0)
        throw new Failure(
          "precondition",
          `${node} was booted since the proof${sent === undefined ? "" : ", and may have served alone"}; ${left.join(", ")} cannot be told any more to skip the copy`,
          {
            hint: "the side that was started holds what counts now: the other one needs a full copy from it",
          },
        );
    }
    return undefined;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(sides).nodes) await startOn(world, node);
  },
  within: minutes(40),
  undo: (): Step => leftAsRestored,
  undoWhen: "in turn",
});

const startTries = 3;

async function startOn(world: World, node: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await world.unless(
        async () => !(await notStarted(world, [node])).includes(node),
        () => world.cluster.finishRestore({ node, skipCopy: true }),
      );
      return;
    } catch (thrown) {
      // Gone, or set to start at its next boot: the command went through, whatever became of its answer.
      if (!(thrown instanceof Failure) || thrown.kind === "bug" || thrown.kind === "aborted") throw thrown;
      if (!(await notStarted(world, [node])).includes(node)) return;
      if (attempt === startTries) throw thrown;
    }
  }
}

/**
 * Of these nodes, those that were not yet told to start their mirrors, as they themselves show it: still the boot of the
 * proof, and the cluster software not set to start.
 */
async function notStarted(world: World, nodes: readonly string[]): Promise<readonly string[]> {
  const { boots } = world.outcomeOf(devicesProven);
  const left: string[] = [];
  for (const node of nodes) {
    const boot = await world.nodes.findBoot(node);
    if (boot?.bootId === boots[node] && !(await world.cluster.getService(node)).startsAtBoot) left.push(node);
  }
  return left;
}

/**
 * Whether a node may have started its mirror on a restored volume, and so may have served from it. From then on nothing
 * puts the old volumes back but a person's own word (design 4, "Old volumes").
 */
export async function hasStarted(world: World): Promise<boolean> {
  const trace = world.traceOf(startMirrors);
  const told = world
    .outcomeOf(sides)
    .nodes.filter((node) => trace.calls.some((call) => call.node === node && call.state !== "no"));
  if (told.length === 0) return false;
  return (await notStarted(world, told)).length < told.length;
}

/** What a start that was only half made needs is a choice of the side that counts: that is a person's. */
const leftAsRestored = step({
  title: "Join the other side by a full copy from the one that was started",
  done: async (world) => {
    if (!(await hasStarted(world))) return { started: [] };
    if (!(await isWhole(world))) return undefined;
    return {
      told: [
        "both nodes serve from the restored volumes, in sync: the restore itself is done, and stays; the old volumes are kept",
      ],
    };
  },
  must: async () => {
    throw new Failure(
      "precondition",
      "the restored volumes may have served: they stay, and the old ones are kept, with their place in their tags",
      { hint: "look which side serves; a side that was not started joins it by a full copy, as printed" },
    );
  },
  do: async (world) => {
    const half = await world.atRun("the node that was not started", async () => {
      const [node = ""] = await notStarted(world, world.outcomeOf(sides).nodes);
      return node;
    });
    await world.cluster.finishRestore({ node: half, skipCopy: false });
    const served = await world.atRun("the node that was started", async () => {
      const { nodes } = world.outcomeOf(sides);
      const left = await notStarted(world, nodes);
      return nodes.find((node) => !left.includes(node)) ?? "";
    });
    for (const { name } of world.outcomeOf(sides).mirrors)
      await world.cluster.forceGood({ mirror: name, node: served });
  },
  within: minutes(1),
});

/** Both nodes members, and every mirror in sync. */
async function isWhole(world: World): Promise<boolean> {
  const { nodes, mirrors } = world.outcomeOf(sides);
  const [via = ""] = nodes;
  const state = await world.cluster.getState(via);
  if (nodes.some((node) => state.nodes[node] !== "online")) return false;
  return (await readMirrors(world, mirrors, via)).every(isInSync);
}

/** Read on both nodes: a push that reached one of them only is no setting. */
async function configured(world: World): Promise<{ readonly options: Sides["options"] }> {
  const config = await world.cluster.getConfig(world.members);
  if (new Set(Object.values(config.digests)).size > 1)
    throw new Failure("precondition", "the cluster's configuration is not the same on both nodes", {
      hint: "distribute it again from the cluster's own tool",
    });
  return { options: optionsOf(config) };
}

function same(one: Sides["options"], two: Sides["options"]): boolean {
  return JSON.stringify(one) === JSON.stringify(two);
}

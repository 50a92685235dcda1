/**
 * Mirrors on new volumes: their settings, the proofs without which no mirror is started, and the start itself. Starting a
 * mirror on a wrong device may destroy a partition, and `--skip-copy` on two contents reports two disks as equal that are
 * not (reference clusterpro 1.11, 8 R1, 11 rules 8 and 9).
 */
import {
  allOnline,
  Failure,
  findMirrorVolumes,
  hours,
  isInSync,
  later,
  minutes,
  mirrorsAfter,
  notYet,
  optionsOf,
  readMirrors,
  restoredNodes,
  sayMirror,
  sides,
  step,
  wait,
  type Mine,
  type Sides,
  type Step,
  type World,
} from "runbook";

import { bootNodes, outAgain } from "./nodes-down.ts";
import { wasCopiedOver } from "./copied.ts";
import { assertReadUntouched } from "./read-on-helper.ts";
import { startAsTheyWere } from "./taken-back.ts";
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
  undo: (): Step[] => [optionsBack, outAgain],
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
    const { nodes, mirrors, whole } = world.outcomeOf(sides);
    // On the way back of a restore that began on a bad day: as it was found, with what was broken then.
    if (!whole && !startBegun(world)) return;
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
  title: "The new volumes lie where the cluster expects its mirrors",
  proves: "devices",
  done: async (world) => {
    const mirrors = mirrorsAfter(world);
    const nodes = restoredNodes(world);
    const known = world.findOutcome(devicesProven);
    if (known && startBegun(world)) return known;
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
    boots: Object.fromEntries(restoredNodes(world).map((node) => [node, later(`boot id of ${node}`)])),
  }),
  within: minutes(10),
});

/** What `--skip-copy` needs: one content on both sides, untouched since it was made (design 4). */
export const contentsSame = wait({
  title: "Both sides hold the same snapshot, untouched",
  done: async (world) => {
    if (startBegun(world)) return { proven: true };
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
    if (world.params["warm"] === "helper") assertReadUntouched(world, volumes);
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

export interface Started {
  readonly nodes: readonly string[];
  /** The node that could not be told any more to skip the copy, because the other one came up, and may serve. */
  readonly half: string | null;
}

/**
 * One right after the other, within seconds. A side that came up again may serve, alone, and what it writes the other side
 * never had: from then on the other side is never told to skip the copy, but joins by a copy (`joinHalf`). So a command that
 * is refused, or whose answer was lost while the node is still there, is given again at once; and if the first side refuses
 * for good, none was started.
 */
export const startMirrors: Step<Started> = step<Started>({
  title: "Start the mirrors on what was restored, as identical; the nodes reboot",
  startsMirrors: true,
  mayServe: true,
  done: async (world, mine) => {
    if (!mine.begun) return undefined;
    const { boots } = world.outcomeOf(devicesProven);
    const nodes = restoredNodes(world);
    const up: string[] = [];
    for (const node of nodes) {
      const boot = await world.nodes.findBoot(node);
      if (boot && boot.bootId !== boots[node] && (await world.cluster.getService(node)).startsAtBoot)
        up.push(node);
    }
    if (up.length === nodes.length) return { nodes, half: null };
    const left = up.length === 0 ? [] : await notStarted(world, nodes);
    return left.length === 1 && left[0] !== undefined ? { nodes, half: left[0] } : undefined;
  },
  must: async (world, mine) => {
    const { boots } = world.outcomeOf(devicesProven);
    for (const node of restoredNodes(world)) {
      const sent = mine.calls.findLast((call) => call.node === node && call.state !== "no");
      const boot = await world.nodes.findBoot(node);
      if (boot?.bootId === boots[node]) {
        const { running } = await world.cluster.getService(node);
        if (running && sent === undefined)
          throw new Failure("precondition", `the cluster software was started on ${node} since the proof`, {
            hint: "the old volumes are put back; see to it that nobody starts it meanwhile",
          });
        continue;
      }
      if (boot === undefined && (sent === undefined || world.now() - sent.sentAt < minutes(10)))
        return notYet;
      // On its way up, told to start: the next look says what it means for the other side.
      if (boot !== undefined && sent !== undefined && (await world.cluster.getService(node)).startsAtBoot)
        return notYet;
      throw new Failure(
        "precondition",
        `${node} was booted since the proof: what lies under its mirrors is not proven any more`,
      );
    }
    return undefined;
  },
  do: async (world) => {
    for (const node of restoredNodes(world)) await startOn(world, node);
  },
  expect: async (world) => ({ nodes: restoredNodes(world), half: null }),
  within: minutes(40),
  undo: (): Step => leftAsRestored,
  undoWhen: "in turn",
});

// Nothing to do but after a kill between the two starts. The side that came up is the good one, provably: the other was not
// started on its volume since this was made.
export const joinHalf = step({
  title: "Had only one side been started: the other one joins by a full copy from it",
  startsMirrors: true,
  proves: "devices",
  done: async (world) => {
    const { half } = world.outcomeOf(startMirrors);
    return half === null || (await hasJoined(world, half)) ? { joined: half } : undefined;
  },
  must: async (world, mine) => {
    const { half, nodes } = world.outcomeOf(startMirrors);
    return half === null ? undefined : mayJoin(world, half, nodes, mine);
  },
  do: async (world) => {
    for (const node of restoredNodes(world)) {
      await world.unless(
        async () => world.outcomeOf(startMirrors).half !== node,
        () => world.cluster.finishRestore({ node, skipCopy: false }),
      );
    }
  },
  within: hours(1),
});

async function hasJoined(world: World, node: string): Promise<boolean> {
  const boot = await world.nodes.findBoot(node);
  if (!boot || boot.bootId === world.outcomeOf(devicesProven).boots[node]) return false;
  return (await world.cluster.getService(node)).startsAtBoot;
}

/** The other side is up as a member, and serves if it is to; this one is as it was at the proof. */
async function mayJoin(
  world: World,
  half: string,
  nodes: readonly string[],
  mine: Mine,
): Promise<void | typeof notYet> {
  const boot = await world.nodes.findBoot(half);
  if (boot === undefined) return notYet;
  if (boot.bootId !== world.outcomeOf(devicesProven).boots[half]) {
    if (mine.calls.some(({ node, state }) => node === half && state !== "no")) return notYet;
    throw new Failure("precondition", `${half} was booted since its devices were proven`, {
      hint: "look at it: once its devices are right, `clprestore.sh --post` there lets it join",
    });
  }
  const served = nodes.find((node) => node !== half) ?? "";
  const up = await world.nodes.findBoot(served);
  if (up === undefined) return notYet;
  const state = await world.cluster.getState(served);
  if (state.nodes[served] !== "online") return notYet;
  const groups = world.outcomeOf(sides).ran.map(({ group }) => group);
  // A group that has to be started by hand runs nowhere yet, and is not waited for.
  return allOnline(state, groups, served) || up.uptimeSeconds > 900 ? undefined : notYet;
}

const startTries = 3;

async function startOn(world: World, node: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await world.unless(
        async () => !(await notStarted(world, [node])).includes(node),
        () => world.cluster.finishRestore({ node, skipCopy: restoredNodes(world).length > 1 }),
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

/** Whether the start was begun: then what was proven before it is not looked at again. */
export function startBegun(world: World): boolean {
  return world.traceOf(startMirrors).begun || world.traceOf(startAsTheyWere).begun;
}

/**
 * Whether a node may have started its mirror on a restored volume, and so may have served from it. From then on nothing
 * puts the old volumes back but a person's own word (design 4, "Old volumes").
 */
export async function hasStarted(world: World): Promise<boolean> {
  // What a drill has restored on staging is thrown away, whether or not it served: that it is a drill was the word.
  if (world.settings.staging !== undefined) return false;
  // The way back has powered the nodes off, because none was started: that they are silent since says nothing else.
  const { calls } = world.traceOf(bootNodes);
  if (calls.some(({ verb, state }) => verb === "cloud.stopInstance" && state !== "no")) return false;
  // Taking a restore back gives no post command: there a reboot into the cluster is the start.
  const rebooted = world
    .traceOf(startAsTheyWere)
    .calls.filter((call) => call.verb === "nodes.reboot" && call.state !== "no");
  if (rebooted.length > 0) {
    const nodes = rebooted.flatMap(({ node }) => node ?? []);
    return (await notStarted(world, nodes)).length < nodes.length;
  }
  const trace = world.traceOf(startMirrors);
  const told = restoredNodes(world).filter((node) =>
    trace.calls.some((call) => call.node === node && call.state !== "no"),
  );
  if (told.length === 0) return false;
  return (await notStarted(world, told)).length < told.length;
}

/**
 * Once a side was started on its restored volume there is no way back to the old ones. Of two restored sides the one that
 * was left out joins by a full copy; where one side alone was restored, who wins was a person's choice, and so is the rest.
 */
const leftAsRestored = step({
  title: "What was restored stays, and a side that was left out joins by a full copy",
  startsMirrors: true,
  proves: "devices",
  done: async (world) => {
    if (!(await hasStarted(world))) return { started: [] };
    if (!(await isWhole(world))) return undefined;
    // In sync by themselves, two contents may count as equal that are not: only a copy that was told of makes them so.
    if ((await isHalf(world)) && !(await wasCopiedOver(world))) return undefined;
    return {
      told: [
        "both nodes serve from the restored volumes, in sync: the restore itself is done, and stays; the old volumes are kept",
      ],
    };
  },
  must: async (world, mine) => {
    const restored = restoredNodes(world);
    const [half] = restored.length > 1 ? await notStarted(world, restored) : [];
    if (half !== undefined) return mayJoin(world, half, restored, mine);
    if (restored.length > 1) return notYet;
    throw new Failure(
      "precondition",
      "the restored volume may have served: it stays, and the old ones are kept, with their place in their tags",
      { hint: "look which side serves; the other one joins it by a full copy, as printed" },
    );
  },
  do: async (world) => {
    const restored = restoredNodes(world);
    for (const node of world.members) {
      await world.unless(
        async () => restored.length > 1 && !(await notStarted(world, restored)).includes(node),
        () => world.cluster.finishRestore({ node, skipCopy: false }),
      );
    }
  },
  patience: minutes(1),
  within: (world) => hours(world.settings.copyHours),
});

/** Whether one of the two sides joined, or has to, by a copy from the other. */
async function isHalf(world: World): Promise<boolean> {
  if (restoredNodes(world).length === 1) return true;
  const trace = world.traceOf(startMirrors);
  return !restoredNodes(world).every((node) =>
    trace.calls.some(
      (call) =>
        call.node === node &&
        call.state !== "no" &&
        call.request.to === "node" &&
        call.request.argv.includes("--skip-copy"),
    ),
  );
}

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

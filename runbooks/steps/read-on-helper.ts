/**
 * New volumes read through on a clean helper, before the outage. `--skip-copy` needs volumes that nobody has written to since
 * they were made, and that were "attached nowhere else" (design 4). A helper is somewhere else: it is admitted only where it
 * is proven that it changed nothing. What proves that, of a machine that is a member of no cluster and mounts nothing:
 *
 * - it is one and the same boot from before the attach to the last look, so that its kernel has counted all the while;
 * - the kernel's own counters of the disk say that no sector of it was written or discarded since it came, by whatever way
 *   (`/sys/class/block/NAME/stat`; they begin at zero when the kernel meets the disk: inference from its documentation);
 * - right before the detach all that is looked at once more. Between that look and the detach nothing of ours runs there.
 */
import {
  drillOf,
  Failure,
  helperFits,
  later,
  minutes,
  notYet,
  readingWithin,
  step,
  wait,
  type Step,
  type World,
} from "runbook";

import { areRead, beginReading, findDisk, findDisks, isRead } from "./read-through.ts";
import { newVolumes, places, type Made } from "./volumes.ts";

export const helperVolumesIn = step<{ readonly boot: string }, { readonly boot: string }>({
  title: "Attach the new volumes to the scratch node",
  before: async (world) => ({ boot: (await world.nodes.getBoot(drillOf(world).node)).bootId }),
  done: async (world, mine) => {
    if (mine.before === undefined) return undefined;
    const { instance } = drillOf(world);
    for (const { made, device } of onHelper(world)) {
      const found = await attachmentOf(world, made);
      if (found?.state !== "attached" || found.instance !== instance || found.device !== device)
        return undefined;
      // The kernel meets a disk a moment after the cloud calls it attached.
      if ((await findDisks(world, made, drillOf(world))).length === 0) return undefined;
    }
    return { boot: mine.before.boot };
  },
  do: async (world) => {
    const { instance } = drillOf(world);
    for (const { made, device } of onHelper(world)) {
      await world.unless(
        async () => (await attachmentOf(world, made)) !== undefined,
        () => world.cloud.attachVolume({ volume: made, instance, device }),
      );
    }
  },
  expect: async (world) => ({ boot: later(`boot id of ${drillOf(world).node}`) }),
  within: minutes(30),
  undo: (): Step[] => [helperReadersStopped, helperVolumesBack],
});

/** It may be read by several machines' worth of streams at once: each volume comes over by itself. */
export const helperRead = step<{ readonly read: readonly string[] }>({
  title: "Read every block of the new volumes on the scratch node",
  done: async (world, mine) => {
    if (!mine.begun || !(await isSameBoot(world))) return undefined;
    const made = world.outcomeOf(newVolumes);
    if (!(await areRead(world, mine, drillOf(world).node, made))) return undefined;
    return { read: made.map((one) => one.made) };
  },
  must: async (world) => ((await isSameBoot(world)) ? undefined : notYet),
  do: async (world, mine) => {
    const { node, instance } = drillOf(world);
    const { boot } = world.outcomeOf(helperVolumesIn);
    for (const one of world.outcomeOf(newVolumes))
      await beginReading(world, mine, one, { node, instance, boot });
  },
  within: (world) => minutes(30) + readingWithin(places(world).map(({ swap }) => swap)),
});

export interface HelperProven {
  readonly helper: string;
  /** The boot that the helper was in from before the attach until now. */
  readonly boot: string;
  readonly untouched: readonly string[];
}

export const helperProven = wait<HelperProven>({
  title: "The scratch node has written nothing to the new volumes",
  done: async (world) => {
    const made = world.outcomeOf(newVolumes).map((one) => one.made);
    await assertUntouched(world, made);
    return {
      helper: drillOf(world).node,
      boot: world.outcomeOf(helperVolumesIn).boot,
      untouched: made,
    };
  },
  within: minutes(10),
});

export const helperVolumesOut = step({
  title: "Detach the new volumes from the scratch node",
  done: async (world, mine) => {
    const held = await heldByHelper(world);
    if (held.length > 0) return undefined;
    if (!mine.begun)
      throw new Failure(
        "precondition",
        `somebody took the new volumes off ${drillOf(world).node} before it was looked at whether they are untouched`,
      );
    if (await isRead(world, drillOf(world).node)) return undefined;
    return { detached: world.outcomeOf(newVolumes).map((one) => one.made) };
  },
  // What this step has detached before (a resume) was looked at then.
  must: async (world) => assertUntouched(world, await heldByHelper(world)),
  do: async (world) => {
    await stopReading(world);
    await detach(world);
  },
  within: minutes(30),
});

const helperReadersStopped = step({
  title: "End the reading of the new volumes on the scratch node",
  done: async (world) => ((await isRead(world, drillOf(world).node)) ? undefined : { stopped: true }),
  do: stopReading,
  within: minutes(10),
});

const helperVolumesBack = step({
  title: "Detach the new volumes from the scratch node",
  done: async (world) => ((await heldByHelper(world)).length === 0 ? { detached: true } : undefined),
  do: detach,
  within: minutes(30),
});

/** For the proof that lets both sides skip the copy: each of these volumes was on the helper, and came back as it was. */
export function assertReadUntouched(world: World, volumes: readonly { readonly id: string }[]): void {
  const proven = world.findOutcome(helperProven);
  const missing = volumes.filter(({ id }) => proven?.untouched.includes(id) !== true).map(({ id }) => id);
  if (missing.length > 0)
    throw new Failure(
      "precondition",
      `it is not proven that ${missing.join(" and ")} came off ${drillOf(world).node} untouched`,
    );
}

async function stopReading(world: World): Promise<void> {
  const { node } = drillOf(world);
  await world.unless(
    async () => !(await isRead(world, node)),
    () => world.nodes.stopReadings({ node, run: world.run }),
  );
}

async function detach(world: World): Promise<void> {
  const { instance } = drillOf(world);
  for (const { made } of onHelper(world)) {
    await world.unless(
      async () => !(await heldByHelper(world)).includes(made),
      () => world.cloud.detachVolume({ volume: made, instance }),
    );
  }
}

/** With the device that it has on the helper. */
function onHelper(world: World): readonly (Made & { readonly device: string })[] {
  const { places: there } = world.outcomeOf(helperFits);
  return world.outcomeOf(newVolumes).map((one) => ({
    ...one,
    device: there.find(({ old }) => old === one.old)?.device ?? "",
  }));
}

async function attachmentOf(world: World, volume: string) {
  const [found] = await world.cloud.getVolumes([volume]);
  return found?.attachments[0];
}

async function heldByHelper(world: World): Promise<readonly string[]> {
  const { instance } = drillOf(world);
  const held: string[] = [];
  for (const { made } of world.outcomeOf(newVolumes))
    if ((await attachmentOf(world, made))?.instance === instance) held.push(made);
  return held;
}

/** False while it does not answer. Another boot than that of the attach proves nothing of what was before it. */
async function isSameBoot(world: World): Promise<boolean> {
  const { node } = drillOf(world);
  const boot = await world.nodes.findBoot(node);
  if (boot === undefined) return false;
  const { boot: wanted } = world.outcomeOf(helperVolumesIn);
  if (boot.bootId !== wanted)
    throw new Failure(
      "precondition",
      `${node} was booted while it had the new volumes: that it wrote nothing to them is not proven`,
    );
  return true;
}

async function assertUntouched(world: World, volumes: readonly string[]): Promise<void> {
  const { node, instance } = drillOf(world);
  if (!(await isSameBoot(world)))
    throw new Failure("unavailable", `${node} does not answer: what it wrote cannot be counted`);
  const traces = await world.cluster.listTraces(node);
  if (traces.length > 0)
    throw new Failure("precondition", `${node} has the cluster's software on it: ${traces.join(", ")}`);
  const devices = await world.nodes.listBlockDevices(node);
  for (const volume of volumes) {
    const disk = await findDisk(world, volume, { node, instance });
    const above = new Set([disk]);
    // A device lies on a disk by way of others (a partition, a volume of LVM), which may be listed in any order.
    for (let before = 0; before < above.size;) {
      before = above.size;
      for (const { path, under } of devices) if (under.some((each) => above.has(each))) above.add(path);
    }
    const mounted = devices.filter(({ path }) => above.has(path)).flatMap(({ mountPoints }) => mountPoints);
    if (mounted.length > 0)
      throw new Failure("precondition", `${node}: ${volume} is mounted at ${mounted.join(", ")}`);
    const { written, discarded } = await world.nodes.getDiskWrites({ node, device: disk });
    if (written !== 0 || discarded !== 0)
      throw new Failure(
        "precondition",
        discarded === undefined
          ? `the kernel of ${node} does not count what is discarded: that ${volume} is untouched cannot be proven`
          : `${node} has written ${written} sectors to ${volume} and discarded ${discarded}: both sides are started as equal only on untouched volumes`,
        { hint: "something on the scratch node writes to whatever is attached: choose --param warm=rate" },
      );
  }
}

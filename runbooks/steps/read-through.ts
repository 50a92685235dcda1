/**
 * New volumes read from their first block to their last, so that what is first touched in service is there (reference aws-ebs
 * 5; clusterpro 9: slow first reads after a restore look like a fault to the monitors of disks). In place it is part of the
 * outage: a node that still has the old volume cannot have the new one too, since both carry the same UUIDs (aws-ebs 7).
 */
import {
  Failure,
  isDiskOf,
  readingWithin,
  minutes,
  notYet,
  restoredNodes,
  step,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { devicesProven, hasStarted, startBegun } from "./mirrors-anew.ts";
import { newVolumes, places, type Made } from "./volumes.ts";

/**
 * All at once, side by side: a volume is filled by itself, and not by the node. A proof of devices holds for one boot, and so
 * does a reader: what a node read before it was booted says nothing any more about what lies under its mirrors.
 */
export const readThrough = step<{ readonly read: readonly string[] }>({
  title: "Read every block of the new volumes, with the service still out",
  done: async (world, mine) => {
    const made = world.outcomeOf(newVolumes);
    const read = made.map((one) => one.made);
    if (startBegun(world)) return { read };
    if (!mine.begun) return undefined;
    let whole = true;
    for (const node of restoredNodes(world)) {
      const boot = await world.nodes.findBoot(node);
      if (boot === undefined) {
        whole = false;
        continue;
      }
      assertSameBoot(world, node, boot.bootId);
      const own = made.filter((each) => each.node === node);
      if (!(await areRead(world, mine, node, own))) whole = false;
    }
    return whole ? { read } : undefined;
  },
  must: async (world) => {
    for (const node of restoredNodes(world)) {
      const boot = await world.nodes.findBoot(node);
      if (boot === undefined) return notYet;
      assertSameBoot(world, node, boot.bootId);
    }
    return undefined;
  },
  do: async (world, mine) => {
    const { boots } = world.outcomeOf(devicesProven);
    for (const one of world.outcomeOf(newVolumes)) {
      const { node } = one;
      await beginReading(world, mine, one, {
        node,
        instance: world.instanceOf(node),
        boot: boots[node] ?? "",
      });
    }
  },
  within: (world) => minutes(30) + readingWithin(places(world).map(({ swap }) => swap)),
  undo: (): Step => readersStopped,
});

/** A volume that a reader holds cannot be detached (aws-ebs 4); what a node reads that goes off is over anyway. */
const readersStopped = step({
  title: "End the reading of the new volumes",
  done: async (world) => {
    if (await hasStarted(world))
      return { told: ["the restored volumes are in use; nothing reads them through"] };
    for (const node of restoredNodes(world)) if (await isRead(world, node)) return undefined;
    return { stopped: true };
  },
  do: async (world) => {
    for (const node of restoredNodes(world)) {
      await world.unless(
        async () => !(await isRead(world, node)),
        () => world.nodes.stopReadings({ node, run: world.run }),
      );
    }
  },
  within: minutes(10),
});

/** Where volumes are read; device names hold for this boot. */
export interface Reader {
  readonly node: string;
  readonly instance: string;
  readonly boot: string;
}

/** Throws where one of them cannot be read. */
export async function areRead(
  world: World,
  mine: Mine,
  node: string,
  made: readonly Made[],
): Promise<boolean> {
  const readings = await world.nodes.listReadings({ node, run: world.run });
  let whole = true;
  for (const one of made) {
    const reading = readings.find(({ name }) => name === recordOf(one, tryOf(mine)));
    if (reading?.state === "failed")
      throw new Failure("conflict", `${node}: ${one.made} cannot be read through: ${reading.why}`, {
        hint: "a block that cannot be read now cannot be served either: look at nvme_core.io_timeout there (slow blocks count as errors after it), or restore with --param warm=rate",
      });
    if (reading === undefined && wasBegun(mine, recordOf(one, tryOf(mine))))
      throw new Failure("conflict", `${node}: somebody ended the reading of ${one.made}`);
    if (reading?.state !== "whole") whole = false;
  }
  return whole;
}

export async function beginReading(world: World, mine: Mine, one: Made, reader: Reader): Promise<void> {
  const { node, boot } = reader;
  const attempt = await world.atRun("its try", async () => tryOf(mine));
  const name = recordOf(one, attempt);
  await world.unless(
    async () => (await world.nodes.listReadings({ node, run: world.run })).some((each) => each.name === name),
    async () => {
      const place = places(world).find(({ swap }) => swap.old === one.old);
      if (!place) throw new Failure("bug", `${one.made} has no place`);
      await world.nodes.startReading({
        node,
        run: world.run,
        name,
        boot,
        device: await world.atRun(`disk of ${one.made} on ${node}`, () => findDisk(world, one.made, reader)),
        sizeBytes: place.swap.sizeGiB * 1024 ** 3,
      });
    },
  );
}

export async function isRead(world: World, node: string): Promise<boolean> {
  if ((await world.nodes.findBoot(node)) === undefined) return false;
  return (await world.nodes.listReadings({ node, run: world.run })).length > 0;
}

function assertSameBoot(world: World, node: string, bootId: string): void {
  if (world.outcomeOf(devicesProven).boots[node] === bootId) return;
  throw new Failure(
    "precondition",
    `${node} was booted since its devices were proven: what was read of its volumes, and what they are, is not known any more`,
    { hint: "the old volumes are put back; restore again" },
  );
}

/** The disk that is this volume, in this moment. */
export async function findDisk(
  world: World,
  made: string,
  place: Pick<Reader, "node" | "instance">,
): Promise<string> {
  const disks = await findDisks(world, made, place);
  const [disk] = disks;
  if (disk === undefined || disks.length > 1)
    throw new Failure(
      "precondition",
      `${place.node} has ${disks.length} disks that may be ${made}; wanted one`,
    );
  return disk;
}

export async function findDisks(
  world: World,
  made: string,
  { node, instance }: Pick<Reader, "node" | "instance">,
): Promise<readonly string[]> {
  const [machine, [volume], devices] = await Promise.all([
    world.cloud.getInstance(instance),
    world.cloud.getVolumes([made]),
    world.nodes.listBlockDevices(node),
  ]);
  return devices
    .filter((each) => each.type === "disk" && volume && isDiskOf(each, volume, machine))
    .map(({ path }) => path);
}

/** The node itself has said that it was begun there. */
function wasBegun({ calls }: Mine, name: string): boolean {
  return calls.some(
    ({ verb, state, request }) =>
      verb === "nodes.startReading" &&
      state === "answered" &&
      request.to === "node" &&
      request.argv.includes(name),
  );
}

/** Each try of a person's reads anew; a resume goes on with the one that was begun. */
function tryOf(mine: Mine): string {
  return String(Math.max(1, mine.tries ?? 1));
}

function recordOf({ made }: Made, attempt: string): string {
  return `${made}.${attempt}`;
}

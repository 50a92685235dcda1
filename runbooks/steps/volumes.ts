/**
 * Volumes from a snapshot, in the place of old ones. Old volumes are journaled and tagged before they are detached, and
 * nothing here ever deletes one: only a volume that this run made, and that is attached to nothing, is deleted again.
 */
import {
  drillTag,
  Failure,
  hasTags,
  later,
  minutes,
  notYet,
  pathTags,
  rateOf,
  sides,
  step,
  swaps,
  wait,
  type Mine,
  type Step,
  type Swap,
  type Volume,
  type World,
} from "runbook";

import { hasStarted } from "./mirrors-anew.ts";
import { creditsWithin, hasCredit } from "./warm.ts";

/** One volume made for one place. */
export interface Made {
  readonly node: string;
  readonly old: string;
  readonly made: string;
  readonly device: string;
}

// The token makes a repeat harmless for some hours; the tag is looked for before anything is asked, for ever.
export const newVolumes = step<readonly Made[]>({
  title: "Make a volume from the snapshot for each place",
  done: async (world, mine: Mine) => {
    if (!mine.begun) return undefined;
    const found = await madeSoFar(world);
    const made = places(world).flatMap(({ node, swap }) => {
      const volume = found.find((each) => each.tags["runbook:replaces"] === swap.old);
      return volume ? [{ node, old: swap.old, made: volume.id, device: swap.device }] : [];
    });
    return made.length === places(world).length ? made : undefined;
  },
  do: async (world, mine) => {
    const madeNow: { readonly snapshot: string; readonly at: number }[] = [];
    const recent = (swap: Swap) =>
      madeNow.filter(({ snapshot }) => snapshot === swap.snapshot).map(({ at }) => at);
    let waits = false;
    for (const { node, swap } of places(world)) {
      await world.unless(
        async () => {
          const found = await madeSoFar(world);
          if (found.some((each) => each.tags["runbook:replaces"] === swap.old)) return true;
          // One that would be made the slow way now is asked for at a later look.
          const hasOne = hasCredit(world, mine, swap, recent(swap));
          waits ||= !hasOne;
          return !hasOne;
        },
        async () => {
          madeNow.push({ snapshot: swap.snapshot, at: world.now() });
          await world.cloud.createVolume({
            snapshot: swap.snapshot,
            zone: swap.zone,
            sizeGiB: swap.sizeGiB,
            type: swap.type,
            ...(swap.iops !== null && { iops: swap.iops }),
            ...(swap.throughputMiBps !== null && { throughputMiBps: swap.throughputMiBps }),
            encrypted: swap.encrypted,
            ...(swap.key !== null && { key: swap.key }),
            ...(world.params["warm"] === "rate" && { initializationMiBps: rateOf(world) }),
            token: `runbook-${world.run}-${swap.old}`,
            tags: {
              // Drills mark what they make as theirs, and take over nothing that a person has put on a volume.
              ...(world.settings.staging === undefined ? swap.tags : { [drillTag]: world.run }),
              ...world.tags,
              "runbook:node": node,
              "runbook:replaces": swap.old,
              "runbook:holds": swap.holds,
            },
          });
        },
      );
    }
    return waits ? notYet : undefined;
  },
  expect: async (world) =>
    places(world).map(({ node, swap }) => ({
      node,
      old: swap.old,
      made: later(`new volume for ${swap.old}`),
      device: swap.device,
    })),
  within: (world) => minutes(30) + creditsWithin(world),
  undo: (): Step => volumesDropped,
});

/** Only what this run made, and what is attached nowhere. */
export const volumesDropped = step({
  title: "Delete the volumes that this run made",
  done: async (world) => {
    if (await hasStarted(world)) return { told: ["the restored volumes are in use, and stay"] };
    return (await madeSoFar(world)).length === 0 ? { deleted: true } : undefined;
  },
  must: async (world) => {
    const busy = (await madeSoFar(world)).filter((volume) => volume.state === "creating");
    return busy.length > 0 ? notYet : undefined;
  },
  do: async (world) => {
    for (const { swap } of places(world)) {
      const volume = await world.atRun(`new volume for ${swap.old}`, async () => {
        const found = (await madeSoFar(world)).find((each) => each.tags["runbook:replaces"] === swap.old);
        if (found?.state === "in-use")
          throw new Failure("precondition", `${found.id} is still attached: it is deleted once it is not`);
        return found?.id ?? "";
      });
      if (volume !== "") await world.cloud.deleteVolume({ volume });
    }
  },
  within: minutes(15),
});

export const volumesReady = wait({
  title: "The new volumes are ready",
  done: async (world) => {
    const made = world.outcomeOf(newVolumes).map((each) => each.made);
    const volumes = await world.cloud.getVolumes(made);
    const bad = volumes.find((volume) => volume.state === "error" || volume.state === "deleted");
    if (bad) throw new Failure("conflict", `the new volume ${bad.id} is in the state ${bad.state}`);
    return volumes.every((volume) => volume.state === "available" || volume.state === "in-use")
      ? { volumes: made }
      : undefined;
  },
  within: minutes(30),
});

/** Written before the detach: whoever finds the volume later knows where it belongs. */
export const oldVolumesTagged = step({
  title: "Tag the old volumes with their place",
  done: async (world) => {
    const planned = attachedOnes(world);
    const volumes = await world.cloud.getVolumes(planned.map(({ swap }) => swap.old));
    const tagged = planned.every(({ node, swap }, i) =>
      hasTags(volumes[i]?.tags, oldTags(world, node, swap)),
    );
    return tagged ? { volumes: planned.map(({ swap }) => swap.old) } : undefined;
  },
  do: async (world) => {
    for (const { node, swap } of attachedOnes(world))
      await world.cloud.setTags({ resources: [swap.old], tags: oldTags(world, node, swap) });
  },
  within: minutes(10),
  undo: (): Step => oldVolumesUntagged,
});

export const oldVolumesUntagged = step({
  title: "Take the tags off the old volumes",
  done: async (world) => {
    if (await hasStarted(world))
      return { told: ["the old volumes are kept, with their place in their tags"] };
    const volumes = await world.cloud.getVolumes(attachedOnes(world).map(({ swap }) => swap.old));
    return volumes.every((volume) => volume.tags["runbook:old"] === undefined)
      ? { untagged: true }
      : undefined;
  },
  // Of a volume that is not in its place, the tags are all that tells where it belongs.
  must: assertOwnIn,
  do: async (world) => {
    const resources = attachedOnes(world).map(({ swap }) => swap.old);
    const keys = [
      ...["old", "old-of", "old-node", "old-device", "old-holds", "old-deletes"].map(
        (key) => `runbook:${key}`,
      ),
      ...pathKeys(world),
    ];
    if (resources.length > 0) await world.cloud.removeTags({ resources, keys });
  },
  within: minutes(10),
});

export const oldVolumesOut = step({
  title: "Detach the old volumes",
  done: async (world) => {
    // Once they were replaced, only a person puts them back.
    const old = places(world).map(({ swap }) => swap.old);
    return (await attached(world, old)).length === 0 ? { volumes: old } : undefined;
  },
  must: assertOff,
  do: async (world) => {
    for (const { node, swap } of attachedOnes(world)) {
      await world.unless(
        async () => !(await attachmentOf(world, swap.old)),
        () => world.cloud.detachVolume({ volume: swap.old, instance: world.instanceOf(node) }),
      );
    }
  },
  within: minutes(30),
  undo: (): Step[] => [oldVolumesIn, oldDeletionAsBefore],
});

export const oldVolumesIn = step({
  title: "Attach the old volumes again, in their places",
  done: async (world) => {
    if (await hasStarted(world)) return { told: ["the restored volumes may have served, and stay attached"] };
    return (await areIn(world, ownPlaces(world))) ? { attached: true } : undefined;
  },
  must: assertOff,
  do: (world) => attach(world, ownPlaces(world)),
  within: minutes(30),
});

export const oldDeletionAsBefore = step({
  title: "Whether an old volume ends with its instance is as it was found",
  done: async (world) =>
    (await hasStarted(world)) || (await deletionIs(world, ownPlaces(world))) ? { set: true } : undefined,
  do: (world) => setDeletion(world, ownPlaces(world)),
  within: minutes(10),
});

export const newVolumesIn = step({
  title: "Attach the new volumes in the same places",
  done: async (world) => {
    const wanted = newPlaces(world);
    return (await areIn(world, wanted)) ? { attached: wanted.map(({ volume }) => volume) } : undefined;
  },
  must: assertOff,
  do: (world) => attach(world, newPlaces(world)),
  within: minutes(30),
  undo: (): Step => newVolumesOut,
});

export const newVolumesOut = step({
  title: "Detach the new volumes again",
  done: async (world) => {
    if (await hasStarted(world)) return { told: ["the restored volumes may have served, and stay attached"] };
    const made = newPlaces(world).map(({ volume }) => volume);
    return (await isAnyIn(world)) ? undefined : { volumes: made };
  },
  must: assertOff,
  do: async (world) => {
    for (const { node, volume } of newPlaces(world)) {
      await world.unless(
        async () => (await attached(world, await thereOf(world, [volume]))).length === 0,
        () => world.cloud.detachVolume({ volume, instance: world.instanceOf(node) }),
      );
    }
  },
  within: minutes(30),
});

// False for what is attached later; a volume that came with its instance may differ (reference aws-ebs 7).
export const deletionAsBefore = step({
  title: "Whether a new volume ends with its instance is as it was for the old one",
  done: async (world) => ((await deletionIs(world, newPlaces(world))) ? { set: true } : undefined),
  do: (world) => setDeletion(world, newPlaces(world)),
  within: minutes(10),
});

/** Volumes change places only under nodes that are off: what a guest has open stays "busy" (reference aws-ebs 4). */
async function assertOff(world: World): Promise<void | typeof notYet> {
  for (const node of world.outcomeOf(sides).nodes) {
    const { state } = await world.cloud.getPower(world.instanceOf(node));
    if (state === "stopping") return notYet;
    if (state !== "stopped")
      throw new Failure(
        "precondition",
        `${node} is ${state}; its volumes change places only while it is off`,
      );
  }
  return undefined;
}

interface Place {
  readonly node: string;
  readonly volume: string;
  readonly device: string;
  readonly deleteOnTermination: boolean;
}

function oldPlaces(world: World): readonly Place[] {
  return places(world).map(({ node, swap: { old, device, deleteOnTermination } }) => ({
    node,
    volume: old,
    device,
    deleteOnTermination,
  }));
}

/** Those that this run takes out, and so may have to put back. */
function ownPlaces(world: World): readonly Place[] {
  const out = attachedOnes(world).map(({ swap }) => swap.old);
  return oldPlaces(world).filter(({ volume }) => out.includes(volume));
}

function newPlaces(world: World): readonly Place[] {
  const made = world.outcomeOf(newVolumes);
  return oldPlaces(world).map((place) => ({
    ...place,
    volume: made.find(({ old }) => old === place.volume)?.made ?? "",
  }));
}

/** Answers "not yet" while one of them is still on its way out of where it was. */
async function attach(world: World, wanted: readonly Place[]): Promise<void | typeof notYet> {
  let leaves = false;
  for (const { node, volume, device } of wanted) {
    await world.unless(
      async () => {
        const held = await attachmentOf(world, volume);
        leaves ||= held?.state === "detaching" || held?.state === "busy";
        return held !== undefined;
      },
      () => world.cloud.attachVolume({ volume, instance: world.instanceOf(node), device }),
    );
  }
  return leaves ? notYet : undefined;
}

async function areIn(world: World, wanted: readonly Place[]): Promise<boolean> {
  const held = await attachmentsOf(
    world,
    wanted.map(({ volume }) => volume),
  );
  return wanted.every(({ node, volume, device }) => {
    const found = held.get(volume);
    return (
      found?.state === "attached" && found.device === device && found.instance === world.instanceOf(node)
    );
  });
}

async function deletionIs(world: World, wanted: readonly Place[]): Promise<boolean> {
  const held = await attachmentsOf(
    world,
    wanted.map(({ volume }) => volume),
  );
  return wanted.every(
    ({ volume, deleteOnTermination }) => held.get(volume)?.deleteOnTermination === deleteOnTermination,
  );
}

async function setDeletion(world: World, wanted: readonly Place[]): Promise<void> {
  for (const { node, volume, device, deleteOnTermination } of wanted) {
    if (!deleteOnTermination) continue;
    await world.unless(
      async () => (await attachmentOf(world, volume))?.deleteOnTermination === true,
      () => world.cloud.setDeleteOnTermination({ instance: world.instanceOf(node), device, on: true }),
    );
  }
}

/** Those of these volumes that are attached to anything. */
async function attached(world: World, volumes: readonly string[]): Promise<readonly string[]> {
  return [...(await attachmentsOf(world, volumes)).keys()];
}

/** One call for all of them. */
async function attachmentsOf(world: World, volumes: readonly string[]) {
  const found = volumes.length === 0 ? [] : await world.cloud.getVolumes(volumes);
  return new Map(found.flatMap(({ id, attachments: [first] }) => (first ? [[id, first] as const] : [])));
}

async function attachmentOf(world: World, volume: string) {
  const [found] = await world.cloud.getVolumes([volume]);
  return found?.attachments[0];
}

/** What follows has to wait for the volumes. */
export async function assertOwnIn(world: World): Promise<void> {
  if (!(await hasStarted(world)) && !(await areOwnIn(world)))
    throw new Failure("unavailable", "the old volumes are not back in their places");
}

/** Whether what this run took out, or was about to, is in its place. */
export async function areOwnIn(world: World): Promise<boolean> {
  return !world.traceOf(oldVolumesOut).begun || areIn(world, ownPlaces(world));
}

/** Whether any volume that this run puts in lies under a node; asked by its id, since lists lag. */
export async function isAnyIn(world: World): Promise<boolean> {
  if (world.findOutcome(newVolumes) === undefined) return false;
  const there = await thereOf(
    world,
    newPlaces(world).map(({ volume }) => volume),
  );
  return (await attached(world, there)).length > 0;
}

/** Those of these volumes that the cloud still knows: deleted ones are forgotten. */
async function thereOf(world: World, volumes: readonly string[]): Promise<readonly string[]> {
  const there: string[] = [];
  for (const volume of volumes)
    try {
      await world.cloud.getVolumes([volume]);
      there.push(volume);
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.kind !== "not-found") throw thrown;
    }
  return there;
}

/** Volumes of this run's that are there, or may come to be. */
async function madeSoFar(world: World): Promise<readonly Volume[]> {
  const found = await world.cloud.findVolumes({ "runbook:run": world.run, "runbook:replaces": "*" });
  return found.filter((volume) => volume.state !== "deleted" && volume.state !== "deleting");
}

export function places(world: World): readonly { readonly node: string; readonly swap: Swap }[] {
  const { byNode } = world.outcomeOf(swaps);
  return Object.entries(byNode).flatMap(([node, planned]) => planned.map((swap) => ({ node, swap })));
}

/** The others were out of their places before this run: under a node that is bare. */
function attachedOnes(world: World): ReturnType<typeof places> {
  return places(world).filter(({ swap }) => swap.attached);
}

function oldTags(world: World, node: string, swap: Swap) {
  return {
    "runbook:old": world.run,
    "runbook:old-of": world.clusterName,
    "runbook:old-node": node,
    "runbook:old-device": swap.device,
    "runbook:old-holds": swap.holds,
    "runbook:old-deletes": String(swap.deleteOnTermination),
    ...pathTags(world, node, swap.holds),
  };
}

/** Of the tags that some of the old volumes have, those about the names of partitions. */
function pathKeys(world: World): readonly string[] {
  const tags = attachedOnes(world).map(({ node, swap }) => pathTags(world, node, swap.holds));
  return [...new Set(tags.flatMap(Object.keys))];
}

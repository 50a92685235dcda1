/**
 * Volumes for a drill: made from the point's snapshots, attached to the scratch node, and gone again in every ending. They
 * carry the drill's own tags alone, so that nobody takes one for a volume of the cluster.
 */
import {
  drillFolder,
  drillOf,
  drillPlaces,
  drillTag,
  Failure,
  later,
  minutes,
  notYet,
  scratchClean,
  step,
  wait,
  type DrillPlace,
  type Mine,
  type Step,
  type Volume,
  type World,
} from "runbook";

/** One volume of this drill. */
export interface DrillVolume {
  readonly snapshot: string;
  readonly holds: string;
  readonly device: string;
  readonly volume: string;
}

/** How long a volume that the cloud has accepted may be missing in its lists; after that it has vanished. */
const listedWithin = minutes(5);

export const newVolumes = step<readonly DrillVolume[], { at: number }>({
  title: "Make a volume from each snapshot, for the drill alone",
  exposes: "cost",
  before: async (world) => ({ at: world.now() }),
  done: async (world, mine) => {
    if (!mine.begun) return undefined;
    const found = await madeSoFar(world);
    const made = world.outcomeOf(drillPlaces).flatMap((place) => {
      const volume = volumeFor(place, found);
      return volume ? [drillVolume(place, volume.id)] : [];
    });
    if (made.length === world.outcomeOf(drillPlaces).length) return made;
    const asked = mine.calls.filter(
      ({ verb, state }) => verb === "cloud.createVolume" && state === "answered",
    );
    if (asked.length > made.length && asked.every(({ sentAt }) => world.now() - sentAt > listedWithin))
      throw vanished("a volume that the cloud had accepted to make");
    return undefined;
  },
  do: async (world) => {
    const { zone } = world.outcomeOf(scratchClean);
    for (const place of world.outcomeOf(drillPlaces)) {
      await world.unless(
        async () => volumeFor(place, await madeSoFar(world)) !== undefined,
        async () => {
          try {
            await world.cloud.createVolume({
              snapshot: place.snapshot,
              zone,
              sizeGiB: place.sizeGiB,
              type: "gp3",
              encrypted: place.encrypted,
              token: `runbook-${world.run}-${place.snapshot}`,
              tags: {
                ...world.tags,
                [drillTag]: world.run,
                "runbook:snapshot": place.snapshot,
                "runbook:holds": place.holds,
              },
            });
          } catch (thrown) {
            throw asNotProven(thrown, `no volume could be made from ${place.snapshot}`);
          }
        },
      );
    }
  },
  expect: async (world) =>
    world.outcomeOf(drillPlaces).map((place) => drillVolume(place, later(`volume from ${place.snapshot}`))),
  within: minutes(30),
  // Whoever takes one away in the middle meets the step that needs it.
  ifUndone: async () => true,
  undo: (): Step => volumesGone,
});

export const volumesReady = wait<{ readonly at: number }>({
  title: "The volumes are ready",
  done: async (world) => {
    let volumes: readonly Volume[];
    try {
      volumes = await world.cloud.getVolumes(world.outcomeOf(newVolumes).map(({ volume }) => volume));
    } catch (thrown) {
      if (thrown instanceof Failure && thrown.kind === "not-found") throw vanished("a volume", thrown);
      throw thrown;
    }
    // Without the right to its key, the call succeeds and the volume vanishes afterwards (reference aws-ebs 2).
    const bad = volumes.find(({ state }) => state === "error" || state === "deleted" || state === "deleting");
    if (bad) throw vanished(`volume ${bad.id}, which is in the state ${bad.state},`);
    return volumes.every(({ state }) => state === "available" || state === "in-use")
      ? { at: world.now() }
      : undefined;
  },
  within: minutes(30),
});

export const volumesIn = step({
  title: "Attach the volumes to the scratch node",
  done: async (world) => {
    const { instance } = world.outcomeOf(scratchClean);
    for (const { volume, device } of world.outcomeOf(newVolumes)) {
      const found = await attachmentOf(world, volume);
      if (found?.state !== "attached" || found.instance !== instance || found.device !== device)
        return undefined;
    }
    return { attached: world.outcomeOf(newVolumes).map(({ volume }) => volume) };
  },
  do: async (world) => {
    const { instance } = world.outcomeOf(scratchClean);
    for (const { volume, device } of world.outcomeOf(newVolumes)) {
      await world.unless(
        async () => (await attachmentOf(world, volume)) !== undefined,
        () => world.cloud.attachVolume({ volume, instance, device }),
      );
    }
  },
  within: minutes(30),
  undo: (): Step => volumesOut,
});

export const volumesOut = step({
  title: "Detach the volumes from the scratch node",
  done: async (world) => {
    const volumes = await madeSoFar(world);
    return volumes.every(({ attachments }) => attachments.length === 0)
      ? { detached: volumes.map(({ id }) => id) }
      : undefined;
  },
  // What a guest has mounted stays "busy" (reference aws-ebs 4).
  must: async (world) => {
    const { node } = drillOf(world);
    if ((await world.nodes.findBoot(node)) === undefined) return;
    const mounted = (await world.nodes.listMounts(node)).filter(({ point }) =>
      point.startsWith(`${drillFolder(world)}/`),
    );
    if (mounted.length > 0)
      throw new Failure(
        "precondition",
        `${node} still has ${mounted.map(({ point }) => point).join(", ")} mounted: nothing is detached under it`,
      );
  },
  do: async (world) => {
    const { instance } = world.outcomeOf(scratchClean);
    for (const { volume } of world.outcomeOf(newVolumes)) {
      await world.unless(
        async () =>
          !(await madeSoFar(world)).some(({ id, attachments }) => id === volume && attachments.length > 0),
        () => world.cloud.detachVolume({ volume, instance }),
      );
    }
  },
  within: minutes(30),
  ends: volumesIn,
});

export const volumesGone = step({
  title: "Delete the volumes of the drill",
  // "deleting" may last for minutes (reference aws-ebs 2), and only what is gone costs nothing any more.
  done: async (world) => ((await listed(world)).length === 0 ? { deleted: true } : undefined),
  must: async (world) => {
    const made = await madeSoFar(world);
    if (made.some(({ state }) => state === "creating")) return notYet;
    const held = made.find(({ state }) => state === "in-use");
    if (held) throw new Failure("precondition", `${held.id} is still attached: it is deleted once it is not`);
    return undefined;
  },
  do: async (world) => {
    for (const place of world.outcomeOf(drillPlaces)) {
      const volume = await world.atRun(
        `volume from ${place.snapshot}`,
        async () => volumeFor(place, await madeSoFar(world))?.id ?? "",
      );
      if (volume !== "") await world.cloud.deleteVolume({ volume });
    }
  },
  within: minutes(30),
  ends: newVolumes,
});

/** When the drill began to restore. */
export function begunAt(world: World): number {
  return (world.traceOf(newVolumes) as Mine<{ at: number }>).before?.at ?? world.now();
}

function drillVolume({ snapshot, holds, device }: DrillPlace, volume: string): DrillVolume {
  return { snapshot, holds, device, volume };
}

function volumeFor({ snapshot }: DrillPlace, found: readonly Volume[]): Volume | undefined {
  return found.find(({ tags }) => tags["runbook:snapshot"] === snapshot);
}

/** Volumes of this drill that are there, or may come to be. */
async function madeSoFar(world: World): Promise<readonly Volume[]> {
  return (await listed(world)).filter(({ state }) => state !== "deleting");
}

async function listed(world: World): Promise<readonly Volume[]> {
  const found = await world.cloud.findVolumes({ [drillTag]: world.run });
  return found.filter(({ state }) => state !== "deleted");
}

async function attachmentOf(world: World, volume: string) {
  const [found] = await world.cloud.getVolumes([volume]);
  return found?.attachments[0];
}

function vanished(what: string, cause?: Failure): Failure {
  return new Failure(
    "conflict",
    `not proven: ${what} vanished after it was made; its key may not be usable`,
    {
      cause,
      hint: "look at the rights to the KMS key of the snapshot, and drill again",
    },
  );
}

/** The cloud's no says nothing about the point. What may pass keeps its kind, so that it is tried again. */
function asNotProven(thrown: unknown, what: string): unknown {
  if (!(thrown instanceof Failure) || ["unavailable", "timeout", "bug", "aborted"].includes(thrown.kind))
    return thrown;
  const { kind, message, happened, hint, answer } = thrown;
  return new Failure(kind, `not proven: ${what}: ${message}`, {
    cause: thrown,
    happened,
    ...(hint !== undefined && { hint }),
    ...(answer && { answer }),
  });
}

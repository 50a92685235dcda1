/**
 * Volume groups of a drill. What was cut from a mirror on LVM carries the name and the ids of the cluster's own group, so on
 * the scratch node it gets a name of the drill's and ids of its own before anything of it is used. That writes LVM's data on
 * the volume, and nothing into the file system: how its log was at the cut still shows. Points of mirrors on partitions have
 * nothing of this.
 */
import {
  dataMirrorsIn,
  drillOf,
  drillTag,
  Failure,
  logicalIn,
  minutes,
  notYet,
  physicalOn,
  pointFound,
  scratchClean,
  step,
  type Step,
  type World,
} from "runbook";

import { newVolumes, volumesReady, type DrillVolume } from "./drill-volumes.ts";

/** A partition table may be read a moment after its disk is there. */
export const partitionsShowWithin = minutes(2);

/** Where the data of a mirror was found. */
export interface Part {
  readonly mirror: string;
  /** null: there is no file system on its volume. */
  readonly device: string | null;
  readonly log: "clean" | "dirty" | "unknown";
  readonly why: string;
}

export interface DrillGroup {
  readonly group: string;
  /** The logical volume with the data of the volume's mirror. */
  readonly name: string;
}

/** Undefined where the point does not say that it lies on LVM. */
export function groupOf(world: World, { volume, snapshot, holds }: DrillVolume): DrillGroup | undefined {
  const { layout = "" } =
    world.outcomeOf(pointFound).snapshots.find(({ id }) => id === snapshot) ?? ({} as { layout?: string });
  const logical = dataMirrorsIn(holds).map((mirror) => logicalIn(layout, mirror))[0];
  if (!logical) return undefined;
  const number = world.outcomeOf(newVolumes).findIndex((each) => each.volume === volume) + 1;
  return { group: `runbook_${world.run}_${number}`, name: logical.name };
}

function onLvm(world: World): readonly (DrillVolume & DrillGroup)[] {
  return world.outcomeOf(newVolumes).flatMap((each) => {
    const group = groupOf(world, each);
    return group ? [{ ...each, ...group }] : [];
  });
}

export const groupsImported = step({
  title: "Give the restored volume groups names and ids of the drill's own, and activate them",
  done: async (world) => {
    const wanted = onLvm(world);
    if (wanted.length === 0) return { groups: [] };
    const lvm = await world.nodes.findLvm(drillOf(world).node);
    if (!lvm)
      throw new Failure(
        "precondition",
        `not proven: the point lies on LVM, which is not installed on ${drillOf(world).node}`,
      );
    const there = wanted.every(({ group }) => {
      const logical = lvm.logical.filter((each) => each.group === group);
      return logical.length > 0 && logical.every(({ device }) => device !== undefined);
    });
    return there ? { groups: wanted.map(({ group }) => group) } : undefined;
  },
  must: async (world) => {
    for (const { volume } of onLvm(world)) {
      const held = await heldOn(world, volume);
      if (held?.length === 1) continue;
      if (world.now() - world.outcomeOf(volumesReady).at < partitionsShowWithin) return notYet;
      throw new Failure(
        "precondition",
        held === undefined
          ? `not proven: the disk of ${volume} does not show on ${drillOf(world).node}`
          : `not proven: ${volume} has ${held.length} physical volumes of LVM; wanted one`,
      );
    }
    return undefined;
  },
  do: async (world) => {
    const { node } = drillOf(world);
    for (const { volume, group } of onLvm(world)) {
      const device = await world.atRun(
        `LVM's device on ${volume}`,
        async () => (await heldOn(world, volume))?.[0] ?? "",
      );
      if (device === "") return notYet;
      await world.nodes.importVolumeGroup({ node, device, name: group });
    }
    return undefined;
  },
  within: minutes(20),
  undo: (): Step => groupsGone,
});

export const groupsGone = step({
  title: "Take the restored volume groups down, and out of the devices file",
  ends: groupsImported,
  done: async (world) => {
    const wanted = onLvm(world);
    const { node } = drillOf(world);
    if (wanted.length === 0) return { groups: [] };
    if ((await world.nodes.findBoot(node)) === undefined)
      return (await isOff(world))
        ? {
            groups: [],
            told: [`${node} is off: its devices file may still list what was restored (\`lvmdevices\`)`],
          }
        : undefined;
    for (const { volume } of wanted) if ((await leftOf(world, volume)).length > 0) return undefined;
    return { groups: wanted.map(({ group }) => group) };
  },
  do: async (world) => {
    const { node } = drillOf(world);
    for (const { volume } of onLvm(world)) {
      const devices = await world.atRun(`LVM's device on ${volume}`, async () =>
        (await leftOf(world, volume)).join("\n"),
      );
      for (const device of devices.split("\n").filter(Boolean))
        await world.nodes.hideFromLvm({ node, device });
    }
  },
  within: minutes(15),
});

/** The group has the drill's own name, and its physical volume is on the volume that the drill made. */
export async function findLogical(
  world: World,
  mirror: string,
  { group, name }: DrillGroup,
  candidates: readonly string[],
): Promise<Part | undefined> {
  const { node } = drillOf(world);
  const lvm = await world.nodes.findLvm(node);
  const physical = lvm?.physical.filter((each) => each.group === group) ?? [];
  if (physical.length !== 1 || !candidates.includes(physical[0]?.device ?? "")) return undefined;
  const logical = lvm?.logical.find((each) => each.group === group && each.name === name);
  if (!logical)
    return {
      mirror,
      device: null,
      log: "unknown",
      why: `there is no logical volume ${name} in its volume group`,
    };
  const { device } = logical;
  if (device === undefined) return undefined;
  const { type, log, why } = await world.nodes.getFileSystem({ node, device });
  if (type === undefined)
    return { mirror, device: null, log: "unknown", why: `no file system is on the logical volume ${name}` };
  return { mirror, device, log, why };
}

/** Undefined while the volume's disk is not there. */
function heldOn(world: World, volume: string): Promise<readonly string[] | undefined> {
  const { node, instance } = world.outcomeOf(scratchClean);
  return physicalOn(world, node, instance, volume);
}

/** Physical volumes that LVM still has in use or in its devices file. */
async function leftOf(world: World, volume: string): Promise<readonly string[]> {
  const ours = await world.cloud.findVolumes({ [drillTag]: world.run });
  if (!ours.some(({ id, attachments }) => id === volume && attachments.length > 0)) return [];
  const held = (await heldOn(world, volume)) ?? [];
  const lvm = held.length > 0 ? await world.nodes.findLvm(drillOf(world).node) : undefined;
  return held.filter((device) => {
    const physical = lvm?.physical.find((each) => each.device === device);
    if (!physical) return false;
    // Where there is no devices file, LVM sees every device for as long as it is there.
    if (lvm?.entries !== undefined) return true;
    return lvm?.logical.some((each) => each.group === physical.group && each.device !== undefined);
  });
}

/** The scratch node is off, or gone for good. */
export async function isOff(world: World): Promise<boolean> {
  try {
    const { state } = await world.cloud.getPower(drillOf(world).instance);
    return state === "stopped" || state === "terminated";
  } catch (thrown) {
    // One that ended long ago is forgotten by the cloud.
    if (thrown instanceof Failure && thrown.kind === "not-found") return true;
    throw thrown;
  }
}

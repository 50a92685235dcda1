/**
 * A clean machine that is a member of no cluster, and reads new volumes through before they come to their nodes: the scratch
 * node of the inventory's drills. What fills on it is the volume itself, so that it is whole wherever it is attached next
 * (reference aws-ebs 5: initialization is of a volume, and its progress is asked of the volume).
 */
import { Failure } from "../errors.ts";
import { deviceNames, drillOf, scratchClean } from "./drill.ts";
import { findMarker, heldByOther, holdNodes, releaseNodes } from "./house.ts";
import { swaps } from "./restore.ts";
import { assertGranted, sampleTags } from "./rights.ts";
import { check, step, type Step, type World } from "./step.ts";

/** Where each new volume is read, by the volume that it replaces. */
export interface HelperPlace {
  readonly old: string;
  readonly device: string;
}

export const helperFits = check<{ readonly node: string; readonly places: readonly HelperPlace[] }>(
  "The scratch node may read the new volumes: nobody holds it, and it is in their zone",
  async (world) => {
    const { node, instance: id } = drillOf(world);
    const found = await findMarker(onHelper(world), node);
    if (found === "off") throw new Failure("precondition", `${node} is off`, { hint: "power it on" });
    if (found.held && found.marker?.run !== world.run) throw heldByOther(node, found);
    const disk = (await world.nodes.listBlockDevices(node)).find(({ type }) => type === "disk");
    if (disk && (await world.nodes.getDiskWrites({ node, device: disk.path })).discarded === undefined)
      throw new Failure(
        "precondition",
        `the kernel of ${node} does not count what it discards: that it changes nothing could not be proven`,
        { hint: "choose --param warm=rate or read, or a scratch node with a kernel of 4.18 or later" },
      );
    const { zone } = world.outcomeOf(scratchClean);
    const planned = Object.entries(world.outcomeOf(swaps).byNode).flatMap(([member, each]) =>
      each.map((swap) => ({ member, swap })),
    );
    const far = planned.find(({ swap }) => swap.zone !== zone);
    if (far)
      throw new Failure(
        "precondition",
        `${node} is in ${zone}, and the new volume of ${far.member} will be in ${far.swap.zone}: it cannot be attached there`,
        { hint: "choose --param warm=rate or fast, which need no helper, or warm=read, within the outage" },
      );
    const instance = await world.cloud.getInstance(id);
    const taken = [instance.rootDevice, ...instance.attachments.map(({ device }) => device)];
    const free = deviceNames.filter((name) => !taken.includes(name));
    if (free.length < planned.length)
      throw new Failure("precondition", `${node} has ${free.length} free devices; wanted ${planned.length}`, {
        hint: "choose --param warm=rate, which needs no helper",
      });
    return { node, places: planned.map(({ swap }, i) => ({ old: swap.old, device: free[i] ?? "" })) };
  },
);

export const helperRights = check(
  "The cloud grants what reading on the scratch node will ask for",
  async (world) => {
    const missing: string[] = [];
    const { instance } = drillOf(world);
    const { places } = world.outcomeOf(helperFits);
    for (const { old, snapshot, zone } of Object.values(world.outcomeOf(swaps).byNode).flat())
      missing.push(
        ...(await world.cloud.findMissingRestoreRights({
          instance,
          volumes: [],
          snapshot,
          zone,
          device: places.find((place) => place.old === old)?.device ?? "",
          starts: false,
          tags: sampleTags(world),
        })),
      );
    return assertGranted(missing);
  },
);

/** Whatever is written to a node is written under a mark (design 3.6): a drill that begins meanwhile meets it. */
export const helperHeld: Step<readonly string[]> = step<readonly string[]>({
  title: "Mark the scratch node as held by this run",
  done: async (world, mine) => (await holdNodes.done(onHelper(world), mine)) as readonly string[] | undefined,
  must: async (world, mine) => holdNodes.must?.(onHelper(world), mine),
  do: async (world, mine) => holdNodes.do?.(onHelper(world), mine),
  renew: async (world, mine) => holdNodes.renew?.(onHelper(world), mine),
  within: holdNodes.within,
  undo: (): Step => helperReleased,
});

export const helperReleased: Step = step<unknown>({
  title: "Take this run's mark off the scratch node",
  done: async (world, mine) => releaseNodes.done(onHelper(world), mine),
  do: async (world, mine) => releaseNodes.do?.(onHelper(world), mine),
  within: releaseNodes.within,
  ends: helperHeld,
});

/** The same world, with the helper as its only node: what is done for all nodes is done there. */
export function onHelper(world: World): World {
  const { node, instance } = drillOf(world);
  return {
    ...world,
    members: [node],
    instanceOf: () => instance,
    // Of whoever asks what was marked: the helper, and that only once it was.
    findOutcome: (of) => (of === holdNodes ? world.findOutcome(helperHeld) : world.findOutcome(of)) as never,
  };
}

/**
 * New volumes on nodes whose LVM looks at listed devices only. Each is listed by its own device, found by its volume, and
 * what stood in the list stays there: whoever puts the old volumes back, with this run's journal or without, finds them
 * seen by LVM as before. On nodes without a devices file, and for mirrors on partitions, nothing is done.
 */
import {
  lvmFound,
  minutes,
  missingEntries,
  physicalOn,
  step,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { hasStarted } from "./mirrors-anew.ts";
import { each } from "./power.ts";
import { newVolumes } from "./volumes.ts";

interface Before {
  readonly [node: string]: {
    /** Lines of the devices file. */
    readonly entries: readonly string[];
    /** New volumes that LVM saw by itself. */
    readonly seen: readonly string[];
  };
}

// The reboot that starts the mirrors finds the entries in the file: the volume groups come up with the node.
export const volumesSeen = step<{ readonly nodes: readonly string[] }, Before>({
  title: "Let LVM see the new volumes, where a devices file would hide them",
  done: async (world, mine) => {
    const held = await Promise.all(listed(world).map((node) => isShown(world, node, mine)));
    return held.every(Boolean) ? { nodes: listed(world) } : undefined;
  },
  before: async (world) => {
    const before: Record<string, Before[string]> = {};
    for (const node of listed(world)) {
      const seen: string[] = [];
      for (const volume of newOn(world, node)) {
        const held = await heldOn(world, node, volume);
        if (held !== undefined && (await unseenOf(world, node, held)).length === 0) seen.push(volume);
      }
      before[node] = { entries: (await world.nodes.findLvm(node))?.entries ?? [], seen };
    }
    return before;
  },
  // Side by side: the service is out meanwhile.
  do: (world, mine) => each(listed(world), (node) => show(world, node, mine)),
  expect: async (world) => ({ nodes: listed(world) }),
  within: minutes(15),
  undo: (): Step => volumesHidden,
});

async function isShown(world: World, node: string, mine: Mine<Before>): Promise<boolean> {
  for (const volume of newOn(world, node)) {
    const held = await heldOn(world, node, volume);
    if (held === undefined || (await unseenOf(world, node, held)).length > 0) return false;
  }
  return (await missingAt(world, node, mine)).length === 0;
}

async function show(world: World, node: string, mine: Mine<Before>): Promise<void> {
  for (const volume of newOn(world, node)) {
    const devices = await world.atRun(`what LVM does not see yet of ${volume}`, async () =>
      (await unseenOf(world, node, (await heldOn(world, node, volume)) ?? [])).join("\n"),
    );
    for (const device of devices.split("\n").filter(Boolean)) await world.nodes.showToLvm({ node, device });
  }
  await keepEntries(world, node, mine);
}

const volumesHidden = step<{ readonly told?: readonly string[] }, Before>({
  title: "Let LVM see what it saw before",
  done: async (world, mine) => {
    if (await hasStarted(world)) return { told: ["LVM goes on seeing the restored volumes"] };
    const off: string[] = [];
    for (const node of listed(world)) {
      if (await isOff(world, node)) {
        if (shownOn(world, node, mine).length > 0) off.push(node);
        continue;
      }
      for (const volume of shownOn(world, node, mine))
        if ((await seenOn(world, node, volume)).length > 0) return undefined;
      if ((await missingAt(world, node, mine)).length > 0) return undefined;
    }
    // Harmless: an entry of a device that is not there hides nothing.
    return off.length === 0
      ? {}
      : {
          told: [
            `${off.join(" and ")} is off: what was put into its devices file stays there (\`lvmdevices\`)`,
          ],
        };
  },
  do: async (world, mine) => {
    for (const node of listed(world)) {
      await keepEntries(world, node, mine);
      for (const volume of mine.before === undefined ? newOn(world, node) : shownOn(world, node, mine)) {
        const devices = await world.atRun(`what LVM sees of ${volume}`, async () =>
          (await isOff(world, node)) ? "" : (await seenOn(world, node, volume)).join("\n"),
        );
        for (const device of devices.split("\n").filter(Boolean))
          await world.nodes.hideFromLvm({ node, device });
      }
    }
  },
  within: minutes(15),
});

async function isOff(world: World, node: string): Promise<boolean> {
  return (await world.cloud.getPower(world.instanceOf(node))).state === "stopped";
}

function listed(world: World): readonly string[] {
  return world.outcomeOf(lvmFound).listed;
}

function newOn(world: World, node: string): readonly string[] {
  return world
    .outcomeOf(newVolumes)
    .filter((place) => place.node === node)
    .map(({ made }) => made);
}

/** Those that this run may have shown. */
function shownOn(world: World, node: string, { before }: Mine<Before>): readonly string[] {
  const seen = before?.[node]?.seen ?? [];
  return newOn(world, node).filter((volume) => !seen.includes(volume));
}

/** Undefined while the disk of the volume is not there. */
function heldOn(world: World, node: string, volume: string): Promise<readonly string[] | undefined> {
  return physicalOn(world, node, world.instanceOf(node), volume);
}

/** Of these physical volumes, those that LVM does not see, or whose group is not up as a whole. */
async function unseenOf(world: World, node: string, held: readonly string[]): Promise<readonly string[]> {
  const lvm = held.length > 0 ? await world.nodes.findLvm(node) : undefined;
  return held.filter((device) => {
    const physical = lvm?.physical.find((each) => each.device === device);
    const logical = lvm?.logical.filter(({ group }) => group === physical?.group) ?? [];
    return physical === undefined || logical.some((each) => each.device === undefined);
  });
}

async function seenOn(world: World, node: string, volume: string): Promise<readonly string[]> {
  const held = (await heldOn(world, node, volume)) ?? [];
  const lvm = held.length > 0 ? await world.nodes.findLvm(node) : undefined;
  return held.filter((device) => lvm?.physical.some((each) => each.device === device));
}

/** The command that lists a device keeps them itself, unless it was cut in the middle. */
async function keepEntries(world: World, node: string, mine: Mine<Before>): Promise<void> {
  const entries = await world.atRun(`what the devices file of ${node} listed before`, async () =>
    (await isOff(world, node)) ? "" : (await missingAt(world, node, mine)).join("\n"),
  );
  if (entries !== "") await world.nodes.keepLvmEntries({ node, entries });
}

async function missingAt(world: World, node: string, { before }: Mine<Before>): Promise<readonly string[]> {
  const wanted = before?.[node]?.entries ?? [];
  if (wanted.length === 0) return [];
  return missingEntries(wanted, (await world.nodes.findLvm(node))?.entries ?? wanted);
}

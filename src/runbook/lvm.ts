/**
 * LVM under the mirrors. A node may have a devices file, and then LVM sees listed devices only: a volume that takes
 * another one's place is not listed, so its volume group does not come up with the node (design 6, lvmdevices(8)).
 */
import { Failure } from "../errors.ts";
import type { BlockDevice, LvmSeen } from "../ports/nodes.ts";
import { findMirrorVolumes, isDiskOf } from "./devices.ts";
import { drillOf } from "./drill.ts";
import { restoredNodes, sides } from "./restore.ts";
import { check, type World } from "./step.ts";

export interface OnLvm {
  /** Nodes whose volumes are swapped, and where a new volume has to be put into a devices file before LVM sees it. */
  readonly listed: readonly string[];
  readonly told: readonly string[];
}

export const lvmFound = check<OnLvm>("How the mirrors lie on LVM, where they do", async (world) => {
  const { bare, mirrors } = world.outcomeOf(sides);
  const listed: string[] = [];
  const told: string[] = [];
  for (const node of restoredNodes(world)) {
    // Without its volumes nothing shows what will lie on them: what is there decides once they are in their places.
    if (bare.includes(node)) {
      if ((await world.nodes.findLvm(node))?.entries !== undefined) listed.push(node);
      continue;
    }
    const devices = await world.nodes.listBlockDevices(node);
    if (!devices.some(({ type }) => type === "lvm")) continue;
    const { partitions } = await findMirrorVolumes(world, node, mirrors);
    const mine = partitions.flatMap(({ logical }) => logical ?? []);
    if (mine.length === 0) continue;
    const lvm = await world.nodes.findLvm(node);
    if (lvm) assertAlone(node, mine, lvm);
    if (lvm?.entries !== undefined) listed.push(node);
    const how = lvm?.entries === undefined ? "there is no devices file" : "there is a devices file";
    told.push(`${node}: the mirrors lie on LVM (${mine.join(", ")}); ${how}`);
  }
  if (told.length > 0 && world.params["warm"] === "helper") await assertHelperLeavesThem(world);
  return { listed, told };
});

/** LVM on the helper would bring the volume groups up as soon as they are attached, two of one name and with the same ids. */
async function assertHelperLeavesThem(world: World): Promise<void> {
  const { node } = drillOf(world);
  const lvm = await world.nodes.findLvm(node);
  if (lvm === undefined || lvm.entries !== undefined) return;
  throw new Failure(
    "precondition",
    `the mirrors lie on LVM, and ${node} has no devices file: its LVM would take hold of the new volumes`,
    {
      hint: `choose another warm-up, or have LVM on ${node} look at listed devices only (lvmdevices(8))`,
    },
  );
}

/** A swap takes along whatever else lies in the group. */
function assertAlone(node: string, mine: readonly string[], lvm: LvmSeen): void {
  const groups = new Set(mine.map((each) => each.split("/")[0]));
  const others = lvm.logical
    .filter(({ group }) => groups.has(group))
    .map(({ group, name }) => `${group}/${name}`)
    .filter((each) => !mine.includes(each));
  if (others.length > 0)
    throw new Failure(
      "unsupported",
      `${node}: ${others.join(", ")} ${others.length === 1 ? "lies" : "lie"} in a volume group of the mirrors, and would be taken back with them`,
      { hint: "move it into a volume group on a volume of its own" },
    );
}

/** The devices on this volume that hold a physical volume, whether LVM sees them or not; undefined if its disk is not there. */
export async function physicalOn(
  world: World,
  node: string,
  instance: string,
  volume: string,
): Promise<readonly string[] | undefined> {
  const machine = await world.cloud.getInstance(instance);
  const [found] = await world.cloud.getVolumes([volume]);
  const devices = await world.nodes.listBlockDevices(node);
  const disk = devices.find(
    (each) => each.type === "disk" && found !== undefined && isDiskOf(each, found, machine),
  );
  if (!disk) return undefined;
  const held: string[] = [];
  for (const { path } of candidatesOn(disk, devices))
    if ((await world.nodes.getFileSystem({ node, device: path })).type === physicalType) held.push(path);
  return held;
}

/** What blkid calls a physical volume. */
export const physicalType = "LVM2_member";

/** Its partitions, or itself where it has none; what lies on LVM is none of them. */
export function candidatesOn(disk: BlockDevice, devices: readonly BlockDevice[]): readonly BlockDevice[] {
  const partitions = devices.filter(({ under, type }) => type === "part" && under.includes(disk.path));
  return partitions.length > 0 ? partitions : [disk];
}

/** The logical volume that holds the data of a mirror, by a point's tag: {group, name} of "md1:data=vg_md1/data+…". */
export function logicalIn(
  layout: string,
  mirror: string,
): { readonly group: string; readonly name: string } | undefined {
  for (const part of layout.split("+")) {
    const [what, where = ""] = part.split("=");
    const [group, name] = where.split("/");
    if (what === `${mirror}:data` && group && name) return { group, name };
  }
  return undefined;
}

/** Lines of a devices file, without those that list the same device as one that is there. */
export function missingEntries(wanted: readonly string[], now: readonly string[]): readonly string[] {
  const there = new Set(now.map(deviceOf));
  return wanted.filter((line) => !there.has(deviceOf(line)));
}

/** The kernel's name in it changes with the boots. One that goes by such a name is told apart by what lies on it. */
function deviceOf(line: string): string {
  const value = (key: string) => new RegExp(`(?:^| )${key}=(\\S+)`).exec(line)?.[1] ?? "";
  const type = value("IDTYPE");
  return [type, value("IDNAME"), value("PART"), type === "devname" ? value("PVID") : ""].join(" ");
}

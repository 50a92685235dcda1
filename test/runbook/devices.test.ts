/** From a configured path down to the volume: over partitions and over LVM, and what is refused on the way. */
import { describe, expect, it } from "vitest";

import type { BlockDevice, LvmSeen } from "../../src/ports/nodes.ts";
import { findMirrorVolumes, layoutOf, type MirrorVolume } from "../../src/runbook/devices.ts";
import { logicalIn, missingEntries } from "../../src/runbook/lvm.ts";
import type { RoleMirror } from "../../src/runbook/roles.ts";
import type { World } from "../../src/runbook/step.ts";

const device = (path: string, type: BlockDevice["type"], under: readonly string[] = []): BlockDevice => ({
  path,
  type,
  under,
  serial: type === "disk" ? `vol${path.slice(-3, -2)}` : undefined,
  sizeBytes: 1024 ** 3,
  partUuid: undefined,
  mountPoints: [],
});
const disk = device("/dev/nvme1n1", "disk");
const second = device("/dev/nvme2n1", "disk");
const part = device("/dev/nvme1n1p1", "part", ["/dev/nvme1n1"]);
const lvm = (physical: readonly string[]): LvmSeen => ({
  entries: undefined,
  physical: physical.map((path) => ({ device: path, group: "vg" })),
  logical: ["cluster", "data"].map((name, i) => ({ group: "vg", name, device: `/dev/dm-${i}` })),
});

const mirror = {
  name: "md1",
  dataPartition: { server1: "/dev/vg/data" },
  clusterPartition: { server1: "/dev/vg/cluster" },
} as unknown as RoleMirror;
const links: { readonly [path: string]: string } = {
  "/dev/vg/cluster": "/dev/dm-0",
  "/dev/vg/data": "/dev/dm-1",
};

async function found(devices: readonly BlockDevice[], seen: LvmSeen | undefined) {
  const volumes = ["vol-1", "vol-2"].map((id) => ({ id, attachments: [], sizeGiB: 1 }));
  const world = {
    instanceOf: () => "i-1",
    cloud: {
      getInstance: async () => ({
        id: "i-1",
        nvme: true,
        rootDevice: "/dev/xvda",
        attachments: volumes.map(({ id }) => ({ volume: id, device: `/dev/sd${id}` })),
      }),
      getVolumes: async () => volumes,
    },
    nodes: {
      listBlockDevices: async () => devices,
      resolvePath: async ({ path }: { readonly path: string }) => links[path],
      findLvm: async () => seen,
    },
  } as unknown as World;
  return findMirrorVolumes(world, "server1", [mirror]);
}
const both = (under: readonly string[]) => [
  device("/dev/dm-0", "lvm", under),
  device("/dev/dm-1", "lvm", under),
];

describe("a mirror on LVM", () => {
  it.each([
    ["a partition", [disk, part, ...both([part.path])], lvm([part.path])],
    ["a whole disk", [disk, ...both([disk.path])], lvm([disk.path])],
    [
      "a thin pool on a partition",
      [disk, part, device("/dev/dm-5", "lvm", [part.path]), ...both(["/dev/dm-5"])],
      lvm([part.path]),
    ],
  ])("leads from its path to the volume over %s", async (_what, devices, seen) => {
    const { partitions, volumes, others } = await found([...devices, second], seen);
    expect(partitions.map(({ part: which, volume, logical }) => [which, volume, logical])).toEqual([
      ["data", "vol-1", "vg/data"],
      ["cluster", "vol-1", "vg/cluster"],
    ]);
    expect([volumes, others]).toEqual([["vol-1"], ["vol-2"]]);
  });

  it.each([
    [
      "over two disks",
      [disk, second, ...both([disk.path, second.path])],
      lvm([disk.path, second.path]),
      /\/dev\/vg\/data of md1 lies on 2 disks .* over several is not supported/,
    ],
    [
      "in a group of two physical volumes, though it lies on one",
      [disk, second, ...both([disk.path])],
      lvm([disk.path, second.path]),
      /volume group vg, which has 2 physical volumes \(\/dev\/nvme1n1, \/dev\/nvme2n1\)/,
    ],
    [
      "on an encrypted device",
      [disk, device("/dev/dm-7", "crypt", [disk.path]), ...both(["/dev/dm-7"])],
      lvm(["/dev/dm-7"]),
      /lies on the crypt device \/dev\/dm-7/,
    ],
    ["of which LVM knows nothing", [disk, ...both([disk.path])], undefined, /`lvs` does not list/],
    ["that is not active", [disk], undefined, /\/dev\/vg\/data of md1 is no block device there/],
    [
      "that is none, but another of the device mapper's",
      [disk, device("/dev/dm-1", "mpath", [disk.path])],
      undefined,
      /is a mpath device .* only LVM is supported/,
    ],
  ])("is refused %s", async (_what, devices, seen, message) => {
    await expect(found(devices, seen)).rejects.toThrow(message);
  });
});

describe("the tag of a point", () => {
  const on = (name: string, part: "data" | "cluster" = "data"): MirrorVolume => ({
    mirror: name,
    part,
    path: "",
    volume: "vol-1",
    logical: `vg_${name}/data`,
  });

  it("names the logical volumes that hold data, and is read again", () => {
    const layout = layoutOf([on("md1"), on("md1", "cluster"), on("md2")], "vol-1");
    expect(layout).toBe("md1:data=vg_md1/data+md2:data=vg_md2/data");
    expect(logicalIn(layout, "md2")).toEqual({ group: "vg_md2", name: "data" });
    expect([logicalIn(layout, "md3"), logicalIn("md1:data=", "md1"), logicalIn("", "md1")]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("says nothing rather than half a name", () => {
    expect(layoutOf([on("m".repeat(130))], "vol-1")).toBe("");
  });
});

describe("lines of a devices file", () => {
  const line = (id: string, more = "PART=1") => `IDTYPE=sys_wwid IDNAME=${id} DEVNAME=/dev/x PVID=a ${more}`;

  it("are missing where no line lists their device, whatever the kernel calls it now", () => {
    expect(missingEntries([line("a"), line("b")], [line("a").replace("/dev/x", "/dev/y")])).toEqual([
      line("b"),
    ]);
    expect(missingEntries([line("a", "PART=2")], [line("a")])).toEqual([line("a", "PART=2")]);
    const named = "IDTYPE=devname IDNAME=/dev/xvdf DEVNAME=/dev/xvdf PVID=a";
    expect(missingEntries([named], [named.replace("PVID=a", "PVID=b")])).toEqual([named]);
  });
});

/** The lab's LVM: chains of devices, the devices file, copies of one group, and what `--post` needs to find. */
import { describe, expect, it } from "vitest";

import { devicesFile, mapperName } from "../../src/lab/lvm.ts";
import { bench } from "../support/lab.ts";

const config = "cat /opt/nec/clusterpro/etc/clp.conf";

/** A copy of the standby's volume, attached to this machine. */
async function copied(bed: ReturnType<typeof bench>, node: string, device = "/dev/sdg"): Promise<string> {
  const { lab } = bed;
  const volume = lab.volumeOf("server2", "md1") ?? lab.cloud.listVolumes().at(-1)?.id ?? "";
  const snapshot = lab.cloud.addSnapshot({
    volume,
    sizeGiB: 100,
    startedAt: bed.clock.now(),
    content: { ...lab.cloud.content(volume), dirty: false },
    truth: { powerOff: true, isolated: true, clean: true },
    tags: {},
  });
  const made = lab.cloud.createVolume({ snapshot, zone: lab.cloud.settings.zones[0] ?? "", tags: {} });
  await bed.until("made", () => made.state === "available");
  lab.cloud.attachVolume(made.id, lab.node(node).instance, device);
  await bed.until("attached", () => made.attachment.now?.state === "attached");
  return made.id;
}

describe("LVM in the lab", () => {
  it("carries the mirrors: a partition, a physical volume, a group, and a logical volume for each part", async () => {
    const { lab, run } = bench({ devices: "lvm" });
    expect((await run("server1", config)).out).toContain("/dev/vg_md1/data");
    expect(lab.cluster().mirrors[0]?.loaded.size).toBe(2);
    const tree = JSON.parse((await run("server1", "lsblk -J -b -o NAME,PATH,TYPE,PKNAME,FSTYPE")).out) as {
      blockdevices: { children: { type: string; fstype: string; children?: object[] }[] }[];
    };
    const [part] = tree.blockdevices.at(-1)?.children ?? [];
    expect(part).toMatchObject({ type: "part", fstype: "LVM2_member" });
    expect(part?.children).toMatchObject([
      { name: "vg_md1-cluster", path: "/dev/mapper/vg_md1-cluster", type: "lvm", pkname: "nvme1n1p1" },
      { name: "vg_md1-data", path: "/dev/mapper/vg_md1-data", type: "lvm", pkname: "nvme1n1p1" },
    ]);
    expect((await run("server1", "readlink -e /dev/vg_md1/data")).out).toBe("/dev/dm-1\n");
    expect((await run("server1", "lvs --noheadings -o vg_name,lv_name,lv_active")).out).toBe(
      "  vg_md1 cluster active\n  vg_md1 data active\n",
    );
    expect(mapperName({ group: "vg-a", name: "b-c" })).toBe("vg--a-b--c");
  });

  it("does not see a volume that is not listed, until it is listed; listing takes another's place", async () => {
    const bed = bench({ devices: "lvm" });
    const { run, lab } = bed;
    lab.node("server2").shutDown("off");
    const old = lab.volumeOf("server2", "md1") ?? "";
    await bed.until("off", () => lab.node("server2").state === "off");
    await bed.until("stopped", () => lab.cloud.getVolume(old).attachment.now?.state === "attached");
    lab.cloud.detachVolume(old, lab.node("server2").instance);
    await bed.until("detached", () => lab.cloud.getVolume(old).attachment.now === undefined);
    const zone = lab.cloud.getVolume(old).zone;
    const snapshot = lab.cloud.addSnapshot({
      volume: old,
      sizeGiB: 100,
      startedAt: bed.clock.now(),
      content: lab.cloud.content(old),
      truth: { powerOff: true, isolated: true, clean: true },
      tags: {},
    });
    const made = lab.cloud.createVolume({ snapshot, zone, tags: {} });
    await bed.until("made", () => made.state === "available");
    lab.cloud.attachVolume(made.id, lab.node("server2").instance, "/dev/sdf");
    await bed.until("attached", () => made.attachment.now?.state === "attached");
    lab.cloud.start(lab.node("server2").instance);
    await bed.until("up", () => lab.node("server2").state === "up");
    const listed = async () => (await run("server2", `grep -c IDTYPE= ${devicesFile}`)).out.trim();
    expect((await run("server2", "pvs --noheadings -o pv_name")).out).toBe("");
    expect((await run("server2", "pvs /dev/nvme1n1p1")).code).toBe(5);
    expect((await run("server2", "readlink -e /dev/vg_md1/data")).code).toBe(1);
    expect((await run("server2", "blkid -p -o value -s TYPE /dev/nvme1n1p1")).out).toBe("LVM2_member\n");
    expect(await listed()).toBe("1");
    expect((await run("server2", "lvmdevices --yes --adddev /dev/nvme1n1p1")).code).toBe(0);
    expect(await listed()).toBe("1");
    // It is seen now, and still has to be activated.
    expect((await run("server2", "pvs --noheadings -o vg_name")).out).toBe("  vg_md1\n");
    expect((await run("server2", "readlink -e /dev/vg_md1/data")).code).toBe(1);
    expect((await run("server2", "vgchange -ay vg_md1")).code).toBe(0);
    expect((await run("server2", "readlink -e /dev/vg_md1/data")).code).toBe(0);
    // From the next boot on by itself.
    lab.node("server2").shutDown("reboot");
    await bed.until("gone", () => lab.node("server2").state !== "up");
    await bed.until("up again", () => lab.node("server2").state === "up");
    expect((await run("server2", "readlink -e /dev/vg_md1/data")).code).toBe(0);
  });

  it("refuses to activate one of two copies, and to rename one that is active", async () => {
    const bed = bench({ devices: "lvm", lvm: { devicesFile: false } });
    const { run } = bed;
    await copied(bed, "scratch1", "/dev/sdf");
    // Seen by everybody where there is no devices file, and up by itself.
    expect((await run("scratch1", "lvs --noheadings -o lv_name,lv_active")).out).toBe(
      "  cluster active\n  data active\n",
    );
    expect((await run("scratch1", "vgimportclone -n other /dev/nvme1n1p1")).code).toBe(5);
    expect((await run("scratch1", "vgchange -an vg_md1")).code).toBe(0);
    await copied(bed, "scratch1");
    const twice = await run("scratch1", "vgchange -ay vg_md1");
    expect(twice.code).toBe(5);
    expect(twice.err).toContain("while PVs appear on duplicate devices");
    expect((await run("scratch1", "vgimportclone -n other /dev/nvme1n1p1")).code).toBe(0);
    expect((await run("scratch1", "vgchange -ay vg_md1")).code).toBe(0);
    expect((await run("scratch1", "pvs --noheadings -o vg_name")).out).toBe("  other\n  vg_md1\n");
  });

  it("writes nothing into the file system when a group is imported, and keeps a disk that is in use", async () => {
    const bed = bench({ devices: "lvm" });
    const { run, lab } = bed;
    const volume = await copied(bed, "scratch1", "/dev/sdf");
    const before = lab.cloud.content(volume);
    for (const line of [
      "lvmdevices --yes --adddev /dev/nvme1n1p1",
      "vgimportclone -n drill /dev/nvme1n1p1",
      "vgchange -ay drill",
      "mkdir /run/drill",
      "mount -o ro,norecovery,nouuid /dev/drill/data /run/drill",
    ])
      expect(await run("scratch1", line)).toMatchObject({ code: 0 });
    const after = lab.cloud.content(volume);
    expect([after.data, after.dirty, after.control]).toEqual([before.data, before.dirty, before.control]);
    expect(after.lvm).toMatchObject({ group: "drill" });
    expect(after.lvm?.pvUuid).not.toBe(before.lvm?.pvUuid);
    expect((await run("scratch1", "cat /proc/mounts")).out).toContain(
      "/dev/mapper/drill-data /run/drill xfs",
    );
    expect((await run("scratch1", "vgchange -an drill")).code).toBe(5);
    lab.cloud.detachVolume(volume, lab.scratch.instance);
    await bed.seconds(60);
    expect(lab.cloud.getVolume(volume).attachment.now?.state).toBe("busy");
    for (const line of [
      "umount /run/drill",
      "vgchange -an drill",
      "lvmdevices --yes --deldev /dev/nvme1n1p1",
    ])
      expect(await run("scratch1", line)).toMatchObject({ code: 0 });
    await bed.until("let go", () => lab.cloud.getVolume(volume).state === "available");
    expect((await run("scratch1", `grep -c IDTYPE= ${devicesFile}`)).out).toBe("0\n");
  });

  it("has options that it does not know as gaps", async () => {
    const { run } = bench({ devices: "lvm" });
    for (const line of ["pvs --all", "vgchange --refresh", "lvmdevices --check", "lvs -o lv_color"])
      expect((await run("server1", line)).code).toBe(127);
  });
});

import { describe, expect, it } from "vitest";

import { bench } from "../support/lab.ts";

const point = "/run/drill";

/** A volume of the content that the standby has now, attached to the scratch machine. */
async function attached(bed: ReturnType<typeof bench>, dirty: boolean): Promise<string> {
  const { lab } = bed;
  const volume = lab.volumeOf("server2", "md1") ?? "";
  const snapshot = lab.cloud.addSnapshot({
    volume,
    sizeGiB: 100,
    startedAt: bed.clock.now(),
    content: { ...lab.cloud.content(volume), dirty },
    truth: { powerOff: true, isolated: true, clean: !dirty },
    tags: {},
  });
  const made = lab.cloud.createVolume({ snapshot, zone: "ap-northeast-1a", tags: {} });
  await bed.until("made", () => made.state === "available");
  lab.cloud.attachVolume(made.id, lab.scratch.instance, "/dev/sdf");
  await bed.until("attached", () => made.attachment.now?.state === "attached");
  await bed.run("scratch1", `mkdir ${point}`);
  return made.id;
}
const mount = (options: string) => `mount -o ${options} /dev/nvme1n1p2 ${point}`;

describe("the scratch machine", () => {
  it("is a member of no cluster, and has nothing but its root", async () => {
    const { lab, run } = bench();
    expect(lab.clusters.size).toBe(2);
    expect([...lab.clusters.values()].flatMap(({ names }) => names)).not.toContain("scratch1");
    expect((await run("scratch1", "lsblk -n -d -o NAME")).out).toBe("nvme0n1\n");
    expect((await run("scratch1", "clpstat")).code).toBe(127);
  });

  it("shows a log that was dirty at the cut until it is mounted for use, and not by a look at it", async () => {
    const bed = bench();
    const volume = await attached(bed, true);
    const log = async () =>
      /state: <(\w+)>/.exec((await bed.run("scratch1", "xfs_logprint -t /dev/nvme1n1p2")).out)?.[1];
    expect(await log()).toBe("DIRTY");
    expect((await bed.run("scratch1", mount("ro,norecovery,nouuid"))).code).toBe(0);
    expect((await bed.run("scratch1", `cat ${point}/app/version`)).out).toBe("1");
    expect((await bed.sh("scratch1", `echo 2 > ${point}/app/version`)).code).not.toBe(0);
    expect((await bed.run("scratch1", `umount ${point}`)).code).toBe(0);
    expect(await log()).toBe("DIRTY");
    expect((await bed.run("scratch1", mount("rw,nouuid"))).code).toBe(0);
    expect((await bed.sh("scratch1", `echo 2 > ${point}/app/version`)).code).toBe(0);
    expect((await bed.run("scratch1", `umount ${point}`)).code).toBe(0);
    expect(await log()).toBe("CLEAN");
    expect(bed.lab.readFiles(volume)["app/version"]).toBe("2\n");
    expect(bed.breaches).toEqual([]);
  });

  it("refuses what mount(8) and xfs(5) refuse", async () => {
    const bed = bench();
    await attached(bed, false);
    expect((await bed.run("scratch1", mount("rw,norecovery"))).code).toBe(32);
    expect((await bed.run("scratch1", `mount -o ro /dev/nvme1n1p1 ${point}`)).code).toBe(32);
    expect((await bed.run("scratch1", `mount -o ro /dev/nvme1n1p2 /run/none`)).code).toBe(32);
    expect((await bed.run("scratch1", `umount ${point}`)).code).toBe(32);
    expect((await bed.run("scratch1", "blkid -p -o value -s TYPE /dev/nvme1n1p1")).code).toBe(2);
    expect((await bed.run("scratch1", "blkid -p -o value -s TYPE /dev/nvme1n1p2")).out).toBe("xfs\n");
  });

  it("holds a mounted volume back from being detached", async () => {
    const bed = bench();
    const volume = await attached(bed, false);
    await bed.run("scratch1", mount("rw"));
    bed.lab.cloud.detachVolume(volume, bed.lab.scratch.instance);
    await bed.seconds(60);
    expect(bed.lab.cloud.getVolume(volume).attachment.now?.state).toBe("busy");
    await bed.run("scratch1", `umount ${point}`);
    await bed.until("let go", () => bed.lab.cloud.getVolume(volume).state === "available");
  });
});

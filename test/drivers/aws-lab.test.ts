/** The driver and the real SDK against the lab's EC2, in process on a virtual clock. */
import { describe, expect, test } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { Cloud, labAccessKey } from "../../src/lab/cloud.ts";
import type { CloudOptions } from "../../src/lab/cloud.ts";
import { ec2Handler } from "../../src/lab/ec2.ts";
import { blank, Heart } from "../../src/lab/world.ts";
import type { CloudWrites } from "../../src/ports/cloud.ts";
import { cloudSuite } from "../conformance/cloud.ts";

const zone = "ap-northeast-1a";
const hour = 3_600_000;

async function openLab(options: CloudOptions & { readonly nvme?: boolean } = {}) {
  const { nvme = true, ...settings } = options;
  const clock = new VirtualClock();
  const heart = new Heart(clock);
  const cloud = new Cloud(heart, settings);
  const instance = cloud.addInstance({
    name: "server2",
    zone,
    type: nvme ? "m5.large" : "t2.medium",
    nvme,
    onGuestShutdown: "stop",
    tags: { cluster: "c1" },
    privateAddress: "10.0.9.12",
    state: "running",
  });
  // A neighbour, which no test asks for.
  cloud.addInstance({
    name: "server1",
    zone,
    type: nvme ? "m5.large" : "t2.medium",
    nvme,
    onGuestShutdown: "stop",
    privateAddress: "10.0.9.11",
    state: "running",
  });
  const volumes = ["/dev/xvda", "/dev/sdf", "/dev/sdg", "/dev/sdh"].map((device) => {
    const volume = cloud.addVolume({ sizeGiB: 10, type: "gp3", zone, content: blank });
    cloud.attach(instance, volume, device);
    return volume;
  });
  const driver = await openAws({
    region: cloud.settings.region,
    endpoint: "http://lab.invalid",
    credentials: { accessKeyId: labAccessKey, secretAccessKey: "none" },
    requestHandler: ec2Handler(cloud),
    clock,
  });
  return { clock, heart, cloud, driver, instance, volumes: volumes.slice(1) };
}

const operations: { readonly [Write in keyof CloudWrites]: readonly string[] } = {
  startInstance: ["StartInstances"],
  stopInstance: ["StopInstances"],
  createSnapshotSet: ["CreateSnapshot", "CreateSnapshots"],
  createSnapshot: ["CreateSnapshot"],
  setTags: ["CreateTags"],
  removeTags: ["DeleteTags"],
  createVolume: ["CreateVolume"],
  attachVolume: ["AttachVolume"],
  detachVolume: ["DetachVolume"],
  setDeleteOnTermination: ["ModifyInstanceAttribute"],
  deleteVolume: ["DeleteVolume"],
  deleteSnapshot: ["DeleteSnapshot"],
  enableFastRestore: ["EnableFastSnapshotRestores"],
  disableFastRestore: ["DisableFastSnapshotRestores"],
};

function underTest(options: CloudOptions) {
  return async () => {
    const { clock, heart, cloud, driver, instance, volumes } = await openLab(options);
    return {
      driver,
      instance,
      address: "10.0.9.12",
      volumes,
      freeDevice: "/dev/sdp",
      otherZone: "ap-northeast-1c",
      unknown: {
        instance: "i-0bad0000000000001",
        volume: "vol-0bad0000000000001",
        snapshot: "snap-0bad0000000000001",
      },
      settle: () => clock.sleep(hour),
      close: () => driver.close(),
      deny: (write: keyof CloudWrites) => {
        for (const operation of operations[write]) cloud.denied.add(operation);
      },
      lock: (snapshot: string) =>
        cloud.locks.lock(cloud.getSnapshot(snapshot), { mode: "governance", days: 7 }),
      share: (snapshot: string, account: string) => {
        cloud.getSnapshot(snapshot).sharedWith = [account];
      },
      makeImage: (snapshot: string) => {
        const image = cloud.images.register("made by hand", { "/dev/sdf": snapshot });
        image.disabled = true;
        return { image: image.id, drop: () => cloud.images.deregister(image.id) };
      },
      loseNextAnswer: () => heart.addFault({ match: "/^(Start|Stop|Create)/", action: "lose-after" }),
      countWrites: () => heart.received.filter((call) => call.class === "write").length,
    };
  };
}

cloudSuite("aws over the lab", underTest({}));
cloudSuite(
  "aws over a lab of short pages and late lists",
  underTest({ pageSize: 2, listLagSeconds: 60, stateLagSeconds: 30 }),
);

describe("aws over the lab, at its worst", () => {
  const limitMs = 60_000;

  test.each([
    ["throttle", "unavailable", "no", 0],
    ["unavailable", "unavailable", "maybe", 0],
    ["no-capacity", "unavailable", "no", 0],
    ["deny", "denied", "no", 0],
    ["fail-before", "unavailable", "maybe", 0],
    ["fail-after", "unavailable", "maybe", 1],
    ["lose-before", "unavailable", "maybe", 0],
    ["lose-after", "unavailable", "maybe", 1],
    ["half-output", "unavailable", "maybe", 1],
    ["hang", "unavailable", "maybe", 0],
    ["hang-after", "unavailable", "maybe", 1],
    ["nonsense", "unavailable", "maybe", 0],
  ] as const)("a cut that meets %s is %s, and happened: %s", async (action, kind, happened, sets) => {
    const { heart, driver, instance, volumes } = await openLab();
    heart.addFault({ match: "CreateSnapshots", action });
    const request = driver.requests.createSnapshotSet({
      instance,
      volumes,
      otherVolumes: [],
      description: "d",
      tags: { operation: "8f3a/cut" },
    });
    await expect(driver.send(request, { limitMs })).rejects.toMatchObject({ kind, happened });
    expect(heart.received.filter(({ operation }) => operation === "CreateSnapshots")).toHaveLength(1);
    const cuts = heart.effects.filter(({ detail }) => detail.kind.startsWith("snapshot-"));
    expect(cuts.length > 0).toBe(sets > 0);
  });

  test("a call that hangs ends at its limit of the lab's time", async () => {
    const { clock, heart, driver, instance } = await openLab();
    heart.addFault({ match: "StopInstances", action: "hang" });
    const began = clock.now();
    const stop = driver.send(driver.requests.stopInstance({ instance }), { limitMs: 12_000 });
    await expect(stop).rejects.toMatchObject({ kind: "unavailable", happened: "maybe" });
    expect(clock.now() - began).toBe(12_000);
  });

  test("disks of a Nitro type are NVMe, those of a Xen type are not", async () => {
    for (const nvme of [true, false]) {
      const { driver, instance } = await openLab({ nvme });
      expect((await driver.reads.getInstance(instance)).nvme).toBe(nvme);
    }
  });

  test("nothing that the driver sends is unknown to the lab", async () => {
    const { heart, driver, instance, volumes } = await openLab();
    await driver.reads.getInstance(instance);
    await driver.reads.findMissingRights({ instance, volumes: volumes.slice(1) });
    await driver.reads.findSnapshots({ a: "b" });
    expect(heart.received.filter((call) => call.class === "gap")).toEqual([]);
  });

  test("rights are asked for the volumes of the backup alone, as the backup will", async () => {
    const { heart, driver, instance, volumes } = await openLab();
    await driver.reads.findMissingRights({ instance, volumes: volumes.slice(1) });
    const asked = heart.received.find(({ operation }) => operation === "CreateSnapshots");
    expect(asked?.line).toContain(volumes[0]);
    for (const volume of volumes.slice(1)) expect(asked?.line).not.toContain(volume);
  });
});

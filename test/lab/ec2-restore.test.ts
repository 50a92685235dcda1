/** What a restore, a drill and a prune meet in the lab's EC2: fast restore, locks, volumes from snapshots, detaching. */
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteVolumeCommand,
  DescribeFastSnapshotRestoresCommand,
  DescribeLockedSnapshotsCommand,
  DescribeVolumesCommand,
  DescribeVolumeStatusCommand,
  DetachVolumeCommand,
  DisableFastSnapshotRestoresCommand,
  EnableFastSnapshotRestoresCommand,
  LockSnapshotCommand,
  ModifyInstanceAttributeCommand,
  UnlockSnapshotCommand,
  type CreateVolumeCommandInput,
  type LockSnapshotCommandInput,
} from "@aws-sdk/client-ec2";
import { describe, expect, it, onTestFinished } from "vitest";
import { buildLab } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import type { CloudOptions } from "../../src/lab/cloud.ts";
import { differences, describeWorld } from "../../src/lab/compare.ts";
import { content, errorOf, makeWorld, zone } from "./ec2-world.ts";

const minute = 60_000;
const hour = 60 * minute;
const otherZone = "ap-northeast-1c";

/** A world with a completed snapshot of a volume of this size. */
async function withSnapshot(options: CloudOptions & { readonly sizeGiB?: number } = {}) {
  const { sizeGiB = 100, ...settings } = options;
  const world = makeWorld(settings);
  const { cloud, clock, client } = world;
  const volume = cloud.addVolume({ sizeGiB, type: "gp3", zone, content: content("of the snapshot") });
  const snapshot = cloud.createSnapshot(volume, "", {}).id;
  await clock.advance(10 * minute);
  return {
    ...world,
    volume,
    snapshot,
    enable: (zones = [zone]) =>
      client.send(
        new EnableFastSnapshotRestoresCommand({ SourceSnapshotIds: [snapshot], AvailabilityZones: zones }),
      ),
    disable: (zones = [zone]) =>
      client.send(
        new DisableFastSnapshotRestoresCommand({ SourceSnapshotIds: [snapshot], AvailabilityZones: zones }),
      ),
    states: async () =>
      (await client.send(new DescribeFastSnapshotRestoresCommand({}))).FastSnapshotRestores?.map(
        (row) => row.State,
      ) ?? [],
    make: (more: Partial<CreateVolumeCommandInput> = {}) =>
      client.send(
        new CreateVolumeCommand({
          AvailabilityZone: zone,
          SnapshotId: snapshot,
          VolumeType: "gp3",
          ClientToken: `t${String(cloud.listVolumes().length)}`,
          ...more,
        }),
      ),
    fast: async (id: string | undefined) =>
      (await client.send(new DescribeVolumesCommand({ VolumeIds: [id ?? ""] }))).Volumes?.[0]?.FastRestored,
  };
}

const nameOf = async (call: Promise<unknown>) => (await errorOf(call)).name;

describe("fast snapshot restore", () => {
  it("goes from enabling over optimizing to enabled, 60 minutes a TiB, a minute at least", async () => {
    for (const [sizeGiB, minutes] of [
      [1, 1],
      [512, 30],
      [2048, 120],
    ] as const) {
      const { enable, states, clock } = await withSnapshot({ sizeGiB });
      expect(await states()).toEqual([]);
      const reply = await enable();
      expect(reply.Successful).toMatchObject([{ State: "enabling", AvailabilityZone: zone }]);
      expect(reply.Unsuccessful ?? []).toEqual([]);
      await clock.advance(15_000);
      expect(await states()).toEqual(["optimizing"]);
      await clock.advance(minutes * minute - 1000);
      expect(await states()).toEqual(["optimizing"]);
      await clock.advance(1000);
      expect(await states()).toEqual(["enabled"]);
    }
  });

  it("is not begun anew by a second call, and is off some time after it is switched off", async () => {
    const { enable, disable, states, clock, heart } = await withSnapshot({ sizeGiB: 1 });
    await enable();
    await clock.advance(30_000);
    const before = heart.effects.length;
    expect((await enable()).Successful).toMatchObject([{ State: "optimizing" }]);
    expect(heart.effects.length).toBe(before);
    expect((await disable()).Successful).toMatchObject([{ State: "disabling" }]);
    expect((await enable()).Unsuccessful?.[0]?.FastSnapshotRestoreStateErrors).toHaveLength(1);
    await clock.advance(15_000);
    expect(await states()).toEqual(["disabled"]);
    expect((await disable()).Successful).toMatchObject([{ State: "disabled" }]);
  });

  it("gives a credit to a volume only when the bucket, which starts empty, holds one", async () => {
    const { enable, make, fast, clock } = await withSnapshot({ sizeGiB: 100 });
    await enable();
    await clock.advance(15_000 + (100 / 1024) * hour);
    const early = await make();
    expect(early.FastRestored).toBeUndefined();
    expect(await fast(early.VolumeId)).toBe(false);
    // Ten an hour for what is no larger than 102 GiB: one each six minutes.
    await clock.advance(6 * minute);
    const [first, second] = [await make(), await make()];
    expect([await fast(first.VolumeId), await fast(second.VolumeId)]).toEqual([true, false]);
    await clock.advance(5 * hour);
    const many = [];
    for (let n = 0; n < 11; n += 1) many.push(await fast((await make()).VolumeId));
    expect(many).toEqual([...Array.from({ length: 10 }, () => true), false]);
  });

  it("of more than a TiB holds one credit at most, for each zone its own", async () => {
    const { enable, make, fast, clock } = await withSnapshot({ sizeGiB: 2048 });
    await enable([zone, otherZone]);
    await clock.advance(15_000 + 2 * hour + 2 * hour);
    const here = [await make(), await make()];
    const there = await make({ AvailabilityZone: otherZone });
    expect([
      await fast(here[0]?.VolumeId),
      await fast(here[1]?.VolumeId),
      await fast(there.VolumeId),
    ]).toEqual([true, false, true]);
  });

  it("is set aside by a rate that was paid for", async () => {
    const { enable, make, fast, clock, cloud } = await withSnapshot();
    await enable();
    await clock.advance(3 * hour);
    expect(await fast((await make({ VolumeInitializationRate: 200 })).VolumeId)).toBe(false);
    const [record] = cloud.fastRestores.list();
    expect(record && cloud.fastRestores.credits(record)).toBe(10);
  });

  it("waits for a snapshot that is pending", async () => {
    const { client, cloud, clock, volume, states } = await withSnapshot({ sizeGiB: 1, snapshotSeconds: 600 });
    const pending = cloud.createSnapshot(volume, "", {}).id;
    const request = { SourceSnapshotIds: [pending], AvailabilityZones: [zone] };
    await client.send(new EnableFastSnapshotRestoresCommand(request));
    await clock.advance(9 * minute);
    expect(await states()).toEqual(["enabling"]);
    await clock.advance(1.5 * minute);
    expect(await states()).toEqual(["optimizing"]);
  });

  it("that cannot be had turns to disabling, with a reason", async () => {
    const { enable, states, clock, cloud, client } = await withSnapshot();
    cloud.fastRestores.failNext("no room");
    await enable();
    await clock.advance(15_000);
    expect(await states()).toEqual(["disabling"]);
    await clock.advance(15_000);
    const reply = await client.send(new DescribeFastSnapshotRestoresCommand({}));
    expect(reply.FastSnapshotRestores).toMatchObject([
      { State: "disabled", StateTransitionReason: "no room" },
    ]);
  });

  it("over the limit is refused inside of a reply that says yes, zone by zone", async () => {
    const { enable, cloud } = await withSnapshot({ fastRestoreLimit: 1 });
    const reply = await enable([zone, otherZone]);
    expect(reply.$metadata.httpStatusCode).toBe(200);
    expect(reply.Successful?.map((row) => row.AvailabilityZone)).toEqual([zone]);
    expect(reply.Unsuccessful?.[0]?.FastSnapshotRestoreStateErrors).toMatchObject([
      { AvailabilityZone: otherZone, Error: { Code: "FastSnapshotRestoreLimitExceeded" } },
    ]);
    expect(cloud.fastRestores.on()).toHaveLength(1);
    cloud.getSnapshot(reply.Unsuccessful?.[0]?.SnapshotId ?? "").tier = "archive";
    expect((await enable([otherZone])).Unsuccessful).toHaveLength(1);
  });

  it("costs by the minute, an hour at least, until it is off", async () => {
    const { enable, disable, clock, cloud } = await withSnapshot({ sizeGiB: 1 });
    const from = clock.now();
    await enable([zone, otherZone]);
    await clock.advance(10 * minute);
    await disable();
    await clock.advance(85 * minute);
    expect(cloud.fastRestores.uses()).toMatchObject([
      { zone, from, until: from + 10 * minute + 15_000, billedMinutes: 60 },
      { zone: otherZone, from, until: undefined, billedMinutes: 95 },
    ]);
    expect(cloud.fastRestores.on().map((record) => record.zone)).toEqual([otherZone]);
  });

  it("is listed late, can be denied, and is switched on by a call whose reply is lost", async () => {
    const { enable, states, clock, cloud, heart, client, snapshot } = await withSnapshot({
      listLagSeconds: 60,
    });
    cloud.denied.add("EnableFastSnapshotRestores");
    expect(await nameOf(enable())).toBe("UnauthorizedOperation");
    cloud.denied.clear();
    expect(cloud.fastRestores.on()).toEqual([]);
    const dry = { SourceSnapshotIds: [snapshot], AvailabilityZones: [zone], DryRun: true };
    expect(await nameOf(client.send(new EnableFastSnapshotRestoresCommand(dry)))).toBe("DryRunOperation");
    expect(cloud.fastRestores.on()).toEqual([]);
    heart.addFault({ match: "EnableFastSnapshotRestores", action: "lose-after" });
    await errorOf(enable());
    expect(cloud.fastRestores.on()).toHaveLength(1);
    expect(await states()).toEqual([]);
    await clock.advance(60_000);
    expect(await states()).toEqual(["optimizing"]);
  });

  it("keeps its snapshot from being deleted until it is off", async () => {
    const { enable, disable, clock, client, snapshot, cloud } = await withSnapshot();
    const remove = () => client.send(new DeleteSnapshotCommand({ SnapshotId: snapshot }));
    await enable();
    const error = await errorOf(remove());
    expect([error.name, error.message]).toEqual([
      "InvalidSnapshot.InUse",
      expect.stringContaining("must be disabled within all Availability Zones"),
    ]);
    await disable();
    expect(await nameOf(remove())).toBe("InvalidSnapshot.InUse");
    await clock.advance(15_000);
    await remove();
    expect(cloud.fastRestores.list()).toEqual([]);
  });

  it("takes ten snapshots in a call at most, and zones that exist", async () => {
    const { client, enable, snapshot } = await withSnapshot();
    const many = { SourceSnapshotIds: Array.from({ length: 11 }, () => snapshot), AvailabilityZones: [zone] };
    expect(await nameOf(client.send(new EnableFastSnapshotRestoresCommand(many)))).toBe("InvalidRequest");
    expect(await nameOf(enable(["mars-1a"]))).toBe("InvalidParameterValue");
  });
});

describe("locks", () => {
  async function locking(options: CloudOptions = {}) {
    const world = await withSnapshot(options);
    const { client, snapshot } = world;
    return {
      ...world,
      lock: (more: Partial<LockSnapshotCommandInput>, of = snapshot) =>
        client.send(new LockSnapshotCommand({ SnapshotId: of, LockMode: "governance", ...more })),
      unlock: () => client.send(new UnlockSnapshotCommand({ SnapshotId: snapshot })),
      remove: () => client.send(new DeleteSnapshotCommand({ SnapshotId: snapshot })),
      shown: async (of = snapshot) =>
        (await client.send(new DescribeLockedSnapshotsCommand({ SnapshotIds: [of] }))).Snapshots?.[0],
    };
  }

  it("of governance keep a snapshot until they end or are taken back", async () => {
    const { lock, unlock, remove, shown, clock } = await locking();
    expect(await shown()).toBeUndefined();
    const ends = new Date(clock.now() + 24 * hour);
    expect(await lock({ LockDuration: 1 })).toMatchObject({ LockState: "governance", LockDuration: 1 });
    expect((await shown())?.LockExpiresOn).toEqual(ends);
    expect(await nameOf(remove())).toBe("OperationNotPermitted");
    await unlock();
    expect(await shown()).toBeUndefined();
    await lock({ ExpirationDate: ends });
    await clock.advance(24 * hour);
    expect(await shown()).toMatchObject({ LockState: "expired" });
    await remove();
  });

  it("of compliance can be taken back in the cool-off only, and extended for ever", async () => {
    const { lock, unlock, remove, shown, clock } = await locking();
    await lock({ LockMode: "compliance", LockDuration: 10, CoolOffPeriod: 1 });
    expect(await shown()).toMatchObject({ LockState: "compliance-cooloff" });
    await unlock();
    await lock({ LockMode: "compliance", LockDuration: 10, CoolOffPeriod: 1 });
    await clock.advance(hour);
    expect(await shown()).toMatchObject({ LockState: "compliance" });
    for (const refused of [
      unlock(),
      remove(),
      lock({ LockDuration: 20 }),
      lock({ LockMode: "compliance", LockDuration: 1 }),
      lock({ LockMode: "compliance", LockDuration: 20, CoolOffPeriod: 1 }),
    ])
      expect(await nameOf(refused)).toBe("OperationNotPermitted");
    await lock({ LockMode: "compliance", LockDuration: 20 });
    expect(await shown()).toMatchObject({ LockState: "compliance", LockDuration: 20 });
  });

  it("of a pending snapshot count their days from its completion", async () => {
    const { cloud, clock, lock, shown, volume } = await locking({ snapshotSeconds: 600 });
    const pending = cloud.createSnapshot(volume, "", {}).id;
    await lock({ LockDuration: 1 }, pending);
    expect((await shown(pending))?.LockExpiresOn).toBeUndefined();
    const completed = clock.now() + 10 * minute;
    await clock.advance(hour);
    expect((await shown(pending))?.LockExpiresOn).toEqual(new Date(completed + 24 * hour));
  });

  it("that are asked for wrongly are refused, and those by their state are listed", async () => {
    const { lock, unlock, client, snapshot, clock } = await locking();
    const wrong: readonly (readonly [Partial<LockSnapshotCommandInput>, string])[] = [
      [{}, "InvalidParameterCombination"],
      [{ LockDuration: 1, ExpirationDate: new Date(clock.now() + hour) }, "InvalidParameterCombination"],
      [{ LockDuration: 36_501 }, "InvalidParameterValue"],
      [{ ExpirationDate: new Date(clock.now() - 1000) }, "InvalidParameterValue"],
      [{ LockDuration: 1, CoolOffPeriod: 1 }, "InvalidParameterCombination"],
      [{ LockMode: "compliance", LockDuration: 1, CoolOffPeriod: 73 }, "InvalidParameterValue"],
    ];
    for (const [more, name] of wrong) expect(await nameOf(lock(more))).toBe(name);
    expect(await nameOf(unlock())).toBe("InvalidParameterValue");
    await lock({ LockDuration: 1 });
    const listed = async (state: string) =>
      (
        await client.send(
          new DescribeLockedSnapshotsCommand({ Filters: [{ Name: "lock-state", Values: [state] }] }),
        )
      ).Snapshots?.map((row) => row.SnapshotId) ?? [];
    expect([await listed("governance"), await listed("expired")]).toEqual([[snapshot], []]);
  });
});

describe("volumes from a snapshot", () => {
  it("hold what was on the volume at the cut, and are encrypted as the snapshot is", async () => {
    const { client, cloud, clock } = makeWorld();
    const cut = cloud.createSnapshot("vol-server1-more", "", {});
    cloud.write("vol-server1-more", content("written later"));
    await clock.advance(10 * minute);
    const ask = { AvailabilityZone: zone, SnapshotId: cut.id, VolumeType: "gp3", ClientToken: "t" } as const;
    const made = await client.send(new CreateVolumeCommand(ask));
    expect(made).toMatchObject({ Encrypted: true, KmsKeyId: "arn:lab:key/1", SnapshotId: cut.id, Size: 100 });
    expect(cloud.content(made.VolumeId ?? "")).toEqual(content("server1 more"));
    const source = await client.send(new DescribeVolumesCommand({ VolumeIds: ["vol-server1-more"] }));
    expect(source.Volumes?.[0]?.FastRestored).toBeUndefined();
  });

  it("are refused where EC2 could not make them", async () => {
    const { make, cloud, volume, snapshot, clock } = await withSnapshot();
    const wrong: readonly (readonly [Partial<CreateVolumeCommandInput>, string])[] = [
      [{ VolumeType: "gp2", Iops: 300 }, "InvalidParameterCombination"],
      [{ VolumeType: "st1", Throughput: 125, Size: 500 }, "InvalidParameterCombination"],
      [{ VolumeType: "io2" }, "MissingParameter"],
      [{ Iops: 100 }, "InvalidParameterValue"],
      [{ Size: 99 }, "InvalidParameterValue"],
      [{ KmsKeyId: "arn:lab:key/2" }, "InvalidParameterCombination"],
      [{ AvailabilityZone: "mars-1a" }, "InvalidZone.NotFound"],
      [{ SnapshotId: "snap-9" }, "InvalidSnapshot.NotFound"],
      [{ ClientToken: "t".repeat(65) }, "InvalidParameterValue"],
      [{ VolumeInitializationRate: 99 }, "InvalidParameterValue"],
      [{ SnapshotId: undefined, Size: 1, VolumeInitializationRate: 100 }, "InvalidParameterCombination"],
    ];
    const before = cloud.listVolumes().length;
    for (const [more, name] of wrong) expect(await nameOf(make(more)), JSON.stringify(more)).toBe(name);
    const pending = cloud.createSnapshot(volume, "", {}).id;
    const error = await errorOf(make({ SnapshotId: pending }));
    expect([error.name, error.message]).toEqual(["IncorrectState", "Snapshot is in invalid state - pending"]);
    await clock.advance(10 * minute);
    cloud.getSnapshot(snapshot).tier = "archive";
    expect(await nameOf(make())).toBe("IncorrectState");
    expect(cloud.listVolumes()).toHaveLength(before);
  });

  it("are remembered by their token for half a day, and at the limit a repeat is refused as well", async () => {
    const { make, clock } = await withSnapshot({ volumeLimit: 9 });
    const first = await make({ ClientToken: "a" });
    expect((await make({ ClientToken: "a" })).VolumeId).toBe(first.VolumeId);
    expect(await nameOf(make({ ClientToken: "a", Size: 200 }))).toBe("IdempotentParameterMismatch");
    await clock.advance(13 * hour);
    expect((await make({ ClientToken: "a" })).VolumeId).not.toBe(first.VolumeId);
    expect(await nameOf(make({ ClientToken: "a" }))).toBe("VolumeLimitExceeded");
  });

  it("with a key that cannot be used vanish after the call", async () => {
    const { make, client, cloud, clock } = await withSnapshot();
    cloud.badKeys.add("arn:lab:key/9");
    const made = await make({ Encrypted: true, KmsKeyId: "arn:lab:key/9" });
    const look = () => client.send(new DescribeVolumesCommand({ VolumeIds: [made.VolumeId ?? ""] }));
    expect((await look()).Volumes?.[0]?.State).toBe("creating");
    await clock.advance(3000);
    expect(await nameOf(look())).toBe("InvalidVolume.NotFound");
  });

  it("show up late in lists, and can be lost or denied as any other call", async () => {
    const { make, client, clock, cloud, heart } = await withSnapshot({ listLagSeconds: 60 });
    const tagged = [{ ResourceType: "volume" as const, Tags: [{ Key: "run", Value: "r1" }] }];
    cloud.denied.add("CreateTags");
    expect(await nameOf(make({ TagSpecifications: tagged }))).toBe("UnauthorizedOperation");
    cloud.denied.clear();
    heart.addFault({ match: "CreateVolume", action: "lose-after" });
    await errorOf(make({ TagSpecifications: tagged }));
    const found = async () =>
      (await client.send(new DescribeVolumesCommand({ Filters: [{ Name: "tag:run", Values: ["r?"] }] })))
        .Volumes?.length ?? 0;
    expect(await found()).toBe(0);
    await clock.advance(60_000);
    expect(await found()).toBe(1);
  });

  it("come over by themselves, or at the rate that was asked for, and say how far they are", async () => {
    const { make, client, clock } = await withSnapshot({ sizeGiB: 100, initializationLagSeconds: 0 });
    const lazy = await make();
    const paid = await make({ VolumeInitializationRate: 200 });
    expect(paid.VolumeInitializationRate).toBe(200);
    const tell = async (id: string | undefined) =>
      (await client.send(new DescribeVolumeStatusCommand({ VolumeIds: [id ?? ""] }))).VolumeStatuses?.[0]
        ?.InitializationStatusDetails;
    await clock.advance(3000 + 256_000);
    expect(await tell(lazy.VolumeId)).toEqual({ InitializationType: "default", Progress: 10 });
    expect(await tell(paid.VolumeId)).toEqual({
      InitializationType: "provisioned-rate",
      Progress: 50,
      EstimatedTimeToCompleteInSeconds: 256,
    });
    await clock.advance(256_000);
    expect(await tell(paid.VolumeId)).toMatchObject({ Progress: 100, EstimatedTimeToCompleteInSeconds: 0 });
    expect(await tell("vol-server1-data")).toBeUndefined();
  });

  it("cannot all be paid for at once", async () => {
    const { make, clock } = await withSnapshot({ initializationLimitMiBps: 500 });
    await make({ VolumeInitializationRate: 300 });
    expect(await nameOf(make({ VolumeInitializationRate: 300 }))).toBe("ResourceLimitExceeded");
    await clock.advance(hour);
    await make({ VolumeInitializationRate: 300 });
  });

  it("are `deleting` for a while, and gone then", async () => {
    const { make, client, clock } = await withSnapshot();
    const { VolumeId = "" } = await make();
    const remove = () => client.send(new DeleteVolumeCommand({ VolumeId }));
    expect(await nameOf(remove())).toBe("IncorrectState");
    await clock.advance(3000);
    await remove();
    const look = () => client.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
    expect((await look()).Volumes?.[0]?.State).toBe("deleting");
    expect((await errorOf(remove())).message).toContain("'deleting'");
    await clock.advance(5000);
    expect(await nameOf(look())).toBe("InvalidVolume.NotFound");
    expect(await nameOf(remove())).toBe("InvalidVolume.NotFound");
  });
});

describe("attachments", () => {
  it("are refused with the code for each reason", async () => {
    const { client, cloud } = makeWorld({ attachmentLimit: 3 });
    const spare = (at: string) =>
      cloud.addVolume({ sizeGiB: 1, type: "gp3", zone: at, content: content("s") });
    const attach = (VolumeId: string, Device: string) =>
      client.send(new AttachVolumeCommand({ VolumeId, InstanceId: "i-server1", Device }));
    expect(await nameOf(attach(spare(otherZone), "/dev/sdp"))).toBe("InvalidVolume.ZoneMismatch");
    const inUse = await errorOf(attach("vol-server2-data", "/dev/sdp"));
    expect([inUse.name, inUse.message]).toEqual([
      "VolumeInUse",
      expect.stringContaining("already attached to an instance"),
    ]);
    const taken = await errorOf(attach(spare(zone), "/dev/sdf"));
    expect([taken.name, taken.message]).toEqual([
      "InvalidParameterValue",
      "Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use",
    ]);
    expect(await nameOf(attach(spare(zone), "/dev/sdp"))).toBe("AttachmentLimitExceeded");
  });

  it("end only when the guest closes the disk or is gone; until then they are busy", async () => {
    for (const end of ["closes", "stops"] as const) {
      const { client, cloud, clock } = makeWorld();
      let open = true;
      cloud.describeOpen(() => open);
      const where = { VolumeId: "vol-server1-data", InstanceId: "i-server1" };
      const look = async () =>
        (await client.send(new DescribeVolumesCommand({ VolumeIds: [where.VolumeId] }))).Volumes?.[0];
      expect(await client.send(new DetachVolumeCommand(where))).toMatchObject({ State: "detaching" });
      await clock.advance(10 * minute);
      expect(await look()).toMatchObject({ State: "in-use", Attachments: [{ State: "busy" }] });
      if (end === "closes") {
        open = false;
        await clock.advance(10 * minute);
      } else cloud.guestOff("i-server1");
      expect(await look()).toMatchObject({ State: "available" });
    }
  });

  it("of a mirror are busy while its agent runs, in a whole lab", async () => {
    const clock = new VirtualClock({ drive: false });
    const lab = buildLab({ clock, cloud: { latencyMs: 0, stateLagSeconds: 0 } });
    onTestFinished(() => lab.close());
    const node = lab.node("server2");
    const volume = lab.volumeOf("server2", "md1") ?? "";
    lab.cloud.detachVolume(volume, node.instance);
    await clock.advance(minute);
    expect(lab.cloud.getVolume(volume).attachment.now?.state).toBe("busy");
    lab.killPower("server2");
    await clock.advance(minute);
    expect(lab.cloud.getVolume(volume).attachment.now).toBeUndefined();
  });

  it("go with the instance or stay, as ModifyInstanceAttribute says", async () => {
    const { client, cloud, clock, heart } = makeWorld();
    const set = (DeviceName: string, DeleteOnTermination: boolean) =>
      client.send(
        new ModifyInstanceAttributeCommand({
          InstanceId: "i-server1",
          BlockDeviceMappings: [{ DeviceName, Ebs: { DeleteOnTermination } }],
        }),
      );
    await set("/dev/sdf", true);
    await set("/dev/sdf", true);
    expect(heart.effects).toHaveLength(1);
    expect(await nameOf(set("/dev/sdz", true))).toBe("InvalidInstanceAttributeValue");
    const other = client.send(
      new ModifyInstanceAttributeCommand({ InstanceId: "i-server1", DisableApiTermination: { Value: true } }),
    );
    expect(await nameOf(other)).toBe("UnknownParameter");
    cloud.terminate("i-server1");
    await clock.advance(2000);
    expect(() => cloud.getVolume("vol-server1-data")).toThrow("does not exist");
    expect(cloud.getVolume("vol-server1-more").state).toBe("available");
  });
});

describe("a comparison of the world", () => {
  it("shows a fast restore that was left on, and a volume that goes with its instance now", async () => {
    const clock = new VirtualClock({ drive: false });
    const lab = buildLab({ clock });
    onTestFinished(() => lab.close());
    const before = describeWorld(lab);
    const volume = lab.volumeOf("server2", "md1") ?? "";
    const { instance } = lab.node("server2");
    const cut = lab.cloud.createSnapshot(volume, "", {});
    expect(differences(before, describeWorld(lab))).toEqual([]);
    lab.cloud.fastRestores.enable(cut, [zone]);
    lab.cloud.setDeleteOnTermination(instance, "/dev/sdf", true);
    expect(differences(before, describeWorld(lab))).toEqual([
      `fastRestores.${cut.id} ${zone}: null → "enabling"`,
      `instances.server2.deletedOnTermination: ["/dev/xvda"] → ["/dev/xvda","/dev/sdf"]`,
    ]);
    lab.cloud.fastRestores.disable(cut, [zone]);
    lab.cloud.setDeleteOnTermination(instance, "/dev/sdf", false);
    await clock.advance(15_000);
    expect(lab.cloud.fastRestores.on()).toEqual([]);
  });
});

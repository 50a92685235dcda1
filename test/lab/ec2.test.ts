import {
  AttachVolumeCommand,
  CreateSnapshotCommand,
  CreateSnapshotsCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DeleteTagsCommand,
  DeleteVolumeCommand,
  DescribeAvailabilityZonesCommand,
  DescribeInstanceAttributeCommand,
  DescribeInstancesCommand,
  DescribeInstanceStatusCommand,
  DescribeInstanceTypesCommand,
  DescribeRegionsCommand,
  DescribeSnapshotsCommand,
  DescribeTagsCommand,
  DescribeVolumesCommand,
  DescribeVolumeStatusCommand,
  DetachVolumeCommand,
  EC2Client,
  paginateDescribeSnapshots,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/lab/clock.ts";
import { ec2Handler } from "../../src/lab/ec2.ts";
import { clientOf, errorOf, makeWorld, zone } from "./ec2-world.ts";

describe("reads of instances", () => {
  it("show state, disks, tags, and what a plan must know", async () => {
    const { client, heart } = makeWorld();
    const reply = await client.send(new DescribeInstancesCommand({ InstanceIds: ["i-server2"] }));
    const instance = reply.Reservations?.[0]?.Instances?.[0];
    expect(instance).toMatchObject({
      InstanceId: "i-server2",
      InstanceType: "t2.medium",
      State: { Code: 16, Name: "running" },
      Placement: { AvailabilityZone: zone },
      RootDeviceName: "/dev/xvda",
      CapacityReservationSpecification: {
        CapacityReservationTarget: { CapacityReservationId: "cr-server2" },
      },
    });
    expect(instance?.StateReason).toBeUndefined();
    expect(instance?.LaunchTime).toBeInstanceOf(Date);
    expect(
      instance?.BlockDeviceMappings?.map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.VolumeId, Ebs?.Status]),
    ).toEqual([
      ["/dev/xvda", "vol-server2-root", "attached"],
      ["/dev/sdf", "vol-server2-data", "attached"],
      ["/dev/sdg", "vol-server2-more", "attached"],
    ]);
    expect(instance?.BlockDeviceMappings?.[0]?.Ebs?.DeleteOnTermination).toBe(true);
    expect(instance?.BlockDeviceMappings?.[1]?.Ebs?.DeleteOnTermination).toBe(false);
    expect(instance?.Tags).toContainEqual({ Key: "aws:autoscaling:groupName", Value: 'group <1> & "co"' });
    expect(heart.received.map(({ class: kind, line }) => [kind, line])).toEqual([
      ["read", "DescribeInstances InstanceId.1=i-server2"],
    ]);
  });

  it("tell who stopped an instance", async () => {
    const { client, cloud, clock } = makeWorld();
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    const reply = await client.send(new DescribeInstancesCommand({ InstanceIds: ["i-server1"] }));
    expect(reply.Reservations?.[0]?.Instances?.[0]?.State).toEqual({ Code: 80, Name: "stopped" });
    expect(reply.Reservations?.[0]?.Instances?.[0]?.StateReason?.Code).toBe(
      "Client.InstanceInitiatedShutdown",
    );
  });

  it("are filtered by state and tag, with wildcards", async () => {
    const { client } = makeWorld();
    const find = async (Name: string, Values: string[]) => {
      const reply = await client.send(new DescribeInstancesCommand({ Filters: [{ Name, Values }] }));
      return reply.Reservations?.flatMap((row) => row.Instances ?? []).map((row) => row.InstanceId);
    };
    expect(await find("tag:Name", ["server2", "server9"])).toEqual(["i-server2"]);
    expect(await find("tag:Name", ["server?"])).toEqual(["i-server1", "i-server2"]);
    expect(await find("tag:Name", ["server\\?"])).toEqual([]);
    expect(await find("instance-state-name", ["stopped"])).toEqual([]);
    expect(await find("tag-key", ["cluster"])).toEqual(["i-server1", "i-server2"]);
  });

  it("answer an unknown id with NotFound, and a malformed one with Malformed", async () => {
    const { client } = makeWorld();
    const error = await errorOf(client.send(new DescribeInstancesCommand({ InstanceIds: ["i-9"] })));
    expect([error.name, error.$metadata?.httpStatusCode]).toEqual(["InvalidInstanceID.NotFound", 400]);
    expect((await errorOf(client.send(new DescribeInstancesCommand({ InstanceIds: ["x"] })))).name).toBe(
      "InvalidInstanceID.Malformed",
    );
  });

  it("tell what a shutdown from the guest does", async () => {
    const { client } = makeWorld();
    const ask = (Attribute: "instanceInitiatedShutdownBehavior" | "rootDeviceName" | "userData") =>
      client.send(new DescribeInstanceAttributeCommand({ InstanceId: "i-server1", Attribute }));
    expect((await ask("instanceInitiatedShutdownBehavior")).InstanceInitiatedShutdownBehavior?.Value).toBe(
      "stop",
    );
    expect((await ask("rootDeviceName")).RootDeviceName?.Value).toBe("/dev/xvda");
    expect((await errorOf(ask("userData"))).name).toBe("InvalidParameterValue");
  });

  it("tell types with NVMe from those without", async () => {
    const { client } = makeWorld();
    const ask = (InstanceTypes: ("m5.large" | "t2.medium" | "m1.small")[]) =>
      client.send(new DescribeInstanceTypesCommand({ InstanceTypes }));
    const reply = await ask(["m5.large", "t2.medium"]);
    expect(
      reply.InstanceTypes?.map((type) => [type.InstanceType, type.Hypervisor, type.EbsInfo?.NvmeSupport]),
    ).toEqual([
      ["m5.large", "nitro", "required"],
      ["t2.medium", "xen", "unsupported"],
    ]);
    expect((await errorOf(ask(["m1.small"]))).name).toBe("InvalidInstanceType");
  });

  it("show the status of running instances only, unless asked for all", async () => {
    const { client, cloud, clock } = makeWorld();
    cloud.guestOff("i-server2");
    await clock.advance(60_000);
    const some = await client.send(new DescribeInstanceStatusCommand({}));
    expect(some.InstanceStatuses?.map((row) => [row.InstanceId, row.InstanceStatus?.Status])).toEqual([
      ["i-server1", "initializing"],
    ]);
    await clock.advance(60_000);
    const all = await client.send(
      new DescribeInstanceStatusCommand({
        InstanceIds: ["i-server1", "i-server2"],
        IncludeAllInstances: true,
      }),
    );
    expect(all.InstanceStatuses?.map((row) => [row.InstanceState?.Name, row.SystemStatus?.Status])).toEqual([
      ["running", "ok"],
      ["stopped", "not-applicable"],
    ]);
  });
});

describe("reads of volumes, tags and zones", () => {
  it("show a volume as it is set up and attached", async () => {
    const { client } = makeWorld();
    const reply = await client.send(
      new DescribeVolumesCommand({ VolumeIds: ["vol-server1-more", "vol-server1-root"] }),
    );
    expect(reply.Volumes?.[0]).toMatchObject({
      VolumeId: "vol-server1-more",
      State: "in-use",
      Size: 100,
      VolumeType: "gp3",
      Iops: 4000,
      Throughput: 250,
      Encrypted: true,
      KmsKeyId: "arn:lab:key/1",
      AvailabilityZone: zone,
      Attachments: [
        { InstanceId: "i-server1", Device: "/dev/sdg", State: "attached", DeleteOnTermination: false },
      ],
      Tags: [{ Key: "Name", Value: "server1 more" }],
    });
    expect(reply.Volumes?.[1]).toMatchObject({ VolumeId: "vol-server1-root", Iops: 3000, Throughput: 125 });
    const held = await client.send(
      new DescribeVolumesCommand({ Filters: [{ Name: "attachment.instance-id", Values: ["i-server2"] }] }),
    );
    expect(held.Volumes).toHaveLength(3);
  });

  it("show statuses, tags and zones", async () => {
    const { client } = makeWorld();
    const status = await client.send(new DescribeVolumeStatusCommand({ VolumeIds: ["vol-server1-data"] }));
    expect(status.VolumeStatuses?.[0]).toMatchObject({
      VolumeId: "vol-server1-data",
      VolumeStatus: { Status: "ok" },
    });
    const tags = await client.send(
      new DescribeTagsCommand({ Filters: [{ Name: "tag:cluster", Values: ["c1"] }] }),
    );
    expect(tags.Tags).toEqual(
      ["i-server1", "i-server2"].map((ResourceId) => ({
        ResourceId,
        ResourceType: "instance",
        Key: "cluster",
        Value: "c1",
      })),
    );
    const zones = await client.send(new DescribeAvailabilityZonesCommand({ ZoneNames: [zone] }));
    expect(zones.AvailabilityZones?.map((row) => [row.ZoneName, row.State])).toEqual([[zone, "available"]]);
  });
});

describe("power by the API", () => {
  it("stops and starts through every state", async () => {
    const { client, cloud, clock, events } = makeWorld();
    const stateNow = async () => {
      const reply = await client.send(new DescribeInstancesCommand({ InstanceIds: ["i-server1"] }));
      return reply.Reservations?.[0]?.Instances?.[0]?.State?.Name;
    };
    const stopped = await client.send(new StopInstancesCommand({ InstanceIds: ["i-server1"] }));
    expect(stopped.StoppingInstances).toEqual([
      {
        InstanceId: "i-server1",
        CurrentState: { Code: 64, Name: "stopping" },
        PreviousState: { Code: 16, Name: "running" },
      },
    ]);
    expect(events).toEqual(["asked i-server1"]);
    expect((await errorOf(client.send(new StartInstancesCommand({ InstanceIds: ["i-server1"] })))).name).toBe(
      "IncorrectInstanceState",
    );
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    expect(await stateNow()).toBe("stopped");
    const started = await client.send(new StartInstancesCommand({ InstanceIds: ["i-server1"] }));
    expect(started.StartingInstances?.[0]?.CurrentState?.Name).toBe("pending");
    expect(await stateNow()).toBe("pending");
    await clock.advance(5000);
    expect(await stateNow()).toBe("running");
  });

  it("shows states late where the lab is told so", async () => {
    const { client, clock } = makeWorld({ stateLagSeconds: 1 });
    const stateNow = async () => {
      const reply = await client.send(new DescribeInstancesCommand({ InstanceIds: ["i-server1"] }));
      return reply.Reservations?.[0]?.Instances?.[0]?.State?.Name;
    };
    await client.send(new StopInstancesCommand({ InstanceIds: ["i-server1"] }));
    expect(await stateNow()).toBe("running");
    await clock.advance(1000);
    expect(await stateNow()).toBe("stopping");
  });

  it("lacks capacity at a start where nothing is reserved", async () => {
    const { client, cloud, clock, heart } = makeWorld();
    cloud.guestOff("i-server1");
    cloud.guestOff("i-server2");
    await clock.advance(2000);
    heart.addFault({ match: "StartInstances", action: "no-capacity", times: Infinity });
    const error = await errorOf(client.send(new StartInstancesCommand({ InstanceIds: ["i-server1"] })));
    expect([error.name, error.$metadata?.httpStatusCode]).toEqual(["InsufficientInstanceCapacity", 500]);
    const reply = await client.send(new StartInstancesCommand({ InstanceIds: ["i-server2"] }));
    expect(reply.StartingInstances?.[0]?.CurrentState?.Name).toBe("pending");
  });
});

describe("snapshots by the API", () => {
  const tagged = (value: string) => [
    { ResourceType: "snapshot" as const, Tags: [{ Key: "run", Value: value }] },
  ];

  it("are made singly, tagged at creation, and found by their tag", async () => {
    const { client, clock, heart } = makeWorld();
    const made = await client.send(
      new CreateSnapshotCommand({
        VolumeId: "vol-server1-data",
        Description: "a & b",
        TagSpecifications: tagged("r1"),
      }),
    );
    expect(made).toMatchObject({
      State: "pending",
      VolumeId: "vol-server1-data",
      VolumeSize: 100,
      Description: "a & b",
    });
    expect(heart.received[0]).toMatchObject({
      operation: "CreateSnapshot",
      class: "write",
      reply: "sent",
      effects: [1],
      params: {
        VolumeId: "vol-server1-data",
        TagSpecification: [{ ResourceType: "snapshot", Tag: [{ Key: "run", Value: "r1" }] }],
      },
    });
    const find = (value: string) =>
      client.send(
        new DescribeSnapshotsCommand({
          OwnerIds: ["self"],
          Filters: [
            { Name: "tag:run", Values: [value] },
            { Name: "volume-id", Values: ["vol-server1-data"] },
          ],
        }),
      );
    await clock.advance(60_000);
    expect((await find("r1")).Snapshots).toMatchObject([
      { SnapshotId: made.SnapshotId, State: "pending", Progress: "50%", Tags: [{ Key: "run", Value: "r1" }] },
    ]);
    expect((await find("r2")).Snapshots ?? []).toEqual([]);
    await clock.advance(60_000);
    const done = (await find("r1")).Snapshots?.[0];
    expect(done).toMatchObject({ State: "completed", Progress: "100%" });
    expect(done?.StartTime?.getTime()).toBe(made.StartTime?.getTime());
  });

  it("are made as a set at one instant, without what is excluded", async () => {
    const { client, cloud, heart } = makeWorld();
    const made = await client.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: {
          InstanceId: "i-server1",
          ExcludeBootVolume: true,
          ExcludeDataVolumeIds: ["vol-server1-more"],
        },
        Description: "d",
        CopyTagsFromSource: "volume",
        TagSpecifications: tagged("r1"),
      }),
    );
    expect(made.Snapshots).toMatchObject([
      {
        VolumeId: "vol-server1-data",
        State: "pending",
        Tags: [
          { Key: "Name", Value: "server1 data" },
          { Key: "run", Value: "r1" },
        ],
      },
    ]);
    const all = await client.send(
      new CreateSnapshotsCommand({ InstanceSpecification: { InstanceId: "i-server2" } }),
    );
    expect(new Set(all.Snapshots?.map((row) => row.StartTime?.getTime())).size).toBe(1);
    expect(all.Snapshots).toHaveLength(3);
    expect(cloud.listSnapshots()).toHaveLength(4);
    expect(heart.received[1]?.effects).toHaveLength(3);
    const root = client.send(
      new CreateSnapshotsCommand({
        InstanceSpecification: { InstanceId: "i-server1", ExcludeDataVolumeIds: ["vol-server1-root"] },
      }),
    );
    expect((await errorOf(root)).name).toBe("InvalidParameterValue");
  });

  it("come in pages, by the caller's size or the cloud's", async () => {
    const { client, cloud } = makeWorld({ pageSize: 2 });
    cloud.createSnapshots("i-server1", { tags: {} });
    cloud.createSnapshots("i-server2", { tags: {} });
    const pages: number[] = [];
    for await (const page of paginateDescribeSnapshots({ client }, { OwnerIds: ["self"] }))
      pages.push(page.Snapshots?.length ?? 0);
    expect(pages).toEqual([2, 2, 2]);
    const both = client.send(
      new DescribeSnapshotsCommand({ SnapshotIds: [cloud.listSnapshots()[0]?.id ?? ""], MaxResults: 5 }),
    );
    expect((await errorOf(both)).name).toBe("InvalidParameterCombination");
    const forged = client.send(new DescribeSnapshotsCommand({ OwnerIds: ["self"], NextToken: "zzz" }));
    expect((await errorOf(forged)).name).toBe("InvalidNextToken");
  });

  it("show up late in lists and by id, each as the lab is told", async () => {
    const { client, clock } = makeWorld({ listLagSeconds: 60, idLagSeconds: 5 });
    const made = await client.send(
      new CreateSnapshotCommand({ VolumeId: "vol-server1-data", TagSpecifications: tagged("r1") }),
    );
    const id = made.SnapshotId ?? "";
    const byTag = async () =>
      (
        await client.send(
          new DescribeSnapshotsCommand({
            OwnerIds: ["self"],
            Filters: [{ Name: "tag:run", Values: ["r1"] }],
          }),
        )
      ).Snapshots?.length ?? 0;
    const byId = () => client.send(new DescribeSnapshotsCommand({ SnapshotIds: [id] }));
    expect((await errorOf(byId())).name).toBe("InvalidSnapshot.NotFound");
    const tagging = client.send(new CreateTagsCommand({ Resources: [id], Tags: [{ Key: "a", Value: "b" }] }));
    expect((await errorOf(tagging)).name).toBe("InvalidSnapshot.NotFound");
    await clock.advance(5000);
    expect((await byId()).Snapshots).toHaveLength(1);
    expect(await byTag()).toBe(0);
    await clock.advance(55_000);
    expect(await byTag()).toBe(1);
  });

  it("tell why they failed", async () => {
    const { client, cloud } = makeWorld();
    const made = await client.send(new CreateSnapshotCommand({ VolumeId: "vol-server1-data" }));
    cloud.failSnapshot(made.SnapshotId ?? "", "the key is gone");
    const reply = await client.send(new DescribeSnapshotsCommand({ SnapshotIds: [made.SnapshotId ?? ""] }));
    expect(reply.Snapshots).toMatchObject([{ State: "error", StateMessage: "the key is gone" }]);
  });

  it("are refused with the volume's own limit, which the client does not repeat", async () => {
    const { cloud, heart } = makeWorld();
    const client = clientOf(ec2Handler(cloud), 3);
    await client.send(new CreateSnapshotCommand({ VolumeId: "vol-server1-data" }));
    const error = await errorOf(client.send(new CreateSnapshotCommand({ VolumeId: "vol-server1-data" })));
    expect(error.name).toBe("SnapshotCreationPerVolumeRateExceeded");
    expect(heart.received).toHaveLength(2);
  });

  it("can be deleted", async () => {
    const { client, cloud } = makeWorld();
    const made = await client.send(new CreateSnapshotCommand({ VolumeId: "vol-server1-data" }));
    await client.send(new DeleteSnapshotCommand({ SnapshotId: made.SnapshotId }));
    expect(cloud.listSnapshots()).toEqual([]);
    const again = client.send(new DeleteSnapshotCommand({ SnapshotId: made.SnapshotId }));
    expect((await errorOf(again)).name).toBe("InvalidSnapshot.NotFound");
  });
});

describe("tags and volumes by the API", () => {
  it("sets and deletes tags", async () => {
    const { client, cloud, heart } = makeWorld();
    const Resources = ["i-server1", "vol-server1-data"];
    await client.send(
      new CreateTagsCommand({
        Resources,
        Tags: [
          { Key: "a", Value: "1" },
          { Key: "b", Value: "" },
        ],
      }),
    );
    expect(cloud.getVolume("vol-server1-data").tags).toEqual({ Name: "server1 data", a: "1", b: "" });
    expect(heart.effects.map(({ detail }) => [detail.kind, detail["resource"]])).toEqual([
      ["tags-set", "i-server1"],
      ["tags-set", "vol-server1-data"],
    ]);
    await client.send(
      new DeleteTagsCommand({ Resources, Tags: [{ Key: "a" }, { Key: "b", Value: "other" }] }),
    );
    expect(cloud.getVolume("vol-server1-data").tags).toEqual({ Name: "server1 data", b: "" });
  });

  it("makes one volume for one token, and refuses the token for another", async () => {
    const { client, cloud } = makeWorld();
    const ask = (Size: number, ClientToken: string) =>
      client.send(new CreateVolumeCommand({ AvailabilityZone: zone, Size, ClientToken }));
    const first = await ask(10, "a");
    expect((await ask(10, "a")).VolumeId).toBe(first.VolumeId);
    expect((await errorOf(ask(11, "a"))).name).toBe("IdempotentParameterMismatch");
    expect((await ask(10, "b")).VolumeId).not.toBe(first.VolumeId);
    expect(cloud.listVolumes()).toHaveLength(8);
  });

  it("makes, attaches, detaches and deletes a volume", async () => {
    const { client, clock } = makeWorld();
    const made = await client.send(
      new CreateVolumeCommand({
        AvailabilityZone: zone,
        Size: 10,
        VolumeType: "gp3",
        ClientToken: "t",
        TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "run", Value: "r1" }] }],
      }),
    );
    expect(made).toMatchObject({ State: "creating", Size: 10, Tags: [{ Key: "run", Value: "r1" }] });
    await clock.advance(3000);
    const where = { VolumeId: made.VolumeId, InstanceId: "i-server1" };
    expect(await client.send(new AttachVolumeCommand({ ...where, Device: "/dev/sdh" }))).toMatchObject({
      State: "attaching",
      Device: "/dev/sdh",
    });
    await clock.advance(2000);
    expect(await client.send(new DetachVolumeCommand(where))).toMatchObject({ State: "detaching" });
    await clock.advance(2000);
    await client.send(new DeleteVolumeCommand({ VolumeId: made.VolumeId }));
    await clock.advance(5000);
    const gone = client.send(new DescribeVolumesCommand({ VolumeIds: [made.VolumeId ?? ""] }));
    expect((await errorOf(gone)).name).toBe("InvalidVolume.NotFound");
  });
});

describe("what is refused", () => {
  it("a dry run is a read that ends in DryRunOperation and changes nothing", async () => {
    const { client, heart } = makeWorld();
    const error = await errorOf(
      client.send(
        new CreateSnapshotsCommand({ DryRun: true, InstanceSpecification: { InstanceId: "i-server1" } }),
      ),
    );
    expect([error.name, error.$metadata?.httpStatusCode]).toEqual(["DryRunOperation", 412]);
    const start = client.send(new StartInstancesCommand({ DryRun: true, InstanceIds: ["i-9"] }));
    expect((await errorOf(start)).name).toBe("InvalidInstanceID.NotFound");
    expect(heart.received.map((row) => row.class)).toEqual(["read", "read"]);
    expect(heart.effects).toEqual([]);
  });

  it("a right that is denied is refused in earnest and in a dry run, tags at creation as CreateTags", async () => {
    const { client, heart } = makeWorld({ denied: ["StopInstances", "CreateTags"] });
    for (const DryRun of [true, false]) {
      const error = await errorOf(
        client.send(new StopInstancesCommand({ InstanceIds: ["i-server1"], DryRun })),
      );
      expect([error.name, error.$metadata?.httpStatusCode]).toEqual(["UnauthorizedOperation", 403]);
    }
    const withTags = client.send(
      new CreateSnapshotCommand({
        VolumeId: "vol-server1-data",
        TagSpecifications: [{ ResourceType: "snapshot", Tags: [{ Key: "a", Value: "b" }] }],
      }),
    );
    expect((await errorOf(withTags)).message).toContain("ec2:CreateTags");
    expect(heart.effects).toEqual([]);
    // A write that was refused was a write all the same: a plan must not have sent it.
    expect(heart.received.map((row) => row.class)).toEqual(["read", "write", "write"]);
  });

  it("an unknown caller is refused", async () => {
    const { cloud } = makeWorld();
    const client = new EC2Client({
      region: "ap-northeast-1",
      endpoint: "http://lab.invalid",
      credentials: { accessKeyId: "stranger", secretAccessKey: "none" },
      requestHandler: ec2Handler(cloud),
      maxAttempts: 1,
    });
    expect((await errorOf(client.send(new DescribeVolumesCommand({})))).name).toBe("AuthFailure");
  });

  it("what the lab does not model is a gap: an action, a filter, a parameter", async () => {
    const { client, heart } = makeWorld();
    expect((await errorOf(client.send(new DescribeRegionsCommand({})))).name).toBe("InvalidAction");
    const filter = client.send(
      new DescribeVolumesCommand({ Filters: [{ Name: "colour", Values: ["red"] }] }),
    );
    expect((await errorOf(filter)).name).toBe("InvalidParameterValue");
    const hibernate = client.send(new StopInstancesCommand({ InstanceIds: ["i-server1"], Hibernate: true }));
    expect((await errorOf(hibernate)).name).toBe("UnknownParameter");
    expect(heart.received.map((row) => row.class)).toEqual(["gap", "gap", "gap"]);
    expect(heart.effects).toEqual([]);
  });
});

describe("faults in process", () => {
  const cut = () => new CreateSnapshotCommand({ VolumeId: "vol-server1-data" });

  it("a lost reply is a reset connection, with or without the effect, and is sent once", async () => {
    for (const [action, effects] of [
      ["lose-before", 0],
      ["lose-after", 1],
      ["half-output", 1],
    ] as const) {
      const { client, heart } = makeWorld();
      heart.addFault({ match: "CreateSnapshot", action });
      expect(await errorOf(client.send(cut()))).toMatchObject({ code: "ECONNRESET" });
      expect(heart.effects).toHaveLength(effects);
      expect(heart.received).toHaveLength(1);
      expect(heart.received[0]).toMatchObject({
        class: "write",
        reply: action === "half-output" ? "cut" : "lost",
      });
    }
  });

  it("an answer that says failure comes with or without the effect", async () => {
    for (const [action, name, status, effects] of [
      ["fail-before", "InternalError", 500, 0],
      ["fail-after", "InternalError", 500, 1],
      ["deny", "UnauthorizedOperation", 403, 0],
      ["throttle", "RequestLimitExceeded", 503, 0],
      ["unavailable", "Unavailable", 503, 0],
    ] as const) {
      const { client, heart } = makeWorld();
      heart.addFault({ match: "CreateSnapshot", action });
      const error = await errorOf(client.send(cut()));
      expect([error.name, error.$metadata?.httpStatusCode]).toEqual([name, status]);
      expect(heart.effects).toHaveLength(effects);
    }
  });

  it("a call that hangs ends at the handler's bound on the lab's clock, or when the caller gives up", async () => {
    const { client, heart, clock } = makeWorld({ hangMs: 600_000 }, new VirtualClock());
    const begun = clock.now();
    heart.addFault({ match: "CreateSnapshot", action: "hang-after" });
    expect((await errorOf(client.send(cut()))).name).toBe("TimeoutError");
    expect(clock.now() - begun).toBeGreaterThanOrEqual(600_000);
    expect(heart.effects[0]?.detail.kind).toBe("snapshot-cut");
    heart.addFault({ match: "DescribeVolumes", action: "hang" });
    const giveUp = new AbortController();
    void clock.sleep(1000).then(() => giveUp.abort());
    const call = client.send(new DescribeVolumesCommand({}), { abortSignal: giveUp.signal });
    expect((await errorOf(call)).name).toBe("AbortError");
  });

  it("an answer that nobody can read is an error of the client", async () => {
    const { client, heart } = makeWorld();
    heart.addFault({ match: "DescribeVolumes", action: "nonsense" });
    await errorOf(client.send(new DescribeVolumesCommand({})));
    expect(heart.received).toHaveLength(1);
  });

  it("replies take time on the lab's clock", async () => {
    const { client, clock } = makeWorld({ latencyMs: 50 }, new VirtualClock());
    const begun = clock.now();
    await client.send(new DescribeVolumesCommand({}));
    expect(clock.now() - begun).toBe(50);
  });
});

/** What a restore and a prune ask of EC2. The replies are invented, after the names that the SDK's deserializer reads. */
import { describe, expect, test } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import type { CloudRequest, Request } from "../../src/ports/driver.ts";
import type { HttpReply, Sent } from "./aws-peer.ts";
import { canary, data, ec2Error, fixture, node, ordinary, Peer, StillClock } from "./aws-peer.ts";

const limitMs = 60_000;
const zone = "eu-west-1a";
const snapshot = "snap-0a000000000000021";
const [volume] = data;

async function open(peer: Peer): Promise<CloudDriver> {
  return openAws({ region: "eu-west-1", credentials: canary, requestHandler: peer, clock: new StillClock() });
}
async function failureOf(act: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await act.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(Failure);
  return thrown as Failure;
}
function reply(operation: string, content: string): HttpReply {
  return {
    status: 200,
    body: `<${operation}Response><requestId>r</requestId>${content}</${operation}Response>`,
  };
}
const pair = (at: string, state: string, reason = "Client.UserInitiated") =>
  `<item><snapshotId>${snapshot}</snapshotId><availabilityZone>${at}</availabilityZone><state>${state}</state>` +
  `<stateTransitionReason>${reason}</stateTransitionReason></item>`;
const refusal = (at: string, code: string, message: string) =>
  `<item><snapshotId>${snapshot}</snapshotId><fastSnapshotRestoreStateErrorSet><item>` +
  `<availabilityZone>${at}</availabilityZone><error><code>${code}</code><message>${message}</message></error>` +
  `</item></fastSnapshotRestoreStateErrorSet></item>`;

const made = {
  snapshot,
  zone,
  sizeGiB: 100,
  type: "gp3",
  encrypted: false,
  token: "8f3a-volume-1",
  tags: { "runbook:run": "8f3a", "runbook:part": "new" },
};

describe("requests", () => {
  const paramsOf = (request: Request) => (request as CloudRequest).params;

  test("say exactly what will be sent, and nothing of what was not given", async () => {
    const { requests } = await open(new Peer(ordinary));
    expect(requests.createVolume(made)).toEqual({
      to: "cloud",
      verb: "cloud.createVolume",
      operation: "CreateVolume",
      params: {
        ClientToken: "8f3a-volume-1",
        AvailabilityZone: zone,
        SnapshotId: snapshot,
        Size: 100,
        VolumeType: "gp3",
        TagSpecifications: [
          {
            ResourceType: "volume",
            Tags: [
              { Key: "runbook:part", Value: "new" },
              { Key: "runbook:run", Value: "8f3a" },
            ],
          },
        ],
      },
    });
    const all = { iops: 4000, throughputMiBps: 250, encrypted: true, key: "arn:k", initializationMiBps: 300 };
    expect(paramsOf(requests.createVolume({ ...made, ...all }))).toMatchObject({
      Iops: 4000,
      Throughput: 250,
      Encrypted: true,
      KmsKeyId: "arn:k",
      VolumeInitializationRate: 300,
    });
    const rest: readonly (readonly [Request, string, CloudRequest["params"]])[] = [
      [
        requests.attachVolume({ volume, instance: node, device: "/dev/sdf" }),
        "AttachVolume",
        { VolumeId: volume, InstanceId: node, Device: "/dev/sdf" },
      ],
      [
        requests.detachVolume({ volume, instance: node }),
        "DetachVolume",
        { VolumeId: volume, InstanceId: node },
      ],
      [
        requests.setDeleteOnTermination({ instance: node, device: "/dev/sdf", on: false }),
        "ModifyInstanceAttribute",
        {
          InstanceId: node,
          BlockDeviceMappings: [{ DeviceName: "/dev/sdf", Ebs: { DeleteOnTermination: false } }],
        },
      ],
      [requests.deleteVolume({ volume }), "DeleteVolume", { VolumeId: volume }],
      [requests.deleteSnapshot({ snapshot }), "DeleteSnapshot", { SnapshotId: snapshot }],
      [
        requests.createSnapshot({ volume, description: "final", tags: { a: "b" } }),
        "CreateSnapshot",
        {
          VolumeId: volume,
          Description: "final",
          TagSpecifications: [{ ResourceType: "snapshot", Tags: [{ Key: "a", Value: "b" }] }],
        },
      ],
      [
        requests.enableFastRestore({ snapshot, zones: [zone] }),
        "EnableFastSnapshotRestores",
        { AvailabilityZones: [zone], SourceSnapshotIds: [snapshot] },
      ],
      [
        requests.disableFastRestore({ snapshot, zones: [zone] }),
        "DisableFastSnapshotRestores",
        { AvailabilityZones: [zone], SourceSnapshotIds: [snapshot] },
      ],
    ];
    for (const [request, operation, params] of rest) expect(request).toMatchObject({ operation, params });
    for (const [request, , params] of rest) expect(paramsOf(request)).toEqual(params);
  });

  test("of a type leave out what EC2 does not take for it, though it told it of the old volume", async () => {
    const { requests } = await open(new Peer(ordinary));
    const like = (type: string) =>
      Object.keys(paramsOf(requests.createVolume({ ...made, type, iops: 300, throughputMiBps: 250 })));
    expect(like("gp2")).not.toContain("Iops");
    expect(like("st1")).not.toContain("Throughput");
    expect(like("io2")).toContain("Iops");
    expect(like("io2")).not.toContain("Throughput");
    expect(like("gp3")).toEqual(expect.arrayContaining(["Iops", "Throughput"]));
  });

  test("that make no sense are bugs", async () => {
    const { requests } = await open(new Peer(ordinary));
    for (const wrong of [
      () => requests.createVolume({ ...made, key: "arn:k" }),
      () => requests.enableFastRestore({ snapshot, zones: [] }),
      () => requests.disableFastRestore({ snapshot, zones: [] }),
    ])
      expect(wrong).toThrow(expect.objectContaining({ kind: "bug" }) as Error);
  });

  test("arrive as they are, under the names of the wire", async () => {
    const peer = new Peer((sent) => reply(sent.operation, "<successful/><volumeId>v</volumeId>"));
    const { requests, send } = await open(peer);
    await send(requests.createVolume({ ...made, initializationMiBps: 300, tags: { a: "b" } }), { limitMs });
    expect(peer.sent.at(-1)?.form).toEqual({
      ClientToken: "8f3a-volume-1",
      AvailabilityZone: zone,
      SnapshotId: snapshot,
      Size: "100",
      VolumeType: "gp3",
      VolumeInitializationRate: "300",
      "TagSpecification.1.ResourceType": "volume",
      "TagSpecification.1.Tag.1.Key": "a",
      "TagSpecification.1.Tag.1.Value": "b",
    });
    await send(requests.setDeleteOnTermination({ instance: node, device: "/dev/sdf", on: true }), {
      limitMs,
    });
    expect(peer.sent.at(-1)?.form).toEqual({
      InstanceId: node,
      "BlockDeviceMapping.1.DeviceName": "/dev/sdf",
      "BlockDeviceMapping.1.Ebs.DeleteOnTermination": "true",
    });
    await send(requests.enableFastRestore({ snapshot, zones: [zone, "eu-west-1b"] }), { limitMs });
    expect(peer.sent.at(-1)?.form).toEqual({
      "AvailabilityZone.1": zone,
      "AvailabilityZone.2": "eu-west-1b",
      "SourceSnapshotId.1": snapshot,
    });
  });
});

describe("answers", () => {
  const answerTo = async (content: string, write: (driver: CloudDriver) => Request) => {
    const driver = await open(new Peer((sent) => reply(sent.operation, content)));
    const answer = await driver.send(write(driver), { limitMs });
    return JSON.parse(answer.text) as unknown;
  };

  test("are short texts of ids and states", async () => {
    const attachment = `<volumeId>${volume}</volumeId><instanceId>${node}</instanceId><device>/dev/sdf</device>`;
    expect(
      await answerTo("<volumeId>vol-9</volumeId><status>creating</status>", ({ requests }) =>
        requests.createVolume(made),
      ),
    ).toEqual({ volume: "vol-9", state: "creating" });
    expect(
      await answerTo(`${attachment}<status>detaching</status>`, ({ requests }) =>
        requests.detachVolume({ volume, instance: node }),
      ),
    ).toEqual({ volume, instance: node, device: "/dev/sdf", state: "detaching" });
    expect(
      await answerTo(`<successful>${pair(zone, "enabling")}</successful><unsuccessful/>`, ({ requests }) =>
        requests.enableFastRestore({ snapshot, zones: [zone] }),
      ),
    ).toEqual([{ snapshot, zone, state: "enabling" }]);
  });

  test("of a page that is not EC2's leave a write unknown", async () => {
    const driver = await open(new Peer(() => fixture("proxy-page.xhtml")));
    const { requests } = driver;
    for (const request of [
      requests.createVolume(made),
      requests.attachVolume({ volume, instance: node, device: "/dev/sdf" }),
      requests.detachVolume({ volume, instance: node }),
      requests.enableFastRestore({ snapshot, zones: [zone] }),
    ])
      expect(await failureOf(driver.send(request, { limitMs }))).toMatchObject({
        kind: "unavailable",
        happened: "maybe",
      });
  });

  test("that say yes and refuse a zone are a failure with the code and the message of each", async () => {
    const content =
      `<successful>${pair("eu-west-1b", "enabling")}</successful>` +
      `<unsuccessful>${refusal(zone, "SomeQuotaExceeded", "There are too many.")}</unsuccessful>`;
    for (const verb of ["enableFastRestore", "disableFastRestore"] as const) {
      const failure = await failureOf(
        answerTo(content, ({ requests }) => requests[verb]({ snapshot, zones: [zone, "eu-west-1b"] })),
      );
      expect(failure).toMatchObject({ kind: "precondition", happened: "said", answer: { code: 200 } });
      expect(failure.message).toMatch(/there are too many \(SomeQuotaExceeded\) in eu-west-1a$/);
      expect(failure.hint).toBeTruthy();
    }
    const known = `<unsuccessful>${refusal(zone, "RequestLimitExceeded", "Slow down.")}</unsuccessful>`;
    const throttled = answerTo(known, ({ requests }) =>
      requests.enableFastRestore({ snapshot, zones: [zone] }),
    );
    expect((await failureOf(throttled)).kind).toBe("unavailable");
    const silent = `<unsuccessful><item><snapshotId>${snapshot}</snapshotId></item></unsuccessful>`;
    const unsaid = answerTo(silent, ({ requests }) =>
      requests.enableFastRestore({ snapshot, zones: [zone] }),
    );
    expect((await failureOf(unsaid)).kind).toBe("precondition");
  });

  test.each([
    ["deleteVolume", "InvalidVolume.NotFound", "The volume does not exist.", true],
    ["deleteVolume", "IncorrectState", "Volume 'vol-1' is in the 'deleting' state.", true],
    ["deleteVolume", "IncorrectState", "Volume 'vol-1' is in the 'creating' state.", false],
    ["deleteVolume", "InvalidVolumeID.Malformed", "x", false],
    ["deleteSnapshot", "InvalidSnapshot.NotFound", "The snapshot does not exist.", true],
    ["deleteSnapshot", "InvalidSnapshot.InUse", "x", false],
    ["deleteSnapshot", "InternalError", "x", false],
  ] as const)("to %s that say %s (%s): it is gone already: %s", async (verb, code, message, gone) => {
    const driver = await open(new Peer(() => ec2Error(400, code, message)));
    const request =
      verb === "deleteVolume"
        ? driver.requests.deleteVolume({ volume })
        : driver.requests.deleteSnapshot({ snapshot });
    const sent = driver.send(request, { limitMs });
    if (gone) expect(await sent).toMatchObject({ code: 400, text: expect.stringContaining(code) as string });
    else await failureOf(sent);
  });

  test("that an unknown volume gives to an attach are a failure: only a deletion is glad of it", async () => {
    const driver = await open(new Peer(() => ec2Error(400, "InvalidVolume.NotFound")));
    const attach = driver.requests.attachVolume({ volume, instance: node, device: "/dev/sdf" });
    expect((await failureOf(driver.send(attach, { limitMs }))).kind).toBe("not-found");
  });
});

describe("reads", () => {
  const readsOver = async (answer: (sent: Sent) => HttpReply) => {
    const peer = new Peer(answer);
    return { peer, reads: (await open(peer)).reads };
  };

  test("volumes are found by their tags over all pages, without what a filter found beyond", async () => {
    const item = (id: string, at: string, value: string) =>
      `<item><volumeId>${id}</volumeId><size>1</size><snapshotId>${snapshot}</snapshotId>` +
      `<availabilityZone>${zone}</availabilityZone><status>available</status><createTime>${at}</createTime>` +
      `<volumeType>gp3</volumeType><encrypted>false</encrypted><fastRestored>${String(id === "vol-1")}</fastRestored>` +
      `<tagSet><item><key>run</key><value>${value}</value></item></tagSet></item>`;
    const pages: { readonly [token: string]: string } = {
      first: `<volumeSet>${item("vol-2", "2026-03-02T00:00:00.000Z", "a*")}${item("vol-3", "2026-03-03T00:00:00.000Z", "ab")}</volumeSet><nextToken>n</nextToken>`,
      n: `<volumeSet>${item("vol-1", "2026-03-01T00:00:00.000Z", "a*")}</volumeSet>`,
    };
    const { peer, reads } = await readsOver((sent) =>
      reply(sent.operation, pages[sent.form["NextToken"] ?? "first"] ?? ""),
    );
    const found = await reads.findVolumes({ run: "a*" });
    expect(
      found.map(({ id, snapshot: of, fastRestored, createdAt }) => [id, of, fastRestored, createdAt]),
    ).toEqual([
      ["vol-1", snapshot, true, "2026-03-01T00:00:00.000Z"],
      ["vol-2", snapshot, false, "2026-03-02T00:00:00.000Z"],
    ]);
    expect(peer.sent.map((sent) => sent.form["Filter.1.Value.1"])).toEqual(["a\\*", "a\\*"]);
    const all = await reads.findVolumes({ run: "*" });
    expect(all.map(({ id }) => id)).toEqual(["vol-1", "vol-2", "vol-3"]);
    expect(peer.sent.at(-1)?.form["Filter.1.Value.1"]).toBe("*");
    expect((await failureOf(reads.findVolumes({}))).kind).toBe("bug");
  });

  test("a snapshot tells where it is kept and how it is encrypted", async () => {
    const { reads } = await readsOver((sent) => {
      const { status, body } = ordinary(sent);
      const kept = "<encrypted>true</encrypted><kmsKeyId>arn:k</kmsKeyId><storageTier>archive</storageTier>";
      return {
        status,
        body: body.replaceAll(/<encrypted>false<\/encrypted>\s*<storageTier>standard<\/storageTier>/g, kept),
      };
    });
    const [first] = await reads.getSnapshots([snapshot]);
    expect(first).toMatchObject({ encrypted: true, key: "arn:k", tier: "archive" });
  });

  test.each([
    ["disabled", "off"],
    ["enabling", "enabling"],
    ["optimizing", "optimizing"],
    ["enabled", "enabled"],
    ["disabling", "disabling"],
  ])("fast restore that EC2 calls %s is %s", async (word, state) => {
    const { peer, reads } = await readsOver((sent) =>
      reply(sent.operation, `<fastSnapshotRestoreSet>${pair(zone, word, "why")}</fastSnapshotRestoreSet>`),
    );
    expect(await reads.getFastRestore({ snapshot, zone })).toEqual({ state, reason: "why" });
    expect(peer.sent[0]?.form).toEqual({
      "Filter.1.Name": "snapshot-id",
      "Filter.1.Value.1": snapshot,
      "Filter.2.Name": "availability-zone",
      "Filter.2.Value.1": zone,
    });
  });

  test("fast restore in a state that nobody knows is not guessed about", async () => {
    const { reads } = await readsOver((sent) =>
      reply(sent.operation, `<fastSnapshotRestoreSet>${pair(zone, "resting")}</fastSnapshotRestoreSet>`),
    );
    expect((await failureOf(reads.getFastRestore({ snapshot, zone }))).kind).toBe("unsupported");
  });

  test("fast restores are listed over all pages, without those that are off", async () => {
    const { reads } = await readsOver((sent) =>
      reply(
        sent.operation,
        sent.form["NextToken"] === undefined
          ? `<fastSnapshotRestoreSet>${pair(zone, "enabled")}${pair("eu-west-1b", "disabled")}</fastSnapshotRestoreSet><nextToken>n</nextToken>`
          : `<fastSnapshotRestoreSet>${pair("eu-west-1c", "disabling")}</fastSnapshotRestoreSet>`,
      ),
    );
    expect(await reads.listFastRestores()).toEqual([
      { snapshot, zone, state: "enabled" },
      { snapshot, zone: "eu-west-1c", state: "disabling" },
    ]);
  });

  test("how far a volume has come over is told where EC2 tells it", async () => {
    const status = (details: string) => (sent: Sent) =>
      reply(
        sent.operation,
        `<volumeStatusSet><item><volumeId>${volume}</volumeId>${details}</item></volumeStatusSet>`,
      );
    const tell = async (details: string) =>
      (await readsOver(status(details))).reads.getInitialization(volume);
    expect(await tell("")).toBeUndefined();
    const type = (name: string, more: string) =>
      `<initializationStatusDetails><initializationType>${name}</initializationType>${more}</initializationStatusDetails>`;
    expect(await tell(type("default", "<progress>40</progress>"))).toEqual({
      percent: 40,
      etaSeconds: undefined,
    });
    const paid =
      "<progress>40</progress><estimatedTimeToCompleteInSeconds>12</estimatedTimeToCompleteInSeconds>";
    expect(await tell(type("provisioned-rate", paid))).toEqual({ percent: 40, etaSeconds: 12 });
  });

  test("a lock is told with its state and its end, if it has one yet", async () => {
    const locked = (content: string) => (sent: Sent) =>
      reply(sent.operation, `<snapshotSet>${content}</snapshotSet>`);
    const tell = async (content: string) => (await readsOver(locked(content))).reads.findLock(snapshot);
    expect(await tell("")).toBeUndefined();
    const item = (more: string) => `<item><snapshotId>${snapshot}</snapshotId>${more}</item>`;
    expect(
      await tell(
        item("<lockState>governance</lockState><lockExpiresOn>2026-03-08T00:00:00.000Z</lockExpiresOn>"),
      ),
    ).toEqual({ state: "governance", until: "2026-03-08T00:00:00.000Z", holds: true });
    expect(await tell(item("<lockState>compliance-cooloff</lockState>"))).toEqual({
      state: "compliance-cooloff",
      until: undefined,
      holds: true,
    });
    expect(await tell(item("<lockState>expired</lockState>"))).toMatchObject({ holds: false });
  });

  test("locks are listed over all pages, without asking for ids", async () => {
    const item = (id: string) =>
      `<item><snapshotId>${id}</snapshotId><lockState>governance</lockState></item>`;
    const { peer, reads } = await readsOver((sent) =>
      reply(
        sent.operation,
        sent.form["NextToken"] === undefined
          ? `<snapshotSet>${item("snap-1")}</snapshotSet><nextToken>n</nextToken>`
          : `<snapshotSet>${item("snap-2")}</snapshotSet>`,
      ),
    );
    expect((await reads.listLocks()).map((lock) => lock.snapshot)).toEqual(["snap-1", "snap-2"]);
    expect(peer.sent.map(({ form }) => form)).toEqual([{}, { NextToken: "n" }]);
  });

  test("who uses a snapshot is asked of volumes, of images with the disabled ones, and of its permissions", async () => {
    const image = `<item><imageId>ami-1</imageId><blockDeviceMapping><item><deviceName>/dev/sdf</deviceName><ebs><snapshotId>${snapshot}</snapshotId></ebs></item></blockDeviceMapping></item>`;
    const { peer, reads } = await readsOver((sent) => {
      switch (sent.operation) {
        case "DescribeSnapshots":
          return ordinary(sent);
        case "DescribeImages":
          return reply(sent.operation, `<imagesSet>${image}</imagesSet>`);
        case "DescribeSnapshotAttribute":
          return reply(
            sent.operation,
            `<snapshotId>${snapshot}</snapshotId><createVolumePermission><item><userId>111122223333</userId></item><item><group>all</group></item></createVolumePermission>`,
          );
        default:
          return reply(sent.operation, "<volumeSet/>");
      }
    });
    expect(await reads.getReferences([snapshot])).toEqual([
      { snapshot, volumes: [], images: ["ami-1"], sharedWith: ["111122223333", "all"] },
    ]);
    expect(peer.sent.map(({ operation, form }) => [operation, form]).slice(2)).toEqual([
      [
        "DescribeVolumes",
        { "Filter.1.Name": "snapshot-id", "Filter.1.Value.1": snapshot, MaxResults: "1000" },
      ],
      [
        "DescribeImages",
        {
          "Owner.1": "self",
          IncludeDisabled: "true",
          "Filter.1.Name": "block-device-mapping.snapshot-id",
          "Filter.1.Value.1": snapshot,
        },
      ],
      ["DescribeSnapshotAttribute", { SnapshotId: snapshot, Attribute: "createVolumePermission" }],
    ]);
  });

  test("a page that is not EC2's is never 'off', unlocked or nothing", async () => {
    const { reads } = await readsOver(() => fixture("proxy-page.xhtml"));
    for (const read of [
      reads.findVolumes({ a: "b" }),
      reads.getFastRestore({ snapshot, zone }),
      reads.listFastRestores(),
      reads.getInitialization(volume),
      reads.findLock(snapshot),
      reads.listLocks(),
      reads.getReferences([snapshot]),
    ])
      expect(await failureOf(read)).toMatchObject({ kind: "unavailable", happened: "no" });
  });
});

describe("rights for a restore", () => {
  const granted = ec2Error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
  const ask = async (answer: (sent: Sent) => HttpReply) => {
    const peer = new Peer((sent) => (sent.form["DryRun"] === "true" ? answer(sent) : ordinary(sent)));
    const { reads } = await open(peer);
    const args = {
      instance: node,
      volumes: [volume],
      snapshot,
      zone,
      device: "/dev/sdf",
      tags: { run: "8f3a" },
    };
    return { peer, found: await reads.findMissingRestoreRights({ ...args, fastRestore: true }) };
  };

  test("are asked for by dry runs of the same requests, and nothing else is written", async () => {
    const { peer, found } = await ask(() => granted);
    expect(found).toEqual([]);
    const dry = peer.sent.filter((sent) => !sent.operation.startsWith("Describe"));
    expect(dry.map((sent) => [sent.operation, sent.form["DryRun"]])).toEqual([
      ["CreateVolume", "true"],
      ["CreateTags", "true"],
      ["DetachVolume", "true"],
      ["AttachVolume", "true"],
      ["StartInstances", "true"],
      ["StopInstances", "true"],
      ["EnableFastSnapshotRestores", "true"],
      ["DisableFastSnapshotRestores", "true"],
    ]);
    expect(dry[0]?.form).toMatchObject({
      SnapshotId: snapshot,
      AvailabilityZone: zone,
      VolumeType: "gp3",
      "TagSpecification.1.Tag.1.Key": "run",
    });
    expect(dry[0]?.form["ClientToken"]?.length).toBeLessThanOrEqual(64);
  });

  test("leave out the start of an instance that runs, and take in what will be tagged", async () => {
    const peer = new Peer((sent) => (sent.form["DryRun"] === "true" ? granted : ordinary(sent)));
    const { reads } = await open(peer);
    const asked = { instance: node, volumes: [], snapshot, zone, device: "/dev/sdf" };
    expect(await reads.findMissingRestoreRights({ ...asked, starts: false, marked: [snapshot] })).toEqual([]);
    const dry = peer.sent.filter((sent) => !sent.operation.startsWith("Describe"));
    expect(dry.map((sent) => [sent.operation, sent.form["ResourceId.1"]])).toEqual([
      ["CreateVolume", undefined],
      ["CreateTags", snapshot],
    ]);
  });

  test("are not judged by the old volume that is still there", async () => {
    const attach = (code: string, message: string) => (sent: Sent) =>
      sent.operation === "AttachVolume" ? ec2Error(400, code, message) : granted;
    expect((await ask(attach("VolumeInUse", "it is already attached to an instance"))).found).toEqual([]);
    const taken = "Invalid value '/dev/sdf' for unixDevice. Attachment point /dev/sdf is already in use";
    expect((await ask(attach("InvalidParameterValue", taken))).found).toEqual([]);
    expect((await ask(attach("InvalidVolume.ZoneMismatch", "x"))).found).toEqual([
      expect.stringMatching(/^could not be proven: ec2:AttachVolume on vol-/),
    ]);
  });

  test("of another kind are not excused by a volume in use", async () => {
    const { found } = await ask((sent) =>
      sent.operation === "DetachVolume" ? ec2Error(400, "VolumeInUse", "x") : granted,
    );
    expect(found).toEqual([expect.stringMatching(/^could not be proven: ec2:DetachVolume/)]);
  });

  test("that are missing are one sentence each", async () => {
    const { found } = await ask((sent) =>
      ["CreateVolume", "DisableFastSnapshotRestores"].includes(sent.operation)
        ? ec2Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        : granted,
    );
    expect(found).toEqual([
      `ec2:CreateVolume on ${snapshot} is not allowed`,
      `ec2:DisableFastSnapshotRestores on ${snapshot} is not allowed`,
    ]);
  });
});

describe("rights for a prune", () => {
  const granted = ec2Error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
  const ask = async (answer: (sent: Sent) => HttpReply) => {
    const peer = new Peer(answer);
    const { reads } = await open(peer);
    const args = {
      snapshots: [snapshot, "snap-2"],
      finalOf: [volume],
      volumes: ["vol-2"],
      tags: { run: "8f3a" },
    };
    return { peer, found: await reads.findMissingPruneRights(args) };
  };

  test("are asked for by dry runs of the same requests, each snapshot by itself", async () => {
    const { peer, found } = await ask(() => granted);
    expect(found).toEqual([]);
    expect(peer.sent.map(({ operation, form }) => [operation, form["DryRun"], form["SnapshotId"]])).toEqual([
      ["CreateTags", "true", undefined],
      ["DeleteTags", "true", undefined],
      ["DeleteSnapshot", "true", snapshot],
      ["DeleteSnapshot", "true", "snap-2"],
      ["CreateSnapshot", "true", undefined],
      ["DeleteVolume", "true", undefined],
    ]);
  });

  test("that are missing, or could not be proven, are one sentence each", async () => {
    const { found } = await ask((sent) =>
      sent.form["SnapshotId"] === "snap-2"
        ? ec2Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
        : sent.operation === "DeleteVolume"
          ? ec2Error(400, "VolumeInUse", "Volume vol-2 is attached.")
          : granted,
    );
    expect(found).toEqual([
      "ec2:DeleteSnapshot on snap-2 is not allowed",
      expect.stringMatching(/^could not be proven: ec2:DeleteVolume on vol-2/),
    ]);
  });
});

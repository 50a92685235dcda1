import { describe, expect, test } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import type { CloudRequest, Json, Request } from "../../src/ports/driver.ts";
import { canary, data, ec2Error, fixture, node, ordinary, Peer, root, StillClock } from "./aws-peer.ts";

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
const limitMs = 60_000;

describe("reads", () => {
  test("an instance is told in our words, with what its volumes say is attached", async () => {
    const peer = new Peer(ordinary);
    const driver = await open(peer);
    const instance = await driver.reads.getInstance(node);
    const attached = (volume: string, device: string, deleteOnTermination: boolean) => ({
      volume,
      instance: node,
      device,
      state: "attached",
      deleteOnTermination,
    });
    expect(instance).toEqual({
      id: node,
      state: "stopped",
      stoppedBy: "guest",
      zone: "eu-west-1a",
      type: "m5.large",
      nvme: true,
      onGuestShutdown: "stop",
      replacedBy: undefined,
      capacityReserved: false,
      subnets: [],
      addresses: [],
      rootDevice: "/dev/xvda",
      attachments: [
        attached(data[0], "/dev/sdf", false),
        attached(data[1], "/dev/sdg", false),
        attached(root, "/dev/xvda", true),
      ],
      tags: { Name: "server2 & co", cluster: "c1", note: "" },
    });
    const volumes = peer.sent.find((sent) => sent.operation === "DescribeVolumes");
    expect(volumes?.form).toEqual({ "Filter.1.Name": "attachment.instance-id", "Filter.1.Value.1": node });
  });

  test("an instance tells of the networks and of all addresses of its interfaces, public ones too", async () => {
    const peer = new Peer((sent) => {
      const reply = ordinary(sent);
      const second =
        "<subnetId>subnet-0a</subnetId><privateIpAddress>10.0.0.12</privateIpAddress><ipAddress>198.51.100.7</ipAddress>" +
        "<networkInterfaceSet><item><subnetId>subnet-0b</subnetId><privateIpAddress>10.0.9.12</privateIpAddress>" +
        "<association><publicIp>198.51.100.8</publicIp></association>" +
        "<ipv6AddressesSet><item><ipv6Address>2001:db8::12</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet>";
      return { ...reply, body: reply.body.replace("<tagSet>", `${second}<tagSet>`) };
    });
    const { subnets, addresses } = await (await open(peer)).reads.getInstance(node);
    expect(subnets).toEqual(["subnet-0a", "subnet-0b"]);
    expect([...addresses].sort()).toEqual([
      "10.0.0.12",
      "10.0.9.12",
      "198.51.100.7",
      "198.51.100.8",
      "2001:db8::12",
    ]);
  });

  test("instances are searched for by any of their private addresses, and what has none of those is left out", async () => {
    const asked = ["10.0.0.12", "10.0.1.12"];
    const answering = async (address: string) => {
      const peer = new Peer((sent) => {
        const reply = ordinary(sent);
        const second = `<networkInterfaceSet><item><privateIpAddressesSet><item><privateIpAddress>${address}</privateIpAddress></item></privateIpAddressesSet></item></networkInterfaceSet>`;
        return { ...reply, body: reply.body.replace("<tagSet>", `${second}<tagSet>`) };
      });
      const found = await (await open(peer)).reads.findInstances(asked);
      expect(peer.sent).toMatchObject([
        {
          operation: "DescribeInstances",
          form: {
            "Filter.1.Name": "network-interface.addresses.private-ip-address",
            "Filter.1.Value.1": asked[0],
            "Filter.1.Value.2": asked[1],
          },
        },
      ]);
      return found;
    };
    expect(await answering("10.0.1.12")).toEqual([
      { id: node, state: "stopped", name: "server2 & co", addresses: ["10.0.1.12"] },
    ]);
    expect(await answering("10.0.1.1")).toEqual([]);
  });

  const instanceWith = (change: (xml: string) => string) =>
    open(
      new Peer((sent) => {
        const reply = ordinary(sent);
        return sent.operation === "DescribeInstances" ? { ...reply, body: change(reply.body) } : reply;
      }),
    ).then((driver) => driver.reads.getInstance(node));

  test("who stopped an instance is the API, the guest or unknown, and is said only while it is down", async () => {
    const guest = /Client\.InstanceInitiatedShutdown/g;
    expect((await instanceWith((xml) => xml.replace(guest, "Client.UserInitiatedShutdown"))).stoppedBy).toBe(
      "api",
    );
    expect(
      (await instanceWith((xml) => xml.replace(guest, "Server.SpotInstanceTermination"))).stoppedBy,
    ).toBe("unknown");
    const running = await instanceWith((xml) => xml.replace("<name>stopped</name>", "<name>running</name>"));
    expect(running.stoppedBy).toBeUndefined();
  });

  test("an Auto Scaling group and a capacity reservation are found", async () => {
    const grouped = await instanceWith((xml) =>
      xml.replace("<key>cluster</key>", "<key>aws:autoscaling:groupName</key>"),
    );
    expect(grouped.replacedBy).toBe("c1");
    const held = await instanceWith((xml) =>
      xml.replace("<tagSet>", "<capacityReservationId>cr-0a000000000000001</capacityReservationId><tagSet>"),
    );
    expect(held.capacityReserved).toBe(true);
    const target =
      "<capacityReservationTarget><capacityReservationId>cr-0a000000000000001</capacityReservationId></capacityReservationTarget>";
    const bound = await instanceWith((xml) =>
      xml.replace("</capacityReservationSpecification>", `${target}</capacityReservationSpecification>`),
    );
    expect(bound.capacityReserved).toBe(true);
  });

  test.each([
    ["<hypervisor>xen</hypervisor><ebsInfo><nvmeSupport>unsupported</nvmeSupport></ebsInfo>", false],
    ["<hypervisor>xen</hypervisor><ebsInfo><nvmeSupport>supported</nvmeSupport></ebsInfo>", false],
    ["<hypervisor>nitro</hypervisor>", true],
    ["<bareMetal>true</bareMetal><ebsInfo><nvmeSupport>supported</nvmeSupport></ebsInfo>", true],
    ["<bareMetal>false</bareMetal>", undefined],
  ])("whether disks are NVMe is decided from %s", async (facts, nvme) => {
    const peer = new Peer((sent) => {
      const reply = ordinary(sent);
      const facts1 = reply.body.replace(/<bareMetal>[^]*<\/ebsInfo>/, facts);
      return sent.operation === "DescribeInstanceTypes" ? { ...reply, body: facts1 } : reply;
    });
    const reads = (await open(peer)).reads;
    if (nvme === undefined) expect((await failureOf(reads.getInstance(node))).kind).toBe("unsupported");
    else expect((await reads.getInstance(node)).nvme).toBe(nvme);
  });

  test("a type that EC2 does not know is not guessed about, and a known one is asked for once", async () => {
    const unknown = new Peer((sent) =>
      sent.operation === "DescribeInstanceTypes" ? ec2Error(400, "InvalidInstanceType") : ordinary(sent),
    );
    expect((await failureOf((await open(unknown)).reads.getInstance(node))).kind).toBe("unsupported");
    const peer = new Peer(ordinary);
    const driver = await open(peer);
    await driver.reads.getInstance(node);
    await driver.reads.getInstance(node);
    expect(peer.sent.filter((sent) => sent.operation === "DescribeInstanceTypes")).toHaveLength(1);
  });

  test("volumes come in the order asked, and one that EC2 left out is named", async () => {
    const driver = await open(new Peer(ordinary));
    const volumes = await driver.reads.getVolumes([data[1], data[0]]);
    expect(volumes.map((volume) => volume.id)).toEqual([data[1], data[0]]);
    expect(volumes[0]).toMatchObject({
      state: "in-use",
      sizeGiB: 20,
      type: "gp3",
      iops: 3000,
      throughputMiBps: 125,
      zone: "eu-west-1a",
      encrypted: true,
      key: "arn:aws:kms:eu-west-1:000000000000:key/00000000-0000-4000-8000-0000000000aa",
      tags: { cluster: "c1" },
    });
    const failure = await failureOf(driver.reads.getVolumes([data[0], "vol-0a0000000000000ff"]));
    expect(failure).toMatchObject({
      kind: "not-found",
      message: expect.stringContaining("vol-0a0000000000000ff") as string,
    });
  });

  test("no ids ask EC2 nothing, because no ids would mean all", async () => {
    const peer = new Peer(ordinary);
    const { reads } = await open(peer);
    expect(await reads.getVolumes([])).toEqual([]);
    expect(await reads.getSnapshots([])).toEqual([]);
    expect((await failureOf(reads.findSnapshots({}))).kind).toBe("bug");
    expect(peer.sent).toEqual([]);
  });

  test("own snapshots are found by their tags over all pages, oldest first", async () => {
    const peer = new Peer(ordinary);
    const { reads } = await open(peer);
    const found = await reads.findSnapshots({ "runbook:operation": "8f3a/cut" });
    expect(
      found.map(({ id, state, progressPercent, startedAt, reason }) => [
        id,
        state,
        progressPercent,
        startedAt,
        reason,
      ]),
    ).toEqual([
      ["snap-0a000000000000021", "completed", 100, "2026-03-01T02:00:00.000Z", undefined],
      ["snap-0a000000000000022", "pending", 80, "2026-03-01T03:00:00.250Z", undefined],
      ["snap-0a000000000000023", "error", 0, "2026-03-01T04:00:00.000Z", "Given key ID is not accessible"],
      [
        "snap-0a000000000000024",
        "error",
        100,
        "2026-03-01T05:00:00.000Z",
        "it was deleted, and is recoverable in the Recycle Bin",
      ],
    ]);
    const first = {
      "Owner.1": "self",
      "Filter.1.Name": "tag:runbook:operation",
      "Filter.1.Value.1": "8f3a/cut",
      MaxResults: "1000",
    };
    expect(peer.sent.map((sent) => sent.form)).toEqual([first, { ...first, NextToken: "page/2+==" }]);
  });

  test("what a filter found beyond the tags asked for is left out", async () => {
    const peer = new Peer(ordinary);
    const { reads } = await open(peer);
    expect(await reads.findSnapshots({ "runbook:operation": "8f3a/*" })).toEqual([]);
    expect(await reads.findSnapshots({ "runbook:operation": "8f3a\\cut" })).toEqual([]);
    // Written out for EC2, which takes them for wildcards otherwise.
    expect([...new Set(peer.sent.map((sent) => sent.form["Filter.1.Value.1"]))]).toEqual([
      String.raw`8f3a/\*`,
      String.raw`8f3a\\cut`,
    ]);
  });

  test("a peer that hands out one page for ever does not hold a run for ever", async () => {
    const driver = await open(new Peer(() => fixture("describe-snapshots-1.xml")));
    expect(await failureOf(driver.reads.findSnapshots({ a: "b" }))).toMatchObject({
      kind: "unavailable",
      happened: "no",
    });
  });

  test.each([["proxy-page.html"], ["proxy-page.xhtml"]])(
    "a page that is not EC2's (%s) is never an empty list",
    async (page) => {
      const { reads } = await open(new Peer(() => fixture(page)));
      for (const read of [reads.findSnapshots({ a: "b" }), reads.getVolumes(data), reads.getInstance(node)])
        expect(await failureOf(read)).toMatchObject({ kind: "unavailable", happened: "no" });
      const { reads: empty } = await open(new Peer(() => ({ status: 200, body: "" })));
      expect(await failureOf(empty.findSnapshots({ a: "b" }))).toMatchObject({ kind: "unavailable" });
    },
  );
});

describe("writes", () => {
  const tags = { "runbook:run": "8f3a", "runbook:operation": "8f3a/cut & paste" };
  const set = {
    instance: node,
    volumes: data,
    otherVolumes: ["vol-0a000000000000014"],
    description: "standby of c1",
    tags,
  };
  const verbs = (driver: CloudDriver): readonly (readonly [string, Request])[] => [
    ["start", driver.requests.startInstance({ instance: node })],
    ["stop", driver.requests.stopInstance({ instance: node })],
    ["set", driver.requests.createSnapshotSet(set)],
    ["set of all", driver.requests.createSnapshotSet({ ...set, otherVolumes: [] })],
    [
      "set of one",
      driver.requests.createSnapshotSet({ ...set, volumes: [data[0]], otherVolumes: [data[1]] }),
    ],
    ["tags", driver.requests.setTags({ resources: [node, data[0]], tags: { b: "2", a: "" } })],
  ];

  test("a request is made without asking anybody, and is the same each time", async () => {
    const peer = new Peer(ordinary);
    const driver = await open(peer);
    const made = verbs(driver);
    expect(verbs(driver)).toEqual(made);
    expect(JSON.parse(JSON.stringify(made))).toEqual(made);
    expect(peer.sent).toEqual([]);
    expect(made.map(([, request]) => [request.verb, (request as CloudRequest).operation])).toEqual([
      ["cloud.startInstance", "StartInstances"],
      ["cloud.stopInstance", "StopInstances"],
      ["cloud.createSnapshotSet", "CreateSnapshots"],
      ["cloud.createSnapshotSet", "CreateSnapshots"],
      ["cloud.createSnapshotSet", "CreateSnapshot"],
      ["cloud.setTags", "CreateTags"],
    ]);
  });

  test("what is sent is the request, no more and no less", async () => {
    const peer = new Peer(ordinary);
    const driver = await open(peer);
    for (const [, request] of verbs(driver)) {
      await driver.send(request, { limitMs });
      const sent = peer.sent.at(-1);
      const { operation, params } = request as CloudRequest;
      expect(sent?.operation).toBe(operation);
      expect(sent?.form).toEqual(formOf(params));
    }
    expect(peer.sent).toHaveLength(6);
  });

  test("a set leaves out the root and the volumes that were not asked for", async () => {
    const driver = await open(new Peer(ordinary));
    expect(driver.requests.createSnapshotSet(set)).toMatchObject({
      params: {
        InstanceSpecification: {
          InstanceId: node,
          ExcludeBootVolume: true,
          ExcludeDataVolumeIds: ["vol-0a000000000000014"],
        },
        Description: "standby of c1",
        TagSpecifications: [
          {
            ResourceType: "snapshot",
            Tags: [
              { Key: "runbook:operation", Value: "8f3a/cut & paste" },
              { Key: "runbook:run", Value: "8f3a" },
            ],
          },
        ],
      },
    });
  });

  test("a set that EC2 could not express is refused before anything is sent", async () => {
    const { requests } = await open(new Peer(ordinary));
    const many = Array.from({ length: 41 }, (_, n) => `vol-${String(n)}`);
    const kinds = [
      { ...set, volumes: [] },
      { ...set, otherVolumes: [data[0]] },
      { ...set, otherVolumes: many },
    ].map((args) => {
      try {
        return requests.createSnapshotSet(args).verb;
      } catch (thrown) {
        return (thrown as Failure).kind;
      }
    });
    expect(kinds).toEqual(["bug", "bug", "unsupported"]);
  });

  test("an answer is the status and a short text of ids and states", async () => {
    const driver = await open(new Peer(ordinary));
    const answers = [];
    for (const [, request] of verbs(driver)) answers.push(await driver.send(request, { limitMs }));
    expect(answers.map(({ code }) => code)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(answers.map(({ text }) => JSON.parse(text) as unknown)).toMatchObject([
      [{ instance: node, from: "stopped", to: "pending" }],
      [{ instance: node, from: "running", to: "stopping" }],
      [{ snapshot: "snap-0a000000000000032" }, { snapshot: "snap-0a000000000000033" }],
      [{ volume: data[0] }, { volume: data[1] }],
      [{ snapshot: "snap-0a000000000000031", volume: data[0], state: "pending" }],
      {},
    ]);
  });

  test("only the operations of the port can be sent", async () => {
    const peer = new Peer(ordinary);
    const driver = await open(peer);
    const params = { InstanceIds: [node] };
    for (const operation of ["TerminateInstances", "constructor", "__proto__"]) {
      const request: Request = { to: "cloud", verb: "cloud.startInstance", operation, params };
      expect((await failureOf(driver.send(request, { limitMs }))).kind).toBe("bug");
    }
    const toNode: Request = { to: "node", verb: "shell.run", node: "server1", argv: ["true"] };
    expect((await failureOf(driver.send(toNode, { limitMs }))).kind).toBe("bug");
    expect(peer.sent).toEqual([]);
  });
});

/** ec2Query: nested names joined by dots, lists numbered from 1, list names in the singular. */
function formOf(params: { readonly [key: string]: Json }): { readonly [key: string]: string } {
  const singular: { readonly [name: string]: string } = {
    InstanceIds: "InstanceId",
    ExcludeDataVolumeIds: "ExcludeDataVolumeId",
    TagSpecifications: "TagSpecification",
    Tags: "Tag",
    Resources: "ResourceId",
  };
  const form: { [key: string]: string } = {};
  const put = (name: string, value: Json): void => {
    if (Array.isArray(value)) value.forEach((item: Json, n) => put(`${name}.${String(n + 1)}`, item));
    else if (typeof value === "object" && value !== null)
      for (const [key, inner] of Object.entries(value)) put(`${name}.${singular[key] ?? key}`, inner);
    else form[name] = String(value);
  };
  for (const [key, value] of Object.entries(params)) put(singular[key] ?? key, value);
  return form;
}

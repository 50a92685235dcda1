import {
  CreateSnapshotCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  paginateDescribeSnapshots,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { afterEach, describe, expect, it } from "vitest";
import { serveEc2, type Ec2Server } from "../../src/lab/ec2.ts";
import type { CloudOptions } from "../../src/lab/cloud.ts";
import { clientAt, errorOf, makeWorld } from "./ec2-world.ts";

const open: { server: Ec2Server; client: ReturnType<typeof clientAt> }[] = [];

async function serveWorld(options: CloudOptions = {}) {
  const world = makeWorld(options);
  const server = await serveEc2(world.cloud, { host: "127.0.0.1", port: 0 });
  const client = clientAt(server.url);
  open.push({ server, client });
  return { ...world, server, client };
}

afterEach(async () => {
  for (const { server, client } of open.splice(0)) {
    client.destroy();
    await server.close();
  }
});

describe("EC2 over HTTP", () => {
  it("answers reads and writes as in process", async () => {
    const { client, clock, cloud, heart } = await serveWorld();
    const before = await client.send(new DescribeVolumesCommand({ VolumeIds: ["vol-server1-data"] }));
    expect(before.Volumes).toMatchObject([{ VolumeId: "vol-server1-data", State: "in-use" }]);
    await client.send(new StopInstancesCommand({ InstanceIds: ["i-server1"] }));
    cloud.guestOff("i-server1");
    await clock.advance(2000);
    await client.send(new StartInstancesCommand({ InstanceIds: ["i-server1"] }));
    await clock.advance(5000);
    const after = await client.send(new DescribeInstancesCommand({ InstanceIds: ["i-server1"] }));
    expect(after.Reservations?.[0]?.Instances?.[0]?.State?.Name).toBe("running");
    expect(heart.received.map((row) => [row.class, row.reply])).toEqual([
      ["read", "sent"],
      ["write", "sent"],
      ["write", "sent"],
      ["read", "sent"],
    ]);
  });

  it("gives lists in pages", async () => {
    const { client, cloud } = await serveWorld({ pageSize: 2 });
    cloud.createSnapshots("i-server1", { tags: {} });
    const pages: number[] = [];
    for await (const page of paginateDescribeSnapshots({ client }, { OwnerIds: ["self"] }))
      pages.push(page.Snapshots?.length ?? 0);
    expect(pages).toEqual([2, 1]);
  });

  it("resets the connection of a lost reply, after the effect or without it", async () => {
    for (const [action, effects] of [
      ["lose-before", 0],
      ["lose-after", 1],
      ["half-output", 1],
    ] as const) {
      const { client, heart } = await serveWorld();
      heart.addFault({ match: "CreateSnapshot", action });
      const error = await errorOf(client.send(new CreateSnapshotCommand({ VolumeId: "vol-server1-data" })));
      expect(error).toMatchObject({ code: "ECONNRESET" });
      expect(heart.effects).toHaveLength(effects);
      expect(heart.received).toHaveLength(1);
    }
  });

  it("keeps a call that hangs open until the caller gives up, and closes all the same", async () => {
    const { client, heart, server } = await serveWorld();
    heart.addFault({ match: "DescribeVolumes", action: "hang", times: 2 });
    const giveUp = new AbortController();
    const second = new Promise<void>((resolve) => {
      heart.listeners.add(({ received }) => {
        if (received?.n === 1) giveUp.abort();
        if (received?.n === 2) resolve();
      });
    });
    const call = client.send(new DescribeVolumesCommand({}), { abortSignal: giveUp.signal });
    expect((await errorOf(call)).name).toBe("AbortError");
    // The second one is still unanswered when the lab closes.
    const cut = errorOf(client.send(new DescribeVolumesCommand({})));
    await second;
    expect(heart.received.map((row) => row.reply)).not.toContain("sent");
    await server.close();
    expect(await cut).toMatchObject({ code: expect.stringMatching(/^ECONN/) as string });
    open.splice(0);
    client.destroy();
  });

  it("refuses what is not a POST, or far too large", async () => {
    const { server } = await serveWorld();
    expect((await fetch(server.url)).status).toBe(405);
    const large = await fetch(server.url, { method: "POST", body: "a".repeat(1024 * 1024 + 1) });
    expect(large.status).toBe(413);
  });
});

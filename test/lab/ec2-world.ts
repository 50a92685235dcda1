/** A small cloud for the tests of EC2's protocol: two nodes of three volumes, and the real client in front of it. */
import { EC2Client } from "@aws-sdk/client-ec2";
import { VirtualClock } from "../../src/lab/clock.ts";
import { Cloud, labAccessKey, type CloudOptions } from "../../src/lab/cloud.ts";
import { ec2Handler } from "../../src/lab/ec2.ts";
import { Heart, type Content } from "../../src/lab/world.ts";

export const zone = "ap-northeast-1a";

export function content(name: string, dirty = false): Content {
  return { kind: "mirror", data: { "/data/name": name }, control: {}, dirty };
}

/** The clock stands still but for `advance`, and calls take no time, unless the options say otherwise. */
export function makeWorld(options: CloudOptions = {}, clock = new VirtualClock({ drive: false })) {
  const heart = new Heart(clock);
  const cloud = new Cloud(heart, { latencyMs: 0, listLagSeconds: 0, stateLagSeconds: 0, ...options });
  const events: string[] = [];
  cloud.listen({
    poweredOn: (instance) => events.push(`on ${instance}`),
    shutdownAsked: (instance) => events.push(`asked ${instance}`),
    powerLost: (instance) => events.push(`lost ${instance}`),
  });
  for (const node of ["server1", "server2"]) {
    cloud.addInstance({
      id: `i-${node}`,
      name: node,
      zone,
      type: node === "server1" ? "m5.large" : "t2.medium",
      nvme: node === "server1",
      onGuestShutdown: "stop",
      tags: { cluster: "c1" },
      state: "running",
      ...(node === "server2" && { capacityReserved: true, autoScalingGroup: 'group <1> & "co"' }),
    });
    for (const [disk, device] of [
      ["root", "/dev/xvda"],
      ["data", "/dev/sdf"],
      ["more", "/dev/sdg"],
    ] as const) {
      const volume = cloud.addVolume({
        id: `vol-${node}-${disk}`,
        sizeGiB: disk === "root" ? 20 : 100,
        type: "gp3",
        zone,
        tags: { Name: `${node} ${disk}` },
        content: content(`${node} ${disk}`),
        ...(disk === "more" && { key: "arn:lab:key/1", iops: 4000, throughputMiBps: 250 }),
      });
      cloud.attach(`i-${node}`, volume, device);
    }
  }
  events.length = 0;
  return { heart, cloud, clock, events, client: clientOf(ec2Handler(cloud)) };
}

export function clientOf(requestHandler: ReturnType<typeof ec2Handler>, maxAttempts = 1): EC2Client {
  return new EC2Client({ ...basics, requestHandler, maxAttempts });
}

export function clientAt(endpoint: string): EC2Client {
  return new EC2Client({ ...basics, endpoint, maxAttempts: 1 });
}

const basics = {
  region: "ap-northeast-1",
  endpoint: "http://lab.invalid",
  credentials: { accessKeyId: labAccessKey, secretAccessKey: "none" },
};

/** The error that a call ends with. */
export async function errorOf(
  call: Promise<unknown>,
): Promise<Error & { $metadata?: { httpStatusCode?: number } }> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
  throw new Error("the call did not fail");
}

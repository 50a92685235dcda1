import { describe, expect, it } from "vitest";
import {
  CreateTagsCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  StartInstancesCommand,
} from "@aws-sdk/client-ec2";

import type { Policy, Statement } from "../../src/lab/iam.ts";
import { content, makeWorld, zone } from "./ec2-world.ts";

const arn = (resource: string) => `arn:aws:ec2:ap-northeast-1:*:${resource}`;
const allow = (action: string, resource: string, condition?: Statement["Condition"]): Statement => ({
  Sid: "One",
  Effect: "Allow",
  Action: [`ec2:${action}`],
  Resource: [resource],
  ...(condition && { Condition: condition }),
});
const policy = (...statements: Statement[]): Policy => ({ Version: "2012-10-17", Statement: statements });

describe("a policy in the lab", () => {
  const open = (given: Policy) => {
    const world = makeWorld({});
    world.cloud.policy = given;
    const tagged = (tags: { readonly [key: string]: string }) =>
      world.cloud.addVolume({ sizeGiB: 1, type: "gp3", zone, tags, content: content("new") });
    return { ...world, tagged };
  };
  const denied = { name: "UnauthorizedOperation" };

  it("lets nothing through that no statement allows, and says what was asked in EC2's words", async () => {
    const { client } = open(policy());
    await expect(client.send(new DescribeVolumesCommand({}))).rejects.toMatchObject({
      ...denied,
      message: expect.stringMatching(
        /^You are not authorized to perform this operation\. User: \S+ is not authorized to perform: ec2:DescribeVolumes on resource: \* because no identity-based policy/,
      ) as string,
    });
  });

  it("judges the region, the resource, and the tags on it", async () => {
    const here = { StringEquals: { "aws:RequestedRegion": "ap-northeast-1" } };
    const ours = { StringEquals: { "aws:ResourceTag/runbook:cluster": "prod" } };
    const { client, tagged } = open(
      policy(allow("DescribeVolumes", "*", here), allow("DeleteVolume", arn("volume/*"), ours)),
    );
    await client.send(new DescribeVolumesCommand({}));
    await client.send(new DeleteVolumeCommand({ VolumeId: tagged({ "runbook:cluster": "prod" }) }));
    for (const tags of [{}, { "runbook:cluster": "staging" }])
      await expect(client.send(new DeleteVolumeCommand({ VolumeId: tagged(tags) }))).rejects.toMatchObject(
        denied,
      );
  });

  it("judges every key of the tags that are set", async () => {
    const { client, tagged } = open(
      policy(
        allow("CreateTags", arn("volume/*"), { "ForAllValues:StringLike": { "aws:TagKeys": "runbook:*" } }),
      ),
    );
    const set = (...keys: string[]) =>
      client.send(
        new CreateTagsCommand({ Resources: [tagged({})], Tags: keys.map((Key) => ({ Key, Value: "x" })) }),
      );
    await set("runbook:a", "runbook:b");
    await expect(set("runbook:a", "Name")).rejects.toMatchObject(denied);
  });

  it("answers a dry run as the call itself, short of doing it", async () => {
    const { client, cloud } = open(policy());
    const start = () =>
      client.send(
        new StartInstancesCommand({ InstanceIds: [cloud.listInstances()[0]?.id ?? ""], DryRun: true }),
      );
    await expect(start()).rejects.toMatchObject(denied);
    cloud.policy = policy(allow("StartInstances", arn("instance/*")));
    await expect(start()).rejects.toMatchObject({ name: "DryRunOperation" });
  });

  it("refuses to judge by what it does not model", async () => {
    const { client } = open(
      policy(allow("DescribeVolumes", "*", { IpAddress: { "aws:SourceIp": "10.0.0.1" } })),
    );
    await expect(client.send(new DescribeVolumesCommand({}))).rejects.toThrow(
      /does not model the operator IpAddress/,
    );
  });
});

import { describe, expect, test } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import { canary, data, ec2Error, node, ordinary, Peer, root, StillClock } from "./aws-peer.ts";

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

describe("rights", () => {
  const ask = async (
    answer: (operation: string) => ReturnType<typeof ec2Error>,
    tags?: { readonly [key: string]: string },
  ) => {
    const peer = new Peer((sent) =>
      sent.form["DryRun"] === "true" ? answer(sent.operation) : ordinary(sent),
    );
    const { reads } = await open(peer);
    const found = await reads.findMissingRights({ instance: node, volumes: data, ...(tags ? { tags } : {}) });
    return { peer, found };
  };
  const granted = ec2Error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");

  test("are asked for by dry runs of the same requests, and nothing else is written", async () => {
    const { peer, found } = await ask(() => granted, { cluster: "c1" });
    expect(found).toEqual([]);
    const dry = peer.sent.filter((sent) => !sent.operation.startsWith("Describe"));
    expect(dry.map((sent) => [sent.operation, sent.form["DryRun"]])).toEqual([
      ["StartInstances", "true"],
      ["CreateSnapshots", "true"],
      ["CreateTags", "true"],
    ]);
    expect(dry[1]?.form).toMatchObject({
      "TagSpecification.1.Tag.1.Key": "cluster",
      "TagSpecification.1.Tag.1.Value": "c1",
    });
    expect(Object.values(dry[1]?.form ?? {})).not.toContain(root);
  });

  test("that are missing are one sentence each, naming the action that EC2 names", async () => {
    const { found } = await ask((operation) =>
      operation === "CreateSnapshots"
        ? ec2Error(
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation. User: arn:aws:iam::000000000000:user/op is not authorized to perform: ec2:CreateTags on resource: arn:aws:ec2:eu-west-1::snapshot/* because no policy allows it. Encoded authorization failure message: QUJD",
          )
        : operation === "CreateTags"
          ? ec2Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
          : granted,
    );
    expect(found).toEqual([
      `ec2:CreateSnapshots on ${data.join(", ")} is not allowed, for want of ec2:CreateTags on arn:aws:ec2:eu-west-1::snapshot/*`,
      `ec2:CreateTags on ${data.join(", ")} is not allowed`,
    ]);
  });

  test("that could not be proven are said to be so", async () => {
    const { found } = await ask((operation) =>
      operation === "StartInstances"
        ? ec2Error(400, "IncorrectInstanceState", "The instance is stopping.")
        : granted,
    );
    expect(found).toEqual([expect.stringMatching(/^could not be proven: ec2:StartInstances on i-/)]);
  });

  test.each([
    ["RequestLimitExceeded", 503, "unavailable"],
    ["InternalError", 500, "unavailable"],
    ["AuthFailure", 401, "denied"],
  ])("are not judged by %s", async (code, status, kind) => {
    expect(await failureOf(ask(() => ec2Error(status, code)))).toMatchObject({ kind, happened: "no" });
  });

  test("a peer that carries out a dry run is found out", async () => {
    const peer = new Peer(ordinary);
    const { reads } = await open(peer);
    const failure = await failureOf(reads.findMissingRights({ instance: node, volumes: [data[0]] }));
    expect(failure).toMatchObject({ kind: "unsupported", happened: "said" });
    expect(peer.sent.filter((sent) => !sent.operation.startsWith("Describe"))).toHaveLength(1);
  });
});

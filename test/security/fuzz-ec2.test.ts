/** Replies of EC2, recorded and then changed, through the real client: the driver answers from them, or refuses in words. */
import fc from "fast-check";
import { expect, test, vi } from "vitest";

import { openAws } from "../../src/drivers/aws/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import { canary, data, ec2Error, fixture, node, ordinary, Peer, StillClock } from "../drivers/aws-peer.ts";
import { cases, patience } from "./cases.ts";
import { hostileText } from "./hostile.ts";
import { mutatedText } from "./mutate.ts";

const peer = new Peer(ordinary);
const driver = () =>
  openAws({ region: "eu-west-1", credentials: canary, requestHandler: peer, clock: new StillClock() });

type Read = (cloud: CloudDriver) => Promise<unknown>;
const reads: readonly (readonly [string, string, Read])[] = [
  ["DescribeInstances", "describe-instances.xml", (cloud) => cloud.reads.getInstance(node)],
  ["DescribeInstances", "describe-instances.xml", (cloud) => cloud.reads.getPower(node)],
  ["DescribeInstanceAttribute", "describe-instance-attribute.xml", (cloud) => cloud.reads.getInstance(node)],
  ["DescribeInstanceTypes", "describe-instance-types.xml", (cloud) => cloud.reads.getInstance(node)],
  ["DescribeVolumes", "describe-volumes.xml", (cloud) => cloud.reads.getVolumes([...data])],
  ["DescribeVolumes", "describe-volumes.xml", (cloud) => cloud.reads.getInstance(node)],
  [
    "DescribeSnapshots",
    "describe-snapshots-2.xml",
    (cloud) => cloud.reads.findSnapshots({ "runbook:operation": "8f3a/cut" }),
  ],
];
const replies = reads.map(([operation, file, read]) =>
  mutatedText(fixture(file).body).map((body) => ({ operation, read, body })),
);

test("a list that was changed is answered from what it says, or refused in words", patience, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(...replies),
      fc.constantFrom(200, 200, 200, 400, 503),
      async (reply, status) => {
        const { operation, body } = reply;
        let told = "";
        peer.answer = (sent) => {
          const answered = sent.operation === operation ? { status, body } : ordinary(sent);
          told += answered.body;
          return answered;
        };
        const answer = await answerOf(async () => reply.read(await driver()));
        if (answer === refused) return;
        for (const word of statesIn(answer)) expect(told, `it claims "${word}"`).toContain(word);
      },
    ),
    cases(0.03),
  );
});

test("an error in any words is refused in ours, with no secret and on one line", patience, async () => {
  const secrets = [canary.secretAccessKey, canary.sessionToken];
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.constantFrom("InvalidParameterValue", "IncorrectState", "New.Code"), hostileText),
      hostileText,
      fc.constantFrom(400, 403, 500, 503, 200),
      async (code, words, status) => {
        const said = escaped(`${words} ${secrets.join(" ")} ${words}`);
        peer.answer = () => ec2Error(status, escaped(code), said);
        const opened = await driver();
        for (const act of [
          () => opened.reads.getPower(node),
          () => opened.send(opened.requests.stopInstance({ instance: node }), { limitMs: 1000 }),
        ]) {
          const thrown = await failureOf(act);
          const all = JSON.stringify([thrown.message, thrown.hint, thrown.answer]);
          for (const secret of secrets) expect(all).not.toContain(secret);
          expect(thrown.message).not.toMatch(/[\n\r]/);
          expect(thrown.message.length).toBeLessThan(1000);
        }
      },
    ),
    cases(0.01),
  );
});

test("keys that the SDK found by itself are in no message either", async () => {
  vi.stubEnv("AWS_ACCESS_KEY_ID", canary.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", canary.secretAccessKey);
  vi.stubEnv("AWS_SESSION_TOKEN", canary.sessionToken);
  peer.answer = () =>
    ec2Error(400, "New.Code", `it was ${canary.secretAccessKey} and ${canary.sessionToken}`);
  const opened = await openAws({ region: "eu-west-1", requestHandler: peer, clock: new StillClock() });
  const thrown = await failureOf(() => opened.reads.getPower(node));
  vi.unstubAllEnvs();
  expect(thrown.message).toContain("it was *** and ***");
});

const refused = Symbol("refused");

async function answerOf(act: () => Promise<unknown>): Promise<unknown> {
  try {
    return await act();
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown;
    expect(thrown.kind, `${thrown.message} (${String(thrown.cause)})`).not.toBe("bug");
    return refused;
  }
}

async function failureOf(act: () => Promise<unknown>): Promise<Failure> {
  const thrown = await act().then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(thrown).toBeInstanceOf(Failure);
  expect((thrown as Failure).kind).not.toBe("bug");
  return thrown as Failure;
}

/** The words by which a run decides. */
function statesIn(answer: unknown): readonly string[] {
  if (Array.isArray(answer)) return answer.flatMap(statesIn);
  if (typeof answer !== "object" || answer === null) return [];
  return Object.entries(answer).flatMap(([key, value]) =>
    key === "state" && typeof value === "string" && value !== "error" ? [value] : statesIn(value),
  );
}

/** As it may stand in XML. */
function escaped(text: string): string {
  return (
    text
      .replace(/\p{Surrogate}/gu, "")
      // eslint-disable-next-line no-control-regex -- control characters are what is taken out
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
      .replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)
  );
}

/**
 * A peer of the EC2 driver inside this process: answers what a test tells it and writes down what was sent, as it
 * stood in the form body. The replies are files of fixtures/aws. It keeps no state; the lab's EC2 does.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../../src/ports/clock.ts";

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}
export interface Sent {
  readonly operation: string;
  readonly form: { readonly [key: string]: string };
}
/** A reply, an error of the network, or "hang" for none at all. */
type Answerer = (sent: Sent, n: number) => HttpReply | Error | "hang";

interface SmithyRequest {
  readonly body: string;
  readonly headers: { readonly [name: string]: string };
}

export class Peer {
  readonly sent: Sent[] = [];
  answer: Answerer;

  constructor(answer: Answerer) {
    this.answer = answer;
  }

  handle(request: SmithyRequest): Promise<{ response: unknown }> {
    const {
      Action: operation = "",
      Version: _version,
      ...form
    } = Object.fromEntries(new URLSearchParams(request.body));
    const sent: Sent = { operation, form };
    this.sent.push(sent);
    const reply = this.answer(sent, this.sent.length);
    if (reply === "hang") return new Promise(() => undefined);
    if (reply instanceof Error) return Promise.reject(reply);
    const body = new TextEncoder().encode(reply.body);
    return Promise.resolve({ response: { statusCode: reply.status, headers: {}, body } });
  }
}

export function fixture(name: string, status = 200): HttpReply {
  return { status, body: readFileSync(new URL(`../../fixtures/aws/${name}`, import.meta.url), "utf8") };
}

export function ec2Error(status: number, code: string, message = "Something was wrong."): HttpReply {
  const { body } = fixture("error.xml", status);
  // The comment at the head of the file names the two holes as well.
  const at = body.indexOf("<Response>");
  return { status, body: body.slice(at).replace("CODE", code).replace("MESSAGE", message) };
}

/** What EC2 would say to the reads of one stopped node with a root and two data volumes. */
export function ordinary(sent: Sent): HttpReply {
  switch (sent.operation) {
    case "DescribeInstances":
      return fixture("describe-instances.xml");
    case "DescribeInstanceAttribute":
      return fixture("describe-instance-attribute.xml");
    case "DescribeInstanceTypes":
      return fixture("describe-instance-types.xml");
    case "DescribeVolumes":
      return fixture("describe-volumes.xml");
    case "DescribeSnapshots":
      return fixture(
        sent.form["NextToken"] === undefined ? "describe-snapshots-1.xml" : "describe-snapshots-2.xml",
      );
    case "StartInstances":
      return fixture("start-instances.xml");
    case "StopInstances":
      return fixture("stop-instances.xml");
    case "CreateSnapshot":
      return fixture("create-snapshot.xml");
    case "CreateSnapshots":
      return fixture("create-snapshots.xml");
    case "CreateTags":
      return fixture("create-tags.xml");
    default:
      return ec2Error(400, "InvalidAction");
  }
}

/** A clock that stands still until a test lets every sleeper wake. */
export class StillClock implements Clock {
  readonly sleeping: { readonly ms: number; readonly wake: () => void }[] = [];

  now(): number {
    return 0;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { ms, wake: resolve };
      this.sleeping.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.sleeping.splice(this.sleeping.indexOf(sleeper), 1);
        reject(new Error("woken early"));
      });
    });
  }
  wakeAll(): void {
    for (const sleeper of this.sleeping.splice(0)) sleeper.wake();
  }
}

export const node = "i-0a000000000000002";
export const root = "vol-0a000000000000011";
export const data = ["vol-0a000000000000012", "vol-0a000000000000013"] as const;

/** Not keys of anybody: only their absence from messages is looked for. */
export const canary = {
  accessKeyId: "CANARYKEYID",
  secretAccessKey: "canary-secret-key",
  sessionToken: "canary-session-token",
};

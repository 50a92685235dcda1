/** The driver with the SDK's own HTTP handler, against a loopback server that misbehaves. */
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { systemClock } from "../../src/drivers/clock/system.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import { canary, data, ec2Error, fixture, node } from "./aws-peer.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** The driver, and how many requests arrived. */
async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  settings: { readonly requestTimeoutMs?: number } = {},
): Promise<{ driver: CloudDriver; arrived: () => number }> {
  let arrived = 0;
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      arrived += 1;
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  const driver = await openAws({
    region: "eu-west-1",
    endpoint,
    credentials: canary,
    clock: systemClock(),
    ...settings,
  });
  closers.push(async () => {
    await driver.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { driver, arrived: () => arrived };
}
const cut = (driver: CloudDriver, limitMs = 60_000) =>
  driver
    .send(
      driver.requests.createSnapshotSet({
        instance: node,
        volumes: [data[0]],
        otherVolumes: [],
        description: "d",
        tags: { a: "b" },
      }),
      { limitMs },
    )
    .then(
      (answer) => answer,
      (failure: unknown) => failure as Failure,
    );

test("a reply is read from a real connection", async () => {
  const { driver } = await serve((_request, response) => response.end(fixture("create-snapshot.xml").body));
  expect(await cut(driver)).toMatchObject({ code: 200 });
  expect(await driver.endpoint()).toMatch(/^ec2 eu-west-1 \(http:\/\/127\.0\.0\.1:\d+\)$/);
});

test("a write whose connection is reset after it arrived was sent once, and may have happened", async () => {
  const { driver, arrived } = await serve((request) => request.socket.destroy());
  expect(await cut(driver)).toMatchObject({ kind: "unavailable", happened: "maybe" });
  expect(arrived()).toBe(1);
});

test("a read whose connection is reset is not repeated by the SDK either", async () => {
  const { driver, arrived } = await serve((request) => request.socket.destroy());
  const failure: unknown = await driver.reads.getVolumes(data).catch((thrown: unknown) => thrown);
  expect(failure).toMatchObject({ kind: "unavailable", happened: "no" });
  expect(arrived()).toBe(1);
});

test.each([
  ["ServiceUnavailable", "maybe"],
  ["RequestLimitExceeded", "no"],
])("a write that is answered 503 %s was sent once, and happened: %s", async (code, happened) => {
  const { driver, arrived } = await serve((_request, response) => {
    response.writeHead(503).end(ec2Error(503, code).body);
  });
  expect(await cut(driver)).toMatchObject({ kind: "unavailable", happened });
  expect(arrived()).toBe(1);
});

test("a write that is never answered ends at the shorter of its limit and the driver's", async () => {
  const silent = await serve(() => undefined, { requestTimeoutMs: 40 });
  expect(await cut(silent.driver)).toMatchObject({ kind: "unavailable", happened: "maybe" });
  const limited = await serve(() => undefined);
  expect(await cut(limited.driver, 40)).toMatchObject({ kind: "unavailable", happened: "maybe" });
  expect([silent.arrived(), limited.arrived()]).toEqual([1, 1]);
});

test("a reply whose body never ends is ended too", async () => {
  const { driver } = await serve((_request, response) => response.writeHead(200).write("<Create"));
  expect(await cut(driver, 60)).toMatchObject({ kind: "unavailable", happened: "maybe" });
});

test("a reply that is cut in the middle leaves a write unknown", async () => {
  const { driver } = await serve((request, response) => {
    response.writeHead(200, { "content-length": "1000" }).write("<Create", () => request.socket.destroy());
  });
  expect(await cut(driver)).toMatchObject({ kind: "unavailable", happened: "maybe" });
});

test("a refused connection means that nothing was sent", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const endpoint = `http://127.0.0.1:${String(port)}`;
  const driver = await openAws({ region: "eu-west-1", endpoint, credentials: canary, clock: systemClock() });
  const failure = await cut(driver);
  expect(failure).toMatchObject({ kind: "unavailable", happened: "no" });
  expect((failure as Failure).message).toContain(endpoint);
  await driver.close();
});

test("speaking TLS to what has none means that nothing was sent", async () => {
  const { driver } = await serve(() => undefined);
  const endpoint = /\((.*)\)/.exec(await driver.endpoint())?.[1]?.replace("http:", "https:") ?? "";
  const trusting = await openAws({
    region: "eu-west-1",
    endpoint,
    credentials: canary,
    clock: systemClock(),
  });
  expect(await cut(trusting)).toMatchObject({ kind: "unavailable", happened: "no" });
  await trusting.close();
});

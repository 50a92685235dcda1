import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { Failure } from "../../src/errors.ts";
import type { CloudDriver } from "../../src/ports/cloud.ts";
import type { Request } from "../../src/ports/driver.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { canary, data, ec2Error, fixture, node, ordinary, Peer, StillClock } from "./aws-peer.ts";

const limitMs = 60_000;
const clock = new StillClock();

async function open(peer: Peer): Promise<CloudDriver> {
  return openAws({ region: "eu-west-1", credentials: canary, requestHandler: peer, clock });
}
async function failureOf(act: Promise<unknown>): Promise<Failure> {
  const thrown: unknown = await act.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(Failure);
  return thrown as Failure;
}
const start = (driver: CloudDriver, signal?: AbortSignal) =>
  driver.send(driver.requests.startInstance({ instance: node }), { limitMs, signal });

describe("what EC2 answers", () => {
  const rows: readonly (readonly [string, number, Failure["kind"], Failure["happened"]])[] = [
    ["RequestLimitExceeded", 503, "unavailable", "no"],
    ["Throttling", 400, "unavailable", "no"],
    ["ThrottlingException", 400, "unavailable", "no"],
    ["EC2ThrottledException", 400, "unavailable", "no"],
    ["RequestThrottled", 400, "unavailable", "no"],
    ["BandwidthLimitExceeded", 400, "unavailable", "no"],
    ["SnapshotCreationPerVolumeRateExceeded", 400, "unavailable", "no"],
    ["ConcurrentTagAccess", 400, "unavailable", "no"],
    ["ConcurrentSnapshotLimitExceeded", 400, "precondition", "no"],
    ["PendingSnapshotLimitExceeded", 400, "precondition", "no"],
    ["SnapshotLimitExceeded", 400, "precondition", "no"],
    ["VolumeLimitExceeded", 400, "precondition", "no"],
    ["MaxIOPSLimitExceeded", 400, "precondition", "no"],
    ["ResourceLimitExceeded", 400, "precondition", "no"],
    ["AttachmentLimitExceeded", 400, "precondition", "no"],
    ["IncorrectState", 400, "precondition", "no"],
    ["IncorrectInstanceState", 400, "precondition", "no"],
    ["IncorrectModificationState", 400, "conflict", "no"],
    ["VolumeInUse", 400, "conflict", "no"],
    ["InvalidSnapshot.InUse", 400, "conflict", "no"],
    ["IdempotentParameterMismatch", 400, "conflict", "no"],
    ["InvalidAttachment.NotFound", 400, "not-found", "no"],
    ["InvalidVolume.ZoneMismatch", 400, "invalid", "no"],
    ["InvalidZone.NotFound", 400, "invalid", "no"],
    ["VolumeTypeNotAvailableInZone", 400, "unsupported", "no"],
    ["InsufficientInstanceCapacity", 500, "unavailable", "no"],
    ["InsufficientVolumeCapacity", 500, "unavailable", "no"],
    ["InvalidSnapshot.NotFound", 400, "not-found", "no"],
    ["InvalidVolume.NotFound", 400, "not-found", "no"],
    ["InvalidInstanceID.NotFound", 400, "not-found", "no"],
    ["InvalidInstanceID.Malformed", 400, "invalid", "no"],
    ["InvalidSnapshotID.Malformed", 400, "invalid", "no"],
    ["InvalidVolumeID.Malformed", 400, "invalid", "no"],
    ["UnauthorizedOperation", 403, "denied", "no"],
    ["AccessDenied", 403, "denied", "no"],
    ["AccessDeniedException", 403, "denied", "no"],
    ["AuthFailure", 401, "denied", "no"],
    ["RequestExpired", 400, "denied", "no"],
    ["SignatureDoesNotMatch", 403, "denied", "no"],
    ["InvalidClientTokenId", 403, "denied", "no"],
    ["MissingAuthenticationToken", 403, "denied", "no"],
    ["ExpiredToken", 400, "denied", "no"],
    ["ExpiredTokenException", 400, "denied", "no"],
    ["OptInRequired", 401, "denied", "no"],
    ["OperationNotPermitted", 400, "denied", "no"],
    ["CustomerKeyHasBeenRevoked", 400, "denied", "no"],
    ["TagPolicyViolation", 400, "denied", "no"],
    ["TagLimitExceeded", 400, "precondition", "no"],
    ["UnsupportedOperation", 400, "unsupported", "no"],
    ["Unsupported", 400, "unsupported", "no"],
    ["InvalidAction", 400, "unsupported", "no"],
    ["InternalError", 500, "unavailable", "maybe"],
    ["InternalFailure", 500, "unavailable", "maybe"],
    ["ServiceUnavailable", 503, "unavailable", "maybe"],
    ["Unavailable", 503, "unavailable", "maybe"],
    // Not in the table: by form and by class.
    ["InvalidKeyPair.NotFound", 400, "not-found", "no"],
    ["InvalidGroupId.Malformed", 400, "invalid", "no"],
    ["IncompleteSignature", 400, "denied", "no"],
    ["InvalidNextToken", 400, "invalid", "no"],
    ["TooManyRequests", 429, "unavailable", "no"],
    ["InvalidParameterValue", 400, "invalid", "no"],
    ["constructor", 400, "invalid", "no"],
    ["SomethingNew", 500, "unavailable", "maybe"],
  ];

  test.each(rows)("%s (%i) is %s, and a write happened: %s", async (code, status, kind, happened) => {
    const peer = new Peer(() => ec2Error(status, code, "The thing 'i-1' is odd."));
    const driver = await open(peer);
    const failure = await failureOf(start(driver));
    expect(failure).toMatchObject({ kind, happened, answer: { code: status } });
    expect(failure.message).toContain(`StartInstances of ${node}: `);
    expect(failure.message).toMatch(new RegExp(`\\(${code}\\)$`));
    expect(failure.cause).toMatchObject({ name: code });
    expect(peer.sent).toHaveLength(1);
    expect(await failureOf(driver.reads.getVolumes(data))).toMatchObject({ kind, happened: "no" });
    expect(peer.sent).toHaveLength(2);
  });

  test("what one code means for an operation is told in its hint", async () => {
    const hintOf = async (code: string, message: string, write: (driver: CloudDriver) => Request) => {
      const driver = await open(new Peer(() => ec2Error(400, code, message)));
      const failure = await failureOf(driver.send(write(driver), { limitMs }));
      return [failure.kind, failure.hint ?? "no hint"];
    };
    const [volume] = data;
    const where = { volume, instance: node };
    const attach = (driver: CloudDriver) => driver.requests.attachVolume({ ...where, device: "/dev/sdf" });
    const detach = (driver: CloudDriver) => driver.requests.detachVolume(where);
    const remove = (driver: CloudDriver) => driver.requests.deleteVolume({ volume });
    const make = (driver: CloudDriver) =>
      driver.requests.createVolume({
        snapshot: "snap-1",
        zone: "eu-west-1a",
        sizeGiB: 1,
        type: "gp3",
        encrypted: false,
        token: "t",
        tags: { a: "b" },
      });
    const rows: readonly (readonly [string, string, (driver: CloudDriver) => Request, string, RegExp])[] = [
      [
        "VolumeInUse",
        "vol-1 is already attached to an instance",
        attach,
        "conflict",
        /which instance and device/,
      ],
      ["VolumeInUse", "Volume vol-1 is currently attached to i-1", remove, "conflict", /detach it/],
      [
        "IncorrectState",
        "Volume 'vol-1' is in the 'available' state.",
        detach,
        "precondition",
        /attached to nothing/,
      ],
      [
        "IncorrectState",
        "Snapshot is in invalid state - pending",
        make,
        "precondition",
        /completed snapshot/,
      ],
      [
        "IncorrectState",
        "Instance 'i-1' is not 'running' or 'stopped'.",
        attach,
        "precondition",
        /running or stopped/,
      ],
      ["InvalidVolume.ZoneMismatch", "x", attach, "invalid", /different zones/],
      ["VolumeLimitExceeded", "x", make, "precondition", /look by its tags/],
      ["IdempotentParameterMismatch", "x", make, "conflict", /another token/],
      ["AttachmentLimitExceeded", "x", attach, "precondition", /as many disks/],
      ["InvalidAttachment.NotFound", "x", detach, "not-found", /look where it is/],
      [
        "InvalidParameterValue",
        "Invalid value '/dev/sdb' for unixDevice. Attachment point /dev/sdb is already in use",
        attach,
        "conflict",
        /not detached yet/,
      ],
      ["InvalidParameterValue", "Something else is wrong", attach, "invalid", /^no hint$/],
      [
        "InvalidSnapshot.InUse",
        "The snapshot snap-1 is currently in use by ami-1",
        (driver) => driver.requests.deleteSnapshot({ snapshot: "snap-1" }),
        "conflict",
        /switch the other off in every zone/,
      ],
    ];
    for (const [code, message, write, kind, hint] of rows)
      expect(await hintOf(code, message, write), code).toEqual([kind, expect.stringMatching(hint)]);
  });

  test("a message is EC2's, in one line, without its capital and its full stop", async () => {
    const text = "The instance ID 'i-1'\n does not exist.";
    const failure = await failureOf(
      start(await open(new Peer(() => ec2Error(400, "InvalidInstanceID.NotFound", text)))),
    );
    expect(failure.message).toBe(
      `StartInstances of ${node}: the instance ID 'i-1' does not exist (InvalidInstanceID.NotFound)`,
    );
  });

  test("a missing right is named by its action, without EC2's page of encoded policy", async () => {
    const encoded =
      "You are not authorized to perform this operation. Encoded authorization failure message: QUJDREVG";
    const peer = new Peer(() => ec2Error(403, "UnauthorizedOperation", encoded));
    const failure = await failureOf(start(await open(peer)));
    expect(failure.message).toBe(
      `StartInstances of ${node}: ec2:StartInstances is not allowed (UnauthorizedOperation)`,
    );
    peer.answer = () =>
      ec2Error(
        403,
        "UnauthorizedOperation",
        "User x is not authorized to perform: ec2:CreateTags on resource: y",
      );
    expect((await failureOf(start(await open(peer)))).message).toContain("ec2:CreateTags is not allowed");
  });

  test("no message, hint or answer repeats a secret, whatever EC2 echoes", async () => {
    const echo = `The Canonical String should have been x-amz-security-token:${canary.sessionToken} ${canary.secretAccessKey}`;
    for (const code of [
      "SignatureDoesNotMatch",
      "AuthFailure",
      "InvalidParameterValue",
      "InternalError",
      "NewSignatureRule",
    ]) {
      const driver = await open(new Peer(() => ec2Error(403, code, echo)));
      for (const failure of [
        await failureOf(start(driver)),
        await failureOf(driver.reads.getVolumes(data)),
      ]) {
        const said = [failure.message, failure.hint, failure.answer?.text].join(" ");
        for (const secret of [canary.secretAccessKey, canary.sessionToken])
          expect(said).not.toContain(secret);
      }
    }
  });

  test.each([
    ["a page", fixture("proxy-page.html", 502)],
    ["a page", fixture("proxy-page.html", 200)],
    ["a well-formed page", fixture("proxy-page.xhtml", 502)],
    ["a well-formed page", fixture("proxy-page.xhtml", 403)],
    ["a well-formed page", fixture("proxy-page.xhtml", 200)],
    ["nothing", { status: 503, body: "" }],
    ["nothing", { status: 200, body: "" }],
    ["a cut reply", { status: 200, body: fixture("start-instances.xml").body.slice(0, 400) }],
  ])("a write that is answered by %s may have happened", async (_what, reply) => {
    const failure = await failureOf(start(await open(new Peer(() => reply))));
    expect(failure).toMatchObject({ kind: "unavailable", happened: "maybe", answer: { code: reply.status } });
    expect(JSON.stringify([failure.message, failure.answer])).not.toContain("proxy");
  });
});

describe("what the network does", () => {
  const system = (code: string, syscall: string, name = "Error") =>
    Object.assign(new Error(`${syscall} ${code}`), { code, syscall, name });
  const rows: readonly (readonly [string, Error, Failure["kind"], Failure["happened"]])[] = [
    ["refused", system("ECONNREFUSED", "connect"), "unavailable", "no"],
    ["without a route", system("EHOSTUNREACH", "connect"), "unavailable", "no"],
    ["out of time while connecting", system("ETIMEDOUT", "connect", "TimeoutError"), "unavailable", "no"],
    [
      "out of the SDK's time while connecting",
      Object.assign(new Error("the request socket did not establish a connection with the server"), {
        name: "TimeoutError",
      }),
      "unavailable",
      "no",
    ],
    ["without a name", system("ENOTFOUND", "getaddrinfo"), "unavailable", "no"],
    ["without a name server", system("EAI_AGAIN", "getaddrinfo"), "unavailable", "no"],
    [
      "refused by each address",
      Object.assign(
        new AggregateError([system("ECONNREFUSED", "connect"), system("ENETUNREACH", "connect")]),
        {
          code: "ECONNREFUSED",
        },
      ),
      "unavailable",
      "no",
    ],
    [
      "without trust",
      Object.assign(new Error("x"), { code: "SELF_SIGNED_CERT_IN_CHAIN" }),
      "unavailable",
      "no",
    ],
    ["reset", system("ECONNRESET", "read", "TimeoutError"), "unavailable", "maybe"],
    [
      "hung up on",
      Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }),
      "unavailable",
      "maybe",
    ],
    ["broken", system("EPIPE", "write"), "unavailable", "maybe"],
    [
      "out of time",
      Object.assign(new Error("x"), { name: "TimeoutError", code: "ETIMEDOUT" }),
      "unavailable",
      "maybe",
    ],
    [
      "out of time, nobody says whose",
      Object.assign(new Error("x"), { name: "TimeoutError" }),
      "unavailable",
      "maybe",
    ],
    ["no network's error at all", new TypeError("x is not a function"), "bug", "maybe"],
  ];
  test.each(rows)(
    "a write that is %s is sent once, and is known to have happened or not",
    async (_how, error, kind, happened) => {
      const peer = new Peer(() => error);
      const driver = await open(peer);
      expect(await failureOf(start(driver))).toMatchObject({ kind, happened, cause: error });
      expect(peer.sent).toHaveLength(1);
      expect(await failureOf(driver.reads.getVolumes(data))).toMatchObject({ kind, happened: "no" });
      expect(peer.sent).toHaveLength(2);
    },
  );

  test("missing credentials are a denial that says where they come from", async () => {
    const error = Object.assign(new Error("x"), { name: "CredentialsProviderError" });
    const failure = await failureOf(start(await open(new Peer(() => error))));
    expect(failure).toMatchObject({ kind: "denied", happened: "no" });
    expect(failure.hint).toContain("AWS_PROFILE");
  });
});

describe("limits", () => {
  test("a call that is never answered ends at its limit, on our clock", async () => {
    const still = new StillClock();
    const peer = new Peer(() => "hang");
    const driver = await openAws({
      region: "eu-west-1",
      credentials: canary,
      requestHandler: peer,
      clock: still,
      requestTimeoutMs: 45_000,
    });
    const write = failureOf(
      driver.send(driver.requests.startInstance({ instance: node }), { limitMs: 20_000 }),
    );
    const read = failureOf(driver.reads.getVolumes(data));
    await vi.waitFor(() => expect(peer.sent).toHaveLength(2));
    expect(still.sleeping.map(({ ms }) => ms)).toEqual([20_000, 45_000]);
    still.wakeAll();
    expect(await write).toMatchObject({ kind: "unavailable", happened: "maybe" });
    expect(await read).toMatchObject({ kind: "unavailable", happened: "no" });
  });

  test("a call that was answered leaves no sleeper behind", async () => {
    const still = new StillClock();
    const driver = await openAws({
      region: "eu-west-1",
      credentials: canary,
      requestHandler: new Peer(ordinary),
      clock: still,
    });
    await start(driver);
    await driver.reads.getInstance(node);
    expect(still.sleeping).toEqual([]);
  });

  test("a virtual clock does not run ahead while a call is answered", async () => {
    const virtual = new VirtualClock();
    const began = virtual.now();
    const driver = await openAws({
      region: "eu-west-1",
      credentials: canary,
      requestHandler: new Peer(ordinary),
      clock: virtual,
    });
    for (let n = 0; n < 20; n += 1) await driver.reads.getInstance(node);
    expect(virtual.now()).toBe(began);
  });

  test("a caller's signal ends a call, which may have happened if it was sent", async () => {
    const peer = new Peer(() => "hang");
    const driver = await open(peer);
    const stop = new AbortController();
    const begun = failureOf(start(driver, stop.signal));
    await vi.waitFor(() => expect(peer.sent).toHaveLength(1));
    stop.abort();
    expect(await begun).toMatchObject({ kind: "aborted", happened: "maybe" });
    expect(await failureOf(start(driver, stop.signal))).toMatchObject({ kind: "aborted", happened: "no" });
    expect(peer.sent).toHaveLength(1);
  });
});

describe("where it speaks to", () => {
  const names = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_CONFIG_FILE", "AWS_PROFILE"];
  beforeEach(() => {
    for (const name of names) vi.stubEnv(name, undefined);
    vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent/config");
  });
  afterEach(() => vi.unstubAllEnvs());
  const endpointOf = async (endpoint?: string) => {
    const settings = { region: "eu-west-1", credentials: canary, requestHandler: new Peer(ordinary), clock };
    return (await openAws({ ...settings, ...(endpoint === undefined ? {} : { endpoint }) })).endpoint();
  };

  test("is the region's own endpoint, unless the setting or the environment says another", async () => {
    expect(await endpointOf()).toBe("ec2 eu-west-1 (https://ec2.eu-west-1.amazonaws.com)");
    vi.stubEnv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/all");
    expect(await endpointOf()).toBe("ec2 eu-west-1 (http://127.0.0.1:4566/all)");
    vi.stubEnv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:4567");
    expect(await endpointOf()).toBe("ec2 eu-west-1 (http://127.0.0.1:4567)");
    expect(await endpointOf("http://127.0.0.1:4568")).toBe("ec2 eu-west-1 (http://127.0.0.1:4568)");
  });

  test("shows no password of an endpoint, and refuses what is none", async () => {
    expect(await endpointOf("http://user:canary-password@127.0.0.1:4568")).not.toContain("canary");
    const failure = await failureOf(endpointOf("not an address"));
    expect(failure).toMatchObject({ kind: "invalid", happened: "no" });
    const noHandler = await openAws({ region: "eu-west-1", requestHandler: {}, clock });
    expect((await failureOf(noHandler.endpoint())).kind).toBe("invalid");
  });

  test("no call of an in-process peer uses a timer", async () => {
    const timer = vi.spyOn(globalThis, "setTimeout");
    try {
      const driver = await open(new Peer(ordinary));
      await driver.reads.getInstance(node);
      await start(driver);
      await failureOf(start(await open(new Peer(() => ec2Error(503, "RequestLimitExceeded")))));
      expect(timer).not.toHaveBeenCalled();
    } finally {
      timer.mockRestore();
    }
  });
});

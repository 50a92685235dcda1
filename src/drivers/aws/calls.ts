/**
 * The one way out to EC2: an SDK client, a limit for each call, and its errors as Failures.
 *
 * The limit is kept on our clock, beside the SDK's own socket time-outs: those end when the headers of a reply
 * have come, so a body that never ends would hang for ever, and in the lab time is virtual.
 */
import { createRequire } from "node:module";
import type { EC2Client, EC2ClientConfig } from "@aws-sdk/client-ec2";
import { Failure } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import { refusedIn, translate, unreadable } from "./errors.ts";
import type { Call, Refused } from "./errors.ts";

const require = createRequire(import.meta.url);

export interface AwsSettings {
  readonly region: string;
  readonly endpoint?: string;
  /** Profile of the shared AWS configuration files. */
  readonly profile?: string;
  /** A smithy HttpHandler that answers inside this process (the lab, tests). */
  readonly requestHandler?: unknown;
  /** Without them the SDK's own chain is asked (environment, files, instance role). */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  readonly clock: Clock;
  readonly connectionTimeoutMs?: number;
  /** Bound of every read; writes are bound by their contract, or by this if it is shorter. */
  readonly requestTimeoutMs?: number;
}

export type Sdk = typeof import("@aws-sdk/client-ec2");

/** What `client.send` takes beside the command. */
export interface HandlerOptions {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
}
type Send<T> = (client: EC2Client, options: HandlerOptions) => Promise<T>;

export interface Calls {
  readonly sdk: Sdk;
  readonly endpoint: string;
  /** A call that changes nothing (a dry run is one). */
  read<T>(what: About, send: Send<T>): Promise<T>;
  write<T>(
    what: About,
    limits: { limitMs: number; signal?: AbortSignal | undefined },
    send: Send<T>,
  ): Promise<T>;
  /** All pages of a list. */
  pages<P extends { NextToken?: string | undefined }, T>(
    what: About,
    send: (token: string | undefined) => Send<P>,
    items: (page: P) => readonly T[] | undefined,
  ): Promise<readonly T[]>;
  /** For a part that every reply of EC2 has: without it, it was some other machine that answered. */
  present<T>(value: T | null | undefined, what: About, write?: { readonly code: number | undefined }): T;
  /** The failure of a write whose reply is a success by its status and holds refusals. */
  refused(what: About, code: number | undefined, refused: readonly Refused[]): Failure;
  close(): void;
}

export interface About {
  readonly operation: string;
  /** The ids it is about; none for a search. */
  readonly ids: readonly string[];
}

/** Loaded when a cloud is called first. It is CommonJS, which a require loads faster than an import. */
export function loadSdk(): Sdk {
  // The SDK tells Node 20 users on stderr to upgrade; our versions are pinned (package.json), and stderr is ours.
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] = "true";
  return require("@aws-sdk/client-ec2") as Sdk;
}

export async function openCalls(settings: AwsSettings): Promise<Calls> {
  const sdk = loadSdk();
  const requestTimeoutMs = settings.requestTimeoutMs ?? 30_000;
  const config: EC2ClientConfig = {
    region: settings.region,
    // Retrying is the layers' work: an SDK that repeats CreateSnapshot by itself makes a second set.
    maxAttempts: 1,
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
  };
  const endpoint = await endpointInForce(sdk, config);
  const client = new sdk.EC2Client({
    ...config,
    ...(settings.credentials === undefined ? {} : { credentials: settings.credentials }),
    requestHandler:
      settings.requestHandler === undefined
        ? {
            connectionTimeout: settings.connectionTimeoutMs ?? 5_000,
            requestTimeout: requestTimeoutMs,
            throwOnRequestTimeout: true,
          }
        : asHandler(settings.requestHandler),
  });
  const secrets = secretsOf(settings.credentials);
  // Asked only when EC2 has answered: then they are at hand, and nothing is looked for anew.
  const secretsInUse = async (thrown: unknown): Promise<readonly string[]> =>
    thrown instanceof sdk.EC2ServiceException
      ? secretsOf(await client.config.credentials().catch(() => undefined))
      : secrets;

  const callOf = ({ operation, ids }: About, write: boolean): Call => ({
    about: ids.length === 0 ? operation : `${operation} of ${ids.join(", ")}`,
    operation,
    write,
    endpoint,
    secrets,
  });
  const carry = <T>(
    call: Call,
    limitMs: number,
    signal: AbortSignal | undefined,
    send: Send<T>,
  ): Promise<T> =>
    bounded(settings.clock, call, limitMs, signal, (abortSignal) =>
      send(client, { abortSignal, requestTimeout: limitMs }),
    ).catch(async (thrown: unknown) => {
      throw translate(thrown, { ...call, secrets: await secretsInUse(thrown) });
    });

  const calls: Calls = {
    sdk,
    endpoint,
    read: (what, send) => carry(callOf(what, false), requestTimeoutMs, undefined, send),
    write: (what, { limitMs, signal }, send) =>
      carry(callOf(what, true), Math.min(limitMs, requestTimeoutMs), signal, send),
    async pages(what, send, items) {
      const found = [];
      const seen = new Set<string>();
      for (let token: string | undefined; ;) {
        const page = await calls.read(what, send(token));
        found.push(...calls.present(items(page), what));
        token = page.NextToken;
        if (token === undefined || token === "") return found;
        // A peer that hands out the same page for ever must not hold a run for ever.
        if (seen.has(token)) throw unreadable(callOf(what, false), undefined);
        seen.add(token);
      }
    },
    present(value, what, write) {
      if (value === undefined || value === null)
        throw unreadable(callOf(what, write !== undefined), write?.code);
      return value;
    },
    refused: (what, code, refused) => refusedIn(callOf(what, true), code, refused),
    // A handler that was given is somebody else's, who may have more clients on it.
    close: () => (settings.requestHandler === undefined ? client.destroy() : undefined),
  };
  return calls;
}

function secretsOf(credentials: AwsSettings["credentials"]): readonly string[] {
  return [credentials?.secretAccessKey, credentials?.sessionToken].filter(
    (secret): secret is string => secret !== undefined && secret !== "",
  );
}

// Given as a reason, since an abort without one makes an error with a stack, for nobody.
const ended = new Error("the call has ended");

/** Ends a call at its limit or at the caller's signal, also if whoever carries it ignores both. */
function bounded<T>(
  clock: Clock,
  call: Call,
  limitMs: number,
  signal: AbortSignal | undefined,
  send: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted === true) {
    return Promise.reject(new Failure("aborted", `${call.about} was not sent`, { cause: signal.reason }));
  }
  return new Promise<T>((resolve, reject) => {
    const stop = new AbortController();
    const over = new AbortController();
    const happened = call.write ? "maybe" : "no";
    const end = (settle: () => void) => {
      signal?.removeEventListener("abort", onAbort);
      over.abort(ended);
      settle();
    };
    const giveUp = (failure: Failure) => {
      end(() => reject(failure));
      stop.abort();
    };
    const onAbort = () => {
      giveUp(new Failure("aborted", `${call.about} was given up`, { happened, cause: signal?.reason }));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    clock.sleep(limitMs, over.signal).then(
      () => {
        const message = `${call.about}: no answer within ${String(limitMs)} ms from ${call.endpoint}`;
        giveUp(new Failure("unavailable", message, { happened, hint: "look before it is sent again" }));
      },
      // The sleep that we ended ourselves; a clock that fails otherwise must not leave the call without a limit.
      (thrown: unknown) => {
        if (!over.signal.aborted) giveUp(new Failure("bug", "the clock failed", { happened, cause: thrown }));
      },
    );
    send(stop.signal).then(
      (value) => end(() => resolve(value)),
      (thrown: unknown) => end(() => reject(thrown instanceof Error ? thrown : new Error(String(thrown)))),
    );
  });
}

/**
 * Where the SDK would send, for the head of a run: a stray AWS_ENDPOINT_URL sends real runs elsewhere (reference
 * aws-ebs 10). Its rules (setting, two variables, profile, FIPS, dual stack) are not ours to repeat, so the SDK
 * itself is asked, by a call whose handler only writes down the address.
 */
async function endpointInForce(sdk: Sdk, config: EC2ClientConfig): Promise<string> {
  let address: string | undefined;
  const noteAddress = {
    handle: (request: { protocol: string; hostname: string; port?: number; path: string }) => {
      const port = request.port === undefined ? "" : `:${String(request.port)}`;
      address = `${request.protocol}//${request.hostname}${port}${request.path.replace(/\/$/, "")}`;
      return Promise.resolve({ response: { statusCode: 200, headers: {}, body: new Uint8Array() } });
    },
  };
  const probe = new sdk.EC2Client({
    ...config,
    credentials: { accessKeyId: "none", secretAccessKey: "none" },
    requestHandler: asHandler(noteAddress),
  });
  try {
    await probe.send(new sdk.DescribeRegionsCommand({}));
  } catch (thrown) {
    throw new Failure("invalid", "the region or the endpoint of EC2 cannot be used", {
      hint: "check region and endpoint in the inventory, and AWS_ENDPOINT_URL_EC2 and AWS_ENDPOINT_URL",
      cause: thrown,
    });
  }
  return `ec2 ${String(config.region)} (${address ?? "unknown address"})`;
}

function asHandler(given: unknown): NonNullable<EC2ClientConfig["requestHandler"]> {
  if (
    typeof given !== "object" ||
    given === null ||
    !("handle" in given) ||
    typeof given.handle !== "function"
  ) {
    throw new Failure("invalid", "the request handler given to the EC2 driver has no handle function");
  }
  // The SDK tells a handler from its options by that function, and asks nothing more of it.
  return given as NonNullable<EC2ClientConfig["requestHandler"]>;
}

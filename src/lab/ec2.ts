/**
 * EC2's API in front of the lab's cloud, with two ways in: `ec2Handler` inside this process, on the heart's clock and
 * without sockets, and `serveEc2` on loopback. Both book the call with the heart, let a fault strike, and take time.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CloudError } from "./cloud-model.ts";
import type { Cloud } from "./cloud.ts";
import { classOfForm, denial, handleEc2, refusal, type Ec2Reply } from "./ec2-dispatch.ts";
import { lineOf, unflatten, type Params } from "./ec2-query.ts";
import type { Fault, Received } from "./world.ts";

export { handleEc2, type Ec2Auth, type Ec2Reply } from "./ec2-dispatch.ts";

/** How a call ends: with a reply, with a connection that dies (before or inside the reply), or with silence. */
type Ending =
  | { readonly kind: "reply"; readonly reply: Ec2Reply }
  | { readonly kind: "lost" }
  | { readonly kind: "cut"; readonly reply: Ec2Reply }
  | { readonly kind: "hang" };

async function receive(
  cloud: Cloud,
  form: URLSearchParams,
  authorization: string | undefined,
): Promise<Ending> {
  const operation = form.get("Action") ?? "";
  const { heart } = cloud;
  const received = heart.receive({
    to: "cloud",
    operation,
    params: paramsOf(form),
    line: lineOf(operation, form),
  });
  received.class = classOfForm(form);
  const fault = heart.takeFault({ to: "cloud", what: operation });
  const act = () => {
    const reply = heart.during(received, () => handleEc2(cloud, form, { authorization }));
    received.class = reply.class;
    return reply;
  };
  // The change is made when the call arrives, and the time passes on the way back: a caller that gives up while it
  // waits has changed the world all the same.
  const ending = strike(cloud, form, fault, act);
  if (cloud.settings.latencyMs > 0) await heart.clock.sleep(cloud.settings.latencyMs);
  received.reply = replyOf(ending);
  return ending;
}

function strike(
  cloud: Cloud,
  form: URLSearchParams,
  fault: Fault["action"] | undefined,
  act: () => Ec2Reply,
): Ending {
  const kind = classOfForm(form);
  const refuse = (error: CloudError): Ending => ({ kind: "reply", reply: refusal(cloud, error, kind) });
  switch (fault) {
    case undefined:
      return { kind: "reply", reply: act() };
    case "fail-before":
      return refuse(internalError());
    case "fail-after":
      act();
      return refuse(internalError());
    case "lose-before":
      return { kind: "lost" };
    case "lose-after":
      act();
      return { kind: "lost" };
    case "half-output":
      return { kind: "cut", reply: act() };
    case "hang":
      return { kind: "hang" };
    case "hang-after":
      act();
      return { kind: "hang" };
    case "deny":
      return refuse(denial(form.get("Action") ?? ""));
    case "throttle":
      return refuse(new CloudError("RequestLimitExceeded", "Request limit exceeded.", 503));
    case "unavailable":
      return refuse(
        new CloudError("Unavailable", "The service is unavailable. Please try again shortly.", 503),
      );
    case "no-capacity":
      return isCoveredStart(cloud, form)
        ? { kind: "reply", reply: act() }
        : refuse(
            new CloudError(
              "InsufficientInstanceCapacity",
              "Insufficient capacity. There is not enough capacity to fulfill your request.",
              500,
            ),
          );
    case "nonsense":
      return { kind: "reply", reply: page(kind) };
  }
}

function internalError(): CloudError {
  return new CloudError("InternalError", "An internal error has occurred", 500);
}

/** What a broken proxy in between would say: a page for people, with a good status. */
function page(kind: Ec2Reply["class"]): Ec2Reply {
  const body = "<!doctype html><html><body><h1>It works!<br></h1></body></html>";
  return { status: 200, headers: { "content-type": "text/html" }, body, class: kind };
}

/** A capacity reservation is what makes a start succeed where there is no capacity. */
function isCoveredStart(cloud: Cloud, form: URLSearchParams): boolean {
  const ids = [...form].filter(([name]) => name.startsWith("InstanceId.")).map(([, value]) => value);
  return (
    ids.length > 0 &&
    cloud.listInstances().every(({ id, capacityReserved }) => capacityReserved || !ids.includes(id))
  );
}

function replyOf(ending: Ending): Received["reply"] {
  if (ending.kind === "reply") return "sent";
  return ending.kind === "cut" ? "cut" : "lost";
}

/** For the log; a form that cannot be read is refused where it is handled, not here. */
function paramsOf(form: URLSearchParams): Params {
  try {
    return unflatten(form);
  } catch (error) {
    if (error instanceof CloudError) return Object.fromEntries(form);
    throw error;
  }
}

// In process.

interface HandlerRequest {
  readonly headers: { readonly [name: string]: string };
  readonly query?: { readonly [name: string]: string | readonly string[] | null } | undefined;
  readonly body?: unknown;
}

interface HandlerResponse {
  readonly statusCode: number;
  readonly reason?: string;
  readonly headers: { [name: string]: string };
  readonly body: Uint8Array;
}

/** Structurally a smithy HttpHandler: what the SDK's clients take as `requestHandler`. */
export interface Ec2Handler {
  readonly metadata: { readonly handlerProtocol: string };
  handle(
    request: HandlerRequest,
    options?: {
      readonly abortSignal?: { readonly aborted: boolean } | undefined;
      readonly requestTimeout?: number | undefined;
    },
  ): Promise<{ readonly response: HandlerResponse }>;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
  destroy(): void;
}

export function ec2Handler(cloud: Cloud): Ec2Handler {
  return {
    metadata: { handlerProtocol: "http/1.1" },
    async handle(request, options = {}) {
      const abortSignal = signalOf(options.abortSignal);
      if (abortSignal?.aborted) throw aborted();
      const form = new URLSearchParams(textOf(request.body));
      const call = receive(cloud, form, headerOf(request.headers, "authorization"));
      const ending = await orAborted(call, abortSignal);
      switch (ending.kind) {
        case "reply":
          return {
            response: {
              statusCode: ending.reply.status,
              headers: { ...ending.reply.headers },
              body: new TextEncoder().encode(ending.reply.body),
            },
          };
        case "lost":
          throw connectionReset("socket hang up");
        case "cut":
          // Half a body with its length announced ends like this in Node's client.
          throw connectionReset("aborted");
        case "hang": {
          const limit = Math.min(options.requestTimeout || Infinity, cloud.settings.hangMs);
          // The sleep itself is given the signal, so that nothing stays behind on the clock.
          await cloud.heart.clock.sleep(limit, abortSignal).catch((error: unknown) => {
            throw abortSignal?.aborted ? aborted() : error;
          });
          throw named("TimeoutError", `no answer within ${limit} ms`);
        }
      }
    },
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
    destroy: () => undefined,
  };
}

/** The SDK's types still allow a signal of its own older kind; nobody here makes one. */
function signalOf(signal: { readonly aborted: boolean } | undefined): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new TypeError("the lab's EC2 handler takes the platform's AbortSignal only");
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(aborted());
    signal.addEventListener("abort", onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function textOf(body: unknown): string {
  if (body === undefined || body === null) return "";
  if (typeof body === "string") return body;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body);
  throw new TypeError("the lab's EC2 handler takes a body of text or bytes only");
}

function headerOf(headers: HandlerRequest["headers"], wanted: string): string | undefined {
  return Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

function connectionReset(message: string): Error {
  return Object.assign(new Error(message), { code: "ECONNRESET" });
}

function aborted(): Error {
  return named("AbortError", "Request aborted");
}

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

// Over HTTP.

export interface Ec2Server {
  readonly url: string;
  close(): Promise<void>;
}

// A request of this API is some kilobytes; whatever is larger is not one.
const largestBody = 1024 * 1024;

export async function serveEc2(
  cloud: Cloud,
  where: { readonly host?: string; readonly port?: number } = {},
): Promise<Ec2Server> {
  const { host = "127.0.0.1", port = 0 } = where;
  const server = createServer((request, response) => {
    answer(cloud, request, response).catch((error: unknown) => {
      // A mistake of the lab must be seen by who meets it: it is told in the reply, and not as one of EC2's errors.
      if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain" });
      response.end(
        `the lab failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    close: () =>
      new Promise<void>((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        // Calls that hang, and connections kept alive, would hold it open for ever.
        server.closeAllConnections();
      }),
  };
}

async function answer(cloud: Cloud, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "POST") {
    response.writeHead(405, { allow: "POST" }).end();
    return;
  }
  const body = await bodyOf(request);
  if (body === undefined) {
    response.writeHead(413, { connection: "close" }).end();
    return;
  }
  const ending = await receive(cloud, new URLSearchParams(body), request.headers.authorization);
  switch (ending.kind) {
    case "reply": {
      const { status, headers, body: text } = ending.reply;
      response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) }).end(text);
      return;
    }
    case "lost":
      request.socket.destroy();
      return;
    case "cut": {
      const { status, headers, body: text } = ending.reply;
      response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) });
      response.write(text.slice(0, Math.floor(text.length / 2)), () => request.socket.destroy());
      return;
    }
    case "hang":
      // The socket stays open and silent until the caller gives up or the lab closes.
      return;
  }
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    const bytes = Buffer.isBuffer(part) ? part : Buffer.from(String(part));
    size += bytes.length;
    if (size > largestBody) return undefined;
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString("utf8");
}

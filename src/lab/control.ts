/** The lab's control endpoint: HTTP on loopback, JSON, with a token that only the owner of the lab's folder can read. */
import { timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { asFailure, Failure } from "../errors.ts";
import type { Lab } from "./build.ts";
import type { FaultSpec, ToldFault } from "./client.ts";
import { describeWorld } from "./compare.ts";
import { settle, typeLine, useHand } from "./hands.ts";
import type { Logbook } from "./logbook.ts";
import { statusOf } from "./status.ts";
import type { Fault } from "./world.ts";

export interface ControlOptions {
  readonly lab: Lab;
  readonly log: Logbook;
  readonly pace: number;
  readonly pid: number;
  readonly token: string;
  readonly defaultCluster: string;
  readonly mistakes: readonly string[];
  readonly onBug: (error: unknown) => void;
  /** Somebody asked the lab to end; the answer has gone by then. */
  readonly onStop: () => void;
}

type Body = { readonly [key: string]: unknown };

export function controlServer(options: ControlOptions): Server {
  const server = createServer((request, response) => {
    const reply = (status: number, value: unknown) => {
      const text = JSON.stringify(value);
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
      });
      response.end(text);
    };
    if (!isAllowed(request, options.token)) {
      reply(401, told(new Failure("denied", "the lab's token is missing or wrong")));
      return;
    }
    const url = new URL(request.url ?? "/", "http://lab");
    readBody(request)
      .then((body) => answer(options, request.method ?? "GET", url, body))
      .then(
        (value) => {
          reply(200, value ?? {});
          if (url.pathname === "/stop") response.once("close", options.onStop);
        },
        (error: unknown) => {
          const failure = asFailure(error);
          if (failure.kind === "bug") options.onBug(error);
          reply(400, told(failure));
        },
      );
  });
  return server;
}

function isAllowed(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${token}`);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}

function told({ kind, message, hint }: Failure): unknown {
  return { error: { kind, message, ...(hint !== undefined && { hint }) } };
}

async function answer(options: ControlOptions, method: string, url: URL, body: Body): Promise<unknown> {
  const { lab, log } = options;
  const { heart } = lab;
  const [, place = "", name = ""] = url.pathname.split("/");
  switch (`${method} /${place}`) {
    case "GET /ping":
      return { pid: options.pid };
    case "GET /status":
      return statusOf(lab, options.pace, options.mistakes);
    case "GET /log": {
      const since = Number(url.searchParams.get("since") ?? "0");
      if (!Number.isInteger(since) || since < 0)
        throw new Failure("invalid", "`since` is the number of an entry of the log");
      const flag = (key: string) => url.searchParams.has(key);
      const entries = log.entries({
        since,
        writes: flag("writes"),
        effects: flag("effects"),
        clients: flag("clients"),
      });
      return { entries, last: log.last };
    }
    case "GET /world":
      return describeWorld(lab);
    case "GET /faults":
      return heart.faults.filter(({ left }) => left > 0).map(toldFault);
    case "DELETE /faults":
      return { cleared: heart.faults.splice(0).filter(({ left }) => left > 0).length };
    case "POST /fault":
      return toldFault(heart.addFault(checkedFault(lab, body)));
    case "POST /hand": {
      const words = Array.isArray(body["words"]) ? body["words"].map(String) : [];
      const cluster = textOf(body, "cluster") ?? options.defaultCluster;
      return { said: await useHand(lab, decodeURIComponent(name), words, cluster) };
    }
    case "POST /exec": {
      const line = textOf(body, "line")?.trim();
      if (line === undefined || line === "") throw new Failure("invalid", "there is no command to run");
      return typeLine(lab, log, line, textOf(body, "node"));
    }
    case "POST /settle":
      return settle(lab);
    case "POST /stop":
      return {};
    default:
      throw new Failure("not-found", `the lab's control has no ${method} ${url.pathname}`);
  }
}

const cloudOnly: readonly Fault["action"][] = ["deny", "throttle", "unavailable", "no-capacity"];
export const faultActions: readonly Fault["action"][] = [
  "fail-before",
  "fail-after",
  "lose-before",
  "lose-after",
  "half-output",
  "hang",
  "hang-after",
  "nonsense",
  ...cloudOnly,
];

function checkedFault(lab: Lab, { match, action, node, times = 1, skip = 0 }: Partial<FaultSpec>) {
  if (typeof match !== "string" || match === "")
    throw new Failure("invalid", "a fault needs a text to match, such as clpgrp or CreateSnapshots");
  const pattern = /^\/(.*)\/$/.exec(match)?.[1];
  try {
    if (pattern !== undefined) new RegExp(pattern);
  } catch {
    throw new Failure("invalid", `${match} is no regular expression`);
  }
  const known = faultActions.find((each) => each === action);
  if (known === undefined)
    throw new Failure("invalid", `"${String(action)}" is no fault of the lab`, {
      hint: `there are ${faultActions.join(", ")}`,
    });
  if (node !== undefined && !lab.nodes.has(node))
    throw new Failure("not-found", `the lab has no node "${node}"`, {
      hint: `it has ${[...lab.nodes.keys()].join(", ")}`,
    });
  if (node !== undefined && cloudOnly.includes(known))
    throw new Failure("invalid", `${known} is a fault of the cloud's API; it cannot strike on ${node}`);
  const count = times === "forever" ? Infinity : times;
  if (!(count >= 1) || (count !== Infinity && !Number.isInteger(count)))
    throw new Failure("invalid", `times is ${times}; wanted a whole number from 1, or forever`);
  if (!Number.isInteger(skip) || skip < 0)
    throw new Failure("invalid", `skip is ${skip}; wanted a whole number from 0`);
  return { match, action: known, times: count, skip, ...(node !== undefined && { node }) };
}

function toldFault(fault: Fault): ToldFault {
  return { ...fault, left: fault.left === Infinity ? "forever" : fault.left };
}

function textOf(body: Body, key: string): string | undefined {
  const value = body[key];
  return typeof value === "string" ? value : undefined;
}

const largestBody = 1024 * 1024;

async function readBody(request: IncomingMessage): Promise<Body> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > largestBody) throw new Failure("invalid", "that is more than the lab's control takes");
    parts.push(part);
  }
  if (size === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Body;
  } catch (cause) {
    throw new Failure("invalid", "the body is no JSON", { cause });
  }
  throw new Failure("invalid", "the body is no JSON object");
}

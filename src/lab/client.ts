/** What a lab tells of itself to those who use it, and how they speak to it: HTTP on loopback, with a token. */
import { request } from "node:http";
import { Failure, type FailureKind } from "../errors.ts";
import type { LogEntry } from "./logbook.ts";
import type { LabStatus } from "./status.ts";
import type { Fault } from "./world.ts";

export interface LabNodeInfo {
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** Path of the private key that logs in. */
  readonly identity: string;
  readonly knownHosts: string;
  readonly instance: string;
}

/** FOLDER/lab.json. */
export interface LabInfo {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot, since a pid alone is used again; "" where that is not known. */
  readonly startTime: string;
  readonly pace: number;
  /** The same instant by the real clock and by the world's. */
  readonly originReal: number;
  readonly originWorld: number;
  readonly control: { readonly url: string; readonly token: string };
  readonly ec2: { readonly url: string; readonly region: string; readonly accessKeyId: string };
  readonly clusters: {
    readonly [name: string]: { readonly nodes: { readonly [name: string]: LabNodeInfo } };
  };
  /** For drills: a member of no cluster. */
  readonly scratch: { readonly name: string } & LabNodeInfo;
  readonly default: string;
}

export interface FaultSpec {
  readonly match: string;
  readonly action: string;
  readonly node?: string;
  readonly times?: number | "forever";
  readonly skip?: number;
}

/** A fault as it is told: `left` is a word where there is no end to it. */
export type ToldFault = Omit<Fault, "left"> & { readonly left: number | "forever" };

export interface PersonsAnswer {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Settled {
  readonly settled: boolean;
  /** What still goes on, a phrase each. */
  readonly busy: readonly string[];
}

export interface LogQuery {
  readonly since?: number;
  readonly writes?: boolean;
  readonly effects?: boolean;
  /** Also that clients of the service go on counting. */
  readonly clients?: boolean;
}

export interface LabClient {
  ping(): Promise<{ readonly pid: number }>;
  status(): Promise<LabStatus>;
  log(query?: LogQuery): Promise<{ readonly entries: readonly LogEntry[]; readonly last: number }>;
  world(): Promise<unknown>;
  faults(): Promise<readonly ToldFault[]>;
  addFault(fault: FaultSpec): Promise<ToldFault>;
  clearFaults(): Promise<{ readonly cleared: number }>;
  /** Another operator's hand, or fate's. Answers with what it did, in a sentence or more. */
  hand(name: string, words: readonly string[], cluster?: string): Promise<{ readonly said: string }>;
  /** A line as a person types it, on a node or (without one) as "aws ec2 …". */
  exec(line: string, node?: string): Promise<PersonsAnswer>;
  settle(): Promise<Settled>;
  stop(): Promise<void>;
}

export function labClient(info: LabInfo): LabClient {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> =>
    (await exchange(info, method, path, body)) as T;
  const post = <T>(path: string, body: unknown = {}) => call<T>("POST", path, body);
  return {
    ping: () => call("GET", "/ping"),
    status: () => call("GET", "/status"),
    log: ({ since = 0, ...flags } = {}) => {
      const wanted = Object.entries(flags).filter(([, value]) => value);
      return call("GET", `/log?since=${since}${wanted.map(([flag]) => `&${flag}=1`).join("")}`);
    },
    world: () => call("GET", "/world"),
    faults: () => call("GET", "/faults"),
    addFault: (fault) => post("/fault", fault),
    clearFaults: () => call("DELETE", "/faults"),
    hand: (name, words, cluster) =>
      post(`/hand/${encodeURIComponent(name)}`, { words, ...(cluster !== undefined && { cluster }) }),
    exec: (line, node) => post("/exec", { line, ...(node !== undefined && { node }) }),
    settle: () => post("/settle"),
    stop: () => post("/stop"),
  };
}

/** Without a limit of its own: what a person asks for may take as long as the world takes. */
function exchange(info: LabInfo, method: string, path: string, body: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const unreachable = (cause: Error) =>
      reject(
        new Failure("unavailable", "the lab does not answer", {
          hint: "look with `runbook lab status`, or start one with `runbook lab up`",
          happened: "maybe",
          cause,
        }),
      );
    const outgoing = request(
      new URL(path, info.control.url),
      { method, agent: false, headers: { authorization: `Bearer ${info.control.token}` } },
      (incoming) => {
        const parts: Buffer[] = [];
        incoming.on("data", (part: Buffer) => parts.push(part));
        incoming.on("error", unreachable);
        incoming.on("end", () => {
          try {
            const answer: unknown = JSON.parse(Buffer.concat(parts).toString("utf8"));
            if (incoming.statusCode === 200) resolve(answer);
            else reject(failureOf(answer));
          } catch (cause) {
            unreachable(cause as Error);
          }
        });
      },
    );
    outgoing.on("error", unreachable);
    if (body === undefined) outgoing.end();
    else outgoing.end(JSON.stringify(body));
  });
}

function failureOf(answer: unknown): Failure {
  const { kind, message, hint } = (answer as { error: { kind: FailureKind; message: string; hint?: string } })
    .error;
  return new Failure(kind, message, hint === undefined ? {} : { hint });
}

/**
 * The one layer between a step and the drivers. Reads: repeated while the other side is merely unavailable. Writes: the
 * request is made by the driver's pure function, checked for holes, handed to the hooks (allow-list, fence, journal),
 * sent once, and its answer booked. A write is never repeated here: the engine looks first, and then decides.
 */
import { asFailure, Failure, invariant } from "../errors.ts";
import type { CallHooks, Connect, Ports } from "../ports/calls.ts";
import { cloudContract, type CloudDriver } from "../ports/cloud.ts";
import type { Clock } from "../ports/clock.ts";
import { clusterContract, type ClusterDriver } from "../ports/cluster-manager.ts";
import type { Contract, Driver, Request } from "../ports/driver.ts";
import { nodesContract, type NodesDriver } from "../ports/nodes.ts";

export interface Drivers {
  readonly cluster: ClusterDriver;
  readonly cloud: CloudDriver;
  readonly nodes: NodesDriver;
  /** Of the cluster that a staging cluster belongs to: of these, only reads are ever handed on. */
  readonly production?: { readonly cluster: ClusterDriver; readonly nodes: NodesDriver };
}

/** How often a read is asked again when the other side is unavailable, and the first pause. */
const readTries = 4;
const firstPauseMs = 1_000;

/**
 * For how long an answer serves those who ask the same again, milliseconds. A step asks in `done`, `must`, `before` and
 * `do` one right after the other, while the service is out: within half a second, and with nothing sent in between, the
 * second answer is no newer than the first. It is shorter than any pause between two looks.
 */
const recentMs = 500;

export function connectTo(drivers: Drivers, clock: Clock): Connect {
  const recent: Recent = new Map();
  return (hooks): Ports => {
    const bench = { hooks, clock, recent };
    return {
      cluster: join("cluster", drivers.cluster, clusterContract, bench),
      cloud: join("cloud", drivers.cloud, cloudContract, bench),
      nodes: join("nodes", drivers.nodes, nodesContract, bench),
      ...(drivers.production && {
        production: {
          cluster: readsOf("production.cluster", drivers.production.cluster, clusterContract, bench),
          nodes: readsOf("production.nodes", drivers.production.nodes, nodesContract, bench),
        },
      }),
    };
  };
}

type Recent = Map<string, { readonly at: number; readonly answer: unknown }>;

interface Bench {
  readonly hooks: CallHooks;
  readonly clock: Clock;
  readonly recent: Recent;
}

function readsOf<R, W>(
  port: string,
  driver: Driver<R, W>,
  contract: { readonly [method: string]: Contract },
  bench: Bench,
): R {
  const reads = Object.fromEntries(Object.entries(contract).filter(([, { kind }]) => kind === "read"));
  return join(port, driver, reads, bench);
}

type AnyCall = (args: unknown) => Promise<unknown>;

function join<R, W>(
  port: string,
  driver: Driver<R, W>,
  contract: { readonly [method: string]: Contract },
  bench: Bench,
): R & { readonly [V in keyof W]: (args: W[V]) => Promise<void> } {
  const calls: Record<string, AnyCall> = {};
  for (const [method, terms] of Object.entries(contract)) {
    if (terms.kind === "read") {
      const ask = (driver.reads as Record<string, AnyCall>)[method];
      invariant(ask, `driver ${driver.name} has no ${port}.${method}`);
      calls[method] = (args) => read(`${port}.${method}`, args, ask, bench);
    } else {
      const make = (driver.requests as Record<string, (args: unknown) => Request>)[method];
      invariant(make, `driver ${driver.name} has no ${port}.${method}`);
      calls[method] = (args) => write(make(args), terms, driver, bench);
    }
  }
  return calls as R & { readonly [V in keyof W]: (args: W[V]) => Promise<void> };
}

async function read(
  name: string,
  args: unknown,
  ask: AnyCall,
  { hooks, clock, recent }: Bench,
): Promise<unknown> {
  const key = args === undefined ? name : `${name} ${JSON.stringify(args)}`;
  invariant(!key.includes("\u27e8"), `${key} asks for something that is not known yet`);
  const known = recent.get(key);
  if (known && clock.now() - known.at < recentMs) return known.answer;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const at = clock.now();
      const answer = await ask(args);
      recent.set(key, { at, answer });
      await hooks.onRead(key, answer);
      return answer;
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind !== "unavailable" || attempt === readTries) throw failure;
      await clock.sleep(firstPauseMs * 1.5 ** (attempt - 1), hooks.signal);
    }
  }
}

async function write<R, W>(
  request: Request,
  contract: Contract & { readonly kind: "write" },
  driver: Driver<R, W>,
  { hooks, clock, recent }: Bench,
): Promise<void> {
  if (hooks.record) return hooks.record(request, contract);
  invariant(
    !JSON.stringify(request).includes("\u27e8"),
    `${request.verb} would be sent with something that is not known yet`,
  );
  const sent = await hooks.beforeWrite(request, contract);
  const from = clock.now();
  recent.clear();
  try {
    const answer = await driver.send(request, {
      fence: hooks.fence(),
      signal: hooks.signal,
      limitMs: contract.limitMs,
    });
    await hooks.afterWrite(sent, request, { answer, ms: clock.now() - from });
  } catch (thrown) {
    const failure = thrown instanceof Failure ? thrown : asFailure(thrown);
    await hooks.afterWrite(sent, request, { failure, ms: clock.now() - from });
    throw failure;
  } finally {
    // What was read while the call was under way says nothing about what it did.
    recent.clear();
  }
}

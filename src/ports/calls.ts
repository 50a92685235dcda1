/**
 * How a step's calls reach the drivers. The engine hands a set of hooks for each step (which requests the plan lets it
 * send, where the journal is); the layers put them around the drivers. Nothing else stands between a step and the world.
 */
import type { Cloud } from "./cloud.ts";
import type { Cluster, ClusterReads } from "./cluster-manager.ts";
import type { Answer, Contract, Request } from "./driver.ts";
import type { Failure } from "../errors.ts";
import type { Nodes, NodesReads } from "./nodes.ts";

export interface CallHooks {
  /** Every read, after it was answered. `key` names the call with its arguments. */
  readonly onRead: (key: string, answer: unknown) => Promise<void>;
  /**
   * Every write, before anything is sent: throws if the plan does not list it, if the run lost its fence, or if it is not
   * this one's turn; resolves once "sent" is on disk. Answers with the number under which the answer will be booked.
   */
  readonly beforeWrite: (request: Request, contract: Contract) => Promise<number>;
  readonly afterWrite: (
    sent: number,
    request: Request,
    result: { answer?: Answer; failure?: Failure; ms: number },
  ) => Promise<void>;
  /** "RUN.FENCE", for the nodes to check; undefined where there is no marker yet. */
  readonly fence: () => string | undefined;
  readonly signal?: AbortSignal;
  /** Set when a plan is made: a write is handed over here instead of being sent. */
  readonly record?: (request: Request, contract: Contract) => void;
}

/** A cluster that is only looked at. */
export interface Production {
  readonly cluster: ClusterReads;
  readonly nodes: NodesReads;
}

export interface Ports {
  readonly cluster: Cluster;
  readonly cloud: Cloud;
  readonly nodes: Nodes;
  readonly production?: Production;
}

/** Joins the drivers for one step's calls. */
export type Connect = (hooks: CallHooks) => Ports;

/**
 * What all ports have in common. A port is a set of *reads* and a set of *writes*.
 *
 * A read looks, changes nothing, and may be repeated at will. A write is split in two: a pure function that
 * makes the `Request` (the argv on a node, or the API operation with its parameters), and one `send` that
 * carries it out. The plan prints the request, the journal records it, the allow-list compares it, and the
 * driver sends exactly it: one value in all four places. A write answers nothing to a runbook: the outcome
 * of a step is what is *found* afterwards, never what a reply claimed.
 */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface NodeRequest {
  readonly to: "node";
  /** Port and method, as "cluster.breakMirror". */
  readonly verb: string;
  readonly node: string;
  readonly argv: readonly string[];
  readonly stdin?: string;
}

export interface CloudRequest {
  readonly to: "cloud";
  readonly verb: string;
  /** The vendor's name of the operation, as "CreateSnapshots". */
  readonly operation: string;
  readonly params: { readonly [key: string]: Json };
}

export type Request = NodeRequest | CloudRequest;

/** What came back: kept in the journal for people, decided on by nobody but the driver. */
export interface Answer {
  /** Exit status of a command, HTTP status of a call. */
  readonly code?: number;
  readonly text: string;
}

export interface SendOptions {
  /** "RUN.FENCE": a write to a node is refused by the node itself unless its marker says the same. */
  readonly fence?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Longest time the call may take, milliseconds. */
  readonly limitMs: number;
}

/** The contract of one method of a port. */
export type Contract =
  | { readonly kind: "read" }
  | {
      readonly kind: "write";
      /** "safe": sending it twice does no more than sending it once. "look": only after a look found nothing. */
      readonly repeat: "safe" | "look";
      /** How late its effect may become visible to the reads, milliseconds. */
      readonly visibleWithinMs: number;
      /** The longest that one call may take before its outcome counts as unknown, milliseconds. */
      readonly limitMs: number;
      /** It cuts the machine it runs on (shutdown, reboot): a lost answer is the ordinary case. */
      readonly takesNodeDown?: true;
      /** Sent as often as needed (a renewal); a plan lists it once. */
      readonly renewal?: true;
    };

export type ArgsOf<Writes> = { readonly [Verb in keyof Writes]: Writes[Verb] };

/** `Writes` maps each write's name to its argument; `Reads` maps each read's name to its function. */
export interface Driver<Reads, Writes> {
  readonly name: string;
  readonly reads: Reads;
  readonly requests: { readonly [Verb in keyof Writes]: (args: Writes[Verb]) => Request };
  send(request: Request, options: SendOptions): Promise<Answer>;
  close(): Promise<void>;
}

/** A port as a runbook sees it: its reads, and its writes as calls that answer nothing. */
export type Port<Reads, Writes> = Reads & {
  readonly [Verb in keyof Writes]: (args: Writes[Verb]) => Promise<void>;
};

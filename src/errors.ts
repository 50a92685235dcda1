/**
 * Every way we fail. The engine and the layers decide by `kind` (and by `happened`) alone; nobody reads
 * messages. Drivers translate their vendor's errors at their edge and keep the vendor's error as `cause`.
 */
export type FailureKind =
  | "not-found"
  | "conflict"
  | "denied"
  | "invalid"
  | "unsupported"
  | "precondition"
  | "unavailable"
  | "timeout"
  | "aborted"
  | "bug";

/**
 * What is known of the effect of a failed write.
 *   "no":    it never left, or was refused before it could act: the world is as it was
 *   "maybe": it left and no answer came (reset, time-out, a channel closed without exit status): only a look tells
 *   "said":  the other side answered, and said that it failed; it may still have acted in part
 */
export type Happened = "no" | "maybe" | "said";

export interface FailureDetails {
  /** One sentence on what a person can do next. No secret ever enters it. */
  readonly hint?: string;
  readonly happened?: Happened;
  readonly cause?: unknown;
  /** Exit status and output of the command, or status and code of the API call, where there was an answer. */
  readonly answer?: { readonly code?: number; readonly text: string };
}

export class Failure extends Error {
  readonly kind: FailureKind;
  readonly hint: string | undefined;
  readonly happened: Happened;
  readonly answer: { readonly code?: number; readonly text: string } | undefined;

  constructor(kind: FailureKind, message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "Failure";
    this.kind = kind;
    this.hint = details.hint;
    this.happened = details.happened ?? "no";
    this.answer = details.answer;
  }
}

/** Any thrown thing as a Failure; what was not ours is a `bug`, with the original kept as cause. */
export function asFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new Failure("bug", message, { cause: thrown, happened: "maybe" });
}

/** Guards what only a mistake of ours can break: throws a `bug`, which stops the run. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Failure("bug", message);
}

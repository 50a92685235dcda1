/** The first row of a journal: what was planned, by which engine. It is read without the machine, for lists of runs. */
import { Failure } from "../errors.ts";
import type { Row } from "../ports/store.ts";
import type { Plan } from "../runbook/plan.ts";

export const engineFormat = 1;

/** Somebody's signed word that this plan may be run. */
export interface Approval {
  readonly by: string;
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly until: number;
  /** The key's fingerprint. */
  readonly key: string;
  /** The text that was signed, and its signature as ssh-keygen wrote it. */
  readonly statement: string;
  readonly signature: string;
}

export interface StartBody {
  readonly format: number;
  readonly plan: Plan;
  readonly owner: string;
  readonly onFailure: "give-back" | "hold";
  /** Those that were asked for and counted. */
  readonly approvals?: readonly Approval[];
}

/** Read with care: it may come from another version or another hand. */
export function startOf(rows: readonly Row[]): StartBody {
  const first = rows[0];
  if (first?.kind !== "start") throw new Failure("invalid", "the journal does not begin with a start row");
  const body = first.body as unknown as StartBody;
  if (body.format !== engineFormat)
    throw new Failure(
      "unsupported",
      `the run was made by engine format ${String(body.format)}, this one is ${engineFormat}`,
      {
        hint: "resume it with the version of runbook that started it",
      },
    );
  return body;
}

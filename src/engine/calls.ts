/** The hooks that the engine puts around every call of a step: allow-list, fence, journal (design 3.3, 3.7). */
import { Failure, invariant } from "../errors.ts";
import type { CallHooks } from "../ports/calls.ts";
import type { Clock } from "../ports/clock.ts";
import { allowedFor, isAllowed, requestLine, type Plan } from "../runbook/plan.ts";
import type { JournalWriter } from "../ports/store.ts";
import type { CallSeen } from "../runbook/step.ts";
import type { Logbook } from "./logbook.ts";

/** How much of a command's output a journal keeps, characters. */
const keepText = 64 * 1024;
const keepAnswer = 16 * 1024;

const moving = new Set([
  "percent",
  "progressPercent",
  "uptimeSeconds",
  "secondsLeft",
  "dueUptimeSeconds",
  "etaSeconds",
]);

export interface Guarding {
  readonly plan: Plan;
  readonly journal: JournalWriter;
  readonly logbook: Logbook;
  readonly clock: Clock;
  /** The last answer of each read, with how often it came. */
  readonly seen: Map<string, { readonly steady: string; text: string; times: number }>;
  /** When the lease on the cluster runs out, if it is not renewed before. */
  readonly leaseUntil: () => number;
  readonly fence: () => string | undefined;
  /** The lease ran out unrenewed: this runner writes nothing any more. */
  readonly onSlept: () => void;
  /** The operator wants out: nothing new goes out on the way forward. */
  readonly interrupted: () => boolean;
  /** Removes secrets from anything that will be kept or shown. */
  readonly mask: (text: string) => string;
}

export function hooksFor(
  guarding: Guarding,
  unit: string,
  direction: "forward" | "back",
  signal: AbortSignal | undefined,
): CallHooks {
  const { plan, journal, logbook, clock, mask } = guarding;
  const allowed = allowedFor(plan, unit, direction);
  const { seen } = guarding;
  return {
    fence: guarding.fence,
    ...(signal && { signal }),
    onRead: async (key, answer) => {
      const text = JSON.stringify(answer ?? null, (_, value: unknown) =>
        typeof value === "string" ? mask(value) : value,
      );
      // What moves by itself (percent, uptime, seconds left) is progress: shown, not journaled.
      const steady = JSON.stringify(JSON.parse(text), (name, value: unknown) =>
        moving.has(name) ? undefined : value,
      );
      const shown =
        text.length > keepAnswer
          ? `${text.slice(0, 200)}… (${text.length} characters)`
          : (JSON.parse(text) as unknown);
      const last = seen.get(key);
      if (last?.steady === steady) {
        last.times += 1;
        if (last.text !== text) logbook.tell("read", { key, unit, answer: shown });
        last.text = text;
        return;
      }
      // How often the answer before was the same: the count of looks that this row ends.
      logbook.write("read", { key, unit, answer: shown, ...(last && { before: last.times }) });
      seen.set(key, { steady, text, times: 1 });
    },
    beforeWrite: async (request, contract) => {
      invariant(contract.kind === "write", `${request.verb} is not a write`);
      if (!isAllowed(allowed, request))
        throw new Failure("bug", `the plan does not list this for ${unit}: ${requestLine(request)}`, {
          hint: "nothing was sent; look at the plan with `runbook show`, and report this",
        });
      const awake = () => {
        if (clock.now() <= guarding.leaseUntil()) return;
        guarding.onSlept();
        throw sleptPast();
      };
      awake();
      const renewal = contract.renewal === true;
      if (direction === "forward" && !renewal && guarding.interrupted())
        throw new Failure("aborted", `${request.verb} was not sent: the operator stopped the run`);
      journal.assertHeld();
      const n = logbook.told.calls.length + 1;
      logbook.write("sent", { n, unit, direction, request, visibleWithinMs: contract.visibleWithinMs });
      if (!logbook.broken())
        await logbook.synced().catch((failure: Failure) => refuseForward(failure, direction, renewal));
      else refuseForward(logbook.broken() as Failure, direction, renewal);
      // The machine may have slept while the row went to disk. The row stays unanswered: a look settles it.
      awake();
      if (!logbook.broken()) journal.assertHeld();
      return n;
    },
    afterWrite: async (n, request, { answer, failure, ms }) => {
      const state: CallSeen["state"] = answer ? "answered" : stateOf(failure);
      const code = answer?.code ?? failure?.answer?.code;
      const text = answer?.text ?? failure?.answer?.text ?? failure?.message ?? "";
      logbook.write("answered", {
        sent: n,
        state,
        ms,
        ...(code !== undefined && { code }),
        ...(failure && { failure: { kind: failure.kind, message: mask(failure.message) } }),
        text: mask(text).slice(0, keepText),
        verb: request.verb,
      });
    },
  };
}

/** A store that cannot be written never keeps the service down: only the way back goes on without it (design 3.3). */
function refuseForward(failure: Failure, direction: "forward" | "back", renewal: boolean): void {
  if (failure.kind === "conflict") throw failure;
  if (direction === "forward" && !renewal)
    throw new Failure("aborted", `nothing was sent: ${failure.message}`, { cause: failure });
}

export function sleptPast(): Failure {
  return new Failure(
    "aborted",
    "this runner slept past its lease, so another may have taken over; it writes nothing",
    {
      hint: "go on with `runbook resume`, which looks first",
    },
  );
}

function stateOf(failure: Failure | undefined): CallSeen["state"] {
  if (failure === undefined || failure.happened === "maybe") return "unknown";
  return failure.happened === "said" ? "failed" : "no";
}

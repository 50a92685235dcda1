/** Lease, markers and timers, kept alive for as long as a run needs them, and not a moment after it slept past them. */
import { asFailure, type Failure } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Store } from "../ports/store.ts";
import type { Stage } from "../runbook/list.ts";
import type { Settings } from "../runbook/step.ts";
import { sleptPast } from "./calls.ts";
import { activeUnits, mineOf } from "./fold.ts";
import type { Logbook } from "./logbook.ts";
import { troubleOf, type Tools } from "./tasks.ts";

export interface Alive {
  leaseUntil(): number;
  /** Renews everything once; what hinders one does not hinder the others, and is said in the journal. */
  renew(): Promise<boolean>;
  /** Renews again and again until the signal fires; rejects with `aborted` once the lease was slept past. */
  keep(signal: AbortSignal): Promise<void>;
}

export function keepAlive(args: {
  readonly run: string;
  readonly owner: string;
  readonly cluster: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly settings: Settings;
  readonly stages: readonly Stage[];
  readonly logbook: Logbook;
  readonly worldFor: Tools["worldFor"];
  /** While a person is waited for and the service is out, the timer that brings it back is left to run down. */
  readonly personWaitedFor: () => boolean;
}): Alive {
  const { clock, logbook, stages, settings } = args;
  const leaseMs = settings.leaseMinutes * 60_000;
  // A lease of hours must not let a timer of minutes run out in a run that is well.
  const pauseMs = Math.min(settings.leaseMinutes, settings.deadManMinutes) * 20_000;
  let leaseUntil = clock.now() + leaseMs;

  async function renewAll(): Promise<Failure | undefined> {
    const now = clock.now();
    if (now > leaseUntil) throw sleptPast();
    await args.store.renewLease(args.cluster, {
      run: args.run,
      owner: args.owner,
      since: now,
      expiresAt: now + leaseMs,
    });
    leaseUntil = now + leaseMs;
    let hindered: Failure | undefined;
    const active = activeUnits(stages, logbook.context(), logbook.told);
    const runsDown = args.personWaitedFor() && active.some(({ step }) => step.exposes === "service");
    for (const unit of active) {
      if (!unit.step.renew || (unit.key !== "holdNodes" && runsDown)) continue;
      try {
        await unit.step.renew(args.worldFor(unit, "forward"), mineOf(logbook.told, unit.key));
      } catch (thrown) {
        hindered ??= asFailure(thrown);
        if (hindered.kind === "aborted") throw hindered;
      }
    }
    return hindered;
  }

  async function renew(): Promise<boolean> {
    let failure: Failure | undefined;
    try {
      failure = await renewAll();
    } catch (thrown) {
      failure = asFailure(thrown);
      if (failure.kind === "aborted") throw failure;
    }
    // A node that is off cannot be renewed; if it lasts, the lease runs out, and nothing is written any more.
    if (failure) logbook.write("trouble", { where: "renewal", ...troubleOf(failure) });
    return failure === undefined;
  }

  return {
    leaseUntil: () => leaseUntil,
    renew,
    keep: async (signal) => {
      let renewed = true;
      while (!signal.aborted) {
        // Sooner after a failure: an answer that was lost twice must not let the dead-man timer run out.
        await clock.sleep(renewed ? pauseMs : pauseMs / 10, signal);
        renewed = await renew();
      }
    },
  };
}

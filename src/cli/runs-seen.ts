/** What the store says of runs: their state in a word, for lists, checks and questions. */
import { startOf, type StartBody } from "../engine/start-row.ts";
import { asFailure } from "../errors.ts";
import type { Holder, Row, Store } from "../ports/store.ts";

export type RunState =
  "running" | "interrupted" | "held" | "succeeded" | "given back" | "stuck" | "refused" | "unreadable";

export interface RunSeen {
  readonly run: string;
  readonly state: RunState;
  readonly start: StartBody | undefined;
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly rows: readonly Row[];
  readonly held: Holder | undefined;
  /** Why it cannot be read, or what of it is torn. */
  readonly trouble: string | undefined;
}

export async function seeRun(store: Store, run: string): Promise<RunSeen> {
  const { rows, torn, held } = await store.read(run);
  const last = rows.findLast(
    (row) =>
      row.kind === "end" || row.kind === "held" || (row.kind === "verb" && row.body["verb"] === "undo"),
  );
  const said = last?.kind === "end" ? last.body["end"] : undefined;
  const end = typeof said === "string" ? said : undefined;
  const open: RunState = held ? "running" : last?.kind === "held" ? "held" : "interrupted";
  return {
    run,
    state: (end as RunState | undefined) ?? open,
    start: startOf(rows),
    startedAt: rows[0]?.at ?? 0,
    endedAt: last?.kind === "end" ? last.at : undefined,
    rows,
    held,
    trouble: torn,
  };
}

/** Newest first; a run that cannot be read is listed as such, so that nothing is hidden. */
export async function seeRuns(store: Store): Promise<readonly RunSeen[]> {
  const runs = await store.list();
  const seen = await Promise.all(
    runs.map(async ({ run, startedAt }): Promise<RunSeen> => {
      try {
        return await seeRun(store, run);
      } catch (thrown) {
        const trouble = asFailure(thrown).message;
        return {
          run,
          state: "unreadable",
          start: undefined,
          startedAt,
          endedAt: undefined,
          rows: [],
          held: undefined,
          trouble,
        };
      }
    }),
  );
  return seen.toSorted((a, b) => b.startedAt - a.startedAt);
}

export async function openRunsOn(store: Store, cluster: string) {
  const open: readonly RunState[] = ["running", "interrupted", "held", "stuck"];
  return (await seeRuns(store))
    .filter((seen) => seen.start?.plan.cluster === cluster && open.includes(seen.state))
    .map((seen) => ({
      run: seen.run,
      runbook: seen.start?.plan.runbook ?? "",
      state: seen.state,
      ...(seen.held && { holder: seen.held.owner }),
    }));
}

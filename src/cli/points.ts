/** Recovery points: what runs cut, as the store tells it. */
import { openPlace, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { seeRuns, type RunSeen } from "./runs-seen.ts";

interface Point {
  readonly run: string;
  readonly cluster: string;
  readonly cutAt: string;
  readonly snapshots: readonly { readonly id: string; readonly volume: string }[];
  readonly consistency: string;
  readonly why: readonly string[];
  /** Whether its copies were seen complete. */
  readonly complete: boolean;
  readonly tested: "never";
}

export async function points(
  cluster: string | undefined,
  options: WorldOptions & { readonly json?: boolean },
): Promise<number> {
  const { store } = await openPlace(options);
  const found = (await seeRuns(store))
    .flatMap(pointOf)
    .filter((point) => cluster === undefined || point.cluster === cluster);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
    return 0;
  }
  if (found.length === 0) process.stdout.write("there are no recovery points yet\n");
  for (const point of found) {
    process.stdout.write(
      `${point.cutAt}  ${point.cluster}  ${point.consistency}  ${point.complete ? "complete" : "not seen complete"}  never tested  (run ${point.run})\n`,
    );
    for (const { id, volume } of point.snapshots) process.stdout.write(`  ${id} of ${volume}\n`);
    for (const reason of point.why) process.stdout.write(`  ${harmless(reason)}\n`);
  }
  return 0;
}

function pointOf(seen: RunSeen): Point[] {
  const found = (step: string) =>
    seen.rows.find((row) => row.kind === "outcome" && row.body["unit"] === step)?.body["found"];
  const cut = found("snapshotVolumes") as
    readonly { id: string; volume: string; startedAt: string }[] | undefined;
  if (!cut || !seen.start) return [];
  const recorded = found("recordPoint") as { consistency: string; why: readonly string[] } | undefined;
  return [
    {
      run: seen.run,
      cluster: seen.start.plan.cluster,
      cutAt: cut[0]?.startedAt ?? "",
      snapshots: cut.map(({ id, volume }) => ({ id, volume })),
      consistency: recorded?.consistency ?? "unknown",
      why: recorded?.why ?? [`the run ended before it was recorded (${seen.state})`],
      complete: found("snapshotsReady") !== undefined,
      tested: "never",
    },
  ];
}

/** Recovery points: what runs cut, as the store tells it. */
import { openPlace, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { seeRuns, type RunSeen } from "./runs-seen.ts";

interface Point {
  /** Its name, for `restore --param point=…`. */
  readonly point: string;
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
      `${point.cutAt}  ${point.cluster}  ${point.consistency}  ${point.complete ? "complete" : "not seen complete"}  never tested  (${point.point === point.run ? "run" : "point"} ${point.point})\n`,
    );
    for (const { id, volume } of point.snapshots) process.stdout.write(`  ${id} of ${volume}\n`);
    for (const reason of point.why) process.stdout.write(`  ${harmless(reason)}\n`);
  }
  return 0;
}

type Cut = readonly { readonly id: string; readonly volume: string; readonly startedAt: string }[];

/** One of a run that cut one node; one for each node of a run that cut both. */
function pointOf(seen: RunSeen): Point[] {
  const { start } = seen;
  if (!start) return [];
  const found = (...steps: readonly string[]) =>
    seen.rows.find((row) => row.kind === "outcome" && steps.some((step) => row.body["unit"] === step))?.body[
      "found"
    ];
  const recorded = found("recordPoint", "recordBoth") as
    { consistency: string; why: readonly string[] } | undefined;
  const one = found("snapshotVolumes") as Cut | undefined;
  const both = found("cutBoth") as { readonly [node: string]: Cut } | undefined;
  const cuts = [
    ...(one ? [{ point: seen.run, cut: one }] : []),
    ...Object.entries(both ?? {}).map(([node, cut]) => ({ point: `${seen.run}-${node}`, cut })),
  ];
  return cuts.map(({ point, cut }) => ({
    point,
    run: seen.run,
    cluster: start.plan.cluster,
    cutAt: cut[0]?.startedAt ?? "",
    snapshots: cut.map(({ id, volume }) => ({ id, volume })),
    consistency: recorded?.consistency ?? "unknown",
    why: recorded?.why ?? [`the run ended before it was recorded (${seen.state})`],
    complete: found("snapshotsReady", "cutsReady") !== undefined,
    tested: "never",
  }));
}

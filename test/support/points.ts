/** Recovery points of earlier years in the lab's cloud: as backups would have left them, without waiting for them. */
import type { Lab } from "../../src/lab/build.ts";
import type { Tags } from "../../src/ports/cloud.ts";

const day = 86_400_000;

export interface Planted {
  readonly point: string;
  /** Before the lab's time now. */
  readonly daysAgo: number;
  readonly cluster?: string;
  readonly node?: string;
  readonly consistency?: string;
  /** Snapshots of the set; 2 unless said. */
  readonly of?: number;
  /** How many of them are missing. */
  readonly missing?: number;
  readonly state?: "completed" | "error";
  /** Its file system was in use at the cut; it was not unless said. */
  readonly dirty?: boolean;
  readonly tags?: Tags;
}

/** The ids of its snapshots, by point. */
export function plantPoints(lab: Lab, all: readonly Planted[]): ReadonlyMap<string, readonly string[]> {
  return new Map(all.map((each) => [each.point, plantPoint(lab, each)]));
}

function plantPoint(lab: Lab, planted: Planted): readonly string[] {
  const { point, daysAgo, cluster = "prod", node = "server2", consistency = "quiesced", of = 2 } = planted;
  const volume = lab.volumeOf(node, "md1") ?? "vol-0bad0000000000001";
  const count = of - (planted.missing ?? 0);
  return Array.from({ length: count }, (_, i) =>
    lab.cloud.addSnapshot({
      volume: i === 0 ? volume : `${volume.slice(0, -1)}${i}`,
      sizeGiB: 100,
      startedAt: lab.heart.clock.now() - daysAgo * day,
      content: { ...lab.cloud.content(volume), dirty: planted.dirty === true },
      truth: { powerOff: true, isolated: true, clean: planted.dirty !== true },
      ...(planted.state !== undefined && { state: planted.state }),
      tags: {
        "runbook:cluster": cluster,
        "runbook:run": point,
        "runbook:point": point,
        "runbook:node": node,
        "runbook:operation": `${point}/snapshotVolumes`,
        "runbook:consistency": consistency,
        "runbook:why": "group offline from the stop to the proven break; clean shutdown from the guest",
        "runbook:holds": i === 0 ? "md1:data+md1:cluster" : `md${i + 1}:data+md${i + 1}:cluster`,
        "runbook:of": String(of),
        ...planted.tags,
      },
    }),
  );
}

/** The points of which a snapshot is left, with how many, as "p1 2". */
export function pointsLeft(lab: Lab): readonly string[] {
  const left = new Map<string, number>();
  for (const { tags } of lab.cloud.listSnapshots()) {
    const point = tags["runbook:point"];
    if (point !== undefined) left.set(point, (left.get(point) ?? 0) + 1);
  }
  return [...left].map(([point, count]) => `${point} ${count}`).sort();
}

/**
 * What is left over: what costs money for nobody, and what stands in the way. Reads only; each thing is told with what takes
 * it away. Whatever could not be looked at is said, so that "nothing" is never said for want of a look.
 */
import { asFailure, Failure } from "../errors.ts";
import type { Ports } from "../ports/calls.ts";
import type { Snapshot, Volume } from "../ports/cloud.ts";
import type { CloudRequest, Request } from "../ports/driver.ts";
import { confirmedTag, finalTag } from "../runbook/prune.ts";
import { listPoints } from "../runbook/points.ts";
import { commandOf, type ByHandOptions } from "./by-hand.ts";
import { optionsByHand } from "./conduct.ts";
import { openContext, type Context, type WorldOptions } from "./context.ts";
import { harmless } from "./exit.ts";
import { lasting } from "./format.ts";
import { lookingPorts } from "./look.ts";
import { unrecorded } from "./points.ts";
import {
  fastRestoreMonth,
  pricesAre,
  recalledPrices,
  snapshotMonth,
  volumeMonth,
  type Prices,
} from "./prices.ts";
import { openRunsOn, seeRuns, type RunSeen } from "./runs-seen.ts";

export interface Leftover {
  readonly kind:
    | "fast restore"
    | "old volume"
    | "new volume"
    | "drill volume"
    | "volume"
    | "snapshot"
    | "final snapshot"
    | "rest of a set"
    | "unrecorded set"
    | "marker"
    | "timer"
    | "open run";
  readonly id: string;
  /** A sentence on what it is and how it came to be there. */
  readonly what: string;
  /** ISO 8601 in UTC; null where nothing tells. */
  readonly since: string | null;
  readonly usdPerMonth: number | null;
  /** What takes it away; lines of a person's to type. */
  readonly clean: readonly string[];
}

export interface Swept {
  readonly cluster: string;
  readonly found: readonly Leftover[];
  readonly notLookedAt: readonly string[];
  readonly usdPerMonth: number;
  readonly prices: string;
}

const hour = 3_600_000;
const day = 24 * hour;
/** A copy that takes longer than this deserves a look; and no run records its point later. */
const slowMs = day;

export async function sweep(
  cluster: string | undefined,
  options: WorldOptions & { readonly json?: boolean },
): Promise<number> {
  const context = await openContext(options, cluster);
  try {
    const swept = await lookForLeftovers(context);
    process.stdout.write(
      options.json === true ? `${JSON.stringify(swept, null, 2)}\n` : sweptText(swept, context.clock.now()),
    );
    return 0;
  } finally {
    await context.close();
  }
}

interface Broom {
  readonly context: Context;
  readonly ports: Ports;
  readonly runs: readonly RunSeen[];
  readonly prices: Prices;
  readonly byHand: ByHandOptions;
}

export async function lookForLeftovers(context: Context): Promise<Swept> {
  const own = context.cluster.cloud.prices;
  const broom: Broom = {
    context,
    ports: lookingPorts(context),
    runs: await seeRuns(context.store),
    prices: { ...recalledPrices, ...own },
    byHand: await optionsByHand(context),
  };
  const found: Leftover[] = [];
  const notLookedAt: string[] = [];
  const looks: readonly (readonly [what: string, look: (broom: Broom) => Promise<readonly Leftover[]>])[] = [
    ["fast restores", fastRestores],
    ["volumes", volumes],
    ["snapshots", snapshots],
    ["sets", sets],
    ...nodesOf(context).map((node) => [node, (all: Broom) => onNode(all, node)] as const),
    ["open runs", openRuns],
  ];
  for (const [what, look] of looks) {
    try {
      found.push(...(await look(broom)));
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") throw failure;
      notLookedAt.push(`${what}: ${failure.message}`);
    }
  }
  return {
    cluster: context.cluster.name,
    found,
    notLookedAt,
    usdPerMonth: found.reduce((sum, { usdPerMonth }) => sum + (usdPerMonth ?? 0), 0),
    prices: own === undefined ? pricesAre : `${pricesAre}, with those of the inventory in their place`,
  };
}

async function fastRestores({ context, ports, prices, byHand }: Broom): Promise<readonly Leftover[]> {
  const on = await ports.cloud.listFastRestores();
  if (on.length === 0) return [];
  const ours = await ports.cloud.findSnapshots({ "runbook:run": "*" });
  return on.map(({ snapshot, zone, state }) => {
    const own = ours.find(({ id }) => id === snapshot);
    const of = own ? `of ${ofPoint(own)}` : "of a snapshot that is none of ours";
    return {
      kind: "fast restore",
      id: snapshot,
      what: `fast restore of ${snapshot} in ${zone} is ${state}, ${of}`,
      since: null,
      usdPerMonth: fastRestoreMonth(prices),
      clean: commands(context.drivers.cloud.requests.disableFastRestore({ snapshot, zones: [zone] }), byHand),
    };
  });
}

function ofPoint({ tags }: Snapshot): string {
  const cluster = tags["runbook:cluster"] ?? "an unknown cluster";
  const point = tags["runbook:point"];
  return point === undefined
    ? `run ${tags["runbook:run"] ?? ""} on ${cluster}`
    : `recovery point ${point} of ${cluster}`;
}

/** Attached nowhere, and ours by their tags. */
async function volumes(broom: Broom): Promise<readonly Leftover[]> {
  const { cloud } = broom.ports;
  const all = [
    ...(await cloud.findVolumes({ "runbook:run": "*" })),
    ...(await cloud.findVolumes({ "runbook:old": "*" })),
  ];
  const loose = [...new Map(all.map((volume) => [volume.id, volume])).values()].filter(
    ({ state, attachments }) => attachments.length === 0 && (state === "available" || state === "error"),
  );
  return loose.map((volume) => looseVolume(broom, volume));
}

function looseVolume({ context, runs, prices, byHand }: Broom, volume: Volume): Leftover {
  const { id, tags, sizeGiB, type, createdAt } = volume;
  const size = `${sizeGiB} GiB ${type}`;
  const requests = context.drivers.cloud.requests;
  const common = { id, usdPerMonth: volumeMonth(prices, volume) };
  const old = tags["runbook:old"];
  if (old !== undefined) {
    const place = `${tags["runbook:old-device"] ?? "a device"} of ${tags["runbook:old-node"] ?? "a node"}`;
    const confirmed = tags[confirmedTag] !== undefined;
    const prune = `runbook run prune ${tags["runbook:cluster"] ?? context.cluster.name} --param oldVolumes=prune`;
    return {
      ...common,
      kind: "old volume",
      what: `old volume ${id} (${size}) was ${place} until run ${old}${confirmed ? ", which is confirmed" : ", which is not confirmed"}`,
      // The cloud does not tell of a detach; the run that did it may be known here.
      since: startOf(runs, old),
      clean: confirmed
        ? [prune]
        : [
            "# once a person is sure of the restore:",
            ...commands(requests.setTags({ resources: [id], tags: { [confirmedTag]: old } }), byHand),
            prune,
          ],
    };
  }
  const run = tags["runbook:run"] ?? "";
  const open = runs.find((seen) => seen.run === run && isOpen(seen));
  const kind =
    tags["runbook:drill"] !== undefined
      ? "drill volume"
      : tags["runbook:replaces"] !== undefined
        ? "new volume"
        : "volume";
  return {
    ...common,
    kind,
    what: `${kind} ${id} (${size}) was made by run ${run}, and is attached to nothing`,
    since: createdAt,
    clean: open ? toEnd(open) : commands(requests.deleteVolume({ volume: id }), byHand),
  };
}

/** Single snapshots of ours: failed, slow, or kept for the sake of a volume that is gone. */
async function snapshots({ context, ports, prices, byHand }: Broom): Promise<readonly Leftover[]> {
  const now = context.clock.now();
  const ours = await ports.cloud.findSnapshots({ "runbook:run": "*" });
  return ours.flatMap((snapshot): Leftover[] => {
    const { id, volume, state, tags, startedAt, reason, progressPercent, sizeGiB } = snapshot;
    const clean = commands(context.drivers.cloud.requests.deleteSnapshot({ snapshot: id }), byHand);
    const common = { id, since: startedAt, usdPerMonth: snapshotMonth(prices, snapshot), clean };
    const size = `${id} of ${volume} (${sizeGiB} GiB)`;
    if (state === "error")
      return [
        {
          ...common,
          kind: "snapshot",
          what: `snapshot ${size} failed: ${reason ?? "no reason given"}; it is of ${ofPoint(snapshot)}`,
        },
      ];
    if (state === "pending")
      return now - Date.parse(startedAt) < slowMs
        ? []
        : [
            {
              ...common,
              kind: "snapshot",
              what: `snapshot ${size} is still being copied, at ${progressPercent}%; it is of ${ofPoint(snapshot)}`,
              clean: ["# if it does not go on:", ...clean],
            },
          ];
    return tags[finalTag] === undefined
      ? []
      : [
          {
            ...common,
            kind: "final snapshot",
            what: `final snapshot ${size}, which a prune made before it deleted that volume`,
          },
        ];
  });
}

/** Sets from which nobody can restore: what a prune left, what lost a snapshot, what no run recorded. */
async function sets({ context, ports, runs, prices, byHand }: Broom): Promise<readonly Leftover[]> {
  const clusterName = context.cluster.name;
  const now = context.clock.now();
  const points = await listPoints({ cloud: ports.cloud, clusterName });
  const remove = (ids: readonly string[]) =>
    ids.flatMap((snapshot) => commands(context.drivers.cloud.requests.deleteSnapshot({ snapshot }), byHand));
  const month = (sizeGiB: number) => snapshotMonth(prices, { tier: "standard", sizeGiB });
  const broken = points.flatMap((point): Leftover[] => {
    // Those that failed or are slow are told one by one.
    if (point.lacks.length === 0 || point.snapshots.some(({ state }) => state !== "completed")) return [];
    const sizeGiB = point.snapshots.reduce((sum, each) => sum + each.sizeGiB, 0);
    return [
      {
        kind: "rest of a set",
        id: point.point,
        what: `recovery point ${point.point} of ${clusterName} is not whole: ${point.lacks.join("; ")}`,
        since: point.cutAt,
        usdPerMonth: month(sizeGiB),
        clean:
          point.droppedBy === ""
            ? remove(point.snapshots.map(({ id }) => id))
            : [`runbook run prune ${clusterName}`],
      },
    ];
  });
  const cut = await ports.cloud.findSnapshots({ "runbook:operation": "*", "runbook:cluster": clusterName });
  const loose = unrecorded(cut.filter(({ state }) => state === "completed")).flatMap((set): Leftover[] => {
    const open = runs.find((seen) => seen.run === set.run && isOpen(seen));
    if (now - Date.parse(set.cutAt) < slowMs && !open) return [];
    return [
      {
        kind: "unrecorded set",
        id: set.snapshots.map(({ id }) => id).join(" "),
        what: `${set.snapshots.length} snapshots of run ${set.run} on ${clusterName} were never recorded as a recovery point`,
        since: set.cutAt,
        usdPerMonth: month(set.sizeGiB),
        clean: open ? toEnd(open) : remove(set.snapshots.map(({ id }) => id)),
      },
    ];
  });
  return [...broken, ...loose];
}

/** Those of the cluster, and the scratch node of its drills. */
function nodesOf(context: Context): readonly string[] {
  const { instances, settings } = context.setting({});
  return [...Object.keys(instances), ...(settings.drill === undefined ? [] : [settings.drill.node])];
}

/** What a run left on a node, if the node answers. */
async function onNode({ context, ports, runs, byHand }: Broom, node: string): Promise<readonly Leftover[]> {
  if ((await ports.nodes.findBoot(node)) === undefined)
    throw new Failure("unavailable", "it does not answer");
  const found: Leftover[] = [];
  const marker = await ports.nodes.getMarker(node);
  const common = { since: null, usdPerMonth: null };
  if (marker.held) {
    const run = marker.marker?.run;
    const seen = runs.find((each) => each.run === run);
    if (!seen || !isOpen(seen)) {
      const left = marker.marker?.secondsLeft ?? 0;
      const alive =
        !seen && left > 0 ? `, and it may be at work elsewhere: its mark is good for another ${left} s` : "";
      const whose =
        run === undefined ? "it does not say of which run" : `of run ${run}, ${stateOf(seen)}${alive}`;
      found.push({
        ...common,
        kind: "marker",
        id: node,
        what: `the marker on ${node}: ${whose}`,
        clean:
          run === undefined
            ? [`# only if no run is at work there: remove /var/lib/runbook/lock on ${node}`]
            : alive !== ""
              ? []
              : commands(context.drivers.nodes.requests.releaseMarker({ node, run }), byHand),
      });
    }
  }
  const timer = await ports.cluster.findDeadMan(node);
  const owner = timer && runs.find((each) => each.run === timer.run);
  if (timer && !(owner && isOpen(owner)))
    found.push({
      ...common,
      kind: "timer",
      id: node,
      what: `the dead-man timer on ${node} (${timer.state}): of run ${timer.run}, ${stateOf(owner)}`,
      clean: commands(context.drivers.cluster.requests.clearDeadMan({ node, run: timer.run }), byHand),
    });
  return found;
}

function stateOf(seen: RunSeen | undefined): string {
  return seen ? `which is ${seen.state}` : "which this store does not know";
}

async function openRuns({ context, runs }: Broom): Promise<readonly Leftover[]> {
  const open = await openRunsOn(context.store, context.cluster.name);
  return open.map(({ run, runbook, state, holder }) => ({
    kind: "open run",
    id: run,
    what: `run ${run} (${runbook}) is ${state}${holder === undefined ? "" : ` (${holder})`}`,
    since: startOf(runs, run),
    usdPerMonth: null,
    clean: toEnd(runs.find((seen) => seen.run === run)),
  }));
}

function isOpen({ state }: RunSeen): boolean {
  return state === "running" || state === "interrupted" || state === "held" || state === "stuck";
}

function toEnd(seen: RunSeen | undefined): readonly string[] {
  if (seen === undefined || seen.state === "running") return [];
  return seen.state === "stuck"
    ? [`runbook undo ${seen.run}`]
    : [`runbook resume ${seen.run}`, `runbook undo ${seen.run}`];
}

function startOf(runs: readonly RunSeen[], run: string): string | null {
  const seen = runs.find((each) => each.run === run);
  return seen === undefined || seen.startedAt === 0 ? null : new Date(seen.startedAt).toISOString();
}

function commands(request: Request | CloudRequest, byHand: ByHandOptions): readonly string[] {
  return commandOf(request, byHand);
}

export function sweptText({ cluster, found, notLookedAt, usdPerMonth, prices }: Swept, now: number): string {
  const lines = [
    ...(found.length === 0 ? [`nothing is left over on ${cluster}`] : []),
    ...found.flatMap(({ what, since, usdPerMonth: usd, clean }) => [
      [
        what,
        ...(since === null ? [] : [`since ${since} (${lasting(Math.max(0, now - Date.parse(since)))})`]),
        ...(usd === null ? [] : [`about ${usd.toFixed(2)} USD a month`]),
      ].join(", "),
      ...clean.map((line) => `    ${line}`),
    ]),
    ...notLookedAt.map((what) => `not looked at: ${what}`),
    ...(usdPerMonth > 0
      ? [
          `in all about ${usdPerMonth.toFixed(2)} USD a month (${prices}; a snapshot costs less than its size says)`,
        ]
      : []),
    ...(found.length > 0 ? ["nothing was changed"] : []),
  ];
  return lines.map((line) => `${line.split("\n").map(harmless).join("\n")}\n`).join("");
}

/** A short plan and the rows of runs of it, made by hand: every kind of row that the engine writes, in a few steps. */
import type { Line } from "../../src/engine/logbook.ts";
import type { CloudRequest, NodeRequest } from "../../src/ports/driver.ts";
import { later } from "../../src/runbook/later.ts";
import type { Plan, PlannedUnit } from "../../src/runbook/plan.ts";

export const noon = Date.UTC(2026, 2, 1, 12, 0, 0);
const script = `d='/var/lib/runbook/lock'\nif [ -e "$d" ]; then rm -rf "$d"; fi\n`;

export const onNode = (node: string, verb: string, ...argv: string[]): NodeRequest => ({
  to: "node",
  verb,
  node,
  argv,
});
export const inCloud = (operation: string, verb: string, params: CloudRequest["params"]): CloudRequest => ({
  to: "cloud",
  verb,
  operation,
  params,
});

const release = (run: string) =>
  onNode("server1", "nodes.releaseMarker", "sh", "-c", script, "runbook-releaseMarker", run);
const renew = (run: string) =>
  onNode("server1", "nodes.renewMarker", "sh", "-c", script, "runbook-renewMarker", run, "1");
export const take = (run: string) =>
  onNode("server1", "nodes.takeMarker", "sh", "-c", script, "runbook-takeMarker", run, "1");
export const stop = onNode("server1", "cluster.stopGroup", "clpgrp", "-t", "failover1");
export const start = onNode("server1", "cluster.startGroup", "clpgrp", "-s", "failover1");
export const breakIt = onNode("server2", "cluster.breakMirror", "clpmdctrl", "--break", "md1");
export const cutThem = (run: string) =>
  inCloud("CreateSnapshots", "cloud.createSnapshotSet", {
    InstanceSpecification: { InstanceId: "i-0b", ExcludeBootVolume: true },
    Description: `prod: standby server2, run ${run}`,
  });
export const recover = onNode("server1", "cluster.recoverMirror", "clpmdctrl", "--recovery", "md1");
const tag = (...ids: string[]) =>
  inCloud("CreateTags", "cloud.setTags", {
    Resources: ids,
    Tags: [{ Key: "runbook:point", Value: later("this run") }],
  });

type Part = Partial<PlannedUnit> & Pick<PlannedUnit, "key" | "title">;
const unit = (part: Part): PlannedUnit => ({
  stage: part.key.split("@")[0] ?? part.key,
  kind: "step",
  now: "does not hold",
  sends: [],
  undo: [],
  withinMs: 600_000,
  ...part,
});
const sends = (...requests: PlannedUnit["sends"][number]["request"][]) =>
  requests.map((request) => ({ request }));

const units: readonly PlannedUnit[] = [
  unit({
    key: "roles",
    kind: "check",
    now: "holds",
    title: "The roles are clear: one active node, one standby",
    withinMs: 90_000,
  }),
  unit({
    key: "volumesFound",
    kind: "check",
    now: "holds",
    title: "The mirrors' volumes are found",
    withinMs: 90_000,
  }),
  unit({
    key: "holdNodes",
    title: "Mark both nodes as held by this run",
    sends: [{ request: take(later("this run")) }, { request: renew(later("this run")), renewal: true }],
    undo: [{ title: "Take this run's marker off both nodes", sends: sends(release(later("this run"))) }],
    withinMs: 180_000,
  }),
  unit({
    key: "stopGroups",
    title: "Stop the groups on the active node",
    sends: sends(stop),
    undo: [
      {
        title: "Start the groups where their mirrors are GREEN",
        sends: sends(
          onNode(
            later("the node whose mirrors are GREEN"),
            "cluster.startGroup",
            "clpgrp",
            "-s",
            "failover1",
          ),
        ),
      },
    ],
    exposes: "service",
    withinMs: 3_600_000,
  }),
  ...["server1", "server2"].map((node) =>
    unit({
      key: `suspendMonitors@${node}`,
      node,
      title: "Suspend the mirror monitors",
      sends: sends(onNode(node, "cluster.suspendMonitor", "clpmonctrl", "-s", "-h", node, "-m", "mdw1")),
      undo: [
        {
          title: "Resume the mirror monitors",
          sends: sends(onNode(node, "cluster.resumeMonitor", "clpmonctrl", "-r", "-h", node, "-m", "mdw1")),
        },
      ],
      withinMs: 300_000,
    }),
  ),
  unit({
    key: "breakMirrors",
    title: "Break the mirror away on the standby, and prove it",
    sends: sends(breakIt),
    undo: [{ title: "Every mirror is in sync again", sends: [{ request: recover, onlyAfterMs: 300_000 }] }],
    exposes: "redundancy",
  }),
  unit({
    key: "startGroups",
    title: "Start the groups on the active node",
    now: "holds",
    sends: sends(start),
    ends: "Stop the groups on the active node",
    withinMs: 3_600_000,
  }),
  unit({
    key: "snapshotVolumes",
    title: "Snapshot the standby's mirror volumes at one instant",
    sends: sends(cutThem(later("this run"))),
  }),
  unit({
    key: "mirrorsBack",
    title: "Every mirror is in sync again",
    now: "holds",
    sends: [{ request: recover, onlyAfterMs: 300_000 }],
    ends: "Break the mirror away on the standby, and prove it",
    withinMs: 12 * 3_600_000,
  }),
  unit({
    key: "snapshotsReady",
    kind: "wait",
    now: "cannot be told yet",
    title: "The snapshots are complete",
    withinMs: 12 * 3_600_000,
  }),
  unit({
    key: "recordPoint",
    title: "Record the recovery point",
    now: "cannot be told yet",
    sends: sends(tag(later("snapshot of vol-1"), later("snapshot of vol-2"))),
  }),
];

export const plan: Plan = {
  format: 1,
  runbook: "backup-standby",
  title: "Back up the standby node",
  source: { file: "runbooks/backup-standby.ts", sha256: "5".repeat(64), text: "", parts: {} },
  cluster: "prod",
  members: ["server1", "server2"],
  instances: { server1: "i-1", server2: "i-2" },
  settings: { deadManMinutes: 15, leaseMinutes: 15, copyHours: 24 },
  params: { service: "early" },
  madeAt: noon - 3_600_000,
  expiresAt: noon + 23 * 3_600_000,
  tool: "0.1.0",
  facts: {
    roles: {
      active: "server1",
      standby: "server2",
      groups: ["failover1"],
      stopped: [],
      mirrors: [
        {
          name: "md1",
          monitor: "mdw1",
          synchronous: true,
          dataPartition: { server1: "/dev/sdb2", server2: "/dev/sdb2" },
        },
      ],
      configuration: "c".repeat(64),
    },
    volumesFound: { volumes: ["vol-1", "vol-2"], others: [] },
  },
  units,
  hash: "ab12cd34".repeat(8),
};

/** Rows with the seconds at which they were written. */
export function rowsAt(...rows: readonly (readonly [number, string, Line["body"]])[]): readonly Line[] {
  return rows.map(([second, kind, body]) => ({ at: noon + second * 1000, kind, body }));
}

const call = (
  second: number,
  n: number,
  unit: string,
  request: unknown,
  seconds: number,
  direction = "forward",
) =>
  [
    [second, "sent", { n, unit, direction, request, visibleWithinMs: 0 }],
    [
      second + seconds,
      "answered",
      {
        sent: n,
        state: "answered",
        ms: seconds * 1000,
        code: 0,
        text: "",
        verb: (request as NodeRequest).verb,
      },
    ],
  ] as const;
const outcome = (second: number, unit: string, found: unknown = true) =>
  [second, "outcome", { unit, found, already: false }] as const;
const intent = (second: number, unit: string) => [second, "intent", { unit, before: null }] as const;
const acted = (second: number, unit: string) => [second, "acted", { unit }] as const;

export const upToStop = rowsAt(
  [
    0,
    "start",
    {
      format: 1,
      plan,
      instances: { server1: "i-0a", server2: "i-0b" },
      members: ["server1", "server2"],
      owner: "ops@console pid 7",
      onFailure: "give-back",
    },
  ],
  outcome(1, "roles", plan.facts["roles"]),
  outcome(2, "volumesFound", plan.facts["volumesFound"]),
  intent(2, "holdNodes"),
  ...call(2, 1, "holdNodes", take("8f3a"), 1),
  acted(3, "holdNodes"),
  outcome(4, "holdNodes"),
  intent(5, "stopGroups"),
  [5, "sent", { n: 2, unit: "stopGroups", direction: "forward", request: stop, visibleWithinMs: 0 }],
);

export const stopping = [
  ...upToStop,
  ...rowsAt([
    12,
    "read",
    {
      key: 'cluster.getState "server1"',
      unit: "stopGroups",
      answer: { groups: { failover1: { status: "pending" } } },
    },
  ]),
];

export const upToBreak = [
  ...upToStop,
  ...rowsAt(
    [
      25,
      "answered",
      { sent: 2, state: "answered", ms: 20_100, code: 0, text: "", verb: "cluster.stopGroup" },
    ],
    acted(25, "stopGroups"),
    outcome(26, "stopGroups", { groups: ["failover1"] }),
    intent(26, "suspendMonitors@server1"),
    [
      27,
      "outcome",
      {
        unit: "suspendMonitors@server2",
        found: [],
        already: true,
      },
    ],
    outcome(28, "suspendMonitors@server1", ["mdw1"]),
    intent(29, "breakMirrors"),
    [29, "sent", { n: 3, unit: "breakMirrors", direction: "forward", request: breakIt, visibleWithinMs: 0 }],
  ),
];

export const breakFailed = [
  ...upToBreak,
  ...rowsAt(
    [
      31,
      "answered",
      {
        sent: 3,
        state: "failed",
        ms: 1900,
        code: 1,
        failure: { kind: "conflict", message: "clpmdctrl on server2 ended with 1: the mirror is busy" },
        text: "",
        verb: "cluster.breakMirror",
      },
    ],
    [
      31,
      "failure",
      {
        unit: "breakMirrors",
        trouble: {
          kind: "conflict",
          message: "clpmdctrl on server2 ended with 1: the mirror is busy",
          hint: "wait until the copy has ended, and try again",
        },
      },
    ],
  ),
];

export const backAgain = [
  ...breakFailed,
  ...rowsAt(
    [60, "verb", { verb: "give-back", by: "ops", why: "answered at the terminal" }],
    ...call(61, 4, "stopGroups", start, 7, "back"),
    [69, "undone", { unit: "stopGroups", already: false }],
    [70, "undone", { unit: "breakMirrors", already: true }],
    [71, "undone", { unit: "suspendMonitors@server1", already: false }],
  ),
];

export const givenBack = [
  ...backAgain,
  ...rowsAt(
    [73, "undone", { unit: "holdNodes", already: false }],
    [73, "end", { end: "given back", exposures: [] }],
  ),
];

const dead = {
  kind: "unavailable",
  message: "server1 does not answer: connection refused",
  hint: "look at its console",
};
export const stuck = [
  ...breakFailed,
  ...rowsAt(
    [60, "verb", { verb: "give-back", by: "runbook", why: "--on-failure=give-back" }],
    [75, "not-undone", { unit: "stopGroups", trouble: dead, again: true }],
    [76, "undone", { unit: "breakMirrors", already: true }],
    [77, "undone", { unit: "suspendMonitors@server1", already: true }],
    [92, "not-undone", { unit: "holdNodes", trouble: dead, again: false }],
    [110, "not-undone", { unit: "stopGroups", trouble: dead, again: false }],
    [110, "end", { end: "stuck", exposures: [{ unit: "stopGroups", what: "service" }] }],
  ),
];

const mirror = (status: string, percent?: number) => ({
  mirror: "md1",
  status,
  sides: { server1: { colour: "GREEN" }, server2: { colour: status === "Normal" ? "GREEN" : "YELLOW" } },
  ...(percent !== undefined && { recovery: { from: "server1", to: "server2", percent } }),
});
const snapshots = (...percents: number[]) =>
  percents.map((progressPercent, i) => ({
    id: `snap-${i + 1}`,
    volume: `vol-${i + 1}`,
    state: progressPercent === 100 ? "completed" : "pending",
    progressPercent,
  }));

export const copying = [
  ...upToBreak,
  ...rowsAt(
    [30, "answered", { sent: 3, state: "answered", ms: 900, code: 0, text: "", verb: "cluster.breakMirror" }],
    acted(30, "breakMirrors"),
    outcome(31, "breakMirrors"),
    intent(31, "startGroups"),
    ...call(31, 4, "startGroups", start, 5),
    acted(36, "startGroups"),
    outcome(37, "startGroups"),
    intent(37, "snapshotVolumes"),
    ...call(37, 5, "snapshotVolumes", cutThem("8f3a"), 2),
    acted(39, "snapshotVolumes"),
    outcome(42, "snapshotVolumes", [
      { id: "snap-1", volume: "vol-1" },
      { id: "snap-2", volume: "vol-2" },
    ]),
    intent(342, "mirrorsBack"),
    ...call(342, 6, "mirrorsBack", recover, 1),
    acted(343, "mirrorsBack"),
    [
      350,
      "read",
      {
        key: 'cluster.getMirror {"mirror":"md1","via":"server1"}',
        unit: "mirrorsBack",
        answer: mirror("Recovering", 12),
      },
    ],
    [
      360,
      "read",
      {
        key: 'cluster.getMirror {"mirror":"md1","via":"server1"}',
        unit: "mirrorsBack",
        answer: mirror("Recovering", 14),
      },
    ],
    [
      400,
      "read",
      {
        key: 'cluster.getMirror {"mirror":"md1","via":"server1"}',
        unit: "mirrorsBack",
        answer: mirror("Recovering", 42),
      },
    ],
  ),
];

export const succeeded = [
  ...copying,
  ...rowsAt(
    [
      500,
      "read",
      {
        key: 'cluster.getMirror {"mirror":"md1","via":"server1"}',
        unit: "mirrorsBack",
        answer: mirror("Normal"),
      },
    ],
    outcome(500, "mirrorsBack"),
    [
      501,
      "read",
      { key: 'cloud.getSnapshots ["snap-1","snap-2"]', unit: "snapshotsReady", answer: snapshots(35, 100) },
    ],
    [
      650,
      "read",
      { key: 'cloud.getSnapshots ["snap-1","snap-2"]', unit: "snapshotsReady", answer: snapshots(100, 100) },
    ],
    outcome(650, "snapshotsReady"),
    intent(651, "recordPoint"),
    outcome(653, "recordPoint"),
    [653, "end", { end: "succeeded", exposures: [] }],
  ),
];

/** The same rows for a plan with other words in it. */
export function withPlan(rows: readonly Line[], changed: Plan): readonly Line[] {
  return rows.map((row) => (row.kind === "start" ? { ...row, body: { ...row.body, plan: changed } } : row));
}

/** Which cases there are. A case is one run in a world of its own, with the points at which it is killed. */

const standby = (id, mirrors, service) => ({
  id,
  mirrors,
  runbook: "backup-standby",
  params: [`service=${service}`],
});

/**
 * `backedUp`: a backup was made before the run that is judged; `lost`: and files were lost after it. `places`: that run ends
 * with other volumes, in the places of the old ones. `scratch`: it touches nothing of the cluster that was backed up. `on`: the cluster that it
 * works on, if it is another one. `stopsAll`: it stops the
 * groups without a dead-man timer.
 */
export const shapes = [
  standby("1-early", 1, "early"),
  standby("1-late", 1, "late"),
  standby("3-early", 3, "early"),
  standby("3-late", 3, "late"),
  { id: "active", mirrors: 1, runbook: "backup-active", params: [] },
  { id: "both", mirrors: 1, runbook: "backup-both", params: [], stopsAll: true },
  {
    id: "restore",
    mirrors: 1,
    runbook: "restore",
    params: [],
    backedUp: true,
    lost: true,
    places: true,
    stopsAll: true,
  },
  {
    id: "warm",
    mirrors: 1,
    runbook: "restore",
    params: ["warm=fast"],
    backedUp: true,
    lost: true,
    places: true,
  },
  {
    id: "one",
    mirrors: 1,
    runbook: "restore-one",
    params: ["onto=server1"],
    backedUp: true,
    lost: true,
    places: true,
    stopsAll: true,
  },
  { id: "drill", mirrors: 1, runbook: "drill", params: [], backedUp: true, scratch: true },
  {
    id: "staging",
    mirrors: 1,
    runbook: "drill-staging",
    on: "staging",
    params: [],
    backedUp: true,
    scratch: true,
  },
];

/** A number from 0 to 1 that is the same for the same text, every time (FNV-1a). */
export function dice(text) {
  let hash = 0x811c9dc5;
  for (const char of text) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return hash / 2 ** 32;
}

/** The rows of an undisturbed run by what they say, each with its number among those that say the same. */
function rowsOf(reference) {
  const seen = new Map();
  return reference.keys.map((key) => {
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    return { key, nth };
  });
}

/** Every `stride`-th point, in runs of at most `size` kills, which lie as far apart as can be. */
function chains(shape, kind, points, { stride = 1, size }) {
  const chosen = points.filter((_, i) => i % stride === 0);
  const count = Math.ceil(chosen.length / size);
  return Array.from({ length: count }, (_, i) => {
    const id = `${shape.id}/${kind}/${i + 1}`;
    return {
      id,
      kind,
      shape,
      seed: 1 + Math.floor(dice(id) * 1e6),
      points: chosen.filter((_, j) => j % count === i),
      of: points.length,
    };
  });
}

export function rowCases(shape, reference, when, how) {
  const points = rowsOf(reference).map((row) => {
    const id = `${when} row "${row.key}" (${row.nth})`;
    // After: every other row is synced before the kill, the rest is not.
    const exact = when === "after" ? (dice(`${row.key}${row.nth}`) < 0.5 ? "written" : "synced") : when;
    return { id, ...row, when: exact, cut: dice(`${shape.id} ${id}`) };
  });
  return chains(shape, `${when} row`, points, how);
}

export function writeCases(shape, reference, how) {
  const points = Array.from({ length: reference.writes }, (_, i) => ({
    id: `in write ${i + 1}`,
    write: i + 1,
  }));
  return chains(shape, "in write", points, how);
}

/** The boundaries of phases at which the world changes behind the run's back, by the row after which it is killed. */
const boundaries = [
  "outcome armTimer",
  "intent stopGroups",
  "sent stopGroups cluster.stopGroup",
  "outcome stopGroups",
  "outcome suspendMonitors@server2",
  "intent breakMirrors",
  "outcome breakMirrors",
  "sent startGroups cluster.startGroup",
  "outcome startGroups",
  "outcome clearTimer",
  "intent prepareStandby",
  "outcome prepareStandby",
  "outcome snapshotVolumes",
  "outcome startStandby",
  "outcome finishBackup",
  "outcome joinCluster",
  "outcome resumeMonitors@server1",
  "outcome mirrorsBack",
];

/** While nobody is at work a person brings back the service that the run has stopped. */
const stopped = ["sent stopAll cluster.stopGroup", "answered cluster.stopGroup", "outcome stopAll"];

export function changeCases(shape, change, stride = 1) {
  return (change === "started" ? stopped : boundaries)
    .filter((_, i) => i % stride === 0)
    .map((key) => {
      const id = `${shape.id}/${change}/${key.replaceAll(" ", "-")}`;
      return {
        id,
        kind: change,
        change,
        shape,
        seed: 1 + Math.floor(dice(id) * 1e6),
        points: [{ id: `after row "${key}" (1)`, key, nth: 1, when: "synced", cut: 0 }],
        of: change === "started" ? stopped.length : boundaries.length,
      };
    });
}

/**
 * Around the call that makes the snapshots: where a process that does not look for their tag makes them twice, because
 * the one before it died when the call was carried out and its answer was not yet in the journal.
 */
export function controlCases(reference) {
  const shape = shapes[0];
  const call = "snapshotVolumes cloud.createSnapshotSet";
  const write = reference.lines.findIndex((line) => line.startsWith("CreateSnapshot")) + 1;
  const answered = { key: `answered cloud.createSnapshotSet`, nth: 1, cut: 0.5 };
  const points = [
    { id: `after row "sent ${call}"`, key: `sent ${call}`, nth: 1, when: "synced", cut: 0.5 },
    { id: `in write ${write}`, write },
    { id: `before row "${answered.key}"`, ...answered, when: "before" },
    { id: `torn row "${answered.key}"`, ...answered, when: "torn" },
    { id: `after row "${answered.key}"`, ...answered, when: "synced" },
  ];
  return points.map((point, i) => ({
    id: `control/${i + 1}`,
    kind: "control",
    control: true,
    shape,
    seed: 7 + i,
    points: [point],
    of: points.length,
  }));
}

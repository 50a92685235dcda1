/** What an inventory says of drills: where recovery points are tried out, and what must be found in them. */
import type { DrillCheck } from "../runbook/drill-setting.ts";
import { withoutGaps } from "./gaps.ts";
import type { NodeEntry } from "./inventory.ts";
import { show, type Mistake, type PathPart } from "./mistakes.ts";
import type { InventoryFile } from "./schema.ts";

export interface DrillEntry {
  /** A machine of its own, reached as a node is; its name is `scratch.name`. */
  readonly scratch: NodeEntry;
  readonly targetMinutes?: number;
  /** In the file's order. */
  readonly checks: readonly DrillCheck[];
}

export interface StagingEntry {
  readonly of: string;
  /** Nothing that runs on it reaches production or its clients, so that groups may be started there. */
  readonly isolated: boolean;
  /** What both clusters may have: addresses, names, ids. */
  readonly shares: readonly string[];
  readonly targetMinutes?: number;
  /** In the place of those of `of`. */
  readonly checks?: readonly DrillCheck[];
}

type StagingFile = NonNullable<InventoryFile["clusters"][string]["staging"]>;

export function findStagingContradictions(
  cluster: string,
  { of, checks }: StagingFile,
  value: InventoryFile,
): Mistake[] {
  const at = ["clusters", cluster, "staging"] as const;
  const mistakes = checks === undefined ? [] : findCheckContradictions([...at, "checks"], checks);
  const here = value.clusters[cluster];
  const origin = Object.hasOwn(value.clusters, of) ? value.clusters[of] : undefined;
  if (origin === undefined || origin === here)
    mistakes.push({
      path: [...at, "of"],
      what: `expected another cluster of this file, found ${show(of)}`,
    });
  else if (here !== undefined) {
    if (origin.cloud.driver !== here.cloud.driver || origin.cloud.region !== here.cloud.region)
      mistakes.push({
        path: [...at, "of"],
        what: `expected a cluster in the same region, whose snapshots can be restored here, found ${show(of)} in ${origin.cloud.region}`,
      });
    for (const [node, { instance }] of Object.entries(here.nodes))
      for (const [other, entry] of Object.entries(origin.nodes))
        if (entry.instance === instance)
          mistakes.push({
            path: ["clusters", cluster, "nodes", node, "instance"],
            what: `expected a machine of its own, found that of ${other} of ${of}`,
          });
  }
  return mistakes;
}

type DrillFile = NonNullable<InventoryFile["clusters"][string]["drill"]>;
type CheckFile = DrillFile["checks"][number];

export function findDrillContradictions(cluster: string, drill: DrillFile, value: InventoryFile): Mistake[] {
  const mistakes: Mistake[] = [];
  const at = ["clusters", cluster, "drill"] as const;
  const { node: scratch, instance } = drill.scratch;
  // What is restored there is thrown away, and so may be whatever else is on that machine.
  for (const [other, { nodes }] of Object.entries(value.clusters))
    for (const [node, entry] of Object.entries(nodes)) {
      if (entry.instance === instance)
        mistakes.push({
          path: [...at, "scratch", "instance"],
          what: `expected a machine of its own, found that of ${node} of ${other}`,
        });
      if (node === scratch)
        mistakes.push({
          path: [...at, "scratch", "node"],
          what: `expected a name of its own, found that of a node of ${other}`,
        });
    }
  return [...mistakes, ...findCheckContradictions([...at, "checks"], drill.checks)];
}

export function findCheckContradictions(at: readonly PathPart[], checks: readonly CheckFile[]): Mistake[] {
  const mistakes: Mistake[] = [];
  const seen = new Set<string>();
  for (const [i, each] of checks.entries()) {
    const here = [...at, i];
    if (seen.has(each.name))
      mistakes.push({
        path: [...here, "name"],
        what: `expected a name of its own, found ${show(each.name)} again`,
      });
    seen.add(each.name);
    const kinds = checkKinds.filter((kind) => each[kind] !== undefined);
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) {
      mistakes.push({
        path: here,
        what: `expected one of ${checkKinds.join(", ")}, found ${kinds.length === 0 ? "none" : kinds.join(" and ")}`,
      });
      continue;
    }
    if (kind !== "http" && each.on === undefined)
      mistakes.push({ path: here, what: "expected `on` with the name of a mirror, found nothing" });
    if (each.stdout !== undefined && each.matches !== undefined)
      mistakes.push({ path: here, what: "expected `stdout` or `matches`, found both" });
    const known = ["name", "seconds", kind, ...keysOf[kind]];
    const stray = Object.keys(each).filter(
      (key) => each[key as keyof CheckFile] !== undefined && !known.includes(key),
    );
    if (stray.length > 0)
      mistakes.push({
        path: here,
        what: `expected nothing that \`${kind}\` does not have, found ${stray.join(", ")}`,
      });
  }
  return mistakes;
}

const checkKinds = ["command", "file", "http"] as const;
const keysOf: { readonly [kind in (typeof checkKinds)[number]]: readonly string[] } = {
  command: ["on", "stdout", "matches", "user"],
  file: ["on", "sha256"],
  http: ["status", "contains"],
};

/** With the defaults where the file says nothing; `findContradictions` has seen that it is one of the three. */
export function finishCheck(each: CheckFile): DrillCheck {
  const { name, seconds = 60, on = "" } = each;
  if (each.command !== undefined)
    return {
      kind: "command",
      name,
      seconds,
      on,
      user: each.user ?? "nobody",
      argv: each.command,
      stdout: each.stdout ?? null,
      matches: each.matches ?? null,
    };
  if (each.file !== undefined)
    return { kind: "file", name, seconds, on, path: each.file, sha256: each.sha256 ?? null };
  return {
    kind: "http",
    name,
    seconds,
    url: each.http ?? "",
    status: each.status ?? 200,
    contains: each.contains ?? null,
  };
}

export function finishDrill({ target, checks }: DrillFile, scratch: NodeEntry): DrillEntry {
  return withoutGaps({
    scratch,
    targetMinutes: target,
    checks: checks.map(finishCheck),
  });
}

export function finishStaging({ of, isolated, shares, target, checks }: StagingFile): StagingEntry {
  return withoutGaps({
    of,
    isolated: isolated ?? false,
    shares: shares ?? [],
    targetMinutes: target,
    checks: checks?.map(finishCheck),
  });
}

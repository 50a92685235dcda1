/**
 * The inventory: the one file in which people name their clusters, nodes and clouds. It is read and checked once,
 * and untrusted until then. Everything that is wrong is told at once, each with its line; nothing unknown passes,
 * because a mistyped `sudo` or `jump` that is silently left out fails later, in the middle of an outage.
 */
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type * as Yaml from "yaml";
import { Failure } from "../errors.ts";
import { nearest } from "./nearest.ts";
import { findMistakes, findSecrets, findUnknownKeys, show, type Mistake, type PathPart } from "./mistakes.ts";
import type { DrillCheck } from "../runbook/drill-setting.ts";
import type { HookSetting } from "../runbook/hook-setting.ts";
import {
  findCheckContradictions,
  findDrillContradictions,
  findStagingContradictions,
  finishCheck,
  finishDrill,
  finishStaging,
  type DrillEntry,
  type StagingEntry,
} from "./drills.ts";
import { withoutGaps } from "./gaps.ts";
import { finishApprovals, type ApprovalEntry } from "./approvals.ts";
import { findHookContradictions, finishHook } from "./hooks.ts";
import { inventorySchema, type InventoryFile } from "./schema.ts";

const require = createRequire(import.meta.url);

export interface Inventory {
  /** Its absolute path. */
  readonly file: string;
  /** The cluster that is meant when none is named. */
  readonly default?: string;
  readonly clusters: { readonly [name: string]: ClusterEntry };
}

export interface ClusterEntry {
  readonly name: string;
  readonly manager: "clusterpro";
  readonly cloud: CloudEntry;
  /** Exactly two, in the file's order. */
  readonly nodes: { readonly [name: string]: NodeEntry };
  readonly settings: ClusterSettings;
  readonly drill?: DrillEntry;
  /** It is the staging cluster of another one of the same inventory, whose points are restored there to see that they work. */
  readonly staging?: StagingEntry;
  /** What must be found, where the service runs again, after a restore; in the file's order. */
  readonly restore?: { readonly checks: readonly DrillCheck[] };
  /** Own commands around the phases of the procedures, in the file's order. */
  readonly hooks?: readonly HookSetting[];
  /** How many people must have signed a plan before it is run here. */
  readonly approvals?: ApprovalEntry;
  /** How old the newest backup, and the newest drill that passed, may become (`status --check`). */
  readonly backupEveryMs?: number;
  readonly drillEveryMs?: number;
}

export interface CloudEntry {
  readonly driver: "aws";
  readonly region: string;
  readonly profile?: string;
  readonly endpoint?: string;
  /** What things cost here, in the place of those that `sweep` remembers; names as in src/cli/prices.ts. */
  readonly prices?: { readonly [name: string]: number };
}

export interface NodeEntry {
  readonly name: string;
  readonly address: string;
  readonly port?: number;
  readonly user?: string;
  /** Absolute paths. */
  readonly identity?: string;
  readonly knownHosts?: string;
  readonly sudo?: boolean;
  readonly jump?: string;
  readonly instance: string;
}

/** With the defaults where the file says nothing. */
export interface ClusterSettings {
  /** After how long without a sign of the run the node starts its own groups again. */
  readonly deadManMinutes: number;
  /** How long a run holds the cluster after its last sign of life. */
  readonly leaseMinutes: number;
  /** How long a full copy of the mirrors may take. */
  readonly copyHours: number;
  /** Accepts device paths such as /dev/nvme1n1 on nodes with several disks, although they change between boots. */
  readonly acceptBareNvme: boolean;
}

const defaultSettings: ClusterSettings = {
  deadManMinutes: 15,
  leaseMinutes: 15,
  copyHours: 24,
  acceptBareNvme: false,
};

export const inventoryName = "runbook.yaml";

/** Which file is the inventory: as named, else $RUNBOOK_INVENTORY, else runbook.yaml here or above; undefined if none. */
export function findInventory(from: {
  readonly flag: string | undefined;
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
}): string | undefined {
  const named = from.flag ?? from.env["RUNBOOK_INVENTORY"];
  if (named !== undefined && named !== "") return resolve(from.cwd, named);
  for (let folder = resolve(from.cwd); ; folder = dirname(folder)) {
    const path = join(folder, inventoryName);
    if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
    if (folder === dirname(folder)) return undefined;
  }
}

export async function readInventory(path: string): Promise<Inventory> {
  const file = resolve(path);
  const text = await readText(file);
  // An import of CommonJS reads every file of it once more for its names; a require does not, and saves 30 ms.
  const yaml = require("yaml") as typeof Yaml;
  const valibot = await import("valibot");
  const { value, mistakes, lineOf } = findMistakes(yaml, text);
  if (mistakes.length > 0) throw refuse(file, mistakes);

  const schema = inventorySchema(valibot);
  const secrets = findSecrets(value);
  if (secrets.length > 0) throw refuse(file, withLines(secrets, lineOf));
  const unknown = findUnknownKeys(value, schema);
  const checked = valibot.safeParse(schema, value);
  const wrong = (checked.issues ?? []).map((issue) => ({
    path: (issue.path ?? []).map((part) => part.key as PathPart),
    // A missing key is reported by the mapping that should hold it, without a message of the key's own.
    what:
      issue.expected === `"${String(issue.path?.at(-1)?.key)}"` &&
      issue.kind === "schema" &&
      issue.input === undefined
        ? "is missing"
        : `expected ${issue.message}, found ${show(issue.input)}`,
  }));
  const more = checked.success ? findContradictions(checked.output) : [];
  const all = withLines([...unknown, ...wrong, ...more], lineOf);
  if (all.length > 0 || !checked.success) throw refuse(file, all);
  return finish(file, checked.output);
}

/** The cluster that is meant: the named one, else the only one, else the inventory's default. */
export function pickCluster(inventory: Inventory, name?: string): ClusterEntry {
  const names = Object.keys(inventory.clusters);
  const wanted = name ?? (names.length === 1 ? names[0] : inventory.default);
  if (wanted === undefined)
    throw new Failure("invalid", `${inventory.file} has several clusters, and none was named`, {
      hint: `name one of ${names.join(", ")}, or give the inventory a default`,
    });
  const entry = Object.hasOwn(inventory.clusters, wanted) ? inventory.clusters[wanted] : undefined;
  if (entry !== undefined) return entry;
  const guess = nearest(wanted, names);
  throw new Failure("not-found", `there is no cluster ${JSON.stringify(wanted)} in ${inventory.file}`, {
    hint: `${guess === undefined ? "" : `did you mean ${JSON.stringify(guess)}? `}the clusters are ${names.join(", ")}`,
  });
}

/** For hundreds of clusters; a reader of YAML takes seconds for much more. */
const largestBytes = 2 ** 18;

async function readText(file: string): Promise<string> {
  try {
    const handle = await open(file, "r");
    try {
      const stats = await handle.stat();
      if (!stats.isFile())
        throw new Failure("invalid", `the inventory ${file} is not a file`, { hint: "name a file" });
      if (stats.size > largestBytes)
        throw new Failure(
          "invalid",
          `the inventory ${file} has ${stats.size} bytes; the most is ${largestBytes}`,
          {
            hint: "an inventory names clusters and nodes only; move anything else out of it",
          },
        );
      return new TextDecoder("utf-8", { fatal: true }).decode(await handle.readFile());
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    if (code === "ENOENT")
      throw new Failure("not-found", `there is no inventory ${file}`, {
        hint: "name one that is there, or let `runbook init` write it",
        cause: thrown,
      });
    if (code === "EACCES" || code === "EPERM")
      throw new Failure("denied", `the inventory ${file} may not be read`, {
        hint: "look at its permissions",
        cause: thrown,
      });
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA")
      throw new Failure("invalid", `the inventory ${file} is not UTF-8 text`, {
        hint: "save it as UTF-8",
        cause: thrown,
      });
    throw new Failure("unavailable", `the inventory ${file} could not be read`, { cause: thrown });
  }
}

/** What no single value shows. */
function findContradictions(value: InventoryFile): Mistake[] {
  const mistakes: Mistake[] = [];
  const names = Object.keys(value.clusters);
  if (names.length === 0)
    mistakes.push({ path: ["clusters"], what: "expected at least one cluster, found none" });
  if (value.default !== undefined && !names.includes(value.default)) {
    const guess = nearest(value.default, names);
    const meant = guess === undefined ? "" : `; did you mean ${JSON.stringify(guess)}?`;
    mistakes.push({
      path: ["default"],
      what: `expected one of the clusters (${names.join(", ")}), found ${show(value.default)}${meant}`,
    });
  }
  for (const [name, cluster] of Object.entries(value.clusters)) {
    const nodes = Object.entries(cluster.nodes);
    if (nodes.length !== 2)
      mistakes.push({
        path: ["clusters", name, "nodes"],
        what: `expected exactly two nodes, found ${nodes.length}`,
      });
    const seen = new Map<string, string>();
    for (const [node, { instance }] of nodes) {
      const other = seen.get(instance);
      seen.set(instance, node);
      // Both sides of a mirror on one machine: a power-off of "the standby" would be one of the active.
      if (other !== undefined)
        mistakes.push({
          path: ["clusters", name, "nodes", node, "instance"],
          what: `expected another instance than that of ${other}, found ${show(instance)} again`,
        });
    }
    if (cluster.drill) mistakes.push(...findDrillContradictions(name, cluster.drill, value));
    if (cluster.staging) mistakes.push(...findStagingContradictions(name, cluster.staging, value));
    if (cluster.hooks)
      mistakes.push(...findHookContradictions(name, cluster.hooks, Object.keys(cluster.nodes)));
    if (cluster.restore)
      mistakes.push(
        ...findCheckContradictions(["clusters", name, "restore", "checks"], cluster.restore.checks),
      );
  }
  return mistakes;
}

const unitMs: { readonly [unit: string]: number } = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** As "36h"; the schema lets nothing else through. */
function durationMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text.slice(0, -1)) * (unitMs[text.slice(-1)] ?? 0);
}

function finish(file: string, value: InventoryFile): Inventory {
  const clusters = Object.entries(value.clusters).map(([name, cluster]) => {
    const { manager, cloud, nodes, settings, drill, restore, staging } = cluster;
    const entries = Object.entries(nodes).map(
      ([node, entry]) => [node, finishNode(file, node, entry)] as const,
    );
    const entry: ClusterEntry = {
      name,
      manager,
      cloud: withoutGaps({ ...cloud, prices: cloud.prices && withoutGaps(cloud.prices) }),
      nodes: Object.fromEntries(entries),
      settings: { ...defaultSettings, ...withoutGaps(settings ?? {}) },
      ...withoutGaps({
        drill: drill && finishDrill(drill, finishScratch(file, drill.scratch)),
        staging: staging && finishStaging(staging),
        hooks: cluster.hooks?.map(finishHook),
        restore: restore && { checks: restore.checks.map(finishCheck) },
        approvals: cluster.approvals && finishApprovals(cluster.approvals, (path) => absolute(file, path)),
        backupEveryMs: durationMs(cluster.backupEvery),
        drillEveryMs: durationMs(cluster.drillEvery),
      }),
    };
    return [name, entry] as const;
  });
  return { file, ...withoutGaps({ default: value.default }), clusters: Object.fromEntries(clusters) };
}

function finishScratch(
  file: string,
  { node, ...rest }: NonNullable<InventoryFile["clusters"][string]["drill"]>["scratch"],
): NodeEntry {
  return finishNode(file, node, rest);
}

function finishNode(
  file: string,
  name: string,
  entry: InventoryFile["clusters"][string]["nodes"][string],
): NodeEntry {
  const { identity, knownHosts, ...rest } = entry;
  return withoutGaps({
    name,
    ...rest,
    identity: identity === undefined ? undefined : absolute(file, identity),
    knownHosts: knownHosts === undefined ? undefined : absolute(file, knownHosts),
  });
}

/** A path of the inventory: below the home folder, or relative to the file. */
function absolute(file: string, path: string): string {
  return path === "~" || path.startsWith("~/")
    ? join(homedir(), path.slice(1))
    : resolve(dirname(file), path);
}

const mostShown = 20;
/** To find a line takes a walk through the file, which ten thousand mistakes are not worth. */
const mostPlaced = 200;

function withLines(
  mistakes: readonly Mistake[],
  lineOf: (path: readonly PathPart[], key: boolean) => number,
): Mistake[] {
  const placed = mistakes.slice(0, mostPlaced).map((mistake) => ({
    ...mistake,
    line: lineOf(mistake.path, mistake.atKey === true),
  }));
  return [...placed.sort((a, b) => a.line - b.line), ...mistakes.slice(mostPlaced)];
}

/** A key is text from outside, too: one with blanks or signs that are not seen stands in quotes, never on a line of its own. */
function showKey(part: PathPart): string {
  return /^[^\p{C}\p{Z}]{1,63}$/u.test(String(part)) ? String(part) : show(part);
}

function refuse(file: string, mistakes: readonly Mistake[]): Failure {
  const lines = mistakes.slice(0, mostShown).map(({ path, what, line }) => {
    const where = path.length === 0 ? "" : ` ${path.map(showKey).join(".")}:`;
    return `${file}:${line ?? 1}:${where} ${what}`;
  });
  if (mistakes.length > mostShown) lines.push(`and ${mistakes.length - mostShown} more`);
  const hint = mistakes.find((mistake) => mistake.hint !== undefined)?.hint;
  return new Failure("invalid", lines.join("\n"), {
    hint:
      hint ??
      `mend ${mistakes.length === 1 ? "this line" : "these lines"}; docs/reference/inventory.md lists every key`,
  });
}

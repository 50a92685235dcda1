/** What the least rights are made from: the inventory, and what can be read of the cluster and its cloud now. */
import { asFailure } from "../errors.ts";
import type { Drivers } from "../layers/connect.ts";
import type { ClusterConfig } from "../ports/cluster-manager.ts";
import type { NodeScope } from "../ports/rights.ts";
import type { DrillCheck } from "../runbook/drill-setting.ts";
import { combinationsOf } from "../runbook/combinations.ts";
import { commandOf } from "../runbook/drill.ts";
import type { Runbook } from "../runbook/step.ts";
import { longestCallSeconds } from "../runbook/take-over.ts";
import type { NodesPlayed, Played } from "./policy-make.ts";

type Instances = { readonly [node: string]: string };

/** What the inventory says. */
export interface Said {
  readonly cluster: string;
  readonly region: string;
  readonly nodes: Instances;
  readonly owner: string;
  readonly leaseMinutes: number;
  readonly deadManMinutes: number;
  readonly checks: readonly DrillCheck[];
  readonly drill:
    { readonly node: string; readonly instance: string; readonly checks: readonly DrillCheck[] } | undefined;
  readonly staging:
    { readonly of: string; readonly nodes: Instances; readonly checks: readonly DrillCheck[] } | undefined;
}

export interface Seen {
  readonly config: ClusterConfig | undefined;
  readonly production: ClusterConfig | undefined;
  readonly volumes: readonly string[] | undefined;
  readonly keys: readonly string[];
  /** What could not be read, a sentence each. */
  readonly notes: readonly string[];
}

/** Reads only. What cannot be read is no failure: who has no rights yet needs the first lines of them for that. */
export async function lookAround(
  said: Said,
  drivers: Pick<Drivers, "cluster" | "cloud" | "production">,
): Promise<Seen> {
  const notes: string[] = [];
  const trying = async <T>(what: string, without: string, look: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await look();
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") throw failure;
      notes.push(
        `${what} could not be read (${failure.message}): ${without}; grant what is here, and ask again`,
      );
      return undefined;
    }
  };
  const { production } = drivers;
  const left = "the commands that name groups, mirrors and monitors are left out";
  const [config, theirs, held] = await Promise.all([
    trying(`the configuration of ${said.cluster}`, left, () =>
      drivers.cluster.reads.getConfig(Object.keys(said.nodes)),
    ),
    said.staging && production
      ? trying(`the configuration of ${said.staging.of}`, left, () =>
          production.cluster.reads.getConfig(Object.keys(said.staging?.nodes ?? {})),
        )
      : undefined,
    trying("the volumes of the nodes", "only volumes that a run has made are let in", () =>
      findHeld(said, drivers),
    ),
  ]);
  return { config, production: theirs, volumes: held?.volumes, keys: held?.keys ?? [], notes };
}

async function findHeld(
  { nodes }: Said,
  { cloud }: Pick<Drivers, "cloud">,
): Promise<{ readonly volumes: readonly string[]; readonly keys: readonly string[] }> {
  const machines = await Promise.all(Object.values(nodes).map((id) => cloud.reads.getInstance(id)));
  const volumes = machines.flatMap(({ attachments, rootDevice }) =>
    attachments.filter(({ device }) => device !== rootDevice).map(({ volume }) => volume),
  );
  const found = volumes.length === 0 ? [] : await cloud.reads.getVolumes(volumes);
  return { volumes, keys: [...new Set(found.flatMap(({ key }) => (key === undefined ? [] : [key])))] };
}

/** Undefined where it cannot be played on this cluster. */
export function whereIsPlayed(
  name: string,
  runbook: Pick<Runbook, "onScratch" | "onStaging" | "cloudOnly" | "usesScratch" | "params">,
  said: Said,
  seen: Seen,
): Played | undefined {
  const { drill, staging } = said;
  if (runbook.onStaging && staging === undefined) return undefined;
  if (runbook.onScratch && drill === undefined) return undefined;
  const helps =
    drill !== undefined && combinationsOf(runbook).all.some((params) => runbook.usesScratch(params));
  const instances = runbook.onScratch
    ? [drill?.instance ?? ""]
    : [...Object.values(said.nodes), ...(helps && drill ? [drill.instance] : [])];
  const checks = runbook.onScratch ? drill?.checks : runbook.onStaging ? staging?.checks : said.checks;
  const scope = scopeOf(said, seen.config, {
    checks: checks ?? [],
    looksIn: runbook.onScratch ? ["folders"] : runbook.onStaging ? ["folders", "cluster"] : ["cluster"],
    foreign: runbook.onStaging ? (seen.production?.mirrors ?? []) : [],
  });
  const members = runbook.onScratch ? [drill?.node ?? ""] : Object.keys(said.nodes);
  const nodes: readonly NodesPlayed[] = runbook.cloudOnly
    ? []
    : [
        { nodes: [...members, ...(helps && drill ? [drill.node] : [])], scope, readsOnly: false },
        ...(runbook.onStaging && staging
          ? [
              {
                nodes: Object.keys(staging.nodes),
                scope: scopeOf(said, seen.production, { checks: [], looksIn: [], foreign: [] }),
                readsOnly: true,
              },
            ]
          : []),
      ];
  return {
    runbook: name,
    nodes,
    cloud: {
      region: said.region,
      cluster: said.cluster,
      pointsOf: runbook.onStaging ? (staging?.of ?? said.cluster) : said.cluster,
      instances: runbook.cloudOnly ? [] : instances,
      volumes: runbook.onScratch ? [] : seen.volumes,
      keys: seen.keys,
    },
  };
}

function scopeOf(
  said: Said,
  config: ClusterConfig | undefined,
  { checks, ...where }: Pick<NodeScope, "foreign" | "looksIn"> & { readonly checks: readonly DrillCheck[] },
): NodeScope {
  return {
    config,
    owner: said.owner,
    leaseSeconds: said.leaseMinutes * 60,
    deadManSeconds: said.deadManMinutes * 60,
    expiredSeconds: longestCallSeconds,
    checks: checks.map((check) => ({
      ...commandOf(check),
      seconds: check.seconds,
      on: check.kind === "http" ? undefined : check.on,
    })),
    ...where,
  };
}

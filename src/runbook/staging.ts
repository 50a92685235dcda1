/**
 * A drill on a staging cluster: the point of another cluster, restored onto a cluster of its own that stands aside. Nothing is
 * begun unless it is proven that nothing of staging is production's: with an address of production, its clients would be
 * served from a copy. Production is only ever read.
 */
import { Failure } from "../errors.ts";
import type { ClusterConfig } from "../ports/cluster-manager.ts";
import { lvmFound } from "./lvm.ts";
import { changesTo, pathsAtCut, pathsIn, pathsOfPoint } from "./mirror-paths.ts";
import { pointFound } from "./points.ts";
import { sides } from "./restore.ts";
import type { StagingSetting } from "./drill-setting.ts";
import { check, type World } from "./step.ts";
import type { Production } from "../ports/calls.ts";

export function stagingOf(world: Pick<World, "settings">): StagingSetting {
  const { staging } = world.settings;
  if (staging === undefined) throw new Failure("bug", "a drill on staging without its setting");
  return staging;
}

function productionOf(world: World): Production {
  if (world.production === undefined)
    throw new Failure("bug", "a drill on staging that cannot see production");
  return world.production;
}

export interface Apart {
  readonly of: string;
  /** The groups of staging, and those of them that start when it does. */
  readonly groups: readonly string[];
  readonly starting: readonly string[];
  /** What production's cluster calls the partitions, by mirror and node. */
  readonly layout: readonly {
    readonly mirror: string;
    readonly data: { readonly [node: string]: string };
    readonly cluster: { readonly [node: string]: string };
  }[];
  readonly told: readonly string[];
}

export const stagingApart = check<Apart>("Nothing of the staging cluster is production's", async (world) => {
  const { of, production, shares } = stagingOf(world);
  const there = productionOf(world);
  const nodes = Object.keys(production);
  const ours = await world.cluster.getConfig(world.members);
  const theirs = await there.cluster.getConfig(nodes);
  const silent = nodes.filter((node) => theirs.digests[node] === undefined);
  if (silent.length > 0) throw notSeen(`${silent.join(" and ")} of ${of} cannot be asked`);
  for (const [name, { digests }] of [
    [world.clusterName, ours],
    [of, theirs],
  ] as const)
    if (new Set(Object.values(digests)).size > 1)
      throw notSeen(`the nodes of ${name} have two configurations`);
  if (ours.uuid === undefined || theirs.uuid === undefined)
    throw notSeen(`the configuration of ${ours.uuid === undefined ? world.clusterName : of} has no uuid`);

  const common: string[] = [];
  /** What both may have is a person's word; that a machine is another one never is. */
  const compare = (what: string, here: readonly string[], other: readonly string[], mayShare = false) => {
    for (const value of new Set(here))
      if (other.includes(value) && !(mayShare && shares.includes(value))) common.push(`${what} ${value}`);
  };
  const machines = async (names: readonly string[], ask: (node: string) => Promise<string>) => {
    const found: string[] = [];
    for (const node of names) found.push(await ask(node));
    return found;
  };
  const networks = async (ids: readonly string[]) => {
    const found: { readonly subnets: string[]; readonly addresses: string[] } = {
      subnets: [],
      addresses: [],
    };
    for (const id of ids) {
      const { subnets, addresses } = await world.cloud.getInstance(id);
      if (subnets.length === 0) throw notSeen(`instance ${id} tells of no subnet`);
      found.subnets.push(...subnets);
      found.addresses.push(...addresses);
    }
    return found;
  };
  const own = world.members.map((node) => world.instanceOf(node));
  const foreign = Object.values(production);
  const here = await networks(own);
  const other = await networks(foreign);
  compare("the cluster's uuid", [ours.uuid], [theirs.uuid]);
  compare("the instance", [...own, ...claimsOf(ours)], foreign);
  compare(
    "the machine id",
    await machines(world.members, (node) => world.nodes.getMachineId(node)),
    await machines(nodes, (node) => there.nodes.getMachineId(node)),
  );
  compare("the subnet", here.subnets, other.subnets, true);
  // An address of a machine may be a floating one of the other cluster as well.
  compare(
    "the address or name",
    [...here.addresses, ...addressesIn(ours), ...claimsOf(ours)],
    [...other.addresses, ...addressesIn(theirs), ...claimsOf(theirs)],
    true,
  );
  if (common.length > 0)
    throw new Failure(
      "precondition",
      `${world.clusterName} has in common with ${of}: ${[...new Set(common)].join(", ")}`,
      {
        hint: "a drill could take something of production's away: give staging its own, or name what both may use under `staging.shares` in the inventory",
      },
    );
  return {
    of,
    groups: ours.groups.map(({ name }) => name),
    starting: ours.groups.filter(({ startsByItself }) => startsByItself).map(({ name }) => name),
    layout: theirs.mirrors.map(({ name, dataPartition, clusterPartition }) => ({
      mirror: name,
      data: dataPartition,
      cluster: clusterPartition,
    })),
    told: shares.length === 0 ? [] : [`shared with ${of}, by the inventory's word: ${shares.join(", ")}`],
  };
});

function notSeen(what: string): Failure {
  return new Failure("precondition", `it is not proven that staging and production are apart: ${what}`, {
    hint: "a drill on staging is begun only when both can be compared",
  });
}

function addressesIn({ addresses }: ClusterConfig): readonly string[] {
  return Object.values(addresses).flat();
}

function claimsOf({ claims }: ClusterConfig): readonly string[] {
  return claims.map(({ value }) => value);
}

/** The staging cluster is left as it was found: so it has to be found whole. */
export const stagingWhole = check("The staging cluster is whole", async (world) => {
  const { whole, bare, absent, nodes, startsOn, ran } = world.outcomeOf(sides);
  const out = nodes.filter((node) => !startsOn.includes(node));
  if (out.length > 0)
    throw new Failure("precondition", `the cluster software of ${out.join(" and ")} does not start at boot`, {
      hint: "`clpsvcctrl.sh --enable -a` there: after the drill it would, and staging is left as it was found",
    });
  const { starting } = world.outcomeOf(stagingApart);
  const stopped = starting.filter((name) => !ran.some(({ group }) => group === name));
  if (stopped.length > 0)
    throw new Failure(
      "precondition",
      `${stopped.join(", ")} of ${world.clusterName} is stopped, and starts by itself`,
      {
        hint: "start it: the drill reboots the nodes, after which it would run, and staging is left as it was found",
      },
    );
  if (whole && bare.length === 0 && absent.length === 0) return true;
  throw new Failure(
    "precondition",
    `${world.clusterName} is not whole: both nodes members, every mirror GREEN`,
    {
      hint: "`runbook run give-back` brings it there",
    },
  );
});

/** An entry of the drill's volumes would have to be taken out again, which is not done here. */
export const stagingSeen = check("No devices file of LVM hides the drill's volumes", async (world) => {
  const { listed } = world.outcomeOf(lvmFound);
  if (listed.length === 0) return true;
  throw new Failure(
    "unsupported",
    `the mirrors of ${world.clusterName} lie on LVM, and ${listed.join(" and ")} has a devices file, which hides what is restored`,
    { hint: "drill on a scratch node, or take `use_devicesfile` off on staging" },
  );
});

/** Whether the groups are started, or the volumes only mounted, is said; what may be is the inventory's. */
export const mayServe = check("What may be started on staging", async (world) => {
  const { isolated } = stagingOf(world);
  if (world.params["group"] !== "start") return { isolated };
  if (!isolated)
    throw new Failure(
      "precondition",
      `${world.clusterName} is not declared isolated: no group of it is started`,
      {
        hint: "give `--param group=mount`, or say `isolated: true` in the inventory once nothing of staging reaches production",
      },
    );
  return { isolated };
});

export const pathsOfProduction = check(
  "What staging will call the partitions of production's volumes",
  async (world) => {
    const { layout } = world.outcomeOf(stagingApart);
    const point = world.outcomeOf(pointFound);
    return changesTo(world, ({ name }) => {
      const theirs = layout.find(({ mirror }) => mirror === name);
      return pathsAtCut(point, name) ?? pathsIn(theirs?.data[point.node], theirs?.cluster[point.node]);
    });
  },
  { refreshes: pathsOfPoint },
);

/** Told, never refused. */
export const stagingTold = check("What this drill can prove, and what not", async (world) => {
  const { consistency, why, cutAt } = world.outcomeOf(pointFound);
  const { checks } = stagingOf(world);
  const starts = world.params["group"] === "start";
  return {
    told: [
      `the point was cut at ${cutAt}`,
      starts
        ? "it proves that a cluster comes up from the point and serves it, on staging's machines"
        : "no group is started: it proves the content of the point, not that a cluster can be restored from it",
      ...(consistency === "quiesced" ? [] : [`the point is ${consistency}: ${why}`]),
      ...(checks.length === 0 ? ["no check is declared: the drill will not be called passed"] : []),
    ],
  };
});

/** `runbook doctor --policy`: prints the least rights that runbooks need on one cluster, and changes nothing. */
import { hostname, userInfo } from "node:os";

import type { ClusterEntry } from "../config/inventory.ts";
import { Failure } from "../errors.ts";
import { openContext, reachableIn, type Context, type WorldOptions } from "./context.ts";
import { exitCodes, harmless } from "./exit.ts";
import { codeCache } from "./home.ts";
import { loadRunbook } from "./load.ts";
import { lookAround, whereIsPlayed, type Said, type Seen } from "./policy-facts.ts";
import { leastRights, methodsOf, type LeastRights, type Played } from "./policy-make.ts";
import { policyJson, policyText, type Printed } from "./policy-text.ts";
import { uses } from "./policy-uses.ts";
import { findRunbook } from "./source.ts";

/** `which`: names with commas between, or true for every runbook of the product's that this cluster can play. */
export async function policy(
  which: string | true,
  clusterName: string | undefined,
  options: WorldOptions & { readonly json?: boolean },
): Promise<number> {
  const names = which === true ? Object.keys(uses) : [...new Set(which.split(","))];
  for (const name of names) methodsOf(name);
  const context = await openContext(options, clusterName);
  try {
    const said = saidBy(context);
    const seen = await lookAround(said, context.drivers);
    const played: Played[] = [];
    for (const name of names) {
      const runbook = await loadRunbook(findRunbook(name, process.cwd()), codeCache());
      const one = whereIsPlayed(name, runbook, said, seen);
      if (one) played.push(one);
      else if (which !== true)
        throw new Failure(
          "precondition",
          `${name} is not played on ${said.cluster}: the inventory lacks what it needs`,
          {
            hint: "give it a scratch node (`drill`) or name the staging cluster (docs/reference/drill.md, docs/reference/drill-staging.md)",
          },
        );
    }
    const { cluster } = context;
    const rights = await leastRights(played, { cloud: cluster.cloud.driver, manager: cluster.manager });
    const printed = printedOf(context, played, seen, rights);
    const text = options.json === true ? policyJson(printed) : policyText(printed);
    process.stdout.write(harmless(text));
    return exitCodes.done;
  } finally {
    await context.close();
  }
}

function saidBy(context: Context): Said {
  const { cluster } = context;
  const { settings } = context.setting({});
  const { drill, staging } = settings;
  return {
    cluster: cluster.name,
    region: cluster.cloud.region,
    nodes: instancesOf(cluster),
    owner: `${userInfo().username}@${hostname()}`,
    leaseMinutes: settings.leaseMinutes,
    deadManMinutes: settings.deadManMinutes,
    checks: settings.checks ?? [],
    drill,
    staging: staging && { of: staging.of, nodes: staging.production, checks: staging.checks },
  };
}

const instancesOf = ({ nodes }: ClusterEntry) =>
  Object.fromEntries(Object.entries(nodes).map(([node, { instance }]) => [node, instance]));

function printedOf(context: Context, played: readonly Played[], seen: Seen, rights: LeastRights): Printed {
  const { cluster } = context;
  return {
    cluster: cluster.name,
    runbooks: played.map(({ runbook }) => runbook),
    rights,
    logins: reachableIn(cluster),
    notes: [
      ...seen.notes,
      ...(cluster.hooks?.length
        ? [
            "hooks are commands of your own, and the lines that start them are not here: runs with hooks need ALL",
          ]
        : []),
    ],
  };
}

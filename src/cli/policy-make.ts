/** The least rights of runbooks on one cluster: what they can come to call, said by the drivers that carry it out. */
import { cloudRights, nodeRights } from "../drivers/all.ts";
import { Failure } from "../errors.ts";
import { clusterContract } from "../ports/cluster-manager.ts";
import type { Contract } from "../ports/driver.ts";
import { nodesContract } from "../ports/nodes.ts";
import type { CloudScope, NodeScope, PolicyStatement } from "../ports/rights.ts";
import { rulesFor } from "./policy-sudoers.ts";
import { uses } from "./policy-uses.ts";

/** One runbook, and where it is played. */
export interface Played {
  readonly runbook: string;
  readonly cloud: CloudScope;
  readonly nodes: readonly NodesPlayed[];
}

/** Nodes that are given the same commands. */
export interface NodesPlayed {
  readonly nodes: readonly string[];
  readonly scope: NodeScope;
  /** Production, to a drill on staging: it is looked at, and never touched. */
  readonly readsOnly: boolean;
}

export interface Policy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly PolicyStatement[];
}

/** One command line, as the rules that it takes. */
export interface NodeCommand {
  /** The method that sends it, as "cluster.stopGroup". */
  readonly method: string;
  readonly rules: readonly string[];
}

export interface LeastRights {
  readonly iam: Policy;
  /** By node. */
  readonly sudo: ReadonlyMap<string, readonly NodeCommand[]>;
}

export async function leastRights(
  played: readonly Played[],
  drivers: { readonly cloud: string; readonly manager: string },
): Promise<LeastRights> {
  const statementsFor = await pick(cloudRights, drivers.cloud)();
  const rights = {
    cluster: await pick(nodeRights, drivers.manager)(),
    nodes: await pick(nodeRights, "linux")(),
  };
  const sudo = new Map<string, NodeCommand[]>();
  for (const { runbook, nodes } of played)
    for (const { nodes: names, scope, readsOnly } of nodes)
      for (const method of methodsOf(runbook)) {
        const [port = "", name = "", of] = method.split(/\.| of /);
        if (port === "cloud" || (readsOnly && !isRead(name))) continue;
        const right = rights[port as "cluster" | "nodes"][name];
        if (right === undefined) throw new Failure("bug", `no driver says what ${method} needs`);
        const commands = right(scope, of).map((argv) => ({ method, rules: rulesFor(argv) }));
        for (const node of names) sudo.set(node, [...(sudo.get(node) ?? []), ...commands]);
      }
  const statements = played.flatMap(({ runbook, cloud }) =>
    statementsFor(
      methodsOf(runbook).flatMap((method) =>
        method.startsWith("cloud.") ? [method.slice("cloud.".length)] : [],
      ),
      cloud,
    ),
  );
  return {
    iam: { Version: "2012-10-17", Statement: merged(statements) },
    sudo: new Map([...sudo].map(([node, commands]) => [node, eachOnce(commands)])),
  };
}

export function methodsOf(runbook: string): readonly string[] {
  const methods = uses[runbook];
  if (methods !== undefined) return methods;
  throw new Failure(
    "invalid",
    `"${runbook}" is none of the product's runbooks; of others it is not known what they can come to call`,
    {
      hint: `known are ${Object.keys(uses).join(", ")}; a cluster is named behind the runbooks, or before --policy`,
    },
  );
}

const contracts: { readonly [method: string]: Contract } = { ...clusterContract, ...nodesContract };
const isRead = (method: string) => contracts[method]?.kind === "read";

/** Several methods may send the same line: it is granted with the first. */
function eachOnce(commands: readonly NodeCommand[]): readonly NodeCommand[] {
  const byRules = new Map<string, NodeCommand>();
  for (const command of commands.toSorted((a, b) => (a.method < b.method ? -1 : 1))) {
    const key = command.rules.join("\n");
    if (!byRules.has(key)) byRules.set(key, command);
  }
  return [...byRules.values()];
}

/** Statements about the same things under the same condition become one; names that come twice are numbered. */
function merged(statements: readonly PolicyStatement[]): readonly PolicyStatement[] {
  const byPlace = new Map<string, PolicyStatement>();
  for (const statement of statements) {
    const key = placeOf(statement);
    const known = byPlace.get(key);
    const actions = new Set([...(known?.Action ?? []), ...statement.Action]);
    byPlace.set(key, { ...statement, Action: [...actions].sort() });
  }
  const names = new Map<string, number>();
  return [...byPlace.values()].map((statement) => {
    const count = (names.get(statement.Sid) ?? 0) + 1;
    names.set(statement.Sid, count);
    return count === 1 ? statement : { ...statement, Sid: `${statement.Sid}${count}` };
  });
}

/** The tags at creation name the calls that may set them: these are joined as actions are. */
function placeOf({ Sid, Resource, Condition }: PolicyStatement): string {
  return JSON.stringify([Sid, Resource, Condition ?? null]);
}

function pick<T>(drivers: { readonly [name: string]: T }, name: string): T {
  const driver = drivers[name];
  if (driver === undefined)
    throw new Failure("unsupported", `the driver "${name}" does not say what rights it needs`);
  return driver;
}

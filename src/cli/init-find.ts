/**
 * What `init` finds out: the cluster from a node's own clp.conf, the other node from the addresses in there, and the
 * instance of each. It only reads.
 */
import { isIPv4 } from "node:net";

import { asFailure, Failure } from "../errors.ts";
import type { InstanceSeen } from "../ports/cloud.ts";
import type { ClusterConfig } from "../ports/cluster-manager.ts";
import { text } from "../ports/shell.ts";
import { labLogin, type Login, type Reach } from "./init-reach.ts";

export interface FoundNode {
  readonly name: string;
  readonly login: Login;
  /** Why it could not be asked; its address is then what clp.conf says. */
  readonly unreached: string | undefined;
  readonly instance: string;
  /** How the instance was found. */
  readonly by: string;
}

export interface FoundCluster {
  readonly config: ClusterConfig;
  /** In the order of the cluster's own configuration. */
  readonly nodes: readonly FoundNode[];
  /** The node whose clp.conf was read. */
  readonly readOn: string;
}

export async function findCluster(reach: Reach): Promise<FoundCluster> {
  const met = await Promise.all(Object.keys(reach.given).map((label) => meet(reach, label)));
  const [first, second] = met;
  if (first === undefined) throw new Failure("bug", "no node was given");
  const { config } = first;
  if (second !== undefined) assertOneCluster(first, second);
  if (config.nodes.length !== 2)
    throw new Failure(
      "unsupported",
      `the cluster ${config.name} has ${config.nodes.length} nodes (${config.nodes.join(", ")}); wanted two`,
      { hint: "runbook is for clusters of two nodes" },
    );
  const seen = await Promise.all(
    config.nodes.map(
      async (name) => met.find((each) => each.name === name) ?? (await seek(reach, name, config)),
    ),
  );
  const nodes = await findInstances(reach, config, seen);
  return { config, nodes, readOn: first.name };
}

/** A node as far as it could be asked. */
interface Seen {
  readonly name: string;
  readonly login: Login;
  readonly unreached?: string;
  /** The id of its instance, as it says itself. */
  readonly tag: string | undefined;
}

interface Met extends Seen {
  readonly label: string;
  readonly config: ClusterConfig;
}

/** Logs in to a node that was given, and reads who it is and what cluster it is of. */
async function meet(reach: Reach, label: string): Promise<Met> {
  const login = reach.given[label];
  if (login === undefined) throw new Failure("bug", `${label} was not given`);
  const host = await hostName(reach, label);
  const config = await readConfig(reach, label);
  const name =
    nameIn(config, host) ?? config.nodes.find((node) => config.addresses[node]?.includes(login.address));
  if (name === undefined)
    throw new Failure(
      "invalid",
      `${label} calls itself ${JSON.stringify(host)}, and its clp.conf knows ${config.nodes.join(", ")}`,
      { hint: "give a node by the address that clp.conf has for it" },
    );
  return { label, name, login, config, tag: await boardTag(reach, label) };
}

/** Members go by their host names, with or without the domain. */
function nameIn(config: ClusterConfig, host: string): string | undefined {
  const plain = (name: string) => name.toLowerCase();
  return (
    config.nodes.find((name) => plain(name) === plain(host)) ??
    config.nodes.find((name) => plain(name) === plain(host.split(".")[0] ?? ""))
  );
}

function assertOneCluster(first: Met, second: Met): void {
  const identity = ({ config }: Met) => JSON.stringify([config.name, config.uuid, [...config.nodes].sort()]);
  if (identity(first) !== identity(second))
    throw new Failure(
      "invalid",
      `${first.label} is of the cluster ${first.config.name} (${first.config.nodes.join(", ")}), ` +
        `${second.label} of the cluster ${second.config.name} (${second.config.nodes.join(", ")})`,
      { hint: "give the nodes of one cluster, one or both" },
    );
  if (first.name === second.name)
    throw new Failure("invalid", `${first.label} and ${second.label} are the same node, ${first.name}`, {
      hint: "leave one of them out, or give the other node",
    });
}

/**
 * The node that was not given, at the addresses by which the cluster itself reaches it. From here it may be reached
 * otherwise, so that one that does not answer is no failure: a person then puts the address in.
 */
async function seek(reach: Reach, name: string, config: ClusterConfig): Promise<Seen> {
  const known = reach.lab && labLogin(reach.lab, name);
  const logins = known ? [known] : (config.addresses[name] ?? []).map((address) => reach.loginAt(address));
  const [first] = logins;
  if (first === undefined)
    throw new Failure("invalid", `clp.conf has no address for ${name}`, {
      hint: `give that node too: --node with the address of ${name}`,
    });
  const reasons: string[] = [];
  for (const [i, login] of logins.entries()) {
    // A host name that was given may be the other node's name in the cluster.
    const label = i === 0 && !Object.hasOwn(reach.given, name) ? name : `${name} at ${login.address}`;
    reach.add(label, login);
    try {
      const host = await hostName(reach, label);
      if (nameIn(config, host) === name) return { name, login, tag: await boardTag(reach, label) };
      reasons.push(`${login.address} answers as ${JSON.stringify(host)}`);
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") throw failure;
      reasons.push(failure.message);
    }
  }
  return { name, login: first, unreached: reasons.join("; "), tag: undefined };
}

const askMs = 20_000;

async function hostName(reach: Reach, label: string): Promise<string> {
  const out = await inOptions(() => reach.shell.run(label, ["uname", "-n"], { timeoutMs: askMs }));
  const host = text(out.stdout).trim();
  if (out.code === 0 && host !== "" && !/[\s\p{Cc}]/u.test(host)) return host;
  throw new Failure(
    "unavailable",
    `${label} does not say its name: \`uname -n\` ended with ${String(out.code)}`,
    {
      hint: "is it a Linux machine, and may this login run commands there?",
    },
  );
}

async function readConfig(reach: Reach, label: string): Promise<ClusterConfig> {
  try {
    return await inOptions(() => reach.ports.cluster.getConfig([label]));
  } catch (thrown) {
    const failure = asFailure(thrown);
    // The file is root's alone, and `cat` says so in its own words.
    if (failure.kind !== "conflict") throw failure;
    throw new Failure("denied", failure.message, {
      hint: "log in as root (--user root), or by a user who may use sudo (--sudo)",
      cause: failure,
    });
  }
}

/**
 * On Nitro the board's asset tag is the instance's id (EC2 User Guide, "Detect whether a host is an EC2 instance"). On older
 * types it is not, and elsewhere it may be anything, so that what does not look like an id says nothing.
 */
async function boardTag(reach: Reach, label: string): Promise<string | undefined> {
  const path = "/sys/devices/virtual/dmi/id/board_asset_tag";
  const out = await inOptions(() => reach.shell.run(label, ["cat", path], { timeoutMs: askMs }));
  return /^i-(?:[0-9a-f]{17}|[0-9a-f]{8})$/.exec(text(out.stdout).trim())?.[0];
}

/** What drivers tell a person to do speaks of the inventory, which is not there yet: here it is this command's options. */
async function inOptions<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.hint === undefined || failure.kind === "bug") throw failure;
    const hint = failure.hint
      .replace("give the inventory a profile", "give --profile")
      .replaceAll(/`(user|identity|port|jump|sudo)`/g, "--$1")
      .replaceAll(" in the inventory", "");
    throw new Failure(failure.kind, failure.message, { hint, happened: failure.happened, cause: failure });
  }
}

async function findInstances(
  reach: Reach,
  config: ClusterConfig,
  nodes: readonly Seen[],
): Promise<readonly FoundNode[]> {
  const { cloud } = reach.ports;
  const addressesOf = ({ name, login }: Seen) => [
    ...new Set([...(config.addresses[name] ?? []), ...(reach.lab ? [] : [login.address])].filter(isIPv4)),
  ];
  const found = await inOptions(() => cloud.findInstances(nodes.flatMap(addressesOf)));
  const named = await Promise.all(
    nodes.map(async (node): Promise<FoundNode> => {
      const addresses = addressesOf(node);
      const there = found.filter((instance) =>
        instance.addresses.some((address) => addresses.includes(address)),
      );
      const { name, login, unreached, tag } = node;
      if (tag !== undefined) {
        await assertKnown(reach, name, tag, there);
        return { name, login, unreached, instance: tag, by: "as the node says itself" };
      }
      const { id, addresses: own } = onlyOne(reach, name, addresses, there);
      const address = own.find((each) => addresses.includes(each)) ?? "";
      return { name, login, unreached, instance: id, by: `it has the address ${address}` };
    }),
  );
  const [first, second] = named;
  if (first && second && first.instance === second.instance)
    throw new Failure("invalid", `${first.name} and ${second.name} lead to one instance, ${first.instance}`, {
      hint: "give both nodes (--node twice), so that each can be asked itself",
    });
  return named;
}

/** The instance that a node names must be one that these credentials see: else region or account are not the node's. */
async function assertKnown(
  { ports, cloud }: Reach,
  name: string,
  tag: string,
  there: readonly InstanceSeen[],
): Promise<void> {
  if (there.some(({ id }) => id === tag)) return;
  try {
    await ports.cloud.getInstance(tag);
  } catch (thrown) {
    const failure = asFailure(thrown);
    if (failure.kind !== "not-found") throw failure;
    throw new Failure("not-found", `${name} runs on ${tag}, which EC2 does not know in ${cloud.region}`, {
      hint: "is that its region (--region), and is it this account (--profile, or the credentials in the environment)?",
      cause: failure,
    });
  }
}

function onlyOne(
  { cloud }: Reach,
  name: string,
  addresses: readonly string[],
  there: readonly InstanceSeen[],
): InstanceSeen {
  const asked = addresses.join(", ") || "no IPv4 address is known";
  const [only, ...more] = there;
  if (only === undefined)
    throw new Failure("not-found", `no instance in ${cloud.region} has an address of ${name} (${asked})`, {
      hint: `is that its region (--region), and is it this account (--profile)? if ${name} has another address, give it with --node`,
    });
  if (more.length > 0)
    throw new Failure(
      "invalid",
      `several instances in ${cloud.region} have an address of ${name} (${asked}): ` +
        there.map((each) => `${each.id}${each.name === undefined ? "" : ` (${each.name})`}`).join(", "),
      { hint: `give ${name} with --node, so that it can be asked itself` },
    );
  return only;
}

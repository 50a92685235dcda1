/**
 * Other hands in the lab's world than the tool's: another operator, a person who types what a message told him to, a
 * machine that fails. Each is told in words, and answers with a sentence or a Failure that a person understands.
 */
import { Failure } from "../errors.ts";
import { runAwsLine } from "./aws-line.ts";
import type { Lab } from "./build.ts";
import type { PersonsAnswer, Settled } from "./client.ts";
import type { LabCluster } from "./cluster.ts";
import type { Logbook } from "./logbook.ts";
import { staticArgv } from "./sh-parse.ts";
import { busyWith } from "./status.ts";

type Hand = {
  /** What it takes, as the usage shows it. */
  readonly words: readonly string[];
  readonly act: (lab: Lab, words: readonly string[], cluster: LabCluster) => string | Promise<string>;
};

const onNode = (act: (lab: Lab, node: string) => string): Hand => ({
  words: ["NODE"],
  act: (lab, [name = ""]) => {
    getNode(lab, name);
    return act(lab, name);
  },
});

export const hands: { readonly [name: string]: Hand } = {
  failover: {
    words: ["[GROUP]"],
    act: (_lab, [name], cluster) => move(cluster, name ?? cluster.groups[0]?.name ?? "", undefined),
  },
  move: {
    words: ["GROUP", "[NODE]"],
    act: (_lab, [name = "", to], cluster) => move(cluster, name, to),
  },
  reboot: onNode((lab, node) => {
    if (!lab.node(node).alive) throw new Failure("precondition", `${node} is not up, so it cannot reboot`);
    lab.rebootUnasked(node);
    return `${node} reboots`;
  }),
  "power-off": onNode((lab, node) => {
    if (!lab.cloud.getInstance(lab.node(node).instance).power)
      throw new Failure("precondition", `${node} has no power already`);
    lab.killPower(node);
    return `the power of ${node} is gone; \`runbook lab paste\` takes "aws ec2 start-instances --instance-ids ${lab.node(node).instance}"`;
  }),
  isolate: onNode((lab, node) => {
    lab.isolate(node);
    return `${node} and its peer do not see each other; \`runbook lab do rejoin ${node}\` mends it`;
  }),
  rejoin: onNode((lab, node) => {
    lab.rejoin(node);
    return `${node} and its peer see each other`;
  }),
  cut: onNode((lab, node) => {
    lab.cutOperator(node);
    return `the way to ${node} is cut, and the node is well; \`runbook lab do mend ${node}\` mends it`;
  }),
  mend: onNode((lab, node) => {
    lab.mendOperator(node);
    return `the way to ${node} is open`;
  }),
  write: {
    words: ["PATH", "TEXT"],
    act: (_lab, [path = "", text = ""], cluster) => {
      const file = writeFile(cluster, path, text);
      return `clients wrote ${file}`;
    },
  },
  delete: {
    words: ["PATH"],
    act: (_lab, [path = ""], cluster) => {
      const file = writeFile(cluster, path, undefined);
      return `clients deleted ${file}`;
    },
  },
  files: { words: [], act: (lab, _words, cluster) => listFiles(lab, cluster) },
};

export async function useHand(
  lab: Lab,
  name: string,
  words: readonly string[],
  clusterName: string,
): Promise<string> {
  const hand = Object.hasOwn(hands, name) ? hands[name] : undefined;
  if (!hand)
    throw new Failure("invalid", `there is no hand "${name}" in the lab`, {
      hint: `there are ${Object.keys(hands).join(", ")}`,
    });
  const least = hand.words.filter((word) => !word.startsWith("[")).length;
  if (words.length < least || words.length > hand.words.length)
    throw new Failure("invalid", `${name} takes ${hand.words.join(" ") || "nothing more"}`, {
      hint: `write \`runbook lab do ${[name, ...hand.words].join(" ")}\``,
    });
  return hand.act(lab, words, getCluster(lab, clusterName));
}

function getNode(lab: Lab, name: string) {
  const node = lab.nodes.get(name);
  if (!node)
    throw new Failure("not-found", `the lab has no node "${name}"`, {
      hint: `it has ${[...lab.nodes.keys()].join(", ")}`,
    });
  return node;
}

function getCluster(lab: Lab, name: string): LabCluster {
  const cluster = lab.clusters.get(name);
  if (!cluster)
    throw new Failure("not-found", `the lab has no cluster "${name}"`, {
      hint: `it has ${[...lab.clusters.keys()].join(", ")}`,
    });
  return cluster;
}

async function move(cluster: LabCluster, group: string, wanted: string | undefined): Promise<string> {
  if (!cluster.group(group))
    throw new Failure("not-found", `cluster ${cluster.name} has no group "${group}"`, {
      hint: `it has ${cluster.groups.map(({ name }) => name).join(", ")}`,
    });
  if (wanted !== undefined && !cluster.names.includes(wanted))
    throw new Failure("not-found", `cluster ${cluster.name} has no node "${wanted}"`, {
      hint: `it has ${cluster.names.join(", ")}`,
    });
  const from = cluster.nodeOf(group);
  if (from === undefined)
    throw new Failure("precondition", `group ${group} is online nowhere, so it cannot move`);
  const to = wanted ?? cluster.peerOf(from).node.name;
  const answer = await cluster.moveGroup(group, to);
  if (!answer.ok) throw new Failure("precondition", `group ${group} did not move to ${to}: ${answer.text}`);
  return `group ${group} moved from ${from} to ${to}`;
}

/** "/mnt/md2/a/b" is on md2; any other path is on the first mirror. */
function writeFile(cluster: LabCluster, path: string, text: string | undefined): string {
  const [, named, rest] = /^\/mnt\/([^/]+)\/(.+)$/.exec(path) ?? [];
  const mirror = named ?? cluster.mirrors[0]?.name ?? "";
  const file = (rest ?? path).replace(/^\/+/, "");
  if (!cluster.mirrors.some(({ name }) => name === mirror))
    throw new Failure("not-found", `cluster ${cluster.name} has no mirror "${mirror}"`, {
      hint: `it has ${cluster.mirrors.map(({ name }) => name).join(", ")}, mounted at /mnt/NAME`,
    });
  if (file === "" || file.endsWith("/") || file.split("/").includes(".."))
    throw new Failure("invalid", `"${path}" names no file; write it as /mnt/${mirror}/orders/17`);
  if (!cluster.names.some((node) => cluster.usesMirror(node, mirror)))
    throw new Failure("precondition", `no group has ${mirror} mounted, so no client can write ${path}`);
  cluster.writeFile(mirror, file, text);
  return `/mnt/${mirror}/${file}`;
}

function listFiles(lab: Lab, cluster: LabCluster): string {
  const lines = cluster.members.flatMap(({ node }) =>
    lab.cloud.attached(node.instance).flatMap(({ volume }) => {
      const { kind, control } = lab.cloud.content(volume);
      if (kind !== "mirror") return [];
      const files = Object.entries(lab.readFiles(volume, true)).sort(([a], [b]) => (a < b ? -1 : 1));
      return [
        `${node.name}, ${String(control["mirror"])} on ${volume}:`,
        ...files.map(([path, text]) => `  ${path}  ${JSON.stringify(text)}`),
      ];
    }),
  );
  return lines.join("\n");
}

/**
 * A line that a person types. The person sits at the console: neither a path that is cut nor a fault that waits for
 * the tool stands in the way.
 */
export async function typeLine(
  lab: Lab,
  log: Logbook,
  line: string,
  nodeName: string | undefined,
): Promise<PersonsAnswer> {
  const { heart } = lab;
  const byPerson = <T>(act: () => T): T => {
    const before = heart.received.length;
    const waiting = heart.faults.splice(0);
    try {
      return act();
    } finally {
      heart.faults.unshift(...waiting);
      for (const row of heart.received.slice(before)) log.markPerson(row);
    }
  };
  if (nodeName === undefined) {
    const words = staticArgv(line);
    if (words?.[0] !== "aws")
      throw new Failure("invalid", `"${line}" says neither a node nor "aws ec2 …"`, {
        hint: "write it as: ssh server1 'clpstat', or server1: clpstat, or aws ec2 describe-instances",
      });
    return byPerson(() => runAwsLine(lab.cloud, words));
  }
  const node = getNode(lab, nodeName);
  if (!node.alive)
    throw new Failure(
      "precondition",
      `${nodeName} is ${node.state === "booting" ? "still booting" : "not up"}, so nothing can be typed on it`,
      {
        hint: "`runbook lab status` shows it; `aws ec2 start-instances` (in `runbook lab paste`) gives it power",
      },
    );
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const result = await byPerson(() =>
    node.exec(line, { stdout: (chunk) => out.push(chunk), stderr: (chunk) => err.push(chunk) }),
  );
  return {
    code: result.code ?? null,
    signal: result.signal ?? null,
    stdout: Buffer.concat(out).toString("utf8"),
    stderr: Buffer.concat(err).toString("utf8"),
  };
}

// Long enough for what begins by itself a little after the cause: a monitor that starts a copy, a member that joins.
const quietMs = 15_000;
const lookMs = 1_000;
const longestMs = 30 * 60_000;

/** Waits until nothing changes by itself any more, as a person does between two commands. */
export async function settle(lab: Lab): Promise<Settled> {
  const { clock } = lab.heart;
  const end = clock.now() + longestMs;
  let quietSince = clock.now();
  let busy = busyWith(lab);
  for (; clock.now() < end; busy = busyWith(lab)) {
    if (busy.length > 0) quietSince = clock.now();
    else if (clock.now() - quietSince >= quietMs) return { settled: true, busy: [] };
    await clock.sleep(lookMs);
  }
  return { settled: false, busy };
}

/**
 * clpstat → the state of the cluster (reference clusterpro 5). Parsing and naming are two steps: the table cuts
 * names (16 characters, 14 below a heading), so what was printed is matched against the configuration's names.
 */
import { Failure } from "../../errors.ts";
import type { GroupState, MonitorStatus, NodeStatus, ThingStatus } from "../../ports/cluster-manager.ts";
import type { ParsedConfig } from "./parse-conf.ts";

/** The summary as printed, names as they were cut. */
export interface Summary {
  /** The node with the star: the one that answered. */
  readonly askedOn: string | undefined;
  readonly nodes: readonly { readonly name: string; readonly status: NodeStatus }[];
  readonly groups: readonly PrintedGroup[];
  readonly monitors: readonly { readonly name: string; readonly status: MonitorStatus }[];
}

export interface PrintedGroup {
  readonly name: string;
  readonly status: ThingStatus;
  readonly current: string | undefined;
  readonly resources: readonly { readonly name: string; readonly status: ThingStatus }[];
}

export type PrintedMonitors = readonly {
  readonly name: string;
  readonly byNode: { readonly [node: string]: MonitorStatus };
}[];

const nodeWords: { readonly [word: string]: NodeStatus } = {
  Online: "online",
  Offline: "offline",
  "Online Pending": "pending",
  "Offline Pending": "pending",
  Caution: "caution",
  Unknown: "unknown",
};
const thingWords: { readonly [word: string]: ThingStatus } = {
  Online: "online",
  Offline: "offline",
  "Online Pending": "pending",
  "Offline Pending": "pending",
  Error: "failed",
  "Online Failure": "failed",
  "Offline Failure": "failed",
  Unknown: "unknown",
};
// The summary says Normal and Error where the table by node says Online and a failure.
const monitorWords: { readonly [word: string]: MonitorStatus } = {
  Normal: "normal",
  Online: "normal",
  Caution: "caution",
  Error: "failed",
  "Online Failure": "failed",
  "Offline Failure": "failed",
  Suspend: "suspended",
  Offline: "offline",
  Unused: "unused",
  "Online Pending": "pending",
  "Offline Pending": "pending",
  Unknown: "unknown",
};

export function parseSummary(output: string): Summary {
  const lines = output.split(/\r?\n/);
  // Without its frame the table was cut off, and what is missing would look like what is not there.
  const begin = lines.findIndex((line) => /=\s+CLUSTER STATUS\s+=/.test(line));
  const end = lines.findIndex((line, i) => i > begin && /^\s*={20,}\s*$/.test(line));
  if (begin < 0 || end < 0) throw unlike("clpstat", output, "the table is not complete");

  let askedOn: string | undefined;
  let section = "";
  const nodes: { name: string; status: NodeStatus }[] = [];
  const groups: {
    name: string;
    status: ThingStatus;
    current: string | undefined;
    resources: PrintedGroup["resources"][number][];
  }[] = [];
  const monitors: { name: string; status: MonitorStatus }[] = [];
  for (const line of lines.slice(begin + 1, end)) {
    const heading = /^\s*<([^>]+)>\s*$/.exec(line)?.[1];
    if (heading !== undefined) section = heading;
    const [, indent = "", star, name, rest] = /^( {2,})(\*?)(\S.*?) *\.* *: (.*)$/.exec(line) ?? [];
    if (heading !== undefined || name === undefined || rest === undefined || section === "") continue;
    const below = indent.length + (star === "*" ? 1 : 0) >= 6;
    // A comment may follow the status after two or more blanks; a status itself has one or two words.
    const word = rest.trim().split(/ {2,}/)[0] ?? "";
    if (section === "server" && !below) {
      nodes.push({ name, status: known(nodeWords, word, `node ${name}`, output) });
      if (star === "*") askedOn = name;
    } else if (section === "group" && !below) {
      groups.push({
        name,
        status: known(thingWords, word, `group ${name}`, output),
        current: undefined,
        resources: [],
      });
    } else if (section === "group") {
      const group = groups.at(-1);
      if (group && name === "current") group.current = word === "None" || word === "" ? undefined : word;
      else group?.resources.push({ name, status: known(thingWords, word, `resource ${name}`, output) });
    } else if (section === "monitor" && !below) {
      monitors.push({ name, status: known(monitorWords, word, `monitor ${name}`, output) });
    }
  }
  if (nodes.length === 0) throw unlike("clpstat", output, "it names no node");
  return { askedOn, nodes, groups, monitors };
}

/**
 * `clpstat -m`. Its head says which node each "serverN" stands for; after it, one block a monitor. The layout of the
 * lines by node is known from memory only, so a block without any such line is kept, with no node in it.
 */
export function parseMonitors(output: string): PrintedMonitors {
  const lines = output.split(/\r?\n/);
  const begin = lines.findIndex((line) => /^\s*=+\s.*\bMONITOR\b.*\s=+\s*$/i.test(line));
  const end = lines.findIndex((line, i) => i > begin && /^\s*={20,}\s*$/.test(line));
  if (begin < 0 || end < 0) throw unlike("clpstat -m", output, "the table is not complete");
  const names = new Map<string, string>();
  const monitors: { name: string; byNode: Record<string, MonitorStatus> }[] = [];
  for (const line of lines.slice(begin + 1, end)) {
    const name = /^\s*Monitor\d*\s*\[\s*(\S.*?)\s*:\s*[^\]]*\]/.exec(line)?.[1];
    if (name !== undefined) {
      monitors.push({ name, byNode: {} });
      continue;
    }
    const [, short, said] = /^\s*\*?(\S+?)\s*(?:\[[^\]]*\])?\s*:\s*(\S.*)$/.exec(line) ?? [];
    if (short === undefined || said === undefined) continue;
    const word = said.trim().split(/ {2,}/)[0] ?? "";
    const monitor = monitors.at(-1);
    // A row that names none of the nodes in the head is something else, and not ours to judge.
    if (monitor && names.size > 0 && !names.has(short) && ![...names.values()].includes(short)) continue;
    if (monitor)
      monitor.byNode[names.get(short) ?? short] = known(
        monitorWords,
        word,
        `monitor ${monitor.name} on ${short}`,
        output,
      );
    else if (short !== "Cluster") names.set(short, word);
  }
  return monitors;
}

/** Nodes by their configured names; `invalid` for one that the configuration does not have. */
export function nameNodes(
  summary: Summary,
  config: ParsedConfig,
): { nodes: { [node: string]: NodeStatus }; askedOn: string | undefined } {
  const nodes: Record<string, NodeStatus> = {};
  for (const printed of summary.nodes) {
    const name = onlyMatch(printed.name, config.nodes, 16);
    if (name === undefined || name in nodes) throw unnamed(`node ${printed.name}`);
    nodes[name] = printed.status;
  }
  for (const node of config.nodes) nodes[node] ??= "unknown";
  return {
    nodes,
    askedOn: summary.askedOn === undefined ? undefined : onlyMatch(summary.askedOn, config.nodes, 16),
  };
}

/**
 * Groups by their configured names. Where two groups were cut to the same text, `whereIs` asks by the full name, and
 * a line is taken for a group's own only if no other line could be; else the group is `unknown`.
 */
export async function nameGroups(
  summary: Summary,
  config: ParsedConfig,
  whereIs: (group: string) => Promise<string | undefined>,
): Promise<{ readonly [group: string]: GroupState }> {
  for (const printed of summary.groups)
    if (
      matches(
        printed.name,
        config.groups.map((each) => each.name),
        16,
      ).length === 0
    )
      throw unnamed(`group ${printed.name}`);
  const states: Record<string, GroupState> = {};
  for (const group of config.groups) {
    const mine = summary.groups.filter((printed) =>
      matches(
        printed.name,
        config.groups.map((each) => each.name),
        16,
      ).includes(group.name),
    );
    const nodeOf = (printed: PrintedGroup) => {
      if (printed.current === undefined) return undefined;
      const node = onlyMatch(printed.current, config.nodes, 14);
      if (node === undefined) throw unnamed(`node ${printed.current}, where group ${printed.name} runs`);
      return node;
    };
    let candidates = mine;
    let node = mine[0] && nodeOf(mine[0]);
    if (mine.length > 1) {
      node = await whereIs(group.name);
      candidates = mine.filter((printed) => nodeOf(printed) === node);
    }
    const only = candidates.length === 1 ? candidates[0] : undefined;
    const names = group.resources.map((each) => each.name);
    states[group.name] = {
      status:
        only?.status ??
        (new Set(candidates.map((each) => each.status)).size === 1
          ? (candidates[0]?.status ?? "unknown")
          : "unknown"),
      node,
      resources: Object.fromEntries(names.map((name) => [name, resourceStatus(only, name, names)])),
    };
  }
  return states;
}

/** By monitor and node. A monitor that the table by node does not explain is `unknown` everywhere. */
export function nameMonitors(
  summary: Summary,
  printed: PrintedMonitors,
  config: ParsedConfig,
): { readonly [monitor: string]: { readonly [node: string]: MonitorStatus } } {
  const unknown = Object.fromEntries(config.nodes.map((node) => [node, "unknown" as const]));
  const states: Record<string, { readonly [node: string]: MonitorStatus }> = {};
  const all = new Set([...config.monitors, ...[...printed, ...summary.monitors].map((each) => each.name)]);
  for (const name of all) {
    const exact = config.monitors.includes(name);
    // A monitor that the configuration does not have and whose text is no cut name is one that the product added.
    if (!exact && matches(name, config.monitors, 14).length > 0) continue;
    const mine = printed.filter((each) =>
      exact ? matches(each.name, config.monitors, 14).includes(name) : each.name === name,
    );
    const shown = summary.monitors.some((each) =>
      exact ? matches(each.name, config.monitors, 14).includes(name) : each.name === name,
    );
    const [first] = mine;
    if (first && mine.length === 1 && Object.keys(first.byNode).length > 0) {
      const byNode: Record<string, MonitorStatus> = {};
      for (const [node, status] of Object.entries(first.byNode)) {
        const full = onlyMatch(node, config.nodes, 14);
        if (full === undefined) throw unnamed(`node ${node}, where monitor ${name} runs`);
        byNode[full] = status;
      }
      states[name] = byNode;
    } else if (mine.length > 0 || shown) states[name] = unknown;
  }
  return states;
}

function resourceStatus(
  group: PrintedGroup | undefined,
  name: string,
  names: readonly string[],
): ThingStatus {
  const found = (group?.resources ?? []).filter((each) => matches(each.name, names, 14).includes(name));
  const words = new Set(found.map((each) => each.status));
  return words.size === 1 ? (found[0]?.status ?? "unknown") : "unknown";
}

/** Full names that a printed one can stand for: itself, or where it is long enough to have been cut, those that begin so. */
function matches(printed: string, names: readonly string[], cutAt: number): readonly string[] {
  if (printed.length < cutAt) return names.filter((name) => name === printed);
  // A name of just that length looks the same as a longer one that was cut.
  return names.filter((name) => name.startsWith(printed));
}

function onlyMatch(printed: string, names: readonly string[], cutAt: number): string | undefined {
  const found = matches(printed, names, cutAt);
  return found.length === 1 ? found[0] : undefined;
}

function known<T>(words: { readonly [word: string]: T }, word: string, what: string, output: string): T {
  const found = Object.hasOwn(words, word) ? words[word] : undefined;
  if (found === undefined)
    throw unlike("clpstat", output, `runbook does not know the status "${word}" of ${what}`);
  return found;
}

function unlike(command: string, output: string, wrong: string): Failure {
  return new Failure("invalid", `${command}: ${wrong}`, {
    hint: "compare with the output on the node; a newer version may print it in another way",
    answer: { text: output.slice(0, 2000) },
  });
}

function unnamed(what: string): Failure {
  return new Failure(
    "invalid",
    `clpstat names ${what}, which the configuration does not have, or not only once`,
    {
      hint: "compare clp.conf on the nodes with the running cluster; it may have been changed since it was read",
    },
  );
}

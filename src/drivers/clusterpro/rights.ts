/** The command lines of each method, for sudoers: made by what the methods themselves are made with. */
import type { ClusterReads, ClusterWrites, MirrorConfig } from "../../ports/cluster-manager.ts";
import type { Request } from "../../ports/driver.ts";
import { anyFence, hole, type NodeRight, type NodeScope } from "../../ports/rights.ts";
import { downloadArgv } from "../../ports/shell.ts";
import * as commands from "./commands.ts";
import { findCopiesScript } from "./copies.ts";
import { findScript } from "./dead-man.ts";
import { requests, wireArgv } from "./requests.ts";

type Methods = keyof (ClusterReads & ClusterWrites);

const config: NodeRight = () => [downloadArgv(commands.configFile)];
const groupNodes: NodeRight = (scope) => groupsOf(scope).map((group) => asked(commands.groupNode(group)));
const mirrors = ({ config }: NodeScope): readonly MirrorConfig[] => config?.mirrors ?? [];
const names = (scope: NodeScope) => mirrors(scope).map(({ name }) => name);
const groupsOf = ({ config }: NodeScope) => (config?.groups ?? []).map(({ name }) => name);
const nodesOf = ({ config }: NodeScope) => config?.nodes ?? [];
// Which node a command is given on is no part of its line.
const anywhere = "";

export const nodeRights: { readonly [M in Methods]: NodeRight } = {
  getConfig: config,
  // Names that the table cuts are asked for in full.
  getState: (scope) => [
    ...config(scope),
    asked(commands.summary()),
    asked(commands.monitorsByNode()),
    ...groupNodes(scope),
  ],
  getMirror: (scope) => [...config(scope), ...names(scope).map((name) => asked(commands.mirrorStatus(name)))],
  findGroupNode: (scope) => [...config(scope), ...groupNodes(scope)],
  getService: () => [asked(commands.unitsEnabled()), asked(commands.unitsActive())],
  listTraces: () => [asked(commands.script("list-traces", commands.tracesScript, commands.traces))],
  findCopies: (scope) => [
    ...config(scope),
    asked(commands.script("find-copies", findCopiesScript(), [hole("seconds")])),
  ],
  findDeadMan: () => [asked(commands.script("find-dead-man", findScript(), []))],

  stopGroup: (scope) => groupsOf(scope).map((group) => sent(requests.stopGroup({ group, node: anywhere }))),
  startGroup: (scope) => groupsOf(scope).map((group) => sent(requests.startGroup({ group, node: anywhere }))),
  moveGroup: (scope) =>
    groupsOf(scope).flatMap((group) =>
      pairs(scope).map(([from, to]) => sent(requests.moveGroup({ group, from, to }))),
    ),
  suspendMonitor: (scope) => eachMonitor(scope).map((args) => sent(requests.suspendMonitor(args))),
  resumeMonitor: (scope) => eachMonitor(scope).map((args) => sent(requests.resumeMonitor(args))),
  breakMirror: (scope) =>
    names(scope).map((mirror) => sent(requests.breakMirror({ mirror, node: anywhere }))),
  recoverMirror: (scope) =>
    names(scope).map((mirror) => sent(requests.recoverMirror({ mirror, node: anywhere }))),
  forceGood: (scope) =>
    names(scope).flatMap((mirror) =>
      nodesOf(scope).map((node) => sent(requests.forceGood({ mirror, node }))),
    ),
  prepareBackup: () => [sent(requests.prepareBackup({ node: anywhere }))],
  finishBackup: () => [sent(requests.finishBackup({ node: anywhere }))],
  prepareRestore: () => [sent(requests.prepareRestore({ node: anywhere }))],
  // Where only one side is restored, the sides are never made equal by word.
  finishRestore: (_scope, of) =>
    (of === "one side" ? [false] : [true, false]).map((skipCopy) =>
      sent(requests.finishRestore({ node: anywhere, skipCopy })),
    ),
  setMirrorOptions: (scope) =>
    some(names(scope)).flatMap((chosen) =>
      [true, false].flatMap((fullCopy) =>
        [true, false].map((initialMkfs) =>
          sent(requests.setMirrorOptions({ node: anywhere, mirrors: chosen, fullCopy, initialMkfs })),
        ),
      ),
    ),
  // With the partitions that are configured now, on whichever node: others cannot be foretold.
  setMirrorDevices: (scope) =>
    mirrors(scope).flatMap((mirror) =>
      pathsOf([mirror, ...scope.foreign.filter(({ name }) => name === mirror.name)]).flatMap(
        ([dataPartition, clusterPartition]) =>
          [...nodesOf(scope), null].map((of) =>
            sent(
              requests.setMirrorDevices({
                node: anywhere,
                mirror: mirror.name,
                dataPartition,
                clusterPartition,
                of,
              }),
            ),
          ),
      ),
    ),
  startService: () => [sent(requests.startService({ node: anywhere }))],
  stopService: () => [sent(requests.stopService({ node: anywhere }))],
  enableService: () => [sent(requests.enableService({ node: anywhere }))],
  disableService: () => [sent(requests.disableService({ node: anywhere }))],
  // A group that was found stopped is not among them.
  armDeadMan: (scope) =>
    some(groupsOf(scope).filter((group) => mirrors(scope).some((mirror) => mirror.group === group))).flatMap(
      (groups) =>
        pairs(scope).map(([node, peer]) =>
          sent(
            requests.armDeadMan({
              node,
              peer,
              run: hole("run"),
              bootId: hole("boot"),
              groups,
              mirrors: names(scope),
              afterSeconds: scope.deadManSeconds,
            }),
          ),
        ),
    ),
  renewDeadMan: ({ deadManSeconds }) => [
    sent(requests.renewDeadMan({ node: anywhere, run: hole("run"), afterSeconds: deadManSeconds })),
  ],
  clearDeadMan: () => [sent(requests.clearDeadMan({ node: anywhere, run: hole("run") }))],
};

const asked = (argv: readonly string[]) => commands.inEnvironment(argv);
const sent = (request: Request) => wireArgv(request, anyFence);

function eachMonitor(scope: NodeScope) {
  return mirrors(scope).flatMap(({ monitor }) =>
    monitor === undefined ? [] : nodesOf(scope).map((node) => ({ monitor, node, via: anywhere })),
  );
}

function pairs(scope: NodeScope): readonly (readonly [string, string])[] {
  const nodes = nodesOf(scope);
  return nodes.flatMap((one) => nodes.filter((other) => other !== one).map((other) => [one, other] as const));
}

function pathsOf(mirrors: readonly MirrorConfig[]): readonly (readonly [string, string])[] {
  const all = mirrors.flatMap(({ dataPartition, clusterPartition }) =>
    Object.entries(dataPartition).map(([node, data]) => [data, clusterPartition[node] ?? ""] as const),
  );
  return [...new Map(all.map((each) => [each.join(" "), each])).values()];
}

/** Every choice of at least one, in their order; of more than four, all of them and each alone. */
function some(all: readonly string[]): readonly (readonly string[])[] {
  if (all.length > 4) return [all, ...all.map((one) => [one])];
  return all
    .reduce<readonly (readonly string[])[]>(
      (made, one) => [...made, ...made.map((each) => [...each, one])],
      [[]],
    )
    .filter((each) => each.length > 0);
}

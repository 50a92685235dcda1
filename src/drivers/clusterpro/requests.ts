/** Every write as the one value that the plan shows, the journal keeps and `send` carries out. Pure. */
import { invariant } from "../../errors.ts";
import type { ClusterDriver, ClusterWrites } from "../../ports/cluster-manager.ts";
import type { NodeRequest, Request } from "../../ports/driver.ts";
import { fenced } from "../../ports/shell.ts";
import * as commands from "./commands.ts";
import { armScript, clearScript, deadManScript, renewScript } from "./dead-man.ts";
import { setConfigScript, setOwnConfigScript, settingArgs, switchArgs, switchScript } from "./settings.ts";

/** The argv that really goes to the node: in its environment, and behind the fence if there is one. */
export function wireArgv(request: Request, fence?: string): readonly string[] {
  invariant(request.to === "node", "the cluster's writes go to nodes");
  const argv = commands.inEnvironment(request.argv);
  return fence === undefined ? argv : fenced(fence, argv);
}

const on = (
  node: string,
  verb: keyof ClusterWrites,
  argv: readonly string[],
  stdin?: string,
): NodeRequest => ({
  to: "node",
  verb: `cluster.${verb}`,
  node,
  argv,
  ...(stdin !== undefined && { stdin }),
});

const flag = (value: boolean) => (value ? "1" : "0");

export const requests: ClusterDriver["requests"] = {
  stopGroup: ({ group, node }) => on(node, "stopGroup", commands.stopGroup(group)),
  startGroup: ({ group, node }) => on(node, "startGroup", commands.startGroup(group)),
  moveGroup: ({ group, from, to }) => on(from, "moveGroup", commands.moveGroup(group, from, to)),
  suspendMonitor: ({ monitor, node, via }) =>
    on(via, "suspendMonitor", commands.suspendMonitor(node, monitor)),
  resumeMonitor: ({ monitor, node, via }) => on(via, "resumeMonitor", commands.resumeMonitor(node, monitor)),
  breakMirror: ({ mirror, node }) => on(node, "breakMirror", commands.breakMirror(mirror)),
  recoverMirror: ({ mirror, node }) => on(node, "recoverMirror", commands.recoverMirror(mirror)),
  forceGood: ({ mirror, node }) => on(node, "forceGood", commands.forceGood(node, mirror), commands.consent),
  prepareBackup: ({ node }) => on(node, "prepareBackup", commands.prepareBackup()),
  finishBackup: ({ node }) => on(node, "finishBackup", commands.finishBackup()),
  prepareRestore: ({ node }) => on(node, "prepareRestore", commands.prepareRestore()),
  finishRestore: ({ node, skipCopy }) => on(node, "finishRestore", commands.finishRestore(skipCopy)),

  setMirrorOptions: ({ node, mirrors, fullCopy, initialMkfs }) => {
    const settings = mirrors.flatMap((mirror) => [
      { mirror, path: "parameters/fullcopy", value: flag(fullCopy) },
      { mirror, path: "parameters/mkfs", value: flag(initialMkfs) },
    ]);
    const argv = commands.script("set-mirror-options", setConfigScript(), settingArgs(settings));
    return on(node, "setMirrorOptions", argv);
  },
  setMirrorDevices: ({ node, mirror, dataPartition, clusterPartition, of }) => {
    const place = of === null ? "" : `server@${of}/`;
    const settings = [
      { mirror, path: `${place}parameters/diskdev/dppath`, value: dataPartition },
      { mirror, path: `${place}parameters/diskdev/cppath`, value: clusterPartition },
    ];
    const argv = commands.script("set-mirror-devices", setOwnConfigScript(), settingArgs(settings));
    return on(node, "setMirrorDevices", argv);
  },

  startService: ({ node }) => on(node, "startService", commands.startService()),
  stopService: ({ node }) => on(node, "stopService", commands.stopService()),
  enableService: ({ node }) =>
    on(node, "enableService", commands.script("enable-service", switchScript, switchArgs("enable"))),
  disableService: ({ node }) =>
    on(node, "disableService", commands.script("disable-service", switchScript, switchArgs("disable"))),

  armDeadMan: ({ node, peer, run, bootId, groups, mirrors, afterSeconds }) => {
    const counts = [String(afterSeconds), String(groups.length)];
    const args = [run, bootId, node, peer, ...counts, ...groups, ...mirrors];
    return on(node, "armDeadMan", commands.script("arm-dead-man", armScript(), args), deadManScript());
  },
  renewDeadMan: ({ node, run, afterSeconds }) =>
    on(node, "renewDeadMan", commands.script("renew-dead-man", renewScript(), [run, String(afterSeconds)])),
  clearDeadMan: ({ node, run }) =>
    on(node, "clearDeadMan", commands.script("clear-dead-man", clearScript(), [run])),
};

/** Every write as the one value that the plan shows, the journal keeps and `send` carries out. Pure. */
import type { NodeRequest } from "../../ports/driver.ts";
import { readingsFolder, type NodesDriver, type NodesWrites } from "../../ports/nodes.ts";
import { fenced } from "../../ports/shell.ts";
import { assertDrillPath, checkScript, clearScript, mountScript, unmountScript } from "./drill.ts";
import { hookArgs, runHookScript } from "./hook.ts";
import { assertDrillGroup, hideScript, importScript, keepScript, showScript } from "./lvm.ts";
import { adoptScript, releaseScript, renewScript, takeOverScript, takeScript } from "./marker.ts";
import { assertReadingPath, startReadingScript, stopReadingsScript } from "./read-through.ts";

export const inEnvironment = (argv: readonly string[]) => [
  "env",
  "LC_ALL=C",
  "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
  ...argv,
];

const unfenced: readonly string[] = ["nodes.takeMarker", "nodes.adoptMarker", "nodes.takeOverMarker"];

/** Before the marker is taken or adopted there is no fence that could be checked. */
export function wireArgv(request: NodeRequest, fence: string | undefined): readonly string[] {
  const argv = inEnvironment(request.argv);
  return fence === undefined || unfenced.includes(request.verb) ? argv : fenced(fence, argv);
}

const on = (
  node: string,
  verb: keyof NodesWrites,
  script: string,
  ...args: readonly string[]
): NodeRequest => ({
  to: "node",
  verb: `nodes.${verb}`,
  node,
  argv: ["sh", "-c", script, `runbook-${verb}`, ...args],
});

export const requests: NodesDriver["requests"] = {
  takeMarker: ({ node, run, owner, fence, seconds }) =>
    on(node, "takeMarker", takeScript(), run, fence, owner, String(seconds)),
  adoptMarker: ({ node, run, owner, fence, seconds }) =>
    on(node, "adoptMarker", adoptScript(), run, fence, owner, String(seconds)),
  takeOverMarker: ({ node, run, owner, fence, seconds, from, expiredSeconds }) => {
    const args = [run, fence, owner, String(seconds), from, String(expiredSeconds)];
    return on(node, "takeOverMarker", takeOverScript(), ...args);
  },
  renewMarker: ({ node, run, fence, seconds }) =>
    on(node, "renewMarker", renewScript(), run, fence, String(seconds)),
  releaseMarker: ({ node, run }) => on(node, "releaseMarker", releaseScript(), run),
  mountVolume: ({ node, folder, name, how, device }) => {
    assertDrillPath(folder, name);
    return on(node, "mountVolume", mountScript, folder, name, how, device);
  },
  unmountVolume: ({ node, folder, name }) => {
    assertDrillPath(folder, name);
    return on(node, "unmountVolume", unmountScript, folder, name);
  },
  runCheck: ({ node, folder, name, user, seconds, at, argv }) => {
    assertDrillPath(folder, name);
    return on(node, "runCheck", checkScript, folder, name, user, String(seconds), at, ...argv);
  },
  runHook: ({ node, ...hook }) => on(node, "runHook", runHookScript, ...hookArgs(hook)),
  startReading: ({ node, run, name, boot, device, sizeBytes }) => {
    assertReadingPath(run, name);
    const args = [readingsFolder, run, name, boot, String(sizeBytes), device];
    return on(node, "startReading", startReadingScript, ...args);
  },
  stopReadings: ({ node, run }) => {
    assertReadingPath(run);
    return on(node, "stopReadings", stopReadingsScript, readingsFolder, run);
  },
  showToLvm: ({ node, device }) => on(node, "showToLvm", showScript, device),
  keepLvmEntries: ({ node, entries }) => on(node, "keepLvmEntries", keepScript, entries),
  hideFromLvm: ({ node, device }) => on(node, "hideFromLvm", hideScript, device),
  importVolumeGroup: ({ node, device, name }) => {
    assertDrillGroup(name);
    return on(node, "importVolumeGroup", importScript, device, name);
  },
  clearFolder: ({ node, folder }) => {
    assertDrillPath(folder, "all");
    return on(node, "clearFolder", clearScript, folder);
  },
  reboot: ({ node }) => ({ to: "node", verb: "nodes.reboot", node, argv: ["shutdown", "-r", "now"] }),
};

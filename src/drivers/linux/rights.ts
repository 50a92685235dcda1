/** The command lines of each method, for sudoers: made by what the methods themselves are made with. */
import type { NodeRequest, Request } from "../../ports/driver.ts";
import { drillFolders, type NodesReads, type NodesWrites } from "../../ports/nodes.ts";
import { anyFence, hole, type NodeRight, type NodeScope } from "../../ports/rights.ts";
import * as commands from "./commands.ts";
import { logArgv } from "./drill.ts";
import { lvsArgv, pvsArgv } from "./lvm.ts";
import { inEnvironment, requests, wireArgv } from "./requests.ts";

type Methods = keyof (NodesReads & NodesWrites);

const node = "";
const run = hole("run");
const folder = `${drillFolders}${run}`;
const mirrors = ({ config }: NodeScope) => config?.mirrors ?? [];
const boot: NodeRight = () => [asked(commands.boot())];
const checkName = (i: number) => `check-${i + 1}`;
const hows = ["as-it-is", "writable"] as const;
// A size is a number, in which no hole can stand; this one is put in its place.
const anySize = 1_073_741_824_000_001;

export const nodeRights: { readonly [M in Methods]: NodeRight } = {
  getBoot: boot,
  findBoot: boot,
  getMachineId: () => [asked(commands.machineId())],
  listBlockDevices: () => [...commands.blockDevices(), commands.mapped()].map(asked),
  // A scratch node knows no partitions by the cluster's names.
  resolvePath: (scope) =>
    scope.looksIn.includes("cluster")
      ? [...partitions(scope)].map((path) => asked(commands.realPaths([path])))
      : [],
  listHolders: (scope) =>
    mirrors(scope).flatMap(({ name }) =>
      placesOf(scope, name).map((place) => asked(commands.holders(place))),
    ),
  getMarker: () => [asked(commands.findMarker())],
  listMounts: () => [asked(commands.mounts())],
  getFileSystem: () => [
    asked(commands.fileSystem(hole("device"))),
    asked(commands.fileSystem(hole("disk"))),
    ...["xfs", "ext4"].flatMap((type) =>
      [hole("device"), hole("disk")].map((device) => asked(logArgv(type, device) ?? [])),
    ),
  ],
  findLvm: () => [pvsArgv, lvsArgv, commands.lvmDevices(), commands.mapped()].map(asked),
  findTried: (scope) => [
    ...(scope.looksIn.includes("folders")
      ? mirrors(scope).flatMap(({ name }) =>
          hows.map((how) => asked(commands.findTried(folder, `${name}-${how}`))),
        )
      : []),
    ...scope.checks.map((_, i) => asked(commands.findTried(folder, checkName(i)))),
  ],
  // A hook is a command of the user's own: what it is to be allowed is for him to say.
  findHook: () => [],
  runHook: () => [],
  getDiskWrites: () => [asked(commands.diskWrites(hole("diskName")))],
  listReadings: () => [asked(commands.listReadings(run))],

  takeMarker: (scope) => [sent(requests.takeMarker(holder(scope)))],
  adoptMarker: (scope) => [sent(requests.adoptMarker(holder(scope)))],
  takeOverMarker: (scope) => [
    sent(
      requests.takeOverMarker({
        ...holder(scope),
        from: `${run}.${hole("deadFence")}`,
        expiredSeconds: scope.expiredSeconds,
      }),
    ),
  ],
  renewMarker: ({ leaseSeconds }) => [
    sent(requests.renewMarker({ node, run, fence: hole("fence"), seconds: leaseSeconds })),
  ],
  // Once more without the fence, where the marker names nobody any more.
  releaseMarker: () => {
    const request = requests.releaseMarker({ node, run }) as NodeRequest;
    return [sent(request), wireArgv(request, undefined)];
  },
  reboot: () => [sent(requests.reboot({ node }))],
  mountVolume: (scope) =>
    mirrors(scope).flatMap(({ name }) =>
      hows.map((how) => sent(requests.mountVolume({ node, folder, name, how, device: hole("device") }))),
    ),
  unmountVolume: (scope) =>
    mirrors(scope).map(({ name }) => sent(requests.unmountVolume({ node, folder, name }))),
  runCheck: (scope) =>
    scope.checks.flatMap(({ user, seconds, argv, on }, i) =>
      placesOf(scope, on).map((at) =>
        sent(requests.runCheck({ node, folder, name: checkName(i), user, seconds, at, argv })),
      ),
    ),
  startReading: () => {
    const name = `${hole("volume")}.${hole("digit")}`;
    const request = requests.startReading({
      node,
      run,
      name,
      boot: hole("boot"),
      device: hole("disk"),
      sizeBytes: anySize,
    });
    if (request.to !== "node") return [];
    return [
      sent({
        ...request,
        argv: request.argv.map((word) => (word === String(anySize) ? hole("bytes") : word)),
      }),
    ];
  },
  stopReadings: () => [sent(requests.stopReadings({ node, run }))],
  showToLvm: () => [sent(requests.showToLvm({ node, device: hole("device") }))],
  // Lines of LVM's own, with ids of any length: no pattern without a wildcard lets them in.
  keepLvmEntries: () => [],
  hideFromLvm: () => [sent(requests.hideFromLvm({ node, device: hole("device") }))],
  // One volume group a volume, and as many volumes as mirrors at most.
  importVolumeGroup: (scope) =>
    mirrors(scope).map((_, i) =>
      sent(requests.importVolumeGroup({ node, device: hole("device"), name: `runbook_${run}_${i + 1}` })),
    ),
  // Whether it is gone is asked by its path.
  clearFolder: () => [sent(requests.clearFolder({ node, folder })), asked(commands.realPaths([folder]))],
};

const asked = (argv: readonly string[]) => inEnvironment(argv);
const sent = (request: Request) => wireArgv(request as NodeRequest, anyFence);

function holder({ owner, leaseSeconds }: NodeScope) {
  return {
    node,
    run,
    owner: `${owner} pid ${hole("pid")}`,
    fence: hole("fence"),
    seconds: leaseSeconds,
  };
}

function partitions(scope: NodeScope): ReadonlySet<string> {
  return new Set(
    [...mirrors(scope), ...scope.foreign].flatMap(({ dataPartition, clusterPartition }) => [
      ...Object.values(dataPartition),
      ...Object.values(clusterPartition),
    ]),
  );
}

/** Where the content of a mirror is mounted; without a mirror, where a check of something else is run. */
function placesOf(scope: NodeScope, mirror: string | undefined): readonly string[] {
  return scope.looksIn.flatMap((where) => {
    if (where === "folders") return [mirror === undefined ? folder : `${folder}/${mirror}`];
    if (mirror === undefined) return ["/"];
    return mirrors(scope).flatMap(({ name, mountPoint }) => (name === mirror ? [mountPoint] : []));
  });
}

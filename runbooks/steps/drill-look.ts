/**
 * What a drill looks at on the scratch node: which partition is which, whether its log is clean, whether it can be mounted
 * as it is and for use, and what the checks of the inventory say. What they say is found, never thrown: a check that fails is
 * a result of the drill, and the drill goes on to clean up.
 */
import {
  candidatesOn,
  check,
  commandOf,
  contentTestTag,
  dataMirrorsIn,
  drillFolder,
  drillOf,
  Failure,
  isDiskOf,
  judgeCheck,
  judgeLogOf,
  judgeMount,
  later,
  minutes,
  mirrorsAfter,
  notYet,
  physicalType,
  pointFound,
  sayJudged,
  sayNumbers,
  scratchClean,
  seconds,
  sides,
  step,
  testTag,
  verdictOf,
  wait,
  type DrillCheck,
  type Judged,
  type Step,
  type Verdict,
  type World,
} from "runbook";

import { findLogical, groupOf, isOff, partitionsShowWithin, type Part } from "./drill-lvm.ts";
import { begunAt, newVolumes, volumesReady, type DrillVolume } from "./drill-volumes.ts";

export const partitionsFound = wait<{ readonly at: number; readonly parts: readonly Part[] }>({
  title: "The restored partitions are found by their volumes, and their logs are judged",
  done: async (world) => {
    const parts: Part[] = [];
    for (const mirror of mirrorsIn(world)) {
      const part = await findPartOf(world, mirror);
      if (part === undefined) return undefined;
      parts.push(part);
    }
    return { at: world.now(), parts };
  },
  expect: async (world) => ({
    at: 0,
    parts: mirrorsIn(world).map((mirror) => ({
      mirror,
      device: later(`data partition of ${mirror}`),
      log: "unknown" as const,
      why: "",
    })),
  }),
  within: minutes(10),
});

/** On staging, where the mirror's own configuration says: `devicesProven` has seen the drill's volume there. */
async function findPartOf(world: World, mirror: string): Promise<Part | undefined> {
  const volume = world.settings.staging
    ? undefined
    : dataVolumes(world).find((one) => mirrorOf(one) === mirror);
  if (volume) return findPart(world, volume);
  const { node } = drillOf(world);
  const path = mirrorsAfter(world).find(({ name }) => name === mirror)?.dataPartition[node] ?? "";
  const device = await world.nodes.resolvePath({ node, path });
  if (device === undefined) return { mirror, device: null, log: "unknown", why: `${path} is not there` };
  const { type, log, why } = await world.nodes.getFileSystem({ node, device });
  return type === undefined
    ? { mirror, device: null, log: "unknown", why: `no file system is on ${path}` }
    : { mirror, device, log, why };
}

async function findPart(world: World, volume: DrillVolume): Promise<Part | undefined> {
  const { node, instance } = world.outcomeOf(scratchClean);
  const mirror = mirrorOf(volume);
  const [machine, [found], devices] = await Promise.all([
    world.cloud.getInstance(instance),
    world.cloud.getVolumes([volume.volume]),
    world.nodes.listBlockDevices(node),
  ]);
  const disk = devices.find((each) => each.type === "disk" && found && isDiskOf(each, found, machine));
  if (!disk) return undefined;
  const candidates = candidatesOn(disk, devices).map(({ path }) => path);
  const group = groupOf(world, volume);
  if (group !== undefined) return findLogical(world, mirror, group, candidates);
  const seen = [];
  for (const path of candidates) {
    const what = await world.nodes.getFileSystem({ node, device: path });
    if (what.type === undefined) continue;
    if (what.type === physicalType)
      throw new Failure(
        "unsupported",
        `not proven: the data of ${mirror} lies on LVM (${path}), and the point does not say in which logical volume`,
        {
          hint: "a point that was cut by this tool says it in the tag `runbook:layout`, as md1:data=GROUP/VOLUME",
        },
      );
    seen.push({ path, ...what });
  }
  const [first] = seen;
  if (seen.length > 1)
    throw new Failure(
      "unsupported",
      `not proven: ${volume.volume} has several file systems (${seen.map(({ path }) => path).join(", ")}); which of them is ${mirror} cannot be told`,
    );
  if (first) return { mirror, device: first.path, log: first.log, why: first.why };
  const bare = candidates.includes(disk.path);
  if (bare && world.now() - world.outcomeOf(volumesReady).at < partitionsShowWithin) return undefined;
  return { mirror, device: null, log: "unknown", why: `no file system is on ${volume.volume}` };
}

interface Mounted {
  readonly at: number;
  readonly judged: readonly Judged[];
}

// Nothing of the log is replayed here, so what is written on the volume is still what was cut.
export const mountedAsItIs = step<Mounted>({
  title: "Mount the restored file systems as they are, read-only and without their logs",
  done: (world) => findMounted(world, "as-it-is", "can be read as it is"),
  do: (world) => mountAll(world, "as-it-is"),
  within: minutes(60),
  undo: (): Step => cleared,
});

export const unmountedAgain = step({
  title: "Unmount them again",
  done: async (world) => ((await mountedBelow(world)).length === 0 ? { unmounted: true } : undefined),
  must: nobodyHolds,
  do: async (world) => {
    for (const name of mirrorsIn(world)) {
      const { node } = drillOf(world);
      await world.unless(
        async () => !(await mountedBelow(world)).includes(`${drillFolder(world)}/${name}`),
        () => world.nodes.unmountVolume({ node, folder: drillFolder(world), name }),
      );
    }
  },
  within: minutes(15),
});

export const mountedForUse = step<Mounted>({
  title: "Mount the restored file systems for use",
  done: (world) => findMounted(world, "writable", "can be mounted for use"),
  do: (world) => mountAll(world, "writable"),
  within: minutes(60),
});

async function findMounted(
  world: World,
  how: "as-it-is" | "writable",
  what: string,
): Promise<Mounted | undefined> {
  const { node } = drillOf(world);
  const judged: Judged[] = [];
  for (const { mirror, device, why } of world.outcomeOf(partitionsFound).parts) {
    const name = `${mirror} ${what}`;
    if (device === null) {
      judged.push({ name, result: "failed", why });
      continue;
    }
    const tried = await world.nodes.findTried({ node, folder: drillFolder(world), name: `${mirror}-${how}` });
    if (tried === undefined) return undefined;
    judged.push(judgeMount(name, tried));
  }
  return { at: world.now(), judged };
}

async function mountAll(world: World, how: "as-it-is" | "writable"): Promise<void> {
  const { node } = drillOf(world);
  const folder = drillFolder(world);
  for (const name of mirrorsIn(world)) {
    // Found anew: a name holds for one boot only, and this command must never meet another disk.
    const device = await world.atRun(
      `data partition of ${name}`,
      async () => (await findPartOf(world, name))?.device ?? "",
    );
    if (device === "") continue;
    await world.unless(
      async () => (await world.nodes.findTried({ node, folder, name: `${name}-${how}` })) !== undefined,
      () => world.nodes.mountVolume({ node, folder, name, how, device }),
    );
  }
}

interface Checked {
  readonly at: number;
  readonly result: Verdict;
  readonly judged: readonly Judged[];
}

export const checksRun = step<Checked>({
  title: "Run the checks of the inventory",
  done: async (world) => {
    const { node, checks } = drillOf(world);
    const folder = drillFolder(world);
    const judged: Judged[] = [];
    for (const [i, each] of checks.entries()) {
      if (!canRun(world, each)) {
        judged.push({ name: each.name, result: "not proven", why: "what it looks at could not be mounted" });
        continue;
      }
      const tried = await world.nodes.findTried({ node, folder, name: nameOf(i) });
      if (tried === undefined) return undefined;
      judged.push(judgeCheck(each, tried));
    }
    const { consistency } = world.outcomeOf(pointFound);
    const all = [
      ...world.outcomeOf(partitionsFound).parts.map((part) => judgeLogOf(part.mirror, part, consistency)),
      // Without its log, a file system that was cut in use need not be readable at all.
      ...(consistency === "quiesced" ? world.outcomeOf(mountedAsItIs).judged : []),
      ...world.outcomeOf(mountedForUse).judged,
      ...judged,
    ];
    return { at: world.now(), result: verdictOf(all), judged: all };
  },
  do: async (world) => {
    const { node, checks } = drillOf(world);
    const folder = drillFolder(world);
    for (const [i, each] of checks.entries()) {
      const name = nameOf(i);
      await world.unless(
        async () =>
          !canRun(world, each) || (await world.nodes.findTried({ node, folder, name })) !== undefined,
        () =>
          world.nodes.runCheck({
            node,
            folder,
            name,
            seconds: each.seconds,
            at: each.kind === "http" ? folder : `${folder}/${each.on}`,
            ...commandOf(each),
          }),
      );
    }
  },
  within: (world) =>
    minutes(10) + seconds(drillOf(world).checks.reduce((sum, each) => sum + each.seconds + 60, 0)),
});

export const cleared = step({
  title: "Unmount everything, and leave nothing of the drill on its node",
  done: async (world) => {
    const { node } = drillOf(world);
    if ((await world.nodes.findBoot(node)) === undefined) {
      // What is off has nothing mounted, and /run is empty after a boot.
      return (await isOff(world)) ? { off: true } : undefined;
    }
    if ((await mountedBelow(world)).length > 0) return undefined;
    const left = await world.nodes.resolvePath({ node, path: drillFolder(world) });
    return left === undefined ? { cleared: true } : undefined;
  },
  must: nobodyHolds,
  do: (world) => world.nodes.clearFolder({ node: drillOf(world).node, folder: drillFolder(world) }),
  // A check that nobody waits for any more ends by its own limit.
  within: (world) =>
    minutes(15) + seconds(Math.max(0, ...drillOf(world).checks.map((each) => each.seconds + 60))),
  ends: mountedAsItIs,
});

// No undo: the result is true, whatever becomes of the run afterwards.
export const pointMarked = step<{ readonly result: Verdict; readonly told: readonly string[] }>({
  title: "Write on the point's snapshots how the drill ended, unless nothing was proven",
  done: async (world) => {
    const { result, judged, at } = world.outcomeOf(checksRun);
    const told = [
      ...judged.map(sayJudged),
      ...sayNumbers({
        begun: begunAt(world),
        ready: world.outcomeOf(volumesReady).at,
        found: world.outcomeOf(partitionsFound).at,
        mounted: world.outcomeOf(mountedForUse).at,
        checked: at,
        cutAt: world.outcomeOf(pointFound).cutAt,
        targetMinutes: drillOf(world).targetMinutes,
      }),
    ];
    if (result === "not proven") return { result, told };
    const marked = await world.cloud.getSnapshots(snapshotsOf(world));
    const wanted = markOf(world);
    return marked.every(({ tags }) => tags[contentTestTag] === wanted) ? { result, told } : undefined;
  },
  do: async (world) => {
    const mark = await world.atRun("passed or failed, when, and by this run", async () => markOf(world));
    await world.unless(
      async () => world.outcomeOf(checksRun).result === "not proven",
      () => world.cloud.setTags({ resources: snapshotsOf(world), tags: { [contentTestTag]: mark } }),
    );
  },
  within: minutes(10),
});

/**
 * Last of all, when everything was cleaned up and written down. Nobody is asked whether to try again, hence "aborted": the
 * same volumes would say the same.
 */
export const drillPassed = check("The drill has passed", async (world) => {
  const { result, judged } = world.outcomeOf(checksRun);
  if (result === "passed") return { result };
  const reasons = judged.filter((each) => each.result !== "passed").map(sayJudged);
  throw new Failure(
    "aborted",
    `${result === "failed" ? "the drill failed" : "not proven"}: ${reasons.join("; ")}`,
    {
      hint:
        result === "failed"
          ? "the point is marked as failed (`runbook points`); what the drill made is gone again"
          : "the point is not marked; mend what kept the checks from running, and drill again",
    },
  );
});

function markOf(world: World): string {
  const { result, at } = world.outcomeOf(checksRun);
  const test = testTag({
    how: "content",
    result: result === "passed" ? "passed" : "failed",
    at: new Date(at).toISOString(),
    run: world.run,
  });
  return test[contentTestTag] ?? "";
}

function snapshotsOf(world: World): readonly string[] {
  return world.outcomeOf(pointFound).snapshots.map(({ id }) => id);
}

function dataVolumes(world: World): readonly DrillVolume[] {
  return world.outcomeOf(newVolumes).filter(({ holds }) => dataMirrorsIn(holds).length > 0);
}

/** `drillPlaces` has refused a volume with the data of several. */
function mirrorOf({ holds }: DrillVolume): string {
  return dataMirrorsIn(holds)[0] ?? "";
}

function mirrorsIn(world: World): readonly string[] {
  if (world.settings.staging) return world.outcomeOf(sides).mirrors.map(({ name }) => name);
  return dataVolumes(world).map(mirrorOf);
}

function nameOf(i: number): string {
  return `check-${i + 1}`;
}

/** A check of a file system needs it mounted; one over HTTP needs nothing of ours. */
function canRun(world: World, each: DrillCheck): boolean {
  if (each.kind === "http") return true;
  const i = world.outcomeOf(partitionsFound).parts.findIndex(({ mirror }) => mirror === each.on);
  return world.outcomeOf(mountedForUse).judged[i]?.result === "passed";
}

async function mountedBelow(world: World): Promise<readonly string[]> {
  const mounts = await world.nodes.listMounts(drillOf(world).node);
  return mounts.map(({ point }) => point).filter((point) => point.startsWith(`${drillFolder(world)}/`));
}

/** A check may have left somebody behind, who is given the time that the check had. */
async function nobodyHolds(world: World): Promise<void | typeof notYet> {
  const { node } = drillOf(world);
  for (const mountPoint of await mountedBelow(world))
    if ((await world.nodes.listHolders({ node, mountPoint })).length > 0) return notYet;
  return undefined;
}

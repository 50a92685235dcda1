/**
 * What the inventory wants to find after a restore (`restore.checks`), looked at where the service runs again. What a check
 * says is found, never thrown, so that everything else is brought to its end first; the run says it last.
 */
import {
  check,
  commandOf,
  drillFolder,
  Failure,
  judgeCheck,
  later,
  minutes,
  sayJudged,
  seconds,
  sides,
  step,
  verdictOf,
  type DrillCheck,
  type Judged,
  type Step,
  type World,
} from "runbook";

interface Looked {
  readonly judged: readonly Judged[];
  readonly told: readonly string[];
}

export const contentLooked: Step<Looked> = step<Looked>({
  title: "Run the content checks of the inventory where the service runs",
  done: async (world) => {
    const known = world.findOutcome(contentLooked);
    if (known) return known;
    const judged: Judged[] = [];
    for (const [i, each] of checksOf(world).entries()) {
      const node = await nodeFor(world, each);
      if (node === undefined) {
        judged.push({ name: each.name, result: "not proven", why: nowhere(each) });
        continue;
      }
      const tried = await world.nodes.findTried({ node, folder: drillFolder(world), name: nameOf(i) });
      if (tried === undefined) return undefined;
      judged.push(judgeCheck(each, tried));
    }
    const none =
      "no content check is declared (`restore.checks` of the inventory): that the cluster serves is all that is proven";
    return { judged, told: judged.length === 0 ? [none] : judged.map(sayJudged) };
  },
  do: async (world) => {
    for (const [i, each] of checksOf(world).entries()) {
      const at = each.kind === "http" ? "/" : mountPointOf(world, each.on);
      // Wherever the cluster starts the service: the plan names both nodes, and one of them is asked.
      for (const node of world.outcomeOf(sides).nodes) {
        await world.unless(
          async () =>
            (await nodeFor(world, each)) !== node ||
            (await world.nodes.findTried({ node, folder: drillFolder(world), name: nameOf(i) })) !==
              undefined,
          () =>
            world.nodes.runCheck({
              node,
              folder: drillFolder(world),
              name: nameOf(i),
              seconds: each.seconds,
              at,
              ...commandOf(each),
            }),
        );
      }
    }
  },
  expect: async (world) => ({
    judged: checksOf(world).map(({ name }) => ({
      name,
      result: "not proven" as const,
      why: later(`what ${name} says`),
    })),
    told: [],
  }),
  within: (world) => minutes(10) + seconds(checksOf(world).reduce((sum, each) => sum + each.seconds + 60, 0)),
  undo: (): Step => checkFoldersGone,
});

export const checkFoldersGone = step({
  title: "Leave nothing of the content checks on the nodes",
  done: async (world) => {
    if (checksOf(world).length === 0) return { gone: true };
    for (const node of world.outcomeOf(sides).nodes) {
      // /run is empty after a boot (hier(7)).
      if ((await world.nodes.findBoot(node)) === undefined) continue;
      if ((await world.nodes.resolvePath({ node, path: drillFolder(world) })) !== undefined) return undefined;
    }
    return { gone: true };
  },
  do: async (world) => {
    for (const node of world.outcomeOf(sides).nodes) {
      await world.unless(
        async () =>
          checksOf(world).length === 0 ||
          (await world.nodes.findBoot(node)) === undefined ||
          (await world.nodes.resolvePath({ node, path: drillFolder(world) })) === undefined,
        () => world.nodes.clearFolder({ node, folder: drillFolder(world) }),
      );
    }
  },
  within: minutes(15),
});

/** Nobody is asked whether to try again, hence "aborted": the same content would say the same. */
export const contentRight = check("The content is what the inventory wants to find", async (world) => {
  const { judged } = world.outcomeOf(contentLooked);
  const wrong = judged.filter(({ result }) => result !== "passed");
  if (wrong.length === 0) return { passed: judged.length };
  throw new Failure(
    "aborted",
    `${verdictOf(judged) === "failed" ? "the restored content is not what was wanted" : "the restored content is not proven"}: ${wrong.map(sayJudged).join("; ")}`,
    {
      hint: "what was restored stays as it is: look at it, then say `runbook run confirm` or `runbook run rollback`",
    },
  );
});

function checksOf(world: World): readonly DrillCheck[] {
  return world.settings.checks ?? [];
}

function mountPointOf(world: World, mirror: string): string {
  return world.outcomeOf(sides).mirrors.find(({ name }) => name === mirror)?.mountPoint ?? "";
}

/** Where the mirror is mounted, and so served; a check over HTTP is made where any of them is. */
async function nodeFor(world: World, each: DrillCheck): Promise<string | undefined> {
  const { nodes, mirrors } = world.outcomeOf(sides);
  const wanted =
    each.kind === "http" ? mirrors.map(({ mountPoint }) => mountPoint) : [mountPointOf(world, each.on)];
  for (const node of nodes) {
    if ((await world.nodes.findBoot(node)) === undefined) continue;
    const mounted = await world.nodes.listMounts(node);
    if (mounted.some(({ point }) => wanted.includes(point))) return node;
  }
  return undefined;
}

function nowhere(each: DrillCheck): string {
  return each.kind === "http" ? "no mirror is mounted on any node" : `${each.on} is mounted on no node`;
}

function nameOf(i: number): string {
  return `check-${i + 1}`;
}

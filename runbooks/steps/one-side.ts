/**
 * One side was restored, and wins: it is forced to be the good one while the other is off, it serves, and the other joins
 * by a full copy from it (reference clusterpro 8, R2). Nothing here has a way back: what has served, stays.
 */
import {
  allOnline,
  askEither,
  assertSameDevices,
  Failure,
  hours,
  isInSync,
  minutes,
  notYet,
  ontoOf,
  otherSide,
  placesOf,
  readMirrors,
  sides,
  step,
  wait,
  type Mine,
  type Step,
  type World,
} from "runbook";

import { wasCopiedOver } from "./copied.ts";
import { prepareNodes, stopAll } from "./nodes-down.ts";

export const forcedGood = step({
  title: "Make the restored side the one that counts",
  done: async (world, mine: Mine) => {
    const { mirrors } = world.outcomeOf(sides);
    const onto = ontoOf(world) ?? "";
    const forced = mirrors.every(({ name }) =>
      mine.calls.some(
        ({ verb, state, request }) =>
          verb === "cluster.forceGood" &&
          state === "answered" &&
          request.to === "node" &&
          request.argv.includes(name),
      ),
    );
    if (!forced) return undefined;
    // Later the other side may be copied to, and then this one is YELLOW for a while.
    if (world.traceOf(otherBooted).begun) return { mirrors: mirrors.map(({ name }) => name) };
    const states = await readMirrors(world, mirrors, onto);
    return states.every(({ sides: found }) => found[onto]?.colour === "GREEN")
      ? { mirrors: mirrors.map(({ name }) => name) }
      : undefined;
  },
  must: async (world) => {
    await assertOthersOff(world);
    const onto = ontoOf(world) ?? "";
    // Alone, it waits for its peer for some minutes before it is a member.
    const state = await world.cluster.getState(onto);
    return state.nodes[onto] === "online" ? undefined : notYet;
  },
  do: async (world) => {
    const onto = ontoOf(world) ?? "";
    for (const { name } of world.outcomeOf(sides).mirrors)
      await insist(() => world.cluster.forceGood({ mirror: name, node: onto }));
  },
  within: minutes(40),
});

const tries = 3;

/** There is no way back from here, and what is asked may be asked twice: so one refusal is not the end of it. */
async function insist(act: () => Promise<void>, isDone = async () => false): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.kind === "bug" || thrown.kind === "aborted") throw thrown;
      if (await isDone()) return;
      if (attempt === tries) throw thrown;
    }
  }
}

/** The other side has the newer times: met before this one was forced, it would win. */
async function assertOthersOff(world: World): Promise<void> {
  const onto = ontoOf(world);
  for (const node of world.outcomeOf(sides).nodes) {
    if (node === onto) continue;
    const { state } = await world.cloud.getPower(world.instanceOf(node));
    if (state !== "stopped")
      throw new Failure(
        "precondition",
        `${node} is ${state}; wanted it off until ${onto ?? ""} is the good side`,
        {
          hint: "power it off, then `runbook resume`",
        },
      );
  }
}

export const servesAlone = step({
  title: "The groups that ran run on the restored side",
  ends: stopAll,
  done: async (world) => {
    const onto = ontoOf(world) ?? "";
    const { bootId } = await world.nodes.getBoot(onto);
    const groups = world.outcomeOf(sides).ran.map(({ group }) => group);
    if (groups.length === 0) return { bootId, told: ["no group ran before, and none was started"] };
    return allOnline(await world.cluster.getState(onto), groups, onto) ? { bootId } : undefined;
  },
  patience: minutes(5),
  do: async (world) => {
    const node = ontoOf(world) ?? "";
    for (const { group } of world.outcomeOf(sides).ran) {
      await world.unless(
        async () => placesOf(await world.cluster.getState(node), [group]) !== undefined,
        () =>
          insist(
            () => world.cluster.startGroup({ group, node }),
            () => runsThere(world, group),
          ),
      );
    }
  },
  expect: async () => ({ bootId: "" }),
  within: hours(1),
});

async function runsThere(world: World, group: string): Promise<boolean> {
  return placesOf(await world.cluster.getState(ontoOf(world) ?? ""), [group]) !== undefined;
}

export const aloneForNow = wait({
  title: "The restored side serves alone, by choice",
  ends: prepareNodes,
  done: async (world) => {
    const { node } = world.outcomeOf(otherSide);
    const { options } = world.outcomeOf(sides);
    const told =
      node === null
        ? [
            `there is no redundancy: ${world.outcomeOf(sides).absent.join(" and ")} joins when it is powered on`,
          ]
        : [
            `there is no redundancy: ${node} is up and stays out of the cluster until \`runbook run give-back\``,
          ];
    if (options.some(({ fullCopy }) => fullCopy))
      told.push(
        "the initial full copy stays off until it is switched on again in the cluster's configuration",
      );
    return { told };
  },
  within: minutes(1),
});

export const otherBooted = step({
  title: "Power the other node on, out of the cluster",
  boots: true,
  done: async (world) => {
    const { node } = world.outcomeOf(otherSide);
    // Off or gone before this run: left so.
    if (node === null) return { bootId: "" };
    if ((await world.cloud.getPower(world.instanceOf(node))).state !== "running") return undefined;
    const boot = await world.nodes.findBoot(node);
    if (!boot) return undefined;
    if (!world.traceOf(otherStarted).begun) {
      const { running, startsAtBoot } = await world.cluster.getService(node);
      if (running || startsAtBoot)
        throw new Failure(
          "precondition",
          `${node} did not stay out of the cluster: its cluster software starts`,
        );
    }
    return { bootId: boot.bootId };
  },
  must: async (world) => {
    const { state } = await world.cloud.getPower(world.instanceOf(otherOf(world)));
    return state === "stopping" || state === "pending" ? notYet : undefined;
  },
  do: async (world) => {
    const { node } = world.outcomeOf(otherSide);
    if (node === null) return;
    const instance = world.instanceOf(node);
    await world.unless(
      async () => (await world.cloud.getPower(instance)).state === "running",
      () => insist(() => world.cloud.startInstance({ instance })),
    );
  },
  within: minutes(40),
});

/** A proof holds for one boot. */
export const otherProven: Step<{ readonly bootId: string }> = wait<{ readonly bootId: string }>({
  title: "The other node's volumes still lie where its mirrors expect them",
  proves: "devices",
  done: async (world) => {
    const { node, volumes } = known(world);
    const { bootId } = await world.nodes.getBoot(node);
    const before = world.findOutcome(otherProven);
    if (before && world.traceOf(otherStarted).begun) return before;
    await assertSameDevices(world, node, world.outcomeOf(sides).mirrors, volumes);
    return { bootId };
  },
  expect: async () => ({ bootId: "" }),
  within: minutes(10),
});

export const otherStarted = step({
  title: "Start the mirrors on the other node for a full copy; it reboots into the cluster",
  startsMirrors: true,
  done: async (world, mine: Mine) => {
    if (!mine.begun) return undefined;
    const node = otherOf(world);
    const boot = await world.nodes.findBoot(node);
    if (!boot || boot.bootId === world.outcomeOf(otherProven).bootId) return undefined;
    return (await world.cluster.getService(node)).startsAtBoot ? { bootId: boot.bootId } : undefined;
  },
  must: async (world, mine) => {
    const node = otherOf(world);
    const boot = await world.nodes.findBoot(node);
    if (boot === undefined) return notYet;
    const changed = boot.bootId !== world.outcomeOf(otherProven).bootId;
    // It was told, and comes up this moment.
    if (changed && mine.calls.some(({ state }) => state !== "no")) return notYet;
    if (changed)
      throw new Failure("precondition", `${node} was booted since its devices were proven`, {
        hint: "look at it: once its devices are right, `clprestore.sh --post` there lets it join",
      });
    await assertServes(world);
    return undefined;
  },
  do: async (world) => {
    const node = otherOf(world);
    await insist(
      () => world.cluster.finishRestore({ node, skipCopy: false }),
      async () => {
        const boot = await world.nodes.findBoot(node);
        return boot === undefined || (await world.cluster.getService(node)).startsAtBoot;
      },
    );
  },
  within: minutes(40),
});

export const copiedOver = wait({
  title: "The other side was copied over from the restored one, and both are in sync",
  ends: prepareNodes,
  done: async (world) => {
    const { nodes, mirrors } = world.outcomeOf(sides);
    const onto = ontoOf(world) ?? "";
    const state = await askEither(world, onto, (via) => world.cluster.getState(via));
    if (nodes.some((node) => state.nodes[node] !== "online")) return undefined;
    const states = await askEither(world, onto, (via) => readMirrors(world, mirrors, via));
    if (!states.every(isInSync)) return undefined;
    await assertServes(world);
    if (!(await wasCopiedOver(world)))
      throw new Failure(
        "precondition",
        "the mirrors call themselves in sync, and no full copy from the restored side was told of: the two sides may hold two contents",
        {
          hint: "compare them before anything else; a forced recovery from the restored side makes them one, as printed",
        },
      );
    return { mirrors: states.map(({ mirror }) => mirror) };
  },
  within: (world) => hours(world.settings.copyHours),
});

/** The restored side has not been rebooted since it served, nor has its service gone anywhere else. */
async function assertServes(world: World): Promise<void> {
  const onto = ontoOf(world) ?? "";
  const groups = world.outcomeOf(sides).ran.map(({ group }) => group);
  const { bootId } = await world.nodes.getBoot(onto);
  const stays = allOnline(await world.cluster.getState(onto), groups, onto);
  if (bootId === world.outcomeOf(servesAlone).bootId && stays) return;
  throw new Failure(
    "precondition",
    `the service did not stay on ${onto}: which side was copied to which is not proven`,
    {
      hint: "look which side holds what counts, before the other one is started or forced",
    },
  );
}

function otherOf(world: World): string {
  return known(world).node;
}

function known(world: World) {
  const found = world.outcomeOf(otherSide);
  if (found.node === null) throw new Failure("bug", "no other node takes part");
  return found;
}

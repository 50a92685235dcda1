/** Nodes back into the cluster, from wherever they stand: off, outside in backup mode, half prepared, or up and not joined. */
import {
  Failure,
  found,
  isHalfPrepared,
  isOutside,
  lookAt,
  membership,
  minutes,
  notYet,
  peerOf,
  serves,
  step,
  wait,
  type Sight,
  type World,
} from "runbook";

import { assertDevices, assertThere, mayComeIn, nodeOf } from "./may-come-in.ts";
import { each } from "./power.ts";

/**
 * Guards stand as steps of their own: where one of them ends the run, no command is printed that it forbids. They are asked
 * again at the moment of acting.
 */
export const mayPowerOnFirst = wait({
  title: "Where no node answers: both may be powered on",
  done: async (world) => {
    if ((await lookAt(world)).nodes.some(({ bootId }) => bootId !== undefined)) return { answers: true };
    return (await mayPowerOn(world)) === notYet ? undefined : { may: true };
  },
  within: minutes(15),
});

/** With no node up nothing is known, not even which groups there are. */
export const oneUp = step({
  title: "At least one node answers",
  boots: true,
  done: async (world) =>
    (await lookAt(world)).nodes.some(({ bootId }) => bootId !== undefined) ? { answers: true } : undefined,
  must: mayPowerOn,
  do: async (world) => {
    if (world.outcomeOf(found).setUp === null) await powerOn(world);
  },
  within: minutes(15),
});

export const mayPowerOnAll = wait({
  title: "What is off may be powered on",
  done: async (world) => ((await mayPowerOn(world)) === notYet ? undefined : { may: true }),
  within: minutes(15),
});

export const allUp = step({
  title: "Power on what is off, and wait until every node answers",
  boots: true,
  done: async (world) => {
    const { nodes } = await lookAt(world);
    return nodes.every(({ bootId }) => bootId !== undefined) ? { nodes: world.members } : undefined;
  },
  must: mayPowerOn,
  do: powerOn,
  within: minutes(15),
});

async function mayPowerOn(world: World): Promise<void | typeof notYet> {
  const sight = await lookAt(world);
  let soon = false;
  for (const seen of sight.nodes.filter(({ bootId }) => bootId === undefined)) {
    const { node, power } = seen;
    assertThere(seen);
    if (power === "stopping" || power === "pending") soon = true;
    else if (power !== "stopped") throw silent(sight, node);
    else if (!world.outcomeOf(found).mayBeOff.includes(node))
      throw new Failure("precondition", `${node} went off since the plan was made`, {
        hint: "plan again: the new plan begins from there",
      });
    else if ((await mayComeIn(world, sight, node)) === notYet) soon = true;
  }
  return soon ? notYet : undefined;
}

/** It may be booting, and then it answers soon; it may serve, so its power is not touched. */
function silent(sight: Sight, node: string): Failure {
  if (peerOf(sight, node).state?.nodes[node] === "online")
    return new Failure(
      "precondition",
      `${node} is a member in the eyes of ${peerOf(sight, node).node}, and does not answer here`,
      { hint: "mend the way to it from this machine" },
    );
  return new Failure("unavailable", `${node} does not answer, though its instance is on`, {
    hint: "look at its console; it may serve, so nothing here cuts its power",
  });
}

async function powerOn(world: World): Promise<void> {
  for (const node of world.outcomeOf(found).mayBeOff) {
    const instance = world.instanceOf(node);
    await world.unless(
      async () => (await nodeOf(world, node)).power !== "stopped",
      () => world.cloud.startInstance({ instance }),
    );
  }
}

/**
 * A member that is not set to start at boot, or one whose mirror agent runs while the rest stands still: somebody began to
 * prepare it for a backup, and its backup flags may be on, which nobody can see. Backup mode is left only from a boot
 * without the cluster's software, so it is brought there: it serves nothing, and its mirror is not to be used (reference
 * clusterpro 3.7).
 */
export const halfPreparedOut = step({
  title: "Take a half prepared node out of the cluster, and boot it",
  boots: true,
  done: async (world) => ((await halfOnes(world)).length === 0 ? { done: true } : undefined),
  must: async (world) => {
    const sight = await lookAt(world);
    const busy = sight.nodes.some(({ state }) =>
      Object.values(state?.groups ?? {}).some(({ status }) => status === "pending"),
    );
    return busy ? notYet : undefined;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(found).half) {
      await world.unless(
        async () => (await nodeOf(world, node)).running !== true || !(await halfOnes(world)).includes(node),
        () => world.cluster.stopService({ node }),
      );
      await world.unless(
        async () => (await nodeOf(world, node)).running === true || !(await halfOnes(world)).includes(node),
        () => world.nodes.reboot({ node }),
      );
    }
  },
  within: minutes(90),
});

/** Those of the plan that still are; one that serves is left running, and only set to start at boot again. */
async function halfOnes(world: World): Promise<readonly string[]> {
  const sight = await lookAt(world);
  return sight.nodes
    .filter((seen) => world.outcomeOf(found).half.includes(seen.node) && isHalfPrepared(seen))
    .map(({ node }) => node)
    .filter((node) => !serves(sight, node));
}

export const mayComeInAll = wait({
  title: "What is outside of the cluster may come in, and its devices are proven",
  done: async (world) => {
    const sight = await lookAt(world);
    // One that was told to boot comes up outside.
    let soon = sight.nodes.some(({ bootId }) => bootId === undefined);
    for (const { node } of sight.nodes.filter(isOutside)) {
      if ((await mayComeIn(world, sight, node)) === notYet) soon = true;
      await assertDevices(world, node);
    }
    return soon ? undefined : { may: true };
  },
  within: minutes(15),
});

/**
 * `clpbackup.sh --post` for every node that is kept out: it takes backup mode off where it is on, lets the software start at
 * boot, and reboots. Whether it is on cannot be seen (reference clusterpro 3.7). One whose volumes were put back was not in
 * backup mode, but prepared for a restore: it needs only the last two (reference 8, R1 6).
 */
export const broughtIn = step({
  title: "Take the nodes out of backup mode; they reboot into the cluster",
  startsMirrors: true,
  proves: "devices",
  done: async (world) => {
    const { nodes } = await lookAt(world);
    return nodes.every(({ startsAtBoot }) => startsAtBoot === true) ? { nodes: world.members } : undefined;
  },
  must: async (world) => {
    const sight = await lookAt(world);
    if (sight.nodes.some(({ startsAtBoot }) => startsAtBoot === undefined)) return notYet;
    let soon = false;
    for (const { node } of sight.nodes.filter(isOutside)) {
      if ((await mayComeIn(world, sight, node)) === notYet) soon = true;
      await assertDevices(world, node);
    }
    return soon ? notYet : undefined;
  },
  do: async (world) => {
    const { mayBeOut, displaced } = world.outcomeOf(found);
    await each(mayBeOut, async (node) => {
      const restored = displaced.some((place) => place.node === node);
      await world.unless(
        async () => restored || !isOutside(await nodeOf(world, node)),
        () => world.cluster.finishBackup({ node }),
      );
      await world.unless(
        async () =>
          (await nodeOf(world, node)).startsAtBoot !== false ||
          (!restored && !(await servesHere(world, node))),
        () => world.cluster.enableService({ node }),
      );
      if (restored)
        await world.unless(
          async () => (await nodeOf(world, node)).running !== false,
          () => world.nodes.reboot({ node }),
        );
    });
  },
  within: minutes(40),
});

async function servesHere(world: World, node: string): Promise<boolean> {
  return serves(await lookAt(world), node);
}

/** Longer than a node takes after its boot to join the cluster, or to give up waiting for its peer. */
const joinSeconds = 420;

export const allMembers = step({
  title: "Every node is a member again",
  done: async (world) => {
    const { nodes } = await lookAt(world);
    const all = nodes.every(({ state }) => nodes.every(({ node }) => state?.nodes[node] === "online"));
    return all ? { nodes: world.members } : undefined;
  },
  // A node that was told to reboot a moment ago is still there.
  patience: minutes(2),
  must: async (world) => {
    const sight = await lookAt(world);
    for (const seen of sight.nodes) {
      assertThere(seen);
      if (seen.power === "stopped")
        throw new Failure("precondition", `${seen.node} went off again`, {
          hint: "look at its console; then let it be looked at again",
        });
    }
    const settled = sight.nodes.every(
      (seen) => membership(seen) === "online" && (seen.upSeconds ?? 0) > joinSeconds,
    );
    if (settled)
      throw new Failure(
        "precondition",
        `the cluster software runs on ${world.members.join(" and ")}, and they do not see each other`,
        {
          hint: "mend the network between them; until then each is alone",
        },
      );
    let early = true;
    for (const seen of sight.nodes.filter(({ running }) => running === false)) {
      // They join by themselves after a boot; where automatic start was suspended, they have to be started.
      if ((seen.upSeconds ?? 0) < joinSeconds) return notYet;
      if ((await mayComeIn(world, sight, seen.node)) === notYet) return notYet;
      await assertDevices(world, seen.node);
      early = false;
    }
    return early ? notYet : undefined;
  },
  do: async (world) => {
    for (const node of world.outcomeOf(found).noMembers)
      await world.unless(
        async () => (await nodeOf(world, node)).running !== false,
        () => world.cluster.startService({ node }),
      );
  },
  within: minutes(30),
});

/** Moving the groups to the other node, and back: each move is a short outage of its own. */
import {
  allOffline,
  allOnline,
  askEither,
  assertInSync,
  check,
  Failure,
  hours,
  minutes,
  readMirrors,
  roles,
  step,
  wait,
  type Mine,
  type Roles,
  type Step,
  type World,
} from "runbook";

import { findGreenNode } from "./service.ts";

/** From here on, "active" is where the groups will run, and "standby" the node that served when the run began. */
export const rolesAfterMove = check<Roles>(
  "After the move the other node is the active one",
  async (world) => {
    const now = world.outcomeOf(roles);
    if (now.stopped.length > 0)
      throw new Failure(
        "precondition",
        `${now.stopped.join(", ")} has a mirror and is stopped: its mirror could not be moved with the others`,
        { hint: "start it, or back up the standby instead" },
      );
    return { ...now, active: now.standby, standby: now.active };
  },
  { refreshes: roles },
);

export const moveGroups = step({
  title: "Move the groups to the other node",
  exposes: "service",
  servedBy: "standby",
  done: async (world, mine: Mine) => {
    const { active, groups } = world.outcomeOf(roles);
    const { groups: found } = await state(world);
    // Under way, and not yet whole: it may also have failed, which is looked at until the limit.
    if (mine.begun && groups.some((group) => found[group]?.status === "pending")) return undefined;
    return groups.every((group) => found[group]?.node === active) ? { groups } : undefined;
  },
  must: async (world, mine: Mine) => {
    const { active, standby, groups, mirrors } = world.outcomeOf(roles);
    const found = await state(world);
    // Moved by this run, and back: somebody wanted it there, and it is not taken away a second time.
    const back = groups.filter((group) => found.groups[group]?.node === standby && wasMoved(mine, group));
    if (back.length > 0)
      throw new Failure(
        "precondition",
        `${back.join(", ")} was moved by this run and is on ${standby} again`,
      );
    if (found.nodes[active] !== "online")
      throw new Failure("precondition", `${active} is ${found.nodes[active] ?? "unknown"} in the cluster`);
    assertInSync(await readMirrors(world, mirrors, standby));
  },
  do: (world) => move(world, "away"),
  within: hours(2),
  undo: (): Step => moveBackIfMoved,
  // Its own node can take the groups only when its mirror is GREEN again.
  undoWhen: "last",
  // The cluster or a person moved them again: the node to be backed up may serve now.
  ifUndone: async () => false,
});

function wasMoved(mine: Mine, group: string): boolean {
  return mine.calls.some(
    ({ verb, state, request }) =>
      verb === "cluster.moveGroup" &&
      state === "answered" &&
      request.to === "node" &&
      request.argv.includes(group),
  );
}

export const groupsMoved = wait({
  title: "The groups run as a whole on the other node",
  ends: moveGroups,
  done: async (world) => {
    const { active, groups } = world.outcomeOf(roles);
    return allOnline(await state(world), groups, active) ? { node: active } : undefined;
  },
  within: hours(1),
});

/** On the way back: only what this run moved, and only onto a side that is GREEN. */
const moveBackIfMoved = step({
  title: "Move the groups back to where they were found",
  done: async (world) => {
    const { standby, groups } = world.outcomeOf(roles);
    const found = await state(world);
    return groups.every((group) => found.groups[group]?.node === standby) && allOnline(found, groups, standby)
      ? { node: standby }
      : undefined;
  },
  // What is stopped serves nobody: it is started wherever its side is good before it is moved, and does not wait for its own node.
  must: async (world) => {
    if (!(await isAnyStopped(world))) await assertMayGoBack(world);
  },
  do: async (world) => {
    for (const group of world.outcomeOf(roles).groups)
      await world.unless(
        async () => !allOffline(await state(world), [group]),
        async () => {
          const node = await world.atRun("the node whose mirrors are GREEN", () => findGreenNode(world));
          await world.cluster.startGroup({ group, node });
        },
      );
    await world.atRun("whether its own node may take the groups", async () => {
      await assertMayGoBack(world);
      return "";
    });
    await move(world, "back");
  },
  within: hours(3),
});

async function isAnyStopped(world: World): Promise<boolean> {
  const found = await state(world);
  return world.outcomeOf(roles).groups.some((group) => allOffline(found, [group]));
}

export const moveBack = step({
  title: "Move the groups back to the node where they were found",
  exposes: "service",
  done: async (world) => {
    const { standby, groups } = world.outcomeOf(roles);
    const { groups: found } = await state(world);
    return groups.every((group) => found[group]?.node === standby) ? { groups } : undefined;
  },
  must: (world) => assertMayGoBack(world),
  do: (world) => move(world, "back"),
  within: hours(2),
  undo: (): Step => moveBackIfMoved,
  undoWhen: "last",
  ifUndone: async () => false,
});

export const groupsMovedBack = wait({
  title: "The groups run as a whole where they were found",
  ends: moveBack,
  done: async (world) => {
    const { standby, groups } = world.outcomeOf(roles);
    return allOnline(await state(world), groups, standby) ? { node: standby } : undefined;
  },
  within: minutes(60),
});

async function assertMayGoBack(world: World): Promise<void> {
  const { active, standby, mirrors } = world.outcomeOf(roles);
  const found = await state(world);
  if (found.nodes[standby] !== "online")
    throw new Failure("unavailable", `${standby} is ${found.nodes[standby] ?? "unknown"} in the cluster`);
  const states = await askEither(world, active, (via) => readMirrors(world, mirrors, via));
  assertInSync(states);
}

async function move(world: World, where: "away" | "back"): Promise<void> {
  const { active, standby, groups } = world.outcomeOf(roles);
  const [from, to] = where === "away" ? [standby, active] : [active, standby];
  for (const group of groups) {
    await world.unless(
      async () => (await state(world)).groups[group]?.node === to,
      () => world.cluster.moveGroup({ group, from, to }),
    );
  }
}

function state(world: World) {
  const { active } = world.outcomeOf(roles);
  return askEither(world, active, (via) => world.cluster.getState(via));
}

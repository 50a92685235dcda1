/** The text of a new runbook: small, lawful, and with a word on each part of a step. */
export function newText(name: string): string {
  return `/**
 * Resume the mirror monitors that somebody left suspended.
 *
 * Say here, as one would say it aloud: what it does, what it takes away and until when, and what happens if it fails. This
 * one takes nothing away. If it fails, the monitors that it resumed are suspended again.
 *
 * To try it: \`runbook graph ${name}\`, \`runbook plan ${name} --lab\`, \`runbook run ${name} --lab\`.
 */
import {
  eachNode,
  minutes,
  mirrorsGreen,
  monitorsKnown,
  nobodyElse,
  roles,
  roomInStore,
  runbook,
  step,
  type Mine,
  type Step,
  type World,
} from "runbook";

export default runbook({
  title: "Resume the mirror monitors that were left suspended",
  // A choice of the operator's, given as --param how=b: \`params: { how: oneOf("a", "b") }\`, and \`steps: ({ how }) => …\`.
  steps: () => ({
    // Checks come first. They only look, and the run is refused, with nothing touched, if one does not hold.
    nobodyElse, // no other run on this cluster
    roles, // which node is active, found live
    mirrorsGreen,
    monitorsKnown,
    roomInStore,

    // Then the steps, in this order. eachNode: a copy for each node, side by side.
    resumeMonitors: eachNode(resumeMonitors),
  }),
});

const resumeMonitors = step({
  title: "Resume the mirror monitors",
  // Looks, and changes nothing. What it answers is what later steps may read; undefined means that it is not so yet.
  done: async (world) =>
    (await suspendedNow(world)).length === 0 ? { running: monitorsOf(world) } : undefined,
  // Read once, before the first act, and kept with the run: whoever takes it up later knows it too.
  before: (world) => suspendedNow(world),
  // Makes it so. It may be called again after a lost answer, so it looks before each part.
  do: async (world) => {
    for (const monitor of monitorsOf(world))
      await world.unless(
        async () => !(await suspendedNow(world)).includes(monitor),
        () => world.cluster.resumeMonitor({ monitor, node: world.node, via: world.node }),
      );
  },
  // The longest that all this may take. A step that takes something away says what, with \`exposes: "service"\` or
  // \`"redundancy"\`, and the one that gives it back says \`ends\` with the step that took it.
  within: minutes(5),
  undo: (): Step => suspendAgain,
});

// What gives it back is a step too, and knows what \`before\` kept.
const suspendAgain = step({
  title: "Suspend the mirror monitors that were resumed",
  done: async (world, mine: Mine<readonly string[]>) => {
    const now = await suspendedNow(world);
    const ours = mine.before ?? [];
    return ours.every((monitor) => now.includes(monitor)) ? ours : undefined;
  },
  do: async (world, mine: Mine<readonly string[]>) => {
    for (const monitor of mine.before ?? monitorsOf(world))
      await world.unless(
        async () => (await suspendedNow(world)).includes(monitor),
        () => world.cluster.suspendMonitor({ monitor, node: world.node, via: world.node }),
      );
  },
  within: minutes(5),
});

/** The monitors of all mirrors, as the check above found them: names come from the cluster, never from here. */
function monitorsOf(world: World): readonly string[] {
  return world.outcomeOf(monitorsKnown).map(({ monitor }) => monitor);
}

async function suspendedNow(world: World): Promise<readonly string[]> {
  const { monitors } = await world.cluster.getState(world.node);
  return monitorsOf(world).filter((monitor) => monitors[monitor]?.[world.node] === "suspended");
}
`;
}

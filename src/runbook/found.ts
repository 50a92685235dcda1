/**
 * What `give-back` and `resync` begin from: everything that is seen, in words and as facts, and what will be done about it.
 * No time is among the facts, and nothing that changes by itself while a plan is reviewed.
 */
import { Failure } from "../errors.ts";
import { drillTag } from "./drill.ts";
import { later } from "./later.ts";
import { isRecovering } from "./mirrors.ts";
import { assertSupported, mirrorsOf, type RoleMirror } from "./roles.ts";
import {
  goodNode,
  homeOf,
  isGone,
  isHalfPrepared,
  isOutside,
  isProven,
  lookAt,
  membersOf,
  membership,
  sayColours,
  sayPower,
  serves,
  startableNode,
  troublesOf,
  type NodeSight,
  type Sight,
} from "./sight.ts";
import { check, minutes, type Step, wait, type World } from "./step.ts";

/** What of the cluster's configuration the way back needs. */
export interface SetUp {
  readonly nodes: readonly string[];
  readonly groups: readonly { readonly name: string; readonly startsByItself: boolean }[];
  readonly mirrors: readonly RoleMirror[];
  /** Mirrors whose initial full copy is off, with their initial mkfs. */
  readonly copyOff: readonly { readonly mirror: string; readonly initialMkfs: boolean }[];
  readonly configuration: string;
}

/** A volume that belongs into a place that is empty now, as its tags say. */
export interface Displaced {
  readonly node: string;
  readonly volume: string;
  readonly device: string;
  readonly deletes: boolean;
  readonly tags: readonly string[];
}

interface Sentence {
  readonly [what: string]: string;
}

export interface Found {
  readonly seen: readonly Sentence[];
  readonly next: readonly Sentence[];
  readonly leftAlone: readonly Sentence[];
  /** Null while no node answers. */
  readonly setUp: SetUp | null;
  readonly normal: boolean;
  /** Whether it is proven for every mirror which side counts. */
  readonly proven: boolean;
  /** Nodes that do not answer, or may go off any moment. */
  readonly mayBeOff: readonly string[];
  /** Not set to start at boot, and its cluster software or its mirror agent runs: half prepared for a backup, or meant so. */
  readonly half: readonly string[];
  /** Of these, those whose instances are stopped, or on the way. */
  readonly off: readonly string[];
  readonly gone: readonly string[];
  /** Up, and kept out of the cluster. */
  readonly outside: readonly string[];
  /** Nodes whose software is not set to start, or that do not answer: what they need is seen once they are up. */
  readonly mayBeOut: readonly string[];
  /** Nodes that are no members now. */
  readonly noMembers: readonly string[];
  /** Monitors to be resumed. */
  readonly suspended: readonly { readonly monitor: string; readonly node: string }[];
  readonly displaced: readonly Displaced[];
}

export const found = check<Found>(
  "What is found, and what will be done",
  async (world) => {
    const sight = await lookAt(world);
    const setUp = sight.config === undefined ? null : setUpOf(sight, world.members);
    const groups = wantedGroups(world, setUp);
    const suspended = toResume(world, sight);
    const displaced = await findDisplaced(world, sight);
    const silent = sight.nodes.filter(({ bootId }) => bootId === undefined);
    const out = sight.nodes.filter(({ startsAtBoot }) => startsAtBoot !== true);
    return {
      seen: sight.nodes.map((seen) => ({ [seen.node]: sayNode(sight, seen) })),
      next: nextOf(world, sight, groups, suspended, displaced).map((line) => ({ "-": line })),
      leftAlone: leftAloneOf(world, sight, setUp).map((line) => ({ "-": line })),
      setUp,
      normal: troublesOf(sight, groups, suspended).length === 0,
      proven: isProven(sight),
      mayBeOff: out.filter((seen) => !isGone(seen)).map(({ node }) => node),
      half: out.filter(isHalfPrepared).map(({ node }) => node),
      off: silent.filter((seen) => sayPower(seen) === "off").map(({ node }) => node),
      gone: sight.nodes.filter(isGone).map(({ node }) => node),
      outside: sight.nodes.filter(isOutside).map(({ node }) => node),
      mayBeOut: out.filter((seen) => !isGone(seen)).map(({ node }) => node),
      noMembers: sight.nodes.filter((seen) => membership(seen) !== "online").map(({ node }) => node),
      suspended,
      displaced,
    };
  },
  { within: minutes(5) },
);

function setUpOf({ config }: Sight, members: readonly string[]): SetUp | null {
  if (!config) return null;
  const [known = ""] = Object.values(config.digests);
  const silent = Object.fromEntries(members.map((node) => [node, known]));
  assertSupported({ ...config, digests: { ...silent, ...config.digests } }, members);
  return {
    nodes: config.nodes,
    groups: config.groups.map(({ name, startsByItself }) => ({ name, startsByItself })),
    mirrors: mirrorsOf(config),
    copyOff: config.mirrors
      .filter(({ fullCopy }) => !fullCopy)
      .map(({ name, initialMkfs }) => ({ mirror: name, initialMkfs })),
    configuration: known,
  };
}

/** With no node up it is not known until one is; then the plan has holes for its names. */
export const setUpKnown: Step<SetUp> = wait<SetUp>({
  title: "The cluster's configuration is known, and the same on all nodes that answer",
  done: async (world) => setUpOf(await lookAt(world), world.members) ?? undefined,
  expect: async (world) => world.outcomeOf(found).setUp ?? unknownSetUp(world),
  within: minutes(5),
});

function unknownSetUp(world: World): SetUp {
  const each = (what: string) => later(`${what} of the cluster`);
  const mirror = {
    name: each("each mirror"),
    monitor: null,
    mountPoint: "",
    synchronous: true,
    dataPartition: {},
    clusterPartition: {},
    ownPartitions: [],
  };
  return {
    nodes: world.members,
    groups: [{ name: each("each group"), startsByItself: true }],
    mirrors: [mirror],
    copyOff: [{ mirror: each("each mirror"), initialMkfs: false }],
    configuration: "",
  };
}

/** As it was found when the run was planned, or as soon as it could be read; holes in a plan that is made with no node up. */
export async function knownSetUp(world: World): Promise<SetUp> {
  const known = world.findOutcome(setUpKnown) ?? world.outcomeOf(found).setUp;
  if (known) return known;
  let live: SetUp | null = null;
  const planned = await world.atRun("the cluster's configuration", async () => {
    live = setUpOf(await lookAt(world), world.members);
    return "";
  });
  if (planned !== "") return unknownSetUp(world);
  return live ?? { nodes: world.members, groups: [], mirrors: [], copyOff: [], configuration: "" };
}

/** The groups that are to run: those that the cluster itself would start, unless others are named. */
export function wantedGroups(world: World, setUp: SetUp | null): readonly string[] {
  const wish = world.params["groups"] ?? "auto";
  const all = setUp?.groups ?? [];
  if (wish === "none") return [];
  if (wish === "all") return all.map(({ name }) => name);
  if (wish === "auto") return all.filter(({ startsByItself }) => startsByItself).map(({ name }) => name);
  const named = wish.split(":");
  const strange = named.filter((name) => setUp !== null && !all.some((group) => group.name === name));
  if (strange.length > 0 && all.length > 0)
    throw new Failure("precondition", `the cluster has no group ${strange.join(", ")}`, {
      hint: `it has ${all.map(({ name }) => name).join(", ")}; give --param groups=auto, none, all, or names with colons between`,
    });
  return named;
}

/** What a copy alone can mend. */
export const onlyMirrors = check(
  "Both nodes are members, and one side of every mirror is proven good",
  async (world) => {
    const sight = await lookAt(world);
    for (const seen of sight.nodes) {
      if (membership(seen) === "online" && seen.startsAtBoot === true) continue;
      throw new Failure(
        "precondition",
        `more than a mirror is at fault: ${seen.node}: ${sayNode(sight, seen)}`,
        {
          hint: "`runbook plan give-back` shows what would bring everything back",
        },
      );
    }
    for (const { name } of sight.config?.mirrors ?? []) {
      const copied = sight.nodes.some(({ mirrors }) =>
        mirrors.some((each) => each.mirror === name && isRecovering(each)),
      );
      if (copied || goodNode(sight, [name]) !== undefined) continue;
      throw new Failure("precondition", `no side of ${name} is proven good: ${sayColours(sight, name)}`, {
        hint: "nothing is copied; `runbook plan give-back` says what a person can choose, and what that would lose",
      });
    }
    return true;
  },
);

/** What is suspended on members, and is to run again. */
export function toResume(world: World, sight: Sight): readonly { monitor: string; node: string }[] {
  const wish = world.params["monitors"] ?? "mirror";
  const ofMirrors = (sight.config?.mirrors ?? []).map(({ monitor }) => monitor);
  return suspendedOn(sight).filter(
    ({ monitor }) => wish === "all" || (wish === "mirror" && ofMirrors.includes(monitor)),
  );
}

function suspendedOn(sight: Sight): readonly { monitor: string; node: string }[] {
  return membersOf(sight).flatMap(({ node, state }) =>
    Object.entries(state?.monitors ?? {})
      .filter(([, byNode]) => byNode[node] === "suspended")
      .map(([monitor]) => ({ monitor, node })),
  );
}

function sayNode(sight: Sight, seen: NodeSight): string {
  const { node, bootId, startsAtBoot, running, mirrors } = seen;
  if (bootId === undefined) return `does not answer; its instance is ${sayPower(seen)}`;
  const parts = [
    membership(seen) === "online"
      ? "a member"
      : membership(seen) === "pending"
        ? "waits to join the cluster"
        : running === true
          ? "its cluster software runs, and does not answer"
          : "up, outside of the cluster",
    startsAtBoot === true ? "" : "not set to start the cluster software at boot",
    ...(sight.config?.groups ?? [])
      .filter(({ name }) => homeOf(sight, name) === node)
      .map(({ name }) => `${name} runs`),
    ...Object.entries(seen.state?.groups ?? {})
      .filter(([, group]) => group.status === "failed" && group.node === node)
      .map(([name]) => `${name} failed`),
    ...mirrors.map(({ mirror, sides }) => `${mirror} ${sides[node]?.colour ?? "not shown"}`),
    ...suspendedOn(sight)
      .filter((each) => each.node === node)
      .map(({ monitor }) => `${monitor} suspended`),
  ];
  return parts.filter(Boolean).join("; ");
}

function nextOf(
  world: World,
  sight: Sight,
  groups: readonly string[],
  suspended: readonly { readonly monitor: string; readonly node: string }[],
  displaced: readonly Displaced[],
): readonly string[] {
  const lines: string[] = [];
  for (const group of groups) {
    if (homeOf(sight, group) !== undefined) continue;
    const node = startableNode(sight, group);
    lines.push(
      node === undefined
        ? `${group} is started as soon as one side of its mirrors is proven good`
        : `${group} is started on ${node} at once: its mirrors are proven good there`,
    );
  }
  for (const { volume, device, node } of displaced)
    lines.push(`${volume} goes back to its place ${device} at ${node}, which is empty`);
  for (const seen of sight.nodes) {
    const { node, bootId, startsAtBoot } = seen;
    if (isGone(seen)) lines.push(`${node} has no instance any more: without a person it cannot come back`);
    else if (bootId === undefined)
      lines.push(`${node} is ${sayPower(seen) === "off" ? "powered on" : "waited for"}`);
    if (isOutside(seen)) lines.push(`${node} is taken out of backup mode, and reboots into the cluster`);
    else if (startsAtBoot === false)
      lines.push(
        serves(sight, node)
          ? `${node} serves: it is only set to start the cluster software at boot again`
          : `${node} may be half prepared for a backup: its cluster software is stopped, it is booted, and taken out of backup mode`,
      );
    else if (bootId === undefined)
      lines.push(`${node} is taken out of backup mode if it comes up outside of the cluster`);
  }
  for (const { monitor, node } of suspended) lines.push(`${monitor} is resumed on ${node}`);
  for (const { name } of sight.config?.mirrors ?? []) {
    const colours = sayColours(sight, name);
    if (!/^GREEN on \S+, GREEN on \S+$/.test(colours))
      lines.push(
        isProven(sight)
          ? `${name} (${colours}) is copied from the good side`
          : `${name} (${colours}): if no side proves good, a person chooses`,
      );
  }
  if (world.params["copy"] === "on")
    for (const mirror of sight.config?.mirrors ?? [])
      if (!mirror.fullCopy) lines.push(`the initial full copy of ${mirror.name} is switched on again`);
  return lines.length > 0 ? lines : ["nothing: the cluster is normal"];
}

/** What somebody may have meant to be so: shown, and not touched. */
export function leftAloneOf(world: World, sight: Sight, setUp: SetUp | null): readonly string[] {
  const wanted = wantedGroups(world, setUp);
  const resumed = toResume(world, sight);
  return [
    ...(sight.config?.groups ?? [])
      .filter(({ name }) => !wanted.includes(name) && homeOf(sight, name) === undefined)
      .map(({ name, startsByItself }) =>
        startsByItself
          ? `${name} is not started, as --param groups says`
          : `${name} is stopped, and not one that the cluster starts by itself (--param groups=${name} starts it)`,
      ),
    ...suspendedOn(sight)
      .filter(({ monitor, node }) => !resumed.some((each) => each.monitor === monitor && each.node === node))
      .map(
        ({ monitor, node }) => `${monitor} stays suspended on ${node} (--param monitors=all resumes it too)`,
      ),
    ...(world.params["copy"] === "on" ? [] : (setUp?.copyOff ?? [])).map(
      ({ mirror }) =>
        `the initial full copy of ${mirror} is off: a disk that is replaced would be taken over without a copy (--param copy=on switches it on)`,
    ),
  ];
}

/** What lies there is another cluster's content: nobody lets it in but the drill itself. */
async function assertNoDrill(
  world: World,
  node: string,
  attachments: readonly { readonly volume: string }[],
): Promise<void> {
  const volumes = await world.cloud.getVolumes(attachments.map(({ volume }) => volume));
  const drilled = volumes.find(({ tags }) => tags[drillTag] !== undefined);
  if (drilled)
    throw new Failure(
      "precondition",
      `${node} has ${drilled.id} of drill ${drilled.tags[drillTag] ?? ""} attached: what is on it is not ${world.clusterName}'s`,
      {
        hint: "`runbook undo` of that drill puts everything back; without its journal: power the nodes off, detach its volumes, and plan again",
      },
    );
}

/**
 * Volumes that a restore took out, and whose place is empty: what a run recorded in their tags before the detach is the way
 * back. A place where something lies is left so, since a restored volume may have served from there (design 4, "Old
 * volumes"); and of two for one place none is chosen.
 */
async function findDisplaced(world: World, sight: Sight): Promise<readonly Displaced[]> {
  const displaced: Displaced[] = [];
  for (const seen of sight.nodes) {
    const { node } = seen;
    if (seen.power !== "stopped" && !isOutside(seen)) continue;
    const { zone, attachments } = await world.cloud.getInstance(world.instanceOf(node));
    await assertNoDrill(world, node, attachments);
    const old = (await world.cloud.findVolumes({ "runbook:old": "*", "runbook:old-node": node })).filter(
      (volume) =>
        volume.state === "available" &&
        volume.zone === zone &&
        [undefined, world.clusterName].includes(volume.tags["runbook:bare"]) &&
        [undefined, world.clusterName].includes(volume.tags["runbook:cluster"]),
    );
    for (const { id, tags } of old) {
      const device = tags["runbook:old-device"];
      if (device === undefined || attachments.some((each) => each.device === device)) continue;
      if (old.filter((other) => other.tags["runbook:old-device"] === device).length > 1)
        throw new Failure("precondition", `more than one volume belongs to ${device} at ${node}`, {
          hint: "attach the right one by hand, and plan again: their tags say which run took which",
        });
      displaced.push({
        node,
        volume: id,
        device,
        deletes: tags["runbook:old-deletes"] === "true",
        // What its partitions are called stays: nothing here changes the names in the configuration.
        tags: Object.keys(tags).filter((key) => /^runbook:(old(?!-path)|bare)/.test(key)),
      });
    }
  }
  return displaced;
}

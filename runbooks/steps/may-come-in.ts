/**
 * When a node may come into the cluster. One that comes in alone starts its groups on its own side, whatever that holds: if
 * the other one served last, that is stale, and nobody would be told. So a node comes in only to a member whose side is
 * proven or serves, or together with its peer, since two sides that meet compare what each recorded of the other. Two sides
 * of which only one was made from a snapshot record nothing true of each other, and meet only where one of them serves
 * already.
 */
import {
  Failure,
  findMirrorVolumes,
  goodNode,
  isGone,
  knownSetUp,
  lookAt,
  membership,
  notYet,
  peerOf,
  serves,
  type NodeSight,
  type Sight,
  type World,
} from "runbook";

/** Throws where a node must not come in; "not yet" where that depends on what its peer is doing just now. */
export async function mayComeIn(world: World, sight: Sight, node: string): Promise<void | typeof notYet> {
  assertOneConfig(sight);
  const peer = peerOf(sight, node);
  const all = (sight.config?.mirrors ?? []).map(({ name }) => name);
  if (membership(peer) === "online" && (serves(sight, peer.node) || goodNode(sight, all) === peer.node))
    return;
  if (isGone(peer))
    throw new Failure(
      "precondition",
      `${peer.node} cannot come back, and ${node} is not brought in alone: it would start its groups on its own side, and whether that is the newer one cannot be seen`,
      { hint: "a person chooses: what each choice would lose is said below, where it can be told" },
    );
  if (peer.bootId === undefined && peer.power !== "stopped") return notYet;
  // Off as well: both are powered on together.
  if (
    peer.bootId === undefined &&
    sight.nodes.some((seen) => seen.node === node && seen.bootId !== undefined)
  )
    return notYet;
  const odd = await findOddPair(world, sight);
  if (odd === undefined) return;
  // It starts alone within minutes, and from then on its side is the one that counts.
  if (membership(peer) === "pending") return notYet;
  throw new Failure("precondition", odd, {
    hint: "put the right volumes in, or finish the restore; if what is attached now belongs together, plan again with --param volumes=attached",
  });
}

/**
 * Of the nodes that answer. Where a run died while one of them had been told of other partitions, each would start its mirror
 * by its own file (reference clusterpro 8 R1, step 10).
 */
function assertOneConfig({ config, nodes }: Sight): void {
  if (new Set(Object.values(config?.digests ?? {})).size < 2) return;
  throw new Failure(
    "precondition",
    `the cluster's configuration is not the same on ${nodes.map(({ node }) => node).join(" and ")}`,
    {
      hint: "compare the two clp.conf; distribute the right one from the cluster's own tool, and plan again",
    },
  );
}

/** What does not fit about the origin of the two nodes' volumes. */
async function findOddPair(world: World, sight: Sight): Promise<string | undefined> {
  if (world.params["volumes"] === "attached") return undefined;
  const proven = sight.nodes.every(({ bootId }) => bootId !== undefined);
  const origins = await Promise.all(
    sight.nodes.map(async ({ node }) => {
      const { attachments, rootDevice } = await world.cloud.getInstance(world.instanceOf(node));
      const ids = proven
        ? (await findMirrorVolumes(world, node, (await knownSetUp(world)).mirrors)).partitions.map(
            ({ volume }) => volume,
          )
        : attachments.filter(({ device }) => device !== rootDevice).map(({ volume }) => volume);
      if (ids.length === 0)
        throw new Failure(
          "precondition",
          `${node} has no data volume attached: the one with its mirror is missing`,
          {
            hint: "attach it at its place, and plan again",
          },
        );
      const made = (await world.cloud.getVolumes(ids)).map(({ snapshot }) => snapshot ?? "no snapshot");
      return { node, made: proven ? made : made.toSorted() };
    }),
  );
  const [one, two] = origins;
  if (!one || !two || one.made.join() === two.made.join()) return undefined;
  const say = ({ node, made }: typeof one) =>
    `those of ${node} were made from ${[...new Set(made)].join(" and ")}`;
  return `the volumes do not look like one pair: ${say(one)}, ${say(two)}; a restore may have been left half done`;
}

/** A mirror that is started on a wrong device may destroy a partition (reference clusterpro 1.11). */
export async function assertDevices(world: World, node: string): Promise<void> {
  const { partitions, volumes, others } = await findMirrorVolumes(
    world,
    node,
    (await knownSetUp(world)).mirrors,
  );
  if (world.settings.acceptBareNvme === true || volumes.length + others.length < 2) return;
  const counted = partitions.find(({ path }) => /^\/dev\/nvme\d/.test(path));
  if (counted)
    throw new Failure(
      "precondition",
      `${node}: ${counted.path} of ${counted.mirror} may be another disk since the last boot; its mirror is not started`,
      {
        hint: "compare `lsblk` there with the cluster's configuration; names by partition UUID stay, and `acceptBareNvme: true` in the inventory accepts these",
      },
    );
}

export function assertThere(seen: NodeSight): void {
  if (isGone(seen))
    throw new Failure("precondition", `${seen.node} has no instance any more (${seen.power})`, {
      hint: "a new node has to be built; what runs on the other one is left running",
    });
}

export async function nodeOf(world: World, node: string): Promise<NodeSight> {
  const seen = (await lookAt(world)).nodes.find((other) => other.node === node);
  if (!seen) throw new Failure("bug", `${node} is no node of this cluster`);
  return seen;
}

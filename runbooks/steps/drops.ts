/**
 * Recovery points that go. A set goes whole: it is marked before the first of its snapshots is deleted, so that whatever
 * happens in between, the next prune knows the rest of a set from one that lost a snapshot by accident.
 */
import {
  droppedTag,
  Failure,
  hours,
  judgePoints,
  minutes,
  pointsJudged,
  step,
  type Drop,
  type Step,
  type World,
} from "runbook";

export const markPoints = step({
  title: "Mark the recovery points that go",
  done: async (world) => {
    const { whole } = await marks(world);
    const marked = whole.filter((drop) => drop.snapshots.every((snapshot) => snapshot.mark === world.run));
    return marked.length === whole.length ? { points: marked.map(({ point }) => point) } : undefined;
  },
  do: async (world) => {
    for (const { snapshots } of toMark(world))
      await world.cloud.setTags({ resources: snapshots, tags: { [droppedTag]: world.run } });
  },
  within: minutes(10),
  undo: (): Step => unmarkPoints,
});

// No undo: a snapshot that was deleted does not come back, or only out of the cloud's own bin.
export const dropPoints = step({
  title: "Delete the recovery points that go, oldest first",
  done: async (world) => {
    const stayed: { point: string; why: string }[] = [];
    const { goes } = world.outcomeOf(pointsJudged);
    for (const drop of goes) {
      const left = await lookAt(world, drop);
      if (left === undefined) continue;
      if (!left.keep) return undefined;
      stayed.push({ point: drop.point, why: left.why });
    }
    const deleted = goes
      .map(({ point }) => point)
      .filter((point) => !stayed.some((other) => other.point === point));
    return { deleted, stayed, told: inWords(deleted, stayed) };
  },
  do: async (world) => {
    const goes = oldestFirst(world);
    for (const [i, drop] of goes.entries()) {
      try {
        for (const snapshot of drop.snapshots)
          await world.unless(
            () => mustStay(world, drop, snapshot),
            () => world.cloud.deleteSnapshot({ snapshot }),
          );
      } catch (thrown) {
        throw whereItStopped(thrown, goes, i);
      }
    }
  },
  within: hours(4),
});

/** Of what stays after all: a mark on a whole set would say the wrong thing on the day on which it loses a snapshot. */
export const unmarkPoints = step({
  title: "Take the mark off what stays",
  done: async (world) => {
    const { whole } = await marks(world);
    return whole.every(({ snapshots }) => snapshots.every(({ mark }) => mark !== world.run))
      ? { unmarked: true }
      : undefined;
  },
  do: async (world) => {
    for (const drop of toMark(world))
      await world.unless(
        async () => {
          const { whole } = await marks(world);
          const found = whole.find(({ point }) => point === drop.point);
          return found === undefined || found.snapshots.every(({ mark }) => mark !== world.run);
        },
        () => world.cloud.removeTags({ resources: drop.snapshots, keys: [droppedTag] }),
      );
  },
  within: minutes(10),
});

function toMark(world: World): readonly Drop[] {
  return oldestFirst(world).filter(({ halfGone }) => halfGone !== true);
}

/** Should it stop in the middle, what is left is the newer part. */
function oldestFirst(world: World): readonly Drop[] {
  return world.outcomeOf(pointsJudged).goes.toReversed();
}

/** The marks on those sets of this plan of which every snapshot is still there. */
async function marks(world: World) {
  const planned = toMark(world);
  const found =
    planned.length === 0
      ? []
      : await world.cloud.findSnapshots({ "runbook:point": "*", "runbook:cluster": world.clusterName });
  const whole = planned.flatMap(({ point, snapshots }) => {
    const left = found.filter(({ id }) => snapshots.includes(id));
    if (left.length !== snapshots.length) return [];
    return [{ point, snapshots: left.map(({ id, tags }) => ({ id, mark: tags[droppedTag] })) }];
  });
  return { whole };
}

/** What is left of a set, with a fresh verdict on it; undefined once nothing is. */
async function lookAt(world: World, { point, snapshots }: Drop) {
  const judged = await judgePoints(world, point);
  const found = judged.find((each) => each.point.point === point);
  const ids = found?.point.snapshots.map(({ id }) => id) ?? [];
  return found && snapshots.some((snapshot) => ids.includes(snapshot)) ? { ...found, ids } : undefined;
}

/**
 * Gone already; or a newer look keeps it: a lock, a hold, a test, somebody who uses it, or a rule. After a deletion each
 * look is new; before the first of all it may be half a second old, as all looks are (decisions, "Equal looks").
 */
async function mustStay(world: World, drop: Drop, snapshot: string): Promise<boolean> {
  const left = await lookAt(world, drop);
  return left === undefined || left.keep || !left.ids.includes(snapshot);
}

function inWords(deleted: readonly string[], stayed: readonly { point: string; why: string }[]): string[] {
  return [
    ...(deleted.length === 0
      ? []
      : [`deleted: ${deleted.join(", ")} (a rule of the Recycle Bin may still keep them)`]),
    ...stayed.map(({ point, why }) => `${point} stays after all: ${why}`),
  ];
}

/** The same failure, with how far it came. */
function whereItStopped(thrown: unknown, goes: readonly Drop[], at: number): unknown {
  if (!(thrown instanceof Failure) || thrown.kind === "bug" || thrown.kind === "aborted") return thrown;
  const names = (some: readonly Drop[]) => some.map(({ point }) => point).join(", ") || "none";
  const { kind, message, hint, happened, answer } = thrown;
  return new Failure(
    kind,
    `${message}; before it, these were done with: ${names(goes.slice(0, at))}; not deleted, or in part: ${names(goes.slice(at))}`,
    { happened, cause: thrown, ...(hint !== undefined && { hint }), ...(answer && { answer }) },
  );
}

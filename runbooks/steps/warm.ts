/**
 * Volumes that are whole before the outage: by fast restore, which costs by the hour and so is switched off at every end, or
 * at a rate that is paid for by volume (reference aws-ebs 5; design 4, "Cost"). What was really fast is read from the volume.
 */
import {
  creditsAt,
  creditTime,
  fastTime,
  Failure,
  hours,
  minutes,
  notYet,
  pairsOf,
  rateOf,
  rateTime,
  step,
  swaps,
  wait,
  type Mine,
  type Pair,
  type Step,
  type Swap,
  type World,
} from "runbook";

import { newVolumes } from "./volumes.ts";

interface FoundOn {
  /** As "SNAPSHOT ZONE": on before this run, and so left on. */
  readonly on: readonly string[];
}

export const fastRestoreOn: Step<{ readonly ours: readonly string[] }> = step<
  { readonly ours: readonly string[] },
  FoundOn
>({
  title: "Switch fast restore on for the snapshots, where it is off",
  exposes: "cost",
  done: async (world, mine: Mine<FoundOn>) => {
    for (const pair of pairsOf(world)) {
      const { state, reason } = await world.cloud.getFastRestore(pair);
      // A failed attempt comes to rest as off again, with a reason (reference aws-ebs 5).
      if (wasAsked(mine, pair) && (state === "disabling" || state === "off") && failed(reason))
        throw notToBeHad(pair, reason);
      if (state === "off" || state === "disabling") return undefined;
    }
    // All were on already where nothing had to be begun.
    return { ours: mine.begun ? ours(world, mine).map(named) : [] };
  },
  must: async (world) => {
    for (const pair of pairsOf(world))
      if ((await world.cloud.getFastRestore(pair)).state === "disabling") return notYet;
    return undefined;
  },
  before: async (world) => {
    const on: string[] = [];
    for (const pair of pairsOf(world))
      if (isOn((await world.cloud.getFastRestore(pair)).state)) on.push(named(pair));
    return { on };
  },
  do: async (world) => {
    for (const pair of pairsOf(world)) {
      await world.unless(
        async () => isOn((await world.cloud.getFastRestore(pair)).state),
        () => world.cloud.enableFastRestore({ snapshot: pair.snapshot, zones: [pair.zone] }),
      );
    }
  },
  expect: async (world) => ({ ours: pairsOf(world).map(named) }),
  within: minutes(20),
  undo: (): Step => fastRestoreOffAgain,
});

export const fastRestoreReady: Step<{ at: number }> = wait({
  title: "Fast restore is ready",
  done: async (world) => {
    const known = world.findOutcome(fastRestoreReady);
    if (known) return known;
    for (const pair of pairsOf(world)) {
      const { state, reason } = await world.cloud.getFastRestore(pair);
      if (state === "off" || state === "disabling") throw notToBeHad(pair, reason);
      if (state !== "enabled") return undefined;
    }
    return { at: world.now() };
  },
  expect: async () => ({ at: 0 }),
  within: (world) => hours(1) + 2 * fastTime(pairsOf(world)),
});

/** "enabled" promises nothing: only the volume itself tells how it was made. */
export const volumesFast = wait({
  title: "The new volumes were made by fast restore",
  done: async (world) => {
    const volumes = await world.cloud.getVolumes(world.outcomeOf(newVolumes).map(({ made }) => made));
    const slow = volumes.filter(({ fastRestored }) => !fastRestored).map(({ id }) => id);
    if (slow.length > 0)
      throw new Failure(
        "precondition",
        `${slow.join(" and ")} ${slow.length === 1 ? "was" : "were"} made the slow way, though fast restore was enabled`,
        { hint: "run it again, or choose --param warm=rate" },
      );
    return { fast: volumes.map(({ id }) => id) };
  },
  within: minutes(10),
});

export const fastRestoreOff = step({
  title: "Switch fast restore off again, where this run switched it on",
  ends: fastRestoreOn,
  done: (world) => findOff(world, world.traceOf(fastRestoreOn)),
  must: (world) => settled(world, world.traceOf(fastRestoreOn)),
  do: (world) => switchOff(world, world.traceOf(fastRestoreOn)),
  within: minutes(60),
});

const fastRestoreOffAgain = step({
  title: "Switch fast restore off again, where this run switched it on",
  done: (world, mine) => findOff(world, mine),
  must: (world, mine) => settled(world, mine),
  do: (world, mine) => switchOff(world, mine),
  within: minutes(60),
});

/** The progress is minutes old when it is read, so this ends late rather than early. */
export const volumesFilled = wait({
  title: "The new volumes are filled",
  done: async (world) => {
    const made = world.outcomeOf(newVolumes).map((each) => each.made);
    for (const volume of made) {
      const seen = await world.cloud.getInitialization(volume);
      if (seen === undefined || seen.percent < 100) return undefined;
    }
    return { volumes: made };
  },
  within: (world) => minutes(30) + 2 * rateTime(planned(world), rateOf(world)),
});

/**
 * Whether the next volume of this snapshot would be made fast. Not to know is not to have: waiting costs minutes.
 * `madeJustNow`: when this very look's caller has asked for others, milliseconds since the epoch.
 */
export function hasCredit(world: World, mine: Mine, swap: Swap, madeJustNow: readonly number[]): boolean {
  if (world.params["warm"] !== "fast") return true;
  const { at } = world.outcomeOf(fastRestoreReady);
  const madeAt = callsAbout(mine, "cloud.createVolume", swap).map(({ sentAt }) => sentAt);
  // A little more than a whole one, as the cloud's clock is not this one.
  return creditsAt(swap.snapshotGiB, at, [...madeAt, ...madeJustNow], world.now() - minutes(1)) >= 1;
}

/** How long it may take until the last volume is asked for. */
export function creditsWithin(world: World): number {
  if (world.params["warm"] !== "fast") return 0;
  return 2 * Math.max(0, ...pairsOf(world).map(creditTime));
}

async function findOff(world: World, mine: Mine): Promise<{ readonly off: readonly string[] } | undefined> {
  for (const pair of ours(world, mine))
    if ((await world.cloud.getFastRestore(pair)).state !== "off") return undefined;
  return { off: ours(world, mine).map(named) };
}

async function settled(world: World, mine: Mine): Promise<void | typeof notYet> {
  for (const pair of ours(world, mine)) {
    const { state } = await world.cloud.getFastRestore(pair);
    if (state !== "off" && state !== "disabling") return undefined;
  }
  return notYet;
}

async function switchOff(world: World, mine: Mine): Promise<void> {
  for (const pair of ours(world, mine)) {
    await world.unless(
      async () => !isOn((await world.cloud.getFastRestore(pair)).state),
      () => world.cloud.disableFastRestore({ snapshot: pair.snapshot, zones: [pair.zone] }),
    );
  }
}

/** Those that this run switched on; in a plan all of them, as what is on already is found when a run begins. */
function ours(world: World, mine: Mine): readonly Pair[] {
  const before = mine.before as FoundOn | undefined;
  if (before) return pairsOf(world).filter((pair) => !before.on.includes(named(pair)));
  const known: readonly string[] = world.findOutcome(fastRestoreOn)?.ours ?? [];
  return pairsOf(world).filter((pair) => known.includes(named(pair)));
}

function wasAsked(mine: Mine<FoundOn>, pair: Pair): boolean {
  return callsAbout(mine, "cloud.enableFastRestore", pair).length > 0;
}

/** Calls that may have arrived, of this verb, for this snapshot and zone. */
function callsAbout({ calls }: Pick<Mine, "calls">, verb: string, pair: Pick<Pair, "snapshot" | "zone">) {
  return calls.filter((call) => {
    if (call.verb !== verb || call.state === "no" || call.request.to !== "cloud") return false;
    const text = JSON.stringify(call.request.params);
    return text.includes(`"${pair.snapshot}"`) && text.includes(`"${pair.zone}"`);
  });
}

/** What was switched off by somebody's wish says so; it is then switched on again. */
function failed(reason: string | undefined): boolean {
  return reason !== undefined && !reason.includes("UserInitiated");
}

function notToBeHad({ snapshot, zone }: Pair, reason: string | undefined): Failure {
  return new Failure(
    "unavailable",
    `fast restore of ${snapshot} in ${zone} was not to be had${reason === undefined ? "" : `: ${reason}`}`,
    { hint: "try again later, or choose --param warm=rate or none" },
  );
}

function isOn(state: string): boolean {
  return state === "enabling" || state === "optimizing" || state === "enabled";
}

function named({ snapshot, zone }: Pair): string {
  return `${snapshot} ${zone}`;
}

function planned(world: World): readonly Swap[] {
  return Object.values(world.outcomeOf(swaps).byNode).flat();
}

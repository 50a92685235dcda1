/**
 * Volumes and the mirrors on them: what a mirror may be started on, what becomes of volumes that a restore took out, and
 * what a run must not leave behind (design 4, "Devices", "Old volumes", "Cost"; reference clusterpro 8, R1, and 11, rule 8).
 */
import type { Lab } from "./build.ts";
import type { Rule } from "./invariants.ts";
import { isOfDrill, isRestored } from "./restored-volumes.ts";
import { causeOf, runOf } from "./run-rules.ts";
import type { Effect } from "./world.ts";

const ownDevice: Rule = {
  name: "a mirror is started only on a device of its own",
  begin: () => (effect) => {
    const { kind, mirror, node, volume } = effect.detail;
    // A path that leads nowhere fails without a danger; one that leads to something else is a partition of another.
    if (kind !== "mirror-load-failed" || volume === null) return [];
    return [`${String(mirror)} was started on ${String(node)} from ${String(volume)}, which is not its own`];
  },
};

// The control data of a snapshot is that of the moment of the cut. Whoever starts a mirror on it by a command (the post
// commands do) is answerable for its devices; a node that comes up with it by itself was not prepared for a restore, and
// nobody can have proven anything.
const startedFirst: Rule = {
  name: "no node boots into the cluster with a restored volume that nobody has started there",
  begin: (lab) => {
    const started = new Set(loadedNow(lab));
    return (effect) => {
      const { kind, mirror, node } = effect.detail;
      if (kind !== "mirror-loaded" && kind !== "mirror-initialised") return [];
      const volume = String(effect.detail["volume"]);
      if (started.has(volume)) return [];
      started.add(volume);
      if (kind === "mirror-initialised" || !isRestored(lab, volume) || causeOf(lab, effect)) return [];
      return [
        `${String(node)} came up with ${volume}, as its snapshot has it, and started ${String(mirror)}`,
      ];
    };
  },
};

const oldOnesKept: Rule = {
  name: "an old volume is kept as it is, and comes back only to its own place",
  begin: (lab) => {
    const places = new Map<string, string>();
    const out = new Set<string>();
    const returned = new Set<string>();
    // Restored, then started by a person in the middle of the run, and never in service: it holds what its snapshot holds.
    const onlyLoaded = new Set<string>();
    const placeOf = (volume: string) => {
      const held = lab.cloud.getVolume(volume).attachment.now;
      return held === undefined ? "nowhere" : `${held.device} of ${held.instance}`;
    };
    for (const volume of loadedNow(lab)) places.set(volume, placeOf(volume));
    return (effect) => {
      const { detail } = effect;
      const volume = String(detail["volume"]);
      if (detail.kind === "mirror-loaded") {
        places.set(volume, placeOf(volume));
        if (isRestored(lab, volume) && isByHand(lab, effect)) onlyLoaded.add(volume);
      }
      if (detail.kind === "group-started") {
        const { mirrors } = lab.clusterOf(String(detail["node"]));
        for (const { loaded } of mirrors) onlyLoaded.delete(loaded.get(String(detail["node"])) ?? "");
      }
      const place = places.get(volume);
      if (place === undefined) return [];
      if (detail.kind === "volume-detached") out.add(volume);
      if (detail.kind === "volume-attached" && out.has(volume)) {
        returned.add(volume);
        return placeOf(volume) === place ? [] : [`${volume} was ${place}, and is ${placeOf(volume)} now`];
      }
      // It needs no post command: it comes back with its own control data (reference clusterpro 8, "R1 7-8").
      if (detail.kind === "mirror-initialised" && returned.has(volume) && !wantsCopy(lab, volume))
        return [`${volume} was put back, and is told to be identical with its peer`];
      if (detail.kind === "volume-deleting" && !onlyLoaded.has(volume) && !mayGo(lab, volume))
        return [`${volume} is deleted, and what it held is not confirmed and kept in a snapshot`];
      return [];
    };
  },
};

/** A command, and no run's. */
function isByHand(lab: Lab, effect: Effect): boolean {
  const cause = causeOf(lab, effect);
  return cause !== undefined && runOf(cause) === undefined;
}

/** By the retention of old volumes: confirmed by a person, and a snapshot of what it holds is complete. */
function mayGo(lab: Lab, volume: string): boolean {
  const { tags, content } = lab.cloud.getVolume(volume);
  if (isOfDrill(lab, volume)) return true;
  return (
    tags["runbook:confirmed"] !== undefined &&
    lab.cloud
      .listSnapshots()
      .some((cut) => cut.volume === volume && cut.state === "completed" && cut.content === content)
  );
}

export function wantsCopy(lab: Lab, volume: string): boolean {
  return lab.cloud.content(volume).control["wantsCopy"] === true;
}

function loadedNow(lab: Lab): readonly string[] {
  return [...lab.clusters.values()].flatMap(({ mirrors }) =>
    mirrors.flatMap(({ loaded }) => [...loaded.values()]),
  );
}

export const volumeRules: readonly Rule[] = [ownDevice, startedFirst, oldOnesKept];

/**
 * Looks at the world as it is now; the answer tells, at the end of a run that is not stuck, what is left over since: volumes
 * that are attached to nothing and do not say in their tags where they belong, and fast restores that go on costing.
 */
export function beginLeftOver(lab: Lab): () => readonly string[] {
  const looseNow = () =>
    lab.cloud.listVolumes().filter(({ state }) => state !== "in-use" && state !== "deleting");
  const onNow = () => lab.cloud.fastRestores.on().map(({ snapshot, zone }) => `${snapshot} in ${zone}`);
  const loose = new Set(looseNow().map(({ id }) => id));
  const on = new Set(onNow());
  return () => [
    ...looseNow()
      .filter(({ id, tags }) => !loose.has(id) && tags["runbook:old-node"] === undefined)
      .map(({ id, state }) => `left over: volume ${id} is ${state}, and nothing says what it is kept for`),
    ...onNow()
      .filter((pair) => !on.has(pair))
      .map((pair) => `left over: fast restore of ${pair} is on`),
  ];
}

/** What a run may take away: the service once, and only by stopping it. */
import type { Lab } from "./build.ts";
import { unwrapped } from "./exec.ts";
import type { Rule } from "./invariants.ts";
import { isOfDrill } from "./restored-volumes.ts";
import type { Effect, Received } from "./world.ts";

/** What the lab received that caused it; undefined for what the world did by itself, or a tester's hand. */
export function causeOf(lab: Lab, effect: Effect): Received | undefined {
  return lab.heart.received.findLast((row) => row.effects.includes(effect.n));
}

/** The run that sent a command to a node: each of its writes carries its fence (ports/shell). A person's carries none. */
export function runOf(row: Received | undefined): string | undefined {
  const at = row?.argv?.indexOf("runbook-fence") ?? -1;
  return at < 0 ? undefined : row?.argv?.[at + 1]?.split(".")[0];
}

// A move is a stop too. A run may move a group away and back, but not away from the same node twice.
const stopsOnce: Rule = {
  name: "a run takes the service away once",
  begin: (lab) => {
    const stops = new Map<string, number>();
    return (effect) => {
      if (effect.detail.kind !== "group-stopping") return [];
      const row = causeOf(lab, effect);
      const run = runOf(row);
      const [command, verb = ""] = unwrapped(row?.argv ?? []);
      if (run === undefined || command !== "clpgrp" || !["-t", "-m"].includes(verb)) return [];
      const [node, group] = [String(effect.detail["node"]), String(effect.detail["group"])];
      const where = verb === "-m" ? node : lab.clusterOf(node).name;
      // On staging a drill stops what it found, and then what it has put there.
      const member = lab.clusterOf(node).member(node);
      const drills = lab
        .clusterOf(node)
        .mirrorsOf(group, member)
        .some((mirror) => isOfDrill(lab, mirror.loaded.get(node)));
      const key = `${run} ${verb} ${where} ${group} ${drills ? "of the drill" : ""}`;
      const count = (stops.get(key) ?? 0) + 1;
      stops.set(key, count);
      return count > 1 ? [`group ${group} had come back, and run ${run} stopped it again`] : [];
    };
  },
};

// "--pre and every power-off are refused while the node runs a protected group" (design 4, "Roles").
const noShutdownUnderService: Rule = {
  name: "no node is taken down under a group that runs on it",
  begin: (lab) => (effect) => {
    const { kind } = effect.detail;
    if (kind !== "node-stopping" && kind !== "instance-stopping") return [];
    const row = causeOf(lab, effect);
    // Whoever calls the cloud does so by its API; what has no cause came from the world, or from a tester's hand.
    if (kind === "node-stopping" ? runOf(row) === undefined : row === undefined) return [];
    const node = [...lab.nodes.values()].find(
      ({ name, instance }) => name === effect.detail["node"] || instance === effect.detail["instance"],
    );
    return [...lab.clusters.values()].flatMap(({ groups }) =>
      groups
        .filter(({ places }) => ["online", "starting"].includes(places.get(node?.name ?? "") ?? ""))
        .map(({ name }) => `${node?.name ?? ""} is taken down while group ${name} runs there`),
    );
  },
};

export const runRules: readonly Rule[] = [stopsOnce, noShutdownUnderService];

/**
 * What must hold in the lab's world whatever a tool does, checked at each of its changes. A rule judges the world,
 * never the tool: who broke it is in the effect.
 */
import type { Lab } from "./build.ts";
import { contentRules, rulesWithoutRollback, sameFiles } from "./content-rules.ts";
import { runRules } from "./run-rules.ts";
import { volumeRules } from "./volume-rules.ts";
import type { Effect } from "./world.ts";

export { rulesWithoutRollback } from "./content-rules.ts";
export { beginLeftOver } from "./volume-rules.ts";

export interface Breach {
  readonly rule: string;
  readonly what: string;
  readonly effect: Effect;
}

export interface Rule {
  readonly name: string;
  /** Looks at the world as it is now; the answer tells at each of its changes what is wrong, a sentence each. */
  begin(lab: Lab): (effect: Effect) => readonly string[];
}

const clusters = (lab: Lab) => [...lab.clusters.values()];

/** What a client writes moves no group and changes no colour; a long night has thousands of such changes. */
const butForWrites =
  (judge: () => readonly string[]) =>
  ({ detail }: Effect) =>
    detail.kind === "data-written" ? [] : judge();

const now: readonly Rule[] = [
  {
    name: "a group is online on one node at most",
    begin: (lab) =>
      butForWrites(() =>
        clusters(lab).flatMap(({ groups }) =>
          groups.flatMap(({ name, places }) => {
            const online = [...places].filter(([, place]) => place === "online").map(([node]) => node);
            return online.length > 1 ? [`group ${name} is online on ${online.join(" and ")}`] : [];
          }),
        ),
      ),
  },
  {
    name: "a group runs only where its mirrors are GREEN",
    begin: (lab) =>
      butForWrites(() =>
        clusters(lab).flatMap((cluster) =>
          cluster.groups.flatMap((group) =>
            [...group.places].flatMap(([node, place]) =>
              place !== "online"
                ? []
                : cluster
                    .mirrorsOf(group.name, cluster.member(node))
                    // The source of a copy is YELLOW to an operator and good all the same.
                    .filter(
                      (mirror) => mirror.control(node)?.colour !== "GREEN" || mirror.recovery?.to === node,
                    )
                    .map(
                      (mirror) => `group ${group.name} is online on ${node}, where ${mirror.name} is stale`,
                    ),
            ),
          ),
        ),
      ),
  },
  {
    name: "two GREEN sides hold the same",
    begin: (lab) => (effect) =>
      clusters(lab).flatMap((cluster) =>
        cluster.mirrors.flatMap((mirror) => {
          const [one, two] = cluster.names;
          if (!mayConcern(effect, cluster.names, mirror.name)) return [];
          if (!mirror.connected() || mirror.recovery) return [];
          if (mirror.control(one)?.colour !== "GREEN" || mirror.control(two)?.colour !== "GREEN") return [];
          // What has not met yet is not reported as equal by anybody.
          if (mirror.control(one)?.fresh !== false || mirror.control(two)?.fresh !== false) return [];
          if (mirror.control(one)?.alone || mirror.control(two)?.alone) return [];
          return sameFiles(mirror.content(one)?.data, mirror.content(two)?.data)
            ? []
            : [`mirror ${mirror.name} is GREEN on both sides, and they hold different files`];
        }),
      ),
  },
  {
    name: "nothing is written to a stale side",
    begin: (lab) => (effect) => {
      if (effect.detail.kind !== "data-written") return [];
      const node = String(effect.detail["node"]);
      const mirror = lab.clusterOf(node).mirrors.find(({ name }) => name === effect.detail["mirror"]);
      return mirror?.control(node)?.colour === "GREEN"
        ? []
        : [
            `${String(effect.detail["path"])} was written to ${node}, where ${String(effect.detail["mirror"])} is stale`,
          ];
    },
  },
  {
    name: "no partition is destroyed",
    begin: () => (effect) => (effect.detail.kind === "partition-destroyed" ? [effect.what] : []),
  },
];

/** A client's write is about one mirror of one cluster; whatever else happens may be about any. */
function mayConcern({ detail }: Effect, nodes: readonly string[], mirror: string): boolean {
  return (
    detail.kind !== "data-written" || (detail["mirror"] === mirror && nodes.includes(String(detail["node"])))
  );
}

/** What holds whatever a person may ask for. */
export const rules: readonly Rule[] = [...now, ...contentRules, ...volumeRules, ...runRules];

export const allRules: readonly Rule[] = [...rules, ...rulesWithoutRollback];

export function watch(
  lab: Lab,
  onBreach: (breach: Breach) => void,
  watched: readonly Rule[] = allRules,
): () => void {
  const begun = watched.map((rule) => ({ name: rule.name, judge: rule.begin(lab) }));
  const listener = ({ effect }: { readonly effect?: Effect }) => {
    if (!effect) return;
    for (const { name, judge } of begun)
      for (const what of judge(effect)) onBreach({ rule: name, what, effect });
  };
  lab.heart.listeners.add(listener);
  return () => lab.heart.listeners.delete(listener);
}

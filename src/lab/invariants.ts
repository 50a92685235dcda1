/**
 * What must hold in the lab's world whatever a tool does, checked at each of its changes. A rule judges the world,
 * never the tool: who broke it is in the effect.
 */
import type { Lab } from "./build.ts";
import type { Effect } from "./world.ts";

export interface Breach {
  readonly rule: string;
  readonly what: string;
  readonly effect: Effect;
}

export interface Rule {
  readonly name: string;
  /** What is wrong now, a sentence each. */
  check(lab: Lab, effect: Effect): readonly string[];
}

const clusters = (lab: Lab) => [...lab.clusters.values()];

export const rules: readonly Rule[] = [
  {
    name: "a group is online on one node at most",
    check: (lab) =>
      clusters(lab).flatMap(({ groups }) =>
        groups.flatMap(({ name, places }) => {
          const online = [...places].filter(([, place]) => place === "online").map(([node]) => node);
          return online.length > 1 ? [`group ${name} is online on ${online.join(" and ")}`] : [];
        }),
      ),
  },
  {
    name: "a group runs only where its mirrors are GREEN",
    check: (lab) =>
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
                  .map((mirror) => `group ${group.name} is online on ${node}, where ${mirror.name} is stale`),
          ),
        ),
      ),
  },
  {
    name: "two GREEN sides hold the same",
    check: (lab) =>
      clusters(lab).flatMap((cluster) =>
        cluster.mirrors.flatMap((mirror) => {
          const [one, two] = cluster.names;
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
    check: (lab, effect) => {
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
    check: (_, effect) => (effect.detail.kind === "partition-destroyed" ? [effect.what] : []),
  },
];

type Data = { readonly [path: string]: string };

function sameFiles(one: Data = {}, two: Data = {}): boolean {
  if (one === two) return true;
  const paths = Object.keys(one);
  return paths.length === Object.keys(two).length && paths.every((path) => one[path] === two[path]);
}

export function watch(
  lab: Lab,
  onBreach: (breach: Breach) => void,
  watched: readonly Rule[] = rules,
): () => void {
  const listener = ({ effect }: { readonly effect?: Effect }) => {
    if (!effect) return;
    for (const rule of watched)
      for (const what of rule.check(lab, effect)) onBreach({ rule: rule.name, what, effect });
  };
  lab.heart.listeners.add(listener);
  return () => lab.heart.listeners.delete(listener);
}

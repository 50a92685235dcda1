/**
 * What clients are served: one content, that goes on from what they were told was written, and is replaced only by a restore.
 * Mirrors compare no contents (reference clusterpro 11, rule 9), so what is wrong here shows nowhere else.
 */
import type { Lab } from "./build.ts";
import type { LabMirror } from "./clp-mirror.ts";
import type { Rule } from "./invariants.ts";
import { causeOf, runOf } from "./run-rules.ts";
import { isOfDrill, isRestored } from "./restored-volumes.ts";
import { wantsCopy } from "./volume-rules.ts";
import type { Content, Effect } from "./world.ts";

export function sameFiles(one: Content["data"] = {}, two: Content["data"] = {}): boolean {
  if (one === two) return true;
  const paths = Object.keys(one);
  return paths.length === Object.keys(two).length && paths.every((path) => one[path] === two[path]);
}

// From then on nobody copies anything: what differs now differs for ever, or is hidden by a copy of later writes alone.
const toldIdentical: Rule = {
  name: "a side is told to be identical only with one that holds the same",
  begin:
    (lab) =>
    ({ detail }) => {
      if (detail.kind !== "mirror-initialised") return [];
      const { cloud } = lab;
      const [node, mirror, volume] = [detail["node"], detail["mirror"], detail["volume"]].map(String);
      if (node === undefined || volume === undefined || wantsCopy(lab, volume)) return [];
      const peer = lab.clusterOf(node).peerOf(node).node;
      return cloud
        .attached(peer.instance)
        .map((other) => ({ id: other.volume, ...cloud.content(other.volume) }))
        .filter(({ control }) => control["mirror"] === mirror)
        .filter(({ data }) => !sameFiles(data, cloud.content(volume).data))
        .map(
          ({ id }) => `${volume} on ${node} is told to be identical with ${id} on ${peer.name}, and is not`,
        );
    },
};

// Of two sides that nobody has proven, a person chooses (design 3.5); a run may choose the one that it was told to restore.
const forcesOnlyRestored: Rule = {
  name: "no run makes a side the one that counts, but one that it has restored",
  begin: (lab) => (effect) => {
    if (effect.detail.kind !== "mirror-forced") return [];
    const run = runOf(causeOf(lab, effect));
    const mirror = mirrorIn(lab, effect.detail);
    const volume = mirror?.loaded.get(String(effect.detail["node"]));
    if (run === undefined || volume === undefined || isRestored(lab, volume)) return [];
    return [`run ${run} forced ${volume} of ${mirror?.name ?? ""}, which was not restored`];
  },
};

/** One mirror's content in service. */
interface Service {
  /** The volumes that hold it. */
  now: ReadonlySet<string>;
  /** Volumes that held what it has replaced. */
  past: ReadonlySet<string>;
  /** What clients wrote of it: the last text by path, undefined where a file was removed. */
  readonly told: Map<string, string | undefined>;
}

/** A group comes into service on this volume. */
interface Start {
  readonly service: Service;
  readonly mirror: LabMirror;
  readonly node: string;
  readonly volume: string;
  /** It begins something new: what was restored, and has never served. */
  readonly restored: boolean;
}

const neverBack: Rule = {
  name: "what a restore has replaced in service never serves again",
  begin: (lab) =>
    follow(lab, ({ service, mirror, node, volume }) =>
      service.past.has(volume)
        ? [`${mirror.name} is served on ${node} from ${volume}, which other content had replaced`]
        : [],
    ),
};

const nothingLost: Rule = {
  name: "what clients were told is written stays in service",
  begin: (lab) =>
    follow(lab, ({ service, mirror, node, volume, restored }) => {
      const { data } = lab.cloud.content(volume);
      const lost = restored ? [] : [...service.told].filter(([path, text]) => data[path] !== text);
      return lost.map(([path]) => `${mirror.name} is served on ${node} without what was written to ${path}`);
    }),
};

/** Follows what serves, and asks at each start of a group. */
function follow(lab: Lab, judge: (start: Start) => readonly string[]): (effect: Effect) => readonly string[] {
  const services = new Map<LabMirror, Service>();
  for (const { mirrors } of lab.clusters.values())
    for (const mirror of mirrors)
      services.set(mirror, { now: new Set(mirror.loaded.values()), past: new Set(), told: new Map() });

  const start = (mirror: LabMirror, node: string): readonly string[] => {
    const service = services.get(mirror);
    const volume = mirror.loaded.get(node);
    // What a drill serves is nobody's service, and goes again.
    if (service === undefined || volume === undefined || isOfDrill(lab, volume)) return [];
    const known = service.now.has(volume) || service.past.has(volume);
    const restored = !known && isRestored(lab, volume);
    const wrong = judge({ service, mirror, node, volume, restored });
    if (restored || service.past.has(volume)) {
      service.past = new Set([...service.past, ...service.now].filter((other) => other !== volume));
      service.now = new Set([volume]);
      service.told.clear();
    } else service.now = new Set([...service.now, volume]);
    joinPeer(service, mirror);
    return wrong;
  };

  return (effect) => {
    const { detail } = effect;
    switch (detail.kind) {
      case "data-written": {
        const mirror = mirrorIn(lab, detail);
        const path = String(detail["path"]);
        const volume = mirror?.loaded.get(String(detail["node"]));
        // While the nodes do not see each other the product itself may lose what one of them wrote alone.
        if (mirror && !mirror.cluster.partitioned && !isOfDrill(lab, volume))
          services.get(mirror)?.told.set(path, mirror.content(String(detail["node"]))?.data[path]);
        return [];
      }
      case "mirror-met":
      case "recovery-ended":
        for (const [mirror, service] of services)
          if (mirror.name === detail["mirror"]) joinPeer(service, mirror);
        return [];
      case "mirror-forced": {
        // A person has chosen, and with it what is lost.
        const mirror = mirrorIn(lab, detail);
        const service = mirror && services.get(mirror);
        const volume = mirror?.loaded.get(String(detail["node"]));
        if (!service || volume === undefined || runOf(causeOf(lab, effect)) !== undefined) return [];
        service.past = new Set([...service.past].filter((other) => other !== volume));
        service.told.clear();
        return [];
      }
      case "group-started": {
        const node = String(detail["node"]);
        const cluster = lab.clusterOf(node);
        return cluster
          .mirrorsOf(String(detail["group"]), cluster.member(node))
          .flatMap((mirror) => start(mirror, node));
      }
      default:
        return [];
    }
  };
}

/** A side that is in sync with what is served holds it too, wherever it came from. */
function joinPeer(service: Service, mirror: LabMirror): void {
  const sides = [...mirror.loaded.keys()].map((node) => mirror.control(node));
  if (!mirror.connected() || mirror.recovery) return;
  if (sides.some((side) => side?.colour !== "GREEN" || side.alone || side.fresh)) return;
  const volumes = [...mirror.loaded.values()];
  if (!volumes.some((volume) => service.now.has(volume))) return;
  service.now = new Set([...service.now, ...volumes]);
  service.past = new Set([...service.past].filter((volume) => !volumes.includes(volume)));
}

function mirrorIn(lab: Lab, detail: Effect["detail"]): LabMirror | undefined {
  return lab.clusterOf(String(detail["node"])).mirrors.find(({ name }) => name === detail["mirror"]);
}

export const contentRules: readonly Rule[] = [toldIdentical, forcesOnlyRestored];

/** Only a person's word breaks these lawfully: `rollback` puts old volumes under a service that has served from others. */
export const rulesWithoutRollback: readonly Rule[] = [neverBack, nothingLost];

/** What a cluster of the lab is made of, and how it behaves where the sources leave it open. */
import type { LabNode, Span } from "./node.ts";

export const confFile = "/opt/nec/clusterpro/etc/clp.conf";

/** The units of the product (reference clusterpro 2). */
export const clusterUnits = [
  "clusterpro",
  "clusterpro_md",
  "clusterpro_evt",
  "clusterpro_trn",
  "clusterpro_ib",
  "clusterpro_api",
  "clusterpro_webmgr",
  "clusterpro_alertsync",
  "clusterpro_nm",
] as const;

export interface ClusterTimes {
  readonly startGroup: Span;
  readonly stopGroup: Span;
  readonly suspendMs: number;
  readonly breakMs: number;
  readonly startAgentMs: number;
  readonly joinMs: number;
  /** How long a member waits for its peer at the cluster's start. */
  readonly waitPeerMs: number;
  /** After how long a silent peer counts as dead. */
  readonly heartbeatMs: number;
  readonly autoRecoveryMs: number;
  /** How often clients write while a group is online. */
  readonly clientMs: number;
  /** Seconds of a mirror's copy for each GiB. */
  readonly copySecondsPerGiB: number;
}

export const defaultClusterTimes: ClusterTimes = {
  startGroup: [12_000, 18_000],
  stopGroup: [16_000, 24_000],
  suspendMs: 2_000,
  breakMs: 3_000,
  startAgentMs: 3_000,
  joinMs: 5_000,
  waitPeerMs: 300_000,
  heartbeatMs: 30_000,
  autoRecoveryMs: 10_000,
  clientMs: 15_000,
  copySecondsPerGiB: 0.6,
};

export interface ClusterSettings {
  /** A cluster property, on unless switched off (reference clusterpro 7). */
  readonly autoRecovery: boolean;
  /** Whether a node that lost sight of everything shuts itself down, or both sides go on (split brain). */
  readonly partitionHandling: "shutdown" | "none";
  /** Which units clpbackup.sh --pre takes from the start (reference clusterpro 12.2: not known). */
  readonly preDisables: "core" | "all";
  /** Whether clprestore.sh --post refuses with `fullcopy` on without --skip-copy too (reference clusterpro 3.8: assumed). */
  readonly guardsPlainPost: boolean;
  /** What clpstat says where the service is stopped: X 6.0 shows all Offline, older ones an error (reference clusterpro 3.5). */
  readonly clpstatWhenStopped: "offline" | "error";
  /** Whether a command that takes its node down may lose the end of its output (rule 11). */
  readonly cutsOutput: boolean;
  /** Whether `clpmdctrl --force` asks before it acts (reference clusterpro 1.2: it can). */
  readonly forceAsks: boolean;
}

export const defaultClusterSettings: ClusterSettings = {
  autoRecovery: true,
  partitionHandling: "shutdown",
  preDisables: "core",
  guardsPlainPost: true,
  clpstatWhenStopped: "offline",
  cutsOutput: true,
  forceAsks: false,
};

/** The product's software on one node. */
export class Member {
  readonly node: LabNode;
  core: "stopped" | "waiting" | "online" = "stopped";
  agent = false;
  /** Names of suspended monitors; forgotten at a boot (rule 3). */
  readonly suspended = new Set<string>();
  /** A control command runs: a second one is busy (rule 12). */
  controlled = false;
  /** The next stops of a group fail and take the node down (a tester's hand). */
  failingStops = 0;

  constructor(node: LabNode) {
    this.node = node;
  }

  /**
   * A line of the product's event log, which goes to syslog too. Texts, modules and numbers are those of the vendor's list
   * (reference clusterpro 3.2); the form around them is from memory.
   */
  log(module: string, event: number, text: string): void {
    this.node.journal.write("clusterpro", `<type: ${module}><event: ${event}> ${text}`);
  }
}

export type Place = "starting" | "online" | "stopping" | "failed";

export interface LabGroup {
  readonly name: string;
  /** Where it is, as each node would say: more than one node only after a split. */
  readonly places: Map<string, Place>;
  /** The next write of its clients on each node. */
  readonly clients: Map<string, { cancel(): void }>;
}

export type GroupAnswer = { readonly ok: true } | { readonly ok: false; readonly text: string };

/**
 * What a driver says that its calls need, so that the least rights of a runbook can be printed: for each method of its port,
 * by the method's name. Whether it is true is proven in the lab, which grants exactly what is printed.
 */
import type { ClusterConfig, MirrorConfig } from "./cluster-manager.ts";

/** What the cloud's part of a policy is about. */
export interface CloudScope {
  readonly region: string;
  /** The inventory's name of the cluster: all that its runs create carries it in the tag `runbook:cluster`. */
  readonly cluster: string;
  /** The cluster whose recovery points are restored; another one for a staging cluster. */
  readonly pointsOf: string;
  readonly instances: readonly string[];
  /** Data volumes that the instances have now; undefined where that could not be read. */
  readonly volumes: readonly string[] | undefined;
  /** Keys of the customer's own that these volumes, or the points, are encrypted with. */
  readonly keys: readonly string[];
}

/** One statement of an IAM policy, in its own form. */
export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: {
    readonly [operator: string]: { readonly [key: string]: string | readonly string[] };
  };
}

/** What the command lines on nodes are made of. */
export interface NodeScope {
  /** Undefined where it could not be read: then the lines that carry its names are left out. */
  readonly config: ClusterConfig | undefined;
  /** Mirrors of the cluster whose points are restored here, where that is another one. */
  readonly foreign: readonly MirrorConfig[];
  /** Who runs it, as markers name him, without the number of his process: "user@machine". */
  readonly owner: string;
  readonly leaseSeconds: number;
  readonly deadManSeconds: number;
  /** For how long a dead run's marker must have been expired before it is taken over. */
  readonly expiredSeconds: number;
  /** Commands that look at restored content, in the inventory's order. */
  readonly checks: readonly {
    readonly user: string;
    readonly seconds: number;
    readonly argv: readonly string[];
    /** The mirror whose content they look at. */
    readonly on: string | undefined;
  }[];
  /** Where restored content is looked at: in folders of a drill, where the cluster has mounted its mirrors, or both. */
  readonly looksIn: readonly ("folders" | "cluster")[];
}

/** Command lines as they go over the wire, with a hole for each word that only a run knows; `of` narrows what is meant. */
export type NodeRight = (scope: NodeScope, of?: string) => readonly (readonly string[])[];

/**
 * Words that only a run knows. Each stands for letters that no shell reads and for no blank, and for a known number of them:
 * sudo compares a command line as one text, in which a wildcard would let in anything behind it (docs/how-to/least-rights.md).
 */
const kinds = {
  run: ["[a-z][a-z0-9][a-z0-9][a-z0-9][a-z0-9][a-z0-9][a-z0-9][a-z0-9]"],
  fence: digits(1, 2),
  deadFence: digits(1, 2),
  pid: digits(1, 7),
  seconds: digits(1, 8),
  bytes: digits(9, 14),
  boot: [[8, 4, 4, 4, 12].map((count) => "[0-9a-f]".repeat(count)).join("-")],
  disk: ["/dev/nvme[0-9]n1", "/dev/nvme[0-9][0-9]n1", "/dev/xvd[a-z]", "/dev/sd[a-z]"],
  volume: [`vol-${"[0-9a-f]".repeat(17)}`],
  digit: digits(1, 1),
  diskName: ["nvme[0-9]n1", "nvme[0-9][0-9]n1", "xvd[a-z]", "sd[a-z]"],
  device: [
    "/dev/nvme[0-9]n1p[0-9]",
    "/dev/nvme[0-9][0-9]n1p[0-9]",
    "/dev/xvd[a-z][0-9]",
    "/dev/sd[a-z][0-9]",
    "/dev/dm-[0-9]",
    "/dev/dm-[0-9][0-9]",
  ],
} as const satisfies { readonly [kind: string]: readonly string[] };
export type HoleKind = keyof typeof kinds;

/** With the marks of a plan's holes, so that every request can be made with it. */
export const hole = (kind: HoleKind): string => `\u27e8${kind}\u27e9`;

/** The texts that a hole stands for, as patterns of fnmatch(3) without `*` and `?`. */
export const fillingsOf = (kind: HoleKind): readonly string[] => kinds[kind];

export const holesIn = (text: string): readonly HoleKind[] => [
  ...new Set([...text.matchAll(/\u27e8([^\u27e8\u27e9]*)\u27e9/g)].map(([, kind]) => kind as HoleKind)),
];

/** The token that every write carries past a node's marker. */
export const anyFence: string = `${hole("run")}.${hole("fence")}`;

function digits(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => "[0-9]".repeat(from + i));
}

/** What the inventory says of drills: where to restore to, and what must be found there. Plain JSON: it is kept with each plan. */
export interface DrillSetting {
  /** The scratch node, a member of no cluster, and the instance under it. */
  readonly node: string;
  readonly instance: string;
  /** The cluster's own nodes with their instances: a drill touches none of them. */
  readonly production: { readonly [node: string]: string };
  readonly targetMinutes: number | null;
  readonly checks: readonly DrillCheck[];
}

/** What the inventory says of a staging cluster. Plain JSON: it is kept with each plan. */
export interface StagingSetting {
  /** The cluster whose points are restored there, and its nodes with their instances. */
  readonly of: string;
  readonly production: { readonly [node: string]: string };
  /** Nothing that runs there can reach production, or its clients: so groups may be started. */
  readonly isolated: boolean;
  /** Addresses, names and ids that both clusters may have. */
  readonly shares: readonly string[];
  readonly targetMinutes: number | null;
  readonly checks: readonly DrillCheck[];
}

interface Common {
  readonly name: string;
  readonly seconds: number;
}

export interface CommandCheck extends Common {
  readonly kind: "command";
  /** The mirror in whose restored folder it is run. */
  readonly on: string;
  /** Whoever it is run as; "root" if it must be. */
  readonly user: string;
  readonly argv: readonly string[];
  /** What it must print, but for one line end at the end; null where anything will do. */
  readonly stdout: string | null;
  /** A regular expression that its output must fit. */
  readonly matches: string | null;
}

export interface FileCheck extends Common {
  readonly kind: "file";
  readonly on: string;
  /** Below the restored folder. */
  readonly path: string;
  /** null: it must be there. */
  readonly sha256: string | null;
}

export interface HttpCheck extends Common {
  readonly kind: "http";
  readonly url: string;
  readonly status: number;
  readonly contains: string | null;
}

export type DrillCheck = CommandCheck | FileCheck | HttpCheck;

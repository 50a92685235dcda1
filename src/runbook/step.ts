/**
 * The few words that a runbook is written with. A step says how to see that it holds (`done`), how to make it so
 * (`do`) and how to give back what it took (`undo`); the engine asks, acts, asks again, and journals (design 3.1).
 */
import type { Cloud, Tags } from "../ports/cloud.ts";
import type { Cluster } from "../ports/cluster-manager.ts";
import type { Production } from "../ports/calls.ts";
import type { Request } from "../ports/driver.ts";
import type { Nodes } from "../ports/nodes.ts";
import type { DrillCheck, DrillSetting, StagingSetting } from "./drill-setting.ts";
import type { HookSetting } from "./hook-setting.ts";

/** What a step can see and ask for. The same for every procedure. */
export interface World {
  readonly cluster: Cluster;
  readonly cloud: Cloud;
  readonly nodes: Nodes;
  /** Of a drill on staging: the cluster that the point is of, to be looked at, and never to be touched. */
  readonly production?: Production;
  /** The inventory's name of the cluster. */
  readonly clusterName: string;
  /** Both nodes, as the inventory names them; the cluster's configuration gives their order. */
  readonly members: readonly string[];
  instanceOf(node: string): string;
  /** The node that this copy of an `eachNode` step works on. */
  readonly node: string;
  readonly params: Params;
  readonly settings: Settings;
  /** Run id, and how this step marks what it creates; holes in a plan. */
  readonly run: string;
  readonly fence: string;
  readonly owner: string;
  readonly tags: Tags;
  /** Time by the runner's clock, milliseconds since the epoch. */
  now(): number;
  /** What an earlier step found; a bug if it has not run. */
  outcomeOf<T>(step: Step<T>): T;
  /** The same, or undefined if it has not run. */
  findOutcome<T>(step: Step<T>): T | undefined;
  /** What this run has done of another step: whether it was begun, and what is known of its calls. */
  traceOf(step: Step): Mine;
  /** Acts unless the look says that it already holds. In a plan it always acts, so that the plan shows the call. */
  unless(holds: () => Promise<boolean>, act: () => Promise<void>): Promise<void>;
  /** Something that is found at the moment of acting; in a plan a hole with these words. */
  atRun(what: string, find: () => Promise<string>): Promise<string>;
  /** What the other runs of this store are doing, and whether it can take this one. */
  readonly house: House;
}

/** What a preflight check asks of the tool itself. */
export interface House {
  /** Runs on this cluster that have no end yet, other than this one. */
  findOpenRuns(): Promise<
    readonly {
      readonly run: string;
      readonly runbook: string;
      readonly state: string;
      /** Who is at work on it now. */
      readonly holder?: string;
    }[]
  >;
  freeBytes(): Promise<number | undefined>;
  /** Who wants nothing new to begin on this cluster or in its cloud, and why. */
  findHolds(): Promise<
    readonly { readonly what: string; readonly by: string; readonly why: string; readonly at: number }[]
  >;
}

export interface Settings {
  /** Bare NVMe paths in the cluster's configuration are accepted for a restore, though they change their names at boots. */
  readonly acceptBareNvme?: boolean;
  readonly deadManMinutes: number;
  readonly leaseMinutes: number;
  readonly copyHours: number;
  /** What a drill needs; set for a runbook that says `onScratch` or `usesScratch`, and for no other. */
  readonly drill?: DrillSetting;
  /** What a drill on a staging cluster needs; set for a runbook that says `onStaging`, and for no other. */
  readonly staging?: StagingSetting;
  /** What the inventory wants to find after a restore. */
  readonly checks?: readonly DrillCheck[];
  /** Own commands around the phases of a runbook, in the inventory's order. */
  readonly hooks?: readonly HookSetting[];
}

export type Params = { readonly [name: string]: string };

/** This run's own traces of a step: what it remembered before it acted, and what was seen of its calls. */
export interface Mine<B = unknown> {
  /** The intent was written: the step may have happened, in part or whole. */
  readonly begun: boolean;
  /** What `before` remembered; undefined until begun. */
  readonly before: B | undefined;
  readonly calls: readonly CallSeen[];
  /** How often it set out to act: 1, and one more for each time that a person had it tried again. */
  readonly tries?: number;
}

export interface CallSeen {
  readonly verb: string;
  readonly node: string | undefined;
  readonly request: Request;
  /** Milliseconds since the epoch. */
  readonly sentAt: number;
  /** "unknown": it left, and no answer is known (lost, or the runner died). "no": it never left or was refused untouched. */
  readonly state: "answered" | "failed" | "unknown" | "no";
  readonly text: string;
}

export const untouched: Mine = { begun: false, before: undefined, calls: [] };

/** What a person should know of an outcome. */
export function toldIn(found: unknown): readonly string[] {
  if (found === null || typeof found !== "object" || !("told" in found) || !Array.isArray(found.told))
    return [];
  return found.told.filter((line): line is string => typeof line === "string");
}

/** What `must` answers when a step cannot act at this moment. */
export const notYet = "not yet";

export type UndoWhen = "in turn" | "after service" | "last";

export type Exposure = "service" | "redundancy" | "cost";

export interface StepSpec<T, B> {
  readonly title: string;
  /**
   * Looks, and answers with what it found, or undefined. Reads only. Sentences in `told` of what it found are shown to the
   * operator.
   */
  readonly done: (world: World, mine: Mine<B>) => Promise<T | undefined>;
  /**
   * Makes it so; called only when `done` found nothing. May be called again after a lost reply: looks before each part.
   * Answers `notYet` where a part of it has to wait, and is called again after the next looks.
   */
  readonly do?: (world: World, mine: Mine<B>) => Promise<void | typeof notYet>;
  /**
   * What must hold at the moment of acting; throws `precondition`. Answers `notYet` where it is too early to act, and is
   * asked again after the next look. Reads only; not asked in a plan.
   */
  readonly must?: (world: World, mine: Mine<B>) => Promise<void | typeof notYet>;
  /** What has to be remembered for ever after: read once, written with the intent. Not called in a plan. */
  readonly before?: (world: World) => Promise<B>;
  /** The outcome's shape for a plan, with holes, where later steps read it. */
  readonly expect?: (world: World) => Promise<T>;
  /** Longest time it may take, waits included, milliseconds. */
  readonly within: number | ((world: World) => number);
  /** How long to keep asking before acting: the world may get there by itself. Milliseconds. */
  readonly patience?: number;
  /** The steps that give back what this one took, in order; each looks before it acts. They get this step's `mine`. */
  readonly undo?: () => Step | readonly Step[];
  /**
   * What each of the undo steps has to do depends on what those before it brought about. So of a stuck run's commands only
   * those of the one that failed are for a person to type, and `runbook undo` does the rest.
   */
  readonly undoByLooks?: true;
  readonly exposes?: Exposure;
  /**
   * When it is given back, where the rule (the service first, redundancy last; design 3.5) would be wrong. "in turn":
   * newest first whatever it exposes, as what a service needs to come back (volumes under a node) depends on what was done
   * after it. "after service": as soon as the service is back, before anything that takes longer. "last": after redundancy is
   * back.
   */
  readonly undoWhen?: UndoWhen;
  /** What it finds stands for the outcome of that earlier step from then on, as roles do after a move. */
  readonly refreshes?: Step;
  /** The step whose exposure is over once this one is done. */
  readonly ends?: Step;
  /** Asked when this step, done earlier, no longer holds while its exposure is open: may the run still go on? Default: no. */
  readonly ifUndone?: (world: World, mine: Mine<B>) => Promise<boolean>;
  /** Kept alive for as long as what this step set up is there: a marker, a timer. Called now and then, and first of all at a resume. */
  readonly renew?: (world: World, mine: Mine<B>) => Promise<void>;
  /** A person may skip it. */
  readonly skippable?: true;
  /** When it fails and nobody is asked, the run stops where it is, whatever it was told to do (`--on-failure`). */
  readonly whenFailed?: "hold";
  /** It cuts volumes while these nodes are off: the phase "cut" of the inventory's hooks. */
  readonly cuts?: "standby" | "both";
  /** From here on the cluster may start the groups by itself, before the step that ends the outage: the service may return. */
  readonly mayServe?: true;
  /**
   * What is proven once it is done (where it says `startsMirrors` too: by its `must`). "devices": the mirrors' devices hold what
   * they should, until the next boot. "quiet": nothing writes to what will be cut. "off": the nodes whose volumes will be cut
   * are off. `runbook lint` holds the order of a list to it.
   */
  readonly proves?: "devices" | "quiet" | "off";
  /** It lets nodes that were kept out start their mirrors, by a reboot into the cluster. */
  readonly startsMirrors?: true;
  /** It boots nodes: what was proven before holds no more. */
  readonly boots?: true;
  /** With `exposes: "service"`: the groups run on the standby when it begins; on the active node where it says nothing. */
  readonly servedBy?: "standby";
}

export type StepKind = "check" | "step" | "wait" | "approve";

/**
 * A step whose parts were checked when it was made; inside, its outcome and memory are untyped plain JSON.
 * The type parameter is kept by `outcome`, which exists for the compiler alone.
 */
export interface Step<T = unknown> extends StepSpec<unknown, unknown> {
  readonly kind: StepKind;
  /** What a person can do when a check fails. */
  readonly hint?: string;
  outcome?(found: T): T;
}

export function step<T, B = null>(
  spec: StepSpec<T, B> & { readonly do: NonNullable<StepSpec<T, B>["do"]> },
): Step<T> {
  return { ...(spec as unknown as StepSpec<unknown, unknown>), kind: "step" };
}

/** Must hold now: `find` answers with what was found (a fact of the plan), or throws; undefined means it does not hold. */
export function check<T>(
  title: string,
  find: (world: World) => Promise<T | undefined>,
  more: { readonly hint?: string; readonly within?: number; readonly refreshes?: Step<T> } = {},
): Step<T> {
  return {
    kind: "check",
    title,
    done: find,
    within: more.within ?? seconds(90),
    ...(more.hint !== undefined && { hint: more.hint }),
    ...(more.refreshes !== undefined && { refreshes: more.refreshes }),
  };
}

/** Until it is so. */
export function wait<T>(spec: Omit<StepSpec<T, null>, "do" | "undo" | "before" | "exposes">): Step<T> {
  return { ...(spec as unknown as StepSpec<unknown, unknown>), kind: "wait" };
}

/** A question to a person; the run waits, and the waiting does not count as working time. */
export function approve(title: string): Step<null> {
  return { kind: "approve", title, done: async () => undefined, within: hours(24 * 365) };
}

/** One copy of the step for each node, side by side. */
export interface EachNode {
  readonly kind: "each-node";
  readonly step: Step;
}
export function eachNode<T>(spec: Step<T>): EachNode {
  return { kind: "each-node", step: spec };
}

/** Steps that run side by side; the next entry of the list starts when all have ended. */
export interface Together {
  readonly kind: "together";
  readonly steps: { readonly [key: string]: Step };
}
export function together(steps: { readonly [key: string]: Step }): Together {
  return { kind: "together", steps };
}

export type Entry = Step | EachNode | Together;

export interface RunbookSpec<P extends Params = Params> {
  readonly title: string;
  readonly params?: { readonly [K in keyof P]: ParamSpec };
  /**
   * It writes to the cloud alone. So it leaves the nodes alone, which may be off: no marker is put on them, and only the
   * store's lease keeps other runs away.
   */
  readonly cloudOnly?: true;
  /**
   * It works on the cluster's scratch node and on no other: that node alone is its member, is marked, and is written to. The
   * nodes of the cluster may be off.
   */
  readonly onScratch?: true;
  /** With these parameters it uses the cluster's scratch node too, beside the nodes of the cluster. */
  readonly usesScratch?: (params: P) => boolean;
  /** It works on a cluster that the inventory calls the staging of another one, whose points it restores there. */
  readonly onStaging?: true;
  /**
   * It takes over what a dead run left on the nodes, and begins where a node does not answer (take-over.ts). Only for what
   * brings nearer to normal with each of its steps, since it has no journal of that run.
   */
  readonly takesOver?: true;
  /** How long a plan may be run after it was made, milliseconds; default one day. */
  readonly planHolds?: number;
  readonly steps: (params: P) => { readonly [key: string]: Entry };
}

/** The first choice, or `otherwise`, is what holds when nothing is given. */
export type ParamSpec =
  | { readonly oneOf: readonly string[] }
  | { readonly named: string; readonly otherwise: string }
  | { readonly count: number }
  | { readonly said: string };

export function oneOf(...values: readonly string[]): ParamSpec {
  return { oneOf: values };
}

/** A name that only the world knows: `named("a recovery point", "newest")`. */
export function named(what: string, otherwise: string): ParamSpec {
  return { named: what, otherwise };
}

/** A whole number from 0 on; what holds when nothing is given. */
export function count(otherwise: number): ParamSpec {
  return { count: otherwise };
}

/** A sentence of the operator's, without which nothing is begun: `said("why the restore is taken back")`. */
export function said(what: string): ParamSpec {
  return { said: what };
}

export interface Runbook {
  readonly kind: "runbook";
  readonly title: string;
  readonly params: { readonly [name: string]: ParamSpec };
  readonly cloudOnly: boolean;
  readonly onScratch: boolean;
  readonly onStaging: boolean;
  readonly usesScratch: (params: Params) => boolean;
  readonly takesOver: boolean;
  readonly planHolds: number;
  readonly steps: (params: Params) => { readonly [key: string]: Entry };
}

export function runbook<P extends Params = Params>(spec: RunbookSpec<P>): Runbook {
  return {
    kind: "runbook",
    title: spec.title,
    params: spec.params ?? {},
    cloudOnly: spec.cloudOnly ?? false,
    onScratch: spec.onScratch ?? false,
    onStaging: spec.onStaging ?? false,
    usesScratch: (spec.usesScratch ?? (() => false)) as unknown as Runbook["usesScratch"],
    takesOver: spec.takesOver ?? false,
    planHolds: spec.planHolds ?? hours(24),
    steps: spec.steps as unknown as Runbook["steps"],
  };
}

export function seconds(n: number): number {
  return n * 1000;
}
export function minutes(n: number): number {
  return seconds(60 * n);
}
export function hours(n: number): number {
  return minutes(60 * n);
}

/**
 * A plan: a runbook resolved against one cluster's live state. It lists every request that a run may send, and the facts
 * that it was computed from; a run does this, or refuses (design 3.7).
 */
import { createHash } from "node:crypto";

import { asFailure, Failure } from "../errors.ts";
import type { Connect } from "../ports/calls.ts";
import type { Request } from "../ports/driver.ts";
import { fills } from "./later.ts";
import { layOut, undoOf, type Stage, type Unit } from "./list.ts";
import {
  untouched,
  type Exposure,
  type Mine,
  type Params,
  type Runbook,
  type Settings,
  type Step,
  type StepKind,
  type UndoWhen,
} from "./step.ts";
import { makeWorld, settingFor, someRun, type Setting } from "./world.ts";

export const planFormat = 1;

export interface PlannedSend {
  readonly request: Request;
  /** Sent only if the world has not got there by itself after this long, milliseconds. */
  readonly onlyAfterMs?: number;
  /** Sent as often as needed while the run is alive. */
  readonly renewal?: true;
}

export interface PlannedUnit {
  readonly key: string;
  readonly stage: string;
  readonly node?: string;
  readonly kind: StepKind;
  readonly title: string;
  /** Before the first acting step: exact. After it: information about today. */
  readonly now: "holds" | "does not hold" | "cannot be told yet";
  readonly sends: readonly PlannedSend[];
  readonly undo: readonly { readonly title: string; readonly sends: readonly PlannedSend[] }[];
  readonly exposes?: Exposure;
  readonly undoWhen?: UndoWhen;
  readonly undoByLooks?: true;
  /** Title of the step whose exposure ends here. */
  readonly ends?: string;
  readonly withinMs: number;
}

export interface Plan {
  readonly format: typeof planFormat;
  readonly runbook: string;
  readonly title: string;
  /** The runbook's file as it was, with the files that it imports: a run executes these texts, whatever becomes of the files. */
  readonly source: {
    readonly file: string;
    readonly sha256: string;
    readonly text: string;
    readonly parts: { readonly [path: string]: string };
  };
  readonly cluster: string;
  readonly params: Params;
  /** What the inventory said: nodes, the instances under them, and the limits that stand in the requests. */
  readonly members: readonly string[];
  readonly instances: { readonly [node: string]: string };
  readonly settings: Settings;
  /** Milliseconds since the epoch. */
  readonly madeAt: number;
  readonly expiresAt: number;
  readonly tool: string;
  /** Outcomes of the checks before the first acting step, by key: a run refuses when one has changed. */
  readonly facts: { readonly [key: string]: unknown };
  readonly units: readonly PlannedUnit[];
  readonly hash: string;
}

/** Makes a plan by reads alone. A check that does not hold throws its Failure, with its key as `check`. */
export async function makePlan(args: {
  readonly runbook: Runbook;
  readonly name: string;
  readonly source: Plan["source"];
  readonly tool: string;
  readonly connect: Connect;
  readonly setting: Setting;
}): Promise<Plan> {
  const { runbook } = args;
  const setting = settingFor(runbook, args.setting);
  const { hooks = [] } = setting.settings;
  const stages = layOut(runbook, setting.params, setting.members, { runbook: args.name, hooks });
  const outcomes = new Map<string, unknown>();
  const facts: Record<string, unknown> = {};
  const units: PlannedUnit[] = [];
  let acting = false;
  for (const stage of stages) {
    let acts = false;
    for (const unit of stage.units) {
      const planned = await planUnit({ ...args, setting, stages, stage, unit, outcomes, exact: !acting });
      if (unit.step.kind === "check" && !acting) facts[unit.key] = outcomes.get(unit.key);
      if (unit.step.kind !== "check" && planned.now !== "holds") acts = true;
      units.push(planned);
    }
    acting ||= acts;
  }
  if (runbook.cloudOnly) assertCloudOnly(units);
  const madeAt = setting.clock.now();
  const plan: Omit<Plan, "hash"> = {
    format: planFormat,
    runbook: args.name,
    title: runbook.title,
    source: args.source,
    cluster: setting.clusterName,
    params: setting.params,
    members: setting.members,
    instances: setting.instances,
    settings: setting.settings,
    madeAt,
    expiresAt: madeAt + runbook.planHolds,
    tool: args.tool,
    facts: JSON.parse(JSON.stringify(facts)) as Plan["facts"],
    units,
  };
  return { ...plan, hash: hashOf(plan) };
}

/** Without a marker nothing would keep two runs from writing to one node. */
function assertCloudOnly(units: readonly PlannedUnit[]): void {
  for (const { key, sends, undo } of units) {
    const all = [...sends, ...undo.flatMap((part) => part.sends)];
    const wrong = all.find(({ request }) => request.to === "node");
    if (wrong)
      throw new Failure("invalid", `${key} writes to a node: ${requestLine(wrong.request)}`, {
        hint: "a runbook that says `cloudOnly` writes to the cloud alone; take the word away, or the step",
      });
  }
}

async function planUnit(args: {
  readonly connect: Connect;
  readonly setting: Setting;
  readonly stages: readonly Stage[];
  readonly stage: Stage;
  readonly unit: Unit;
  readonly outcomes: Map<string, unknown>;
  readonly exact: boolean;
}): Promise<PlannedUnit> {
  const { unit, stage, outcomes, exact } = args;
  const { step } = unit;
  const world = (record: PlannedSend[], patience?: number) =>
    makeWorld({
      ...args,
      who: someRun,
      planning: true,
      ports: args.connect({
        onRead: async () => undefined,
        beforeWrite: () => Promise.reject(new Failure("bug", "a plan would have written")),
        afterWrite: async () => undefined,
        fence: () => undefined,
        record: (request, contract) => {
          const renewal = contract.kind === "write" && contract.renewal === true;
          record.push({
            request,
            ...(patience !== undefined && { onlyAfterMs: patience }),
            ...(renewal && { renewal: true as const }),
          });
        },
      }),
    });

  const looking = world([]);
  let now: PlannedUnit["now"] = "cannot be told yet";
  if (exact || step.kind === "step") {
    try {
      const found = await step.done(looking, untouched);
      now = found === undefined ? "does not hold" : "holds";
      if (found !== undefined && exact) outcomes.set(unit.key, found);
      if (found === undefined && exact && step.kind === "check") throw notHolding(unit);
    } catch (thrown) {
      // After the first acting step a look may ask for things that are not there yet: that is no news.
      if (exact) throw withCheck(asFailure(thrown), unit);
    }
  }
  if (!outcomes.has(unit.key) && step.expect) outcomes.set(unit.key, await step.expect(looking));

  const sends: PlannedSend[] = [];
  if (step.do && !(exact && now === "holds")) {
    await step.do(world(sends, step.patience), untouched);
    await step.renew?.(world(sends), untouched);
  }
  const undo: { title: string; sends: PlannedSend[] }[] = [];
  if (!(exact && now === "holds")) {
    for (const back of undoOf(step)) {
      const recorded: PlannedSend[] = [];
      const mine: Mine = { begun: true, before: undefined, calls: [] };
      if (back.do) await back.do(world(recorded, back.patience), mine);
      undo.push({ title: back.title, sends: recorded });
    }
  }
  return {
    key: unit.key,
    stage: stage.key,
    ...(unit.node !== undefined && { node: unit.node }),
    kind: step.kind,
    title: step.title,
    now,
    sends,
    undo,
    ...(step.exposes !== undefined && { exposes: step.exposes }),
    ...(step.undoWhen !== undefined && { undoWhen: step.undoWhen }),
    ...(step.undoByLooks === true && { undoByLooks: true as const }),
    ...(step.ends !== undefined && { ends: step.ends.title }),
    withinMs: limitOf(step, looking),
  };
}

export function limitOf(step: Step, world: Parameters<Step["done"]>[0]): number {
  return typeof step.within === "function" ? step.within(world) : step.within;
}

export function notHolding(unit: Unit): Failure {
  return new Failure("precondition", `${unit.key}: ${unit.step.title}: it does not`, {
    ...(unit.step.hint !== undefined && { hint: unit.step.hint }),
  });
}

/** A failed check names its id, so that doctor, a message and the documentation speak of the same thing. */
export function withCheck(failure: Failure, unit: Unit): Failure {
  if (unit.step.kind !== "check" || failure.message.startsWith(`${unit.key}: `)) return failure;
  const hint = failure.hint ?? unit.step.hint;
  // What the world answers is never the mistake of whoever gave the command.
  const kind = failure.kind === "invalid" || failure.kind === "not-found" ? "precondition" : failure.kind;
  return new Failure(kind, `${unit.key}: ${failure.message}`, {
    cause: failure,
    ...(hint !== undefined && { hint }),
  });
}

/** sha256 over the plan's canonical JSON without its hash. */
export function hashOf(plan: Omit<Plan, "hash">): string {
  const { hash: _dropped, ...rest } = plan as Plan;
  return createHash("sha256").update(canonical(rest)).digest("hex");
}

/** JSON with its keys in order and nothing between them. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** The requests that a unit may send: going forward, its own; on the way back, its undo's. */
export function allowedFor(plan: Plan, key: string, direction: "forward" | "back"): readonly Request[] {
  const unit = plan.units.find((candidate) => candidate.key === key);
  if (!unit) return [];
  const sends = direction === "forward" ? unit.sends : unit.undo.flatMap((part) => part.sends);
  return sends.map((send) => send.request);
}

export function isAllowed(allowed: readonly Request[], request: Request): boolean {
  return allowed.some((planned) => fills(planned, request));
}

/** What differs between the facts of a plan and those found now, one line each. */
export function factDifferences(planned: Plan["facts"], found: Plan["facts"]): readonly string[] {
  const keys = [...new Set([...Object.keys(planned), ...Object.keys(found)])];
  return keys.flatMap((key) => differences(key, planned[key], found[key]));
}

function differences(path: string, a: unknown, b: unknown): string[] {
  if (canonical(a ?? null) === canonical(b ?? null)) return [];
  if (isObject(a) && isObject(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return keys.flatMap((key) => differences(`${path}.${key}`, a[key], b[key]));
  }
  return [`${path}: the plan has ${JSON.stringify(a)}, now it is ${JSON.stringify(b)}`];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** One request as one line, exact: what a person reads, what is compared. */
export function requestLine(request: Request): string {
  if (request.to === "node") return `${request.node}: ${request.argv.map(shown).join(" ")}`;
  return `${request.operation} ${JSON.stringify(request.params)}`;
}

function shown(word: string): string {
  return /^[\w@%+=:,./\u27e8\u27e9-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

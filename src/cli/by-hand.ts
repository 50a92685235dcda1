/** What a person types when the tool cannot: the requests of a plan as commands that work when pasted. */
import type { Line } from "../engine/logbook.ts";
import type { CloudRequest, Json, NodeRequest, Request } from "../ports/driver.ts";
import { fills, hasLater } from "../runbook/later.ts";
import { requestLine, type Plan, type PlannedUnit } from "../runbook/plan.ts";
import { harmless, withHoles } from "./format.ts";

export interface ByHandOptions {
  /** The argv as it goes over the wire (its environment, sudo); as it is when left out. */
  readonly argvFor?: (request: NodeRequest) => readonly string[];
  /** Where `ssh` reaches a node, as "admin@10.0.0.1"; the node's name when left out. */
  readonly addressOf?: (node: string) => string;
  readonly region?: string;
}

/** The commands that give a step back, in order; each may be several lines long (a script between quotes). */
export function commandsFor(
  plan: Plan,
  unitKey: string,
  rows: readonly Line[] = [],
  options: ByHandOptions = {},
): readonly string[] {
  const unit = plan.units.find((candidate) => candidate.key === unitKey);
  if (!unit) return [];
  const known = holeValues(plan, rows);
  const planned = leftOf(unit, rows).flatMap((part) => part.sends.map((send) => send.request));
  return planned.flatMap((request) => commandOf(lastSent(rows, request) ?? filled(request, known), options));
}

/** The parts of an undo from the one that failed on; what came before it holds. */
function leftOf(unit: PlannedUnit, rows: readonly Line[]): PlannedUnit["undo"] {
  const row = rows.findLast(({ kind, body }) => kind === "not-undone" && body["unit"] === unit.key);
  const from = unit.undo.findIndex(({ title }) => title === row?.body["part"]);
  if (from < 0) return unit.undo;
  return unit.undoByLooks === true ? unit.undo.slice(from, from + 1) : unit.undo.slice(from);
}

/** What the run itself sent last in this place: where a node was to be found, it was found then. */
function lastSent(rows: readonly Line[], planned: Request): Request | undefined {
  const row = rows.findLast(
    ({ kind, body }) => kind === "sent" && body["direction"] === "back" && fills(planned, body["request"]),
  );
  return row?.body["request"] as Request | undefined;
}

/** A request as what a person types, after notes on what has to be put in first. */
export function commandOf(request: Request, options: ByHandOptions): readonly string[] {
  const open = holesOf(request.to === "node" ? request.argv : request.params);
  const notes = open.length === 0 ? [] : [`# put in first: ${open.map((hole) => `«${hole}»`).join(", ")}`];
  if (request.to === "cloud") return [...notes, printed(awsCommand(request, options.region))];
  const { node } = request;
  const argv = options.argvFor?.(request) ?? request.argv;
  const command = requestLine({ ...request, argv }).slice(node.length + 2);
  // Where the node itself is to be found out by a person, the command is for a session there.
  if (hasLater(node)) return [`# on ${printed(withoutMarks(node))}:`, ...notes, printed(command)];
  const line = `ssh ${word(options.addressOf?.(node) ?? node)} ${quoted(command)}`;
  const input = request.stdin === undefined ? "" : `printf %s ${quoted(request.stdin)} | `;
  return [...notes, printed(`${input}${line}`)];
}

function awsCommand({ operation, params }: CloudRequest, region: string | undefined): string {
  const at = region === undefined ? "" : ` --region ${word(region)}`;
  const ids = Object.keys(params).length === 1 ? params["InstanceIds"] : undefined;
  if ((operation === "StartInstances" || operation === "StopInstances") && Array.isArray(ids))
    return `aws ec2 ${kebab(operation)}${at} --instance-ids ${ids.map((id) => word(String(id))).join(" ")}`;
  const { Resources, Tags, ...more } = params;
  if (operation === "CreateTags" && Array.isArray(Resources) && Object.keys(more).length === 0)
    return `aws ec2 create-tags${at} --resources ${Resources.map((id) => word(String(id))).join(" ")} --tags ${json(Tags ?? [])}`;
  if (operation === "DeleteTags" && Array.isArray(Resources) && Object.keys(more).length === 0)
    return `aws ec2 delete-tags${at} --resources ${Resources.map((id) => word(String(id))).join(" ")} --tags ${json(Tags ?? [])}`;
  // Every operation takes its whole input as JSON.
  return `aws ec2 ${kebab(operation)}${at} --cli-input-json ${json(params)}`;
}

function kebab(operation: string): string {
  return operation.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
}

function json(value: Json): string {
  return quoted(JSON.stringify(value));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function word(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : quoted(text);
}

/** Line breaks of a script stay; nothing else that could steer a terminal does. */
function printed(text: string): string {
  return withHoles(text).split("\n").map(harmless).join("\n");
}

function withoutMarks(text: string): string {
  return withHoles(text).replace(/[«»]/g, "");
}

const hole = /\u27e8([^\u27e8\u27e9]*)\u27e9/g;

function holesOf(value: unknown): readonly string[] {
  return [...new Set([...JSON.stringify(value).matchAll(hole)].map((match) => match[1] ?? ""))];
}

/**
 * What became known of the plan's holes: from the requests that were really sent, held against those that were planned,
 * and from outcomes that name a snapshot with its volume. What two requests filled differently stays open.
 */
export function holeValues(plan: Plan, rows: readonly Line[]): ReadonlyMap<string, string> {
  const found = new Map<string, Set<string>>();
  const learn = (name: string, value: string) => found.set(name, (found.get(name) ?? new Set()).add(value));
  for (const { kind, body } of rows) {
    if (kind === "sent") {
      const unit = plan.units.find((candidate) => candidate.key === body["unit"]);
      for (const planned of unit ? requestsOf(unit) : [])
        if (fills(planned, body["request"])) learnFrom(planned, body["request"], learn);
    }
    if (kind === "outcome" && Array.isArray(body["found"])) {
      for (const item of body["found"] as readonly { readonly id?: unknown; readonly volume?: unknown }[])
        if (typeof item?.id === "string" && typeof item.volume === "string")
          learn(`snapshot of ${item.volume}`, item.id);
    }
  }
  return new Map(
    [...found].flatMap(([name, values]) =>
      values.size === 1 ? [[name, [...values][0] ?? ""] as const] : [],
    ),
  );
}

export function requestsOf(unit: PlannedUnit): readonly Request[] {
  return [...unit.sends, ...unit.undo.flatMap((part) => part.sends)].map((send) => send.request);
}

function learnFrom(planned: unknown, actual: unknown, learn: (name: string, value: string) => void): void {
  if (typeof planned === "string" && typeof actual === "string") {
    const names = [...planned.matchAll(hole)].map((match) => match[1] ?? "");
    // Two holes in one text could be divided in more than one way.
    if (names.length !== 1) return;
    const [before = "", after = ""] = planned.split(/\u27e8[^\u27e8\u27e9]*\u27e9/);
    learn(names[0] ?? "", actual.slice(before.length, actual.length - after.length));
  } else if (
    planned !== null &&
    typeof planned === "object" &&
    actual !== null &&
    typeof actual === "object"
  ) {
    for (const [key, value] of Object.entries(planned))
      learnFrom(value, (actual as { readonly [key: string]: unknown })[key], learn);
  }
}

function filled<T>(value: T, known: ReadonlyMap<string, string>): T {
  const fill = (inner: unknown): unknown => {
    if (typeof inner === "string")
      return inner.replace(hole, (whole, name: string) => known.get(name) ?? whole);
    if (Array.isArray(inner)) return inner.map(fill);
    if (inner === null || typeof inner !== "object") return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, item]) => [key, fill(item)]));
  };
  return fill(value) as T;
}

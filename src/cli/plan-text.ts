/**
 * A plan as a reviewer reads it: what was found, what will be sent in which order, how each step is given back, what is
 * taken away meanwhile and for how long. Requests are shown exactly as they will be sent; long scripts by their digest.
 */
import { Chalk, type ChalkInstance } from "chalk";

import type { Request } from "../ports/driver.ts";
import type { Plan, PlannedSend, PlannedUnit } from "../runbook/plan.ts";
import type { Exposure } from "../runbook/step.ts";
import { requestsOf } from "./by-hand.ts";
import {
  dateAndTime,
  harmless,
  isScript,
  lasting,
  nameOfScript,
  oneLine,
  shortRequest,
  withHoles,
  wrap,
} from "./format.ts";
import { findings } from "./findings.ts";
import { recalledPrices } from "./prices.ts";
import { endsExposure, forecastOf, windowsOf, type Forecast } from "./windows.ts";

export interface PlanTextOptions {
  readonly color: boolean;
  readonly width: number;
  /** How long a step took before, milliseconds, by the key of its unit. */
  readonly forecast?: Forecast;
  /** Scripts inside commands are shown whole. */
  readonly full?: boolean;
  /** Time zone instead of this machine's. */
  readonly zone?: string;
  /** USD for an hour of fast restore of one snapshot in one zone, where the inventory says another price than ours. */
  readonly fastRestoreHour?: number;
}

export function planJson(plan: Plan): Plan {
  return plan;
}

interface Page {
  readonly plan: Plan;
  readonly options: PlanTextOptions;
  readonly paint: ChalkInstance;
  /** "3" or "3b", by key of the unit; checks have none. */
  readonly numbers: ReadonlyMap<string, string>;
  readonly scripts: Map<string, string>;
}

export function planText(plan: Plan, options: PlanTextOptions): string {
  const paint = new Chalk({ level: options.color ? 1 : 0 });
  const page: Page = { plan, options, paint, numbers: numbersOf(plan), scripts: new Map() };
  const checks = plan.units.filter((unit) => unit.kind === "check");
  const blocks = stepBlocks(page);
  return [
    ...headLines(page),
    ...(checks.length > 0
      ? ["", paint.bold("Checks"), ...checks.flatMap((unit) => checkLines(page, unit))]
      : []),
    "",
    paint.bold("Steps"),
    ...blocks,
    "",
    paint.bold("In all"),
    ...totalLines(page),
    ...scriptLines(page),
  ].join("\n");
}

function headLines({ plan, paint, options }: Page): string[] {
  const params = Object.entries(plan.params).map(([name, value]) => ` ${name}=${value}`);
  return [
    paint.bold(oneLine(`${plan.title} (${plan.runbook}${params.join("")}) on ${plan.cluster}`)),
    oneLine(
      `made ${dateAndTime(plan.madeAt, options.zone)} by runbook ${plan.tool}, good until ${dateAndTime(plan.expiresAt, options.zone)}`,
    ),
    oneLine(`plan ${plan.hash.slice(0, 12)}, runbook file ${plan.source.sha256.slice(0, 12)}`),
  ];
}

function checkLines(page: Page, unit: PlannedUnit): string[] {
  const { plan, paint } = page;
  const known = Object.hasOwn(plan.facts, unit.key);
  const mark = known || unit.now === "holds" ? paint.green("✓") : paint.dim("·");
  const later = known || unit.now === "holds" ? "" : " (checked during the run)";
  const found = known ? findings(plan.facts[unit.key]) : [];
  return [`  ${mark} ${oneLine(unit.title)}${later}`, ...found.flatMap((line) => indented(page, 6, line))];
}

/** Stages are numbered; steps of one stage that are not copies of each other get a letter. */
function numbersOf(plan: Plan): ReadonlyMap<string, string> {
  const numbers = new Map<string, string>();
  stagesOf(plan).forEach((units, i) => {
    const same = units.every((unit) => unit.title === units[0]?.title);
    units.forEach((unit, j) => numbers.set(unit.key, same ? `${i + 1}` : `${i + 1}${letter(j)}`));
  });
  return numbers;
}

function letter(n: number): string {
  return String.fromCodePoint(97 + (n % 26));
}

function stagesOf(plan: Plan): readonly (readonly PlannedUnit[])[] {
  const units = plan.units.filter((unit) => unit.kind !== "check");
  const stages = [...new Set(units.map((unit) => unit.stage))];
  return stages.map((stage) => units.filter((unit) => unit.stage === stage));
}

function stepBlocks(page: Page): string[] {
  // Up to and with the first stage that will act, what holds now decides; after it, it is only how things are today.
  let exact = true;
  return stagesOf(page.plan).flatMap((units) => {
    const copies = units.every((unit) => unit.title === units[0]?.title && unit.node !== undefined);
    const lines =
      copies && units.length > 1
        ? copiesBlock(page, units, exact)
        : units.flatMap((unit) => stepBlock(page, unit, exact));
    if (units.some((unit) => unit.now !== "holds")) exact = false;
    return lines;
  });
}

/** Copies of one step on several nodes, under one heading. */
function copiesBlock(page: Page, units: readonly PlannedUnit[], exact: boolean): string[] {
  const [first] = units;
  if (!first) return [];
  const all = units.map((unit) => unit.node ?? "");
  const alike = new Set(units.map((unit) => nowOf(unit, exact)));
  const each = units.map((unit) => `${unit.node}: ${nowOf(unit, exact)}`);
  return [
    heading(page, first, ` (${all.join(", ")}, side by side)`),
    ...field(page, "now", alike.size === 1 ? [...alike].join() : each.join("; ")),
    ...units.flatMap((unit, i) => sendLines(page, i === 0 ? "sends" : "", unit, unit.sends)),
    ...uniqueUndo(page, units),
    ...exposureLines(page, first),
    ...field(page, "limit", lasting(first.withinMs)),
  ];
}

function stepBlock(page: Page, unit: PlannedUnit, exact: boolean): string[] {
  const on = unit.node === undefined ? "" : ` (${unit.node})`;
  return [
    heading(page, unit, on),
    ...field(page, "now", nowOf(unit, exact)),
    ...sendLines(page, "sends", unit, unit.sends),
    ...uniqueUndo(page, [unit]),
    ...exposureLines(page, unit),
    ...field(page, "limit", lasting(unit.withinMs)),
  ];
}

function heading({ numbers, paint }: Page, unit: PlannedUnit, more: string): string {
  const kind = unit.kind === "wait" ? " (waits)" : unit.kind === "approve" ? " (asks a person)" : "";
  return `${(numbers.get(unit.key) ?? "").padStart(4)}. ${paint.bold(oneLine(unit.title))}${oneLine(more) === "" ? "" : ` ${oneLine(more)}`}${kind}`;
}

function nowOf(unit: PlannedUnit, exact: boolean): string {
  if (exact && unit.now === "holds") return "it holds already: nothing will be sent";
  if (unit.now === "cannot be told yet") return "cannot be told yet";
  if (exact) return "does not hold";
  return unit.now === "holds" ? "holds today, before the steps above" : "does not hold today";
}

function uniqueUndo(page: Page, units: readonly PlannedUnit[]): string[] {
  const titles = new Set(units.flatMap((unit) => unit.undo.map((part) => part.title)));
  return [...titles].flatMap((title) => {
    const parts = units.flatMap((unit) =>
      unit.undo.filter((part) => part.title === title).map((part) => ({ unit, part })),
    );
    return [
      ...field(page, "undo", title),
      ...parts.flatMap(({ unit, part }) => sendLines(page, "", unit, part.sends)),
    ];
  });
}

function exposureLines(page: Page, unit: PlannedUnit): string[] {
  const { plan, paint, options } = page;
  const lines: string[] = [];
  if (unit.exposes !== undefined) {
    const window = windowsOf(plan).find((candidate) => candidate.from.key === unit.key);
    const until =
      window?.to === undefined ? "until the run ends" : `until ${stepName(page, window.to)} is done`;
    const ms = forecastOf(
      { units: plan.units.map((other) => soleWindow(other, unit)) },
      unit.exposes,
      options.forecast ?? (() => undefined),
    );
    const long = ms === undefined ? "no history" : `about ${lasting(ms)}`;
    lines.push(
      ...field(
        page,
        "takes",
        `${words[unit.exposes]} ${until} (${long})`,
        unit.exposes === "service" ? paint.red : paint.yellow,
      ),
    );
  }
  const ended = plan.units.find((other) => other.exposes !== undefined && endsExposure(unit, other));
  if (ended?.exposes !== undefined)
    lines.push(...field(page, "ends", `what ${stepName(page, ended)} took: ${words[ended.exposes]}`));
  return lines;
}

/** The plan with this one exposure, so that it can be counted alone. */
function soleWindow(other: PlannedUnit, unit: PlannedUnit): PlannedUnit {
  if (other.key === unit.key) return other;
  const { exposes: _dropped, ...rest } = other;
  return rest;
}

const words: { readonly [what in Exposure]: string } = {
  service: "the service",
  redundancy: "redundancy",
  cost: "money",
};

function sendLines(page: Page, label: string, unit: PlannedUnit, sends: readonly PlannedSend[]): string[] {
  if (sends.length === 0)
    return label === "sends" && unit.now !== "holds" ? field(page, "sends", "nothing: it only looks") : [];
  return sends.flatMap((send, i) => {
    const when = [
      send.onlyAfterMs === undefined
        ? ""
        : `only if it has not begun by itself after ${lasting(send.onlyAfterMs)}`,
      send.renewal === true ? "as often as needed" : "",
    ].filter(Boolean);
    const input =
      send.request.to === "node" && send.request.stdin !== undefined
        ? ` < ${script(page, send.request.stdin)}`
        : "";
    // Never broken into lines: what stands here is what is sent.
    const line = `${sentLine(page, unit, send.request)}${input}`;
    return [
      `      ${(i === 0 ? label : "").padEnd(6)} ${line}`,
      ...when.map((text) => `      ${"".padEnd(6)}   ${page.paint.dim(`(${text})`)}`),
    ];
  });
}

function sentLine(page: Page, unit: PlannedUnit, request: Request): string {
  if (request.to === "node") for (const word of request.argv) if (isScript(word)) script(page, word);
  const named = nameHoles(page, unit, request);
  return shortRequest(named);
}

/** Holes that an earlier step evidently fills say which: a snapshot comes from the step that cuts it. */
function nameHoles<T>(page: Page, unit: PlannedUnit, value: T): T {
  const name = (text: string) =>
    text.replace(/\u27e8(snapshot of [^\u27e8\u27e9]*)\u27e9/g, (whole, hole: string) => {
      const before = page.plan.units.slice(
        0,
        page.plan.units.findIndex((other) => other.key === unit.key),
      );
      const source = before.find((other) =>
        requestsOf(other).some((request) => request.verb === "cloud.createSnapshotSet"),
      );
      const number = source && page.numbers.get(source.key);
      return number === undefined ? whole : `\u27e8from step ${number}: ${hole}\u27e9`;
    });
  const walk = (inner: unknown): unknown => {
    if (typeof inner === "string") return name(inner);
    if (Array.isArray(inner)) return inner.map(walk);
    if (inner === null || typeof inner !== "object") return inner;
    return Object.fromEntries(Object.entries(inner).map(([key, item]) => [key, walk(item)]));
  };
  return walk(value) as T;
}

function script(page: Page, text: string): string {
  const name = nameOfScript(text);
  page.scripts.set(name, text);
  return name;
}

function scriptLines(page: Page): string[] {
  if (page.scripts.size === 0) return [];
  if (page.options.full !== true) return ["", page.paint.dim("The scripts are shown whole with --full.")];
  return [...page.scripts].flatMap(([name, text]) => [
    "",
    page.paint.bold(name),
    ...withHoles(text)
      .split("\n")
      .map((line) => `    ${harmless(line)}`.trimEnd()),
  ]);
}

function stepName(page: Page, unit: PlannedUnit): string {
  const number = page.numbers.get(unit.key);
  return `${number === undefined ? "" : `step ${number} `}(${oneLine(unit.title)})`;
}

function totalLines(page: Page): string[] {
  const { plan, options } = page;
  const forecast = options.forecast ?? (() => undefined);
  const total = (what: Exposure) => {
    if (!plan.units.some((unit) => unit.exposes === what)) return "none";
    const ms = forecastOf(plan, what, forecast);
    return ms === undefined ? "no history" : `about ${lasting(ms)}`;
  };
  const alone = windowsOf(plan).filter((window) => window.what === "redundancy");
  return [
    ...totalLine(page, "service outage", total("service")),
    ...totalLine(page, "without redundancy", total("redundancy")),
    ...alone.flatMap(({ from, to }) =>
      totalLine(
        page,
        "if a node is lost",
        `from ${stepName(page, from)} ${to === undefined ? "to the end of the run" : `to ${stepName(page, to)}`} the loss of the node that serves means an outage until a person acts`,
      ),
    ),
    ...moneyOf(page).flatMap((text) => totalLine(page, "money", text)),
    ...totalLine(
      page,
      "may be run until",
      `${dateAndTime(plan.expiresAt, options.zone)}, while what the checks found is unchanged`,
    ),
    ...totalLine(page, "plan", plan.hash),
  ];
}

function moneyOf(page: Page): string[] {
  const requests = page.plan.units.flatMap((unit) => unit.sends.map((send) => send.request));
  const cuts = requests.filter((request) => request.verb === "cloud.createSnapshotSet");
  const costs = windowsOf(page.plan)
    .filter((window) => window.what === "cost")
    .map(
      ({ from, to }) =>
        `${stepName(page, from)} costs as long as it lasts, ${to === undefined ? "to the end of the run" : `to ${stepName(page, to)}`}`,
    );
  const fast = requests.filter((request) => request.verb === "cloud.enableFastRestore").length;
  const hour = page.options.fastRestoreHour ?? recalledPrices.fastRestoreHour;
  const made = requests.filter((request) => request.verb === "cloud.createVolume");
  const paced = made.filter((request) => "VolumeInitializationRate" in paramsOf(request)).length;
  const finals = requests.filter((request) => request.verb === "cloud.createSnapshot").length;
  const kept = [
    ...cuts.map(
      (cut) => `EBS snapshot storage for ${volumesOf(page.plan, cut)}, until the snapshots are deleted`,
    ),
    ...(finals === 0
      ? []
      : [
          `EBS snapshot storage for ${finals === 1 ? "1 volume" : `${finals} volumes`}, until a person deletes it`,
        ]),
    ...(made.length === 0
      ? []
      : [
          // What this run itself deletes again stands beside nothing.
          requests.some((request) => request.verb === "cloud.deleteVolume")
            ? `EBS storage for ${sizesOf(made)}, until they are deleted again`
            : `EBS storage for ${sizesOf(made)}, beside the old ones, which are kept until somebody deletes them`,
        ]),
    ...(paced === 0
      ? []
      : [
          `${paced} volume${paced === 1 ? " is" : "s are"} filled at a rate that EBS takes money for, by the GiB in the snapshot (the price is the region's)`,
        ]),
    ...costs,
    ...(fast === 0
      ? []
      : [
          `fast restore costs about ${(fast * hour).toFixed(2)} USD an hour, and at least one hour of it (${fast} at ${hour.toFixed(2)} USD${page.options.fastRestoreHour === undefined ? ", the list price of us-east-1" : ""})`,
        ]),
  ];
  return kept.length > 0 ? kept : ["nothing that is created is kept"];
}

function paramsOf(request: Request): { readonly [name: string]: unknown } {
  return request.to === "cloud" ? request.params : {};
}

/** "2 new volumes (100 GiB gp3, 100 GiB gp3)". */
function sizesOf(made: readonly Request[]): string {
  const sizes = made.map((request) => {
    const { Size, VolumeType } = paramsOf(request);
    return `${typeof Size === "number" ? Size : "?"} GiB ${typeof VolumeType === "string" ? VolumeType : ""}`.trim();
  });
  return `${made.length} new volume${made.length === 1 ? "" : "s"} (${sizes.join(", ")})`;
}

function volumesOf(plan: Plan, cut: Request): string {
  if (cut.to === "cloud" && typeof cut.params["VolumeId"] === "string") return "1 volume";
  // "All but these" is what the operation says; how many that are, the check that looked for them knows.
  const known = plan.facts["volumesFound"] as { readonly volumes?: unknown } | undefined;
  const listed = Array.isArray(known?.volumes) ? known.volumes.length : 0;
  const holes = new Set(JSON.stringify(plan.units).match(/\u27e8snapshot of [^\u27e8\u27e9]*\u27e9/g) ?? []);
  const n = listed || holes.size;
  return n === 0 ? "the volumes of the set" : n === 1 ? "1 volume" : `${n} volumes`;
}

function totalLine(page: Page, name: string, text: string): string[] {
  const [first = "", ...more] = wrap(oneLine(text), Math.max(20, page.options.width - 23));
  return [`  ${name.padEnd(20)} ${first}`, ...more.map((line) => `${"".padEnd(23)}${line}`)];
}

function field(
  page: Page,
  label: string,
  text: string,
  colour: (text: string) => string = (same) => same,
): string[] {
  const [first = "", ...more] = wrap(oneLine(text), Math.max(20, page.options.width - 13));
  return [
    `      ${label.padEnd(6)} ${colour(first)}`,
    ...more.map((line) => `${"".padEnd(13)}${colour(line)}`),
  ];
}

function indented(page: Page, by: number, text: string): string[] {
  const lead = /^ */.exec(text)?.[0].length ?? 0;
  const space = " ".repeat(by + lead);
  return wrap(oneLine(text), Math.max(20, page.options.width - space.length)).map((line) => space + line);
}

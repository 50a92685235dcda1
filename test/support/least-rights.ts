/**
 * Whole runs under the rights that `runbook doctor --policy` prints, and no others: the lab's cloud judges each call by that
 * policy, and its nodes take a command only if their sudoers list has it.
 */
import { lookAround, whereIsPlayed, type Said } from "../../src/cli/policy-facts.ts";
import { leastRights, type LeastRights } from "../../src/cli/policy-make.ts";
import { openAws } from "../../src/drivers/aws/driver.ts";
import { openClusterpro } from "../../src/drivers/clusterpro/driver.ts";
import { openLinux } from "../../src/drivers/linux/driver.ts";
import { asFailure } from "../../src/errors.ts";
import { labAccessKey } from "../../src/lab/cloud.ts";
import { ec2Handler } from "../../src/lab/ec2.ts";
import { readSudoers, withSudo, type Sudoers } from "../../src/lab/sudoers.ts";
import { settle } from "../../src/lab/hands.ts";
import type { Fault } from "../../src/lab/world.ts";
import type { Params } from "../../src/runbook/step.ts";
import {
  openSimulation,
  versionIs,
  type Runner,
  type Simulation,
  type SimulationOptions,
} from "./simulation.ts";
import { takeUp } from "./story.ts";

export interface Scene {
  readonly runbook: string;
  readonly name: string;
  readonly params?: Params;
  readonly world?: SimulationOptions;
  readonly prepare?: (sim: Simulation) => Promise<unknown>;
  /** The rights were printed before all that, as a policy stays that was granted once. */
  readonly printedFirst?: boolean;
}

/** What goes wrong in it. */
export interface Trouble {
  readonly fault?: Parameters<Simulation["lab"]["heart"]["addFault"]>[0];
  /** The runner dies before this row, and another one takes the run up. */
  readonly killedAt?: number;
}

export interface Enforced {
  readonly end: string;
  readonly why: string;
  /** What was asked and not granted. */
  readonly refused: readonly string[];
  /** Rights that were used, by their names (`rightsIn`). */
  readonly used: ReadonlySet<string>;
  readonly gaps: readonly string[];
  /** Writes that the lab received, as faults can meet them. */
  readonly writes: readonly Pick<Fault, "match" | "node" | "skip">[];
  readonly rows: number;
  readonly rights: LeastRights;
}

export const owner = "operator@machine";

interface How {
  /** The name of a right that is taken away. */
  readonly without?: string;
  /** Everything is granted. */
  readonly free?: boolean;
  /** It is not played at all. */
  readonly onlyRights?: boolean;
  /** Hears of each command on a node. */
  readonly heard?: (argv: readonly string[]) => void;
}

export async function playUnder(
  scene: Scene,
  { fault, killedAt }: Trouble,
  { without, free, onlyRights, heard }: How = {},
): Promise<Enforced> {
  const sim = await openSimulation({
    files: { "orders.txt": "one" },
    checks: [versionIs("1")],
    ...scene.world,
    runbook: `runbooks/${scene.runbook}.ts`,
  });
  const used = new Set<string>();
  const refused: string[] = [];
  try {
    const first = scene.printedFirst === true ? await rightsOf(sim, scene) : undefined;
    await scene.prepare?.(sim);
    await settle(sim.lab);
    const rights = first ?? (await rightsOf(sim, scene));
    if (free !== true) enforce(sim, rights, { without, used, refused, heard });
    const from = sim.lab.heart.received.length;
    const over = async (end: string, why: string, rows: number): Promise<Enforced> => {
      await settle(sim.lab);
      return { end, why, refused, used, gaps: sim.gaps(), writes: writesIn(sim, from), rows, rights };
    };
    if (onlyRights === true) return await over("not played", "", 0);
    const runner = sim.runner();
    try {
      const plan = await runner.plan(scene.params);
      if (fault) sim.lab.heart.addFault(fault);
      const dies = killedAt === undefined ? {} : { dieAtRow: { row: killedAt, when: "before" as const } };
      const walk = await runner.start(plan, dies);
      const ended = await Promise.race([walk.go(), untilDead(sim, runner)]);
      if (ended) {
        await walk.close();
        return await over(ended.end, ended.why ?? "", walk.logbook.lines.length);
      }
      const { ended: later, walk: again } = await takeUp(sim, walk.run, "resume");
      return await over(later.end, later.why ?? "", again.logbook.lines.length);
    } catch (thrown) {
      const failure = asFailure(thrown);
      if (failure.kind === "bug") throw failure;
      return await over(`refused: ${failure.kind}`, failure.message, 0);
    }
  } finally {
    sim.close();
  }
}

async function untilDead(sim: Simulation, runner: Runner): Promise<undefined> {
  while (runner.alive()) await sim.clock.sleep(1000);
  return undefined;
}

/** As the command makes them, of the lab's inventory. */
async function rightsOf(sim: Simulation, { runbook, world }: Scene): Promise<LeastRights> {
  const cluster = world?.cluster ?? "prod";
  const checks = [versionIs("1")];
  const said: Said = {
    cluster,
    region: sim.lab.cloud.settings.region,
    nodes: instancesOf(sim, cluster),
    owner,
    leaseMinutes: 15,
    deadManMinutes: 15,
    checks,
    drill: { node: sim.lab.scratch.name, instance: sim.lab.scratch.instance, checks },
    staging: cluster === "prod" ? undefined : { of: "prod", nodes: instancesOf(sim, "prod"), checks },
  };
  const seen = await lookAround(said, await driversOf(sim));
  if (seen.notes.some((note) => !note.startsWith("the configuration of")))
    throw new Error(seen.notes.join("; "));
  const book = await sim.open(`runbooks/${runbook}.ts`);
  const played = whereIsPlayed(runbook, book.runbook, said, seen);
  if (!played) throw new Error(`${runbook} is not played on ${cluster}`);
  return leastRights([played], { cloud: "aws", manager: "clusterpro" });
}

async function driversOf({ lab, clock }: Simulation) {
  const given = { shell: lab.shell, clock };
  const credentials = { accessKeyId: labAccessKey, secretAccessKey: "lab" };
  return {
    cluster: openClusterpro(given),
    production: { cluster: openClusterpro(given), nodes: openLinux(given) },
    cloud: await openAws({
      region: lab.cloud.settings.region,
      requestHandler: ec2Handler(lab.cloud),
      credentials,
      clock,
    }),
  };
}

function instancesOf(sim: Simulation, cluster: string): { readonly [node: string]: string } {
  return Object.fromEntries(
    sim.lab.cluster(cluster).names.map((node) => [node, sim.lab.node(node).instance]),
  );
}

/** One name for each right: "ec2:StartInstances / Nodes", or "cluster.stopGroup / LINE" for all nodes together. */
export function rightsIn({ iam, sudo }: LeastRights): readonly string[] {
  return [
    ...iam.Statement.flatMap(({ Sid, Action }) => Action.map((action) => `${action} / ${Sid}`)),
    ...new Set([...sudo.values()].flatMap((commands) => commands.map(nameOf))),
  ];
}

function nameOf({ method, rules }: { readonly method: string; readonly rules: readonly string[] }): string {
  return `${method} / ${rules[0] ?? ""}`;
}

export function sudoersText(rules: readonly string[]): string {
  return rules.map((rule) => `ops ALL=(root) NOPASSWD: ${rule}\n`).join("");
}

function enforce(
  sim: Simulation,
  { iam, sudo }: LeastRights,
  {
    without,
    used,
    refused,
    heard,
  }: {
    readonly without: string | undefined;
    readonly used: Set<string>;
    readonly refused: string[];
    readonly heard: How["heard"];
  },
): void {
  sim.lab.cloud.policy = {
    ...iam,
    Statement: iam.Statement.map((each) => ({
      ...each,
      Action: each.Action.filter((action) => `${action} / ${each.Sid}` !== without),
    })),
    heard: ({ action, resource }, by) => {
      if (by) used.add(`${action} / ${by.Sid ?? ""}`);
      else refused.push(`${action} on ${resource}`);
    },
  };
  const lists = new Map<string, Sudoers>();
  const names = new Map<string, string>();
  for (const [node, commands] of sudo) {
    const granted = commands.filter((command) => nameOf(command) !== without);
    lists.set(node, readSudoers(sudoersText(granted.flatMap(({ rules }) => rules)), "ops"));
    for (const command of commands)
      for (const rule of command.rules) names.set(sudoersText([rule]).trimEnd(), nameOf(command));
  }
  const nothing = readSudoers("", "ops");
  const { shell } = sim.lab;
  shell.run = withSudo(
    shell.run.bind(shell),
    (node) => lists.get(node) ?? nothing,
    (node, argv, by) => {
      heard?.(argv);
      if (by === undefined) refused.push(`${node}: ${argv.join(" ")}`);
      else used.add(names.get(by) ?? by);
    },
  );
}

/** Each once: a script by its name and first argument, a command by its first words, an operation of the cloud by its name. */
function writesIn(sim: Simulation, from: number): Enforced["writes"] {
  const rows = sim.lab.heart.received.slice(from);
  const seen = new Set<string>();
  return rows.flatMap((row, i) => {
    if (row.class !== "write" || /renewMarker|renew-dead-man/.test(row.line)) return [];
    const words = row.to === "cloud" ? (row.operation ?? "") : row.line.split(" ").slice(0, 2).join(" ");
    const key = `${row.node ?? ""} ${words}`;
    if (seen.has(key)) return [];
    seen.add(key);
    if (row.node !== undefined) return [{ match: nameless(words), skip: 0, node: row.node }];
    // Dry runs are of the same operation.
    return [
      { match: `/^${words}$/`, skip: rows.slice(0, i).filter(({ operation }) => operation === words).length },
    ];
  });
}

/** A run has another id each time. */
const nameless = (words: string) => (words.startsWith("runbook-") ? (words.split(" ")[0] ?? words) : words);

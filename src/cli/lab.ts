/** `runbook lab …`: starts, shows, breaks and ends the lab. The world itself is a process of its own (lab-home.ts). */
import { Option, type Command } from "commander";
import { sleepReal } from "../drivers/clock/system.ts";
import { quote } from "../drivers/ssh/quote.ts";
import { Failure } from "../errors.ts";
import {
  labClient,
  type FaultSpec,
  type LabClient,
  type LabInfo,
  type PersonsAnswer,
  type ToldFault,
} from "../lab/client.ts";
import { defaultPace, ensureLab, findLab, stopLab, type LabStartOptions } from "./lab-home.ts";
import { parsePasted, type PastedLine } from "./lab-paste.ts";
import { logText, statusText, table } from "./lab-text.ts";

export function registerLab(program: Command, home: () => string): void {
  const lab = program
    .command("lab")
    .description("the lab: an emulated cluster and cloud to try anything on; alone it shows its state")
    .argument("[command]")
    .usage("[options] [command]")
    .action(async (unknown: string | undefined) => {
      if (unknown === undefined) return status(home(), {});
      throw new Failure("invalid", `there is no command "${unknown}" in runbook lab`, {
        hint: "`runbook lab --help` lists them",
      });
    });
  worldOptions(lab.command("up").description("start the lab in the background, unless one is up")).action(
    (options: LabStartOptions) => up(home(), options),
  );
  lab
    .command("down")
    .description("end the lab; its world is gone")
    .action(() => down(home()));
  lab
    .command("status")
    .description("show the lab's world: nodes, groups, mirrors, snapshots, volumes")
    .option("--json", "machine-readable output")
    .action((options: { json?: true }) => status(home(), options));
  lab
    .command("log")
    .description("show what the lab received and what happened in it, in the lab's own words")
    .option("--writes", "what was received and meant a change")
    .option("--effects", "what changed, whoever caused it")
    .option("--clients", "also that the clients of the service go on writing")
    .addOption(
      new Option("--since <n>", "only what came after this entry").argParser(wholeFrom("--since", 0)),
    )
    .option("--follow", "go on showing what comes (end it with Ctrl-C)")
    .option("--json", "machine-readable output, an entry a line")
    .action((options: LogOptions) => showLog(home(), options));
  lab
    .command("fault")
    .description("let commands or cloud calls go wrong: those whose text holds MATCH (or fits /REGEX/)")
    .argument("[match]", "as clpgrp, or CreateSnapshots")
    .argument("[action]", "what happens to them: fail-before, lose-after, hang, throttle, …")
    .option("--node <node>", "only on this node")
    .addOption(new Option("--times <n>", "how often: a number, or forever").argParser(timesOf).default(1))
    .addOption(
      new Option("--skip <n>", "how many pass unharmed first").argParser(wholeFrom("--skip", 0)).default(0),
    )
    .option("--list", "show the faults that wait to strike")
    .option("--clear", "take all of them back")
    .option("--json", "machine-readable output")
    .action((match: string | undefined, action: string | undefined, options: FaultOptions) =>
      fault(home(), match, action, options),
    );
  lab
    .command("do")
    .description(
      "be another operator's hand, or fate's: failover, reboot NODE, power-off NODE, isolate NODE, rejoin NODE, " +
        "cut NODE, mend NODE, move GROUP [NODE], write PATH TEXT, delete PATH, files",
    )
    .argument("<hand>")
    .argument("[words...]")
    .option("--cluster <name>", "the cluster that is meant, where no node says it")
    .action(async (hand: string, words: readonly string[], { cluster }: { cluster?: string }) => {
      const { said } = await (await open(home())).client.hand(hand, words, cluster);
      process.stdout.write(`${said}\n`);
    });
  lab
    .command("exec")
    .description("type a command on a node, as a person at its console: lab exec NODE -- COMMAND")
    .argument("<node>")
    .argument("<command...>")
    .action((node: string, words: readonly string[]) => exec(home(), node, words));
  lab
    .command("paste")
    .description(
      "type the lines of standard input one after the other: ssh NODE 'COMMAND', NODE: COMMAND, aws ec2 …",
    )
    .action(() => paste(home()));
  worldOptions(lab.command("serve", { hidden: true })).action(async (options: LabStartOptions) => {
    await (await import("./lab-serve.ts")).serve(home(), options);
  });
}

function worldOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--pace <n>", "seconds of the world in one real second")
        .argParser(numberIn("--pace", 0.01, 100_000))
        .default(defaultPace),
    )
    .addOption(
      new Option("--mirrors <n>", "mirrored disks of each cluster: 1 or 3").argParser(
        oneOf("--mirrors", [1, 3]),
      ),
    )
    .option("--xen", "instances of an older type, whose disks have letters and no NVMe names")
    .option("--lvm", "mirrors on logical volumes, and LVM that sees listed devices only")
    .addOption(
      new Option("--snapshot-seconds <n>", "how long a snapshot takes to complete").argParser(
        numberIn("--snapshot-seconds", 0, 1e7),
      ),
    )
    .addOption(
      new Option("--list-lag-seconds <n>", "how late the cloud's lists show what is new").argParser(
        numberIn("--list-lag-seconds", 0, 1e5),
      ),
    )
    .addOption(
      new Option("--lose-replies <p>", "probability, 0 to 1, that the answer to a write is lost").argParser(
        numberIn("--lose-replies", 0, 1),
      ),
    )
    .addOption(
      new Option("--copy-seconds <n>", "how long the copy of a mirror takes").argParser(
        numberIn("--copy-seconds", 0, 1e7),
      ),
    )
    .addOption(new Option("--seed <n>", "the world's dice").argParser(wholeFrom("--seed", 1)));
}

// Up, down, state.

async function up(home: string, options: LabStartOptions): Promise<void> {
  const before = await findLab(home);
  const info = await ensureLab(home, options);
  const say = (text: string) => process.stdout.write(`${text}\n`);
  if (before) say("A lab is up already, and keeps its settings (`runbook lab down` ends it).");
  say(`The lab is up; its world turns at ${info.pace} times real time.`);
  for (const [name, { nodes }] of Object.entries(info.clusters)) {
    say(`Cluster ${name}${name === info.default ? " (the default)" : ""}`);
    const rows = Object.entries(nodes).map(([node, { address, port, user, identity, knownHosts }]) => [
      node,
      `ssh -i ${shown(identity)} -o ${shown(`UserKnownHostsFile=${knownHosts}`)} -p ${port} ${user}@${address} COMMAND`,
    ]);
    for (const line of table(rows)) say(line);
  }
  say("Look at it with `runbook lab status`; try `runbook plan backup-standby --lab`.");
}

/** As a person would type it: quotes only where a shell needs them. */
function shown(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : quote([word]);
}

async function down(home: string): Promise<void> {
  process.stdout.write((await stopLab(home)) ? "The lab has ended.\n" : "No lab was up.\n");
}

async function status(home: string, { json }: { readonly json?: true }): Promise<void> {
  const { client, info } = await open(home);
  const state = await client.status();
  process.stdout.write(json ? `${JSON.stringify(state, null, 2)}\n` : statusText(state, info.default));
}

interface LogOptions {
  readonly writes?: true;
  readonly effects?: true;
  readonly clients?: true;
  readonly since?: number;
  readonly follow?: true;
  readonly json?: true;
}

async function showLog(home: string, options: LogOptions): Promise<void> {
  const { client } = await open(home);
  let since = options.since ?? 0;
  for (;;) {
    const { entries, last } = await client.log({
      since,
      writes: options.writes ?? false,
      effects: options.effects ?? false,
      clients: options.clients ?? false,
    });
    since = last;
    process.stdout.write(
      options.json ? entries.map((entry) => `${JSON.stringify(entry)}\n`).join("") : logText(entries),
    );
    if (!options.follow) return;
    await sleepReal(500);
  }
}

// Breaking it.

interface FaultOptions {
  readonly node?: string;
  readonly times: number | "forever";
  readonly skip: number;
  readonly list?: true;
  readonly clear?: true;
  readonly json?: true;
}

async function fault(
  home: string,
  match: string | undefined,
  action: string | undefined,
  options: FaultOptions,
): Promise<void> {
  const { client } = await open(home);
  const print = (value: unknown, text: string) =>
    process.stdout.write(`${options.json ? JSON.stringify(value) : text}\n`);
  if (options.clear) {
    const { cleared } = await client.clearFaults();
    print({ cleared }, cleared === 0 ? "There were no faults." : `Faults taken back: ${cleared}.`);
    return;
  }
  if (options.list || match === undefined) {
    const faults = await client.faults();
    print(faults, faults.length === 0 ? "No fault waits to strike." : faults.map(faultText).join("\n"));
    return;
  }
  if (action === undefined)
    throw new Failure("invalid", `what is to happen to "${match}" is not said`, {
      hint: `write for example \`runbook lab fault ${match} lose-after\``,
    });
  const { node, times, skip } = options;
  const spec: FaultSpec = { match, action, times, skip, ...(node !== undefined && { node }) };
  const told = await client.addFault(spec);
  print(told, faultText(told));
}

function faultText({ id, match, action, node, left, skip }: ToldFault): string {
  const where = node === undefined ? "" : ` on ${node}`;
  const often = left === "forever" ? "always" : left === 1 ? "once" : `${left} times`;
  return `fault ${id}: ${match}${where} → ${action}, ${often}${skip > 0 ? `, after ${skip} unharmed` : ""}`;
}

// A person at the console.

async function exec(home: string, node: string, words: readonly string[]): Promise<void> {
  const { client } = await open(home);
  // One word is a line for the node's shell; several are a command with its arguments, to be kept as they are.
  const answer = await client.exec(words.length === 1 ? (words[0] ?? "") : quote(words), node);
  process.stdout.write(answer.stdout);
  process.stderr.write(answer.stderr);
  process.exitCode = exitOf(answer, node);
}

function exitOf({ code, signal }: PersonsAnswer, node: string): number {
  if (code !== null) return code;
  process.stderr.write(
    signal === null
      ? `runbook: ${node} went away in the middle of the command; no exit status came\n`
      : `runbook: the command was ended by signal ${signal}\n`,
  );
  return 255;
}

async function paste(home: string): Promise<void> {
  const { client, info } = await open(home);
  const names = Object.values(info.clusters).flatMap(({ nodes }) => Object.keys(nodes));
  // All are read before the first is typed, so that a line nobody understands stops everything while nothing is done.
  const lines = parsePasted(await readStdin(), names);
  let failed = 0;
  for (const line of lines) {
    await waitUntilSettled(client);
    process.stdout.write(`${line.node === undefined ? "" : `${line.node}: `}${line.command}\n`);
    if (!(await typed(client, line))) failed += 1;
  }
  await waitUntilSettled(client);
  if (failed > 0) process.exitCode = 1;
}

async function typed(client: LabClient, { node, command }: PastedLine): Promise<boolean> {
  const answer = await client.exec(command, node);
  process.stdout.write(answer.stdout);
  process.stdout.write(answer.stderr);
  if (answer.code === 0) return true;
  const ended =
    answer.code !== null
      ? `exit status ${answer.code}`
      : answer.signal !== null
        ? `ended by signal ${answer.signal}`
        : "no exit status: the node went away in the middle of it";
  process.stdout.write(`  (${ended})\n`);
  return false;
}

async function waitUntilSettled(client: LabClient): Promise<void> {
  const { settled, busy } = await client.settle();
  if (!settled)
    process.stderr.write(`runbook: still under way, and not waited for any longer: ${busy.join("; ")}\n`);
}

async function readStdin(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

async function open(home: string): Promise<{ readonly info: LabInfo; readonly client: LabClient }> {
  const info = await findLab(home);
  if (!info)
    throw new Failure("unavailable", "the lab is not up", { hint: "start it with `runbook lab up`" });
  return { info, client: labClient(info) };
}

// Words into numbers.

function numberIn(option: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= least && value <= most))
      throw new Failure("invalid", `${option} is "${text}"; wanted a number from ${least} to ${most}`);
    return value;
  };
}

function wholeFrom(option: string, least: number): (text: string) => number {
  return (text) => {
    if (!/^[0-9]{1,9}$/.test(text) || Number(text) < least)
      throw new Failure("invalid", `${option} is "${text}"; wanted a whole number from ${least}`);
    return Number(text);
  };
}

function oneOf(option: string, values: readonly number[]): (text: string) => number {
  return (text) => {
    const value = values.find((each) => String(each) === text);
    if (value === undefined)
      throw new Failure("invalid", `${option} is "${text}"; wanted ${values.join(" or ")}`);
    return value;
  };
}

function timesOf(text: string): number | "forever" {
  return text === "forever" ? text : wholeFrom("--times", 1)(text);
}

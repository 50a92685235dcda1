/** The command line. Only commander and chalk are loaded here; every command loads what it needs when it is called. */
import { Command, CommanderError, Option } from "commander";

import { complain, exitCodes, exitHelp } from "./exit.ts";
import { productVersion } from "./product.ts";
import { guardStreams } from "./secrets.ts";

const inLab = () =>
  new Option("--lab", "use the lab: an emulated cluster and cloud; it is started if none is up");
const pace = () =>
  new Option(
    "--pace <n>",
    "with --lab: how fast a lab that is started here turns (60: a minute is a second)",
  );
const inventory = () =>
  new Option(
    "--inventory <file>",
    "the inventory (else $RUNBOOK_INVENTORY, else runbook.yaml here or above)",
  );
const json = () => new Option("--json", "machine-readable output");
const params = () =>
  new Option("--param <name=value>", "a parameter of the runbook; may be given again").argParser(
    (value: string, before: string[] | undefined) => [...(before ?? []), value],
  );
const onFailure = (otherwise?: string) => {
  const option = new Option("--on-failure <policy>", "what to do when nobody can be asked").choices([
    "give-back",
    "hold",
  ]);
  return otherwise === undefined ? option.default("give-back") : option.default(undefined, otherwise);
};
const yes = () => new Option("--yes", 'answer "go on?" with yes; no check is ever skipped');

const tellHelp = `
Verbs:
  pause      nothing new begins; what is under way lands, and the dead-man timer runs down
  resume     goes on after a pause
  retry      a failed step is tried again; skip leaves it out, where it may be
  approve    the step that waits for a yes has it
  give-back  everything is given back, the service first
  stop       the run is left as it is, to be resumed later`;

type Action = (...args: never[]) => Promise<number>;

/** The exit code is the command's answer; whatever it throws becomes one clear message. */
function act(load: () => Promise<Action>): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    try {
      const action = await load();
      process.exitCode = await action(...(args as never[]));
    } catch (thrown) {
      process.exitCode = complain(thrown, (text) => process.stderr.write(text));
    }
  };
}

async function build(argv: readonly string[]): Promise<Command> {
  const program = new Command("runbook")
    .description(
      "HA cluster snapshot backup, restore and drill, as runbooks that can be reviewed, interrupted and trusted",
    )
    .version(productVersion(), "-V, --version")
    .addHelpText("afterAll", `\n${exitHelp}`)
    .configureOutput({ outputError: (text, write) => write(inOurWords(text)) })
    .exitOverride();

  program
    .command("init [file]")
    .description("write an inventory by asking a node and the cloud; nothing there is changed")
    .addOption(
      new Option(
        "--node <host>",
        "a node to ask: HOST, USER@HOST or USER@HOST:PORT; given twice, both (with --lab: its name there)",
      ).argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]),
    )
    .addOption(new Option("--user <name>", "as whom to log in to the nodes"))
    .addOption(new Option("--identity <file>", "the private key to log in with"))
    .addOption(new Option("--port <n>", "the port of the nodes' SSH servers"))
    .addOption(new Option("--known-hosts <file>", "the known_hosts file that has their host keys"))
    .addOption(new Option("--jump <gateway>", "the way there, as HOST, USER@HOST or USER@HOST:PORT"))
    .addOption(new Option("--sudo", "commands on the nodes are run by `sudo -n`"))
    .addOption(
      new Option(
        "--region <region>",
        "the region of the instances (else that of AWS_REGION or of the profile)",
      ),
    )
    .addOption(new Option("--profile <name>", "a profile of ~/.aws"))
    .addOption(new Option("--endpoint <url>", "another address of the EC2 API"))
    .addOption(new Option("--schema", "also write the JSON Schema beside it, and name it in the first line"))
    .addOption(
      new Option("--add", "put the cluster into the inventory that is there; what it holds stays as it is"),
    )
    .addOption(new Option("--force", "write over a file that is there"))
    .addOption(inLab())
    .addOption(pace())
    .action(act(async () => (await import("./init.ts")).init));
  program
    .command("list")
    .description("the runbooks that can be run from here")
    .addOption(json())
    .action(act(async () => (await import("./list.ts")).list));
  program
    .command("doctor [cluster]")
    .description("check, without changing anything, whether a runbook could run now")
    .addOption(
      new Option("--runbook <name>", "the runbook whose checks are played").default("backup-standby"),
    )
    .addOption(
      new Option(
        "--policy [runbooks]",
        "print the least rights that these runbooks need, commas between their names; all without",
      ),
    )
    .addOption(params())
    .addOption(inLab())
    .addOption(pace())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./doctor.ts")).doctor));
  program
    .command("plan <runbook> [cluster]")
    .description("show what a run would do, step by step, without changing anything")
    .addOption(params())
    .addOption(new Option("--out <file>", "write the plan to a file, for review and for `runbook run FILE`"))
    .addOption(new Option("--full", "show long scripts in full"))
    .addOption(inLab())
    .addOption(pace())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./plan.ts")).plan));
  program
    .command("run <runbook-or-plan> [cluster]")
    .description("run a runbook, or a plan that was written with --out")
    .addOption(params())
    .addOption(
      new Option(
        "--approval <file>",
        "an approval that does not lie beside the plan; may be given again",
      ).argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]),
    )
    .addOption(onFailure())
    .addOption(yes())
    .addOption(inLab())
    .addOption(pace())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./run.ts")).run));
  program
    .command("approve <plan>")
    .description("sign a plan file with your SSH key, so that it may be run")
    .addOption(new Option("--key <file>", "the private key, or the public half of one that the agent holds"))
    .addOption(new Option("--as <name>", "your name as the inventory's file of allowed signers has it"))
    .addOption(new Option("--why <text>", "the reason; it is needed, and kept"))
    .addOption(new Option("--hours <n>", "for how long the approval is good (else 24)"))
    .action(act(async () => (await import("./approve.ts")).approve));
  program
    .command("drill [point] [cluster]")
    .description(
      "restore a recovery point (the newest, unless named) on the scratch node, check it, throw it away",
    )
    .addOption(onFailure())
    .addOption(yes())
    .addOption(inLab())
    .addOption(pace())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./run.ts")).drill));
  program
    .command("status [run]")
    .description("what is running or interrupted, with its open exposures and since when")
    .addOption(
      new Option(
        "--check",
        "for monitoring: whether a backup or a drill of a cluster (named in the place of a run) is overdue; " +
          "exits 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN",
      ),
    )
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./status.ts")).status));
  program
    .command("resume <run>")
    .description("go on with an interrupted run, after looking at what holds now")
    .addOption(onFailure("as the run was started"))
    .addOption(yes())
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./resume.ts")).resume));
  program
    .command("undo <run>")
    .description("give back what an interrupted, held or stuck run took")
    .addOption(new Option("--why <text>", "the reason; it is kept"))
    .addOption(yes())
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./resume.ts")).undo));
  program
    .command("tell <run> <verb>")
    .description("say a word to a run that is at work in another terminal")
    .addHelpText("after", () => tellHelp)
    .addOption(new Option("--why <text>", "the reason; it is needed, and kept"))
    .addOption(new Option("--wait <seconds>", "how long to wait for the answer (else 30)"))
    .addOption(inLab())
    .action(act(async () => (await import("./tell.ts")).tell));
  program
    .command("hold [cluster]")
    .description("let nothing new begin on a cluster, or in its cloud; without --why, list what is held")
    .addOption(new Option("--why <text>", "the reason; it is needed, and kept"))
    .addOption(new Option("--cloud", "hold the cluster's cloud: its region, for every cluster in it"))
    .addOption(new Option("--end", "end the hold"))
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./hold.ts")).hold));
  program
    .command("runs")
    .description("all runs, newest first")
    .addOption(inLab())
    .addOption(json())
    .action(act(async () => (await import("./status.ts")).runs));
  program
    .command("show <run>")
    .description("everything that a run printed, again from its journal")
    .addOption(inLab())
    .addOption(json())
    .action(act(async () => (await import("./show.ts")).show));
  program
    .command("report <run>")
    .description("a run as one file to hand on: what was done, when, by whom, and what was proven")
    .addOption(new Option("--lang <lang>", "its language").choices(["en", "ja"]).default("en"))
    .addOption(
      new Option("--format <format>", "one HTML file, or Markdown").choices(["html", "md"]).default("html"),
    )
    .addOption(new Option("--out <file>", "where it is written (else RUN.html or RUN.md here; - prints it)"))
    .addOption(new Option("--force", "write over a file that is there"))
    .addOption(inLab())
    .action(act(async () => (await import("./report.ts")).report));
  const evidence = program
    .command("evidence <run>")
    .description("a run as a folder that a stranger can verify: plan, journal, reports, the runbook's source")
    .addOption(new Option("--out <folder>", "the folder that is made (else RUN-evidence here)"))
    .addOption(new Option("--sign <keyfile>", "sign it with this SSH key, by ssh-keygen"))
    .addOption(inLab())
    .action(act(async () => (await import("./evidence.ts")).evidence));
  evidence
    .command("verify <folder>")
    .description("verify such a folder, and name what was changed: exits 0, or 4 with what was found")
    .addOption(new Option("--head <n:hash>", "a head that was kept elsewhere: rows that were cut off show"))
    .addOption(new Option("--allowed-signers <file>", "whose key is which, as ssh-keygen reads it"))
    .addOption(new Option("--signer <name>", "whose signature it must have, as that file names them"))
    .action(act(async () => (await import("./evidence.ts")).verify));
  program
    .command("points [cluster]")
    .description("recovery points: how consistent, tested how, locked until when")
    .addOption(new Option("--rebuild", "make the view again from the cloud alone"))
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./points.ts")).points));
  program
    .command("sweep [cluster]")
    .description("what is left over and costs money or is in the way, without changing anything")
    .addOption(inLab())
    .addOption(inventory())
    .addOption(json())
    .action(act(async () => (await import("./sweep.ts")).sweep));
  program
    .command("new <name>")
    .description("write ./runbooks/NAME.ts: a small runbook with comments, or a copy of another one")
    .addOption(new Option("--from <runbook>", "the runbook that is copied, with the files that it imports"))
    .addOption(
      new Option("--force", "write over a file that is there, or take the place of a runbook of the product"),
    )
    .action(act(async () => (await import("./new.ts")).newRunbook));
  program
    .command("lint [runbooks...]")
    .description("check runbooks, by name or file, on every path that a run could take; no cluster is needed")
    .addOption(json())
    .action(act(async () => (await import("./lint.ts")).lint));
  program
    .command("graph <runbook>")
    .description("a runbook as a picture, or the state machine that a run of it walks")
    .addOption(params())
    .addOption(
      new Option(
        "--format <format>",
        "mermaid (a state diagram), svg (a picture), xstate (JSON for XState's tools)",
      )
        .choices(["mermaid", "svg", "xstate"])
        .default("mermaid"),
    )
    .addOption(new Option("--out <file>", "write it to a file"))
    .action(act(async () => (await import("./graph.ts")).graph));
  program
    .command("schema")
    .description("the JSON Schema of the inventory, for editors")
    .action(act(async () => (await import("./schema.ts")).schema));
  // The lab's own commands bring more imports than --help should pay for.
  if (argv[2] === "lab" || (argv[2] === "help" && argv[3] === "lab")) {
    const { registerLab } = await import("./lab.ts");
    const { runbookHome } = await import("./home.ts");
    registerLab(program, runbookHome);
  } else {
    program.command("lab").description("the lab: up, down, status, log, fault, … (see `runbook lab --help`)");
  }
  pointToHelp(program, "runbook");
  return program;
}

/** A wrong word on the command line is told like everything else: one line on what is wrong, one on what to do. */
function inOurWords(text: string): string {
  return text.replace(/^error: /, "runbook: ").replace(/\n\(/, " (");
}

function pointToHelp(command: Command, words: string): void {
  command.showHelpAfterError(`  \`${words} --help\` lists what it takes`);
  for (const inner of command.commands) pointToHelp(inner, `${words} ${inner.name()}`);
}

guardStreams([process.stdout, process.stderr], process.env);

// What nobody caught is told like everything else, without a stack, and never ends as "given back" (Node's own 1).
process.on("uncaughtException", (thrown) => {
  complain(thrown, (text) => process.stderr.write(text));
  process.exit(exitCodes.stuck);
});

// A reader that leaves early (`| head -1`) must not stop a run, nor make it look like a mistake of ours: what a run
// printed can be had again from its journal. Any other trouble with the output is told, where that is still possible.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE" || stream === process.stderr) return;
    process.stderr.write(`runbook: the output cannot be written: ${error.code ?? error.message}\n`);
    process.exitCode ??= exitCodes.refused;
  });
}

try {
  const program = await build(process.argv);
  await program.parseAsync(process.argv);
} catch (thrown) {
  if (thrown instanceof CommanderError)
    process.exitCode = thrown.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  else process.exitCode = complain(thrown, (text) => process.stderr.write(text));
}

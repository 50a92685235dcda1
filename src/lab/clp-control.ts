/**
 * clpgrp, clpmonctrl, clpmdctrl, clpcl, clpdown, clpstdn (reference clusterpro 3.2 to 3.6, 3.10). "Command succeeded.",
 * "md1: Isolated completed successfully" and "Start SRV : Command succeeded." are verbatim; failure texts are the
 * reference's from memory; everything else is invented.
 */
import { gapIn } from "./command-words.ts";
import type { GroupAnswer, Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { CommandFunction, Context } from "./process.ts";

const succeeded = "Command succeeded.\n";

/** One control command a node at a time; a second one is told so (rule 12). */
export async function exclusively(
  member: Member,
  context: Context,
  act: () => Promise<number>,
): Promise<number> {
  if (member.controlled) {
    context.out("Command is already running. Try again later.\n");
    return 128;
  }
  member.controlled = true;
  const { boots } = member.node;
  try {
    return await act();
  } finally {
    // After a boot the lock belongs to whoever came then.
    if (member.node.boots === boots) member.controlled = false;
  }
}

interface Words {
  readonly flags: readonly string[];
  readonly values: { readonly [option: string]: string };
  readonly rest: readonly string[];
}

/** Options of the product: each a word of its own, some with a value that may be left out. */
function read(
  args: readonly string[],
  flags: readonly string[],
  valued: readonly string[],
): Words | undefined {
  const found: { flags: string[]; values: { [option: string]: string }; rest: string[] } = {
    flags: [],
    values: {},
    rest: [],
  };
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] as string;
    if (valued.includes(arg)) {
      const value = args[index + 1];
      if (value === undefined || value.startsWith("-")) return undefined;
      found.values[arg] = value;
      index += 1;
    } else if (flags.includes(arg)) found.flags.push(arg);
    else if (arg.startsWith("-")) return undefined;
    else found.rest.push(arg);
  }
  return found;
}

function fail(context: Context, text: string, code = 1): number {
  context.out(`${text}\n`);
  return code;
}

const notConnected = "Could not connect to the server. Check if the cluster service is active.";

function answered(context: Context, answer: GroupAnswer): number {
  if (!answer.ok) return fail(context, answer.text);
  context.out(succeeded);
  return 0;
}

export function controlCommands(
  cluster: LabCluster,
  member: Member,
): { readonly [name: string]: CommandFunction } {
  const via = member.node.name;

  const clpgrp: CommandFunction = async (context) => {
    const words = read(context.argv.slice(1), ["-s", "-t", "-m", "-n", "-f"], ["-h", "-a", "--apito"]);
    const verbs = words?.flags.filter((flag) => flag !== "-f") ?? [];
    if (!words || verbs.length !== 1 || words.rest.length > 1) return fail(context, "Invalid option.");
    const [verb] = verbs;
    const [name] = words.rest;
    if (member.core === "stopped") return fail(context, notConnected);
    if (name !== undefined && !cluster.group(name))
      return fail(context, "Invalid group name. Specify a valid group name in the cluster.");
    if (verb === "-n") {
      if (name === undefined) return fail(context, "Invalid option.");
      const node = [...cluster.placesOf(name, via)].find(
        ([, place]) => place === "online" || place === "stopping",
      )?.[0];
      if (node !== undefined) context.out(`${node}\n`);
      return 0;
    }
    for (const option of ["-h", "-a"])
      if (words.values[option] !== undefined && !cluster.names.includes(words.values[option]))
        return fail(context, "Invalid server name. Specify a valid server name in the cluster.");
    if (cluster.suspended)
      return fail(context, "The cluster is suspended. Resume the cluster and try again.");
    const target = words.values["-h"] ?? via;
    return exclusively(member, context, async () => {
      const names = name === undefined ? cluster.groups.map((group) => group.name) : [name];
      let last: GroupAnswer = { ok: true };
      for (const group of names) {
        if (verb !== "-m" && !cluster.sees(via, target))
          return fail(context, "Server is not active. Check if the cluster service is active.");
        // With -h a move is for the group that runs there; the text is invented.
        const source = words.values["-h"];
        if (verb === "-m" && source !== undefined && cluster.nodeOf(group) !== source)
          return fail(context, "The group is not started on the specified server.");
        if (verb === "-s") {
          const refused = cluster.control.refusesStart(group, target, via);
          if (refused !== undefined) return fail(context, refused);
        }
        const { cause } = context.process;
        const act =
          verb === "-s"
            ? cluster.startGroup(group, target, cause)
            : verb === "-t"
              ? stop(group, target, words.values["-h"] !== undefined, context)
              : cluster.moveGroup(
                  group,
                  words.values["-a"] ?? cluster.peerOf(cluster.nodeOf(group) ?? via).node.name,
                  cause,
                );
        last = await context.process.orDeath(act);
        if (!last.ok) break;
      }
      return answered(context, last);
    });
  };

  /** Without -h a stop is for this node (reference clusterpro 3.4). */
  async function stop(group: string, target: string, named: boolean, context: Context): Promise<GroupAnswer> {
    const places = cluster.placesOf(group, via);
    if (!places.has(target) && places.size > 0)
      return {
        ok: false,
        text: named
          ? "The group has already been stopped."
          : "The group has already been started on the other server.",
      };
    return cluster.stopGroup(group, target, context.process.cause);
  }

  const clpmonctrl: CommandFunction = async (context) => {
    const args = context.argv.slice(1);
    const monitors: string[] = [];
    // -m takes several names.
    const rest: string[] = [];
    for (let index = 0; index < args.length; index += 1) {
      if (args[index] !== "-m") rest.push(args[index] as string);
      else
        while (args[index + 1] !== undefined && !args[index + 1]?.startsWith("-"))
          monitors.push(args[(index += 1)] as string);
    }
    const unmodelled = rest.find((word) => ["-c", "-e", "-n"].includes(word));
    if (unmodelled !== undefined) gapIn(context, `option ${unmodelled}`);
    const words = read(rest, ["-s", "-r", "-v"], ["-h", "-w"]);
    if (!words || words.flags.length !== 1 || words.rest.length > 0)
      return fail(context, "Invalid option.", 2);
    if (member.core === "stopped") return fail(context, notConnected, 10);
    if (member.core === "waiting") return fail(context, "The cluster is waiting for synchronization.", 12);
    const all = cluster.confOf(member).monitors.map(({ name }) => name);
    if (monitors.some((name) => !all.includes(name)))
      return fail(
        context,
        "Invalid monitor resource name. Specify a valid monitor resource name in the cluster.",
        6,
      );
    if (words.flags[0] === "-v") {
      for (const name of monitors.length > 0 ? monitors : all)
        context.out(`Resource : ${name} Restart 0 Failover 0\n`);
      return 0;
    }
    const target = words.values["-h"] ?? via;
    if (!cluster.names.includes(target))
      return fail(context, "Invalid server name. Specify a valid server name in the cluster.", 2);
    return exclusively(member, context, async () => {
      if (cluster.suspended) return fail(context, "The cluster is suspended.", 11);
      if (!cluster.sees(via, target))
        return fail(context, "Server is not active. Check if the cluster service is active.", 10);
      await context.sleep(cluster.times.suspendMs);
      if (!cluster.sees(via, target))
        return fail(context, "Internal communication timeout has occurred in the cluster server.", 90);
      context.change(() =>
        cluster.setSuspended(target, monitors.length > 0 ? monitors : all, words.flags[0] === "-s"),
      );
      context.out(succeeded);
      return 0;
    });
  };

  const clpmdctrl: CommandFunction = async (context) => {
    const [, verb = "", ...args] = context.argv;
    const verbs: { readonly [option: string]: "break" | "recovery" | "force" | "cancel" | "wait" } = {
      "--break": "break",
      "-b": "break",
      "--recovery": "recovery",
      "-r": "recovery",
      "--force": "force",
      "-f": "force",
      "--cancel": "cancel",
      "-c": "cancel",
      "--rwait": "wait",
      "-w": "wait",
    };
    if (/^(--active|-a|--deactive|-d|--resize|--nosync|--sync|--compress|--updatekey)$/.test(verb))
      gapIn(context, `option ${verb}`);
    const known = verbs[verb];
    const words = read(args, ["-rcancel"], ["-timeout"]);
    if (!known || !words || words.rest.length < 1 || words.rest.length > (known === "force" ? 2 : 1))
      return fail(context, "Invalid option.");
    const name = words.rest.at(-1) as string;
    const winner = words.rest.length === 2 ? (words.rest[0] as string) : via;
    const mirror = cluster.mirrors.find((each) => each.name === name);
    if (!mirror) return fail(context, "Invalid mirror disk name. Specify a valid mirror disk name.");
    if (!cluster.names.includes(winner))
      return fail(context, "Invalid server name. Specify a valid server name in the cluster.");
    if (!member.agent)
      return fail(context, "Mirror agent is not running. Check if the mirror agent is active.");
    const invalid = () => fail(context, `The status of ${name} is invalid.`);
    if (known === "wait") {
      const limit = Number(words.values["-timeout"] ?? Infinity) * 1000;
      const begin = cluster.now();
      while (mirror.recovery && cluster.now() - begin < limit) await context.sleep(1000);
      if (!mirror.recovery) return mirror.status(via) === "Normal" ? succeed(context) : invalid();
      if (words.flags.includes("-rcancel")) context.change(() => mirror.cancel());
      return fail(context, "Timeout has occurred.");
    }
    return exclusively(member, context, async () => {
      if (known === "force" && cluster.settings.forceAsks) {
        context.out("Do you execute forced mirror recovery? (Y/N): ");
        const answer = await context.process.orDeath(context.stdin.line());
        if (!/^y/i.test(answer?.text ?? "")) return fail(context, "Canceled.");
      }
      await context.sleep(cluster.times.breakMs);
      const done = context.change(() => {
        if (known === "break") return mirror.break(via);
        if (known === "recovery") return mirror.recover({ by: "mdctrl", on: via });
        return known === "force" ? mirror.force(winner, via) : mirror.cancel();
      });
      if (!done) return invalid();
      if (known === "break") {
        member.log("mdctrl", 34, `Isolating the mirror ${name} completed successfully.`);
        context.out(`${name}: Isolated completed successfully\n`);
      } else context.out(succeeded);
      return 0;
    });
  };

  function succeed(context: Context): number {
    context.out(succeeded);
    return 0;
  }

  const clpcl: CommandFunction = async (context) => {
    const words = read(
      context.argv.slice(1),
      [
        "-s",
        "-t",
        "-a",
        "-r",
        "--md",
        "--suspend",
        "--resume",
        "--force",
        "--alert",
        "--web",
        "--ib",
        "--api",
      ],
      ["-h"],
    );
    const verbs =
      words?.flags.filter((flag) => ["-s", "-t", "-r", "--suspend", "--resume"].includes(flag)) ?? [];
    if (!words || verbs.length !== 1 || words.rest.length > 0) return fail(context, "Invalid option.");
    const [verb] = verbs;
    const named = words.values["-h"];
    if (named !== undefined && !cluster.names.includes(named))
      return fail(context, "Invalid server name. Specify a valid server name in the cluster.");
    const all = words.flags.includes("-a");
    const agentOnly = words.flags.includes("--md");
    const targets = all ? cluster.members : [cluster.member(named ?? via)];
    return exclusively(member, context, async () => {
      if (verb === "-r") {
        // Restarting a service beside the core changes nothing that the lab models.
        await context.sleep(1000);
        return succeed(context);
      }
      if (verb === "--suspend" || verb === "--resume") {
        if (member.core !== "online") return fail(context, notConnected);
        await context.sleep(cluster.times.suspendMs);
        const suspend = verb === "--suspend";
        if (
          suspend &&
          !words.flags.includes("--force") &&
          cluster.members.some(({ node }) => !cluster.sees(via, node.name))
        )
          return fail(context, "Could not suspend the cluster. A server is not active.");
        context.change(() => cluster.setClusterSuspended(suspend));
        for (const name of cluster.names)
          context.out(`${suspend ? "Suspend" : "Resume"} ${name} : ${succeeded}`);
        return 0;
      }
      let status = 0;
      for (const target of targets) {
        const { name, alive } = target.node;
        const label = `${verb === "-s" ? "Start" : "Stop"} ${name} : `;
        if (!alive || (name !== via && cluster.partitioned)) {
          context.out(`${label}Could not connect to the server.\n`);
          status = 1;
          continue;
        }
        await context.sleep(cluster.times.startAgentMs);
        const text = await serve(context, verb === "-s", target, agentOnly, all);
        if (text !== undefined) status = 1;
        const shown = text ?? "Command succeeded.";
        context.out(all || named !== undefined ? `${label}${shown}\n` : `${shown}\n`);
      }
      return status;
    });
  };

  /** Starts or stops the service or the agent of one node; answers with the reason if it does not. */
  async function serve(
    context: Context,
    start: boolean,
    target: Member,
    agentOnly: boolean,
    all: boolean,
  ): Promise<string | undefined> {
    if (start && agentOnly)
      return context.change(() => cluster.service.startAgent(target))
        ? undefined
        : "Failed to start Mirror Agent.";
    if (start) {
      if (target.core !== "stopped") return "The cluster service has already been started.";
      context.change(() => cluster.service.startCore(target));
      return undefined;
    }
    if (agentOnly) {
      if (target.core !== "stopped") return "The cluster service is active.";
      context.change(() => cluster.service.stopAgent(target));
      return undefined;
    }
    if (target.core === "stopped") return "The cluster service has already been stopped.";
    await context.process.orDeath(context.change(() => cluster.service.stopCore(target, !all)));
    return undefined;
  }

  const down =
    (whole: boolean): CommandFunction =>
    async (context) => {
      const words = read(context.argv.slice(1), ["-r", "-a"], ["-h"]);
      if (!words || words.rest.length > 0) return fail(context, "Invalid option.");
      return exclusively(member, context, async () => {
        if (member.core === "stopped") return fail(context, notConnected);
        const reboot = words.flags.includes("-r") ? "reboot" : "off";
        const members = whole ? cluster.members.filter(({ node }) => cluster.sees(via, node.name)) : [member];
        // With the whole cluster going, groups stop and do not move.
        if (whole)
          await context.process.orDeath(
            Promise.all(members.map((each) => context.change(() => cluster.service.stopCore(each, false)))),
          );
        context.out(succeeded);
        context.change(() => {
          for (const each of members) each.node.shutDown(reboot, context.process.cause);
        });
        return 0;
      });
    };

  return { clpgrp, clpmonctrl, clpmdctrl, clpcl, clpdown: down(false), clpstdn: down(true) };
}

/**
 * The commands on configuration, units and logs: clpcfget, clpcfset, clpcfctrl, clpsvcctrl.sh, clplogcmd (reference
 * clusterpro 3.10, 3.11). Their texts are from memory or invented; what they do is to clp.conf itself.
 */
import { parseXml, selectXml, setXml, writeXml } from "./clp-conf.ts";
import { exclusively } from "./clp-control.ts";
import { clpmdstat, clpstat } from "./clp-status.ts";
import { backupCommands } from "./clp-backup.ts";
import { controlCommands } from "./clp-control.ts";
import { clusterUnits, confFile, type Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { CommandFunction, Context } from "./process.ts";

/** All commands of the product on one node. */
export function clusterCommands(
  cluster: LabCluster,
  member: Member,
): { readonly [name: string]: CommandFunction } {
  return {
    clpstat: (context) => clpstat(cluster, member, context),
    clpmdstat: (context) => clpmdstat(cluster, member, context),
    ...controlCommands(cluster, member),
    ...backupCommands(cluster, member),
    ...setupCommands(cluster, member),
  };
}

function setupCommands(cluster: LabCluster, member: Member): { readonly [name: string]: CommandFunction } {
  const { node } = member;
  const fail = (context: Context, text: string) => {
    context.out(`${text}\n`);
    return 1;
  };

  const clpcfget: CommandFunction = (context) => {
    const [, option, path = ""] = context.argv;
    const root = node.files.find(confFile)?.kind === "file" ? parseXml(node.files.read(confFile)) : undefined;
    if (!root) return fail(context, "Invalid configuration data. Check the cluster configuration data.");
    const inner = path.replace(/^\/root\/?/, "");
    if ((option !== "-g" && option !== "-e") || inner === path) return fail(context, "Invalid option.");
    const found = selectXml(root, inner);
    if (found.length === 0) return fail(context, "Invalid config path.");
    if (option === "-g") context.out(`${found[0]?.text ?? ""}\n`);
    else for (const each of found) context.out(`${each.attributes["name"] ?? each.text}\n`);
    return 0;
  };

  /** clpcfset add rscparam TYPE NAME PATH VALUE, on the clp.conf in the working folder. */
  const clpcfset: CommandFunction = (context) => {
    const [, verb, what, type = "", name = "", path = "", value = ""] = context.argv;
    if (verb !== "add" || what !== "rscparam" || context.argv.length !== 7)
      return fail(context, "Invalid option.");
    const file = context.path("clp.conf");
    const root = node.files.find(file)?.kind === "file" ? parseXml(node.files.read(file)) : undefined;
    if (!root) return fail(context, "Could not open clp.conf.");
    if (selectXml(root, `resource/${type}@${name}`).length === 0)
      return fail(context, "Invalid resource name.");
    setXml(root, `resource/${type}@${name}/${path}`, value);
    context.change(() => node.files.write(file, writeXml(root)));
    context.out("Command succeeded.\n");
    return 0;
  };

  const clpcfctrl: CommandFunction = async (context) => {
    const args = context.argv.slice(1);
    const folder = args[args.indexOf("-x") + 1] ?? "";
    if (!args.includes("-x") || args.includes("--push") === args.includes("--pull"))
      return fail(context, "Invalid option.");
    const file = context.path(`${folder}/clp.conf`);
    return exclusively(member, context, async () => {
      await context.sleep(2000);
      if (args.includes("--pull")) {
        context.change(() => node.files.write(file, node.files.read(confFile)));
        context.out("Command succeeded.(code:0)\n");
        return 0;
      }
      const text = node.files.find(file)?.kind === "file" ? node.files.read(file) : undefined;
      if (text === undefined || !parseXml(text)) return fail(context, "Invalid configuration file.(code:1)");
      // All or none: a node that cannot be reached makes the push fail, and so does one whose service that would take it
      // was kept from the start (which of them that is, is an assumption).
      const takes = ({ node: each }: Member) =>
        each.alive && each.systemd.units.get("clusterpro_trn")?.active;
      if (cluster.members.some((each) => !takes(each) || (each !== member && cluster.partitioned)))
        return fail(
          context,
          "Could not connect to the server. Check if the cluster service is active.(code:5)",
        );
      context.change(() => {
        for (const each of cluster.members) {
          each.node.files.write(confFile, text);
          each.log("cfmgr", 1, `The cluster configuration data has been uploaded by ${node.name}.`);
          cluster.heart.effect(`configuration of ${cluster.name} pushed to ${each.node.name}`, {
            kind: "configuration-pushed",
            node: each.node.name,
          });
        }
      });
      context.out("The upload is completed successfully.(cfmgr:0)\nCommand succeeded.(code:0)\n");
      return 0;
    });
  };

  const clpsvcctrl: CommandFunction = (context) => {
    const [, verb, what] = context.argv;
    if ((verb !== "--enable" && verb !== "--disable") || what !== "-a" || context.argv.length !== 3)
      return fail(context, "Invalid option.");
    context.change(() => {
      for (const unit of clusterUnits)
        node.systemd.setEnabled(unit, verb === "--enable", context.process.cause);
    });
    context.out("Command succeeded.\n");
    return 0;
  };

  const clplogcmd: CommandFunction = (context) => {
    const at = context.argv.indexOf("-m");
    const text = context.argv[at + 1];
    if (at < 0 || text === undefined) return fail(context, "Invalid option.");
    context.change(() => {
      member.log("logcmd", 1, text);
      cluster.heart.effect(`a line was written to the event log of ${node.name}`, {
        kind: "log-written",
        node: node.name,
        text,
      });
    });
    context.out("Command succeeded.\n");
    return 0;
  };

  return { clpcfget, clpcfset, clpcfctrl, "clpsvcctrl.sh": clpsvcctrl, clplogcmd };
}

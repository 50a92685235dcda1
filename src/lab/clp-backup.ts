/**
 * clpbackup.sh and clprestore.sh (reference clusterpro 3.7, 3.8, 8, 11). What they print when they succeed is
 * verbatim; failure texts, exit statuses and the help are invented, because no source has them.
 *
 * Both take their node down. So the end of what they print may be lost, with the exit status (rule 11): how much is
 * the world's luck, and what they do is done all the same.
 */
import { exclusively } from "./clp-control.ts";
import { gapIn } from "./command-words.ts";
import { newControl, type SideControl } from "./clp-side.ts";
import { clusterUnits, type Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import type { CommandFunction, Context } from "./process.ts";

interface Script {
  say(line: string): void;
  /** The last act: takes the node down, and ends as luck has it. */
  takeDown(kind: "off" | "reboot", ...lines: readonly string[]): Promise<number>;
}

/** `lines`: how many it will print in all, so that luck can choose where they end. */
function script(
  cluster: LabCluster,
  member: Member,
  context: Context,
  lines: number,
  goesDown: boolean,
): Script {
  const random = () => member.node.heart.random();
  const cut = goesDown && cluster.settings.cutsOutput && random() < 0.5;
  const lastLine = cut && random() < 0.5 ? Math.floor(random() * lines) : Infinity;
  let said = 0;
  const say = (line: string) => {
    said += 1;
    if (said <= lastLine) context.out(`${line}\n`);
  };
  return {
    say,
    async takeDown(kind, ...after) {
      context.change(() => member.node.shutDown(kind, context.process.cause));
      for (const line of after) say(line);
      // A cut one never answers: its session dies with the node.
      if (cut) await context.process.orDeath(new Promise<never>(() => undefined));
      return 0;
    },
  };
}

interface Options {
  readonly phase: "pre" | "post";
  readonly goesDown: boolean;
  readonly skipCopy: boolean;
}

function read(context: Context, restore: boolean): Options | string | undefined {
  const args = context.argv.slice(1);
  const known = [
    "--pre",
    "--post",
    "--no-shutdown",
    "--no-reboot",
    "--help",
    ...(restore ? ["--skip-copy"] : []),
  ];
  if (args.includes("--help"))
    return `Usage: ${context.argv[0]} --pre [--no-shutdown]\n       ${context.argv[0]} --post [--no-reboot]${restore ? " [--skip-copy]" : ""}`;
  const unmodelled = args.find((arg) => ["--only-shutdown", "--only-reboot", "--online"].includes(arg));
  if (unmodelled !== undefined) gapIn(context, `option ${unmodelled}`);
  const phases = args.filter((arg) => arg === "--pre" || arg === "--post");
  if (phases.length !== 1 || args.some((arg) => !known.includes(arg))) return undefined;
  const phase = phases[0] === "--pre" ? "pre" : "post";
  if (args.includes(phase === "pre" ? "--no-reboot" : "--no-shutdown")) return undefined;
  const skipCopy = args.includes("--skip-copy");
  if (skipCopy && phase === "pre") return undefined;
  return { phase, goesDown: !args.includes("--no-shutdown") && !args.includes("--no-reboot"), skipCopy };
}

export function backupCommands(
  cluster: LabCluster,
  member: Member,
): { readonly [name: string]: CommandFunction } {
  const { node } = member;
  const { name } = node;

  const setFlags = (context: Context, backup: boolean) =>
    context.change(() => {
      for (const mirror of cluster.mirrors) {
        const side = mirror.control(name);
        if (!side || side.backup === backup) continue;
        mirror.put(name, { control: { backup } });
        cluster.heart.effect(`backup mode of mirror ${mirror.name} ${backup ? "on" : "off"} on ${name}`, {
          kind: backup ? "backup-mode-on" : "backup-mode-off",
          mirror: mirror.name,
          node: name,
          volume: mirror.loaded.get(name) ?? null,
        });
      }
    });

  const setUnits = (context: Context, enabled: boolean) =>
    context.change(() => {
      const units =
        enabled || cluster.settings.preDisables === "all"
          ? clusterUnits
          : (["clusterpro", "clusterpro_md"] as const);
      for (const unit of units) node.systemd.setEnabled(unit, enabled, context.process.cause);
    });

  const run =
    (restore: boolean): CommandFunction =>
    async (context) => {
      const command = context.argv[0] ?? "";
      const options = read(context, restore);
      const fail = (text: string) => {
        context.out(`${command} : ${text}\n`);
        return 1;
      };
      if (typeof options === "string") {
        context.out(`${options}\n`);
        return 0;
      }
      if (options === undefined) return fail("Invalid option.");
      return exclusively(member, context, () =>
        restore
          ? options.phase === "pre"
            ? restorePre(context, options)
            : restorePost(context, options, fail)
          : options.phase === "pre"
            ? backupPre(context, options, fail)
            : backupPost(context, options, fail),
      );
    };

  async function backupPre(
    context: Context,
    options: Options,
    fail: (text: string) => number,
  ): Promise<number> {
    if (!member.agent) return fail("Mirror agent is not running.");
    if (cluster.mirrors.some((mirror) => !mirror.loaded.has(name)))
      return fail("Failed to set the backup flags.");
    const out = script(cluster, member, context, 6, options.goesDown);
    out.say("clpbackup.sh : Beginning backup-mode.");
    await context.sleep(1000);
    setFlags(context, true);
    out.say("All backup flags have set to <ON>.");
    out.say("clpbackup.sh : Changing the setting of cluster services to Manual Startup.");
    await context.sleep(1000);
    setUnits(context, false);
    if (!options.goesDown) {
      out.say("clpbackup.sh : Command succeeded.");
      return 0;
    }
    out.say("clpbackup.sh : Shutting down...");
    await context.sleep(500);
    return out.takeDown("off", "Command succeeded.", "clpbackup.sh : Command succeeded.");
  }

  async function backupPost(
    context: Context,
    options: Options,
    fail: (text: string) => number,
  ): Promise<number> {
    const out = script(cluster, member, context, 8, options.goesDown);
    out.say("clpbackup.sh : Starting Mirror Agent.");
    await context.sleep(cluster.times.startAgentMs);
    if (member.agent || member.core !== "stopped") return fail("Failed to start Mirror Agent.");
    if (!context.change(() => cluster.service.startAgent(member))) {
      context.change(() => cluster.service.stopAgent(member));
      return fail("Failed to start Mirror Agent.");
    }
    out.say("Command succeeded.");
    out.say("clpbackup.sh : Ending backup-mode.");
    await context.sleep(1000);
    setFlags(context, false);
    out.say("All backup flags have set to <OFF>.");
    out.say("clpbackup.sh : Changing the setting of cluster services to Auto Startup.");
    await context.sleep(1000);
    setUnits(context, true);
    out.say("clpbackup.sh : Stopping Mirror Agent.");
    await context.sleep(1000);
    context.change(() => cluster.service.stopAgent(member));
    out.say("Command succeeded.");
    if (!options.goesDown) return 0;
    return out.takeDown("reboot", "clpbackup.sh : Rebooting...");
  }

  async function restorePre(context: Context, options: Options): Promise<number> {
    const out = script(cluster, member, context, 4, options.goesDown);
    out.say("clprestore.sh : Changing the setting of cluster services to Manual Startup.");
    await context.sleep(1000);
    setUnits(context, false);
    if (!options.goesDown) {
      out.say("clprestore.sh : Command succeeded.");
      return 0;
    }
    out.say("clprestore.sh : Shutting down...");
    await context.sleep(500);
    return out.takeDown("off", "Command succeeded.", "clprestore.sh : Command succeeded.");
  }

  async function restorePost(
    context: Context,
    options: Options,
    fail: (text: string) => number,
  ): Promise<number> {
    if (member.agent || member.core !== "stopped") return fail("The cluster service is active.");
    // The guard (rule 7): nothing is changed when it refuses.
    const guarded = options.skipCopy || cluster.settings.guardsPlainPost;
    if (guarded && cluster.mirrors.some((mirror) => mirror.settings(member).fullCopy))
      return fail('"Execute the initial mirror construction" is enabled.');
    const places = cluster.mirrors.map((mirror) => ({ mirror, found: mirror.locate(member) }));
    const missing = places.find(({ found }) => !found);
    if (missing) return fail(`The main handle on initializing mirror disk <${missing.mirror.name}> failed.`);
    const out = script(cluster, member, context, 4 + places.length, options.goesDown);
    out.say("Mirror info will be set as default.");
    await context.sleep(2000);
    for (const { mirror, found } of places) {
      if (found)
        context.change(() => initialise(mirror.name, found, mirror.settings(member).mkfs, options.skipCopy));
      out.say(`The main handle on initializing mirror disk <${mirror.name}> success.`);
    }
    out.say("Initializing mirror disk complete.");
    out.say("clprestore.sh : Changing the setting of cluster services to Auto Startup.");
    await context.sleep(1000);
    setUnits(context, true);
    if (!options.goesDown) return 0;
    return out.takeDown("reboot", "clprestore.sh : Rebooting...");
  }

  /** Rewrites the cluster partition that the configured path leads to, whatever lies there (rule 8). */
  function initialise(
    mirror: string,
    found: NonNullable<ReturnType<LabCluster["mirrors"][number]["locate"]>>,
    mkfs: boolean,
    skipCopy: boolean,
  ): void {
    const { volume, content, ours } = found;
    const more: Partial<SideControl> = { fresh: true, wantsCopy: !skipCopy, destroyed: !ours };
    cluster.hardware.write(volume, {
      ...content,
      // With the initial mkfs on, the data partition is formatted too (reference clusterpro 3.9).
      ...(mkfs && { data: {}, dirty: false }),
      control: newControl(mirror, String(content.control["disk"] ?? "00000000"), more),
    });
    cluster.heart.effect(`mirror ${mirror} initialised on ${volume}`, {
      kind: ours ? "mirror-initialised" : "partition-destroyed",
      mirror,
      node: name,
      volume,
      formatted: mkfs,
    });
  }

  return { "clpbackup.sh": run(false), "clprestore.sh": run(true) };
}

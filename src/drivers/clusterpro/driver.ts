/**
 * CLUSTERPRO X / EXPRESSCLUSTER X on Linux, by its commands on a shell.
 *
 * To grant: root, or `sudo -n` for these (all under /opt/nec/clusterpro/bin, by `env` with a path of our own):
 *   clpstat, clpmdstat, clpgrp, clpmonctrl, clpmdctrl, clpcl, clpbackup.sh, clprestore.sh, clpcfset, clpcfctrl,
 *   clpsvcctrl.sh, systemctl, systemd-run, journalctl, and sh for the scripts of the fence, of the settings and of the
 *   dead-man timer; reading /opt/nec/clusterpro/etc/clp.conf. The exact lines are printed by `runbook doctor --policy`
 *   (rights.ts); a list with wildcards would be all of root, since `sh` is among them.
 * Seen: output of X 4.3 (mirror commands), 5.0, 5.3 and 6.0 (clpstat, clp.conf), from public sources; X 4.3 is the
 *   oldest with clpbackup.sh, clprestore.sh and clpcfset.
 * Quirks: exit statuses are not enough, the state is read after every write (reference clusterpro 1.1). Some commands
 *   can ask a question: their input is closed, so that nothing answers "yes" for a person; only to the forced recovery,
 *   which a person has ordered, it is said (1.2). clpbackup.sh and clprestore.sh take the node down, so that their answer
 *   is often lost (1.3). clpstat cuts names (1.6). clp.conf does not hold defaults (1.5). The mirror's times are the
 *   node's local time.
 */
import { createHash } from "node:crypto";
import { Failure, invariant } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ClusterConfig, ClusterDriver, ClusterReads } from "../../ports/cluster-manager.ts";
import { download, text, type Output, type Shell } from "../../ports/shell.ts";
import * as commands from "./commands.ts";
import { findCopiesScript, parseCopies } from "./copies.ts";
import { findScript, parseDeadMan } from "./dead-man.ts";
import { deadManCodes, findFailure } from "./errors.ts";
import { parseConfig, type ParsedConfig } from "./parse-conf.ts";
import { parseMirror } from "./parse-mirror.ts";
import { nameGroups, nameMonitors, nameNodes, parseMonitors, parseSummary } from "./parse-stat.ts";
import { requests, wireArgv } from "./requests.ts";

export { wireArgv } from "./requests.ts";

const readTimeoutMs = 60_000;

export function openClusterpro({ shell }: { readonly shell: Shell; readonly clock: Clock }): ClusterDriver {
  // The names of the configuration read last: clpstat shows them cut.
  let lastConfig: ParsedConfig | undefined;

  async function ask(node: string, argv: readonly string[]): Promise<Output> {
    return shell.run(node, commands.inEnvironment(argv), { stdin: "", timeoutMs: readTimeoutMs });
  }

  /** Standard output of a read; its exit status alone does not make it a failure (reference clusterpro 1.1). */
  async function read<T>(node: string, argv: readonly string[], parse: (output: string) => T): Promise<T> {
    const out = await ask(node, argv);
    const failure = findFailure(argv[0] ?? "", node, argv, out);
    if (out.code === undefined && failure) throw failure;
    try {
      return parse(text(out.stdout));
    } catch (thrown) {
      // A command that says why it failed has said more than a parser that found no table.
      if (failure && thrown instanceof Failure && thrown.kind === "invalid") throw asRead(failure, thrown);
      throw thrown;
    }
  }

  const reads: ClusterReads = {
    async getConfig(nodes) {
      const files = await Promise.all(
        nodes.map(async (node) => ({ node, bytes: await readConfigFile(node) })),
      );
      const digests: Record<string, string> = {};
      let first: ParsedConfig | undefined;
      for (const { node, bytes } of files) {
        if (bytes === undefined) continue;
        digests[node] = createHash("sha256").update(bytes).digest("hex");
        const parsed = parseConfig(bytes, `${commands.configFile} on ${node}`);
        first ??= parsed;
      }
      if (!first)
        throw new Failure(
          "unavailable",
          `none of ${nodes.join(", ")} answers, so the cluster's configuration is not known`,
        );
      lastConfig = first;
      const { monitors: _, ...config } = first;
      return { ...config, digests } satisfies ClusterConfig;
    },

    async getState(via) {
      const [summary, monitors] = await Promise.all([
        read(via, commands.summary(), parseSummary),
        read(via, commands.monitorsByNode(), parseMonitors),
      ]);
      return withNames(via, async (config) => {
        const { nodes, askedOn } = nameNodes(summary, config);
        if (askedOn !== undefined && askedOn !== via)
          throw new Failure("precondition", `${via} was asked, and ${askedOn} answered`, {
            hint: "compare the addresses of the nodes in the inventory",
          });
        return {
          askedOn: askedOn ?? via,
          nodes,
          groups: await nameGroups(summary, config, (group) => findNode(group, via, config)),
          monitors: nameMonitors(summary, monitors, config),
        };
      });
    },

    async getMirror({ mirror, via }) {
      const { nodes } = await knownConfig(via);
      return read(via, commands.mirrorStatus(mirror), (output) => parseMirror(output, mirror, nodes));
    },

    findGroupNode: ({ group, via }) => withNames(via, (config) => findNode(group, via, config)),

    async getService(node) {
      const [enabled, active] = await Promise.all([
        read(node, commands.unitsEnabled(), (output) => words(output, node)),
        read(node, commands.unitsActive(), (output) => words(output, node)),
      ]);
      return {
        startsAtBoot: enabled.every((word) => word === "enabled" || word === "enabled-runtime"),
        running: active.every((word) => word === "active"),
        agentRuns: active[commands.units.indexOf("clusterpro_md")] === "active",
      };
    },

    async listTraces(node) {
      const argv = commands.script("list-traces", commands.tracesScript, commands.traces);
      const out = await ask(node, argv);
      const failure = findFailure("listTraces", node, argv, out);
      if (failure) throw failure;
      return text(out.stdout).split("\n").filter(Boolean);
    },

    async findCopies({ node, mirror, sinceUptimeSeconds }) {
      const { mirrors } = await knownConfig(node);
      const device = mirrors.find(({ name }) => name === mirror)?.device;
      const since = String(Math.floor(sinceUptimeSeconds));
      const argv = commands.script("find-copies", findCopiesScript(), [since]);
      const out = await ask(node, argv);
      const failure = findFailure("findCopies", node, argv, out);
      if (failure) throw failure;
      return parseCopies(text(out.stdout), { mirror, device, sinceUptimeSeconds });
    },

    async findDeadMan(node) {
      const argv = commands.script("find-dead-man", findScript(), []);
      const out = await ask(node, argv);
      if (out.code === deadManCodes.none) return undefined;
      const failure = findFailure("findDeadMan", node, argv, out);
      if (failure) throw failure;
      return parseDeadMan(text(out.stdout), node);
    },
  };

  async function readConfigFile(node: string): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await download(shell, node, commands.configFile);
    } catch (thrown) {
      // A node that does not answer is left out; one that refuses us is not.
      if (thrown instanceof Failure && thrown.kind === "unavailable") return undefined;
      throw thrown;
    }
    if (bytes !== undefined) return bytes;
    throw new Failure("invalid", `${node} has no ${commands.configFile}`, {
      hint: "is CLUSTERPRO X set up on that node?",
    });
  }

  async function knownConfig(via: string): Promise<ParsedConfig> {
    if (!lastConfig) await reads.getConfig([via]);
    invariant(lastConfig, "a configuration that was read is remembered");
    return lastConfig;
  }

  /** A name that the remembered configuration does not have may be newer than it: it is read again, once. */
  async function withNames<T>(via: string, act: (config: ParsedConfig) => Promise<T>): Promise<T> {
    const remembered = lastConfig !== undefined;
    try {
      return await act(await knownConfig(via));
    } catch (thrown) {
      if (!remembered || !(thrown instanceof Failure) || thrown.kind !== "invalid") throw thrown;
      lastConfig = undefined;
      return act(await knownConfig(via));
    }
  }

  async function findNode(group: string, via: string, config: ParsedConfig): Promise<string | undefined> {
    const argv = commands.groupNode(group);
    const out = await ask(via, argv);
    const failure = findFailure("clpgrp", via, argv, out);
    if (out.code === undefined && failure) throw failure;
    const said = text(out.stdout).trim();
    if (config.nodes.includes(said)) return said;
    // It may print nothing for a group that runs nowhere, and what it exits with then is not known. A text that is
    // no node's name, on either stream, is a complaint.
    if (said === "" && text(out.stderr).trim() === "") return undefined;
    const unknown = new Failure(
      "invalid",
      `clpgrp -n ${group} on ${via} said ${JSON.stringify(said.slice(0, 200))}, which is no node's name`,
    );
    throw failure ? asRead(failure, unknown) : unknown;
  }

  return {
    name: "clusterpro",
    reads,
    requests,
    async send(request, options) {
      invariant(request.to === "node", "the cluster's writes go to nodes");
      const out = await shell.run(request.node, wireArgv(request, options.fence), {
        stdin: request.stdin ?? "",
        timeoutMs: options.limitMs,
        signal: options.signal,
      });
      const failure = findFailure(request.verb, request.node, request.argv, out);
      if (failure) throw failure;
      return { code: 0, text: [text(out.stdout), text(out.stderr)].filter(Boolean).join("\n") };
    },
    // The shell belongs to whoever opened it.
    close: () => Promise.resolve(),
  };
}

/** What systemctl(1) says to `is-enabled` and `is-active`. */
const unitWords = new Set([
  ...[
    "enabled",
    "enabled-runtime",
    "linked",
    "linked-runtime",
    "alias",
    "masked",
    "masked-runtime",
    "static",
  ],
  ...["indirect", "disabled", "generated", "transient", "bad", "not-found"],
  ...["active", "reloading", "refreshing", "inactive", "failed", "activating", "deactivating", "maintenance"],
  "unknown",
]);

/** One word for each unit, in the order asked; systemctl exits non-zero for most of them. */
function words(output: string, node: string): readonly string[] {
  const found = output
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  // A word that is none of systemd's is no answer: a unit would look stopped that runs.
  if (found.length === commands.units.length && found.every((word) => unitWords.has(word))) return found;
  throw new Failure(
    "invalid",
    `systemctl on ${node} did not answer for each of ${commands.units.join(", ")}`,
    {
      hint: "is CLUSTERPRO X set up on that node?",
    },
  );
}

/** The failure of a read: it changed nothing, and software that is not up yet may be up when it is asked again. */
function asRead(failure: Failure, cause: Failure): Failure {
  const kind =
    failure.kind === "precondition" ? "unavailable" : failure.kind === "conflict" ? "invalid" : failure.kind;
  return new Failure(kind, failure.message, {
    happened: "no",
    cause,
    ...(failure.hint !== undefined && { hint: failure.hint }),
    ...(failure.answer !== undefined && { answer: failure.answer }),
  });
}

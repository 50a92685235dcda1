/**
 * The operating system of a Linux node: boots, disks, and our marker.
 *
 * To grant: root, or `sudo -n` for cat, lsblk, readlink, sh (the marker's scripts), fuser or find. On the scratch node of a
 *   drill also blkid, xfs_logprint or dumpe2fs; with mirrors on LVM also blkid, pvs, lvs, vgchange and lvmdevices, on the
 *   scratch node vgimportclone; the scripts there call mount, umount, setpriv and timeout. Hooks of the
 *   inventory need setsid and timeout, and setpriv for another user than root. Reading volumes through needs dd and setsid.
 * Seen: util-linux 2.27 and newer (lsblk with JSON), coreutils, systemd or not.
 * Quirks: lsblk before 2.37 has MOUNTPOINT only and is asked twice, before 2.33 no PATH and is asked a third time. The holders of a mount come from `fuser` (psmisc);
 *   where that is not installed, from the links below /proc, which do not show who only maps or executes a file there.
 */
import { Failure, invariant } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { NodeRequest } from "../../ports/driver.ts";
import {
  hooksFolder,
  readingsFolder,
  type NodesDriver,
  type NodesReads,
  type NodesWrites,
} from "../../ports/nodes.ts";
import { commandFailure, fenced, fencedOutCode, text, type Output, type Shell } from "../../ports/shell.ts";
import { columns, linkedPaths, oldestColumns, olderColumns, parseBlockDevices } from "./block-devices.ts";
import {
  assertDrillPath,
  checkScript,
  clearScript,
  findTriedScript,
  judgeLog,
  logArgv,
  mountScript,
  neverTried,
  parseMounts,
  parseTried,
  unmountScript,
} from "./drill.ts";
import { assertHookPath, findHookScript, hookArgs, neverRun, parseHook, runHookScript } from "./hook.ts";
import {
  assertDrillGroup,
  devicesFileScript,
  hideScript,
  importScript,
  keepScript,
  lvsArgv,
  noDevicesFile,
  linksIn,
  parseLvm,
  pvsArgv,
  showScript,
  withRealPaths,
} from "./lvm.ts";
import {
  adoptScript,
  findScript,
  markerCodes,
  markerFailure,
  parseMarker,
  releaseScript,
  renewScript,
  takeOverScript,
  takeScript,
} from "./marker.ts";
import {
  assertReadingPath,
  listReadingsScript,
  parseDiskWrites,
  parseReadings,
  startReadingScript,
  stopReadingsScript,
} from "./read-through.ts";

const readTimeoutMs = 30_000;
const noFuser = 43;

// fuser answers for the file system below a folder, so a folder that is no mount point would list half the node.
const holdersScript =
  `grep -q -F " $1 " /proc/mounts || exit 0; command -v fuser > /dev/null 2>&1 || exit ${noFuser}; ` +
  `for pid in $(fuser -m "$1" 2> /dev/null); do echo "$pid $(cat "/proc/$pid/comm" 2> /dev/null)"; done; exit 0`;

export function openLinux({ shell }: { readonly shell: Shell; readonly clock: Clock }): NodesDriver {
  const ask = (node: string, argv: readonly string[]): Promise<Output> =>
    shell.run(node, inEnvironment(argv), { stdin: "", timeoutMs: readTimeoutMs });

  /** Standard output of a command that must succeed. */
  async function read(node: string, what: string, argv: readonly string[]): Promise<string> {
    const out = await ask(node, argv);
    if (out.code !== 0) throw commandFailure(node, what, out);
    return text(out.stdout);
  }

  const reads: NodesReads = {
    async getBoot(node) {
      const said = await read(node, "reading the boot id", [
        "cat",
        "/proc/sys/kernel/random/boot_id",
        "/proc/uptime",
      ]);
      const [bootId = "", uptime = ""] = said.split("\n");
      const seconds = /^\d+(\.\d+)?(?=\s|$)/.exec(uptime)?.[0];
      if (!/^[0-9a-f-]{36}$/.test(bootId) || seconds === undefined)
        throw new Failure(
          "invalid",
          `${node} gave ${JSON.stringify(said.slice(0, 200))}, expected a boot id and an uptime`,
        );
      return { bootId, uptimeSeconds: Number(seconds) };
    },

    async getMachineId(node) {
      const id = (await read(node, "reading the machine id", ["cat", "/etc/machine-id"])).trim();
      if (/^[0-9a-f]{32}$/.test(id)) return id;
      throw new Failure(
        "invalid",
        `${node}: /etc/machine-id has ${JSON.stringify(id.slice(0, 80))}; wanted 32 hexadecimal digits`,
      );
    },
    async findBoot(node) {
      try {
        return await reads.getBoot(node);
      } catch (thrown) {
        // A node on its way down takes the connection and lets it hang: that is no answer either.
        if (thrown instanceof Failure && (thrown.kind === "unavailable" || thrown.kind === "timeout"))
          return undefined;
        throw thrown;
      }
    },

    async listBlockDevices(node) {
      const forms = [
        ["-J", "-b", "-o", columns],
        ["-J", "-b", "-o", olderColumns],
        ["-J", "-b", "-p", "-o", oldestColumns],
      ];
      let out = await ask(node, ["lsblk", ...(forms[0] ?? [])]);
      for (const form of forms.slice(1)) {
        if (out.code !== 0 && /unknown column/i.test(text(out.stderr)))
          out = await ask(node, ["lsblk", ...form]);
      }
      if (out.code !== 0) throw commandFailure(node, "listing block devices", out);
      const devices = parseBlockDevices(text(out.stdout), node);
      const links = linkedPaths(devices);
      if (links.length === 0) return devices;
      // lsblk shows an LV by its link; the kernel's own path is what `resolvePath` gives for it.
      return parseBlockDevices(text(out.stdout), node, await realPaths(node, links));
    },

    async resolvePath({ node, path }) {
      if (!path.startsWith("/"))
        throw new Failure("invalid", `${JSON.stringify(path)} is not an absolute path`);
      const out = await ask(node, ["readlink", "-e", path]);
      const found = text(out.stdout).trim();
      if (out.code === 0 && found.startsWith("/")) return found;
      if (out.code === 1 && found === "" && !/denied/i.test(text(out.stderr))) return undefined;
      throw commandFailure(node, `resolving ${path}`, out);
    },

    async listHolders({ node, mountPoint }) {
      const out = await ask(node, ["sh", "-c", holdersScript, "runbook-holders", mountPoint]);
      if (out.code === noFuser) return listHoldersByLinks(node, mountPoint);
      if (out.code !== 0) throw commandFailure(node, `listing the holders of ${mountPoint}`, out);
      return holderLines(text(out.stdout));
    },

    async getMarker(node) {
      const out = await ask(node, ["sh", "-c", findScript(), "runbook-find-marker"]);
      if (out.code === 0) return parseMarker(text(out.stdout));
      if (out.code !== markerCodes.none) throw commandFailure(node, "reading the marker", out);
      // To somebody who may not look, what is there looks like nothing.
      if (/denied/i.test(text(out.stderr)))
        return { held: true, marker: undefined, why: "reading it is not permitted" };
      return { held: false };
    },

    async listMounts(node) {
      return parseMounts(await read(node, "listing mounts", ["cat", "/proc/mounts"]));
    },

    async getFileSystem({ node, device }) {
      const out = await ask(node, ["blkid", "-p", "-o", "value", "-s", "TYPE", device]);
      const type = text(out.stdout).trim();
      // blkid(8): 2 where nothing is recognized.
      if (out.code === 2 || (out.code === 0 && type === ""))
        return { type: undefined, log: "unknown", why: "no file system is recognized there" };
      if (out.code !== 0) throw commandFailure(node, `looking what lies on ${device}`, out);
      const argv = logArgv(type, device);
      if (argv === undefined)
        return { type, log: "unknown", why: `how to ask for the log of ${type} is not known` };
      const said = await ask(node, argv);
      if (said.code === undefined) throw commandFailure(node, `looking at the log of ${device}`, said);
      if (said.code !== 0) {
        const why = (text(said.stderr).trim() || text(said.stdout).trim()).split("\n")[0] ?? "";
        return {
          type,
          log: "unknown",
          why: `${argv[0] ?? ""} ended with ${said.code}: ${why.slice(0, 200)}`,
        };
      }
      return judgeLog(type, text(said.stdout));
    },

    async findLvm(node) {
      // What `env` says of a command that is not there.
      const physical = await ask(node, pvsArgv);
      if (physical.code === 127) return undefined;
      if (physical.code !== 0) throw commandFailure(node, "listing physical volumes", physical);
      const logical = await read(node, "listing logical volumes", lvsArgv);
      const listed = await ask(node, ["sh", "-c", devicesFileScript, "runbook-lvm-devices"]);
      if (listed.code !== 0 && listed.code !== noDevicesFile)
        throw commandFailure(node, "reading LVM's devices file", listed);
      const seen = parseLvm(node, text(physical.stdout), logical, text(listed.stdout), listed.code === 0);
      return withRealPaths(seen, await realPaths(node, linksIn(seen)));
    },

    async findTried({ node, folder, name }) {
      const out = await ask(node, ["sh", "-c", findTriedScript, "runbook-find-tried", folder, name]);
      if (out.code === neverTried) return undefined;
      if (out.code !== 0) throw commandFailure(node, `looking what became of ${name}`, out);
      return parseTried(out.stdout, node);
    },

    async findHook({ node, run, name }) {
      assertHookPath(run, name);
      const out = await ask(node, ["sh", "-c", findHookScript, "runbook-find-hook", hooksFolder, run, name]);
      if (out.code === neverRun) return undefined;
      if (out.code !== 0) throw commandFailure(node, `looking how the hook ${name} ended`, out);
      return parseHook(out.stdout, node);
    },

    async getDiskWrites({ node, device }) {
      const name = device.slice(device.lastIndexOf("/") + 1);
      assertReadingPath(name);
      return parseDiskWrites(
        await read(node, `counting the writes to ${device}`, ["cat", `/sys/class/block/${name}/stat`]),
        node,
      );
    },

    async listReadings({ node, run }) {
      assertReadingPath(run);
      const argv = ["sh", "-c", listReadingsScript, "runbook-list-readings", readingsFolder, run];
      return parseReadings(await read(node, "looking how far the reading is", argv), node);
    },
  };

  /** What the kernel calls each of these paths. */
  async function realPaths(node: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const links = [...new Set(paths)];
    if (links.length === 0) return new Map();
    const real = (await read(node, "resolving device paths", ["readlink", "-e", ...links]))
      .trim()
      .split("\n");
    if (real.length !== links.length)
      throw new Failure("invalid", `readlink on ${node} did not answer for each of ${links.join(", ")}`);
    return new Map(links.map((link, i) => [link, real[i] ?? link]));
  }

  async function listHoldersByLinks(node: string, mountPoint: string): Promise<readonly string[]> {
    const literal = mountPoint.replace(/[[\]*?\\]/g, "\\$&");
    const links = [
      "(",
      "-path",
      "/proc/[0-9]*/fd/*",
      "-o",
      "-path",
      "/proc/[0-9]*/cwd",
      "-o",
      "-path",
      "/proc/[0-9]*/root",
      ")",
    ];
    const into = ["(", "-lname", literal, "-o", "-lname", `${literal}/*`, ")"];
    const found = await ask(node, ["find", "/proc", "-maxdepth", "3", ...links, ...into]);
    // Processes end while it looks, so find often exits non-zero with a true answer.
    if (found.code === undefined || found.code > 1)
      throw commandFailure(node, `listing the holders of ${mountPoint}`, found);
    const pids = new Set(text(found.stdout).match(/(?<=^\/proc\/)\d+(?=\/)/gm));
    if (pids.size === 0) return [];
    const names = await ask(node, ["grep", "-H", "", ...[...pids].map((pid) => `/proc/${pid}/comm`)]);
    const known = new Map(
      [...text(names.stdout).matchAll(/^\/proc\/(\d+)\/comm:(.*)$/gm)].map(([, pid = "", name = ""]) => [
        pid,
        name,
      ]),
    );
    return [...pids].map((pid) => `${pid} ${known.get(pid) ?? ""}`.trim());
  }

  async function write(
    request: NodeRequest,
    options: {
      readonly fence?: string | undefined;
      readonly signal?: AbortSignal | undefined;
      readonly limitMs: number;
    },
  ) {
    return shell.run(request.node, wireArgv(request, options.fence), {
      stdin: request.stdin ?? "",
      timeoutMs: options.limitMs,
      signal: options.signal,
    });
  }

  return {
    name: "linux",
    reads,
    requests,
    async send(request, options) {
      invariant(request.to === "node", "the writes of an operating system go to nodes");
      let out = await write(request, options);
      if (fencedOut(out) && request.verb === "nodes.releaseMarker") {
        // The fence cannot tell "nobody's" from "another's". What is gone is released; what names nobody may be our
        // own removal that was cut, and the script itself knows whether it is.
        const now = await reads.getMarker(request.node);
        if (!now.held) return { code: 0, text: "there was no marker" };
        if (now.marker === undefined) out = await write(request, { ...options, fence: undefined });
      }
      const said = [text(out.stdout), text(out.stderr)].filter(Boolean).join("\n").trim();
      if (out.code === 0) return { code: 0, text: said };
      throw (
        (out.code === undefined || fencedOut(out)
          ? undefined
          : markerFailure(request.verb, request.node, out.code, said)) ??
        commandFailure(request.node, request.verb, out)
      );
    },
    // The shell belongs to whoever opened it.
    close: () => Promise.resolve(),
  };
}

const inEnvironment = (argv: readonly string[]) => [
  "env",
  "LC_ALL=C",
  "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
  ...argv,
];

const unfenced: readonly string[] = ["nodes.takeMarker", "nodes.adoptMarker", "nodes.takeOverMarker"];

/** Before the marker is taken or adopted there is no fence that could be checked. */
function wireArgv(request: NodeRequest, fence: string | undefined): readonly string[] {
  const argv = inEnvironment(request.argv);
  return fence === undefined || unfenced.includes(request.verb) ? argv : fenced(fence, argv);
}

const fencedOut = (out: Output) =>
  out.code === fencedOutCode && text(out.stderr).startsWith("runbook: the marker");

const on = (
  node: string,
  verb: keyof NodesWrites,
  script: string,
  ...args: readonly string[]
): NodeRequest => ({
  to: "node",
  verb: `nodes.${verb}`,
  node,
  argv: ["sh", "-c", script, `runbook-${verb}`, ...args],
});

const requests: NodesDriver["requests"] = {
  takeMarker: ({ node, run, owner, fence, seconds }) =>
    on(node, "takeMarker", takeScript(), run, fence, owner, String(seconds)),
  adoptMarker: ({ node, run, owner, fence, seconds }) =>
    on(node, "adoptMarker", adoptScript(), run, fence, owner, String(seconds)),
  takeOverMarker: ({ node, run, owner, fence, seconds, from, expiredSeconds }) => {
    const args = [run, fence, owner, String(seconds), from, String(expiredSeconds)];
    return on(node, "takeOverMarker", takeOverScript(), ...args);
  },
  renewMarker: ({ node, run, fence, seconds }) =>
    on(node, "renewMarker", renewScript(), run, fence, String(seconds)),
  releaseMarker: ({ node, run }) => on(node, "releaseMarker", releaseScript(), run),
  mountVolume: ({ node, folder, name, how, device }) => {
    assertDrillPath(folder, name);
    return on(node, "mountVolume", mountScript, folder, name, how, device);
  },
  unmountVolume: ({ node, folder, name }) => {
    assertDrillPath(folder, name);
    return on(node, "unmountVolume", unmountScript, folder, name);
  },
  runCheck: ({ node, folder, name, user, seconds, at, argv }) => {
    assertDrillPath(folder, name);
    return on(node, "runCheck", checkScript, folder, name, user, String(seconds), at, ...argv);
  },
  runHook: ({ node, ...hook }) => on(node, "runHook", runHookScript, ...hookArgs(hook)),
  startReading: ({ node, run, name, boot, device, sizeBytes }) => {
    assertReadingPath(run, name);
    const args = [readingsFolder, run, name, boot, String(sizeBytes), device];
    return on(node, "startReading", startReadingScript, ...args);
  },
  stopReadings: ({ node, run }) => {
    assertReadingPath(run);
    return on(node, "stopReadings", stopReadingsScript, readingsFolder, run);
  },
  showToLvm: ({ node, device }) => on(node, "showToLvm", showScript, device),
  keepLvmEntries: ({ node, entries }) => on(node, "keepLvmEntries", keepScript, entries),
  hideFromLvm: ({ node, device }) => on(node, "hideFromLvm", hideScript, device),
  importVolumeGroup: ({ node, device, name }) => {
    assertDrillGroup(name);
    return on(node, "importVolumeGroup", importScript, device, name);
  },
  clearFolder: ({ node, folder }) => {
    assertDrillPath(folder, "all");
    return on(node, "clearFolder", clearScript, folder);
  },
  reboot: ({ node }) => ({ to: "node", verb: "nodes.reboot", node, argv: ["shutdown", "-r", "now"] }),
};

function holderLines(output: string): readonly string[] {
  return output
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

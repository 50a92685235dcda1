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
import type { NodesDriver, NodesReads } from "../../ports/nodes.ts";
import { commandFailure, fencedOutCode, text, type Output, type Shell } from "../../ports/shell.ts";
import { linkedPaths, parseBlockDevices } from "./block-devices.ts";
import * as commands from "./commands.ts";
import { judgeLog, logArgv, neverTried, parseMounts, parseTried } from "./drill.ts";
import { assertHookPath, neverRun, parseHook } from "./hook.ts";
import { linksIn, lvsArgv, noDevicesFile, parseLvm, pvsArgv, withRealPaths } from "./lvm.ts";
import { markerCodes, markerFailure, parseMarker } from "./marker.ts";
import { assertReadingPath, parseDiskWrites, parseReadings } from "./read-through.ts";
import { inEnvironment, requests, wireArgv } from "./requests.ts";

const readTimeoutMs = 30_000;

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
      const said = await read(node, "reading the boot id", commands.boot());
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
      const id = (await read(node, "reading the machine id", commands.machineId())).trim();
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
      const [newest = [], ...older] = commands.blockDevices();
      let out = await ask(node, newest);
      for (const form of older) {
        if (out.code !== 0 && /unknown column/i.test(text(out.stderr))) out = await ask(node, form);
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
      const out = await ask(node, commands.realPaths([path]));
      const found = text(out.stdout).trim();
      if (out.code === 0 && found.startsWith("/")) return found;
      if (out.code === 1 && found === "" && !/denied/i.test(text(out.stderr))) return undefined;
      throw commandFailure(node, `resolving ${path}`, out);
    },

    async listHolders({ node, mountPoint }) {
      const out = await ask(node, commands.holders(mountPoint));
      if (out.code === commands.noFuser) return listHoldersByLinks(node, mountPoint);
      if (out.code !== 0) throw commandFailure(node, `listing the holders of ${mountPoint}`, out);
      return holderLines(text(out.stdout));
    },

    async getMarker(node) {
      const out = await ask(node, commands.findMarker());
      if (out.code === 0) return parseMarker(text(out.stdout));
      if (out.code !== markerCodes.none) throw commandFailure(node, "reading the marker", out);
      // To somebody who may not look, what is there looks like nothing.
      if (/denied/i.test(text(out.stderr)))
        return { held: true, marker: undefined, why: "reading it is not permitted" };
      return { held: false };
    },

    async listMounts(node) {
      return parseMounts(await read(node, "listing mounts", commands.mounts()));
    },

    async getFileSystem({ node, device }) {
      const out = await ask(node, commands.fileSystem(device));
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
      const listed = await ask(node, commands.lvmDevices());
      if (listed.code !== 0 && listed.code !== noDevicesFile)
        throw commandFailure(node, "reading LVM's devices file", listed);
      const seen = parseLvm(node, text(physical.stdout), logical, text(listed.stdout), listed.code === 0);
      return withRealPaths(seen, await realPaths(node, linksIn(seen)));
    },

    async findTried({ node, folder, name }) {
      const out = await ask(node, commands.findTried(folder, name));
      if (out.code === neverTried) return undefined;
      if (out.code !== 0) throw commandFailure(node, `looking what became of ${name}`, out);
      return parseTried(out.stdout, node);
    },

    async findHook({ node, run, name }) {
      assertHookPath(run, name);
      const out = await ask(node, commands.findHook(run, name));
      if (out.code === neverRun) return undefined;
      if (out.code !== 0) throw commandFailure(node, `looking how the hook ${name} ended`, out);
      return parseHook(out.stdout, node);
    },

    async getDiskWrites({ node, device }) {
      const name = device.slice(device.lastIndexOf("/") + 1);
      assertReadingPath(name);
      return parseDiskWrites(
        await read(node, `counting the writes to ${device}`, commands.diskWrites(name)),
        node,
      );
    },

    async listReadings({ node, run }) {
      assertReadingPath(run);
      return parseReadings(
        await read(node, "looking how far the reading is", commands.listReadings(run)),
        node,
      );
    },
  };

  /** What the kernel calls each of these paths; nearly all of them are the device mapper's. */
  async function realPaths(node: string, paths: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const links = [...new Set(paths)];
    if (links.length === 0) return new Map();
    const known = links.some((link) => link.startsWith("/dev/mapper/"))
      ? await findMapped(node)
      : new Map<string, string>();
    const others = links.filter((link) => !known.has(link));
    if (others.length === 0) return known;
    const real = (await read(node, "resolving device paths", commands.realPaths(others))).trim().split("\n");
    if (real.length !== others.length)
      throw new Failure("invalid", `readlink on ${node} did not answer for each of ${others.join(", ")}`);
    return new Map([...known, ...others.map((link, i) => [link, real[i] ?? link] as const)]);
  }

  async function findMapped(node: string): Promise<ReadonlyMap<string, string>> {
    const said = await read(node, "listing the device mapper's links", commands.mapped());
    return new Map(
      [...said.matchAll(/^(\/dev\/\S+) (\/dev\/\S+)$/gm)].map(([, link = "", path = ""]) => [link, path]),
    );
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

const fencedOut = (out: Output) =>
  out.code === fencedOutCode && text(out.stderr).startsWith("runbook: the marker");

function holderLines(output: string): readonly string[] {
  return output
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}

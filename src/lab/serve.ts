/**
 * A lab on the wire: a world that turns by a clock, SSH servers in front of its nodes, EC2's API in front of its cloud,
 * and a control endpoint for people and tests. Where everything is stands in FOLDER/lab.json.
 */
import { randomBytes } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../ports/clock.ts";
import { buildLab, type Lab, type LabOptions } from "./build.ts";
import type { LabInfo, LabNodeInfo } from "./client.ts";
import { controlServer } from "./control.ts";
import { serveEc2 } from "./ec2.ts";
import { keyPair, openFolder, writeOwn } from "./folder.ts";
import { Logbook } from "./logbook.ts";
import { stoppableClock } from "./stoppable-clock.ts";
import { listenOn, serveSsh, type NodeServer } from "./ssh-server.ts";
import type { Fault, Heart, Received } from "./world.ts";

export interface ServeOptions {
  readonly folder: string;
  readonly clock: Clock;
  /** How the clock was made, for others to make the same. */
  readonly pace: { readonly pace: number; readonly originReal: number; readonly originWorld: number };
  /** Start time of this process, as in LabInfo. */
  readonly startTime?: string;
  readonly options?: Omit<LabOptions, "clock">;
  /** Probability that the reply of a write is lost after its effect. */
  readonly loseReplies?: number;
  /** Called when somebody asked the lab to end, instead of closing it. */
  readonly onStop?: () => void;
}

export interface ServedLab {
  readonly info: LabInfo;
  /** For tests in the same process. */
  readonly lab: Lab;
  /** A mistake of the lab itself, to be shown in its state. */
  report(error: unknown): void;
  close(): Promise<void>;
}

const user = "root";
const defaultCluster = "prod";

export async function serveLab(options: ServeOptions): Promise<ServedLab> {
  const { folder, pace } = options;
  await openFolder(folder);
  const clock = stoppableClock(options.clock);
  const lab = buildLab({ ...options.options, clock });
  const log = new Logbook(lab.heart, join(folder, "log.jsonl"));
  const mistakes: string[] = [];
  const report = (error: unknown) => {
    mistakes.push(error instanceof Error ? error.message : String(error));
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  };
  const loses = losesReplies(lab.heart, options.loseReplies ?? 0);

  const clientKey = await keyPair(folder, "client");
  const former = await formerPorts(folder);
  const knownHosts = join(folder, "known_hosts");
  const servers = new Map<string, NodeServer>();
  const known: string[] = [];
  for (const node of lab.nodes.values()) {
    const hostKey = await keyPair(folder, `host-${node.name}`);
    const server = await serveSsh({
      node,
      port: former[node.name],
      hostKey: hostKey.private,
      clientKey: clientKey.public,
      user,
      onBug: report,
      ...(loses && { loses }),
    });
    servers.set(node.name, server);
    const [type = "", key = ""] = hostKey.public.split(" ");
    known.push(`[${server.address}]:${server.port} ${type} ${key}\n`);
  }
  await writeOwn(knownHosts, known.join(""));

  const ec2 = await serveEc2(lab.cloud);
  const token = randomBytes(24).toString("base64url");
  const close = async () => {
    lab.close();
    clock.stop();
    log.close();
    await Promise.all([...servers.values()].map((server) => server.close()));
    await ec2.close();
    control.closeAllConnections();
    await new Promise<void>((resolve) => control.close(() => resolve()));
    await rm(join(folder, "lab.json"), { force: true });
  };
  let closing: Promise<void> | undefined;
  const closeOnce = () => (closing ??= close());
  const control = controlServer({
    lab,
    log,
    pace: pace.pace,
    pid: process.pid,
    token,
    defaultCluster,
    mistakes,
    onBug: report,
    onStop: options.onStop ?? (() => void closeOnce()),
  });
  const controlPort = await listenOn(control, undefined);

  const nodeInfo = (name: string): LabNodeInfo => {
    const server = servers.get(name);
    return {
      address: server?.address ?? "",
      port: server?.port ?? 0,
      user,
      identity: clientKey.path,
      knownHosts,
      instance: lab.node(name).instance,
    };
  };
  const info: LabInfo = {
    pid: process.pid,
    startTime: options.startTime ?? "",
    ...pace,
    control: { url: `http://127.0.0.1:${controlPort}`, token },
    ec2: {
      url: ec2.url,
      region: lab.cloud.settings.region,
      accessKeyId: lab.cloud.settings.accessKeys[0] ?? "",
    },
    clusters: Object.fromEntries(
      [...lab.clusters.values()].map(({ name, names }) => [
        name,
        { nodes: Object.fromEntries(names.map((node) => [node, nodeInfo(node)])) },
      ]),
    ),
    scratch: { name: lab.scratch.name, ...nodeInfo(lab.scratch.name) },
    default: defaultCluster,
  };
  const ports = Object.fromEntries([...servers].map(([name, { port }]) => [name, port]));
  await writeOwn(join(folder, "ports.json"), JSON.stringify(ports));
  // Last: whoever finds this file finds a lab that answers.
  await writeOwn(join(folder, "lab.json"), `${JSON.stringify(info, null, 2)}\n`);
  return { info, lab, report, close: closeOnce };
}

/** The nodes' ports of the lab that was here before: the same again if they are free, so that a known_hosts holds. */
async function formerPorts(folder: string): Promise<{ readonly [node: string]: number | undefined }> {
  let text: string;
  try {
    text = await readFile(join(folder, "ports.json"), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return {};
    throw error;
  }
  try {
    const ports: unknown = JSON.parse(text);
    if (typeof ports !== "object" || ports === null) return {};
    const usable = Object.entries(ports).filter(
      ([, port]) => Number.isInteger(port) && port > 0 && port < 65_536,
    );
    return Object.fromEntries<number>(usable as [string, number][]);
  } catch {
    // A file that is no JSON was not written by a lab; other ports do as well.
    return {};
  }
}

/**
 * Loses the replies of writes by the lab's own dice. A command's is judged when it has ended (the answer says how), a
 * call's when it comes, by the fault that a tester would have set for it.
 */
function losesReplies(heart: Heart, probability: number): ((row: Received) => boolean) | undefined {
  if (!(probability > 0)) return undefined;
  heart.listeners.add(({ received }) => {
    if (received?.to !== "cloud" || received.operation === undefined) return;
    const isRead = /^(Describe|Get)/.test(received.operation) || received.params?.["DryRun"] === "true";
    if (isRead || heart.random() >= probability) return;
    const fault: Fault = {
      id: 0,
      match: received.operation,
      action: "lose-after",
      left: 1,
      skip: 0,
    };
    // The heart asks for faults within the same turn, right after it told its listeners; after that it is over.
    heart.faults.unshift(fault);
    queueMicrotask(() => {
      const at = heart.faults.indexOf(fault);
      if (at >= 0) heart.faults.splice(at, 1);
    });
  });
  return (row) => row.class === "write" && heart.random() < probability;
}

/** From what `init` was given to nodes that can be asked and a cloud that can be asked; nothing can be written from here. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { isIPv6 } from "node:net";

import type { SshNode } from "../drivers/ssh/driver.ts";
import { Failure } from "../errors.ts";
import type { LabInfo } from "../lab/client.ts";
import type { Ports } from "../ports/calls.ts";
import type { Shell } from "../ports/shell.ts";
import { openDrivers, openPlace } from "./context.ts";

export interface InitOptions {
  readonly node?: readonly string[];
  readonly user?: string;
  readonly identity?: string;
  readonly port?: string;
  readonly knownHosts?: string;
  readonly jump?: string;
  readonly sudo?: boolean;
  readonly region?: string;
  readonly profile?: string;
  readonly endpoint?: string;
  readonly lab?: boolean;
  readonly pace?: string;
  readonly schema?: boolean;
  readonly force?: boolean;
  /** Put the cluster into the inventory that is there. */
  readonly add?: boolean;
}

/** How a node is logged in to, as it will stand in the inventory. */
export type Login = Pick<SshNode, "address" | "port" | "user" | "identity" | "knownHosts" | "sudo" | "jump">;

export interface CloudAsked {
  readonly driver: "aws";
  readonly region: string;
  readonly profile?: string;
  readonly endpoint?: string;
}

export interface Reach {
  /** What was given, by the word that stands for it until its name is known: one or two nodes. */
  readonly given: { readonly [label: string]: Login };
  readonly lab: LabInfo | undefined;
  readonly cloud: CloudAsked;
  readonly shell: Shell;
  readonly ports: Ports;
  /** Makes one more node known to the shell; logged in to as the given ones are. */
  add(name: string, login: Login): void;
  /** The login of a node that was not given, at this address. */
  loginAt(address: string): Login;
  close(): Promise<void>;
}

export async function openReach(options: InitOptions): Promise<Reach> {
  const place = await openPlace({
    ...(options.lab !== undefined && { lab: options.lab }),
    ...(options.pace !== undefined && { pace: options.pace }),
  });
  const lab = place.lab ? await (await import("./lab-home.ts")).findLab(place.home) : undefined;
  const shared = lab === undefined ? sharedLogin(options) : {};
  const given = lab === undefined ? readNodes(options.node ?? [], shared) : labNodes(lab, options);
  const cloud: CloudAsked =
    lab === undefined
      ? await readCloud(options)
      : { driver: "aws", region: lab.ec2.region, endpoint: lab.ec2.url };
  const nodes: Record<string, Login> = { ...given };
  const opened = await openDrivers(place, { manager: "clusterpro", cloud, nodes });
  const ports = opened.connect({
    onRead: async () => undefined,
    beforeWrite: () => Promise.reject(new Failure("bug", "init would have written")),
    afterWrite: async () => undefined,
    fence: () => undefined,
  });
  return {
    given,
    lab,
    cloud,
    shell: opened.shell,
    ports,
    add: (name, login) => {
      nodes[name] = login;
    },
    loginAt: (address) => ({ ...shared, address }),
    close: () => opened.close(),
  };
}

/** What holds for both nodes. */
function sharedLogin(options: InitOptions): Omit<Login, "address"> {
  const { user, identity, port, knownHosts, jump, sudo } = options;
  return {
    ...(port !== undefined && { port: portOf(port, "--port") }),
    ...(user !== undefined && { user }),
    ...(identity !== undefined && { identity: absolute(identity) }),
    ...(knownHosts !== undefined && { knownHosts: absolute(knownHosts) }),
    ...(sudo === true && { sudo }),
    ...(jump !== undefined && { jump }),
  };
}

function readNodes(words: readonly string[], shared: Omit<Login, "address">): { [label: string]: Login } {
  if (words.length === 0)
    throw new Failure("invalid", "no node was named", {
      hint:
        "give one that answers from here, as --node 10.0.1.11 (with --user, --identity and --sudo where needed), " +
        "or try it with --lab",
    });
  if (words.length > 2)
    throw new Failure("invalid", `--node is given ${words.length} times; a cluster has two nodes`, {
      hint: "give the nodes of one cluster, one or both",
    });
  const [first, second] = words;
  if (first === second)
    throw new Failure("invalid", `--node ${first ?? ""} is given twice`, { hint: "leave one of them out" });
  return Object.fromEntries(words.map((word) => [word, readNode(word, shared)]));
}

/** As in `--jump`: HOST, USER@HOST, HOST:PORT; an IPv6 address with a port stands in brackets. */
function readNode(word: string, shared: Omit<Login, "address">): Login {
  if (isIPv6(word)) return { ...shared, address: word };
  const [, user, bracketed, plain, port] =
    /^(?:([A-Za-z0-9_][A-Za-z0-9_.\\$-]*)@)?(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9_][A-Za-z0-9_.-]*))(?::(\d+))?$/.exec(
      word,
    ) ?? [];
  const address = bracketed ?? plain;
  if (address === undefined)
    throw new Failure("invalid", `--node is ${JSON.stringify(word)}; wanted a host name or an IP address`, {
      hint: "write it as HOST, USER@HOST or USER@HOST:PORT",
    });
  return {
    ...shared,
    address,
    ...(user !== undefined && { user }),
    ...(port !== undefined && { port: portOf(port, "--node") }),
  };
}

function portOf(text: string, option: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new Failure("invalid", `${option}: the port is "${text}"; wanted a whole number from 1 to 65535`, {
    hint: "leave it out for 22, or what ~/.ssh/config says",
  });
}

/** In the inventory a path is relative to that file, here to where the command is given. */
function absolute(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : resolve(path);
}

async function readCloud({ region, profile, endpoint }: InitOptions): Promise<CloudAsked> {
  const { getDefaultRegion } = await import("../drivers/aws/region.ts");
  return {
    driver: "aws",
    region: region ?? (await getDefaultRegion(profile)),
    ...(profile !== undefined && { profile }),
    ...(endpoint !== undefined && { endpoint }),
  };
}

/** The lab's own nodes by their names; the first one of its default cluster if none is named. */
function labNodes(lab: LabInfo, options: InitOptions): { [label: string]: Login } {
  const own = [
    "user",
    "identity",
    "port",
    "knownHosts",
    "jump",
    "sudo",
    "region",
    "profile",
    "endpoint",
  ] as const;
  const stray = own.filter((option) => options[option] !== undefined);
  if (stray.length > 0)
    throw new Failure(
      "invalid",
      `--lab is given with ${stray.map(flagOf).join(", ")}: the lab knows that itself`,
      {
        hint: "leave it out",
      },
    );
  const known = Object.values(lab.clusters).flatMap(({ nodes }) => Object.keys(nodes));
  const words = options.node ?? Object.keys(lab.clusters[lab.default]?.nodes ?? {}).slice(0, 1);
  if (words.length > 2 || new Set(words).size < words.length) readNodes(words, {});
  return Object.fromEntries(
    words.map((word) => {
      const login = labLogin(lab, word);
      if (login !== undefined) return [word, login];
      throw new Failure("not-found", `the lab has no node ${JSON.stringify(word)}`, {
        hint: `its nodes are ${known.join(", ")}`,
      });
    }),
  );
}

/** How a node of the lab is reached, which its clp.conf cannot know. */
export function labLogin(lab: LabInfo, name: string): Login | undefined {
  for (const { nodes } of Object.values(lab.clusters)) {
    if (!Object.hasOwn(nodes, name)) continue;
    const { address, port, user, identity, knownHosts } = nodes[name] ?? {};
    if (address !== undefined)
      return {
        address,
        ...(port !== undefined && { port }),
        ...(user !== undefined && { user }),
        ...(identity !== undefined && { identity }),
        ...(knownHosts !== undefined && { knownHosts }),
      };
  }
  return undefined;
}

function flagOf(option: string): string {
  return `--${option.replace(/[A-Z]/g, (sign) => `-${sign.toLowerCase()}`)}`;
}

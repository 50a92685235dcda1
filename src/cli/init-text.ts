/** What `init` found, as the text of an inventory: each key with a line on what it means, and examples that are switched off. */
import { createRequire } from "node:module";
import { homedir } from "node:os";
import type * as Yaml from "yaml";

import { meaningOf } from "../config/json-schema.ts";
import { oneLine } from "./format.ts";
import type { FoundCluster, FoundNode } from "./init-find.ts";
import type { CloudAsked } from "./init-reach.ts";

const require = createRequire(import.meta.url);

export interface Written {
  readonly found: FoundCluster;
  readonly cloud: CloudAsked;
  readonly lab: boolean;
  /** The schema's file, relative to the inventory. */
  readonly schema: string | undefined;
}

export function inventoryText({ found, cloud, lab, schema }: Written): string {
  const lines = [
    ...(schema === undefined ? [] : [`# yaml-language-server: $schema=./${schema}`]),
    ...said(
      0,
      `The inventory, written by \`runbook init\` from clp.conf on ${found.readOn}. Change it as you like.`,
    ),
    ...said(
      0,
      "It holds no secrets. Where # stands without a blank, a line is switched off: take the # away to use it.",
    ),
    ...(lab ? said(0, ofTheLab) : []),
    "",
    ...defaultLines(clusterName(found.config.name)),
    "",
    ...head(0, ["clusters"], "clusters"),
    ...clusterLines({ found, cloud }),
  ];
  return `${lines.join("\n")}\n`;
}

/** One more cluster, as it stands below the others. */
export function addedLines({ found, cloud, lab }: Omit<Written, "schema">): readonly string[] {
  return [
    ...said(1, `Added by \`runbook init --add\` from clp.conf on ${found.readOn}.`),
    ...(lab ? said(1, ofTheLab) : []),
    ...clusterLines({ found, cloud }),
  ];
}

const ofTheLab = "This one is of the lab: its ports and its key go with it.";

export function defaultLines(name: string): readonly string[] {
  return key(0, ["default"], name);
}

function clusterLines({ found, cloud }: Pick<Written, "found" | "cloud">): readonly string[] {
  const { config, nodes } = found;
  const cluster = ["clusters", "*"];
  const list = (things: readonly { readonly name: string }[]) =>
    things.map((each) => each.name).join(", ") || "none";
  return [
    ...said(1, `groups: ${list(config.groups)}; mirrors: ${list(config.mirrors)}`),
    `${pad(1)}${scalar(clusterName(config.name))}:`,
    ...key(2, [...cluster, "manager"], "clusterpro"),
    "",
    ...head(2, [...cluster, "cloud"], "cloud"),
    ...key(3, [...cluster, "cloud", "driver"], cloud.driver),
    ...key(3, [...cluster, "cloud", "region"], cloud.region),
    ...keyOrOff(3, [...cluster, "cloud", "profile"], cloud.profile, "operations"),
    ...(cloud.endpoint === undefined ? [] : key(3, [...cluster, "cloud", "endpoint"], cloud.endpoint)),
    "",
    ...head(2, [...cluster, "nodes"], "nodes"),
    ...nodes.flatMap((node, i) => nodeLines(node, i === 0)),
    "",
    ...block([...cluster, "settings"], ["settings:", "  deadManMinutes: 15"]),
    "",
    ...off(2, [...cluster, "backupEvery"], "1d"),
    ...off(2, [...cluster, "drillEvery"], "4w"),
    "",
    ...block(
      [...cluster, "drill"],
      [
        "drill:",
        "  scratch:",
        "    node: scratch1",
        "    address: 10.0.1.90",
        "    instance: i-0123456789abcdef9",
        "  checks:",
        "    - name: what must be there is there",
        `      on: ${scalar(config.mirrors[0]?.name ?? "md1")}`,
        "      file: path/below/the/mirror",
      ],
    ),
  ];
}

/** The reader's names are narrower than those of a cluster. */
export function clusterName(name: string): string {
  const plain = name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return plain === "" ? "cluster" : plain.slice(0, 63);
}

function nodeLines({ name, login, unreached, instance, by }: FoundNode, first: boolean): readonly string[] {
  const { address, port, user, identity, knownHosts, sudo, jump } = login;
  const path = (part: string) => ["clusters", "*", "nodes", "*", part];
  const values: readonly (readonly [string, string | undefined])[] = [
    ["address", scalar(address)],
    ["port", port === undefined ? undefined : String(port)],
    ["user", user && scalar(user)],
    ["identity", identity && scalar(underHome(identity))],
    ["knownHosts", knownHosts && scalar(underHome(knownHosts))],
    ["sudo", sudo === undefined ? undefined : String(sudo)],
    ["jump", jump && scalar(jump)],
  ];
  return [
    `${pad(3)}${scalar(name)}:`,
    ...(unreached === undefined
      ? []
      : [
          ...said(4, `${name} was not reached from here: ${unreached}`),
          ...said(4, "This address is what clp.conf has for it: put in the one that answers from here."),
        ]),
    // What a key means is said once.
    ...values.flatMap(([part, value]) =>
      value === undefined
        ? []
        : [...(first ? said(4, meaningOf(path(part)) ?? part) : []), `${pad(4)}${part}: ${value}`],
    ),
    ...(first && user === undefined ? off(4, path("user"), "root") : []),
    ...(first && jump === undefined ? off(4, path("jump"), "ops@gateway.example.com") : []),
    ...said(4, first ? `${meaningOf(path("instance")) ?? "its instance"}; ${by}` : by),
    `${pad(4)}instance: ${scalar(instance)}`,
  ];
}

function key(depth: number, path: readonly string[], value: string): readonly string[] {
  return [...said(depth, meaningOf(path) ?? ""), `${pad(depth)}${path.at(-1) ?? ""}: ${scalar(value)}`];
}

function keyOrOff(
  depth: number,
  path: readonly string[],
  value: string | undefined,
  example: string,
): readonly string[] {
  return value === undefined ? off(depth, path, example) : key(depth, path, value);
}

function off(depth: number, path: readonly string[], example: string): readonly string[] {
  // The sign stands where the mapping's own keys do, so that the line is right once it is taken away.
  return [...said(depth, meaningOf(path) ?? ""), `${pad(depth)}#${path.at(-1) ?? ""}: ${example}`];
}

/** Several lines of a cluster that are of use together only. */
function block(path: readonly string[], lines: readonly string[]): readonly string[] {
  return [...said(2, meaningOf(path) ?? ""), ...lines.map((line) => `${pad(2)}#${line}`)];
}

function head(depth: number, path: readonly string[], name: string): readonly string[] {
  return [...said(depth, meaningOf(path) ?? ""), `${pad(depth)}${name}:`];
}

/** A comment stays one: whatever comes from elsewhere has no line break. */
function said(depth: number, text: string): readonly string[] {
  return text === "" ? [] : [`${pad(depth)}# ${oneLine(text)}`];
}

function pad(depth: number): string {
  return "  ".repeat(depth);
}

/** Quoted where YAML would read anything but this text. */
function scalar(text: string): string {
  const yaml = require("yaml") as typeof Yaml;
  return yaml.stringify(text, { lineWidth: 0 }).trimEnd();
}

/** As people write it, and so that it holds for others of the same login. */
function underHome(path: string): string {
  const home = homedir();
  return path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path;
}

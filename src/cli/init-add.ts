/**
 * One more cluster in an inventory that is there. Its text is a person's: comments, order and spacing stay as they are to
 * the byte, and new lines come between. That all else reads as before is proven on the result, before it is put in place.
 */
import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";
import type * as Yaml from "yaml";

import type { Inventory } from "../config/inventory.ts";
import { Failure } from "../errors.ts";

const require = createRequire(import.meta.url);

export interface Addition {
  readonly name: string;
  /** Its lines, as deep as they stand in an inventory that `init` writes. */
  readonly lines: readonly string[];
  /** Lines that name the default; none if it has one, or must not get one. */
  readonly naming: readonly string[];
}

/** The text with the cluster in it, below the others. */
export function withCluster(file: string, text: string, { lines, naming }: Addition): string {
  const yaml = require("yaml") as typeof Yaml;
  const top = yaml.parseDocument(text).contents;
  const pair = yaml.isMap(top)
    ? top.items.find(({ key }) => yaml.isScalar(key) && key.value === "clusters")
    : undefined;
  const clusters = pair?.value;
  const first = yaml.isMap(clusters) ? clusters.items[0]?.key : undefined;
  const heading = startOf(yaml, pair?.key);
  const sibling = startOf(yaml, first);
  const end = endOf(yaml, clusters);
  if (
    heading === undefined ||
    sibling === undefined ||
    end === undefined ||
    (yaml.isMap(clusters) && clusters.flow === true)
  )
    throw cannot(file, "its clusters do not stand on lines of their own");
  const indent = indentOf(text, sibling);
  const outer = indentOf(text, heading);
  if (indent === undefined || outer === undefined)
    throw cannot(file, "its clusters do not stand on lines of their own");
  const at = endOfClusters(text, end, indent.length);
  const line = text.includes("\r\n") ? "\r\n" : "\n";
  const cluster = ["", ...lines.map((each) => (each === "" ? "" : indent + each.slice(2)))];
  const before = text.slice(0, at);
  const added = cluster.map((each) => each + line).join("");
  const whole = `${before}${before.endsWith("\n") ? "" : line}${added}${text.slice(at)}`;
  const named = naming.map((each) => outer + each + line).join("");
  // It comes before `clusters`, and so before all that was added above.
  const place = aboveHeading(text, heading);
  return naming.length === 0 ? whole : `${whole.slice(0, place)}${named}${line}${whole.slice(place)}`;
}

/** All clusters that were there read as before, and nothing else is new. */
export function assertOnlyAdded(was: Inventory, is: Inventory, { name, naming }: Addition): void {
  const { [name]: added, ...others } = is.clusters;
  const wanted = naming.length === 0 ? was.default : Object.keys(was.clusters)[0];
  if (added !== undefined && isDeepStrictEqual(others, was.clusters) && is.default === wanted) return;
  throw cannot(was.file, "what is there would not read as before");
}

function cannot(file: string, why: string): Failure {
  return new Failure("invalid", `no cluster can be added to ${file}: ${why}`, {
    hint: "write the cluster into a file of its own (`runbook init FILE`), and put it below `clusters:` by hand",
  });
}

function startOf(yaml: typeof Yaml, node: unknown): number | undefined {
  return yaml.isScalar(node) ? node.range?.[0] : undefined;
}

/** Where the last value ends. A block's own end is of no use: it has the comments below it, whatever they are about. */
function endOf(yaml: typeof Yaml, node: unknown): number | undefined {
  if (yaml.isPair(node)) return endOf(yaml, node.value ?? node.key);
  if (yaml.isCollection(node) && node.flow !== true) return endOf(yaml, node.items.at(-1));
  return yaml.isNode(node) ? (node.range?.[1] ?? undefined) : undefined;
}

/** The blanks before what stands at this place; undefined if anything else is before it on its line. */
function indentOf(text: string, at: number): string | undefined {
  const before = text.slice(lineAt(text, at), at);
  return /^ *$/.test(before) ? before : undefined;
}

function lineAt(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

function nextLine(text: string, at: number): number {
  const found = text.indexOf("\n", at);
  return found < 0 ? text.length : found + 1;
}

/** Behind the last value, and behind the comments below it that are as deep as a cluster: they belong to the one above. */
function endOfClusters(text: string, end: number, depth: number): number {
  let place = text[end - 1] === "\n" ? end : nextLine(text, end);
  for (let at = place; at < text.length; at = nextLine(text, at)) {
    const line = text.slice(at, nextLine(text, at));
    if (line.trim() === "") continue;
    if (!line.trimStart().startsWith("#") || line.search(/\S/) < depth) break;
    place = nextLine(text, at);
  }
  return place;
}

/** Above the comments of `clusters`; not above those that open the file, of which the first may name its schema. */
function aboveHeading(text: string, heading: number): number {
  const own = lineAt(text, heading);
  let place = own;
  while (place > 0) {
    const above = lineAt(text, place - 1);
    if (!text.slice(above, place).trimStart().startsWith("#")) return place;
    place = above;
  }
  return own;
}

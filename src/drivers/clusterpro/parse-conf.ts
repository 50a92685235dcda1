/**
 * clp.conf → what the cluster declares (reference clusterpro 7). The file does not store defaults, so an absent
 * element means the default; a structure that we do not know is refused, with the file and what was expected.
 */
import { isIP } from "node:net";

import { Failure } from "../../errors.ts";
import type { ClusterConfig, GroupConfig, MirrorConfig } from "../../ports/cluster-manager.ts";
import { at, children, maxBytes, readXml, type Element } from "./xml.ts";

/** What one file says, with the names of all monitors: clpstat shows them cut. */
export type ParsedConfig = Omit<ClusterConfig, "digests"> & { readonly monitors: readonly string[] };

export function parseConfig(bytes: Uint8Array, file: string): ParsedConfig {
  const refuse = (wrong: string) =>
    new Failure("invalid", `${file}: ${wrong}`, {
      hint: "only the configuration of a CLUSTERPRO X cluster on Linux is understood",
    });
  const root = readXml(decode(bytes, refuse), file);
  if (root.name !== "root") throw refuse(`the root element is <${root.name}>, expected <root>`);

  const serverOs = at(root, "all/serveros")?.text;
  if (serverOs !== "linux")
    throw refuse(`all/serveros is ${serverOs ? `"${serverOs}"` : "absent"}, expected "linux"`);
  const name = at(root, "cluster/name")?.text;
  if (!name) throw refuse("cluster/name is absent, expected the cluster's name");

  const nodes = readNodes(root, refuse);
  const groups = children(root, "group").map((each) => readGroup(each, refuse));
  for (const group of groups)
    // The dead-man timer finds the peer's line in clpstat by name, where a group of that name would look the same.
    if (nodes.includes(group.name))
      throw refuse(`group ${group.name} has the name of a node, expected different names`);

  const watched = children(at(root, "monitor"), "mdw");
  const mirrors = children(at(root, "resource"), "md").map((md) =>
    readMirror(md, nodes, groups, watched, refuse),
  );
  return {
    name,
    uuid: at(root, "cluster/uuid")?.text || undefined,
    nodes,
    addresses: Object.fromEntries(
      children(root, "server").map((each) => [nameOf(each, refuse), addressesOf(each)]),
    ),
    claims: (at(root, "resource")?.children ?? []).flatMap(claimsIn),
    groups,
    mirrors,
    monitors: (at(root, "monitor")?.children ?? [])
      .filter((each) => each.name !== "types" && each.attributes["name"] !== undefined)
      .map((each) => nameOf(each, refuse)),
    hybridDisks: children(at(root, "resource"), "hd").map((each) => nameOf(each, refuse)),
    savedBy: at(root, "trekking/savedversion")?.text || undefined,
  };
}

type Refuse = (wrong: string) => Failure;

/** In priority order; 0 is the highest, a node without one comes where the file has it, after those with one. */
function readNodes(root: Element, refuse: Refuse): readonly string[] {
  const found = children(root, "server").map((each, place) => {
    const priority = at(each, "priority")?.text;
    return { name: nameOf(each, refuse), place, priority: priority ? Number(priority) : Infinity };
  });
  if (found.length === 0) throw refuse("there is no <server>, expected the cluster's nodes");
  if (found.some((each) => Number.isNaN(each.priority))) throw refuse("a server's priority is not a number");
  const names = found
    .sort((a, b) => (a.priority === b.priority ? a.place - b.place : a.priority - b.priority))
    .map((each) => each.name);
  if (new Set(names).size !== names.length) throw refuse("two servers have the same name");
  return names;
}

/**
 * No procedure uses them, they only help to write an inventory: so whatever is no IP address is left out, and never a
 * reason to refuse the file.
 */
function addressesOf(server: Element): readonly string[] {
  const ofType = (type: string) =>
    children(server, "device")
      .filter((device) => at(device, "type")?.text === type)
      .map((device) => at(device, "info")?.text ?? "");
  return [...new Set([...ofType("lan"), ...ofType("mdc")])].filter((address) => isIP(address) !== 0);
}

/** Their parameters are paths, and scripts' names look like host names. */
const claimNothing = new Set(["types", "md", "hd", "disk", "exec", "volmgr", "raw", "nas"]);

/**
 * By their looks, not by the names of parameters: these differ by the kind of resource and by release, and a kind that is not
 * known must not pass unseen.
 */
function claimsIn(resource: Element): ParsedConfig["claims"] {
  if (claimNothing.has(resource.name)) return [];
  const values = textsIn(resource).flatMap((text) => text.split(/[\s,;]+/).map(plainly));
  return [...new Set(values.filter(isClaim))].map((value) => ({
    resource: `${resource.name}@${resource.attributes["name"] ?? ""}`,
    value,
  }));
}

/**
 * One value in one spelling: an address without its interface ("10.0.0.1%bond0"), prefix or port; a name in small letters,
 * without the dot at its end; IPv6 in its short form.
 */
function plainly(text: string): string {
  const bare = text
    .replace(/[%/].*$/, "")
    .replace(/^\[(.*)\](:\d+)?$/, "$1")
    .replace(/^([^:]+):\d+$/, "$1");
  if (isIP(bare) === 6) return new URL(`http://[${bare}]`).hostname.slice(1, -1);
  if (isIP(bare) === 4 || /^Z[A-Z0-9]{9,31}$/.test(bare)) return bare;
  return bare.toLowerCase().replace(/\.$/, "");
}

function textsIn(element: Element): readonly string[] {
  return [element.text, ...element.children.flatMap(textsIn)];
}

function isClaim(text: string): boolean {
  if (isIP(text) !== 0) return !/^(255\.|0\.0\.0\.0$|127\.|::1?$)/.test(text);
  return (
    /^(rtb|eni|eipalloc|eipassoc|vpc|subnet|igw|i)-[0-9a-f]{8,}$/.test(text) ||
    /^ocid1\.[a-z]+\./.test(text) ||
    // A hosted zone of Route 53.
    /^Z[A-Z0-9]{9,31}$/.test(text) ||
    /^(?=.*[a-z])([a-z0-9_-]+\.)+[a-z][a-z0-9-]+\.?$/i.test(text)
  );
}

function readGroup(group: Element, refuse: Refuse): GroupConfig {
  const resources = children(group, "resource").map((each) => {
    const full = each.attributes["name"] ?? "";
    const [, type, name] = /^([A-Za-z0-9_]+)@(.+)$/.exec(full) ?? [];
    if (type === undefined || name === undefined)
      throw refuse(`group ${group.attributes["name"]} has a resource "${full}", expected TYPE@NAME`);
    return { type, name: checkedName(name, "resource", refuse) };
  });
  // Automatic start and failover are the defaults. A value that we do not know counts as automatic: then the
  // procedures expect that the group may move by itself.
  return {
    name: nameOf(group, refuse),
    resources,
    startsByItself: at(group, "start")?.text !== "0",
    failsOverByItself: at(group, "failover")?.text !== "0",
  };
}

function readMirror(
  md: Element,
  nodes: readonly string[],
  groups: readonly GroupConfig[],
  watched: readonly Element[],
  refuse: Refuse,
): MirrorConfig {
  const name = nameOf(md, refuse);
  const common = (path: string) => at(md, `parameters/${path}`)?.text || undefined;
  const own = (node: string, path: string) =>
    at(
      children(md, "server").find((each) => each.attributes["name"] === node),
      `parameters/${path}`,
    )?.text || undefined;
  const partition = (path: string) =>
    Object.fromEntries(
      nodes.map((node) => [
        node,
        devicePath(own(node, path) ?? common(path), `mirror ${name}: ${path} for ${node}`, refuse),
      ]),
    );
  const flag = (path: string, absent: boolean) => valueOf(common(path), path) ?? absent;
  // On for all if it is on anywhere: which of two values a command looks at is not known.
  const anywhere = (path: string, absent: boolean) =>
    [flag(path, absent), ...nodes.map((node) => valueOf(own(node, path), path))].includes(true);
  const valueOf = (value: string | undefined, path: string) => {
    if (value !== undefined && value !== "0" && value !== "1")
      throw refuse(`mirror ${name}: ${path} is "${value}", expected 0 or 1`);
    return value === undefined ? undefined : value === "1";
  };
  const monitors = watched.filter((each) => at(each, "parameters/object")?.text === name);
  if (monitors.length > 1)
    throw refuse(`mirror ${name} is the object of ${monitors.length} monitors, expected one at most`);
  const mountPoint = common("mount/point") ?? "";
  if (mountPoint !== "" && !isPath(mountPoint))
    throw refuse(`mirror ${name}: mount/point is "${mountPoint}", expected an absolute path`);
  return {
    name,
    group: groups.find((group) => group.resources.some((each) => each.type === "md" && each.name === name))
      ?.name,
    monitor: monitors[0] && nameOf(monitors[0], refuse),
    device: devicePath(common("nmppath"), `mirror ${name}: nmppath`, refuse),
    mountPoint,
    fileSystem: common("fs") ?? "",
    dataPartition: partition("diskdev/dppath"),
    clusterPartition: partition("diskdev/cppath"),
    ownPartitions: nodes.filter((node) =>
      ["diskdev/dppath", "diskdev/cppath"].some((path) => own(node, path) !== undefined),
    ),
    fullCopy: anywhere("fullcopy", true),
    initialMkfs: anywhere("mkfs", false),
    // `sync` off means that no data is sent at all, which is even less than asynchronous.
    synchronous: flag("mddriver/sync", true) && (common("mddriver/syncmode") ?? "1") === "1",
  };
}

function nameOf(element: Element, refuse: Refuse): string {
  return checkedName(element.attributes["name"] ?? "", `<${element.name}>`, refuse);
}

/** Names become arguments of commands, so one that could be an option, or that hides something, is refused. */
function checkedName(name: string, what: string, refuse: Refuse): string {
  if (/^[A-Za-z0-9_](?:[A-Za-z0-9_. -]{0,62}[A-Za-z0-9_.-])?$/.test(name)) return name;
  throw refuse(`${what} has the name ${JSON.stringify(name)}, expected letters, digits, "_", "-", "."`);
}

function devicePath(value: string | undefined, what: string, refuse: Refuse): string {
  if (value !== undefined && isPath(value) && !/\s/.test(value)) return value;
  throw refuse(
    `${what} is ${value === undefined ? "absent" : JSON.stringify(value)}, expected a device path`,
  );
}

const isPath = (value: string) => value.startsWith("/") && !/[\p{Cc}\ufffd]/u.test(value);

// By the XML header (reference clusterpro 7). ASCII is read as its superset UTF-8. A byte that is no character of the
// encoding becomes U+FFFD: comments may hold what they like, and no name or path that we use passes with it.
const decoders: { readonly [encoding: string]: string } = {
  "euc-jp": "euc-jp",
  ascii: "utf-8",
  "us-ascii": "utf-8",
  gb2312: "gbk",
  "utf-8": "utf-8",
};

function decode(bytes: Uint8Array, refuse: Refuse): string {
  if (bytes.length === 0) throw refuse("the file is empty");
  if (bytes.length > maxBytes)
    throw refuse(`the file has ${bytes.length} bytes, expected at most ${maxBytes}`);
  const head = new TextDecoder("latin1").decode(bytes.subarray(0, 200));
  const said =
    /^(?:\u00ef\u00bb\u00bf)?<\?xml[^>]*?\sencoding\s*=\s*["']([^"']+)["']/.exec(head)?.[1] ?? "UTF-8";
  const decoder = decoders[said.toLowerCase()];
  if (decoder === undefined)
    throw refuse(`the encoding is ${JSON.stringify(said)}, expected EUC-JP, ASCII, GB2312 or UTF-8`);
  return new TextDecoder(decoder).decode(bytes);
}

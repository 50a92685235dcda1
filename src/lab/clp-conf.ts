/**
 * clp.conf: the file on each node is the configuration, the model reads it there, so that a changed file acts
 * (reference clusterpro 7). Kept as a byte string, because its encoding is EUC-JP and its line ends are CRLF.
 */

export interface XmlElement {
  readonly name: string;
  readonly attributes: { readonly [name: string]: string };
  readonly children: XmlElement[];
  text: string;
}

export interface ConfSpec {
  readonly cluster: string;
  readonly uuid: string;
  /** A comment as bytes in EUC-JP. */
  readonly comment: string;
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  readonly groups: readonly {
    readonly name: string;
    readonly resources: readonly string[];
    readonly startsByItself: boolean;
    readonly failsOver: boolean;
  }[];
  readonly mirrors: readonly {
    readonly name: string;
    readonly number: number;
    readonly mountPoint: string;
    readonly dataPartition: string;
    readonly clusterPartition: string;
    /** A node's own partitions, where they differ from the common ones. */
    readonly own: { readonly [node: string]: { readonly data: string; readonly cluster: string } };
    readonly fullCopy: boolean | undefined;
  }[];
  readonly fip: { readonly [name: string]: string };
}

const element = (
  name: string,
  attributes: XmlElement["attributes"],
  ...children: (XmlElement | undefined)[]
): XmlElement => ({
  name,
  attributes,
  children: children.filter((child) => child !== undefined),
  text: "",
});
const leaf = (name: string, text: string | number): XmlElement => ({
  name,
  attributes: {},
  children: [],
  text: String(text),
});

export function renderConf(spec: ConfSpec): string {
  const device = (id: number, type: string, info: string) =>
    element("device", { id: String(id) }, leaf("type", type), leaf("info", info));
  const parameters = (...children: (XmlElement | undefined)[]) => element("parameters", {}, ...children);
  const partitions = (data: string, cluster: string) =>
    element("diskdev", {}, leaf("dppath", data), leaf("cppath", cluster));
  const exec = (name: string) =>
    element(
      "exec",
      { name },
      parameters(element("act", {}, leaf("path", "start.sh")), element("deact", {}, leaf("path", "stop.sh"))),
    );
  const monitor = (type: string, name: string, object?: string) =>
    element(type, { name }, object === undefined ? undefined : parameters(leaf("object", object)));
  const all = spec.groups.flatMap(({ resources }) => resources);
  const named = (type: string) =>
    all.filter((each) => each.startsWith(`${type}@`)).map((each) => each.slice(type.length + 1));
  const types = (names: readonly string[]) => names.map((name) => element("types", { name }));
  return writeXml(
    element(
      "root",
      {},
      element("all", {}, leaf("charset", "EUC-JP"), leaf("serveros", "linux"), leaf("encode", "EUC-JP")),
      element(
        "cluster",
        {},
        leaf("name", spec.cluster),
        leaf("comment", spec.comment),
        leaf("uuid", spec.uuid),
      ),
      element(
        "heartbeat",
        {},
        ...types(["lankhb"]),
        element("lankhb", { name: "lankhb1" }, leaf("priority", 0), leaf("device", 0)),
      ),
      ...spec.nodes.map(({ name, address }, index) =>
        element(
          "server",
          { name },
          leaf("priority", index),
          device(0, "lan", address),
          device(400, "mdc", address),
        ),
      ),
      ...spec.groups.map(({ name, resources, startsByItself, failsOver }) =>
        // Defaults are not stored (reference clusterpro 1.5).
        element(
          "group",
          { name },
          startsByItself ? undefined : leaf("start", 0),
          failsOver ? undefined : leaf("failover", 0),
          ...resources.map((resource) => element("resource", { name: resource })),
        ),
      ),
      element(
        "resource",
        {},
        ...types(["fip", "md", "exec"]),
        ...named("fip").map((name) =>
          element("fip", { name }, parameters(leaf("ip", spec.fip[name] ?? "10.0.0.200"))),
        ),
        ...spec.mirrors.map((mirror) =>
          element(
            "md",
            { name: mirror.name },
            parameters(
              leaf("netdev", ""),
              leaf("nmppath", `/dev/NMP${mirror.number}`),
              leaf("fs", "xfs"),
              element("mount", {}, leaf("point", mirror.mountPoint)),
              partitions(mirror.dataPartition, mirror.clusterPartition),
              mirror.fullCopy === undefined ? undefined : leaf("fullcopy", mirror.fullCopy ? 1 : 0),
            ),
            ...Object.entries(mirror.own).map(([node, own]) =>
              element("server", { name: node }, parameters(partitions(own.data, own.cluster))),
            ),
          ),
        ),
        ...named("exec").map(exec),
      ),
      element(
        "monitor",
        {},
        ...types(["fipw", "mdnw", "mdw", "userw"]),
        ...named("fip").map((name, index) => monitor("fipw", `fipw${index + 1}`, name)),
        ...spec.mirrors.map(({ name, number }) => monitor("mdnw", `mdnw${number}`, name)),
        ...spec.mirrors.map(({ name, number }) => monitor("mdw", `mdw${number}`, name)),
        monitor("userw", "userw"),
      ),
      element(
        "trekking",
        {},
        leaf("configid", "1.000000"),
        leaf("savedversion", "4.3.0-1"),
        leaf("savedinnerversion", "430000"),
      ),
    ),
  );
}

export function writeXml(root: XmlElement): string {
  const lines: string[] = ['<?xml version="1.0" encoding="EUC-JP"?>'];
  const write = (each: XmlElement, depth: number) => {
    const indent = "\t".repeat(depth);
    const attributes = Object.entries(each.attributes)
      .map(([name, value]) => ` ${name}="${escapeXml(value)}"`)
      .join("");
    if (each.children.length === 0) {
      lines.push(
        each.text === ""
          ? `${indent}<${each.name}${attributes}/>`
          : `${indent}<${each.name}${attributes}>${escapeXml(each.text)}</${each.name}>`,
      );
      return;
    }
    lines.push(`${indent}<${each.name}${attributes}>`);
    for (const child of each.children) write(child, depth + 1);
    lines.push(`${indent}</${each.name}>`);
  };
  write(root, 0);
  return lines.map((line) => `${line}\r\n`).join("");
}

const escapeXml = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
const unescapeXml = (text: string): string =>
  text.replace(
    /&(amp|lt|gt|quot|apos);/g,
    (_, name: string) => ({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" })[name] ?? "",
  );

/** Undefined if it is no well-formed file: the product then says that its configuration is invalid. */
export function parseXml(source: string): XmlElement | undefined {
  const stack: XmlElement[] = [];
  let root: XmlElement | undefined;
  const pattern =
    /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w.-]*)((?:\s+[\w.-]+="[^"]*")*)\s*(\/?)>|([^<]+)/gy;
  for (let at = 0; at < source.length; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (!found) return undefined;
    const [, close, name, attributes = "", empty, text] = found;
    if (text !== undefined) {
      const open = stack.at(-1);
      if (open) open.text += unescapeXml(text.trim());
      continue;
    }
    if (name === undefined) continue;
    if (close) {
      if (stack.pop()?.name !== name) return undefined;
      continue;
    }
    const made: XmlElement = {
      name,
      attributes: Object.fromEntries(
        [...attributes.matchAll(/([\w.-]+)="([^"]*)"/g)].map(([, key = "", value = ""]) => [
          key,
          unescapeXml(value),
        ]),
      ),
      children: [],
      text: "",
    };
    const parent = stack.at(-1);
    if (parent) parent.children.push(made);
    else if (root) return undefined;
    else root = made;
    if (!empty) stack.push(made);
  }
  return stack.length === 0 ? root : undefined;
}

/** The elements at "resource/md@md1/parameters/fullcopy": each step a name, with its `name` attribute after the @. */
export function selectXml(root: XmlElement, path: string): readonly XmlElement[] {
  let found: readonly XmlElement[] = [root];
  for (const step of path.split("/").filter(Boolean)) {
    const [name, attribute] = step.split("@");
    found = found.flatMap(({ children }) =>
      children.filter(
        (child) => child.name === name && (attribute === undefined || child.attributes["name"] === attribute),
      ),
    );
  }
  return found;
}

export function setXml(root: XmlElement, path: string, text: string): void {
  let here = root;
  for (const step of path.split("/").filter(Boolean)) {
    const [name = "", attribute] = step.split("@");
    let next = here.children.find(
      (child) => child.name === name && (attribute === undefined || child.attributes["name"] === attribute),
    );
    if (!next) {
      next = element(name, attribute === undefined ? {} : { name: attribute });
      here.children.push(next);
    }
    here = next;
  }
  here.text = text;
}

/** What the model needs to know of a file. */
export interface LabConf {
  readonly root: XmlElement;
  readonly cluster: string;
  readonly nodes: readonly string[];
  readonly groups: readonly {
    readonly name: string;
    readonly resources: readonly { readonly type: string; readonly name: string }[];
    readonly startsByItself: boolean;
    readonly failsOver: boolean;
  }[];
  readonly monitors: readonly {
    readonly type: string;
    readonly name: string;
    readonly object: string | undefined;
  }[];
}

export function readConf(text: string): LabConf | undefined {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const conf = parseConf(text);
  // The file is asked for at every tick of the world and changes almost never.
  if (conf) {
    if (parsed.size > 100) parsed.clear();
    parsed.set(text, conf);
  }
  return conf;
}

const parsed = new Map<string, LabConf>();

function parseConf(text: string): LabConf | undefined {
  const root = parseXml(text);
  if (!root) return undefined;
  const value = (path: string) => selectXml(root, path)[0]?.text;
  return {
    root,
    cluster: value("cluster/name") ?? "",
    nodes: selectXml(root, "server")
      .map((each) => ({
        name: each.attributes["name"] ?? "",
        priority: Number(selectXml(each, "priority")[0]?.text ?? 99),
      }))
      .sort((a, b) => a.priority - b.priority)
      .map(({ name }) => name),
    groups: selectXml(root, "group").map((each) => ({
      name: each.attributes["name"] ?? "",
      resources: selectXml(each, "resource").map((resource) => {
        const [type = "", name = ""] = (resource.attributes["name"] ?? "").split("@");
        return { type, name };
      }),
      startsByItself: selectXml(each, "start")[0]?.text !== "0",
      failsOver: selectXml(each, "failover")[0]?.text !== "0",
    })),
    monitors: (selectXml(root, "monitor")[0]?.children ?? [])
      .filter(({ name }) => name !== "types")
      .map((each) => ({
        type: each.name,
        name: each.attributes["name"] ?? "",
        object: selectXml(each, "parameters/object")[0]?.text,
      })),
  };
}

export interface MirrorSettings {
  readonly device: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  readonly dataPartition: string;
  readonly clusterPartition: string;
  /** Absent means on (reference clusterpro 1.5). */
  readonly fullCopy: boolean;
  readonly mkfs: boolean;
}

export function mirrorSettings(conf: LabConf, mirror: string, node: string): MirrorSettings {
  const value = (path: string) =>
    selectXml(conf.root, `resource/md@${mirror}/server@${node}/parameters/${path}`)[0]?.text ??
    selectXml(conf.root, `resource/md@${mirror}/parameters/${path}`)[0]?.text;
  return {
    device: value("nmppath") ?? "",
    mountPoint: value("mount/point") ?? "",
    fileSystem: value("fs") ?? "xfs",
    dataPartition: value("diskdev/dppath") ?? "",
    clusterPartition: value("diskdev/cppath") ?? "",
    fullCopy: value("fullcopy") !== "0",
    mkfs: value("mkfs") === "1",
  };
}

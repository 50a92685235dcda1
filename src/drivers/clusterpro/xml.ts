/**
 * A small reader for the XML of a cluster's configuration. The file comes from a node and is untrusted: what is not
 * well-formed is refused, and so are document types, entities beyond the five of XML, and sizes beyond any real file.
 */
import { Failure } from "../../errors.ts";

export interface Element {
  readonly name: string;
  readonly attributes: { readonly [name: string]: string };
  readonly children: readonly Element[];
  /** Its own text, trimmed; the text of its children is theirs. */
  readonly text: string;
}

export const maxBytes = 4 * 1024 * 1024;
const maxDepth = 32;
const maxElements = 100_000;

/** Reads a whole document; `file` names it in failures. */
export function readXml(text: string, file: string): Element {
  const name = "[A-Za-z_][A-Za-z0-9_.-]*";
  const token = new RegExp(
    [
      `<\\?(?<instruction>[\\s\\S]*?)\\?>`,
      `<!--(?<comment>[\\s\\S]*?)-->`,
      `<!\\[CDATA\\[(?<raw>[\\s\\S]*?)\\]\\]>`,
      `</(?<close>${name})\\s*>`,
      `<(?<open>${name})(?<attributes>(?:\\s+${name}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(?<empty>/?)>`,
      `(?<text>[^<]+)`,
    ].join("|"),
    "y",
  );
  type Open = { name: string; attributes: Record<string, string>; children: Element[]; text: string };
  const stack: Open[] = [];
  let root: Element | undefined;
  let elements = 0;
  const lineAt = (index: number) => text.slice(0, index).split("\n").length;
  const refuse = (index: number, wrong: string) =>
    new Failure("invalid", `${file} line ${lineAt(index)}: ${wrong}`, {
      hint: "the file is damaged, or was not written by the product",
    });

  while (token.lastIndex < text.length) {
    const at = token.lastIndex;
    const found = token.exec(text)?.groups;
    if (found === undefined) {
      const next = text.slice(at, at + 9).toUpperCase();
      throw refuse(
        at,
        next === "<!DOCTYPE" ? "a document type is not accepted" : "this is not well-formed XML",
      );
    }
    const inside = stack.at(-1);
    if (found["instruction"] !== undefined) {
      if (/^xml\s/.test(found["instruction"]) && at !== 0) throw refuse(at, "the XML header must come first");
    } else if (found["comment"] !== undefined) {
      if (found["comment"].includes("--") || found["comment"].endsWith("-"))
        throw refuse(at, "a comment holds --");
    } else if (found["raw"] !== undefined) {
      if (!inside) throw refuse(at, "text stands outside the root element");
      inside.text += found["raw"];
    } else if (found["text"] !== undefined) {
      if (inside) inside.text += unescape(found["text"], (wrong) => refuse(at, wrong));
      else if (found["text"].trim() !== "") throw refuse(at, "text stands outside the root element");
    } else if (found["close"] !== undefined) {
      if (inside?.name !== found["close"])
        throw refuse(at, `</${found["close"]}> closes ${inside ? `<${inside.name}>` : "nothing"}`);
      finish();
    } else {
      if (root) throw refuse(at, "there is a second root element");
      if (stack.length >= maxDepth || ++elements > maxElements)
        throw refuse(at, "the document is too deep or too large");
      const attributes: Record<string, string> = Object.create(null) as Record<string, string>;
      for (const [, key = "", quoted = ""] of (found["attributes"] ?? "").matchAll(
        /([^\s=]+)\s*=\s*("[^"]*"|'[^']*')/g,
      )) {
        if (key in attributes) throw refuse(at, `attribute ${key} is given twice`);
        attributes[key] = unescape(quoted.slice(1, -1), (wrong) => refuse(at, wrong));
      }
      stack.push({ name: found["open"] ?? "", attributes, children: [], text: "" });
      if (found["empty"] === "/") finish();
    }
  }
  if (!root)
    throw refuse(
      text.length,
      stack.length > 0 ? `<${stack.at(-1)?.name}> is never closed` : "there is no root element",
    );
  return root;

  function finish(): void {
    const ended = stack.pop();
    if (!ended) return;
    const element: Element = { ...ended, text: ended.text.trim() };
    const parent = stack.at(-1);
    if (parent) parent.children.push(element);
    else root = element;
  }
}

/** Elements called so directly below. */
export function children(element: Element | undefined, name: string): readonly Element[] {
  return element?.children.filter((each) => each.name === name) ?? [];
}

/** The first element at a path of names, as "parameters/diskdev/dppath". */
export function at(element: Element | undefined, path: string): Element | undefined {
  return path.split("/").reduce<Element | undefined>((where, name) => children(where, name)[0], element);
}

const entities: { readonly [name: string]: string } = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

function unescape(text: string, refuse: (wrong: string) => Failure): string {
  return text.replace(/&([^;&\s]*)(;?)/g, (whole, name: string, end: string) => {
    const number = /^#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}))$/.exec(name);
    const code = number
      ? parseInt(number[1] ?? number[2] ?? "", number[1] === undefined ? 10 : 16)
      : undefined;
    if (end !== "" && code !== undefined && code > 0 && code <= 0x10ffff) return String.fromCodePoint(code);
    const known = end !== "" && Object.hasOwn(entities, name) ? entities[name] : undefined;
    if (known === undefined) throw refuse(`entity ${whole} is not accepted`);
    return known;
  });
}

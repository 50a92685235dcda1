/** Looks for what is wrong with an inventory before its values are checked: its YAML, its keys, secrets in it. */
import type * as Yaml from "yaml";
import { nearest } from "./nearest.ts";
import type { Keys } from "./schema.ts";

export type PathPart = string | number;

export interface Mistake {
  readonly path: readonly PathPart[];
  /** The rest of the sentence after the path. */
  readonly what: string;
  /** It is the key that is wrong, not its value. */
  readonly atKey?: boolean;
  readonly line?: number;
  readonly hint?: string;
}

export interface Parsed {
  readonly value: unknown;
  readonly mistakes: readonly Mistake[];
  /** The line of a value, or of its key; of the nearest thing around it if there is no such thing. */
  readonly lineOf: (path: readonly PathPart[], key: boolean) => number;
}

// Aliases that stand for aliases grow without limit when they are followed; an honest inventory has a handful.
const mostAliases = 100;

export function findMistakes(yaml: typeof Yaml, text: string): Parsed {
  const lines = new yaml.LineCounter();
  const failed = (what: string, line = 1): Parsed => ({
    value: undefined,
    mistakes: [{ path: [], what, line }],
    lineOf: () => 1,
  });
  let document: Yaml.Document.Parsed;
  try {
    document = yaml.parseDocument(text, {
      version: "1.2",
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      // Its own check compares every key with every other: of ten thousand keys that takes minutes.
      uniqueKeys: false,
    });
  } catch (thrown) {
    // Nested so deep that the parser ran out of stack.
    return failed(`cannot be read as YAML: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  // Only the first: what follows it is mostly what the reader made of the rest.
  const said = [...document.errors, ...document.warnings].slice(0, 1);
  if (said.length > 0) {
    const mistakes = said.map(({ message, pos }) => ({
      path: [],
      what: `not valid YAML: ${message.split("\n")[0] ?? ""}`.replace(/[.:]$/, ""),
      line: lines.linePos(pos[0]).line,
    }));
    return { value: undefined, mistakes, lineOf: () => 1 };
  }
  if (document.contents === null) return failed("is empty; expected `clusters:` with at least one cluster");
  try {
    const double = findDouble(yaml, document);
    if (double !== undefined)
      return failed("not valid YAML: Map keys must be unique", lines.linePos(double).line);
    const value = document.toJS({ maxAliasCount: mostAliases }) as unknown;
    return { value, mistakes: [], lineOf: (path, key) => findLine(yaml, document, lines, path, key) };
  } catch (thrown) {
    if (thrown instanceof ReferenceError)
      return failed(`has aliases that grow too large (${thrown.message})`);
    return failed(`cannot be read as YAML: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** Where a key stands for the second time in its mapping. */
function findDouble(yaml: typeof Yaml, document: Yaml.Document.Parsed): number | undefined {
  let found: number | undefined;
  yaml.visit(document, {
    Map: (_, { items }) => {
      const seen = new Set<string>();
      for (const { key } of items) {
        const text = yaml.isScalar(key) ? String(key.value) : undefined;
        if (text === undefined) continue;
        if (seen.has(text)) {
          found = startOf(yaml, key);
          return yaml.visit.BREAK;
        }
        seen.add(text);
      }
      return undefined;
    },
  });
  return found;
}

/** Keys that the schema does not know, at any depth, with what was probably meant. */
export function findUnknownKeys(value: unknown, schema: Keys, path: readonly PathPart[] = []): Mistake[] {
  const inner = schema.type === "optional" ? (schema.wrapped ?? schema) : schema;
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) {
    const { item } = inner;
    return item === undefined
      ? []
      : value.flatMap((held, index) => findUnknownKeys(held, item, [...path, index]));
  }
  const { entries } = inner;
  return Object.entries(value).flatMap(([key, held]) => {
    if (inner.type === "record" && inner.value !== undefined)
      return findUnknownKeys(held, inner.value, [...path, key]);
    if (entries === undefined) return [];
    const known = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (known !== undefined) return findUnknownKeys(held, known, [...path, key]);
    const names = Object.keys(entries);
    const guess = nearest(key, names);
    const meant = guess === undefined ? `the keys here are ${names.join(", ")}` : `did you mean "${guess}"?`;
    return [{ path: [...path, key], what: `unknown key; ${meant}`, atKey: true }];
  });
}

const secretKey = /pass(word|wd|phrase)|secret|token|credential|private_?-?key|access_?-?key|api_?-?key/i;
const secretValue =
  /-----BEGIN [A-Z ]*PRIVATE KEY|\b(AKIA|ASIA)[A-Z0-9]{16}\b|^[a-z]+:\/\/[^/@\s]*:[^/@\s]*@/;

// Nothing that the schema knows lies deeper; the rest is refused as unknown, however deep it goes.
const deepest = 20;

/** Secrets that stand in the file: found by the key or by the look of the value, and never repeated. */
export function findSecrets(value: unknown, path: readonly PathPart[] = []): Mistake[] {
  if (typeof value === "string" && secretValue.test(value)) return [secretAt(path)];
  if (typeof value !== "object" || value === null || path.length > deepest) return [];
  return Object.entries(value).flatMap(([key, held]: [string, unknown]) => {
    const isLeaf = typeof held !== "object" || held === null;
    return isLeaf && secretKey.test(key) ? [secretAt([...path, key])] : findSecrets(held, [...path, key]);
  });
}

function secretAt(path: readonly PathPart[]): Mistake {
  return {
    path,
    what: "a secret may not stand in this file",
    atKey: true,
    hint:
      "take it out and change it; secrets belong in the ssh agent, in the environment, or in the cloud's own " +
      "credential chain (for AWS: a profile in ~/.aws, named by `cloud.profile`)",
  };
}

function findLine(
  yaml: typeof Yaml,
  document: Yaml.Document.Parsed,
  lines: Yaml.LineCounter,
  path: readonly PathPart[],
  key: boolean,
): number {
  let node: unknown = document.contents;
  let offset = startOf(yaml, node) ?? 0;
  for (const [index, part] of path.entries()) {
    if (yaml.isAlias(node)) node = node.resolve(document);
    if (yaml.isSeq(node)) {
      const item: unknown = node.items[Number(part)];
      offset = startOf(yaml, item) ?? offset;
      node = item;
      continue;
    }
    if (!yaml.isMap(node)) break;
    const pair = node.items.find(
      (item) => yaml.isScalar(item.key) && String(item.key.value) === String(part),
    );
    if (pair === undefined) break;
    const keyOffset = startOf(yaml, pair.key);
    const last = index === path.length - 1;
    // The value of a mapping begins on the line below its key; the key is where people look.
    const ofValue = last && !key && yaml.isScalar(pair.value) ? startOf(yaml, pair.value) : undefined;
    offset = ofValue ?? keyOffset ?? offset;
    node = pair.value;
  }
  return lines.linePos(offset).line;
}

function startOf(yaml: typeof Yaml, node: unknown): number | undefined {
  return yaml.isNode(node) ? node.range?.[0] : undefined;
}

/** What was found, short enough for a line. */
export function show(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/**
 * Holes: what a plan cannot know yet. A hole is a string with a mark that no name or id can contain, so it can
 * stand wherever an id will stand. It prints as «what», matches any text when a request is held against the plan,
 * and is never sent: the write layer refuses it as a bug.
 */
const open = "\u27e8";
const close = "\u27e9";
const hole = /\u27e8([^\u27e8\u27e9]*)\u27e9/g;

/** A value that will be known only when the run is there, said in words: `later("snapshot of vol-1")`. */
export function later(what: string): string {
  return `${open}${what.replaceAll(open, "(").replaceAll(close, ")")}${close}`;
}

export function isLater(value: unknown): boolean {
  return typeof value === "string" && value.includes(open);
}

/** Whether a hole stands anywhere in a plain value. */
export function hasLater(value: unknown): boolean {
  return JSON.stringify(value)?.includes(open) ?? false;
}

/**
 * Whether `actual` is `planned` with its holes filled: same shape, same text around the holes. A list in the plan
 * is matched element by element; a hole fills exactly one string.
 */
export function fills(planned: unknown, actual: unknown): boolean {
  if (typeof planned === "string")
    return planned === actual || (typeof actual === "string" && pattern(planned).test(actual));
  if (Array.isArray(planned)) {
    return (
      Array.isArray(actual) &&
      planned.length === actual.length &&
      planned.every((item, i) => fills(item, actual[i]))
    );
  }
  if (planned !== null && typeof planned === "object") {
    if (actual === null || typeof actual !== "object" || Array.isArray(actual)) return false;
    const keys = Object.keys(planned).sort();
    return (
      JSON.stringify(keys) === JSON.stringify(Object.keys(actual).sort()) &&
      keys.every((key) => fills(entry(planned, key), entry(actual, key)))
    );
  }
  return planned === actual;
}

function entry(value: object, key: string): unknown {
  return (value as Record<string, unknown>)[key];
}

function pattern(planned: string): RegExp {
  let source = "";
  let from = 0;
  for (const match of planned.matchAll(hole)) {
    source += escape(planned.slice(from, match.index)) + "[\\s\\S]+";
    from = match.index + match[0].length;
  }
  return new RegExp(`^${source}${escape(planned.slice(from))}$`);
}

function escape(literal: string): string {
  return literal.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

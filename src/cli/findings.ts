/** What a check found, in lines that a person reads. Facts are plain JSON of any shape: a runbook may bring its own checks. */

/** What a check found, as lines; a bare "true" says no more than the check's title. */
export function findings(fact: unknown): readonly string[] {
  if (fact === true || fact === null || fact === undefined) return [];
  if (typeof fact !== "object") return [scalar(fact)];
  if (Array.isArray(fact)) return isFlat(fact) ? [fact.map(scalar).join(", ")] : fact.map(inline);
  return Object.entries(fact).flatMap(([name, value]: readonly [string, unknown]) => {
    if (Array.isArray(value) && !isFlat(value))
      return [`${name}:`, ...value.map((item) => `  ${inline(item)}`)];
    const text = inline(value);
    return text === "" ? [] : [`${name}: ${text}`];
  });
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return value.map(inline).join(", ");
  if (value === null || typeof value !== "object") return scalar(value);
  return Object.entries(value)
    .filter(([, inner]) => !(Array.isArray(inner) && inner.length === 0))
    .map(([name, inner]) => {
      const nested = inner !== null && typeof inner === "object" && !Array.isArray(inner);
      return nested ? `${name} (${inline(inner)})` : `${name} ${inline(inner)}`;
    })
    .join(", ");
}

function isFlat(list: readonly unknown[]): boolean {
  return list.every((item) => item === null || typeof item !== "object");
}

function scalar(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[0-9a-f]{64}$/.test(text) ? text.slice(0, 12) : text;
}

/** The lab's world as tests compare it. */
import { describeWorld } from "../../src/lab/compare.ts";
import type { Lab } from "../../src/lab/build.ts";
import type { Json } from "../../src/ports/driver.ts";

/**
 * As `describeWorld` has it, but for one thing: a setting of a mirror that clp.conf does not have, and one that it has with
 * its default, are the same (reference clusterpro 1.5 and 7: `fullcopy` 1, `mkfs` 0).
 */
export function worldOf(lab: Lab): Json {
  return plain(describeWorld(lab));
}

function plain(value: Json, key = ""): Json {
  if (typeof value === "string")
    return key === "configuration" ? value.replace(/\s*<(fullcopy>1<\/fullcopy|mkfs>0<\/mkfs)>/g, "") : value;
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner, name)]));
}

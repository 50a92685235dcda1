/** A search by tags, as EC2's filters and as a test of what came back. */
import type { Filter } from "@aws-sdk/client-ec2";
import { invariant } from "../../errors.ts";
import type { Tags } from "../../ports/cloud.ts";

export interface TagSearch {
  readonly filters: Filter[];
  /**
   * Compared here once more: whoever stands at the endpoint may know other wildcards than EC2 does, and a resource that
   * was found too much could be deleted.
   */
  readonly matches: (resource: { readonly tags: Tags }) => boolean;
}

/** The value "*" stands for any value of the tag. */
export function tagSearch(tags: Tags, word: string): TagSearch {
  const wanted = Object.entries(tags);
  invariant(wanted.length > 0, `a search for ${word}s without tags would find every ${word} of the account`);
  return {
    filters: wanted.map(([key, value]) => ({
      Name: `tag:${key}`,
      Values: [value === "*" ? "*" : literal(value)],
    })),
    matches: ({ tags: found }) =>
      wanted.every(([key, value]) => Object.hasOwn(found, key) && (value === "*" || found[key] === value)),
  };
}

/** In a filter's value * and ? stand for other characters, and a backslash takes that from them. */
function literal(value: string): string {
  return value.replaceAll(/[\\*?]/g, "\\$&");
}

/** Oldest first; what is of one instant by its id, so that the order is the same each time. */
export function byAge(at: string, id: string, otherAt: string, otherId: string): number {
  return compare(at, otherAt) || compare(id, otherId);
}

const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

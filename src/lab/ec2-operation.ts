/** The form of one operation of EC2's API. */
import type { Cloud } from "./cloud.ts";
import type { Params } from "./ec2-query.ts";
import type { Xml } from "./ec2-xml.ts";

export interface Operation {
  readonly kind: "read" | "write";
  /** The members that the lab models; another one is refused, never ignored. `DryRun` is known to all. */
  readonly params: readonly string[];
  /**
   * Checks everything and changes nothing, so that a dry run may end here; what it returns does the thing and gives
   * the members of the reply.
   */
  prepare(call: { readonly cloud: Cloud; readonly params: Params }): () => { readonly [name: string]: Xml };
  /** Operations that must be granted besides: tags at creation are checked as CreateTags (reference aws-ebs 9). */
  needs?(params: Params): readonly string[];
}

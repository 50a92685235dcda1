/** What a preflight check of rights asks with, and how it says what is missing. */
import { Failure } from "../errors.ts";
import type { Tags } from "../ports/cloud.ts";
import type { World } from "./step.ts";

/** Tags as what is made will carry them, with a stand-in for the run that is not there yet: a policy may demand one. */
export function sampleTags(world: World): Tags {
  return {
    ...Object.fromEntries(Object.keys(world.tags).map((key) => [key, "dry-run"])),
    "runbook:cluster": world.clusterName,
  };
}

/** `missing`: sentences of the cloud driver, one for each right. */
export function assertGranted(missing: readonly string[], hint?: string): true {
  if (missing.length === 0) return true;
  throw new Failure("denied", `rights are missing: ${[...new Set(missing)].join("; ")}`, {
    hint:
      hint ??
      "grant them to the role that runs this, or tag what the policy expects to be tagged (docs/reference/aws.md)",
  });
}

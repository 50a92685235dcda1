/** Which rights for a prune are missing, by dry runs of exactly what it will send (rights.ts says how they are judged). */
import type { CloudReads, Tags } from "../../ports/cloud.ts";
import type { CloudRequest } from "../../ports/driver.ts";
import type { Calls } from "./calls.ts";
import { requests } from "./requests.ts";
import { askDry } from "./rights.ts";

type Args = Parameters<CloudReads["findMissingPruneRights"]>[0];

/** A policy may tell one snapshot from another by its tags, so each is asked about; a tag takes many in one call. */
export async function findMissingPruneRights(calls: Calls, args: Args): Promise<readonly string[]> {
  const { snapshots, finalOf, volumes } = args;
  const tags: Tags = args.tags ?? { runbook: "rights-check" };
  const asked: (readonly [request: CloudRequest, about: readonly string[]])[] = [
    ...(snapshots.length === 0
      ? []
      : [
          [requests.setTags({ resources: snapshots, tags }), snapshots] as const,
          [requests.removeTags({ resources: snapshots, keys: Object.keys(tags) }), snapshots] as const,
        ]),
    ...snapshots.map((snapshot) => [requests.deleteSnapshot({ snapshot }), [snapshot]] as const),
    ...finalOf.map(
      (volume) => [requests.createSnapshot({ volume, description: "rights check", tags }), [volume]] as const,
    ),
    ...volumes.map((volume) => [requests.deleteVolume({ volume }), [volume]] as const),
  ];
  const sentences: string[] = [];
  for (const [request, about] of asked) {
    const sentence = await askDry(calls, request, about);
    if (sentence !== undefined) sentences.push(sentence);
  }
  return sentences;
}

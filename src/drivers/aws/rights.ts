/**
 * Which rights are missing, by dry runs: EC2 checks the policy, changes nothing, and its good answer is the error
 * DryRunOperation (reference aws-ebs 9). What a dry run says otherwise:
 *   UnauthorizedOperation: the right is missing, and that is a sentence of the list;
 *   a throttle, a server error, no network, no valid keys: nothing was asked, so it is thrown (the layers repeat it);
 *   anything else: the parameters were judged before the rights, so nothing is proven; that is a sentence as well,
 *   because a person has to look, and "no sentence" must mean "proven".
 *
 * The start and the tagging are asked about as the backup will do them. CreateTags is asked about the volumes:
 * snapshots, which are tagged later too, do not exist yet, and a dry run about ids that do not exist cannot work.
 */
import { createHash } from "node:crypto";
import { Failure } from "../../errors.ts";
import type { CloudReads, Tags } from "../../ports/cloud.ts";
import type { CloudRequest } from "../../ports/driver.ts";
import type { Calls } from "./calls.ts";
import { codeOf, deniedAction } from "./errors.ts";
import { getInstance } from "./instances.ts";
import type { NvmeByType } from "./instances.ts";
import { requests } from "./requests.ts";
import { operations } from "./operations.ts";
import { getSnapshots } from "./snapshots.ts";
import { getVolumes } from "./volumes.ts";

type Args = Parameters<CloudReads["findMissingRights"]>[0];

export async function findMissingRights(
  calls: Calls,
  nvmeByType: NvmeByType,
  args: Args,
): Promise<readonly string[]> {
  const { attachments, rootDevice } = await getInstance(calls, nvmeByType, args.instance);
  const otherVolumes = attachments
    .filter(({ volume, device }) => device !== rootDevice && !args.volumes.includes(volume))
    .map(({ volume }) => volume);
  const tags: Tags = args.tags ?? { runbook: "rights-check" };
  const asked: CloudRequest[] = [
    requests.startInstance({ instance: args.instance }),
    ...(args.volumes.length === 0
      ? []
      : [
          requests.createSnapshotSet({ ...args, otherVolumes, description: "rights check", tags }),
          requests.setTags({ resources: args.volumes, tags }),
        ]),
  ];
  // One after the other: the account's share of calls is small, and this runs before anything is urgent.
  const sentences: string[] = [];
  for (const request of asked) {
    const sentence = await askDry(calls, request, aboutOf(request, args));
    if (sentence !== undefined) sentences.push(sentence);
  }
  return sentences;
}

type RestoreArgs = Parameters<CloudReads["findMissingRestoreRights"]>[0];

/**
 * As the restore will do it: a volume like the first of those that it replaces. Detaching can be asked about what is
 * attached, and attaching fully only about what is not; see `inUse`.
 */
export async function findMissingRestoreRights(
  calls: Calls,
  nvmeByType: NvmeByType,
  args: RestoreArgs,
): Promise<readonly string[]> {
  const { instance, snapshot, zone, device } = args;
  const tags: Tags = args.tags ?? { runbook: "rights-check" };
  const [machine, volumes, [source]] = await Promise.all([
    getInstance(calls, nvmeByType, instance),
    getVolumes(calls, args.volumes),
    getSnapshots(calls, [snapshot]),
  ]);
  const like = volumes[0];
  const made = requests.createVolume({
    snapshot,
    zone,
    sizeGiB: Math.max(like?.sizeGiB ?? 1, source?.sizeGiB ?? 1),
    type: like?.type ?? "gp3",
    ...(like?.iops === undefined ? {} : { iops: like.iops }),
    ...(like?.throughputMiBps === undefined ? {} : { throughputMiBps: like.throughputMiBps }),
    encrypted: like?.encrypted ?? source?.encrypted ?? false,
    ...(like?.key === undefined ? {} : { key: like.key }),
    // Of the question's own: a token that the restore itself uses must not be spent here.
    token: createHash("sha256")
      .update(JSON.stringify(["rights-check", args]))
      .digest("hex"),
    tags,
  });
  const held = machine.attachments.map(({ volume }) => volume);
  const fast = { snapshot, zones: [zone] };
  const asked: (readonly [request: CloudRequest, about: readonly string[]])[] = [
    [made, [snapshot]],
    ...(args.volumes.length === 0
      ? []
      : [[requests.setTags({ resources: args.volumes, tags }), args.volumes] as const]),
    ...args.volumes
      .filter((volume) => held.includes(volume))
      .map((volume) => [requests.detachVolume({ volume, instance }), [volume, instance]] as const),
    ...args.volumes.map(
      (volume) => [requests.attachVolume({ volume, instance, device }), [volume, instance]] as const,
    ),
    ...(args.marked === undefined || args.marked.length === 0
      ? []
      : [[requests.setTags({ resources: args.marked, tags }), args.marked] as const]),
    ...(args.starts === false
      ? []
      : [
          [requests.startInstance({ instance }), [instance]] as const,
          // On the way back, what was powered on goes off again.
          [requests.stopInstance({ instance }), [instance]] as const,
        ]),
    ...(args.fastRestore === true
      ? [
          [requests.enableFastRestore(fast), [snapshot]] as const,
          [requests.disableFastRestore(fast), [snapshot]] as const,
        ]
      : []),
  ];
  const sentences: string[] = [];
  for (const [request, about] of asked) {
    const sentence = await askDry(
      calls,
      request,
      about,
      request.operation === "AttachVolume" ? inUse : undefined,
    );
    if (sentence !== undefined) sentences.push(sentence);
  }
  return sentences;
}

/**
 * Before the swap, the old volume is attached and holds the device, so these are what an attach meets at best. They are
 * no proof of the right (reference aws-ebs 9: another error may come first), and no sign of its want either; a refusal
 * for want of it would be UnauthorizedOperation. The port's contract says so, and how to have the proof.
 */
function inUse(failure: Failure): boolean {
  return (
    failure.kind === "conflict" && ["VolumeInUse", "InvalidParameterValue"].includes(codeOf(failure) ?? "")
  );
}

function aboutOf(request: CloudRequest, { instance, volumes }: Args): readonly string[] {
  return request.operation === "StartInstances" ? [instance] : volumes;
}

/** What is missing or unproven, or nothing. */
export async function askDry(
  calls: Calls,
  request: CloudRequest,
  ids: readonly string[],
  isExpected: (failure: Failure) => boolean = () => false,
): Promise<string | undefined> {
  const right = `ec2:${request.operation} on ${ids.join(", ")}`;
  const operation = operations[request.operation];
  if (operation === undefined)
    throw new Failure("bug", `${request.operation} is not an operation of this driver`);
  try {
    await calls.read({ operation: request.operation, ids }, (client, options) =>
      operation.send(calls.sdk, client, { ...request.params, DryRun: true }, options),
    );
  } catch (thrown) {
    if (!(thrown instanceof Failure)) throw thrown;
    switch (codeOf(thrown)) {
      case "DryRunOperation":
        return undefined;
      case "UnauthorizedOperation": {
        const named = deniedAction(thrown);
        const other = named !== undefined && named.action !== `ec2:${request.operation}`;
        return other
          ? `${right} is not allowed, for want of ${named.action}${named.resource === undefined ? "" : ` on ${named.resource}`}`
          : `${right} is not allowed`;
      }
      case undefined:
      default:
        break;
    }
    if (isExpected(thrown)) return undefined;
    if (["unavailable", "timeout", "aborted", "denied", "bug"].includes(thrown.kind)) throw thrown;
    return `could not be proven: ${right} (${thrown.message})`;
  }
  // An answer without an error means that the peer does not know DryRun, and did it.
  throw new Failure(
    "unsupported",
    `${calls.endpoint} carried out ${request.operation} although a dry run was asked for`,
    {
      happened: "said",
      hint: `look at ${ids.join(", ")}: the call was meant to change nothing`,
    },
  );
}

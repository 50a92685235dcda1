/**
 * AWS EC2 and EBS as a Cloud.
 *
 * Grant to the role in use (reference aws-ebs 9 has the conditions by tag; none of it was tried on real AWS):
 *   on "*":                       ec2:DescribeInstances, DescribeInstanceAttribute, DescribeInstanceTypes,
 *                                 DescribeVolumes, DescribeSnapshots
 *     for restores besides:       DescribeVolumeStatus, DescribeFastSnapshotRestores
 *     for pruning besides:        DescribeLockedSnapshots, DescribeFastSnapshotRestores, DescribeImages,
 *                                 DescribeSnapshotAttribute
 *   on the nodes' instances:      ec2:StartInstances, StopInstances
 *   on instances, volumes and snapshots: ec2:CreateSnapshot, CreateSnapshots, CreateTags
 *     (snapshot ARNs have an empty account field; tagging on create is checked as CreateTags, and the later
 *     setTags is CreateTags without an ec2:CreateAction)
 *   for restores:                 ec2:CreateVolume on snapshots and volumes, CreateTags on volumes; AttachVolume and
 *     DetachVolume on instances and volumes; ModifyInstanceAttribute on instances (deletion at termination);
 *     EnableFastSnapshotRestores and DisableFastSnapshotRestores on snapshots, always both
 *   for retention, best under another role: ec2:DeleteSnapshot, CreateTags and DeleteTags on snapshots; for old volumes
 *     DeleteVolume, and CreateSnapshot of them
 *   for encrypted volumes, on the key: kms:DescribeKey, CreateGrant, GenerateDataKeyWithoutPlaintext, ReEncrypt*,
 *     Decrypt; starting a node with encrypted volumes needs the grant too
 * `findMissingRights`, `findMissingRestoreRights` and `findMissingPruneRights` ask EC2 for them by dry runs.
 *
 * Seen with: @aws-sdk/client-ec2 3.1169.0 on Node 20, against replies written from its types and the lab; API
 * version 2016-11-15. Not yet against AWS itself.
 *
 * Quirks:
 *   - The SDK repeats calls by itself, CreateSnapshot too, and each repetition makes a set more. So it makes one
 *     attempt here, for reads as well: drivers do not retry, layers do. One attempt also means no timer of the SDK.
 *   - The SDK reads an empty page, or a proxy's well-formed page with status 200, as a reply without content. Each
 *     reply is therefore asked for a part that EC2 always sends; only CreateTags, ModifyInstanceAttribute, DeleteVolume
 *     and DeleteSnapshot have none.
 *   - CreateSnapshots takes the volumes to leave out, not those to take; see requests.ts.
 *   - DescribeVolumes tells IOPS of types for which CreateVolume refuses to be told any; see requests.ts.
 *   - Switching fast restore on or off can fail with status 200: the refusals are inside of the reply.
 *   - `stoppedBy` knows a stop by the API and one from the guest; a hibernation or a spot stop is "unknown".
 */
import { Failure } from "../../errors.ts";
import type { CloudDriver } from "../../ports/cloud.ts";
import type { Answer, Request, SendOptions } from "../../ports/driver.ts";
import { openCalls } from "./calls.ts";
import type { AwsSettings, Calls } from "./calls.ts";
import { codeOf } from "./errors.ts";
import { getFastRestore, listFastRestores } from "./fast-restore.ts";
import { findInstances, getInstance, getPower } from "./instances.ts";
import type { NvmeByType } from "./instances.ts";
import { operations } from "./operations.ts";
import { findMissingPruneRights } from "./prune-rights.ts";
import { getReferences } from "./references.ts";
import { requests } from "./requests.ts";
import { findMissingRestoreRights, findMissingRights } from "./rights.ts";
import { findLock, findSnapshots, getSnapshots, listLocks } from "./snapshots.ts";
import { findVolumes, getInitialization, getVolumes } from "./volumes.ts";

export async function openAws(settings: AwsSettings): Promise<CloudDriver> {
  // The SDK costs more to load than all else together (reference performance, "What decides speed" 6), so it waits for
  // the first call: a runbook that speaks to nodes alone never pays for it.
  let opening: Promise<Calls> | undefined;
  const open = () => (opening ??= openCalls(settings));
  const nvmeByType: NvmeByType = new Map();
  return {
    name: "aws",
    endpoint: async () => (await open()).endpoint,
    reads: {
      getInstance: async (instance) => getInstance(await open(), nvmeByType, instance),
      getPower: async (instance) => getPower(await open(), instance),
      findInstances: async (addresses) => findInstances(await open(), addresses),
      getVolumes: async (volumes) => getVolumes(await open(), volumes),
      findSnapshots: async (tags) => findSnapshots(await open(), tags),
      getSnapshots: async (snapshots) => getSnapshots(await open(), snapshots),
      findVolumes: async (tags) => findVolumes(await open(), tags),
      findMissingRights: async (args) => findMissingRights(await open(), nvmeByType, args),
      findMissingRestoreRights: async (args) => findMissingRestoreRights(await open(), nvmeByType, args),
      getFastRestore: async (pair) => getFastRestore(await open(), pair),
      listFastRestores: async () => listFastRestores(await open()),
      getInitialization: async (volume) => getInitialization(await open(), volume),
      findLock: async (snapshot) => findLock(await open(), snapshot),
      listLocks: async () => listLocks(await open()),
      getReferences: async (snapshots) => getReferences(await open(), snapshots),
      findMissingPruneRights: async (args) => findMissingPruneRights(await open(), args),
    },
    requests,
    send: async (request, options) => send(await open(), request, options),
    // What could not be opened was told to whoever asked, and left nothing to close.
    close: async () =>
      opening?.then(
        (calls) => calls.close(),
        () => undefined,
      ),
  };
}

/** The fence is for writes to nodes; EC2 has nothing to compare it with. */
async function send(calls: Calls, request: Request, { limitMs, signal }: SendOptions): Promise<Answer> {
  const name = request.to === "cloud" ? request.operation : request.verb;
  const operation = request.to === "cloud" && Object.hasOwn(operations, name) ? operations[name] : undefined;
  if (request.to !== "cloud" || operation === undefined) {
    throw new Failure("bug", `${name} is not an operation that the aws driver sends`);
  }
  const what = { operation: name, ids: operation.ids(request.params) };
  const reply = await calls
    .write(what, { limitMs, signal }, (client, options) =>
      operation.send(calls.sdk, client, request.params, options),
    )
    .catch((thrown: unknown) => {
      const code = thrown instanceof Failure ? codeOf(thrown) : undefined;
      if (thrown instanceof Failure && operation.already?.(code, thrown.message) === true)
        return { code: thrown.answer?.code, said: { already: code ?? null } };
      throw thrown;
    });
  const { code, said } = reply;
  if ("refused" in reply && reply.refused !== undefined && reply.refused.length > 0)
    throw calls.refused(what, code, reply.refused);
  const text = JSON.stringify(calls.present(said, what, { code }));
  return code === undefined ? { text } : { code, text };
}

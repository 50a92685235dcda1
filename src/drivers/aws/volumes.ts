/** EBS volumes, where they are attached, and how far they have come over from their snapshots. */
import type { DescribeVolumesCommandInput, Volume as Ec2Volume, VolumeAttachment } from "@aws-sdk/client-ec2";
import { Failure } from "../../errors.ts";
import type { Attachment, CloudReads, Tags, Volume } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";
import { byAge, tagSearch } from "./tag-search.ts";

const anyVolume: About = { operation: "DescribeVolumes", ids: [] };

export async function findVolumes(calls: Calls, tags: Tags): Promise<readonly Volume[]> {
  const search = tagSearch(tags, "volume");
  const found = await listVolumes(calls, anyVolume, { Filters: search.filters, MaxResults: 1000 });
  return found
    .map((volume) => volumeOf(calls, anyVolume, volume))
    .filter(search.matches)
    .sort((a, b) => byAge(a.createdAt, a.id, b.createdAt, b.id));
}

/** Those that were made from one of these snapshots, whatever their tags. */
export async function findVolumesFrom(
  calls: Calls,
  snapshots: readonly string[],
): Promise<readonly Volume[]> {
  const found = await listVolumes(calls, anyVolume, {
    Filters: [{ Name: "snapshot-id", Values: [...snapshots] }],
    MaxResults: 1000,
  });
  return found.map((volume) => volumeOf(calls, anyVolume, volume));
}

export async function getVolumes(calls: Calls, volumes: readonly string[]): Promise<readonly Volume[]> {
  // An empty list of ids would ask EC2 for every volume of the account.
  if (volumes.length === 0) return [];
  const what: About = { operation: "DescribeVolumes", ids: volumes };
  const found = await listVolumes(calls, what, { VolumeIds: [...new Set(volumes)] });
  return inOrder(
    volumes,
    found.map((volume) => volumeOf(calls, what, volume)),
    "volume",
  );
}

/**
 * What is attached to an instance, by attach name. DescribeVolumes is asked, not the instance: after an attach the
 * two may disagree, and the EBS driver of Kubernetes trusts the volumes (reference aws-ebs 4).
 */
export async function listAttachments(calls: Calls, instance: string): Promise<readonly Attachment[]> {
  const what: About = { operation: "DescribeVolumes", ids: [instance] };
  const found = await listVolumes(calls, what, {
    Filters: [{ Name: "attachment.instance-id", Values: [instance] }],
  });
  return found
    .flatMap((volume) => attachmentsOf(calls, what, volume))
    .filter((attachment) => attachment.instance === instance)
    .sort((a, b) => (a.device < b.device ? -1 : 1));
}

/** All pages of what is asked for, as EC2 says it. */
async function listVolumes(
  calls: Calls,
  what: About,
  asked: DescribeVolumesCommandInput,
): Promise<readonly Ec2Volume[]> {
  const { DescribeVolumesCommand } = calls.sdk;
  return calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeVolumesCommand({ ...asked, ...(NextToken === undefined ? {} : { NextToken }) }),
        options,
      ),
    (page) => page.Volumes,
  );
}

/** EC2 tells it of volumes from snapshots only, up to five minutes late (reference aws-ebs 2, DescribeVolumeStatus). */
export async function getInitialization(
  calls: Calls,
  volume: string,
): ReturnType<CloudReads["getInitialization"]> {
  const what: About = { operation: "DescribeVolumeStatus", ids: [volume] };
  const { DescribeVolumeStatusCommand } = calls.sdk;
  const reply = await calls.read(what, (client, options) =>
    client.send(new DescribeVolumeStatusCommand({ VolumeIds: [volume] }), options),
  );
  const found = calls.present(reply.VolumeStatuses, what).find((each) => each.VolumeId === volume);
  if (found === undefined) throw new Failure("not-found", `volume ${volume} is not known to EC2`);
  const details = found.InitializationStatusDetails;
  if (details?.Progress === undefined) return undefined;
  return { percent: details.Progress, etaSeconds: details.EstimatedTimeToCompleteInSeconds };
}

function volumeOf(calls: Calls, what: About, volume: Ec2Volume): Volume {
  return {
    id: calls.present(volume.VolumeId, what),
    state: calls.present(volume.State, what),
    sizeGiB: calls.present(volume.Size, what),
    type: calls.present(volume.VolumeType, what),
    iops: volume.Iops,
    throughputMiBps: volume.Throughput,
    zone: calls.present(volume.AvailabilityZone, what),
    encrypted: volume.Encrypted ?? false,
    key: volume.KmsKeyId,
    snapshot: volume.SnapshotId === "" ? undefined : volume.SnapshotId,
    fastRestored: volume.FastRestored ?? false,
    createdAt: calls.present(volume.CreateTime, what).toISOString(),
    attachments: attachmentsOf(calls, what, volume),
    tags: tagsOf(volume.Tags),
  };
}

function attachmentsOf(calls: Calls, what: About, volume: Ec2Volume): readonly Attachment[] {
  return (volume.Attachments ?? []).flatMap((attachment: VolumeAttachment) => {
    const state = calls.present(attachment.State, what);
    // Without an instance it hangs on a service of AWS's own, which is none of our nodes.
    if (state === "detached" || attachment.InstanceId === undefined) return [];
    return {
      volume: calls.present(volume.VolumeId, what),
      instance: attachment.InstanceId,
      device: calls.present(attachment.Device, what),
      state,
      deleteOnTermination: attachment.DeleteOnTermination ?? false,
    };
  });
}

/** EC2 answers in an order of its own. What it left out without an error is not there (or not yet). */
export function inOrder<T extends { readonly id: string }>(
  asked: readonly string[],
  found: readonly T[],
  word: string,
): readonly T[] {
  const byId = new Map(found.map((item) => [item.id, item]));
  return asked.map((id) => {
    const item = byId.get(id);
    if (item === undefined) throw new Failure("not-found", `${word} ${id} is not known to EC2`);
    return item;
  });
}

export function tagsOf(
  list: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined,
): Tags {
  return Object.fromEntries((list ?? []).map(({ Key, Value }) => [Key ?? "", Value ?? ""]));
}

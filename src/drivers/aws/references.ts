/** Who would miss a snapshot: volumes made from it, machine images that hold it, accounts that it is shared with. */
import type { Image } from "@aws-sdk/client-ec2";
import type { CloudReads, Volume } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";
import { getSnapshots } from "./snapshots.ts";
import { findVolumesFrom } from "./volumes.ts";

/** How many values one filter takes (SDK, the limits of filters). */
const valuesAtMost = 200;

export async function getReferences(
  calls: Calls,
  snapshots: readonly string[],
): ReturnType<CloudReads["getReferences"]> {
  // A filter finds nothing for an id that is wrong or gone, and "nobody" would be the answer: so it is asked for first.
  await getSnapshots(calls, snapshots);
  const volumes: Volume[] = [];
  const images: Image[] = [];
  for (let from = 0; from < snapshots.length; from += valuesAtMost) {
    const some = snapshots.slice(from, from + valuesAtMost);
    volumes.push(...(await findVolumesFrom(calls, some)));
    images.push(...(await imagesWith(calls, some)));
  }
  const found = [];
  for (const snapshot of snapshots)
    found.push({
      snapshot,
      volumes: volumes.filter((volume) => volume.snapshot === snapshot),
      images: images.filter((image) => holds(image, snapshot)).map(({ ImageId }) => ImageId ?? "unknown"),
      sharedWith: await sharedWith(calls, snapshot),
    });
  return found;
}

/** Disabled ones too: they hold their snapshots as the others do, and are left out unless they are asked for. */
function imagesWith(calls: Calls, snapshots: readonly string[]): Promise<readonly Image[]> {
  const what: About = { operation: "DescribeImages", ids: [] };
  const { DescribeImagesCommand } = calls.sdk;
  return calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeImagesCommand({
          Owners: ["self"],
          IncludeDisabled: true,
          Filters: [{ Name: "block-device-mapping.snapshot-id", Values: [...snapshots] }],
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Images,
  );
}

function holds(image: Image, snapshot: string): boolean {
  return (image.BlockDeviceMappings ?? []).some((mapping) => mapping.Ebs?.SnapshotId === snapshot);
}

async function sharedWith(calls: Calls, snapshot: string): Promise<readonly string[]> {
  const what: About = { operation: "DescribeSnapshotAttribute", ids: [snapshot] };
  const { DescribeSnapshotAttributeCommand } = calls.sdk;
  const reply = await calls.read(what, (client, options) =>
    client.send(
      new DescribeSnapshotAttributeCommand({ SnapshotId: snapshot, Attribute: "createVolumePermission" }),
      options,
    ),
  );
  return calls
    .present(reply.CreateVolumePermissions, what)
    .map(({ UserId, Group }) => UserId ?? Group ?? "somebody whom EC2 does not name");
}

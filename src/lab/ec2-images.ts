/** EC2's calls about who else uses a snapshot: machine images, and accounts that it is shared with. */
import { CloudError } from "./cloud-model.ts";
import { filtered, page, snapshotById } from "./ec2-lists.ts";
import type { Operation } from "./ec2-operation.ts";
import { flagParam, requiredText, textList } from "./ec2-query.ts";
import { timeXml } from "./ec2-xml.ts";

const describeImages: Operation = {
  kind: "read",
  params: ["Filter", "MaxResults", "NextToken", "ImageId", "Owner", "IncludeDisabled"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const ids = textList(params, "ImageId");
      const owners = textList(params, "Owner");
      const own = owners.length === 0 || owners.includes("self") || owners.includes(cloud.settings.account);
      const disabledToo = flagParam(params, "IncludeDisabled");
      const chosen = cloud.images
        .list()
        .filter(
          ({ id, disabled }) => own && (disabledToo || !disabled) && (ids.length === 0 || ids.includes(id)),
        );
      const { items, nextToken } = page(
        cloud,
        "DescribeImages",
        filtered(chosen, params, {
          "image-id": ({ id }) => [id],
          name: ({ name }) => [name],
          "block-device-mapping.snapshot-id": ({ snapshots }) => Object.values(snapshots),
        }),
        params,
      );
      return {
        imagesSet: items.map(({ id, name, createdAt, snapshots, disabled }) => ({
          imageId: id,
          imageState: disabled ? "disabled" : "available",
          imageOwnerId: cloud.settings.account,
          name,
          creationDate: timeXml(createdAt),
          isPublic: false,
          imageType: "machine",
          rootDeviceType: "ebs",
          blockDeviceMapping: Object.entries(snapshots).map(([deviceName, snapshotId]) => ({
            deviceName,
            ebs: { snapshotId, deleteOnTermination: true },
          })),
        })),
        nextToken,
      };
    },
};

const describeSnapshotAttribute: Operation = {
  kind: "read",
  params: ["SnapshotId", "Attribute"],
  prepare: ({ cloud, params }) => {
    const snapshot = snapshotById(cloud, requiredText(params, "SnapshotId"));
    const attribute = requiredText(params, "Attribute");
    if (attribute !== "createVolumePermission")
      throw new CloudError(
        "InvalidParameterValue",
        `The attribute '${attribute}' is not known to the lab`,
        400,
        true,
      );
    return () => ({
      snapshotId: snapshot.id,
      createVolumePermission: snapshot.sharedWith.map((account) =>
        account === "all" ? { group: "all" } : { userId: account },
      ),
    });
  },
};

export const images: { readonly [name: string]: Operation } = {
  DescribeImages: describeImages,
  DescribeSnapshotAttribute: describeSnapshotAttribute,
};

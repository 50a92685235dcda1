/** EC2's writes. Each checks first and acts afterwards, so that a dry run meets the same refusals. */
import { CloudError } from "./cloud-model.ts";
import { snapshotById, volumeById } from "./ec2-lists.ts";
import type { Operation } from "./ec2-operation.ts";
import {
  flagParam,
  numberParam,
  recordList,
  recordParam,
  requiredText,
  tagList,
  tagSpecification,
  textList,
  textParam,
  type Params,
} from "./ec2-query.ts";
import { attachmentView, snapshotInfoView, snapshotView, stateView, volumeView } from "./ec2-views.ts";

const tagsToo = (params: Params) => (params["TagSpecification"] === undefined ? [] : ["CreateTags"]);

const startInstances: Operation = {
  kind: "write",
  params: ["InstanceId"],
  prepare: ({ cloud, params }) => {
    const ids = requiredList(params, "InstanceId");
    for (const id of ids) cloud.checkCanStart(id);
    return () => ({
      instancesSet: ids.map((id) => {
        const { before, after } = cloud.start(id);
        return { instanceId: id, currentState: stateView(after), previousState: stateView(before) };
      }),
    });
  },
};

const stopInstances: Operation = {
  kind: "write",
  params: ["InstanceId", "Force", "SkipOsShutdown"],
  prepare: ({ cloud, params }) => {
    const ids = requiredList(params, "InstanceId");
    const options = {
      force: flagParam(params, "Force"),
      skipOsShutdown: flagParam(params, "SkipOsShutdown"),
    };
    for (const id of ids) cloud.checkCanStop(id);
    return () => ({
      instancesSet: ids.map((id) => {
        const { before, after } = cloud.stop(id, options);
        return { instanceId: id, currentState: stateView(after), previousState: stateView(before) };
      }),
    });
  },
};

const createSnapshot: Operation = {
  kind: "write",
  params: ["VolumeId", "Description", "TagSpecification"],
  needs: tagsToo,
  prepare: ({ cloud, params }) => {
    const volume = volumeById(cloud, requiredText(params, "VolumeId")).id;
    const description = textParam(params, "Description") ?? "";
    const tags = tagSpecification(params, "snapshot");
    cloud.checkSnapshot(volume, tags);
    // The reply's progress is empty: nothing is known yet.
    return () => ({ ...snapshotView(cloud, cloud.createSnapshot(volume, description, tags)), progress: "" });
  },
};

const createSnapshots: Operation = {
  kind: "write",
  params: ["InstanceSpecification", "Description", "TagSpecification", "CopyTagsFromSource"],
  needs: tagsToo,
  prepare: ({ cloud, params }) => {
    const specification = recordParam(params, "InstanceSpecification");
    refuseUnknown(specification, ["InstanceId", "ExcludeBootVolume", "ExcludeDataVolumeId"]);
    const instance = requiredText(specification, "InstanceId");
    const copy = textParam(params, "CopyTagsFromSource");
    if (copy !== undefined && copy !== "volume")
      throw new CloudError(
        "InvalidParameterValue",
        `Value (${copy}) for parameter CopyTagsFromSource is invalid`,
      );
    const options = {
      description: textParam(params, "Description") ?? "",
      excludeBoot: flagParam(specification, "ExcludeBootVolume"),
      excludeData: textList(specification, "ExcludeDataVolumeId"),
      copyTagsFromVolume: copy === "volume",
      tags: tagSpecification(params, "snapshot"),
    };
    cloud.checkSnapshots(instance, options);
    return () => ({
      snapshotSet: cloud
        .createSnapshots(instance, options)
        .map((snapshot) => snapshotInfoView(cloud, snapshot)),
    });
  },
};

const deleteSnapshot: Operation = {
  kind: "write",
  params: ["SnapshotId"],
  prepare: ({ cloud, params }) => {
    const { id } = snapshotById(cloud, requiredText(params, "SnapshotId"));
    cloud.checkCanDeleteSnapshot(id);
    return () => {
      cloud.deleteSnapshot(id);
      return { return: true };
    };
  },
};

const createTags: Operation = {
  kind: "write",
  params: ["ResourceId", "Tag"],
  prepare: ({ cloud, params }) => {
    const resources = requiredList(params, "ResourceId");
    const tags = tagList(params);
    if (Object.keys(tags).length === 0)
      throw new CloudError("MissingParameter", "The request must contain the parameter Tag");
    // A snapshot made a moment ago may be unknown to the tagging call (reference aws-ebs 3.2).
    for (const id of resources) if (id.startsWith("snap-")) snapshotById(cloud, id);
    cloud.checkTags(resources, tags);
    return () => {
      cloud.setTags(resources, tags);
      return { return: true };
    };
  },
};

const deleteTags: Operation = {
  kind: "write",
  params: ["ResourceId", "Tag"],
  prepare: ({ cloud, params }) => {
    const resources = requiredList(params, "ResourceId");
    const tags =
      params["Tag"] === undefined
        ? undefined
        : Object.fromEntries(
            recordList(params, "Tag").map((tag) => [requiredText(tag, "Key"), textParam(tag, "Value")]),
          );
    cloud.checkTags(resources, {});
    return () => {
      cloud.deleteTags(resources, tags);
      return { return: true };
    };
  },
};

const createVolume: Operation = {
  kind: "write",
  params: [
    "ClientToken",
    "AvailabilityZone",
    "SnapshotId",
    "Size",
    "VolumeType",
    "Iops",
    "Throughput",
    "Encrypted",
    "KmsKeyId",
    "VolumeInitializationRate",
    "TagSpecification",
  ],
  needs: tagsToo,
  prepare: ({ cloud, params }) => {
    const snapshot = textParam(params, "SnapshotId");
    const spec = {
      token: textParam(params, "ClientToken"),
      zone: requiredText(params, "AvailabilityZone"),
      snapshot: snapshot === undefined ? undefined : snapshotById(cloud, snapshot).id,
      sizeGiB: numberParam(params, "Size"),
      type: textParam(params, "VolumeType"),
      iops: numberParam(params, "Iops"),
      throughputMiBps: numberParam(params, "Throughput"),
      encrypted: flagParam(params, "Encrypted"),
      key: textParam(params, "KmsKeyId"),
      initializationMiBps: numberParam(params, "VolumeInitializationRate"),
      tags: tagSpecification(params, "volume"),
    };
    cloud.checkNewVolume(spec);
    return () => {
      // FastRestored and the attachments are absent from this reply (reference aws-ebs 2).
      const {
        fastRestored: _fast,
        attachmentSet: _held,
        ...view
      } = volumeView(cloud, cloud.createVolume(spec));
      return view;
    };
  },
};

const attachVolume: Operation = {
  kind: "write",
  params: ["VolumeId", "InstanceId", "Device"],
  prepare: ({ cloud, params }) => {
    const volume = volumeById(cloud, requiredText(params, "VolumeId"));
    const instance = requiredText(params, "InstanceId");
    const device = requiredText(params, "Device");
    cloud.checkCanAttach(volume.id, instance, device);
    return () => {
      cloud.attachVolume(volume.id, instance, device);
      const held = volume.attachment.now;
      return held === undefined ? {} : attachmentView(volume, held);
    };
  },
};

const detachVolume: Operation = {
  kind: "write",
  // Force is not modelled: it puts the file system at risk, and no procedure may use it (reference aws-ebs 4).
  params: ["VolumeId", "InstanceId"],
  prepare: ({ cloud, params }) => {
    const volume = volumeById(cloud, requiredText(params, "VolumeId"));
    const instance = textParam(params, "InstanceId");
    cloud.checkCanDetach(volume.id, instance);
    return () => {
      cloud.detachVolume(volume.id, instance);
      const held = volume.attachment.now;
      return held === undefined ? {} : attachmentView(volume, held);
    };
  },
};

const deleteVolume: Operation = {
  kind: "write",
  params: ["VolumeId"],
  prepare: ({ cloud, params }) => {
    const { id } = volumeById(cloud, requiredText(params, "VolumeId"));
    cloud.checkCanDelete(id);
    return () => {
      cloud.deleteVolume(id);
      return { return: true };
    };
  },
};

const modifyInstanceAttribute: Operation = {
  kind: "write",
  // Of all attributes, only whether a volume goes with its instance: no procedure may touch the others.
  params: ["InstanceId", "BlockDeviceMapping"],
  prepare: ({ cloud, params }) => {
    const instance = requiredText(params, "InstanceId");
    const wanted = recordList(params, "BlockDeviceMapping").map((mapping) => {
      refuseUnknown(mapping, ["DeviceName", "Ebs"]);
      const ebs = recordParam(mapping, "Ebs");
      refuseUnknown(ebs, ["DeleteOnTermination"]);
      requiredText(ebs, "DeleteOnTermination");
      return { device: requiredText(mapping, "DeviceName"), on: flagParam(ebs, "DeleteOnTermination") };
    });
    if (wanted.length === 0) throw new CloudError("InvalidParameterCombination", "No attributes specified.");
    for (const { device } of wanted) cloud.checkDevice(instance, device);
    return () => {
      for (const { device, on } of wanted) cloud.setDeleteOnTermination(instance, device, on);
      return { return: true };
    };
  },
};

/** Throws for a member that the lab does not model. */
export function refuseUnknown(params: Params, known: readonly string[]): void {
  for (const name of Object.keys(params))
    if (!known.includes(name))
      throw new CloudError("UnknownParameter", `The parameter ${name} is not recognized`, 400, true);
}

export function requiredList(params: Params, name: string): readonly string[] {
  const values = textList(params, name);
  if (values.length === 0)
    throw new CloudError("MissingParameter", `The request must contain the parameter ${name}`);
  return values;
}

export const writes: { readonly [name: string]: Operation } = {
  StartInstances: startInstances,
  StopInstances: stopInstances,
  CreateSnapshot: createSnapshot,
  CreateSnapshots: createSnapshots,
  DeleteSnapshot: deleteSnapshot,
  CreateTags: createTags,
  DeleteTags: deleteTags,
  CreateVolume: createVolume,
  AttachVolume: attachVolume,
  DetachVolume: detachVolume,
  DeleteVolume: deleteVolume,
  ModifyInstanceAttribute: modifyInstanceAttribute,
};

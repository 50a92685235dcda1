/**
 * Our writes as EC2's operations: pure functions, whose params are exactly the SDK's input. The plan prints
 * them, the allow-list compares them, and `send` passes them on unchanged.
 */
import { Failure, invariant } from "../../errors.ts";
import type { CloudWrites, Tags } from "../../ports/cloud.ts";
import type { CloudRequest, Json } from "../../ports/driver.ts";

export const requests: { readonly [Verb in keyof CloudWrites]: (args: CloudWrites[Verb]) => CloudRequest } = {
  startInstance: ({ instance }) => request("startInstance", "StartInstances", { InstanceIds: [instance] }),

  // Without Force: EC2 asks the guest first and cuts power after a few minutes (reference aws-ebs 2).
  stopInstance: ({ instance }) => request("stopInstance", "StopInstances", { InstanceIds: [instance] }),

  createSnapshotSet: ({ instance, volumes, otherVolumes, description, tags }) => {
    const [first, ...more] = volumes;
    invariant(first !== undefined, "a snapshot set of no volume was asked for");
    const labels = {
      Description: description,
      TagSpecifications: [{ ResourceType: "snapshot", Tags: tagList(tags) }],
    };
    if (more.length === 0)
      return request("createSnapshotSet", "CreateSnapshot", { VolumeId: first, ...labels });

    // EC2 takes "all but these", not "these". The root is left out by its own flag and may not be among the
    // excluded ids ("if you specify the ID of the root volume, the request fails", the SDK's own comment), so
    // `otherVolumes` are the *data* volumes that stay out, and a set never holds a root.
    const overlap = otherVolumes.filter((volume) => volumes.includes(volume));
    invariant(
      overlap.length === 0,
      `${overlap.join(", ")} cannot be both in a snapshot set and left out of it`,
    );
    if (otherVolumes.length > excludedAtMost) {
      throw new Failure(
        "unsupported",
        `${instance} has ${String(otherVolumes.length)} volumes to leave out of a set; EC2 takes ${String(excludedAtMost)}`,
        {
          hint: "snapshot more of them together, or move the cluster's volumes to an instance with fewer disks",
        },
      );
    }
    return request("createSnapshotSet", "CreateSnapshots", {
      InstanceSpecification: {
        InstanceId: instance,
        ExcludeBootVolume: true,
        ...(otherVolumes.length === 0 ? {} : { ExcludeDataVolumeIds: [...otherVolumes] }),
      },
      ...labels,
    });
  },

  createSnapshot: ({ volume, description, tags }) =>
    request("createSnapshot", "CreateSnapshot", {
      VolumeId: volume,
      Description: description,
      TagSpecifications: [{ ResourceType: "snapshot", Tags: tagList(tags) }],
    }),

  setTags: ({ resources, tags }) => {
    invariant(resources.length > 0, "tags for no resource were asked for");
    return request("setTags", "CreateTags", { Resources: [...resources], Tags: tagList(tags) });
  },

  removeTags: ({ resources, keys }) => {
    invariant(resources.length > 0 && keys.length > 0, "without keys, DeleteTags takes every tag away");
    return request("removeTags", "DeleteTags", {
      Resources: [...resources],
      Tags: keys.map((Key) => ({ Key })),
    });
  },

  createVolume: ({ snapshot, zone, sizeGiB, type, encrypted, key, token, tags, ...speed }) => {
    invariant(encrypted || key === undefined, "a volume with a key of its own is encrypted");
    return request("createVolume", "CreateVolume", {
      ClientToken: token,
      AvailabilityZone: zone,
      SnapshotId: snapshot,
      Size: sizeGiB,
      VolumeType: type,
      // DescribeVolumes tells the baseline of types that take no IOPS; CreateVolume refuses what it told.
      ...given("Iops", typesWithIops.includes(type) ? speed.iops : undefined),
      ...given("Throughput", type === "gp3" ? speed.throughputMiBps : undefined),
      ...given("VolumeInitializationRate", speed.initializationMiBps),
      // Left out rather than false: what is encrypted stays so in any case (reference aws-ebs 8).
      ...given("Encrypted", encrypted ? true : undefined),
      ...given("KmsKeyId", key),
      TagSpecifications: [{ ResourceType: "volume", Tags: tagList(tags) }],
    });
  },

  attachVolume: ({ volume, instance, device }) =>
    request("attachVolume", "AttachVolume", { VolumeId: volume, InstanceId: instance, Device: device }),

  // Without Force, which puts the file system at risk; with the instance, so that no other's is taken away.
  detachVolume: ({ volume, instance }) =>
    request("detachVolume", "DetachVolume", { VolumeId: volume, InstanceId: instance }),

  setDeleteOnTermination: ({ instance, device, on }) =>
    request("setDeleteOnTermination", "ModifyInstanceAttribute", {
      InstanceId: instance,
      BlockDeviceMappings: [{ DeviceName: device, Ebs: { DeleteOnTermination: on } }],
    }),

  deleteVolume: ({ volume }) => request("deleteVolume", "DeleteVolume", { VolumeId: volume }),

  deleteSnapshot: ({ snapshot }) => request("deleteSnapshot", "DeleteSnapshot", { SnapshotId: snapshot }),

  enableFastRestore: (args) =>
    request("enableFastRestore", "EnableFastSnapshotRestores", fastRestoreParams(args)),

  disableFastRestore: (args) =>
    request("disableFastRestore", "DisableFastSnapshotRestores", fastRestoreParams(args)),
};

/** The types whose IOPS can be chosen; all others must be asked for without ("Omit for all other volume types", SDK). */
const typesWithIops: readonly string[] = ["gp3", "io1", "io2"];

function fastRestoreParams({ snapshot, zones }: CloudWrites["enableFastRestore"]): CloudRequest["params"] {
  invariant(zones.length > 0, `fast restore of ${snapshot} in no zone was asked for`);
  return { AvailabilityZones: [...zones], SourceSnapshotIds: [snapshot] };
}

/** A member that is there only if it has a value. */
function given(name: string, value: Json | undefined): { readonly [key: string]: Json } {
  return value === undefined ? {} : { [name]: value };
}

/** EC2's limit of volumes left out of a set in one call (reference aws-ebs 2, CreateSnapshots). */
const excludedAtMost = 40;

function request(verb: keyof CloudWrites, operation: string, params: CloudRequest["params"]): CloudRequest {
  return { to: "cloud", verb: `cloud.${verb}`, operation, params };
}

/** In the order of their keys, so that the same tags always make the same request. */
function tagList(tags: Tags): readonly Json[] {
  return Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([Key, Value]) => ({ Key, Value }));
}

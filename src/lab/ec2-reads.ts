/** EC2's reads: the Describe operations. */
import { CloudError, type InstanceRecord } from "./cloud-model.ts";
import type { Cloud } from "./cloud.ts";
import { filtered, listed, page, snapshotById, volumeById, volumeListed } from "./ec2-lists.ts";
import type { Operation } from "./ec2-operation.ts";
import { flagParam, requiredText, textList } from "./ec2-query.ts";
import {
  initializationView,
  instanceView,
  shownAddress,
  shownAttachment,
  shownState,
  shownVolumeState,
  snapshotView,
  stateView,
  statusView,
  volumeView,
} from "./ec2-views.ts";
import { resourceType } from "./cloud-tags.ts";

const paged = ["Filter", "MaxResults", "NextToken"];
const some = (value: string | undefined) => (value === undefined ? [] : [value]);

const describeInstances: Operation = {
  kind: "read",
  params: [...paged, "InstanceId"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const { items, nextToken } = page(
        cloud,
        "DescribeInstances",
        filtered(
          chosenInstances(cloud, textList(params, "InstanceId")),
          params,
          {
            "instance-id": ({ id }) => [id],
            "instance-state-name": (instance) => [shownState(cloud, instance)],
            "instance-type": ({ type }) => [type],
            "availability-zone": ({ zone }) => [zone],
            "private-ip-address": (instance) => some(shownAddress(cloud, instance)),
            "network-interface.addresses.private-ip-address": (instance) =>
              some(shownAddress(cloud, instance)),
            "block-device-mapping.volume-id": ({ id }) =>
              cloud
                .listVolumes()
                .filter((volume) => shownAttachment(cloud, volume)?.instance === id)
                .map((volume) => volume.id),
          },
          ({ tags }) => tags,
        ),
        params,
        { ids: "InstanceId" },
      );
      return {
        reservationSet: items.map((instance) => ({
          reservationId: instance.id.replace(/^i-/, "r-"),
          ownerId: cloud.settings.account,
          groupSet: [],
          instancesSet: [instanceView(cloud, instance)],
        })),
        nextToken,
      };
    },
};

const describeInstanceStatus: Operation = {
  kind: "read",
  params: [...paged, "InstanceId", "IncludeAllInstances"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const all = flagParam(params, "IncludeAllInstances");
      const ids = textList(params, "InstanceId");
      if (ids.length > 100)
        throw new CloudError("InvalidParameterValue", "No more than 100 instance ids may be given");
      const shown = chosenInstances(cloud, ids).filter(
        (instance) => all || shownState(cloud, instance) === "running",
      );
      const { items, nextToken } = page(
        cloud,
        "DescribeInstanceStatus",
        filtered(shown, params, {
          "instance-state-name": (instance) => [shownState(cloud, instance)],
          "availability-zone": ({ zone }) => [zone],
        }),
        params,
        { ids: "InstanceId" },
      );
      return {
        instanceStatusSet: items.map((instance) => {
          const status = statusOf(cloud, instance);
          const summary =
            status === "not-applicable" ? { status } : { status, details: [reachability(status)] };
          return {
            instanceId: instance.id,
            availabilityZone: instance.zone,
            instanceState: stateView(shownState(cloud, instance)),
            systemStatus: summary,
            instanceStatus: summary,
            attachedEbsStatus: summary,
          };
        }),
        nextToken,
      };
    },
};

function statusOf(cloud: Cloud, instance: InstanceRecord): "ok" | "initializing" | "not-applicable" {
  if (shownState(cloud, instance) !== "running") return "not-applicable";
  const ran = cloud.heart.clock.now() - instance.since;
  return ran >= cloud.settings.statusOkSeconds * 1000 ? "ok" : "initializing";
}

function reachability(status: "ok" | "initializing") {
  return { name: "reachability", status: status === "ok" ? "passed" : "initializing" };
}

const describeInstanceAttribute: Operation = {
  kind: "read",
  params: ["InstanceId", "Attribute"],
  prepare: ({ cloud, params }) => {
    const instance = cloud.getInstance(requiredText(params, "InstanceId"));
    const attribute = requiredText(params, "Attribute");
    const value = attributeOf(cloud, instance, attribute);
    return () => ({ instanceId: instance.id, [attribute]: value });
  },
};

function attributeOf(cloud: Cloud, instance: InstanceRecord, attribute: string) {
  switch (attribute) {
    case "instanceInitiatedShutdownBehavior":
      return { value: instance.onGuestShutdown };
    case "instanceType":
      return { value: instance.type };
    case "rootDeviceName":
      return { value: instance.rootDevice };
    case "disableApiStop":
    case "disableApiTermination":
      return { value: false };
    case "blockDeviceMapping":
      return instanceView(cloud, instance)["blockDeviceMapping"];
    default:
      throw new CloudError(
        "InvalidParameterValue",
        `The attribute '${attribute}' is not known to the lab`,
        400,
        true,
      );
  }
}

const describeInstanceTypes: Operation = {
  kind: "read",
  params: [...paged, "InstanceType"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const known = new Map(cloud.listInstances().map(({ type, nvme }) => [type, { type, nvme }]));
      const asked = textList(params, "InstanceType");
      const chosen =
        asked.length === 0
          ? [...known.values()]
          : asked.map((type) => {
              const found = known.get(type);
              if (found === undefined)
                throw new CloudError(
                  "InvalidInstanceType",
                  `The following supplied instance types do not exist: [${type}]`,
                );
              return found;
            });
      const { items, nextToken } = page(
        cloud,
        "DescribeInstanceTypes",
        filtered(chosen, params, {
          "instance-type": ({ type }) => [type],
          hypervisor: ({ nvme }) => [nvme ? "nitro" : "xen"],
          "ebs-info.nvme-support": ({ nvme }) => [nvme ? "required" : "unsupported"],
        }),
        params,
      );
      return {
        instanceTypeSet: items.map(({ type, nvme }) => ({
          instanceType: type,
          currentGeneration: nvme,
          bareMetal: false,
          hypervisor: nvme ? "nitro" : "xen",
          instanceStorageSupported: false,
          ebsInfo: {
            ebsOptimizedSupport: nvme ? "default" : "unsupported",
            encryptionSupport: "supported",
            nvmeSupport: nvme ? "required" : "unsupported",
          },
        })),
        nextToken,
      };
    },
};

const describeVolumes: Operation = {
  kind: "read",
  params: [...paged, "VolumeId"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const { items, nextToken } = page(
        cloud,
        "DescribeVolumes",
        filtered(
          chosenVolumes(cloud, textList(params, "VolumeId")),
          params,
          {
            "volume-id": ({ id }) => [id],
            status: (volume) => [shownVolumeState(cloud, volume)],
            "volume-type": ({ type }) => [type],
            "availability-zone": ({ zone }) => [zone],
            "snapshot-id": ({ snapshot }) => some(snapshot),
            encrypted: ({ encrypted }) => [String(encrypted)],
            "attachment.instance-id": (volume) => some(shownAttachment(cloud, volume)?.instance),
            "attachment.device": (volume) => some(shownAttachment(cloud, volume)?.device),
            "attachment.status": (volume) => some(shownAttachment(cloud, volume)?.state),
          },
          ({ tags }) => tags,
        ),
        params,
        { ids: "VolumeId" },
      );
      return { volumeSet: items.map((volume) => volumeView(cloud, volume)), nextToken };
    },
};

const describeVolumeStatus: Operation = {
  kind: "read",
  params: [...paged, "VolumeId"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const { items, nextToken } = page(
        cloud,
        "DescribeVolumeStatus",
        filtered(chosenVolumes(cloud, textList(params, "VolumeId")), params, {
          "availability-zone": ({ zone }) => [zone],
          "volume-status.status": (volume) => [statusView(cloud, volume)],
        }),
        params,
        { ids: "VolumeId" },
      );
      return {
        volumeStatusSet: items.map((volume) => ({
          volumeId: volume.id,
          availabilityZone: volume.zone,
          volumeStatus: {
            status: statusView(cloud, volume),
            details: [{ name: "io-enabled", status: "passed" }],
          },
          eventsSet: [],
          actionsSet: [],
          initializationStatusDetails: initializationView(cloud, volume),
        })),
        nextToken,
      };
    },
};

const describeSnapshots: Operation = {
  kind: "read",
  params: [...paged, "SnapshotId", "Owner"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const ids = textList(params, "SnapshotId");
      const owners = textList(params, "Owner").map((owner) =>
        owner === "self" ? cloud.settings.account : owner,
      );
      const chosen =
        ids.length > 0
          ? ids.map((id) => snapshotById(cloud, id))
          : cloud.listSnapshots().filter(({ startedAt }) => listed(cloud, startedAt));
      const { items, nextToken } = page(
        cloud,
        "DescribeSnapshots",
        filtered(
          owners.length === 0 || owners.includes(cloud.settings.account) ? chosen : [],
          params,
          {
            "snapshot-id": ({ id }) => [id],
            "volume-id": ({ volume }) => [volume],
            "volume-size": ({ sizeGiB }) => [String(sizeGiB)],
            status: ({ state }) => [state],
            progress: (snapshot) => [`${cloud.progress(snapshot)}%`],
            description: ({ description }) => [description],
            encrypted: ({ encrypted }) => [String(encrypted)],
            "owner-id": () => [cloud.settings.account],
            "storage-tier": ({ tier }) => [tier],
          },
          ({ tags }) => tags,
        ),
        params,
        { ids: "SnapshotId" },
      );
      return { snapshotSet: items.map((snapshot) => snapshotView(cloud, snapshot)), nextToken };
    },
};

const describeTags: Operation = {
  kind: "read",
  params: paged,
  prepare:
    ({ cloud, params }) =>
    () => {
      const tagged = [
        ...cloud.listInstances(),
        ...cloud.listVolumes().filter((volume) => volumeListed(cloud, volume)),
        ...cloud.listSnapshots().filter(({ startedAt }) => listed(cloud, startedAt)),
      ];
      const rows = tagged.flatMap(({ id, tags }) =>
        Object.entries(tags).map(([key, value]) => ({
          resourceId: id,
          resourceType: resourceType(id),
          key,
          value,
        })),
      );
      const { items, nextToken } = page(
        cloud,
        "DescribeTags",
        filtered(
          rows,
          params,
          {
            "resource-id": ({ resourceId }) => [resourceId],
            "resource-type": (row) => some(row.resourceType),
            key: ({ key }) => [key],
            value: ({ value }) => [value],
          },
          ({ key, value }) => ({ [key]: value }),
        ),
        params,
      );
      return { tagSet: items, nextToken };
    },
};

const describeAvailabilityZones: Operation = {
  kind: "read",
  params: ["Filter", "ZoneName"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const asked = textList(params, "ZoneName");
      for (const zone of asked)
        if (!cloud.settings.zones.includes(zone))
          throw new CloudError("InvalidParameterValue", `Invalid availability zones: [${zone}]`);
      const zones = cloud.settings.zones.filter((zone) => asked.length === 0 || asked.includes(zone));
      const items = filtered(zones, params, {
        "zone-name": (zone) => [zone],
        "region-name": () => [cloud.settings.region],
        state: () => ["available"],
      });
      return {
        availabilityZoneInfo: items.map((zone) => ({
          zoneName: zone,
          zoneId: `lab-az${cloud.settings.zones.indexOf(zone) + 1}`,
          zoneState: "available",
          zoneType: "availability-zone",
          regionName: cloud.settings.region,
          groupName: cloud.settings.region,
          optInStatus: "opt-in-not-required",
          messageSet: [],
        })),
      };
    },
};

/** Those asked for by id, in that order; otherwise all that the API still shows. */
function chosenInstances(cloud: Cloud, ids: readonly string[]): readonly InstanceRecord[] {
  if (ids.length > 0) return ids.map((id) => cloud.getInstance(id));
  const hourAgo = cloud.heart.clock.now() - 3_600_000;
  return cloud
    .listInstances()
    .filter(({ state, since }) => state.now.state !== "terminated" || since > hourAgo);
}

function chosenVolumes(cloud: Cloud, ids: readonly string[]) {
  if (ids.length > 0) return ids.map((id) => volumeById(cloud, id));
  return cloud.listVolumes().filter((volume) => volumeListed(cloud, volume));
}

export const reads: { readonly [name: string]: Operation } = {
  DescribeInstances: describeInstances,
  DescribeInstanceStatus: describeInstanceStatus,
  DescribeInstanceAttribute: describeInstanceAttribute,
  DescribeInstanceTypes: describeInstanceTypes,
  DescribeVolumes: describeVolumes,
  DescribeVolumeStatus: describeVolumeStatus,
  DescribeSnapshots: describeSnapshots,
  DescribeTags: describeTags,
  DescribeAvailabilityZones: describeAvailabilityZones,
};

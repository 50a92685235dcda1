/**
 * The whole world as one value, for tests that ask "is it as it was found?". Left out: what changes by itself (boot
 * ids, uptimes, the mirrors' times, the clients' counter), what is only added to (logs), and snapshots, which a
 * backup is meant to leave behind.
 */
import type { Json } from "../ports/driver.ts";
import { withoutCounter, type Lab } from "./build.ts";
import { confFile, type Member } from "./cluster-settings.ts";
import type { LabCluster } from "./cluster.ts";
import { devicesFile } from "./lvm.ts";
import type { LabNode } from "./node.ts";

type JsonObject = { readonly [key: string]: Json };

export function describeWorld(lab: Lab): JsonObject {
  return {
    clusters: Object.fromEntries(
      [...lab.clusters.values()].map((cluster) => [cluster.name, describeCluster(cluster)]),
    ),
    scratch: describeNode(lab.scratch),
    instances: Object.fromEntries(
      lab.cloud.listInstances().map((instance) => [
        instance.name,
        {
          state: instance.state.now.state,
          power: instance.power,
          onGuestShutdown: instance.onGuestShutdown,
          tags: { ...instance.tags },
          attachments: Object.fromEntries(
            lab.cloud.attached(instance.id).map(({ device, volume }) => [device, volume]),
          ),
          deletedOnTermination: lab.cloud
            .attached(instance.id)
            .filter(({ volume }) => lab.cloud.getVolume(volume).attachment.now?.deleteOnTermination === true)
            .map(({ device }) => device),
        },
      ]),
    ),
    // What costs money by the minute, and must not be left on (design 4, "Cost").
    fastRestores: Object.fromEntries(
      lab.cloud.fastRestores.on().map(({ snapshot, zone, state }) => [`${snapshot} ${zone}`, state.now]),
    ),
    volumes: Object.fromEntries(
      lab.cloud.listVolumes().map((volume) => [
        volume.id,
        {
          state: volume.state,
          tags: { ...volume.tags },
          content: {
            kind: volume.content.kind,
            dirty: volume.content.dirty,
            data: { ...withoutCounter(volume.content.data) },
          },
          control: Object.fromEntries(
            Object.entries(volume.content.control).filter(
              ([key]) => key !== "lastUpdate" && key !== "breakTime",
            ),
          ),
        },
      ]),
    ),
  };
}

function describeCluster(cluster: LabCluster): JsonObject {
  return {
    suspended: cluster.suspended,
    partitioned: cluster.partitioned,
    groups: Object.fromEntries(cluster.groups.map((group) => [group.name, Object.fromEntries(group.places)])),
    mirrors: Object.fromEntries(
      cluster.mirrors.map((mirror) => [
        mirror.name,
        {
          colours: Object.fromEntries(cluster.names.map((node) => [node, mirror.colour(node, node)])),
          recovering: mirror.recovery !== undefined,
          volumes: Object.fromEntries(mirror.loaded),
        },
      ]),
    ),
    nodes: Object.fromEntries(cluster.members.map((member) => [member.node.name, describeMember(member)])),
  };
}

function describeMember(member: Member): JsonObject {
  const { node } = member;
  return {
    state: node.state,
    core: member.core,
    agent: member.agent,
    suspendedMonitors: [...member.suspended].sort(),
    units: Object.fromEntries(
      [...node.systemd.units].map(([name, { enabled, active }]) => [
        name,
        `${enabled ? "enabled" : "disabled"}, ${active ? "active" : "inactive"}`,
      ]),
    ),
    timers: [...node.systemd.timers.keys()].sort(),
    services: [...node.systemd.services.keys()].sort(),
    // A look that is on its way at this instant is no trace of anything.
    processes: [...node.processes.values()]
      .filter(({ detached }) => detached)
      .map(({ name }) => name)
      .sort(),
    configuration: node.files.find(confFile) ? node.files.read(confFile) : "",
    runbook: { ...node.files.tree("/var/lib/runbook") },
    mounts: node.files.mounts.map(({ point }) => point),
    lvm: describeLvm(node),
  };
}

function describeNode(node: LabNode): JsonObject {
  return {
    state: node.state,
    processes: [...node.processes.values()].filter(({ detached }) => detached).map(({ name }) => name),
    files: { ...node.files.tree("/run"), ...node.files.tree("/var/lib/runbook") },
    mounts: node.files.mounts.map(({ point }) => point),
    lvm: describeLvm(node),
  };
}

/** What its devices file lists, whatever the kernel's names are in this boot, and what is active. */
function describeLvm({ alive, disks, files }: LabNode): JsonObject {
  const listed = files.find(devicesFile) === undefined ? "" : files.read(devicesFile);
  return {
    devices: listed.replaceAll(/ DEVNAME=\S+/g, "").split("\n"),
    active: (alive ? disks.list() : [])
      .flatMap((disk) => disks.logicalOn(disk))
      .filter(({ path }) => path !== undefined)
      .map(({ group, name }) => `${group}/${name}`),
  };
}

/** One line for each difference: "path: before → after". */
export function differences(before: Json, after: Json, path = ""): readonly string[] {
  if (isObject(before) && isObject(after))
    return [...new Set([...Object.keys(before), ...Object.keys(after)])]
      .sort()
      .flatMap((key) =>
        differences(before[key] ?? null, after[key] ?? null, path === "" ? key : `${path}.${key}`),
      );
  const [left, right] = [JSON.stringify(before), JSON.stringify(after)];
  return left === right ? [] : [`${path}: ${left} → ${right}`];
}

const isObject = (value: Json): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

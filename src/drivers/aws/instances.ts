/** EC2 instances: their power, what could replace or lose them when they stop, and what is attached. */
import type { Instance as Ec2Instance, InstanceTypeInfo } from "@aws-sdk/client-ec2";
import { Failure } from "../../errors.ts";
import type { Instance, InstanceSeen } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";
import { codeOf } from "./errors.ts";
import { listAttachments, tagsOf } from "./volumes.ts";

/** Whether a type shows its disks as NVMe, kept for the life of a driver: a type never changes. */
export type NvmeByType = Map<string, boolean>;

export async function getInstance(calls: Calls, nvmeByType: NvmeByType, instance: string): Promise<Instance> {
  const what: About = { operation: "DescribeInstances", ids: [instance] };
  const found = await describe(calls, what, instance);
  const state = calls.present(found.State?.Name, what);
  const type = calls.present(found.InstanceType, what);
  const [nvme, onGuestShutdown, attachments] = await Promise.all([
    nvmeOf(calls, nvmeByType, type),
    // What is gone has no attribute left to ask for, and no guest that could shut down.
    state === "terminated" ? ("terminate" as const) : shutdownBehavior(calls, instance),
    listAttachments(calls, instance),
  ]);
  const tags = tagsOf(found.Tags);
  return {
    id: instance,
    state,
    stoppedBy: stoppedBy(state, found.StateReason?.Code),
    zone: calls.present(found.Placement?.AvailabilityZone, what),
    type,
    nvme,
    onGuestShutdown,
    replacedBy: tags["aws:autoscaling:groupName"],
    capacityReserved: capacityReserved(found),
    subnets: known([found.SubnetId, ...(found.NetworkInterfaces ?? []).map((each) => each.SubnetId)]),
    addresses: known([
      ...addressesOf(found),
      found.PublicIpAddress,
      ...(found.NetworkInterfaces ?? []).flatMap(({ Association, PrivateIpAddresses, Ipv6Addresses }) => [
        Association?.PublicIp,
        ...(PrivateIpAddresses ?? []).map((each) => each.Association?.PublicIp),
        ...(Ipv6Addresses ?? []).map((each) => each.Ipv6Address),
      ]),
    ]),
    // Of one that is gone, it is not known which facts EC2 still tells.
    rootDevice:
      state === "terminated" ? (found.RootDeviceName ?? "") : calls.present(found.RootDeviceName, what),
    attachments,
    tags,
  };
}

/**
 * The filter `private-ip-address` knows the primary address of an interface alone; a mirror may go by a second address or
 * interface (SDK, DescribeInstancesRequest). What comes back is compared once more, as in a search by tags.
 */
export async function getPower(
  calls: Calls,
  instance: string,
): Promise<Pick<Instance, "id" | "state" | "stoppedBy">> {
  const what: About = { operation: "DescribeInstances", ids: [instance] };
  const found = await describe(calls, what, instance);
  const state = calls.present(found.State?.Name, what);
  return { id: instance, state, stoppedBy: stoppedBy(state, found.StateReason?.Code) };
}

export async function findInstances(
  calls: Calls,
  addresses: readonly string[],
): Promise<readonly InstanceSeen[]> {
  // A filter without values would be refused, or find every instance of the account.
  if (addresses.length === 0) return [];
  const what: About = { operation: "DescribeInstances", ids: [] };
  const { DescribeInstancesCommand } = calls.sdk;
  const reservations = await calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeInstancesCommand({
          Filters: [{ Name: "network-interface.addresses.private-ip-address", Values: [...addresses] }],
          MaxResults: 1000,
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Reservations,
  );
  return reservations
    .flatMap((reservation) => reservation.Instances ?? [])
    .map((found) => ({
      id: calls.present(found.InstanceId, what),
      state: calls.present(found.State?.Name, what),
      name: tagsOf(found.Tags)["Name"],
      addresses: addressesOf(found),
    }))
    .filter((found) => found.addresses.some((address) => addresses.includes(address)))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

function addressesOf(found: Ec2Instance): readonly string[] {
  const all = [
    found.PrivateIpAddress,
    ...(found.NetworkInterfaces ?? []).flatMap(({ PrivateIpAddress, PrivateIpAddresses }) => [
      PrivateIpAddress,
      ...(PrivateIpAddresses ?? []).map((each) => each.PrivateIpAddress),
    ]),
  ];
  return known(all);
}

function known(values: readonly (string | undefined)[]): readonly string[] {
  return [...new Set(values.flatMap((value) => (value === undefined || value === "" ? [] : [value])))];
}

/** One instance a call: if a zone fails, a call that names ids in it fails as a whole (reference aws-ebs 2). */
async function describe(calls: Calls, what: About, instance: string): Promise<Ec2Instance> {
  const { DescribeInstancesCommand } = calls.sdk;
  const reply = await calls.read(what, (client, options) =>
    client.send(new DescribeInstancesCommand({ InstanceIds: [instance] }), options),
  );
  const found = calls
    .present(reply.Reservations, what)
    .flatMap((reservation) => reservation.Instances ?? [])
    .find((each) => each.InstanceId === instance);
  if (found === undefined) throw new Failure("not-found", `instance ${instance} is not known to EC2`);
  return found;
}

/** StateReason stays after a start, so it says something only while the instance is down. */
function stoppedBy(state: Instance["state"], reason: string | undefined): Instance["stoppedBy"] {
  if (state !== "stopping" && state !== "stopped") return undefined;
  if (reason === "Client.InstanceInitiatedShutdown") return "guest";
  if (reason === "Client.UserInitiatedShutdown") return "api";
  return "unknown";
}

async function shutdownBehavior(calls: Calls, instance: string): Promise<Instance["onGuestShutdown"]> {
  const what: About = { operation: "DescribeInstanceAttribute", ids: [instance] };
  const { DescribeInstanceAttributeCommand } = calls.sdk;
  const reply = await calls.read(what, (client, options) =>
    client.send(
      new DescribeInstanceAttributeCommand({
        InstanceId: instance,
        Attribute: "instanceInitiatedShutdownBehavior",
      }),
      options,
    ),
  );
  const value = calls.present(reply.InstanceInitiatedShutdownBehavior?.Value, what);
  if (value === "stop" || value === "terminate") return value;
  throw new Failure(
    "unsupported",
    `${instance} answers a shutdown with ${value}, which this version does not know`,
  );
}

/** Held by a reservation now, or bound to one (or to a group of them) for its next start. */
function capacityReserved(found: Ec2Instance): boolean {
  const target = found.CapacityReservationSpecification?.CapacityReservationTarget;
  return (
    found.CapacityReservationId !== undefined ||
    target?.CapacityReservationId !== undefined ||
    target?.CapacityReservationResourceGroupArn !== undefined
  );
}

async function nvmeOf(calls: Calls, known: NvmeByType, type: string): Promise<boolean> {
  const cached = known.get(type);
  if (cached !== undefined) return cached;
  const nvme = nvmeFrom(await describeType(calls, type));
  if (nvme === undefined) {
    // Guessing would map a volume to the wrong disk in the guest.
    throw new Failure("unsupported", `EC2 does not say whether disks of the type ${type} appear as NVMe`, {
      hint: "use an instance type that DescribeInstanceTypes describes",
    });
  }
  known.set(type, nvme);
  return nvme;
}

/** Nothing if EC2 does not know the type. */
async function describeType(calls: Calls, type: string): Promise<InstanceTypeInfo | undefined> {
  const what: About = { operation: "DescribeInstanceTypes", ids: [type] };
  const { DescribeInstanceTypesCommand } = calls.sdk;
  try {
    const reply = await calls.read(what, (client, options) =>
      // The SDK's list of types is as old as the SDK; the name came from EC2 itself.
      client.send(
        new DescribeInstanceTypesCommand({
          InstanceTypes: [type as NonNullable<InstanceTypeInfo["InstanceType"]>],
        }),
        options,
      ),
    );
    return calls.present(reply.InstanceTypes, what).find((each) => each.InstanceType === type);
  } catch (thrown) {
    if (thrown instanceof Failure && codeOf(thrown) === "InvalidInstanceType") return undefined;
    throw thrown;
  }
}

/**
 * On Nitro EBS is NVMe, on Xen it goes by letter (reference aws-ebs 7). "supported" alone says that it can be: it
 * is, unless Xen stands between, which bare metal has not.
 */
function nvmeFrom(info: InstanceTypeInfo | undefined): boolean | undefined {
  const support = info?.EbsInfo?.NvmeSupport;
  if (support === "required") return true;
  if (support === "unsupported") return false;
  if (info?.Hypervisor !== undefined) return info.Hypervisor === "nitro";
  return support === "supported" && info?.BareMetal === true ? true : undefined;
}

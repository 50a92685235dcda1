/**
 * The operations that this driver can send, one table: what is not in it cannot leave. Each passes the params of
 * the request on unchanged, and tells what of the reply is worth keeping in a journal.
 */
import type {
  AttachVolumeRequest,
  CreateSnapshotRequest,
  CreateSnapshotsRequest,
  CreateTagsRequest,
  CreateVolumeRequest,
  DeleteSnapshotRequest,
  DeleteTagsRequest,
  DeleteVolumeRequest,
  DetachVolumeRequest,
  DisableFastSnapshotRestoresRequest,
  EC2Client,
  EnableFastSnapshotRestoresRequest,
  EnableFastSnapshotRestoresResult,
  InstanceStateChange,
  ModifyInstanceAttributeRequest,
  StartInstancesRequest,
  StopInstancesRequest,
  VolumeAttachment,
} from "@aws-sdk/client-ec2";
import type { Json } from "../../ports/driver.ts";
import type { HandlerOptions, Sdk } from "./calls.ts";
import type { Refused } from "./errors.ts";

type Params = { readonly [key: string]: Json };

interface Operation {
  /** The ids that it is about, for messages. */
  ids(params: Params): readonly string[];
  send(sdk: Sdk, client: EC2Client, params: Params, options: HandlerOptions): Promise<Reply>;
  /** Whether this refusal says that what was asked for is so already. */
  already?(code: string | undefined, message: string): boolean;
}
interface Reply {
  /** HTTP status. */
  readonly code: number | undefined;
  /** The ids and states in it; undefined if the part that EC2 always sends is missing. */
  readonly said: Json | undefined;
  /** What was refused although the status is good. */
  readonly refused?: readonly Refused[];
}

// Params are built by requests.ts in the SDK's own form; the casts below only give them back its names.
export const operations: Readonly<Partial<Record<string, Operation>>> = {
  StartInstances: {
    ids: (params) => texts(params["InstanceIds"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as StartInstancesRequest;
      const { StartingInstances, $metadata } = await client.send(
        new sdk.StartInstancesCommand(input),
        options,
      );
      return { code: $metadata.httpStatusCode, said: changes(StartingInstances) };
    },
  },
  StopInstances: {
    ids: (params) => texts(params["InstanceIds"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as StopInstancesRequest;
      const { StoppingInstances, $metadata } = await client.send(
        new sdk.StopInstancesCommand(input),
        options,
      );
      return { code: $metadata.httpStatusCode, said: changes(StoppingInstances) };
    },
  },
  CreateSnapshot: {
    ids: (params) => texts(params["VolumeId"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as CreateSnapshotRequest;
      const { $metadata, ...snapshot } = await client.send(new sdk.CreateSnapshotCommand(input), options);
      return {
        code: $metadata.httpStatusCode,
        said: snapshot.SnapshotId === undefined ? undefined : [cut(snapshot)],
      };
    },
  },
  CreateSnapshots: {
    ids: (params) => {
      const target = params["InstanceSpecification"];
      const named = typeof target === "object" && target !== null && "InstanceId" in target;
      return named ? texts(target.InstanceId) : [];
    },
    async send(sdk, client, params, options) {
      const input = params as unknown as CreateSnapshotsRequest;
      const { Snapshots, $metadata } = await client.send(new sdk.CreateSnapshotsCommand(input), options);
      return { code: $metadata.httpStatusCode, said: Snapshots?.map(cut) };
    },
  },
  CreateTags: {
    ids: (params) => texts(params["Resources"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as CreateTagsRequest;
      const { $metadata } = await client.send(new sdk.CreateTagsCommand(input), options);
      // Its reply holds nothing that the SDK shows.
      return { code: $metadata.httpStatusCode, said: {} };
    },
  },
  DeleteTags: {
    ids: (params) => texts(params["Resources"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as DeleteTagsRequest;
      const { $metadata } = await client.send(new sdk.DeleteTagsCommand(input), options);
      return { code: $metadata.httpStatusCode, said: {} };
    },
  },
  CreateVolume: {
    ids: (params) => texts(params["SnapshotId"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as CreateVolumeRequest;
      const { VolumeId, State, $metadata } = await client.send(new sdk.CreateVolumeCommand(input), options);
      const said = VolumeId === undefined ? undefined : { volume: VolumeId, state: State ?? null };
      return { code: $metadata.httpStatusCode, said };
    },
  },
  AttachVolume: {
    ids: (params) => [...texts(params["VolumeId"]), ...texts(params["InstanceId"])],
    async send(sdk, client, params, options) {
      const input = params as unknown as AttachVolumeRequest;
      const reply = await client.send(new sdk.AttachVolumeCommand(input), options);
      return { code: reply.$metadata.httpStatusCode, said: attachment(reply) };
    },
  },
  DetachVolume: {
    ids: (params) => [...texts(params["VolumeId"]), ...texts(params["InstanceId"])],
    async send(sdk, client, params, options) {
      const input = params as unknown as DetachVolumeRequest;
      const reply = await client.send(new sdk.DetachVolumeCommand(input), options);
      return { code: reply.$metadata.httpStatusCode, said: attachment(reply) };
    },
  },
  // The replies of the next three hold nothing that the SDK shows, as that of CreateTags.
  ModifyInstanceAttribute: {
    ids: (params) => texts(params["InstanceId"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as ModifyInstanceAttributeRequest;
      const { $metadata } = await client.send(new sdk.ModifyInstanceAttributeCommand(input), options);
      return { code: $metadata.httpStatusCode, said: {} };
    },
  },
  DeleteVolume: {
    ids: (params) => texts(params["VolumeId"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as DeleteVolumeRequest;
      const { $metadata } = await client.send(new sdk.DeleteVolumeCommand(input), options);
      return { code: $metadata.httpStatusCode, said: {} };
    },
    // A volume may be `deleting` for minutes (reference aws-ebs 2); what EC2 answers then is in no source.
    already: (code, message) =>
      code === "InvalidVolume.NotFound" || (code === "IncorrectState" && /'deleting'/.test(message)),
  },
  DeleteSnapshot: {
    ids: (params) => texts(params["SnapshotId"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as DeleteSnapshotRequest;
      const { $metadata } = await client.send(new sdk.DeleteSnapshotCommand(input), options);
      return { code: $metadata.httpStatusCode, said: {} };
    },
    already: (code) => code === "InvalidSnapshot.NotFound",
  },
  EnableFastSnapshotRestores: {
    ids: (params) => texts(params["SourceSnapshotIds"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as EnableFastSnapshotRestoresRequest;
      const reply = await client.send(new sdk.EnableFastSnapshotRestoresCommand(input), options);
      return { code: reply.$metadata.httpStatusCode, ...fastRestores(reply) };
    },
  },
  DisableFastSnapshotRestores: {
    ids: (params) => texts(params["SourceSnapshotIds"]),
    async send(sdk, client, params, options) {
      const input = params as unknown as DisableFastSnapshotRestoresRequest;
      const reply = await client.send(new sdk.DisableFastSnapshotRestoresCommand(input), options);
      return { code: reply.$metadata.httpStatusCode, ...fastRestores(reply) };
    },
  },
};

function attachment({ VolumeId, InstanceId, Device, State }: VolumeAttachment): Json | undefined {
  if (VolumeId === undefined) return undefined;
  return { volume: VolumeId, instance: InstanceId ?? null, device: Device ?? null, state: State ?? null };
}

/** One of the two lists is always there; the types of the other operation's reply are the same, member by member. */
function fastRestores({
  Successful,
  Unsuccessful,
}: EnableFastSnapshotRestoresResult): Pick<Reply, "said" | "refused"> {
  if (Successful === undefined && Unsuccessful === undefined) return { said: undefined };
  const refused = (Unsuccessful ?? []).flatMap(
    ({ SnapshotId, FastSnapshotRestoreStateErrors }): Refused[] => {
      const errors = FastSnapshotRestoreStateErrors ?? [];
      if (errors.length === 0)
        return [{ where: `for ${SnapshotId ?? "it"}`, code: undefined, message: undefined }];
      return errors.map(({ AvailabilityZone, AvailabilityZoneId, Error: error }) => ({
        where: `in ${AvailabilityZone ?? AvailabilityZoneId ?? "a zone that EC2 does not name"}`,
        code: error?.Code,
        message: error?.Message,
      }));
    },
  );
  const said = (Successful ?? []).map(({ SnapshotId, AvailabilityZone, State }) => ({
    snapshot: SnapshotId ?? null,
    zone: AvailabilityZone ?? null,
    state: State ?? null,
  }));
  return { said, refused };
}

function texts(value: Json | undefined): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((each): each is string => typeof each === "string");
}

function changes(list: readonly InstanceStateChange[] | undefined): Json | undefined {
  return list?.map(({ InstanceId, PreviousState, CurrentState }) => ({
    instance: InstanceId ?? null,
    from: PreviousState?.Name ?? null,
    to: CurrentState?.Name ?? null,
  }));
}

function cut(snapshot: {
  SnapshotId?: string | undefined;
  VolumeId?: string | undefined;
  State?: string | undefined;
}): Json {
  return {
    snapshot: snapshot.SnapshotId ?? null,
    volume: snapshot.VolumeId ?? null,
    state: snapshot.State ?? null,
  };
}

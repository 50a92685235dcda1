/**
 * The operations that this driver can send, one table: what is not in it cannot leave. Each passes the params of
 * the request on unchanged, and tells what of the reply is worth keeping in a journal.
 */
import type {
  CreateSnapshotRequest,
  CreateSnapshotsRequest,
  CreateTagsRequest,
  EC2Client,
  InstanceStateChange,
  StartInstancesRequest,
  StopInstancesRequest,
} from "@aws-sdk/client-ec2";
import type { Json } from "../../ports/driver.ts";
import type { HandlerOptions, Sdk } from "./calls.ts";

type Params = { readonly [key: string]: Json };

interface Operation {
  /** The ids that it is about, for messages. */
  ids(params: Params): readonly string[];
  send(sdk: Sdk, client: EC2Client, params: Params, options: HandlerOptions): Promise<Reply>;
}
interface Reply {
  /** HTTP status. */
  readonly code: number | undefined;
  /** The ids and states in it; undefined if the part that EC2 always sends is missing. */
  readonly said: Json | undefined;
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
};

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

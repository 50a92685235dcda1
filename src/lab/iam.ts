/**
 * A policy of the lab's one caller, judged as IAM judges it for EC2: each call asks for one or more pairs of an action and a
 * resource, and all of them must be allowed by a statement. Resources and keys of each call are from memory of AWS's service
 * authorization reference, with reference aws-ebs 9. A part of a policy that is not modelled is an error, never left out.
 */
import { CloudError } from "./cloud-model.ts";
import type { Cloud } from "./cloud.ts";
import {
  recordList,
  recordParam,
  requiredText,
  tagList,
  textList,
  textParam,
  type Params,
} from "./ec2-query.ts";

export interface Policy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly Statement[];
  /** Hears of each question, and of the statement that allowed it. */
  readonly heard?: (ask: Ask, by: Statement | undefined) => void;
}
export interface Statement {
  readonly Sid?: string;
  readonly Effect: "Allow";
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: {
    readonly [operator: string]: { readonly [key: string]: string | readonly string[] };
  };
}

/** One question: may this be done with that? Keys are those that a condition may name, with their values. */
export interface Ask {
  readonly action: string;
  readonly resource: string;
  readonly keys: { readonly [key: string]: readonly string[] };
}

type Tags = { readonly [key: string]: string };

export function authorize(cloud: Cloud, operation: string, params: Params): void {
  const { policy } = cloud;
  if (policy === undefined) return;
  for (const ask of asks(cloud, operation, params)) {
    const by = policy.Statement.find((statement) => allows(statement, ask));
    policy.heard?.(ask, by);
    if (by) continue;
    throw new CloudError(
      "UnauthorizedOperation",
      `You are not authorized to perform this operation. User: arn:aws:iam::${account}:user/runbook is not authorized to perform: ${ask.action} ` +
        `on resource: ${ask.resource} because no identity-based policy allows the ${ask.action} action. Encoded authorization failure message: bGFi`,
      403,
    );
  }
}

const account = "000000000000";

function allows({ Action, Resource, Condition = {} }: Statement, ask: Ask): boolean {
  const matches = (patterns: readonly string[], text: string) =>
    patterns.some((pattern) => isLike(pattern, text));
  return (
    matches(Action, ask.action) &&
    matches(Resource, ask.resource) &&
    Object.entries(Condition).every(([operator, wanted]) =>
      Object.entries(wanted).every(([key, values]) =>
        holds(operator, ask.keys[key], typeof values === "string" ? [values] : values),
      ),
    )
  );
}

/** A key that the call does not have fails a condition, except one about all values of it: there are none then. */
function holds(operator: string, found: readonly string[] | undefined, wanted: readonly string[]): boolean {
  const oneIs = (value: string) => wanted.includes(value);
  const oneIsLike = (value: string) => wanted.some((pattern) => isLike(pattern, value));
  switch (operator) {
    case "StringEquals":
      return found?.length === 1 && found.every(oneIs);
    case "StringLike":
      return found?.length === 1 && found.every(oneIsLike);
    case "ForAllValues:StringLike":
      return (found ?? []).every(oneIsLike);
    case "ForAnyValue:StringLike":
      return (found ?? []).some(oneIsLike);
    default:
      throw new Error(`the lab does not model the operator ${operator} of a policy`);
  }
}

function isLike(pattern: string, text: string): boolean {
  const parts = pattern
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("\\?", "."));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(text);
}

/** What one call asks for. Ids that nobody knows are left to the call itself, which says that they are not found. */
function asks(cloud: Cloud, operation: string, params: Params): readonly Ask[] {
  const { region } = cloud.settings;
  const action = `ec2:${operation}`;
  const common = { "aws:RequestedRegion": [region] };
  if (operation.startsWith("Describe")) return [{ action, resource: "*", keys: common }];

  const on = (type: string, id: string, tags: Tags, more: Ask["keys"] = {}): Ask => ({
    action,
    resource: `arn:aws:ec2:${region}:${type === "snapshot" ? "" : account}:${type}/${id}`,
    keys: { ...common, ...resourceTags(tags), ...more },
  });
  const instance = (id: string) => known(() => on("instance", id, cloud.getInstance(id).tags));
  const volume = (id: string) => known(() => on("volume", id, cloud.getVolume(id).tags));
  const snapshot = (id: string) => known(() => on("snapshot", id, cloud.getSnapshot(id).tags));
  const created = (type: string): readonly Ask[] => {
    const tags = recordList(params, "TagSpecification").flatMap((each) => Object.entries(tagList(each)));
    const asked = on(type, "*", {}, requestTags(Object.fromEntries(tags)));
    if (tags.length === 0) return [asked];
    return [
      asked,
      { ...asked, action: "ec2:CreateTags", keys: { ...asked.keys, "ec2:CreateAction": [operation] } },
    ];
  };
  const tagged = (tags: Tags) =>
    textList(params, "ResourceId").flatMap((id) => {
      const asked = id.startsWith("i-") ? instance(id) : id.startsWith("vol-") ? volume(id) : snapshot(id);
      return asked.map((ask) => ({ ...ask, keys: { ...ask.keys, ...requestTags(tags) } }));
    });

  switch (operation) {
    case "StartInstances":
    case "StopInstances":
      return textList(params, "InstanceId").flatMap(instance);
    case "ModifyInstanceAttribute":
      return instance(requiredText(params, "InstanceId"));
    case "CreateSnapshot":
      return [...volume(requiredText(params, "VolumeId")), ...created("snapshot")];
    case "CreateSnapshots":
      return [...ofSet(cloud, params, instance, volume), ...created("snapshot")];
    case "DeleteSnapshot":
      return snapshot(requiredText(params, "SnapshotId"));
    case "CreateVolume": {
      const from = textParam(params, "SnapshotId");
      return [...(from === undefined ? [] : snapshot(from)), ...created("volume")];
    }
    case "DeleteVolume":
      return volume(requiredText(params, "VolumeId"));
    case "AttachVolume":
    case "DetachVolume":
      return [...instance(requiredText(params, "InstanceId")), ...volume(requiredText(params, "VolumeId"))];
    case "CreateTags":
      return tagged(tagList(params));
    case "DeleteTags":
      return tagged(
        Object.fromEntries(recordList(params, "Tag").map((tag) => [requiredText(tag, "Key"), ""])),
      );
    case "EnableFastSnapshotRestores":
    case "DisableFastSnapshotRestores":
      return textList(params, "SourceSnapshotId").flatMap(snapshot);
    default:
      throw new Error(`the lab does not model what ${operation} asks of a policy`);
  }
}

/** A set is cut of an instance: it and each of the volumes that are not left out. */
function ofSet(
  cloud: Cloud,
  params: Params,
  instance: (id: string) => readonly Ask[],
  volume: (id: string) => readonly Ask[],
): readonly Ask[] {
  const specification = recordParam(params, "InstanceSpecification");
  const id = requiredText(specification, "InstanceId");
  const out = textList(specification, "ExcludeDataVolumeId");
  const { rootDevice } = cloud.getInstance(id);
  const held = cloud
    .listVolumes()
    .filter(({ attachment }) => attachment.now?.instance === id && attachment.now.device !== rootDevice)
    .map((each) => each.id);
  return [...instance(id), ...held.filter((each) => !out.includes(each)).flatMap(volume)];
}

const resourceTags = (tags: Tags) =>
  Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:ResourceTag/${key}`, [value]]));

const requestTags = (tags: Tags) => ({
  ...Object.fromEntries(Object.entries(tags).map(([key, value]) => [`aws:RequestTag/${key}`, [value]])),
  "aws:TagKeys": Object.keys(tags),
});

function known(ask: () => Ask): readonly Ask[] {
  try {
    return [ask()];
  } catch (thrown) {
    if (thrown instanceof CloudError) return [];
    throw thrown;
  }
}

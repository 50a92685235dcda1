/**
 * The least rights of this driver's calls, as statements of an IAM policy (reference aws-ebs 9; what stands in no source is
 * from memory of AWS's service authorization reference, and none of it was tried on AWS).
 *
 * Each method says which actions it needs, and on what. What a run has made is known by its tag `runbook:cluster`, an old
 * volume by `runbook:old-of` or `runbook:bare`, what the nodes have now by its id. Describe calls take no resource: "*".
 */
import { invariant } from "../../errors.ts";
import type { CloudReads, CloudWrites } from "../../ports/cloud.ts";
import type { CloudScope, PolicyStatement } from "../../ports/rights.ts";

/** Calls about volumes and snapshots that may be of several kinds: which, the caller says ("attachVolume of new volumes"). */
const ofSome = {
  setTags: "CreateTags",
  removeTags: "DeleteTags",
  attachVolume: "AttachVolume",
  detachVolume: "DetachVolume",
  deleteVolume: "DeleteVolume",
  createSnapshot: "CreateSnapshot",
} as const;
type OfSome = keyof typeof ofSome;
type Method = Exclude<keyof (CloudReads & CloudWrites), OfSome>;

/** What an action is allowed on, each with a condition of its own. */
const targets = {
  look: "everything that can be listed, in this region",
  nodes: "the nodes' instances",
  held: "the volumes that the nodes have now",
  made: "volumes that a run has made",
  old: "volumes that a restore has taken out",
  bare: "volumes that were set apart",
  points: "snapshots of recovery points",
  newVolume: "a volume that is about to be made",
  newSnapshot: "a snapshot that is about to be made",
} as const;
type Target = keyof typeof targets;

type Grant = readonly [action: string, ...on: Target[]];

const look = (...actions: string[]): readonly Grant[] => actions.map((action): Grant => [action, "look"]);
const instance = [
  "DescribeInstances",
  "DescribeInstanceAttribute",
  "DescribeInstanceTypes",
  "DescribeVolumes",
];
// A node's volume is one that it has always had, or one that a restore has made.
const ofNodes: readonly Target[] = ["held", "made"];
const kinds: { readonly [what: string]: readonly Target[] } = {
  points: ["points"],
  "new volumes": ["made"],
  "node volumes": ofNodes,
  "old volumes": ["old"],
  "displaced volumes": ["held", "old", "bare"],
};

/** The dry runs of `findMissing…` need what the writes need that they ask about, and stand with those. */
const grants: { readonly [M in Method]: readonly Grant[] } = {
  getInstance: look(...instance),
  getPower: look("DescribeInstances"),
  findInstances: look("DescribeInstances"),
  getVolumes: look("DescribeVolumes"),
  findVolumes: look("DescribeVolumes"),
  findSnapshots: look("DescribeSnapshots"),
  getSnapshots: look("DescribeSnapshots"),
  // Whether tags may be set is asked about volumes: snapshots do not exist yet when it is asked.
  findMissingRights: [...look(...instance), ["CreateTags", ...ofNodes]],
  findMissingRestoreRights: look(...instance, "DescribeSnapshots"),
  findMissingPruneRights: [],
  getFastRestore: look("DescribeFastSnapshotRestores"),
  listFastRestores: look("DescribeFastSnapshotRestores"),
  getInitialization: look("DescribeVolumeStatus"),
  findLock: look("DescribeLockedSnapshots"),
  listLocks: look("DescribeLockedSnapshots"),
  getReferences: look("DescribeVolumes", "DescribeImages", "DescribeSnapshotAttribute"),

  startInstance: [["StartInstances", "nodes"]],
  stopInstance: [["StopInstances", "nodes"]],
  // One volume is cut by the call for one volume.
  createSnapshotSet: [
    ["CreateSnapshots", "nodes", ...ofNodes, "newSnapshot"],
    ["CreateSnapshot", ...ofNodes, "newSnapshot"],
  ],
  createVolume: [["CreateVolume", "points", "newVolume"]],
  setDeleteOnTermination: [["ModifyInstanceAttribute", "nodes"]],
  deleteSnapshot: [["DeleteSnapshot", "points"]],
  enableFastRestore: [["EnableFastSnapshotRestores", "points"]],
  disableFastRestore: [["DisableFastSnapshotRestores", "points"]],
};

/** What tags at creation are checked as besides, where these methods create something. */
const creations: { readonly [action: string]: Target } = {
  CreateSnapshot: "newSnapshot",
  CreateSnapshots: "newSnapshot",
  CreateVolume: "newVolume",
};

export function statementsFor(methods: readonly string[], scope: CloudScope): readonly PolicyStatement[] {
  const wanted = new Map<Target, Set<string>>();
  const tagged = new Map<Target, Set<string>>();
  for (const method of methods)
    for (const [action, ...on] of grantsOf(method))
      for (const target of on) {
        const list = isTagging(action) ? tagged : wanted;
        list.set(target, (list.get(target) ?? new Set()).add(action));
      }
  return [
    ...statements(wanted, scope, ""),
    ...atCreation(wanted, scope),
    ...statements(tagged, scope, "Tag"),
    ...withKeys(wanted, scope),
  ];
}

function grantsOf(method: string): readonly Grant[] {
  const [name = "", what] = method.split(" of ");
  if (what === undefined) return grants[name as Method];
  const action = ofSome[name as OfSome];
  const on = kinds[what];
  invariant(on, `"${what}" are no volumes that this driver knows`);
  switch (name as OfSome) {
    case "attachVolume":
    case "detachVolume":
      return [[action, "nodes", ...on]];
    case "createSnapshot":
      return [[action, ...on, "newSnapshot"]];
    case "setTags":
    case "removeTags":
    case "deleteVolume":
      return [[action, ...on]];
  }
}

const isTagging = (action: string) => action === "CreateTags" || action === "DeleteTags";

function statements(
  wanted: ReadonlyMap<Target, ReadonlySet<string>>,
  scope: CloudScope,
  prefix: "" | "Tag",
): readonly PolicyStatement[] {
  return (Object.keys(targets) as Target[]).flatMap((target): PolicyStatement[] => {
    const actions = wanted.get(target);
    const resources = resourcesOf(target, scope);
    if (actions === undefined || resources.length === 0) return [];
    const condition = {
      ...conditionOf(target, scope),
      // Nobody's tags but the product's own are ever set, or taken off.
      ...(prefix === "Tag" && { "ForAllValues:StringLike": { "aws:TagKeys": "runbook:*" } }),
    };
    return [
      {
        Sid: `${prefix}${target.charAt(0).toUpperCase()}${target.slice(1)}`,
        Effect: "Allow",
        Action: [...actions].sort().map((action) => `ec2:${action}`),
        Resource: resources,
        ...(Object.keys(condition).length > 0 && { Condition: condition }),
      },
    ];
  });
}

/** Tags that are set by the call that makes the thing: CreateTags, with that call's name. */
function atCreation(
  wanted: ReadonlyMap<Target, ReadonlySet<string>>,
  scope: CloudScope,
): readonly PolicyStatement[] {
  return (["newSnapshot", "newVolume"] as const).flatMap((target): PolicyStatement[] => {
    const by = [...(wanted.get(target) ?? [])].filter((action) => creations[action] === target).sort();
    if (by.length === 0) return [];
    return [
      {
        Sid: target === "newSnapshot" ? "TagNewSnapshot" : "TagNewVolume",
        Effect: "Allow",
        Action: ["ec2:CreateTags"],
        Resource: resourcesOf(target, scope),
        Condition: { StringEquals: { "ec2:CreateAction": by } },
      },
    ];
  });
}

function resourcesOf(target: Target, scope: CloudScope): readonly string[] {
  const arn = arnOf(scope.region);
  switch (target) {
    case "look":
      return ["*"];
    case "nodes":
      return scope.instances.map((id) => arn("*", `instance/${id}`));
    case "held":
      return (scope.volumes ?? []).map((id) => arn("*", `volume/${id}`));
    case "made":
    case "old":
    case "bare":
    case "newVolume":
      return [arn("*", "volume/*")];
    case "points":
    case "newSnapshot":
      return [arn("", "snapshot/*")];
  }
}

function conditionOf(target: Target, scope: CloudScope): NonNullable<PolicyStatement["Condition"]> {
  const resource = (tag: string, value: string) => ({ StringEquals: { [`aws:ResourceTag/${tag}`]: value } });
  switch (target) {
    case "look":
      return { StringEquals: { "aws:RequestedRegion": scope.region } };
    case "nodes":
    case "held":
      return {};
    case "made":
      return resource("runbook:cluster", scope.cluster);
    case "old":
      return resource("runbook:old-of", scope.cluster);
    case "bare":
      return resource("runbook:bare", scope.cluster);
    case "points":
      return resource("runbook:cluster", scope.pointsOf);
    case "newVolume":
    case "newSnapshot":
      return { StringEquals: { "aws:RequestTag/runbook:cluster": scope.cluster } };
  }
}

/** The account is left open: ids are unique, and the inventory does not know it. Snapshot ARNs have none. */
function arnOf(region: string) {
  const partition = region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
  return (account: string, resource: string) => `arn:${partition}:ec2:${region}:${account}:${resource}`;
}

/** Encrypted volumes: EC2 uses the key in the caller's name (from memory; reference aws-ebs 8 has the actions). */
function withKeys(
  wanted: ReadonlyMap<Target, ReadonlySet<string>>,
  { region, keys }: CloudScope,
): readonly PolicyStatement[] {
  const uses =
    wanted.has("newVolume") ||
    wanted.has("newSnapshot") ||
    (wanted.get("nodes")?.has("StartInstances") ?? false);
  if (keys.length === 0 || !uses) return [];
  const through = { "kms:ViaService": `ec2.${region}.amazonaws.com` };
  return [
    {
      Sid: "UseKeys",
      Effect: "Allow",
      Action: ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncrypt*"],
      Resource: keys,
      Condition: { StringEquals: through },
    },
    {
      Sid: "GrantKeys",
      Effect: "Allow",
      Action: ["kms:CreateGrant"],
      Resource: keys,
      Condition: { StringEquals: through, Bool: { "kms:GrantIsForAWSResource": "true" } },
    },
  ];
}

/** EC2's calls about fast snapshot restore. A refused pair is a part of a reply with status 200 (reference aws-ebs 5). */
import type { FastRestoreOutcome } from "./cloud-fast-restore.ts";
import { CloudError, type FastRestoreRecord, type FastRestoreState } from "./cloud-model.ts";
import type { Cloud } from "./cloud.ts";
import { filtered, listed, page, snapshotById } from "./ec2-lists.ts";
import type { Operation } from "./ec2-operation.ts";
import type { Params } from "./ec2-query.ts";
import { shownAt } from "./ec2-views.ts";
import { requiredList } from "./ec2-writes.ts";
import { timeXml, type Xml } from "./ec2-xml.ts";

const describeFastSnapshotRestores: Operation = {
  kind: "read",
  params: ["Filter", "MaxResults", "NextToken"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const known = cloud.fastRestores
        .list()
        .filter(({ times }) => listed(cloud, times.enabling ?? 0))
        .map((record) => ({ record, state: record.state.seen(shownAt(cloud)) }));
      const { items, nextToken } = page(
        cloud,
        "DescribeFastSnapshotRestores",
        filtered(known, params, {
          "availability-zone": ({ record }) => [record.zone],
          "owner-id": () => [cloud.settings.account],
          "snapshot-id": ({ record }) => [record.snapshot],
          state: ({ state }) => [state],
        }),
        params,
        { atLeast: 0 },
      );
      return {
        fastSnapshotRestoreSet: items.map(({ record, state }) => recordView(cloud, record, state)),
        nextToken,
      };
    },
};

const enableFastSnapshotRestores: Operation = {
  kind: "write",
  params: ["AvailabilityZone", "SourceSnapshotId"],
  prepare: ({ cloud, params }) => {
    const { snapshots, zones } = pairsOf(cloud, params);
    return () =>
      outcomeView(
        cloud,
        snapshots.map((snapshot) => cloud.fastRestores.enable(snapshot, zones)),
      );
  },
};

const disableFastSnapshotRestores: Operation = {
  kind: "write",
  params: ["AvailabilityZone", "SourceSnapshotId"],
  prepare: ({ cloud, params }) => {
    const { snapshots, zones } = pairsOf(cloud, params);
    return () =>
      outcomeView(
        cloud,
        snapshots.map((snapshot) => cloud.fastRestores.disable(snapshot, zones)),
      );
  },
};

function pairsOf(cloud: Cloud, params: Params) {
  const zones = requiredList(params, "AvailabilityZone");
  const ids = requiredList(params, "SourceSnapshotId");
  if (ids.length > 10) throw new CloudError("InvalidRequest", "No more than 10 snapshot ids may be given");
  for (const zone of zones)
    if (!cloud.settings.zones.includes(zone))
      throw new CloudError("InvalidParameterValue", `Invalid availability zones: [${zone}]`);
  return { zones, snapshots: ids.map((id) => snapshotById(cloud, id)) };
}

function outcomeView(
  cloud: Cloud,
  outcomes: readonly FastRestoreOutcome[],
): { readonly [name: string]: Xml } {
  return {
    successful: outcomes.flatMap(({ done }) =>
      done.map((record) => recordView(cloud, record, record.state.now)),
    ),
    unsuccessful: outcomes.flatMap(({ refused }) => {
      const first = refused[0];
      if (first === undefined) return [];
      return [
        {
          snapshotId: first.snapshot,
          fastSnapshotRestoreStateErrorSet: refused.map(({ zone, code, message }) => ({
            availabilityZone: zone,
            error: { code, message },
          })),
        },
      ];
    }),
  };
}

function recordView(
  cloud: Cloud,
  { snapshot, zone, reason, times }: FastRestoreRecord,
  state: FastRestoreState,
): { readonly [name: string]: Xml } {
  const time = (at: number | undefined) => (at === undefined ? undefined : timeXml(at));
  return {
    snapshotId: snapshot,
    availabilityZone: zone,
    state,
    stateTransitionReason: reason,
    ownerId: cloud.settings.account,
    enablingTime: time(times.enabling),
    optimizingTime: time(times.optimizing),
    enabledTime: time(times.enabled),
    disablingTime: time(times.disabling),
    disabledTime: time(times.disabled),
  };
}

export const fastRestores: { readonly [name: string]: Operation } = {
  DescribeFastSnapshotRestores: describeFastSnapshotRestores,
  EnableFastSnapshotRestores: enableFastSnapshotRestores,
  DisableFastSnapshotRestores: disableFastSnapshotRestores,
};

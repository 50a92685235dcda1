/** EC2's calls about locks of snapshots. */
import { CloudError, type SnapshotRecord } from "./cloud-model.ts";
import type { LockAsked, LockShown } from "./cloud-locks.ts";
import type { Cloud } from "./cloud.ts";
import { filtered, listed, page, snapshotById } from "./ec2-lists.ts";
import type { Operation } from "./ec2-operation.ts";
import { numberParam, requiredText, textList, textParam, type Params } from "./ec2-query.ts";
import { timeXml, type Xml } from "./ec2-xml.ts";

const describeLockedSnapshots: Operation = {
  kind: "read",
  params: ["Filter", "MaxResults", "NextToken", "SnapshotId"],
  prepare:
    ({ cloud, params }) =>
    () => {
      const ids = textList(params, "SnapshotId");
      const chosen =
        ids.length > 0
          ? ids.map((id) => snapshotById(cloud, id))
          : cloud.listSnapshots().filter(({ startedAt }) => listed(cloud, startedAt));
      const locked = chosen.flatMap((snapshot) => {
        const shown = cloud.locks.of(snapshot);
        return shown === undefined ? [] : [{ snapshot, shown }];
      });
      const { items, nextToken } = page(
        cloud,
        "DescribeLockedSnapshots",
        filtered(locked, params, { "lock-state": ({ shown }) => [shown.state] }),
        params,
      );
      return {
        snapshotSet: items.map(({ snapshot, shown }) => ({
          ownerId: cloud.settings.account,
          ...lockView(snapshot, shown),
        })),
        nextToken,
      };
    },
};

const lockSnapshot: Operation = {
  kind: "write",
  params: ["SnapshotId", "LockMode", "LockDuration", "ExpirationDate", "CoolOffPeriod"],
  prepare: ({ cloud, params }) => {
    const snapshot = snapshotById(cloud, requiredText(params, "SnapshotId"));
    const asked = askedOf(params);
    cloud.locks.checkCanLock(snapshot, asked);
    return () => {
      cloud.locks.lock(snapshot, asked);
      return shownView(cloud, snapshot);
    };
  },
};

const unlockSnapshot: Operation = {
  kind: "write",
  params: ["SnapshotId"],
  prepare: ({ cloud, params }) => {
    const snapshot = snapshotById(cloud, requiredText(params, "SnapshotId"));
    cloud.locks.checkCanUnlock(snapshot);
    return () => {
      cloud.locks.unlock(snapshot);
      return { snapshotId: snapshot.id };
    };
  },
};

function askedOf(params: Params): LockAsked {
  const mode = requiredText(params, "LockMode");
  if (mode !== "governance" && mode !== "compliance")
    throw new CloudError("InvalidParameterValue", `Value (${mode}) for parameter LockMode is invalid`);
  const end = textParam(params, "ExpirationDate");
  const endsAt = end === undefined ? undefined : Date.parse(end);
  if (endsAt !== undefined && Number.isNaN(endsAt))
    throw new CloudError(
      "InvalidParameterValue",
      `Value (${end ?? ""}) for parameter ExpirationDate is invalid`,
    );
  return {
    mode,
    days: numberParam(params, "LockDuration"),
    endsAt,
    coolOffHours: numberParam(params, "CoolOffPeriod"),
  };
}

function shownView(cloud: Cloud, snapshot: SnapshotRecord): { readonly [name: string]: Xml } {
  const shown = cloud.locks.of(snapshot);
  return shown === undefined ? { snapshotId: snapshot.id } : lockView(snapshot, shown);
}

function lockView(snapshot: SnapshotRecord, shown: LockShown): { readonly [name: string]: Xml } {
  const time = (at: number | undefined) => (at === undefined ? undefined : timeXml(at));
  return {
    snapshotId: snapshot.id,
    lockState: shown.state,
    lockDuration: shown.lock.days,
    coolOffPeriod: shown.lock.coolOffHours,
    coolOffPeriodExpiresOn: time(shown.coolOffUntil),
    lockCreatedOn: timeXml(shown.lock.at),
    lockDurationStartTime: time(shown.startsAt),
    lockExpiresOn: time(shown.endsAt),
  };
}

export const locks: { readonly [name: string]: Operation } = {
  DescribeLockedSnapshots: describeLockedSnapshots,
  LockSnapshot: lockSnapshot,
  UnlockSnapshot: unlockSnapshot,
};

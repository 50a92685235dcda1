/** EBS snapshots and what locks them. Who else uses one is in references.ts. */
import type { LockedSnapshotsInfo, Snapshot as Ec2Snapshot } from "@aws-sdk/client-ec2";
import { Failure } from "../../errors.ts";
import type { CloudReads, Lock, Snapshot, Tags } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";
import { byAge, tagSearch } from "./tag-search.ts";
import { inOrder, tagsOf } from "./volumes.ts";

export async function findSnapshots(calls: Calls, tags: Tags): Promise<readonly Snapshot[]> {
  const search = tagSearch(tags, "snapshot");
  const what: About = { operation: "DescribeSnapshots", ids: [] };
  const { DescribeSnapshotsCommand } = calls.sdk;
  const found = await calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeSnapshotsCommand({
          // Without it all public snapshots are searched as well (reference aws-ebs 2).
          OwnerIds: ["self"],
          Filters: search.filters,
          MaxResults: 1000,
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Snapshots,
  );
  return found
    .map((snapshot) => snapshotOf(calls, what, snapshot))
    .filter(search.matches)
    .sort((a, b) => byAge(a.startedAt, a.id, b.startedAt, b.id));
}

export async function getSnapshots(calls: Calls, snapshots: readonly string[]): Promise<readonly Snapshot[]> {
  // An empty list of ids would ask EC2 for every snapshot that there is.
  if (snapshots.length === 0) return [];
  const what: About = { operation: "DescribeSnapshots", ids: snapshots };
  const { DescribeSnapshotsCommand } = calls.sdk;
  const found = await calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeSnapshotsCommand({
          SnapshotIds: [...new Set(snapshots)],
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Snapshots,
  );
  return inOrder(
    snapshots,
    found.map((snapshot) => snapshotOf(calls, what, snapshot)),
    "snapshot",
  );
}

function snapshotOf(calls: Calls, what: About, snapshot: Ec2Snapshot): Snapshot {
  const id = calls.present(snapshot.SnapshotId, what);
  const { state, reason } = stateOf(id, calls.present(snapshot.State, what));
  const said = snapshot.StateMessage?.trim() ?? "";
  return {
    id,
    volume: calls.present(snapshot.VolumeId, what),
    state,
    progressPercent: progressOf(snapshot.Progress, state),
    startedAt: calls.present(snapshot.StartTime, what).toISOString(),
    sizeGiB: calls.present(snapshot.VolumeSize, what),
    encrypted: snapshot.Encrypted ?? false,
    key: snapshot.KmsKeyId,
    // Absent in replies of before there was an archive.
    tier: snapshot.StorageTier ?? "standard",
    reason: said === "" ? reason : said,
    tags: tagsOf(snapshot.Tags),
  };
}

/** A snapshot in the Recycle Bin cannot be restored from; that is an "error" with its reason, not a new state. */
function stateOf(id: string, state: string): Pick<Snapshot, "state" | "reason"> {
  switch (state) {
    case "pending":
    case "completed":
    case "error":
      return { state, reason: undefined };
    case "recoverable":
    case "recovering":
      return { state: "error", reason: `it was deleted, and is ${state} in the Recycle Bin` };
    default:
      throw new Failure(
        "unsupported",
        `snapshot ${id} is in the state ${state}, which this version does not know`,
      );
  }
}

/** EC2 says "80%", and nothing at all at first. */
function progressOf(text: string | undefined, state: Snapshot["state"]): number {
  const percent = Number.parseInt(text ?? "", 10);
  if (Number.isFinite(percent)) return percent;
  return state === "completed" ? 100 : 0;
}

export async function findLock(calls: Calls, snapshot: string): ReturnType<CloudReads["findLock"]> {
  const what: About = { operation: "DescribeLockedSnapshots", ids: [snapshot] };
  const found = await lockedSnapshots(calls, what, [snapshot]);
  const lock = found.find((each) => each.SnapshotId === snapshot);
  return lock && lockOf(calls, what, lock);
}

export async function listLocks(calls: Calls): ReturnType<CloudReads["listLocks"]> {
  const what: About = { operation: "DescribeLockedSnapshots", ids: [] };
  return (await lockedSnapshots(calls, what, [])).map((each) => ({
    snapshot: calls.present(each.SnapshotId, what),
    ...lockOf(calls, what, each),
  }));
}

function lockedSnapshots(
  calls: Calls,
  what: About,
  snapshots: readonly string[],
): Promise<readonly LockedSnapshotsInfo[]> {
  const { DescribeLockedSnapshotsCommand } = calls.sdk;
  return calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeLockedSnapshotsCommand({
          ...(snapshots.length === 0 ? {} : { SnapshotIds: [...snapshots] }),
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Snapshots,
  );
}

/** EC2's word is governance, compliance-cooloff or compliance; or expired, which locks nothing. */
function lockOf(calls: Calls, what: About, lock: LockedSnapshotsInfo): Lock {
  const state = calls.present(lock.LockState, what);
  // Without an end: the snapshot is still pending, and the time of its lock has not begun (reference aws-ebs 2).
  return { state, until: lock.LockExpiresOn?.toISOString(), holds: state !== "expired" };
}

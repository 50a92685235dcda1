/** EBS snapshots. */
import type { Filter, Snapshot as Ec2Snapshot } from "@aws-sdk/client-ec2";
import { Failure, invariant } from "../../errors.ts";
import type { Snapshot, Tags } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";
import { inOrder, tagsOf } from "./volumes.ts";

export async function findSnapshots(calls: Calls, tags: Tags): Promise<readonly Snapshot[]> {
  const wanted = Object.entries(tags);
  invariant(
    wanted.length > 0,
    "a search for snapshots without tags would find every snapshot of the account",
  );
  const what: About = { operation: "DescribeSnapshots", ids: [] };
  // In a filter's value * and ? stand for other characters, and \ takes that from them. So a filter may find more
  // than was asked: a \ is asked for as "any one character", and what came is compared here.
  const filters: Filter[] = wanted.map(([key, value]) => ({
    Name: `tag:${key}`,
    Values: [value.replaceAll("\\", "?")],
  }));
  const { DescribeSnapshotsCommand } = calls.sdk;
  const found = await calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeSnapshotsCommand({
          // Without it all public snapshots are searched as well (reference aws-ebs 2).
          OwnerIds: ["self"],
          Filters: filters,
          MaxResults: 1000,
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.Snapshots,
  );
  return found
    .map((snapshot) => snapshotOf(calls, what, snapshot))
    .filter((snapshot) => wanted.every(([key, value]) => snapshot.tags[key] === value))
    .sort((a, b) => compare(a.startedAt, b.startedAt) || compare(a.id, b.id));
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

const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

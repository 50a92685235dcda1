/** Fast snapshot restore: one state for each snapshot and zone (reference aws-ebs 5). */
import type { DescribeFastSnapshotRestoreSuccessItem, Filter } from "@aws-sdk/client-ec2";
import { Failure } from "../../errors.ts";
import type { CloudReads, FastRestoreState } from "../../ports/cloud.ts";
import type { About, Calls } from "./calls.ts";

export async function getFastRestore(
  calls: Calls,
  { snapshot, zone }: { readonly snapshot: string; readonly zone: string },
): ReturnType<CloudReads["getFastRestore"]> {
  const what: About = { operation: "DescribeFastSnapshotRestores", ids: [snapshot] };
  const found = await describe(calls, what, [
    { Name: "snapshot-id", Values: [snapshot] },
    { Name: "availability-zone", Values: [zone] },
  ]);
  const items = found.filter((item) => item.SnapshotId === snapshot && item.AvailabilityZone === zone);
  // An older end of the same pair may still be listed beside its new life.
  const item = items.find((each) => stateOf(calls, what, each) !== "off") ?? items.at(-1);
  if (item === undefined) return { state: "off", reason: undefined };
  return { state: stateOf(calls, what, item), reason: item.StateTransitionReason };
}

export async function listFastRestores(calls: Calls): ReturnType<CloudReads["listFastRestores"]> {
  const what: About = { operation: "DescribeFastSnapshotRestores", ids: [] };
  const found = await describe(calls, what, [
    { Name: "state", Values: ["enabling", "optimizing", "enabled", "disabling"] },
  ]);
  return found
    .map((item) => ({
      snapshot: calls.present(item.SnapshotId, what),
      zone: calls.present(item.AvailabilityZone, what),
      state: stateOf(calls, what, item),
    }))
    .filter(({ state }) => state !== "off");
}

function describe(
  calls: Calls,
  what: About,
  filters: Filter[],
): Promise<readonly DescribeFastSnapshotRestoreSuccessItem[]> {
  const { DescribeFastSnapshotRestoresCommand } = calls.sdk;
  return calls.pages(
    what,
    (NextToken) => (client, options) =>
      client.send(
        new DescribeFastSnapshotRestoresCommand({
          Filters: filters,
          ...(NextToken === undefined ? {} : { NextToken }),
        }),
        options,
      ),
    (page) => page.FastSnapshotRestores,
  );
}

function stateOf(calls: Calls, what: About, item: DescribeFastSnapshotRestoreSuccessItem): FastRestoreState {
  const state = calls.present(item.State, what);
  switch (state) {
    case "disabled":
      return "off";
    case "enabling":
    case "optimizing":
    case "enabled":
    case "disabling":
      return state;
    default:
      throw new Failure(
        "unsupported",
        `fast restore of ${String(item.SnapshotId)} is in the state ${String(state)}, which this version does not know`,
      );
  }
}

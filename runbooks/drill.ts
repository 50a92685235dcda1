/**
 * Restore a recovery point on a scratch machine, look at what is in it, and throw it away.
 *
 * Nothing of the cluster is touched: volumes are made from the point's snapshots, attached to the scratch node, mounted
 * without their logs (which shows whether they were clean at the cut) and then for use, and the checks of the inventory are
 * run on them. Whatever comes of it, everything is unmounted, detached and deleted, and the point carries the result:
 * passed, or failed. Where something could not be looked at, the result is "not proven", and the point carries nothing.
 *
 * Source: design 4; reference aws-ebs 2 to 4 and 7.
 */
import {
  drillPlaces,
  drillRights,
  drillTold,
  named,
  nobodyElse,
  pointFound,
  roomInStore,
  runbook,
  scratchClean,
} from "runbook";

import {
  checksRun,
  cleared,
  drillPassed,
  mountedAsItIs,
  mountedForUse,
  partitionsFound,
  pointMarked,
  unmountedAgain,
} from "./steps/drill-look.ts";
import { groupsGone, groupsImported } from "./steps/drill-lvm.ts";
import { newVolumes, volumesGone, volumesIn, volumesOut, volumesReady } from "./steps/drill-volumes.ts";

export default runbook<{ point: string }>({
  title: "Drill: restore a recovery point on the scratch node, check it, throw it away",
  params: { point: named("a recovery point", "newest") },
  onScratch: true,
  steps: () => ({
    nobodyElse,
    pointFound,
    scratchClean,
    drillPlaces,
    drillRights,
    roomInStore,
    drillTold,

    newVolumes,
    volumesReady,
    volumesIn,
    groupsImported,
    partitionsFound,
    mountedAsItIs,
    unmountedAgain,
    mountedForUse,
    checksRun,

    cleared,
    groupsGone,
    volumesOut,
    volumesGone,
    pointMarked,
    drillPassed,
  }),
});

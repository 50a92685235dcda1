/**
 * Take a restore back: the old volumes in their places again, and the service from them.
 *
 * Only ever by a person's word, with a reason: what was written since the restore leaves service, and the plan says since
 * when. The restored volumes are kept, and tagged as old ones. The old volumes come back as they were when the restore shut
 * the nodes down, with the mirror's own control data: no post command is given, and none is needed. On failure before the
 * nodes were let into the cluster again, the restored volumes are put back; after it, what is in place stays.
 *
 * Source: CLUSTERPRO reference, procedure R1, rows "R1 6" and "R1 7-8" of the failure table.
 */
import {
  check,
  leftByRestore,
  lvmFound,
  named,
  nobodyElse,
  nodesStop,
  oldPlaces,
  pathsOfOldVolumes,
  rollbackTold,
  roomInStore,
  runbook,
  said,
  sides,
  swaps,
  takenBack,
} from "runbook";

import { volumesSeen } from "./steps/lvm.ts";
import { pathsSet } from "./steps/mirror-paths.ts";
import { devicesProven } from "./steps/mirrors-anew.ts";
import { bootNodes, groupsBack, inSyncAnew, prepareNodes, stopAll } from "./steps/nodes-down.ts";
import { backInService, startAsTheyWere } from "./steps/taken-back.ts";
import {
  deletionAsBefore,
  newVolumes,
  newVolumesIn,
  oldVolumesOut,
  oldVolumesTagged,
} from "./steps/volumes.ts";

const placesKnown = check(
  "The places of the volumes",
  async (world) => takenBack(world.outcomeOf(leftByRestore)),
  {
    refreshes: swaps,
  },
);

const oldOnes = check(
  "What comes back into each place",
  async (world) => oldPlaces(world.outcomeOf(leftByRestore)),
  {
    refreshes: newVolumes,
  },
);

export default runbook<{ restore: string; why: string }>({
  title: "Take a restore back: the old volumes serve again",
  params: {
    restore: named("the run of a restore", "newest"),
    why: said("why the restore is taken back"),
  },
  steps: () => ({
    nobodyElse,
    leftByRestore,
    sides,
    nodesStop,
    placesKnown,
    oldOnes,
    lvmFound,
    pathsOfOldVolumes,
    roomInStore,
    rollbackTold,

    oldVolumesTagged,
    stopAll,
    prepareNodes,
    oldVolumesOut,
    newVolumesIn,
    deletionAsBefore,
    bootNodes,
    volumesSeen,
    pathsSet,
    devicesProven,
    startAsTheyWere,
    inSyncAnew,
    groupsBack,
    backInService,
  }),
});

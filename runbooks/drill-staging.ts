/**
 * Restore another cluster's recovery point on its staging cluster, let it serve there, check it, and put staging back.
 *
 * Nothing of production is written to but the mark on the point's snapshots; it is read, to prove that staging has nothing of
 * its own. Staging's volumes are set aside and come back into their places; the drill's are deleted. On failure, and after a
 * kill, the same steps bring staging back.
 *
 * Source: CLUSTERPRO reference, procedure R1 and rows "R1 6" and "R1 7-8" of the failure table; reference aws-ebs 2 to 7.
 */
import {
  count,
  lvmFound,
  mayServe,
  named,
  nobodyElse,
  nodesStop,
  oneOf,
  pathsOfProduction,
  pointFound,
  restoreRights,
  roomInStore,
  runbook,
  sides,
  stagingApart,
  stagingSeen,
  stagingTold,
  stagingWhole,
  swaps,
  warmTold,
} from "runbook";

import { checkFoldersGone, contentLooked } from "./steps/content.ts";
import {
  checksRun,
  cleared,
  mountedAsItIs,
  mountedForUse,
  partitionsFound,
  unmountedAgain,
} from "./steps/drill-look.ts";
import { pathsSet } from "./steps/mirror-paths.ts";
import {
  contentsSame,
  copyOff,
  devicesProven,
  joinHalf,
  optionsBack,
  startMirrors,
} from "./steps/mirrors-anew.ts";
import { bootNodes, prepareNodes, stopAll } from "./steps/nodes-down.ts";
import { readThrough } from "./steps/read-through.ts";
import {
  drillVolumesGone,
  drillVolumesOut,
  groupsDown,
  inSyncOnStaging,
  looked,
  opened,
  ownDeletionAsBefore,
  ownGroupsBack,
  ownInSync,
  ownPathsBack,
  ownVolumesIn,
  ownVolumesUntagged,
  stagingDown,
  stagingMarked,
  stagingMembers,
  stagingOn,
  stagingPassed,
  stagingRebooted,
  stagingServes,
  stagingServicesOn,
} from "./steps/staging.ts";
import {
  deletionAsBefore,
  newVolumes,
  newVolumesIn,
  oldVolumesOut,
  oldVolumesTagged,
  volumesReady,
} from "./steps/volumes.ts";
import { fastRestoreOff, fastRestoreOn, fastRestoreReady, volumesFast, volumesFilled } from "./steps/warm.ts";

export default runbook<{
  point: string;
  group: "start" | "mount";
  warm: "none" | "fast" | "rate" | "read";
  rate: string;
}>({
  title: "Drill: restore a recovery point on the staging cluster, check it, put staging back",
  params: {
    point: named("a recovery point", "newest"),
    group: oneOf("start", "mount"),
    warm: oneOf("none", "fast", "rate", "read"),
    // MiB a second, 100 to 300.
    rate: count(300),
  },
  onStaging: true,
  steps: ({ group, warm }) => ({
    nobodyElse,
    pointFound,
    stagingApart,
    mayServe,
    sides,
    stagingWhole,
    nodesStop,
    swaps,
    lvmFound,
    stagingSeen,
    pathsOfProduction,
    restoreRights,
    roomInStore,
    stagingTold,
    warmTold,

    ...(warm === "fast" ? { fastRestoreOn, fastRestoreReady } : {}),
    newVolumes,
    volumesReady,
    ...(warm === "fast" ? { volumesFast, fastRestoreOff } : {}),
    ...(warm === "rate" ? { volumesFilled } : {}),
    oldVolumesTagged,
    copyOff,

    stopAll,
    prepareNodes,
    oldVolumesOut,
    newVolumesIn,
    deletionAsBefore,
    bootNodes,
    pathsSet,
    devicesProven,
    ...(warm === "read" ? { readThrough } : {}),
    contentsSame,
    opened,
    ...(group === "start"
      ? { startMirrors, joinHalf, inSyncOnStaging, stagingServes, contentLooked, checkFoldersGone }
      : { partitionsFound, mountedAsItIs, unmountedAgain, mountedForUse, checksRun, cleared }),
    looked,

    groupsDown,
    stagingDown,
    drillVolumesOut,
    ownVolumesIn,
    ownDeletionAsBefore,
    stagingOn,
    ownPathsBack,
    stagingServicesOn,
    stagingRebooted,
    stagingMembers,
    ownInSync,
    ownGroupsBack,
    optionsBack,
    ownVolumesUntagged,
    drillVolumesGone,
    stagingMarked,
    stagingPassed,
  }),
});

/**
 * Restore one recovery point onto both nodes, without a copy between them.
 *
 * Everything that can be made ready is made ready while the service runs: the new volumes too. Then the groups stop, both
 * nodes shut down, the new volumes take the places of the old ones, and both nodes come up outside of the cluster, so that
 * the devices are proven before a mirror is started on them. On failure before that start the old volumes come back in
 * their places, and the service with them. After it the restored volumes stay, and the old ones are kept.
 *
 * Source: CLUSTERPRO reference, procedure R1.
 */
import {
  count,
  helperFits,
  helperHeld,
  helperReleased,
  helperRights,
  lvmFound,
  named,
  nobodyElse,
  nodesStop,
  oneOf,
  pathsOfPoint,
  pointFound,
  restoreRights,
  restoreTold,
  roomInStore,
  runbook,
  scratchClean,
  sides,
  swaps,
  warmTold,
  warmUps,
} from "runbook";

import { checkFoldersGone, contentLooked, contentRight } from "./steps/content.ts";
import {
  contentsSame,
  copyOff,
  devicesProven,
  joinHalf,
  optionsBack,
  startMirrors,
} from "./steps/mirrors-anew.ts";
import { volumesSeen } from "./steps/lvm.ts";
import { pathsSet } from "./steps/mirror-paths.ts";
import { bootNodes, groupsBack, inSyncAnew, prepareNodes, stopAll } from "./steps/nodes-down.ts";
import { helperProven, helperRead, helperVolumesIn, helperVolumesOut } from "./steps/read-on-helper.ts";
import { readThrough } from "./steps/read-through.ts";
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
  warm: "none" | "fast" | "rate" | "read" | "helper";
  rate: string;
}>({
  title: "Restore a recovery point onto both nodes",
  params: {
    point: named("a recovery point", "newest"),
    warm: oneOf(...warmUps, "helper"),
    // MiB a second, 100 to 300.
    rate: count(300),
  },
  usesScratch: ({ warm }) => warm === "helper",
  steps: ({ warm }) => ({
    nobodyElse,
    pointFound,
    sides,
    nodesStop,
    swaps,
    lvmFound,
    pathsOfPoint,
    ...(warm === "helper" ? { scratchClean, helperFits, helperRights } : {}),
    restoreRights,
    roomInStore,
    restoreTold,
    warmTold,

    ...(warm === "fast" ? { fastRestoreOn, fastRestoreReady } : {}),
    ...(warm === "helper" ? { helperHeld } : {}),
    newVolumes,
    volumesReady,
    ...(warm === "fast" ? { volumesFast, fastRestoreOff } : {}),
    ...(warm === "rate" ? { volumesFilled } : {}),
    ...(warm === "helper"
      ? { helperVolumesIn, helperRead, helperProven, helperVolumesOut, helperReleased }
      : {}),
    oldVolumesTagged,
    copyOff,

    stopAll,
    prepareNodes,
    oldVolumesOut,
    newVolumesIn,
    deletionAsBefore,
    bootNodes,
    volumesSeen,
    pathsSet,
    devicesProven,
    ...(warm === "read" ? { readThrough } : {}),
    contentsSame,
    startMirrors,
    joinHalf,
    inSyncAnew,
    groupsBack,
    contentLooked,
    checkFoldersGone,

    optionsBack,
    contentRight,
  }),
});

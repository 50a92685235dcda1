/**
 * Restore a recovery point onto one node, and let the other one join by a full copy from it.
 *
 * For the day on which the other node is lost, or shall not be touched before the restored data has been looked at. The
 * other side has the newer times, so an automatic choice would let it win: it stays off until the restored side is up,
 * forced to be the good one, and serving. Only then it joins, and the copy over it has to be told of by the cluster: two
 * sides that call themselves in sync without one may hold two contents. On failure before the restored side was started
 * the old volumes come back; after it, it stays, and a person is asked.
 *
 * Source: CLUSTERPRO reference, procedure R2 and the failure table (8).
 */
import {
  count,
  lvmFound,
  named,
  nobodyElse,
  nodesStop,
  oneOf,
  oneSideTold,
  pathsOfPoint,
  otherSide,
  pointFound,
  restoreRights,
  restoreTold,
  roomInStore,
  runbook,
  sides,
  swaps,
  warmTold,
  warmUps,
} from "runbook";

import { checkFoldersGone, contentLooked, contentRight } from "./steps/content.ts";
import { copyOff, devicesProven, optionsBack, startMirrors } from "./steps/mirrors-anew.ts";
import { volumesSeen } from "./steps/lvm.ts";
import { pathsSet, pathsSetOnOther } from "./steps/mirror-paths.ts";
import { bootNodes, prepareNodes, stopAll } from "./steps/nodes-down.ts";
import {
  aloneForNow,
  copiedOver,
  forcedGood,
  otherBooted,
  otherProven,
  otherStarted,
  servesAlone,
} from "./steps/one-side.ts";
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
  onto: string;
  join: "now" | "later";
  warm: "none" | "fast" | "rate" | "read";
  rate: string;
}>({
  title: "Restore a recovery point onto one node; the other joins by a full copy",
  params: {
    point: named("a recovery point", "newest"),
    onto: named("the node that is restored, and wins", "nobody"),
    join: oneOf("now", "later"),
    warm: oneOf(...warmUps),
    // MiB a second, 100 to 300.
    rate: count(300),
  },
  steps: ({ join, warm }) => ({
    nobodyElse,
    pointFound,
    sides,
    nodesStop,
    swaps,
    lvmFound,
    pathsOfPoint,
    otherSide,
    restoreRights,
    roomInStore,
    restoreTold,
    oneSideTold,
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
    volumesSeen,
    pathsSet,
    devicesProven,
    ...(warm === "read" ? { readThrough } : {}),
    startMirrors,
    forcedGood,
    servesAlone,
    contentLooked,
    checkFoldersGone,
    contentRight,

    ...(join === "now"
      ? { otherBooted, pathsSetOnOther, otherProven, otherStarted, copiedOver, optionsBack }
      : { otherBooted, pathsSetOnOther, aloneForNow }),
  }),
});

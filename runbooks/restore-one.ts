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
  named,
  nobodyElse,
  nodesStop,
  oneOf,
  oneSideTold,
  otherSide,
  pointFound,
  restoreRights,
  restoreTold,
  roomInStore,
  runbook,
  sides,
  swaps,
} from "runbook";

import { copyOff, devicesProven, optionsBack, startMirrors } from "./steps/mirrors-anew.ts";
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
import {
  deletionAsBefore,
  newVolumes,
  newVolumesIn,
  oldVolumesOut,
  oldVolumesTagged,
  volumesReady,
} from "./steps/volumes.ts";

export default runbook<{ point: string; onto: string; join: "now" | "later" }>({
  title: "Restore a recovery point onto one node; the other joins by a full copy",
  params: {
    point: named("a recovery point", "newest"),
    onto: named("the node that is restored, and wins", "nobody"),
    join: oneOf("now", "later"),
  },
  steps: ({ join }) => ({
    nobodyElse,
    pointFound,
    sides,
    nodesStop,
    swaps,
    otherSide,
    restoreRights,
    roomInStore,
    restoreTold,
    oneSideTold,

    copyOff,
    newVolumes,
    volumesReady,
    oldVolumesTagged,

    stopAll,
    prepareNodes,
    oldVolumesOut,
    newVolumesIn,
    deletionAsBefore,
    bootNodes,
    devicesProven,
    startMirrors,
    forcedGood,
    servesAlone,

    ...(join === "now"
      ? { otherBooted, otherProven, otherStarted, copiedOver, optionsBack }
      : { otherBooted, aloneForNow }),
  }),
});

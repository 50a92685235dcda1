/**
 * Back up both nodes at once.
 *
 * The whole service stops: the groups, then both nodes, in backup mode. With nothing running no mirror needs to be broken;
 * each node's volumes are cut, and both come back before the copies are complete. It gives one recovery point for each
 * node. On failure both nodes come back in their turn, and the service with them; finished snapshots are kept.
 *
 * Source: CLUSTERPRO reference, procedure B3.
 */
import { mirrorsGreen, nobodyElse, nodesStop, roles, roomInStore, runbook, sides } from "runbook";

import {
  bootBoth,
  bothTold,
  cutBoth,
  cutsReady,
  finishBoth,
  greenWhenStopped,
  inSyncBoth,
  joinBoth,
  prepareBoth,
  recordBoth,
  rightsForBoth,
  volumesOfBoth,
} from "./steps/both.ts";
import { groupsBack, stopAll } from "./steps/nodes-down.ts";

export default runbook({
  title: "Back up both nodes at once",
  steps: () => ({
    nobodyElse,
    roles,
    mirrorsGreen,
    sides,
    nodesStop,
    volumesOfBoth,
    rightsForBoth,
    roomInStore,
    bothTold,

    stopAll,
    greenWhenStopped,
    prepareBoth,
    cutBoth,
    bootBoth,
    finishBoth,
    joinBoth,
    groupsBack,
    inSyncBoth,
    cutsReady,
    recordBoth,
  }),
});

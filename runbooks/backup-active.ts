/**
 * Back up the active node.
 *
 * The groups move to the other node first, once the mirror is GREEN on both sides; from then on the node that served is
 * the standby, and everything goes as in `backup-standby`. At the end the groups move back (`after: back`), or stay
 * (`after: stay`). The service is out three times: for each move, and while the mirror is broken away. On failure the
 * service comes back first, then redundancy, and last the groups go back to where they were found.
 *
 * Source: CLUSTERPRO reference, procedure B2.
 */
import {
  capacityTold,
  eachNode,
  mirrorsGreen,
  monitorsKnown,
  nobodyElse,
  notReplaced,
  oneOf,
  rightsGranted,
  roles,
  roomInStore,
  runbook,
  shutdownStops,
  standbyFree,
  volumesFound,
} from "runbook";

import {
  finishBackup,
  joinCluster,
  prepareStandby,
  recordPoint,
  snapshotsReady,
  snapshotVolumes,
  startStandby,
} from "./steps/cut.ts";
import { groupsMoved, groupsMovedBack, moveBack, moveGroups, rolesAfterMove } from "./steps/move.ts";
import {
  breakMirrors,
  inSyncAfterMove,
  mirrorsBack,
  resumeMonitors,
  suspendMonitors,
} from "./steps/redundancy.ts";
import { armTimer, clearTimer, serviceRuns, startGroups, stopGroups } from "./steps/service.ts";

export default runbook<{ service: "early" | "late"; after: "back" | "stay" }>({
  title: "Back up the active node",
  params: { service: oneOf("early", "late"), after: oneOf("back", "stay") },
  steps: ({ service, after }) => ({
    nobodyElse,
    roles,
    mirrorsGreen,
    monitorsKnown,
    standbyFree,
    rolesAfterMove,
    shutdownStops,
    notReplaced,
    volumesFound,
    rightsGranted,
    capacityTold,
    roomInStore,

    moveGroups,
    groupsMoved,
    inSyncAfterMove,

    armTimer,
    stopGroups,
    suspendMonitors: eachNode(suspendMonitors),
    breakMirrors,
    ...(service === "early" ? { startGroups, clearTimer } : {}),
    prepareStandby,
    snapshotVolumes,
    startStandby,
    finishBackup,
    joinCluster,
    ...(service === "late" ? { startGroups, clearTimer } : {}),
    resumeMonitors: eachNode(resumeMonitors),
    serviceRuns,
    mirrorsBack,
    ...(after === "back" ? { moveBack, groupsMovedBack } : {}),
    snapshotsReady,
    recordPoint,
    serviceRunsStill: serviceRuns,
  }),
});

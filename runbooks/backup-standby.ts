/**
 * Back up the standby node.
 *
 * The service stops only while the mirror is broken away from the standby (`service: early`) or until the standby is back
 * (`service: late`). From the break until the mirror is in sync again there is no redundancy. Then the standby shuts
 * itself down in backup mode, all its mirror volumes are cut at one instant, and it comes back before the copies are
 * complete. On failure the service comes back first, then the standby, and finished snapshots are kept.
 *
 * Source: CLUSTERPRO reference, procedure B1.
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
import { breakMirrors, mirrorsBack, resumeMonitors, suspendMonitors } from "./steps/redundancy.ts";
import { armTimer, clearTimer, serviceRuns, startGroups, stopGroups } from "./steps/service.ts";

export default runbook<{ service: "early" | "late" }>({
  title: "Back up the standby node",
  params: { service: oneOf("early", "late") },
  steps: ({ service }) => ({
    nobodyElse,
    roles,
    mirrorsGreen,
    monitorsKnown,
    standbyFree,
    shutdownStops,
    notReplaced,
    volumesFound,
    rightsGranted,
    capacityTold,
    roomInStore,

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
    snapshotsReady,
    recordPoint,
    serviceRunsStill: serviceRuns,
  }),
});

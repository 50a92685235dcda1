/** The package `runbook`: all that a runbook may import. */
export { Failure } from "../errors.ts";
export type { Snapshot, Instance, Volume, Tags } from "../ports/cloud.ts";
export type { ClusterState, MirrorState } from "../ports/cluster-manager.ts";
export { judge, type Consistency, type Evidence } from "./consistency.ts";
export {
  assertSameDevices,
  contentOf,
  findMirrorVolumes,
  type MirrorVolume,
  type VolumesFound,
} from "./devices.ts";
export { later } from "./later.ts";
export { listPoints, pointFound, type Point } from "./points.ts";
export {
  nodesStop,
  nothingRuns,
  optionsOf,
  restoreRights,
  restoreTold,
  sides,
  swaps,
  type Sides,
  type Swap,
} from "./restore.ts";
export {
  assertInSync,
  findBreak,
  isInSync,
  isRecovering,
  readMirrors,
  sayMirror,
  type BreakSeen,
} from "./mirrors.ts";
export {
  capacityTold,
  mirrorsGreen,
  monitorsKnown,
  nobodyElse,
  notReplaced,
  rightsGranted,
  roomInStore,
  shutdownStops,
  standbyFree,
  volumesFound,
} from "./preflight.ts";
export {
  allOffline,
  allOnline,
  askable,
  askEither,
  placesOf,
  roles,
  type RoleMirror,
  type Roles,
} from "./roles.ts";
export {
  approve,
  check,
  eachNode,
  hours,
  minutes,
  named,
  notYet,
  oneOf,
  runbook,
  seconds,
  step,
  together,
  wait,
  type Mine,
  type Runbook,
  type Step,
  type World,
} from "./step.ts";

/** The package `runbook`: all that a runbook may import. */
export { Failure } from "../errors.ts";
export type { Snapshot, Instance, Volume, Tags } from "../ports/cloud.ts";
export type { ClusterState, MirrorState } from "../ports/cluster-manager.ts";
export { bareTold, bareVolumes, findBarePlaces, hasTags, nodesOff, placeTags, type Place } from "./bare.ts";
export { holdBooted } from "./house.ts";
export { judge, type Consistency, type Evidence } from "./consistency.ts";
export {
  assertSameDevices,
  contentOf,
  findMirrorVolumes,
  isDiskOf,
  layoutOf,
  type MirrorVolume,
  type VolumesFound,
} from "./devices.ts";
export {
  mayServe,
  pathsOfProduction,
  stagingApart,
  stagingOf,
  stagingSeen,
  stagingTold,
  stagingWhole,
} from "./staging.ts";
export type { DrillCheck, DrillSetting, StagingSetting } from "./drill-setting.ts";
export {
  commandOf,
  dataMirrorsIn,
  drillFolder,
  drillOf,
  drillPlaces,
  drillRights,
  drillTag,
  drillTold,
  judgeCheck,
  judgeLogOf,
  judgeMount,
  sayJudged,
  sayNumbers,
  sayPhases,
  scratchClean,
  verdictOf,
  type DrillPlace,
  type DrillTimes,
  type Judged,
  type Verdict,
} from "./drill.ts";
export {
  found,
  knownSetUp,
  leftAloneOf,
  onlyMirrors,
  setUpKnown,
  toResume,
  wantedGroups,
  type Displaced,
  type Found,
  type SetUp,
} from "./found.ts";
export { helperFits, helperHeld, helperReleased, helperRights } from "./helper.ts";
export { later } from "./later.ts";
export {
  leftByRestore,
  oldOnesBack,
  oldPlaces,
  rollbackTold,
  takenBack,
  type LeftByRestore,
} from "./left-by-restore.ts";
export {
  cutPathTags,
  mirrorsAfter,
  pathsOfOldVolumes,
  pathsOfPoint,
  pathTagKeys,
  pathTags,
  type PathChange,
  type PathChanges,
  type Paths,
} from "./mirror-paths.ts";
export {
  candidatesOn,
  logicalIn,
  lvmFound,
  missingEntries,
  physicalOn,
  physicalType,
  type OnLvm,
} from "./lvm.ts";
export {
  contentTestTag,
  droppedTag,
  listPoints,
  pointFound,
  testTag,
  type Point,
  type PointTest,
} from "./points.ts";
export {
  confirmedTag,
  finalSnapshotsOf,
  finalTag,
  judgeOldVolumes,
  judgePoints,
  noOpenRun,
  oldVolumesJudged,
  pointsJudged,
  pruneRights,
  type Drop,
  type OldVolume,
} from "./prune.ts";
export {
  nodesStop,
  nothingRuns,
  oneSideTold,
  ontoOf,
  optionsOf,
  otherSide,
  restoredNodes,
  restoreRights,
  restoreTold,
  sides,
  swaps,
  type Sides,
  type Swap,
} from "./restore.ts";
export { assertGranted, sampleTags } from "./rights.ts";
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
  answerOf,
  goodNode,
  homeOf,
  isBusy,
  isGone,
  isGood,
  isHalfPrepared,
  isOutside,
  isProven,
  isWhole,
  lookAt,
  membersOf,
  membership,
  peerOf,
  sayColours,
  sayPower,
  serves,
  sideOf,
  startableNode,
  troublesOf,
  type NodeSight,
  type Sight,
} from "./sight.ts";
export { deadTimersGone, markWhatCameUp, nobodyAtWork } from "./take-over.ts";
export {
  creditsAt,
  creditTime,
  fastTime,
  pairsOf,
  rateOf,
  rateTime,
  readingWithin,
  warmTold,
  warmUps,
  type Pair,
} from "./warm.ts";
export {
  approve,
  check,
  count,
  eachNode,
  hours,
  minutes,
  named,
  notYet,
  oneOf,
  runbook,
  said,
  seconds,
  step,
  together,
  wait,
  type Mine,
  type Runbook,
  type Step,
  type World,
} from "./step.ts";

/**
 * Prune the recovery points of a cluster.
 *
 * What stays: the last few points, the last one of each day, week, month and year for as long as is asked for, so many that
 * passed a test, and whatever is locked, held or still used. Ages count from the newest point. The rest goes, set by set,
 * the oldest first; each deletion looks again just before. With `oldVolumes: prune` the volumes that restores took out go
 * too, once a person confirmed the restore and a final snapshot of the volume is complete. It speaks to the cloud alone, so
 * a node may be off. On failure what was not deleted yet stays; what was deleted does not come back.
 */
import {
  count,
  noOpenRun,
  oldVolumesJudged,
  oneOf,
  pointsJudged,
  pruneRights,
  roomInStore,
  runbook,
} from "runbook";

import { dropPoints, markPoints, unmarkPoints } from "./steps/drops.ts";
import { deleteOldVolumes, takeFinalSnapshots } from "./steps/old-volumes.ts";

export default runbook<{
  last: string;
  daily: string;
  weekly: string;
  monthly: string;
  yearly: string;
  keepTested: string;
  oldVolumes: "keep" | "prune";
}>({
  title: "Prune the recovery points",
  params: {
    last: count(7),
    daily: count(14),
    weekly: count(8),
    monthly: count(12),
    yearly: count(3),
    keepTested: count(2),
    oldVolumes: oneOf("keep", "prune"),
  },
  cloudOnly: true,
  steps: ({ oldVolumes }) => ({
    noOpenRun,
    pointsJudged,
    ...(oldVolumes === "prune" ? { oldVolumesJudged } : {}),
    pruneRights,
    roomInStore,

    markPoints,
    dropPoints,
    unmarkPoints,
    ...(oldVolumes === "prune" ? { takeFinalSnapshots, deleteOldVolumes } : {}),
  }),
});

/**
 * Bring the mirrors back in sync where nothing else is wrong: both nodes are members, and one side is proven good.
 *
 * The monitors that hold the recovery back are resumed; the cluster begins the copy by itself, else it is asked to. Groups
 * are neither started nor stopped. Where more is wrong, `give-back` is the way; where no side is proven good, nothing is
 * touched, since a copy in the wrong direction destroys the data that counts.
 *
 * Nothing is given back by it: each step brings nearer to normal. What fails is tried once more, and what then is left makes
 * the run stuck.
 *
 * Source: CLUSTERPRO reference, section 8: "recovery never starts".
 */
import { found, nobodyElse, onlyMirrors, roomInStore, runbook } from "runbook";

import { mirrorsInSync, monitorsResumed, untilNormal } from "./steps/back-to-normal.ts";

const way = { monitorsResumed, mirrorsInSync };

export default runbook({
  title: "Bring the mirrors back in sync",
  steps: () => ({
    nobodyElse,
    found,
    onlyMirrors,
    roomInStore,

    untilNormal: untilNormal(way),
    ...way,
  }),
});

/**
 * Bring a cluster back to normal, whatever left it so: a run whose journal is lost, another tool, a person at night.
 *
 * It looks at everything alone, says what it found and what it will do, and then: starts the groups where their mirrors are
 * proven good, before anything slow; resumes the monitors; puts volumes that a restore took out back into their empty
 * places; powers on what is off; takes nodes out of backup mode and into the cluster; and waits for the copy. It never
 * chooses which side counts: where nothing proves it, the run ends stuck, with what each choice would lose.
 *
 * What somebody may have meant is left alone, and said. A group that the cluster does not start by itself was stopped, or
 * never started, by a person (`groups` names others, or `none`). Monitors other than those of the mirrors may be suspended
 * because they gave false alarms, and a false alarm costs a failover (`monitors=all` resumes them too). A mirror's initial
 * full copy may be off on purpose (`copy=on` switches it on). Groups stay on the node where their data is good, which need
 * not be the one where they ran: a move would be one more outage.
 *
 * Nothing is given back by it: each step brings nearer to normal. A failed run goes the whole way once more, as far as it
 * goes, and what is left then makes it stuck.
 *
 * Source: CLUSTERPRO reference, section 8, the table of failures in the middle.
 */
import { eachNode, found, named, nobodyAtWork, oneOf, roomInStore, runbook } from "runbook";

import { fromNothing, untilNormal, wayBack } from "./steps/back-to-normal.ts";
import { choice } from "./steps/choice.ts";

export default runbook<{
  groups: string;
  monitors: "mirror" | "all" | "none";
  volumes: "proven" | "attached";
  copy: "leave" | "on";
  alone: "look" | "known";
}>({
  title: "Bring the cluster back to normal",
  params: {
    groups: named("groups, with colons between, or auto, all, none", "auto"),
    monitors: oneOf("mirror", "all", "none"),
    volumes: oneOf("proven", "attached"),
    copy: oneOf("leave", "on"),
    alone: oneOf("look", "known"),
  },
  takesOver: true,
  steps: ({ alone }) => {
    // Only with that word does it begin where no node answers.
    const way = { ...(alone === "known" ? fromNothing : {}), ...wayBack };
    return {
      nobodyAtWork,
      found,
      roomInStore,

      choice: eachNode(choice),
      untilNormal: untilNormal(way),
      ...way,
    };
  },
});

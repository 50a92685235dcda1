/**
 * How consistent a snapshot set is, and why. "quiesced" is only said when every link of the chain was seen (design 4);
 * otherwise the missing facts are named. A set that is not proven is never called good.
 */
import type { BreakSeen } from "./mirrors.ts";

export type Consistency = "quiesced" | "crash-consistent" | "unknown";

export interface Evidence {
  /** The groups were offline before the break and still when it was proven. */
  readonly groupsOfflineAtBreak: boolean;
  /** GREEN on both sides immediately before the break. */
  readonly greenAtBreak: boolean;
  /** The node that served was not booted between the stop of the groups and the break. */
  readonly unmounted: boolean;
  readonly breaks: readonly BreakSeen[];
  readonly allSynchronous: boolean;
  /** The standby ran without a reboot from the break to the shutdown. */
  readonly keptBoot: boolean;
  /** RED with the same break time immediately before the shutdown. */
  readonly keptBreak: boolean;
  readonly stoppedBy: string;
  /** Stopped, in backup mode: its cluster software did not start at the next boot. */
  readonly wasPrepared: boolean;
}

export function judge(evidence: Evidence): {
  readonly consistency: Consistency;
  readonly why: readonly string[];
} {
  const missing: string[] = [];
  if (!evidence.groupsOfflineAtBreak)
    missing.push("the group was not seen offline until the break was proven");
  if (!evidence.unmounted)
    missing.push(
      "the node that served was booted while the groups were stopped: the file system may not have been unmounted",
    );
  if (!evidence.greenAtBreak) missing.push("the mirror was not seen GREEN on both sides at the break");
  for (const seen of evidence.breaks) {
    if (seen.breakTime === null || seen.lastUpdate === null)
      missing.push(`${seen.mirror}: the cluster showed no break time or no time of the last update`);
    else if (seen.breakTime < seen.lastUpdate)
      missing.push(
        `${seen.mirror}: the break (${seen.breakTime}) is before the last update (${seen.lastUpdate})`,
      );
  }
  if (!evidence.allSynchronous) missing.push("a mirror is asynchronous, and its queue was not seen empty");
  if (!evidence.keptBoot) missing.push("the standby was booted between the break and its shutdown");
  if (!evidence.keptBreak) missing.push("the break was not seen unchanged immediately before the shutdown");
  if (evidence.stoppedBy !== "guest")
    missing.push(`the shutdown came from ${evidence.stoppedBy}, not from the guest`);
  if (!evidence.wasPrepared) missing.push("backup mode was not proven at the next boot");
  if (missing.length === 0)
    return {
      consistency: "quiesced",
      why: ["group offline from the stop to the proven break; clean shutdown from the guest"],
    };
  // Volumes cut at one instant with the power off are at least what a power cut leaves behind.
  const atLeastCrash = evidence.stoppedBy !== "unknown" && evidence.keptBreak;
  return { consistency: atLeastCrash ? "crash-consistent" : "unknown", why: missing };
}

/** Volumes that a run has made, as the lab's rules tell them from those of the cluster. */
import type { Lab } from "./build.ts";

/** Made by a call from a snapshot: what a restore puts in. */
export function isRestored(lab: Lab, volume: string): boolean {
  const { byApi, snapshot } = lab.cloud.getVolume(volume);
  return byApi && snapshot !== undefined;
}

/** A drill's own: thrown away when it is over, whatever was written to it. */
export function isOfDrill(lab: Lab, volume: string | undefined): boolean {
  return (
    volume !== undefined &&
    isRestored(lab, volume) &&
    lab.cloud.getVolume(volume).tags["runbook:drill"] !== undefined
  );
}

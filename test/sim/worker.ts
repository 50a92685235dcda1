/** A process that plays the nights that it is told of, one after the other. */
import { playNight } from "./play.ts";

process.on("message", ({ seed, only }: { seed: number; only?: string }) => {
  void playNight(seed, only).then((played) => process.send?.(played));
});

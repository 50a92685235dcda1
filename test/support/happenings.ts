/** Nights in which something happens at a chosen moment, and that are looked at when they are over. */
import { playOnce, type Play } from "./laws.ts";
import type { Simulation } from "./simulation.ts";

/** Does something to the world once, a moment after a line was heard of there. */
export function when(sim: Simulation, line: RegExp, act: () => void): void {
  let done = false;
  sim.lab.heart.listeners.add(({ received }) => {
    if (done || received === undefined || !line.test(received.line)) return;
    done = true;
    sim.lab.heart.after(5_000, act);
  });
}

export async function playThrough(play: Play, world: (sim: Simulation) => void = () => undefined) {
  let sim: Simulation | undefined;
  const { played } = await playOnce({
    ...play,
    prepare: async (each) => {
      await play.prepare?.(each);
      world(each);
    },
    after: (each) => (sim = each),
  });
  if (!sim) throw new Error("nothing was played");
  return { played, sim };
}

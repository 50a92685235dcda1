/** The day on which a restore is wanted. */
import { settle } from "../../src/lab/hands.ts";
import { plantPoints } from "./points.ts";
import type { Simulation } from "./simulation.ts";

/** A recovery point was made; then a file was deleted and another written, on both sides of the mirror. */
export async function lostFiles(sim: Simulation): Promise<void> {
  plantPoints(sim.lab, [{ point: "p1", daysAgo: 1, of: 1 }]);
  sim.lab.deleteFile("prod", "md1", "orders.txt");
  sim.lab.writeFile("prod", "md1", "late.txt", "written after the cut");
  await settle(sim.lab);
}

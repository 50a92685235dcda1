/**
 * Runbooks with a fault put in by hand, played as they are: what a mutant does wrong has to be seen by the lab's rules, or by
 * what it leaves behind. A text that no longer is where the fault belongs fails the test, so that no mutant rots away.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { differences } from "../../src/lab/compare.ts";
import { settle } from "../../src/lab/hands.ts";
import { beginLeftOver } from "../../src/lab/invariants.ts";
import { openSimulation, type Simulation, type SimulationOptions } from "./simulation.ts";
import { worldOf } from "./world.ts";

/** One exact text of a file below runbooks/, and what stands there instead. */
export interface Patch {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Night {
  /** The file's name below runbooks/, without its ending. */
  readonly runbook: string;
  readonly world?: SimulationOptions;
  /** What went before, by the product's own runbooks. */
  readonly prepare?: (sim: Simulation) => Promise<void>;
  readonly play: (sim: Simulation) => Promise<{ readonly end: string; readonly why?: string | undefined }>;
}

export interface Seen {
  readonly end: string;
  readonly why: string;
  /** The rules that were broken, each once, in the order in which they first were. */
  readonly rules: readonly string[];
  readonly wrong: readonly string[];
  /** What the run left over, by the law for the end of every run. */
  readonly left: readonly string[];
  /** What differs from the world before the night, volumes and what belongs to them left out where they are meant to change. */
  readonly changed: readonly string[];
  readonly gaps: readonly string[];
}

/** Plays a night with the product's runbook, or with a mutant of it. */
export async function playNight(night: Night, patches: readonly Patch[] = []): Promise<Seen> {
  const folder = patches.length === 0 ? undefined : mutate(patches);
  const sim = await openSimulation({
    ...night.world,
    // Which rule a mutant breaks must not hang on where the output of a command was cut.
    settings: { cutsOutput: false, ...night.world?.settings },
    runbook: join(folder ?? "runbooks", `${night.runbook}.ts`),
  });
  try {
    await night.prepare?.(sim);
    await settle(sim.lab);
    if (sim.breaches.length > 0)
      throw new Error(`before the night: ${sim.breaches.map(({ what }) => what).join("; ")}`);
    const before = worldOf(sim.lab);
    const leftOver = beginLeftOver(sim.lab);
    const { end, why = "" } = await night.play(sim);
    await settle(sim.lab);
    return {
      end,
      why,
      rules: [...new Set(sim.breaches.map(({ rule }) => rule))],
      wrong: [...new Set(sim.breaches.map(({ what }) => what))],
      left: leftOver(),
      changed: differences(before, worldOf(sim.lab)),
      gaps: sim.gaps(),
    };
  } finally {
    sim.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  }
}

/** A copy of the product's runbooks with these changes; answers with its folder. */
function mutate(patches: readonly Patch[]): string {
  const texts = mutatedTexts(patches);
  const folder = mkdtempSync(join(tmpdir(), "runbook-mutant-"));
  cpSync("runbooks", folder, { recursive: true });
  for (const [file, text] of texts) writeFileSync(join(folder, file), text);
  return folder;
}

/** The files that are changed, by their paths. */
export function mutatedTexts(patches: readonly Patch[]): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const { file, from, to } of patches) {
    const text = texts.get(file) ?? readFileSync(join("runbooks", file), "utf8");
    const count = text.split(from).length - 1;
    if (count !== 1)
      throw new Error(
        `${file} has this text ${count} times; wanted once, so that the mutant is what it says:\n${from}`,
      );
    texts.set(
      file,
      text.replace(from, () => to),
    );
  }
  return texts;
}

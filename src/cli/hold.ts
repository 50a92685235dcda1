/** `runbook hold`: nothing new begins on a cluster or in its cloud until the hold is ended. What runs, and going back, goes on. */
import { Failure } from "../errors.ts";
import type { Hold } from "../ports/store.ts";
import { cloudHeld, clusterHeld, entryOf, openPlace, type WorldOptions } from "./context.ts";
import { exitCodes, harmless } from "./exit.ts";
import { openRunsOn } from "./runs-seen.ts";

export interface HoldOptions extends WorldOptions {
  readonly cloud?: boolean;
  readonly end?: boolean;
  readonly why?: string;
  readonly json?: boolean;
}

export async function hold(cluster: string | undefined, options: HoldOptions): Promise<number> {
  const place = await openPlace(options);
  const out = (text: string) => process.stdout.write(`${harmless(text)}\n`);
  const why = options.why?.trim() ?? "";
  if (why === "") {
    if (cluster !== undefined || options.cloud === true || options.end === true)
      throw new Failure("invalid", "--why is missing: whoever meets the hold wants to know the reason", {
        hint: 'for example --why "the network is being changed"; `runbook hold` alone lists the holds',
      });
    const holds = await place.store.findHolds();
    if (options.json === true) out(JSON.stringify(holds, null, 2));
    else if (holds.length === 0) out("nothing is held");
    for (const one of options.json === true ? [] : holds) out(inWords(one));
    return exitCodes.done;
  }
  const entry = await entryOf(place, options, cluster);
  const what = options.cloud === true ? cloudHeld(entry) : clusterHeld(entry);
  const said: Hold = { what, by: place.owner, why: place.mask(why), at: place.clock.now() };
  if (options.end === true) {
    await place.store.endHold(said);
    out(`${what} is no longer held`);
    return exitCodes.done;
  }
  await place.store.placeHold(said);
  out(`${what} is held: no run begins on it until \`runbook hold --end\``);
  for (const { run, runbook, state } of await openRunsOn(place.store, entry.name))
    out(
      `  run ${run} (${runbook}, ${state}) is not touched by it; \`runbook tell ${run} pause --why …\` would`,
    );
  return exitCodes.done;
}

export function inWords({ what, by, why, at }: Hold): string {
  return `${what} is held by ${by} since ${new Date(at).toISOString()}: ${why}`;
}

/**
 * The order of the way back (design 3.5): what exposes the service first; then the rest, newest first; what exposes
 * redundancy after that, because it may wait for a copy of hours; and what the run keeps alive (timer, markers) last of
 * all, so that neither goes while anything else is open. What waits for the service alone ("after service") comes right after
 * the last of what brings the service back, wherever that is. What a later step has ended is not taken back again, but the
 * service is looked at in any case: it may have been lost for want of the redundancy that the run took.
 */
import type { Exposure, UndoWhen } from "../runbook/step.ts";

export interface BackUnit {
  readonly key: string;
  readonly exposes: Exposure | undefined;
  /** Where the rule is not for it (src/runbook/step.ts). */
  readonly undoWhen: UndoWhen | undefined;
  /** A marker, a timer: renewed for as long as it is there. */
  readonly keptAlive: boolean;
  readonly canBeGivenBack: boolean;
}

export interface WayBack {
  /** What of the begun units is to be given back, in order. */
  list(begun: readonly string[], isEnded: (key: string) => boolean): readonly string[];
  sort(keys: readonly string[]): readonly string[];
  /** The list after its head could not be given back now. */
  putBack(list: readonly string[], atOnce: boolean): readonly string[];
}

/** `units` in the order of the list. */
export function wayBack(units: readonly BackUnit[]): WayBack {
  const place = new Map(units.map((unit, i) => [unit.key, { unit, i }]));
  const rank = (key: string) => {
    const unit = place.get(key)?.unit;
    if (unit?.keptAlive === true) return 3;
    if (unit?.undoWhen !== undefined) return unit.undoWhen === "last" ? 2 : 1;
    return unit?.exposes === "service" ? 0 : unit?.exposes === "redundancy" ? 2 : 1;
  };
  const age = (key: string) => place.get(key)?.i ?? 0;
  const isAfterService = (key: string) => place.get(key)?.unit.undoWhen === "after service";
  const sort = (keys: readonly string[]) => {
    const all = [...new Set(keys)].toSorted((a, b) => rank(a) - rank(b) || age(b) - age(a));
    const rest = all.filter((key) => !isAfterService(key));
    // What goes back only when redundancy is back (a move) leaves the service where it runs until then.
    const back = rest.findLastIndex((key) => place.get(key)?.unit.exposes === "service" && rank(key) < 2);
    return [...rest.slice(0, back + 1), ...all.filter(isAfterService), ...rest.slice(back + 1)];
  };
  return {
    list: (begun, isEnded) =>
      sort(
        begun.filter(
          (key) =>
            place.get(key)?.unit.canBeGivenBack === true &&
            (place.get(key)?.unit.exposes === "service" || !isEnded(key)),
        ),
      ),
    sort,
    putBack: ([head = "", ...rest], atOnce) => {
      if (atOnce || rank(head) === 3) return [head, ...rest];
      // One of the others has its turn, but nothing that has to stay until the end.
      const turn = rest.findIndex((key) => rank(key) < 3);
      return turn === -1 ? [head, ...rest] : [...rest.slice(0, turn + 1), head, ...rest.slice(turn + 1)];
    },
  };
}

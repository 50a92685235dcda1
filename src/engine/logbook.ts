/**
 * The run's own view of its journal: every event is written first, then the machine moves. Rows that nothing outside
 * depends on are not waited for: whatever leaves this process waits for its "sent" row, and with it for all before it.
 */
import { asFailure, type Failure } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { JournalWriter } from "../ports/store.ts";
import { fold, take, type Told } from "./fold.ts";
import type { Context, RunEvent, Task } from "./events.ts";
import type { Machine } from "./machine.ts";

export interface Line {
  readonly at: number;
  readonly kind: string;
  readonly body: { readonly [key: string]: unknown };
}

export interface Logbook {
  readonly told: Told;
  /** Everything so far, as lines. */
  readonly lines: Line[];
  context(): Context;
  tasks(): readonly Task[];
  /** Journals an event and moves the machine. */
  note(event: RunEvent): void;
  /** Journals a row that does not move the machine. */
  write(kind: string, body: { readonly [key: string]: unknown }): void;
  /** Tells whoever shows the run, and journals nothing: progress. */
  tell(kind: string, body: { readonly [key: string]: unknown }): void;
  /** Resolves when everything written so far is on disk; rejects once it cannot be. */
  synced(): Promise<void>;
  /** Set once a row could not be written: from then on rows go to `lost` instead. */
  broken(): Failure | undefined;
  readonly lost: Line[];
  /** Tries once more to write what was lost, after room was made. */
  mend(): void;
  /** Called after every change. */
  onChange: (line: Line) => void;
}

/** `conceal` takes secrets out of what is kept and shown; the machine moves by what really was. */
export function openLogbook(
  machine: Machine,
  journal: JournalWriter,
  clock: Clock,
  conceal: <T>(body: T) => T = (body) => body,
): Logbook {
  const told = fold(machine, journal.rows());
  const lost: Line[] = [];
  let broken: Failure | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const put = (line: Line) => {
    if (broken) {
      lost.push(line);
      return;
    }
    const body = JSON.parse(JSON.stringify(line.body)) as Parameters<JournalWriter["append"]>[1];
    const written = journal.append(line.kind, body, line.at);
    last = written;
    written.catch((thrown: unknown) => {
      broken ??= asFailure(thrown);
      lost.push(line);
    });
  };

  const logbook: Logbook = {
    told,
    lost,
    lines: journal.rows().map(({ at, kind, body }) => ({ at, kind, body })),
    context: () => machine.contextOf(told.position),
    tasks: () => told.position.tasks,
    note: ({ type, ...body }) => logbook.write(type, body),
    write: (kind, body) => {
      const line = { at: Math.round(clock.now()), kind, body: conceal(body) };
      put(line);
      take(told, machine, kind, JSON.parse(JSON.stringify(body)) as typeof body, line.at);
      logbook.lines.push(line);
      logbook.onChange(line);
    },
    tell: (kind, body) => logbook.onChange({ at: Math.round(clock.now()), kind, body: conceal(body) }),
    synced: async () => {
      if (broken) throw broken;
      await last;
      if (broken) throw broken as Failure;
    },
    broken: () => broken,
    mend: () => {
      broken = undefined;
      for (const line of lost.splice(0)) put(line);
    },
    onChange: () => undefined,
  };
  return logbook;
}

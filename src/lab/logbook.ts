/**
 * The lab's own log: everything that it received and everything that happened, in one order. It is complete whatever
 * a tool says of itself, and what tests and people judge a tool by. A copy goes to a file, for looking at afterwards.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Effect, Heart, Received } from "./world.ts";

export type LogEntry = { readonly seq: number } & (
  | ({ readonly kind: "received"; readonly by: "tool" | "person" } & Received)
  | ({ readonly kind: "effect" } & Effect)
);

export class Logbook {
  readonly #rows: (Received | Effect)[] = [];
  readonly #people = new Set<Received>();
  /** Received, and not answered when last looked at. */
  readonly #pending = new Set<Received>();
  readonly #heart: Heart;
  readonly #file: number;
  readonly #listener = ({ received, effect }: { received?: Received; effect?: Effect }) => {
    this.#sweep();
    const row = received ?? effect;
    if (!row) return;
    this.#rows.push(row);
    if (received) this.#pending.add(received);
    if (!isTick(row)) this.#write(received ? { received } : { effect });
  };
  #closed = false;

  constructor(heart: Heart, path: string) {
    this.#heart = heart;
    this.#file = openSync(path, "a", 0o600);
    heart.listeners.add(this.#listener);
  }

  get last(): number {
    return this.#rows.length;
  }

  /** A person's own hand did this, and no tool. */
  markPerson(row: Received): void {
    this.#people.add(row);
  }

  /**
   * Rows after `since`; of writes and effects only what is asked for, everything if nothing is. That clients go on
   * counting is told only with `clients`: it would hide all else.
   */
  entries(query: {
    readonly since: number;
    readonly writes: boolean;
    readonly effects: boolean;
    readonly clients: boolean;
  }): readonly LogEntry[] {
    const all = !query.writes && !query.effects;
    return this.#rows.slice(query.since).flatMap((row, index): LogEntry[] => {
      const seq = query.since + index + 1;
      if (isTick(row) && !query.clients) return [];
      if (!("reply" in row)) return all || query.effects ? [{ seq, kind: "effect", ...row }] : [];
      if (!all && !(query.writes && row.class !== "read")) return [];
      return [{ seq, kind: "received", by: this.#people.has(row) ? "person" : "tool", ...row }];
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#sweep();
    this.#heart.listeners.delete(this.#listener);
    this.#closed = true;
    closeSync(this.#file);
  }

  /** What was answered since: how a call ended is known later than that it came. */
  #sweep(): void {
    for (const row of this.#pending) {
      if (row.reply === "pending") continue;
      this.#pending.delete(row);
      this.#write({ answered: { n: row.n, class: row.class, reply: row.reply, effects: row.effects } });
    }
  }

  #write(row: unknown): void {
    if (!this.#closed) writeSync(this.#file, `${JSON.stringify(row)}\n`);
  }
}

/** A client of the service has counted on, as it does for as long as the service is there. */
function isTick(row: Received | Effect): boolean {
  return "detail" in row && row.detail.kind === "data-written" && row.detail["path"] === "clients/counter";
}

/**
 * A clock for simulation: it moves only when nothing else can run, and then straight to the next sleeper.
 *
 * "Nothing else can run" is judged by a few turns of the event loop in which nobody slept, woke or held it. What
 * the event loop cannot show (a file being synced, a module being loaded) is announced by a `hold`.
 */
import { Failure } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";

/** A clock that can also be told to do something later, as the lab's world is thousands of times a night. */
export interface LabClock extends Clock {
  /** Runs `act` after `ms`, unless the returned function was called before. */
  after(ms: number, act: () => void): () => void;
}

interface Sleeper {
  readonly due: number;
  readonly order: number;
  readonly wake: () => void;
  readonly fail: (reason: Error) => void;
}

export interface VirtualClockOptions {
  /** Milliseconds since the epoch at the beginning; the same in every test, so that outputs are comparable. */
  readonly start?: number;
  /** Whether it moves by itself. Without, only `advance` moves it. */
  readonly drive?: boolean;
  /** Turns of the event loop without activity that count as "nothing can run". */
  readonly quietTurns?: number;
  /** How far it may run in all. Past it every sleeper fails: something waits for what never comes. */
  readonly limitMs?: number;
}

const day = 86_400_000;

export class VirtualClock implements LabClock {
  readonly #sleepers: Sleeper[] = [];
  readonly #holds = new Map<number, string>();
  readonly #quietTurns: number;
  readonly #end: number;
  #now: number;
  #drive: boolean;
  #order = 0;
  #quiet = 0;
  #turning = false;

  constructor(options: VirtualClockOptions = {}) {
    this.#now = options.start ?? Date.UTC(2026, 2, 1);
    this.#drive = options.drive ?? true;
    this.#quietTurns = options.quietTurns ?? 3;
    this.#end = this.#now + (options.limitMs ?? 60 * day);
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const stop = () => {
        this.#drop(sleeper);
        reject(signal?.reason as Error);
      };
      const sleeper: Sleeper = {
        due: this.#now + Math.max(0, ms),
        order: (this.#order += 1),
        wake: () => {
          signal?.removeEventListener("abort", stop);
          resolve();
        },
        fail: (reason) => {
          signal?.removeEventListener("abort", stop);
          reject(reason);
        },
      };
      signal?.addEventListener("abort", stop, { once: true });
      this.#insert(sleeper);
      this.#active();
    });
  }

  after(ms: number, act: () => void): () => void {
    const sleeper: Sleeper = {
      due: this.#now + Math.max(0, ms),
      order: (this.#order += 1),
      wake: act,
      fail: () => undefined,
    };
    this.#insert(sleeper);
    this.#active();
    return () => this.#drop(sleeper);
  }

  #drop(sleeper: Sleeper): void {
    const at = this.#sleepers.indexOf(sleeper);
    if (at >= 0) this.#sleepers.splice(at, 1);
    this.#active();
  }

  /** Forbids moving until the returned ticket is given back; `why` is said if the process ends over it. */
  hold(why = "an operation in flight"): () => void {
    const ticket = (this.#order += 1);
    this.#holds.set(ticket, why);
    this.#watchForSilence();
    return () => {
      if (!this.#holds.delete(ticket)) return;
      if (this.#holds.size === 0) watched.delete(this);
      this.#active();
    };
  }

  /** Lets time stand still while `act` runs in real time. */
  async held<T>(why: string, act: () => Promise<T>): Promise<T> {
    const release = this.hold(why);
    try {
      return await act();
    } finally {
      release();
    }
  }

  set drive(drive: boolean) {
    this.#drive = drive;
    this.#active();
  }

  get drive(): boolean {
    return this.#drive;
  }

  /** Moves by `ms` on its own account, waking everyone on the way in order; for tests that do not let it drive. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    await this.settle();
    for (let next = this.#sleepers[0]; next && next.due <= target; next = this.#sleepers[0]) {
      this.#wakeFirst();
      await this.settle();
    }
    this.#now = Math.max(this.#now, target);
  }

  /** A few turns of the event loop: whatever can run, has run. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.#quietTurns; turn += 1)
      await new Promise<void>((resolve) => setImmediate(resolve));
  }

  #insert(sleeper: Sleeper): void {
    // Equal times keep the order of registration, so that a run is the same every time.
    let low = 0;
    let high = this.#sleepers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sleepers[middle] as Sleeper).due <= sleeper.due) low = middle + 1;
      else high = middle;
    }
    this.#sleepers.splice(low, 0, sleeper);
  }

  #active(): void {
    this.#quiet = 0;
    if (this.#turning || !this.#canMove()) return;
    this.#turning = true;
    setImmediate(() => this.#turn());
  }

  #canMove(): boolean {
    return this.#drive && this.#holds.size === 0 && this.#sleepers.length > 0;
  }

  #turn(): void {
    if (!this.#canMove()) {
      this.#turning = false;
      return;
    }
    this.#quiet += 1;
    if (this.#quiet >= this.#quietTurns) {
      this.#quiet = 0;
      this.#wakeFirst();
    }
    setImmediate(() => this.#turn());
  }

  #wakeFirst(): void {
    const next = this.#sleepers[0];
    if (!next) return;
    if (next.due > this.#end) {
      // Without this a wait for something that never comes would spin for ever and look like work.
      const failure = new Failure(
        "bug",
        `the virtual clock ran past its limit, ${new Date(this.#end).toISOString()}: something waits for what never comes`,
      );
      for (const sleeper of this.#sleepers.splice(0)) sleeper.fail(failure);
      return;
    }
    this.#sleepers.shift();
    this.#now = Math.max(this.#now, next.due);
    next.wake();
  }

  #watchForSilence(): void {
    if (!listening) process.once("beforeExit", tellHeld);
    listening = true;
    watched.add(this);
  }

  /** Why it stands still, if somebody waits for it. */
  get heldBy(): string | undefined {
    if (this.#holds.size === 0 || this.#sleepers.length === 0) return undefined;
    return `${[...this.#holds.values()].join(", ")}; ${this.#sleepers.length} sleepers wait`;
  }
}

// A hold that is never given back lets the event loop run empty: the process would end without a word.
const watched = new Set<VirtualClock>();
let listening = false;
function tellHeld(): void {
  for (const { heldBy } of watched) {
    if (heldBy !== undefined) process.stderr.write(`the virtual clock is still held by ${heldBy}\n`);
  }
  watched.clear();
  listening = false;
}

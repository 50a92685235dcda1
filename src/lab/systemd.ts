/**
 * Units and transient timers of one node. Transient ones live under /run and die with the boot, so a timer set by
 * `systemd-run` never outlives the boot in which it was set.
 */
import type { LabNode } from "./node.ts";
import type { Received } from "./world.ts";

export interface Unit {
  enabled: boolean;
  active: boolean;
  readonly start?: () => void;
  readonly stop?: () => void;
}

interface Timer {
  readonly unit: string;
  readonly argv: readonly string[];
  readonly everyMs: number | undefined;
  /** Uptime at which it fires next, milliseconds. */
  dueUptimeMs: number;
  pending: { cancel(): void } | undefined;
}

interface Service {
  readonly unit: string;
  readonly argv: readonly string[];
  state: "active" | "inactive" | "failed";
  code: number | undefined;
}

export class Systemd {
  readonly #node: LabNode;
  readonly units = new Map<string, Unit>();
  readonly timers = new Map<string, Timer>();
  readonly services = new Map<string, Service>();

  constructor(node: LabNode) {
    this.#node = node;
  }

  forgetTransient(): void {
    for (const timer of this.timers.values()) {
      timer.pending?.cancel();
      this.#node.heart.effect(
        `timer ${timer.unit} on ${this.#node.name} died with its boot`,
        { kind: "timer-gone", node: this.#node.name, unit: timer.unit },
        undefined,
      );
    }
    this.timers.clear();
    this.services.clear();
  }

  setTimer(
    unit: string,
    argv: readonly string[],
    afterMs: number,
    everyMs: number | undefined,
    cause: Received | undefined,
  ): void {
    const timer: Timer = { unit, argv, everyMs, dueUptimeMs: this.#uptimeMs() + afterMs, pending: undefined };
    this.timers.set(unit, timer);
    this.#node.heart.effect(
      `timer ${unit} set on ${this.#node.name}, fires in ${afterMs / 1000} s`,
      { kind: "timer-set", node: this.#node.name, unit, afterMs },
      cause,
    );
    this.#arm(timer, afterMs, cause);
  }

  #arm(timer: Timer, ms: number, cause: Received | undefined): void {
    timer.pending = this.#node.later(ms, () => {
      if (timer.everyMs === undefined) {
        this.timers.delete(timer.unit);
        this.#node.heart.effect(`timer ${timer.unit} fired on ${this.#node.name}`, {
          kind: "timer-fired",
          node: this.#node.name,
          unit: timer.unit,
        });
      } else {
        // The ticks of a repeating timer change nothing by themselves, so they are not booked.
        timer.dueUptimeMs += timer.everyMs;
        this.#arm(timer, timer.everyMs, cause);
      }
      // A unit that still runs is not started a second time.
      if (this.services.get(timer.unit)?.state !== "active")
        void this.startService(timer.unit, timer.argv, true, undefined);
    });
  }

  /** Runs a transient service; answers when it ended. */
  startService(
    unit: string,
    argv: readonly string[],
    collect: boolean,
    cause: Received | undefined,
  ): Promise<number | undefined> {
    const service: Service = { unit, argv, state: "active", code: undefined };
    this.services.set(unit, service);
    return this.#node.runDetached(argv, cause, unit).then((code) => {
      service.code = code;
      service.state = code === 0 ? "inactive" : "failed";
      if (collect || code === 0) this.services.delete(unit);
      return code;
    });
  }

  stopTimer(unit: string, cause: Received | undefined): boolean {
    const timer = this.timers.get(unit);
    if (!timer) return false;
    timer.pending?.cancel();
    this.timers.delete(unit);
    this.#node.heart.effect(
      `timer ${unit} on ${this.#node.name} taken away`,
      { kind: "timer-gone", node: this.#node.name, unit },
      cause,
    );
    return true;
  }

  /** Enables or disables; answers whether that changed anything. */
  setEnabled(unit: string, enabled: boolean, cause: Received | undefined): boolean {
    const found = this.units.get(unit);
    if (!found || found.enabled === enabled) return false;
    found.enabled = enabled;
    this.#node.heart.effect(
      `unit ${unit} ${enabled ? "enabled" : "disabled"} on ${this.#node.name}`,
      { kind: enabled ? "units-enabled" : "units-disabled", node: this.#node.name, unit },
      cause,
    );
    return true;
  }

  #uptimeMs(): number {
    return this.#node.heart.clock.now() - this.#node.bootedAt;
  }
}

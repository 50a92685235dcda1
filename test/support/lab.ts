/** A lab on the virtual clock for one test, with an operator's hands on its shell. */
import { onTestFinished } from "vitest";
import { buildLab, type Lab, type LabOptions } from "../../src/lab/build.ts";
import { VirtualClock } from "../../src/lab/clock.ts";
import { watch, type Breach } from "../../src/lab/invariants.ts";
import { text } from "../../src/ports/shell.ts";

export interface Said {
  readonly code: number | undefined;
  readonly signal: string | undefined;
  readonly out: string;
  readonly err: string;
}

export interface Bench {
  readonly lab: Lab;
  readonly clock: VirtualClock;
  readonly breaches: Breach[];
  /** One line, given to `sh -c` on the node. */
  sh(node: string, line: string, stdin?: string): Promise<Said>;
  /** One argv, words separated by blanks. */
  run(node: string, words: string): Promise<Said>;
  /** Waits until it is so, at most two hours of the lab's time. */
  until(what: string, holds: () => boolean): Promise<void>;
  seconds(count: number): Promise<void>;
}

export function bench(options: Partial<LabOptions> = {}): Bench {
  const clock = new VirtualClock();
  const lab = buildLab({ clock, copySeconds: 60, settings: { cutsOutput: false }, ...options });
  onTestFinished(() => lab.close());
  const breaches: Breach[] = [];
  watch(lab, (breach) => breaches.push(breach));
  const say = async (node: string, argv: readonly string[], stdin?: string): Promise<Said> => {
    const out = await lab.shell.run(node, argv, {
      timeoutMs: 3_600_000,
      ...(stdin !== undefined && { stdin }),
    });
    return { code: out.code, signal: out.signal, out: text(out.stdout), err: text(out.stderr) };
  };
  return {
    lab,
    clock,
    breaches,
    sh: (node, line, stdin) => say(node, ["sh", "-c", line], stdin),
    run: (node, words) => say(node, words.split(" ")),
    until: async (what, holds) => {
      for (let waited = 0; !holds(); waited += 1) {
        if (waited > 7200) throw new Error(`waited two hours for: ${what}`);
        await clock.sleep(1000);
      }
    },
    seconds: (count) => clock.sleep(count * 1000),
  };
}

/**
 * Keeps a run's view painted at the end of a terminal, in place: no alternate screen, so that what is said above it and
 * its last state stay where a person can scroll to them. `now` is the injected clock's; the tick is real time, for eyes.
 */
import type { Clock } from "../ports/clock.ts";
import { widthOf } from "./format.ts";
import { render } from "./render.ts";
import type { View } from "./view.ts";

/** What is needed of a terminal; `process.stdout` is one. */
export interface Terminal {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): unknown;
}

export interface Live {
  /** Begins to paint, or goes on after a pause, below whatever was printed meanwhile. */
  start(): void;
  /** Leaves the screen to somebody else (a prompt): what is painted stays, and nothing is painted. */
  pause(): void;
  /** Something happened: paints at once, unless something was painted a moment ago; then with the next tick. */
  update(): void;
  /** Prints a line above the view, to stay. */
  above(text: string): void;
  /** Paints the last state as a whole and leaves it; may be called again. */
  close(): void;
}

/** Eight times a second. */
const tickMs = 125;
const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
const restOfLine = "\u001b[K";
const restOfScreen = "\u001b[0J";

export function openLive(
  stream: Terminal,
  source: () => View,
  clock: Clock,
  color: boolean = process.env["NO_COLOR"] === undefined,
): Live {
  let painted: readonly string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let paintedThisTick = false;
  let everStarted = false;

  const columns = () => Math.max(1, stream.columns ?? 80);
  // One column stays free: some terminals break a line that fills the last one.
  const lines = (height?: number) =>
    render(source(), Math.max(1, columns() - 1), clock.now(), {
      color,
      ...(height !== undefined && { height }),
    });
  /** Back to the first line of what is painted. A terminal that was made narrower has broken the lines into more rows. */
  const home = () => {
    const rows = painted.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(bare(line)) / columns())),
      0,
    );
    return rows === 0 ? "" : `\r\u001b[${rows}A`;
  };
  const paint = () => {
    paintedThisTick = true;
    const next = lines(Math.max(1, (stream.rows ?? 24) - 1));
    if (next.length === painted.length && next.every((line, i) => line === painted[i])) return;
    stream.write(home() + next.map((line) => `${line}${restOfLine}\n`).join("") + restOfScreen);
    painted = next;
  };
  // Whatever ends the process, a terminal without a cursor is not left behind.
  const onExit = () => {
    stream.write(showCursor);
  };
  const rest = () => {
    clearInterval(timer);
    timer = undefined;
    process.off("exit", onExit);
  };

  return {
    start: () => {
      if (timer !== undefined) return;
      everStarted = true;
      process.once("exit", onExit);
      stream.write(hideCursor);
      painted = [];
      paint();
      timer = setInterval(() => {
        // Time moves on the screen even when nothing happens; what looks the same is not written again.
        paint();
        paintedThisTick = false;
      }, tickMs);
      timer.unref();
    },
    pause: () => {
      if (timer === undefined) return;
      paint();
      rest();
      stream.write(showCursor);
    },
    update: () => {
      if (timer !== undefined && !paintedThisTick) paint();
    },
    above: (text) => {
      if (timer === undefined) {
        stream.write(`${text}\n`);
        return;
      }
      stream.write(`${home()}${restOfScreen}${text}\n`);
      painted = [];
      paint();
    },
    close: () => {
      if (!everStarted) return;
      everStarted = false;
      const running = timer !== undefined;
      rest();
      stream.write(`${running ? home() + restOfScreen : ""}${lines().join("\n")}\n${showCursor}`);
      painted = [];
    },
  };
}

/** Without the colours that render put in. */
function bare(line: string): string {
  return line.replace(/\p{Cc}\[[0-9;]*m/gu, "");
}

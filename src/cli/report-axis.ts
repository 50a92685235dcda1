/**
 * One time axis for a run of fifteen minutes as for one of fourteen hours. A night's copy would press everything else into
 * a few points: a long stretch in which nothing began or ended is cut out, visibly, and the rest stays in proportion.
 */

export interface AxisPiece {
  readonly from: number;
  readonly to: number;
  readonly x0: number;
  readonly x1: number;
  /** Cut out: its width says nothing of how long it is. */
  readonly broken: boolean;
}

export interface Axis {
  readonly pieces: readonly AxisPiece[];
  readonly width: number;
  /** Where a time stands; times beyond the axis stand at its ends. */
  at(time: number): number;
}

/** More cuts than this, and nobody would see an order of magnitude any more. */
const mostCuts = 3;
/** A stretch is cut out when it would take more than this of what is drawn in proportion. */
const largestShare = 0.5;
/** Shorter ones are nothing that a picture cannot bear. */
const shortestCut = 60_000;

/** `marks` are the times at which something begins or ends, in any order. */
export function axisOf(marks: readonly number[], width: number, cutWidth: number): Axis {
  const sorted = [...new Set(marks.filter((mark) => Number.isFinite(mark)))].toSorted((a, b) => a - b);
  const spans = sorted.slice(1).map((to, i) => ({ from: sorted[i] ?? to, to }));
  const cuts = new Set<(typeof spans)[number]>();
  for (const longest of spans.toSorted((a, b) => b.to - b.from - (a.to - a.from)).slice(0, mostCuts)) {
    const rest = spans.filter((span) => !cuts.has(span)).reduce((ms, { from, to }) => ms + to - from, 0);
    const ms = longest.to - longest.from;
    if (spans.length < 3 || ms < shortestCut || ms <= rest * largestShare) break;
    cuts.add(longest);
  }
  const total = spans.filter((span) => !cuts.has(span)).reduce((ms, { from, to }) => ms + to - from, 0);
  const scale = total === 0 ? 0 : (width - cuts.size * cutWidth) / total;
  const pieces: AxisPiece[] = [];
  let x = 0;
  for (const span of spans) {
    const broken = cuts.has(span);
    const last = pieces.at(-1);
    const x1 = x + (broken ? cutWidth : (span.to - span.from) * scale);
    // Spans side by side that are drawn in proportion are one piece.
    if (last && !last.broken && !broken) pieces[pieces.length - 1] = { ...last, to: span.to, x1 };
    else pieces.push({ ...span, x0: x, x1, broken });
    x = x1;
  }
  return {
    pieces,
    width,
    at: (time) => {
      const piece = pieces.findLast(({ from }) => from <= time) ?? pieces[0];
      if (!piece || piece.to === piece.from) return 0;
      const share = Math.min(1, Math.max(0, (time - piece.from) / (piece.to - piece.from)));
      return piece.x0 + share * (piece.x1 - piece.x0);
    },
  };
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const steps = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * second),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * minute),
  ...[1, 2, 3, 6, 12, 24].map((n) => n * hour),
];

/** Round times on the pieces in proportion, at least `apart` from each other. `aheadMs`: of local time before UTC. */
export function ticksOf(axis: Axis, apart: number, aheadMs: number): readonly number[] {
  const straight = axis.pieces.filter(({ broken }) => !broken);
  const longest = straight.toSorted((a, b) => b.x1 - b.x0 - (a.x1 - a.x0))[0];
  if (!longest || longest.x1 === longest.x0) return [];
  const msPerX = (longest.to - longest.from) / (longest.x1 - longest.x0);
  const step = steps.find((candidate) => candidate / msPerX >= apart) ?? 24 * hour;
  const ticks: number[] = [];
  let free = Number.NEGATIVE_INFINITY;
  for (const { from, to } of straight) {
    for (let at = Math.ceil((from + aheadMs) / step) * step - aheadMs; at <= to; at += step) {
      if (axis.at(at) < free) continue;
      ticks.push(at);
      free = axis.at(at) + apart;
    }
  }
  return ticks;
}

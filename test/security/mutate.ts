/** Recorded outputs as a bad line, a newer version or a liar would send them. */
import fc from "fast-check";

import { hostileText } from "./hostile.ts";

/** Cut at any place, its lines swapped, doubled or left out, signs and numbers changed: one to three of these. */
export function mutatedText(whole: string): fc.Arbitrary<string> {
  return mutated(fc.constant(whole));
}

export function mutated(whole: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(whole, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([text, changes]) => changes.reduce((now, each) => each(now), text));
}

type Change = (text: string) => string;

const anywhere = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });
const at = (text: string, part: number) => Math.floor(part * text.length);
const lineAt = (lines: readonly string[], part: number) => Math.floor(part * lines.length);

const change: fc.Arbitrary<Change> = fc.oneof(
  anywhere.map((part) => (text: string) => text.slice(0, at(text, part))),
  anywhere.map((part) => (text: string) => text.slice(at(text, part))),
  fc.tuple(anywhere, anywhere).map(([a, b]) => (text: string) => {
    const lines = text.split("\n");
    const [i, j] = [lineAt(lines, a), lineAt(lines, b)];
    [lines[i], lines[j]] = [lines[j] ?? "", lines[i] ?? ""];
    return lines.join("\n");
  }),
  fc.tuple(anywhere, anywhere).map(([a, b]) => (text: string) => {
    const lines = text.split("\n");
    return lines.toSpliced(lineAt(lines, b), 0, lines[lineAt(lines, a)] ?? "").join("\n");
  }),
  anywhere.map((part) => (text: string) => {
    const lines = text.split("\n");
    return lines.toSpliced(lineAt(lines, part), 1).join("\n");
  }),
  fc.tuple(anywhere, hostileText).map(([part, put]) => (text: string) => {
    const place = at(text, part);
    return text.slice(0, place) + put + text.slice(place);
  }),
  fc.tuple(anywhere, fc.string({ minLength: 1, maxLength: 1 })).map(([part, sign]) => (text: string) => {
    const place = at(text, part);
    return text.slice(0, place) + sign + text.slice(place + 1);
  }),
  fc.tuple(anywhere, numbers()).map(([part, number]) => (text: string) => {
    const found = [...text.matchAll(/\d+/g)];
    const one = found[Math.floor(part * found.length)];
    return one ? text.slice(0, one.index) + number + text.slice(one.index + one[0].length) : text;
  }),
);

function numbers(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.nat().map(String),
    fc.constantFrom("-1", "0", "00", "1e9", "99999999999999999999", "0x1f", "NaN", "1.5", ""),
  );
}

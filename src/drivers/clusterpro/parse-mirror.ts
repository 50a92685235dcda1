/**
 * `clpmdstat --mirror` → the state of one mirror (reference clusterpro 4). Tolerant where the layout is known from
 * memory only: rows may be missing or unknown, and a time or colour may be "--". A status or a colour that we do not
 * know is refused, because runs decide by them.
 */
import { Failure } from "../../errors.ts";
import type { Colour, MirrorSide, MirrorState } from "../../ports/cluster-manager.ts";

const statuses: readonly string[] = ["Normal", "Recovering", "Abnormal", "No Construction", "Uncertain"];
const colours: readonly string[] = ["GREEN", "YELLOW", "RED", "GRAY", "BLUE", "UNKNOWN"];

export function parseMirror(output: string, mirror: string, nodes: readonly string[]): MirrorState {
  const refuse = (wrong: string) =>
    new Failure("invalid", `clpmdstat --mirror ${mirror}: ${wrong}`, {
      hint: "compare with the output on the node; a newer version may print it in another way",
      answer: { text: output.slice(0, 2000) },
    });
  const lines = output.split(/\r?\n/).map((line) => line.trim());

  const status = lines
    .map((line) => /^Mirror Status\s*:\s*(.+)$/.exec(line)?.[1]?.replace(/\s+/g, " "))
    .find(Boolean);
  if (status === undefined) throw refuse('there is no line "Mirror Status:"');
  if (!isStatus(status)) throw refuse(`runbook does not know the status "${status}"`);

  // The order of the columns is the order of the header, not "this one, the other one".
  const header = lines.find((line) => line.startsWith(`${mirror} `));
  const columns = header
    ?.slice(mirror.length)
    .trim()
    .split(/\s+/)
    .map((printed) => fullName(printed, nodes));
  if (columns?.length !== 2 || columns[0] === columns[1])
    throw refuse(`there is no line "${mirror} NODE NODE"`);

  const colourRow = lines.find((line) => /^Mirror Colou?r\b/i.test(line));
  const shown = colourRow === undefined ? ["--", "--"] : colourRow.split(/\s+/).slice(2);
  if (shown.length !== columns.length) throw refuse(`"${colourRow}" does not have one colour for each node`);
  const lastUpdates = times(lines, /^Last ?update\b/i, columns.length);
  const breakTimes = times(lines, /^Break\b/i, columns.length);

  const sides: Record<string, MirrorSide> = {};
  columns.forEach((node, i) => {
    const colour = shown[i] === "--" ? "UNKNOWN" : (shown[i] ?? "");
    if (!isColour(colour)) throw refuse(`runbook does not know the colour "${colour}" of ${node}`);
    sides[node] = { colour, lastUpdate: lastUpdates[i], breakTime: breakTimes[i] };
  });
  return { mirror, status, sides, recovery: recovery(lines, status, nodes) };
}

/** One value for each column, or none at all: with a value missing, nobody can tell whose the other one is. */
function times(lines: readonly string[], label: RegExp, columns: number): readonly (string | undefined)[] {
  const row = lines.find((line) => label.test(line)) ?? "";
  const found = row.match(/\d{4}\/\d{2}\/\d{2}\s+\d{2}:\d{2}:\d{2}|(?<=\s)--(?=\s|$)/g) ?? [];
  return found.length === columns
    ? found.map((each) => (each === "--" ? undefined : each.replace(/\s+/, " ")))
    : [];
}

function recovery(
  lines: readonly string[],
  status: string,
  nodes: readonly string[],
): MirrorState["recovery"] {
  // The row is known from memory only: its label may be longer or shorter, and so may the arrow.
  const direction = lines
    .map((line) => /\bDirection\b[\s:]+(\S+?)\s*[-=]+>\s*(\S+)$/i.exec(line))
    .find((match) => match !== null);
  if (status !== "Recovering" && !direction) return undefined;
  // "Difference Percent" has a value for each node and is about something else.
  const percent = lines
    .filter((line) => !/^Difference\b/i.test(line))
    .map((line) => /^\D*\s(\d{1,3})\s*%$/.exec(line)?.[1])
    .find((each) => each !== undefined);
  return {
    from: direction?.[1] && fullName(direction[1], nodes),
    to: direction?.[2] && fullName(direction[2], nodes),
    percent: percent === undefined ? undefined : Number(percent),
  };
}

/** A name that the table cut is the one node that begins so. */
function fullName(printed: string, nodes: readonly string[]): string {
  if (nodes.includes(printed)) return printed;
  const candidates = nodes.filter((node) => node.startsWith(printed));
  return candidates.length === 1 && candidates[0] !== undefined ? candidates[0] : printed;
}

const isStatus = (word: string): word is MirrorState["status"] => statuses.includes(word);
const isColour = (word: string): word is Colour => colours.includes(word);

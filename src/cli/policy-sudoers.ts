/**
 * Command lines as rules of sudoers(5), without a wildcard: sudo holds a rule against the whole line, its words joined by
 * blanks, so that behind `sh -c SCRIPT` a `*` would let in any text, and the shell would read it as part of the script.
 * What only a run knows stands as classes of single letters, once for each number of letters that it may have.
 */
import { Failure } from "../errors.ts";
import { fillingsOf, holesIn } from "../ports/rights.ts";

/** The programs that are started with rights, in the places where Linux has them. */
const programs: { readonly [name: string]: string } = { env: "/usr/bin/env", sh: "/bin/sh" };

/** Each as it stands behind "NOPASSWD: ". */
export function rulesFor(argv: readonly string[]): readonly string[] {
  const [program = "", ...args] = argv;
  const path = programs[program];
  if (path === undefined)
    throw new Failure("bug", `no rule can be made for ${program}: its path is not known`);
  const line = args.join(" ");
  return fillings(line).map((filling) => `${path} ${escape(line, filling)}`);
}

type Filling = ReadonlyMap<string, string>;

/** Every way to fill the holes of a line; one that stands in it twice is filled alike. */
function fillings(line: string): readonly Filling[] {
  return holesIn(line).reduce<readonly Filling[]>(
    (made, kind) => made.flatMap((each) => fillingsOf(kind).map((text) => new Map([...each, [kind, text]]))),
    [new Map()],
  );
}

function escape(line: string, filling: Filling): string {
  return line
    .split(/(\u27e8[^\u27e8\u27e9]*\u27e9)/)
    .map((part, i) => (i % 2 === 1 ? (filling.get(part.slice(1, -1)) ?? "") : literal(part)))
    .join("");
}

// sudoers takes one backslash away, fnmatch(3) the other. It would also make one blank of several, and ends a rule at
// the end of the line: so a line's end is any control character, which is the least that can be said there.
function literal(text: string): string {
  return text
    .replace(/\\/g, "\\\\\\\\")
    .replace(/[*?[\]!]/g, "\\$&")
    .replace(/[,:=#]/g, "\\$&")
    .replace(/(?<=[ \n]) /g, "\\ ")
    .replace(/\p{Cc}/gu, "[[\\:cntrl\\:]]");
}

/** Texts as somebody might give them who means harm, or did not think: for names, values, answers and arguments. */
import fc from "fast-check";

/** The file that exists if anything of a text was ever executed. */
export const canaryFile = "executed";

const pieces = [
  "'",
  '"',
  "`",
  "\\",
  "\n",
  "\r",
  "\t",
  " ",
  `$(touch ${canaryFile})`,
  `\`touch ${canaryFile}\``,
  `; touch ${canaryFile};`,
  `&& touch ${canaryFile} #`,
  `| tee ${canaryFile}`,
  `> ${canaryFile}`,
  `'; touch ${canaryFile}; '`,
  "$HOME",
  "${IFS}",
  "~root",
  "*",
  "?",
  "[a-z]",
  "{a,b}",
  "!!",
  "#",
  "%s%n",
  "-",
  "--help",
  "-oProxyCommand=true",
  "=",
  ":",
  "../",
  "..",
  "/",
  "/etc/passwd",
  "\u0000",
  "\u0007",
  "\u0008",
  "\u001b[2J",
  "\u001b[31m",
  "\u001b]0;title\u0007",
  "\u001b]8;;http://192.0.2.1/\u001b\\",
  "\u007f",
  "\u0085",
  "\u009b1A",
  "\u2028",
  "\u202e",
  "\u200b",
  "\ufeff",
  "\ud83d",
  "<zq>",
  "</td><zq x=1>",
  '" zq="1',
  "' zq='1",
  "<script>zq</script>",
  "<!--",
  "-->",
  "]]>",
  "&lt;zq&gt;",
  "&#0;",
  "[zq](javascript:zq)",
  "|",
  "```",
  "⟨hole⟩",
  "__proto__",
  "constructor",
  "null",
  "0",
  "-1",
  "1e999",
  "0x10",
  "é",
  "日本語",
  "\u0301",
  "💥",
];

export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...pieces) },
      { weight: 2, arbitrary: fc.string({ maxLength: 8 }) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 4 }) },
      { weight: 1, arbitrary: fc.nat({ max: 40 }).map((n) => "a".repeat(n)) },
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(""));

/** A megabyte of it. */
export function long(piece: string): string {
  return piece.repeat(Math.ceil(2 ** 20 / piece.length));
}

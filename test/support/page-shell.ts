/** What a page tells a stranger to type, typed in a clean shell: no variables of ours, no profile, nothing but a PATH. */
import { execFileSync } from "node:child_process";

import { matches, parsePage, type Command } from "./console-blocks.ts";

/** The page's commands in order, without those of the product, and those that set the stage for them. */
export function strangersCommands(page: string): readonly Command[] {
  return parsePage(page)
    .blocks.flatMap(({ commands, skip }) => (skip === undefined ? commands : []))
    .filter(({ text }) => !/^(npx|cd|mkdir|echo) /.test(text));
}

export interface Surprise {
  readonly command: string;
  /** What was printed instead of what the page shows, and the exit code. */
  readonly said: string;
}

/** The commands that did not print what the page shows. */
export function surprises(commands: readonly Command[], folder: string): readonly Surprise[] {
  const mark = "that-was-it";
  const script = commands
    .map(({ text }) => `{ ${text}\n} 2>&1 < /dev/null; printf '\\n%s %s\\n' ${mark} $?\n`)
    .join("");
  const out = execFileSync("env", ["-i", `PATH=${process.env["PATH"] ?? ""}`, "sh"], {
    cwd: folder,
    input: script,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const parts = out.split(new RegExp(`\\n${mark} (\\d+)\\n`));
  return commands.flatMap(({ text, output }, i) => {
    const printed = (parts[2 * i] ?? "").replace(/\n$/, "");
    const code = parts[2 * i + 1] ?? "none";
    const lines = printed === "" ? [] : printed.split("\n");
    const asShown = output.length === 0 || matches(output, lines, [], new Map()) !== undefined;
    return code === "0" && asShown ? [] : [{ command: text, said: `${printed}\n(exit ${code})` }];
  });
}
